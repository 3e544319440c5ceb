//! Walking the leaves of a file's tree in order, from any offset, with every node's geometry checked.

use std::ops::Range;
use std::sync::Arc;

use crate::error::ReadError;
use crate::id::BlockId;
use crate::source::FrameSource;
use crate::tree::{FileEntry, Node, span};

/// A block of a file, or a hole (of any length).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leaf {
    /// Offset in the file in bytes.
    pub offset: u64,
    /// Raw bytes, more than 0.
    pub len: u64,
    /// The block; `None`: all zero, nothing stored.
    pub id: Option<BlockId>,
}

struct Step {
    node: Arc<Node>,
    next: usize,
    /// Offset of the next child.
    offset: u64,
}

/// See the module.
pub struct LeafWalk {
    top: Option<(Option<BlockId>, u8, u64)>,
    stack: Vec<Step>,
    range: Range<u64>,
    block_size: u32,
    visited: Vec<BlockId>,
}

impl LeafWalk {
    /// Leaves of the file that touch this range of bytes. The entry must have been checked.
    #[must_use]
    pub fn new(entry: &FileEntry, range: Range<u64>) -> Self {
        Self {
            top: (entry.size > 0).then_some((entry.top, entry.depth, entry.size)),
            stack: Vec::new(),
            range,
            block_size: entry.block_size,
            visited: Vec::new(),
        }
    }

    /// Nodes read so far, each once per visit.
    #[must_use]
    pub fn visited(&self) -> &[BlockId] {
        &self.visited
    }

    /// The next leaf, ascending by offset; `None` at the end.
    ///
    /// # Errors
    /// When a node cannot be read, or does not fit the file.
    pub async fn next(&mut self, source: &impl FrameSource) -> Result<Option<Leaf>, ReadError> {
        loop {
            let (id, level, offset, len) = if let Some((id, depth, size)) = self.top.take() {
                (id, depth, 0, size)
            } else {
                let Some(step) = self.stack.last_mut() else { return Ok(None) };
                let Some(child) = step.node.children.get(step.next) else {
                    self.stack.pop();
                    continue;
                };
                let offset = step.offset;
                let level = step.node.level - 1;
                step.next += 1;
                step.offset += child.len;
                (child.id, level, offset, child.len)
            };
            if offset >= self.range.end {
                self.stack.clear();
                return Ok(None);
            }
            if offset + len <= self.range.start {
                continue;
            }
            let Some(id) = id.filter(|_| level > 0) else {
                return Ok(Some(Leaf { offset, len, id }));
            };
            let node = source.node(id).await?;
            node.check_geometry(level, len, self.block_size).map_err(|source| ReadError::BadNode { id, source })?;
            self.visited.push(id);
            // Children before the range are skipped without looking at them.
            let child_span = span(self.block_size, level - 1);
            let skipped = self.range.start.saturating_sub(offset) / child_span;
            let next = usize::try_from(skipped).map_err(|_| ReadError::Internal("more children than memory"))?;
            self.stack.push(Step { node, next, offset: offset + skipped * child_span });
        }
    }
}
