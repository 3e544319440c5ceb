//! Hand-made zstd frames (RFC 8878): raw blocks for headers, RLE blocks for zeros, skippable frames as fillers.
//!
//! Invariants: a frame's bytes and length follow from its content alone, whatever zstd library is linked; [`overhead`] is linear in whole
//! blocks, so that the length of any subtree is its stored sum plus a number that follows from its raw length. Pure.

use crate::error::ReadError;
use crate::id::BlockId;

/// Largest block inside a zstd frame.
const ZSTD_BLOCK_MAX: u64 = 128 << 10;
const MAGIC: [u8; 4] = 0xFD2F_B528u32.to_le_bytes();
const SKIPPABLE_MAGIC: [u8; 4] = 0x184D_2A50u32.to_le_bytes();
/// Magic and length field of a skippable frame; the shortest zero frame (10 bytes) is longer.
const SKIPPABLE_HEADER: u64 = 8;
/// Frame header descriptor: single segment, no checksum, no dictionary; the top two bits say how long the content size is.
const SINGLE_SEGMENT: u8 = 1 << 5;
const RAW: u64 = 0;
const RLE: u64 = 1;

/// Bytes of the content size field.
fn content_size_len(content: u64) -> u64 {
    match content {
        0..256 => 1,
        256..65_792 => 2,
        _ => 4,
    }
}

/// Length of [`raw_frame`] with `content` bytes inside.
pub(super) fn raw_frame_len(content: u64) -> u64 {
    5 + content_size_len(content) + content.div_ceil(ZSTD_BLOCK_MAX) * 3 + content
}

/// Length of [`zero_frame`] with `content` zeros inside.
pub(super) fn zero_frame_len(content: u64) -> u64 {
    5 + content_size_len(content) + content.div_ceil(ZSTD_BLOCK_MAX) * 4
}

/// A frame that holds these bytes (1 to 2^32-1) uncompressed.
pub(super) fn raw_frame(content: &[u8]) -> Vec<u8> {
    let mut out = open(content.len() as u64);
    let mut left = content.len() as u64;
    for block in content.chunks(usize::try_from(ZSTD_BLOCK_MAX).expect("128 KiB fit")) {
        left -= block.len() as u64;
        block_header(&mut out, RAW, block.len() as u64, left == 0);
        out.extend_from_slice(block);
    }
    out
}

/// A frame that holds `content` zeros (1 to 2^32-1).
pub(super) fn zero_frame(content: u64) -> Vec<u8> {
    let mut out = open(content);
    let mut left = content;
    while left > 0 {
        let block = left.min(ZSTD_BLOCK_MAX);
        left -= block;
        block_header(&mut out, RLE, block, left == 0);
        out.push(0);
    }
    out
}

/// A skippable frame, as long as the zero frame of a block of `raw_len` bytes: it follows the stored frame of such a block, so that a block
/// costs the same beside its stored bytes whether it is a hole or not.
pub(super) fn filler(raw_len: u64) -> Vec<u8> {
    let body = zero_frame_len(raw_len) - SKIPPABLE_HEADER;
    let mut out = Vec::from(SKIPPABLE_MAGIC);
    out.extend_from_slice(&narrow(body).to_le_bytes());
    out.resize(out.len() + usize::try_from(body).expect("a zero frame is short"), 0);
    out
}

/// Bytes that `raw_len` bytes of a file take in a `tar.zst` beside their stored frames: one zero frame or filler per block. `raw_len` must
/// start at a block's start, and end at one or at the file's end.
pub(super) fn overhead(raw_len: u64, block_size: u32) -> u64 {
    let block_size = u64::from(block_size);
    let whole = raw_len / block_size;
    let rest = raw_len % block_size;
    whole.saturating_mul(zero_frame_len(block_size)) + if rest > 0 { zero_frame_len(rest) } else { 0 }
}

/// Checks that bytes from the store are one whole zstd frame of `raw_len` bytes, without decompressing it.
pub(super) fn check_stored(id: BlockId, frame: &[u8], raw_len: u64) -> Result<(), ReadError> {
    let bad = |reason| ReadError::BadBlock { id, reason };
    if !frame.starts_with(&MAGIC) {
        return Err(bad("not a zstd frame"));
    }
    if zstd::zstd_safe::find_frame_compressed_size(frame) != Ok(frame.len()) {
        return Err(bad("not exactly one zstd frame"));
    }
    match zstd::zstd_safe::get_frame_content_size(frame) {
        Ok(None) => Ok(()),
        Ok(Some(content)) if content == raw_len => Ok(()),
        _ => Err(bad("frame holds another number of bytes than its block")),
    }
}

