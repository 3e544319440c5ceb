//! Snapshots from a pack store alone, without any database: roots from their copies, blocks from the lists of the packs.
//!
//! Invariants: changes nothing in the store; everything returned is checked as a reader of the database's index checks it; memory does not
//! grow with the store, because the index that is built lies in a scratch folder. Where several payloads of one block are there (a bad one
//! and its repair), the first that is good counts. Called by whoever has lost the database, or does not trust it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path as ObjectPath;
use rocksdb::{DB, Direction, IteratorMode, Options, WriteBatch, WriteOptions};
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use crate::error::{ErrorClass, OpenError, PackFault, ReadError};
use crate::frame::Opener;
use crate::id::{BlockId, PayloadAt, Place, RootId, StoreNumber};
use crate::keys::{KeyId, Keyring};
use crate::payload::Aside;
use crate::payload::format::{Entry, PACKS, PackId, salvage};
use crate::payload::identity::MARKER;
use crate::payload::mirror::{self, BadCopy, ROOTS};
use crate::payload::packs::{Listed, PackStore, ReadFault};
use crate::payload::{PackLocation, PackStoreOptions};
use crate::progress::{OnProgress, Progress};
use crate::reader::{
    FETCH_IDS_MAX, FileSource, LeafWalk, Memo, PAGES_AT_ONCE, Stored, check, decode_node, entries, materialise,
};
use crate::root::Root;
use crate::source::{FRAMES_MAX, FrameSource};
use crate::store::BlockRow;
use crate::tree::{FileEntry, Node};
use crate::workers::Workers;

/// Lists of packs read at a time.
const LISTS_AT_ONCE: usize = 8;
/// Payloads of one block that are tried, at most.
const CANDIDATES_MAX: usize = 8;
/// Store number under which places stand in the index: it is never compared with a database's.
const NUMBER: u8 = 0;

/// Opening a pack store for recovery.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// The location is not one.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Nothing lies there that this program wrote.
    #[error("there is no pack store at this location")]
    NoStore,
    /// The scratch folder cannot be used.
    #[error("building the index in {path}: {reason}")]
    Scratch {
        /// The folder.
        path: PathBuf,
        /// What RocksDB said.
        reason: String,
    },
    /// The pack store failed.
    #[error(transparent)]
    Packs(#[from] PackFault),
}

impl RecoverError {
    /// See [`ErrorClass`].
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Open(error) => error.class(),
            Self::NoStore | Self::Scratch { .. } => ErrorClass::Operator,
            Self::Packs(fault) => fault.class(),
        }
    }
}

/// A copy of a root, as it was found.
#[derive(Debug, Clone)]
pub struct RecoveredRoot {
    /// The snapshot.
    pub id: RootId,
    /// Its root, or why it cannot be read.
    pub root: Result<Root, RootFault>,
}

/// Why a copy of a root cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RootFault {
    /// It is encrypted under this key, which is not in the ring.
    #[error("it is encrypted under key {0}, which is not at hand")]
    NoKey(KeyId),
    /// It is not what was written.
    #[error("{0}")]
    Bad(&'static str),
}

/// A pack store, open for recovery. Cheap to clone.
#[derive(Clone)]
pub struct Recovery(Arc<Inner>);

