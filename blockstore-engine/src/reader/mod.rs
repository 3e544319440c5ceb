//! Reading a snapshot: entries, nodes, ranges, frames for archives.
//!
//! Invariants: nothing is returned that was not checked (root against its seal, nodes and pages against hash and geometry, blocks against
//! hash, frames against checksum). Memory is bounded: batches, a bounded memo of nodes. Cancel-safe: every method can be dropped.

pub(crate) mod entries;
mod fetch;
mod layout;
mod leaves;
mod materialise;
mod memo;
mod not_verified;
mod verify;

use std::future::Future;
use std::path::Path;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

pub(crate) use fetch::{FETCH_IDS_MAX, From, PerBlock, Stored, blocks as fetch_blocks, check};
pub use leaves::{Leaf, LeafWalk};
pub(crate) use materialise::materialise;
pub(crate) use memo::Memo;
pub use not_verified::NotVerified;
pub use verify::{BAD_BLOCKS_MAX, BadBlock, VerifyReport};

use crate::cache::Shelf;
use crate::engine::Engine;
use crate::error::ReadError;
use crate::id::BlockId;
use crate::progress::OnProgress;
use crate::root::Root;
use crate::source::{FRAMES_MAX, FrameSource};
use crate::tree::{FileEntry, Node};
use crate::txn::Causal;
use crate::workers::Workers;

/// Bytes of one [`SnapshotReader::read`], at most.
pub const READ_BYTES_MAX: u64 = 64 << 20;
/// Pages of entries fetched at a time.
pub(crate) const PAGES_AT_ONCE: usize = 64;

/// What the files of a snapshot can be written from.
pub(crate) trait FileSource: FrameSource + Clone + 'static {
    /// All files, ascending by the bytes of their paths.
    fn all_files(&self) -> impl Future<Output = Result<Arc<Vec<FileEntry>>, ReadError>> + Send;

    /// Fetches nodes into memory, so that asking for them one by one costs nothing.
    fn fetch_ahead(&self, nodes: &[BlockId]) -> impl Future<Output = Result<(), ReadError>> + Send;

    /// Threads for work that is CPU or file system.
    fn workers(&self) -> &Workers;
}

/// Reads one snapshot. Cheap to clone.
#[derive(Clone)]
pub struct SnapshotReader {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Arc<Engine>,
    root: Root,
    causal: Causal,
    entries: OnceCell<Arc<Vec<FileEntry>>>,
    memo: Memo,
}

impl SnapshotReader {
    pub(crate) fn new(engine: Arc<Engine>, root: Root) -> Self {
        let inner = Inner { engine, root, causal: Causal::default(), entries: OnceCell::new(), memo: Memo::default() };
        Self { inner: Arc::new(inner) }
    }

    /// All files, ascending by the bytes of their paths.
    ///
    /// # Errors
    /// When the root does not fit its seal, or its tree of entries cannot be read or is malformed.
    pub async fn files(&self) -> Result<Arc<Vec<FileEntry>>, ReadError> {
        self.inner.entries.get_or_try_init(|| self.load_entries(From::Anywhere(Shelf::Nodes))).await.cloned()
    }

    /// One file.
    ///
    /// # Errors
    /// As [`Self::files`]; `NoFile` when it is not there.
    pub async fn file(&self, path: &str) -> Result<FileEntry, ReadError> {
        let files = self.files().await?;
        let at = files
            .binary_search_by(|entry| entry.path.as_str().cmp(path))
            .map_err(|_| ReadError::NoFile(path.to_owned()))?;
        Ok(files[at].clone())
    }