fn open(content: u64) -> Vec<u8> {
    let mut out = Vec::from(MAGIC);
    match content_size_len(content) {
        1 => out.extend([SINGLE_SEGMENT, u8::try_from(content).expect("below 256")]),
        2 => {
            out.push(SINGLE_SEGMENT | 1 << 6);
            out.extend(u16::try_from(content - 256).expect("below 65,792").to_le_bytes());
        }
        _ => {
            out.push(SINGLE_SEGMENT | 2 << 6);
            out.extend(narrow(content).to_le_bytes());
        }
    }
    out
}

fn block_header(out: &mut Vec<u8>, kind: u64, len: u64, last: bool) {
    out.extend_from_slice(&narrow(u64::from(last) | kind << 1 | len << 3).to_le_bytes()[..3]);
}

fn narrow(value: u64) -> u32 {
    u32::try_from(value).expect("frames hold a tar header or one block, far below 4 GiB")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::tree::BLOCK_SIZE_MAX;

    fn lens() -> Vec<u64> {
        let mut lens: Vec<u64> = (1..1200).collect();
        for edge in [65_536, 65_792, 128 << 10, 256 << 10, 512 << 10, u64::from(BLOCK_SIZE_MAX)] {
            lens.extend(edge - 2..=(edge + 2).min(u64::from(BLOCK_SIZE_MAX)));
        }
        lens
    }

    #[test]
    fn zero_frames_and_fillers_decode_and_have_the_length_that_was_said() {
        for len in lens() {
            let frame = zero_frame(len);
            assert_eq!(frame.len() as u64, zero_frame_len(len));
            let mut both = filler(len);
            assert_eq!(both.len(), frame.len());
            both.extend(&frame);
            both.extend(filler(len));
            assert_eq!(zstd::decode_all(both.as_slice()).unwrap(), vec![0; usize::try_from(len).unwrap()], "{len}");
        }
    }

    #[test]
    fn raw_frames_decode_and_have_the_length_that_was_said() {
        for len in lens() {
            let content: Vec<u8> = (0..len).map(|n| u8::try_from(n % 251).unwrap()).collect();
            let frame = raw_frame(&content);
            assert_eq!(frame.len() as u64, raw_frame_len(len));
            assert_eq!(zstd::decode_all(frame.as_slice()).unwrap(), content, "{len}");
            check_stored(BlockId([0; 32]), &frame, len).unwrap();
        }
    }

    #[test]
    fn frames_are_fixed_to_the_byte() {
        assert_eq!(hex::encode(zero_frame(65_536)), "28b52ffd6000ff03000800");
        assert_eq!(hex::encode(zero_frame(512)), "28b52ffd60000103100000");
        assert_eq!(hex::encode(raw_frame(b"abc")), "28b52ffd2003190000616263");
        assert_eq!(hex::encode(filler(65_536)), "502a4d1803000000000000");
    }

    #[test]
    fn overhead_is_linear_in_whole_blocks() {
        for block_size in [64u32 << 10, 128 << 10, 1 << 20] {
            let bs = u64::from(block_size);
            for (first, rest) in [(0, 0), (3, 5), (1024, bs - 1), (1 << 30, 1)] {
                assert_eq!(
                    overhead(first * bs + rest, block_size),
                    overhead(first * bs, block_size) + overhead(rest, block_size)
                );
            }
        }
    }

    #[test]
    fn stored_frames_that_are_none_are_refused() {
        let id = BlockId([1; 32]);
        let frame = zstd::bulk::compress(&[7; 1000], 1).unwrap();
        check_stored(id, &frame, 1000).unwrap();
        assert!(check_stored(id, &frame, 999).is_err());
        assert!(check_stored(id, &frame[..frame.len() - 1], 1000).is_err());
        let mut two = frame.clone();
        two.extend(&frame);
        assert!(check_stored(id, &two, 1000).is_err());
        assert!(check_stored(id, b"", 0).is_err());
        assert!(check_stored(id, &filler(1000), 0).is_err());
    }
}
