// SPDX-License-Identifier: Apache-2.0
//! openmls's storage over the rows of the context. Values are MessagePack with field names and
//! byte strings: smaller than JSON by two thirds, and it survives a reload.

use std::cell::OnceCell;

use openmls::group::GroupId as MlsGroupId;
use openmls_rust_crypto::RustCrypto;
use openmls_traits::storage::{traits, Entity, StorageProvider, CURRENT_VERSION as V};
use openmls_traits::OpenMlsProvider;
use rmp_serde::config::BytesMode;
use serde::{de::DeserializeOwned, Serialize};

use crate::error::Result;
use crate::rows::{Rows, Value, KEY_GROUP, KEY_PACKAGE};

/// Rows of openmls that only the vectors of the MLS group make.
const KEY_PAIR: u8 = 0x04;
const KEY_PSK: u8 = 0x05;

/// Behind the group's id in the key of a row of a group.
#[derive(Clone, Copy)]
enum Label {
    Config = 1,
    OwnLeaves,
    Proposals,
    Tree,
    Transcript,
    Context,
    ConfirmationTag,
    State,
    MessageSecrets,
    Resumption,
    OwnIndex,
    EpochSecrets,
    EpochKeys,
}
/// Label of the crate's own row of a group.
pub(crate) const META_LABEL: u8 = 0x80;

#[derive(Debug)]
pub(crate) struct StoreError;

impl std::fmt::Display for StoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a row does not encode or decode")
    }
}
impl std::error::Error for StoreError {}

type R<T> = core::result::Result<T, StoreError>;

/// A buffer that wipes what it grows out of.
struct Growing(Value);

