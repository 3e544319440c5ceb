//! The last stages of the pipeline: compress (and encrypt) blocks, make their payloads durable, index them.
//!
//! Invariants (`docs/concurrency.md` says why): payloads are durable before the transaction that indexes them; that transaction also touches
//! the writer's own registration, so that a writer whose registration is gone indexes nothing; one batch indexes at a time, because all of
//! them touch the same registration. A place is never used twice.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bson::{RawDocumentBuf, doc};
use bytes::Bytes;
use mongodb::ClientSession;

use super::Shared;
use super::claim::{Fate, ROUNDS_MAX, Replaced, fates};
use super::sink::{Body, Candidate};
use crate::cache::Shelf;
use crate::error::{StoreFault, WriteError};
use crate::frame::{Packer, Sealed};
use crate::id::{BlockId, PACKS_MAX, PayloadAt, Place};
use crate::keys::BlockKeys;
use crate::payload::encode_document;
use crate::payload::format::{PackBuilder, PackId};
use crate::payload::packs::PackStore;
use crate::store::{BlockRow, LOOKUP_IDS_MAX};
use crate::txn::{Abort, is_duplicate, retrying, transaction};

/// Bytes of payload documents in one insert.
const INSERT_BYTES: usize = 8 << 20;

/// A block in its stored form that lies nowhere yet.
pub(super) struct Packed {
    sealed: Sealed,
    /// The plain frame, kept only for what goes to the cache.
    frame: Bytes,
    is_node: bool,
    replaces: Option<Replaced>,
}

/// A block whose payload has its place.
pub(super) struct Placed {
    pub(super) id: BlockId,
    row: BlockRow,
    frame: Bytes,
    is_node: bool,
    replaces: Option<Replaced>,
}

impl Packed {
    fn placed(self, at: PayloadAt, epoch: i64) -> Placed {
        let Self { sealed, frame, is_node, replaces } = self;
        let Sealed { id, raw_len, frame_len, .. } = sealed;
        Placed { id, row: BlockRow { raw_len, frame_len, epoch, at, quarantined: false }, frame, is_node, replaces }
    }
}

/// Compresses on the worker threads.
pub(super) async fn pack(
    shared: &Arc<Shared>,
    missing: Vec<(Candidate, Option<Replaced>)>,
) -> Result<Vec<Packed>, WriteError> {
    let part = missing.len().div_ceil(shared.engine.workers.count()).max(1);
    let level = shared.engine.options.zstd_level;
    let mut parts = Vec::new();
    let mut missing = missing.into_iter().peekable();
    while missing.peek().is_some() {
        let group: Vec<_> = missing.by_ref().take(part).collect();
        let keys = shared.keys.clone();
        parts.push(shared.engine.workers.run(move || {
            let mut packer = Packer::new(level).map_err(|_| WriteError::Internal("no memory for a zstd context"))?;
            let pack = |(candidate, replaces)| pack_one(&mut packer, candidate, replaces, keys.as_deref());
            group.into_iter().map(pack).collect::<Result<Vec<_>, _>>()
        }));
    }
    let mut packed = Vec::new();
    for part in futures::future::join_all(parts).await {
        packed.append(&mut part.map_err(|_| broken())??);
    }
    Ok(packed)
}

fn pack_one(
    packer: &mut Packer,
    candidate: Candidate,
    replaces: Option<Replaced>,
    keys: Option<&BlockKeys>,
) -> Result<Packed, WriteError> {
    let Candidate { id, body, is_node } = candidate;
    let raw = match body {
        Body::Raw(raw) => raw,
        // Bytes of a frame do not depend on the store: passed on as they are.
        Body::Sealed(sealed) => {
            let frame = if is_node && sealed.key.is_none() { sealed.body.clone() } else { Bytes::new() };
            return Ok(Packed { sealed, frame, is_node, replaces });
        }
    };
    let frame = packer.pack(&raw).map_err(|_| WriteError::Internal("a block does not compress"))?;
    let kept = if is_node && keys.is_none() { Bytes::copy_from_slice(&frame) } else { Bytes::new() };
    let sealed = Sealed::new(id, raw.len(), frame, keys).ok_or(WriteError::Internal("a block does not seal"))?;
    Ok(Packed { sealed, frame: kept, is_node, replaces })
}

