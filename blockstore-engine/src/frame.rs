//! The stored form of a block: one zstd frame, and what is checked before its bytes are used.
//!
//! Invariants: compressing yields exactly one frame with its content size and without dictionary; decompressing never writes more than the
//! raw length that the index names; raw bytes leave this module only when their BLAKE3 hash is the id that was asked for. Pure CPU: callers
//! run it on worker threads.

use bytes::Bytes;
use zstd::bulk::{Compressor, Decompressor};

use crate::id::BlockId;
use crate::tree::BLOCK_SIZE_MAX;

/// Bytes of the checksum `payloads.s`.
pub(crate) const SUM_BYTES: usize = 16;

/// Checksum of a plain frame: the first 16 bytes of its BLAKE3 hash.
pub(crate) fn checksum(frame: &[u8]) -> [u8; SUM_BYTES] {
    let mut sum = [0; SUM_BYTES];
    sum.copy_from_slice(&blake3::hash(frame).as_bytes()[..SUM_BYTES]);
    sum
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
    pub(crate) fn open(&mut self, id: BlockId, raw_len: u32, frame: &[u8]) -> Result<Bytes, &'static str> {
        if raw_len > BLOCK_SIZE_MAX {
            return Err("raw length beyond the largest block");
        }
        check_frame(frame)?;
        let capacity = usize::try_from(raw_len).map_err(|_| "raw length beyond memory")?;
        let raw = self.0.decompress(frame, capacity).map_err(|_| "frame does not decompress")?;
        if raw.len() != capacity {
            return Err("raw length differs");
        }
        if BlockId::of(&raw) != id {
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
            prop_assert_eq!(&Opener::new().unwrap().open(id, len, &frame).unwrap()[..], &raw[..]);
        }

        #[test]
        fn flipped_or_torn_frames_are_refused(seed in any::<u64>(), at in any::<prop::sample::Index>(), bit in 0u8..8, cut in any::<prop::sample::Index>()) {
            let raw: Vec<u8> = (0..70_000u64).flat_map(|i| ((i / 7) ^ seed).to_le_bytes()).take(65_536).collect();
            let (id, len, frame) = packed(&raw);
            let mut flipped = frame.clone();
            let place = at.index(frame.len());
            flipped[place] ^= 1 << bit;
            // A flip may hit a bit that zstd ignores; then the content must be the same all the same.
            if let Ok(opened) = Opener::new().unwrap().open(id, len, &flipped) {
                prop_assert_eq!(&opened[..], &raw[..]);
            }
            prop_assert_ne!(checksum(&flipped), checksum(&frame));
            prop_assert!(Opener::new().unwrap().open(id, len, &frame[..cut.index(frame.len())]).is_err());
        }

        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000), len in any::<u32>()) {
            prop_assert!(Opener::new().unwrap().open(BlockId([7; 32]), len, &bytes).is_err());
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
    fn two_frames_in_a_row_are_refused() {
        let (id, len, mut frame) = packed(b"hello");
        frame.extend_from_slice(&frame.clone());
        assert_eq!(Opener::new().unwrap().open(id, len, &frame), Err("bytes after the frame"));
    }

    #[test]
    fn incompressible_blocks_grow_by_a_few_bytes_only() {
        let raw: Vec<u8> = (0..65_536 / 32u32).flat_map(|i| *blake3::hash(&i.to_le_bytes()).as_bytes()).collect();
        assert!(packed(&raw).2.len() <= raw.len() + 16);
    }
}
