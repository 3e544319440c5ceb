//! What callers of the collector meet: errors, options, progress, reports.

use std::sync::Arc;
use std::time::Duration;

use bson::{DateTime, Document, doc};

use super::account::{Account, Amount};
use super::lease;
use crate::error::{ErrorClass, ReadError, RootError, StoreFault};
use crate::id::{BlockId, RootId};
use crate::stats::number;
use crate::store::Store;
use crate::txn::retrying;

/// Collecting, dry runs, accounts.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// Another run holds the lease, and lives.
    #[error("another run of the collector is under way")]
    Busy,
    /// The caller's token was cancelled, or the lease was lost to another run, which goes on.
    #[error("the run was cancelled, or its lease was taken over")]
    Cancelled,
    /// Something to mark from cannot be read, so that what lies below is not known: nothing is deleted until it is repaired, or its snapshots
    /// lie in the trash and their grace is over.
    #[error("block {id} of {} snapshots cannot be read: nothing is deleted", snapshots.len())]
    Unreadable {
        /// The node or page.
        id: BlockId,
        /// Snapshots that need it.
        snapshots: Vec<RootId>,
        /// What is wrong with it.
        #[source]
        source: ReadError,
    },
    /// A root does not fit its seal, so that its tree may not be the one that was committed; as `Unreadable`.
    #[error("snapshot {0} does not fit its seal: nothing is deleted")]
    BadRoot(RootId),
    /// More distinct sets of snapshots share blocks than an account can hold; ask for single sets instead.
    #[error("too many distinct sets of snapshots share blocks for one account")]
    TooManySets,
    /// A stored document is malformed.
    #[error(transparent)]
    Root(#[from] RootError),
    /// Reading what is stored failed.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// An invariant of this crate does not hold.
    #[error("internal: {0}")]
    Internal(&'static str),
}

impl CollectError {
    /// See [`ErrorClass`].
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Busy => ErrorClass::Retry,
            Self::Cancelled => ErrorClass::Cancelled,
            Self::Unreadable { .. } | Self::BadRoot(_) => ErrorClass::Corrupt,
            Self::TooManySets => ErrorClass::Caller,
            Self::Root(error) => error.class(),
            Self::Read(error) => error.class(),
            Self::Store(fault) => fault.class(),
            Self::Internal(_) => ErrorClass::Bug,
        }
    }
}

/// How a run behaves.
#[derive(Debug, Clone)]
pub struct CollectOptions {
    /// How long a snapshot lies in the trash before it may be unlinked. Default 24 h.
    pub grace: Duration,
    /// A registration whose beat stood still for this long is deleted; writers beat every 2 s and wait elections out for up to a minute.
    /// Default 90 s.
    pub expire_after: Duration,
    /// The lease of another run whose beat stood still for this long is taken over. Default 30 s.
    pub take_over_after: Duration,
    /// Memory for marks in bytes, 16 a block: more blocks are marked in several passes. Default 128 MiB. At least 1 KiB.
    pub mark_bytes: usize,
    /// While writers are registered, a run pauses after each step for this many times the step's time (at most 2 s). 0: never. Default 3.
    pub give_way: u32,
}

impl Default for CollectOptions {
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(24 * 3600),
            expire_after: Duration::from_secs(90),
            take_over_after: lease::LEASE_DEAD,
            mark_bytes: 128 << 20,
            give_way: 3,
        }
    }
}

/// What a run is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CollectPhase {
    /// Taking the lease, moving the epoch on, waiting for older writers.
    #[default]
    Waiting,
    /// Removing snapshots whose grace is over.
    Unlinking,
    /// Reading trees.
    Marking,
    /// Comparing the index with the marks, and deleting.
    Deleting,
    /// Looking for payloads that no block names.
    Sweeping,
}

/// How far a run is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CollectProgress {
    /// What it is doing.
    pub phase: CollectPhase,
    /// Older writers that it waits for.
    pub waiting_for: u64,
    /// Thousandths of the id space that are done.
    pub permille: u16,
    /// Rows of the index looked at.
    pub blocks_seen: u64,
    /// Blocks deleted.
    pub blocks_deleted: u64,
    /// Bytes of frames deleted.
    pub freed_bytes: u64,
}

