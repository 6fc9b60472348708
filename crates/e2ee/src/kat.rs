// SPDX-License-Identifier: Apache-2.0
//! For the vectors of the MLS working group: a key package with given private keys, a PSK, messages
//! without our policy, over the provider that groups have. Feature `kat`, in tests only.

use openmls::prelude::tls_codec::DeserializeBytes;
use openmls::prelude::*;
use openmls::schedule::PreSharedKeyId;
use openmls_traits::signatures::{Signer, SignerError};
use openmls_traits::storage::StorageProvider;
use openmls_traits::OpenMlsProvider;
use serde_json::Value;

use crate::context::Context;
use crate::error::{format, Error, Result};
use crate::mls::{decode, noted, suite};

const BROKEN: Error = format("a vector cannot be read");

/// The one group of a test, outside of the context's own.
pub(crate) struct Passive(MlsGroup);

impl Passive {
    pub fn authenticator(&self) -> &[u8] {
        self.0.epoch_authenticator().as_slice()
    }
}

/// Replaces the innermost array of bytes.
fn put(value: &mut Value, bytes: &[u8]) -> bool {
    match value {
        Value::Array(_) => {
            *value = bytes.to_vec().into();
            true
        }
        Value::Object(fields) => fields.values_mut().any(|field| put(field, bytes)),
        _ => false,
    }
}

/// Signs what is thrown away.
struct Nobody(SignatureScheme);

impl Signer for Nobody {
    fn sign(&self, _: &[u8]) -> core::result::Result<Vec<u8>, SignerError> {
        Ok(vec![0; 64])
    }

    fn signature_scheme(&self) -> SignatureScheme {
        self.0
    }
}

/// openmls has no way in for private keys, so a bundle of its own making is
/// taken apart and put together again.
pub(crate) fn import(
    context: &Context,
    package: &[u8],
    init: &[u8],
    encryption: &[u8],
) -> Result<()> {
    let MlsMessageBodyIn::KeyPackage(package) = decode(package)? else { return Err(BROKEN) };
    let package = package.into_unchecked();
    let suite = suite(package.ciphersuite().into())?;
    let credential = CredentialWithKey {
        credential: BasicCredential::new(vec![1]).into(),
        signature_key: vec![1].into(),
    };
    let nobody = Nobody(suite.signature_algorithm());
    let made = KeyPackage::builder().build(suite, &context.provider, &nobody, credential);
    let made = made.map_err(noted(Error::internal()))?;
    let mut fields = serde_json::to_value(&made).map_err(noted(Error::internal()))?;
    fields["key_package"] = serde_json::to_value(&package).map_err(noted(Error::internal()))?;
    if !put(&mut fields["private_init_key"], init)
        || !put(&mut fields["private_encryption_key"], encryption)
    {
        return Err(Error::internal());
    }
    let bundle: KeyPackageBundle = serde_json::from_value(fields).map_err(noted(BROKEN))?;
    let provider = &context.provider;
    let reference = package.hash_ref(provider.crypto()).map_err(noted(BROKEN))?;
    provider.storage().write_key_package(&reference, &bundle).map_err(noted(Error::internal()))
}

pub(crate) fn psk(context: &Context, id: &[u8], psk: &[u8]) -> Result<()> {
    let id = PreSharedKeyId::external(id.to_vec(), Vec::new());
    id.store(&context.provider, psk).map_err(noted(Error::internal()))
}

/// A Welcome, with the tree beside it or in it.
pub(crate) fn join(context: &Context, welcome: &[u8], tree: &[u8]) -> Result<Passive> {
    let config = MlsGroupJoinConfig::builder()
        .use_ratchet_tree_extension(true)
        .number_of_resumption_psks(16)
        .wire_format_policy(MIXED_PLAINTEXT_WIRE_FORMAT_POLICY)
        .build();
    let MlsMessageBodyIn::Welcome(welcome) = decode(welcome)? else { return Err(BROKEN) };
    let provider = &context.provider;
    let builder = StagedWelcome::build_from_welcome(provider, &config, welcome);
    let mut builder = builder.map_err(noted(BROKEN))?.skip_lifetime_validation();
    if !tree.is_empty() {
        let tree = RatchetTreeIn::tls_deserialize_exact_bytes(tree).map_err(noted(BROKEN))?;
        builder = builder.with_ratchet_tree(tree);
    }
    let staged = builder.build().map_err(noted(BROKEN))?;
    Ok(Passive(staged.into_group(provider).map_err(noted(Error::internal()))?))
}

/// A proposal or a commit, applied without our rules.
pub(crate) fn process(context: &Context, passive: &mut Passive, message: &[u8]) -> Result<()> {
    let message: ProtocolMessage = match decode(message)? {
        MlsMessageBodyIn::PublicMessage(message) => message.into(),
        MlsMessageBodyIn::PrivateMessage(message) => message.into(),
        _ => return Err(BROKEN),
    };
    let (group, provider) = (&mut passive.0, &context.provider);
    let done = group.process_message(provider, message).map_err(noted(BROKEN))?;
    match done.into_content() {
        ProcessedMessageContent::ProposalMessage(proposal) => group
            .store_pending_proposal(provider.storage(), *proposal)
            .map_err(noted(Error::internal())),
        ProcessedMessageContent::StagedCommitMessage(commit) => {
            group.merge_staged_commit(provider, *commit).map_err(noted(Error::internal()))
        }
        _ => Err(BROKEN),
    }
}

#[cfg(test)]
#[path = "kat_test.rs"]
mod tests;
