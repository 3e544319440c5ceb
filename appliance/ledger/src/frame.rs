//! One zstd frame, in and out, with bounds.

use zstd::zstd_safe;

use crate::PayloadError;

/// First bytes of a zstd frame; a skippable frame begins otherwise and is refused.
const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Level of frames made here (catalogs, tests): fast.
const LEVEL: i32 = 3;

/// Compresses into one frame that says how much it holds.
///
/// # Errors
/// [`PayloadError::Frame`] when zstd has no memory.
pub fn compress(raw: &[u8]) -> Result<Vec<u8>, PayloadError> {
    zstd::bulk::compress(raw, LEVEL).map_err(|e| PayloadError::Frame { detail: e.to_string() })
}

/// Decompresses exactly one frame into at most `raw_bytes_max` bytes. Bytes after the frame are refused.
///
/// # Errors
/// [`PayloadError::Frame`] and [`PayloadError::TooLarge`].
pub fn decompress_bounded(frame: &[u8], raw_bytes_max: usize) -> Result<Vec<u8>, PayloadError> {
    let bad = |detail: &str| PayloadError::Frame { detail: detail.to_owned() };
    if !frame.starts_with(&MAGIC) {
        return Err(bad("it does not begin as one"));
    }
    match zstd_safe::find_frame_compressed_size(frame) {
        Ok(size) if size == frame.len() => {}
        Ok(_) => return Err(bad("bytes follow it")),
        Err(code) => return Err(bad(zstd_safe::get_error_name(code))),
    }
    let size = zstd_safe::get_frame_content_size(frame).map_err(|_| bad("its header is damaged"))?;
    let capacity = match size {
        Some(size) => match usize::try_from(size) {
            Ok(size) if size <= raw_bytes_max => size,
            _ => return Err(PayloadError::TooLarge { max: raw_bytes_max }),
        },
        None => raw_bytes_max,
    };
    match zstd::bulk::decompress(frame, capacity) {
        Ok(out) => Ok(out),
        Err(e) if size.is_none() && e.to_string().contains("too small") => {
            Err(PayloadError::TooLarge { max: raw_bytes_max })
        }
        Err(e) => Err(bad(&e.to_string())),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::io::Write as _;

    use super::*;

    #[test]
    fn exactly_one_bounded_frame() {
        let raw = vec![7_u8; 100_000];
        let frame = compress(&raw).unwrap();
        assert_eq!(decompress_bounded(&frame, 100_000).unwrap(), raw);
        assert_eq!(decompress_bounded(&frame, 99_999), Err(PayloadError::TooLarge { max: 99_999 }));
        let mut two = frame.clone();
        two.extend_from_slice(&frame);
        assert!(matches!(decompress_bounded(&two, 1 << 20), Err(PayloadError::Frame { .. })));
        assert!(matches!(decompress_bounded(&frame[..frame.len() - 1], 1 << 20), Err(PayloadError::Frame { .. })));
        assert!(matches!(decompress_bounded(&[], 1 << 20), Err(PayloadError::Frame { .. })));
        let skippable = [0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0];
        assert!(matches!(decompress_bounded(&skippable, 1 << 20), Err(PayloadError::Frame { .. })));
    }

    #[test]
    fn a_streamed_frame_without_its_size_is_bounded_too() {
        let raw = vec![7_u8; 100_000];
        let mut encoder = zstd::stream::Encoder::new(Vec::new(), 1).unwrap();
        encoder.write_all(&raw[..50]).unwrap();
        encoder.flush().unwrap();
        encoder.write_all(&raw[50..]).unwrap();
        let frame = encoder.finish().unwrap();
        assert_eq!(zstd_safe::get_frame_content_size(&frame).unwrap(), None);
        assert_eq!(decompress_bounded(&frame, 100_000).unwrap(), raw);
        assert_eq!(decompress_bounded(&frame, 50_000), Err(PayloadError::TooLarge { max: 50_000 }));
    }
}
