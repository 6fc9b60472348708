// SPDX-License-Identifier: Apache-2.0
use super::*;
use crate::account;
use crate::testing::{change, listed, person, Person};

/// Signs the change onto the person's last list.
fn next(who: &mut Person, change: &[u8]) -> Vec<u8> {
    let list = sign(who.context.account().unwrap(), &who.state, change).unwrap();
    who.state = verify_chain(&listed(&[&list]), &who.state).unwrap().write();
    who.list.clone_from(&list);
    list
}

fn refusal(chain: &[&[u8]], pinned: &[u8]) -> Code {
    verify_chain(&listed(chain), pinned).unwrap_err().code
}

/// Signed as it stands: what a server, or a thief of the DSK, might make.
fn forge(who: &Person, spoil: impl FnOnce(&mut DeviceList)) -> Vec<u8> {
    let account = who.context.account().unwrap();
    let before = State::read(&who.state).unwrap();
    let mut list = before.list.clone();
    list.n += 1;
    list.previous = before.hash;
    list.removed.clear();
    spoil(&mut list);
    let unsigned = list.write_unsigned();
    [&unsigned[..], &account.dsk.sign(&[LABEL, &unsigned])].concat()
}

#[test]
fn a_chain_verifies_whole_and_in_parts() {
    let mut ann = person(1);
    let first = ann.list.clone();
    let pinned = ann.state.clone();
    let second = next(&mut ann, &change(0, "", &[(2, [2; 32])], &[]));
    let third = next(&mut ann, &change(0, "", &[(3, [3; 32])], &[2]));
    for (chain, pinned) in [
        (vec![&first[..], &second, &third], &[][..]),
        (vec![&second[..], &third], &pinned),
        (vec![&first[..], &second, &third], &pinned),
        (vec![&third[..]], &ann.state),
        (vec![&second[..], &third], &ann.state),
        (vec![], &ann.state),
    ] {
        assert_eq!(verify_chain(&listed(&chain), pinned).unwrap().write(), ann.state);
    }
    let state = State::read(&ann.state).unwrap();
    assert_eq!((state.list.n, state.reset_n, state.removed), (3, 0, vec![[2; 16]]));
    assert_eq!(state.list.find(&[3; 16]).unwrap().added_n, 3);
    assert_eq!(state.list.username, b"ann");
}

#[test]
fn older_forked_and_torn_chains() {
    let mut ann = person(1);
    let first = ann.list.clone();
    let pinned_first = ann.state.clone();
    let second = next(&mut ann, &change(0, "", &[(2, [2; 32])], &[]));
    let pinned = ann.state.clone();
    let third = next(&mut ann, &change(0, "", &[], &[2]));
    ann.state.clone_from(&pinned_first);
    let fork = next(&mut ann, &change(0, "", &[(4, [4; 32])], &[]));
    for (chain, pinned) in [
        (vec![&first[..]], &pinned[..]),        // rolled back
        (vec![&fork[..]], &pinned),             // two with one n
        (vec![&first[..], &fork], &pinned),     // the same behind its predecessor
        (vec![&first[..], &third], &pinned),    // one left out
        (vec![&first[..], &third], &[]),        //
        (vec![&third[..]], &pinned_first),      //
        (vec![&second[..]], &[]),               // no beginning
        (vec![&first[..], &first], &[]),        // twice
        (vec![&second[..], &second], &pinned),  //
        (vec![&first[..], &fork, &third], &[]), // another predecessor
        (vec![&third[..], &second], &pinned),   // backwards
    ] {
        assert_eq!(refusal(&chain, pinned), Code::Devlist, "{} lists", chain.len());
    }
    assert_eq!(refusal(&[], &[]), Code::Arg);
    let bob = person(2);
    assert_eq!(refusal(&[&bob.list], &pinned_first), Code::Devlist);
}

#[test]
fn every_bit_of_a_list_counts() {
    let ann = person(1);
    for at in 0..ann.list.len() {
        let mut other = ann.list.clone();
        other[at] ^= 1;
        assert!(verify_chain(&listed(&[&other]), &[]).is_err(), "byte {at}");
        assert_eq!(refusal(&[&ann.list[..at]], &[]), Code::Format, "cut at {at}");
    }
    assert_eq!(refusal(&[&[&ann.list[..], &[0]].concat()], &[]), Code::Format);
    assert_eq!(refusal(&[&vec![0; BYTES_MAX + 1]], &[]), Code::Limit);
    assert_eq!(verify_chain(&[0, 0], &[]).unwrap_err().code, Code::Format);
    assert_eq!(verify_chain(&[0xff; 8], &[]).unwrap_err().code, Code::Format);
}

/// One thing of a list that is made wrong.
type Spoil = Box<dyn Fn(&mut DeviceList)>;

