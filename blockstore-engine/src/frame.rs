//! The stored form of a block: one zstd frame, encrypted where its group encrypts, and what is checked before its bytes are used.
//!
//! Invariants: compressing yields exactly one frame with its content size and without dictionary; decompressing never writes more than the
//! raw length that the index names; raw bytes leave this module only when their BLAKE3 hash is the id that was asked for. Pure CPU: callers
//! run it on worker threads.

use bytes::Bytes;
use zstd::bulk::{Compressor, Decompressor};

use crate::id::{BlockHasher, BlockId};
use crate::keys::{BlockKeys, KeyId, Keyring, SEAL_BYTES};
use crate::tree::BLOCK_SIZE_MAX;

/// Bytes of the checksum `payloads.s`.
pub(crate) const SUM_BYTES: usize = 16;

/// Checksum of a plain frame: the first 16 bytes of its BLAKE3 hash, keyed where its group encrypts (else it would tell equal contents).
pub(crate) fn checksum(hasher: BlockHasher, frame: &[u8]) -> [u8; SUM_BYTES] {
    let mut sum = [0; SUM_BYTES];
    sum.copy_from_slice(&hasher.hash(frame).as_bytes()[..SUM_BYTES]);
    sum
}

/// A payload in its stored form, wherever it lies: moves between stores as it is.
#[derive(Debug, Clone)]
pub(crate) struct Sealed {
    pub(crate) id: BlockId,
    /// Raw bytes of the block.
    pub(crate) raw_len: u32,
    /// Bytes of the plain frame.
    pub(crate) frame_len: u32,
    /// [`checksum`] of the plain frame.
    pub(crate) sum: [u8; SUM_BYTES],
    /// What it is encrypted under.
    pub(crate) key: Option<KeyId>,
    /// The plain frame, or nonce, ciphertext and tag.
    pub(crate) body: Bytes,
}

/// Why the plain frame does not come out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// The key is not in the ring.
    NoKey(KeyId),
    /// What does not fit.
    Bad(&'static str),
}

impl Sealed {
    /// Seals a plain frame; `None` for lengths that no block has.
    pub(crate) fn new(id: BlockId, raw_len: usize, frame: Vec<u8>, keys: Option<&BlockKeys>) -> Option<Self> {
        let (raw_len, frame_len) = (u32::try_from(raw_len).ok()?, u32::try_from(frame.len()).ok()?);
        let hasher = keys.map_or(BlockHasher::PLAIN, BlockKeys::hasher);
        let sum = checksum(hasher, &frame);
        let body = match keys {
            None => frame.into(),
            Some(keys) => keys.seal(&id.0, &associated(id, raw_len), &frame)?.into(),
        };
        Some(Self { id, raw_len, frame_len, sum, key: keys.map(|keys| keys.id), body })
    }

    /// Bytes that a body has: the frame's, and what sealing adds.
    pub(crate) fn body_len(frame_len: u32, key: Option<KeyId>) -> u64 {
        u64::from(frame_len) + if key.is_some() { SEAL_BYTES as u64 } else { 0 }
    }

    /// The plain frame, checked, and what hashes its block.
    pub(crate) fn frame(&self, ring: &Keyring) -> Result<(Bytes, BlockHasher), Unreadable> {
        let (frame, hasher) = match self.key {
            None => (self.body.clone(), BlockHasher::PLAIN),
            Some(key) => {
                let keys = ring.get(key).ok_or(Unreadable::NoKey(key))?;
                let frame = keys
                    .unseal(&self.id.0, &associated(self.id, self.raw_len), &self.body)
                    .ok_or(Unreadable::Bad("it does not decrypt"))?;
                (frame.into(), keys.hasher())
            }
        };
        if u32::try_from(frame.len()) != Ok(self.frame_len) {
            return Err(Unreadable::Bad("length of the frame differs from the index"));
        }
        if checksum(hasher, &frame) != self.sum {
            return Err(Unreadable::Bad("the frame does not fit its checksum"));
        }
        check_frame(&frame).map_err(Unreadable::Bad)?;
        Ok((frame, hasher))
    }
}

