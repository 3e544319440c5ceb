//! Errors: one enum per operation, each with a class that says what to do about it.
//!
//! Invariants: corruption is a value of class `Corrupt`, never a panic; `Cancelled` is its own class, because losing a registration or a
//! lease is not a failure. `Display` never repeats the source. Callers decide by `class()` alone.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::id::{BlockId, RootId, StoreNumber};
use crate::keys::KeyId;
use crate::reader::NotVerified;
use crate::tree::BadTree;

/// What the caller should do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// The same call may succeed later.
    Retry,
    /// A person must change something.
    Operator,
    /// The request was wrong.
    Caller,
    /// Stored bytes are not what they were.
    Corrupt,
    /// This program is wrong.
    Bug,
    /// Somebody stopped it: a token, a deleted registration, a newer owner.
    Cancelled,
}

/// A fault of the database behind the store, after the retries that this crate does itself.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{action}")]
pub struct StoreFault {
    /// What was being done, as a verb phrase.
    pub action: &'static str,
    /// What the driver said.
    #[source]
    pub source: mongodb::error::Error,
}

impl StoreFault {
    /// See [`ErrorClass`].
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        use mongodb::error::ErrorKind;
        if crate::txn::is_passing(&self.source) {
            return ErrorClass::Retry;
        }
        match *self.source.kind {
            ErrorKind::Authentication { .. } | ErrorKind::InvalidTlsConfig { .. } | ErrorKind::DnsResolve { .. } => {
                ErrorClass::Operator
            }
            ErrorKind::BsonDeserialization(_) | ErrorKind::InvalidResponse { .. } => ErrorClass::Corrupt,
            ErrorKind::Command(ref error) => match error.code {
                // Unauthorized, AuthenticationFailed, OutOfDiskSpace, IllegalOperation (transactions need a replica set)
                13 | 18 | 14031 | 20 => ErrorClass::Operator,
                _ => ErrorClass::Bug,
            },
            _ => ErrorClass::Bug,
        }
    }
}

/// A fault of a store of packs, after the retries that this crate does itself.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{action} {object}")]
pub struct PackFault {
    /// What was being done, as a verb phrase.
    pub action: &'static str,
    /// Name of the object.
    pub object: String,
    /// What the directory or the service said.
    #[source]
    pub source: Arc<object_store::Error>,
}

/// A pack store that this process cannot use now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("pack store {number} cannot be used: {reason}")]
pub struct NoPackStore {
    /// Its number.
    pub number: StoreNumber,
    /// Not configured, or why it could not be opened.
    pub reason: String,
    /// See [`ErrorClass`]: `Retry` when it may come back by itself.
    pub class: ErrorClass,
}

impl NoPackStore {
    /// The process was not told of it.
    #[must_use]
    pub(crate) fn not_configured(number: StoreNumber) -> Self {
        Self { number, reason: "it is not configured".into(), class: ErrorClass::Operator }
    }

    /// It was not opened.
    #[must_use]
    pub(crate) fn not_opened(number: StoreNumber, error: &OpenError) -> Self {
        let mut reason = error.to_string();
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            reason = format!("{reason}: {cause}");
            source = cause.source();
        }
        Self { number, reason, class: error.class() }
    }
}

impl PackFault {
    /// See [`ErrorClass`].
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        use object_store::Error;
        match *self.source {
            Error::JoinError { .. } | Error::Generic { .. } => match self.io_kind() {
                Some(
                    io::ErrorKind::StorageFull
                    | io::ErrorKind::QuotaExceeded
                    | io::ErrorKind::ReadOnlyFilesystem
                    | io::ErrorKind::PermissionDenied
                    | io::ErrorKind::NotADirectory,
                ) => ErrorClass::Operator,
                _ => ErrorClass::Retry,
            },
            // A bucket or folder that is not there, rights that are missing, a service that cannot do what is needed.
            _ => ErrorClass::Operator,
        }
    }

    /// What the file system said, if it was one.
    pub(crate) fn io_error(&self) -> Option<&io::Error> {
        let mut next: Option<&(dyn std::error::Error + 'static)> = Some(&*self.source);
        while let Some(error) = next {
            if let Some(error) = error.downcast_ref::<io::Error>() {
                return Some(error);
            }
            next = error.source();
        }
        None
    }

    fn io_kind(&self) -> Option<io::ErrorKind> {
        self.io_error().map(io::Error::kind)
    }
}

