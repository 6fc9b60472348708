// SPDX-License-Identifier: Apache-2.0
//! Randomness, which is the host's (`parley_random`).
use zeroize::Zeroizing;

use crate::error::{Code, Error, Result};

pub(crate) fn fill(out: &mut [u8]) -> Result<()> {
    if crate::ffi::host::random(out) {
        Ok(())
    } else {
        Err(Error::new(Code::Random, "the system gave no random numbers: nothing was made"))
    }
}

/// A fresh secret.
pub(crate) fn secret<const N: usize>() -> Result<Zeroizing<[u8; N]>> {
    let mut out = Zeroizing::new([0; N]);
    fill(&mut out[..])?;
    Ok(out)
}
