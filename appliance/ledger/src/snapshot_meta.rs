//! What a snapshot says about itself: the bytes of a root's `meta`.
//!
//! Written by the daemon when it commits a snapshot, read by the daemon, web and the CLI. Takes unknown fields, so that an
//! older reader reads a newer writer's.

use holdfast_domain::{EntryPosition, GroupId, OpTime};
use serde::{Deserialize, Serialize};

/// How the source lays out its files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StorageOptions {
    /// `storage.directoryPerDB`.
    pub directory_per_db: bool,
    /// `storage.wiredTiger.engineConfig.directoryForIndexes`.
    pub directory_for_indexes: bool,
}

/// Facts of a snapshot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotMeta {
    /// Group of the job.
    pub group: GroupId,
    /// Name of the replica set.
    pub rs: String,
    /// Optime: every entry at or before it is applied, none after.
    pub optime: OpTime,
    /// The first slice that a replay from this snapshot needs.
    pub resume: EntryPosition,
    /// Optime from which a rebuilt head must be fed (equal to `optime` unless the head keeps a margin).
    pub feed_from: OpTime,
    /// Version of the server whose files these are, `6.0.5`.
    pub server_version: String,
    /// Feature compatibility version, `6.0`.
    pub fcv: String,
    /// Layout of the files.
    pub storage: StorageOptions,
    /// When it was taken, by the daemon's clock.
    pub taken_at: bson::DateTime,
    /// Label given by the user who asked for it.
    #[serde(default)]
    pub label: Option<String>,
}

/// The bytes of a root's meta are not those of a snapshot.
#[derive(Debug, thiserror::Error)]
#[error("the facts of the snapshot cannot be read")]
pub struct SnapshotMetaError(#[source] bson::error::Error);

impl holdfast_domain::Classify for SnapshotMetaError {
    fn class(&self) -> holdfast_domain::ErrorClass {
        holdfast_domain::ErrorClass::Corrupt
    }
}

impl SnapshotMeta {
    /// The bytes for a root.
    ///
    /// # Errors
    /// [`SnapshotMetaError`] when a string holds what BSON cannot (never with values of our own).
    pub fn encode(&self) -> Result<Vec<u8>, SnapshotMetaError> {
        bson::serialize_to_vec(self).map_err(SnapshotMetaError)
    }

    /// Reads the bytes of a root.
    ///
    /// # Errors
    /// [`SnapshotMetaError`] when they are not a snapshot's.
    pub fn decode(bytes: &[u8]) -> Result<Self, SnapshotMetaError> {
        bson::deserialize_from_slice(bytes).map_err(SnapshotMetaError)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use holdfast_domain::Ts;

    #[test]
    fn round_trip_and_unknown_fields() {
        let optime = OpTime { ts: Ts { t: 9, i: 2 }, term: 4 };
        let meta = SnapshotMeta {
            group: GroupId::random(),
            rs: "rs0".into(),
            optime,
            resume: EntryPosition { chain: 1, seq: 7 },
            feed_from: optime,
            server_version: "6.0.5".into(),
            fcv: "6.0".into(),
            storage: StorageOptions { directory_per_db: true, directory_for_indexes: false },
            taken_at: bson::DateTime::from_millis(5),
            label: None,
        };
        let bytes = meta.encode().unwrap();
        assert_eq!(SnapshotMeta::decode(&bytes).unwrap(), meta);
        let mut doc: bson::Document = bson::deserialize_from_slice(&bytes).unwrap();
        doc.insert("later", 1);
        assert_eq!(SnapshotMeta::decode(&bson::serialize_to_vec(&doc).unwrap()).unwrap(), meta);
        assert!(SnapshotMeta::decode(&bytes[..bytes.len() - 1]).is_err());
    }
}
