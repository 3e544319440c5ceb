//! What a group's key protects besides its blocks: records that a caller keeps where it likes, such as slices of an oplog.
//!
//! Invariants: names and cipher of records are derived from the group's key apart from those of blocks, so that none tells another; a
//! record opens only together with what it was bound to when it was sealed. Nothing here stores anything. `docs/format.md` draws the bytes.

use zeroize::ZeroizeOnDrop;

use crate::error::ErrorClass;
use crate::keys::{GroupKey, KEY_BYTES, KeyId, Keyring, SEAL_BYTES, seal, unseal};

/// Bytes by which sealing makes a record longer: nonce and tag.
pub const RECORD_SEAL_BYTES: usize = SEAL_BYTES;

/// Why a record was not sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The key is not at hand in this process.
    #[error("key {0} is not at hand")]
    NoKey(KeyId),
    /// Something was altered, or it is another record than is said.
    #[error("the record does not decrypt: it was altered, or is another")]
    Altered,
    /// The cryptographic library refused: the record is longer than 64 GiB.
    #[error("the record cannot be encrypted")]
    Refused,
}

impl RecordError {
    /// See [`ErrorClass`].
    #[must_use]
    pub fn class(self) -> ErrorClass {
        match self {
            Self::NoKey(_) => ErrorClass::Operator,
            Self::Altered => ErrorClass::Corrupt,
            Self::Refused => ErrorClass::Caller,
        }
    }
}

/// What is derived from a group's key for its records.
#[derive(ZeroizeOnDrop)]
pub(crate) struct RecordKeys {
    name: [u8; KEY_BYTES],
    cipher: [u8; KEY_BYTES],
}

impl RecordKeys {
    pub(crate) fn new(key: &GroupKey) -> Self {
        Self {
            name: blake3::derive_key("holdfast record names v1", key.bytes()),
            cipher: blake3::derive_key("holdfast record cipher v1", key.bytes()),
        }
    }

    /// One key for each record, so that random nonces never come near the bound of 2^32 messages under one key.
    fn cipher_of(&self, associated: &[u8]) -> [u8; KEY_BYTES] {
        *blake3::keyed_hash(&self.cipher, associated).as_bytes()
    }
}

impl Keyring {
    /// The name of a record whose content has this hash: the same for the same content, and telling nothing of it to whoever lacks the key,
    /// not even whether a guess of it is right.
    ///
    /// # Errors
    /// [`RecordError::NoKey`].
    pub fn record_name(&self, key: KeyId, content_hash: &[u8; 32]) -> Result<[u8; 32], RecordError> {
        let keys = self.get(key).ok_or(RecordError::NoKey(key))?;
        Ok(*blake3::keyed_hash(&keys.records.name, content_hash).as_bytes())
    }

    /// Nonce, ciphertext, tag: [`RECORD_SEAL_BYTES`] more than the record. It opens with the same `associated` alone.
    ///
    /// # Errors
    /// [`RecordError::NoKey`], [`RecordError::Refused`].
    pub fn seal_record(&self, key: KeyId, associated: &[u8], plain: &[u8]) -> Result<Vec<u8>, RecordError> {
        let keys = self.get(key).ok_or(RecordError::NoKey(key))?;
        seal(&keys.records.cipher_of(associated), associated, plain).ok_or(RecordError::Refused)
    }

    /// What [`Self::seal_record`] sealed.
    ///
    /// # Errors
    /// [`RecordError::NoKey`], [`RecordError::Altered`].
    pub fn open_record(&self, key: KeyId, associated: &[u8], sealed: &[u8]) -> Result<Vec<u8>, RecordError> {
        let keys = self.get(key).ok_or(RecordError::NoKey(key))?;
        unseal(&keys.records.cipher_of(associated), associated, sealed).ok_or(RecordError::Altered)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_record_opens_unaltered_in_its_place_with_its_key_alone() {
        let (ring, other) = (Keyring::default(), Keyring::default());
        let key = ring.insert(&GroupKey::generate());
        let wrong = other.insert(&GroupKey::generate());
        let sealed = ring.seal_record(key, b"slice 7", b"a secret").unwrap();
        assert_eq!(sealed.len(), 8 + RECORD_SEAL_BYTES);
        assert!(!sealed.windows(8).any(|part| part == b"a secret"));
        assert_ne!(sealed, ring.seal_record(key, b"slice 7", b"a secret").unwrap(), "a new nonce each time");
        assert_eq!(ring.open_record(key, b"slice 7", &sealed).unwrap(), b"a secret");
        assert_eq!(ring.open_record(key, b"slice 8", &sealed), Err(RecordError::Altered));
        assert_eq!(other.open_record(key, b"slice 7", &sealed), Err(RecordError::NoKey(key)));
        assert_eq!(other.open_record(wrong, b"slice 7", &sealed), Err(RecordError::Altered));
        for at in 0..sealed.len() {
            let mut flipped = sealed.clone();
            flipped[at] ^= 1;
            assert_eq!(ring.open_record(key, b"slice 7", &flipped), Err(RecordError::Altered), "byte {at}");
            assert_eq!(ring.open_record(key, b"slice 7", &sealed[..at]), Err(RecordError::Altered), "cut at {at}");
        }
    }

    #[test]
    fn names_are_stable_and_each_keys_own() {
        let ring = Keyring::default();
        let (one, two) = (ring.insert(&GroupKey::generate()), ring.insert(&GroupKey::generate()));
        let name = ring.record_name(one, &[7; 32]).unwrap();
        assert_eq!(name, ring.record_name(one, &[7; 32]).unwrap());
        assert_ne!(name, ring.record_name(one, &[8; 32]).unwrap());
        assert_ne!(name, ring.record_name(two, &[7; 32]).unwrap());
        assert_eq!(Keyring::default().record_name(one, &[7; 32]), Err(RecordError::NoKey(one)));
    }
}
