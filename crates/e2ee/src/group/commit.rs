// SPDX-License-Identifier: Apache-2.0
//! Own commits, and groups that this device creates: built, pending, then confirmed or discarded.
//! What others would refuse is refused before it is built.

use openmls::prelude::*;
use openmls_traits::OpenMlsProvider;

use crate::aad::Aad;
use crate::clock::now;
use crate::context::Context;
use crate::directory::Directory;
use crate::error::{arg, format, limit, state, Error, Result};
use crate::mls::{
    capabilities, context_extensions, encode, gid, join_config, noted, policy_error, suite, OwnLeaf,
};
use crate::package::{entering, lifetime, read};
use crate::policy::{self, Policy};
use crate::provider::group_prefix;
use crate::rules::{judge, Facts, Leaf};
use crate::wire::{put_long, read_list, Reader};
use crate::Id;

use super::{check_chat_id, group_info, policy_of, put_meta, Group};

const ADDS_MAX: usize = 64;
const CREATE_ADDS_MAX: usize = 256;

/// What a commit shall do: v1 ‖ policy u32-len (empty: as it is) ‖ key packages u32-len, a list ‖
/// devices whose leaves go u32-len, ids ‖ device list states u32-len, a list.
pub(crate) struct Change {
    policy: Option<Policy>,
    packages: Vec<KeyPackage>,
    removes: Vec<Id>,
    lists: Directory,
}

impl Change {
    pub fn read(context: &Context, bytes: &[u8]) -> Result<Change> {
        const BROKEN: Error = format("a change of a group cannot be read");
        let mut r = Reader::new(bytes, BROKEN);
        if r.u8()? != 1 {
            return Err(BROKEN);
        }
        let policy = r.long()?;
        let packages = packages(context, r.long()?)?;
        let (devices, left) = r.long()?.as_chunks::<16>();
        let lists = Directory::read(r.long()?)?;
        r.end()?;
        if !left.is_empty() {
            return Err(BROKEN);
        }
        let policy = if policy.is_empty() { None } else { Some(Policy::read(policy)?) };
        Ok(Change { policy, packages, removes: devices.to_vec(), lists })
    }
}

fn packages(context: &Context, list: &[u8]) -> Result<Vec<KeyPackage>> {
    let list = read_list(list, format("a list of key packages cannot be read"))?;
    list.into_iter().map(|bytes| read(context, bytes)).collect()
}

/// v1 ‖ epoch after it u64 ‖ commit, Welcome, group info u32-len each; empty: there is none
pub(super) fn bundle(epoch: u64, commit: &[u8], welcome: &[u8], info: &[u8]) -> Vec<u8> {
    let mut out = vec![1];
    out.extend(epoch.to_be_bytes());
    for part in [commit, welcome, info] {
        put_long(&mut out, part);
    }
    out
}

/// What a commit does, before it is built. No leaf of a package may have an expired range.
pub(super) fn plan(
    group: &Group,
    own: &OwnLeaf,
    change: &Change,
    place: (&Id, u16),
    aad: Aad,
) -> Result<Facts> {
    let before = group.leaves()?;
    let index = group.mls.own_leaf_index().u32();
    let author = before.iter().find(|l| l.index == index).cloned().ok_or_else(Error::internal)?;
    let gone = |id: &Id| -> Result<Leaf> {
        let leaf = before.iter().find(|l| l.cred.device == *id);
        leaf.cloned().ok_or(arg("a device to remove has no leaf in the group"))
    };
    let removes: Vec<Leaf> = change.removes.iter().map(gone).collect::<Result<_>>()?;
    if removes.iter().any(|l| l.index == index) {
        return Err(arg("a device cannot remove its own leaf: leave the chat"));
    }
    Ok(Facts {
        chat: *place.0,
        gen: place.1,
        external: false,
        author,
        path: Some(own.entering()),
        old: group.policy.clone(),
        new: change.policy.clone().unwrap_or(group.policy.clone()),
        adds: change.packages.iter().map(entering).collect::<Result<_>>()?,
        removes,
        before,
        aad,
    })
}

