// SPDX-License-Identifier: Apache-2.0
//! The newest device lists of the users that a call concerns, as `pe_devlist_verify` left them.

use std::collections::HashMap;

use crate::devlist::State;
use crate::error::{arg, format, Result};
use crate::wire::read_list;
use crate::Id;

#[derive(Default)]
pub(crate) struct Directory(HashMap<Id, State>);

impl Directory {
    /// A list of states; of two of one user the later counts.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        let mut out = Directory::default();
        for state in read_list(bytes, format("a list of device list states cannot be read"))? {
            out.add(State::read(state)?);
        }
        Ok(out)
    }

    pub fn add(&mut self, state: State) {
        self.0.insert(state.list.user, state);
    }

    pub fn get(&self, user: &Id) -> Option<&State> {
        self.0.get(user)
    }

    pub fn need(&self, user: &Id) -> Result<&State> {
        const MISSING: &str = "the device list of a user concerned is missing: hand it in too";
        self.get(user).ok_or(arg(MISSING))
    }
}
