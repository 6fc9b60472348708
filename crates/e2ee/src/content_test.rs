// SPDX-License-Identifier: Apache-2.0
use super::*;
use crate::error::Code;
use crate::testing::{break_random, person, Person};

const K: [u8; 32] = [5; 32];
const MID: Id = [6; 16];
const NOBODY: Id = [0; 16];

/// A header of the person's device, without a nonce.
fn header(number: u8, kind: u8, sctr: u64) -> Vec<u8> {
    let mut out = vec![1, kind];
    out.extend_from_slice(&[3; 16]);
    out.extend_from_slice(&[0, 1]);
    out.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 4]);
    out.extend_from_slice(&[number; 16]);
    out.extend_from_slice(&sctr.to_be_bytes());
    out.extend_from_slice(&[0; 24]);
    out
}

fn sealed(who: &Person, header: &[u8], mid: &Id, content: &[u8]) -> Result<Vec<u8>> {
    let keys = (who.context.account().unwrap(), who.context.device().unwrap());
    seal(keys, &K, header, mid, content)
}

fn sigpub(who: &Person) -> [u8; 32] {
    who.context.device().unwrap().key.public()
}

#[test]
fn what_is_sealed_opens_and_only_there() {
    let ann = person(1);
    let (user, key) = ([1; 16], sigpub(&ann));
    for size in [0, 1, 62, 63, 64, 65, 200, 1000, 50_000] {
        let content: Vec<u8> = (0..size).map(|at| at as u8).collect();
        let envelope = sealed(&ann, &header(1, 0, 7), &MID, &content).unwrap();
        assert_eq!(envelope.len(), 156 + padded_bytes(size));
        assert_eq!(open(&K, (&user, &MID), &key, &envelope).unwrap()[..], content);
        assert_eq!(peek(&envelope).unwrap()[..52], header(1, 0, 7)[..52]);
    }
    let envelope = sealed(&ann, &header(1, 0, 7), &MID, b"hello").unwrap();
    let code = |k: &[u8; 32], user: &Id, mid: &Id, key: &[u8; 32]| {
        open(k, (user, mid), key, &envelope).unwrap_err().code
    };
    assert_eq!(code(&[4; 32], &user, &MID, &key), Code::Crypto);
    assert_eq!(code(&K, &[2; 16], &MID, &key), Code::Crypto);
    assert_eq!(code(&K, &user, &[7; 16], &key), Code::Crypto);
    assert_eq!(code(&K, &user, &MID, &[7; 32]), Code::Crypto);
    assert_eq!(code(&K, &user, &NOBODY, &key), Code::Arg);
}

#[test]
fn every_bit_counts() {
    let ann = person(1);
    let (user, key) = ([1; 16], sigpub(&ann));
    let envelope = sealed(&ann, &header(1, 0, 7), &MID, b"hello").unwrap();
    for at in 0..envelope.len() {
        for bit in 0..8 {
            let mut other = envelope.clone();
            other[at] ^= 1 << bit;
            let error = open(&K, (&user, &MID), &key, &other).unwrap_err();
            assert!([Code::Crypto, Code::Format, Code::Arg].contains(&error.code), "byte {at}");
        }
        assert!(open(&K, (&user, &MID), &key, &envelope[..at]).is_err());
    }
    let long = [&envelope[..], &[0]].concat();
    assert_eq!(open(&K, (&user, &MID), &key, &long).unwrap_err().code, Code::Crypto);
    assert_eq!(peek(&vec![1; ENVELOPE_BYTES_MAX + 1]).unwrap_err().code, Code::Limit);
    assert_eq!(peek(&[]).unwrap_err().code, Code::Format);
}

