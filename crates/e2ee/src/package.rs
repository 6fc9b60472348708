// SPDX-License-Identifier: Apache-2.0
//! KeyPackages: made, and judged before anybody is added by one (e2ee §4).

use openmls::prelude::*;
use openmls_traits::OpenMlsProvider;

use crate::clock::now;
use crate::context::Context;
use crate::devlist::State;
use crate::error::{crypto, format, limit, Code, Error, Result};
use crate::mls::{capabilities, decode, encode, identity, noted, policy_error, suite};
use crate::policy;
use crate::rows::KEY_PACKAGE;
use crate::rules::{listed, Entering};
use crate::wire::put_long;

const ONCE_MAX: u32 = 200;
const LIFE_S: u64 = 84 * 86_400;
const SKEW_S: u64 = 3_600;
/// A Welcome waits this long at the server, so the private half waits with it.
const WELCOME_S: u64 = 30 * 86_400;

/// A list of n MLSMessages; the private halves become rows.
pub(crate) fn generate(
    context: &mut Context,
    number: u16,
    n: u32,
    last_resort: bool,
) -> Result<Vec<u8>> {
    let suite = suite(number)?;
    if n == 0 || n > ONCE_MAX {
        return Err(limit("between 1 and 200 key packages at a time"));
    }
    let lifetime = lifetime()?;
    sweep(context);
    let own = context.own_leaf()?;
    let mut out = Vec::new();
    for _ in 0..n {
        let mut builder = KeyPackage::builder()
            .leaf_node_capabilities(capabilities(suite))
            .key_package_lifetime(lifetime);
        if last_resort {
            builder = builder.mark_as_last_resort();
        }
        let made = builder.build(suite, &context.provider, &own.key, own.credential());
        let made = made.map_err(noted(Error::internal()))?.into_key_package();
        put_long(&mut out, &encode(&MlsMessageOut::from(made))?);
    }
    Ok(out)
}

/// now − 1 h … now + 84 d
pub(crate) fn lifetime() -> Result<Lifetime> {
    if now() <= SKEW_S {
        return Err(Error::new(Code::Time, "the time is not known: say it first (pe_now)"));
    }
    Ok(Lifetime::init(now() - SKEW_S, now() + LIFE_S))
}

/// Packages that nobody can use any more.
fn sweep(context: &Context) {
    for key in context.rows.keys(&[KEY_PACKAGE]) {
        let end = context.provider.package(&key).map(|b| b.key_package().life_time().not_after());
        if end.is_none_or(|end| end.saturating_add(WELCOME_S) < now()) {
            context.rows.del(&key);
        }
    }
}

/// The package of an MLSMessage, sound in itself: signatures, lifetime, suite, capabilities.
pub(crate) fn read(context: &Context, bytes: &[u8]) -> Result<KeyPackage> {
    use openmls::key_packages::errors::KeyPackageVerifyError as Bad;
    let MlsMessageBodyIn::KeyPackage(package) = decode(bytes)? else {
        return Err(format("this MLS message is no key package"));
    };
    let package = package.validate(context.provider.crypto(), ProtocolVersion::Mls10);
    let package = package.map_err(|e| match e {
        Bad::LifetimeError(_) => Error::new(
            Code::Time,
            "a key package is not valid now: it expired, or one of the clocks is wrong",
        ),
        e => noted(crypto("a key package is not sound"))(e),
    })?;
    suite(package.ciphersuite().into())?;
    let leaf = package.leaf_node();
    let can = leaf.capabilities().extensions();
    let needed = [ExtensionType::LastResort, ExtensionType::Unknown(policy::EXTENSION)];
    if !needed.iter().all(|t| can.contains(t)) || leaf.extensions().iter().next().is_some() {
        return Err(policy_error("a key package lacks what our groups require of a leaf"));
    }
    Ok(package)
}

/// The leaf that a package would bring into a tree. openmls has the check of how long a package may
/// live, and never calls it.
pub(crate) fn entering(package: &KeyPackage) -> Result<Entering> {
    let range_ok = package.life_time().has_acceptable_range();
    Ok(Entering { range_ok, ..leaf_entering(package.leaf_node())? })
}

pub(crate) fn leaf_entering(leaf: &LeafNode) -> Result<Entering> {
    let (cred, sigpub) = identity(leaf.credential(), leaf.signature_key().as_slice())?;
    Ok(Entering { sigpub, cred, range_ok: true })
}

/// user_id ‖ device_id ‖ sigpub ‖ suite u16 ‖ last_resort u8 ‖ not_after u64
pub(crate) fn verify(context: &Context, bytes: &[u8], state: &State) -> Result<Vec<u8>> {
    let package = read(context, bytes)?;
    let leaf = entering(&package)?;
    if leaf.cred.user != state.list.user {
        return Err(Error::new(Code::Identity, "the key package is another user's"));
    }
    listed(&leaf, state)?;
    let mut out = Vec::new();
    out.extend(leaf.cred.user);
    out.extend(leaf.cred.device);
    out.extend(leaf.sigpub);
    out.extend(u16::from(package.ciphersuite()).to_be_bytes());
    out.push(package.last_resort().into());
    out.extend(package.life_time().not_after().to_be_bytes());
    Ok(out)
}

#[cfg(test)]
#[path = "package_test.rs"]
mod tests;
