// SPDX-License-Identifier: Apache-2.0
//! packages: made and judged.
use std::ffi::c_int;

use super::{input, output, with, Buf};
use crate::context::Context;
use crate::devlist::State;
use crate::package;

#[no_mangle]
pub unsafe extern "C" fn pe_kp_generate(
    ctx: *mut Context,
    suite: u16,
    n: u32,
    last_resort: c_int,
    out: *mut Buf,
) -> c_int {
    // SAFETY: as the header says.
    unsafe {
        with(ctx, |context| {
            let out = output(out)?;
            let made = context.mutate(|c| package::generate(c, suite, n, last_resort != 0))?;
            out.set(&made);
            Ok(())
        })
    }
}

#[no_mangle]
pub unsafe extern "C" fn pe_kp_verify(
    ctx: *mut Context,
    kp: *const u8,
    kp_n: usize,
    dl_state: *const u8,
    dl_state_n: usize,
    info: *mut Buf,
) -> c_int {
    // SAFETY: as the header says.
    unsafe {
        with(ctx, |context| {
            let out = output(info)?;
            let state = State::read(input(dl_state, dl_state_n)?)?;
            out.set(&package::verify(context, input(kp, kp_n)?, &state)?);
            Ok(())
        })
    }
}
