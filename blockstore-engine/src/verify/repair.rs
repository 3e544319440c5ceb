//! Repairing bad blocks: from the cache, or from a source that the caller gives (a head's clone, a restored folder).
//!
//! Invariants: content is used only when it hashes to the id that it is stored under. A repair is a writer: it registers, stores the block anew
//! under a new place by compare-and-set, and the old payload goes last. Blocks for which nothing is found stay quarantined, so that the
//! next writer that meets the same content repairs them.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use bson::doc;
use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::trace::{Place, places, snapshots_of};
use super::{VerifyError, mark};
use crate::cache::Shelf;
use crate::engine::Blockstore;
use crate::error::{ReadError, RootError, StoreFault};
use crate::frame::{Opener, is_zero};
use crate::id::{BlockHasher, BlockId, RootId};
use crate::keys::KeyId;
use crate::root::Root;
use crate::store::Row;
use crate::tree::{Child, FANOUT, Node};
use crate::txn::{Causal, retrying};
use crate::writer::{SnapshotWriter, WriterRequest};

/// The job under which repairs register.
const REPAIR_JOB: &str = "blockstore repair";
/// Bad blocks looked at in one call, at most: bounds memory to 32 MB of ids.
const REPAIR_MAX: i64 = 1 << 20;
/// Blocks stored at a time.
const STORE_AT_ONCE: usize = 64;
/// Highest node that is rebuilt from a source: the next covers 64 TB of a file.
const REBUILD_LEVEL_MAX: u8 = 2;

/// Reads bytes of a file of a snapshot: (path, offset in bytes, length in bytes). Called on worker threads. Bytes that are not what the snapshot
/// had do no harm.
pub type RepairSource = Arc<dyn Fn(&str, u64, usize) -> io::Result<Vec<u8>> + Send + Sync>;

/// A folder with the files of a snapshot (or of a state near it).
#[must_use]
pub fn directory(folder: PathBuf) -> RepairSource {
    Arc::new(move |path, offset, len| {
        // Paths in snapshots are relative and without dots.
        let file = File::open(folder.join(path))?;
        let mut bytes = vec![0; len];
        file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    })
}

/// What [`Blockstore::repair`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RepairReport {
    /// Blocks that were quarantined.
    pub bad: u64,
    /// Repaired from the cache.
    pub from_cache: u64,
    /// Repaired from the source.
    pub from_source: u64,
    /// Still bad.
    pub left: Vec<BlockId>,
    /// Snapshots that need none of the bad blocks any more.
    pub healed: Vec<RootId>,
    /// Snapshots that still do.
    pub touched: Vec<RootId>,
}