#[test]
fn what_no_list_may_do_to_the_last() {
    let mut ann = person(1);
    next(&mut ann, &change(0, "", &[(2, [2; 32])], &[]));
    next(&mut ann, &change(0, "", &[], &[2]));
    let mut spoils: Vec<Spoil> = vec![
        Box::new(|list| list.n += 1),
        Box::new(|list| list.previous[0] ^= 1),
        Box::new(|list| list.user[0] ^= 1),
        Box::new(|list| list.username.push(b'x')),
        Box::new(|list| list.sig_aik[0] ^= 1),
        Box::new(|list| list.dsk_ver -= 1),
        Box::new(|list| list.dsk[0] ^= 1),
        Box::new(|list| list.devices.clear()),
        Box::new(|list| list.removed.push([9; 16])),
        Box::new(|list| list.removed.push([1; 16])),
        Box::new(|list| list.devices[0].sigpub[0] ^= 1),
        Box::new(|list| list.devices[0].added_n += 1),
    ];
    // A device that was removed, and one that came earlier than it could.
    let device =
        |id, added_n| Listed { id: [id; 16], sigpub: [5; 32], added_n, kind: 1, name: vec![] };
    spoils.push(Box::new(move |list| list.devices.push(device(2, 4))));
    spoils.push(Box::new(move |list| list.devices.push(device(5, 3))));
    for (number, spoil) in spoils.iter().enumerate() {
        assert_eq!(refusal(&[&forge(&ann, spoil)], &ann.state), Code::Devlist, "spoil {number}");
    }
    let other_aik = forge(&ann, |list| list.aik[0] ^= 1);
    assert_eq!(refusal(&[&other_aik], &ann.state), Code::Identity);
    let good = forge(&ann, |list| list.devices.push(device(5, 4)));
    verify_chain(&listed(&[&good]), &ann.state).unwrap();
    next(&mut ann, &change(0, "", &[], &[1]));
    let after_the_end = forge(&ann, |_| ());
    assert_eq!(refusal(&[&after_the_end], &ann.state), Code::Devlist);
}

#[test]
fn nothing_is_signed_that_nobody_takes() {
    let mut ann = person(1);
    let refused = |who: &Person, bytes: &[u8]| {
        sign(who.context.account().unwrap(), &who.state, bytes).unwrap_err().code
    };
    for id in 2..=8 {
        next(&mut ann, &change(0, "", &[(id, [id; 32])], &[]));
    }
    assert_eq!(refused(&ann, &change(0, "", &[(9, [9; 32])], &[])), Code::Limit);
    assert_eq!(refused(&ann, &change(0, "", &[(8, [9; 32])], &[])), Code::Devlist);
    assert_eq!(refused(&ann, &change(0, "", &[], &[9])), Code::Devlist);
    assert_eq!(refused(&ann, &change(0, "", &[], &[8, 8])), Code::Devlist);
    next(&mut ann, &change(0, "", &[], &[8]));
    assert_eq!(refused(&ann, &change(0, "", &[(8, [8; 32])], &[])), Code::Devlist);
    for cut in 0..12 {
        assert_eq!(refused(&ann, &change(0, "", &[], &[2])[..cut]), Code::Format);
    }
    let account = ann.context.account().unwrap();
    assert_eq!(sign(account, &[1, 2, 3], &[]).unwrap_err().code, Code::Format);
    assert_eq!(
        sign(account, &[], &change(0, "", &[(1, [1; 32])], &[])).unwrap_err().code,
        Code::Format
    );
    let bob = person(2);
    let foreign = sign(account, &bob.state, &change(0, "", &[(3, [3; 32])], &[]));
    assert_eq!(foreign.unwrap_err().code, Code::Devlist);
}

#[test]
fn a_device_can_be_renamed() {
    let mut ann = person(1);
    let sigpub = ann.context.device().unwrap().key.public();
    let mut renamed = change(0, "", &[(1, sigpub)], &[]);
    let name = renamed.len() - 2;
    renamed[name] = b'x';
    next(&mut ann, &renamed);
    let state = State::read(&ann.state).unwrap();
    assert_eq!((state.list.devices[0].added_n, &state.list.devices[0].name[..]), (1, &b"x"[..]));
}

#[test]
fn a_rotated_key_goes_on_and_an_older_one_does_not() {
    let mut ann = person(1);
    let rk = ann.rk;
    let old = forge(&ann, |list| list.ts += 1);
    ann.context.mutate(|context| account::rotate(context, &rk)).unwrap();
    ann.context.rows.take();
    next(&mut ann, &change(0, "", &[], &[]));
    let state = State::read(&ann.state).unwrap();
    assert_eq!(state.list.dsk_ver, 2);
    let again = State { hash: [0; 32], ..state };
    let mut list = DeviceList::read(&old).unwrap();
    list.n = 3;
    list.previous = [0; 32];
    assert_eq!(check_next(Some(&again), &list).unwrap_err().code, Code::Devlist);
}

#[test]
fn a_reset_is_let_through_and_marked() {
    let mut ann = person(1);
    let mut again = person(9);
    // The same account, with keys that do not come from the vault.
    let account = again.context.account.as_mut().unwrap();
    account.user = [1; 16];
    let aik = &again.context.opened.as_ref().unwrap().aik;
    account.sig_aik = crate::credential::certify_dsk(aik, &[1; 16], 1, &account.dsk.public());
    let reset = sign(account, &ann.state, &change(RESET, "", &[(9, [9; 32])], &[1])).unwrap();
    let state = verify_chain(&listed(&[&reset]), &ann.state).unwrap();
    assert_eq!((state.reset_n, state.list.aik), (2, account.aik));
    let quiet = sign(account, &ann.state, &change(0, "", &[(9, [9; 32])], &[1]));
    assert_eq!(quiet.unwrap_err().code, Code::Identity);
    ann.state = state.write();
    assert_eq!(State::read(&ann.state).unwrap(), state);
}

#[test]
fn a_state_that_was_changed_is_none() {
    let ann = person(1);
    for at in 0..ann.state.len() - SIG_BYTES {
        // reset_n, at 85, is the host's to keep; nothing depends on it here.
        if !(85..89).contains(&at) {
            let mut other = ann.state.clone();
            other[at] ^= 1;
            assert_eq!(State::read(&other).unwrap_err().code, Code::Format, "byte {at}");
        }
        assert!(State::read(&ann.state[..at]).is_err());
    }
}
