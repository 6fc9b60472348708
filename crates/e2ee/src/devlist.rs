// SPDX-License-Identifier: Apache-2.0
//! The device list of an account, its chain, and what a client keeps of it (e2ee §4).
//!
//! `"PDL1" ‖ user_id ‖ n u32 ‖ H(previous) ‖ flags u8 ‖ AIK 32 ‖ dsk_ver u32 ‖ DSK 32 ‖ sig_AIK 64
//! ‖ ts u64 ‖ username u8-len ‖ ndev u8 ‖ ndev × (device_id ‖ sigpub 32 ‖ added_n u32 ‖ kind u8 ‖
//! name u8-len) ‖ nrem u8 ‖ nrem × device_id ‖ sig_DSK 64`. The same bytes as src/wire/devlist.h;
//! the tests hold both against each other.
use crate::account::Account;
use crate::credential::dsk_is_certified;
use crate::error::{arg, format, limit, Code, Error, Result};
use crate::primitives::{sha256, verify};
use crate::wire::{join, put_short, read_list, Reader};
use crate::Id;

pub(crate) const LABEL: &[u8] = b"parley/devlist/v1\0";
const MAGIC: &[u8] = b"PDL1";
pub(crate) const BYTES_MAX: usize = 8192;
pub(crate) const DEVICES_MAX: usize = 8;
const NAME_BYTES_MAX: usize = 80;
const USERNAME_BYTES_MAX: usize = 32;
const SIG_BYTES: usize = 64;
/// Flag: the identity was reset, AIK is a new one.
const RESET: u8 = 1;
/// Devices that an account may have removed in its life.
const REMOVED_MAX: usize = 4096;

const BROKEN: Error = format("a device list cannot be read: it is malformed");

const fn refused(text: &'static str) -> Error {
    Error::new(Code::Devlist, text)
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub id: Id,
    pub sigpub: [u8; 32],
    pub added_n: u32,
    pub kind: u8,
    pub name: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DeviceList {
    pub user: Id,
    pub n: u32,
    pub previous: [u8; 32],
    pub flags: u8,
    pub aik: [u8; 32],
    pub dsk_ver: u32,
    pub dsk: [u8; 32],
    pub sig_aik: [u8; 64],
    pub ts: u64,
    pub username: Vec<u8>,
    pub devices: Vec<Listed>,
    pub removed: Vec<Id>,
}

impl DeviceList {
    /// A whole list, its signatures not yet checked.
    fn read(bytes: &[u8]) -> Result<Self> {
        if bytes.len() > BYTES_MAX {
            return Err(limit("a device list is longer than 8 KiB"));
        }
        Self::read_unsigned(&bytes[..bytes.len().checked_sub(SIG_BYTES).ok_or(BROKEN)?])
    }

    /// What sig_DSK covers, behind its label.
    pub fn read_unsigned(bytes: &[u8]) -> Result<Self> {
        let mut input = Reader::new(bytes, BROKEN);
        if bytes.len() > BYTES_MAX - SIG_BYTES || input.bytes(MAGIC.len())? != MAGIC {
            return Err(BROKEN);
        }
        let mut list = DeviceList {
            user: input.array()?,
            n: input.u32()?,
            previous: input.array()?,
            flags: input.u8()?,
            aik: input.array()?,
            dsk_ver: input.u32()?,
            dsk: input.array()?,
            sig_aik: input.array()?,
            ts: input.u64()?,
            username: input.short(USERNAME_BYTES_MAX)?.to_vec(),
            devices: Vec::new(),
            removed: Vec::new(),
        };
        list.read_devices(&mut input)?;
        input.end()?;
        if list.n == 0 || list.flags > RESET || list.username.is_empty() {
            return Err(BROKEN);
        }
        Ok(list)
    }

    fn read_devices(&mut self, input: &mut Reader) -> Result<()> {
        let count = usize::from(input.u8()?);
        if count > DEVICES_MAX {
            return Err(BROKEN);
        }
        for _ in 0..count {
            let device = Listed {
                id: input.array()?,
                sigpub: input.array()?,
                added_n: input.u32()?,
                kind: input.u8()?,
                name: input.short(NAME_BYTES_MAX)?.to_vec(),
            };
            let in_range = (1..=self.n).contains(&device.added_n);
            if !in_range || self.find(&device.id).is_some() {
                return Err(BROKEN);
            }
            self.devices.push(device);
        }
        for _ in 0..input.u8()? {
            self.removed.push(input.array()?);
        }
        Ok(())
    }

    fn write_unsigned(&self) -> Vec<u8> {
        let mut out = join(&[
            MAGIC,
            &self.user,
            &self.n.to_be_bytes(),
            &self.previous,
            &[self.flags],
            &self.aik,
            &self.dsk_ver.to_be_bytes(),
            &self.dsk,
            &self.sig_aik,
            &self.ts.to_be_bytes(),
        ])
        .to_vec();
        put_short(&mut out, &self.username);
        out.push(u8::try_from(self.devices.len()).expect("bounded by DEVICES_MAX"));
        for device in &self.devices {
            out.extend_from_slice(&device.id);
            out.extend_from_slice(&device.sigpub);
            out.extend_from_slice(&device.added_n.to_be_bytes());
            out.push(device.kind);
            put_short(&mut out, &device.name);
        }
        out.push(u8::try_from(self.removed.len()).expect("bounded by DEVICES_MAX"));
        for id in &self.removed {
            out.extend_from_slice(id);
        }
        out
    }

    pub fn find(&self, id: &Id) -> Option<&Listed> {
        self.devices.iter().find(|device| device.id == *id)
    }

    fn signatures_verify(&self, bytes: &[u8]) -> bool {
        let (unsigned, signature) = bytes.split_at(bytes.len() - SIG_BYTES);
        let signature = signature.try_into().expect("split there");
        dsk_is_certified(&self.aik, &self.user, self.dsk_ver, &self.dsk, &self.sig_aik)
            && verify(&self.dsk, &[LABEL, unsigned], signature)
    }
}

/// What a client keeps of a user: the newest list it has checked, which devices are gone for ever,
/// and when the identity was last reset. As bytes: `v1 ‖ user_id ‖ AIK 32 ‖ n u32 ‖ H(DL) 32 ‖
/// reset_n u32 (0: never) ‖ nrem u16 ‖ nrem × device_id ‖ DL`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub list: DeviceList,
    pub hash: [u8; 32],
    pub reset_n: u32,
    pub removed: Vec<Id>,
    bytes: Vec<u8>,
}

