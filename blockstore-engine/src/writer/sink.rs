//! The later stages of the pipeline, put together: candidates are collected into batches, looked up and claimed (`claim.rs`), and what is not
//! there is stored and indexed (`insert.rs`).
//!
//! Invariants: at most [`BATCHES_MAX`] batches and [`UPLOADS_MAX`] packs are under way, and one pack is being filled; an id counts as
//! unsettled until a block of that id is stored and claimed, so that it goes this way once.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use tokio::task::JoinSet;

use super::Shared;
use super::claim::{Fate, lookup};
use super::insert::{OpenPack, Packed, index, insert_documents, pack, remember};
use crate::error::WriteError;
use crate::frame::Sealed;
use crate::id::BlockId;
use crate::payload::PayloadStore;
use crate::store::LOOKUP_IDS_MAX;

/// Raw bytes in one batch (and one block more).
const BATCH_BYTES: usize = 8 << 20;
/// Batches under way at a time: one in each of lookup, compression and insertion.
const BATCHES_MAX: usize = 3;
/// Packs being uploaded or indexed at a time, while the next one fills: what they hold in memory.
const UPLOADS_MAX: usize = 2;

/// A block that may have to be stored.
pub(super) struct Candidate {
    pub(super) id: BlockId,
    pub(super) body: Body,
    /// Goes to the cache too: the next snapshot will read it as its parent's.
    pub(super) is_node: bool,
}

/// A candidate's bytes.
pub(super) enum Body {
    /// As they are in a file: to be compressed, and encrypted where the group encrypts.
    Raw(Bytes),
    /// In their stored form already, from another store: checked, and under this writer's key if there is one.
    Sealed(Sealed),
}

impl Candidate {
    pub(super) fn raw(id: BlockId, raw: Bytes, is_node: bool) -> Self {
        Self { id, body: Body::Raw(raw), is_node }
    }

    fn len(&self) -> usize {
        match &self.body {
            Body::Raw(raw) => raw.len(),
            Body::Sealed(sealed) => sealed.body.len(),
        }
    }
}

/// Collects candidates into batches and settles them in the background.
pub(super) struct Sink {
    shared: Arc<Shared>,
    batch: Vec<Candidate>,
    batch_bytes: usize,
    /// Ids in `batch` and in `flying`.
    unsettled: HashSet<BlockId>,
    flying: JoinSet<Result<Settled, WriteError>>,
    /// The pack being filled, where payloads go to packs.
    open: Option<OpenPack>,
    uploads: JoinSet<Result<Vec<BlockId>, WriteError>>,
    failed: bool,
}

/// What became of a batch.
#[derive(Default)]
struct Settled {
    /// Stored and claimed.
    ids: Vec<BlockId>,
    /// To go into packs.
    packed: Vec<Packed>,
}

