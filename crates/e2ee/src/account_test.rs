// SPDX-License-Identifier: Apache-2.0
use super::*;
use crate::devlist::State;
use crate::testing::{break_random, change, listed, person};

fn fresh() -> Context {
    Context::open(&[1, 1, 0, 1]).unwrap()
}

fn vault_of(who: &mut crate::testing::Person, ver: u32) -> Vec<u8> {
    seal_vault(&mut who.context, &who.rk, ver).unwrap()
}

#[test]
fn an_account_comes_back_from_its_rows() {
    let mut context = fresh();
    let rk = context.mutate(|context| create(context, &[1; 16])).unwrap();
    let mut rows = context.rows.take().to_vec();
    context.mutate(|context| create_device(context, &[2; 16], 9)).unwrap();
    rows.extend_from_slice(&context.rows.take());
    let mut again = fresh();
    again.restore(&rows).unwrap();
    assert_eq!(facts(&again).unwrap(), facts(&context).unwrap());
    assert_eq!(facts(&again).unwrap()[..18], [&[1, 3][..], &[1; 16]].concat());
    assert_eq!(facts(&fresh()).unwrap(), [&[1][..], &[0; 198]].concat());
    // The identity key is in no row.
    assert_eq!(seal_vault(&mut again, &rk, 1).unwrap_err().code, Code::State);
    let aik = context.opened.as_ref().unwrap().aik.seed();
    assert!(!rows.windows(32).any(|window| window == aik || window == &rk[..]));
}

#[test]
fn rows_that_cannot_be_are_refused() {
    let mut ann = fresh();
    ann.mutate(|context| create(context, &[1; 16])).unwrap();
    let account = ann.rows.take().to_vec();
    ann.mutate(|context| create_device(context, &[2; 16], 9)).unwrap();
    let device = ann.rows.take().to_vec();
    let mut other_version = account.clone();
    other_version[8] = 9;
    for rows in [&device[..], &other_version, &account[..account.len() - 1]] {
        let mut context = fresh();
        assert_eq!(context.restore(rows).unwrap_err().code, Code::Format);
        assert!(context.rows.is_empty() && context.account.is_none() && context.device.is_none());
        context.restore(&account).unwrap();
    }
    assert_eq!(ann.restore(&account).unwrap_err().code, Code::State);
}

#[test]
fn a_second_device_recovers_everything() {
    let mut ann = person(1);
    let vault = vault_of(&mut ann, 1);
    let mut second = fresh();
    second.mutate(|context| recover(context, &[1; 16], &ann.rk, &vault)).unwrap();
    assert_eq!(facts(&second).unwrap()[2..150], facts(&ann.context).unwrap()[2..150]);
    let (one, other) = (ann.context.account().unwrap(), second.account().unwrap());
    assert_eq!(one.backup_keys[0].key, other.backup_keys[0].key);
    let code = |user: u8, rk: &[u8; 32], vault: &[u8]| {
        let mut context = fresh();
        let error = context.mutate(|context| recover(context, &[user; 16], rk, vault)).unwrap_err();
        assert!(context.rows.is_empty() && context.account.is_none() && context.opened.is_none());
        error.code
    };
    assert_eq!(code(2, &ann.rk, &vault), Code::Crypto);
    assert_eq!(code(1, &[3; 32], &vault), Code::Crypto);
    assert_eq!(code(1, &ann.rk, &vault[..40]), Code::Format);
}

#[test]
fn another_identity_is_refused() {
    let (mut ann, mut bob) = (person(1), person(2));
    bob.rk = ann.rk;
    let foreign = vault_of(&mut bob, 1);
    let rk = ann.rk;
    let error =
        ann.context.mutate(|context| recover(context, &[2; 16], &rk, &foreign)).unwrap_err();
    assert_eq!(error.code, Code::Identity);
    assert_eq!(ann.context.account().unwrap().user, [1; 16]);
}

#[test]
fn the_vault_rises_and_the_identity_key_leaves_with_it() {
    let mut ann = person(1);
    assert_eq!(seal_vault(&mut ann.context, &ann.rk, 0).unwrap_err().code, Code::Arg);
    let vault = vault_of(&mut ann, 4);
    assert!(ann.context.opened.is_none());
    assert_eq!(seal_vault(&mut ann.context, &ann.rk, 5).unwrap_err().code, Code::State);
    let rk = ann.rk;
    ann.context.mutate(|context| recover(context, &[1; 16], &rk, &vault)).unwrap();
    assert!(ann.context.rows.take().is_empty()); // nothing newer in it
    assert_eq!(seal_vault(&mut ann.context, &rk, 4).unwrap_err().code, Code::Arg);
    vault_of(&mut ann, 5);
}

