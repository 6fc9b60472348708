// SPDX-License-Identifier: Apache-2.0
//! Messages: envelopes, sealed under the key of an epoch and signed by a device (e2ee §7).
//!
//! ```text
//! envelope = header 76 ‖ ciphertext ‖ tag 16 ‖ signature 64
//! header   = v1 ‖ kind u8 ‖ chat_id ‖ gen u16 ‖ epoch u64 ‖ device_id ‖ sctr u64 ‖ nonce 24
//! ctx      = header ‖ user_id of the sender ‖ mid
//! M        = HKDF-Expand(K, "parley/msg/v1" ‖ ctx, 32)
//! key 32 ‖ commit 32 = HKDF-Expand(M, "parley/key/v1", 64)
//! signature over "parley/msg/v1" ‖ SHA-512(commit ‖ ctx ‖ ciphertext ‖ tag)
//! ```
use zeroize::Zeroizing;

use crate::account::{Account, Device};
use crate::error::{arg, crypto, format, limit, Error, Result};
use crate::primitives::{self, expand, sha512, verify, Secret, NONCE_BYTES, TAG_BYTES};
use crate::random;
use crate::wire::Reader;
use crate::Id;

pub(crate) const HEADER_BYTES: usize = 76;
const NONCE_AT: usize = 52;
const SIG_BYTES: usize = 64;
const OVERHEAD_BYTES: usize = HEADER_BYTES + TAG_BYTES + SIG_BYTES;
const PADDED_BYTES_MIN: usize = 64;
const ENVELOPE_BYTES_MAX: usize = 64 * 1024;
const KIND_TRANSIENT: u8 = 2;
const KIND_MAX: u8 = 4;
const MSG_LABEL: &[u8] = b"parley/msg/v1\0";
const KEY_LABEL: &[u8] = b"parley/key/v1\0";

const BROKEN: Error = format("a message cannot be read: it is malformed, or of a newer version");

/// The parts of the header that are looked at.
struct Header {
    kind: u8,
    device: Id,
}

impl Header {
    fn read(bytes: &[u8]) -> Result<Self> {
        let mut input = Reader::new(bytes, BROKEN);
        let version = input.u8()?;
        let kind = input.u8()?;
        let _chat: Id = input.array()?;
        let gen = input.u16()?;
        let _epoch = input.u64()?;
        let device = input.array()?;
        let sctr = input.u64()?;
        input.bytes(NONCE_BYTES)?;
        input.end()?;
        let transient = kind == KIND_TRANSIENT;
        if version != 1 || kind > KIND_MAX || gen == 0 || (sctr == 0) != transient {
            return Err(BROKEN);
        }
        Ok(Header { kind, device })
    }

    /// Transient messages have no id, all others do.
    fn check_mid(&self, mid: &Id) -> Result<()> {
        if (*mid == [0; 16]) == (self.kind == KIND_TRANSIENT) {
            Ok(())
        } else {
            Err(arg("a message has an id exactly if it is not transient"))
        }
    }
}

/// The parts of an envelope.
struct Envelope<'a> {
    header: &'a [u8],
    cipher: &'a [u8],
    tag: [u8; TAG_BYTES],
    signature: [u8; SIG_BYTES],
}

impl<'a> Envelope<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self> {
        if bytes.len() > ENVELOPE_BYTES_MAX {
            return Err(limit("a message is longer than 64 KiB"));
        }
        let padded = bytes.len().checked_sub(OVERHEAD_BYTES).ok_or(BROKEN)?;
        if padded < PADDED_BYTES_MIN {
            return Err(BROKEN);
        }
        let mut input = Reader::new(bytes, BROKEN);
        let envelope = Envelope {
            header: input.bytes(HEADER_BYTES)?,
            cipher: input.bytes(padded)?,
            tag: input.array()?,
            signature: input.array()?,
        };
        Header::read(envelope.header)?;
        Ok(envelope)
    }

    fn nonce(&self) -> [u8; NONCE_BYTES] {
        self.header[NONCE_AT..].try_into().expect("the nonce ends the header")
    }
}

/// What every part of a message is bound to.
fn bind(header: &[u8], user: &Id, mid: &Id) -> Vec<u8> {
    [header, user, mid].concat()
}

fn message_secret(k: &[u8; 32], ctx: &[u8]) -> Secret {
    expand(k, &[MSG_LABEL, ctx])
}

struct MessageKeys {
    key: Secret,
    commit: Secret,
}

impl MessageKeys {
    fn derive(secret: &[u8; 32]) -> Self {
        let both: Zeroizing<[u8; 64]> = expand(secret, &[KEY_LABEL]);
        let mut keys =
            MessageKeys { key: Zeroizing::new([0; 32]), commit: Zeroizing::new([0; 32]) };
        keys.key.copy_from_slice(&both[..32]);
        keys.commit.copy_from_slice(&both[32..]);
        keys
    }

