//! What ends a piece of a job's work.

use holdfast_agent_api::LedgerTail;
use holdfast_domain::{Classify, ErrorClass};

use crate::transport::TransportError;

/// Server's codes that a scan or a tail decides on.
pub(crate) mod code {
    /// UserNotFound and others have names in the server's sources; these are the ones that mean something here.
    pub(crate) const NAMESPACE_NOT_FOUND: i32 = 26;
    /// The cursor is no longer there.
    pub(crate) const CURSOR_NOT_FOUND: i32 = 43;
    /// A capped collection's cursor was overtaken.
    pub(crate) const CAPPED_POSITION_LOST: i32 = 136;
    /// The collection was renamed or dropped under the cursor.
    pub(crate) const QUERY_PLAN_KILLED: i32 = 175;
    /// The resume token's record is gone.
    pub(crate) const KEY_NOT_FOUND: i32 = 211;
    /// Someone killed the cursor.
    pub(crate) const CURSOR_KILLED: i32 = 237;
    /// `maxTimeMS` passed.
    pub(crate) const MAX_TIME_EXPIRED: i32 = 50;
}

/// Why a piece of work of a job ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JobError {
    /// The appliance.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The source.
    #[error("cannot {doing} at {member}")]
    Source {
        /// Verb phrase.
        doing: &'static str,
        /// `host:port`, or the whole set.
        member: String,
        /// Driver's error.
        #[source]
        source: mongodb::error::Error,
    },
    /// No member can be read from now; a sentence says why.
    #[error("{0}")]
    NoMember(String),
    /// Bytes of the source that are not what they should be.
    #[error("{0}")]
    Unintelligible(String),
    /// The local disk.
    #[error("cannot {doing} {path}")]
    Disk {
        /// Verb phrase.
        doing: &'static str,
        /// File.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Something is configured wrongly; a sentence says what to do.
    #[error("{0}")]
    Setup(String),
    /// The open chain is closed, or another one is open: where the ledger stands.
    #[error("the chain is closed or another one is open")]
    ChainEnded(Box<LedgerTail>),
    /// The ledger's tail is elsewhere than what was to be sent follows: cut anew from there.
    #[error("the ledger stands elsewhere")]
    Rewind(Box<LedgerTail>),
    /// What was read and never sent is gone at the source: begin again from the ledger's tail, without the spool.
    #[error("what was read and not sent is gone at the source")]
    WalkBack,
    /// Our own promise was broken.
    #[error("{0}")]
    Bug(String),
    /// Called off.
    #[error("called off")]
    Cancelled,
}

impl JobError {
    /// The server's code, when a command failed with one.
    pub(crate) fn code(&self) -> Option<i32> {
        match self {
            Self::Source { source, .. } => command_code(source),
            _ => None,
        }
    }
}

/// The server's code of a driver's error.
pub(crate) fn command_code(error: &mongodb::error::Error) -> Option<i32> {
    match &*error.kind {
        mongodb::error::ErrorKind::Command(command) => Some(command.code),
        _ => None,
    }
}

impl Classify for JobError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Transport(error) => error.class(),
            Self::Source { .. } | Self::NoMember(_) | Self::ChainEnded(_) | Self::Rewind(_) | Self::WalkBack => {
                ErrorClass::Retry
            }
            Self::Setup(_) | Self::Disk { .. } => ErrorClass::Operator,
            Self::Unintelligible(_) => ErrorClass::Corrupt,
            Self::Bug(_) => ErrorClass::Bug,
            Self::Cancelled => ErrorClass::Cancelled,
        }
    }
}
