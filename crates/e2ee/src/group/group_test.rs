// SPDX-License-Identifier: Apache-2.0
//! Groups of real devices, call by call. What the rules refuse one by one is in `rules_test`; here
//! stands that they are asked.

use openmls::prelude::*;

use super::commit::{commit_planned, plan, Change};
use super::process::reject;
use super::told::Told;
use super::*;
use crate::aad::Aad;
use crate::error::Code;
use crate::policy::{ADMIN, DIRECT, MEMBER, OWNER};
use crate::world::{Bundle, Dev, Wish, World, CHAT};

fn code<T>(out: crate::error::Result<T>) -> Code {
    out.map(|_| ()).unwrap_err().code
}

/// Owner, admin, member.
fn three() -> (World, Policy) {
    let mut w = World::new(2);
    (1..=3).for_each(|n| assert_eq!(w.person(n), usize::from(n) - 1));
    let policy = w.group(&[0, 1, 2], &[]);
    (w, policy)
}

#[track_caller]
fn same(w: &World, devs: &[usize]) {
    for dev in devs {
        assert_eq!(w.devs[*dev].authenticator(), w.devs[devs[0]].authenticator());
        assert_eq!(w.devs[*dev].key().unwrap(), w.devs[devs[0]].key().unwrap());
        assert_eq!(w.devs[*dev].group().policy, w.devs[devs[0]].group().policy);
    }
}

/// The commit of `wish` by one device, followed by the others.
fn all_follow(w: &mut World, by: usize, wish: &Wish, others: &[usize]) -> Bundle {
    let lists = w.all();
    let told = wish.told(&w.devs[by].group().policy);
    let bundle = w.devs[by].commit(wish, &lists).unwrap();
    w.devs[by].confirm().unwrap();
    for dev in others {
        w.devs[*dev].follow(&bundle.commit, &told, &lists).unwrap();
    }
    bundle
}

/// The policy with one more version, changed.
fn changed(policy: &Policy, change: impl FnOnce(&mut Policy)) -> Option<Policy> {
    let mut out = Policy { ver: policy.ver + 1, ..policy.clone() };
    change(&mut out);
    Some(out)
}

#[test]
fn a_chat_grows_and_shrinks() {
    let (mut w, policy) = three();
    same(&w, &[0, 1, 2]);
    assert_eq!(w.devs[0].group().mls.epoch().as_u64(), 1);
    let first = w.devs[0].key().unwrap();
    // The admin adds somebody with two devices; one comes by the Welcome, one by itself.
    let (fourth, second) = (w.person(4), w.device([4; 16], 2));
    let package = w.devs[fourth].package();
    let added = changed(&policy, |p| p.members.push(w.member(fourth, MEMBER)));
    let wish = Wish { policy: added, packages: vec![package], ..Wish::default() };
    let bundle = all_follow(&mut w, 1, &wish, &[0, 2]);
    assert_eq!(bundle.epoch, 2);
    let lists = w.all();
    w.devs[fourth].welcome(&bundle.welcome, &lists).unwrap();
    let (join, _) = w.devs[second].external(&bundle.info, &lists, [9; 16]).unwrap();
    let leaf = (w.devs[second].id, w.devs[second].user);
    let told = Told { mid: [9; 16], leaves_added: vec![leaf], ..Told::default() };
    for dev in 0..4 {
        w.devs[dev].follow(&join.commit, &told, &lists).unwrap();
    }
    same(&w, &[0, 1, 2, 3, 4]);
    assert_ne!(w.devs[0].key().unwrap(), first);
    // It loses that device: the member removes the leaf, the removed device gets nothing any more.
    w.unlist(second);
    let wish = Wish { removes: vec![leaf], ..Wish::default() };
    let bundle = all_follow(&mut w, 2, &wish, &[0, 1, 3]);
    same(&w, &[0, 1, 2, 3]);
    let told = wish.told(&w.devs[0].group().policy);
    let old = w.devs[second].key().unwrap();
    let lists = w.all();
    w.devs[second].follow(&bundle.commit, &told, &lists).unwrap();
    assert_eq!(code(w.devs[second].key()), Code::State);
    assert_ne!(w.devs[0].key().unwrap(), old);
    assert_eq!(code(w.devs[second].external(&bundle.info, &lists, [8; 16])), Code::Devlist);
    // The member leaves; the owner's next commit covers it.
    let leave = w.devs[2].leave(w.devs[0].group().policy.ver);
    let gone = changed(&w.devs[0].group().policy, |p| p.members.retain(|m| m.user != [3; 16]));
    let leaf = (w.devs[2].id, w.devs[2].user);
    let wish = Wish { policy: gone, removes: vec![leaf], leaves: vec![leave], ..Wish::default() };
    all_follow(&mut w, 0, &wish, &[1, 3]);
    same(&w, &[0, 1, 3]);
    // An empty commit renews a leaf.
    all_follow(&mut w, 3, &Wish::default(), &[0, 1]);
    same(&w, &[0, 1, 3]);
}

