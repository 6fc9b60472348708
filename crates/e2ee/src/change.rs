// SPDX-License-Identifier: Apache-2.0
//! Rule (d) of e2ee §5: who may change the policy, and how. Everything is judged by the roles of
//! the *old* policy. In a group the entries that stay keep their order, new ones come behind.

use std::collections::HashSet;

use crate::directory::Directory;
use crate::error::{Code, Error, Result};
use crate::policy::{Member, Policy, ADMIN, ALL_MAY_ADD, DIRECT, GROUP, MEMBER, OWNER};
use crate::rules::Facts;
use crate::Id;

fn refuse<T>(why: &'static str) -> Result<T> {
    Err(Error::new(Code::Policy, why))
}

/// The same user under the same identity key. Another key is a removal and an addition.
fn same(a: &Member, b: &Member) -> bool {
    a.user == b.user && a.aik == b.aik
}

fn holds(policy: &Policy, m: &Member) -> bool {
    policy.members.iter().any(|x| same(x, m))
}

/// Users of `old` that `new` no longer has, or has under another identity key.
pub(crate) fn gone<'a>(old: &'a Policy, new: &'a Policy) -> impl Iterator<Item = Id> + 'a {
    old.members.iter().filter(|m| !holds(new, m)).map(|m| m.user)
}

/// May the author make this policy of that one? Yields the users whose leaves thereby must go.
pub(crate) fn check(f: &Facts, dir: &Directory) -> Result<HashSet<Id>> {
    let stated = statements(f, dir)?;
    let (old, new) = (&f.old, &f.new);
    if old == new {
        return Ok(HashSet::new());
    }
    if old.ver.checked_add(1) != Some(new.ver) {
        return refuse("the policy's version is not the next one");
    }
    if old.kind != new.kind {
        return refuse("the kind of a chat never changes");
    }
    match old.kind {
        GROUP => group(f, &stated, dir)?,
        DIRECT => direct(f)?,
        _ => return refuse("the policy of a self chat never changes"),
    }
    Ok(gone(old, new).collect())
}

/// Leave statements, each of this chat, gen and policy, by a device of a member who goes.
fn statements(f: &Facts, dir: &Directory) -> Result<HashSet<Id>> {
    let mut users = HashSet::new();
    for s in &f.aad.leaves {
        if f.old.kind != GROUP || f.old.find(&s.user).is_none() || f.new.find(&s.user).is_some() {
            return refuse("a leave statement of somebody who does not leave");
        }
        if s.policy_ver != f.old.ver || !users.insert(s.user) {
            return refuse("a leave statement for another policy, or twice");
        }
        let listed = dir.get(&s.user).and_then(|state| state.list.find(&s.device));
        let leaf = f.before.iter().find(|l| l.cred.user == s.user && l.cred.device == s.device);
        let Some(key) = listed.map(|device| &device.sigpub).or(leaf.map(|l| &l.sigpub)) else {
            return refuse("a leave statement by an unknown device");
        };
        if !s.verifies(&f.chat, f.gen, key) {
            return refuse("a leave statement that its device did not sign for this chat");
        }
    }
    Ok(users)
}

/// A direct chat changes only when one side has a new identity, by the other side.
fn direct(f: &Facts) -> Result<()> {
    let (old, new) = (&f.old, &f.new);
    let pairs = || old.members.iter().zip(&new.members);
    let kept =
        old.rights == new.rights && pairs().all(|(a, b)| a.user == b.user && a.role == b.role);
    let mut changed = pairs().filter(|(a, b)| a.aik != b.aik).map(|(a, _)| a.user);
    match (kept, changed.next(), changed.next()) {
        (true, Some(user), None) if user != f.author.cred.user => Ok(()),
        _ => refuse("a direct chat changes only by the peer's new identity key"),
    }
}

fn group(f: &Facts, stated: &HashSet<Id>, dir: &Directory) -> Result<()> {
    let (old, new) = (&f.old, &f.new);
    let Some(me) = old.find(&f.author.cred.user) else {
        return refuse("the author is not a member of the chat");
    };
    if !holds(new, me) {
        return refuse("the author removes itself");
    }
    if old.rights != new.rights && me.role < ADMIN {
        return refuse("only admins change rights");
    }
    let kept: Vec<&Member> = old.members.iter().filter(|m| holds(new, m)).collect();
    if new.members.len() < kept.len() || !kept.iter().zip(&new.members).all(|(a, b)| same(a, b)) {
        return refuse("the order of members changes");
    }
    for m in old.members.iter().filter(|m| !holds(new, m)) {
        removal(m, me, stated, dir)?;
    }
    for m in &new.members[kept.len()..] {
        if me.role < ADMIN && old.rights & ALL_MAY_ADD == 0 {
            return refuse("only admins add members");
        }
        if m.role != MEMBER && me.role != OWNER {
            return refuse("only owners make admins and owners");
        }
    }
    roles(&kept, new, me)
}

/// A member goes by an admin, an admin or owner by an owner; anybody by its own statement or its
/// closed account.
fn removal(m: &Member, me: &Member, stated: &HashSet<Id>, dir: &Directory) -> Result<()> {
    let by_right = me.role == OWNER || (me.role == ADMIN && m.role == MEMBER);
    if by_right || stated.contains(&m.user) || dir.need(&m.user)?.list.devices.is_empty() {
        return Ok(());
    }
    refuse("a member is removed by somebody without the right")
}

/// Roles of those who stay: changed by owners, or by the rule that a group never lacks an owner.
fn roles(kept: &[&Member], new: &Policy, me: &Member) -> Result<()> {
    if !new.has_owner() {
        return refuse("a group is left without an owner");
    }
    if me.role == OWNER {
        return Ok(());
    }
    let orphaned = !kept.iter().any(|m| m.role == OWNER);
    let heir = kept.iter().position(|m| m.role == ADMIN).unwrap_or(0);
    for (i, (was, is)) in kept.iter().zip(&new.members).enumerate() {
        let due = if orphaned && i == heir { OWNER } else { was.role };
        if is.role != due {
            return refuse("a role changes by somebody without the right");
        }
    }
    Ok(())
}
