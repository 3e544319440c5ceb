//! Credentials of buckets: sealed with the master key wherever they are stored, never shown again.

use holdfast_service::MasterKey;
use serde::{Deserialize, Serialize};

use crate::StoreError;

/// What is authenticated with the sealed value. One for all stores: a store has no number yet when its credentials come in.
const CONTEXT: &str = "payloadStores/credentials";

/// An access key of an S3-compatible service.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct S3Credentials {
    /// Its name.
    pub access_key_id: String,
    /// Its secret.
    pub secret_access_key: String,
}

impl std::fmt::Debug for S3Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("S3Credentials").finish_non_exhaustive()
    }
}

impl S3Credentials {
    /// For a document.
    ///
    /// # Errors
    /// The cryptographic library refused.
    ///
    /// # Panics
    /// Never: two strings are always JSON.
    pub fn seal(&self, key: &MasterKey) -> Result<Vec<u8>, StoreError> {
        let plain = serde_json::to_vec(self).expect("two strings are always JSON");
        Ok(key.seal(CONTEXT, &plain)?)
    }

    /// Opens what [`Self::seal`] made; None when another master key sealed it.
    #[must_use]
    pub fn open(sealed: &[u8], key: &MasterKey) -> Option<Self> {
        let plain = key.open(CONTEXT, sealed).ok()?;
        serde_json::from_slice(&plain).ok()
    }
}