#[test]
fn what_the_server_tells_must_be_true() {
    let (mut w, policy) = three();
    let (fourth, lists) = (w.person(4), w.all());
    let member = w.member(fourth, MEMBER);
    let wish = Wish {
        policy: changed(&policy, |p| {
            p.members.retain(|m| m.user != [2; 16]);
            p.members.push(member);
        }),
        packages: vec![w.devs[fourth].package()],
        removes: vec![(w.devs[1].id, w.devs[1].user)],
        mid: [5; 16],
        ..Wish::default()
    };
    let lists = [lists, w.all()].concat();
    let bundle = w.devs[0].commit(&wish, &lists).unwrap();
    let truth = wish.told(&policy);
    let lies: [&dyn Fn(&mut Told); 9] = [
        &|t| t.mid[0] ^= 1,
        &|t| t.leaves_added.clear(),
        &|t| t.leaves_added.push(([7; 16], [7; 16])),
        &|t| t.leaves_removed[0].0[0] ^= 1,
        &|t| t.leaves_removed.clear(),
        &|t| t.users_added.clear(),
        &|t| t.users_removed.clear(),
        &|t| t.policy.clear(),
        &|t| t.policy[9] ^= 1,
    ];
    for lie in lies {
        let mut told = truth.clone();
        lie(&mut told);
        assert_eq!(code(w.devs[2].process(&bundle.commit, &told)), Code::Policy);
        assert!(w.devs[2].group().staged.is_none());
    }
    w.devs[2].follow(&bundle.commit, &truth, &lists).unwrap();
}

/// A commit that its author did not judge.
fn unjudged(dev: &mut Dev, wish: &Wish, lists: &[u8]) -> Bundle {
    let change = Change::read(&dev.ctx, &wish.bytes(lists)).unwrap();
    let aad = Aad::read(&wish.aad()).unwrap();
    let own = dev.ctx.own_leaf().unwrap();
    let group = dev.ctx.groups.find(&CHAT, 1).unwrap();
    let facts = plan(group, &own, &change, (&CHAT, 1), aad).unwrap();
    Bundle::read(&dev.call(|c| commit_planned(c, &CHAT, 1, change, &facts)).unwrap())
}

#[test]
fn a_commit_without_the_right_is_refused_by_author_and_readers() {
    let (mut w, policy) = three();
    let lists = w.all();
    let wish = Wish { policy: changed(&policy, |p| p.members[2].role = ADMIN), ..Wish::default() };
    assert_eq!(code(w.devs[2].commit(&wish, &lists)), Code::Policy);
    let bundle = unjudged(&mut w.devs[2], &wish, &lists);
    let before = w.devs[0].authenticator();
    w.devs[0].process(&bundle.commit, &wish.told(&policy)).unwrap();
    assert_eq!(code(w.devs[0].apply(&lists)), Code::Policy);
    // It stays staged until it is rejected; nothing was changed.
    assert_eq!(code(w.devs[0].process(&bundle.commit, &wish.told(&policy))), Code::State);
    reject(&mut w.devs[0].ctx, &CHAT, 1).unwrap();
    assert_eq!(code(reject(&mut w.devs[0].ctx, &CHAT, 1)), Code::State);
    assert_eq!(w.devs[0].authenticator(), before);
    // The group goes on.
    w.devs[2].discard().unwrap();
    all_follow(&mut w, 2, &Wish::default(), &[0, 1]);
    same(&w, &[0, 1, 2]);
}

#[test]
fn an_apply_that_lacks_a_list_may_be_tried_again() {
    let (mut w, policy) = three();
    let fourth = w.person(4);
    let added = changed(&policy, |p| p.members.push(w.member(fourth, MEMBER)));
    let wish = Wish { policy: added, packages: vec![w.devs[fourth].package()], ..Wish::default() };
    let lists = w.all();
    let bundle = w.devs[0].commit(&wish, &lists).unwrap();
    let staged = w.devs[1].process(&bundle.commit, &wish.told(&policy)).unwrap();
    assert!(staged.ends_with(&[[0, 1].as_slice(), &[4; 16]].concat()));
    assert_eq!(code(w.devs[1].apply(&[])), Code::Arg);
    w.devs[1].apply(&lists).unwrap();
}

