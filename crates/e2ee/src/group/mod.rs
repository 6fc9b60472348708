// SPDX-License-Identifier: Apache-2.0
//! Chats as MLS groups: one open group, its rows, and what can be asked about it (e2ee §§5, 15).

pub(crate) mod commit;
pub(crate) mod facts;
pub(crate) mod join;
pub(crate) mod process;
pub(crate) mod told;

use std::collections::HashMap;

use openmls::prelude::*;
use openmls_traits::OpenMlsProvider;
use zeroize::Zeroizing;

use crate::context::Context;
use crate::error::{arg, state, Code, Error, Result};
use crate::mls::{encode, gid, identity, noted, policy_error, required, Gid};
use crate::policy::{self, Policy};
use crate::primitives::sha256;
use crate::provider::{group_prefix, META_LABEL};
use crate::rows::Value;
use crate::rules::Leaf;
use crate::Id;
use process::Staged;

const NOT_LOADED: Error = state("the group is not loaded: load it, create it or join it");
const REMOVED: Error = state("this device was removed from the group");
const EPOCH_LABEL: &str = "parley/epoch/v1";

/// A loaded group.
pub(crate) struct Group {
    pub mls: MlsGroup,
    pub policy: Policy,
    /// When the own leaf was last renewed, seconds; a refresh is due by it.
    pub leaf_since: u64,
    pub staged: Option<Staged>,
}

/// The groups that are loaded.
#[derive(Default)]
pub(crate) struct Groups(HashMap<Gid, Group>);

impl Groups {
    pub fn find(&self, chat: &Id, gen: u16) -> Result<&Group> {
        self.0.get(&gid(chat, gen)).ok_or(NOT_LOADED)
    }

    pub fn find_mut(&mut self, chat: &Id, gen: u16) -> Result<&mut Group> {
        self.0.get_mut(&gid(chat, gen)).ok_or(NOT_LOADED)
    }

    /// Takes it out: who cannot put it back whole leaves it unloaded.
    pub fn take(&mut self, chat: &Id, gen: u16) -> Result<Group> {
        self.0.remove(&gid(chat, gen)).ok_or(NOT_LOADED)
    }

    pub fn holds(&self, id: &Gid) -> bool {
        self.0.contains_key(id)
    }

    pub fn put(&mut self, id: Gid, group: Group) {
        self.0.insert(id, group);
    }

    /// The host could not store a delta: no group in memory may be believed.
    pub fn unload_all(&mut self) {
        self.0.clear();
    }
}

impl Group {
    pub fn over(mls: MlsGroup, leaf_since: u64) -> Result<Group> {
        let policy = policy_of(mls.extensions())?;
        Ok(Group { mls, policy, leaf_since, staged: None })
    }

    pub fn leaves(&self) -> Result<Vec<Leaf>> {
        self.mls.members().map(|m| leaf_of(&m)).collect()
    }

    /// May a call change the group now?
    pub fn idle(&self) -> Result<()> {
        if !self.mls.is_active() {
            return Err(REMOVED);
        }
        if self.mls.pending_commit().is_some() {
            return Err(state("a commit is pending: confirm or discard it"));
        }
        if self.staged.is_some() {
            return Err(state("a commit is staged: apply or reject it"));
        }
        Ok(())
    }

    /// v1 ‖ suite u16 ‖ epoch u64 ‖ own leaf u32 ‖ leaves u32 ‖ policy_ver u32 ‖ flags u8 (1
    /// active, 2 own commit pending, 4 commit staged) ‖ leaf_since u64 ‖ length u8 ‖ epoch
    /// authenticator
    pub fn summary(&self) -> Vec<u8> {
        let m = &self.mls;
        let flags = u8::from(m.is_active())
            | u8::from(m.pending_commit().is_some()) << 1
            | u8::from(self.staged.is_some()) << 2;
        let auth = m.epoch_authenticator().as_slice();
        let mut out = vec![1];
        out.extend(u16::from(m.ciphersuite()).to_be_bytes());
        out.extend(m.epoch().as_u64().to_be_bytes());
        out.extend(m.own_leaf_index().u32().to_be_bytes());
        out.extend((m.members().count() as u32).to_be_bytes());
        out.extend(self.policy.ver.to_be_bytes());
        out.push(flags);
        out.extend(self.leaf_since.to_be_bytes());
        out.push(auth.len() as u8);
        out.extend(auth);
        out
    }
}

pub(crate) fn leaf_of(m: &Member) -> Result<Leaf> {
    let (cred, sigpub) = identity(&m.credential, &m.signature_key)?;
    Ok(Leaf { index: m.index.u32(), sigpub, cred })
}

/// The policy of a group context, which holds that and the required capabilities, nothing else.
pub(crate) fn policy_of(extensions: &Extensions<GroupContext>) -> Result<Policy> {
    let mut policy = None;
    for e in extensions.iter() {
        match e {
            Extension::RequiredCapabilities(r) if *r == required() => {}
            Extension::Unknown(policy::EXTENSION, bytes) => policy = Some(Policy::read(&bytes.0)?),
            _ => return Err(policy_error("a foreign extension in the group context")),
        }
    }
    match policy {
        Some(p) if extensions.required_capabilities().is_some() => Ok(p),
        _ => Err(policy_error("a group context without policy or requirements")),
    }
}

