//! What the driver of a job, the HTTP mapper and the alerts need to know of an error: nothing else decides on it.

use serde::{Deserialize, Serialize};

/// What should happen after an error of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ErrorClass {
    /// Passing: try the same again after a pause.
    Retry,
    /// Someone must do something (free space, fix a credential); trying again without that is useless.
    Operator,
    /// The request itself is wrong; the caller must change it.
    Caller,
    /// Bytes are not what they were: never serve them, raise an alert.
    Corrupt,
    /// A condition that our own code promised cannot happen.
    Bug,
    /// Not an error: the work was called off or its lease went to another owner.
    Cancelled,
}

/// Errors that know their class.
pub trait Classify {
    /// The class of this error.
    fn class(&self) -> ErrorClass;
}
