//! Why a job's driver could not go on, and what follows.

use std::io;

use holdfast_domain::{Classify as _, ErrorClass};
use holdfast_ledger::{AppendError, LedgerError, SyncError};
use holdfast_metadb::MetaError;

use crate::{
    binaries::NoBinary,
    error::engine_class,
    feed::FeedError,
    head::{HeadError, Remedy},
    snapshotter::SnapshotError,
};

/// An error of a job's driver.
#[derive(Debug, thiserror::Error)]
pub(super) enum JobError {
    /// The lease is another's, or the daemon ends.
    #[error("called off")]
    Cancelled,
    /// The app database.
    #[error("app database")]
    Meta(#[from] MetaError),
    /// The ledger.
    #[error("ledger")]
    Ledger(#[from] LedgerError),
    /// The initial sync's slices.
    #[error("initial sync")]
    Sync(#[from] SyncError),
    /// The ledger's tail.
    #[error("close the chain")]
    Append(#[from] AppendError),
    /// Reading ahead.
    #[error("ledger")]
    Feed(#[from] FeedError),
    /// The head.
    #[error("head")]
    Head(#[from] HeadError),
    /// No mongod.
    #[error(transparent)]
    NoBinary(#[from] NoBinary),
    /// The blockstore.
    #[error("snapshot")]
    Snapshot(#[from] SnapshotError),
    /// Taking over.
    #[error("take the job over")]
    Register(#[from] blockstore_engine::RegisterError),
    /// The head folder.
    #[error("head folder")]
    Io(#[from] io::Error),
    /// The head disk is full.
    #[error(
        "the head disk has {free_mb} MB free, {needed_mb} MB are kept as a reserve: free some; the backup goes on by itself then"
    )]
    NoRoom {
        /// Free.
        free_mb: u64,
        /// Needed.
        needed_mb: u64,
    },
    /// What a stored document says cannot be used.
    #[error("{what} cannot be read")]
    Form {
        /// What.
        what: &'static str,
        /// Why.
        #[source]
        source: bson::error::Error,
    },
    /// The head is not what the source is, seen otherwise than by applying.
    #[error("the head differs from its source: {0}")]
    Differs(String),
}

/// What the driver does about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// End: someone else owns the job, or the daemon ends.
    End,
    /// The same again after a short pause.
    Again,
    /// The same again after a long pause: someone must act first.
    Wait,
    /// Build the head anew.
    Rebuild,
    /// Close the chain, so that the agent syncs again.
    Resync,
}

impl JobError {
    /// True when the head is wrong, not just lost.
    #[must_use]
    pub(super) const fn differs(&self) -> bool {
        matches!(self, Self::Differs(_) | Self::Head(HeadError::Diverged { .. }))
    }

    /// What follows.
    #[must_use]
    pub(super) fn then(&self) -> Then {
        let by_class = |class| match class {
            ErrorClass::Cancelled => Then::End,
            ErrorClass::Retry => Then::Again,
            ErrorClass::Operator | ErrorClass::Caller | ErrorClass::Corrupt | ErrorClass::Bug => Then::Wait,
        };
        match self {
            Self::Cancelled => Then::End,
            Self::Meta(e) => by_class(e.class()),
            Self::Ledger(e) | Self::Feed(FeedError::Ledger(e)) => match e {
                // The head's next slice is gone: only a snapshot can bring it forward.
                LedgerError::Trimmed { .. } => Then::Rebuild,
                e => by_class(e.class()),
            },
            Self::Sync(e) => by_class(e.class()),
            Self::Append(e) => by_class(e.class()),
            Self::Feed(e) => by_class(e.class()),
            Self::Head(e) => match e.remedy() {
                Remedy::Again => Then::Again,
                Remedy::Rebuild => Then::Rebuild,
                Remedy::Resync => Then::Resync,
                Remedy::Operator => Then::Wait,
            },
            Self::NoBinary(_) | Self::NoRoom { .. } | Self::Form { .. } => Then::Wait,
            Self::Snapshot(e) => by_class(e.class()),
            Self::Register(e) => by_class(engine_class(e.class())),
            Self::Io(_) => Then::Wait,
            Self::Differs(_) => Then::Rebuild,
        }
    }
}
