//! Turns a range of a layout into batches of pieces, one batch ahead of whoever reads them.
//!
//! Invariants: a batch holds at most [`BATCH_BYTES_MAX`] of payload; frames are checked for length and shape, and that no frame was replaced
//! is asked *after* they were read and before they are sent, since whoever replaces one counts first. Runs as a task of its own; stops when
//! its stream is dropped.

use std::future::Future;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::error::ArchiveError;
use super::frame;
use super::layout::Layout;
use super::stream::{ArchiveStream, Batch, Pieces};
use super::walk::{Leaf, Measure, Walk, misfit};
use crate::error::ReadError;
use crate::id::BlockId;
use crate::source::{FRAMES_MAX, FrameSource};
use crate::tree::FileEntry;

/// Payload bytes of one batch, at most, unless one block alone is more. At most three batches are alive: read, waiting, being sent.
const BATCH_BYTES_MAX: u64 = 4 << 20;
/// Blocks of one batch: bounds one answer of the store when frames are tiny.
const BATCH_BLOCKS_MAX: usize = 512;
const _: () = assert!(BATCH_BLOCKS_MAX <= FRAMES_MAX);
/// Parts of one batch: bounds memory when everything is holes and headers.
const BATCH_PARTS_MAX: usize = 4096;
/// Batches that wait between producer and stream: the read-ahead.
const BATCHES_AHEAD: usize = 1;
/// Bytes of the pattern that repeats over a hole.
const PATTERN_BYTES: usize = 64 << 10;
/// Holes whose zero frames take no more than this are written out rather than repeated: most holes are one block.
const INLINE_MAX: u64 = 1024;
static ZEROS: [u8; PATTERN_BYTES] = [0; PATTERN_BYTES];

/// Streams that range of the archive (of the tar, for `tar.gz`).
pub(super) fn archive<S: FrameSource + Clone + 'static>(
    source: S,
    layout: Arc<Layout>,
    range: Range<u64>,
) -> ArchiveStream {
    let total = range.end - range.start;
    let measure = if layout.passes_frames() { Measure::Frames { reframed: layout.reframed } } else { Measure::Raw };
    spawn(total, |sender| async move { Producer::new(source, &layout, measure, range, sender).archive().await })
}

/// Streams the raw contents of all files one after the other, without headers and padding.
pub(super) fn contents<S: FrameSource + Clone + 'static>(source: S, layout: Arc<Layout>) -> ArchiveStream {
    let total = layout.entries.iter().map(|entry| entry.size).sum();
    spawn(total, move |sender| async move {
        Producer::new(source, &layout, Measure::Raw, 0..total, sender).contents().await
    })
}

type Sender = mpsc::Sender<Result<Batch, ArchiveError>>;

fn spawn<F>(total: u64, produce: impl FnOnce(Sender) -> F) -> ArchiveStream
where
    F: Future<Output = Result<(), ArchiveError>> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel(BATCHES_AHEAD);
    let production = produce(sender.clone());
    let task = tokio::spawn(async move {
        if let Err(error) = production.await {
            // The other end may be gone: then nobody is left to tell.
            let _ = sender.send(Err(error)).await;
        }
    });
    ArchiveStream::new(receiver, task, total)
}

/// One part of a batch, in order.
enum Part {
    /// Bytes that stand here already.
    Bytes(Vec<u8>),
    /// That many bytes of a repeated pattern, from an offset.
    Repeat { pattern: Bytes, from: u64, len: u64 },
    /// A range of the next block's frame or raw bytes.
    Block(Range<usize>),
}

/// A block to fetch, with what its answer must be.
struct Wanted {
    raw_len: u64,
    stored_len: u64,
}

struct Producer<'a, S> {
    source: S,
    layout: &'a Layout,
    measure: Measure,
    range: Range<u64>,
    sender: Sender,
    parts: Vec<Part>,
    ids: Vec<BlockId>,
    wanted: Vec<Wanted>,
    bytes: u64,
}

