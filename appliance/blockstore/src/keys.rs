//! Keys of groups: made, wrapped by what is derived from the appliance's master key, unwrapped, exported.

use blockstore_engine::{GroupKey, KeyId, MasterKey as Wrapping};
use bson::DateTime;
use holdfast_domain::GroupId;
use holdfast_metadb::StoredGroupKey;
use holdfast_service::MasterKey;

use crate::{ApplianceStore, StoreError};

/// What the wrapping key is derived for.
const PURPOSE: &str = "group keys";

fn wrapping(master: &MasterKey) -> Result<Wrapping, StoreError> {
    Ok(Wrapping::from_bytes(master.derive(PURPOSE)?))
}

pub(crate) fn unwrap(master: &MasterKey, key: &StoredGroupKey) -> Result<GroupKey, StoreError> {
    let unwrapped = wrapping(master)?.unwrap_key(&key.wrapped)?;
    if unwrapped.id().to_string() == key.id { Ok(unwrapped) } else { Err(StoreError::NoKey(key.id.clone())) }
}

pub(crate) fn parse_id(id: &str) -> Result<KeyId, StoreError> {
    let bytes = hex::decode(id).ok();
    bytes.and_then(|bytes| KeyId::from_slice(&bytes)).ok_or_else(|| StoreError::NoKey(id.to_owned()))
}

impl ApplianceStore {
    /// Makes and keeps a key for a group that is about to be made under this id; the key's id, for the group's document.
    ///
    /// # Errors
    /// The app database's, the cryptographic library's.
    pub async fn create_key(&self, group: &GroupId) -> Result<String, StoreError> {
        let key = GroupKey::generate();
        let id = key.id().to_string();
        let wrapped = wrapping(&self.inner.master_key)?.wrap(&key);
        let stored = StoredGroupKey { id: id.clone(), group: group.clone(), wrapped, created: DateTime::now() };
        self.inner.metadb.put_group_key(&stored).await?;
        self.inner.keys.insert(&key);
        Ok(id)
    }

    /// Takes in a group's key that another appliance exported, so that snapshots that are copied from there can be checked and read; its id.
    /// `group` is the group here that they will belong to.
    ///
    /// # Errors
    /// [`StoreError::Key`] for text that is no group's key; the app database's, the cryptographic library's.
    pub async fn import_key(&self, group: &GroupId, text: &str) -> Result<String, StoreError> {
        let key = GroupKey::from_file(text)?;
        let id = key.id().to_string();
        if self.inner.metadb.group_key(&id).await?.is_none() {
            let wrapped = wrapping(&self.inner.master_key)?.wrap(&key);
            let stored = StoredGroupKey { id: id.clone(), group: group.clone(), wrapped, created: DateTime::now() };
            self.inner.metadb.put_group_key(&stored).await?;
        }
        self.inner.keys.insert(&key);
        Ok(id)
    }

    /// A key itself, for whoever may export it. With it, blocks and roots a restore needs nothing else.
    ///
    /// # Errors
    /// The app database's; [`StoreError::NoKey`] when it is lost or wrapped by another master key.
    pub async fn export_key(&self, id: &str) -> Result<GroupKey, StoreError> {
        let stored = self.inner.metadb.group_key(id).await?;
        let stored = stored.ok_or_else(|| StoreError::NoKey(id.to_owned()))?;
        unwrap(&self.inner.master_key, &stored)
    }
}
