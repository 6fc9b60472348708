// SPDX-License-Identifier: Apache-2.0
//! The MLS suites that a configuration may name (e2ee §2).
use crate::error::{format, Code, Error, Result};
use crate::wire::Reader;

pub(crate) const CLASSIC: u16 = 0x0001;
pub(crate) const HYBRID: u16 = 0x004E;

/// What `pe_open` is told: `v1 ‖ n u8 ‖ n × suite u16`, in order of preference.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    #[allow(dead_code)] // key packages
    pub suites: Vec<u16>,
}

impl Config {
    pub fn read(bytes: &[u8]) -> Result<Self> {
        const BROKEN: Error =
            format("the configuration cannot be read: v1, n, n suites, each once");
        let mut input = Reader::new(bytes, BROKEN);
        if input.u8()? != 1 {
            return Err(BROKEN);
        }
        let count = input.u8()?;
        let mut suites = Vec::new();
        for _ in 0..count {
            let suite = input.u16()?;
            check(suite)?;
            if suites.contains(&suite) {
                return Err(BROKEN);
            }
            suites.push(suite);
        }
        input.end()?;
        if suites.is_empty() {
            return Err(BROKEN);
        }
        Ok(Config { suites })
    }
}

/// Is the suite one that this build has?
pub(crate) fn check(suite: u16) -> Result<()> {
    if suite == CLASSIC || (suite == HYBRID && cfg!(feature = "pq")) {
        Ok(())
    } else {
        Err(Error::new(Code::Suite, "this suite is not known here: take 0x0001 or 0x004E"))
    }
}