impl<'a, S: FrameSource + Clone> Producer<'a, S> {
    fn new(source: S, layout: &'a Layout, measure: Measure, range: Range<u64>, sender: Sender) -> Self {
        Self {
            source,
            layout,
            measure,
            range,
            sender,
            parts: Vec::new(),
            ids: Vec::new(),
            wanted: Vec::new(),
            bytes: 0,
        }
    }

    async fn archive(mut self) -> Result<(), ArchiveError> {
        if self.measure != Measure::Raw {
            self.layout.ensure_current(&self.source).await?;
        }
        let mut index = self.layout.item_at(self.range.start);
        while let Some(placed) = self.layout.placed(index).filter(|placed| placed.start < self.range.end) {
            self.bytes_at(placed.start, &placed.header).await?;
            let mut at = placed.start + placed.header.len() as u64;
            if let Some((entry, len)) = placed.content {
                self.content(entry, at, len).await?;
                at += len;
            }
            self.bytes_at(at, &placed.padding).await?;
            index += 1;
        }
        let (at, marker) = self.layout.end_marker();
        self.bytes_at(at, &marker).await?;
        self.flush().await
    }

    async fn contents(mut self) -> Result<(), ArchiveError> {
        let layout = self.layout;
        let mut at = 0;
        for entry in &layout.entries {
            self.content(entry, at, entry.size).await?;
            at += entry.size;
        }
        self.flush().await
    }

    /// One file's content, which lies at `start` and takes `len` bytes.
    async fn content(&mut self, entry: &FileEntry, start: u64, len: u64) -> Result<(), ArchiveError> {
        let from = self.range.start.max(start);
        let to = self.range.end.min(start + len);
        if from >= to {
            return Ok(());
        }
        let source = self.source.clone();
        let mut walk = Walk::new(&source, entry, self.measure, len, from - start);
        let mut at = from;
        while at < to
            && let Some((leaf, skip)) = walk.next().await?
        {
            at = match leaf {
                Leaf::Hole { raw_len } => self.hole(at - skip, raw_len, entry.block_size).await?,
                Leaf::Block { id, raw_len, stored_len } => self.block(at - skip, id, raw_len, stored_len).await?,
            };
        }
        Ok(())
    }

    /// A hole that starts at `at`; answers where it ends.
    async fn hole(&mut self, at: u64, raw_len: u64, block_size: u32) -> Result<u64, ArchiveError> {
        if self.measure == Measure::Raw {
            self.repeat_at(at, &Bytes::from_static(&ZEROS), raw_len).await?;
            return Ok(at + raw_len);
        }
        let whole = u64::from(block_size);
        let unit = frame::zero_frame(whole);
        let len = raw_len / whole * unit.len() as u64;
        if len <= INLINE_MAX {
            self.bytes_at(at, &unit.repeat(usize::try_from(raw_len / whole).expect("at most INLINE_MAX"))).await?;
        } else {
            self.repeat_at(at, &Bytes::from(unit.repeat(PATTERN_BYTES / unit.len())), len).await?;
        }
        let at = at + len;
        let rest = raw_len % whole;
        if rest == 0 {
            return Ok(at);
        }
        let last = frame::zero_frame(rest);
        self.bytes_at(at, &last).await?;
        Ok(at + last.len() as u64)
    }

    /// A block that starts at `at`; answers where it ends.
    async fn block(&mut self, at: u64, id: BlockId, raw_len: u64, stored_len: u64) -> Result<u64, ArchiveError> {
        let raw = self.measure == Measure::Raw;
        let len = if raw { raw_len } else { stored_len };
        if let Some(range) = self.clip(at, len) {
            if self.ids.len() >= BATCH_BLOCKS_MAX || (self.bytes + len > BATCH_BYTES_MAX && self.bytes > 0) {
                self.flush().await?;
            }
            let index =
                |offset: u64| usize::try_from(offset).map_err(|_| ReadError::Internal("a block is longer than memory"));
            self.parts.push(Part::Block(index(range.start)?..index(range.end)?));
            self.ids.push(id);
            self.wanted.push(Wanted { raw_len, stored_len });
            self.bytes += len;
        }
        if raw {
            return Ok(at + len);
        }
        let filler = frame::filler(raw_len);
        self.bytes_at(at + len, &filler).await?;
        Ok(at + len + filler.len() as u64)
    }

