//! Objects that the caller keeps beside the packs of a store: named, checksummed, encrypted where their group encrypts.
//!
//! Invariants: an object says its own name, so that none stands for another; what is read is checked whole before a byte of it is given
//! away; nothing here is a block, named by one, or swept: whoever puts an object deletes it. `docs/format.md` draws the bytes. Used for what
//! must be at hand when the databases are lost.

use std::sync::Arc;

use bytes::Bytes;
use object_store::path::Path;

use super::packs::{PackStore, ReadFault};
use crate::engine::Blockstore;
use crate::error::{ErrorClass, NoPackStore, PackFault};
use crate::id::StoreNumber;
use crate::keys::{KeyId, Keyring, SEAL_BYTES};

/// Folder of these objects in a store.
const FOLDER: &str = "aside";
const MAGIC: [u8; 4] = *b"HFO\x01";
const KEY_BYTES: usize = 16;
const SUM_BYTES: usize = 32;
/// Longest name in bytes: what every store of objects takes, with room for its prefix.
const NAME_BYTES_MAX: usize = 500;
/// Largest body in bytes: it is held in memory, some times over.
const BODY_BYTES_MAX: usize = 96 << 20;

/// Why an object was not stored or read.
#[derive(Debug, thiserror::Error)]
pub enum AsideError {
    /// The name or the body is out of bounds.
    #[error("object {name}: {reason}")]
    Request {
        /// Its name.
        name: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// It is encrypted, or is to be, under a key that is not at hand.
    #[error("object {name} is encrypted under key {key}, which is not at hand")]
    NoKey {
        /// Its name.
        name: String,
        /// The key.
        key: KeyId,
    },
    /// It is not what was written.
    #[error("object {name} is damaged: {reason}")]
    Bad {
        /// Its name.
        name: String,
        /// How that was seen.
        reason: &'static str,
    },
    /// The store failed.
    #[error(transparent)]
    Packs(#[from] PackFault),
}

impl AsideError {
    /// See [`ErrorClass`].
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Request { .. } => ErrorClass::Caller,
            Self::NoKey { .. } => ErrorClass::Operator,
            Self::Bad { .. } => ErrorClass::Corrupt,
            Self::Packs(fault) => fault.class(),
        }
    }
}

/// The objects beside the packs of one store. Cheap to clone.
#[derive(Clone)]
pub struct Aside {
    packs: Arc<PackStore>,
    keys: Keyring,
}

impl Blockstore {
    /// The pack stores that this process knows, each as the place for objects beside its packs, or why it cannot be used.
    #[must_use]
    pub fn asides(&self) -> Vec<Result<Aside, NoPackStore>> {
        let engine = &self.engine;
        let aside = |packs: Arc<PackStore>| Aside::new(packs, engine.options.keys.clone());
        self.payload_stores().iter().map(|store| engine.payloads.packs(store.number).map(aside)).collect()
    }
}

impl Aside {
    pub(crate) fn new(packs: Arc<PackStore>, keys: Keyring) -> Self {
        Self { packs, keys }
    }

    /// Number of the store.
    #[must_use]
    pub fn number(&self) -> StoreNumber {
        self.packs.number
    }

    /// Whether an object of this name with a body of so many bytes is `bytes` long: so that a listing tells a torn one.
    #[must_use]
    pub fn is_whole(name: &str, body_bytes: u64, bytes: u64) -> bool {
        let plain = (head_bytes(name) + SUM_BYTES) as u64 + body_bytes;
        bytes == plain || bytes == plain + SEAL_BYTES as u64
    }

    /// Stores an object, in place of one of that name; durable and looked at again when it returns.
    ///
    /// # Errors
    /// [`AsideError`].
    pub async fn put(&self, name: &str, body: &[u8], key: Option<KeyId>) -> Result<(), AsideError> {
        let path = path(name)?;
        let object = encode(name, body, key, &self.keys)?;
        Ok(self.packs.put(&path, object).await?)
    }

