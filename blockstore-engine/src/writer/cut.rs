//! The first stage of the pipeline: reading a run of a file, cutting it into blocks, hashing them, comparing them with the parent's.
//!
//! Invariants: runs on a worker thread and touches nothing but the file; a block that the parent has at the same offset is not handed on;
//! zero blocks are holes and are not hashed; blocks that are known to be the parent's are not even read. A file may grow while it is read (the size was fixed when it was opened) but not shrink.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use nix::errno::Errno;
use nix::unistd::{Whence, lseek64};

use crate::error::WriteError;
use crate::frame::is_zero;
use crate::id::{BlockHasher, BlockId};
use crate::tree::Child;

/// Bytes read and cut in one step: a multiple of every block size, a divisor of what a level-1 node covers.
pub(super) const SEGMENT_BYTES: u32 = 4 << 20;

/// Where the bytes of a file come from.
#[derive(Clone)]
pub(super) enum Source {
    /// An open file and its path for messages.
    File(Arc<File>, PathBuf),
    /// Given by the caller.
    Memory(Bytes),
}

/// Buffers that can be used again, because zeroing fresh ones costs as much as hashing them.
#[derive(Clone, Default)]
pub(super) struct Buffers(Arc<Mutex<Vec<Vec<u8>>>>);

/// A buffer whose slices are on their way: goes back to the others with the last of them.
struct Lent {
    buffer: Vec<u8>,
    home: Buffers,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.home.give_back(std::mem::take(&mut self.buffer));
    }
}

impl Buffers {
    fn take(&self, len: usize) -> Vec<u8> {
        let mut buffer = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        buffer.resize(len, 0);
        buffer
    }

    fn give_back(&self, buffer: Vec<u8>) {
        // As many as segments and batches can be under way; more never exist at a time.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(buffer);
    }
}

/// One step of work.
pub(super) struct Segment {
    pub(super) source: Source,
    pub(super) offset: u64,
    /// At most [`SEGMENT_BYTES`], more than 0.
    pub(super) len: usize,
    pub(super) block_size: usize,
    /// The parent's blocks from this offset on; shorter (or empty) where it has none.
    pub(super) parent: Vec<Option<BlockId>>,
    /// Blocks that are the parent's at the same offset, as long as there, and need not be read; shorter (or empty) where that is not known.
    pub(super) known: Vec<bool>,
    /// Blocks that count as missing even where the parent has them.
    pub(super) quarantined: Arc<HashSet<BlockId>>,
    pub(super) buffers: Buffers,
    pub(super) hasher: BlockHasher,
}

/// What came out of it.
pub(super) struct Cut {
    /// One per block, in order.
    pub(super) children: Vec<Child>,
    /// Blocks that the parent does not have here.
    pub(super) fresh: Vec<(BlockId, Bytes)>,
}

