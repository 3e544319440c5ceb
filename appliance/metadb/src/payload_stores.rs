//! Where the blockstore's payloads may lie: one document, changed by compare-and-set.
//!
//! `settings {_id: "payloadStores", value: {revision, default, stores}}`. Number 0 is the blockstore's database itself, 1 to 127 are stores of
//! packs. Invariants: a number is never used twice, since it is part of every payload's place; new payloads go to an active store; a store
//! is retired only after it was drained. Credentials come in sealed. Every change, also of group keys, raises `revision`, by which running
//! processes notice. Written by web, `holdfast-app init` and the daemon that empties a store; read by every process.

use bson::{DateTime, Document, doc};
use serde::{Deserialize, Serialize};

use crate::{
    MetaDb, MetaError,
    error::{duplicate, on, to_bson},
};

/// Number of the blockstore's own database among the stores.
pub const DATABASE_STORE: u8 = 0;
/// Highest number of a store of packs: the engine's places have seven bits for it.
const NUMBER_MAX: u8 = 127;
/// Tries of one change: others change stores by hand, so seldom at once.
const TRIES_MAX: usize = 50;
const ID: &str = "payloadStores";

/// What may be done with a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PayloadStoreState {
    /// Read from, and written to when it is the default.
    Active,
    /// Being emptied: read from only.
    Draining,
    /// Empty and not opened any more. Its number stays taken.
    Retired,
}

/// Where a store of packs is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum PayloadStoreLocation {
    /// A folder that every process sees under this path.
    Directory {
        /// Absolute path.
        path: String,
    },
    /// A bucket.
    #[serde(rename_all = "camelCase")]
    S3 {
        /// URL of the service; None: Amazon's.
        endpoint: Option<String>,
        /// Region.
        region: String,
        /// Bucket.
        bucket: String,
        /// Folder in it; may be empty.
        prefix: String,
        /// Whether the bucket stands in the host's name.
        virtual_hosted: bool,
        /// Certificates that are trusted besides the system's.
        ca_pem: Option<String>,
        /// {accessKeyId, secretAccessKey} as JSON, sealed for `payloadStores/credentials`.
        #[serde(with = "serde_bytes")]
        credentials: Vec<u8>,
    },
}

/// A store of packs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PayloadStore {
    /// Its number, 1 to 127.
    pub number: u8,
    /// Where it is.
    pub location: PayloadStoreLocation,
    /// See [`PayloadStoreState`].
    pub state: PayloadStoreState,
    /// Bytes of a full pack.
    pub pack_bytes: u32,
    /// Bytes per second in each direction, at most, for each process. None: no limit.
    pub bandwidth_bytes_per_second: Option<u64>,
    /// When it was added.
    pub created: DateTime,
}

/// All of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PayloadStores {
    /// Grows with every change.
    pub revision: i64,
    /// Where new payloads go: [`DATABASE_STORE`] or the number of an active store.
    pub default: u8,
    /// Stores of packs, retired ones too.
    pub stores: Vec<PayloadStore>,
}

fn refused<T>(detail: impl Into<String>) -> Result<T, MetaError> {
    Err(MetaError::Invalid { what: "the change of the payload stores", detail: detail.into() })
}

impl PayloadStores {
    /// A store; not the database.
    #[must_use]
    pub fn get(&self, number: u8) -> Option<&PayloadStore> {
        self.stores.iter().find(|store| store.number == number)
    }

    fn get_mut(&mut self, number: u8) -> Result<&mut PayloadStore, MetaError> {
        let found = self.stores.iter_mut().find(|store| store.number == number);
        found.ok_or_else(|| MetaError::NotFound { what: "payload store", id: number.to_string() })
    }