/// Opening the store.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// An option is out of its range.
    #[error("{0}")]
    Options(&'static str),
    /// The store was written by a newer release.
    #[error("the store has format {found}, this release reads up to {known}")]
    NewerFormat {
        /// What the store says.
        found: i64,
        /// What this release knows.
        known: u32,
    },
    /// The cache's folder cannot be used.
    #[error("opening the cache at {path}: {reason}")]
    Cache {
        /// The folder.
        path: PathBuf,
        /// What RocksDB said.
        reason: String,
    },
    /// A pack store cannot be set up as the options say.
    #[error("setting up pack store {number}: {reason}")]
    PackOptions {
        /// Its number.
        number: StoreNumber,
        /// What is wrong.
        reason: String,
    },
    /// What lies at the location is not the pack store that the database knows under this number: not mounted, or another one.
    #[error("pack store {number} is not the one that the blockstore knows: {reason}")]
    OtherPackStore {
        /// Its number.
        number: StoreNumber,
        /// What was found.
        reason: &'static str,
    },
    /// A pack store failed.
    #[error(transparent)]
    Packs(#[from] PackFault),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

impl OpenError {
    /// See [`ErrorClass`].
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Options(_) => ErrorClass::Caller,
            Self::NewerFormat { .. } | Self::Cache { .. } | Self::PackOptions { .. } | Self::OtherPackStore { .. } => {
                ErrorClass::Operator
            }
            Self::Packs(fault) => fault.class(),
            Self::Store(fault) => fault.class(),
        }
    }
}

/// Registering a writer, raising a job's epoch.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// A newer owner of the job was here.
    #[error("job {job} has epoch {guard}, this caller has {ours}")]
    StaleEpoch {
        /// The job.
        job: String,
        /// Epoch in the guard.
        guard: i64,
        /// The caller's.
        ours: i64,
    },
    /// The parent does not exist (any more), or belongs to another job.
    #[error("parent snapshot {0} does not exist in this job")]
    ParentGone(RootId),
    /// The registration was deleted before it was complete.
    #[error("the registration was deleted")]
    Gone,
    /// A name is empty or too long.
    #[error("{0}")]
    Request(&'static str),
    /// The key that the writer shall encrypt under is not in the ring.
    #[error("key {0} is not at hand")]
    NoKey(KeyId),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

impl RegisterError {
    /// See [`ErrorClass`].
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::StaleEpoch { .. } | Self::Gone => ErrorClass::Cancelled,
            Self::ParentGone(_) | Self::Request(_) => ErrorClass::Caller,
            Self::NoKey(_) => ErrorClass::Operator,
            Self::Store(fault) => fault.class(),
        }
    }
}