/// What an encrypted frame is bound to.
fn associated(id: BlockId, raw_len: u32) -> [u8; 36] {
    let mut bytes = [0; 36];
    bytes[..32].copy_from_slice(&id.0);
    bytes[32..].copy_from_slice(&raw_len.to_le_bytes());
    bytes
}

/// A context that is worth keeping for a run of blocks.
pub(crate) struct Packer(Compressor<'static>);

impl Packer {
    pub(crate) fn new(level: i32) -> std::io::Result<Self> {
        Compressor::new(level).map(Self)
    }

    /// One frame.
    pub(crate) fn pack(&mut self, raw: &[u8]) -> std::io::Result<Vec<u8>> {
        self.0.compress(raw)
    }
}

/// A context for opening frames.
pub(crate) struct Opener(Decompressor<'static>);

impl Opener {
    pub(crate) fn new() -> std::io::Result<Self> {
        Decompressor::new().map(Self)
    }

    /// Raw bytes of a frame, verified against the id.
    ///
    /// # Errors
    /// What does not fit.
    pub(crate) fn open(
        &mut self,
        hasher: BlockHasher,
        id: BlockId,
        raw_len: u32,
        frame: &[u8],
    ) -> Result<Bytes, &'static str> {
        if raw_len > BLOCK_SIZE_MAX {
            return Err("raw length beyond the largest block");
        }
        check_frame(frame)?;
        let capacity = usize::try_from(raw_len).map_err(|_| "raw length beyond memory")?;
        let raw = self.0.decompress(frame, capacity).map_err(|_| "frame does not decompress")?;
        if raw.len() != capacity {
            return Err("raw length differs");
        }
        if hasher.id(&raw) != id {
            return Err("content does not fit its hash");
        }
        Ok(Bytes::from(raw))
    }
}

/// Checks that these bytes are one zstd frame and nothing after it.
pub(crate) fn check_frame(frame: &[u8]) -> Result<(), &'static str> {
    match zstd::zstd_safe::find_frame_compressed_size(frame) {
        Ok(size) if size == frame.len() => Ok(()),
        Ok(_) => Err("bytes after the frame"),
        Err(_) => Err("not a zstd frame"),
    }
}

