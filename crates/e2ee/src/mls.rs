// SPDX-License-Identifier: Apache-2.0
//! What the modules on openmls share: the own leaf, settings, bytes of messages, errors.

use openmls::prelude::tls_codec::{DeserializeBytes, Serialize as _};
use openmls::prelude::*;

use crate::context::Context;
use crate::credential::Credential;
use crate::error::{format, Code, Error, Result};
use crate::policy;
use crate::primitives::Key;
use crate::rules::Entering;
use crate::{suite, Id};

/// chat_id ‖ gen: the MLS group_id.
pub(crate) type Gid = [u8; 18];

pub(crate) fn gid(chat: &Id, gen: u16) -> Gid {
    let mut out = [0; 18];
    out[..16].copy_from_slice(chat);
    out[16..].copy_from_slice(&gen.to_be_bytes());
    out
}

/// The device of this context as a leaf: who signs, and what stands in it.
pub(crate) struct OwnLeaf {
    pub cred: Credential,
    pub key: Key,
}

impl Context {
    pub fn own_leaf(&self) -> Result<OwnLeaf> {
        let (account, device) = (self.account()?, self.device()?);
        let key = Key::from_seed(device.key.seed());
        Ok(OwnLeaf { cred: Credential::own(account, device), key })
    }
}

impl OwnLeaf {
    pub fn credential(&self) -> CredentialWithKey {
        CredentialWithKey {
            credential: BasicCredential::new(self.cred.write()).into(),
            signature_key: self.key.public().to_vec().into(),
        }
    }

    pub fn entering(&self) -> Entering {
        Entering { sigpub: self.key.public(), cred: self.cred.clone(), range_ok: true }
    }
}

/// Suites of e2ee §2; in builds for the vectors also those that they use.
pub(crate) fn suite(number: u16) -> Result<Ciphersuite> {
    if !(cfg!(feature = "kat") && (1..=3).contains(&number)) {
        suite::check(number)?;
    }
    Ciphersuite::try_from(number).map_err(|_| Error::internal())
}

pub(crate) fn capabilities(suite: Ciphersuite) -> Capabilities {
    let extensions = [ExtensionType::LastResort, ExtensionType::Unknown(policy::EXTENSION)];
    let credentials = [CredentialType::Basic];
    Capabilities::new(None, Some(&[suite]), Some(&extensions), None, Some(&credentials))
}

/// What every leaf of our groups must be able to do.
pub(crate) fn required() -> RequiredCapabilitiesExtension {
    let extensions = [ExtensionType::Unknown(policy::EXTENSION)];
    RequiredCapabilitiesExtension::new(&extensions, &[], &[CredentialType::Basic])
}

pub(crate) fn context_extensions(policy: &[u8]) -> Result<Extensions<GroupContext>> {
    Extensions::from_vec(vec![
        Extension::RequiredCapabilities(required()),
        Extension::Unknown(policy::EXTENSION, UnknownExtension(policy.to_vec())),
    ])
    .map_err(noted(Error::internal()))
}

pub(crate) fn join_config() -> MlsGroupJoinConfig {
    MlsGroupJoinConfig::builder()
        .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
        .use_ratchet_tree_extension(true)
        .max_past_epochs(0)
        .number_of_resumption_psks(0)
        .build()
}

pub(crate) fn encode(message: &MlsMessageOut) -> Result<Vec<u8>> {
    message.tls_serialize_detached().map_err(noted(Error::internal()))
}

pub(crate) fn decode(bytes: &[u8]) -> Result<MlsMessageBodyIn> {
    let broken = format("an MLS message cannot be read: it is cut off, damaged, or none");
    let message = MlsMessageIn::tls_deserialize_exact_bytes(bytes);
    Ok(message.map_err(noted(broken))?.extract())
}

/// Credential and key of a leaf, if they are of our kinds.
pub(crate) fn identity(
    cred: &openmls::prelude::Credential,
    key: &[u8],
) -> Result<(Credential, [u8; 32])> {
    let foreign = format("a leaf's credential or key is not of our kind");
    if cred.credential_type() != CredentialType::Basic {
        return Err(foreign);
    }
    Ok((Credential::read(cred.serialized_content())?, key.try_into().map_err(|_| foreign)?))
}

/// An error of openmls becomes one of ours; what openmls said is for tests only.
pub(crate) fn noted<E: std::fmt::Debug>(ours: Error) -> impl FnOnce(E) -> Error {
    move |theirs| {
        if cfg!(test) {
            eprintln!("openmls: {theirs:?}");
        }
        ours
    }
}

pub(crate) fn policy_error(text: &'static str) -> Error {
    Error::new(Code::Policy, text)
}