#[test]
fn proposals_stand_inside_their_commit() {
    let (mut w, _) = three();
    let own = w.devs[0].ctx.own_leaf().unwrap();
    let Context { groups, provider, .. } = &mut w.devs[0].ctx;
    let group = &mut groups.find_mut(&CHAT, 1).unwrap().mls;
    let (proposal, _) =
        group.propose_remove_member(provider, &own.key, LeafNodeIndex::new(2)).unwrap();
    group.set_aad(Aad { mid: [0; 16], leaves: Vec::new() }.write());
    let (commit, _, _) = group.commit_to_pending_proposals(provider, &own.key).unwrap();
    let (proposal, commit) = (encode(&proposal).unwrap(), encode(&commit).unwrap());
    let told = Told { leaves_removed: vec![(w.devs[2].id, w.devs[2].user)], ..Told::default() };
    // No reader takes the proposal; one that somehow has it refuses the commit nevertheless.
    assert_eq!(code(w.devs[1].process(&proposal, &told)), Code::Format);
    assert_eq!(code(w.devs[1].process(&commit, &told)), Code::Crypto);
    let Context { groups, provider, .. } = &mut w.devs[1].ctx;
    let group = &mut groups.find_mut(&CHAT, 1).unwrap().mls;
    let MlsMessageBodyIn::PublicMessage(message) = crate::mls::decode(&proposal).unwrap() else {
        panic!();
    };
    let done = group.process_message(provider, message).unwrap().into_content();
    let ProcessedMessageContent::ProposalMessage(proposal) = done else { panic!() };
    group.store_pending_proposal(provider.storage(), *proposal).unwrap();
    assert_eq!(code(w.devs[1].process(&commit, &told)), Code::Policy);
}

#[test]
fn a_group_context_holds_nothing_foreign() {
    let foreign = |more: Vec<Extension>| {
        let mut all = vec![
            Extension::RequiredCapabilities(required()),
            Extension::Unknown(policy::EXTENSION, UnknownExtension(three().1.write())),
        ];
        all.extend(more);
        policy_of(&Extensions::from_vec(all).unwrap())
    };
    foreign(vec![]).unwrap();
    let senders = Extension::ExternalSenders(vec![]);
    assert_eq!(code(foreign(vec![senders])), Code::Policy);
    let only = |e: Extension| policy_of(&Extensions::from_vec(vec![e]).unwrap());
    let bytes = UnknownExtension(three().1.write());
    assert_eq!(code(only(Extension::Unknown(policy::EXTENSION, bytes))), Code::Policy);
    assert_eq!(code(only(Extension::RequiredCapabilities(required()))), Code::Policy);
}

#[test]
fn one_thing_at_a_time() {
    let (mut w, policy) = three();
    let lists = w.all();
    let (empty, told) = (Wish::default(), Wish::default().told(&policy));
    assert_eq!(code(w.devs[0].confirm()), Code::State);
    assert_eq!(code(w.devs[0].discard()), Code::State);
    assert_eq!(code(w.devs[0].apply(&lists)), Code::State);
    let ours = w.devs[0].commit(&empty, &lists).unwrap();
    let theirs = w.devs[1].commit(&empty, &lists).unwrap();
    assert_eq!(code(w.devs[0].commit(&empty, &lists)), Code::State);
    assert_eq!(code(w.devs[0].process(&theirs.commit, &told)), Code::State);
    // The other one won.
    w.devs[0].discard().unwrap();
    w.devs[0].process(&theirs.commit, &told).unwrap();
    assert_eq!(code(w.devs[0].commit(&empty, &lists)), Code::State);
    w.devs[0].apply(&lists).unwrap();
    w.devs[1].confirm().unwrap();
    same(&w, &[0, 1]);
    // What lost is of an epoch that is over.
    let late = w.devs[1].process(&ours.commit, &told).unwrap_err();
    assert_eq!(late.code, Code::Epoch);
    assert!(late.text().contains("epoch 2") && late.text().contains("epoch 1"));
}