/// Writing and committing a snapshot.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The registration is gone (expired, or a newer owner deleted it), or the writer was cancelled.
    #[error("the writer's registration is gone")]
    Cancelled,
    /// A path cannot be in a snapshot, or is in it already.
    #[error("path {path:?}: {reason}")]
    Path {
        /// The path.
        path: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A file could not be read.
    #[error("reading {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file got shorter while it was read.
    #[error("{path} changed while it was read")]
    FileChanged {
        /// The file.
        path: PathBuf,
    },
    /// A field of the commit request is out of its bounds.
    #[error("{0}")]
    Request(&'static str),
    /// The resume point lies below the job's floor, so that pins would promise what is gone.
    #[error("the resume point lies below the job's floor")]
    BelowFloor,
    /// Reading what is stored already failed.
    #[error("reading the store")]
    Read(#[from] ReadError),
    /// The pack store failed.
    #[error(transparent)]
    Packs(#[from] PackFault),
    /// Payloads go to a pack store that this process cannot use.
    #[error(transparent)]
    NoStore(#[from] NoPackStore),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// An invariant of this crate does not hold.
    #[error("internal: {0}")]
    Internal(&'static str),
}

impl WriteError {
    /// See [`ErrorClass`].
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Cancelled => ErrorClass::Cancelled,
            Self::Path { .. } | Self::Request(_) | Self::BelowFloor => ErrorClass::Caller,
            Self::Io { .. } => ErrorClass::Operator,
            Self::FileChanged { .. } => ErrorClass::Retry,
            Self::Read(error) => error.class(),
            Self::Packs(fault) => fault.class(),
            Self::NoStore(error) => error.class,
            Self::Store(fault) => fault.class(),
            Self::Internal(_) => ErrorClass::Bug,
        }
    }
}

/// Reading a snapshot.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// No file of that path in the snapshot.
    #[error("no file {0:?} in the snapshot")]
    NoFile(String),
    /// The request is out of its bounds.
    #[error("{0}")]
    Request(&'static str),
    /// A block that the snapshot needs is not in the store.
    #[error("block {0} is missing")]
    Missing(BlockId),
    /// The stored bytes of a block are not what was stored.
    #[error("block {id} is bad: {reason}")]
    BadBlock {
        /// The block.
        id: BlockId,
        /// What does not fit.
        reason: &'static str,
    },
    /// A node or page is not canonical or does not fit its file.
    #[error("node {id} is bad")]
    BadNode {
        /// The node.
        id: BlockId,
        /// What does not fit.
        #[source]
        source: BadTree,
    },
    /// The root's fields do not fit its hash.
    #[error("root {0} does not fit its seal")]
    BadRoot(RootId),
    /// A block is encrypted under a key that this reader does not have.
    #[error("block {id} is encrypted under key {key}, which is not here: load it first")]
    NoKey {
        /// The block.
        id: BlockId,
        /// Its key.
        key: KeyId,
    },
    /// Nothing was found to be bad, but not all could be looked at.
    #[error("{0}")]
    NotVerified(NotVerified),
    /// A file could not be written.
    #[error("writing {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A payload lies in a pack store that this process cannot use.
    #[error(transparent)]
    NoStore(#[from] NoPackStore),
    /// The caller's token was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// A pack store failed.
    #[error(transparent)]
    Packs(#[from] PackFault),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// An invariant of this crate does not hold.
    #[error("internal: {0}")]
    Internal(&'static str),
}

impl ReadError {
    /// See [`ErrorClass`].
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::NoFile(_) | Self::Request(_) => ErrorClass::Caller,
            Self::Missing(_) | Self::BadBlock { .. } | Self::BadNode { .. } | Self::BadRoot(_) => ErrorClass::Corrupt,
            Self::NoKey { .. } | Self::NotVerified(_) | Self::Io { .. } => ErrorClass::Operator,
            Self::NoStore(error) => error.class,
            Self::Cancelled => ErrorClass::Cancelled,
            Self::Packs(fault) => fault.class(),
            Self::Store(fault) => fault.class(),
            Self::Internal(_) => ErrorClass::Bug,
        }
    }
}

/// Moving, sweeping and mirroring what lies in pack stores.
#[derive(Debug, thiserror::Error)]
pub enum PayloadError {
    /// The request is out of its bounds.
    #[error("{0}")]
    Request(&'static str),
    /// The store cannot be used by this process.
    #[error(transparent)]
    NoStore(#[from] NoPackStore),
    /// The registration under which payloads are rewritten was deleted: nothing more is indexed by this run.
    #[error("the registration was deleted")]
    Gone,
    /// The caller's token was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// A pack store failed.
    #[error(transparent)]
    Packs(#[from] PackFault),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// An invariant of this crate does not hold.
    #[error("internal: {0}")]
    Internal(&'static str),
}

impl PayloadError {
    /// See [`ErrorClass`].
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Request(_) => ErrorClass::Caller,
            Self::NoStore(error) => error.class,
            Self::Gone | Self::Cancelled => ErrorClass::Cancelled,
            Self::Packs(fault) => fault.class(),
            Self::Store(fault) => fault.class(),
            Self::Internal(_) => ErrorClass::Bug,
        }
    }
}

/// Listing, pinning, labelling and trashing snapshots, raising a job's floor.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// No such snapshot.
    #[error("no snapshot {0}")]
    NotFound(RootId),
    /// It lies in the trash.
    #[error("snapshot {0} lies in the trash")]
    InTrash(RootId),
    /// Somebody needs it.
    #[error("snapshot {id} is pinned by {by}")]
    Pinned {
        /// The snapshot.
        id: RootId,
        /// The holder of a live pin.
        by: String,
    },
    /// Its resume point lies below the job's floor.
    #[error("the resume point of snapshot {0} lies below the job's floor")]
    BelowFloor(RootId),
    /// The caller's rule says no.
    #[error("refused: {0}")]
    Rule(String),
    /// A field is out of its bounds.
    #[error("{0}")]
    Request(&'static str),
    /// A stored document does not decode.
    #[error("a document of {0} does not decode")]
    BadDocument(&'static str),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

impl RootError {
    /// See [`ErrorClass`].
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::NotFound(_)
            | Self::InTrash(_)
            | Self::Pinned { .. }
            | Self::BelowFloor(_)
            | Self::Rule(_)
            | Self::Request(_) => ErrorClass::Caller,
            Self::BadDocument(_) => ErrorClass::Corrupt,
            Self::Store(fault) => fault.class(),
        }
    }
}
