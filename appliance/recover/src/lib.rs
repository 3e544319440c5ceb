//! Recovery: snapshots and instants from what holds them, without the app database and without a running appliance.
//!
//! Purpose: when the appliance is lost, a blockstore database, a folder of packs or a bucket alone gives everything back. Called by
//! `holdfast recover`.
//!
//! Invariants:
//! - Nothing is written to what is recovered from.
//! - Names and listings say what can be tried; only bytes that were checked (hash, linkage, length) are restored.
//! - What comes out is at exactly the instant that was asked for, or an error that names what can still be had.
//! - The target appears under its name only when it is whole; until then everything lies in `<target>.recover`.
//!
//! | module | does |
//! |---|---|
//! | `source` | opens a blockstore database or a store of packs |
//! | `contents` | what there is: backups, snapshots, seconds that can be restored |
//! | `check` | whether it is all there |
//! | `slices` | the ledger from a snapshot on, out of the database or out of segments |
//! | `plan`, `restore`, `work` | which snapshot and how far; carrying it out; the work folder |

mod check;
mod contents;
mod error;
mod plan;
mod restore;
mod slices;
mod source;
mod work;

pub use check::{CheckReport, check};
pub use contents::{Backup, Contents, Instant, SecondsRange, SnapshotLine};
pub use error::RecoverFault;
pub use plan::{Plan, Target, plan};
pub use restore::{OnStep, RestoreOptions, Restored, Step, restore};
pub use source::{Place, Source};
pub use work::check_target;

/// What callers need of the engine to say where things lie.
pub use blockstore_engine::{GroupKey, Keyring, PackLocation, S3Options};