impl Blockstore {
    /// Tries to repair all quarantined blocks, then says which snapshots are whole again (and unmarks them).
    ///
    /// # Errors
    /// A failing database; a source that fails just does not help.
    pub async fn repair(
        &self,
        source: Option<RepairSource>,
        cancel: CancellationToken,
    ) -> Result<RepairReport, VerifyError> {
        let engine = &self.engine;
        let bad = self.quarantined_blocks().await?;
        let mut report = RepairReport { bad: bad.len() as u64, ..RepairReport::default() };
        let mut left: HashSet<BlockId> = bad.iter().copied().collect();
        if !left.is_empty() {
            // One for each key: blocks are stored again under the key that they were stored under.
            let mut writers = Writers::default();
            let stored = async {
                for ids in bad.chunks(STORE_AT_ONCE) {
                    let found = self.cached(ids).await?;
                    report.from_cache += found.len() as u64;
                    left.retain(|id| !found.iter().any(|(found, ..)| found == id));
                    // The cache holds no block of a group that encrypts.
                    if !found.is_empty() {
                        writers.of(self, None).await?.put_blocks(found).await?;
                    }
                }
                if let Some(source) = source.filter(|_| !left.is_empty()) {
                    let named = snapshots_of(engine, &left, &cancel).await?;
                    for (root, wanted) in self.newest_of(&named.needs).await? {
                        // Without the key nothing can be compared with an id; the blocks stay quarantined.
                        let Some(hasher) = self.hasher_of(&root) else { continue };
                        for (id, place) in places(engine, &root, &wanted).await? {
                            if cancel.is_cancelled() {
                                return Err(VerifyError::Cancelled);
                            }
                            let source = source.clone();
                            let is_node = place.level > 0;
                            let read = engine.workers.run(move || rebuild(&source, hasher, id, &place)).await;
                            let read = read.map_err(|_| ReadError::Internal("a worker thread ended early"))?;
                            let Some(raw) = read else { continue };
                            report.from_source += u64::from(left.remove(&id));
                            writers.of(self, root.key).await?.put_blocks(vec![(id, raw, is_node)]).await?;
                        }
                    }
                }
                Ok(())
            };
            let stored: Result<(), VerifyError> = stored.await;
            writers.end(stored).await?;
        }
        // What the index says now, a writer may have repaired some meanwhile.
        let still: HashSet<BlockId> = self.quarantined_blocks().await?.into_iter().collect();
        let named = snapshots_of(engine, &still, &cancel).await?;
        report.left = still.into_iter().collect();
        report.left.sort();
        let settled = named.settled(&report.left);
        let touched: BTreeSet<RootId> = named.needs.values().flatten().copied().chain(named.unreadable).collect();
        for root in self.all_roots().await? {
            // Of one whose key is not here nothing is known: its mark stays as it is.
            let is_known = root.is_sealed() && !named.locked.contains(&root.id);
            if root.quarantined && is_known && !touched.contains(&root.id) {
                match self.set_quarantined(&root.id, false).await {
                    Ok(()) => report.healed.push(root.id),
                    // A run of the collector unlinked it meanwhile.
                    Err(RootError::NotFound(_)) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        mark(self, touched.clone()).await?;
        report.touched = touched.into_iter().collect();
        engine.store.set_named(&settled).await?;
        Ok(report)
    }

    /// What gives blocks of this snapshot their ids; `None` without its key.
    fn hasher_of(&self, root: &Root) -> Option<BlockHasher> {
        match root.key {
            None => Some(BlockHasher::PLAIN),
            Some(key) => self.engine.options.keys.get(key).map(|keys| keys.hasher()),
        }
    }

    /// Ids that are quarantined now.
    async fn quarantined_blocks(&self) -> Result<Vec<BlockId>, StoreFault> {
        let blocks = &self.engine.store.blocks;
        retrying!("reading the bad blocks", async {
            let mut ids = Vec::new();
            let hint = mongodb::options::Hint::Keys(doc! { "q": 1 });
            let find = blocks.find(doc! { "q": { "$exists": true } }).hint(hint).limit(REPAIR_MAX);
            let mut cursor = find.await?;
            while cursor.advance().await? {
                ids.extend(cursor.current().get_binary("_id").ok().and_then(|id| BlockId::from_slice(id.bytes)));
            }
            Ok(ids)
        })
    }

    async fn cached(&self, ids: &[BlockId]) -> Result<Vec<(BlockId, Bytes, bool)>, VerifyError> {
        let Some(cache) = self.engine.cache.clone() else { return Ok(Vec::new()) };
        let ids = ids.to_vec();
        let found = self.engine.workers.run(move || {
            let mut opener = Opener::new()?;
            let mut found = Vec::new();
            for id in ids {
                for (shelf, is_node) in [(Shelf::Nodes, true), (Shelf::Blocks, false)] {
                    if let Some(raw) = cache.get(shelf, &mut opener, id) {
                        found.push((id, raw, is_node));
                        break;
                    }
                }
            }
            Ok::<_, io::Error>(found)
        });
        let found = found.await.map_err(|_| ReadError::Internal("a worker thread ended early"))?;
        Ok(found.map_err(|_| ReadError::Internal("no memory for a zstd context"))?)
    }

    /// For each block the newest snapshot that needs it, outside the trash if there is one.
    async fn newest_of(
        &self,
        needs: &HashMap<BlockId, Vec<RootId>>,
    ) -> Result<Vec<(Root, HashSet<BlockId>)>, VerifyError> {
        let roots = self.all_roots().await?;
        let rank: HashMap<RootId, (bool, usize)> =
            roots.iter().enumerate().map(|(at, root)| (root.id, (root.trashed_at.is_none(), at))).collect();
        let mut chosen: HashMap<RootId, HashSet<BlockId>> = HashMap::new();
        for (id, snapshots) in needs {
            if let Some(newest) = snapshots.iter().filter(|root| rank.contains_key(root)).max_by_key(|root| rank[root])
            {
                chosen.entry(*newest).or_default().insert(*id);
            }
        }
        Ok(roots.into_iter().filter_map(|root| chosen.remove(&root.id).map(|wanted| (root, wanted))).collect())
    }

    /// Whether a block is marked as bad.
    ///
    /// # Errors
    /// A failing database.
    pub async fn is_quarantined(&self, id: &BlockId) -> Result<bool, StoreFault> {
        let mut session = Causal::default().session(self.engine.store.db.client()).await?;
        let rows = self.engine.store.rows(&mut session, &[*id]).await?;
        Ok(match rows.get(id) {
            Some(Row::Good(row)) => row.quarantined,
            Some(Row::Broken { quarantined }) => *quarantined,
            None => false,
        })
    }
}

/// The registrations of one call, made when they are needed.
#[derive(Default)]
struct Writers(HashMap<Option<KeyId>, SnapshotWriter>);

impl Writers {
    async fn of(&mut self, store: &Blockstore, key: Option<KeyId>) -> Result<&mut SnapshotWriter, VerifyError> {
        match self.0.entry(key) {
            Entry::Occupied(writer) => Ok(writer.into_mut()),
            Entry::Vacant(slot) => {
                let request = WriterRequest { job: REPAIR_JOB.into(), job_epoch: 0, parent: None, key };
                Ok(slot.insert(store.register(request).await?))
            }
        }
    }

    /// Stores what was put, unless something failed before; the registrations go.
    async fn end(self, stored: Result<(), VerifyError>) -> Result<(), VerifyError> {
        let mut ended = stored;
        for mut writer in self.0.into_values() {
            if ended.is_ok() {
                ended = writer.flush().await.map_err(Into::into);
            }
            writer.abandon().await?;
        }
        ended
    }
}

/// A block's content, or a node built from the content below it, if it hashes to the id.
fn rebuild(source: &RepairSource, hasher: BlockHasher, id: BlockId, place: &Place) -> Option<Bytes> {
    let raw = if place.level == 0 {
        source(&place.path, place.offset, usize::try_from(place.len).ok()?).ok()?
    } else {
        rebuild_node(source, hasher, place)?
    };
    (hasher.id(&raw) == id).then(|| raw.into())
}

fn rebuild_node(source: &RepairSource, hasher: BlockHasher, place: &Place) -> Option<Vec<u8>> {
    if place.level > REBUILD_LEVEL_MAX {
        return None;
    }
    let block = u64::from(place.block_size);
    let mut children = Vec::new();
    for at in 0..place.len.div_ceil(block) {
        let len = block.min(place.len - at * block);
        let raw = source(&place.path, place.offset + at * block, usize::try_from(len).ok()?).ok()?;
        children.push(Child { id: (!is_zero(&raw)).then(|| hasher.id(&raw)), len });
    }
    let fanout = usize::try_from(FANOUT).ok()?;
    let mut bytes = None;
    for level in 1..=place.level {
        let mut above = Vec::new();
        for group in children.chunks(fanout) {
            let node = Node { level, children: group.to_vec() };
            let encoded = node.encode();
            let id = group.iter().any(|child| child.id.is_some()).then(|| hasher.id(&encoded));
            above.push(Child { id, len: node.len() });
            bytes = Some(encoded);
        }
        children = above;
    }
    bytes.filter(|_| children.len() == 1)
}