/// Stores payloads as documents.
pub(super) async fn insert_documents(
    shared: &Shared,
    session: &mut ClientSession,
    packed: Vec<Packed>,
) -> Result<Vec<Placed>, WriteError> {
    let first = shared.next_number.fetch_add(packed.len() as u64, Relaxed);
    let mut placed = Vec::with_capacity(packed.len());
    let mut documents: Vec<RawDocumentBuf> = Vec::with_capacity(packed.len());
    for (number, one) in (first..).zip(packed) {
        let at = PayloadAt { writer: shared.id, number };
        documents.push(encode_document(at, &one.sealed));
        placed.push(one.placed(at, shared.epoch));
    }
    while !documents.is_empty() {
        let mut bytes = 0;
        let within = |document: &&RawDocumentBuf| {
            bytes += document.as_bytes().len();
            bytes <= INSERT_BYTES
        };
        let count = documents.iter().take_while(within).count().max(1);
        let rest = documents.split_off(count);
        retrying!("inserting payloads", async {
            match shared.engine.store.payloads.insert_many(&documents).ordered(false).session(&mut *session).await {
                // Places are never used twice: these are our own, from an attempt whose answer was lost.
                Err(error) if is_duplicate(&error) => Ok(()),
                other => other.map(|_| ()),
            }
        })?;
        documents = rest;
    }
    Ok(placed)
}

/// A pack that this writer is filling.
pub(super) struct OpenPack {
    store: Arc<PackStore>,
    builder: PackBuilder,
    placed: Vec<Placed>,
}

impl OpenPack {
    pub(super) fn new(shared: &Shared, store: Arc<PackStore>) -> Result<Self, WriteError> {
        let number = shared.next_pack.fetch_add(1, Relaxed);
        if number >= PACKS_MAX {
            return Err(WriteError::Internal("a writer has used up the numbers of its packs"));
        }
        let builder = PackBuilder::new(PackId { writer: shared.id, number });
        Ok(Self { store, builder, placed: Vec::new() })
    }

    pub(super) fn push(&mut self, shared: &Shared, packed: Packed) -> Result<(), WriteError> {
        let at = self.builder.push(self.store.number, &packed.sealed);
        let at = at.ok_or(WriteError::Internal("a block does not fit a pack"))?;
        self.placed.push(packed.placed(at, shared.epoch));
        Ok(())
    }

    pub(super) fn is_full(&self) -> bool {
        self.builder.len() >= self.store.pack_bytes
    }

    /// Makes the pack durable, then indexes what is in it; the ids.
    pub(super) async fn store(self, shared: &Arc<Shared>) -> Result<Vec<BlockId>, WriteError> {
        let Self { store, builder, mut placed } = self;
        let path = builder.id().path();
        let sealed = shared.engine.workers.run(move || builder.finish());
        store.put(&path, sealed.await.map_err(|_| broken())?).await?;
        shared.engine.stop("writer: payloads inserted").await;
        let ids: Vec<_> = placed.iter().map(|one| one.id).collect();
        let mut session = shared.causal.session(shared.engine.store.db.client()).await?;
        while !placed.is_empty() {
            let rest = placed.split_off(placed.len().min(LOOKUP_IDS_MAX));
            index(shared, &mut session, placed).await?;
            placed = rest;
        }
        shared.engine.stop("writer: indexed").await;
        shared.causal.note(&session);
        remember(shared, &ids, Vec::new()).await?;
        Ok(ids)
    }
}

/// Why a transaction that indexes did not commit.
enum Refusal {
    /// The registration is gone.
    Gone,
    /// Somebody else indexed (or repaired) one of the blocks first.
    Taken,
    Store(StoreFault),
}

impl From<StoreFault> for Refusal {
    fn from(fault: StoreFault) -> Self {
        Self::Store(fault)
    }
}

pub(super) async fn index(
    shared: &Arc<Shared>,
    session: &mut ClientSession,
    placed: Vec<Placed>,
) -> Result<(), WriteError> {
    let _turn = shared.turn.acquire().await.map_err(|_| WriteError::Internal("the turn is closed"))?;
    let mut rest = placed;
    for _ in 0..ROUNDS_MAX {
        if rest.is_empty() {
            return Ok(());
        }
        shared.causal.advance(session);
        if rest.iter().any(|one| one.replaces.is_some()) {
            shared.engine.store.announce_reframing(session).await?;
        }
        match try_index(shared, session, &rest).await {
            Ok(()) => {
                shared.causal.note(session);
                return indexed(shared, rest).await;
            }
            Err(Refusal::Gone) => {
                shared.cancel.cancel();
                return Err(WriteError::Cancelled);
            }
            Err(Refusal::Store(fault)) => return Err(fault.into()),
            Err(Refusal::Taken) => {}
        }
        let mut fates = fates(shared, session, rest.iter().map(|one| one.id).collect()).await?;
        let mut ours = Vec::new();
        let mut open = Vec::new();
        for mut one in rest {
            match fates.remove(&one.id) {
                // An attempt whose answer was lost had committed.
                Some(Fate::Stored(at)) if at == one.row.at => ours.push(one),
                Some(Fate::Stored(_)) => {}
                Some(Fate::Bad(at)) => {
                    one.replaces = Some(at);
                    open.push(one);
                }
                Some(Fate::Missing) | None => {
                    one.replaces = None;
                    open.push(one);
                }
            }
        }
        indexed(shared, ours).await?;
        rest = open;
    }
    if rest.is_empty() { Ok(()) } else { Err(WriteError::Internal("blocks do not settle")) }
}

