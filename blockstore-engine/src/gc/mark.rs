//! Marking: every id that the snapshots reach, each shared subtree once, with the set of snapshots that it belongs to.
//!
//! Goes down by levels, so that the set of a node is complete before its children are visited: trees of entries, pages, nodes of files from
//! the highest down, blocks last. Memory is bounded by cutting the id space: blocks by [`Marks`], nodes of level 1 by [`NODES_MAX`] (levels
//! above are a thousandth of those).
//! Invariants: when it returns `Ok`, every block, node and page below every root that was given and whose prefix lies in the range of the marks
//! is marked. What cannot be read makes it fail, because what lies below is not known; tolerant walks (that only name) go on.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use futures::future::try_join_all;
use tokio_util::sync::CancellationToken;

use super::CollectError;
use super::classes::Classes;
use super::marks::{END, Marks, prefix};
use crate::cache::Shelf;
use crate::engine::Engine;
use crate::error::{ErrorClass, ReadError};
use crate::id::{BlockId, RootId};
use crate::reader::{FETCH_IDS_MAX, From, PerBlock, fetch_blocks};
use crate::tree::{LEVEL_MAX, Node, decode_page};
use crate::txn::Causal;

/// Nodes of level 1 held at a time: about 50 MB.
const NODES_MAX: usize = 1 << 19;
/// Batches of nodes fetched at a time.
const BATCHES_AHEAD: usize = 2;
const LEVELS: usize = LEVEL_MAX as usize + 1;

/// A snapshot to mark from.
#[derive(Debug, Clone)]
pub(crate) struct MarkRoot {
    pub(crate) id: RootId,
    pub(crate) tree: BlockId,
    /// Its index in sets of snapshots; several may share one.
    pub(crate) index: u32,
}

/// What a tolerant walk passed over, as sets of snapshots.
#[derive(Debug, Default)]
pub(crate) struct Unreadable {
    /// A node or page is bad.
    pub(crate) bad: Vec<u32>,
    /// A node or page is encrypted under a key that is not here: nothing is known of it, good or bad.
    pub(crate) locked: Vec<u32>,
}

/// Ids and the sets of snapshots that they belong to.
type Level = HashMap<BlockId, u32>;

