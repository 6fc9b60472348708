// SPDX-License-Identifier: Apache-2.0
//! The vault: the keys of an account, sealed under its recovery key (e2ee §3).
//!
//! `v1 ‖ ver u32 ‖ rk_id 8 ‖ nonce 24 ‖ ciphertext ‖ tag 16`, bound to user_id and all before the
//! nonce. Inside: `AIK seed 32 ‖ DSK seed 32 ‖ dsk_ver u32 ‖ n u16 ‖ n × (bk_ver u32 ‖ BK 32)`.
use zeroize::Zeroizing;

use crate::account::{read_backup_keys, write_backup_keys, BackupKey, BACKUP_KEYS_MAX};
use crate::error::{crypto, format, Code, Error, Result};
use crate::primitives::{self, Secret, NONCE_BYTES, TAG_BYTES};
use crate::random;
use crate::wire::{join, Reader};
use crate::Id;

const VERSION: u8 = 1;
const HEAD_BYTES: usize = 1 + 4 + 8;
/// Above it, nothing that could be a vault.
const BYTES_MAX: usize = HEAD_BYTES + NONCE_BYTES + 70 + BACKUP_KEYS_MAX * 36 + TAG_BYTES;
const BROKEN: Error =
    format("the vault cannot be read: its bytes are damaged or of a newer version");

pub(crate) struct Vault {
    pub ver: u32,
    pub aik_seed: Secret,
    pub dsk_seed: Secret,
    pub dsk_ver: u32,
    pub backup_keys: Vec<BackupKey>,
}

fn key(rk: &[u8; 32], user: &Id) -> Secret {
    primitives::expand(rk, &[b"parley/vault/v1\0", user])
}

/// Names a recovery key without telling it.
pub(crate) fn rk_id(rk: &[u8; 32]) -> [u8; 8] {
    *primitives::expand(rk, &[b"parley/rkid/v1\0"])
}

pub(crate) fn seal(rk: &[u8; 32], vault: &Vault, user: &Id) -> Result<Vec<u8>> {
    let head = join(&[&[VERSION], &vault.ver.to_be_bytes(), &rk_id(rk)]);
    let mut text = join(&[
        &vault.aik_seed[..],
        &vault.dsk_seed[..],
        &vault.dsk_ver.to_be_bytes(),
        &write_backup_keys(&vault.backup_keys),
    ]);
    let mut nonce = [0; NONCE_BYTES];
    random::fill(&mut nonce)?;
    let aad = join(&[&head, user]);
    let tag = primitives::seal(&key(rk, user), &nonce, &aad, &mut text)?;
    Ok([&head[..], &nonce, &text, &tag].concat())
}

pub(crate) fn open(user: &Id, rk: &[u8; 32], sealed: &[u8]) -> Result<Vault> {
    if sealed.len() > BYTES_MAX {
        return Err(Error::new(Code::Limit, "this is too long for a vault"));
    }
    let mut input = Reader::new(sealed, BROKEN);
    let head = input.bytes(HEAD_BYTES)?;
    let nonce = input.array::<NONCE_BYTES>()?;
    let length = sealed.len() - HEAD_BYTES - NONCE_BYTES;
    let cipher = input.bytes(length.checked_sub(TAG_BYTES).ok_or(BROKEN)?)?;
    let tag = input.array::<TAG_BYTES>()?;
    let mut head_input = Reader::new(head, BROKEN);
    if head_input.u8()? != VERSION {
        return Err(BROKEN);
    }
    let ver = head_input.u32()?;
    if head_input.array::<8>()? != rk_id(rk) {
        return Err(crypto(
            "this recovery key is not the vault's: it was replaced, or is another account's",
        ));
    }
    let aad = join(&[head, user]);
    read(ver, &primitives::open(&key(rk, user), &nonce, &aad, cipher, &tag)?)
}

fn read(ver: u32, text: &Zeroizing<Vec<u8>>) -> Result<Vault> {
    let mut input = Reader::new(text, BROKEN);
    let vault = Vault {
        ver,
        aik_seed: input.secret()?,
        dsk_seed: input.secret()?,
        dsk_ver: input.u32()?,
        backup_keys: read_backup_keys(&mut input)?,
    };
    input.end()?;
    Ok(vault)
}

#[cfg(test)]
#[path = "vault_test.rs"]
mod tests;
