// SPDX-License-Identifier: Apache-2.0
//! The time that the host said last; the one state of the process.

/// `pe_now`.
pub(crate) fn set(unix_s: u64) {
    web_time::set_now(unix_s);
}

/// Seconds since 1970; 0 before the first `pe_now`.
pub(crate) fn now() -> u64 {
    web_time::SystemTime::now()
        .duration_since(web_time::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