impl Segment {
    pub(super) fn cut(self) -> Result<Cut, WriteError> {
        match &self.source {
            Source::Memory(bytes) => {
                let from = usize::try_from(self.offset).map_err(|_| WriteError::Internal("offset beyond memory"))?;
                let part = bytes.slice(from..from + self.len);
                let mut found = Compared::default();
                self.compare(&part, 0, &mut found);
                let Compared { children, fresh } = found;
                let fresh = fresh.into_iter().map(|(id, at, len)| (id, part.slice(at..at + len))).collect();
                Ok(Cut { children, fresh })
            }
            Source::File(file, path) => {
                let io_error = |source| WriteError::Io { path: path.clone(), source };
                if self.known.is_empty() && is_hole(file, self.offset, self.len).map_err(io_error)? {
                    return Ok(Cut {
                        children: self.lengths().map(|len| Child { id: None, len }).collect(),
                        fresh: Vec::new(),
                    });
                }
                let mut buffer = self.buffers.take(self.len);
                let mut found = Compared::default();
                for (blocks, is_known) in self.runs() {
                    if is_known {
                        let ids = self.parent.get(blocks.clone()).unwrap_or_default();
                        let lengths = self.lengths().skip(blocks.start);
                        found.children.extend(ids.iter().zip(lengths).map(|(id, len)| Child { id: *id, len }));
                        continue;
                    }
                    let from = blocks.start * self.block_size;
                    let run = &mut buffer[from..(blocks.end * self.block_size).min(self.len)];
                    file.read_exact_at(run, self.offset + from as u64).map_err(|error| match error.kind() {
                        io::ErrorKind::UnexpectedEof => WriteError::FileChanged { path: path.clone() },
                        _ => io_error(error),
                    })?;
                    self.compare(run, blocks.start, &mut found);
                }
                let Compared { children, fresh } = found;
                let total: usize = fresh.iter().map(|(_, _, len)| len).sum();
                // A slice keeps the whole segment in memory until its batch is stored: worth it only when most of it is new.
                let fresh = if total * 2 > self.len {
                    let whole = Bytes::from_owner(Lent { buffer, home: self.buffers.clone() });
                    fresh.into_iter().map(|(id, at, len)| (id, whole.slice(at..at + len))).collect()
                } else {
                    let copies = fresh
                        .into_iter()
                        .map(|(id, at, len)| (id, Bytes::copy_from_slice(&buffer[at..at + len])))
                        .collect();
                    self.buffers.give_back(buffer);
                    copies
                };
                Ok(Cut { children, fresh })
            }
        }
    }

    fn lengths(&self) -> impl Iterator<Item = u64> {
        let (len, block) = (self.len, self.block_size);
        (0..len).step_by(block).map(move |at| (len - at).min(block) as u64)
    }

    /// Bytes that will be read.
    pub(super) fn unknown_bytes(&self) -> u64 {
        let runs = self.runs().into_iter().filter(|(_, is_known)| !is_known);
        runs.map(|(blocks, _)| ((blocks.end * self.block_size).min(self.len) - blocks.start * self.block_size) as u64)
            .sum()
    }

    /// Blocks in runs that are known, or not, in order.
    fn runs(&self) -> Vec<(Range<usize>, bool)> {
        let mut runs: Vec<(Range<usize>, bool)> = Vec::new();
        for block in 0..self.len.div_ceil(self.block_size) {
            let is_known = self.known.get(block) == Some(&true) && block < self.parent.len();
            match runs.last_mut() {
                Some((run, same)) if *same == is_known => run.end = block + 1,
                _ => runs.push((block..block + 1, is_known)),
            }
        }
        runs
    }

    /// Adds what these bytes are, from block `first` of the segment on.
    fn compare(&self, raw: &[u8], first: usize, found: &mut Compared) {
        for (index, block) in (first..).zip(raw.chunks(self.block_size)) {
            let len = block.len() as u64;
            if is_zero(block) {
                found.children.push(Child { id: None, len });
                continue;
            }
            let id = self.hasher.id(block);
            found.children.push(Child { id: Some(id), len });
            let is_parents = self.parent.get(index) == Some(&Some(id));
            if !is_parents || self.quarantined.contains(&id) {
                found.fresh.push((id, index * self.block_size, block.len()));
            }
        }
    }
}

/// Children, and (id, offset in the segment, length) of what is new.
#[derive(Default)]
struct Compared {
    children: Vec<Child>,
    fresh: Vec<(BlockId, usize, usize)>,
}

/// Whether the file system says that there is nothing in this range. Moves the file's offset, which nobody uses.
fn is_hole(file: &File, offset: u64, len: usize) -> io::Result<bool> {
    let at = i64::try_from(offset).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    match lseek64(file, at, Whence::SeekData) {
        Ok(data) => Ok(u64::try_from(data).is_ok_and(|data| data >= offset + len as u64)),
        // Nothing but a hole up to the end; or the file shrank, which is found when its size is read again.
        Err(Errno::ENXIO) => Ok(true),
        // Not every file system can tell.
        Err(Errno::EINVAL | Errno::EOPNOTSUPP) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}
