// SPDX-License-Identifier: Apache-2.0
//! What is left of a panic: the place, never its message, which may hold anything.
//!
//! The hook writes into a buffer of the process, since on wasm32 nothing runs after a trap: there
//! the host reads it from outside. Natively the text becomes the context's last error.
use std::any::Any;
use std::panic::{set_hook, PanicHookInfo};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::Once;

const BYTES: usize = 192;

static TEXT: [AtomicU8; BYTES] = [const { AtomicU8::new(0) }; BYTES];
static HOOK: Once = Once::new();

/// Once for the process: panics are noted, not printed.
pub(super) fn install() {
    HOOK.call_once(|| {
        if !cfg!(test) {
            set_hook(Box::new(note));
        }
    });
}

fn note(info: &PanicHookInfo<'_>) {
    if let Some(place) = info.location() {
        write(&format!("{}:{}", place.file(), place.line()));
    }
}

fn write(text: &str) {
    let bytes = text.bytes().take(BYTES - 1).chain(std::iter::repeat(0));
    for (cell, byte) in TEXT.iter().zip(bytes) {
        cell.store(byte, Ordering::Relaxed);
    }
}

/// The payload is dropped without being looked at; if even that panics, it is left where it is.
pub(super) fn forget(payload: Box<dyn Any + Send>) {
    let dropped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(payload)));
    if let Err(again) = dropped {
        std::mem::forget(again);
    }
}

/// One sentence about the last panic of the process.
pub(super) fn text() -> String {
    let place: Vec<u8> = TEXT
        .iter()
        .map(|cell| cell.load(Ordering::Relaxed))
        .take_while(|byte| *byte != 0)
        .collect();
    format!(
        "a mistake in the program ({}): close this context and open it again from its rows; please \
         report it",
        String::from_utf8_lossy(&place)
    )
}

/// The place of the last panic, ended by a zero; empty if there was none.
#[no_mangle]
pub extern "C" fn pe_panic_place() -> *const u8 {
    TEXT.as_ptr().cast()
}
