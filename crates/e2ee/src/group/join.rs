// SPDX-License-Identifier: Apache-2.0
//! Into a group that exists: by a Welcome, or by an external commit.

use std::collections::{HashMap, HashSet};

use openmls::messages::group_info::VerifiableGroupInfo;
use openmls::prelude::*;
use openmls::treesync::LeafNodeSource;
use openmls_traits::OpenMlsProvider;

use crate::aad::Aad;
use crate::clock::now;
use crate::context::Context;
use crate::directory::Directory;
use crate::error::{crypto, format, state, Code, Error, Result};
use crate::mls::{
    capabilities, decode, encode, join_config, noted, policy_error, suite, Gid, OwnLeaf,
};
use crate::policy::Policy;
use crate::rules::{listed, Leaf, LEAVES_PER_USER};
use crate::Id;

use super::commit::bundle;
use super::{check_chat_id, clear_rows, leaf_of, policy_of, put_meta, Group};

/// Chat and generation that a group's id names.
fn place(group_id: &GroupId) -> Result<Gid> {
    let id: Gid = group_id
        .as_slice()
        .try_into()
        .map_err(|_| format("the group is none of ours: its id is not a chat and a generation"))?;
    match id[16..] {
        [0, 0] => Err(format("the group is none of ours: generations count from 1")),
        _ => Ok(id),
    }
}

/// Is the group sound for one who did not see it grow? Every leaf is certified by the identity key
/// that the policy names. Yields the leaves that no device list confirms: they are to be removed
/// before anything is sent.
fn check_group(
    id: &Gid,
    policy: &Policy,
    leaves: &[Leaf],
    own: &OwnLeaf,
    lists: &Directory,
) -> Result<Vec<(Id, Id)>> {
    let chat: &Id = id.first_chunk().ok_or_else(Error::internal)?;
    check_chat_id(chat, policy)?;
    if !leaves.iter().any(|l| l.cred == own.cred && l.sigpub == own.key.public()) {
        return Err(policy_error("the group does not have this device's leaf"));
    }
    let (mut seen, mut count, mut unlisted) = (HashSet::new(), HashMap::new(), Vec::new());
    for leaf in leaves {
        let cred = &leaf.cred;
        let member = policy.find(&cred.user);
        let member = member.ok_or(policy_error("a leaf's user is not in the policy"))?;
        if cred.aik != member.aik {
            return Err(Error::new(
                Code::Identity,
                "a leaf has another identity key than its user",
            ));
        }
        let n = count.entry(cred.user).or_insert(0usize);
        *n += 1;
        if !seen.insert((cred.user, cred.device)) || *n > LEAVES_PER_USER {
            return Err(policy_error("a device has two leaves, or a user too many"));
        }
        match cred.check(&leaf.sigpub, lists.need(&cred.user)?, false) {
            Err(e) if e.code == Code::Crypto => return Err(e),
            Err(_) => unlisted.push((cred.user, cred.device)),
            Ok(()) => {}
        }
    }
    Ok(unlisted)
}

/// chat_id ‖ gen u16 ‖ who vouches for the group's state: user_id ‖ device_id (zeros: this
/// device) ‖ leaves that no device list confirms: count u16 × (user_id ‖ device_id) ‖ the summary
fn joined(id: &Gid, by: Option<&Leaf>, unlisted: &[(Id, Id)], group: &Group) -> Vec<u8> {
    let mut out = id.to_vec();
    let (user, device) = by.map_or(([0; 16], [0; 16]), |l| (l.cred.user, l.cred.device));
    out.extend(user);
    out.extend(device);
    out.extend((unlisted.len() as u16).to_be_bytes());
    for (user, device) in unlisted {
        out.extend(user);
        out.extend(device);
    }
    out.extend(group.summary());
    out
}

/// A loaded group stays unless what comes is ahead of it: nobody is set back by an old message.
fn ahead(context: &Context, id: &Gid, epoch: u64) -> Result<()> {
    let (chat, gen) = (id.first_chunk().ok_or_else(Error::internal)?, [id[16], id[17]]);
    match context.groups.find(chat, u16::from_be_bytes(gen)) {
        Ok(g) if g.mls.is_active() && g.mls.epoch().as_u64() >= epoch => {
            Err(Error::epoch(g.mls.epoch().as_u64(), epoch))
        }
        _ => Ok(()),
    }
}

/// When the own leaf was made, from its package.
fn leaf_since(group: &MlsGroup) -> u64 {
    match group.own_leaf_node().map(|leaf| leaf.leaf_node_source()) {
        Some(LeafNodeSource::KeyPackage(life)) => {
            life.not_before().saturating_add(3_600).min(now())
        }
        _ => now(),
    }
}

