// SPDX-License-Identifier: Apache-2.0
//! Every rule has a commit that only it refuses. The first is the sound one that they differ from.

use super::*;
use crate::aad::Leave;
use crate::policy::{Member, ADMIN, ALL_MAY_ADD, DIRECT, MEMBER, OWNER, SELF};
use crate::world::{World, CHAT};

const OWN: usize = 0;
const ADM: usize = 1;
const MEM: usize = 2;
const MEM2: usize = 3;
const OUT: usize = 4;

/// Owner, admin and two members, each by one leaf; one more person outside.
fn world() -> World {
    let mut w = World::new(1);
    (1..=5).for_each(|n| assert_eq!(w.person(n), usize::from(n) - 1));
    w
}

fn leaf(w: &World, dev: usize, index: u32) -> Leaf {
    let own = w.devs[dev].ctx.own_leaf().unwrap();
    Leaf { index, sigpub: own.key.public(), cred: own.cred }
}

fn enters(w: &World, dev: usize) -> Entering {
    w.devs[dev].ctx.own_leaf().unwrap().entering()
}

/// An empty commit by the device.
fn facts(w: &World, author: usize) -> Facts {
    let old = w.policy(&[OWN, ADM, MEM, MEM2]);
    let before: Vec<Leaf> = (0..4).map(|dev| leaf(w, dev, dev as u32)).collect();
    Facts {
        chat: CHAT,
        gen: 1,
        external: false,
        author: leaf(w, author, author as u32),
        path: Some(enters(w, author)),
        new: old.clone(),
        old,
        before,
        adds: Vec::new(),
        removes: Vec::new(),
        aad: Aad { mid: [1; 16], leaves: Vec::new() },
    }
}

fn next(f: &mut Facts, change: impl FnOnce(&mut Policy)) {
    f.new.ver += 1;
    change(&mut f.new);
}

/// The user of the leaf leaves the policy, its leaf the tree.
fn drop_user(f: &mut Facts, dev: usize) {
    let user = f.before[dev].cred.user;
    f.removes.push(f.before[dev].clone());
    next(f, |p| p.members.retain(|m| m.user != user));
}

fn add_user(w: &World, f: &mut Facts, role: u8) {
    f.adds.push(enters(w, OUT));
    next(f, |p| p.members.push(w.member(OUT, role)));
}

#[track_caller]
fn ok(w: &World, f: &Facts) {
    judge(f, &w.directory()).unwrap();
}

#[track_caller]
fn no(w: &World, f: &Facts, code: Code) {
    assert_eq!(judge(f, &w.directory()).unwrap_err().code, code);
}

#[test]
fn an_empty_commit_is_anybodys() {
    let w = world();
    (0..4).for_each(|author| ok(&w, &facts(&w, author)));
    let mut f = facts(&w, MEM);
    f.author = leaf(&w, OUT, 9);
    f.path = None;
    no(&w, &f, Code::Policy);
}

#[test]
fn who_adds() {
    let w = world();
    for (author, role, right) in [(OWN, MEMBER, 0), (OWN, ADMIN, 0), (OWN, OWNER, 0)]
        .into_iter()
        .chain([(ADM, MEMBER, 0), (MEM, MEMBER, ALL_MAY_ADD)])
    {
        let mut f = facts(&w, author);
        f.old.rights = right;
        f.new.rights = right;
        add_user(&w, &mut f, role);
        ok(&w, &f);
    }
    for (author, role, right) in
        [(ADM, ADMIN, 0), (ADM, OWNER, 0), (MEM, MEMBER, 0), (MEM, ADMIN, ALL_MAY_ADD)]
    {
        let mut f = facts(&w, author);
        f.old.rights = right;
        f.new.rights = right;
        add_user(&w, &mut f, role);
        no(&w, &f, Code::Policy);
    }
}

