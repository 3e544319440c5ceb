//! What callers pass in and get back, beside the types of the wire.

use bson::Document;
use holdfast_domain::{Hash32, LedgerEntry, OpTime, PayloadRef, SliceSummary};
use serde::{Deserialize, Serialize};

/// Opens a chain.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenChainRequest {
    /// Hash of the closing entry before; zero for the first chain.
    pub prev: Hash32,
    /// Start point B: the optime of an oplog entry of the source.
    pub start: OpTime,
    /// What the source is (the agent's `SourceInfo`), kept as it came.
    pub source: Document,
}

/// Appends a slice whose payload is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct AppendRequest {
    /// Sequence number, from 1.
    pub seq: i64,
    /// Hash of the entry before.
    pub prev: Hash32,
    /// First oplog entry. In slice 1 it is the chain's start point itself.
    pub first: OpTime,
    /// Last oplog entry.
    pub last: OpTime,
    /// The payload, as its receipt names it.
    pub payload: PayloadRef,
    /// What is in it.
    pub summary: SliceSummary,
}

/// An entry as stored, checked after reading.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredEntry {
    /// The entry.
    pub entry: LedgerEntry,
    /// Its hash, recomputed.
    pub hash: Hash32,
    /// What a slice holds; empty for open and close.
    pub summary: SliceSummary,
    /// When the server received it, by the server's clock.
    pub received_at: bson::DateTime,
    /// A closing entry's sentence for the operator.
    pub detail: Option<String>,
}

/// What became of a sync slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutSlice {
    /// It is stored now.
    Stored,
    /// It was stored before, the same bytes.
    Same,
}

/// State of a chain's initial sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SyncPhase {
    /// Scans go on.
    Open,
    /// Everything is scanned; the head may load the rest.
    Complete,
    /// Its slices are gone: the head has them, or the chain was given up.
    Dropped,
}

/// A chain's initial sync, without its collections.
#[derive(Clone, Debug, PartialEq)]
pub struct SyncInfo {
    /// State.
    pub phase: SyncPhase,
    /// It was completed; stays true after its slices were dropped. An agent of such a chain only tails.
    pub complete: bool,
    /// End point so far; final once complete. The head must apply the ledger up to here before its indexes are built.
    pub end: Option<OpTime>,
}

/// One collection of an initial sync.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredScan {
    /// UUID, 32 hex digits.
    pub uuid: String,
    /// Database.
    pub db: String,
    /// Name when it was listed.
    pub name: String,
    /// Its options, as listCollections gave them.
    pub options: Document,
    /// Its indexes, as listIndexes gave them.
    pub indexes: Vec<Document>,
    /// Number of the present scan.
    pub scan: i64,
    /// Slices stored of it: 0 to `next_seq - 1`.
    pub next_seq: i64,
    /// Slices that the head has loaded: 0 to `loaded_seq - 1`.
    pub loaded_seq: i64,
    /// Ended: `next_seq` is final.
    pub ended: bool,
    /// Ended because the collection no longer exists: discard it.
    pub gone: bool,
    /// Documents estimated at the source, for progress.
    pub documents: i64,
    /// Bytes estimated at the source, for progress.
    pub bytes: i64,
    /// Documents stored so far.
    pub documents_stored: i64,
    /// Raw bytes stored so far.
    pub raw_bytes_stored: i64,
}

/// What [`crate::Ledger::trim`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrimReport {
    /// Entries deleted.
    pub entries: u64,
    /// Days whose payloads were dropped.
    pub days: u64,
    /// True when a bound stopped it: call again.
    pub more: bool,
}