#[test]
fn staging_writes_nothing_and_applying_everything() {
    let (mut w, policy) = three();
    let lists = w.all();
    let told = Wish::default().told(&policy);
    let bundle = w.devs[0].commit(&Wish::default(), &lists).unwrap();
    w.devs[1].ctx.rows.begin().unwrap();
    w.devs[1].process(&bundle.commit, &told).unwrap();
    assert!(w.devs[1].ctx.rows.take().is_empty());
    // As if it had never come: the state on disk follows it as well as that in memory.
    w.devs[1].restart();
    w.devs[1].follow(&bundle.commit, &told, &lists).unwrap();
    w.devs[1].restart();
    w.devs[0].restart();
    w.devs[0].confirm().unwrap();
    same(&w, &[0, 1]);
}

#[test]
fn a_transaction_that_fails() {
    let (mut w, _) = three();
    let lists = w.all();
    let before = w.devs[0].authenticator();
    let wish = Wish::default();
    let (change, aad) = (wish.bytes(&lists), wish.aad());
    let ctx = &mut w.devs[0].ctx;
    ctx.mutate(|c| commit::commit(c, &CHAT, 1, &change, &aad)).unwrap();
    // The rows of the commit must be taken first.
    assert_eq!(code(ctx.mutate(|c| commit::confirm(c, &CHAT, 1))), Code::State);
    ctx.drop_delta().unwrap();
    assert_eq!(code(info(ctx, &CHAT, 1, INFO_SUMMARY)), Code::State);
    let rows = w.devs[0].rows(|key| key[0] == crate::rows::KEY_GROUP);
    load(&mut w.devs[0].ctx, &CHAT, 1, &rows).unwrap();
    assert_eq!(w.devs[0].authenticator(), before);
    assert_eq!(code(w.devs[0].confirm()), Code::State);
    assert_eq!(code(load(&mut w.devs[0].ctx, &CHAT, 1, &rows)), Code::State);
    unload(&mut w.devs[0].ctx, &CHAT, 1).unwrap();
    let half: Vec<u8> = w.devs[0].rows(|key| key[0] == 0x10 && key[19] < 5);
    assert_eq!(code(load(&mut w.devs[0].ctx, &CHAT, 1, &half)), Code::Rejoin);
    assert_eq!(code(load(&mut w.devs[0].ctx, &CHAT, 2, &rows)), Code::Format);
    load(&mut w.devs[0].ctx, &CHAT, 1, &rows).unwrap();
    w.devs[0].call(|c| delete(c, &CHAT, 1)).unwrap();
    assert!(w.devs[0].rows(|key| key[0] == 0x10).is_empty());
}

#[test]
fn a_commit_of_ones_own_that_was_forgotten() {
    let (mut w, policy) = three();
    let lists = w.all();
    let disk = w.devs[0].disk.clone();
    let bundle = w.devs[0].commit(&Wish::default(), &lists).unwrap();
    w.devs[0].disk = disk;
    w.devs[0].restart();
    let told = Wish::default().told(&policy);
    assert_eq!(code(w.devs[0].process(&bundle.commit, &told)), Code::Rejoin);
    w.devs[1].follow(&bundle.commit, &told, &lists).unwrap();
    // It joins anew, over its old leaf.
    let (join, _) = w.devs[0].external(&bundle.info, &lists, [3; 16]).unwrap();
    let own = vec![(w.devs[0].id, w.devs[0].user)];
    let told = Told { mid: [3; 16], leaves_added: own.clone(), leaves_removed: own, ..told };
    w.devs[1].follow(&join.commit, &told, &lists).unwrap();
    same(&w, &[0, 1]);
    assert_eq!(w.devs[0].group().leaves().unwrap().len(), 3);
}

#[test]
fn a_welcome_serves_once_and_never_sets_back() {
    let mut w = World::new(3);
    (1..=2).for_each(|n| assert!(w.person(n) < 2));
    let (policy, lists) = (w.policy(&[0, 1]), w.all());
    let package = w.devs[1].packages(1, true).remove(0);
    let bundle = w.devs[0].create(&policy, &[package], &lists).unwrap();
    w.devs[0].confirm().unwrap();
    assert_eq!(code(w.devs[0].welcome(&bundle.welcome, &lists)), Code::State);
    w.devs[1].welcome(&bundle.welcome, &lists).unwrap();
    // The last-resort package is still there; the group stands no lower, so it stays.
    assert_eq!(code(w.devs[1].welcome(&bundle.welcome, &lists)), Code::Epoch);
    all_follow(&mut w, 0, &Wish::default(), &[1]);
    assert_eq!(code(w.devs[1].welcome(&bundle.welcome, &lists)), Code::Epoch);
    assert_eq!(code(w.devs[1].external(&bundle.info, &lists, [1; 16])), Code::Epoch);
    same(&w, &[0, 1]);
    // One-time packages are gone with their first use.
    let mut w = World::new(4);
    (1..=2).for_each(|n| assert!(w.person(n) < 2));
    w.group(&[0, 1], &[]);
    let rows = w.devs[1].rows(|key| key[0] == crate::rows::KEY_PACKAGE);
    assert!(rows.is_empty());
}

