// SPDX-License-Identifier: Apache-2.0
//! The boundary as a host meets it. tests/e2ee does the same from C.
use std::ptr::{null, null_mut};

use super::account::*;
use super::content::*;
use super::run::*;
use super::*;
use crate::testing::{break_random, change, freed_with, listed, seed};

const OK: c_int = 0;
const CFG: &[u8] = &[1, 1, 0, 1];

fn buf() -> Buf {
    Buf { p: null_mut(), n: 0 }
}

/// Copies what is in it, and frees it.
fn taken(buf: &mut Buf) -> Vec<u8> {
    // SAFETY: filled by a call of this crate.
    let bytes = unsafe { input(buf.p, buf.n) }.unwrap().to_vec();
    // SAFETY: the same.
    unsafe { pe_buf_free(buf) };
    assert!(buf.p.is_null() && buf.n == 0);
    bytes
}

fn opened() -> *mut Context {
    let mut ctx = null_mut();
    // SAFETY: slices and a pointer of ours.
    assert_eq!(unsafe { pe_open(CFG.as_ptr(), CFG.len(), &mut ctx) }, OK);
    ctx
}

fn error_of(ctx: *mut Context) -> String {
    let mut text = buf();
    // SAFETY: an open context.
    assert_eq!(unsafe { pe_last_error(ctx, &mut text) }, OK);
    String::from_utf8(taken(&mut text)).unwrap()
}

#[test]
fn configurations() {
    let code = |cfg: &[u8]| {
        let mut ctx = null_mut();
        // SAFETY: slices and a pointer of ours.
        unsafe {
            let code = pe_open(cfg.as_ptr(), cfg.len(), &mut ctx);
            pe_close(ctx);
            code
        }
    };
    assert_eq!(code(&[1, 2, 0, 0x4E, 0, 1]), OK);
    assert_eq!(code(&[1, 1, 0, 2]), Code::Suite as c_int);
    for bad in [
        &[][..],
        &[1],
        &[2, 1, 0, 1],
        &[1, 0],
        &[1, 2, 0, 1],
        &[1, 2, 0, 1, 0, 1],
        &[1, 1, 0, 1, 0],
    ] {
        assert_eq!(code(bad), Code::Format as c_int, "{bad:?}");
    }
    break_random(true);
    let without = code(CFG);
    break_random(false);
    assert_eq!(without, Code::Random as c_int);
    // SAFETY: NULL is what is tried.
    assert_eq!(unsafe { pe_open(null(), 4, null_mut()) }, Code::Arg as c_int);
    assert_eq!(pe_abi_version(), 1);
}

#[test]
fn null_is_an_argument_not_an_end() {
    let ctx = opened();
    let (id, arg) = ([1u8; 16], Code::Arg as c_int);
    let mut out = buf();
    // SAFETY: NULL is what is tried, everything else is ours.
    unsafe {
        assert_eq!(pe_account_create(null_mut(), id.as_ptr(), &mut out), arg);
        assert_eq!(pe_account_create(ctx, null(), &mut out), arg);
        assert_eq!(pe_account_create(ctx, id.as_ptr(), null_mut()), arg);
        assert_eq!(pe_restore(ctx, null(), 9), arg);
        assert_eq!(pe_restore(ctx, id.as_ptr(), usize::MAX), arg);
        assert_eq!(pe_last_error(null_mut(), &mut out), arg);
        assert_eq!(pe_rk_text(id.as_ptr(), 16, &mut out), arg);
        assert_eq!(pe_msg_peek(null(), 0, null_mut()), arg);
        assert_eq!(pe_msg_peek(null(), 0, &mut out), Code::Format as c_int);
        pe_buf_free(null_mut());
        pe_buf_free(&mut out);
        pe_close(null_mut());
        assert_eq!(pe_delta_take(ctx, &mut out), OK);
        assert!(taken(&mut out).is_empty());
        pe_close(ctx);
    }
}

#[test]
fn a_panic_stops_at_the_boundary_and_kills_the_context() {
    let ctx = opened();
    let mut out = buf();
    // SAFETY: an open context.
    unsafe {
        assert_eq!(with(ctx, |_| panic!("a secret")), Code::Internal as c_int);
        let text = error_of(ctx);
        assert!(!text.contains("secret") && text.contains("open it again"), "{text}");
        assert_eq!(pe_delta_take(ctx, &mut out), Code::Internal as c_int);
        assert_eq!(pe_account_create(ctx, [1; 16].as_ptr(), &mut out), Code::Internal as c_int);
        pe_close(ctx);
    }
    assert_eq!(pure(|| panic!("a secret")), Code::Internal as c_int);
    assert_eq!(pure(|| std::panic::panic_any(Bomb)), Code::Internal as c_int);
}

/// Panics once more when the payload is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("again");
        }
    }
}

#[test]
fn the_delta_rule() {
    let ctx = opened();
    let (mut out, state) = (buf(), Code::State as c_int);
    // SAFETY: an open context, ids and buffers of ours.
    unsafe {
        assert_eq!(pe_device_create(ctx, [2; 16].as_ptr(), 1, &mut out), state);
        assert_eq!(pe_account_create(ctx, [1; 16].as_ptr(), &mut out), OK);
        assert_eq!(taken(&mut out).len(), 32);
        assert_eq!(pe_device_create(ctx, [2; 16].as_ptr(), 1, &mut out), state);
        assert!(error_of(ctx).contains("store them first"));
        assert!(out.p.is_null());
        assert_eq!(pe_delta_take(ctx, &mut out), OK);
        let rows = taken(&mut out);
        assert_eq!(pe_device_create(ctx, [2; 16].as_ptr(), 1, &mut out), OK);
        taken(&mut out);
        assert_eq!(pe_delta_drop(ctx), OK);
        assert_eq!(pe_facts(ctx, &mut out), OK);
        assert_eq!(taken(&mut out)[1], 1);
        let again = opened();
        assert_eq!(pe_restore(again, rows.as_ptr(), rows.len()), OK);
        pe_close(ctx);
        pe_close(again);
    }
}