/// One walk over some snapshots.
pub(crate) struct Walk<'a> {
    pub(crate) engine: &'a Arc<Engine>,
    pub(crate) causal: &'a Causal,
    pub(crate) roots: &'a [MarkRoot],
    pub(crate) classes: &'a mut Classes,
    pub(crate) cancel: &'a CancellationToken,
    /// Nodes held at a time; [`NODES_MAX`] but in tests.
    pub(crate) nodes_max: usize,
    /// `Some`: what cannot be read is noted here and not descended into.
    pub(crate) unreadable: Option<Unreadable>,
    /// Nodes and pages read, for progress and tests.
    pub(crate) visited: u64,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(
        engine: &'a Arc<Engine>,
        causal: &'a Causal,
        roots: &'a [MarkRoot],
        classes: &'a mut Classes,
        cancel: &'a CancellationToken,
    ) -> Self {
        Self { engine, causal, roots, classes, cancel, nodes_max: NODES_MAX, unreadable: None, visited: 0 }
    }

    /// Marks everything in a part of the id space that begins at `from`; how far it reaches the marks say.
    pub(crate) async fn all(&mut self, from: u64, bytes: usize) -> Result<Marks, CollectError> {
        self.fill(Marks::new(from, bytes)).await
    }

    /// The sets of snapshots that need these ids; nothing for an id that none needs.
    pub(crate) async fn find(&mut self, ids: &HashSet<BlockId>) -> Result<HashMap<BlockId, u32>, CollectError> {
        let marks = self.fill(Marks::only(ids)).await?;
        Ok(ids.iter().filter_map(|id| Some((*id, marks.get(*id)?))).collect())
    }

    async fn fill(&mut self, mut marks: Marks) -> Result<Marks, CollectError> {
        let mut nodes_from = 0u64;
        loop {
            let (nodes, nodes_to) = self.above_blocks(nodes_from, &mut marks).await?;
            self.expand(&nodes, |node, class, walk| {
                if node.level != 1 {
                    return Err("node of another level");
                }
                for id in node.children.iter().filter_map(|child| child.id) {
                    marks.push(id, class, walk.classes);
                }
                Ok(())
            })
            .await?;
            match u64::try_from(nodes_to) {
                Ok(next) => nodes_from = next,
                Err(_) => break,
            }
        }
        marks.settle(self.classes);
        Ok(marks)
    }

    /// Marks nodes and pages only.
    pub(crate) async fn nodes(&mut self, from: u64, bytes: usize) -> Result<Marks, CollectError> {
        let mut marks = Marks::new(from, bytes);
        // Nodes of level 1 are marked when they are met, none is kept.
        let keep = std::mem::replace(&mut self.nodes_max, 0);
        let met = self.above_blocks(0, &mut marks).await;
        self.nodes_max = keep;
        met?;
        marks.settle(self.classes);
        Ok(marks)
    }

    /// Marks all that lies above blocks of files; the nodes of level 1 whose prefixes lie in `[from, answer)`.
    async fn above_blocks(&mut self, from: u64, marks: &mut Marks) -> Result<(Level, u128), CollectError> {
        let pages = self.entries(marks).await?;
        let mut files: [Level; LEVELS] = Default::default();
        let mut lowest = Lowest { from, to: END, nodes: Level::new(), max: self.nodes_max };
        let ids: Vec<_> = pages.keys().copied().collect();
        for ids in ids.chunks(FETCH_IDS_MAX * BATCHES_AHEAD) {
            for (id, raw) in self.fetch(ids, &pages).await? {
                let class = pages[&id];
                let entries = match decode_page(&raw) {
                    Ok(entries) => entries,
                    Err(source) => {
                        self.note(id, class, ReadError::BadNode { id, source })?;
                        continue;
                    }
                };
                for entry in entries {
                    let Some(top) = entry.top else { continue };
                    marks.push(top, class, self.classes);
                    match entry.depth {
                        0 => {}
                        1 => lowest.add(top, class, self.classes),
                        depth => add(&mut files[usize::from(depth)], top, class, self.classes),
                    }
                }
            }
        }
        for level in (2..LEVELS).rev() {
            let nodes = std::mem::take(&mut files[level]);
            let (lower, _) = files.split_at_mut(level);
            let below = &mut lower[level - 1];
            self.expand(&nodes, |node, class, walk| {
                if usize::from(node.level) != level {
                    return Err("node of another level");
                }
                for id in node.children.iter().filter_map(|child| child.id) {
                    marks.push(id, class, walk.classes);
                    if level == 2 {
                        lowest.add(id, class, walk.classes);
                    } else {
                        add(below, id, class, walk.classes);
                    }
                }
                Ok(())
            })
            .await?;
        }
        Ok((lowest.nodes, lowest.to))
    }

    /// Marks the trees of entries; the pages.
    async fn entries(&mut self, marks: &mut Marks) -> Result<Level, CollectError> {
        let mut tops = Level::new();
        for root in self.roots {
            let class = self.classes.single(root.index);
            add(&mut tops, root.tree, class, self.classes);
            marks.push(root.tree, class, self.classes);
        }
        // Trees differ in height: the tops are read once to learn it.
        let mut levels: [Level; LEVELS] = Default::default();
        let ids: Vec<_> = tops.keys().copied().collect();
        for ids in ids.chunks(FETCH_IDS_MAX * BATCHES_AHEAD) {
            for (id, raw) in self.fetch(ids, &tops).await? {
                match Node::decode(&raw) {
                    Ok(node) => add(&mut levels[usize::from(node.level)], id, tops[&id], self.classes),
                    Err(source) => self.note(id, tops[&id], ReadError::BadNode { id, source })?,
                }
            }
        }
        let mut pages = Level::new();
        for level in (1..LEVELS).rev() {
            let nodes = std::mem::take(&mut levels[level]);
            let (lower, _) = levels.split_at_mut(level);
            let below = if level == 1 { &mut pages } else { &mut lower[level - 1] };
            self.expand(&nodes, |node, class, walk| {
                if usize::from(node.level) != level {
                    return Err("node of another level");
                }
                for child in &node.children {
                    let id = child.id.ok_or("hole among entries")?;
                    marks.push(id, class, walk.classes);
                    add(below, id, class, walk.classes);
                }
                Ok(())
            })
            .await?;
        }
        Ok(pages)
    }

    /// Reads and decodes nodes.
    async fn expand(
        &mut self,
        nodes: &Level,
        mut each: impl FnMut(&Node, u32, &mut Self) -> Result<(), &'static str>,
    ) -> Result<(), CollectError> {
        let ids: Vec<_> = nodes.keys().copied().collect();
        for ids in ids.chunks(FETCH_IDS_MAX * BATCHES_AHEAD) {
            for (id, raw) in self.fetch(ids, nodes).await? {
                let class = nodes[&id];
                let done = match Node::decode(&raw) {
                    Ok(node) => each(&node, class, self).map_err(crate::tree::BadTree),
                    Err(bad) => Err(bad),
                };
                if let Err(source) = done {
                    self.note(id, class, ReadError::BadNode { id, source })?;
                }
            }
        }
        Ok(())
    }

    /// Fetches nodes or pages; the readable ones.
    async fn fetch(&mut self, ids: &[BlockId], classes: &Level) -> Result<Vec<(BlockId, Bytes)>, CollectError> {
        if self.cancel.is_cancelled() {
            return Err(CollectError::Cancelled);
        }
        let (engine, causal) = (self.engine, self.causal);
        let batches =
            ids.chunks(FETCH_IDS_MAX).map(|ids| fetch_blocks(engine, causal, ids, From::Anywhere(Shelf::Nodes)));
        let found: Vec<PerBlock<Bytes>> = try_join_all(batches).await?;
        let mut good = Vec::with_capacity(ids.len());
        for (id, raw) in found.into_iter().flatten() {
            match raw {
                Ok(raw) => good.push((id, raw)),
                Err(error) => self.note(id, classes[&id], error)?,
            }
        }
        self.visited += good.len() as u64;
        Ok(good)
    }

    fn note(&mut self, id: BlockId, class: u32, source: ReadError) -> Result<(), CollectError> {
        let is_locked = matches!(source, ReadError::NoKey { .. });
        if source.class() != ErrorClass::Corrupt && !(is_locked && self.unreadable.is_some()) {
            return Err(source.into());
        }
        match &mut self.unreadable {
            Some(passed) => {
                if is_locked { passed.locked.push(class) } else { passed.bad.push(class) }
                Ok(())
            }
            None => {
                let ranges = self.classes.ranges(class);
                let is_inside = |root: &&MarkRoot| ranges.iter().any(|(from, to)| (*from..*to).contains(&root.index));
                let snapshots = self.roots.iter().filter(is_inside).map(|root| root.id).collect();
                Err(CollectError::Unreadable { id, snapshots, source })
            }
        }
    }
}

/// Nodes of level 1 in a part of the id space that shrinks when there are too many.
struct Lowest {
    from: u64,
    to: u128,
    nodes: Level,
    /// 0: none is kept at all.
    max: usize,
}

impl Lowest {
    fn add(&mut self, id: BlockId, class: u32, classes: &mut Classes) {
        let at = prefix(id);
        if self.max == 0 || at < self.from || u128::from(at) >= self.to {
            return;
        }
        add(&mut self.nodes, id, class, classes);
        while self.nodes.len() > self.max && self.to - u128::from(self.from) > 1 {
            self.to = u128::from(self.from) + (self.to - u128::from(self.from)) / 2;
            let to = self.to;
            self.nodes.retain(|id, _| u128::from(prefix(*id)) < to);
        }
    }
}

fn add(level: &mut Level, id: BlockId, class: u32, classes: &mut Classes) {
    level.entry(id).and_modify(|known| *known = classes.union(*known, class)).or_insert(class);
}
