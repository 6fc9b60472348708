// SPDX-License-Identifier: Apache-2.0
//! The recovery key as people read and type it (e2ee §3): 14 groups of 4 letters of Crockford's
//! base32, which are 256 bits and a checksum of 24.
use zeroize::Zeroizing;

use crate::error::{format, Result};
use crate::primitives::{sha256, Secret};

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const LETTERS: usize = 56;
const GROUP: usize = 4;
const CHECK_BYTES: usize = 3;

fn check(rk: &[u8; 32]) -> [u8; CHECK_BYTES] {
    let hash = sha256(&[b"parley/rk/v1\0", rk]);
    [hash[0], hash[1], hash[2]]
}

/// `XXXX-XXXX-…`
pub(crate) fn text(rk: &[u8; 32]) -> Zeroizing<String> {
    let mut bytes = Zeroizing::new([0u8; 35]);
    bytes[..32].copy_from_slice(rk);
    bytes[32..].copy_from_slice(&check(rk));
    let mut out = Zeroizing::new(String::with_capacity(LETTERS + LETTERS / GROUP));
    for letter in 0..LETTERS {
        if letter > 0 && letter % GROUP == 0 {
            out.push('-');
        }
        out.push(char::from(ALPHABET[usize::from(five_bits(&bytes, letter))]));
    }
    out
}

/// The five bits at `letter`, the first ones highest.
fn five_bits(bytes: &[u8; 35], letter: usize) -> u8 {
    let (at, shift) = (letter * 5 / 8, letter * 5 % 8);
    let next = bytes.get(at + 1).copied().unwrap_or(0);
    let pair = u16::from(bytes[at]) << 8 | u16::from(next);
    (pair >> (11 - shift) & 31) as u8
}

/// Small letters, and O, I and L for 0 and 1, are as good; spaces and hyphens may stand anywhere.
pub(crate) fn parse(text: &[u8]) -> Result<Secret> {
    let mut bytes = Zeroizing::new([0u8; 35]);
    let mut letters = 0;
    for &letter in text {
        if matches!(letter, b' ' | b'-' | b'\t' | b'\r' | b'\n') {
            continue;
        }
        let bits = value(letter).ok_or(format(
            "a character is none of a recovery key: it has digits and letters, without U",
        ))?;
        if letters == LETTERS {
            return Err(format("a recovery key has 14 groups of 4 characters; this has more"));
        }
        let (at, shift) = (letters * 5 / 8, letters * 5 % 8);
        let pair = u16::from(bits) << (11 - shift);
        bytes[at] |= (pair >> 8) as u8;
        if let Some(next) = bytes.get_mut(at + 1) {
            *next |= pair as u8;
        }
        letters += 1;
    }
    if letters < LETTERS {
        return Err(format("a recovery key has 14 groups of 4 characters; this has fewer"));
    }
    let mut rk = Zeroizing::new([0; 32]);
    rk.copy_from_slice(&bytes[..32]);
    if bytes[32..] != check(&rk) {
        return Err(format("a character of the recovery key is wrong: compare it with your copy"));
    }
    Ok(rk)
}

fn value(letter: u8) -> Option<u8> {
    let letter = match letter.to_ascii_uppercase() {
        b'O' => b'0',
        b'I' | b'L' => b'1',
        other => other,
    };
    ALPHABET.iter().position(|known| *known == letter).map(|at| at as u8)
}

#[cfg(test)]
#[path = "recovery_test.rs"]
mod tests;
