//! Building trees bottom up, in one pass, with one open node per level.
//!
//! Invariants: the result depends on content, size and block size alone; a node whose children are all holes is a hole.

use bytes::Bytes;

use crate::id::{BlockHasher, BlockId};
use crate::tree::{Child, FANOUT, Node, depth_for};

/// Builds the tree of one file from its blocks in order.
pub(crate) struct TreeBuilder {
    hasher: BlockHasher,
    depth: u8,
    /// Children of the open node of level n+1; the last holds the top alone.
    levels: Vec<Vec<Child>>,
    nodes: Vec<(BlockId, Bytes)>,
}

impl TreeBuilder {
    /// For a file of this size.
    pub(crate) fn new(hasher: BlockHasher, size: u64, block_size: u32) -> Self {
        let depth = depth_for(size, block_size);
        Self { hasher, depth, levels: vec![Vec::new(); usize::from(depth) + 1], nodes: Vec::new() }
    }

    /// Takes the next block or hole.
    pub(crate) fn push(&mut self, child: Child) {
        self.add(0, child);
    }

    /// Takes a finished subtree: a node of this level (0: a block) that begins where what was taken so far ends. Everything below it is
    /// stored already.
    pub(crate) fn push_at(&mut self, level: u8, child: Child) {
        debug_assert!(
            self.levels[..usize::from(level)].iter().all(Vec::is_empty),
            "a subtree begins at its own boundary"
        );
        self.add(level, child);
    }

    /// Nodes that were finished since the last call.
    pub(crate) fn take_nodes(&mut self) -> Vec<(BlockId, Bytes)> {
        std::mem::take(&mut self.nodes)
    }

    /// Closes what is open: top, depth, the last nodes.
    pub(crate) fn finish(mut self) -> (Option<BlockId>, u8, Vec<(BlockId, Bytes)>) {
        for level in 0..self.depth {
            if !self.levels[usize::from(level)].is_empty() {
                self.close(level);
            }
        }
        let top = self.levels[usize::from(self.depth)].first().and_then(|child| child.id);
        (top, self.depth, self.nodes)
    }

    fn add(&mut self, level: u8, child: Child) {
        let open = &mut self.levels[usize::from(level)];
        open.push(child);
        if level < self.depth && open.len() as u64 == FANOUT {
            self.close(level);
        }
    }

    fn close(&mut self, level: u8) {
        let children = std::mem::take(&mut self.levels[usize::from(level)]);
        let node = Node { level: level + 1, children };
        let len = node.len();
        let id = node.children.iter().any(|child| child.id.is_some()).then(|| {
            let bytes = node.encode();
            let id = self.hasher.id(&bytes);
            self.nodes.push((id, bytes.into()));
            id
        });
        self.add(level + 1, Child { id, len });
    }
}

