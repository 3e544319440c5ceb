//! Slices on disk while no server answers: one file a slice, written whole, synced, renamed, then told.
//!
//! A file: magic, length of the JSON header (u32 little endian), header, zstd frame, BLAKE3 over all before. Names are numbers in the order
//! of the oplog. A file that is damaged, and all after it, is discarded: what was never acknowledged is read from the source again.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use holdfast_domain::{Hash32, OpTime, SliceSummary};
use serde::{Deserialize, Serialize};

use super::{cutter::OplogSlice, error::JobError, frame::Frame};

const MAGIC: &[u8; 8] = b"hfspool1";
const SUFFIX: &str = "slice";
const HASH_BYTES: usize = 32;
/// Largest header, in bytes: a summary is bounded to 100 KB.
const HEADER_BYTES_MAX: usize = 1 << 20;

/// What the header of a file says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Header {
    after: OpTime,
    first: OpTime,
    last: OpTime,
    entries: i64,
    hash: Hash32,
    raw_bytes: usize,
    summary: SliceSummary,
}

/// A slice in a file, without its bytes.
#[derive(Clone, Debug)]
pub(crate) struct Spooled {
    pub(crate) path: PathBuf,
    /// Size of the file.
    pub(crate) bytes: u64,
    pub(crate) after: OpTime,
    pub(crate) first: OpTime,
    pub(crate) last: OpTime,
}

/// The folder of one chain.
#[derive(Debug)]
pub(crate) struct SpoolDir {
    dir: PathBuf,
    next: u64,
}

fn disk(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> JobError {
    let path = path.display().to_string();
    move |source| JobError::Disk { doing, path, source }
}

impl SpoolDir {
    /// Opens the folder, with what it holds in order.
    pub(crate) fn open(dir: &Path) -> Result<(Self, Vec<Spooled>), JobError> {
        fs::create_dir_all(dir).map_err(disk("make the folder", dir))?;
        let mut numbers = Vec::new();
        for entry in fs::read_dir(dir).map_err(disk("read the folder", dir))? {
            let path = entry.map_err(disk("read the folder", dir))?.path();
            let number = path.file_stem().and_then(|s| s.to_str()).and_then(|s| s.parse::<u64>().ok());
            match number {
                Some(number) if path.extension().is_some_and(|e| e == SUFFIX) => numbers.push(number),
                _ => remove(&path),
            }
        }
        numbers.sort_unstable();
        let mut spool = Self { dir: dir.to_owned(), next: numbers.last().map_or(0, |n| n + 1) };
        let (mut good, mut damaged) = (Vec::new(), false);
        for number in numbers {
            let path = spool.path(number);
            match read_file(&path) {
                Ok((header, _)) if !damaged => {
                    let bytes = fs::metadata(&path).map_err(disk("look at", &path))?.len();
                    good.push(Spooled { path, bytes, after: header.after, first: header.first, last: header.last });
                }
                done => {
                    if let Err(error) = done {
                        tracing::warn!(
                            error = crate::retry::with_sources(&error),
                            "a spooled slice is discarded; it is read from the source again"
                        );
                    }
                    damaged = true;
                    remove(&path);
                }
            }
        }
        if good.is_empty() {
            spool.next = 0;
        }
        Ok((spool, good))
    }

    fn path(&self, number: u64) -> PathBuf {
        self.dir.join(format!("{number:012}.{SUFFIX}"))
    }

    /// Writes a slice; durable when it returns. Blocking.
    pub(crate) fn write(&mut self, slice: &OplogSlice) -> Result<Spooled, JobError> {
        let header = Header {
            after: slice.after,
            first: slice.first,
            last: slice.last,
            entries: slice.entries,
            hash: slice.frame.hash,
            raw_bytes: slice.frame.raw_bytes,
            summary: slice.summary.clone(),
        };
        let json = serde_json::to_vec(&header)
            .map_err(|error| JobError::Bug(format!("a header cannot be written: {error}")))?;
        let length = u32::try_from(json.len()).map_err(|_| JobError::Bug("a header is too long".into()))?.to_le_bytes();
        let path = self.path(self.next);
        let temporary = path.with_extension("tmp");
        let write = || -> io::Result<u64> {
            let (mut file, mut hasher, mut bytes) = (File::create(&temporary)?, blake3::Hasher::new(), 0);
            for part in [MAGIC.as_slice(), &length, &json, &slice.frame.bytes] {
                hasher.update(part);
                file.write_all(part)?;
                bytes += part.len() as u64;
            }
            file.write_all(hasher.finalize().as_bytes())?;
            file.sync_all()?;
            fs::rename(&temporary, &path)?;
            File::open(&self.dir)?.sync_all()?;
            Ok(bytes + HASH_BYTES as u64)
        };
        let bytes = write().inspect_err(|_| remove(&temporary)).map_err(disk("write the spooled slice", &path))?;
        self.next += 1;
        Ok(Spooled { path, bytes, after: slice.after, first: slice.first, last: slice.last })
    }
}

/// Reads a slice, checked. Blocking.
pub(crate) fn read(spooled: &Spooled) -> Result<OplogSlice, JobError> {
    let (header, bytes) = read_file(&spooled.path)?;
    Ok(OplogSlice {
        after: header.after,
        first: header.first,
        last: header.last,
        entries: header.entries,
        summary: header.summary,
        frame: Frame { hash: header.hash, raw_bytes: header.raw_bytes, bytes },
    })
}

/// Removes a file; what cannot be removed is discarded at the next start, because it does not follow the ledger.
pub(crate) fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(%error, path = %path.display(), "cannot remove a spooled slice");
    }
}