const STATE_BROKEN: Error =
    format("what was kept of a device list cannot be read: verify it again");

impl State {
    /// What `pe_devlist_verify` gave, and the host has kept; signatures are not checked again.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        let mut input = Reader::new(bytes, STATE_BROKEN);
        if input.u8()? != 1 {
            return Err(STATE_BROKEN);
        }
        let (user, aik): (Id, [u8; 32]) = (input.array()?, input.array()?);
        let (n, hash, reset_n) = (input.u32()?, input.array()?, input.u32()?);
        let mut removed = Vec::new();
        for _ in 0..input.u16()? {
            removed.push(input.array()?);
        }
        let rest = bytes.len() - input.left();
        let list = DeviceList::read(&bytes[rest..]).map_err(|_| STATE_BROKEN)?;
        if list.user != user
            || list.aik != aik
            || list.n != n
            || sha256(&[&bytes[rest..]]) != hash
            || removed.len() > REMOVED_MAX
        {
            return Err(STATE_BROKEN);
        }
        Ok(State { list, hash, reset_n, removed, bytes: bytes[rest..].to_vec() })
    }

    pub fn write(&self) -> Vec<u8> {
        let count = u16::try_from(self.removed.len()).expect("bounded by REMOVED_MAX");
        join(&[
            &[1],
            &self.list.user,
            &self.list.aik,
            &self.list.n.to_be_bytes(),
            &self.hash,
            &self.reset_n.to_be_bytes(),
            &count.to_be_bytes(),
            &self.removed.concat(),
            &self.bytes,
        ])
        .to_vec()
    }

    /// The state after the list `bytes`, which must follow `before` (None: it is the first).
    fn step(before: Option<&State>, bytes: &[u8]) -> Result<Self> {
        let list = DeviceList::read(bytes)?;
        check_next(before, &list)?;
        if !list.signatures_verify(bytes) {
            return Err(refused("a device list carries a wrong signature: it was forged"));
        }
        let mut removed = before.map_or(Vec::new(), |state| state.removed.clone());
        removed.extend_from_slice(&list.removed);
        if removed.len() > REMOVED_MAX {
            return Err(limit("this account has removed more devices than can be kept"));
        }
        let was_reset = before.map_or(0, |state| state.reset_n);
        let reset_n = if list.flags & RESET != 0 { list.n } else { was_reset };
        Ok(State { hash: sha256(&[bytes]), list, reset_n, removed, bytes: bytes.to_vec() })
    }
}

