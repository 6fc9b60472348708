// SPDX-License-Identifier: Apache-2.0
//! The boundary, and the only place with `unsafe`. What the caller promises is said once, in the
//! header: pointers that point at what their type and length say, live for the call, and are not
//! shared with another thread. Here NULL is refused where it cannot be meant, panics stop, and
//! what goes out belongs to the crate until `pe_buf_free`.
#![allow(unsafe_code)]
mod account;
mod content;
mod group;
#[cfg(target_arch = "wasm32")]
mod heap;
pub(crate) mod host;
mod package;
mod panic;
mod run;

use std::ffi::c_int;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::ptr;

use zeroize::Zeroize;

use crate::context::Context;
use crate::error::{arg, Code, Error, Result};
use crate::Id;

/// `pe_buf`.
#[repr(C)]
pub struct Buf {
    p: *mut u8,
    n: usize,
}

impl Buf {
    /// A copy of exactly the length of `bytes`, so that `pe_buf_free` wipes all there is.
    pub(crate) fn set(&mut self, bytes: &[u8]) {
        let copy: Box<[u8]> = bytes.into();
        self.n = copy.len();
        self.p = if copy.is_empty() { ptr::null_mut() } else { Box::into_raw(copy).cast() };
    }

    /// Wipes and frees what is in it, and leaves it empty.
    ///
    /// # Safety
    /// It is empty or holds what `set` put there.
    unsafe fn free(&mut self) {
        if !self.p.is_null() {
            // SAFETY: pointer and length are those of the box that `set` gave away.
            let mut bytes = unsafe { Box::from_raw(ptr::slice_from_raw_parts_mut(self.p, self.n)) };
            bytes.zeroize();
        }
        self.p = ptr::null_mut();
        self.n = 0;
    }
}

/// IN x: NULL only for no bytes.
///
/// # Safety
/// As the header says: `p` points at `n` bytes that live as long as the call.
unsafe fn input<'a>(p: *const u8, n: usize) -> Result<&'a [u8]> {
    if n == 0 {
        Ok(&[])
    } else if p.is_null() || n > isize::MAX as usize {
        Err(arg("an input is NULL, or longer than memory"))
    } else {
        // SAFETY: by the promise above, and not NULL.
        Ok(unsafe { std::slice::from_raw_parts(p, n) })
    }
}

/// An id of 16 bytes.
///
/// # Safety
/// `p` is NULL or points at 16 bytes that live as long as the call.
unsafe fn id<'a>(p: *const u8) -> Result<&'a Id> {
    // SAFETY: by the promise above; an array of bytes needs no alignment.
    unsafe { p.cast::<Id>().as_ref() }.ok_or(arg("an id is NULL"))
}

/// out x: asked for before any work is done; empty until the call succeeds. What the caller left in
/// it is not freed: the header asks for an empty one.
///
/// # Safety
/// `p` is NULL or points at a `pe_buf` that nobody else uses during the call.
unsafe fn output<'a>(p: *mut Buf) -> Result<&'a mut Buf> {
    // SAFETY: by the promise above.
    let out = unsafe { p.as_mut() }.ok_or(arg("an output is NULL"))?;
    out.p = ptr::null_mut();
    out.n = 0;
    Ok(out)
}

/// A call without a context: no panic leaves it, and there is nobody to tell a text.
fn pure(call: impl FnOnce() -> Result<()>) -> c_int {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(())) => 0,
        Ok(Err(error)) => error.code as c_int,
        Err(payload) => {
            panic::forget(payload);
            Code::Internal as c_int
        }
    }
}

/// A call on a context: its error text is kept; after a panic the context is dead.
///
/// # Safety
/// `ctx` is NULL or came from `pe_open`, is not closed and in use by this call alone.
unsafe fn with(ctx: *mut Context, call: impl FnOnce(&mut Context) -> Result<()>) -> c_int {
    // SAFETY: by the promise above.
    let Some(context) = (unsafe { ctx.as_mut() }) else {
        return Code::Arg as c_int;
    };
    if context.dead {
        return Code::Internal as c_int;
    }
    match catch_unwind(AssertUnwindSafe(|| call(context))) {
        Ok(Ok(())) => 0,
        Ok(Err(error)) => fail(context, &error),
        Err(payload) => {
            panic::forget(payload);
            context.dead = true;
            context.last_error = panic::text();
            Code::Internal as c_int
        }
    }
}

fn fail(context: &mut Context, error: &Error) -> c_int {
    context.last_error = error.text();
    error.code as c_int
}

#[cfg(test)]
#[path = "hostile_test.rs"]
mod hostile;
#[cfg(test)]
#[path = "ffi_test.rs"]
mod tests;
