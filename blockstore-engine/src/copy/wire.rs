//! Blocks on their way between stores: the record of a pack, one after the other (`docs/format.md` draws it).
//!
//! Invariants: decoding looks at every bound before it takes bytes and never panics; what it returns is not checked against anything yet,
//! which only the reader with the key can do (`fetch.rs`). Pure.

use bytes::Bytes;

use crate::frame::Sealed;
use crate::id::BlockId;
use crate::keys::KeyId;
use crate::payload::format::{RECORD_BYTES, decode_record, encode_record};

/// A block in its stored form: one zstd frame, encrypted where its group encrypts. Moves between stores as it is.
#[derive(Debug, Clone)]
pub struct StoredBlock(pub(crate) Sealed);

impl StoredBlock {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> BlockId {
        self.0.id
    }

    /// Raw bytes of the block.
    #[must_use]
    pub fn raw_len(&self) -> u32 {
        self.0.raw_len
    }

    /// The key that it is encrypted under.
    #[must_use]
    pub fn key(&self) -> Option<KeyId> {
        self.0.key
    }

    /// Bytes that [`Self::encode_all`] writes for it.
    #[must_use]
    pub fn wire_len(&self) -> usize {
        RECORD_BYTES + self.0.body.len()
    }

    /// Records, one after the other.
    #[must_use]
    pub fn encode_all(blocks: &[Self]) -> Vec<u8> {
        let mut out = Vec::with_capacity(blocks.iter().map(Self::wire_len).sum());
        for block in blocks {
            encode_record(&block.0, &mut out);
        }
        out
    }

    /// What [`Self::encode_all`] wrote.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    pub fn decode_all(bytes: &Bytes) -> Result<Vec<Self>, &'static str> {
        let (mut blocks, mut at) = (Vec::new(), 0);
        while at < bytes.len() {
            let block = Self(decode_record(&bytes.slice(at..))?);
            at += block.wire_len();
            blocks.push(block);
        }
        Ok(blocks)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::frame::Packer;
    use proptest::prelude::*;

    fn block(raw: &[u8]) -> StoredBlock {
        let frame = Packer::new(1).unwrap().pack(raw).unwrap();
        StoredBlock(Sealed::new(BlockId::of(raw), raw.len(), frame, None).unwrap())
    }

    proptest! {
        #[test]
        fn blocks_survive_the_wire(raws in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..2000), 0..8)) {
            let blocks: Vec<_> = raws.iter().map(|raw| block(raw)).collect();
            let wire = Bytes::from(StoredBlock::encode_all(&blocks));
            let back = StoredBlock::decode_all(&wire).unwrap();
            prop_assert_eq!(back.len(), blocks.len());
            for (one, other) in back.iter().zip(&blocks) {
                prop_assert_eq!(one.id(), other.id());
                prop_assert_eq!(&one.0.body, &other.0.body);
            }
        }

        #[test]
        fn torn_and_random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..500), cut in any::<prop::sample::Index>()) {
            let _ = StoredBlock::decode_all(&Bytes::from(bytes));
            let wire = StoredBlock::encode_all(&[block(&[7; 900])]);
            let at = 1 + cut.index(wire.len() - 1);
            prop_assert!(StoredBlock::decode_all(&Bytes::from(wire[..at].to_vec())).is_err());
        }
    }
}
