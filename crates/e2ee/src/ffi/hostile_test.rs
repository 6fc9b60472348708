// SPDX-License-Identifier: Apache-2.0
//! Hostile bytes into every reader, through the boundary: good inputs cut, flipped, spliced and
//! with lengths of all ones. Whatever comes must be an error that the header names for it, never
//! PE_E_INTERNAL (a panic), and an output exactly if it is none. PARLEY_ROUNDS makes more of them.
use std::ptr::{null, null_mut};

use super::account::*;
use super::content::*;
use super::run::*;
use super::*;
use crate::random;
use crate::testing::{listed, person, seed};

fn number(below: usize) -> usize {
    let mut bytes = [0; 8];
    random::fill(&mut bytes).unwrap();
    usize::from_le_bytes(bytes) % below.max(1)
}

fn spoil(good: &[u8]) -> Vec<u8> {
    let mut bytes = good.to_vec();
    for _ in 0..=number(3) {
        let (at, to) = (number(bytes.len()), number(bytes.len()));
        match number(6) {
            0 => bytes.truncate(at),
            1 if at < bytes.len() => bytes[at] ^= 1 << number(8),
            2 => bytes.iter_mut().skip(at).take(4).for_each(|byte| *byte = 0xff),
            3 => bytes.iter_mut().skip(at).take(1 + number(32)).for_each(|byte| *byte = 0),
            4 => bytes
                .splice(at.min(to)..at.max(to), good.iter().copied().take(number(64)))
                .for_each(drop),
            _ => bytes.resize(bytes.len() + number(300), number(256) as u8),
        }
    }
    bytes
}

fn rounds() -> usize {
    std::env::var("PARLEY_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3000)
}

/// Feeds spoiled copies of each input; `call` returns the code and what came out.
fn feed(name: &str, goods: &[Vec<u8>], codes: &[Code], call: impl Fn(&[u8], &mut Buf) -> c_int) {
    let mut taken = 0;
    for round in 0..rounds() {
        let bytes = spoil(&goods[round % goods.len()]);
        let mut out = Buf { p: null_mut(), n: 0 };
        let code = call(&bytes, &mut out);
        let known = codes.iter().any(|known| *known as c_int == code);
        assert!(code == 0 || known, "{name}: {code} in round {round}");
        assert!(code == 0 || out.p.is_null(), "{name}: bytes beside error {code}");
        taken += usize::from(code == 0);
        // SAFETY: empty, or filled by the call.
        unsafe { pe_buf_free(&mut out) };
    }
    assert!(taken < rounds() / 2, "{name}: nothing was spoiled");
}

#[test]
fn lists_and_states() {
    let ann = person(1);
    let chain = listed(&[&ann.list]);
    seed(1);
    let codes = [Code::Format, Code::Devlist, Code::Identity, Code::Limit, Code::Arg];
    feed("chain", &[chain.clone(), listed(&[&ann.list, &ann.list])], &codes, |bytes, out| {
        // SAFETY: slices and a buffer of ours.
        unsafe { pe_devlist_verify(bytes.as_ptr(), bytes.len(), null(), 0, out) }
    });
    feed("state", &[ann.state], &codes, |bytes, out| {
        // SAFETY: the same.
        unsafe { pe_devlist_verify(chain.as_ptr(), chain.len(), bytes.as_ptr(), bytes.len(), out) }
    });
}

#[test]
fn envelopes() {
    let vectors = include_str!("../../vectors/content.txt");
    let field = |name: &str| -> Vec<Vec<u8>> {
        let lines = vectors.lines().filter_map(|line| line.strip_prefix(name));
        lines.map(|hex| (0..hex.len() / 2).map(|at| byte(hex, at)).collect()).collect()
    };
    let (envelopes, keys) = (field("envelope "), field("k "));
    seed(2);
    let codes = [Code::Format, Code::Crypto, Code::Limit, Code::Arg];
    feed("open", &envelopes, &codes, |bytes, out| {
        let (k, id) = (&keys[0], [60; 16]);
        let (p, n) = (bytes.as_ptr(), bytes.len());
        // SAFETY: slices and a buffer of ours.
        unsafe { pe_msg_open(k.as_ptr(), 32, id.as_ptr(), id.as_ptr(), k.as_ptr(), 32, p, n, out) }
    });
    feed("reveal", &envelopes, &codes, |bytes, out| {
        let (k, id) = (&keys[0], [60; 16]);
        let (p, n) = (bytes.as_ptr(), bytes.len());
        // SAFETY: the same.
        unsafe { pe_msg_reveal(k.as_ptr(), 32, id.as_ptr(), id.as_ptr(), p, n, out) }
    });
}

fn byte(hex: &str, at: usize) -> u8 {
    u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()
}

#[test]
fn vaults_rows_keys_and_configurations() {
    let mut ann = person(1);
    let rk = ann.rk;
    let vault = crate::account::seal_vault(&mut ann.context, &rk, 1).unwrap();
    let text = crate::recovery::text(&rk).as_bytes().to_vec();
    let mut fresh = crate::context::Context::open(&[1, 1, 0, 1]).unwrap();
    fresh.mutate(|context| crate::account::create(context, &[1; 16])).unwrap();
    let rows = fresh.rows.take().to_vec();
    seed(3);
    feed("vault", &[vault], &[Code::Format, Code::Crypto, Code::Limit], |bytes, _| {
        on_a_fresh_one(|ctx| {
            let (p, n) = (bytes.as_ptr(), bytes.len());
            // SAFETY: an open context and slices of ours.
            unsafe { pe_account_recover(ctx, [1; 16].as_ptr(), rk.as_ptr(), 32, p, n) }
        })
    });
    feed("rows", &[rows], &[Code::Format], |bytes, _| {
        // SAFETY: the same.
        on_a_fresh_one(|ctx| unsafe { pe_restore(ctx, bytes.as_ptr(), bytes.len()) })
    });
    feed("text", &[text], &[Code::Format], |bytes, out| {
        // SAFETY: slices and a buffer of ours.
        unsafe { pe_rk_parse(bytes.as_ptr(), bytes.len(), out) }
    });
    feed("cfg", &[vec![1, 2, 0, 1, 0, 0x4e]], &[Code::Format, Code::Suite], |bytes, _| {
        let mut ctx = null_mut();
        // SAFETY: the same.
        unsafe {
            let code = pe_open(bytes.as_ptr(), bytes.len(), &mut ctx);
            pe_close(ctx);
            code
        }
    });
}

fn on_a_fresh_one(call: impl FnOnce(*mut Context) -> c_int) -> c_int {
    let (mut ctx, cfg) = (null_mut(), [1, 1, 0, 1]);
    // SAFETY: slices and a pointer of ours; closed once.
    unsafe {
        assert_eq!(pe_open(cfg.as_ptr(), cfg.len(), &mut ctx), 0);
        let code = call(ctx);
        pe_close(ctx);
        code
    }
}
