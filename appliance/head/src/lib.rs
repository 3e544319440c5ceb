//! A head: the daemon's own up-to-date copy of a replica set.
//!
//! It is a plain standalone mongod over a private dbpath, opened when there is work, fed by oplog entries that are translated
//! to `applyOps` commands and a few real ones. Its inputs are raw BSON entries and raw BSON documents; it knows nothing of
//! ledgers, jobs or snapshots.
//!
//! Invariants:
//! - After any crash the head resumes exactly: the marker `local.holdfast` moves in the same atomic batch as what it speaks of.
//! - Entries are applied in order, each once; a transaction whole, at the entry that decides it.
//! - What is not understood is refused with its position, before any of it is applied.
//! - Values pass through as the bytes they were.
//!
//! Called by the daemon's head manager, snapshotter and restorer, and by recovery. Ports, folders and how many heads may be open at once are
//! theirs to decide.
//!
//! Map: `translate/` what an entry means; `chains` open transactions; `batch`, `applier`, `feeder` how it reaches the server;
//! `position` the marker; `loader/`, `catchup/` initial sync; `catalog`, `heal/` comparison; `probe` which binaries are fit.

mod applier;
mod batch;
mod catalog;
mod catchup;
mod chains;
mod error;
mod feeder;
pub mod heal;
mod loader;
mod open;
mod position;
mod probe;
mod raw;
mod replay;
mod translate;
mod uuid;

#[cfg(test)]
mod tests;

pub use catalog::{Catalog, CatalogCollection, DbHashes, db_hashes, read as read_catalog};
pub use error::{EntryError, HeadError, Remedy};
pub use feeder::Applied;
pub use loader::{CollectionSpec, Inserted, Loader, SliceKey};
pub use open::{Head, HeadOptions, Phase};
pub use position::Position;
pub use probe::{Capabilities, probe};
pub use raw::RawError;
pub use replay::{ReplayFault, Run, Runs};
pub use uuid::{CollectionUuid, ParseUuidError};