/// One transaction: touches the registration, inserts rows, turns bad rows to their new payloads.
async fn try_index(shared: &Shared, session: &mut ClientSession, rest: &[Placed]) -> Result<(), Refusal> {
    let store = &shared.engine.store;
    let rows: Vec<_> = rest.iter().filter(|one| one.replaces.is_none()).map(|one| one.row.encode(one.id)).collect();
    transaction!(&mut *session, "indexing blocks", Refusal, {
        let touched = store
            .writers
            .update_one(doc! { "_id": shared.id.to_string() }, doc! { "$inc": { "beat": 1_i64 } })
            .session(&mut *session)
            .await?;
        if touched.matched_count != 1 {
            return Err(Abort::Refused(Refusal::Gone));
        }
        if !rows.is_empty() {
            match store.blocks.insert_many(&rows).session(&mut *session).await {
                Err(error) if is_duplicate(&error) => return Err(Abort::Refused(Refusal::Taken)),
                other => other?,
            };
        }
        for one in rest {
            let Some(old) = one.replaces else { continue };
            let signed = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
            let mut filter = doc! { "_id": one.id.to_bson(), "q": { "$exists": true } };
            let mut set =
                doc! { "at": one.row.at.to_bson(), "n": signed(one.row.raw_len), "l": signed(one.row.frame_len) };
            let mut update = doc! { "$unset": { "q": "", "s": "" } };
            match old {
                Some(old) => {
                    filter.insert("at", old.to_bson());
                    update.insert("$max", doc! { "e": one.row.epoch });
                }
                // Whatever stands in a row that does not decode is not compared with.
                None => {
                    set.insert("e", one.row.epoch);
                }
            }
            update.insert("$set", set);
            if store.blocks.update_one(filter, update).session(&mut *session).await?.matched_count != 1 {
                return Err(Abort::Refused(Refusal::Taken));
            }
        }
        Ok(())
    })
}

/// Counts what is stored now, drops the payloads that were replaced, fills the cache.
async fn indexed(shared: &Arc<Shared>, stored: Vec<Placed>) -> Result<(), WriteError> {
    let mut nodes = Vec::new();
    let mut replaced = Vec::new();
    for one in stored {
        shared.new_blocks.fetch_add(1, Relaxed);
        shared.new_bytes.fetch_add(u64::from(one.row.raw_len), Relaxed);
        shared.stored_bytes.fetch_add(u64::from(one.row.frame_len), Relaxed);
        // A record of a pack stays until the pack is swept or compacted.
        let old = one.replaces.flatten().filter(|at| at.place() == Place::Database);
        replaced.extend(old.map(PayloadAt::to_bson));
        if one.is_node && shared.keys.is_none() {
            nodes.push((one.id, one.row.raw_len, one.frame));
        }
    }
    if !replaced.is_empty() {
        let filter = doc! { "_id": { "$in": replaced } };
        retrying!("deleting replaced payloads", shared.engine.store.payloads.delete_many(filter.clone()))?;
    }
    remember(shared, &[], nodes).await
}

pub(super) async fn remember(
    shared: &Shared,
    settled: &[BlockId],
    nodes: Vec<(BlockId, u32, Bytes)>,
) -> Result<(), WriteError> {
    let Some(cache) = shared.engine.cache.clone() else { return Ok(()) };
    if settled.is_empty() && nodes.is_empty() {
        return Ok(());
    }
    let (settled, epoch) = (settled.to_vec(), shared.epoch);
    let work = move || {
        if !settled.is_empty() {
            cache.remember(&settled, epoch);
        }
        if !nodes.is_empty() {
            cache.put(Shelf::Nodes, &nodes);
        }
    };
    shared.engine.workers.run(work).await.map_err(|_| broken())
}

pub(super) fn broken() -> WriteError {
    WriteError::Internal("a worker thread ended early")
}
