// SPDX-License-Identifier: Apache-2.0
//! The keys of an account and of this device, and their rows (e2ee §3).
use zeroize::Zeroizing;

use crate::context::Context;
use crate::credential;
use crate::devlist::{self, DeviceList};
use crate::error::{arg, format, limit, state, Code, Error, Result};
use crate::primitives::{Key, Secret};
use crate::random;
use crate::rows::{Rows, Value, KEY_ACCOUNT, KEY_DEVICE};
use crate::vault::{self, Vault};
use crate::wire::{join, put_long, Reader};
use crate::Id;

const ROW_VERSION: u8 = 1;
/// Backup keys that an account may have had: one more with each rotation.
pub(crate) const BACKUP_KEYS_MAX: usize = 1024;

const BROKEN: Error = format("the stored row of the account or device cannot be read");

/// A backup key and its version.
pub(crate) struct BackupKey {
    pub ver: u32,
    pub key: Secret,
}

/// What every linked device has.
pub(crate) struct Account {
    pub user: Id,
    pub aik: [u8; 32],
    pub dsk_ver: u32,
    pub dsk: Key,
    pub sig_aik: [u8; 64],
    pub backup_keys: Vec<BackupKey>,
}

/// What only this device has.
pub(crate) struct Device {
    pub id: Id,
    pub kind: u8,
    pub key: Key,
}

/// The seed of the identity key, while it is in memory, and the version of the vault that holds it
/// (0: none does yet).
pub(crate) struct Opened {
    pub aik: Key,
    pub vault_ver: u32,
}

impl Account {
    pub fn from_rows(rows: &Rows) -> Result<Option<Self>> {
        let Some(row) = rows.get(&[KEY_ACCOUNT]) else { return Ok(None) };
        let mut input = Reader::new(&row, BROKEN);
        if input.u8()? != ROW_VERSION {
            return Err(BROKEN);
        }
        let account = Account {
            user: input.array()?,
            aik: input.array()?,
            dsk_ver: input.u32()?,
            dsk: Key::from_seed(&*input.secret()?),
            sig_aik: input.array()?,
            backup_keys: read_backup_keys(&mut input)?,
        };
        input.end()?;
        Ok(Some(account))
    }

    fn to_row(&self) -> Value {
        join(&[
            &[ROW_VERSION],
            &self.user,
            &self.aik,
            &self.dsk_ver.to_be_bytes(),
            self.dsk.seed(),
            &self.sig_aik,
            &write_backup_keys(&self.backup_keys),
        ])
    }

    fn certify(aik: &Key, user: Id, dsk: Key, dsk_ver: u32, backup_keys: Vec<BackupKey>) -> Self {
        let sig_aik = credential::certify_dsk(aik, &user, dsk_ver, &dsk.public());
        Account { user, aik: aik.public(), dsk_ver, dsk, sig_aik, backup_keys }
    }
}

impl Device {
    pub fn from_rows(rows: &Rows) -> Result<Option<Self>> {
        let Some(row) = rows.get(&[KEY_DEVICE]) else { return Ok(None) };
        let mut input = Reader::new(&row, BROKEN);
        if input.u8()? != ROW_VERSION {
            return Err(BROKEN);
        }
        let device = Device {
            id: input.array()?,
            kind: input.u8()?,
            key: Key::from_seed(&*input.secret()?),
        };
        input.end()?;
        Ok(Some(device))
    }

    fn to_row(&self) -> Value {
        join(&[&[ROW_VERSION], &self.id, &[self.kind], self.key.seed()])
    }
}

/// `n u16 ‖ n × (bk_ver u32 ‖ BK 32)`, versions rising.
pub(crate) fn read_backup_keys(input: &mut Reader) -> Result<Vec<BackupKey>> {
    let count = usize::from(input.u16()?);
    if count == 0 || count > BACKUP_KEYS_MAX {
        return Err(BROKEN);
    }
    let mut keys: Vec<BackupKey> = Vec::with_capacity(count);
    for _ in 0..count {
        let ver = input.u32()?;
        if keys.last().is_some_and(|last| last.ver >= ver) {
            return Err(BROKEN);
        }
        keys.push(BackupKey { ver, key: input.secret()? });
    }
    Ok(keys)
}

