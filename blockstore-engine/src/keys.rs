//! Keys of groups that encrypt: made, derived from, wrapped, written down and kept in memory.
//!
//! Invariants: a group key is 32 random bytes; what hashes blocks, what encrypts them and what names the key are derived from it apart, so
//! that none tells another. It leaves this module only wrapped by the appliance's master key (AES-256-GCM), or as text when somebody exports
//! it. Nothing here is ever shown by `Debug` or logged, and memory is wiped when it is given back. `docs/format.md` draws the bytes.
//! Used by whoever keeps groups (the wrapped key is theirs to store) and by the engine through a [`Keyring`].

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, PoisonError, RwLock};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use bson::{Binary, spec::BinarySubtype};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::error::ErrorClass;
use crate::id::BlockHasher;
use crate::records::RecordKeys;

/// Bytes of every key.
pub const KEY_BYTES: usize = 32;
/// Bytes of a wrapped group key: magic, id, nonce, key, tag.
pub const WRAPPED_BYTES: usize = 4 + KEY_ID_BYTES + SEAL_BYTES + KEY_BYTES;
/// Bytes by which sealing makes anything longer: nonce and tag.
pub(crate) const SEAL_BYTES: usize = NONCE_LEN + 16;
const KEY_ID_BYTES: usize = 16;
const WRAPPED_MAGIC: [u8; 4] = *b"HFK\x01";
/// Digits of the text form: no I, L, O and U, which are misread.
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const TEXT_PREFIX: &str = "HFKEY";
/// Digits between two hyphens.
const TEXT_GROUP: usize = 5;
/// Kind, key, check.
const TEXT_BYTES: usize = 1 + KEY_BYTES + TEXT_SUM_BYTES;
const TEXT_SUM_BYTES: usize = 4;
const TEXT_DIGITS: usize = (TEXT_BYTES * 8).div_ceil(5);

/// What is wrong with a key that came from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The text is not an exported key.
    #[error("the text is not an exported key")]
    NotAKey,
    /// The text has a typing error.
    #[error("the text of the key has a typing error")]
    Mistyped,
    /// A master key where a group key is needed, or the other way round.
    #[error("the text is a key of another kind")]
    OtherKind,
    /// The wrapped key is not one, was altered, or was wrapped by another master key.
    #[error("the group key was wrapped by another master key, or altered")]
    Unwrap,
}

impl KeyError {
    /// See [`ErrorClass`].
    #[must_use]
    pub fn class(self) -> ErrorClass {
        match self {
            Self::NotAKey | Self::Mistyped | Self::OtherKind => ErrorClass::Caller,
            Self::Unwrap => ErrorClass::Operator,
        }
    }
}

/// Names a group key without telling it: stands beside everything that it encrypts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub(crate) [u8; KEY_ID_BYTES]);

impl KeyId {
    /// As stored in `k` of `payloads`.
    #[must_use]
    pub fn to_bson(self) -> Binary {
        Binary { subtype: BinarySubtype::Generic, bytes: self.0.to_vec() }
    }

    /// From 16 bytes; `None` for any other length.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

impl Serialize for KeyId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for KeyId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = serde_bytes::ByteBuf::deserialize(deserializer)?;
        Self::from_slice(&bytes).ok_or_else(|| de::Error::invalid_length(bytes.len(), &"16 bytes"))
    }
}

/// The appliance's key: wraps group keys and does nothing else.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct MasterKey([u8; KEY_BYTES]);

/// A group's key, from which everything that touches its blocks is derived.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct GroupKey(pub(crate) [u8; KEY_BYTES]);

impl MasterKey {
    /// A new random key.
    #[must_use]
    pub fn generate() -> Self {
        Self(rand::random())
    }

    /// From its bytes, as a caller keeps them.
    #[must_use]
    pub fn from_bytes(bytes: [u8; KEY_BYTES]) -> Self {
        Self(bytes)
    }

    /// The key as text for paper or a file: `HFKEY-` and 12 groups of 5 digits, checked when it is typed in again.
    #[must_use]
    pub fn export(&self) -> String {
        to_text(b'M', &self.0)
    }

