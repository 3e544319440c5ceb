//! The appliance's master key, and values sealed with it.
//!
//! It wraps what the databases must not hold in the clear: stored credentials, mail passwords. AES-256-GCM with a random
//! nonce per value; the context (which field of which document) is authenticated with it, so that a sealed value moved to
//! another place does not open. The instances of an appliance share one key; losing it loses the wrapped values and
//! nothing else.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Prk, Salt};

use crate::{atomic_write::create_once, error_class::ErrorClass};

/// Bytes of the key; its file holds them as hex.
const KEY_BYTES: usize = 32;
/// Sets these derivations apart from other users of the same construction.
const DERIVATION_SALT: &[u8] = b"holdfast master key v1";
/// Bytes that GCM appends.
const TAG_BYTES: usize = 16;
/// First byte of a sealed value: version 1 is AES-256-GCM, then nonce, then ciphertext with its tag.
const VERSION: u8 = 1;

/// Why a key or a value could not be used.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The key's file cannot be read or written.
    #[error("master key in {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file holds no key.
    #[error("{} holds no master key: 64 hex digits are expected", .0.display())]
    BadKey(PathBuf),
    /// A value was not sealed with this key for this context, or is damaged.
    #[error("a sealed value does not open: other master key, other place, or damaged")]
    NotOurs,
    /// The cryptographic library refused.
    #[error("the cryptographic library refused")]
    Library,
}

impl SecretError {
    /// What the caller can do about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Io { .. } | Self::BadKey(_) => ErrorClass::Operator,
            Self::NotOurs => ErrorClass::Corrupt,
            Self::Library => ErrorClass::Bug,
        }
    }
}

/// The master key. It is never printed.
pub struct MasterKey {
    key: RandomizedNonceKey,
    /// Other keys are derived from it, each for one purpose.
    derivation: Prk,
}

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterKey(..)")
    }
}

impl MasterKey {
    /// Reads the key from its file (64 hex digits), or makes one with mode 0600; two processes at once end with the same.
    ///
    /// # Errors
    /// The file cannot be used, or holds something else.
    pub fn load_or_create(path: &Path) -> Result<Self, SecretError> {
        let io_error = |source| SecretError::Io { path: path.to_owned(), source };
        let fresh: [u8; KEY_BYTES] = rand::random();
        create_once(path, hex::encode(fresh).as_bytes(), 0o600).map_err(io_error)?;
        let text = fs::read_to_string(path).map_err(io_error)?;
        let mut bytes = [0; KEY_BYTES];
        hex::decode_to_slice(text.trim(), &mut bytes).map_err(|_| SecretError::BadKey(path.to_owned()))?;
        Self::from_bytes(&bytes)
    }

    /// The key with these bytes.
    ///
    /// # Errors
    /// The cryptographic library refused.
    pub fn from_bytes(bytes: &[u8; KEY_BYTES]) -> Result<Self, SecretError> {
        let key = RandomizedNonceKey::new(&AES_256_GCM, bytes).map_err(|_| SecretError::Library)?;
        let derivation = Salt::new(HKDF_SHA256, DERIVATION_SALT).extract(bytes);
        Ok(Self { key, derivation })
    }

    /// A key of its own for a purpose such as `group keys`: the same each time, and telling nothing of this key or of other purposes.
    ///
    /// # Errors
    /// The cryptographic library refused.
    pub fn derive(&self, purpose: &str) -> Result<[u8; KEY_BYTES], SecretError> {
        let mut derived = [0; KEY_BYTES];
        let info = [purpose.as_bytes()];
        let key = self.derivation.expand(&info, HKDF_SHA256).map_err(|_| SecretError::Library)?;
        key.fill(&mut derived).map_err(|_| SecretError::Library)?;
        Ok(derived)
    }

    /// Seals a value for a context such as `deployments/<id>/uri`; [`SEAL_OVERHEAD`] bytes longer than the value.
    ///
    /// # Errors
    /// The cryptographic library refused.
    pub fn seal(&self, context: &str, plaintext: &[u8]) -> Result<Vec<u8>, SecretError> {
        let mut body = plaintext.to_vec();
        let nonce = self
            .key
            .seal_in_place_append_tag(Aad::from(context.as_bytes()), &mut body)
            .map_err(|_| SecretError::Library)?;
        let mut sealed = Vec::with_capacity(1 + NONCE_LEN + body.len());
        sealed.push(VERSION);
        sealed.extend_from_slice(nonce.as_ref());
        sealed.append(&mut body);
        Ok(sealed)
    }

    /// Opens what [`MasterKey::seal`] made for the same context.
    ///
    /// # Errors
    /// [`SecretError::NotOurs`].
    pub fn open(&self, context: &str, sealed: &[u8]) -> Result<Vec<u8>, SecretError> {
        let rest = sealed.strip_prefix(&[VERSION]).ok_or(SecretError::NotOurs)?;
        let (nonce, body) = rest.split_at_checked(NONCE_LEN).ok_or(SecretError::NotOurs)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SecretError::NotOurs)?;
        let mut body = body.to_vec();
        let length = self
            .key
            .open_in_place(nonce, Aad::from(context.as_bytes()), &mut body)
            .map_err(|_| SecretError::NotOurs)?
            .len();
        body.truncate(length);
        Ok(body)
    }
}

/// How many bytes longer than its value a sealed value is.
pub const SEAL_OVERHEAD: usize = 1 + NONCE_LEN + TAG_BYTES;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn opens_only_whole_with_the_same_key_and_context() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("master.key");
        let key = MasterKey::load_or_create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let sealed = key.seal("deployments/1/uri", b"mongodb://u:p@h").unwrap();
        assert_eq!(sealed.len(), 15 + SEAL_OVERHEAD);
        assert_ne!(sealed, key.seal("deployments/1/uri", b"mongodb://u:p@h").unwrap(), "a fresh nonce each time");
        let again = MasterKey::load_or_create(&path).unwrap();
        assert_eq!(again.open("deployments/1/uri", &sealed).unwrap(), b"mongodb://u:p@h");
        assert!(again.open("deployments/2/uri", &sealed).is_err());
        for at in 0..sealed.len() {
            let mut flipped = sealed.clone();
            flipped[at] ^= 1;
            assert!(again.open("deployments/1/uri", &flipped).is_err(), "byte {at}");
            assert!(again.open("deployments/1/uri", &sealed[..at]).is_err(), "cut at {at}");
        }
        let other = MasterKey::load_or_create(&dir.path().join("other.key")).unwrap();
        assert!(matches!(other.open("deployments/1/uri", &sealed), Err(SecretError::NotOurs)));
        assert_eq!(other.open("c", &other.seal("c", b"").unwrap()).unwrap(), b"");
        assert_eq!(format!("{key:?}"), "MasterKey(..)");
        assert_eq!(key.derive("a").unwrap(), again.derive("a").unwrap());
        assert_ne!(key.derive("a").unwrap(), key.derive("b").unwrap());
        assert_ne!(key.derive("a").unwrap(), other.derive("a").unwrap());
    }

    #[test]
    fn a_file_that_holds_no_key_is_said_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("master.key");
        fs::write(&path, "abc").unwrap();
        assert!(matches!(MasterKey::load_or_create(&path), Err(SecretError::BadKey(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), "abc");
    }
}
