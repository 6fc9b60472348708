// SPDX-License-Identifier: Apache-2.0
//! For tests: accounts with devices, each with what its host stores, and their device lists.

use std::collections::{BTreeMap, HashMap};

use crate::aad::{Aad, Leave};
use crate::context::Context;
use crate::devlist::{self, State};
use crate::directory::Directory;
use crate::error::Result;
use crate::group::told::Told;
use crate::group::{commit, join, process};
use crate::policy::{Member, Policy, ADMIN, GROUP, MEMBER, OWNER};
use crate::rows::KEY_GROUP;
use crate::wire::{put_long, Reader};
use crate::{account, clock, error, group, package, testing, Id};

pub(crate) const SUITE: u16 = 1;
pub(crate) const CHAT: Id = [0xC4; 16];

/// A device, and the rows that its host has.
pub(crate) struct Dev {
    pub ctx: Context,
    pub disk: BTreeMap<Vec<u8>, Vec<u8>>,
    pub user: Id,
    pub id: Id,
}

#[derive(Clone)]
pub(crate) struct Bundle {
    pub epoch: u64,
    pub commit: Vec<u8>,
    pub welcome: Vec<u8>,
    pub info: Vec<u8>,
}

impl Bundle {
    pub fn read(bytes: &[u8]) -> Bundle {
        let mut r = Reader::new(bytes, error::Error::internal());
        assert_eq!(r.u8().unwrap(), 1);
        let epoch = r.u64().unwrap();
        let mut part = || r.long().unwrap().to_vec();
        Bundle { epoch, commit: part(), welcome: part(), info: part() }
    }
}

/// What a device wants of a commit.
#[derive(Clone, Default)]
pub(crate) struct Wish {
    pub policy: Option<Policy>,
    /// KeyPackages, with whose they are: (device, user).
    pub packages: Vec<(Vec<u8>, (Id, Id))>,
    /// Leaves that go.
    pub removes: Vec<(Id, Id)>,
    pub leaves: Vec<Leave>,
    pub mid: Id,
}

impl Wish {
    pub fn bytes(&self, lists: &[u8]) -> Vec<u8> {
        let mut out = vec![1];
        put_long(&mut out, &self.policy.as_ref().map_or(Vec::new(), Policy::write));
        put_long(&mut out, &list(self.packages.iter().map(|(p, _)| &p[..])));
        put_long(&mut out, &self.removes.iter().flat_map(|(d, _)| *d).collect::<Vec<u8>>());
        put_long(&mut out, lists);
        out
    }

    pub fn aad(&self) -> Vec<u8> {
        Aad { mid: self.mid, leaves: self.leaves.clone() }.write()
    }

    /// What an honest server tells of the commit.
    pub fn told(&self, old: &Policy) -> Told {
        let new = self.policy.as_ref().unwrap_or(old);
        let users = |a: &Policy, b: &Policy| {
            a.members.iter().map(|m| m.user).filter(|u| b.find(u).is_none()).collect()
        };
        Told {
            mid: self.mid,
            leaves_added: self.packages.iter().map(|(_, whose)| *whose).collect(),
            leaves_removed: self.removes.clone(),
            users_added: users(new, old),
            users_removed: users(old, new),
            policy: if new == old { Vec::new() } else { new.write() },
        }
    }
}

pub(crate) fn list<'a>(items: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut out = Vec::new();
    items.for_each(|item| put_long(&mut out, item));
    out
}

impl Dev {
    fn new() -> Dev {
        let ctx = Context::open(&[1, 1, 0, 1]).unwrap();
        Dev { ctx, disk: BTreeMap::new(), user: [0; 16], id: [0; 16] }
    }

    /// The host's transaction: what changed, to disk. Yields its bytes.
    pub fn flush(&mut self) -> usize {
        let delta = self.ctx.rows.take();
        let mut r = Reader::new(&delta, error::Error::internal());
        while !r.is_empty() {
            let (op, key, value) = (r.u8().unwrap(), r.medium().unwrap(), r.long().unwrap());
            if op == 1 {
                self.disk.insert(key.to_vec(), value.to_vec());
            } else {
                self.disk.remove(key);
            }
        }
        delta.len()
    }

    pub fn rows(&self, fits: impl Fn(&[u8]) -> bool) -> Vec<u8> {
        let mut out = Vec::new();
        for (key, value) in self.disk.iter().filter(|(key, _)| fits(key)) {
            out.push(1);
            out.extend((key.len() as u16).to_be_bytes());
            out.extend(key);
            put_long(&mut out, value);
        }
        out
    }