struct Inner {
    packs: Arc<PackStore>,
    keys: Keyring,
    /// Blocks by id; `None` where only what is small is looked at.
    index: Option<DB>,
    workers: Workers,
    bad_packs: Vec<(String, &'static str)>,
}

impl Recovery {
    /// Reads the lists of all packs into an index in `scratch` (a folder of its own, which may be deleted afterwards). `progress` counts the
    /// packs as files.
    ///
    /// # Errors
    /// `NoStore`, `Scratch`, a failing store. Packs that cannot be read are no error: [`Self::bad_packs`].
    pub async fn open(
        options: &PackStoreOptions,
        keys: Keyring,
        scratch: &Path,
        progress: OnProgress,
    ) -> Result<Self, RecoverError> {
        let packs = known(options).await?;
        let failed =
            |error: rocksdb::Error| RecoverError::Scratch { path: scratch.to_owned(), reason: error.to_string() };
        let mut create = Options::default();
        create.create_if_missing(true);
        let index = DB::open(&create, scratch).map_err(failed)?;
        let number = StoreNumber::new(NUMBER).ok_or(RecoverError::NoStore)?;
        let listed: Vec<Listed> = packs
            .names(&ObjectPath::from(PACKS))
            .await?
            .into_iter()
            .filter_map(|(name, bytes)| Some(Listed { id: PackId::from_path(&name)?, bytes }))
            .collect();
        let mut done = Progress { files_total: listed.len() as u64, ..Progress::default() };
        let mut bad_packs = Vec::new();
        let lists = listed.into_iter().map(|pack| {
            let packs = &packs;
            async move { Ok::<_, PackFault>((pack, read_list(packs, pack).await?)) }
        });
        let mut lists = futures::stream::iter(lists).buffer_unordered(LISTS_AT_ONCE);
        while let Some((pack, (entries, fault))) = lists.try_next().await? {
            bad_packs.extend(fault.map(|reason| (pack.id.path().to_string(), reason)));
            let mut batch = WriteBatch::default();
            for entry in entries {
                let at = PayloadAt::in_pack(pack.id.writer, number, pack.id.number, entry.offset);
                let lengths = [entry.raw_len.to_le_bytes(), entry.frame_len.to_le_bytes()].concat();
                batch.put([&entry.id.0[..], &at.to_bytes()[..]].concat(), lengths);
            }
            let mut unlogged = WriteOptions::default();
            unlogged.disable_wal(true);
            index.write_opt(batch, &unlogged).map_err(failed)?;
            done.files += 1;
            progress(done);
        }
        drop(lists);
        let workers = Workers::new(2);
        Ok(Self(Arc::new(Inner { packs: Arc::new(packs), keys, index: Some(index), workers, bad_packs })))
    }

    /// Opens it without reading a pack: for [`Self::roots`] and [`Self::aside`] alone; reading a snapshot fails.
    ///
    /// # Errors
    /// `NoStore`, a failing store.
    pub async fn glance(options: &PackStoreOptions, keys: Keyring) -> Result<Self, RecoverError> {
        let packs = Arc::new(known(options).await?);
        Ok(Self(Arc::new(Inner { packs, keys, index: None, workers: Workers::new(1), bad_packs: Vec::new() })))
    }

    /// What was kept beside the packs.
    #[must_use]
    pub fn aside(&self) -> Aside {
        Aside::new(self.0.packs.clone(), self.0.keys.clone())
    }

    /// Packs that could not be read, or only in part, and why.
    #[must_use]
    pub fn bad_packs(&self) -> &[(String, &'static str)] {
        &self.0.bad_packs
    }

    /// All snapshots of which there is a copy of the root, sorted by commit; those that cannot be read last.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn roots(&self) -> Result<Vec<RecoveredRoot>, PackFault> {
        let names = self.0.packs.names(&ObjectPath::from(ROOTS)).await?;
        let mut roots = Vec::with_capacity(names.len());
        for id in names.iter().filter_map(|(name, _)| mirror::id_from_path(name)) {
            let Some(bytes) = self.0.packs.get(&mirror::path(id)).await? else { continue };
            let root = mirror::decode(id, &bytes, &self.0.keys).map_err(|bad| match bad {
                BadCopy::NoKey(key) => RootFault::NoKey(key),
                BadCopy::Bad(reason) => RootFault::Bad(reason),
            });
            roots.push(RecoveredRoot { id, root });
        }
        roots.sort_by_key(|one| (one.root.is_err(), one.root.as_ref().ok().map(|root| root.committed_at), one.id));
        Ok(roots)
    }

    /// Reads a snapshot: materialise it, or make an [`crate::archive::Archive`] of it.
    #[must_use]
    pub fn snapshot(&self, root: Root) -> RecoveredSnapshot {
        RecoveredSnapshot(Arc::new(Snapshot {
            recovery: self.clone(),
            root,
            files: OnceCell::new(),
            memo: Memo::default(),
        }))
    }

