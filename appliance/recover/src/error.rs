//! Why something was not recovered. Each says what to do, or what can still be had.

use std::path::PathBuf;

use blockstore_engine::{AsideError, OpenError, PackFault, ReadError, RecoverError, RootError};
use holdfast_domain::{Classify as _, ErrorClass};
use holdfast_head::HeadError;
use holdfast_ledger::LedgerError;

/// See the module.
#[derive(Debug, thiserror::Error)]
pub enum RecoverFault {
    /// The database cannot be reached or read.
    #[error("{what}")]
    Database {
        /// What was tried, a verb phrase.
        what: &'static str,
        /// The driver's error.
        #[source]
        source: mongodb::error::Error,
    },
    /// There is no blockstore.
    #[error("{0}")]
    NothingThere(String),
    /// The blockstore was not opened.
    #[error("open the blockstore")]
    Open(#[from] OpenError),
    /// The store of packs was not opened.
    #[error("open the store of packs")]
    Packs(#[from] RecoverError),
    /// The store of packs failed.
    #[error("read the store of packs")]
    PackFault(#[from] PackFault),
    /// An object beside the packs.
    #[error("read the copy of the ledger")]
    Aside(#[from] AsideError),
    /// The roots.
    #[error("read the list of snapshots")]
    Roots(#[from] RootError),
    /// The ledger.
    #[error("read the ledger")]
    Ledger(#[from] LedgerError),
    /// The request names nothing, or several.
    #[error("{0}")]
    Request(String),
    /// The group encrypts, and its key was not given.
    #[error(
        "snapshot {snapshot} is encrypted under key {key}, which is not at hand: give the file that the group's key was exported to (--key-file)"
    )]
    NoKey {
        /// Which.
        snapshot: String,
        /// Id of the key.
        key: String,
    },
    /// A snapshot cannot be read whole.
    #[error("snapshot {snapshot} cannot be read whole; {instead}")]
    Snapshot {
        /// Which.
        snapshot: String,
        /// What can still be had.
        instead: String,
        /// What is wrong.
        #[source]
        source: ReadError,
    },
    /// The ledger breaks before the instant.
    #[error("the ledger cannot be replayed to {wanted}: it is good up to {good}; {instead}")]
    Ends {
        /// What was asked for.
        wanted: String,
        /// The last instant that it leads to.
        good: String,
        /// What to do.
        instead: String,
    },
    /// The head of the replay.
    #[error("replay the oplog")]
    Head(#[from] HeadError),
    /// No mongod to replay with.
    #[error("{0}")]
    NoMongod(String),
    /// The local disk.
    #[error("{what} {path}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
    /// The disk is too small.
    #[error("{path} has {free_mb} MB free, {needed_mb} MB are needed")]
    NoRoom {
        /// Where.
        path: PathBuf,
        /// Free.
        free_mb: u64,
        /// Needed.
        needed_mb: u64,
    },
    /// Called off.
    #[error("called off: the same command again goes on")]
    Cancelled,
}

impl RecoverFault {
    /// See [`ErrorClass`].
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Database { .. } => ErrorClass::Retry,
            Self::NothingThere(_) | Self::NoKey { .. } | Self::NoMongod(_) | Self::Io { .. } | Self::NoRoom { .. } => {
                ErrorClass::Operator
            }
            Self::Open(e) => engine(e.class()),
            Self::Packs(e) => engine(e.class()),
            Self::PackFault(e) => engine(e.class()),
            Self::Aside(e) => engine(e.class()),
            Self::Roots(e) => engine(e.class()),
            Self::Snapshot { source, .. } => engine(source.class()),
            Self::Ledger(e) => e.class(),
            Self::Head(e) => e.class(),
            Self::Request(_) => ErrorClass::Caller,
            Self::Ends { .. } => ErrorClass::Corrupt,
            Self::Cancelled => ErrorClass::Cancelled,
        }
    }
}

/// The engine has a copy of [`ErrorClass`], since it knows nothing of the appliance.
const fn engine(class: blockstore_engine::ErrorClass) -> ErrorClass {
    use blockstore_engine::ErrorClass as From;
    match class {
        From::Retry => ErrorClass::Retry,
        From::Operator => ErrorClass::Operator,
        From::Caller => ErrorClass::Caller,
        From::Corrupt => ErrorClass::Corrupt,
        From::Bug => ErrorClass::Bug,
        From::Cancelled => ErrorClass::Cancelled,
    }
}
