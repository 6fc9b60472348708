// SPDX-License-Identifier: Apache-2.0
//! The one symbol that the host defines. In the crate's own tests `testing` does.
extern "C" {
    fn parley_random(p: *mut u8, n: usize) -> i32;
}

/// Fills `out`; false if the host has no randomness.
pub(crate) fn random(out: &mut [u8]) -> bool {
    // SAFETY: the host writes at most `len` bytes at the pointer of a live, exclusive slice.
    out.is_empty() || unsafe { parley_random(out.as_mut_ptr(), out.len()) } == 0
}