    /// Payloads of a block, as the packs' lists say.
    fn candidates(&self, id: BlockId) -> Result<Vec<BlockRow>, ReadError> {
        let index = self.0.index.as_ref().ok_or(ReadError::Internal("the packs were not looked at"))?;
        let mut rows = Vec::new();
        for item in index.iterator(IteratorMode::From(&id.0, Direction::Forward)).take(CANDIDATES_MAX) {
            let (key, lengths) = item.map_err(|_| ReadError::Internal("the scratch index cannot be read"))?;
            let Some(at) = key.strip_prefix(&id.0[..]).and_then(PayloadAt::from_slice) else { break };
            let Some((raw_len, frame_len)) = lengths.split_first_chunk::<4>() else { break };
            let Ok(frame_len) = frame_len.try_into() else { break };
            let (raw_len, frame_len) = (u32::from_le_bytes(*raw_len), u32::from_le_bytes(frame_len));
            rows.push(BlockRow { raw_len, frame_len, epoch: 0, at, quarantined: false });
        }
        Ok(rows)
    }

    /// Payloads of blocks, in the order of the ids.
    async fn all_candidates(&self, ids: &[BlockId]) -> Result<Vec<Vec<BlockRow>>, ReadError> {
        let (recovery, ids) = (self.clone(), ids.to_vec());
        let found = self.0.workers.run(move || ids.into_iter().map(|id| recovery.candidates(id)).collect());
        found.await.map_err(|_| ReadError::Internal("a worker thread ended early"))?
    }

    /// Frames, checked, each asked id once in the answer.
    async fn frames(&self, ids: &[BlockId]) -> Result<HashMap<BlockId, Result<Stored, ReadError>>, ReadError> {
        let mut found: HashMap<BlockId, Result<Stored, ReadError>> = HashMap::with_capacity(ids.len());
        let mut open: HashMap<BlockId, std::vec::IntoIter<BlockRow>> = HashMap::new();
        for (id, rows) in ids.iter().zip(self.all_candidates(ids).await?) {
            open.entry(*id).or_insert(rows.into_iter());
        }
        // Each round tries the next payload of every block that has no good one yet.
        for _ in 0..CANDIDATES_MAX {
            let mut by_pack: HashMap<PackId, Vec<(BlockId, BlockRow, u32)>> = HashMap::new();
            for (id, rows) in &mut open {
                if let Some(row) = rows.next()
                    && let Place::Pack { pack, offset, .. } = row.at.place()
                {
                    let pack = PackId { writer: row.at.writer, number: pack };
                    by_pack.entry(pack).or_default().push((*id, row, offset));
                }
            }
            if by_pack.is_empty() {
                break;
            }
            for (pack, wanted) in by_pack {
                let ranges: Vec<_> = wanted.iter().map(|(_, row, offset)| (*offset, row.frame_len)).collect();
                let records = match self.0.packs.records(pack, &ranges).await {
                    Ok(records) => records,
                    Err(ReadFault::Missing) => vec![Err("its pack is gone"); wanted.len()],
                    Err(ReadFault::Torn(reason)) => vec![Err(reason); wanted.len()],
                    Err(ReadFault::Fault(fault)) => return Err(fault.into()),
                };
                for ((id, row, _), record) in wanted.into_iter().zip(records) {
                    let checked = check(id, &row, record, &self.0.keys);
                    if checked.is_ok() {
                        open.remove(&id);
                    }
                    found.insert(id, checked);
                }
            }
        }
        for id in open.into_keys() {
            found.entry(id).or_insert(Err(ReadError::Missing(id)));
        }
        Ok(found)
    }
}

/// The store at this location, if one is there.
async fn known(options: &PackStoreOptions) -> Result<PackStore, RecoverError> {
    if matches!(&options.location, PackLocation::Directory(path) if !path.is_dir()) {
        return Err(RecoverError::NoStore);
    }
    let packs = PackStore::new(options)?;
    if packs.get(&ObjectPath::from(MARKER)).await?.is_none() {
        return Err(RecoverError::NoStore);
    }
    Ok(packs)
}

/// The list of a pack; of a torn one what can be made out, and why.
async fn read_list(packs: &PackStore, pack: Listed) -> Result<(Vec<Entry>, Option<&'static str>), PackFault> {
    match packs.list_of(pack).await {
        Ok(entries) => Ok((entries, None)),
        Err(ReadFault::Missing) => Ok((Vec::new(), None)),
        Err(ReadFault::Torn(reason)) => match packs.whole(pack.id, pack.bytes).await {
            Ok(bytes) => Ok((salvage(pack.id, &bytes), Some(reason))),
            Err(ReadFault::Fault(fault)) => Err(fault),
            Err(_) => Ok((Vec::new(), Some(reason))),
        },
        Err(ReadFault::Fault(fault)) => Err(fault),
    }
}

/// One snapshot of a [`Recovery`]. Cheap to clone.
#[derive(Clone)]
pub struct RecoveredSnapshot(Arc<Snapshot>);

struct Snapshot {
    recovery: Recovery,
    root: Root,
    files: OnceCell<Arc<Vec<FileEntry>>>,
    memo: Memo,
}

impl RecoveredSnapshot {
    /// As [`crate::SnapshotReader::files`].
    ///
    /// # Errors
    /// As there.
    pub async fn files(&self) -> Result<Arc<Vec<FileEntry>>, ReadError> {
        let load = || async {
            let mut all = Vec::new();
            for ids in entries::pages(self).await?.chunks(PAGES_AT_ONCE) {
                all.extend(ids.iter().copied().zip(self.blocks(ids).await?));
            }
            entries::decode(&self.0.root, all).map(Arc::new)
        };
        self.0.files.get_or_try_init(load).await.cloned()
    }

