//! One entry of a ledger, and the hash that chains it to the entry before.
//!
//! The agent and the server compute the hash from the same fields; the ledger keeps it. Position `seq` 0 opens a chain
//! and names the closing entry of the chain before (or zero); from then on every entry names its predecessor. So a
//! ledger with a gap, an overlap, a fork or another order cannot be written.

use serde::{Deserialize, Serialize};

use crate::{BackupJobId, Hash32, OpTime};

/// Where an entry stands within its job's ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EntryPosition {
    /// Number of the chain, from 0.
    pub chain: i64,
    /// Number within the chain, from 0.
    pub seq: i64,
}

/// The bytes of an oplog slice, as its ledger entry names them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PayloadRef {
    /// BLAKE3 of the raw BSON: the entries' documents, one after the other.
    pub hash: Hash32,
    /// Bytes of the raw BSON.
    pub raw_bytes: i64,
    /// Number of oplog entries.
    pub entries: i64,
    /// Day of receipt at the server, `YYYYMMDD`: names the collection that holds the parts. Not part of the entry's hash.
    pub day: i32,
}

/// Why a chain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CloseReason {
    /// An operator asked for a new initial sync.
    ResyncRequested,
    /// The source's oplog no longer holds the resume point.
    WindowLost,
    /// The source lacks what had been majority committed: another history.
    OtherHistory,
    /// The initial sync could not be brought to a consistent end.
    SyncFailed,
    /// The head differed from what the ledger says and could not be rebuilt.
    Diverged,
    /// The source changed its version in a way the head cannot follow.
    VersionChange,
    /// The backup was stopped.
    Stopped,
}

/// What an entry says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EntryBody {
    /// The chain begins here; the first oplog entry of the first slice is the one at `first` itself.
    Open,
    /// A run of consecutive oplog entries.
    Slice {
        /// The bytes.
        payload: PayloadRef,
    },
    /// The chain ends here.
    Close {
        /// Why.
        reason: CloseReason,
    },
}

/// An entry of a ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LedgerEntry {
    /// Whose ledger.
    pub job: BackupJobId,
    /// Where.
    pub at: EntryPosition,
    /// Optime of the first oplog entry. Open: the start point B. Close: the last optime of the chain.
    pub first: OpTime,
    /// Optime of the last oplog entry; equal to `first` for open and close.
    pub last: OpTime,
    /// Hash of the entry before.
    pub prev: Hash32,
    /// What it says.
    pub body: EntryBody,
}

impl LedgerEntry {
    /// The hash that the next entry must name: BLAKE3 over a version byte and every field, lengths fixed, integers
    /// little endian. The day of receipt is left out: it is the server's, not the agent's.
    #[must_use]
    pub fn hash(&self) -> Hash32 {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"holdfast ledger entry v1\0");
        hasher.update(self.job.as_str().as_bytes());
        for number in [self.at.chain, self.at.seq] {
            hasher.update(&number.to_le_bytes());
        }
        for optime in [self.first, self.last] {
            hasher.update(&optime.ts.t.to_le_bytes());
            hasher.update(&optime.ts.i.to_le_bytes());
            hasher.update(&optime.term.to_le_bytes());
        }
        hasher.update(&self.prev.0);
        match &self.body {
            EntryBody::Open => {
                hasher.update(&[0]);
            }
            EntryBody::Slice { payload } => {
                hasher.update(&[1]);
                hasher.update(&payload.hash.0);
                hasher.update(&payload.raw_bytes.to_le_bytes());
                hasher.update(&payload.entries.to_le_bytes());
            }
            EntryBody::Close { reason } => {
                hasher.update(&[2, *reason as u8]);
            }
        }
        Hash32(*hasher.finalize().as_bytes())
    }

    /// True when the chain ends with this entry.
    #[must_use]
    pub const fn closes(&self) -> bool {
        matches!(self.body, EntryBody::Close { .. })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::Ts;

    fn slice() -> LedgerEntry {
        let at = |i| OpTime { ts: Ts { t: 100, i }, term: 2 };
        LedgerEntry {
            job: "0123456789abcdef01234567".parse().unwrap(),
            at: EntryPosition { chain: 0, seq: 1 },
            first: at(1),
            last: at(9),
            prev: Hash32::of(b"before"),
            body: EntryBody::Slice {
                payload: PayloadRef { hash: Hash32::of(b"raw"), raw_bytes: 3, entries: 9, day: 20_261_122 },
            },
        }
    }

    #[test]
    fn every_field_but_the_day_changes_the_hash() {
        let base = slice();
        let mut others: Vec<LedgerEntry> = std::iter::repeat_with(slice).take(7).collect();
        others[0].job = BackupJobId::random();
        others[1].at.seq = 2;
        others[2].at.chain = 1;
        others[3].first.ts.i = 2;
        others[4].last.term = 3;
        others[5].prev = Hash32::ZERO;
        others[6].body = EntryBody::Close { reason: CloseReason::Stopped };
        for other in &others {
            assert_ne!(other.hash(), base.hash());
        }
        let mut other_day = slice();
        if let EntryBody::Slice { payload } = &mut other_day.body {
            payload.day += 1;
        }
        assert_eq!(other_day.hash(), base.hash());
    }

    #[test]
    fn bson_and_json_round_trip() {
        let entry = slice();
        let doc = bson::serialize_to_document(&entry).unwrap();
        assert_eq!(bson::deserialize_from_document::<LedgerEntry>(doc).unwrap(), entry);
    }
}
