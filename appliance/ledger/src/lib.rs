//! The ledger of every backup job: chains of accepted oplog slices, their payloads, and the slices of initial syncs.
//!
//! Purpose: say which seconds of a source can be restored, and hold the bytes for it, in the blockstore database.
//!
//! Invariants:
//! - Inserting an entry with `_id {job, chain, seq}` is the compare-and-set. It happens in a transaction that found the
//!   entry before with the hash named, so gaps, overlaps, forks and reordering cannot be written, by anyone, ever.
//! - A payload is durable on a majority before an entry names it; an entry is deleted before its payload is.
//! - Whatever is read back is checked: hash, linkage, length. Bytes that fail are an error of class `Corrupt`, never served.
//! - A day's payloads are dropped only after a transaction that found no entry naming the day marked it; an append writes
//!   the day's document in its own transaction, so that of a drop and an append that meet one sees the other.
//!
//! | collection | `_id` | holds |
//! |---|---|---|
//! | `ledger_entries` | `{job, chain, seq}` | entry, its hash, summary, time of receipt |
//! | `ledger_days` | `{job, day}` | that the day's payloads may be named; `dropped` once they may not |
//! | `oplog_<job>_<yyyymmdd>` | `{chain, hash, part}` | payload parts of at most 8 MiB; part 0 is written last and commits |
//! | `sync_states` | `{job, chain}` | the chain's initial sync: open, complete, dropped; its end point |
//! | `sync_scans` | `{job, chain, uuid}` | one collection's present scan and how far it is stored and loaded |
//! | `sync_<job>_<chain>` | `{uuid, scan, seq, part}` | sync slice parts |
//! | `ledger_catalogs` | `{job, chain, at, part}` | the newest list of the source's collections |
//! | `ledger_rollups`, `ledger_events`, `ledger_rollup_ends` | see `rollup` | how much was written when, and what happened |
//! | `ledger_jobs` | job | names of its group and replica set; how far copies of its ledger go |
//!
//! Where a group encrypts, frames of slices and catalogs, and a scan's options and indexes, are encrypted: `seal`. Entries, summaries, rollups and
//! events are not: they hold times, sizes, counts, and names of databases and collections.
//!
//! Copies of ledgers outside of the database are made of segments: `docs/mirror.md`.
//!
//! Called by ingest (writes), the daemon and web (reads, closing, trimming). It knows nothing of HTTP, heads or blocks, and
//! it must never delete an entry or a payload that it was not told to.

mod append;
mod catalog;
mod chains;
mod days;
mod db;
mod error;
mod frame;
mod inspect;
mod job_facts;
mod parts;
mod payload;
mod read;
mod rollup;
mod rollup_read;
mod scans;
mod seal;
mod segment;
mod snapshot_meta;
mod space;
mod sync_read;
mod sync_slices;
mod sync_state;
mod trim;
mod types;
mod walk;

pub use blockstore_engine::{KeyId, Keyring};
pub use db::Ledger;
pub use error::{AppendError, LedgerError, PayloadError, PutPayloadError, SyncError};
pub use frame::{compress, decompress_bounded};
pub use holdfast_agent_api::{
    CompleteSync, EndScan, LedgerTail, ScanGrant, ScanState, ScanTail, StartScan, SyncSliceHeader, SyncState,
};
pub use inspect::{DocumentFacts, ENTRY_BYTES_MAX, PayloadFacts, inspect_documents, inspect_payload};
pub use job_facts::Mirrored;
pub use payload::SliceFrame;
pub use rollup::{EventKind, Operations, ROLLUP_DAYS_MAX};
pub use rollup_read::{BINS_MAX, Bin, EVENTS_MAX, Event, Rollups};
pub use segment::{
    JobFacts, NotASegment, SEGMENT_ENTRIES_MAX, SEGMENT_FRAMES_BYTES, Segment, SegmentBuilder, SegmentName, Stretch,
    follows, gaps, path, stretches,
};
pub use snapshot_meta::{SnapshotMeta, SnapshotMetaError, StorageOptions};
pub use space::SpaceFacts;
pub use types::{AppendRequest, OpenChainRequest, PutSlice, StoredEntry, StoredScan, SyncInfo, SyncPhase, TrimReport};

/// What [`Ledger::start_scan`] takes: the agent's own words.
pub type StartScanRequest = StartScan;
