//! The tree of entries of a snapshot: from its root to its pages to its files, each level checked.

use bytes::Bytes;

use crate::error::ReadError;
use crate::id::BlockId;
use crate::root::{FORMAT, Root};
use crate::source::FrameSource;
use crate::tree::{BadTree, FileEntry, LEVEL_MAX, check_order, decode_page};

/// Ids of all nodes and pages of the tree of entries, each once per occurrence; the pages are the second part.
pub(crate) async fn entry_tree(source: &impl FrameSource) -> Result<(Vec<BlockId>, Vec<BlockId>), ReadError> {
    let (mut nodes, mut level) = (Vec::new(), vec![source.root().tree]);
    let mut expected: Option<u8> = None;
    loop {
        let mut below = Vec::new();
        for id in &level {
            let bad = |reason| ReadError::BadNode { id: *id, source: BadTree(reason) };
            let node = source.node(*id).await?;
            if expected.is_some_and(|expected| expected != node.level) || node.level > LEVEL_MAX {
                return Err(bad("node of another level"));
            }
            expected = Some(node.level);
            for child in &node.children {
                below.push(child.id.ok_or(bad("hole among entries"))?);
            }
        }
        nodes.append(&mut level);
        match expected {
            None | Some(..=1) => return Ok((nodes, below)),
            Some(higher) => expected = Some(higher - 1),
        }
        level = below;
    }
}

/// Ids of the pages of a root that is sealed and of a format that is known.
pub(crate) async fn pages(source: &impl FrameSource) -> Result<Vec<BlockId>, ReadError> {
    let root = source.root();
    if !root.is_sealed() {
        return Err(ReadError::BadRoot(root.id));
    }
    if root.format > FORMAT {
        return Err(ReadError::Request("the snapshot was written by a newer release"));
    }
    Ok(entry_tree(source).await?.1)
}

/// The files of all pages, in their order.
pub(crate) fn decode(root: &Root, pages: Vec<(BlockId, Bytes)>) -> Result<Vec<FileEntry>, ReadError> {
    let mut entries = Vec::new();
    for (id, raw) in pages {
        entries.append(&mut decode_page(&raw).map_err(|source| ReadError::BadNode { id, source })?);
    }
    check_order(&entries).map_err(|source| ReadError::BadNode { id: root.tree, source })?;
    if entries.len() as u64 != root.files {
        return Err(ReadError::BadNode { id: root.tree, source: BadTree("number of files differs from the root") });
    }
    Ok(entries)
}