#[test]
fn entering_leaves() {
    let w = world();
    // Outside the policy.
    let mut f = facts(&w, OWN);
    f.adds.push(enters(&w, OUT));
    no(&w, &f, Code::Policy);
    // Another identity key than the policy's, than the pinned one.
    let mut f = facts(&w, OWN);
    add_user(&w, &mut f, MEMBER);
    f.new.members[4].aik[0] ^= 1;
    no(&w, &f, Code::Identity);
    let mut f = facts(&w, OWN);
    add_user(&w, &mut f, MEMBER);
    let (mut lists, mut state) = (w.directory(), w.lists[&[5; 16]].clone());
    state.list.aik[0] ^= 1;
    lists.add(state);
    assert_eq!(judge(&f, &lists).unwrap_err().code, Code::Identity);
    // A forged certificate; another key; a package that lives too long.
    f.adds[0].cred.sig_dsk[0] ^= 1;
    no(&w, &f, Code::Crypto);
    f.adds[0] = enters(&w, OUT);
    f.adds[0].sigpub = leaf(&w, MEM, 0).sigpub;
    no(&w, &f, Code::Crypto);
    f.adds[0] = enters(&w, OUT);
    f.adds[0].range_ok = false;
    no(&w, &f, Code::Time);
    // No list at hand.
    f.adds[0] = enters(&w, OUT);
    assert_eq!(judge(&f, &Directory::default()).unwrap_err().code, Code::Arg);
}

#[test]
fn a_device_that_no_list_names_enters_nowhere() {
    let mut w = world();
    let second = w.device([5; 16], 2);
    let mut f = facts(&w, OWN);
    add_user(&w, &mut f, MEMBER);
    f.adds.push(enters(&w, second));
    ok(&w, &f);
    w.unlist(second);
    no(&w, &f, Code::Devlist);
    // Under a device-list key that was replaced.
    f.adds.pop();
    let (mut lists, mut state) = (w.directory(), w.lists[&[5; 16]].clone());
    state.list.dsk_ver += 1;
    lists.add(state);
    assert_eq!(judge(&f, &lists).unwrap_err().code, Code::Devlist);
}

#[test]
fn at_most_eight_leaves_and_one_a_device() {
    let mut w = world();
    let mut f = facts(&w, OWN);
    for n in 2..=8 {
        let dev = w.device([3; 16], n);
        f.adds.push(enters(&w, dev));
    }
    ok(&w, &f);
    let old = f.adds[0].clone();
    // The ninth: one that stood in the tree before the list changed.
    let mut ninth = leaf(&w, MEM, 9);
    ninth.cred.device = [9; 16];
    f.before.push(ninth);
    no(&w, &f, Code::Policy);
    f.before.pop();
    f.adds.truncate(1);
    f.adds.push(old);
    no(&w, &f, Code::Policy);
}

#[test]
fn who_removes() {
    let w = world();
    for (author, gone) in [(OWN, ADM), (OWN, MEM), (ADM, MEM)] {
        let mut f = facts(&w, author);
        drop_user(&mut f, gone);
        ok(&w, &f);
        // The policy says it, but the leaf stays.
        f.removes.clear();
        no(&w, &f, Code::Policy);
    }
    for (author, gone) in [(ADM, OWN), (MEM, MEM2), (MEM, ADM), (MEM, OWN)] {
        let mut f = facts(&w, author);
        drop_user(&mut f, gone);
        if gone == OWN {
            f.new.members[0].role = OWNER;
        }
        no(&w, &f, Code::Policy);
    }
    let mut f = facts(&w, OWN);
    drop_user(&mut f, OWN);
    f.new.members[0].role = OWNER;
    no(&w, &f, Code::Policy);
}

#[test]
fn a_leaf_goes_with_its_device() {
    let mut w = world();
    let second = w.device([3; 16], 2);
    for author in [OWN, ADM, MEM2] {
        let mut f = facts(&w, author);
        f.before.push(leaf(&w, second, 4));
        f.removes.push(f.before[4].clone());
        no(&w, &f, Code::Policy);
    }
    // The user itself may.
    let mut f = facts(&w, MEM);
    f.before.push(leaf(&w, second, 4));
    f.removes.push(f.before[4].clone());
    ok(&w, &f);
    w.unlist(second);
    f.author = f.before[MEM2].clone();
    f.path = Some(enters(&w, MEM2));
    ok(&w, &f);
    assert_eq!(judge(&f, &Directory::default()).unwrap_err().code, Code::Arg);
}

#[test]
fn a_closed_account_is_anybodys_to_remove() {
    let mut w = world();
    let mut f = facts(&w, MEM);
    drop_user(&mut f, MEM2);
    no(&w, &f, Code::Policy);
    w.unlist(MEM2);
    ok(&w, &f);
}

/// A member covers the statement of another.
fn leaving(w: &World, author: usize, dev: usize) -> Facts {
    let mut f = facts(w, author);
    drop_user(&mut f, dev);
    f.aad.leaves.push(w.devs[dev].leave(f.old.ver));
    f
}