#[test]
fn leaves_that_no_list_confirms_are_told() {
    let mut w = World::new(5);
    (1..=3).for_each(|n| assert!(w.person(n) < 3));
    let (policy, lists) = (w.policy(&[0, 1, 2]), w.all());
    let packages: Vec<_> = (1..3).map(|dev| w.devs[dev].packages(1, false).remove(0)).collect();
    let bundle = w.devs[0].create(&policy, &packages, &lists).unwrap();
    w.devs[0].confirm().unwrap();
    // Until the Welcome arrives, one device was lost.
    w.unlist(2);
    let lists = w.all();
    let told = w.devs[1].welcome(&bundle.welcome, &lists).unwrap();
    let unlisted = [[0, 1].as_slice(), &w.devs[2].user, &w.devs[2].id].concat();
    assert_eq!(told[50..84], unlisted);
    assert_eq!(told[18..34], w.devs[0].user);
    let (_, told) = {
        w.device([2; 16], 2);
        let lists = w.all();
        w.devs[3].external(&bundle.info, &lists, [1; 16]).unwrap()
    };
    assert_eq!(told[50..84], unlisted);
}

#[test]
fn who_may_create() {
    let mut w = World::new(6);
    (1..=2).for_each(|n| assert!(w.person(n) < 2));
    let mut policy = w.policy(&[0, 1]);
    assert_eq!(code(w.devs[1].create(&policy, &[], &[])), Code::Policy);
    policy.members[0].role = ADMIN;
    assert_eq!(code(w.devs[0].create(&policy, &[], &[])), Code::Policy);
    policy.members[0] = w.member(1, OWNER);
    policy.members.pop();
    assert_eq!(code(w.devs[0].create(&policy, &[], &[])), Code::Policy);
    // A direct chat has the id of its two users.
    let mut direct = w.policy(&[0, 1]);
    direct.kind = DIRECT;
    assert_eq!(code(w.devs[0].create(&direct, &[], &[])), Code::Policy);
    let hash = sha256(&[b"parley/direct/v1\0", &[1; 16], &[2; 16]]);
    let chat = hash.first_chunk::<16>().unwrap();
    let bytes = direct.write();
    w.devs[0].call(|c| commit::create(c, (chat, 1), 1, &bytes, &[], &[])).unwrap();
    let again = w.devs[0].call(|c| commit::create(c, (chat, 1), 1, &bytes, &[], &[]));
    assert_eq!(code(again), Code::State);
    let suite = w.devs[0].call(|c| commit::create(c, (chat, 2), 7, &bytes, &[], &[]));
    assert_eq!(code(suite), Code::Suite);
    let made = w.devs[0].call(|c| commit::confirm(c, chat, 1)).unwrap();
    assert_eq!(made[3..11], [0; 8]);
}

#[test]
fn broken_bytes_are_errors() {
    let (mut w, policy) = three();
    let lists = w.all();
    let told = Wish::default().told(&policy);
    let bundle = w.devs[0].commit(&Wish::default(), &lists).unwrap();
    for at in 0..bundle.commit.len() {
        let mut bytes = bundle.commit.clone();
        bytes[at] ^= 0x40;
        if w.devs[1].process(&bytes, &told).is_ok() {
            panic!("byte {at}");
        }
        assert!(w.devs[1].process(&bundle.commit[..at], &told).is_err());
    }
    let all = told.write();
    for cut in 0..all.len() {
        assert_eq!(code(Told::read(&all[..cut])), Code::Format);
    }
    for at in (0..bundle.info.len()).step_by(97) {
        let mut bytes = bundle.info.clone();
        bytes[at] ^= 0x40;
        assert!(w.devs[2].external(&bytes, &lists, [1; 16]).is_err(), "byte {at}");
    }
    w.devs[1].follow(&bundle.commit, &told, &lists).unwrap();
}