    /// Adds an active store under the next number; the number.
    ///
    /// # Errors
    /// [`MetaError::Exists`] when the place is in use already; [`MetaError::Invalid`] when all numbers are taken.
    pub fn add(
        &mut self,
        location: PayloadStoreLocation,
        pack_bytes: u32,
        bandwidth_bytes_per_second: Option<u64>,
    ) -> Result<u8, MetaError> {
        let in_use =
            |store: &&PayloadStore| store.state != PayloadStoreState::Retired && store.location.is_at(&location);
        if let Some(store) = self.stores.iter().find(in_use) {
            return Err(MetaError::Exists { what: "payload store", id: store.number.to_string() });
        }
        let number = self.stores.iter().map(|store| store.number).max().unwrap_or(DATABASE_STORE) + 1;
        if number > NUMBER_MAX {
            return refused(format!("all {NUMBER_MAX} numbers are taken"));
        }
        let (state, created) = (PayloadStoreState::Active, DateTime::now());
        self.stores.push(PayloadStore { number, location, state, pack_bytes, bandwidth_bytes_per_second, created });
        Ok(number)
    }

    /// New payloads go there from now on.
    ///
    /// # Errors
    /// [`MetaError::NotFound`]; [`MetaError::Invalid`] when it is not active.
    pub fn set_default(&mut self, number: u8) -> Result<(), MetaError> {
        if number != DATABASE_STORE && self.get_mut(number)?.state != PayloadStoreState::Active {
            return refused(format!("store {number} is being emptied, or retired: nothing new can go there"));
        }
        self.default = number;
        Ok(())
    }

    /// Nothing new goes there any more; it can be emptied. The database itself has no state: it only must not be the default.
    ///
    /// # Errors
    /// [`MetaError::NotFound`]; [`MetaError::Invalid`] when new payloads go there, or it is retired.
    pub fn drain(&mut self, number: u8) -> Result<(), MetaError> {
        if number == self.default {
            return refused(format!("new payloads go to store {number}: make another store the default first"));
        }
        if number == DATABASE_STORE {
            return Ok(());
        }
        let store = self.get_mut(number)?;
        if store.state == PayloadStoreState::Retired {
            return refused(format!("store {number} is retired"));
        }
        store.state = PayloadStoreState::Draining;
        Ok(())
    }

    /// Takes back [`Self::drain`].
    ///
    /// # Errors
    /// [`MetaError::NotFound`]; [`MetaError::Invalid`] when it is retired.
    pub fn activate(&mut self, number: u8) -> Result<(), MetaError> {
        let store = self.get_mut(number)?;
        if store.state == PayloadStoreState::Retired {
            return refused(format!("store {number} is retired"));
        }
        store.state = PayloadStoreState::Active;
        Ok(())
    }

    /// Not opened any more. The caller has made sure that nothing lies there.
    ///
    /// # Errors
    /// [`MetaError::NotFound`]; [`MetaError::Invalid`] when it was not drained.
    pub fn retire(&mut self, number: u8) -> Result<(), MetaError> {
        let store = self.get_mut(number)?;
        if store.state == PayloadStoreState::Active {
            return refused(format!("store {number} is in use: move its payloads to another store first"));
        }
        store.state = PayloadStoreState::Retired;
        Ok(())
    }

    /// Changes the limit of bandwidth.
    ///
    /// # Errors
    /// [`MetaError::NotFound`].
    pub fn set_bandwidth(&mut self, number: u8, bytes_per_second: Option<u64>) -> Result<(), MetaError> {
        self.get_mut(number)?.bandwidth_bytes_per_second = bytes_per_second;
        Ok(())
    }

    /// Changes the sealed credentials of a bucket.
    ///
    /// # Errors
    /// [`MetaError::NotFound`]; [`MetaError::Invalid`] for a directory.
    pub fn set_credentials(&mut self, number: u8, sealed: Vec<u8>) -> Result<(), MetaError> {
        match &mut self.get_mut(number)?.location {
            PayloadStoreLocation::S3 { credentials, .. } => *credentials = sealed,
            PayloadStoreLocation::Directory { .. } => return refused("a directory has no credentials"),
        }
        Ok(())
    }
}

impl PayloadStoreLocation {
    /// Whether both are the same place.
    fn is_at(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Directory { path: a }, Self::Directory { path: b }) => a == b,
            (
                Self::S3 { endpoint: a, bucket: b, prefix: c, region: d, .. },
                Self::S3 { endpoint: e, bucket: f, prefix: g, region: h, .. },
            ) => (a, b, c, d) == (e, f, g, h),
            _ => false,
        }
    }
}

