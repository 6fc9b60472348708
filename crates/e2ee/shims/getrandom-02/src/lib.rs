// SPDX-License-Identifier: Apache-2.0
//! Stands in for `getrandom` 0.2: every byte comes from the host's `parley_random`.
#![no_std]
#[cfg(feature = "std")]
extern crate std;

use core::fmt;
use core::num::NonZeroU32;

extern "C" {
    fn parley_random(p: *mut u8, n: usize) -> i32;
}

/// The host gave none.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Error(NonZeroU32);

impl Error {
    pub const INTERNAL_START: u32 = 1 << 31;
    pub const CUSTOM_START: u32 = (1 << 31) + (1 << 30);
    pub const UNSUPPORTED: Error = Error(NonZeroU32::MIN.saturating_add(Self::INTERNAL_START - 1));

    pub fn raw_os_error(self) -> Option<i32> {
        None
    }

    pub const fn code(self) -> NonZeroU32 {
        self.0
    }
}

impl From<NonZeroU32> for Error {
    fn from(code: NonZeroU32) -> Self {
        Error(code)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("parley_random failed")
    }
}

#[cfg(feature = "std")]
impl std::error::Error for Error {}

#[cfg(feature = "std")]
impl From<Error> for std::io::Error {
    fn from(error: Error) -> Self {
        std::io::Error::other(error)
    }
}

pub fn getrandom(out: &mut [u8]) -> Result<(), Error> {
    if out.is_empty() {
        return Ok(());
    }
    // SAFETY: the host writes at most `len` bytes at the pointer of a live, exclusive slice.
    let failed = unsafe { parley_random(out.as_mut_ptr(), out.len()) } != 0;
    if failed {
        Err(Error::UNSUPPORTED)
    } else {
        Ok(())
    }
}