    /// The program starts again, from what is on disk.
    pub fn restart(&mut self) {
        self.ctx = Context::open(&[1, 1, 0, 1]).unwrap();
        self.ctx.restore(&self.rows(|key| key[0] < KEY_GROUP)).unwrap();
        let rows = self.rows(|key| key[0] == KEY_GROUP);
        if !rows.is_empty() {
            group::load(&mut self.ctx, &CHAT, 1, &rows).unwrap();
        }
    }

    /// A mutating call, stored.
    pub fn call<T>(&mut self, call: impl FnOnce(&mut Context) -> Result<T>) -> Result<T> {
        let out = self.ctx.mutate(call);
        if out.is_ok() {
            self.flush();
        }
        out
    }

    pub fn packages(&mut self, n: u32, last_resort: bool) -> Vec<Vec<u8>> {
        let made = self.call(|c| package::generate(c, SUITE, n, last_resort)).unwrap();
        let broken = error::Error::internal();
        crate::wire::read_list(&made, broken).unwrap().iter().map(|p| p.to_vec()).collect()
    }

    /// One package, with whose it is.
    pub fn package(&mut self) -> (Vec<u8>, (Id, Id)) {
        (self.packages(1, false).remove(0), (self.id, self.user))
    }

    pub fn create(
        &mut self,
        policy: &Policy,
        packages: &[Vec<u8>],
        lists: &[u8],
    ) -> Result<Bundle> {
        let packages = list(packages.iter().map(|p| &p[..]));
        let policy = policy.write();
        let made =
            self.call(|c| commit::create(c, (&CHAT, 1), SUITE, &policy, &packages, lists))?;
        Ok(Bundle::read(&made))
    }

    pub fn commit(&mut self, wish: &Wish, lists: &[u8]) -> Result<Bundle> {
        let (change, aad) = (wish.bytes(lists), wish.aad());
        Ok(Bundle::read(&self.call(|c| commit::commit(c, &CHAT, 1, &change, &aad))?))
    }

    pub fn confirm(&mut self) -> Result<Vec<u8>> {
        self.call(|c| commit::confirm(c, &CHAT, 1))
    }

    pub fn discard(&mut self) -> Result<()> {
        self.call(|c| commit::discard(c, &CHAT, 1))
    }

    pub fn welcome(&mut self, bytes: &[u8], lists: &[u8]) -> Result<Vec<u8>> {
        self.call(|c| join::welcome(c, bytes, lists))
    }

    /// The bundle for the server, and what the call says of the group.
    pub fn external(&mut self, info: &[u8], lists: &[u8], mid: Id) -> Result<(Bundle, Vec<u8>)> {
        let aad = Aad { mid, leaves: Vec::new() }.write();
        let made = self.call(|c| join::external(c, info, lists, &aad))?;
        let mut r = Reader::new(&made, error::Error::internal());
        let bundle = Bundle::read(r.long()?);
        let left = r.left();
        Ok((bundle, made[made.len() - left..].to_vec()))
    }

    pub fn process(&mut self, commit: &[u8], told: &Told) -> Result<Vec<u8>> {
        process::process(&mut self.ctx, &CHAT, 1, commit, &told.write())
    }

    pub fn apply(&mut self, lists: &[u8]) -> Result<Vec<u8>> {
        self.call(|c| process::apply(c, &CHAT, 1, lists))
    }

    /// Process and apply; what is refused is rejected.
    pub fn follow(&mut self, commit: &[u8], told: &Told, lists: &[u8]) -> Result<()> {
        self.process(commit, told)?;
        let out = self.apply(lists);
        if out.is_err() {
            process::reject(&mut self.ctx, &CHAT, 1).unwrap();
        }
        out.map(|_| ())
    }

    pub fn key(&self) -> Result<Vec<u8>> {
        group::epoch_key(&self.ctx, &CHAT, 1).map(|k| k.to_vec())
    }

    pub fn group(&self) -> &group::Group {
        self.ctx.groups.find(&CHAT, 1).unwrap()
    }

    pub fn authenticator(&self) -> Vec<u8> {
        self.group().mls.epoch_authenticator().as_slice().to_vec()
    }

    pub fn aik(&self) -> [u8; 32] {
        self.ctx.account().unwrap().aik
    }

    pub fn leave(&self, policy_ver: u32) -> Leave {
        let mut message = b"parley/leave/v1\0".to_vec();
        message.extend(CHAT);
        message.extend([0, 1]);
        message.extend(self.user);
        message.extend(policy_ver.to_be_bytes());
        let sig = account::sign(&self.ctx, 3, &message).unwrap();
        Leave { user: self.user, device: self.id, policy_ver, sig }
    }
}