pub(crate) fn write_backup_keys(keys: &[BackupKey]) -> Value {
    let count = u16::try_from(keys.len()).expect("bounded by BACKUP_KEYS_MAX");
    let mut out = Zeroizing::new(Vec::with_capacity(2 + keys.len() * 36));
    out.extend_from_slice(&count.to_be_bytes());
    for backup in keys {
        out.extend_from_slice(&backup.ver.to_be_bytes());
        out.extend_from_slice(&backup.key[..]);
    }
    out
}

/// `pe_account_create`: new keys; the recovery key goes to the person and nowhere else.
pub(crate) fn create(context: &mut Context, user: &Id) -> Result<Secret> {
    if context.account.is_some() {
        return Err(state("there is an account here already: use a new context"));
    }
    let recovery_key = random::secret()?;
    let aik = Key::generate()?;
    let first = BackupKey { ver: 1, key: random::secret()? };
    let account = Account::certify(&aik, *user, Key::generate()?, 1, vec![first]);
    context.rows.put(&[KEY_ACCOUNT], account.to_row());
    context.opened = Some(Opened { aik, vault_ver: 0 });
    Ok(recovery_key)
}

/// `pe_account_recover`: the keys of a vault. Where the account is known already it must be the
/// same one; the vault may then bring newer keys, never older ones.
pub(crate) fn recover(
    context: &mut Context,
    user: &Id,
    rk: &[u8; 32],
    sealed: &[u8],
) -> Result<()> {
    let vault = vault::open(user, rk, sealed)?;
    let aik = Key::from_seed(&vault.aik_seed);
    let mut take = true;
    if let Some(known) = &context.account {
        if known.user != *user || known.aik != aik.public() {
            return Err(Error::new(
                Code::Identity,
                "the vault holds another identity than this device knows: take nothing from it",
            ));
        }
        take = known.dsk_ver < vault.dsk_ver;
    }
    if take {
        let dsk = Key::from_seed(&vault.dsk_seed);
        let account = Account::certify(&aik, *user, dsk, vault.dsk_ver, vault.backup_keys);
        context.rows.put(&[KEY_ACCOUNT], account.to_row());
    }
    context.opened = Some(Opened { aik, vault_ver: vault.ver });
    Ok(())
}

/// `pe_vault_seal`: the vault as version `ver`; the identity key leaves memory with it.
pub(crate) fn seal_vault(context: &mut Context, rk: &[u8; 32], ver: u32) -> Result<Vec<u8>> {
    let account = context.account()?;
    let opened = opened(context)?;
    if ver <= opened.vault_ver {
        return Err(arg("the version of the vault must rise: it is the last one plus 1"));
    }
    let sealed = vault::seal(
        rk,
        &Vault {
            ver,
            aik_seed: Zeroizing::new(*opened.aik.seed()),
            dsk_seed: Zeroizing::new(*account.dsk.seed()),
            dsk_ver: account.dsk_ver,
            backup_keys: copy_backup_keys(&account.backup_keys),
        },
        &account.user,
    )?;
    context.opened = None;
    Ok(sealed)
}

/// What `pe_rotate` gives: the new vault, and what the other devices of the account are told.
pub(crate) struct Rotated {
    pub vault: Vec<u8>,
    /// `v1 ‖ dsk_ver ‖ DSK seed 32 ‖ sig_AIK 64 ‖ bk_ver ‖ BK 32`
    pub share: Value,
}

impl Rotated {
    /// Two items.
    pub fn to_list(&self) -> Value {
        let size = 8 + self.vault.len() + self.share.len();
        let mut out = Zeroizing::new(Vec::with_capacity(size));
        put_long(&mut out, &self.vault);
        put_long(&mut out, &self.share);
        out
    }
}

