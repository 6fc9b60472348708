// SPDX-License-Identifier: Apache-2.0
//! The policy of a chat: extension 0xF0A1 of its MLS group (e2ee 5).
//! Same bytes and same refusals as `src/wire/policy.c`.

use std::collections::HashSet;

use crate::error::{format, Error, Result};
use crate::wire::Reader;
use crate::Id;

pub(crate) const EXTENSION: u16 = 0xF0A1;
pub(crate) const MEMBERS_MAX: usize = 256;

pub(crate) const DIRECT: u8 = 1;
pub(crate) const GROUP: u8 = 2;
pub(crate) const SELF: u8 = 3;

pub(crate) const ALL_MAY_ADD: u8 = 1;
const RIGHTS_KNOWN: u8 = 15;

pub(crate) const MEMBER: u8 = 1;
pub(crate) const ADMIN: u8 = 2;
pub(crate) const OWNER: u8 = 3;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub user: Id,
    pub aik: [u8; 32],
    pub role: u8,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    pub ver: u32,
    pub kind: u8,
    pub rights: u8,
    /// In join order; no user twice.
    pub members: Vec<Member>,
}

impl Policy {
    pub fn read(bytes: &[u8]) -> Result<Policy> {
        const BROKEN: Error =
            format("the policy of the chat cannot be read: its bytes are not those of a policy");
        let mut r = Reader::new(bytes, BROKEN);
        if r.u8()? != 1 {
            return Err(BROKEN);
        }
        let (ver, kind, rights) = (r.u32()?, r.u8()?, r.u8()?);
        let count = r.u16()? as usize;
        let right_count = match kind {
            DIRECT => count == 2,
            SELF => count == 1,
            GROUP => (1..=MEMBERS_MAX).contains(&count),
            _ => false,
        };
        if ver == 0 || rights & !RIGHTS_KNOWN != 0 || !right_count {
            return Err(BROKEN);
        }
        let mut members = Vec::with_capacity(count);
        let mut seen = HashSet::new();
        for _ in 0..count {
            let member = Member { user: r.array()?, aik: r.array()?, role: r.u8()? };
            if !(MEMBER..=OWNER).contains(&member.role) || !seen.insert(member.user) {
                return Err(BROKEN);
            }
            members.push(member);
        }
        r.end()?;
        Ok(Policy { ver, kind, rights, members })
    }

    pub fn write(&self) -> Vec<u8> {
        let mut out = vec![1];
        out.extend(self.ver.to_be_bytes());
        out.extend([self.kind, self.rights]);
        out.extend((self.members.len() as u16).to_be_bytes());
        for m in &self.members {
            out.extend(m.user);
            out.extend(m.aik);
            out.push(m.role);
        }
        out
    }

    pub fn find(&self, user: &Id) -> Option<&Member> {
        self.members.iter().find(|m| m.user == *user)
    }

    pub fn has_owner(&self) -> bool {
        self.members.iter().any(|m| m.role == OWNER)
    }
}

#[cfg(test)]
#[path = "policy_test.rs"]
mod tests;