/// Builds the tree over pages of entries: nodes from the lowest up, the top last.
pub(crate) fn page_tree(hasher: BlockHasher, pages: &[(BlockId, Bytes)]) -> (BlockId, Vec<(BlockId, Bytes)>) {
    let mut nodes = Vec::new();
    let mut children: Vec<Child> =
        pages.iter().map(|(id, page)| Child { id: Some(*id), len: page.len() as u64 }).collect();
    let mut level = 1;
    loop {
        let mut above = Vec::new();
        // Without files there is one node without children.
        let groups = if children.is_empty() { vec![&[] as &[Child]] } else { children.chunks(1024).collect() };
        for group in groups {
            let node = Node { level, children: group.to_vec() };
            let bytes = node.encode();
            let id = hasher.id(&bytes);
            above.push(Child { id: Some(id), len: node.len() });
            nodes.push((id, Bytes::from(bytes)));
        }
        if let [Child { id: Some(top), .. }] = above[..] {
            return (top, nodes);
        }
        children = above;
        level += 1;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::tree::BLOCK_SIZE_MIN;

    fn build(size: u64, id: impl Fn(u64) -> Option<BlockId>) -> (Option<BlockId>, u8, Vec<(BlockId, Bytes)>) {
        let block = u64::from(BLOCK_SIZE_MIN);
        let mut builder = TreeBuilder::new(BlockHasher::PLAIN, size, BLOCK_SIZE_MIN);
        let mut nodes = Vec::new();
        for index in 0..size.div_ceil(block) {
            builder.push(Child { id: id(index), len: block.min(size - index * block) });
            nodes.append(&mut builder.take_nodes());
        }
        let (top, depth, mut last) = builder.finish();
        nodes.append(&mut last);
        (top, depth, nodes)
    }

    fn numbered(index: u64) -> Option<BlockId> {
        Some(BlockId::of(&index.to_le_bytes()))
    }

    #[test]
    fn geometry_holds_at_every_edge() {
        let block = u64::from(BLOCK_SIZE_MIN);
        for blocks in [0, 1, 2, 1023, 1024, 1025, 2048, 1024 * 1024, 1024 * 1024 + 1] {
            for extra in [0, 1, block - 1] {
                let size = blocks * block + extra;
                let (top, depth, nodes) = build(size, numbered);
                assert_eq!(depth, depth_for(size, BLOCK_SIZE_MIN));
                let Some(top) = top else {
                    assert_eq!(size, 0);
                    continue;
                };
                let by_id: std::collections::HashMap<_, _> = nodes.into_iter().collect();
                let mut index = 0;
                let mut stack = vec![(top, depth, size)];
                while let Some((id, level, len)) = stack.pop() {
                    if level == 0 {
                        assert_eq!(Some(id), numbered(index));
                        index += 1;
                        continue;
                    }
                    let node = Node::decode(&by_id[&id]).unwrap();
                    node.check_geometry(level, len, BLOCK_SIZE_MIN).unwrap();
                    stack.extend(node.children.iter().rev().map(|child| (child.id.unwrap(), level - 1, child.len)));
                }
                assert_eq!(index, size.div_ceil(block));
            }
        }
    }

    #[test]
    fn adopted_subtrees_lead_to_the_same_tree() {
        let block = u64::from(BLOCK_SIZE_MIN);
        for blocks in [1, 1024, 1025, 3000, 1024 * 1024 + 2000] {
            let size = blocks * block - 5;
            let (top, depth, nodes) = build(size, numbered);
            let by_id: std::collections::HashMap<_, _> = nodes.into_iter().collect();
            // The nodes of level 1 as they stand in the tree, in order.
            let mut firsts = vec![(top.unwrap(), depth, size)];
            while firsts.iter().any(|(_, level, _)| *level > 1) {
                firsts = firsts
                    .into_iter()
                    .flat_map(|(id, level, _)| {
                        let node = Node::decode(&by_id[&id]).unwrap();
                        node.children.into_iter().map(move |child| (child.id.unwrap(), level - 1, child.len))
                    })
                    .collect();
            }
            let mut builder = TreeBuilder::new(BlockHasher::PLAIN, size, BLOCK_SIZE_MIN);
            let mut offset = 0;
            for (index, (id, level, len)) in firsts.into_iter().enumerate() {
                // Every other one anew, block by block.
                if index % 2 == 0 {
                    builder.push_at(level, Child { id: Some(id), len });
                } else {
                    for at in (offset..offset + len).step_by(64 << 10) {
                        builder.push(Child { id: numbered(at / block), len: block.min(size - at) });
                    }
                }
                offset += len;
            }
            let (again, again_depth, _) = builder.finish();
            assert_eq!((again, again_depth, offset), (top, depth, size));
        }
    }

    #[test]
    fn holes_store_nothing_at_any_level() {
        let block = u64::from(BLOCK_SIZE_MIN);
        assert_eq!(build(3000 * block, |_| None), (None, 2, vec![]));
        let (top, _, nodes) = build(3000 * block, |index| (index == 2500).then(|| BlockId::of(b"one")));
        assert_eq!(nodes.len(), 2, "one node of level 1, the top");
        let node = Node::decode(&nodes[1].1).unwrap();
        assert_eq!(top, Some(nodes[1].0));
        assert_eq!(node.children.iter().map(|child| child.id.is_some()).collect::<Vec<_>>(), [false, false, true]);
    }
}