/// Build what was planned; it is pending then.
pub(super) fn build(
    context: &Context,
    group: &mut Group,
    own: &OwnLeaf,
    change: Change,
    facts: &Facts,
) -> Result<Vec<u8>> {
    let provider = &context.provider;
    let (crypto, rand) = (provider.crypto(), provider.rand());
    group.mls.set_aad(facts.aad.write());
    let mut builder = group
        .mls
        .commit_builder()
        .force_self_update(true)
        .propose_adds(change.packages)
        .propose_removals(facts.removes.iter().map(|l| LeafNodeIndex::new(l.index)));
    if facts.author.cred != own.cred {
        let leaf = LeafNodeParameters::builder().with_credential_with_key(own.credential());
        builder = builder.leaf_node_parameters(leaf.build());
    }
    if facts.new != facts.old {
        let extensions = context_extensions(&facts.new.write())?;
        let proposed = builder.propose_group_context_extensions(extensions);
        builder = proposed.map_err(noted(Error::internal()))?;
    }
    let built = builder
        .load_psks(provider.storage())
        .and_then(|b| b.create_group_info(true).build(rand, crypto, &own.key, |_| true))
        .map_err(noted(policy_error("openmls refuses this change of the group")))?
        .stage_commit(provider)
        .map_err(noted(Error::internal()))?;
    let epoch = group.mls.epoch().as_u64() + 1;
    let (commit, welcome, info) = built.into_messages();
    let part = |m: Option<MlsMessageOut>| m.map_or(Ok(Vec::new()), |m| encode(&m));
    Ok(bundle(epoch, &encode(&commit)?, &part(welcome)?, &part(info)?))
}

/// A commit that is pending from now on. Yields the bundle for COMMIT.
pub(crate) fn commit(
    context: &mut Context,
    chat: &Id,
    gen: u16,
    change: &[u8],
    aad: &[u8],
) -> Result<Vec<u8>> {
    let change = Change::read(context, change)?;
    let aad = Aad::read(aad)?;
    if change.packages.len() > ADDS_MAX {
        return Err(limit("a commit adds at most 64 leaves: add the others by the next one"));
    }
    let group = context.groups.find(chat, gen)?;
    group.idle()?;
    let own = context.own_leaf()?;
    let facts = plan(group, &own, &change, (chat, gen), aad)?;
    judge(&facts, &change.lists)?;
    commit_planned(context, chat, gen, change, &facts)
}

pub(super) fn commit_planned(
    context: &mut Context,
    chat: &Id,
    gen: u16,
    change: Change,
    facts: &Facts,
) -> Result<Vec<u8>> {
    let own = context.own_leaf()?;
    let mut group = context.groups.take(chat, gen)?;
    let out = build(context, &mut group, &own, change, facts);
    // A refusal by openmls comes before it changes anything but the data to authenticate.
    if out.is_err() {
        group.mls.set_aad(Vec::new());
    }
    if out.is_ok() || group.mls.pending_commit().is_none() {
        context.groups.put(gid(chat, gen), group);
    }
    out
}