/// Called often, from async tasks: must return at once.
pub type OnCollect = Arc<dyn Fn(CollectProgress) + Send + Sync>;

/// What a run did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectReport {
    /// The epoch that it collected.
    pub epoch: i64,
    /// Whether it went on with what an earlier one left; the counts are this part's alone.
    pub resumed: bool,
    /// When its first owner began, wall clock.
    pub started_at: DateTime,
    /// When it ended, wall clock.
    pub finished_at: DateTime,
    /// Snapshots that left the trash for good.
    pub unlinked: Vec<RootId>,
    /// Blocks, nodes and pages deleted.
    pub deleted: Amount,
    /// Payloads that no block named.
    pub orphans: u64,
    /// Bytes of their frames.
    pub orphan_bytes: u64,
    /// Rows whose payloads seem to be missing: a verification names them.
    pub payloads_missing: u64,
    /// Bytes of the payloads' files on disk before and after; the difference was given back to the file system.
    pub disk_bytes: (u64, u64),
    /// Bytes free inside those files before and after: freed for reuse by new blocks.
    pub reusable_bytes: (u64, u64),
    /// The account after the run; `None` when it was resumed midway or there are too many sets.
    pub account: Option<Account>,
}

impl CollectReport {
    /// Bytes of frames deleted in all: free for new blocks, whatever the file system got back.
    #[must_use]
    pub fn freed_bytes(&self) -> u64 {
        self.deleted.stored_bytes + self.orphan_bytes
    }

    /// Bytes that the file system got back.
    #[must_use]
    pub fn freed_on_disk(&self) -> u64 {
        self.disk_bytes.0.saturating_sub(self.disk_bytes.1)
    }
}

/// What the last finished run did, as it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastRun {
    /// When its first owner began, wall clock.
    pub started_at: DateTime,
    /// When it ended, wall clock.
    pub finished_at: DateTime,
    /// The epoch that it collected.
    pub epoch: i64,
    /// Snapshots that left the trash for good.
    pub unlinked: u64,
    /// Blocks, nodes and pages deleted.
    pub deleted: Amount,
    /// Payloads that no block named.
    pub orphans: u64,
    /// Bytes of frames deleted in all: free for new blocks.
    pub freed_bytes: u64,
    /// Bytes that the file system got back.
    pub freed_on_disk: u64,
}

const LAST_ID: &str = "last";

impl LastRun {
    /// Keeps what a run did.
    pub(super) async fn save(store: &Store, report: &CollectReport) -> Result<(), StoreFault> {
        let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let document = doc! {
            "_id": LAST_ID,
            "startedAt": report.started_at,
            "finishedAt": report.finished_at,
            "epoch": report.epoch,
            "unlinked": signed(report.unlinked.len() as u64),
            "deleted": report.deleted.encode(),
            "orphans": signed(report.orphans),
            "freed": signed(report.freed_bytes()),
            "freedOnDisk": signed(report.freed_on_disk()),
        };
        let filter = doc! { "_id": LAST_ID };
        retrying!("keeping what the run did", store.gc.replace_one(filter.clone(), &document).upsert(true))?;
        Ok(())
    }

    /// The last one that was kept.
    pub(super) async fn load(store: &Store) -> Result<Option<Self>, CollectError> {
        let found = retrying!("reading what the last run did", store.gc.find_one(doc! { "_id": LAST_ID }))?;
        let decode = |found: Document| {
            Some(Self {
                started_at: *found.get_datetime("startedAt").ok()?,
                finished_at: *found.get_datetime("finishedAt").ok()?,
                epoch: found.get_i64("epoch").ok()?,
                unlinked: number(&found, "unlinked"),
                deleted: Amount::decode(found.get_document("deleted").ok()?),
                orphans: number(&found, "orphans"),
                freed_bytes: number(&found, "freed"),
                freed_on_disk: number(&found, "freedOnDisk"),
            })
        };
        found.map(|found| decode(found).ok_or(CollectError::Root(RootError::BadDocument("gc")))).transpose()
    }
}

/// What a run would do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectPlan {
    /// Snapshots whose grace is over.
    pub unlink: Vec<RootId>,
    /// Blocks that would be deleted. Exact while no writer is registered; else `account.held` may be garbage too.
    pub reclaimable: Amount,
    /// What it was computed from.
    pub account: Account,
}
