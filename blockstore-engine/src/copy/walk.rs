//! From the root down: what the target has below the parent is left out, what it has elsewhere is claimed, the rest is fetched and given to the
//! writer.
//!
//! Invariants: a subtree is left out only where the parent's tree has the same node, and only while no block of the store is known to be bad (a
//! bad one below would be inherited). Nodes are walked depth first, in groups, so that memory is bounded: [`NODES_AT_ONCE`] nodes of each level,
//! [`LOOKUP_IDS_MAX`] leaves waiting for a lookup, [`FETCHES_MAX`] batches on their way, and what the writer holds.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroU64;
use std::sync::Arc;

use bytes::Bytes;
use tokio::task::JoinSet;

use super::address::BlockAddress;
use super::error::CopyError;
use super::fetch::{Fetched, Fetcher};
use super::source::{CopySource, Wanted};
use super::{CopyProgress, CopyRequest, OnCopy};
use crate::cache::Shelf;
use crate::engine::Blockstore;
use crate::error::ErrorClass;
use crate::id::BlockId;
use crate::payload::limit::RateLimit;
use crate::reader::{From, SnapshotReader, decode_node, fetch_blocks};
use crate::root::Root;
use crate::source::FrameSource;
use crate::store::LOOKUP_IDS_MAX;
use crate::tree::{BadTree, FileEntry, LEVEL_MAX, Node, decode_page};
use crate::txn::Causal;
use crate::writer::SnapshotWriter;

/// Nodes or pages resolved at a time: of 32 at most 260 KiB each.
const NODES_AT_ONCE: usize = 32;
/// Blocks of one request to the source, at most.
const FETCH_IDS_MAX: usize = super::address::BLOCKS_MAX;
/// Raw bytes of the blocks of one request to the source (and one block more).
const FETCH_BYTES: u64 = 8 << 20;
/// Requests to the source under way at a time.
const FETCHES_MAX: usize = 3;

/// A node of a file that the target may lack.
struct Item {
    id: BlockId,
    address: BlockAddress,
    level: u8,
    len: u64,
    block_size: u32,
    /// The parent's node at the same offset, and its level.
    parent: Option<(BlockId, u8)>,
}

/// What the parent has.
struct Base {
    reader: SnapshotReader,
    files: HashMap<String, FileEntry>,
    /// Nodes and pages of its tree of entries.
    tree: HashSet<BlockId>,
}

struct Walk<'a, S> {
    target: &'a Blockstore,
    writer: &'a mut SnapshotWriter,
    fetcher: Arc<Fetcher<S>>,
    base: Option<Base>,
    leaves: Vec<Wanted>,
    fetches: JoinSet<Result<Vec<Fetched>, CopyError>>,
    fetching: HashSet<BlockId>,
    fetch_bytes: u64,
    done: CopyProgress,
    progress: OnCopy,
}

/// Stores everything that this root of the source needs.
pub(super) async fn copy_blocks<S: CopySource>(
    target: &Blockstore,
    source: &Arc<S>,
    root: &Root,
    writer: &mut SnapshotWriter,
    request: &CopyRequest,
    progress: OnCopy,
) -> Result<CopyProgress, CopyError> {
    let fetcher = Arc::new(Fetcher {
        source: source.clone(),
        engine: target.engine.clone(),
        key: root.key,
        limit: RateLimit::new(request.bandwidth_bytes_per_second),
    });
    let base = match writer.parent_root().cloned() {
        Some(parent) => Base::load(target, parent).await?,
        None => None,
    };
    // Under a limit a request takes about a second, so that the link is not taken in gulps.
    let fetch_bytes = request.bandwidth_bytes_per_second.map_or(FETCH_BYTES, NonZeroU64::get).min(FETCH_BYTES);
    let done = CopyProgress { bytes_total: root.logical_bytes, ..CopyProgress::default() };
    let mut walk = Walk {
        target,
        writer,
        fetcher,
        base,
        leaves: Vec::new(),
        fetches: JoinSet::new(),
        fetching: HashSet::new(),
        fetch_bytes,
        done,
        progress,
    };
    walk.entries(root).await?;
    walk.settle().await?;
    while walk.land().await? {}
    walk.writer.flush().await?;
    (walk.progress)(walk.done);
    Ok(walk.done)
}

