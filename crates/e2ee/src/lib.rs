// SPDX-License-Identifier: Apache-2.0
//! The cryptography of Parley's clients (e2ee §§2–7, 15), behind `include/parley_e2ee.h`.
//!
//! Formats, signatures, MLS groups and their policy are decided here whole, so that no secret but
//! those the header names and no half-checked group crosses the boundary. Nothing here does I/O:
//! rows go out as a delta, time comes by `pe_now`, randomness by the host's `parley_random`.
//!
//! Where things are: `ffi` is the boundary and the only place with `unsafe`; `context` and `rows`
//! hold the delta rule; the other modules are plain functions over bytes.
#![deny(unsafe_code)]

mod aad;
mod account;
mod change;
mod clock;
mod content;
mod context;
mod credential;
mod devlist;
mod directory;
mod error;
mod ffi;
mod group;
#[cfg(all(test, feature = "kat"))]
mod kat;
mod mls;
mod package;
mod policy;
mod primitives;
mod provider;
mod random;
mod recovery;
mod rows;
mod rules;
mod suite;
#[cfg(test)]
mod testing;
mod vault;
#[cfg(test)]
mod vectors_test;
mod wire;
#[cfg(test)]
mod world;

/// User, device, chat and message ids.
pub(crate) type Id = [u8; 16];
