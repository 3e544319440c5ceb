//! Blocks named by where they stand in a snapshot, and handed out by that alone.
//!
//! Invariants: an address leads from a snapshot's root to a block, so whoever may read the snapshot may have the block, and nobody learns by an
//! id whether another snapshot has it. Every number is checked against the nodes on the way. One call is bounded in blocks and in bytes.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::wire::StoredBlock;
use crate::error::ReadError;
use crate::id::BlockId;
use crate::reader::SnapshotReader;
use crate::source::FrameSource;
use crate::tree::{BadTree, FileEntry, LEVEL_MAX, decode_page};

/// Blocks in one call, at most.
pub const BLOCKS_MAX: usize = 256;
/// Bytes of the frames in one call, at most: what an answer holds in memory.
pub const ANSWER_BYTES_MAX: u64 = 16 << 20;

/// Where a block stands in a snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BlockAddress {
    /// Numbers of the children from the top of the tree of entries down to a node or page; none: the top itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entries: Vec<u16>,
    /// Number of the file's entry in that page; none: the node or page is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<u16>,
    /// Numbers of the children from the top of that file down; none: the file's top.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub below: Vec<u16>,
}

impl BlockAddress {
    /// The child of a node of the tree of entries.
    pub(crate) fn entries_child(&self, number: usize) -> Option<Self> {
        let mut entries = self.entries.clone();
        entries.push(u16::try_from(number).ok()?);
        Some(Self { entries, ..Self::default() })
    }

    /// The top of a file of a page.
    pub(crate) fn file(&self, number: usize) -> Option<Self> {
        Some(Self { file: Some(u16::try_from(number).ok()?), ..self.clone() })
    }

    /// The child of a node of a file.
    pub(crate) fn child(&self, number: usize) -> Option<Self> {
        let mut below = self.below.clone();
        below.push(u16::try_from(number).ok()?);
        Some(Self { below, ..self.clone() })
    }
}

const NOWHERE: ReadError = ReadError::Request("an address leads to no block of the snapshot");

/// Pages that one call has read.
pub(crate) type Pages = HashMap<Vec<u16>, Arc<Vec<FileEntry>>>;

impl SnapshotReader {
    /// The blocks at these addresses in their stored form, each once, checked as far as the keys at hand allow.
    ///
    /// # Errors
    /// `Request` for more than [`BLOCKS_MAX`] addresses, more than [`ANSWER_BYTES_MAX`] bytes, or an address that leads nowhere; whatever
    /// reading blocks can fail with.
    pub async fn stored_blocks(&self, addresses: &[BlockAddress]) -> Result<Vec<StoredBlock>, ReadError> {
        if addresses.len() > BLOCKS_MAX {
            return Err(ReadError::Request("more blocks than one call may ask for"));
        }
        if !self.root().is_sealed() {
            return Err(ReadError::BadRoot(self.root().id));
        }
        let mut pages = Pages::new();
        let mut ids = Vec::with_capacity(addresses.len());
        for address in addresses {
            ids.push(resolve(self, address, &mut pages).await?);
        }
        ids.sort_unstable();
        ids.dedup();
        self.stored_by_id(&ids).await
    }

    /// Blocks by their ids: for whoever has the store itself.
    pub(super) async fn stored_by_id(&self, ids: &[BlockId]) -> Result<Vec<StoredBlock>, ReadError> {
        let bytes: u64 = self.frame_lengths(ids).await?.into_iter().map(u64::from).sum();
        if bytes > ANSWER_BYTES_MAX {
            return Err(ReadError::Request("more bytes than one call may ask for"));
        }
        let mut found = self.sealed(ids).await?;
        ids.iter().map(|id| found.remove(id).ok_or(ReadError::Missing(*id))?.map(StoredBlock)).collect()
    }

}

/// The block that an address leads to, every number checked on the way.
pub(crate) async fn resolve(
    source: &impl FrameSource,
    address: &BlockAddress,
    pages: &mut Pages,
) -> Result<BlockId, ReadError> {
        if address.entries.len() > usize::from(LEVEL_MAX) || address.below.len() > usize::from(LEVEL_MAX) {
            return Err(NOWHERE);
        }
        let Some(file) = address.file else {
            return if address.below.is_empty() {
                Ok(entries_at(source, &address.entries).await?.0)
            } else {
                Err(NOWHERE)
            };
        };
        let page = match pages.get(&address.entries) {
            Some(page) => page.clone(),
            None => {
                let (id, is_page) = entries_at(source, &address.entries).await?;
                if !is_page {
                    return Err(NOWHERE);
                }
                let raw = source.blocks(&[id]).await?;
                let raw = raw.first().ok_or(ReadError::Missing(id))?;
                let page = Arc::new(decode_page(raw).map_err(|source| ReadError::BadNode { id, source })?);
                pages.insert(address.entries.clone(), page.clone());
                page
            }
        };
        let entry = page.get(usize::from(file)).ok_or(NOWHERE)?;
        let (mut id, mut level, mut len) = (entry.top.ok_or(NOWHERE)?, entry.depth, entry.size);
        for number in &address.below {
            level = level.checked_sub(1).ok_or(NOWHERE)?;
            let node = source.node(id).await?;
            node.check_geometry(level + 1, len, entry.block_size)
                .map_err(|source| ReadError::BadNode { id, source })?;
            let child = node.children.get(usize::from(*number)).ok_or(NOWHERE)?;
            (id, len) = (child.id.ok_or(NOWHERE)?, child.len);
        }
        Ok(id)
    }

    /// A node or page of the tree of entries, and whether it is a page.
async fn entries_at(source: &impl FrameSource, numbers: &[u16]) -> Result<(BlockId, bool), ReadError> {
        let (mut id, mut above) = (source.root().tree, None);
        for number in numbers {
            if above == Some(1) {
                return Err(NOWHERE);
            }
            let node = source.node(id).await?;
            if above.is_some_and(|above: u8| above - 1 != node.level) {
                return Err(ReadError::BadNode { id, source: BadTree("node of another level") });
            }
            id = node.children.get(usize::from(*number)).and_then(|child| child.id).ok_or(NOWHERE)?;
            above = Some(node.level);
        }
        Ok((id, above == Some(1)))
    }