#[test]
fn leave_statements() {
    let w = world();
    let f = leaving(&w, MEM, MEM2);
    ok(&w, &f);
    let spoil = |spoil: &dyn Fn(&mut Facts)| {
        let mut f = leaving(&w, MEM, MEM2);
        spoil(&mut f);
        no(&w, &f, Code::Policy);
    };
    spoil(&|f| f.chat[0] ^= 1);
    spoil(&|f| f.gen += 1);
    spoil(&|f| f.aad.leaves[0].policy_ver += 1);
    spoil(&|f| f.aad.leaves[0] = w.devs[MEM2].leave(f.old.ver + 1));
    spoil(&|f| f.aad.leaves[0].sig[0] ^= 1);
    spoil(&|f| f.aad.leaves[0].user = f.before[MEM].cred.user);
    spoil(&|f| f.aad.leaves[0].device = f.before[MEM].cred.device);
    spoil(&|f| f.aad.leaves.push(f.aad.leaves[0].clone()));
    spoil(&|f| f.aad.leaves[0] = Leave { user: [5; 16], ..f.aad.leaves[0].clone() });
    // It names somebody who stays.
    spoil(&|f| {
        f.new = f.old.clone();
        f.removes.clear();
    });
}

#[test]
fn the_last_owner_goes() {
    let w = world();
    // The admin becomes owner, in the same commit and nobody else.
    let mut f = leaving(&w, MEM, OWN);
    no(&w, &f, Code::Policy);
    f.new.members[0].role = OWNER;
    ok(&w, &f);
    f.new.members[0].role = ADMIN;
    f.new.members[1].role = OWNER;
    no(&w, &f, Code::Policy);
    // Without an admin the first one does.
    let mut f = leaving(&w, MEM2, OWN);
    f.old.members[1].role = MEMBER;
    f.new.members[0].role = OWNER;
    ok(&w, &f);
    f.new.members[0].role = MEMBER;
    f.new.members[1].role = OWNER;
    no(&w, &f, Code::Policy);
    // An owner that steps down leaves one behind.
    let mut f = facts(&w, OWN);
    next(&mut f, |p| p.members[0].role = MEMBER);
    no(&w, &f, Code::Policy);
    f.new.members[1].role = OWNER;
    ok(&w, &f);
}

#[test]
fn roles_and_rights() {
    let w = world();
    for (author, code) in [(OWN, None), (ADM, Some(())), (MEM, Some(()))] {
        let mut f = facts(&w, author);
        next(&mut f, |p| p.members[2].role = ADMIN);
        if code.is_none() {
            ok(&w, &f)
        } else {
            no(&w, &f, Code::Policy)
        }
    }
    for author in [OWN, ADM, MEM] {
        let mut f = facts(&w, author);
        next(&mut f, |p| p.rights = 15);
        if author == MEM {
            no(&w, &f, Code::Policy)
        } else {
            ok(&w, &f)
        }
    }
}

#[test]
fn the_policy_moves_by_one_and_keeps_its_order() {
    let w = world();
    let spoil = |spoil: &dyn Fn(&mut Policy)| {
        let mut f = facts(&w, OWN);
        next(&mut f, |p| p.rights = 3);
        ok(&w, &f);
        spoil(&mut f.new);
        no(&w, &f, Code::Policy);
    };
    spoil(&|p| p.ver += 1);
    spoil(&|p| p.ver -= 1);
    spoil(&|p| p.kind = DIRECT);
    spoil(&|p| p.members.swap(2, 3));
    let mut f = facts(&w, OWN);
    f.old.ver = u32::MAX;
    next_wrapped(&mut f);
    no(&w, &f, Code::Policy);
}

fn next_wrapped(f: &mut Facts) {
    f.new.ver = 0;
    f.new.rights = 3;
}

#[test]
fn a_new_identity_key_comes_by_adding_again() {
    let w = world();
    let mut f = facts(&w, ADM);
    next(&mut f, |p| p.members[2].aik[0] ^= 1);
    // In place, with its old leaf, or without the right: no.
    no(&w, &f, Code::Policy);
    let moved = f.new.members.remove(2);
    f.new.members.push(moved);
    no(&w, &f, Code::Policy);
    f.removes.push(f.before[MEM].clone());
    ok(&w, &f);
    f.author = f.before[MEM2].clone();
    f.path = Some(enters(&w, MEM2));
    no(&w, &f, Code::Policy);
}

