// SPDX-License-Identifier: Apache-2.0
//! Random life of one chat: 2–12 devices of 2–5 users commit, leave, lose devices and join, over a
//! network that loses, repeats and reorders, on hosts that crash between delta and send and are
//! rolled back. The delivery service is honest (e2ee §6). At every step all who reach an epoch have
//! one key, and only who has a leaf in it reaches it; in the end all listed devices are in.
//! PARLEY_E2EE_SEEDS says how many seeds, PARLEY_E2EE_SEED which is the first.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::told::Told;
use super::*;
use crate::aad::Leave;
use crate::error::Code;
use crate::policy::{MEMBER, OWNER};
use crate::world::{Bundle, Wish, World};

const STEPS: usize = 240;
/// Kinds of what happens, as `note` names them; one of them is rare.
const KINDS: usize = 13;

struct Rng(u64);

impl Rng {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % n
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

type Whose = (Id, Id);

/// What a host keeps beside the rows of the crate, and loses or gets back with them.
#[derive(Clone, Default)]
struct Host {
    /// In the group, as far as it knows.
    joined: bool,
    /// Commits of the log that it has seen.
    seen: usize,
    out: Option<Out>,
}

#[derive(Clone)]
struct Out {
    bundle: Bundle,
    told: Told,
    external: bool,
}

type Disk = BTreeMap<Vec<u8>, Vec<u8>>;

/// The chat's log and tables.
struct Server {
    log: Vec<Out>,
    epoch: u64,
    info: Vec<u8>,
    policy: Policy,
    leaves: BTreeSet<Whose>,
    /// Who had a leaf in which epoch.
    history: HashMap<u64, BTreeSet<Whose>>,
    leaving: Vec<Leave>,
    welcomes: Vec<(Id, Vec<u8>, usize)>,
}

impl Server {
    /// Log it, or refuse it for now. The same mid again is the same commit.
    fn submit(&mut self, out: &Out, lost: &BTreeSet<Whose>) -> bool {
        if self.log.iter().any(|e| e.told.mid == out.told.mid) {
            return true;
        }
        let told = &out.told;
        let left = self.leaving.iter().all(|l| told.users_removed.contains(&l.user));
        let gone = lost.iter().all(|l| told.leaves_removed.contains(l));
        let back = told.leaves_added.iter().any(|l| lost.contains(l));
        if out.bundle.epoch != self.epoch + 1 || back || !(out.external || (left && gone)) {
            return false;
        }
        self.epoch += 1;
        told.leaves_removed.iter().for_each(|l| assert!(self.leaves.remove(l)));
        self.leaves.extend(&told.leaves_added);
        self.history.insert(self.epoch, self.leaves.clone());
        self.leaving.retain(|l| !told.users_removed.contains(&l.user));
        if !told.policy.is_empty() {
            self.policy = Policy::read(&told.policy).unwrap();
        }
        self.info.clone_from(&out.bundle.info);
        self.log.push(out.clone());
        if !out.external {
            for (device, _) in &told.leaves_added {
                self.welcomes.push((*device, out.bundle.welcome.clone(), self.log.len()));
            }
        }
        true
    }
}

struct Sim {
    w: World,
    rng: Rng,
    hosts: Vec<Host>,
    saved: Vec<Option<(Disk, Host)>>,
    server: Server,
    /// Packages at the server, and which devices are no longer listed.
    packages: HashMap<Id, Vec<Vec<u8>>>,
    unlisted: BTreeSet<Id>,
    keys: HashMap<u64, Vec<u8>>,
    mids: u64,
    /// How often what happened: a life in which nothing does proves nothing.
    happened: BTreeMap<&'static str, usize>,
}

impl Sim {
    fn new(seed: u64) -> Sim {
        let mut rng = Rng(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        (0..8).for_each(|_| assert!(rng.below(2) < 2));
        let mut w = World::new(seed);
        let users = 2 + rng.below(4);
        let firsts: Vec<usize> = (1..=users).map(|n| w.person(n as u8)).collect();
        for _ in 0..rng.below(13 - users) {
            let user = [1 + rng.below(users) as u8; 16];
            let number = 1 + w.devs.iter().filter(|d| d.user == user).count() as u8;
            if number <= 8 {
                w.device(user, number);
            }
        }
        let mut packages = HashMap::new();
        for dev in &mut w.devs {
            let mut all = dev.packages(1, true);
            all.extend(dev.packages(2, false));
            packages.insert(dev.id, all);
        }
        let first = 1 + rng.below(users - 1);
        let policy = w.policy(&firsts[..=first]);
        let lists = w.all();
        let bundle = w.devs[0].create(&policy, &[], &lists).unwrap();
        w.devs[0].confirm().unwrap();
        let leaves = BTreeSet::from([(w.devs[0].id, w.devs[0].user)]);
        let server = Server {
            log: Vec::new(),
            epoch: 0,
            info: bundle.info,
            policy,
            history: HashMap::from([(0, leaves.clone())]),
            leaves,
            leaving: Vec::new(),
            welcomes: Vec::new(),
        };
        let mut hosts = vec![Host::default(); w.devs.len()];
        hosts[0].joined = true;
        let saved = vec![None; hosts.len()];
        let (unlisted, keys) = (BTreeSet::new(), HashMap::new());
        let happened = BTreeMap::new();
        Sim { w, rng, hosts, saved, server, packages, unlisted, keys, mids: 0, happened }
    }

    fn whose(&self, dev: usize) -> Whose {
        (self.w.devs[dev].id, self.w.devs[dev].user)
    }

    fn note(&mut self, what: &'static str) {
        *self.happened.entry(what).or_default() += 1;
    }

    fn mid(&mut self) -> Id {
        self.mids += 1;
        let mut mid = [7; 16];
        mid[..8].copy_from_slice(&self.mids.to_be_bytes());
        mid
    }

    /// Leaves of devices that were lost.
    fn lost(&self) -> BTreeSet<Whose> {
        let lost = |(device, _): &&Whose| self.unlisted.contains(device);
        self.server.leaves.iter().filter(lost).copied().collect()
    }

    /// The invariant: one key an epoch, and none without a leaf.
    fn check(&mut self, dev: usize) {
        let Ok(key) = self.w.devs[dev].key() else { return };
        let epoch = self.w.devs[dev].group().mls.epoch().as_u64();
        let whose = self.whose(dev);
        assert!(self.server.history[&epoch].contains(&whose), "a key without a leaf: {epoch}");
        assert_eq!(*self.keys.entry(epoch).or_insert(key.clone()), key, "two keys: {epoch}");
    }

    fn out_of_group(&mut self, dev: usize) {
        self.hosts[dev].joined = false;
        self.hosts[dev].out = None;
        if self.w.devs[dev].ctx.groups.find(&crate::world::CHAT, 1).is_ok() {
            self.w.devs[dev].call(|c| delete(c, &crate::world::CHAT, 1)).unwrap();
        }
    }

    /// The next commit of the log, as it comes to one device.
    fn follow(&mut self, dev: usize) {
        let Some(entry) = self.server.log.get(self.hosts[dev].seen).cloned() else { return };
        let ours = self.hosts[dev].out.take();
        let is_ours = ours.as_ref().is_some_and(|o| o.told.mid == entry.told.mid);
        match ours {
            Some(out) if is_ours && !out.external => {
                self.w.devs[dev].confirm().unwrap();
            }
            Some(_) if is_ours => {}
            Some(out) if out.external => return self.out_of_group(dev),
            lost => {
                if lost.is_some() {
                    self.note("lost a race");
                    self.w.devs[dev].discard().unwrap();
                }
                let lists = self.w.all();
                match self.w.devs[dev].follow(&entry.bundle.commit, &entry.told, &lists) {
                    Ok(()) => {}
                    // Its own commit, which it forgot; or somebody in it was lost since.
                    Err(e) if matches!(e.code, Code::Rejoin | Code::Devlist) => {
                        self.note("cannot follow");
                        return self.out_of_group(dev);
                    }
                    Err(e) => panic!("{:?}: {}", e.code, e.text()),
                }
            }
        }
        self.hosts[dev].seen += 1;
        self.check(dev);
        if !self.w.devs[dev].group().mls.is_active() {
            self.note("was removed");
            self.out_of_group(dev);
        }
    }

    /// A commit that is not the next one: repeated, or too early.
    fn stray(&mut self, dev: usize) {
        if self.hosts[dev].out.is_some() || self.server.log.is_empty() {
            return;
        }
        let at = self.rng.below(self.server.log.len());
        if at != self.hosts[dev].seen {
            let entry = &self.server.log[at];
            let out = self.w.devs[dev].process(&entry.bundle.commit, &entry.told);
            assert_eq!(out.unwrap_err().code, Code::Epoch);
            self.note("stray commit");
        }
    }

    /// What any commit must cover: those who leave, lost leaves; and an owner stays.
    fn cover(&self, me: &Id) -> Option<Wish> {
        let old = &self.server.policy;
        let mut new = old.clone();
        new.members.retain(|m| !self.server.leaving.iter().any(|l| l.user == m.user));
        new.find(me)?;
        let mut wish = Wish { leaves: self.server.leaving.clone(), ..Wish::default() };
        let goes = |l: &&Whose| self.unlisted.contains(&l.0) || new.find(&l.1).is_none();
        wish.removes = self.server.leaves.iter().filter(goes).copied().collect();
        if new != *old {
            new.ver += 1;
            heir(&mut new);
            wish.policy = Some(new);
        }
        Some(wish)
    }

    fn wish(&mut self, dev: usize) -> Option<Wish> {
        let me = self.w.devs[dev].user;
        let mut wish = self.cover(&me)?;
        wish.mid = self.mid();
        let old = &self.server.policy;
        let mut new = wish.policy.clone().unwrap_or(Policy { ver: old.ver + 1, ..old.clone() });
        let other = self.rng.below(self.w.devs.len());
        let (id, user) = self.whose(other);
        let listed = !self.unlisted.contains(&id);
        match self.rng.below(6) {
            0 if new.find(&user).is_none() && old.find(&user).is_none() && listed => {
                new.members.push(self.w.member(other, MEMBER));
                self.add(other, &mut wish);
            }
            1 if user != me && new.find(&user).is_some() => {
                new.members.retain(|m| m.user != user);
                heir(&mut new);
                let more = self.server.leaves.iter().filter(|l| l.1 == user);
                let more: Vec<Whose> =
                    more.filter(|l| !wish.removes.contains(l)).copied().collect();
                wish.removes.extend(more);
            }
            2 => {
                let (at, role) = (self.rng.below(new.members.len()), 1 + self.rng.below(3) as u8);
                new.members[at].role = role;
                heir(&mut new);
            }
            3 => new.rights = self.rng.below(16) as u8,
            4 if listed
                && new.find(&user).is_some()
                && !self.server.leaves.contains(&(id, user)) =>
            {
                self.add(other, &mut wish);
                return Some(wish);
            }
            _ => return Some(wish),
        }
        wish.policy = Some(new);
        Some(wish)
    }

    fn add(&mut self, dev: usize, wish: &mut Wish) {
        let whose = self.whose(dev);
        let all = self.packages.get_mut(&whose.0).unwrap();
        let package = if all.len() > 1 { all.pop().unwrap() } else { all[0].clone() };
        wish.packages.push((package, whose));
    }

    /// A commit by a device that is in and believes to be up to date.
    fn commit(&mut self, dev: usize) {
        let Some(wish) = self.wish(dev) else { return };
        let before = self.w.devs[dev].authenticator();
        let lists = self.w.all();
        if self.rng.one_in(8) {
            // It crashes before the delta is stored: nothing was sent, nothing happened.
            let (change, aad) = (wish.bytes(&lists), wish.aad());
            let ctx = &mut self.w.devs[dev].ctx;
            let _ = ctx.mutate(|c| commit::commit(c, &crate::world::CHAT, 1, &change, &aad));
            self.w.devs[dev].restart();
            assert_eq!(self.w.devs[dev].authenticator(), before);
            self.note("crash before storing");
            return;
        }
        let told = wish.told(&self.server.policy.clone());
        match self.w.devs[dev].commit(&wish, &lists) {
            Ok(bundle) => self.hosts[dev].out = Some(Out { bundle, told, external: false }),
            // It lacks the right: the honest client says so, and nothing has changed.
            Err(e) => {
                assert_eq!(e.code, Code::Policy, "{}", e.text());
                assert!(self.w.devs[dev].group().idle().is_ok());
                self.note("lacked the right");
            }
        }
    }

    fn send(&mut self, dev: usize) {
        let Some(out) = self.hosts[dev].out.clone() else { return };
        let lost = self.lost();
        let taken = self.server.submit(&out, &lost);
        self.note(match (taken, out.external) {
            (true, true) => "external join",
            (true, false) => "commit",
            (false, _) => "refused by the server",
        });
        // A refusal may get lost; then it is asked again.
        if !taken && !self.rng.one_in(4) {
            self.hosts[dev].out = None;
            if out.external {
                self.out_of_group(dev);
            } else {
                self.w.devs[dev].discard().unwrap();
            }
        }
    }

    /// Into the group: by a Welcome that waits, or by an external commit.
    fn join(&mut self, dev: usize) {
        let (id, user) = self.whose(dev);
        let lists = self.w.all();
        let waits = self.server.welcomes.iter().position(|(device, ..)| *device == id);
        if let Some(at) = waits {
            let (_, welcome, seen) = self.server.welcomes.remove(at);
            match self.w.devs[dev].welcome(&welcome, &lists) {
                Ok(_) => {
                    self.hosts[dev] = Host { joined: true, seen, out: None };
                    self.check(dev);
                    self.note("welcome");
                }
                Err(e) => {
                    assert_eq!(e.code, Code::State, "{}", e.text());
                    self.note("welcome too late");
                }
            }
            return;
        }
        if self.server.policy.find(&user).is_none() || self.unlisted.contains(&id) {
            return;
        }
        let mid = self.mid();
        let info = self.server.info.clone();
        let (bundle, _) = self.w.devs[dev].external(&info, &lists, mid).unwrap();
        let mut told = Told { mid, leaves_added: vec![(id, user)], ..Told::default() };
        if self.server.leaves.contains(&(id, user)) {
            told.leaves_removed.push((id, user));
        }
        let out = Some(Out { bundle, told, external: true });
        self.hosts[dev] = Host { joined: true, seen: self.server.log.len(), out };
    }

    /// Something happens to the account or the host.
    fn event(&mut self, dev: usize) {
        let (id, user) = self.whose(dev);
        match self.rng.below(5) {
            0 => {
                let listed = self.w.lists[&user].list.devices.len();
                // A statement outlives its device only as long as that has a leaf: not tried here.
                let states = self.server.leaving.iter().any(|l| l.device == id);
                let lost = self.unlisted.contains(&id);
                if listed > 1 && !lost && !states && self.rng.one_in(3) {
                    self.w.unlist(dev);
                    self.unlisted.insert(id);
                    self.note("device lost");
                }
            }
            1 => {
                let stays = self.server.policy.members.len() - self.server.leaving.len();
                let there = self.server.policy.find(&user).is_some();
                let twice = self.server.leaving.iter().any(|l| l.user == user);
                if stays > 1 && there && !twice && !self.unlisted.contains(&id) {
                    let leave = self.w.devs[dev].leave(self.server.policy.ver);
                    self.server.leaving.push(leave);
                    self.note("leave");
                }
            }
            2 => self.w.devs[dev].restart(),
            3 => {
                let disk = self.w.devs[dev].disk.clone();
                self.saved[dev] = Some((disk, self.hosts[dev].clone()));
            }
            _ => {
                if let Some((disk, host)) = self.saved[dev].clone() {
                    self.note("rollback");
                    self.w.devs[dev].disk = disk;
                    self.hosts[dev] = host;
                    self.w.devs[dev].restart();
                }
            }
        }
    }

    fn step(&mut self) {
        let dev = self.rng.below(self.hosts.len());
        let in_group = self.hosts[dev].joined;
        let current = self.hosts[dev].seen == self.server.log.len();
        let lost = self.unlisted.contains(&self.w.devs[dev].id);
        match self.rng.below(10) {
            0 => self.event(dev),
            1 if in_group => self.stray(dev),
            2..=4 if in_group && current && !lost && self.hosts[dev].out.is_none() => {
                self.commit(dev);
            }
            5 | 6 if self.hosts[dev].out.is_some() => self.send(dev),
            _ if !in_group => {
                let id = self.w.devs[dev].id;
                let waits = self.server.welcomes.iter().any(|(device, ..)| *device == id);
                if waits || self.rng.one_in(4) {
                    self.join(dev);
                }
            }
            _ => self.follow(dev),
        }
    }

    /// No more faults: until everybody is in and up to date.
    fn settle(&mut self) {
        self.saved = vec![None; self.hosts.len()];
        for _ in 0..60 {
            for dev in 0..self.hosts.len() {
                if !self.hosts[dev].joined {
                    self.join(dev);
                }
                self.send(dev);
                while self.hosts[dev].joined && self.hosts[dev].seen < self.server.log.len() {
                    self.follow(dev);
                }
            }
            let clear = self.server.leaving.is_empty() && self.lost().is_empty();
            if clear && (0..self.hosts.len()).all(|dev| self.settled(dev)) {
                return;
            }
            if !clear {
                self.clear_pending();
            }
        }
        panic!("no end: {} devices, epoch {}", self.hosts.len(), self.server.epoch);
    }

    fn settled(&self, dev: usize) -> bool {
        let (id, user) = self.whose(dev);
        let belongs = self.server.policy.find(&user).is_some() && !self.unlisted.contains(&id);
        let host = &self.hosts[dev];
        let current = host.joined && host.seen == self.server.log.len() && host.out.is_none();
        !belongs || (current && self.server.leaves.contains(&(id, user)))
    }

    /// The next one who wants to send covers what is pending.
    fn clear_pending(&mut self) {
        for dev in 0..self.hosts.len() {
            let host = &self.hosts[dev];
            let (id, user) = self.whose(dev);
            let idle = host.joined && host.out.is_none() && host.seen == self.server.log.len();
            if idle && !self.unlisted.contains(&id) {
                if let Some(mut wish) = self.cover(&user) {
                    wish.mid = self.mid();
                    let told = wish.told(&self.server.policy.clone());
                    let lists = self.w.all();
                    let bundle = self.w.devs[dev].commit(&wish, &lists).unwrap();
                    self.hosts[dev].out = Some(Out { bundle, told, external: false });
                    return self.send(dev);
                }
            }
        }
    }

    fn end(&self) {
        let members: Vec<usize> = (0..self.hosts.len())
            .filter(|dev| self.server.leaves.contains(&self.whose(*dev)))
            .collect();
        assert!(!members.is_empty());
        for dev in &members {
            let (one, dev) = (&self.w.devs[members[0]], &self.w.devs[*dev]);
            assert_eq!(dev.authenticator(), one.authenticator());
            assert_eq!(dev.key().unwrap(), one.key().unwrap());
            assert_eq!(dev.group().policy, self.server.policy);
        }
        let outside = |l: &&Whose| self.server.policy.find(&l.1).is_none();
        assert_eq!(self.server.leaves.iter().find(outside), None);
    }
}

/// A group never lacks an owner.
fn heir(policy: &mut Policy) {
    if policy.kind == policy::GROUP && !policy.has_owner() {
        let at = policy.members.iter().position(|m| m.role == policy::ADMIN).unwrap_or(0);
        policy.members[at].role = OWNER;
    }
}

fn number(name: &str, or: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(or)
}

#[test]
fn many_lives_of_a_chat() {
    let (first, count) = (number("PARLEY_E2EE_SEED", 1), number("PARLEY_E2EE_SEEDS", 20));
    let mut happened = BTreeMap::new();
    for seed in first..first + count {
        eprintln!("seed {seed}");
        let mut sim = Sim::new(seed);
        (0..STEPS).for_each(|_| sim.step());
        sim.settle();
        sim.end();
        for (what, times) in sim.happened {
            *happened.entry(what).or_insert(0) += times;
        }
    }
    println!("{count} seeds: {happened:?}");
    let rare = happened.iter().filter(|(what, _)| **what != "welcome too late");
    let rare = rare.map(|(_, times)| times).min().copied().unwrap_or(0);
    assert!(
        (count < 20 || happened.len() >= KINDS) && (count < 100 || rare >= 5),
        "something hardly happened"
    );
}