    /// The body of an object; `None` when there is none of that name.
    ///
    /// # Errors
    /// [`AsideError`].
    pub async fn get(&self, name: &str) -> Result<Option<Bytes>, AsideError> {
        let path = path(name)?;
        let Some(bytes) = self.packs.size(&path).await? else { return Ok(None) };
        if bytes > (BODY_BYTES_MAX + head_bytes(name) + SEAL_BYTES + SUM_BYTES) as u64 {
            return Err(AsideError::Bad { name: name.to_owned(), reason: "it is too long" });
        }
        match self.packs.object(&path, bytes).await {
            Ok(object) => decode(name, &object, &self.keys).map(Some),
            Err(ReadFault::Missing) => Ok(None),
            Err(ReadFault::Torn(reason)) => Err(AsideError::Bad { name: name.to_owned(), reason }),
            Err(ReadFault::Fault(fault)) => Err(fault.into()),
        }
    }

    /// Names and lengths of the objects below a folder (no slash at its end; empty: all), sorted by name.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(&self, folder: &str) -> Result<Vec<(String, u64)>, PackFault> {
        let below = if folder.is_empty() { FOLDER.to_owned() } else { format!("{FOLDER}/{folder}") };
        let found = self.packs.names(&Path::from(below)).await?;
        let strip =
            |(name, bytes): (String, u64)| Some((name.strip_prefix(FOLDER)?.strip_prefix('/')?.to_owned(), bytes));
        let mut names: Vec<_> = found.into_iter().filter_map(strip).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// Deletes an object; nothing happens when there is none.
    ///
    /// # Errors
    /// [`AsideError`].
    pub async fn delete(&self, name: &str) -> Result<(), AsideError> {
        Ok(self.packs.delete(&path(name)?).await?)
    }
}

/// Names are made of lowercase letters, digits, `-`, `_`, `.` and `/` between parts: the same in every store.
pub(crate) fn path(name: &str) -> Result<Path, AsideError> {
    let is_part = |part: &str| {
        let is_fine = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.');
        !part.is_empty() && part != "." && part != ".." && part.bytes().all(is_fine)
    };
    if name.len() > NAME_BYTES_MAX || !name.split('/').all(is_part) {
        return Err(AsideError::Request { name: name.to_owned(), reason: "it is not a name" });
    }
    Ok(Path::from(format!("{FOLDER}/{name}")))
}

fn head_bytes(name: &str) -> usize {
    MAGIC.len() + 2 + name.len() + KEY_BYTES + 8
}

/// Names the key of an object: no block has this id, because a block's is a hash of another kind.
fn cipher_name(name: &str) -> [u8; 32] {
    blake3::derive_key("holdfast object beside packs v1", name.as_bytes())
}

pub(crate) fn encode(name: &str, body: &[u8], key: Option<KeyId>, ring: &Keyring) -> Result<Bytes, AsideError> {
    let request = |reason| AsideError::Request { name: name.to_owned(), reason };
    if body.len() > BODY_BYTES_MAX {
        return Err(request("it is larger than 96 MiB"));
    }
    let name_len = u16::try_from(name.len()).map_err(|_| request("it is not a name"))?;
    let stored_len = body.len() + key.map_or(0, |_| SEAL_BYTES);
    let mut out = Vec::with_capacity(head_bytes(name) + stored_len + SUM_BYTES);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&name_len.to_le_bytes());
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(&key.map_or([0; KEY_BYTES], |key| key.0));
    out.extend_from_slice(&(stored_len as u64).to_le_bytes());
    match key {
        None => out.extend_from_slice(body),
        Some(key) => {
            let no_key = || AsideError::NoKey { name: name.to_owned(), key };
            let keys = ring.get(key).ok_or_else(no_key)?;
            let sealed = keys.seal(&cipher_name(name), &out, body).ok_or_else(|| request("it cannot be encrypted"))?;
            out.extend_from_slice(&sealed);
        }
    }
    let sum = blake3::hash(&out);
    out.extend_from_slice(sum.as_bytes());
    Ok(out.into())
}