fn read_file(path: &Path) -> Result<(Header, Bytes), JobError> {
    let mut all = Vec::new();
    let file = File::open(path).map_err(disk("open the spooled slice", path))?;
    let bound = (HEADER_BYTES_MAX + holdfast_agent_api::SLICE_BODY_BYTES_MAX) as u64;
    file.take(bound).read_to_end(&mut all).map_err(disk("read the spooled slice", path))?;
    let damaged = || JobError::Unintelligible(format!("the spooled slice {} is damaged", path.display()));
    let body_bytes = all.len().checked_sub(HASH_BYTES).ok_or_else(damaged)?;
    if blake3::hash(&all[..body_bytes]).as_bytes() != &all[body_bytes..] {
        return Err(damaged());
    }
    let body = Bytes::from(all).slice(..body_bytes);
    let start = MAGIC.len() + 4;
    let length =
        body.get(MAGIC.len()..start).and_then(|l| l.try_into().ok()).map(u32::from_le_bytes).ok_or_else(damaged)?;
    let end = start + length as usize;
    if !body.starts_with(MAGIC) || end > body.len() || length as usize > HEADER_BYTES_MAX {
        return Err(damaged());
    }
    let header: Header = serde_json::from_slice(&body[start..end]).map_err(|_| damaged())?;
    Ok((header, body.slice(end..)))
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use holdfast_domain::Ts;

    use super::{super::frame::FrameBuilder, *};

    pub(crate) fn at(i: u32) -> OpTime {
        OpTime { ts: Ts { t: 100, i }, term: 1 }
    }

    /// A slice with the entries `first..=last`, after `first - 1`.
    pub(crate) fn slice(first: u32, last: u32, bytes: usize) -> OplogSlice {
        let mut frame = FrameBuilder::new().unwrap();
        let mut state = first.wrapping_mul(2_654_435_761);
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .take(bytes)
        .collect();
        frame.push(&noise).unwrap();
        OplogSlice {
            after: at(first - 1),
            first: at(first),
            last: at(last),
            entries: i64::from(last - first + 1),
            summary: SliceSummary::default(),
            frame: frame.finish().unwrap(),
        }
    }

    #[test]
    fn what_was_written_is_found_again_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let (mut spool, found) = SpoolDir::open(dir.path()).unwrap();
        assert!(found.is_empty());
        for n in 0..12 {
            spool.write(&slice(n * 10 + 2, n * 10 + 11, 500)).unwrap();
        }
        let (_, found) = SpoolDir::open(dir.path()).unwrap();
        assert_eq!(found.len(), 12);
        assert!(found.windows(2).all(|pair| pair[1].after == pair[0].last));
        let (read, expect) = (read(&found[7]).unwrap(), slice(72, 81, 500));
        assert_eq!(
            (read.frame.bytes, read.frame.hash, read.entries),
            (expect.frame.bytes, expect.frame.hash, expect.entries)
        );
    }

    #[test]
    fn a_damaged_file_and_all_after_it_are_discarded() {
        let dir = tempfile::tempdir().unwrap();
        let (mut spool, _) = SpoolDir::open(dir.path()).unwrap();
        let files: Vec<_> = (0..4).map(|n| spool.write(&slice(n * 10 + 2, n * 10 + 11, 500)).unwrap()).collect();
        let mut bytes = fs::read(&files[1].path).unwrap();
        bytes[200] ^= 1;
        fs::write(&files[1].path, bytes).unwrap();
        fs::write(dir.path().join("000000000099.tmp"), b"half").unwrap();
        let (_, found) = SpoolDir::open(dir.path()).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing else is left");
        assert!(read(&files[1]).is_err());
    }
}
