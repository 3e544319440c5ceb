//! The snapshot that a new one is compared with.
//!
//! Invariants: the parent only saves work. What of it cannot be read counts as absent (and is quarantined, so that the new snapshot does not
//! inherit it); the database failing is an error.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::engine::Engine;
use crate::error::{ErrorClass, ReadError, WriteError};
use crate::id::BlockId;
use crate::reader::{LeafWalk, SnapshotReader};
use crate::root::Root;
use crate::tree::FileEntry;

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