/// Everybody, and what the directory says of them.
#[derive(Default)]
pub(crate) struct World {
    pub devs: Vec<Dev>,
    pub lists: HashMap<Id, State>,
    vaults: HashMap<Id, ([u8; 32], Vec<u8>)>,
}

impl World {
    pub fn new(seed: u64) -> World {
        testing::seed(seed);
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        clock::set(since.unwrap().as_secs());
        World::default()
    }

    /// A new account and its first device: the device's index.
    pub fn person(&mut self, number: u8) -> usize {
        let user = [number; 16];
        let mut dev = Dev::new();
        let rk = dev.call(|c| account::create(c, &user)).unwrap();
        let vault = account::seal_vault(&mut dev.ctx, &rk, 1).unwrap();
        self.vaults.insert(user, (*rk, vault));
        self.enrol(dev, user, [number, 1])
    }

    /// Another device of the account: its index.
    pub fn device(&mut self, user: Id, number: u8) -> usize {
        let mut dev = Dev::new();
        let (rk, vault) = self.vaults[&user].clone();
        dev.call(|c| account::recover(c, &user, &rk, &vault)).unwrap();
        self.enrol(dev, user, [user[0], number])
    }

    fn enrol(&mut self, mut dev: Dev, user: Id, name: [u8; 2]) -> usize {
        let mut id = [0xD0; 16];
        id[..2].copy_from_slice(&name);
        let sigpub = dev.call(|c| account::create_device(c, &id, 1)).unwrap();
        (dev.user, dev.id) = (user, id);
        let mut added = id.to_vec();
        added.extend(sigpub);
        added.extend([1, 0]);
        self.sign_list(&dev, &[added], &[]);
        self.devs.push(dev);
        self.devs.len() - 1
    }

    /// The account signs the next list, by the DSK that `by` knows.
    pub fn sign_list(&mut self, by: &Dev, added: &[Vec<u8>], removed: &[Id]) {
        let mut change = vec![0];
        change.extend(7u64.to_be_bytes());
        change.extend(b"\x03who");
        change.push(added.len() as u8);
        added.iter().for_each(|a| change.extend(a));
        change.push(removed.len() as u8);
        removed.iter().for_each(|r| change.extend(r));
        let prev = self.lists.get(&by.user).map_or(Vec::new(), State::write);
        let signed = devlist::sign(by.ctx.account().unwrap(), &prev, &change).unwrap();
        let state = devlist::verify_chain(&list([&signed[..]].into_iter()), &prev).unwrap();
        self.lists.insert(by.user, state);
    }

    /// The list of its user no longer has this device.
    pub fn unlist(&mut self, index: usize) {
        let dev = std::mem::replace(&mut self.devs[index], Dev::new());
        self.sign_list(&dev, &[], &[dev.id]);
        self.devs[index] = dev;
    }

    /// All states, as handed to every call.
    pub fn all(&self) -> Vec<u8> {
        let states: Vec<Vec<u8>> = self.lists.values().map(State::write).collect();
        list(states.iter().map(|s| &s[..]))
    }

    pub fn directory(&self) -> Directory {
        Directory::read(&self.all()).unwrap()
    }

    pub fn member(&self, index: usize, role: u8) -> Member {
        let dev = &self.devs[index];
        Member { user: dev.user, aik: dev.aik(), role }
    }

    /// A policy of these people: the first an owner, the second an admin, the others members.
    pub fn policy(&self, people: &[usize]) -> Policy {
        let role = |at| [OWNER, ADMIN].get(at).copied().unwrap_or(MEMBER);
        let members = people.iter().enumerate().map(|(at, dev)| self.member(*dev, role(at)));
        Policy { ver: 1, kind: GROUP, rights: 2, members: members.collect() }
    }

    /// A group of these devices' users, in which all of them are.
    pub fn group(&mut self, people: &[usize], others: &[usize]) -> Policy {
        let policy = self.policy(people);
        let lists = self.all();
        let joining = || people[1..].iter().chain(others);
        let packages: Vec<Vec<u8>> =
            joining().map(|dev| self.devs[*dev].packages(1, false).remove(0)).collect();
        let bundle = self.devs[people[0]].create(&policy, &packages, &lists).unwrap();
        self.devs[people[0]].confirm().unwrap();
        for dev in people[1..].iter().chain(others) {
            self.devs[*dev].welcome(&bundle.welcome, &lists).unwrap();
        }
        policy
    }
}
