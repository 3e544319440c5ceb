//! Names of things: blocks by their content, roots by a random number, stored payloads by who wrote them.
//!
//! Invariants: a `BlockId` is only ever the BLAKE3-256 hash of raw bytes (keyed where a group encrypts); a `RootId` is the id of the
//! writer's registration and becomes the id of the snapshot, so that everything a writer stored can be found from either.
//! Used by every module of this crate and by its callers.

use std::fmt;
use std::str::FromStr;

use bson::{Binary, spec::BinarySubtype};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A text is not the id it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not {expected}: {text:?}")]
pub struct BadId {
    expected: &'static str,
    text: String,
}

/// BLAKE3-256 of the raw (uncompressed) bytes of a block or node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockId(pub [u8; 32]);

impl BlockId {
    /// The id of these raw bytes, in a group that does not encrypt.
    #[must_use]
    pub fn of(raw: &[u8]) -> Self {
        Self(*blake3::hash(raw).as_bytes())
    }

    /// As stored in `_id` of `blocks` and `layouts`.
    #[must_use]
    pub fn to_bson(self) -> Binary {
        Binary { subtype: BinarySubtype::Generic, bytes: self.0.to_vec() }
    }

    /// From 32 bytes; `None` for any other length.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

/// What gives raw bytes their id: BLAKE3-256, keyed where a group encrypts, so that equal plaintexts of two owners cannot be matched.
#[derive(Clone, Copy)]
pub(crate) struct BlockHasher(Option<[u8; 32]>);

impl BlockHasher {
    /// For groups that do not encrypt.
    pub(crate) const PLAIN: Self = Self(None);

    /// For a group that does.
    pub(crate) fn keyed(key: [u8; 32]) -> Self {
        Self(Some(key))
    }

    /// The id of these raw bytes.
    pub(crate) fn id(&self, raw: &[u8]) -> BlockId {
        BlockId(*self.hash(raw).as_bytes())
    }

    /// The hash of any bytes, under the same key.
    pub(crate) fn hash(&self, bytes: &[u8]) -> blake3::Hash {
        self.0.as_ref().map_or_else(|| blake3::hash(bytes), |key| blake3::keyed_hash(key, bytes))
    }

    /// Whether there is a key.
    pub(crate) fn is_keyed(&self) -> bool {
        self.0.is_some()
    }
}

impl fmt::Debug for BlockHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_keyed() { "keyed" } else { "plain" })
    }
}

impl fmt::Display for BlockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for BlockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlockId({self})")
    }
}

impl FromStr for BlockId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes)
            .map_err(|_| BadId { expected: "64 hexadecimal digits", text: clip(text) })?;
        Ok(Self(bytes))
    }
}

impl Serialize for BlockId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for BlockId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = serde_bytes::ByteBuf::deserialize(deserializer)?;
        Self::from_slice(&bytes).ok_or_else(|| de::Error::invalid_length(bytes.len(), &"32 bytes"))
    }
}

/// Id of a writer's registration and of the snapshot that it commits: 12 random bytes, shown as 24 lowercase hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RootId([u8; 12]);

impl RootId {
    /// A new random id.
    #[must_use]
    pub fn random() -> Self {
        Self(rand::random())
    }

    /// The 12 bytes, as they stand in [`PayloadAt`].
    #[must_use]
    pub fn bytes(self) -> [u8; 12] {
        self.0
    }
}

impl fmt::Display for RootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for RootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RootId({self})")
    }
}

impl FromStr for RootId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let bad = || BadId { expected: "24 lowercase hexadecimal digits", text: clip(text) };
        let mut bytes = [0; 12];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| bad())?;
        if text.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(bad());
        }
        Ok(Self(bytes))
    }
}

impl Serialize for RootId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RootId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// Where a payload lies: the registration that wrote it and a number that this registration never uses twice. New at every insert,
/// so that a deletion that names the old place can never hit a block that was stored again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PayloadAt {
    /// Who wrote it.
    pub writer: RootId,
    /// In the database: running number within the writer, from 0, below 2^63. In a pack: see [`Place`].
    pub number: u64,
}

/// Number of a pack store within one blockstore, 0 to 127: part of the place of every payload there, so that it never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreNumber(u8);

impl StoreNumber {
    /// `None` above 127.
    #[must_use]
    pub fn new(number: u8) -> Option<Self> {
        (number < 128).then_some(Self(number))
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u8 {
        self.0
    }
}

impl fmt::Display for StoreNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// In which store a payload lies, and where there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// A document of `payloads`.
    Database,
    /// A record of a pack that this writer wrote.
    Pack {
        /// Which pack store.
        store: StoreNumber,
        /// Number of the pack within the writer, below 2^24.
        pack: u32,
        /// Bytes from the start of the pack.
        offset: u32,
    },
}

