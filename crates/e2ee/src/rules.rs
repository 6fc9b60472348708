// SPDX-License-Identifier: Apache-2.0
//! Which commits a device applies: the reader's checks (b), (c) and the external rules of e2ee §5.
//! Pure: facts in, a verdict out. What openmls checks (signatures, tree, tags) is not repeated;
//! (a) is checked where the facts are gathered, (d) in `change`, (e) in `told`.

use std::collections::{HashMap, HashSet};

use crate::aad::Aad;
use crate::change;
use crate::credential::Credential;
use crate::devlist::State;
use crate::directory::Directory;
use crate::error::{Code, Error, Result};
use crate::policy::Policy;
use crate::Id;

pub(crate) const LEAVES_PER_USER: usize = 8;
pub(crate) const LEAVES_MAX: usize = 2048;

/// A leaf of the tree as it stood before the commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Leaf {
    pub index: u32,
    pub sigpub: [u8; 32],
    pub cred: Credential,
}

/// A leaf that a commit brings in.
#[derive(Clone, Debug)]
pub(crate) struct Entering {
    pub sigpub: [u8; 32],
    pub cred: Credential,
    /// Of a KeyPackage: no longer than it may be. True for leaves that came without one.
    pub range_ok: bool,
}

/// Everything a commit does, as read from it.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub chat: Id,
    pub gen: u16,
    pub external: bool,
    /// The author's leaf before (external: as it joins).
    pub author: Leaf,
    /// The leaf of the update path, if the commit shows one.
    pub path: Option<Entering>,
    pub old: Policy,
    pub new: Policy,
    pub before: Vec<Leaf>,
    pub adds: Vec<Entering>,
    pub removes: Vec<Leaf>,
    pub aad: Aad,
}

fn refuse<T>(why: &'static str) -> Result<T> {
    Err(Error::new(Code::Policy, why))
}

impl Facts {
    /// Leaves of the tree before that are still there after, without what enters.
    pub fn staying(&self) -> impl Iterator<Item = &Leaf> {
        self.before.iter().filter(|l| !self.removes.iter().any(|r| r.index == l.index))
    }

    /// Whose device lists `judge` may ask for.
    pub fn needed(&self) -> Vec<Id> {
        let mut users: Vec<Id> = self.adds.iter().map(|e| e.cred.user).collect();
        users.extend(self.removes.iter().map(|l| l.cred.user));
        users.extend(self.aad.leaves.iter().map(|l| l.user));
        users.extend(change::gone(&self.old, &self.new));
        if self.path_enters() {
            users.push(self.author.cred.user);
        }
        users.sort();
        users.dedup();
        users
    }

    fn path_enters(&self) -> bool {
        self.external || self.path.as_ref().is_some_and(|p| p.cred != self.author.cred)
    }
}

/// May this commit be applied? ARG: a device list that decides is missing from `dir`.
pub(crate) fn judge(f: &Facts, dir: &Directory) -> Result<()> {
    if f.old.find(&f.author.cred.user).is_none() {
        return refuse("the author is not a member of the chat");
    }
    if f.external {
        external(f)?;
    }
    let leaving = change::check(f, dir)?;
    path(f, dir)?;
    for e in &f.adds {
        entering(e, &f.new, dir)?;
    }
    for leaf in &f.removes {
        removed(f, leaf, &leaving, dir)?;
    }
    tree_after(f)
}

/// External commits change no policy, add nobody else, remove at most the device's own old leaf.
fn external(f: &Facts) -> Result<()> {
    if f.new != f.old || !f.adds.is_empty() {
        return refuse("an external commit changes more than its own leaf");
    }
    let own = |l: &Leaf| l.cred.user == f.author.cred.user && l.cred.device == f.author.cred.device;
    if f.removes.len() > 1 || !f.removes.iter().all(own) {
        return refuse("an external commit removes a leaf of another device");
    }
    Ok(())
}

/// The author's new leaf: the same device under the same key; a new certificate is judged anew.
fn path(f: &Facts, dir: &Directory) -> Result<()> {
    let Some(p) = &f.path else { return Ok(()) };
    let (a, c) = (&f.author, &p.cred);
    if p.sigpub != a.sigpub || c.user != a.cred.user || c.device != a.cred.device {
        return refuse("the author changes who its own leaf is");
    }
    if f.path_enters() {
        entering(p, &f.new, dir)?;
    }
    Ok(())
}

/// Rule (b), for one leaf.
pub(crate) fn entering(e: &Entering, policy: &Policy, dir: &Directory) -> Result<()> {
    let Some(member) = policy.find(&e.cred.user) else {
        return refuse("a leaf enters whose user is not in the policy");
    };
    if e.cred.aik != member.aik {
        return Err(Error::new(Code::Identity, "an entering leaf has another identity key"));
    }
    listed(e, dir.need(&e.cred.user)?)
}

/// Is this leaf, sound in itself, what the newest device list of its user says?
pub(crate) fn listed(e: &Entering, state: &State) -> Result<()> {
    e.cred.check(&e.sigpub, state, true)?;
    if !e.range_ok {
        return Err(Error::new(Code::Time, "a key package claims to live too long"));
    }
    Ok(())
}

/// Rule (c), for one leaf.
fn removed(f: &Facts, leaf: &Leaf, leaving: &HashSet<Id>, dir: &Directory) -> Result<()> {
    let user = &leaf.cred.user;
    if *user == f.author.cred.user || leaving.contains(user) {
        return Ok(());
    }
    if dir.need(user)?.list.find(&leaf.cred.device).is_some() {
        return refuse("a leaf is removed whose user stays and still lists it");
    }
    Ok(())
}

/// The tree that results: nobody outside the policy or under an old identity, no device twice,
/// no user with too many leaves.
fn tree_after(f: &Facts) -> Result<()> {
    let mut count: HashMap<Id, usize> = HashMap::new();
    let mut devices = HashSet::new();
    let joining = f.external.then_some(&f.author.cred);
    let after = f.staying().map(|l| &l.cred).chain(f.adds.iter().map(|e| &e.cred)).chain(joining);
    for cred in after {
        match f.new.find(&cred.user) {
            Some(m) if m.aik == cred.aik => {}
            _ => return refuse("a leaf stays whose user left or changed its identity key"),
        }
        if !devices.insert((cred.user, cred.device)) {
            return refuse("a device has two leaves");
        }
        let n = count.entry(cred.user).or_default();
        *n += 1;
        if *n > LEAVES_PER_USER {
            return refuse("a user has more leaves than devices allowed");
        }
    }
    if devices.len() > LEAVES_MAX {
        return refuse("the chat has more leaves than allowed");
    }
    Ok(())
}

#[cfg(test)]
#[path = "rules_test.rs"]
mod tests;
