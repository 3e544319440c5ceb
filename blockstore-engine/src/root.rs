//! Snapshots as documents: what a root says, what seals it, who holds it.
//!
//! Invariants: the immutable fields are sealed by `hash`; label, pins, trash and quarantine are not, they change under the job's guard.
//! Pure; read and written by `roots.rs` and `commit.rs`.

use bson::DateTime;
use serde::{Deserialize, Serialize};

use crate::id::{BlockId, RootId};
use crate::keys::KeyId;

/// Format of roots, nodes and pages that this crate writes, and the newest it reads.
pub const FORMAT: u32 = 1;
/// Largest `meta` of a root in bytes: a root is one document.
pub const META_BYTES_MAX: usize = 4 << 20;
/// Pins on one root, at most.
pub const PINS_MAX: usize = 64;
/// Longest job name, label and name of a pin's holder in bytes.
pub const NAME_BYTES_MAX: usize = 1024;

/// A place in the ledger: slices before it may be deleted (a guard's floor), or replay starts at it (a root's resume point).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Floor {
    /// Number of the chain.
    pub chain: i64,
    /// Sequence within the chain.
    pub seq: i64,
}

/// What a snapshot was made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Purpose {
    /// A backup: can be base and newest.
    Snapshot,
    /// Made to serve one restore: neither base nor newest.
    Restore,
}

/// Someone needs this snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// Who; at most one pin per holder.
    pub by: String,
    /// Until when by the wall clock; `None`: until unpinned.
    pub until: Option<DateTime>,
}

/// Holders whose names begin so (copies to another store) need the files alone: their pins hold a snapshot whose resume point lies below
/// the job's floor as well, and hold no slices.
pub const COPY_PIN: &str = "copy:";

impl Pin {
    /// Whether it promises the slices that replay on the snapshot needs, not its files alone.
    #[must_use]
    pub fn holds_slices(&self) -> bool {
        !self.by.starts_with(COPY_PIN)
    }

    /// Whether it still holds at `now`.
    #[must_use]
    pub fn is_live(&self, now: DateTime) -> bool {
        self.until.is_none_or(|until| until > now)
    }
}

/// Where a copied snapshot came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Origin {
    /// Whoever copied it calls the store so that it came from, at most [`NAME_BYTES_MAX`] bytes.
    pub store: String,
    /// Its id there.
    pub root: RootId,
    /// Its job there.
    pub job: String,
    /// When it was committed there, by that writer's clock.
    pub committed_at: DateTime,
    /// Its seal there.
    #[serde(with = "hash32")]
    pub hash: [u8; 32],
}

/// A committed snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Root {
    /// The id of the registration that wrote it.
    #[serde(rename = "_id")]
    pub id: RootId,
    /// The job that it belongs to.
    pub job: String,
    /// The snapshot that it was compared with.
    pub parent: Option<RootId>,
    /// Wall clock of the writer at commit.
    pub committed_at: DateTime,
    /// The caller's bytes, opaque here.
    #[serde(with = "serde_bytes")]
    pub meta: Vec<u8>,
    /// Where replay on top of it starts.
    pub resume: Floor,
    /// What it was made for.
    pub purpose: Purpose,
    /// A name given by a person. Not sealed.
    pub label: Option<String>,
    /// Who needs it. Not sealed.
    pub pins: Vec<Pin>,
    /// Since when it lies in the trash. Not sealed.
    pub trashed_at: Option<DateTime>,
    /// Whether a block of it was found to be bad. Not sealed.
    pub quarantined: bool,
    /// Number of files.
    #[serde(with = "as_i64")]
    pub files: u64,
    /// Sum of the files' sizes in bytes.
    #[serde(with = "as_i64")]
    pub logical_bytes: u64,
    /// Raw bytes of the blocks that this writer inserted.
    #[serde(with = "as_i64")]
    pub new_bytes: u64,
    /// Bytes of the frames that this writer inserted.
    #[serde(with = "as_i64")]
    pub stored_bytes: u64,
    /// Top node of the tree of file entries.
    pub tree: BlockId,
    /// The key that its blocks are encrypted under; absent when they are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyId>,
    /// Where it was copied from; absent when a writer cut it from files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// Seals every immutable field.
    #[serde(with = "hash32")]
    pub hash: [u8; 32],
    /// [`FORMAT`] at the time of writing.
    pub format: u32,
}

