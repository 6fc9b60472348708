// SPDX-License-Identifier: Apache-2.0
//! The MLS groups of a context (e2ee §§5, 6, 15).

/// The groups that are loaded.
#[derive(Default)]
pub(crate) struct Groups {}

impl Groups {
    /// The host could not store a delta: no group in memory may be believed.
    pub fn unload_all(&mut self) {}
}
