// SPDX-License-Identifier: Apache-2.0
//! The algorithms of e2ee §2, each by a library: Ed25519 with strict verification, SHA-256 and
//! SHA-512, HKDF-Expand with SHA-512, XChaCha20-Poly1305.
use chacha20poly1305::aead::{AeadInPlace, KeyInit as _};
use chacha20poly1305::{Tag, XChaCha20Poly1305, XNonce};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use hmac::{Hmac, KeyInit as _, Mac};
use openmls_traits::signatures::{Signer, SignerError};
use openmls_traits::types::SignatureScheme;
use sha2::{Digest, Sha256, Sha512};
use zeroize::Zeroizing;

use crate::error::{crypto, Error, Result};
use crate::wire::join;

pub(crate) const NONCE_BYTES: usize = 24;
pub(crate) const TAG_BYTES: usize = 16;

/// A secret of 32 bytes.
pub(crate) type Secret = Zeroizing<[u8; 32]>;

/// An Ed25519 key pair. On the heap, so that moving it leaves no copy; wiped when dropped.
pub(crate) struct Key(Box<SigningKey>);

impl Key {
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Key(Box::new(SigningKey::from_bytes(seed)))
    }

    pub fn generate() -> Result<Self> {
        Ok(Self::from_seed(&*crate::random::secret()?))
    }

    pub fn seed(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    pub fn public(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    /// Signs the parts, one behind another. The first begins with a label of its own.
    pub fn sign(&self, parts: &[&[u8]]) -> [u8; 64] {
        self.0.sign(&join(parts)).to_bytes()
    }
}

/// The device key is the key of the device's leaf in MLS, too (e2ee §3).
impl Signer for Key {
    fn sign(&self, payload: &[u8]) -> core::result::Result<Vec<u8>, SignerError> {
        Ok(Key::sign(self, &[payload]).to_vec())
    }

    fn signature_scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

/// Is it this key's signature over the parts? Strict: no key or nonce of small order, one encoding.
pub(crate) fn verify(public: &[u8; 32], parts: &[&[u8]], signature: &[u8; 64]) -> bool {
    VerifyingKey::from_bytes(public)
        .is_ok_and(|key| key.verify_strict(&join(parts), &Signature::from_bytes(signature)).is_ok())
}

pub(crate) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

pub(crate) fn sha512(parts: &[&[u8]]) -> [u8; 64] {
    let mut hash = Sha512::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

/// HKDF-Expand with SHA-512 (RFC 5869) for outputs of one block, which all of ours are. The crate
/// `hkdf` refuses keys shorter than a hash; ours are uniform and have 32 bytes.
pub(crate) fn expand<const N: usize>(key: &[u8], info: &[&[u8]]) -> Zeroizing<[u8; N]> {
    const { assert!(N <= 64) };
    let mut mac = Hmac::<Sha512>::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in info {
        mac.update(part);
    }
    mac.update(&[1]);
    let block = Zeroizing::new(<[u8; 64]>::from(mac.finalize().into_bytes()));
    let mut out = Zeroizing::new([0; N]);
    out.copy_from_slice(&block[..N]);
    out
}

/// Encrypts in place.
pub(crate) fn seal(
    key: &[u8; 32],
    nonce: &[u8; 24],
    aad: &[u8],
    text: &mut [u8],
) -> Result<[u8; 16]> {
    XChaCha20Poly1305::new(key.into())
        .encrypt_in_place_detached(XNonce::from_slice(nonce), aad, text)
        .map(Into::into)
        .map_err(|_| Error::internal())
}

/// What was encrypted; an error, and nothing shown, if a bit of anything is another.
pub(crate) fn open(
    key: &[u8; 32],
    nonce: &[u8; 24],
    aad: &[u8],
    cipher: &[u8],
    tag: &[u8; 16],
) -> Result<Zeroizing<Vec<u8>>> {
    let mut text = Zeroizing::new(cipher.to_vec());
    XChaCha20Poly1305::new(key.into())
        .decrypt_in_place_detached(XNonce::from_slice(nonce), aad, &mut text, Tag::from_slice(tag))
        .map_err(|_| crypto("it does not open: another key, or the bytes were changed"))?;
    Ok(text)
}

#[cfg(test)]
#[path = "primitives_test.rs"]
mod tests;
