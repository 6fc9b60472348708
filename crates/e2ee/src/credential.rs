// SPDX-License-Identifier: Apache-2.0
//! The BasicCredential of a leaf (e2ee §4): `v1 ‖ user_id ‖ device_id ‖ AIK 32 ‖ dsk_ver u32 ‖
//! DSK 32 ‖ sig_AIK 64 ‖ sig_DSK 64`. It says which device of which account the leaf's key is, and
//! carries the two signatures that prove it: the identity key's over the device-list key, and the
//! device-list key's over the device's.
use crate::account::{Account, Device};
use crate::devlist::State;
use crate::error::{crypto, format, Code, Error, Result};
use crate::primitives::{verify, Key};
use crate::wire::{join, Reader};
use crate::Id;

#[allow(dead_code)] // tests
pub(crate) const BYTES: usize = 229;
const VERSION: u8 = 1;
const DSK_LABEL: &[u8] = b"parley/dsk/v1\0";
const DEVICE_LABEL: &[u8] = b"parley/device/v1\0";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Credential {
    pub user: Id,
    pub device: Id,
    pub aik: [u8; 32],
    pub dsk_ver: u32,
    pub dsk: [u8; 32],
    pub sig_aik: [u8; 64],
    pub sig_dsk: [u8; 64],
}

/// What AIK says of a DSK.
pub(crate) fn certify_dsk(aik: &Key, user: &Id, dsk_ver: u32, dsk: &[u8; 32]) -> [u8; 64] {
    aik.sign(&[DSK_LABEL, user, &dsk_ver.to_be_bytes(), dsk])
}

pub(crate) fn dsk_is_certified(
    aik: &[u8; 32],
    user: &Id,
    dsk_ver: u32,
    dsk: &[u8; 32],
    signature: &[u8; 64],
) -> bool {
    verify(aik, &[DSK_LABEL, user, &dsk_ver.to_be_bytes(), dsk], signature)
}

impl Credential {
    /// This device's own.
    pub fn own(account: &Account, device: &Device) -> Self {
        let message = [DEVICE_LABEL, &account.user, &device.id, &device.key.public()];
        Credential {
            user: account.user,
            device: device.id,
            aik: account.aik,
            dsk_ver: account.dsk_ver,
            dsk: account.dsk.public(),
            sig_aik: account.sig_aik,
            sig_dsk: account.dsk.sign(&message),
        }
    }

    pub fn read(bytes: &[u8]) -> Result<Self> {
        const BROKEN: Error = format("a credential is not of the 229 bytes of version 1");
        let mut input = Reader::new(bytes, BROKEN);
        if input.u8()? != VERSION {
            return Err(BROKEN);
        }
        let credential = Credential {
            user: input.array()?,
            device: input.array()?,
            aik: input.array()?,
            dsk_ver: input.u32()?,
            dsk: input.array()?,
            sig_aik: input.array()?,
            sig_dsk: input.array()?,
        };
        input.end()?;
        Ok(credential)
    }

    pub fn write(&self) -> Vec<u8> {
        join(&[
            &[VERSION],
            &self.user,
            &self.device,
            &self.aik,
            &self.dsk_ver.to_be_bytes(),
            &self.dsk,
            &self.sig_aik,
            &self.sig_dsk,
        ])
        .to_vec()
    }

    /// Do both signatures verify, for a leaf of the key `sigpub`?
    pub fn verify(&self, sigpub: &[u8; 32]) -> Result<()> {
        let message = [DEVICE_LABEL, &self.user, &self.device, sigpub];
        if dsk_is_certified(&self.aik, &self.user, self.dsk_ver, &self.dsk, &self.sig_aik)
            && verify(&self.dsk, &message, &self.sig_dsk)
        {
            Ok(())
        } else {
            Err(crypto("a device's credential carries a wrong signature: it was forged"))
        }
    }

    /// Is the leaf's device the one that the newest known list of its user names? `entering`: a
    /// leaf that comes in must carry the DSK of that list; one that is in may be older.
    pub fn check(&self, sigpub: &[u8; 32], state: &State, entering: bool) -> Result<()> {
        self.verify(sigpub)?;
        let list = &state.list;
        if self.user != list.user {
            return Err(format("the device list is another user's than the credential"));
        }
        if self.aik != list.aik {
            return Err(Error::new(
                Code::Identity,
                "the device's identity key is not the pinned one",
            ));
        }
        let listed = list.find(&self.device).is_some_and(|device| device.sigpub == *sigpub);
        let fresh = self.dsk_ver == list.dsk_ver && self.dsk == list.dsk;
        if !listed || (entering && !fresh) {
            return Err(Error::new(
                Code::Devlist,
                "the device is not, or not any more, in the newest list of its user",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "credential_test.rs"]
mod tests;