/// One life of an account, all outputs freed; the secrets it had, which are not on the heap here.
fn life() -> [[u8; 32]; 8] {
    let (mut told, mut out) = ([[0; 32]; 8], buf());
    let ctx = opened();
    // SAFETY: an open context, slices and buffers of ours.
    unsafe {
        assert_eq!(pe_account_create(ctx, [1; 16].as_ptr(), &mut out), OK);
        let mut rk = [0; 32];
        rk.copy_from_slice(input(out.p, out.n).unwrap());
        pe_buf_free(&mut out);
        let aik = *(*ctx).opened.as_ref().unwrap().aik.seed();
        let delta = |ctx| {
            let mut out = buf();
            assert_eq!(pe_delta_take(ctx, &mut out), OK);
            pe_buf_free(&mut out);
        };
        delta(ctx);
        assert_eq!(pe_device_create(ctx, [2; 16].as_ptr(), 1, &mut out), OK);
        let sigpub: [u8; 32] = taken(&mut out).try_into().unwrap();
        delta(ctx);
        let added = change(0, "ann", &[(2, sigpub)], &[]);
        assert_eq!(pe_devlist_sign(ctx, null(), 0, added.as_ptr(), added.len(), &mut out), OK);
        let chain = listed(&[&taken(&mut out)]);
        assert_eq!(pe_devlist_verify(chain.as_ptr(), chain.len(), null(), 0, &mut out), OK);
        taken(&mut out);
        assert_eq!(pe_vault_seal(ctx, rk.as_ptr(), 32, 1, &mut out), OK);
        let vault = taken(&mut out);
        assert_eq!(
            pe_account_recover(ctx, [1; 16].as_ptr(), rk.as_ptr(), 32, vault.as_ptr(), vault.len()),
            OK
        );
        delta(ctx);
        let seeds = [
            *(*ctx).account.as_ref().unwrap().dsk.seed(),
            *(*ctx).device.as_ref().unwrap().key.seed(),
        ];
        assert_eq!(pe_rotate(ctx, rk.as_ptr(), 32, &mut out), OK);
        pe_buf_free(&mut out);
        delta(ctx);
        let keys = &(*ctx).account.as_ref().unwrap().backup_keys;
        told[..4].copy_from_slice(&[rk, aik, seeds[0], seeds[1]]);
        told[4..6].copy_from_slice(&[*keys[0].key, *keys[1].key]);
        assert_eq!(pe_rk_text(rk.as_ptr(), 32, &mut out), OK);
        let text = out;
        out = buf();
        assert_eq!(pe_rk_parse(text.p, text.n, &mut out), OK);
        pe_buf_free(&mut out);
        let mut text = text;
        told[6].copy_from_slice(&input(text.p, text.n).unwrap()[..32]);
        pe_buf_free(&mut text);
        message(ctx, &sigpub);
        pe_close(ctx);
    }
    told[7].copy_from_slice(CONTENT);
    told
}

const CONTENT: &[u8; 32] = b"what is said is for nobody else.";
const EPOCH_KEY: [u8; 32] = [0xe7; 32];

/// Seals, opens and reveals one message.
unsafe fn message(ctx: *mut Context, sigpub: &[u8; 32]) {
    let mut header = vec![1, 0];
    header.extend_from_slice(&[3; 16]);
    header.extend_from_slice(&[0, 1, 0, 0, 0, 0, 0, 0, 0, 4]);
    header.extend_from_slice(&[2; 16]);
    header.extend_from_slice(&7u64.to_be_bytes());
    header.extend_from_slice(&[0; 24]);
    header.extend_from_slice(&[6; 16]);
    let (k, mid, mut out) = (EPOCH_KEY.as_ptr(), [6; 16], buf());
    // SAFETY: as in `life`.
    unsafe {
        let (hdr, said) = (header.as_ptr(), CONTENT.as_ptr());
        assert_eq!(pe_msg_seal(ctx, k, 32, hdr, header.len(), said, 32, &mut out), OK);
        let env = taken(&mut out);
        let (user, sigpub) = ([1; 16], sigpub.as_ptr());
        let (e, n) = (env.as_ptr(), env.len());
        assert_eq!(pe_msg_open(k, 32, user.as_ptr(), mid.as_ptr(), sigpub, 32, e, n, &mut out), OK);
        assert_eq!(input(out.p, out.n).unwrap(), CONTENT);
        pe_buf_free(&mut out);
        assert_eq!(pe_msg_reveal(k, 32, user.as_ptr(), mid.as_ptr(), e, n, &mut out), OK);
        pe_buf_free(&mut out);
        assert_eq!(pe_msg_peek(e, n, &mut out), OK);
        assert_eq!(taken(&mut out).len(), 76);
    }
}

#[test]
fn no_secret_is_left_in_memory_that_was_freed() {
    seed(77);
    let secrets = life();
    seed(77);
    let mut again = [[0; 32]; 8];
    assert_eq!(freed_with(&secrets, || again = life()), 0);
    assert!(again == secrets, "the same seed, the same life");
    assert_eq!(freed_with(&secrets, || drop(secrets[3].to_vec())), 1, "the search finds");
}
