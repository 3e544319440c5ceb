//! What can go wrong with a head, and what helps.

use std::{io, path::PathBuf};

use holdfast_domain::{Classify, ErrorClass, OpTime, Ts};
use holdfast_mongod::{StartError, StopError, VersionError};

use super::{raw::RawError, uuid::CollectionUuid};

/// Why an operation of a head failed.
#[derive(Debug, thiserror::Error)]
pub enum HeadError {
    /// The private mongod did not start.
    #[error("start the head's mongod")]
    Start(#[source] StartError),
    /// It did not stop cleanly: the files must not be copied.
    #[error("stop the head's mongod")]
    Stop(#[source] StopError),
    /// The version of the binary cannot be read.
    #[error("version of {}", binary.display())]
    Version {
        /// The binary.
        binary: PathBuf,
        /// Why.
        #[source]
        source: VersionError,
    },
    /// Nobody has proved that this release applies an oplog as a head needs it.
    #[error(
        "{} is release {major}.{minor}: heads are proved with 5.0 and 6.0 only. Install a mongod of one of these, of the source's own major release, \
         in the folder of binaries",
        binary.display()
    )]
    Unproved {
        /// The binary.
        binary: PathBuf,
        /// Major version.
        major: u32,
        /// Minor version.
        minor: u32,
    },
    /// The binary does not do what the applier relies on.
    #[error("{} is not fit for a head: {why}. Install another release of the same major version", binary.display())]
    Unfit {
        /// The binary.
        binary: PathBuf,
        /// Which promise it broke.
        why: String,
    },
    /// The folder holds no head, or one that was never finished.
    #[error("{} holds no head: {why}", dir.display())]
    NoHead {
        /// The folder.
        dir: PathBuf,
        /// What is wrong.
        why: &'static str,
    },
    /// A new head was asked for where files are.
    #[error("{} is not empty", .0.display())]
    NotEmpty(PathBuf),
    /// A file of the head's folder could not be used.
    #[error("{what} {}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The bytes that were fed are no oplog.
    #[error("oplog entry after {after}: {source}")]
    Decode {
        /// Last entry that was read.
        after: OpTime,
        /// What is wrong.
        #[source]
        source: EntryError,
    },
    /// An entry that no proved server writes. Nothing of it, and everything before it, has been applied.
    #[error(
        "the entry at {at} on {ns} holds {what}: this release of Holdfast does not know how to apply it. Nothing of it was applied"
    )]
    Unknown {
        /// Where it stands.
        at: OpTime,
        /// Its namespace.
        ns: String,
        /// What it is.
        what: String,
    },
    /// The source has raised its feature compatibility version above what the binary can do.
    #[error(
        "at {at} the source went to feature compatibility version {fcv}, above the head's mongod {major}.{minor}: open the head with that release"
    )]
    NeedsBinary {
        /// Where.
        at: OpTime,
        /// The version it went to.
        fcv: String,
        /// Major version of the head's binary.
        major: u32,
        /// Minor version of the head's binary.
        minor: u32,
    },
    /// The head no longer equals the source: an operation that must succeed on an equal copy did not.
    #[error("the head differs from its source: {what} at {at} on {ns} failed with {code}: {message}")]
    Diverged {
        /// The entry.
        at: OpTime,
        /// Its namespace.
        ns: String,
        /// Which operation.
        what: String,
        /// Server error code.
        code: i32,
        /// The server's words.
        message: String,
    },
    /// Another history: the entry with the head's timestamp has another term.
    #[error("the oplog holds {found} where the head stands at {position}: another history")]
    OtherHistory {
        /// What was fed.
        found: OpTime,
        /// The head's position.
        position: OpTime,
    },
    /// A part of a transaction refers to a part that was not fed.
    #[error("the transaction part at {at} follows one at {prev}, which is not there")]
    MissingLink {
        /// The part.
        at: OpTime,
        /// What it follows.
        prev: OpTime,
    },
    /// The feed begins after the first part of an open transaction.
    #[error("the feed begins at {found}; it must begin at or before {feed_from}")]
    FeedGap {
        /// First entry that was fed.
        found: OpTime,
        /// Where it must begin.
        feed_from: OpTime,
    },
    /// The initial sync cannot be finished from what was scanned: it must be started again.
    #[error("initial sync must start again: {0}")]
    NeedsResync(String),
    /// The collection was never announced to the loader.
    #[error("no collection {0} in this initial sync")]
    UnknownCollection(CollectionUuid),
    /// An initial sync was to be finished before its end was applied.
    #[error("the initial sync ends at {end}, the head stands at {position}")]
    BeforeEnd {
        /// Where the head stands.
        position: OpTime,
        /// Where the sync ends.
        end: Ts,
    },
    /// A slice came before one that it follows.
    #[error("slice {seq} of scan {scan} of collection {uuid}, expected slice {expected_seq} of scan {expected_scan}")]
    SliceGap {
        /// The collection.
        uuid: CollectionUuid,
        /// Scan of the slice.
        scan: i64,
        /// Number of the slice.
        seq: i64,
        /// Scan that is loaded.
        expected_scan: i64,
        /// Slice that comes next.
        expected_seq: i64,
    },
    /// The head is still in its initial sync, or not any more.
    #[error("the head is {is}, not {wanted}")]
    WrongPhase {
        /// What it is.
        is: &'static str,
        /// What the call needs.
        wanted: &'static str,
    },
    /// The head was brought to an instant inside a prepared transaction and cannot go on from there.
    #[error("the head was fixed at {0} for a restore and cannot be fed on")]
    Bounded(Ts),
    /// An earlier call was dropped or failed: the position must be read again.
    #[error("an earlier call did not end: read the position again and feed from there")]
    Interrupted,
    /// The head's server answered something else than expected, or not at all.
    #[error("{what}")]
    Server {
        /// What was asked.
        what: &'static str,
        /// Why it failed.
        #[source]
        source: mongodb::error::Error,
    },
    /// The head's server refused what an initial sync asked of it.
    #[error("the head's server refused to {what}: {code}: {message}")]
    Refused {
        /// What was asked.
        what: &'static str,
        /// Server error code.
        code: i32,
        /// The server's words.
        message: String,
    },
    /// The server's answer, or what this module stored itself, lacks a field.
    #[error("{what} lacks {field}")]
    Answer {
        /// Which answer.
        what: &'static str,
        /// What is missing.
        field: &'static str,
    },
    /// Too many transactions are open at once.
    #[error("more than {0} transactions are open at once")]
    TooManyTransactions(usize),
}

