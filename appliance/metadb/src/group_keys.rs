//! Keys of groups that encrypt, wrapped by the appliance's master key.
//!
//! `group_keys {_id: hex key id, group, wrapped, created}`. Invariants: a key is stored before the group names it, and stays for as long as
//! anything may be encrypted under it; what is stored is never the key itself. Written by web; read by every process that opens the blockstore.

use bson::{DateTime, doc};
use futures::TryStreamExt as _;
use holdfast_domain::GroupId;
use serde::{Deserialize, Serialize};

use crate::{
    MetaDb, MetaError,
    error::{duplicate, on},
};

/// A key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredGroupKey {
    /// What names it beside all that it encrypts: 32 hex digits.
    #[serde(rename = "_id")]
    pub id: String,
    /// Whose.
    pub group: GroupId,
    /// The engine's wrapped form.
    #[serde(with = "serde_bytes")]
    pub wrapped: Vec<u8>,
    /// When it was made.
    pub created: DateTime,
}

impl MetaDb {
    /// Keeps a key, and lets running processes know. The same again changes nothing.
    ///
    /// # Errors
    /// [`MetaError::Database`], [`MetaError::Contention`].
    pub async fn put_group_key(&self, key: &StoredGroupKey) -> Result<(), MetaError> {
        match self.of::<StoredGroupKey>("group_keys").insert_one(key).await {
            Ok(_) => {}
            Err(error) if duplicate(&error) => {}
            Err(error) => return Err(on("keep a group's key")(error)),
        }
        // Nothing but the revision changes.
        self.change_payload_stores(|_| Ok(())).await
    }

    /// Takes back [`Self::put_group_key`] of a group that was not made after all.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn forget_group_key(&self, id: &str) -> Result<(), MetaError> {
        let gone = self.of::<StoredGroupKey>("group_keys").delete_one(doc! { "_id": id }).await;
        gone.map(|_| ()).map_err(on("forget a group's key"))
    }

    /// One key.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn group_key(&self, id: &str) -> Result<Option<StoredGroupKey>, MetaError> {
        self.of("group_keys").find_one(doc! { "_id": id }).await.map_err(on("read a group's key"))
    }

    /// All keys.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn group_keys(&self) -> Result<Vec<StoredGroupKey>, MetaError> {
        let op = "read the groups' keys";
        self.of("group_keys").find(doc! {}).await.map_err(on(op))?.try_collect().await.map_err(on(op))
    }
}