#[test]
fn a_rotation_changes_both_keys_and_the_vault() {
    let mut ann = person(1);
    let (rk, first) = (ann.rk, ann.context.account().unwrap().backup_keys[0].key.clone());
    let rotated = ann.context.mutate(|context| rotate(context, &rk)).unwrap();
    assert!(ann.context.opened.is_none());
    let account = ann.context.account().unwrap();
    assert_eq!((account.dsk_ver, account.backup_keys.len()), (2, 2));
    assert_eq!((account.backup_keys[1].ver, &account.backup_keys[0].key), (2, &first));
    let last = &account.backup_keys[1].key;
    let wanted =
        [&[1, 0, 0, 0, 2][..], account.dsk.seed(), &account.sig_aik, &[0, 0, 0, 2], &last[..]];
    assert_eq!(rotated.share[..], wanted.concat());
    assert_eq!(rotated.to_list()[..], listed(&[&rotated.vault, &rotated.share]));
    let vault = vault::open(&[1; 16], &rk, &rotated.vault).unwrap();
    assert_eq!((vault.ver, vault.dsk_ver, vault.backup_keys.len()), (1, 2, 2));
    // A sibling that had the older keys takes the newer ones from the vault.
    let mut sibling = person(1);
    sibling.context.mutate(|context| recover(context, &[1; 16], &rk, &rotated.vault)).unwrap();
    assert_eq!(sibling.context.account().unwrap().dsk_ver, 2);
    assert_eq!(sibling.context.opened.as_ref().unwrap().vault_ver, 1);
}

#[test]
fn without_randomness_nothing_changes() {
    let mut context = fresh();
    break_random(true);
    let created = context.mutate(|context| create(context, &[1; 16]));
    break_random(false);
    assert_eq!(created.unwrap_err().code, Code::Random);
    assert!(context.rows.is_empty() && context.account.is_none() && context.opened.is_none());
    let mut ann = person(1);
    let (before, rk) = (facts(&ann.context).unwrap(), ann.rk);
    break_random(true);
    let rotated = ann.context.mutate(|context| rotate(context, &rk));
    break_random(false);
    assert_eq!(rotated.map(drop).unwrap_err().code, Code::Random);
    assert_eq!(facts(&ann.context).unwrap(), before);
}

#[test]
fn a_dropped_delta_takes_the_account_with_it() {
    let mut context = fresh();
    context.mutate(|context| create(context, &[1; 16])).unwrap();
    context.rows.take();
    context.drop_delta().unwrap();
    assert!(context.account.is_none() && context.opened.is_none());
    context.mutate(|context| create(context, &[1; 16])).unwrap();
    assert_eq!(
        context.mutate(|context| create(context, &[1; 16])).map(drop).unwrap_err().code,
        Code::State
    );
}

#[test]
fn signatures_have_a_purpose() {
    let ann = person(1);
    let code = |purpose, message: &[u8]| sign(&ann.context, purpose, message).unwrap_err().code;
    let session = [&b"parley/session/v1\0"[..], b"server", &[1; 56]].concat();
    let leave = [&b"parley/leave/v1\0"[..], &[1; 38]].concat();
    let sigpub = ann.context.device().unwrap().key.public();
    for (purpose, message) in [(SIGN_SESSION, &session), (SIGN_LEAVE, &leave)] {
        let signature = sign(&ann.context, purpose, message).unwrap();
        assert!(crate::primitives::verify(&sigpub, &[message], &signature));
        assert_eq!(code(purpose, &message[1..]), Code::Arg);
        assert_eq!(code(purpose, &message[..12]), Code::Arg);
    }
    assert_eq!(code(SIGN_SESSION, &leave), Code::Arg);
    assert_eq!(code(SIGN_LEAVE, &session), Code::Arg);
    for purpose in [0, 4, 255] {
        assert_eq!(code(purpose, &session), Code::Arg);
    }
    let list = [devlist::LABEL, &ann.list[..ann.list.len() - 64]].concat();
    assert_eq!(
        sign(&ann.context, SIGN_DEVLIST, &list).unwrap()[..],
        ann.list[ann.list.len() - 64..]
    );
    let bob = person(2);
    let foreign = [devlist::LABEL, &bob.list[..bob.list.len() - 64]].concat();
    assert_eq!(code(SIGN_DEVLIST, &foreign), Code::Arg);
    assert_eq!(code(SIGN_DEVLIST, &list[..list.len() - 1]), Code::Format);
    assert_eq!(sign(&fresh(), SIGN_SESSION, &session).unwrap_err().code, Code::State);
    assert_eq!(sign(&fresh(), SIGN_DEVLIST, &list).unwrap_err().code, Code::State);
    State::read(&ann.state).unwrap();
    assert!(
        devlist::sign(ann.context.account().unwrap(), &ann.state, &change(0, "", &[], &[])).is_ok()
    );
}
