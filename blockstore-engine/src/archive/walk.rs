//! Walks the leaves of one file from any offset of its archived form, reading only the nodes on the way.
//!
//! Invariants: nodes are checked against the file's geometry, and the lengths below a node against what the layout said of it, before any
//! of its leaves is named: a stream never learns too late that its positions are wrong. Memory: one entry per child on the path.

use futures::stream::{self, StreamExt, TryStreamExt};

use super::error::ArchiveError;
use super::frame::overhead;
use super::layout::SUMS_IN_FLIGHT;
use crate::error::ReadError;
use crate::id::BlockId;
use crate::source::FrameSource;
use crate::tree::{BadTree, FileEntry, Node};

/// In which form offsets count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Measure {
    /// Raw bytes of the file.
    Raw,
    /// Stored frames, zero frames and fillers; planned when `gc.reframed` was this.
    Frames {
        /// See [`FrameSource::reframed`].
        reframed: i64,
    },
}

/// What a walk meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leaf {
    /// One block; `stored_len` is 0 when raw bytes are counted.
    Block {
        /// Its id.
        id: BlockId,
        /// Bytes of the file.
        raw_len: u64,
        /// Bytes of its stored frame.
        stored_len: u64,
    },
    /// Zeros, of one block or of many.
    Hole {
        /// Bytes of the file.
        raw_len: u64,
    },
}

/// A part of the tree that is still ahead. Level 0 is a block.
struct Subtree {
    id: Option<BlockId>,
    level: u8,
    raw_len: u64,
    stored_len: u64,
}

/// See the module.
pub(super) struct Walk<'a, S> {
    source: &'a S,
    measure: Measure,
    block_size: u32,
    /// What is ahead, the nearest last.
    ahead: Vec<Subtree>,
    skip: u64,
}

impl<'a, S: FrameSource> Walk<'a, S> {
    /// Starts at `offset` of the file's content, which takes `content_len` bytes, both in `measure`.
    pub(super) fn new(source: &'a S, entry: &FileEntry, measure: Measure, content_len: u64, offset: u64) -> Self {
        let stored_len = match measure {
            Measure::Raw => 0,
            Measure::Frames { .. } => content_len - overhead(entry.size, entry.block_size),
        };
        let top = Subtree { id: entry.top, level: entry.depth, raw_len: entry.size, stored_len };
        Self { source, measure, block_size: entry.block_size, ahead: vec![top], skip: offset }
    }

    /// The next leaf and how many of its first bytes to leave out; `None` after the last.
    pub(super) async fn next(&mut self) -> Result<Option<(Leaf, u64)>, ArchiveError> {
        while let Some(subtree) = self.ahead.pop() {
            let len = match self.measure {
                Measure::Raw => subtree.raw_len,
                Measure::Frames { .. } => subtree.stored_len + overhead(subtree.raw_len, self.block_size),
            };
            if self.skip >= len {
                self.skip -= len;
                continue;
            }
            let Subtree { raw_len, stored_len, level, .. } = subtree;
            let leaf = match subtree.id {
                None => Leaf::Hole { raw_len },
                Some(id) if level == 0 => Leaf::Block { id, raw_len, stored_len },
                Some(id) => {
                    self.descend(id, subtree).await?;
                    continue;
                }
            };
            return Ok(Some((leaf, std::mem::take(&mut self.skip))));
        }
        Ok(None)
    }

    async fn descend(&mut self, id: BlockId, subtree: Subtree) -> Result<(), ArchiveError> {
        let bad = |source| ReadError::BadNode { id, source };
        let node = self.source.node(id).await?;
        node.check_geometry(subtree.level, subtree.raw_len, self.block_size).map_err(bad)?;
        let stored = match self.measure {
            Measure::Raw => vec![0; node.children.len()],
            Measure::Frames { reframed } => {
                let stored = stored_below(self.source, &node).await?;
                let sum = stored.iter().try_fold(0u64, |sum, len| sum.checked_add(*len));
                if sum != Some(subtree.stored_len) {
                    return Err(misfit(
                        self.source,
                        reframed,
                        bad(BadTree("stored frames below do not sum up to what was planned")),
                    )
                    .await);
                }
                stored
            }
        };
        let below = node.children.iter().zip(stored);
        self.ahead.extend(below.rev().map(|(child, stored_len)| Subtree {
            id: child.id,
            level: subtree.level - 1,
            raw_len: child.len,
            stored_len,
        }));
        Ok(())
    }
}

/// What to say when stored lengths are not the planned ones: the layout is void if frames were replaced, else the store is corrupt.
pub(super) async fn misfit<S: FrameSource>(source: &S, planned: i64, corrupt: ReadError) -> ArchiveError {
    match source.reframed().await {
        Ok(reframed) if reframed == planned => corrupt.into(),
        Ok(_) => ArchiveError::LayoutChanged,
        Err(error) => error.into(),
    }
}

/// Bytes of stored frames below each child, 0 for holes.
async fn stored_below<S: FrameSource>(source: &S, node: &Node) -> Result<Vec<u64>, ReadError> {
    let ids: Vec<BlockId> = node.children.iter().filter_map(|child| child.id).collect();
    let count = ids.len();
    let lens: Vec<u64> = if node.level == 1 {
        source.frame_lengths(&ids).await?.into_iter().map(u64::from).collect()
    } else {
        stream::iter(ids).map(|id| source.stored_sum(id)).buffered(SUMS_IN_FLIGHT).try_collect().await?
    };
    if lens.len() != count {
        return Err(ReadError::Internal("number of frame lengths is not the number asked for"));
    }
    let mut lens = lens.into_iter();
    Ok(node.children.iter().map(|child| child.id.and_then(|_| lens.next()).unwrap_or(0)).collect())
}