/// Packs of one writer, at most: 24 bits of a place.
pub(crate) const PACKS_MAX: u32 = 1 << 24;
const PACK_BIT: u64 = 1 << 63;

impl PayloadAt {
    /// The store that it lies in: told by the place itself, so that payloads can move.
    #[must_use]
    pub fn place(self) -> Place {
        if self.number & PACK_BIT == 0 {
            return Place::Database;
        }
        let [store, a, b, c, offset @ ..] = self.number.to_be_bytes();
        Place::Pack {
            store: StoreNumber(store & 0x7f),
            pack: u32::from_be_bytes([0, a, b, c]),
            offset: u32::from_be_bytes(offset),
        }
    }

    /// A record in a pack. `pack` is below [`PACKS_MAX`].
    pub(crate) fn in_pack(writer: RootId, store: StoreNumber, pack: u32, offset: u32) -> Self {
        debug_assert!(pack < PACKS_MAX);
        let number = PACK_BIT | u64::from(store.0) << 56 | u64::from(pack) << 32 | u64::from(offset);
        Self { writer, number }
    }

    /// 20 bytes: the writer's 12, then the number, big-endian, so that the order of bytes is the order of writing.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 20] {
        let mut bytes = [0; 20];
        bytes[..12].copy_from_slice(&self.writer.0);
        bytes[12..].copy_from_slice(&self.number.to_be_bytes());
        bytes
    }

    /// As stored in `_id` of `payloads` and in `blocks.at`.
    #[must_use]
    pub fn to_bson(self) -> Binary {
        Binary { subtype: BinarySubtype::Generic, bytes: self.to_bytes().to_vec() }
    }

    /// From 20 bytes; `None` for any other length.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        let (writer, number) = bytes.split_at_checked(12)?;
        Some(Self { writer: RootId(writer.try_into().ok()?), number: u64::from_be_bytes(number.try_into().ok()?) })
    }
}

/// Messages quote what came from outside only up to this many characters.
fn clip(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn ids_survive_text_and_bson() {
        let block = BlockId::of(b"abc");
        assert_eq!(block.to_string().parse::<BlockId>().unwrap(), block);
        let root = RootId::random();
        assert_eq!(root.to_string().parse::<RootId>().unwrap(), root);
        assert_eq!(root.to_string().len(), 24);
        #[derive(Serialize, Deserialize, PartialEq, Debug)]
        struct Both {
            block: BlockId,
            root: RootId,
        }
        let both = Both { block, root };
        let raw = bson::serialize_to_raw_document_buf(&both).unwrap();
        assert_eq!(raw.get_binary("block").unwrap().bytes, &block.0);
        assert_eq!(raw.get_str("root").unwrap(), root.to_string());
        assert_eq!(bson::deserialize_from_slice::<Both>(raw.as_bytes()).unwrap(), both);
        let doc = bson::serialize_to_document(&both).unwrap();
        assert_eq!(bson::deserialize_from_document::<Both>(doc).unwrap(), both);
    }

    #[test]
    fn bad_ids_are_refused() {
        assert!("zz".parse::<BlockId>().is_err());
        assert!("ABCDEFABCDEFABCDEFABCDEF".parse::<RootId>().is_err());
        assert!("0123".parse::<RootId>().is_err());
        assert!(BlockId::from_slice(&[0; 31]).is_none());
        assert!(PayloadAt::from_slice(&[0; 21]).is_none());
        assert!(PayloadAt::from_slice(&[0; 5]).is_none());
    }

    #[test]
    fn a_place_tells_its_store() {
        let writer = RootId::random();
        assert_eq!(PayloadAt { writer, number: 7 }.place(), Place::Database);
        assert_eq!(PayloadAt { writer, number: (1 << 63) - 1 }.place(), Place::Database);
        for (store, pack, offset) in [(0, 0, 0), (1, 2, 3), (127, PACKS_MAX - 1, u32::MAX)] {
            let store = StoreNumber::new(store).unwrap();
            let at = PayloadAt::in_pack(writer, store, pack, offset);
            assert_eq!(at.place(), Place::Pack { store, pack, offset });
            assert_eq!(PayloadAt::from_slice(&at.to_bytes()), Some(at));
        }
        assert_eq!(StoreNumber::new(128), None);
    }

    #[test]
    fn places_keep_their_order() {
        let writer = RootId::random();
        let place = |number| PayloadAt { writer, number };
        assert!(place(255).to_bytes() < place(256).to_bytes());
        assert_eq!(PayloadAt::from_slice(&place(7).to_bytes()), Some(place(7)));
    }
}
