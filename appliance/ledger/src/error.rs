//! Errors of the ledger, one type per kind of operation, each with its class.

use blockstore_engine::KeyId;
use holdfast_agent_api::{LedgerTail, ScanTail};
use holdfast_domain::{Classify, ErrorClass};

/// The database did not do what it was asked, or what it holds is not what was written.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The database refused or did not answer, also after the bounded retries.
    #[error("{op}: the blockstore database failed")]
    Database {
        /// What was tried, a verb phrase.
        op: &'static str,
        /// The driver's error.
        #[source]
        source: mongodb::error::Error,
    },
    /// A stored document cannot be read as what it must be.
    #[error("{op}: a stored document does not have the expected form")]
    Form {
        /// What was tried.
        op: &'static str,
        /// The decoder's error.
        #[source]
        source: bson::error::Error,
    },
    /// Stored bytes are not what was written: hash, linkage, length or count differ.
    #[error("{what} is corrupt: {detail}")]
    Corrupt {
        /// What: `entry 0/17`, `payload 3f..`.
        what: String,
        /// How that was seen.
        detail: String,
    },
    /// Entries asked for were trimmed; the first that is left of the chain is `first_seq`.
    #[error("chain {chain} is trimmed: its first slice is {first_seq}")]
    Trimmed {
        /// Chain.
        chain: i64,
        /// First sequence number that is left.
        first_seq: i64,
    },
    /// It was encrypted under a key that this process does not have. Nothing is wrong with what is stored.
    #[error("{what} is encrypted under key {key}, which is not at hand: give the group's key")]
    NoKey {
        /// What.
        what: String,
        /// The key's id.
        key: KeyId,
    },
    /// A payload or slice that an entry or a scan names is not there.
    #[error("{what} is missing")]
    Missing {
        /// What.
        what: String,
    },
}

/// Server code: no space left on the device.
const CODE_OUT_OF_DISK_SPACE: i32 = 14031;
/// Server codes of refused credentials or privileges.
const CODES_AUTH: [i32; 2] = [13, 18];
/// Server code: duplicate key.
pub(crate) const CODE_DUPLICATE: i32 = 11000;

/// The server's code of an error, if it has one.
pub(crate) fn server_code(error: &mongodb::error::Error) -> Option<i32> {
    use mongodb::error::{ErrorKind, WriteFailure};
    match error.kind.as_ref() {
        ErrorKind::Command(e) => Some(e.code),
        ErrorKind::Write(WriteFailure::WriteError(e)) => Some(e.code),
        ErrorKind::Write(WriteFailure::WriteConcernError(e)) => Some(e.code),
        ErrorKind::InsertMany(e) => e.write_errors.as_ref().and_then(|all| all.first()).map(|e| e.code),
        _ => None,
    }
}

impl Classify for LedgerError {
    fn class(&self) -> ErrorClass {
        use mongodb::error::ErrorKind;
        match self {
            Self::Database { source, .. } => match (server_code(source), source.kind.as_ref()) {
                (Some(CODE_OUT_OF_DISK_SPACE), _) | (_, ErrorKind::Authentication { .. }) => ErrorClass::Operator,
                (Some(code), _) if CODES_AUTH.contains(&code) => ErrorClass::Operator,
                (_, ErrorKind::InvalidArgument { .. }) => ErrorClass::Bug,
                (_, ErrorKind::BsonDeserialization(_)) => ErrorClass::Corrupt,
                _ => ErrorClass::Retry,
            },
            Self::Form { .. } | Self::Corrupt { .. } | Self::Missing { .. } => ErrorClass::Corrupt,
            Self::Trimmed { .. } => ErrorClass::Caller,
            Self::NoKey { .. } => ErrorClass::Operator,
        }
    }
}

/// Why an entry was not appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The ledger does not end where the request says; nothing was written. None: it has no entry at all.
    #[error("the ledger does not end where the request says")]
    Conflict {
        /// Where it ends.
        tail: Option<LedgerTail>,
    },
    /// The chain is closed; a new one must be opened.
    #[error("the chain is closed")]
    Closed {
        /// The closing entry.
        tail: LedgerTail,
    },
    /// The payload named is not stored (or its day was dropped meanwhile): send it again.
    #[error("the payload of the slice is not stored")]
    NoPayload,
    /// The payload stored under this hash differs from what the request says of it.
    #[error("the payload stored differs from the request in {field}")]
    PayloadMismatch {
        /// Which field.
        field: &'static str,
    },
    /// The request contradicts itself or the entry before; nothing was written.
    #[error("the entry is refused: {detail}")]
    Invalid {
        /// Why.
        detail: String,
    },
    /// The database.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl Classify for AppendError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Ledger(e) => e.class(),
            _ => ErrorClass::Caller,
        }
    }
}

