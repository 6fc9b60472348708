// SPDX-License-Identifier: Apache-2.0
use super::*;
use crate::error::Result;
use crate::world::{Dev, World, SUITE};

fn code<T>(out: Result<T>) -> Code {
    out.map(|_| ()).unwrap_err().code
}

#[test]
fn made_and_judged() {
    let mut w = World::new(1);
    let dev = w.person(1);
    let state = w.lists[&[1; 16]].clone();
    let once = w.devs[dev].packages(3, false);
    let last = w.devs[dev].packages(1, true).remove(0);
    let dev = &mut w.devs[dev];
    assert!(!dev.rows(|key| key[0] == KEY_PACKAGE).is_empty());
    for (package, last_resort) in [(&once[0], 0), (&once[2], 0), (&last, 1)] {
        let info = verify(&dev.ctx, package, &state).unwrap();
        assert_eq!(info[..16], dev.user);
        assert_eq!(info[16..32], dev.id);
        assert_eq!(info[64..66], SUITE.to_be_bytes());
        assert_eq!(info[66], last_resort);
        assert_eq!(info[67..], (now() + LIFE_S).to_be_bytes());
    }
    assert_ne!(once[0], once[1]);
}

#[test]
fn limits_and_suites() {
    let mut w = World::new(1);
    let dev = w.person(1);
    let mut make = |suite, n| w.devs[dev].call(|c| generate(c, suite, n, false));
    assert_eq!(code(make(SUITE, 0)), Code::Limit);
    assert_eq!(code(make(SUITE, ONCE_MAX + 1)), Code::Limit);
    assert_eq!(code(make(9, 1)), Code::Suite);
    make(crate::suite::HYBRID, 1).unwrap();
}

/// A package that is as the device's own ones but for its lifetime and extensions.
fn odd(dev: &mut Dev, life: Lifetime, can: &[ExtensionType]) -> Vec<u8> {
    let suite = suite(SUITE).unwrap();
    let own = dev.ctx.own_leaf().unwrap();
    let can = Capabilities::new(None, Some(&[suite]), Some(can), None, None);
    let made = KeyPackage::builder()
        .leaf_node_capabilities(can)
        .key_package_lifetime(life)
        .build(suite, &dev.ctx.provider, &own.key, own.credential())
        .unwrap();
    encode(&MlsMessageOut::from(made.into_key_package())).unwrap()
}

#[test]
fn lifetimes() {
    let mut w = World::new(1);
    let dev = w.person(1);
    let state = w.lists[&[1; 16]].clone();
    let dev = &mut w.devs[dev];
    let all = [ExtensionType::LastResort, ExtensionType::Unknown(policy::EXTENSION)];
    let now = now();
    let mut judge = |from, to| {
        let package = odd(dev, Lifetime::init(from, to), &all);
        verify(&dev.ctx, &package, &state)
    };
    judge(now - SKEW_S, now + LIFE_S).unwrap();
    for (from, to) in [
        (now - SKEW_S, now + LIFE_S + 1), // too long: the check that openmls never calls
        (now - SKEW_S - 1, now + LIFE_S),
        (0, u64::MAX),
        (now - LIFE_S, now - 1),   // expired
        (now + 600, now + LIFE_S), // not yet
    ] {
        assert_eq!(code(judge(from, to)), Code::Time, "{from} {to}");
    }
}

#[test]
fn foreign_packages() {
    let mut w = World::new(1);
    let (dev, other) = (w.person(1), w.person(2));
    let states = [w.lists[&[1; 16]].clone(), w.lists[&[2; 16]].clone()];
    let package = w.devs[dev].packages(1, false).remove(0);
    assert_eq!(code(verify(&w.devs[other].ctx, &package, &states[1])), Code::Identity);
    let life = lifetime().unwrap();
    for can in [&[ExtensionType::LastResort][..], &[ExtensionType::Unknown(policy::EXTENSION)]] {
        let package = odd(&mut w.devs[dev], life, can);
        assert_eq!(code(verify(&w.devs[other].ctx, &package, &states[0])), Code::Policy);
    }
    w.unlist(dev);
    let gone = &w.lists[&[1; 16]];
    assert_eq!(code(verify(&w.devs[other].ctx, &package, gone)), Code::Devlist);
    for at in 0..package.len() {
        let mut bytes = package.clone();
        bytes[at] ^= 1;
        assert!(verify(&w.devs[other].ctx, &bytes, &states[0]).is_err(), "byte {at}");
        assert_eq!(code(verify(&w.devs[other].ctx, &package[..at], &states[0])), Code::Format);
    }
}

#[test]
fn expired_ones_are_swept() {
    let mut w = World::new(1);
    let dev = w.person(1);
    let dev = &mut w.devs[dev];
    let all = [ExtensionType::LastResort, ExtensionType::Unknown(policy::EXTENSION)];
    let now = now();
    let ends = [now - WELCOME_S - 10, now - WELCOME_S + 600, now + 600];
    for end in ends {
        odd(dev, Lifetime::init(end - 100, end), &all);
    }
    dev.packages(1, false);
    assert_eq!(dev.ctx.rows.keys(&[KEY_PACKAGE]).len(), ends.len());
}
