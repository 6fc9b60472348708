// SPDX-License-Identifier: Apache-2.0
use super::*;

const USER: Id = [7; 16];
const RK: [u8; 32] = [9; 32];

fn sample(keys: u32) -> Vault {
    Vault {
        ver: 3,
        aik_seed: Zeroizing::new([1; 32]),
        dsk_seed: Zeroizing::new([2; 32]),
        dsk_ver: 5,
        backup_keys: (1..=keys)
            .map(|ver| BackupKey { ver, key: Zeroizing::new([ver as u8; 32]) })
            .collect(),
    }
}

#[test]
fn what_is_sealed_opens() {
    for keys in [1, 2, BACKUP_KEYS_MAX as u32] {
        let sealed = seal(&RK, &sample(keys), &USER).unwrap();
        let vault = open(&USER, &RK, &sealed).unwrap();
        assert_eq!((vault.ver, vault.dsk_ver), (3, 5));
        assert_eq!((vault.aik_seed[..].to_vec(), vault.dsk_seed[0]), (vec![1; 32], 2));
        assert_eq!(vault.backup_keys.len(), keys as usize);
        assert_eq!(vault.backup_keys[0].key[..], [1; 32]);
        assert_eq!(sealed[5..13], rk_id(&RK));
    }
}

#[test]
fn nothing_but_the_right_key_user_and_bytes_opens() {
    let sealed = seal(&RK, &sample(2), &USER).unwrap();
    let code =
        |user: &Id, rk: &[u8; 32], bytes: &[u8]| open(user, rk, bytes).map(drop).unwrap_err().code;
    assert_eq!(code(&[8; 16], &RK, &sealed), Code::Crypto);
    assert_eq!(code(&USER, &[8; 32], &sealed), Code::Crypto);
    for at in 0..sealed.len() {
        let mut flipped = sealed.clone();
        flipped[at] ^= 0x10;
        let wanted = if at == 0 { Code::Format } else { Code::Crypto };
        assert_eq!(code(&USER, &RK, &flipped), wanted, "byte {at}");
        assert!(open(&USER, &RK, &sealed[..at]).is_err(), "cut at {at}");
    }
    assert_eq!(code(&USER, &RK, &vec![1; BYTES_MAX + 1]), Code::Limit);
    assert_eq!(code(&USER, &RK, &[]), Code::Format);
}

#[test]
fn two_vaults_of_one_content_differ() {
    let (one, other) = (seal(&RK, &sample(1), &USER), seal(&RK, &sample(1), &USER));
    assert_ne!(one.unwrap(), other.unwrap());
}

#[test]
fn no_randomness_no_vault() {
    crate::testing::break_random(true);
    let sealed = seal(&RK, &sample(1), &USER);
    crate::testing::break_random(false);
    assert_eq!(sealed.unwrap_err().code, Code::Random);
}
