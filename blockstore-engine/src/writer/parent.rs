//! The snapshot that a new one is compared with.
//!
//! Invariants: the parent only saves work. What of it cannot be read counts as absent (and is quarantined, so that the new snapshot does not
//! inherit it); the database failing is an error.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::engine::Engine;
use crate::error::{ErrorClass, ReadError, WriteError};
use crate::id::BlockId;
use crate::keys::KeyId;
use crate::reader::{LeafWalk, SnapshotReader};
use crate::root::Root;
use crate::source::FrameSource;
use crate::tree::{Child, FileEntry, span};

pub(super) struct Parent {
    reader: SnapshotReader,
    engine: Arc<Engine>,
    files: HashMap<String, FileEntry>,
    /// Nodes and pages of the tree of entries.
    pub(super) tree: HashSet<BlockId>,
}

impl Parent {
    pub(super) async fn load(engine: Arc<Engine>, root: Root) -> Result<Self, WriteError> {
        let reader = SnapshotReader::new(engine.clone(), root);
        let mut parent = Self { reader, engine, files: HashMap::new(), tree: HashSet::new() };
        let loaded = async {
            let files = parent.reader.files().await?;
            let (nodes, pages) = parent.reader.entry_tree().await?;
            Ok((files, nodes.into_iter().chain(pages).collect()))
        };
        match loaded.await {
            Ok((files, tree)) => {
                parent.files = files.iter().map(|entry| (entry.path.clone(), entry.clone())).collect();
                parent.tree = tree;
            }
            Err(error) => parent.bad(error).await?,
        }
        Ok(parent)
    }

    /// Whether there is anything to compare with.
    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The key that it is encrypted under.
    pub(super) fn key(&self) -> Option<KeyId> {
        self.reader.root().key
    }

    pub(super) fn file(&self, path: &str) -> Option<&FileEntry> {
        self.files.get(path)
    }

    /// Fetches the top nodes of these files in few queries.
    pub(super) async fn prefetch<'a>(&self, paths: impl Iterator<Item = &'a str>) -> Result<(), WriteError> {
        let tops: Vec<_> = paths
            .filter_map(|path| self.files.get(path))
            .filter(|entry| entry.depth > 0)
            .filter_map(|entry| entry.top)
            .collect();
        Ok(self.reader.prefetch(&tops).await?)
    }

    /// The blocks of a file in a range that starts at a block, and the nodes above them.
    pub(super) async fn blocks(
        &self,
        entry: &FileEntry,
        offset: u64,
        len: u64,
    ) -> Result<(Vec<Option<BlockId>>, Vec<BlockId>), WriteError> {
        let mut blocks = Vec::new();
        let end = offset.saturating_add(len).min(entry.size);
        let block_size = u64::from(entry.block_size);
        let mut walk = LeafWalk::new(entry, offset..end);
        loop {
            match walk.next(&self.reader).await {
                Ok(Some(leaf)) if leaf.id.is_some() => blocks.push(leaf.id),
                // A hole may be of any length and begin before the range.
                Ok(Some(leaf)) => {
                    let hole = (leaf.offset + leaf.len).min(end) - leaf.offset.max(offset);
                    blocks.extend((0..hole.div_ceil(block_size)).map(|_| None));
                }
                Ok(None) => return Ok((blocks, walk.visited().to_vec())),
                Err(error) => {
                    self.bad(error).await?;
                    return Ok((Vec::new(), Vec::new()));
                }
            }
        }
    }

    /// The node of `level` (1 or more) that covers exactly these `len` bytes of a file, or the hole there, and the nodes above it. `None`:
    /// the file has none.
    pub(super) async fn subtree(
        &self,
        entry: &FileEntry,
        offset: u64,
        len: u64,
        level: u8,
    ) -> Result<Option<(Child, Vec<BlockId>)>, WriteError> {
        let (mut child, mut at, mut from) = (Child { id: entry.top, len: entry.size }, entry.depth, 0);
        let mut above = Vec::new();
        while at > level {
            let Some(id) = child.id else { break };
            let node = match self.reader.node(id).await.and_then(|node| {
                let checked = node.check_geometry(at, child.len, entry.block_size);
                checked.map(|()| node).map_err(|source| ReadError::BadNode { id, source })
            }) {
                Ok(node) => node,
                Err(error) => {
                    self.bad(error).await?;
                    return Ok(None);
                }
            };
            above.push(id);
            at -= 1;
            let width = span(entry.block_size, at);
            let index = (offset - from) / width;
            let Some(next) = usize::try_from(index).ok().and_then(|index| node.children.get(index)) else {
                return Ok(None);
            };
            (child, from) = (*next, from + index * width);
        }
        if child.id.is_none() && at > level {
            // A hole above: what is below it is one too, if it ends where the file does or at a boundary.
            let width = span(entry.block_size, level);
            (child, from, at) = (Child { id: None, len: width.min(entry.size.saturating_sub(offset)) }, offset, level);
        }
        Ok((at == level && from == offset && child.len == len).then_some((child, above)))
    }

    /// Goes on without what is corrupt.
    async fn bad(&self, error: ReadError) -> Result<(), WriteError> {
        if error.class() != ErrorClass::Corrupt {
            return Err(error.into());
        }
        tracing::warn!(%error, "a part of the parent snapshot cannot be read: stored anew where its content is met");
        if let ReadError::BadBlock { id, .. } | ReadError::BadNode { id, .. } = error {
            self.engine.store.quarantine(&[id]).await?;
        }
        Ok(())
    }
}
