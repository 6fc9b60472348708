// SPDX-License-Identifier: Apache-2.0
//! Bytes in and out: integers big-endian, fixed width. Lists at the boundary are items one behind
//! another, each `u32 length ‖ bytes`.
use zeroize::Zeroizing;

use crate::error::{Error, Result};

/// Takes from the front; whatever does not fit is `broken`.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    broken: Error,
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8], broken: Error) -> Self {
        Reader { rest: bytes, broken }
    }

    pub fn bytes(&mut self, count: usize) -> Result<&'a [u8]> {
        let (part, rest) = self.rest.split_at_checked(count).ok_or(self.broken.clone())?;
        self.rest = rest;
        Ok(part)
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut out = [0; N];
        out.copy_from_slice(self.bytes(N)?);
        Ok(out)
    }

    /// Like `array`, for what must not stay on the stack.
    pub fn secret<const N: usize>(&mut self) -> Result<Zeroizing<[u8; N]>> {
        let mut out = Zeroizing::new([0; N]);
        out.copy_from_slice(self.bytes(N)?);
        Ok(out)
    }

    pub fn u8(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    pub fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    pub fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    pub fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    /// A length byte and that many bytes, at most `max`.
    pub fn short(&mut self, max: usize) -> Result<&'a [u8]> {
        let count = usize::from(self.u8()?);
        if count > max {
            return Err(self.broken.clone());
        }
        self.bytes(count)
    }

    /// A length of two bytes and that many bytes.
    pub fn medium(&mut self) -> Result<&'a [u8]> {
        let count = usize::from(self.u16()?);
        self.bytes(count)
    }

    /// A length of four bytes and that many bytes: an item of a list.
    pub fn long(&mut self) -> Result<&'a [u8]> {
        let count = usize::try_from(self.u32()?).map_err(|_| self.broken.clone())?;
        self.bytes(count)
    }

    /// How many bytes are left.
    pub fn left(&self) -> usize {
        self.rest.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Nothing may be left.
    pub fn end(&self) -> Result<()> {
        if self.is_empty() {
            Ok(())
        } else {
            Err(self.broken.clone())
        }
    }
}

/// The items of a list.
pub(crate) fn read_list(bytes: &[u8], broken: Error) -> Result<Vec<&[u8]>> {
    let mut input = Reader::new(bytes, broken);
    let mut items = Vec::new();
    while !input.is_empty() {
        items.push(input.long()?);
    }
    Ok(items)
}

/// Appends one item to a list. Panics beyond 4 GiB, which no caller comes near.
pub(crate) fn put_long(out: &mut Vec<u8>, item: &[u8]) {
    let count = u32::try_from(item.len()).expect("an item of a list is below 4 GiB");
    out.extend_from_slice(&count.to_be_bytes());
    out.extend_from_slice(item);
}

/// Appends a length byte and the bytes; the caller has checked the length.
pub(crate) fn put_short(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(u8::try_from(bytes.len()).expect("checked by the caller"));
    out.extend_from_slice(bytes);
}

/// The parts, one behind another, in a buffer of exactly their length: it never grows, so no copy
/// stays behind when it is wiped.
pub(crate) fn join(parts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::with_capacity(parts.iter().map(|part| part.len()).sum()));
    for part in parts {
        out.extend_from_slice(part);
    }
    out
}
