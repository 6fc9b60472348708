// SPDX-License-Identifier: Apache-2.0
//! Rule (e) of e2ee §5: what the server told of a commit must be what the commit does.
//! v1 ‖ mid ‖ leaves added ‖ leaves removed ‖ users added ‖ users removed ‖ policy u32-len (empty:
//! unchanged); lists are count u16, leaves device_id ‖ user_id, in any order.

use crate::error::{format, Code, Error, Result};
use crate::rules::{Facts, LEAVES_MAX};
#[cfg(test)]
use crate::wire::put_long;
use crate::wire::Reader;
use crate::Id;

const BROKEN: Error = format("what the server told of a commit cannot be read");

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    pub mid: Id,
    pub leaves_added: Vec<(Id, Id)>,
    pub leaves_removed: Vec<(Id, Id)>,
    pub users_added: Vec<Id>,
    pub users_removed: Vec<Id>,
    pub policy: Vec<u8>,
}

fn list<T>(r: &mut Reader, one: impl Fn(&mut Reader) -> Result<T>) -> Result<Vec<T>> {
    let n = r.u16()? as usize;
    if n > LEAVES_MAX {
        return Err(BROKEN);
    }
    (0..n).map(|_| one(r)).collect()
}

impl Told {
    pub fn read(bytes: &[u8]) -> Result<Told> {
        let mut r = Reader::new(bytes, BROKEN);
        if r.u8()? != 1 {
            return Err(BROKEN);
        }
        let pair = |r: &mut Reader| Ok((r.array()?, r.array()?));
        let out = Told {
            mid: r.array()?,
            leaves_added: list(&mut r, pair)?,
            leaves_removed: list(&mut r, pair)?,
            users_added: list(&mut r, |r| r.array())?,
            users_removed: list(&mut r, |r| r.array())?,
            policy: r.long()?.to_vec(),
        };
        r.end()?;
        Ok(out.sorted())
    }

    #[cfg(test)]
    pub fn write(&self) -> Vec<u8> {
        let mut out = vec![1];
        out.extend(self.mid);
        for leaves in [&self.leaves_added, &self.leaves_removed] {
            out.extend((leaves.len() as u16).to_be_bytes());
            for (device, user) in leaves {
                out.extend(device);
                out.extend(user);
            }
        }
        for users in [&self.users_added, &self.users_removed] {
            out.extend((users.len() as u16).to_be_bytes());
            users.iter().for_each(|u| out.extend(u));
        }
        put_long(&mut out, &self.policy);
        out
    }

    fn sorted(mut self) -> Told {
        self.leaves_added.sort();
        self.leaves_removed.sort();
        self.users_added.sort();
        self.users_removed.sort();
        self
    }

    /// What a truthful server would tell of this commit.
    pub fn of(f: &Facts) -> Told {
        let users = |a: &crate::policy::Policy, b: &crate::policy::Policy| {
            a.members.iter().map(|m| m.user).filter(|u| b.find(u).is_none()).collect::<Vec<Id>>()
        };
        let joined = f.external.then_some(&f.author.cred);
        let added = f.adds.iter().map(|e| &e.cred).chain(joined);
        Told {
            mid: f.aad.mid,
            leaves_added: added.map(|c| (c.device, c.user)).collect(),
            leaves_removed: f.removes.iter().map(|l| (l.cred.device, l.cred.user)).collect(),
            users_added: users(&f.new, &f.old),
            users_removed: users(&f.old, &f.new),
            policy: if f.new == f.old { Vec::new() } else { f.new.write() },
        }
        .sorted()
    }

    pub fn check(&self, f: &Facts) -> Result<()> {
        if *self == Told::of(f) {
            return Ok(());
        }
        Err(Error::new(Code::Policy, "the server told of another change than the commit makes"))
    }
}