impl std::io::Write for Growing {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let bytes_now = self.0.len() + bytes.len();
        if bytes_now > self.0.capacity() {
            let mut larger = Value::new(Vec::with_capacity(2 * bytes_now));
            larger.extend_from_slice(&self.0);
            self.0 = larger;
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn enc<T: Serialize + ?Sized>(value: &T) -> R<Value> {
    let mut out = Growing(Value::new(Vec::with_capacity(256)));
    let mut s =
        rmp_serde::Serializer::new(&mut out).with_struct_map().with_bytes(BytesMode::ForceAll);
    value.serialize(&mut s).map_err(|_| StoreError)?;
    Ok(out.0)
}

fn dec<T: DeserializeOwned>(bytes: &[u8]) -> R<T> {
    rmp_serde::from_slice(bytes).map_err(|_| StoreError)
}

/// Before a label: what the rows of a group begin with.
pub(crate) fn group_prefix(group_id: &[u8]) -> Vec<u8> {
    let mut key = vec![KEY_GROUP];
    key.extend(group_id);
    key
}

fn group_key(group_id: &impl Serialize, label: Label) -> R<Vec<u8>> {
    let id: MlsGroupId = dec(&enc(group_id)?)?;
    let mut key = group_prefix(id.as_slice());
    key.push(label as u8);
    Ok(key)
}

fn other_key(kind: u8, id: &impl Serialize) -> R<Vec<u8>> {
    let mut key = vec![kind];
    key.extend_from_slice(&enc(id)?);
    Ok(key)
}

fn epoch_key(group_id: &impl Serialize, epoch: &impl Serialize, leaf: u32) -> R<Vec<u8>> {
    let mut key = group_key(group_id, Label::EpochKeys)?;
    key.extend_from_slice(&enc(epoch)?);
    key.extend(leaf.to_be_bytes());
    Ok(key)
}

/// The rows as openmls sees them.
pub(crate) struct Store(Rows);

impl Store {
    fn read<T: DeserializeOwned>(&self, key: &[u8]) -> R<Option<T>> {
        self.0.get(key).map(|v| dec(&v)).transpose()
    }

    fn write<T: Serialize + ?Sized>(&self, key: Vec<u8>, value: &T) -> R<()> {
        self.0.put(&key, enc(value)?);
        Ok(())
    }

    fn erase(&self, key: R<Vec<u8>>) -> R<()> {
        self.0.del(&key?);
        Ok(())
    }

    fn list<T: DeserializeOwned>(&self, key: &[u8]) -> R<Vec<T>> {
        Ok(self.read(key)?.unwrap_or_default())
    }

    fn append<T: Entity<V>>(&self, key: Vec<u8>, value: &T) -> R<()> {
        let mut all: Vec<Vec<u8>> = self.list(&key)?;
        all.push(enc(value)?.to_vec());
        self.write(key, &all)
    }
}

macro_rules! group_values {
    ($($write:ident $read:ident $delete:ident $trait:ident $label:ident;)*) => { $(
        fn $write<G: traits::GroupId<V>, T: traits::$trait<V>>(&self, id: &G, v: &T) -> R<()> {
            self.write(group_key(id, Label::$label)?, v)
        }
        fn $read<G: traits::GroupId<V>, T: traits::$trait<V>>(&self, id: &G) -> R<Option<T>> {
            self.read(&group_key(id, Label::$label)?)
        }
        fn $delete<G: traits::GroupId<V>>(&self, id: &G) -> R<()> {
            self.erase(group_key(id, Label::$label))
        }
    )* };
}

impl StorageProvider<V> for Store {
    type Error = StoreError;

    group_values! {
        write_mls_join_config mls_group_join_config delete_group_config MlsGroupJoinConfig Config;
        write_tree tree delete_tree TreeSync Tree;
        write_interim_transcript_hash interim_transcript_hash delete_interim_transcript_hash
            InterimTranscriptHash Transcript;
        write_context group_context delete_context GroupContext Context;
        write_confirmation_tag confirmation_tag delete_confirmation_tag
            ConfirmationTag ConfirmationTag;
        write_message_secrets message_secrets delete_message_secrets
            MessageSecrets MessageSecrets;
        write_resumption_psk_store resumption_psk_store delete_all_resumption_psk_secrets
            ResumptionPskStore Resumption;
        write_own_leaf_index own_leaf_index delete_own_leaf_index LeafNodeIndex OwnIndex;
        write_group_epoch_secrets group_epoch_secrets delete_group_epoch_secrets
            GroupEpochSecrets EpochSecrets;
    }

    fn write_group_state<T: traits::GroupState<V>, G: traits::GroupId<V>>(
        &self,
        id: &G,
        v: &T,
    ) -> R<()> {
        self.write(group_key(id, Label::State)?, v)
    }
    fn group_state<T: traits::GroupState<V>, G: traits::GroupId<V>>(&self, id: &G) -> R<Option<T>> {
        self.read(&group_key(id, Label::State)?)
    }
    fn delete_group_state<G: traits::GroupId<V>>(&self, id: &G) -> R<()> {
        self.erase(group_key(id, Label::State))
    }

    fn append_own_leaf_node<G: traits::GroupId<V>, T: traits::LeafNode<V>>(
        &self,
        id: &G,
        v: &T,
    ) -> R<()> {
        self.append(group_key(id, Label::OwnLeaves)?, v)
    }
    fn own_leaf_nodes<G: traits::GroupId<V>, T: traits::LeafNode<V>>(&self, id: &G) -> R<Vec<T>> {
        let all: Vec<Vec<u8>> = self.list(&group_key(id, Label::OwnLeaves)?)?;
        all.iter().map(|v| dec(v)).collect()
    }
    fn delete_own_leaf_nodes<G: traits::GroupId<V>>(&self, id: &G) -> R<()> {
        self.erase(group_key(id, Label::OwnLeaves))
    }

    // Proposals travel inside their commits; a queue exists for the vectors of the MLS group only.
    fn queue_proposal<
        G: traits::GroupId<V>,
        P: traits::ProposalRef<V>,
        Q: traits::QueuedProposal<V>,
    >(
        &self,
        id: &G,
        reference: &P,
        proposal: &Q,
    ) -> R<()> {
        let key = group_key(id, Label::Proposals)?;
        let mut all: Vec<(Vec<u8>, Vec<u8>)> = self.list(&key)?;
        all.push((enc(reference)?.to_vec(), enc(proposal)?.to_vec()));
        self.write(key, &all)
    }
    fn queued_proposal_refs<G: traits::GroupId<V>, P: traits::ProposalRef<V>>(
        &self,
        id: &G,
    ) -> R<Vec<P>> {
        let all: Vec<(Vec<u8>, Vec<u8>)> = self.list(&group_key(id, Label::Proposals)?)?;
        all.iter().map(|(r, _)| dec(r)).collect()
    }
    fn queued_proposals<
        G: traits::GroupId<V>,
        P: traits::ProposalRef<V>,
        Q: traits::QueuedProposal<V>,
    >(
        &self,
        id: &G,
    ) -> R<Vec<(P, Q)>> {
        let all: Vec<(Vec<u8>, Vec<u8>)> = self.list(&group_key(id, Label::Proposals)?)?;
        all.iter().map(|(r, q)| Ok((dec(r)?, dec(q)?))).collect()
    }
    fn remove_proposal<G: traits::GroupId<V>, P: traits::ProposalRef<V>>(
        &self,
        id: &G,
        reference: &P,
    ) -> R<()> {
        let (key, gone) = (group_key(id, Label::Proposals)?, enc(reference)?.to_vec());
        let mut all: Vec<(Vec<u8>, Vec<u8>)> = self.list(&key)?;
        all.retain(|(r, _)| *r != gone);
        self.write(key, &all)
    }
    fn clear_proposal_queue<G: traits::GroupId<V>, P: traits::ProposalRef<V>>(
        &self,
        id: &G,
    ) -> R<()> {
        self.erase(group_key(id, Label::Proposals))
    }

    // The device key signs; openmls never stores it.
    fn write_signature_key_pair<
        K: traits::SignaturePublicKey<V>,
        T: traits::SignatureKeyPair<V>,
    >(
        &self,
        _: &K,
        _: &T,
    ) -> R<()> {
        Err(StoreError)
    }
    fn signature_key_pair<K: traits::SignaturePublicKey<V>, T: traits::SignatureKeyPair<V>>(
        &self,
        _: &K,
    ) -> R<Option<T>> {
        Err(StoreError)
    }
    fn delete_signature_key_pair<K: traits::SignaturePublicKey<V>>(&self, _: &K) -> R<()> {
        Err(StoreError)
    }

    fn write_encryption_key_pair<K: traits::EncryptionKey<V>, T: traits::HpkeKeyPair<V>>(
        &self,
        id: &K,
        v: &T,
    ) -> R<()> {
        self.write(other_key(KEY_PAIR, id)?, v)
    }
    fn encryption_key_pair<T: traits::HpkeKeyPair<V>, K: traits::EncryptionKey<V>>(
        &self,
        id: &K,
    ) -> R<Option<T>> {
        self.read(&other_key(KEY_PAIR, id)?)
    }
    fn delete_encryption_key_pair<K: traits::EncryptionKey<V>>(&self, id: &K) -> R<()> {
        self.erase(other_key(KEY_PAIR, id))
    }

    fn write_encryption_epoch_key_pairs<
        G: traits::GroupId<V>,
        E: traits::EpochKey<V>,
        T: traits::HpkeKeyPair<V>,
    >(
        &self,
        id: &G,
        epoch: &E,
        leaf: u32,
        pairs: &[T],
    ) -> R<()> {
        self.write(epoch_key(id, epoch, leaf)?, pairs)
    }
    fn encryption_epoch_key_pairs<
        G: traits::GroupId<V>,
        E: traits::EpochKey<V>,
        T: traits::HpkeKeyPair<V>,
    >(
        &self,
        id: &G,
        epoch: &E,
        leaf: u32,
    ) -> R<Vec<T>> {
        self.list(&epoch_key(id, epoch, leaf)?)
    }
    fn delete_encryption_epoch_key_pairs<G: traits::GroupId<V>, E: traits::EpochKey<V>>(
        &self,
        id: &G,
        epoch: &E,
        leaf: u32,
    ) -> R<()> {
        self.erase(epoch_key(id, epoch, leaf))
    }

    fn write_key_package<H: traits::HashReference<V>, T: traits::KeyPackage<V>>(
        &self,
        id: &H,
        v: &T,
    ) -> R<()> {
        self.write(other_key(KEY_PACKAGE, id)?, v)
    }
    fn key_package<H: traits::HashReference<V>, T: traits::KeyPackage<V>>(
        &self,
        id: &H,
    ) -> R<Option<T>> {
        self.read(&other_key(KEY_PACKAGE, id)?)
    }
    fn delete_key_package<H: traits::HashReference<V>>(&self, id: &H) -> R<()> {
        self.erase(other_key(KEY_PACKAGE, id))
    }

    fn write_psk<K: traits::PskId<V>, T: traits::PskBundle<V>>(&self, id: &K, v: &T) -> R<()> {
        self.write(other_key(KEY_PSK, id)?, v)
    }
    fn psk<T: traits::PskBundle<V>, K: traits::PskId<V>>(&self, id: &K) -> R<Option<T>> {
        self.read(&other_key(KEY_PSK, id)?)
    }
    fn delete_psk<K: traits::PskId<V>>(&self, id: &K) -> R<()> {
        self.erase(other_key(KEY_PSK, id))
    }
}

/// What openmls works with: RustCrypto for ciphers and randomness (seeded by the host at the first
/// use), and storage over the rows of the context.
pub(crate) struct Provider {
    crypto: OnceCell<RustCrypto>,
    store: Store,
}

impl Provider {
    pub fn new(rows: Rows) -> Result<Self> {
        Ok(Provider { crypto: OnceCell::new(), store: Store(rows) })
    }

    /// A stored key package; None if there is none, or it cannot be read.
    pub fn package(&self, key: &[u8]) -> Option<openmls::prelude::KeyPackageBundle> {
        self.store.read(key).ok().flatten()
    }
}

impl OpenMlsProvider for Provider {
    type CryptoProvider = RustCrypto;
    type RandProvider = RustCrypto;
    type StorageProvider = Store;

    fn storage(&self) -> &Store {
        &self.store
    }
    fn crypto(&self) -> &RustCrypto {
        self.crypto.get_or_init(RustCrypto::default)
    }
    fn rand(&self) -> &RustCrypto {
        self.crypto()
    }
}