/// `pe_devlist_verify`: a chain, a list of device lists, that begins with the first list, or at
/// most one behind the pinned state, and does not end before it.
pub(crate) fn verify_chain(chain: &[u8], pinned: &[u8]) -> Result<State> {
    let lists = read_list(chain, format("a chain of device lists is not a list of items"))?;
    let mut state = if pinned.is_empty() { None } else { Some(State::read(pinned)?) };
    let mut older: Option<(u32, [u8; 32])> = None;
    let mut advanced = false;
    for bytes in lists {
        let known = state.as_ref().map_or(0, |state| state.list.n);
        let list = DeviceList::read(bytes)?;
        if list.n <= known {
            if advanced {
                return Err(refused("a chain of device lists goes backwards"));
            }
            older = Some(check_old(state.as_ref(), older, &list, bytes)?);
        } else if older.is_some_and(|(n, _)| n != known) {
            return Err(refused("a chain of device lists leaves one out"));
        } else {
            older = None;
            advanced = true;
            state = Some(State::step(state.as_ref(), bytes)?);
        }
    }
    match (state, older) {
        (None, _) => Err(arg("a chain of device lists is empty, and none was known before")),
        (Some(state), Some((n, _))) if n != state.list.n => {
            Err(refused("the server offers an older device list than is known: it was rolled back"))
        }
        (Some(state), _) => Ok(state),
    }
}

/// A list that is known already, or older: it must lead to the pinned one by hashes.
fn check_old(
    pinned: Option<&State>,
    before: Option<(u32, [u8; 32])>,
    list: &DeviceList,
    bytes: &[u8],
) -> Result<(u32, [u8; 32])> {
    let hash = sha256(&[bytes]);
    let follows = before.is_none_or(|(n, hash)| list.n == n + 1 && list.previous == hash);
    let Some(pinned) = pinned else {
        return Err(refused("a chain of device lists repeats itself"));
    };
    if list.user != pinned.list.user || !follows {
        return Err(refused("a chain of device lists is broken"));
    }
    if list.n == pinned.list.n && hash != pinned.hash {
        return Err(refused("there are two device lists with one number: the account forked"));
    }
    Ok((list.n, hash))
}

/// May `next` follow? The rule that the server keeps too, but that a reset of the identity is let
/// through here: who kept the old identity compares.
fn check_next(before: Option<&State>, next: &DeviceList) -> Result<()> {
    let Some(before) = before else { return check_first(next) };
    let prev = &before.list;
    let reset = next.flags & RESET != 0;
    if prev.n.checked_add(1) != Some(next.n) {
        return Err(refused("a chain of device lists leaves one out"));
    }
    if next.previous != before.hash
        || next.user != prev.user
        || next.username != prev.username
        || prev.devices.is_empty()
    {
        return Err(refused("a chain of device lists is broken"));
    }
    if !reset && next.aik != prev.aik {
        return Err(Error::new(Code::Identity, "a device list is of another identity than before"));
    }
    let other_dsk = next.dsk_ver == prev.dsk_ver && next.dsk != prev.dsk;
    if !reset && (next.dsk_ver < prev.dsk_ver || other_dsk) {
        return Err(refused("a device list is signed by an older key, or by two of one number"));
    }
    check_devices(Some(before), next)
}

fn check_first(first: &DeviceList) -> Result<()> {
    if first.n != 1 || first.previous != [0; 32] || first.flags != 0 || first.devices.is_empty() {
        return Err(refused("a chain of device lists does not begin with a first one"));
    }
    check_devices(None, first)
}

