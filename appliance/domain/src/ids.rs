//! Identifiers, one type each, so that one cannot be passed where another is meant.
//!
//! An id is 24 lowercase hex digits (96 random bits): it is stored, sent and shown in that one form.

use std::{fmt, str::FromStr};

use rand::RngExt as _;
use serde::{Deserialize, Serialize};

/// Digits of an id.
const ID_DIGITS: usize = 24;

/// The text is not an id.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{text:?} is not an id: 24 lowercase hexadecimal digits are expected")]
pub struct ParseIdError {
    /// The text as given, cut to 64 characters.
    pub text: String,
}

fn random_id() -> String {
    hex::encode(rand::rng().random::<[u8; ID_DIGITS / 2]>())
}

fn check(text: &str) -> Result<String, ParseIdError> {
    let good = text.len() == ID_DIGITS && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if good { Ok(text.to_owned()) } else { Err(ParseIdError { text: text.chars().take(64).collect() }) }
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// A new random id.
            #[must_use]
            pub fn random() -> Self {
                Self(random_id())
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;
            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                check(text).map(Self)
            }
        }

        impl TryFrom<String> for $name {
            type Error = ParseIdError;
            fn try_from(text: String) -> Result<Self, ParseIdError> {
                check(&text).map(Self)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl From<$name> for bson::Bson {
            fn from(id: $name) -> Self {
                bson::Bson::String(id.0)
            }
        }
    )*};
}

ids! {
    /// A group (tenant).
    GroupId,
    /// An agent.
    AgentId,
    /// A deployment: a replica set that an agent found.
    DeploymentId,
    /// A monitored host.
    HostId,
    /// A backup job.
    BackupJobId,
    /// A daemon.
    DaemonId,
    /// A restore job.
    RestoreJobId,
    /// A snapshot; the same text as the engine's root id.
    SnapshotId,
    /// A person's account.
    UserId,
    /// An invitation into a group.
    InvitationId,
    /// A request to join a group.
    JoinRequestId,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn random_ids_parse_and_differ() {
        let (a, b) = (GroupId::random(), GroupId::random());
        assert_ne!(a, b);
        assert_eq!(a.as_str().parse::<GroupId>().unwrap(), a);
    }

    #[test]
    fn other_text_is_refused() {
        for bad in ["", "xyz", "ABCDEFABCDEFABCDEFABCDEF", "0123456789abcdef0123456789"] {
            assert!(bad.parse::<GroupId>().is_err(), "{bad}");
        }
    }
}