/// `pe_rotate`: a new device-list key and a new backup key, together, and the vault with them.
pub(crate) fn rotate(context: &mut Context, rk: &[u8; 32]) -> Result<Rotated> {
    let opened = opened(context)?;
    let account = context.account()?;
    let next = |ver: u32| ver.checked_add(1).ok_or(limit("no more versions: reset the identity"));
    let last = account.backup_keys.last().map_or(0, |backup| backup.ver);
    if account.backup_keys.len() == BACKUP_KEYS_MAX {
        return Err(limit("too many backup keys: reset the identity"));
    }
    let fresh = BackupKey { ver: next(last)?, key: random::secret()? };
    let shared = join(&[&fresh.ver.to_be_bytes(), &fresh.key[..]]);
    let mut keys = copy_backup_keys(&account.backup_keys);
    keys.push(fresh);
    let (dsk, dsk_ver) = (Key::generate()?, next(account.dsk_ver)?);
    let rotated = Account::certify(&opened.aik, account.user, dsk, dsk_ver, keys);
    let vault_ver = next(opened.vault_ver)?;
    context.rows.put(&[KEY_ACCOUNT], rotated.to_row());
    let share = join(&[
        &[1],
        &rotated.dsk_ver.to_be_bytes(),
        rotated.dsk.seed(),
        &rotated.sig_aik,
        &shared,
    ]);
    context.account = Some(rotated);
    Ok(Rotated { vault: seal_vault(context, rk, vault_ver)?, share })
}

/// `pe_device_create`: this device's key.
pub(crate) fn create_device(context: &mut Context, id: &Id, kind: u8) -> Result<[u8; 32]> {
    context.account()?;
    if context.device.is_some() {
        return Err(state("this device has its key already: use a new context for another"));
    }
    let device = Device { id: *id, kind, key: Key::generate()? };
    context.rows.put(&[KEY_DEVICE], device.to_row());
    Ok(device.key.public())
}

const HAS_ACCOUNT: u8 = 1;
const HAS_DEVICE: u8 = 2;

/// `pe_facts`: what is public of the keys here; zeros for what there is not yet.
pub(crate) fn facts(context: &Context) -> Result<Vec<u8>> {
    let mut out = vec![1, 0];
    match &context.account {
        Some(account) => {
            out[1] |= HAS_ACCOUNT;
            out.extend_from_slice(&account.user);
            out.extend_from_slice(&account.aik);
            out.extend_from_slice(&account.dsk_ver.to_be_bytes());
            out.extend_from_slice(&account.dsk.public());
            out.extend_from_slice(&account.sig_aik);
        }
        None => out.resize(2 + 148, 0),
    }
    match &context.device {
        Some(device) => {
            out[1] |= HAS_DEVICE;
            out.extend_from_slice(&device.id);
            out.push(device.kind);
            out.extend_from_slice(&device.key.public());
        }
        None => out.resize(2 + 148 + 49, 0),
    }
    Ok(out)
}

const SIGN_SESSION: u8 = 1;
const SIGN_DEVLIST: u8 = 2;
const SIGN_LEAVE: u8 = 3;

/// `pe_sign`: a message that begins with the label of its purpose.
pub(crate) fn sign(context: &Context, purpose: u8, message: &[u8]) -> Result<[u8; 64]> {
    let label: &[u8] = match purpose {
        SIGN_SESSION => b"parley/session/v1\0",
        SIGN_DEVLIST => devlist::LABEL,
        SIGN_LEAVE => b"parley/leave/v1\0",
        _ => return Err(arg("nothing is signed for this purpose")),
    };
    let Some(rest) = message.strip_prefix(label) else {
        return Err(arg("the message does not begin with the label of its purpose"));
    };
    if purpose != SIGN_DEVLIST {
        return Ok(context.device()?.key.sign(&[message]));
    }
    let account = context.account()?;
    let list = DeviceList::read_unsigned(rest)?;
    if list.user != account.user
        || list.aik != account.aik
        || list.dsk_ver != account.dsk_ver
        || list.dsk != account.dsk.public()
        || list.sig_aik != account.sig_aik
    {
        return Err(arg("the device list is not one of this account, or of an older key"));
    }
    Ok(account.dsk.sign(&[message]))
}

fn opened(context: &Context) -> Result<&Opened> {
    context.opened.as_ref().ok_or(state(
        "the identity key is not in memory: open the vault first (pe_account_recover)",
    ))
}

/// Room for one more: a vector that grows leaves its secrets behind.
fn copy_backup_keys(keys: &[BackupKey]) -> Vec<BackupKey> {
    let mut copy = Vec::with_capacity(keys.len() + 1);
    copy.extend(keys.iter().map(|backup| BackupKey { ver: backup.ver, key: backup.key.clone() }));
    copy
}

#[cfg(test)]
#[path = "account_test.rs"]
mod tests;