    /// As [`crate::SnapshotReader::materialise`].
    ///
    /// # Errors
    /// As there.
    pub async fn materialise(
        &self,
        dir: &Path,
        progress: OnProgress,
        cancel: CancellationToken,
    ) -> Result<(), ReadError> {
        materialise(self, dir, progress, cancel).await
    }

    /// How many blocks of the files no pack lists: 0 says that the snapshot is whole as far as can be told without reading its bytes. Reads
    /// the nodes. A block that several files share counts for each.
    ///
    /// # Errors
    /// When the store fails, or a node cannot be read: then more than single blocks are lost.
    pub async fn absent_blocks(&self) -> Result<u64, ReadError> {
        let recovery = &self.0.recovery;
        let (files, mut absent, mut batch) = (self.files().await?, 0, Vec::new());
        for entry in files.iter() {
            let mut walk = LeafWalk::new(entry, 0..entry.size);
            loop {
                let leaf = walk.next(self).await?;
                batch.extend(leaf.and_then(|leaf| leaf.id));
                if batch.len() >= FETCH_IDS_MAX || (leaf.is_none() && !batch.is_empty()) {
                    let found = recovery.all_candidates(&batch).await?;
                    absent += found.iter().filter(|rows| rows.is_empty()).count() as u64;
                    batch.clear();
                }
                if leaf.is_none() {
                    break;
                }
            }
        }
        Ok(absent)
    }
}

impl FileSource for RecoveredSnapshot {
    async fn all_files(&self) -> Result<Arc<Vec<FileEntry>>, ReadError> {
        self.files().await
    }

    async fn fetch_ahead(&self, nodes: &[BlockId]) -> Result<(), ReadError> {
        let missing: Vec<_> = nodes.iter().copied().filter(|id| self.0.memo.get(*id).is_none()).collect();
        for ids in missing.chunks(FETCH_IDS_MAX) {
            for (id, raw) in ids.iter().zip(self.blocks(ids).await?) {
                self.0.memo.put(*id, Arc::new(decode_node(*id, &raw)?));
            }
        }
        Ok(())
    }