    /// Bytes of a file from `offset` on: `len`, or fewer at its end.
    ///
    /// # Errors
    /// `Request` for more than [`READ_BYTES_MAX`]; `NoFile`; whatever reading blocks can fail with.
    pub async fn read(&self, path: &str, offset: u64, len: u64) -> Result<Bytes, ReadError> {
        if len > READ_BYTES_MAX {
            return Err(ReadError::Request("a read of more than 64 MiB"));
        }
        let entry = self.file(path).await?;
        let start = offset.min(entry.size);
        let end = offset.saturating_add(len).min(entry.size);
        let (mut out, mut leaves) = (BytesMut::new(), Vec::new());
        if start == end {
            return Ok(out.freeze());
        }
        let mut walk = LeafWalk::new(&entry, start..end);
        while let Some(leaf) = walk.next(self).await? {
            leaves.push(leaf);
        }
        let total = usize::try_from(end - start).map_err(|_| ReadError::Request("a read larger than memory"))?;
        out.reserve(total);
        for batch in leaves.chunks(FETCH_IDS_MAX) {
            let ids: Vec<_> = batch.iter().filter_map(|leaf| leaf.id).collect();
            let mut raw = self.blocks(&ids).await?.into_iter();
            for leaf in batch {
                let from = start.saturating_sub(leaf.offset);
                let to = leaf.len.min(end - leaf.offset);
                let count = usize::try_from(to - from).map_err(|_| ReadError::Request("a read larger than memory"))?;
                match leaf.id {
                    None => out.resize(out.len() + count, 0),
                    Some(id) => {
                        let raw = raw.next().ok_or(ReadError::Internal("fewer blocks than asked for"))?;
                        let from = usize::try_from(from).map_err(|_| ReadError::Internal("offset in a block"))?;
                        let part = sized(id, &raw, leaf.len)?.get(from..from + count);
                        out.extend_from_slice(part.ok_or(ReadError::Internal("range in a block"))?);
                    }
                }
            }
        }
        Ok(out.freeze())
    }

    /// Writes all files below `dir` (created; no file may exist already): holes stay holes, permission bits kept, synced at the end. What
    /// was written stays when it fails or is cancelled.
    ///
    /// # Errors
    /// `Io` for the target, `Cancelled`, whatever reading can fail with.
    pub async fn materialise(
        &self,
        dir: &Path,
        progress: OnProgress,
        cancel: CancellationToken,
    ) -> Result<(), ReadError> {
        materialise::materialise(self, dir, progress, cancel).await
    }

    /// Reads every block of the snapshot from the database (not from the cache) and verifies it. Bad blocks are in the report.
    ///
    /// # Errors
    /// When the database fails; corruption is not an error here.
    pub async fn verify(&self, progress: OnProgress) -> Result<VerifyReport, ReadError> {
        verify::verify(self, progress).await
    }

    /// Fetches nodes into memory in few queries, because one by one each costs a round trip. Failures show when the node is asked for.
    pub(crate) async fn prefetch(&self, nodes: &[BlockId]) -> Result<(), ReadError> {
        let missing: Vec<_> = nodes.iter().copied().filter(|id| self.inner.memo.get(*id).is_none()).collect();
        for ids in missing.chunks(FETCH_IDS_MAX) {
            for (id, raw) in self.fetch(ids, From::Anywhere(Shelf::Nodes)).await? {
                if let Ok(node) = raw.and_then(|raw| decode_node(id, &raw)) {
                    self.inner.memo.put(id, Arc::new(node));
                }
            }
        }
        Ok(())
    }

    async fn fetch(&self, ids: &[BlockId], from: From) -> Result<fetch::PerBlock<Bytes>, ReadError> {
        fetch::blocks(&self.inner.engine, &self.inner.causal, ids, from).await
    }

    /// Payloads in their stored form.
    pub(crate) async fn sealed(&self, ids: &[BlockId]) -> Result<PerBlock<crate::frame::Sealed>, ReadError> {
        fetch::sealed(&self.inner.engine, &self.inner.causal, ids).await
    }

    /// Blocks in the order of the ids, the first bad one is the error.
    async fn in_order(&self, ids: &[BlockId], from: From) -> Result<Vec<Bytes>, ReadError> {
        let mut found = self.fetch(ids, from).await?;
        for id in ids {
            if found.get(id).is_some_and(Result::is_err)
                && let Some(Err(error)) = found.remove(id)
            {
                return Err(error);
            }
        }
        ids.iter()
            .map(|id| match found.get(id) {
                Some(Ok(raw)) => Ok(raw.clone()),
                _ => Err(ReadError::Missing(*id)),
            })
            .collect()
    }

