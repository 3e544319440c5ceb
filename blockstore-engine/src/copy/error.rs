//! Why a copy did not come to its end.

use std::error::Error;

use crate::error::{ErrorClass, ReadError, RegisterError, RootError, WriteError};
use crate::id::{BlockId, RootId};
use crate::proof::NewBlocksReport;
use crate::tree::BadTree;

/// What the source could not do.
#[derive(Debug, thiserror::Error)]
#[error("asking the source")]
pub struct SourceFault {
    /// What to do about it.
    pub class: ErrorClass,
    /// What it said.
    #[source]
    pub source: Box<dyn Error + Send + Sync>,
}

/// Copying a snapshot.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The source failed or refused.
    #[error(transparent)]
    Source(#[from] SourceFault),
    /// The root that the source sent does not fit its seal, or is not the one that was asked for.
    #[error("the source's root {0} does not fit its seal")]
    BadRoot(RootId),
    /// The source knows that blocks of the snapshot are bad.
    #[error("snapshot {0} is damaged at the source")]
    Damaged(RootId),
    /// The source's snapshot has a newer format.
    #[error("snapshot {0} was written by a newer release")]
    NewerFormat(RootId),
    /// A block that the source sent is not the one that was asked for.
    #[error("the source sent a bad block {id}: {reason}")]
    BadBlock {
        /// The block.
        id: BlockId,
        /// What does not fit.
        reason: &'static str,
    },
    /// The source left a block out.
    #[error("the source did not send block {0}")]
    NotSent(BlockId),
    /// A node or page of the source's snapshot does not fit its place.
    #[error("node {id} of the source is bad")]
    BadNode {
        /// The node.
        id: BlockId,
        /// What does not fit.
        #[source]
        source: BadTree,
    },
    /// What was stored does not read back from the target.
    #[error("{} of the blocks that were stored do not read back", .0.bad_count)]
    NotProved(Box<NewBlocksReport>),
    /// The request is out of its bounds.
    #[error("{0}")]
    Request(&'static str),
    /// Registering at the target.
    #[error("registering at the target")]
    Register(#[from] RegisterError),
    /// Writing to the target.
    #[error("writing to the target")]
    Write(#[from] WriteError),
    /// Reading the target.
    #[error("reading the target")]
    Read(#[from] ReadError),
    /// Listing the target's snapshots.
    #[error("listing the target's snapshots")]
    Roots(#[from] RootError),
    /// The caller's token was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// An invariant of this crate does not hold.
    #[error("internal: {0}")]
    Internal(&'static str),
}

impl CopyError {
    /// See [`ErrorClass`].
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Source(fault) => fault.class,
            Self::BadRoot(_)
            | Self::Damaged(_)
            | Self::BadBlock { .. }
            | Self::NotSent(_)
            | Self::BadNode { .. }
            | Self::NotProved(_) => ErrorClass::Corrupt,
            Self::NewerFormat(_) => ErrorClass::Operator,
            Self::Request(_) => ErrorClass::Caller,
            Self::Register(error) => error.class(),
            Self::Write(error) => error.class(),
            Self::Read(error) => error.class(),
            Self::Roots(error) => error.class(),
            Self::Cancelled => ErrorClass::Cancelled,
            Self::Internal(_) => ErrorClass::Bug,
        }
    }
}
