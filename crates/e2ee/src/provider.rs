// SPDX-License-Identifier: Apache-2.0
//! What openmls works with: its cryptography (RustCrypto), the host's randomness, and storage over
//! the rows of the context.
use crate::error::Result;
use crate::rows::Rows;

/// One per context.
pub(crate) struct Provider {
    #[allow(dead_code)]
    rows: Rows,
}

impl Provider {
    pub fn new(rows: Rows) -> Result<Self> {
        Ok(Provider { rows })
    }
}
