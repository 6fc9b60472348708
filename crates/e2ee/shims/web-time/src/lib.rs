// SPDX-License-Identifier: Apache-2.0
//! Stands in for `web-time`: the clock is what the host said last (`pe_now`), in whole seconds.
//! Only what openmls uses of `std::time` is here.
#![forbid(unsafe_code)]
use core::ops::{Add, Sub};
use core::sync::atomic::{AtomicU64, Ordering};

pub use core::time::Duration;

static UNIX_SECONDS: AtomicU64 = AtomicU64::new(0);

/// From now on it is `unix_s`.
pub fn set_now(unix_s: u64) {
    UNIX_SECONDS.store(unix_s, Ordering::Relaxed);
}

/// Time since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SystemTime(Duration);

pub const UNIX_EPOCH: SystemTime = SystemTime(Duration::ZERO);

/// The other time was later, by this much.
#[derive(Clone, Debug)]
pub struct SystemTimeError(Duration);

impl SystemTimeError {
    pub fn duration(&self) -> Duration {
        self.0
    }
}

impl core::fmt::Display for SystemTimeError {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        out.write_str("the other time is later")
    }
}

impl std::error::Error for SystemTimeError {}

impl SystemTime {
    pub const UNIX_EPOCH: SystemTime = UNIX_EPOCH;

    pub fn now() -> Self {
        SystemTime(Duration::from_secs(UNIX_SECONDS.load(Ordering::Relaxed)))
    }

    pub fn duration_since(&self, earlier: SystemTime) -> Result<Duration, SystemTimeError> {
        self.0.checked_sub(earlier.0).ok_or(SystemTimeError(earlier.0.saturating_sub(self.0)))
    }

    pub fn elapsed(&self) -> Result<Duration, SystemTimeError> {
        Self::now().duration_since(*self)
    }

    pub fn checked_add(&self, more: Duration) -> Option<Self> {
        self.0.checked_add(more).map(SystemTime)
    }

    pub fn checked_sub(&self, less: Duration) -> Option<Self> {
        self.0.checked_sub(less).map(SystemTime)
    }
}

impl Add<Duration> for SystemTime {
    type Output = Self;

    fn add(self, more: Duration) -> Self {
        SystemTime(self.0 + more)
    }
}

impl Sub<Duration> for SystemTime {
    type Output = Self;

    fn sub(self, less: Duration) -> Self {
        SystemTime(self.0 - less)
    }
}
