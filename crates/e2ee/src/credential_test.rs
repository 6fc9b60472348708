// SPDX-License-Identifier: Apache-2.0
use super::*;
use crate::testing::{person, Person};

fn parts(who: &Person) -> (Credential, [u8; 32], State) {
    let context = &who.context;
    let (account, device) = (context.account().unwrap(), context.device().unwrap());
    (Credential::own(account, device), device.key.public(), State::read(&who.state).unwrap())
}

#[test]
fn ones_own_is_valid_and_reads_back() {
    let (credential, sigpub, state) = parts(&person(1));
    let bytes = credential.write();
    assert_eq!(bytes.len(), BYTES);
    assert_eq!(Credential::read(&bytes).unwrap(), credential);
    credential.check(&sigpub, &state, true).unwrap();
    credential.check(&sigpub, &state, false).unwrap();
}

#[test]
fn every_bit_counts() {
    let (credential, sigpub, state) = parts(&person(1));
    let bytes = credential.write();
    for at in 0..BYTES {
        let mut other = bytes.clone();
        other[at] ^= 4;
        let read = Credential::read(&other);
        assert!(read.is_err() || read.unwrap().check(&sigpub, &state, false).is_err(), "byte {at}");
        assert!(Credential::read(&bytes[..at]).is_err());
    }
    assert!(Credential::read(&[&bytes[..], &[0]].concat()).is_err());
    let mut other_key = sigpub;
    other_key[0] ^= 1;
    assert_eq!(credential.verify(&other_key).unwrap_err().code, Code::Crypto);
}

#[test]
fn another_identity_and_an_unlisted_device_are_told_apart() {
    let (ann, bob) = (person(1), person(2));
    let (credential, sigpub, _) = parts(&ann);
    let (_, _, other) = parts(&bob);
    assert_eq!(credential.check(&sigpub, &other, false).unwrap_err().code, Code::Format);
    let mut forged = parts(&ann).2;
    forged.list.aik[0] ^= 1;
    assert_eq!(credential.check(&sigpub, &forged, false).unwrap_err().code, Code::Identity);
    let mut gone = parts(&ann).2;
    gone.list.devices.clear();
    assert_eq!(credential.check(&sigpub, &gone, false).unwrap_err().code, Code::Devlist);
}

#[test]
fn who_enters_carries_the_newest_key() {
    let (credential, sigpub, mut state) = parts(&person(1));
    state.list.dsk_ver += 1;
    assert_eq!(credential.check(&sigpub, &state, true).unwrap_err().code, Code::Devlist);
    credential.check(&sigpub, &state, false).unwrap();
}