/// A new chat, or the next generation of one: the own leaf, and all of `packages` by one commit,
/// which is pending. Yields the bundle for CHAT_CREATE; without packages its commit is empty.
pub(crate) fn create(
    context: &mut Context,
    place: (&Id, u16),
    number: u16,
    policy: &[u8],
    package_list: &[u8],
    lists: &[u8],
) -> Result<Vec<u8>> {
    let (chat, gen) = place;
    let suite = suite(number)?;
    let policy = Policy::read(policy)?;
    let packages = packages(context, package_list)?;
    let lists = Directory::read(lists)?;
    let own = context.own_leaf()?;
    check_new(chat, gen, &policy, &own)?;
    if packages.len() > CREATE_ADDS_MAX {
        return Err(limit("a chat begins with at most 256 leaves: add the others by commits"));
    }
    let id = gid(chat, gen);
    if context.groups.holds(&id) || !context.rows.keys(&group_prefix(&id)).is_empty() {
        return Err(state("this generation of the chat exists here already"));
    }
    let mut group = begin(context, &own, chat, gen, suite, &policy)?;
    put_meta(context, &id, now());
    let out = if packages.is_empty() {
        bundle(0, &[], &[], &group_info(context, &group)?)
    } else {
        let change = Change { policy: None, packages, removes: Vec::new(), lists };
        let aad = Aad { mid: [0; 16], leaves: Vec::new() };
        let facts = plan(&group, &own, &change, place, aad)?;
        judge(&facts, &change.lists)?;
        build(context, &mut group, &own, change, &facts)?
    };
    context.groups.put(id, group);
    Ok(out)
}

fn check_new(chat: &Id, gen: u16, policy: &Policy, own: &OwnLeaf) -> Result<()> {
    check_chat_id(chat, policy)?;
    if gen == 0 {
        return Err(arg("generations of a chat count from 1"));
    }
    let Some(me) = policy.find(&own.cred.user).filter(|m| m.aik == own.cred.aik) else {
        return Err(policy_error("the creator of a chat is not in its policy"));
    };
    let needed = if gen == 1 { policy::OWNER } else { policy::ADMIN };
    if policy.kind == policy::GROUP && (me.role < needed || !policy.has_owner()) {
        return Err(policy_error(
            "a group needs an owner, and is created by one; again, by an admin",
        ));
    }
    Ok(())
}

fn begin(
    context: &Context,
    own: &OwnLeaf,
    chat: &Id,
    gen: u16,
    suite: Ciphersuite,
    policy: &Policy,
) -> Result<Group> {
    let join = join_config();
    let config = MlsGroupCreateConfig::builder()
        .ciphersuite(suite)
        .wire_format_policy(join.wire_format_policy())
        .use_ratchet_tree_extension(true)
        .max_past_epochs(0)
        .number_of_resumption_psks(0)
        .lifetime(lifetime()?)
        .capabilities(capabilities(suite))
        .with_group_context_extensions(context_extensions(&policy.write())?)
        .build();
    let id = GroupId::from_slice(&gid(chat, gen));
    let made =
        MlsGroup::new_with_group_id(&context.provider, &own.key, &config, id, own.credential());
    Group::over(made.map_err(noted(Error::internal()))?, now())
}

/// The server took the commit, or the creation.
pub(crate) fn confirm(context: &mut Context, chat: &Id, gen: u16) -> Result<Vec<u8>> {
    let group = context.groups.find(chat, gen)?;
    if group.mls.pending_commit().is_none() {
        // Created alone: there was nothing to commit.
        let alone = group.mls.epoch().as_u64() == 0;
        let none = state("no commit is pending: there is nothing to confirm");
        return if alone { Ok(group.summary()) } else { Err(none) };
    }
    let mut group = context.groups.take(chat, gen)?;
    let merged = group.mls.merge_pending_commit(&context.provider);
    merged.map_err(noted(Error::internal()))?;
    group.policy = policy_of(group.mls.extensions())?;
    group.leaf_since = now();
    put_meta(context, &gid(chat, gen), now());
    let out = group.summary();
    context.groups.put(gid(chat, gen), group);
    Ok(out)
}

/// Another commit won, or the server refused this one for good.
pub(crate) fn discard(context: &mut Context, chat: &Id, gen: u16) -> Result<()> {
    if context.groups.find(chat, gen)?.mls.pending_commit().is_none() {
        return Err(state("no commit is pending: there is nothing to discard"));
    }
    let Context { groups, provider, .. } = context;
    let group = groups.find_mut(chat, gen)?;
    group.mls.clear_pending_commit(provider.storage()).map_err(noted(Error::internal()))
}
