//! A slice's bytes while they grow: hashed and compressed as they come, never held raw.
//!
//! A frame that is compressed as it grows does not say how large its content is; the receiver would have to reserve the largest size for each.
//! So the size is written into the frame's header afterwards (RFC 8878, 3.1.1.1: `Frame_Content_Size`).

use std::io::Write as _;

use bytes::Bytes;
use holdfast_domain::Hash32;
use zstd::stream::write::Encoder;

use super::error::JobError;

/// Compression level: 1 costs the source's machine the least, and keeps up with its writes.
const ZSTD_LEVEL: i32 = 1;
/// Small documents are gathered up to here before they are hashed and compressed: both are several times faster on runs. Bytes.
const STAGING_BYTES: usize = 128 << 10;

/// Where the header's descriptor is: after the magic number.
const DESCRIPTOR: usize = 4;
/// Bits of the descriptor that say: a content size is there, one segment, a dictionary is named. All clear in a frame that grew.
const DESCRIPTOR_BUSY: u8 = 0b1110_0011;
/// Content size field of 4 bytes.
const CONTENT_SIZE_OF_4: u8 = 0b1000_0000;
/// Where that field stands: after the descriptor and the window descriptor.
const CONTENT_SIZE: usize = 6;

/// Writes the size of the content into the header of a frame that has none.
fn declare_size(frame: &mut Vec<u8>, raw_bytes: usize) {
    let free = frame.len() > CONTENT_SIZE && frame[DESCRIPTOR] & DESCRIPTOR_BUSY == 0;
    if let (true, Ok(size)) = (free, u32::try_from(raw_bytes)) {
        frame[DESCRIPTOR] |= CONTENT_SIZE_OF_4;
        frame.splice(CONTENT_SIZE..CONTENT_SIZE, size.to_le_bytes());
    }
}

/// A finished frame.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    /// BLAKE3 of the raw bytes.
    pub(crate) hash: Hash32,
    /// Raw bytes.
    pub(crate) raw_bytes: usize,
    /// One zstd frame.
    pub(crate) bytes: Bytes,
}

/// A frame that grows.
pub(crate) struct FrameBuilder {
    staging: Vec<u8>,
    hasher: blake3::Hasher,
    encoder: Encoder<'static, Vec<u8>>,
    raw_bytes: usize,
}

fn failed(error: &std::io::Error) -> JobError {
    JobError::Bug(format!("compression into memory failed: {error}"))
}

impl FrameBuilder {
    pub(crate) fn new() -> Result<Self, JobError> {
        let encoder = Encoder::new(Vec::new(), ZSTD_LEVEL).map_err(|error| failed(&error))?;
        Ok(Self { staging: Vec::new(), hasher: blake3::Hasher::new(), encoder, raw_bytes: 0 })
    }

    pub(crate) fn raw_bytes(&self) -> usize {
        self.raw_bytes
    }

    pub(crate) fn push(&mut self, document: &[u8]) -> Result<(), JobError> {
        self.raw_bytes += document.len();
        if self.staging.len() + document.len() > STAGING_BYTES {
            self.flush()?;
        }
        if document.len() > STAGING_BYTES {
            self.hasher.update(document);
            return self.encoder.write_all(document).map_err(|error| failed(&error));
        }
        self.staging.extend_from_slice(document);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), JobError> {
        self.hasher.update(&self.staging);
        self.encoder.write_all(&self.staging).map_err(|error| failed(&error))?;
        self.staging.clear();
        Ok(())
    }

    pub(crate) fn finish(mut self) -> Result<Frame, JobError> {
        self.flush()?;
        let mut bytes = self.encoder.finish().map_err(|error| failed(&error))?;
        declare_size(&mut bytes, self.raw_bytes);
        bytes.shrink_to_fit();
        let hash = Hash32(*self.hasher.finalize().as_bytes());
        Ok(Frame { hash, raw_bytes: self.raw_bytes, bytes: bytes.into() })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn tiny_and_incompressible_frames_declare_their_size_too() {
        for raw in [vec![5; 5], (0..2_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 11) as u8).collect()] {
            let mut builder = FrameBuilder::new().unwrap();
            builder.push(&raw).unwrap();
            let frame = builder.finish().unwrap();
            assert_eq!(zstd::zstd_safe::get_frame_content_size(&frame.bytes).unwrap(), Some(raw.len() as u64));
            assert_eq!(zstd::bulk::decompress(&frame.bytes, raw.len()).unwrap(), raw);
        }
    }

    #[test]
    fn small_and_large_documents_stay_in_order() {
        let (mut builder, mut raw) = (FrameBuilder::new().unwrap(), Vec::new());
        for n in 0..300_u32 {
            let document = vec![n as u8; if n % 50 == 7 { STAGING_BYTES + 1 } else { 900 }];
            builder.push(&document).unwrap();
            raw.extend_from_slice(&document);
        }
        let frame = builder.finish().unwrap();
        assert_eq!((frame.raw_bytes, frame.hash), (raw.len(), Hash32::of(&raw)));
        assert_eq!(zstd::decode_all(frame.bytes.as_ref()).unwrap(), raw);
        let declared = zstd::zstd_safe::get_frame_content_size(&frame.bytes).unwrap();
        assert_eq!(declared, Some(raw.len() as u64));
        assert_eq!(zstd::bulk::decompress(&frame.bytes, raw.len()).unwrap(), raw);
        assert_eq!(zstd::zstd_safe::find_frame_compressed_size(&frame.bytes).unwrap(), frame.bytes.len());
    }
}
