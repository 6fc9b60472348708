// SPDX-License-Identifier: Apache-2.0
//! Stands in for `getrandom` 0.4: every byte comes from the host's `parley_random`.
#![no_std]
#[cfg(feature = "std")]
extern crate std;

use core::fmt;
use core::mem::MaybeUninit;

#[cfg(feature = "sys_rng")]
pub use rand_core;

extern "C" {
    fn parley_random(p: *mut u8, n: usize) -> i32;
}

pub type RawOsError = i32;

/// The host gave none.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Error(());

impl Error {
    pub const UNSUPPORTED: Error = Error(());
    pub const UNEXPECTED: Error = Error(());

    pub fn raw_os_error(self) -> Option<RawOsError> {
        None
    }

    pub const fn new_custom(_: u16) -> Error {
        Error(())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("parley_random failed")
    }
}

impl core::error::Error for Error {}

#[cfg(feature = "std")]
impl From<Error> for std::io::Error {
    fn from(error: Error) -> Self {
        std::io::Error::other(error)
    }
}

pub fn fill(out: &mut [u8]) -> Result<(), Error> {
    if out.is_empty() {
        return Ok(());
    }
    // SAFETY: the host writes at most `len` bytes at the pointer of a live, exclusive slice.
    let failed = unsafe { parley_random(out.as_mut_ptr(), out.len()) } != 0;
    if failed {
        Err(Error(()))
    } else {
        Ok(())
    }
}

pub fn fill_uninit(out: &mut [MaybeUninit<u8>]) -> Result<&mut [u8], Error> {
    out.fill(MaybeUninit::new(0));
    // SAFETY: every byte was written on the line above; the borrow goes on in the result.
    let bytes =
        unsafe { core::slice::from_raw_parts_mut(out.as_mut_ptr().cast::<u8>(), out.len()) };
    fill(bytes)?;
    Ok(bytes)
}

pub fn u32() -> Result<u32, Error> {
    let mut bytes = [0; 4];
    fill(&mut bytes)?;
    Ok(u32::from_ne_bytes(bytes))
}

pub fn u64() -> Result<u64, Error> {
    let mut bytes = [0; 8];
    fill(&mut bytes)?;
    Ok(u64::from_ne_bytes(bytes))
}

#[cfg(feature = "sys_rng")]
#[derive(Clone, Copy, Debug, Default)]
pub struct SysRng;

#[cfg(feature = "sys_rng")]
impl rand_core::TryRng for SysRng {
    type Error = Error;

    fn try_next_u32(&mut self) -> Result<u32, Error> {
        u32()
    }

    fn try_next_u64(&mut self) -> Result<u64, Error> {
        u64()
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Error> {
        fill(out)
    }
}

#[cfg(feature = "sys_rng")]
impl rand_core::TryCryptoRng for SysRng {}
