//! What can go wrong between the agent and the appliance.

use std::{error::Error, time::Duration};

use holdfast_agent_api::Problem;
use holdfast_domain::{Classify, ErrorClass};

/// A request did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The URL, proxy or pins cannot be used; a sentence says why.
    #[error("{0}")]
    Setup(String),
    /// No connection, or it broke.
    #[error("cannot reach {host}")]
    Connect {
        /// `host:port`.
        host: String,
        /// Why.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// No answer in time.
    #[error("{host} did not answer within {} s", after.as_secs())]
    Timeout {
        /// `host:port`.
        host: String,
        /// How long was waited.
        after: Duration,
    },
    /// The server said no.
    #[error("{} ({})", problem.detail, problem.status)]
    Refused {
        /// Its words.
        problem: Box<Problem>,
        /// Header `Retry-After`.
        retry_after: Option<Duration>,
        /// The whole body: some conflicts carry the present state as their body.
        body: bytes::Bytes,
    },
    /// The answer cannot be read.
    #[error("the answer of {host} to {what} cannot be read: {why}")]
    Unintelligible {
        /// `host:port`.
        host: String,
        /// Method and path.
        what: String,
        /// Why.
        why: String,
    },
    /// The work was called off.
    #[error("called off")]
    Cancelled,
}

impl TransportError {
    /// Status of the answer, when there was one that says no.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { problem, .. } => Some(problem.status),
            _ => None,
        }
    }

    /// True when the job is no longer this agent's, or no longer runs.
    #[must_use]
    pub fn assignment_lost(&self) -> bool {
        match self {
            Self::Refused { problem, .. } => {
                problem.status == 403 || matches!(problem.code.as_str(), "staleAssignment" | "jobStopped")
            }
            _ => false,
        }
    }
}

impl Classify for TransportError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Cancelled => ErrorClass::Cancelled,
            Self::Connect { .. } | Self::Timeout { .. } => ErrorClass::Retry,
            Self::Setup(_) => ErrorClass::Operator,
            Self::Unintelligible { .. } => ErrorClass::Bug,
            Self::Refused { .. } if self.assignment_lost() => ErrorClass::Cancelled,
            Self::Refused { problem, .. } => match problem.status {
                408 | 429 | 500 | 502 | 503 | 504 | 507 => ErrorClass::Retry,
                401 | 426 => ErrorClass::Operator,
                _ => ErrorClass::Caller,
            },
        }
    }
}
