// SPDX-License-Identifier: Apache-2.0
//! The rows of a context, and the delta rule (e2ee §15).
//!
//! ```text
//!            begin            put, del            take
//!    Idle ─────────▶ Changing ─────────▶ Changed ──────▶ Taken ─── begin: as from Idle
//!      ▲                │ rollback          │ drop         │ drop: the transaction failed
//!      └────────────────┴───────────────────┴──────────────┘ (all as before the call)
//! ```
//! What a mutating call touches is noted with its old value, so that its failure, or that of the
//! host's transaction, undoes exactly it. Keys begin with a byte that says what the row is.
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use zeroize::Zeroizing;

use crate::error::{format, state, Error, Result};
use crate::wire::Reader;

/// First bytes of keys: account, device, and those of groups, which come by `pe_grp_load`.
pub(crate) const KEY_ACCOUNT: u8 = 0x01;
pub(crate) const KEY_DEVICE: u8 = 0x02;
pub(crate) const KEY_PACKAGE: u8 = 0x03;
/// Behind it: chat_id ‖ gen ‖ what the provider of MLS adds.
pub(crate) const KEY_GROUP: u8 = 0x10;

const OP_PUT: u8 = 1;
const OP_DEL: u8 = 2;

pub(crate) type Value = Zeroizing<Vec<u8>>;

/// A handle: clones share the rows. One thread owns a context and all of them.
#[derive(Clone, Default)]
pub(crate) struct Rows(Rc<RefCell<Inner>>);

#[derive(Default)]
struct Inner {
    now: BTreeMap<Vec<u8>, Value>,
    /// What stood under the keys that the last mutating call touched.
    before: BTreeMap<Vec<u8>, Option<Value>>,
    taken: bool,
}

impl Inner {
    fn touch(&mut self, key: &[u8]) {
        if !self.before.contains_key(key) {
            let old = self.now.get(key).cloned();
            self.before.insert(key.to_vec(), old);
        }
    }

    fn undo(&mut self) {
        for (key, old) in std::mem::take(&mut self.before) {
            match old {
                Some(value) => self.now.insert(key, value),
                None => self.now.remove(&key),
            };
        }
        self.taken = false;
    }

    /// Keys whose row differs from what the host has.
    fn changed(&self) -> impl Iterator<Item = (&Vec<u8>, Option<&Value>)> {
        self.before
            .iter()
            .map(|(key, old)| (key, old, self.now.get(key)))
            .filter(|(_, old, now)| old.as_ref() != *now)
            .map(|(key, _, now)| (key, now))
    }
}

impl Rows {
    pub fn get(&self, key: &[u8]) -> Option<Value> {
        self.0.borrow().now.get(key).cloned()
    }

    pub fn put(&self, key: &[u8], value: Value) {
        let mut inner = self.0.borrow_mut();
        inner.touch(key);
        inner.now.insert(key.to_vec(), value);
    }

    pub fn del(&self, key: &[u8]) {
        let mut inner = self.0.borrow_mut();
        inner.touch(key);
        inner.now.remove(key);
    }

    /// Every key that begins so, in order.
    pub fn keys(&self, prefix: &[u8]) -> Vec<Vec<u8>> {
        let inner = self.0.borrow();
        let from = inner.now.range(prefix.to_vec()..);
        from.map(|(key, _)| key).take_while(|key| key.starts_with(prefix)).cloned().collect()
    }

    pub fn is_empty(&self) -> bool {
        self.0.borrow().now.is_empty()
    }

    /// Rows that the host has, as a delta of puts whose keys `fits`; all or none of them.
    pub fn load(&self, rows: &[u8], fits: impl Fn(&[u8]) -> bool) -> Result<()> {
        const BROKEN: Error =
            format("the stored rows cannot be read: they are damaged, or another program's");
        let mut input = Reader::new(rows, BROKEN);
        let mut loaded = Vec::new();
        while !input.is_empty() {
            let op = input.u8()?;
            let key = input.medium()?;
            let value = input.long()?;
            if op != OP_PUT || key.is_empty() || !fits(key) {
                return Err(BROKEN);
            }
            loaded.push((key.to_vec(), Zeroizing::new(value.to_vec())));
        }
        self.0.borrow_mut().now.extend(loaded);
        Ok(())
    }

    /// Forgets rows, which stay with the host.
    pub fn unload(&self, prefix: &[u8]) {
        let keys = self.keys(prefix);
        let mut inner = self.0.borrow_mut();
        for key in keys {
            inner.now.remove(&key);
            inner.before.remove(&key);
        }
    }

    /// Begins a mutating call.
    pub fn begin(&self) -> Result<()> {
        let mut inner = self.0.borrow_mut();
        if !inner.taken && inner.changed().next().is_some() {
            return Err(state("the rows of the last call were not taken: store them first"));
        }
        inner.before.clear();
        inner.taken = false;
        Ok(())
    }

    /// As before the last mutating call, whether its delta was taken or not.
    pub fn undo(&self) {
        self.0.borrow_mut().undo();
    }

    /// What the host stores: op u8 ‖ key, u16 length ‖ value, u32 length; nothing the second time.
    pub fn take(&self) -> Value {
        let mut inner = self.0.borrow_mut();
        if inner.taken {
            return Value::default();
        }
        let size =
            |(key, value): (&Vec<u8>, Option<&Value>)| 7 + key.len() + value.map_or(0, |v| v.len());
        let mut out = Zeroizing::new(Vec::with_capacity(inner.changed().map(size).sum()));
        for (key, value) in inner.changed() {
            let bytes = value.map_or(&[][..], |value| value);
            out.push(if value.is_some() { OP_PUT } else { OP_DEL });
            out.extend_from_slice(&u16::try_from(key.len()).expect("keys are short").to_be_bytes());
            out.extend_from_slice(key);
            out.extend_from_slice(
                &u32::try_from(bytes.len()).expect("rows are below 4 GiB").to_be_bytes(),
            );
            out.extend_from_slice(bytes);
        }
        inner.taken = true;
        out
    }
}

#[cfg(test)]
#[path = "rows_test.rs"]
mod tests;