    /// As [`entries::entry_tree`].
    pub(crate) async fn entry_tree(&self) -> Result<(Vec<BlockId>, Vec<BlockId>), ReadError> {
        entries::entry_tree(self).await
    }

    async fn load_entries(&self, from: From) -> Result<Arc<Vec<FileEntry>>, ReadError> {
        let pages = entries::pages(self).await?;
        let mut all = Vec::new();
        for ids in pages.chunks(PAGES_AT_ONCE) {
            all.extend(ids.iter().copied().zip(self.in_order(ids, from).await?));
        }
        entries::decode(&self.inner.root, all).map(Arc::new)
    }
}

impl FileSource for SnapshotReader {
    async fn all_files(&self) -> Result<Arc<Vec<FileEntry>>, ReadError> {
        self.files().await
    }

    async fn fetch_ahead(&self, nodes: &[BlockId]) -> Result<(), ReadError> {
        self.prefetch(nodes).await
    }

    fn workers(&self) -> &Workers {
        &self.inner.engine.workers
    }
}

impl FrameSource for SnapshotReader {
    async fn entries(&self) -> Result<Vec<FileEntry>, ReadError> {
        Ok(self.files().await?.as_ref().clone())
    }

    async fn node(&self, id: BlockId) -> Result<Arc<Node>, ReadError> {
        if let Some(node) = self.inner.memo.get(id) {
            return Ok(node);
        }
        let raw = self.in_order(&[id], From::Anywhere(Shelf::Nodes)).await?;
        let raw = raw.first().ok_or(ReadError::Internal("no block in the answer"))?;
        let node = Arc::new(decode_node(id, raw)?);
        self.inner.memo.put(id, node.clone());
        Ok(node)
    }

    async fn frame_lengths(&self, ids: &[BlockId]) -> Result<Vec<u32>, ReadError> {
        fetch::frame_lengths(&self.inner.engine, &self.inner.causal, ids).await
    }

    async fn frames(&self, ids: &[BlockId]) -> Result<Vec<Bytes>, ReadError> {
        bounded(ids)?;
        let mut found = fetch::frames(&self.inner.engine, &self.inner.causal, ids).await?;
        let mut good = std::collections::HashMap::with_capacity(found.len());
        for id in ids {
            if let Some(stored) = found.remove(id) {
                good.insert(*id, stored?.frame);
            }
        }
        ids.iter().map(|id| good.get(id).cloned().ok_or(ReadError::Missing(*id))).collect()
    }

    async fn blocks(&self, ids: &[BlockId]) -> Result<Vec<Bytes>, ReadError> {
        bounded(ids)?;
        self.in_order(ids, From::Anywhere(Shelf::Blocks)).await
    }

    async fn stored_sum(&self, node: BlockId) -> Result<u64, ReadError> {
        layout::stored_sum(self, node).await
    }

    async fn reframed(&self) -> Result<i64, ReadError> {
        let engine = &self.inner.engine;
        let mut session = self.inner.causal.session(engine.store.db.client()).await?;
        Ok(engine.store.reframed(&mut session).await?)
    }

    fn root(&self) -> &Root {
        &self.inner.root
    }
}

fn bounded(ids: &[BlockId]) -> Result<(), ReadError> {
    if ids.len() > FRAMES_MAX { Err(ReadError::Request("more ids than FRAMES_MAX in one call")) } else { Ok(()) }
}

pub(crate) fn decode_node(id: BlockId, raw: &[u8]) -> Result<Node, ReadError> {
    Node::decode(raw).map_err(|source| ReadError::BadNode { id, source })
}

/// The raw block, if it has the length that its place in the file needs.
fn sized(id: BlockId, raw: &Bytes, len: u64) -> Result<&Bytes, ReadError> {
    if raw.len() as u64 == len {
        Ok(raw)
    } else {
        Err(ReadError::BadBlock { id, reason: "its length does not fit its place in the file" })
    }
}
