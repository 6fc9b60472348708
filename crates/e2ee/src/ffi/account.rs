// SPDX-License-Identifier: Apache-2.0
//! account: keys, vault, recovery key, signatures, device lists.
use std::ffi::c_int;

use super::{id, input, output, pure, with, Buf};
use crate::context::Context;
use crate::error::{arg, Result};
use crate::{account, devlist, recovery, vault};

/// # Safety
/// As `input`.
unsafe fn recovery_key<'a>(p: *const u8, n: usize) -> Result<&'a [u8; 32]> {
    // SAFETY: by the promise above.
    let bytes = unsafe { input(p, n) }?;
    bytes.try_into().map_err(|_| arg("a recovery key has 32 bytes"))
}

#[no_mangle]
pub unsafe extern "C" fn pe_account_create(
    ctx: *mut Context,
    user_id: *const u8,
    rk: *mut Buf,
) -> c_int {
    // SAFETY: as the header says.
    unsafe {
        with(ctx, |context| {
            let (out, user) = (output(rk)?, id(user_id)?);
            out.set(&context.mutate(|context| account::create(context, user))?[..]);
            Ok(())
        })
    }
}

#[no_mangle]
pub unsafe extern "C" fn pe_account_recover(
    ctx: *mut Context,
    user_id: *const u8,
    rk: *const u8,
    rk_n: usize,
    vault: *const u8,
    vault_n: usize,
) -> c_int {
    // SAFETY: as the header says.
    unsafe {
        with(ctx, |context| {
            let (user, rk) = (id(user_id)?, recovery_key(rk, rk_n)?);
            let vault = input(vault, vault_n)?;
            context.mutate(|context| account::recover(context, user, rk, vault))
        })
    }
}

#[no_mangle]
pub unsafe extern "C" fn pe_vault_seal(
    ctx: *mut Context,
    rk: *const u8,
    rk_n: usize,
    ver: u32,
    vault: *mut Buf,
) -> c_int {
    // SAFETY: as the header says.
    unsafe {
        with(ctx, |context| {
            let (out, rk) = (output(vault)?, recovery_key(rk, rk_n)?);
            out.set(&account::seal_vault(context, rk, ver)?);
            Ok(())
        })
    }
}

#[no_mangle]
pub unsafe extern "C" fn pe_rotate(
    ctx: *mut Context,
    rk: *const u8,
    rk_n: usize,
    out: *mut Buf,
) -> c_int {
    // SAFETY: as the header says.
    unsafe {
        with(ctx, |context| {
            let (out, rk) = (output(out)?, recovery_key(rk, rk_n)?);
            out.set(&context.mutate(|context| account::rotate(context, rk))?.to_list());
            Ok(())
        })
    }
}

#[no_mangle]
pub unsafe extern "C" fn pe_rk_text(rk: *const u8, rk_n: usize, text: *mut Buf) -> c_int {
    pure(|| {
        // SAFETY: as the header says.
        let (out, rk) = unsafe { (output(text)?, recovery_key(rk, rk_n)?) };
        out.set(recovery::text(rk).as_bytes());
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn pe_rk_parse(text: *const u8, text_n: usize, rk: *mut Buf) -> c_int {
    pure(|| {
        // SAFETY: as the header says.
        let (out, text) = unsafe { (output(rk)?, input(text, text_n)?) };
        out.set(&recovery::parse(text)?[..]);
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn pe_rk_id(rk: *const u8, rk_n: usize, rk_id: *mut Buf) -> c_int {
    pure(|| {
        // SAFETY: as the header says.
        let (out, rk) = unsafe { (output(rk_id)?, recovery_key(rk, rk_n)?) };
        out.set(&vault::rk_id(rk));
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn pe_device_create(
    ctx: *mut Context,
    device_id: *const u8,
    kind: u8,
    sigpub: *mut Buf,
) -> c_int {
    // SAFETY: as the header says.
    unsafe {
        with(ctx, |context| {
            let (out, device) = (output(sigpub)?, id(device_id)?);
            out.set(&context.mutate(|context| account::create_device(context, device, kind))?);
            Ok(())
        })
    }
}

#[no_mangle]
pub unsafe extern "C" fn pe_facts(ctx: *mut Context, facts: *mut Buf) -> c_int {
    // SAFETY: as the header says.
    unsafe {
        with(ctx, |context| {
            output(facts)?.set(&account::facts(context)?);
            Ok(())
        })
    }
}

#[no_mangle]
pub unsafe extern "C" fn pe_sign(
    ctx: *mut Context,
    purpose: u8,
    msg: *const u8,
    msg_n: usize,
    sig: *mut Buf,
) -> c_int {
    // SAFETY: as the header says.
    unsafe {
        with(ctx, |context| {
            let (out, message) = (output(sig)?, input(msg, msg_n)?);
            out.set(&account::sign(context, purpose, message)?);
            Ok(())
        })
    }
}

#[no_mangle]
pub unsafe extern "C" fn pe_devlist_sign(
    ctx: *mut Context,
    prev: *const u8,
    prev_n: usize,
    change: *const u8,
    change_n: usize,
    dl: *mut Buf,
) -> c_int {
    // SAFETY: as the header says.
    unsafe {
        with(ctx, |context| {
            let out = output(dl)?;
            let (prev, change) = (input(prev, prev_n)?, input(change, change_n)?);
            out.set(&devlist::sign(context.account()?, prev, change)?);
            Ok(())
        })
    }
}

#[no_mangle]
pub unsafe extern "C" fn pe_devlist_verify(
    chain: *const u8,
    chain_n: usize,
    pinned: *const u8,
    pinned_n: usize,
    state: *mut Buf,
) -> c_int {
    pure(|| {
        // SAFETY: as the header says.
        let (out, chain, pinned) =
            unsafe { (output(state)?, input(chain, chain_n)?, input(pinned, pinned_n)?) };
        out.set(&devlist::verify_chain(chain, pinned)?.write());
        Ok(())
    })
}