/// Listed devices are new or as they were; what is no more is named as removed, once, for ever.
fn check_devices(before: Option<&State>, next: &DeviceList) -> Result<()> {
    const WRONG: Error =
        refused("a device list brings back, changes or leaves out a device without saying so");
    for now in &next.devices {
        let old = before.and_then(|state| state.list.find(&now.id));
        let fits = match old {
            Some(old) => old.sigpub == now.sigpub && old.added_n == now.added_n,
            None => now.added_n == next.n,
        };
        let gone = before.is_some_and(|state| state.removed.contains(&now.id));
        if !fits || gone || next.removed.contains(&now.id) {
            return Err(WRONG);
        }
    }
    let listed = before.map_or(&[][..], |state| &state.list.devices);
    let mut gone = 0;
    for old in listed.iter().filter(|old| next.find(&old.id).is_none()) {
        if !next.removed.contains(&old.id) {
            return Err(WRONG);
        }
        gone += 1;
    }
    if gone == next.removed.len() {
        Ok(())
    } else {
        Err(WRONG)
    }
}

/// What `pe_devlist_sign` changes: `flags u8 ‖ ts u64 ‖ username u8-len (first list only) ‖ n u8 ‖
/// n × (device_id ‖ sigpub 32 ‖ kind u8 ‖ name u8-len) ‖ n u8 ‖ n × device_id`: devices that are
/// added (or, with the key they have, renamed), and those that are removed.
struct Change {
    flags: u8,
    ts: u64,
    username: Vec<u8>,
    added: Vec<Listed>,
    removed: Vec<Id>,
}

impl Change {
    fn read(bytes: &[u8]) -> Result<Self> {
        let mut input = Reader::new(bytes, format("a change of a device list is malformed"));
        let mut change = Change {
            flags: input.u8()?,
            ts: input.u64()?,
            username: input.short(USERNAME_BYTES_MAX)?.to_vec(),
            added: Vec::new(),
            removed: Vec::new(),
        };
        for _ in 0..input.u8()? {
            change.added.push(Listed {
                id: input.array()?,
                sigpub: input.array()?,
                added_n: 0,
                kind: input.u8()?,
                name: input.short(NAME_BYTES_MAX)?.to_vec(),
            });
        }
        for _ in 0..input.u8()? {
            change.removed.push(input.array()?);
        }
        input.end()?;
        Ok(change)
    }
}

/// `pe_devlist_sign`: the next list of the own account; only one that every client will take.
pub(crate) fn sign(account: &Account, prev: &[u8], change: &[u8]) -> Result<Vec<u8>> {
    let before = if prev.is_empty() { None } else { Some(State::read(prev)?) };
    let change = Change::read(change)?;
    let mut list = DeviceList {
        user: account.user,
        n: 1,
        previous: [0; 32],
        flags: change.flags,
        aik: account.aik,
        dsk_ver: account.dsk_ver,
        dsk: account.dsk.public(),
        sig_aik: account.sig_aik,
        ts: change.ts,
        username: change.username,
        devices: Vec::new(),
        removed: change.removed,
    };
    if let Some(before) = &before {
        let last = before.list.n;
        list.n = last.checked_add(1).ok_or(limit("this account can have no more device lists"))?;
        list.previous = before.hash;
        list.username.clone_from(&before.list.username);
        list.devices.clone_from(&before.list.devices);
        list.devices.retain(|device| !list.removed.contains(&device.id));
    }
    for mut added in change.added {
        match list.devices.iter_mut().find(|device| device.id == added.id) {
            Some(device) => {
                added.added_n = device.added_n;
                *device = added;
            }
            None => {
                added.added_n = list.n;
                list.devices.push(added);
            }
        }
    }
    if list.devices.len() > DEVICES_MAX {
        return Err(limit("an account has at most 8 devices: remove one first"));
    }
    check_next(before.as_ref(), &list)?;
    let unsigned = list.write_unsigned();
    let signature = account.dsk.sign(&[LABEL, &unsigned]);
    let signed = [&unsigned[..], &signature].concat();
    State::step(before.as_ref(), &signed)?;
    Ok(signed)
}

#[cfg(test)]
#[path = "devlist_test.rs"]
mod tests;