    /// The part of `at..at + len` that was asked for, as offsets from `at`.
    fn clip(&self, at: u64, len: u64) -> Option<Range<u64>> {
        let from = self.range.start.max(at);
        let to = self.range.end.min(at.saturating_add(len));
        (from < to).then(|| from - at..to - at)
    }

    async fn bytes_at(&mut self, at: u64, bytes: &[u8]) -> Result<(), ArchiveError> {
        let Some(range) = self.clip(at, bytes.len() as u64) else { return Ok(()) };
        let index = |offset: u64| usize::try_from(offset).expect("an offset within a slice");
        let bytes = &bytes[index(range.start)..index(range.end)];
        self.bytes += bytes.len() as u64;
        if let Some(Part::Bytes(last)) = self.parts.last_mut() {
            last.extend_from_slice(bytes);
        } else {
            self.parts.push(Part::Bytes(bytes.to_vec()));
        }
        self.flush_if_full().await
    }

    async fn repeat_at(&mut self, at: u64, pattern: &Bytes, len: u64) -> Result<(), ArchiveError> {
        let Some(range) = self.clip(at, len) else { return Ok(()) };
        self.parts.push(Part::Repeat { pattern: pattern.clone(), from: range.start, len: range.end - range.start });
        // However far it reaches, only the pattern is held.
        self.bytes += pattern.len() as u64;
        self.flush_if_full().await
    }

    async fn flush_if_full(&mut self) -> Result<(), ArchiveError> {
        if self.bytes >= BATCH_BYTES_MAX || self.parts.len() >= BATCH_PARTS_MAX { self.flush().await } else { Ok(()) }
    }

    /// Fetches the blocks of the batch, checks them, and hands the batch on.
    async fn flush(&mut self) -> Result<(), ArchiveError> {
        let parts = std::mem::take(&mut self.parts);
        let ids = std::mem::take(&mut self.ids);
        let wanted = std::mem::take(&mut self.wanted);
        self.bytes = 0;
        if parts.is_empty() {
            return Ok(());
        }
        let blocks = match self.measure {
            _ if ids.is_empty() => Vec::new(),
            Measure::Raw => self.source.blocks(&ids).await?,
            Measure::Frames { .. } => self.source.frames(&ids).await?,
        };
        if blocks.len() != ids.len() {
            return Err(ReadError::Internal("number of blocks is not the number asked for").into());
        }
        for ((id, block), wanted) in ids.iter().zip(&blocks).zip(&wanted) {
            self.check(*id, block, wanted).await?;
        }
        if self.measure != Measure::Raw {
            self.layout.ensure_current(&self.source).await?;
        }
        let mut blocks = blocks.into_iter();
        let mut pieces = Pieces::default();
        for part in parts {
            match part {
                Part::Bytes(bytes) => pieces.bytes(bytes.into()),
                Part::Repeat { pattern, from, len } => pieces.repeat(pattern, from, len),
                Part::Block(range) => {
                    let block = blocks.next().ok_or(ReadError::Internal("a part of a batch without its block"))?;
                    pieces.bytes(block.slice(range));
                }
            }
        }
        self.sender.send(Ok(pieces.close())).await.map_err(|_| ReadError::Cancelled.into())
    }

    async fn check(&self, id: BlockId, block: &Bytes, wanted: &Wanted) -> Result<(), ArchiveError> {
        let Measure::Frames { reframed } = self.measure else {
            let fits = block.len() as u64 == wanted.raw_len;
            return if fits {
                Ok(())
            } else {
                Err(ReadError::BadBlock { id, reason: "length does not fit its node" }.into())
            };
        };
        if block.len() as u64 != wanted.stored_len {
            let corrupt = ReadError::BadBlock { id, reason: "frame is not as long as the index says" };
            return Err(misfit(&self.source, reframed, corrupt).await);
        }
        Ok(frame::check_stored(id, block, wanted.raw_len)?)
    }
}