/// Why bytes are no oplog entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// Not BSON.
    #[error(transparent)]
    Raw(#[from] RawError),
    /// A field is missing or has another type.
    #[error("no usable {0}")]
    Field(&'static str),
    /// The entry is older than the one before it.
    #[error("{found} follows {before}")]
    Order {
        /// This entry.
        found: Ts,
        /// The one before.
        before: Ts,
    },
    /// applyOps inside applyOps, deeper than any server writes.
    #[error("applyOps nested deeper than {0}")]
    Depth(usize),
}

/// What brings a head back to work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Read the position again ([`super::Head::resume`], or open the head again) and feed from there.
    Again,
    /// Build the head anew from the last snapshot and the ledger.
    Rebuild,
    /// Close the chain and sync again from the source.
    Resync,
    /// A person must act first.
    Operator,
}

impl HeadError {
    /// What brings the head back to work.
    #[must_use]
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Diverged { .. } | Self::NoHead { .. } | Self::Answer { .. } | Self::Bounded(_) => Remedy::Rebuild,
            Self::OtherHistory { .. } | Self::MissingLink { .. } | Self::NeedsResync(_) | Self::Decode { .. } => {
                Remedy::Resync
            }
            Self::Start(_) if self.class() == ErrorClass::Corrupt => Remedy::Rebuild,
            _ if self.class() == ErrorClass::Operator => Remedy::Operator,
            _ => Remedy::Again,
        }
    }
}

impl Classify for HeadError {
    fn class(&self) -> ErrorClass {
        use holdfast_mongod::ErrorClass as From;
        let of = |class| match class {
            From::Retry => ErrorClass::Retry,
            From::Operator => ErrorClass::Operator,
            From::Caller => ErrorClass::Caller,
            From::Corrupt => ErrorClass::Corrupt,
            From::Bug => ErrorClass::Bug,
            From::Cancelled => ErrorClass::Cancelled,
        };
        match self {
            Self::Start(error) => of(error.class()),
            Self::Stop(error) => of(error.class()),
            Self::Version { source, .. } => of(source.class()),
            Self::Unproved { .. }
            | Self::Unfit { .. }
            | Self::Io { .. }
            | Self::Unknown { .. }
            | Self::NeedsBinary { .. } => ErrorClass::Operator,
            Self::Decode { .. }
            | Self::Diverged { .. }
            | Self::OtherHistory { .. }
            | Self::MissingLink { .. }
            | Self::NoHead { .. }
            | Self::Answer { .. }
            | Self::NeedsResync(_) => ErrorClass::Corrupt,
            Self::NotEmpty(_)
            | Self::UnknownCollection(_)
            | Self::WrongPhase { .. }
            | Self::Bounded(_)
            | Self::FeedGap { .. }
            | Self::SliceGap { .. }
            | Self::BeforeEnd { .. } => ErrorClass::Caller,
            Self::Interrupted | Self::Server { .. } => ErrorClass::Retry,
            Self::TooManyTransactions(_) | Self::Refused { .. } => ErrorClass::Operator,
        }
    }
}
