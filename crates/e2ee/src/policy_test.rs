// SPDX-License-Identifier: Apache-2.0
use super::*;

fn direct() -> Policy {
    let member = |n: u8, aik: u8| {
        let (mut user, mut key) = ([0; 16], [0; 32]);
        (user[0], key[0]) = (n, aik);
        Member { user, aik: key, role: MEMBER }
    };
    Policy { ver: 1, kind: DIRECT, rights: 2, members: vec![member(0x11, 1), member(0xaa, 10)] }
}

/// The bytes of src/wire/policy_test.c, by hand.
#[test]
fn bytes_are_those_of_the_server() {
    let mut bytes = vec![0; 107];
    bytes[..9].copy_from_slice(&[1, 0, 0, 0, 1, 1, 2, 0, 2]);
    (bytes[9], bytes[25], bytes[57]) = (0x11, 1, 1);
    (bytes[58], bytes[74], bytes[106]) = (0xaa, 10, 1);
    assert_eq!(direct().write(), bytes);
    assert_eq!(Policy::read(&bytes).unwrap(), direct());
}

/// The refusals of src/wire/policy_test.c: one byte another.
#[test]
fn one_wrong_byte() {
    let cases = [
        (0, 0),
        (0, 2),
        (4, 0),
        (5, 0),
        (5, 4),
        (6, 16),
        (8, 1),
        (8, 3),
        (57, 0),
        (57, 4),
        (5, SELF),
        (58, 0x11),
    ];
    for (at, byte) in cases {
        let mut bytes = direct().write();
        bytes[at] = byte;
        assert!(Policy::read(&bytes).is_err(), "byte {at} as {byte}");
    }
}

#[test]
fn cut_and_extended() {
    let bytes = direct().write();
    for cut in 0..bytes.len() {
        assert!(Policy::read(&bytes[..cut]).is_err(), "cut at {cut}");
    }
    assert!(Policy::read(&[bytes, vec![0]].concat()).is_err());
}

#[test]
fn as_many_members_as_may_be() {
    let member = |n: usize| {
        let mut user = [0; 16];
        user[..8].copy_from_slice(&n.to_be_bytes());
        Member { user, aik: [7; 32], role: OWNER }
    };
    let of = |n| Policy { ver: 9, kind: GROUP, rights: 15, members: (0..n).map(member).collect() };
    let full = of(MEMBERS_MAX);
    assert_eq!(Policy::read(&full.write()).unwrap(), full);
    assert!(Policy::read(&of(MEMBERS_MAX + 1).write()).is_err());
    assert!(Policy::read(&of(0).write()).is_err());
}
