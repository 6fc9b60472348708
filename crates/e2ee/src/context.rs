// SPDX-License-Identifier: Apache-2.0
//! One account on one device: what is behind a `pe_ctx`.
use crate::account::{Account, Device, Opened};
use crate::error::{format, state, Result};
use crate::group::Groups;
use crate::provider::Provider;
use crate::rows::{Rows, KEY_GROUP};
use crate::suite::Config;

pub(crate) struct Context {
    #[allow(dead_code)] // key packages
    pub config: Config,
    pub rows: Rows,
    /// What the rows of account and device say; follows them.
    pub account: Option<Account>,
    pub device: Option<Device>,
    /// The seed of the identity key, from account_create, or from a vault that was opened, until a
    /// vault is sealed. Never in a row.
    pub opened: Option<Opened>,
    pub provider: Provider,
    pub groups: Groups,
    pub last_error: String,
    /// A panic came through: nothing may be believed any more.
    pub dead: bool,
}

impl Context {
    pub fn open(config: &[u8]) -> Result<Self> {
        let config = Config::read(config)?;
        let rows = Rows::default();
        Ok(Context {
            config,
            provider: Provider::new(rows.clone())?,
            rows,
            account: None,
            device: None,
            opened: None,
            groups: Groups::default(),
            last_error: String::new(),
            dead: false,
        })
    }

    /// All rows but those of groups, as the host has them.
    pub fn restore(&mut self, rows: &[u8]) -> Result<()> {
        if !self.rows.is_empty() {
            return Err(state("this context has rows already: restore into a new one"));
        }
        self.rows.load(rows, |key| key[0] < KEY_GROUP)?;
        let read = self.follow_rows();
        if read.is_err() {
            self.rows.unload(&[]);
            self.account = None;
            self.device = None;
        }
        read
    }

    /// Runs a mutating call: the delta rule before it, nothing left of it if it fails.
    pub fn mutate<T>(&mut self, call: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.rows.begin()?;
        let done = call(self).and_then(|value| self.follow_rows().map(|()| value));
        if done.is_err() {
            self.rows.undo();
            self.follow_rows()?;
        }
        done
    }

    /// The host could not store the last delta: all as before it, and every group unloaded.
    pub fn drop_delta(&mut self) -> Result<()> {
        self.rows.undo();
        self.opened = None;
        self.groups.unload_all();
        self.rows.unload(&[KEY_GROUP]);
        self.follow_rows()
    }

    fn follow_rows(&mut self) -> Result<()> {
        self.account = Account::from_rows(&self.rows)?;
        self.device = Device::from_rows(&self.rows)?;
        if self.device.is_some() && self.account.is_none() {
            return Err(format("the stored rows have a device without an account"));
        }
        Ok(())
    }

    pub fn account(&self) -> Result<&Account> {
        self.account.as_ref().ok_or(state("there is no account yet: create or recover one"))
    }

    pub fn device(&self) -> Result<&Device> {
        self.device.as_ref().ok_or(state("this device has no key yet: create it"))
    }
}
