//! What can go wrong with an archive besides reading.

use crate::error::{ErrorClass, ReadError};

/// Planning or streaming an archive.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// Stored frames were replaced since the layout was frozen: its ETag is void. HTTP 412; a new plan serves the new bytes.
    #[error("stored frames were replaced since the archive was planned")]
    LayoutChanged,
    /// Reading the snapshot failed.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl ArchiveError {
    /// See [`ErrorClass`].
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::LayoutChanged => ErrorClass::Retry,
            Self::Read(error) => error.class(),
        }
    }
}