    /// A group key, encrypted for storage.
    ///
    /// # Panics
    /// Never: AES-256-GCM takes any 32 bytes.
    #[must_use]
    pub fn wrap(&self, key: &GroupKey) -> Vec<u8> {
        let mut out = WRAPPED_MAGIC.to_vec();
        out.extend_from_slice(&key.id().0);
        let sealed = seal(&self.wrapping(), &out, &key.0).expect("a short text under a key of the right length");
        out.extend_from_slice(&sealed);
        out
    }

    /// The group key again.
    ///
    /// # Errors
    /// `Unwrap` when this is not the master key that wrapped it, or the bytes were altered.
    pub fn unwrap_key(&self, wrapped: &[u8]) -> Result<GroupKey, KeyError> {
        let (head, sealed) = wrapped.split_at_checked(4 + KEY_ID_BYTES).ok_or(KeyError::Unwrap)?;
        if wrapped.len() != WRAPPED_BYTES || !head.starts_with(&WRAPPED_MAGIC) {
            return Err(KeyError::Unwrap);
        }
        let mut plain = unseal(&self.wrapping(), head, sealed).ok_or(KeyError::Unwrap)?;
        let key = <[u8; KEY_BYTES]>::try_from(plain.as_slice()).map(GroupKey).map_err(|_| KeyError::Unwrap);
        plain.zeroize();
        key.and_then(|key| if head[4..] == key.id().0 { Ok(key) } else { Err(KeyError::Unwrap) })
    }

    fn wrapping(&self) -> [u8; KEY_BYTES] {
        blake3::derive_key("holdfast key wrapping v1", &self.0)
    }
}

impl GroupKey {
    pub(crate) fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    pub(crate) fn from_bytes(bytes: [u8; KEY_BYTES]) -> Self {
        Self(bytes)
    }

    /// A new random key.
    #[must_use]
    pub fn generate() -> Self {
        Self(rand::random())
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> KeyId {
        let derived = blake3::derive_key("holdfast group key id v1", &self.0);
        let mut id = [0; KEY_ID_BYTES];
        id.copy_from_slice(&derived[..KEY_ID_BYTES]);
        KeyId(id)
    }

    /// As [`MasterKey::export`]: with it, blocks and roots a restore needs nothing else.
    #[must_use]
    pub fn export(&self) -> String {
        to_text(b'G', &self.0)
    }
}

impl FromStr for MasterKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        from_text(b'M', text).map(Self)
    }
}

impl FromStr for GroupKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        from_text(b'G', text).map(Self)
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey")
    }
}

impl fmt::Debug for GroupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GroupKey({})", self.id())
    }
}

/// What is derived from a group's key for its blocks.
#[derive(ZeroizeOnDrop)]
pub(crate) struct BlockKeys {
    #[zeroize(skip)]
    pub(crate) id: KeyId,
    hash: [u8; KEY_BYTES],
    cipher: [u8; KEY_BYTES],
    #[zeroize(skip)]
    pub(crate) records: RecordKeys,
}

impl BlockKeys {
    fn new(key: &GroupKey) -> Self {
        Self {
            id: key.id(),
            hash: blake3::derive_key("holdfast block ids v1", &key.0),
            cipher: blake3::derive_key("holdfast block cipher v1", &key.0),
            records: RecordKeys::new(key),
        }
    }

    /// What gives blocks of this group their ids.
    pub(crate) fn hasher(&self) -> BlockHasher {
        BlockHasher::keyed(self.hash)
    }

    /// Nonce, ciphertext, tag. The key is derived once more per `name` (a block's id), so that random nonces never come near the bound of
    /// 2^32 messages under one key, however much a group writes. `None` never happens for texts below 64 GiB.
    pub(crate) fn seal(&self, name: &[u8; 32], associated: &[u8], plain: &[u8]) -> Option<Vec<u8>> {
        seal(blake3::keyed_hash(&self.cipher, name).as_bytes(), associated, plain)
    }

