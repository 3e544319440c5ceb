//! Errors of the app database, with their class.

use holdfast_domain::{BackupState, Classify, ErrorClass, NoSuchTransition};

/// Why an operation on the app database did not happen.
#[derive(Debug, thiserror::Error)]
pub enum MetaError {
    /// The database refused or did not answer.
    #[error("{op}: the app database failed")]
    Database {
        /// What was tried, a verb phrase.
        op: &'static str,
        /// The driver's error.
        #[source]
        source: mongodb::error::Error,
    },
    /// A value cannot be written as BSON.
    #[error("{op}: a value cannot be stored")]
    Form {
        /// What was tried.
        op: &'static str,
        /// The encoder's error.
        #[source]
        source: bson::error::Error,
    },
    /// The lease went to another owner, or the assignment to another agent: nothing was written.
    #[error("the lease of this work is another's")]
    Fenced,
    /// There is no such thing.
    #[error("there is no {what} {id}")]
    NotFound {
        /// Its kind: `group`, `backup of`.
        what: &'static str,
        /// What was looked for.
        id: String,
    },
    /// There is one already.
    #[error("{what} {id} exists already")]
    Exists {
        /// Its kind.
        what: &'static str,
        /// Which.
        id: String,
    },
    /// The value is out of bounds.
    #[error("{what} is refused: {detail}")]
    Invalid {
        /// Which value.
        what: &'static str,
        /// Why.
        detail: String,
    },
    /// The group or the appliance would be left without an owner.
    #[error("the last owner stays: make someone else an owner first")]
    LastOwner,
    /// The job's state does not allow it.
    #[error(transparent)]
    Transition(#[from] NoSuchTransition),
    /// The job is not in a state in which this can be asked.
    #[error("a backup that is {state:?} cannot {what}")]
    State {
        /// Its state.
        state: BackupState,
        /// What was asked.
        what: &'static str,
    },
    /// It is no longer what the writer saw: nothing was written.
    #[error("someone changed it since it was read")]
    Changed,
    /// Others changed the same document too often in between.
    #[error("{op}: others changed it at the same time, again and again")]
    Contention {
        /// What was tried.
        op: &'static str,
    },
}

/// Server code: no space left on the device.
const CODE_OUT_OF_DISK_SPACE: i32 = 14031;
/// Server codes of refused credentials or privileges.
const CODES_AUTH: [i32; 2] = [13, 18];
/// Server code: duplicate key.
const CODE_DUPLICATE: i32 = 11000;

/// The server's code of an error, if it has one.
pub(crate) fn server_code(error: &mongodb::error::Error) -> Option<i32> {
    use mongodb::error::{ErrorKind, WriteFailure};
    match error.kind.as_ref() {
        ErrorKind::Command(e) => Some(e.code),
        ErrorKind::Write(WriteFailure::WriteError(e)) => Some(e.code),
        ErrorKind::Write(WriteFailure::WriteConcernError(e)) => Some(e.code),
        _ => None,
    }
}

/// True for a duplicate key.
pub(crate) fn duplicate(error: &mongodb::error::Error) -> bool {
    server_code(error) == Some(CODE_DUPLICATE)
}

/// Adds what was tried to the driver's error.
pub(crate) fn on(op: &'static str) -> impl Fn(mongodb::error::Error) -> MetaError {
    move |source| MetaError::Database { op, source }
}

/// A value as BSON.
pub(crate) fn to_bson<T: serde::Serialize + ?Sized>(op: &'static str, value: &T) -> Result<bson::Bson, MetaError> {
    bson::serialize_to_bson(value).map_err(|source| MetaError::Form { op, source })
}

impl Classify for MetaError {
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
            Self::Fenced => ErrorClass::Cancelled,
            Self::Form { .. } => ErrorClass::Bug,
            Self::Contention { .. } => ErrorClass::Retry,
            Self::NotFound { .. }
            | Self::Exists { .. }
            | Self::Invalid { .. }
            | Self::LastOwner
            | Self::Changed
            | Self::Transition(_)
            | Self::State { .. } => ErrorClass::Caller,
        }
    }
}
