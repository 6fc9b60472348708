// SPDX-License-Identifier: Apache-2.0
//! content: messages. All but sealing are pure: a second tab or a push worker can open.
use std::ffi::c_int;

use super::{id, input, output, pure, with, Buf};
use crate::content::{self, HEADER_BYTES};
use crate::context::Context;
use crate::error::{arg, Result};

/// # Safety
/// As `input`.
unsafe fn key<'a>(p: *const u8, n: usize) -> Result<&'a [u8; 32]> {
    // SAFETY: by the promise above.
    let bytes = unsafe { input(p, n) }?;
    bytes.try_into().map_err(|_| arg("a key has 32 bytes"))
}

#[no_mangle]
pub unsafe extern "C" fn pe_msg_seal(
    ctx: *mut Context,
    k: *const u8,
    k_n: usize,
    hdr: *const u8,
    hdr_n: usize,
    content: *const u8,
    content_n: usize,
    env: *mut Buf,
) -> c_int {
    // SAFETY: as the header says.
    unsafe {
        with(ctx, |context| {
            let (out, k) = (output(env)?, key(k, k_n)?);
            let (header, mid) = input(hdr, hdr_n)?
                .split_at_checked(HEADER_BYTES)
                .ok_or(arg("a header has 76 bytes, and the mid follows it"))?;
            let mid = mid.try_into().map_err(|_| arg("a mid has 16 bytes"))?;
            let keys = (context.account()?, context.device()?);
            out.set(&content::seal(keys, k, header, mid, input(content, content_n)?)?);
            Ok(())
        })
    }
}

#[no_mangle]
pub unsafe extern "C" fn pe_msg_peek(env: *const u8, env_n: usize, hdr: *mut Buf) -> c_int {
    pure(|| {
        // SAFETY: as the header says.
        let (out, envelope) = unsafe { (output(hdr)?, input(env, env_n)?) };
        out.set(content::peek(envelope)?);
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn pe_msg_open(
    k: *const u8,
    k_n: usize,
    user_id: *const u8,
    mid: *const u8,
    sigpub: *const u8,
    sigpub_n: usize,
    env: *const u8,
    env_n: usize,
    content: *mut Buf,
) -> c_int {
    pure(|| {
        // SAFETY: as the header says.
        unsafe {
            let (out, k, sigpub) = (output(content)?, key(k, k_n)?, key(sigpub, sigpub_n)?);
            let sender = (id(user_id)?, id(mid)?);
            out.set(&content::open(k, sender, sigpub, input(env, env_n)?)?);
        }
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn pe_msg_reveal(
    k: *const u8,
    k_n: usize,
    user_id: *const u8,
    mid: *const u8,
    env: *const u8,
    env_n: usize,
    m: *mut Buf,
) -> c_int {
    pure(|| {
        // SAFETY: as the header says.
        unsafe {
            let (out, k) = (output(m)?, key(k, k_n)?);
            let sender = (id(user_id)?, id(mid)?);
            out.set(&content::reveal(k, sender, input(env, env_n)?)?[..]);
        }
        Ok(())
    })
}