    /// The plain text; `None` when anything was altered.
    pub(crate) fn unseal(&self, name: &[u8; 32], associated: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        unseal(blake3::keyed_hash(&self.cipher, name).as_bytes(), associated, sealed)
    }
}

/// The group keys that a process may use; clones share them. Groups come and go while the store is open.
#[derive(Clone, Default)]
pub struct Keyring(Arc<RwLock<HashMap<KeyId, Arc<BlockKeys>>>>);

impl Keyring {
    /// Adds a key; its name.
    pub fn insert(&self, key: &GroupKey) -> KeyId {
        let keys = Arc::new(BlockKeys::new(key));
        let id = keys.id;
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(id, keys);
        id
    }

    /// Takes a key away: what it encrypts cannot be read any more by this process.
    pub fn remove(&self, id: KeyId) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    /// Whether a key is there.
    #[must_use]
    pub fn contains(&self, id: KeyId) -> bool {
        self.get(id).is_some()
    }

    pub(crate) fn get(&self, id: KeyId) -> Option<Arc<BlockKeys>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.read().unwrap_or_else(PoisonError::into_inner).keys()).finish()
    }
}

pub(crate) fn seal(key: &[u8; KEY_BYTES], associated: &[u8], plain: &[u8]) -> Option<Vec<u8>> {
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).ok()?);
    let nonce: [u8; NONCE_LEN] = rand::random();
    let mut out = Vec::with_capacity(plain.len() + SEAL_BYTES);
    out.extend_from_slice(&nonce);
    out.extend_from_slice(plain);
    let nonce = Nonce::assume_unique_for_key(nonce);
    let tag = key.seal_in_place_separate_tag(nonce, Aad::from(associated), &mut out[NONCE_LEN..]).ok()?;
    out.extend_from_slice(tag.as_ref());
    Some(out)
}

pub(crate) fn unseal(key: &[u8; KEY_BYTES], associated: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).ok()?);
    let (nonce, body) = sealed.split_first_chunk::<NONCE_LEN>()?;
    let mut body = body.to_vec();
    let len = key.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(associated), &mut body).ok()?.len();
    body.truncate(len);
    Some(body)
}

fn text_sum(kind: u8, key: &[u8]) -> [u8; TEXT_SUM_BYTES] {
    let hash = blake3::derive_key("holdfast key text v1", &[&[kind], key].concat());
    [hash[0], hash[1], hash[2], hash[3]]
}

fn to_text(kind: u8, key: &[u8; KEY_BYTES]) -> String {
    let mut bytes = vec![kind];
    bytes.extend_from_slice(key);
    bytes.extend_from_slice(&text_sum(kind, key));
    let bit = |at: usize| bytes.get(at / 8).is_some_and(|byte| byte >> (7 - at % 8) & 1 == 1);
    let mut text = String::from(TEXT_PREFIX);
    for digit in 0..TEXT_DIGITS {
        if digit % TEXT_GROUP == 0 {
            text.push('-');
        }
        let value = (0..5).fold(0, |value, index| value << 1 | usize::from(bit(digit * 5 + index)));
        text.push(char::from(DIGITS[value]));
    }
    bytes.zeroize();
    text
}