    fn workers(&self) -> &Workers {
        &self.0.recovery.0.workers
    }
}

impl FrameSource for RecoveredSnapshot {
    async fn entries(&self) -> Result<Vec<FileEntry>, ReadError> {
        Ok(self.files().await?.as_ref().clone())
    }

    async fn node(&self, id: BlockId) -> Result<Arc<Node>, ReadError> {
        if let Some(node) = self.0.memo.get(id) {
            return Ok(node);
        }
        let raw = self.blocks(&[id]).await?;
        let node = Arc::new(decode_node(id, raw.first().ok_or(ReadError::Internal("no block in the answer"))?)?);
        self.0.memo.put(id, node.clone());
        Ok(node)
    }

    async fn frame_lengths(&self, ids: &[BlockId]) -> Result<Vec<u32>, ReadError> {
        // Not from the index alone: of several payloads the one that will be read counts.
        let mut lengths = Vec::with_capacity(ids.len());
        for ids in ids.chunks(FRAMES_MAX) {
            for (id, rows) in ids.iter().zip(self.0.recovery.all_candidates(ids).await?) {
                match rows.as_slice() {
                    [] => return Err(ReadError::Missing(*id)),
                    [row] => lengths.push(row.frame_len),
                    _ => {
                        let frame = self.frames(&[*id]).await?;
                        let len = frame.first().and_then(|frame| u32::try_from(frame.len()).ok());
                        lengths.push(len.ok_or(ReadError::Missing(*id))?);
                    }
                }
            }
        }
        Ok(lengths)
    }

    async fn frames(&self, ids: &[BlockId]) -> Result<Vec<Bytes>, ReadError> {
        let stored = in_order(ids, self.0.recovery.frames(ids).await?)?;
        Ok(stored.into_iter().map(|stored| stored.frame).collect())
    }

    async fn blocks(&self, ids: &[BlockId]) -> Result<Vec<Bytes>, ReadError> {
        let (asked, stored) = (ids.to_vec(), in_order(ids, self.0.recovery.frames(ids).await?)?);
        let open = move || {
            let mut opener = Opener::new().map_err(|_| ReadError::Internal("no memory for a zstd context"))?;
            let pairs = asked.into_iter().zip(stored);
            let open = |(id, stored): (BlockId, Stored)| {
                let raw = opener.open(stored.hasher, id, stored.raw_len, &stored.frame);
                raw.map_err(|reason| ReadError::BadBlock { id, reason })
            };
            pairs.map(open).collect()
        };
        let opened = self.workers().run(open).await;
        opened.map_err(|_| ReadError::Internal("a worker thread ended early"))?
    }

    async fn stored_sum(&self, node: BlockId) -> Result<u64, ReadError> {
        let (mut sum, mut open) = (0u64, vec![node]);
        while let Some(id) = open.pop() {
            let node = self.node(id).await?;
            let children = node.children.iter().filter_map(|child| child.id);
            if node.level > 1 {
                open.extend(children);
            } else {
                let ids: Vec<_> = children.collect();
                sum = sum.saturating_add(self.frame_lengths(&ids).await?.into_iter().map(u64::from).sum());
            }
        }
        Ok(sum)
    }

    async fn reframed(&self) -> Result<i64, ReadError> {
        // Nothing replaces frames while a store is only read.
        Ok(0)
    }

    fn root(&self) -> &Root {
        &self.0.root
    }
}

/// Frames in the order of the ids; the first bad one is the error.
fn in_order(ids: &[BlockId], mut found: HashMap<BlockId, Result<Stored, ReadError>>) -> Result<Vec<Stored>, ReadError> {
    for id in ids {
        if found.get(id).is_some_and(Result::is_err)
            && let Some(Err(error)) = found.remove(id)
        {
            return Err(error);
        }
    }
    let stored = |id: &BlockId| match found.get(id) {
        Some(Ok(stored)) => Ok(stored.clone()),
        _ => Err(ReadError::Missing(*id)),
    };
    ids.iter().map(stored).collect()
}
