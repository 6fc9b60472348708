// SPDX-License-Identifier: Apache-2.0
//! Commits of others: staged, judged, applied or rejected. Staging writes no row; applying writes
//! all of them.

use openmls::prelude::*;

use crate::aad::Aad;
use crate::context::Context;
use crate::directory::Directory;
use crate::error::{crypto, format, state, Code, Error, Result};
use crate::mls::{decode, gid, noted};
use crate::rules::{judge, Facts};
use crate::wire::put_long;
use crate::Id;

use super::facts::{gather, Envelope};
use super::told::Told;
use super::{policy_of, Group, Groups};

/// A commit that openmls found sound, and what it does.
pub(crate) struct Staged {
    commit: Box<StagedCommit>,
    pub facts: Facts,
}

/// Yields what the commit does (`describe`). EPOCH: not of the group's epoch. REJOIN: sound, but
/// this state cannot follow it.
pub(crate) fn process(
    context: &mut Context,
    chat: &Id,
    gen: u16,
    commit: &[u8],
    told: &[u8],
) -> Result<Vec<u8>> {
    let Context { groups, provider, .. } = context;
    let group = groups.find_mut(chat, gen)?;
    group.idle()?;
    let told = Told::read(told)?;
    let message = parse(group, chat, gen, commit)?;
    let done = group.mls.process_message(provider, message).map_err(refusal)?;
    let (sender, aad) = (done.sender().clone(), Aad::read(done.aad())?);
    let ProcessedMessageContent::StagedCommitMessage(commit) = done.into_content() else {
        return Err(format("this MLS message is no commit"));
    };
    let facts = gather(group, Envelope { chat, gen, sender: &sender, aad }, &commit)?;
    told.check(&facts)?;
    let out = describe(&facts, &commit);
    group.staged = Some(Staged { commit, facts });
    Ok(out)
}

fn parse(group: &Group, chat: &Id, gen: u16, commit: &[u8]) -> Result<ProtocolMessage> {
    let MlsMessageBodyIn::PublicMessage(message) = decode(commit)? else {
        return Err(format("this MLS message is no commit in the clear"));
    };
    if message.group_id().as_slice() != gid(chat, gen) {
        return Err(format("the commit is of another chat or generation"));
    }
    let (have, want) = (group.mls.epoch().as_u64(), message.epoch().as_u64());
    if have != want {
        return Err(Error::epoch(have, want));
    }
    Ok(message.into())
}

/// Which refusals of openmls say that this device's state is the trouble, not the commit.
fn refusal<S: std::fmt::Debug>(e: ProcessMessageError<S>) -> Error {
    use openmls::key_packages::errors::KeyPackageVerifyError::LifetimeError;
    use ProcessMessageError::{InvalidCommit, ValidationError as Invalid};
    let rejoin = |text| Error::new(Code::Rejoin, text);
    let ours = match &e {
        InvalidCommit(StageCommitError::OwnCommitMismatch) => {
            rejoin("a commit of this device that its state does not know: join anew")
        }
        InvalidCommit(
            StageCommitError::UpdatePathError(_)
            | StageCommitError::MissingDecryptionKey
            | StageCommitError::OwnKeyNotFound,
        ) => rejoin("the commit does not open with this device's keys: join anew"),
        Invalid(ValidationError::KeyPackageVerifyError(LifetimeError(_))) => {
            rejoin("the commit adds a key package that expired since: join anew")
        }
        _ => crypto("the commit is not sound"),
    };
    noted(ours)(e)
}

/// v1 ‖ flags u8 (1 external, 2 removes this device) ‖ new epoch u64 ‖ author: user_id ‖
/// device_id ‖ leaves added, leaves removed: count u16 × (user_id ‖ device_id) each ‖ policy
/// after it u32-len ‖ users who stated that they leave, users whose device lists `apply` may
/// need: count u16 × user_id
fn describe(facts: &Facts, commit: &StagedCommit) -> Vec<u8> {
    let mut out = vec![1, u8::from(facts.external) | u8::from(commit.self_removed()) << 1];
    out.extend(commit.epoch().as_u64().to_be_bytes());
    out.extend(facts.author.cred.user);
    out.extend(facts.author.cred.device);
    let added: Vec<_> = facts.adds.iter().map(|e| (e.cred.user, e.cred.device)).collect();
    let removed: Vec<_> = facts.removes.iter().map(|l| (l.cred.user, l.cred.device)).collect();
    for leaves in [added, removed] {
        out.extend((leaves.len() as u16).to_be_bytes());
        for (user, device) in leaves {
            out.extend(user);
            out.extend(device);
        }
    }
    put_long(&mut out, &facts.new.write());
    for users in [facts.aad.leaves.iter().map(|l| l.user).collect(), facts.needed()] {
        out.extend((users.len() as u16).to_be_bytes());
        users.iter().for_each(|user| out.extend(user));
    }
    out
}

/// All rules, then the new epoch. Refused, the commit stays staged: with more device lists it may
/// be tried again.
pub(crate) fn apply(context: &mut Context, chat: &Id, gen: u16, lists: &[u8]) -> Result<Vec<u8>> {
    let lists = Directory::read(lists)?;
    judge(&staged(&context.groups, chat, gen)?.facts, &lists)?;
    merge(context, chat, gen)
}

fn staged<'a>(groups: &'a Groups, chat: &Id, gen: u16) -> Result<&'a Staged> {
    let none = state("no commit is staged: process one first");
    groups.find(chat, gen)?.staged.as_ref().ok_or(none)
}

pub(super) fn merge(context: &mut Context, chat: &Id, gen: u16) -> Result<Vec<u8>> {
    // Out of the map: should it fail half-way, no half-changed group stays behind.
    let mut group = context.groups.take(chat, gen)?;
    let staged = group.staged.take().ok_or_else(Error::internal)?;
    let merged = group.mls.merge_staged_commit(&context.provider, *staged.commit);
    merged.map_err(noted(Error::internal()))?;
    group.policy = policy_of(group.mls.extensions())?;
    let out = group.summary();
    context.groups.put(gid(chat, gen), group);
    Ok(out)
}

pub(crate) fn reject(context: &mut Context, chat: &Id, gen: u16) -> Result<()> {
    staged(&context.groups, chat, gen)?;
    context.groups.find_mut(chat, gen)?.staged = None;
    Ok(())
}