impl MetaDb {
    /// The payload stores as they are configured now. Nothing but the database before the first change.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn payload_stores(&self) -> Result<PayloadStores, MetaError> {
        let op = "read the payload stores";
        match self.appliance_setting(ID).await? {
            None => Ok(PayloadStores::default()),
            Some(value) => bson::deserialize_from_document(value)
                .map_err(|error| on(op)(mongodb::error::Error::from(mongodb::error::ErrorKind::from(error)))),
        }
    }

    /// Changes them; the change is made again when somebody else was faster.
    ///
    /// # Errors
    /// The change's own; [`MetaError::Database`], [`MetaError::Contention`].
    pub async fn change_payload_stores<T>(
        &self,
        change: impl Fn(&mut PayloadStores) -> Result<T, MetaError>,
    ) -> Result<T, MetaError> {
        let op = "change the payload stores";
        for _ in 0..TRIES_MAX {
            let before = self.payload_stores().await?;
            let mut after = before.clone();
            let answer = change(&mut after)?;
            after.revision = before.revision + 1;
            let value = to_bson(op, &after)?;
            let settings = self.of::<Document>("settings");
            let done = if before.revision == 0 {
                match settings.insert_one(doc! { "_id": ID, "value": value }).await {
                    Ok(_) => true,
                    Err(error) if duplicate(&error) => false,
                    Err(error) => return Err(on(op)(error)),
                }
            } else {
                let filter = doc! { "_id": ID, "value.revision": before.revision };
                let update = doc! { "$set": { "value": value } };
                settings.update_one(filter, update).await.map_err(on(op))?.matched_count == 1
            };
            if done {
                return Ok(answer);
            }
        }
        Err(MetaError::Contention { op })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn directory(path: &str) -> PayloadStoreLocation {
        PayloadStoreLocation::Directory { path: path.into() }
    }

    #[test]
    fn a_store_is_filled_emptied_and_retired_in_this_order_only() {
        let mut stores = PayloadStores::default();
        assert!(stores.set_default(1).is_err() && stores.drain(DATABASE_STORE).is_err());
        assert_eq!(stores.add(directory("/a"), 32 << 20, None).unwrap(), 1);
        assert!(matches!(stores.add(directory("/a"), 32 << 20, None), Err(MetaError::Exists { .. })));
        assert_eq!(stores.add(directory("/b"), 32 << 20, Some(1000)).unwrap(), 2);
        stores.set_default(1).unwrap();
        stores.drain(DATABASE_STORE).unwrap();
        assert!(stores.drain(1).is_err(), "new payloads go there");
        assert!(stores.retire(1).is_err() && stores.retire(2).is_err(), "not drained");
        stores.set_default(2).unwrap();
        stores.drain(1).unwrap();
        assert!(stores.set_default(1).is_err());
        stores.activate(1).unwrap();
        stores.drain(1).unwrap();
        stores.retire(1).unwrap();
        assert!(stores.activate(1).is_err() && stores.drain(1).is_err() && stores.set_default(1).is_err());
        assert_eq!(stores.add(directory("/a"), 32 << 20, None).unwrap(), 3, "no number comes twice");
        stores.set_bandwidth(3, Some(5)).unwrap();
        assert_eq!(stores.get(3).unwrap().bandwidth_bytes_per_second, Some(5));
        assert!(stores.set_credentials(3, vec![1]).is_err());
    }

    #[test]
    fn documents_read_back() {
        let mut stores = PayloadStores::default();
        let s3 = PayloadStoreLocation::S3 {
            endpoint: Some("http://h:1".into()),
            region: "r".into(),
            bucket: "b".into(),
            prefix: String::new(),
            virtual_hosted: false,
            ca_pem: None,
            credentials: vec![1, 2, 3],
        };
        stores.add(s3, 32 << 20, Some(u64::from(u32::MAX) + 1)).unwrap();
        stores.add(directory("/a"), 64 << 20, None).unwrap();
        let document = bson::serialize_to_document(&stores).unwrap();
        assert_eq!(bson::deserialize_from_document::<PayloadStores>(document).unwrap(), stores);
    }
}
