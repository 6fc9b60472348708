// SPDX-License-Identifier: Apache-2.0
//! From a commit that openmls has verified to the facts that the rules judge; rule (a) of e2ee §5
//! is checked on the way.

use openmls::prelude::*;

use crate::aad::Aad;
use crate::error::{Error, Result};
use crate::mls::policy_error;
use crate::package::{entering, leaf_entering};
use crate::rules::{Entering, Facts, Leaf};
use crate::Id;

use super::{policy_of, Group};

/// Where a commit belongs, and what stands around it.
pub(crate) struct Envelope<'a> {
    pub chat: &'a Id,
    pub gen: u16,
    pub sender: &'a Sender,
    pub aad: Aad,
}

pub(crate) fn gather(group: &Group, env: Envelope, commit: &StagedCommit) -> Result<Facts> {
    let before = group.leaves()?;
    let path = commit.update_path_leaf_node().ok_or(policy_error("a commit without a path"))?;
    let path = leaf_entering(path)?;
    let external = match env.sender {
        Sender::Member(_) => false,
        Sender::NewMemberCommit => true,
        _ => return Err(policy_error("a commit by nobody who may make one")),
    };
    proposals(commit, external)?;
    let author = author(env.sender, &before, &path)?;
    let adds = commit.add_proposals().map(|p| entering(p.add_proposal().key_package()));
    let removes = commit.remove_proposals().map(|p| {
        let index = p.remove_proposal().removed().u32();
        before.iter().find(|l| l.index == index).cloned().ok_or_else(Error::internal)
    });
    Ok(Facts {
        chat: *env.chat,
        gen: env.gen,
        external,
        author,
        path: Some(path),
        old: group.policy.clone(),
        new: policy_of(commit.group_context().extensions())?,
        adds: adds.collect::<Result<_>>()?,
        removes: removes.collect::<Result<_>>()?,
        before,
        aad: env.aad,
    })
}

fn author(sender: &Sender, before: &[Leaf], path: &Entering) -> Result<Leaf> {
    match sender {
        Sender::Member(index) => {
            let leaf = before.iter().find(|l| l.index == index.u32());
            leaf.cloned().ok_or_else(Error::internal)
        }
        // The index of a leaf that is not there yet is nobody's.
        _ => Ok(Leaf { index: u32::MAX, sigpub: path.sigpub, cred: path.cred.clone() }),
    }
}

/// Rule (a): only these proposals, by value. The group context is judged where it is read.
fn proposals(commit: &StagedCommit, external: bool) -> Result<()> {
    for queued in commit.queued_proposals() {
        if queued.proposal_or_ref_type() != ProposalOrRefType::Proposal {
            return Err(policy_error("a commit refers to a proposal that is not inside it"));
        }
        let known = match queued.proposal().proposal_type() {
            ProposalType::Remove => true,
            ProposalType::Add | ProposalType::GroupContextExtensions => !external,
            ProposalType::ExternalInit => external,
            _ => false,
        };
        if !known {
            return Err(policy_error("a commit holds a proposal that our groups do not know"));
        }
    }
    Ok(())
}