/// Whether there are only zero bytes.
pub(crate) fn is_zero(raw: &[u8]) -> bool {
    // Comparing the slice with itself, shifted by one byte, is one memcmp.
    raw.first().is_none_or(|first| *first == 0 && raw[..raw.len() - 1] == raw[1..])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    fn packed(raw: &[u8]) -> (BlockId, u32, Vec<u8>) {
        (BlockId::of(raw), u32::try_from(raw.len()).unwrap(), Packer::new(1).unwrap().pack(raw).unwrap())
    }

    proptest! {
        #[test]
        fn frames_open_to_what_was_packed(raw in proptest::collection::vec(any::<u8>(), 1..100_000)) {
            let (id, len, frame) = packed(&raw);
            prop_assert_eq!(&Opener::new().unwrap().open(BlockHasher::PLAIN, id, len, &frame).unwrap()[..], &raw[..]);
        }

        #[test]
        fn flipped_or_torn_frames_are_refused(seed in any::<u64>(), at in any::<prop::sample::Index>(), bit in 0u8..8, cut in any::<prop::sample::Index>()) {
            let raw: Vec<u8> = (0..70_000u64).flat_map(|i| ((i / 7) ^ seed).to_le_bytes()).take(65_536).collect();
            let (id, len, frame) = packed(&raw);
            let mut flipped = frame.clone();
            let place = at.index(frame.len());
            flipped[place] ^= 1 << bit;
            // A flip may hit a bit that zstd ignores; then the content must be the same all the same.
            if let Ok(opened) = Opener::new().unwrap().open(BlockHasher::PLAIN, id, len, &flipped) {
                prop_assert_eq!(&opened[..], &raw[..]);
            }
            prop_assert_ne!(checksum(BlockHasher::PLAIN, &flipped), checksum(BlockHasher::PLAIN, &frame));
            prop_assert!(Opener::new().unwrap().open(BlockHasher::PLAIN, id, len, &frame[..cut.index(frame.len())]).is_err());
        }

        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000), len in any::<u32>()) {
            prop_assert!(Opener::new().unwrap().open(BlockHasher::PLAIN, BlockId([7; 32]), len, &bytes).is_err());
        }

        #[test]
        fn zeros_are_found(len in 0usize..5000, at in any::<prop::sample::Index>()) {
            let mut raw = vec![0; len];
            prop_assert!(is_zero(&raw));
            if len > 0 {
                raw[at.index(len)] = 1;
                prop_assert!(!is_zero(&raw));
            }
        }
    }

    #[test]
    fn sealed_frames_open_under_their_key_and_place_alone() {
        let (key, ring) = (crate::keys::GroupKey::generate(), Keyring::default());
        let id = ring.insert(&key);
        let keys = ring.get(id).unwrap();
        let raw = b"hello, hello, hello".repeat(100);
        let block = keys.hasher().id(&raw);
        assert_ne!(block, BlockId::of(&raw));
        let frame = Packer::new(1).unwrap().pack(&raw).unwrap();
        let sealed = Sealed::new(block, raw.len(), frame.clone(), Some(&keys)).unwrap();
        assert_eq!(sealed.body.len() as u64, Sealed::body_len(sealed.frame_len, sealed.key));
        assert_ne!(
            sealed.body,
            Sealed::new(block, raw.len(), frame.clone(), Some(&keys)).unwrap().body,
            "nonces are random"
        );
        assert_ne!(sealed.sum, checksum(BlockHasher::PLAIN, &frame), "the checksum does not tell equal contents");
        let (opened, hasher) = sealed.frame(&ring).unwrap();
        assert_eq!(opened, frame);
        Opener::new().unwrap().open(hasher, block, sealed.raw_len, &opened).unwrap();
        assert!(Opener::new().unwrap().open(BlockHasher::PLAIN, block, sealed.raw_len, &opened).is_err());
        // Another key under the same name, another block, another length, a flipped bit: none opens.
        assert_eq!(sealed.frame(&Keyring::default()).unwrap_err(), Unreadable::NoKey(sealed.key.unwrap()));
        let bad = Unreadable::Bad("it does not decrypt");
        assert_eq!(Sealed { id: BlockId([7; 32]), ..sealed.clone() }.frame(&ring).unwrap_err(), bad);
        assert_eq!(Sealed { raw_len: 5, ..sealed.clone() }.frame(&ring).unwrap_err(), bad);
        for at in [0, 11, 12, sealed.body.len() - 1] {
            let mut body = sealed.body.to_vec();
            body[at] ^= 1;
            assert_eq!(Sealed { body: body.into(), ..sealed.clone() }.frame(&ring).unwrap_err(), bad);
        }
        assert_eq!(Sealed { body: Bytes::new(), ..sealed }.frame(&ring).unwrap_err(), bad);
    }

    #[test]
    fn two_frames_in_a_row_are_refused() {
        let (id, len, mut frame) = packed(b"hello");
        frame.extend_from_slice(&frame.clone());
        assert_eq!(Opener::new().unwrap().open(BlockHasher::PLAIN, id, len, &frame), Err("bytes after the frame"));
    }

    #[test]
    fn incompressible_blocks_grow_by_a_few_bytes_only() {
        let raw: Vec<u8> = (0..65_536 / 32u32).flat_map(|i| *blake3::hash(&i.to_le_bytes()).as_bytes()).collect();
        assert!(packed(&raw).2.len() <= raw.len() + 16);
    }
}