#[test]
fn a_direct_chat_changes_by_the_peers_identity_only() {
    let w = world();
    let mut f = facts(&w, MEM);
    for p in [&mut f.old, &mut f.new] {
        p.kind = DIRECT;
        p.members = vec![w.member(MEM, MEMBER), w.member(MEM2, MEMBER)];
    }
    f.before = vec![leaf(&w, MEM, 0), leaf(&w, MEM2, 1)];
    f.author = f.before[0].clone();
    ok(&w, &f);
    let spoil = |f: &Facts, spoil: &dyn Fn(&mut Facts)| {
        let mut f = f.clone();
        next(&mut f, |_| {});
        spoil(&mut f);
        no(&w, &f, Code::Policy);
    };
    spoil(&f, &|_| {});
    spoil(&f, &|f| f.new.rights = 3);
    spoil(&f, &|f| f.new.members[1].role = OWNER);
    spoil(&f, &|f| f.new.members[0].aik[0] ^= 1);
    spoil(&f, &|f| f.new.members[1].aik[0] ^= 1); // its old leaf stays
    spoil(&f, &|f| f.new.members[1] = Member { user: [5; 16], ..w.member(OUT, MEMBER) });
    next(&mut f, |p| p.members[1].aik[0] ^= 1);
    f.removes.push(f.before[1].clone());
    ok(&w, &f);
    // Nobody leaves a direct chat, neither by a statement.
    let mut g = f.clone();
    g.aad.leaves.push(w.devs[MEM2].leave(g.old.ver));
    no(&w, &g, Code::Policy);
    f.old.kind = SELF;
    f.new.kind = SELF;
    no(&w, &f, Code::Policy);
}

#[test]
fn external_commits() {
    let mut w = world();
    let second = w.device([3; 16], 2);
    let join = |w: &World, dev: usize| {
        let mut f = facts(w, MEM);
        f.external = true;
        f.author = leaf(w, dev, u32::MAX);
        f.path = Some(enters(w, dev));
        f
    };
    ok(&w, &join(&w, second));
    // Again, for its own lost leaf; the old one may not stay, nor may another go.
    let mut f = join(&w, MEM);
    no(&w, &f, Code::Policy);
    f.removes.push(f.before[MEM].clone());
    ok(&w, &f);
    f.removes.push(f.before[MEM2].clone());
    no(&w, &f, Code::Policy);
    let mut f = join(&w, second);
    f.removes.push(f.before[MEM].clone()); // its user's, but another device
    no(&w, &f, Code::Policy);
    // Two leaves of its own, should a tree ever hold them.
    let mut f = join(&w, MEM);
    f.before.push(Leaf { index: 9, ..leaf(&w, MEM, 9) });
    f.removes = vec![f.before[MEM].clone(), f.before[4].clone()];
    no(&w, &f, Code::Policy);
    // A stranger; a changed policy; somebody added; an unlisted device.
    no(&w, &join(&w, OUT), Code::Policy);
    let mut f = join(&w, OWN); // who has the right to change it, by a member's commit
    f.removes.push(f.before[OWN].clone());
    ok(&w, &f);
    next(&mut f, |p| p.rights = 3);
    no(&w, &f, Code::Policy);
    let mut f = join(&w, OWN);
    f.removes.push(f.before[OWN].clone());
    f.adds.push(enters(&w, second));
    no(&w, &f, Code::Policy);
    w.unlist(second);
    no(&w, &join(&w, second), Code::Devlist);
}

#[test]
fn the_author_stays_who_it_is() {
    let w = world();
    let mut f = facts(&w, MEM);
    f.path = Some(enters(&w, MEM2));
    no(&w, &f, Code::Policy);
    let mut f = facts(&w, MEM);
    f.path.as_mut().unwrap().sigpub = leaf(&w, MEM2, 0).sigpub;
    no(&w, &f, Code::Policy);
    // A new certificate is judged: one of no list is refused.
    let mut f = facts(&w, MEM);
    f.path.as_mut().unwrap().cred.dsk_ver += 1;
    no(&w, &f, Code::Crypto);
}

#[test]
fn lists_that_are_asked_for() {
    let w = world();
    let mut f = leaving(&w, MEM, MEM2);
    add_user(&w, &mut f, MEMBER);
    assert_eq!(f.needed(), [[4; 16], [5; 16]]);
    assert!(facts(&w, MEM).needed().is_empty());
}
