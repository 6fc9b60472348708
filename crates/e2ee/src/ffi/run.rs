// SPDX-License-Identifier: Apache-2.0
//! run: opening, rows, time, buffers.
use std::ffi::c_int;

use super::{input, output, panic, pure, with, Buf};
use crate::context::Context;
use crate::error::arg;
use crate::{clock, random};

/// Grows with every change of the header that an older host would not survive.
const ABI_VERSION: u32 = 1;

#[no_mangle]
pub extern "C" fn pe_abi_version() -> u32 {
    ABI_VERSION
}

#[no_mangle]
pub unsafe extern "C" fn pe_open(cfg: *const u8, cfg_n: usize, out: *mut *mut Context) -> c_int {
    panic::install();
    one_thread();
    pure(|| {
        // SAFETY: as the header says; NULL is refused.
        let out = unsafe { out.as_mut() }.ok_or(arg("an output is NULL"))?;
        *out = std::ptr::null_mut();
        // Libraries below end in a panic where there is no randomness at all.
        random::secret::<1>()?;
        // SAFETY: as the header says.
        let config = unsafe { input(cfg, cfg_n) }?;
        *out = Box::into_raw(Box::new(Context::open(config)?));
        Ok(())
    })
}

/// openmls hands work to rayon. With a pool of one thread, which is the caller, a seed replays byte
/// for byte. One for each thread that opens a context: a single one for the process would leave the
/// work of all other threads waiting for the first, for ever.
fn one_thread() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build();
    // Fails where this thread is in a pool already. A thread cannot leave its pool: it stays.
    if let Ok(pool) = pool {
        std::mem::forget(pool);
    }
}

#[no_mangle]
pub unsafe extern "C" fn pe_restore(ctx: *mut Context, rows: *const u8, rows_n: usize) -> c_int {
    // SAFETY: as the header says.
    unsafe { with(ctx, |context| context.restore(input(rows, rows_n)?)) }
}

#[no_mangle]
pub extern "C" fn pe_now(unix_s: u64) {
    clock::set(unix_s);
}

#[no_mangle]
pub unsafe extern "C" fn pe_close(ctx: *mut Context) {
    if !ctx.is_null() {
        // Even if dropping panics, nothing may leave.
        pure(|| {
            // SAFETY: it came from `pe_open` and, as the header says, is closed once.
            drop(unsafe { Box::from_raw(ctx) });
            Ok(())
        });
    }
}

#[no_mangle]
pub unsafe extern "C" fn pe_delta_take(ctx: *mut Context, out: *mut Buf) -> c_int {
    // SAFETY: as the header says.
    unsafe {
        with(ctx, |context| {
            output(out)?.set(&context.rows.take());
            Ok(())
        })
    }
}

#[no_mangle]
pub unsafe extern "C" fn pe_delta_drop(ctx: *mut Context) -> c_int {
    // SAFETY: as the header says.
    unsafe { with(ctx, Context::drop_delta) }
}

#[no_mangle]
pub unsafe extern "C" fn pe_buf_free(buf: *mut Buf) {
    // SAFETY: as the header says: empty, or filled by a call of this crate.
    if let Some(buf) = unsafe { buf.as_mut() } {
        // SAFETY: the same.
        unsafe { buf.free() };
    }
}

#[no_mangle]
pub unsafe extern "C" fn pe_last_error(ctx: *mut Context, out: *mut Buf) -> c_int {
    pure(|| {
        // SAFETY: as the header says; also a dead context has a last error.
        let context = unsafe { ctx.as_ref() }.ok_or(arg("the context is NULL"))?;
        // SAFETY: the same.
        unsafe { output(out) }?.set(context.last_error.as_bytes());
        Ok(())
    })
}