/// Bytes sent are not what they are said to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// Not one whole zstd frame.
    #[error("the body is not one zstd frame: {detail}")]
    Frame {
        /// Why.
        detail: String,
    },
    /// More raw bytes than allowed.
    #[error("the raw bytes exceed {max}")]
    TooLarge {
        /// Bound, in bytes.
        max: usize,
    },
    /// The documents do not fill the bytes, or one is not BSON.
    #[error("document {index} is not BSON: {detail}")]
    Document {
        /// Which, from 0.
        index: usize,
        /// Why.
        detail: &'static str,
    },
    /// An oplog entry has no `ts`, or not a greater one than the entry before.
    #[error("oplog entry {index} is out of order or has no cluster time")]
    Order {
        /// Which, from 0.
        index: usize,
    },
    /// Nothing in it.
    #[error("the payload is empty")]
    Empty,
    /// The hash of the raw bytes is not the one named.
    #[error("the raw bytes do not have the hash named")]
    Hash,
    /// The header's numbers are not those of the bytes.
    #[error("the header says another {field} than the bytes have")]
    Header {
        /// Which.
        field: &'static str,
    },
}

impl Classify for PayloadError {
    fn class(&self) -> ErrorClass {
        ErrorClass::Caller
    }
}

/// Why a payload was not stored.
#[derive(Debug, thiserror::Error)]
pub enum PutPayloadError {
    /// The same hash is stored with other facts: one of the two was not checked by its caller.
    #[error("a payload with this hash is stored with another {field}")]
    Mismatch {
        /// Which.
        field: &'static str,
    },
    /// The facts or the size are out of bounds.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// The database.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl Classify for PutPayloadError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Mismatch { .. } | Self::Payload(_) => ErrorClass::Caller,
            Self::Ledger(e) => e.class(),
        }
    }
}

/// Why a request about an initial sync was refused.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// The chain has no initial sync (it was never opened, or it is trimmed).
    #[error("this chain has no initial sync")]
    NoSync,
    /// The sync's slices were dropped: it ended or was given up.
    #[error("the initial sync of this chain is over")]
    Dropped,
    /// The sync is complete: no scan can begin.
    #[error("the initial sync of this chain is complete")]
    Complete,
    /// The collection has no scan.
    #[error("this collection has no scan")]
    NoScan,
    /// A newer scan of the collection began, or this one was never given out.
    #[error("the scan is not the present one, which is {current}")]
    StaleScan {
        /// The present scan's number.
        current: i64,
    },
    /// The slice is not the next one, or other bytes are stored under its number, or the scan ended.
    #[error("the scan is stored up to slice {}", tail.next_seq)]
    Conflict {
        /// What is stored.
        tail: ScanTail,
    },
    /// The sync cannot be completed: what is said does not fit what is stored.
    #[error("the initial sync cannot be completed: {detail}")]
    Incomplete {
        /// Why.
        detail: String,
    },
    /// The request itself is wrong.
    #[error("the request is refused: {detail}")]
    Invalid {
        /// Why.
        detail: String,
    },
    /// The bytes are wrong.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// The database.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl Classify for SyncError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Ledger(e) => e.class(),
            _ => ErrorClass::Caller,
        }
    }
}

/// Lets the transaction driver see the driver's error inside an operation's error.
pub(crate) trait DatabaseCause {
    fn database(&self) -> Option<&mongodb::error::Error>;
}

impl DatabaseCause for LedgerError {
    fn database(&self) -> Option<&mongodb::error::Error> {
        match self {
            Self::Database { source, .. } => Some(source),
            _ => None,
        }
    }
}

macro_rules! cause_of_ledger {
    ($($name:ident),*) => {$(
        impl DatabaseCause for $name {
            fn database(&self) -> Option<&mongodb::error::Error> {
                match self {
                    Self::Ledger(e) => e.database(),
                    _ => None,
                }
            }
        }
    )*};
}
cause_of_ledger!(AppendError, PutPayloadError, SyncError);