    fn digest(&self, ctx: &[u8], cipher: &[u8], tag: &[u8; TAG_BYTES]) -> [u8; 64] {
        sha512(&[&self.commit[..], ctx, cipher, tag])
    }
}

/// Length of the padded content: at least 64, else Padmé (PURBs, PETS 2019) of it and its 0x80.
pub(crate) fn padded_bytes(content: usize) -> usize {
    let wanted = content + 1;
    if wanted <= PADDED_BYTES_MIN {
        return PADDED_BYTES_MIN;
    }
    let exponent = wanted.ilog2();
    let kept = exponent.ilog2() + 1;
    let mask = (1usize << (exponent - kept)) - 1;
    (wanted + mask) & !mask
}

fn pad(content: &[u8]) -> Zeroizing<Vec<u8>> {
    let size = padded_bytes(content.len());
    let mut out = Zeroizing::new(Vec::with_capacity(size));
    out.extend_from_slice(content);
    out.push(0x80);
    out.resize(size, 0);
    out
}

/// One content has one padding.
fn unpad(mut padded: Zeroizing<Vec<u8>>) -> Result<Zeroizing<Vec<u8>>> {
    let end = padded.iter().rposition(|byte| *byte != 0).ok_or(BROKEN)?;
    if padded[end] != 0x80 || padded_bytes(end) != padded.len() {
        return Err(BROKEN);
    }
    padded.truncate(end);
    Ok(padded)
}

/// `pe_msg_seal`: `header` is the 76 bytes with zeros for the nonce, of this device.
pub(crate) fn seal(
    (account, device): (&Account, &Device),
    k: &[u8; 32],
    header: &[u8],
    mid: &Id,
    content: &[u8],
) -> Result<Vec<u8>> {
    let read = Header::read(header).map_err(|_| arg("the header of a message is malformed"))?;
    read.check_mid(mid)?;
    if read.device != device.id {
        return Err(arg("the header of a message names another device than this one"));
    }
    if header[NONCE_AT..] != [0; NONCE_BYTES] {
        return Err(arg("the nonce of a message is chosen here: leave zeros"));
    }
    if content.len() > ENVELOPE_BYTES_MAX
        || padded_bytes(content.len()) > ENVELOPE_BYTES_MAX - OVERHEAD_BYTES
    {
        return Err(limit("the content is too long for one message of 64 KiB"));
    }
    let mut nonce = [0; NONCE_BYTES];
    random::fill(&mut nonce)?;
    let header = [&header[..NONCE_AT], &nonce].concat();
    let ctx = bind(&header, &account.user, mid);
    let keys = MessageKeys::derive(&message_secret(k, &ctx));
    let mut text = pad(content);
    let tag = primitives::seal(&keys.key, &nonce, &ctx, &mut text)?;
    let signature = device.key.sign(&[MSG_LABEL, &keys.digest(&ctx, &text, &tag)]);
    Ok([&header[..], &text, &tag, &signature].concat())
}

/// `pe_msg_peek`: the header, of an envelope that could be one.
pub(crate) fn peek(envelope: &[u8]) -> Result<&[u8]> {
    Ok(Envelope::read(envelope)?.header)
}

/// `pe_msg_open`: the content, if exactly this sender sealed exactly this under K.
pub(crate) fn open(
    k: &[u8; 32],
    (user, mid): (&Id, &Id),
    sigpub: &[u8; 32],
    envelope: &[u8],
) -> Result<Zeroizing<Vec<u8>>> {
    let envelope = Envelope::read(envelope)?;
    Header::read(envelope.header)?.check_mid(mid)?;
    let ctx = bind(envelope.header, user, mid);
    let keys = MessageKeys::derive(&message_secret(k, &ctx));
    let digest = keys.digest(&ctx, envelope.cipher, &envelope.tag);
    if !verify(sigpub, &[MSG_LABEL, &digest], &envelope.signature) {
        return Err(crypto("a message is not by this device, or under another key"));
    }
    unpad(primitives::open(&keys.key, &envelope.nonce(), &ctx, envelope.cipher, &envelope.tag)?)
}

/// `pe_msg_reveal`: M of one message, with which a moderator opens that one alone.
pub(crate) fn reveal(k: &[u8; 32], (user, mid): (&Id, &Id), envelope: &[u8]) -> Result<Secret> {
    let envelope = Envelope::read(envelope)?;
    Header::read(envelope.header)?.check_mid(mid)?;
    let ctx = bind(envelope.header, user, mid);
    let secret = message_secret(k, &ctx);
    let keys = MessageKeys::derive(&secret);
    primitives::open(&keys.key, &envelope.nonce(), &ctx, envelope.cipher, &envelope.tag)?;
    Ok(secret)
}

#[cfg(test)]
#[path = "content_test.rs"]
mod tests;
