//! Secrets that are shown once: made, hashed, never stored.
//!
//! A secret has 256 random bits, so a plain SHA-256 of it cannot be searched, and looking it up by that hash tells
//! nothing by its timing: the comparison is over the hash, which a caller cannot steer.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rand::RngExt as _;
use sha2::{Digest as _, Sha256};

/// Random bytes of a secret.
const SECRET_BYTES: usize = 32;

/// What a secret is for; its first letters say so, which secret scanners can find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretKind {
    /// A user's or program's API key: `hfk_`.
    ApiKey,
    /// An agent's key: `hfa_`.
    AgentKey,
    /// The secret of an enrolment token: `hft_`.
    Enroll,
    /// The secret of a restore link: `hfl_`.
    Link,
    /// A session's cookie: `hfs_`.
    Session,
    /// An invitation: `hfi_`.
    Invitation,
    /// A secret of [`crate::OneTimeKind`]: `hfo_`.
    OneTime,
}

impl SecretKind {
    const fn letter(self) -> char {
        match self {
            Self::ApiKey => 'k',
            Self::AgentKey => 'a',
            Self::Enroll => 't',
            Self::Link => 'l',
            Self::Session => 's',
            Self::Invitation => 'i',
            Self::OneTime => 'o',
        }
    }
}

/// A new secret: `hf<kind>_` and 43 characters of base64url.
#[must_use]
pub fn new_secret(kind: SecretKind) -> String {
    let bytes = rand::rng().random::<[u8; SECRET_BYTES]>();
    format!("hf{}_{}", kind.letter(), URL_SAFE_NO_PAD.encode(bytes))
}

/// What is stored of a secret: hex SHA-256.
#[must_use]
pub fn hash_secret(secret: &str) -> String {
    hex::encode(Sha256::digest(secret.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_differ_and_hash_the_same_each_time() {
        let (a, b) = (new_secret(SecretKind::ApiKey), new_secret(SecretKind::ApiKey));
        assert_ne!(a, b);
        assert!(a.starts_with("hfk_") && a.len() == 47);
        assert_eq!(hash_secret(&a), hash_secret(&a));
        assert_eq!(hash_secret("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