impl Sink {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            batch: Vec::new(),
            batch_bytes: 0,
            unsettled: HashSet::new(),
            flying: JoinSet::new(),
            open: None,
            uploads: JoinSet::new(),
            failed: false,
        }
    }

    /// Takes a candidate; waits while too much is under way.
    pub(super) async fn push(&mut self, candidate: Candidate) -> Result<(), WriteError> {
        if !self.unsettled.insert(candidate.id) {
            return Ok(());
        }
        self.batch_bytes += candidate.len();
        self.batch.push(candidate);
        if self.batch_bytes >= BATCH_BYTES || self.batch.len() >= LOOKUP_IDS_MAX {
            self.launch().await?;
        }
        Ok(())
    }

    /// Whether a block of this id is on its way into the store.
    pub(super) fn is_unsettled(&self, id: &BlockId) -> bool {
        self.unsettled.contains(id)
    }

    /// Waits until everything pushed so far is stored.
    pub(super) async fn flush(&mut self) -> Result<(), WriteError> {
        self.launch().await?;
        while !self.flying.is_empty() {
            self.land().await?;
        }
        if let Some(pack) = self.open.take() {
            self.upload(pack).await?;
        }
        while !self.uploads.is_empty() {
            self.uploaded().await?;
        }
        Ok(())
    }

    /// Stops what is under way.
    pub(super) async fn stop(&mut self) {
        self.failed = true;
        self.open = None;
        self.flying.shutdown().await;
        self.uploads.shutdown().await;
    }

    async fn launch(&mut self) -> Result<(), WriteError> {
        if self.failed {
            return Err(if self.shared.cancel.is_cancelled() {
                WriteError::Cancelled
            } else {
                WriteError::Request("an earlier write failed")
            });
        }
        while self.flying.len() >= BATCHES_MAX {
            self.land().await?;
        }
        let batch = std::mem::take(&mut self.batch);
        self.batch_bytes = 0;
        if !batch.is_empty() {
            let shared = self.shared.clone();
            self.flying.spawn(async move {
                let cancel = shared.cancel.clone();
                tokio::select! {
                    biased;
                    () = cancel.cancelled() => Err(WriteError::Cancelled),
                    settled = settle(&shared, batch) => settled,
                }
            });
        }
        Ok(())
    }

    async fn land(&mut self) -> Result<(), WriteError> {
        let Some(landed) = self.flying.join_next().await else { return Ok(()) };
        let settled = landed.map_err(|_| WriteError::Internal("a batch ended early")).and_then(|settled| settled);
        let filled = match settled {
            Ok(Settled { ids, packed }) => {
                for id in ids {
                    self.unsettled.remove(&id);
                }
                self.fill(packed).await
            }
            Err(error) => Err(error),
        };
        self.failed |= filled.is_err();
        filled
    }

    /// Appends to the open pack; full ones go.
    async fn fill(&mut self, packed: Vec<Packed>) -> Result<(), WriteError> {
        for one in packed {
            let mut pack = match self.open.take() {
                Some(pack) => pack,
                None => {
                    let PayloadStore::Packs(number) = self.shared.write_to else {
                        return Err(WriteError::Internal("blocks for packs where payloads go to the database"));
                    };
                    OpenPack::new(&self.shared, self.shared.engine.payloads.packs(number)?)?
                }
            };
            pack.push(&self.shared, one)?;
            if pack.is_full() {
                self.upload(pack).await?;
            } else {
                self.open = Some(pack);
            }
        }
        Ok(())
    }

    async fn upload(&mut self, pack: OpenPack) -> Result<(), WriteError> {
        while self.uploads.len() >= UPLOADS_MAX {
            self.uploaded().await?;
        }
        let shared = self.shared.clone();
        self.uploads.spawn(async move {
            let cancel = shared.cancel.clone();
            tokio::select! {
                biased;
                () = cancel.cancelled() => Err(WriteError::Cancelled),
                stored = pack.store(&shared) => stored,
            }
        });
        Ok(())
    }

    async fn uploaded(&mut self) -> Result<(), WriteError> {
        let Some(landed) = self.uploads.join_next().await else { return Ok(()) };
        match landed.map_err(|_| WriteError::Internal("a pack ended early")).and_then(|stored| stored) {
            Ok(ids) => {
                for id in ids {
                    self.unsettled.remove(&id);
                }
                Ok(())
            }
            Err(error) => {
                self.failed = true;
                Err(error)
            }
        }
    }
}

/// Looks a batch up, claims what is there, compresses what is not; stores that in the database, or hands it on for packs.
async fn settle(shared: &Arc<Shared>, batch: Vec<Candidate>) -> Result<Settled, WriteError> {
    let mut ids: Vec<_> = batch.iter().map(|candidate| candidate.id).collect();
    let mut session = shared.causal.session(shared.engine.store.db.client()).await?;
    shared.engine.stop("writer: before the lookup").await;
    let mut fates = lookup(shared, &mut session, &ids).await?;
    shared.engine.stop("writer: looked up and claimed").await;
    let missing: Vec<_> = batch
        .into_iter()
        .filter_map(|candidate| match fates.remove(&candidate.id)? {
            Fate::Stored(_) => None,
            Fate::Missing => Some((candidate, None)),
            Fate::Bad(at) => Some((candidate, Some(at))),
        })
        .collect();
    let mut settled = Settled::default();
    if !missing.is_empty() {
        let open: HashSet<_> = missing.iter().map(|(candidate, _)| candidate.id).collect();
        let packed = pack(shared, missing).await?;
        if shared.write_to == PayloadStore::Mongo {
            let placed = insert_documents(shared, &mut session, packed).await?;
            shared.engine.stop("writer: payloads inserted").await;
            index(shared, &mut session, placed).await?;
        } else {
            ids.retain(|id| !open.contains(id));
            settled.packed = packed;
        }
    }
    shared.engine.stop("writer: indexed").await;
    shared.causal.note(&session);
    remember(shared, &ids, Vec::new()).await?;
    settled.ids = ids;
    Ok(settled)
}
