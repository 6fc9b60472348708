// SPDX-License-Identifier: Apache-2.0
//! What a commit carries in the clear and under its signature (e2ee §5):
//! `authenticated_data` = v1 ‖ mid ‖ count u16 ‖ count × leave statement,
//! statement = user_id ‖ device_id ‖ policy_ver u32 ‖ signature 64.

use crate::error::{format, Error, Result};
use crate::policy::MEMBERS_MAX;
use crate::primitives::verify;
use crate::wire::Reader;
use crate::Id;

const BROKEN: Error = format("the authenticated data of a commit cannot be read");

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Leave {
    pub user: Id,
    pub device: Id,
    pub policy_ver: u32,
    pub sig: [u8; 64],
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Aad {
    pub mid: Id,
    pub leaves: Vec<Leave>,
}

impl Aad {
    pub fn read(bytes: &[u8]) -> Result<Aad> {
        let mut r = Reader::new(bytes, BROKEN);
        if r.u8()? != 1 {
            return Err(BROKEN);
        }
        let (mid, count) = (r.array()?, r.u16()? as usize);
        if count > MEMBERS_MAX {
            return Err(BROKEN);
        }
        let mut leaves = Vec::with_capacity(count);
        for _ in 0..count {
            leaves.push(Leave {
                user: r.array()?,
                device: r.array()?,
                policy_ver: r.u32()?,
                sig: r.array()?,
            });
        }
        r.end()?;
        Ok(Aad { mid, leaves })
    }

    pub fn write(&self) -> Vec<u8> {
        let mut out = vec![1];
        out.extend(self.mid);
        out.extend((self.leaves.len() as u16).to_be_bytes());
        for l in &self.leaves {
            out.extend(l.user);
            out.extend(l.device);
            out.extend(l.policy_ver.to_be_bytes());
            out.extend(l.sig);
        }
        out
    }
}

const LEAVE_LABEL: &[u8] = b"parley/leave/v1\0";

impl Leave {
    /// Did the device of `sigpub` sign it? Bound to chat, gen and policy, it serves once.
    pub fn verifies(&self, chat: &Id, gen: u16, sigpub: &[u8; 32]) -> bool {
        let (gen, ver) = (gen.to_be_bytes(), self.policy_ver.to_be_bytes());
        verify(sigpub, &[LEAVE_LABEL, chat, &gen, &self.user, &ver], &self.sig)
    }
}
