// SPDX-License-Identifier: Apache-2.0
use super::*;
use crate::error::Code;

#[test]
fn what_is_shown_reads_back() {
    for number in 0..200u8 {
        crate::testing::seed(u64::from(number));
        let rk = crate::random::secret().unwrap();
        let shown = text(&rk);
        assert_eq!(shown.len(), 14 * 4 + 13);
        assert!(shown.split('-').all(|group| group.len() == 4));
        assert_eq!(parse(shown.as_bytes()).unwrap()[..], rk[..]);
        let typed = shown.to_lowercase().replace('-', " ").replace('0', "o").replace('1', "l");
        assert_eq!(parse(typed.as_bytes()).unwrap()[..], rk[..]);
    }
}

#[test]
fn every_wrong_character_is_noticed() {
    let shown = text(&[0x5a; 32]);
    for at in (0..shown.len()).filter(|at| shown.as_bytes()[*at] != b'-') {
        for other in ALPHABET {
            let mut typed = shown.as_bytes().to_vec();
            if typed[at] != *other {
                typed[at] = *other;
                assert_eq!(parse(&typed).unwrap_err().code, Code::Format, "{at}");
            }
        }
    }
}

#[test]
fn too_few_too_many_and_foreign_characters() {
    let shown = text(&[1; 32]);
    for cut in 0..shown.len() {
        assert_eq!(parse(&shown.as_bytes()[..cut]).unwrap_err().code, Code::Format);
    }
    for more in ["0", "Z", "-0000"] {
        assert_eq!(parse(format!("{}{more}", *shown).as_bytes()).unwrap_err().code, Code::Format);
    }
    for foreign in ["U", "u", "*", "\0", "ä", "/"] {
        let typed = shown.replacen('0', foreign, 1);
        assert_eq!(parse(typed.as_bytes()).unwrap_err().code, Code::Format, "{foreign}");
    }
    assert!(parse(format!(" \t{}\r\n", *shown).as_bytes()).is_ok());
}

#[test]
fn the_alphabet_is_crockfords() {
    assert_eq!(text(&[0; 32])[..52].replace('-', ""), "0".repeat(42));
    assert_eq!(text(&[0xff; 32])[..64].replace('-', "")[..51], "Z".repeat(51));
}