pub(crate) fn decode(name: &str, object: &Bytes, ring: &Keyring) -> Result<Bytes, AsideError> {
    let bad = |reason| AsideError::Bad { name: name.to_owned(), reason };
    let (content, sum) = object.split_last_chunk::<SUM_BYTES>().ok_or_else(|| bad("it is torn"))?;
    if blake3::hash(content).as_bytes() != sum {
        return Err(bad("it does not fit its checksum"));
    }
    let (head, body) = content.split_at_checked(head_bytes(name)).ok_or_else(|| bad("it is torn"))?;
    let at_key = MAGIC.len() + 2 + name.len();
    let name_len = u16::try_from(name.len()).unwrap_or(u16::MAX).to_le_bytes();
    if !head.starts_with(&MAGIC) || head[4..6] != name_len || head[6..at_key] != *name.as_bytes() {
        return Err(bad("it is not one, or another's"));
    }
    if head[at_key + KEY_BYTES..] != (body.len() as u64).to_le_bytes() {
        return Err(bad("it is not as long as it says"));
    }
    match KeyId::from_slice(&head[at_key..at_key + KEY_BYTES]).filter(|key| key.0 != [0; KEY_BYTES]) {
        None => Ok(object.slice(head.len()..head.len() + body.len())),
        Some(key) => {
            let keys = ring.get(key).ok_or_else(|| AsideError::NoKey { name: name.to_owned(), key })?;
            let plain = keys.unseal(&cipher_name(name), head, body).ok_or_else(|| bad("it does not decrypt"))?;
            Ok(plain.into())
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::keys::GroupKey;
    use proptest::prelude::*;

    fn ring() -> (Keyring, KeyId) {
        let ring = Keyring::default();
        let id = ring.insert(&GroupKey::generate());
        (ring, id)
    }

    #[test]
    fn comes_back_under_its_name_and_with_its_key_alone() {
        let (ring, key) = ring();
        for (key, body) in [(None, &b"plain text"[..]), (Some(key), b"plain text"), (None, b"")] {
            let object = encode("a/b-1.seg", body, key, &ring).unwrap();
            assert_eq!(decode("a/b-1.seg", &object, &ring).unwrap(), body);
            assert!(Aside::is_whole("a/b-1.seg", body.len() as u64, object.len() as u64));
            assert!(!Aside::is_whole("a/b-1.seg", body.len() as u64, object.len() as u64 - 1));
            assert!(decode("a/b-2.seg", &object, &ring).is_err(), "another's name");
            assert_eq!(key.is_some(), decode("a/b-1.seg", &object, &Keyring::default()).is_err());
            let shown = object.windows(10).any(|part| part == b"plain text");
            assert_eq!(shown, key.is_none() && !body.is_empty());
        }
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for name in ["", "/a", "a/", "a//b", "../a", "a/..", "A", "a b", "a\0", "ä", &"x".repeat(501)] {
            assert!(path(name).is_err(), "{name:?}");
        }
        assert_eq!(path("a/0-b_c.d").unwrap().as_ref(), "aside/a/0-b_c.d");
    }

    #[test]
    fn the_format_is_fixed_to_the_byte() {
        let object = encode("n", b"zz", None, &Keyring::default()).unwrap();
        let head = format!("48464f0101006e{}02000000000000007a7a", "00".repeat(16));
        assert_eq!(hex::encode(&object[..object.len() - 32]), head);
    }

    proptest! {
        #[test]
        fn damage_is_seen_and_never_a_panic(cut in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), bit in 0u8..8, encrypted in any::<bool>()) {
            let (ring, key) = ring();
            let object = encode("name", &[7; 300], encrypted.then_some(key), &ring).unwrap();
            prop_assert!(decode("name", &object.slice(..cut.index(object.len())), &ring).is_err());
            let mut flipped = object.to_vec();
            flipped[at.index(object.len())] ^= 1 << bit;
            prop_assert!(decode("name", &flipped.into(), &ring).is_err());
        }

        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode("name", &bytes.into(), &Keyring::default());
        }
    }
}