/// The id of a direct or self chat follows from its users.
pub(crate) fn check_chat_id(chat: &Id, policy: &Policy) -> Result<()> {
    if policy.kind == policy::GROUP {
        return Ok(());
    }
    let mut users: Vec<&Id> = policy.members.iter().map(|m| &m.user).collect();
    users.sort();
    let (low, high) = (users[0], users[users.len() - 1]);
    if sha256(&[b"parley/direct/v1\0", low, high])[..16] == chat[..] {
        return Ok(());
    }
    Err(policy_error("the chat's id is not that of its two users"))
}

fn meta_key(id: &Gid) -> Vec<u8> {
    let mut key = group_prefix(id);
    key.push(META_LABEL);
    key
}

pub(crate) fn put_meta(context: &Context, id: &Gid, leaf_since: u64) {
    context.rows.put(&meta_key(id), Value::new(leaf_since.to_be_bytes().to_vec()));
}

fn meta(context: &Context, id: &Gid) -> u64 {
    let row = context.rows.get(&meta_key(id));
    row.and_then(|v| v.as_slice().try_into().ok()).map_or(0, u64::from_be_bytes)
}

/// Rows as `pe_delta_take` gave them, puts only. REJOIN: they make no group; nothing stays loaded.
pub(crate) fn load(context: &mut Context, chat: &Id, gen: u16, rows: &[u8]) -> Result<()> {
    context.rows.begin()?;
    let id = gid(chat, gen);
    if context.groups.holds(&id) {
        return Err(state("the group is loaded already"));
    }
    let prefix = group_prefix(&id);
    context.rows.load(rows, |key| key.starts_with(&prefix))?;
    let loaded = MlsGroup::load(context.provider.storage(), &GroupId::from_slice(&id));
    let loaded = loaded.ok().flatten().and_then(|g| Group::over(g, meta(context, &id)).ok());
    match loaded {
        Some(group) => {
            context.groups.put(id, group);
            Ok(())
        }
        None => {
            context.rows.unload(&prefix);
            Err(Error::new(
                Code::Rejoin,
                "the stored rows of the group are incomplete: delete them and join anew",
            ))
        }
    }
}

pub(crate) fn unload(context: &mut Context, chat: &Id, gen: u16) -> Result<()> {
    context.rows.begin()?;
    let id = gid(chat, gen);
    context.groups.take(chat, gen)?;
    context.rows.unload(&group_prefix(&id));
    Ok(())
}

pub(crate) fn delete(context: &mut Context, chat: &Id, gen: u16) -> Result<()> {
    let id = gid(chat, gen);
    context.groups.take(chat, gen)?;
    clear_rows(context, &id);
    Ok(())
}

pub(crate) fn clear_rows(context: &Context, id: &Gid) {
    for key in context.rows.keys(&group_prefix(id)) {
        context.rows.del(&key);
    }
}

/// K of the current epoch.
pub(crate) fn epoch_key(context: &Context, chat: &Id, gen: u16) -> Result<Zeroizing<Vec<u8>>> {
    let group = &context.groups.find(chat, gen)?.mls;
    if !group.is_active() {
        return Err(REMOVED);
    }
    let id = gid(chat, gen);
    let key = group.export_secret(context.provider.crypto(), EPOCH_LABEL, &id, 32);
    key.map(Zeroizing::new).map_err(noted(Error::internal()))
}

pub(crate) const INFO_SUMMARY: u32 = 0;
pub(crate) const INFO_POLICY: u32 = 1;
pub(crate) const INFO_LEAVES: u32 = 2;
pub(crate) const INFO_GROUP_INFO: u32 = 3;

pub(crate) fn info(context: &Context, chat: &Id, gen: u16, what: u32) -> Result<Vec<u8>> {
    let group = context.groups.find(chat, gen)?;
    match what {
        INFO_SUMMARY => Ok(group.summary()),
        INFO_POLICY => Ok(group.policy.write()),
        INFO_LEAVES => leaves(group),
        INFO_GROUP_INFO => group_info(context, group),
        _ => Err(arg("a group is not asked for that: 0 summary, 1 policy, 2 leaves, 3 group info")),
    }
}

/// count u16 × (leaf u32 ‖ user_id ‖ device_id ‖ sigpub)
fn leaves(group: &Group) -> Result<Vec<u8>> {
    let leaves = group.leaves()?;
    let mut out = (leaves.len() as u16).to_be_bytes().to_vec();
    for leaf in leaves {
        out.extend(leaf.index.to_be_bytes());
        out.extend(leaf.cred.user);
        out.extend(leaf.cred.device);
        out.extend(leaf.sigpub);
    }
    Ok(out)
}

pub(crate) fn group_info(context: &Context, group: &Group) -> Result<Vec<u8>> {
    let own = context.own_leaf()?;
    let made = group.mls.export_group_info(context.provider.crypto(), &own.key, true);
    encode(&made.map_err(noted(state("the group gives no group info while a commit is pending")))?)
}

#[cfg(test)]
#[path = "group_test.rs"]
mod tests;

#[cfg(test)]
#[path = "scenario_test.rs"]
mod scenario;

#[cfg(test)]
#[path = "figures_test.rs"]
mod figures;