#[test]
fn headers_that_cannot_be() {
    let ann = person(1);
    let code = |header: &[u8], mid: &Id| sealed(&ann, header, mid, b"x").unwrap_err().code;
    let mut version = header(1, 0, 7);
    version[0] = 2;
    let mut gen = header(1, 0, 7);
    gen[19] = 0;
    let mut nonce = header(1, 0, 7);
    nonce[60] = 1;
    for bad in [version, gen, nonce, header(1, 5, 7), header(1, 0, 0), header(2, 0, 7), vec![]] {
        assert_eq!(code(&bad, &MID), Code::Arg);
    }
    assert_eq!(code(&header(1, 2, 7), &NOBODY), Code::Arg);
    assert_eq!(code(&header(1, 2, 0), &MID), Code::Arg);
    assert_eq!(code(&header(1, 0, 7), &NOBODY), Code::Arg);
    let typing = sealed(&ann, &header(1, 2, 0), &NOBODY, b"x").unwrap();
    assert_eq!(open(&K, (&[1; 16], &NOBODY), &sigpub(&ann), &typing).unwrap()[..], *b"x");
}

#[test]
fn the_bound_is_the_envelopes() {
    let ann = person(1);
    let room = ENVELOPE_BYTES_MAX - OVERHEAD_BYTES;
    let most = (0..=room).rev().find(|size| padded_bytes(*size) <= room).unwrap();
    assert!(sealed(&ann, &header(1, 0, 7), &MID, &vec![1; most]).is_ok());
    let code = |size| sealed(&ann, &header(1, 0, 7), &MID, &vec![1; size]).unwrap_err().code;
    assert_eq!(code(most + 1), Code::Limit);
    assert_eq!(code(1 << 20), Code::Limit);
}

#[test]
fn one_content_has_one_padding() {
    for size in 0..3000 {
        let content = vec![0x80; size];
        let padded = pad(&content);
        assert_eq!(unpad(padded.clone()).unwrap()[..], content);
        let mut longer = padded.clone();
        longer.push(0);
        assert!(unpad(longer).is_err(), "{size}");
        assert!(padded_bytes(size) <= size + 1 + 64.max(size / 8));
    }
    assert!(unpad(Zeroizing::new(vec![0; 64])).is_err());
    assert!(unpad(Zeroizing::new(vec![1; 64])).is_err());
    assert!(unpad(Zeroizing::new(vec![])).is_err());
}

#[test]
fn what_is_revealed_is_of_one_message() {
    let ann = person(1);
    let user = [1; 16];
    let one = sealed(&ann, &header(1, 0, 7), &MID, b"hello").unwrap();
    let other = sealed(&ann, &header(1, 0, 8), &MID, b"hello").unwrap();
    let secret = reveal(&K, (&user, &MID), &one).unwrap();
    assert_ne!(secret, reveal(&K, (&user, &MID), &other).unwrap());
    assert_eq!(reveal(&[4; 32], (&user, &MID), &one).unwrap_err().code, Code::Crypto);
    // What a moderator does with it.
    let parts = Envelope::read(&one).unwrap();
    let ctx = bind(parts.header, &user, &MID);
    let keys = MessageKeys::derive(&secret);
    let digest = keys.digest(&ctx, parts.cipher, &parts.tag);
    assert!(verify(&sigpub(&ann), &[MSG_LABEL, &digest], &parts.signature));
    let text = primitives::open(&keys.key, &parts.nonce(), &ctx, parts.cipher, &parts.tag);
    assert_eq!(unpad(text.unwrap()).unwrap()[..], *b"hello");
}

#[test]
fn nonces_are_fresh_or_nothing_is_sealed() {
    let ann = person(1);
    let twice: Vec<_> =
        (0..2).map(|_| sealed(&ann, &header(1, 0, 7), &MID, b"hello").unwrap()).collect();
    assert_ne!(twice[0][NONCE_AT..76], twice[1][NONCE_AT..76]);
    break_random(true);
    let none = sealed(&ann, &header(1, 0, 7), &MID, b"hello");
    break_random(false);
    assert_eq!(none.unwrap_err().code, Code::Random);
}