impl Root {
    /// What `hash` must be; `docs/format.md` draws the input.
    #[must_use]
    pub fn seal(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_derive_key("holdfast blockstore root v1");
        let mut text = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        text(&self.id.bytes());
        text(self.job.as_bytes());
        text(self.parent.as_ref().map(|id| id.bytes()).as_ref().map_or(&[], |bytes| bytes.as_slice()));
        text(&self.meta);
        for number in [self.committed_at.timestamp_millis(), self.resume.chain, self.resume.seq] {
            hasher.update(&number.to_le_bytes());
        }
        hasher.update(&[match self.purpose {
            Purpose::Snapshot => 0,
            Purpose::Restore => 1,
        }]);
        for number in [self.files, self.logical_bytes, self.new_bytes, self.stored_bytes] {
            hasher.update(&number.to_le_bytes());
        }
        hasher.update(&self.tree.0);
        hasher.update(&self.format.to_le_bytes());
        if let Some(key) = self.key {
            hasher.update(&key.0);
        }
        if let Some(origin) = &self.origin {
            // A key is 16 bytes, this is longer: no root can be read both ways.
            hasher.update(b"holdfast copied from");
            for bytes in [origin.store.as_bytes(), &origin.root.bytes(), origin.job.as_bytes(), &origin.hash] {
                hasher.update(&(bytes.len() as u64).to_le_bytes());
                hasher.update(bytes);
            }
            hasher.update(&origin.committed_at.timestamp_millis().to_le_bytes());
        }
        *hasher.finalize().as_bytes()
    }

    /// Whether the immutable fields are as they were committed.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        self.hash == self.seal()
    }

    /// Whether somebody needs it at `now`.
    #[must_use]
    pub fn is_pinned(&self, now: DateTime) -> bool {
        self.pins.iter().any(|pin| pin.is_live(now))
    }
}

/// BSON has signed integers only; sizes are at most 2^63-1.
mod as_i64 {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

    pub(super) fn serialize<S: Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        i64::try_from(*value).map_err(ser::Error::custom)?.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        u64::try_from(i64::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

mod hash32 {
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(value: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(value)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
        let bytes = serde_bytes::ByteBuf::deserialize(deserializer)?;
        bytes.as_slice().try_into().map_err(|_| de::Error::invalid_length(bytes.len(), &"32 bytes"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn root() -> Root {
        let mut root = Root {
            id: RootId::random(),
            job: "group/rs0".into(),
            parent: Some(RootId::random()),
            committed_at: DateTime::from_millis(1_700_000_000_123),
            meta: vec![1, 2, 3],
            resume: Floor { chain: 1, seq: 7 },
            purpose: Purpose::Snapshot,
            label: Some("before the upgrade".into()),
            pins: vec![Pin { by: "restore".into(), until: None }],
            trashed_at: None,
            quarantined: false,
            files: 3,
            logical_bytes: 10,
            new_bytes: 5,
            stored_bytes: 4,
            tree: BlockId::of(b"tree"),
            key: Some(KeyId([7; 16])),
            origin: Some(Origin {
                store: "vault".into(),
                root: RootId::random(),
                job: "job".into(),
                committed_at: DateTime::from_millis(5),
                hash: [3; 32],
            }),
            hash: [0; 32],
            format: FORMAT,
        };
        root.hash = root.seal();
        root
    }

    #[test]
    fn survives_bson() {
        let root = root();
        let raw = bson::serialize_to_raw_document_buf(&root).unwrap();
        let back: Root = bson::deserialize_from_slice(raw.as_bytes()).unwrap();
        assert_eq!(back, root);
        assert!(back.is_sealed());
    }

    #[test]
    fn every_immutable_field_is_sealed_and_no_other() {
        let change: [fn(&mut Root); 17] = [
            |r| r.id = RootId::random(),
            |r| r.job.push('x'),
            |r| r.parent = None,
            |r| r.committed_at = DateTime::from_millis(0),
            |r| r.meta.push(0),
            |r| r.resume.seq += 1,
            |r| r.resume.chain += 1,
            |r| r.purpose = Purpose::Restore,
            |r| r.logical_bytes += 1,
            |r| r.tree = BlockId::of(b"other"),
            |r| r.files += 1,
            |r| r.key = None,
            |r| r.origin = None,
            |r| r.origin.as_mut().unwrap().store.push('x'),
            |r| r.origin.as_mut().unwrap().root = RootId::random(),
            |r| r.origin.as_mut().unwrap().committed_at = DateTime::from_millis(6),
            |r| r.origin.as_mut().unwrap().hash[0] ^= 1,
        ];
        for change in change {
            let mut root = root();
            change(&mut root);
            assert!(!root.is_sealed());
        }
        let mut root = root();
        root.label = None;
        root.pins.clear();
        root.trashed_at = Some(DateTime::now());
        root.quarantined = true;
        assert!(root.is_sealed());
    }

    #[test]
    fn pins_end() {
        let pin = Pin { by: "x".into(), until: Some(DateTime::from_millis(10)) };
        assert!(pin.is_live(DateTime::from_millis(9)));
        assert!(!pin.is_live(DateTime::from_millis(10)));
    }
}
