//! Errors of opening the blockstore and of keys.

use blockstore_engine::{ErrorClass as EngineClass, KeyError, OpenError};
use holdfast_domain::{Classify, ErrorClass};
use holdfast_metadb::MetaError;
use holdfast_service::SecretError;

/// Why the blockstore could not be opened, or a key not used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The engine refused.
    #[error("open the blockstore")]
    Open(#[from] OpenError),
    /// The app database, which says where payloads lie.
    #[error(transparent)]
    Meta(#[from] MetaError),
    /// The master key.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A key that came from outside, or from the database.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A group's key is not there, or does not open under this master key.
    #[error("key {0} of the group is not at hand: it is lost, or was wrapped by another master key")]
    NoKey(String),
}

impl StoreError {
    /// With its causes, for a log.
    #[must_use]
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        text
    }
}

impl Classify for StoreError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Open(error) => match error.class() {
                EngineClass::Retry => ErrorClass::Retry,
                EngineClass::Operator | EngineClass::Caller => ErrorClass::Operator,
                EngineClass::Corrupt => ErrorClass::Corrupt,
                EngineClass::Bug => ErrorClass::Bug,
                EngineClass::Cancelled => ErrorClass::Cancelled,
            },
            Self::Meta(error) => error.class(),
            Self::Secret(_) | Self::NoKey(_) => ErrorClass::Operator,
            Self::Key(error) => match error.class() {
                EngineClass::Caller => ErrorClass::Caller,
                _ => ErrorClass::Operator,
            },
        }
    }
}