/// STATE: no key package of this device fits, or it was used before.
pub(crate) fn welcome(context: &mut Context, bytes: &[u8], lists: &[u8]) -> Result<Vec<u8>> {
    let lists = Directory::read(lists)?;
    let own = context.own_leaf()?;
    let MlsMessageBodyIn::Welcome(welcome) = decode(bytes)? else {
        return Err(format("this MLS message is no Welcome"));
    };
    suite(welcome.ciphersuite().into())?;
    let builder = StagedWelcome::build_from_welcome(&context.provider, &join_config(), welcome);
    let builder = builder.map_err(|e| match e {
        WelcomeError::NoMatchingKeyPackage => {
            state("the Welcome fits no key package of this device: join by an external commit")
        }
        e => noted(crypto("the Welcome is not sound"))(e),
    })?;
    let info = builder.processed_welcome().unverified_group_info();
    let id = place(info.group_id())?;
    ahead(context, &id, info.epoch().as_u64())?;
    let staged = builder.skip_lifetime_validation().replace_old_group().build();
    let staged = staged.map_err(noted(crypto("the group of the Welcome is not sound")))?;
    let policy = policy_of(staged.group_context().extensions())?;
    let leaves: Vec<Leaf> = staged.members().map(|m| leaf_of(&m)).collect::<Result<_>>()?;
    let unlisted = check_group(&id, &policy, &leaves, &own, &lists)?;
    let sender = staged.welcome_sender_index().u32();
    clear_rows(context, &id);
    let group = staged.into_group(&context.provider).map_err(noted(Error::internal()))?;
    let since = leaf_since(&group);
    put_meta(context, &id, since);
    let group = Group::over(group, since)?;
    let by = leaves.iter().find(|l| l.index == sender);
    let out = joined(&id, by, &unlisted, &group);
    context.groups.put(id, group);
    Ok(out)
}

/// The join is merged at once: if the server refuses the commit, delete the group. Yields the
/// bundle for COMMIT, u32-len, and behind it the same as `welcome`.
pub(crate) fn external(
    context: &mut Context,
    group_info: &[u8],
    lists: &[u8],
    aad: &[u8],
) -> Result<Vec<u8>> {
    let lists = Directory::read(lists)?;
    let aad = Aad::read(aad)?;
    let own = context.own_leaf()?;
    listed(&own.entering(), lists.need(&own.cred.user)?)?;
    let MlsMessageBodyIn::GroupInfo(info) = decode(group_info)? else {
        return Err(format("this MLS message is no group info"));
    };
    let id = place(info.group_id())?;
    let epoch = info.epoch().as_u64().checked_add(1).ok_or(format("the epoch is the last one"))?;
    ahead(context, &id, epoch)?;
    clear_rows(context, &id);
    let (group, messages) = external_commit(context, &own, info, &aad)?;
    let policy = policy_of(group.extensions())?;
    let leaves: Vec<Leaf> = group.members().map(|m| leaf_of(&m)).collect::<Result<_>>()?;
    let unlisted = check_group(&id, &policy, &leaves, &own, &lists)?;
    put_meta(context, &id, now());
    let group = Group::over(group, now())?;
    let (commit, _, info) = messages.into_messages();
    let info = info.map_or(Ok(Vec::new()), |m| encode(&m))?;
    let mut out = Vec::new();
    crate::wire::put_long(&mut out, &bundle(epoch, &encode(&commit)?, &[], &info));
    out.extend(joined(&id, None, &unlisted, &group));
    context.groups.put(id, group);
    Ok(out)
}

fn external_commit(
    context: &Context,
    own: &OwnLeaf,
    info: VerifiableGroupInfo,
    aad: &Aad,
) -> Result<(MlsGroup, CommitMessageBundle)> {
    let suite = suite(info.ciphersuite().into())?;
    let bad = || crypto("the group info is not sound");
    let provider = &context.provider;
    let builder = MlsGroup::external_commit_builder()
        .with_config(join_config())
        .with_aad(aad.write())
        .skip_lifetime_validation()
        .build_group(provider, info, own.credential())
        .map_err(noted(bad()))?;
    let leaf = LeafNodeParameters::builder().with_capabilities(capabilities(suite)).build();
    let built = builder
        .leaf_node_parameters(leaf)
        .load_psks(provider.storage())
        .and_then(|b| {
            b.create_group_info(true).build(provider.rand(), provider.crypto(), &own.key, |_| true)
        })
        .map_err(noted(bad()))?;
    built.finalize(provider).map_err(noted(Error::internal()))
}
