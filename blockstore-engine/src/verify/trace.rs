//! From a block back to the snapshots that need it, and to its place in a file of one of them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::VerifyError;
use crate::cache::Shelf;
use crate::engine::Engine;
use crate::gc::{Classes, Unreadable, roots_to_name};
use crate::id::{BlockId, RootId};
use crate::reader::{FETCH_IDS_MAX, From, SnapshotReader, fetch_blocks};
use crate::root::Root;
use crate::tree::{Node, span};
use crate::txn::Causal;

/// What a trace found.
pub(super) struct Named {
    /// Snapshots by block, sorted by job and commit; nothing for a block that no snapshot needs.
    pub(super) needs: HashMap<BlockId, Vec<RootId>>,
    /// Snapshots of which a node or page is bad.
    pub(super) unreadable: HashSet<RootId>,
    /// Snapshots that cannot be looked into, since their key is not here.
    pub(super) locked: HashSet<RootId>,
}

impl Named {
    /// Of these, the blocks whose snapshots are known. A block that no snapshot needs may be one of a snapshot that is locked: it stays to be
    /// named by a process that has the key. (Equal ids of two keys do not exist.)
    pub(super) fn settled(&self, ids: &[BlockId]) -> Vec<BlockId> {
        ids.iter().copied().filter(|id| self.locked.is_empty() || self.needs.contains_key(id)).collect()
    }
}

/// Walks all snapshots; what cannot be read is passed over.
pub(super) async fn snapshots_of(
    engine: &Arc<Engine>,
    wanted: &HashSet<BlockId>,
    cancel: &CancellationToken,
) -> Result<Named, VerifyError> {
    let causal = Causal::default();
    let roots = roots_to_name(engine, &causal).await?;
    let mut classes = Classes::default();
    let mut walk = crate::gc::Walk::new(engine, &causal, &roots, &mut classes, cancel);
    walk.unreadable = Some(Unreadable::default());
    let found = walk.find(wanted).await?;
    let unreadable = walk.unreadable.take().unwrap_or_default();
    let members = |class: u32| {
        let ranges = classes.ranges(class);
        let is_inside = move |index: u32| ranges.iter().any(|(from, to)| (*from..*to).contains(&index));
        // With too many sets any snapshot may need it.
        let any = class == crate::gc::OVERFLOW;
        roots.iter().filter(move |root| any || is_inside(root.index)).map(|root| root.id).collect::<Vec<_>>()
    };
    Ok(Named {
        needs: found.into_iter().map(|(id, class)| (id, members(class))).collect(),
        unreadable: unreadable.bad.into_iter().flat_map(members).collect(),
        locked: unreadable.locked.into_iter().flat_map(members).collect(),
    })
}

/// Where a block or node lies in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) path: String,
    /// Bytes.
    pub(super) offset: u64,
    /// Bytes of the file below it.
    pub(super) len: u64,
    /// 0: a block; else a node of this level.
    pub(super) level: u8,
    pub(super) block_size: u32,
}

/// The first place of each of these ids in the files of one snapshot.
pub(super) async fn places(
    engine: &Arc<Engine>,
    root: &Root,
    wanted: &HashSet<BlockId>,
) -> Result<HashMap<BlockId, Place>, VerifyError> {
    let mut places = HashMap::new();
    let reader = SnapshotReader::new(engine.clone(), root.clone());
    // Without its entries nothing of it can be placed.
    let Ok(files) = reader.files().await else { return Ok(places) };
    let causal = Causal::default();
    let mut open: Vec<(BlockId, Place)> = Vec::new();
    for entry in files.iter().rev() {
        let Some(top) = entry.top else { continue };
        let (path, block_size) = (entry.path.clone(), entry.block_size);
        open.push((top, Place { path, offset: 0, len: entry.size, level: entry.depth, block_size }));
    }
    while !open.is_empty() && places.len() < wanted.len() {
        let mut nodes = HashMap::new();
        while nodes.len() < FETCH_IDS_MAX
            && let Some((id, place)) = open.pop()
        {
            if wanted.contains(&id) {
                places.entry(id).or_insert_with(|| place.clone());
            }
            if place.level > 0 {
                nodes.insert(id, place);
            }
        }
        let ids: Vec<_> = nodes.keys().copied().collect();
        for (id, raw) in fetch_blocks(engine, &causal, &ids, From::Anywhere(Shelf::Nodes)).await? {
            let (Some(place), Ok(Ok(node))) = (nodes.get(&id), raw.map(|raw| Node::decode(&raw))) else { continue };
            let step = span(place.block_size, place.level - 1);
            for (at, child) in (0u64..).zip(node.children) {
                let Some(child_id) = child.id else { continue };
                let offset = place.offset.saturating_add(at.saturating_mul(step));
                if place.level > 1 || wanted.contains(&child_id) {
                    open.push((child_id, Place { offset, len: child.len, level: place.level - 1, ..place.clone() }));
                }
            }
        }
    }
    Ok(places)
}