fn from_text(kind: u8, text: &str) -> Result<[u8; KEY_BYTES], KeyError> {
    let upper = text.trim().to_ascii_uppercase();
    let digits = upper.strip_prefix(TEXT_PREFIX).ok_or(KeyError::NotAKey)?;
    let mut bits = Vec::with_capacity(TEXT_DIGITS * 5);
    for digit in digits.bytes().filter(|digit| !matches!(digit, b'-' | b' ' | b'\n' | b'\r' | b'\t')) {
        let digit = match digit {
            b'O' => b'0',
            b'I' | b'L' => b'1',
            other => other,
        };
        let value = DIGITS.iter().position(|known| *known == digit).ok_or(KeyError::Mistyped)?;
        bits.extend((0..5).rev().map(|index| value >> index & 1 == 1));
        if bits.len() > TEXT_DIGITS * 5 {
            return Err(KeyError::Mistyped);
        }
    }
    let mut bytes: Vec<u8> =
        bits.chunks_exact(8).map(|byte| byte.iter().fold(0, |value, bit| value << 1 | u8::from(*bit))).collect();
    let split = || Some((bytes.first().copied()?, bytes.get(1..=KEY_BYTES)?, bytes.get(1 + KEY_BYTES..)?));
    let (found, key, sum) = split().filter(|_| bits.len() == TEXT_DIGITS * 5).ok_or(KeyError::Mistyped)?;
    if text_sum(found, key) != sum || bits[TEXT_BYTES * 8..].iter().any(|bit| *bit) {
        return Err(KeyError::Mistyped);
    }
    if found != kind {
        return Err(KeyError::OtherKind);
    }
    let key = key.try_into().map_err(|_| KeyError::Mistyped)?;
    bytes.zeroize();
    Ok(key)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn text_survives_and_typing_errors_are_found() {
        for _ in 0..50 {
            let key = GroupKey::generate();
            let text = key.export();
            assert_eq!(text.len(), 5 + 12 * 6);
            assert_eq!(text.parse::<GroupKey>().unwrap(), key);
            let typed = text.to_lowercase().replace('0', "o").replace('1', "l").replace('-', " ");
            assert_eq!(typed.parse::<GroupKey>().unwrap(), key);
            assert_eq!(text.parse::<MasterKey>().unwrap_err(), KeyError::OtherKind);
            for at in 6..text.len() {
                let mut wrong = text.clone().into_bytes();
                if wrong[at] == b'-' {
                    continue;
                }
                wrong[at] = if wrong[at] == b'7' { b'8' } else { b'7' };
                let wrong = String::from_utf8(wrong).unwrap();
                assert_eq!(wrong.parse::<GroupKey>().unwrap_err(), KeyError::Mistyped, "{at}");
            }
            assert_eq!(text[..text.len() - 1].parse::<GroupKey>().unwrap_err(), KeyError::Mistyped);
            assert_eq!(format!("{text}0").parse::<GroupKey>().unwrap_err(), KeyError::Mistyped);
        }
        assert_eq!("hunter2".parse::<GroupKey>().unwrap_err(), KeyError::NotAKey);
        let master = MasterKey::generate();
        assert_eq!(master.export().parse::<MasterKey>().unwrap(), master);
    }

    #[test]
    fn wrapped_keys_open_under_their_master_alone_and_unaltered() {
        let (master, key) = (MasterKey::generate(), GroupKey::generate());
        let wrapped = master.wrap(&key);
        assert_eq!(wrapped.len(), WRAPPED_BYTES);
        assert_ne!(wrapped, master.wrap(&key), "a new nonce each time");
        assert_eq!(master.unwrap_key(&wrapped).unwrap(), key);
        assert_eq!(MasterKey::generate().unwrap_key(&wrapped).unwrap_err(), KeyError::Unwrap);
        for at in 0..wrapped.len() {
            let mut altered = wrapped.clone();
            altered[at] ^= 1;
            assert_eq!(master.unwrap_key(&altered).unwrap_err(), KeyError::Unwrap, "{at}");
            assert_eq!(master.unwrap_key(&wrapped[..at]).unwrap_err(), KeyError::Unwrap);
        }
    }

    #[test]
    fn nothing_derived_equals_another_and_nothing_is_shown() {
        let key = GroupKey::generate();
        let keys = BlockKeys::new(&key);
        let all = [keys.hash, keys.cipher, key.0, blake3::derive_key("holdfast key wrapping v1", &key.0)];
        for (index, one) in all.iter().enumerate() {
            assert!(all[index + 1..].iter().all(|other| other != one));
            assert_ne!(one[..16], keys.id.0);
        }
        let ring = Keyring::default();
        ring.insert(&key);
        let shown = format!("{key:?} {:?} {ring:?} {:?}", MasterKey(key.0), keys.hasher());
        assert!(!all.iter().any(|secret| shown.contains(&hex::encode(secret))), "{shown}");
    }
}