impl Base {
    /// The parent only saves work: one that cannot be read is none.
    async fn load(target: &Blockstore, root: Root) -> Result<Option<Self>, CopyError> {
        let reader = target.reader(root);
        let loaded = async {
            let files = reader.files().await?;
            let (nodes, pages) = reader.entry_tree().await?;
            Ok((files, nodes.into_iter().chain(pages).collect()))
        };
        match loaded.await {
            Ok((files, tree)) => {
                let files = files.iter().map(|entry| (entry.path.clone(), entry.clone())).collect();
                Ok(Some(Self { reader, files, tree }))
            }
            Err(error) if crate::ReadError::class(&error) == ErrorClass::Corrupt => {
                tracing::warn!(%error, "the copy before cannot be read: nothing is shared with it unseen");
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// A node of the parent; `None` when it cannot be read.
    async fn node(&self, id: BlockId) -> Result<Option<Arc<Node>>, CopyError> {
        match self.reader.node(id).await {
            Ok(node) => Ok(Some(node)),
            Err(error) if error.class() == ErrorClass::Corrupt => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The parent's node of this level at the start of what `place` covers; a lower one stays as it is.
    async fn at_level(&self, place: (BlockId, u8), level: u8) -> Result<Option<(BlockId, u8)>, CopyError> {
        let (mut id, mut at) = place;
        while at > level {
            let Some(node) = self.node(id).await? else { return Ok(None) };
            let Some(first) = node.children.first().and_then(|child| child.id) else { return Ok(None) };
            (id, at) = (first, at - 1);
        }
        Ok(Some((id, at)))
    }
}

impl<S: CopySource> Walk<'_, S> {
    /// Whether the parent's equal subtree holds everything below it.
    fn may_share(&self) -> bool {
        self.writer.quarantined().is_empty()
    }

    /// Walks the tree of entries, and the files of each page that the parent does not have.
    async fn entries(&mut self, root: &Root) -> Result<(), CopyError> {
        let mut stack = vec![(root.tree, BlockAddress::default(), None::<u8>)];
        while !stack.is_empty() {
            let group = stack.split_off(stack.len().saturating_sub(NODES_AT_ONCE));
            let (mut unknown, mut shared) = (Vec::new(), Vec::new());
            for item in group {
                let is_shared = self.may_share() && self.base.as_ref().is_some_and(|base| base.tree.contains(&item.0));
                if is_shared { shared.push(item.0) } else { unknown.push(item) }
            }
            if !shared.is_empty() {
                self.share_entries(&shared).await?;
            }
            let wanted = unknown.iter().map(|(id, address, _)| (*id, address.clone())).collect();
            let raws = self.resolve(wanted).await?;
            for (id, address, level) in unknown {
                let raw = raws.get(&id).ok_or(CopyError::NotSent(id))?;
                let bad = |source| CopyError::BadNode { id, source };
                if level == Some(0) {
                    let files = decode_page(raw).map_err(bad)?;
                    self.page(&files, &address).await?;
                    continue;
                }
                let node = Node::decode(raw).map_err(bad)?;
                if level.is_some_and(|level| level != node.level) || node.level > LEVEL_MAX {
                    return Err(bad(BadTree("node of another level")));
                }
                for (number, child) in node.children.iter().enumerate() {
                    let child = child.id.ok_or_else(|| bad(BadTree("hole among entries")))?;
                    let address = address.entries_child(number).ok_or_else(|| bad(BadTree("too many children")))?;
                    stack.push((child, address, Some(node.level - 1)));
                }
            }
        }
        Ok(())
    }

    /// Counts the files below nodes and pages that the parent has too.
    async fn share_entries(&mut self, ids: &[BlockId]) -> Result<(), CopyError> {
        let Some(base) = &self.base else { return Ok(()) };
        let (mut pages, mut nodes) = (Vec::new(), ids.to_vec());
        let mut bytes = 0;
        while let Some(id) = nodes.pop() {
            match base.reader.node(id).await {
                Ok(node) => {
                    let below = node.children.iter().filter_map(|child| child.id);
                    if node.level > 1 { nodes.extend(below) } else { pages.extend(below) }
                }
                Err(_) => pages.push(id),
            }
        }
        for part in pages.chunks(NODES_AT_ONCE) {
            for raw in base.reader.blocks(part).await? {
                bytes += decode_page(&raw).map_or(0, |files| files.iter().map(|file| file.size).sum());
            }
        }
        self.share(bytes);
        Ok(())
    }

    fn share(&mut self, bytes: u64) {
        self.done.bytes += bytes;
        self.done.shared_bytes += bytes;
    }

    /// The files of one page.
    async fn page(&mut self, files: &[FileEntry], page: &BlockAddress) -> Result<(), CopyError> {
        let mut stack = Vec::new();
        for (number, file) in files.iter().enumerate() {
            let Some(id) = file.top else {
                self.share(file.size);
                continue;
            };
            let address = page.file(number).ok_or(CopyError::Internal("more files in a page than it can have"))?;
            let old = self.base.as_ref().and_then(|base| base.files.get(&file.path));
            let old = old.filter(|old| old.block_size == file.block_size);
            let old = old.and_then(|old| Some((old.top?, old.depth)));
            if self.is_shared(id, file.depth, old) {
                self.share(file.size);
            } else if file.depth == 0 {
                self.leaf(id, address, file.size).await?;
            } else {
                let (level, len, block_size) = (file.depth, file.size, file.block_size);
                stack.push(Item { id, address, level, len, block_size, parent: old });
            }
        }
        while !stack.is_empty() {
            let group = stack.split_off(stack.len().saturating_sub(NODES_AT_ONCE));
            self.nodes(group, &mut stack).await?;
            (self.progress)(self.done);
        }
        Ok(())
    }

    /// Whether the parent has the same node or block in the same place.
    fn is_shared(&self, id: BlockId, level: u8, parent: Option<(BlockId, u8)>) -> bool {
        parent == Some((id, level)) && (self.may_share() || (level == 0 && !self.writer.quarantined().contains(&id)))
    }

    /// Stores these nodes; what is below them goes onto the stack, or among the leaves.
    async fn nodes(&mut self, group: Vec<Item>, stack: &mut Vec<Item>) -> Result<(), CopyError> {
        let wanted = group.iter().map(|item| (item.id, item.address.clone())).collect();
        let raws = self.resolve(wanted).await?;
        let mut olds = Vec::with_capacity(group.len());
        if let Some(base) = &self.base {
            let tops: Vec<_> = group.iter().filter_map(|item| Some(item.parent?.0)).collect();
            base.reader.prefetch(&tops).await?;
        }
        for item in &group {
            olds.push(match (&self.base, item.parent) {
                (Some(base), Some(place)) => base.at_level(place, item.level).await?,
                _ => None,
            });
        }
        for (item, old) in group.into_iter().zip(olds) {
            let id = item.id;
            let node = decode_node(id, raws.get(&id).ok_or(CopyError::NotSent(id))?)?;
            node.check_geometry(item.level, item.len, item.block_size)
                .map_err(|source| CopyError::BadNode { id, source })?;
            let old_node = match (&self.base, old) {
                (Some(base), Some((old, level))) if level == item.level => base.node(old).await?,
                _ => None,
            };
            let level = item.level - 1;
            for (number, child) in node.children.iter().enumerate() {
                let Some(id) = child.id else {
                    self.share(child.len);
                    continue;
                };
                let parent = match (&old_node, old) {
                    (Some(old), _) => old.children.get(number).and_then(|child| Some((child.id?, level))),
                    // The parent's file was smaller: all of it lies below the first child.
                    (None, Some((_, old_level))) if old_level < item.level && number == 0 => old,
                    _ => None,
                };
                if self.is_shared(id, level, parent) {
                    self.share(child.len);
                    continue;
                }
                let address = item.address.child(number).ok_or(CopyError::Internal("more children than a node has"))?;
                if level == 0 {
                    self.leaf(id, address, child.len).await?;
                } else {
                    stack.push(Item { id, address, level, len: child.len, block_size: item.block_size, parent });
                }
            }
        }
        Ok(())
    }

    /// Raw nodes and pages: from the target where it has them (they are claimed then), else from the source (they are stored then).
    async fn resolve(&mut self, wanted: Vec<(BlockId, BlockAddress)>) -> Result<HashMap<BlockId, Bytes>, CopyError> {
        let mut raws = HashMap::with_capacity(wanted.len());
        let wanted: HashMap<_, _> = wanted.into_iter().collect();
        if wanted.is_empty() {
            return Ok(raws);
        }
        let ids: Vec<_> = wanted.keys().copied().collect();
        let mut missing = self.writer.missing(&ids).await?;
        let present: Vec<_> = ids.into_iter().filter(|id| !missing.contains(id)).collect();
        let causal = Causal::default();
        let found = fetch_blocks(&self.target.engine, &causal, &present, From::Anywhere(Shelf::Nodes)).await?;
        for (id, raw) in found {
            match raw {
                Ok(raw) => {
                    self.done.present_blocks += 1;
                    raws.insert(id, raw);
                }
                Err(error) if error.class() == ErrorClass::Corrupt => {
                    tracing::warn!(%error, "a node of the target is bad: stored anew from the source");
                    self.target.quarantine(&[id]).await.map_err(|fault| CopyError::Write(fault.into()))?;
                    missing.insert(id);
                }
                Err(error) => return Err(error.into()),
            }
        }
        let to_fetch: Vec<_> = wanted
            .into_iter()
            .filter(|(id, _)| missing.contains(id))
            .map(|(id, address)| Wanted { id, raw_len: None, address })
            .collect();
        for part in to_fetch.chunks(NODES_AT_ONCE) {
            for block in self.fetcher.fetch(part.to_vec()).await? {
                raws.insert(block.sealed.id, block.raw.clone());
                self.store(block, true).await?;
            }
        }
        Ok(raws)
    }

    async fn store(&mut self, block: Fetched, is_node: bool) -> Result<(), CopyError> {
        self.done.sent_blocks += 1;
        self.done.sent_bytes += block.wire_bytes;
        Ok(self.writer.put_sealed(block.sealed, is_node).await?)
    }

    /// A block of a file.
    async fn leaf(&mut self, id: BlockId, address: BlockAddress, len: u64) -> Result<(), CopyError> {
        let raw_len =
            u32::try_from(len).map_err(|_| CopyError::BadBlock { id, reason: "longer than a block can be" })?;
        self.leaves.push(Wanted { id, raw_len: Some(raw_len), address });
        if self.leaves.len() >= LOOKUP_IDS_MAX { self.settle().await } else { Ok(()) }
    }

    /// Asks the target for the waiting leaves and sends for those that it lacks.
    async fn settle(&mut self) -> Result<(), CopyError> {
        let leaves = std::mem::take(&mut self.leaves);
        let ids: HashSet<_> = leaves.iter().map(|leaf| leaf.id).collect();
        let ids: Vec<_> = ids.into_iter().collect();
        if ids.is_empty() {
            return Ok(());
        }
        let mut missing = self.writer.missing(&ids).await?;
        self.done.present_blocks += (ids.len() - missing.len()) as u64;
        missing.retain(|id| !self.fetching.contains(id) && !self.writer.is_on_its_way(id));
        let (mut batch, mut bytes) = (Vec::new(), 0);
        for leaf in leaves {
            let len = u64::from(leaf.raw_len.unwrap_or_default());
            // Each id is sent for once, whatever the number of its places.
            if !missing.remove(&leaf.id) {
                self.done.bytes += len;
                continue;
            }
            bytes += len;
            batch.push(leaf);
            if batch.len() >= FETCH_IDS_MAX || bytes >= self.fetch_bytes {
                self.launch(std::mem::take(&mut batch)).await?;
                bytes = 0;
            }
        }
        if !batch.is_empty() {
            self.launch(batch).await?;
        }
        (self.progress)(self.done);
        Ok(())
    }

    async fn launch(&mut self, batch: Vec<Wanted>) -> Result<(), CopyError> {
        while self.fetches.len() >= FETCHES_MAX {
            self.land().await?;
        }
        self.fetching.extend(batch.iter().map(|one| one.id));
        let fetcher = self.fetcher.clone();
        self.fetches.spawn(async move { fetcher.fetch(batch).await });
        Ok(())
    }

    /// Takes the blocks of one request; whether there was one.
    async fn land(&mut self) -> Result<bool, CopyError> {
        let Some(landed) = self.fetches.join_next().await else { return Ok(false) };
        for block in landed.map_err(|_| CopyError::Internal("a request ended early"))?? {
            let (id, len) = (block.sealed.id, u64::from(block.sealed.raw_len));
            self.store(block, false).await?;
            self.fetching.remove(&id);
            self.done.bytes += len;
        }
        (self.progress)(self.done);
        Ok(true)
    }
}
