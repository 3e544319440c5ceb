//! The later stages of the pipeline: look candidates up, claim what exists, compress and store what does not.
//!
//! Invariants (`docs/concurrency.md` says why): a block counts as stored only when its row has `e` at or above the writer's epoch; payloads
//! are durable before the transaction that indexes them; that transaction also touches the writer's own registration, so that a writer whose
//! registration is gone indexes nothing. At most [`BATCHES_MAX`] batches are under way; one indexes at a time, because all of them touch the
//! same registration.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bson::spec::BinarySubtype;
use bson::{RawBinaryRef, RawDocumentBuf, doc};
use bytes::Bytes;
use mongodb::ClientSession;
use tokio::task::JoinSet;

use super::Shared;
use crate::cache::Shelf;
use crate::error::{StoreFault, WriteError};
use crate::frame::{Packer, checksum};
use crate::id::{BlockId, PayloadAt};
use crate::store::{BlockRow, LOOKUP_IDS_MAX, Row};
use crate::txn::{Abort, is_duplicate, retrying, transaction};

/// Raw bytes in one batch (and one block more).
const BATCH_BYTES: usize = 8 << 20;
/// Batches under way at a time: one in each of lookup, compression and insertion.
const BATCHES_MAX: usize = 3;
/// Bytes of payload documents in one insert.
const INSERT_BYTES: usize = 8 << 20;
/// Rounds of claiming or indexing until everything is settled: each further one needs somebody else to interfere again.
const ROUNDS_MAX: usize = 16;

/// A block that may have to be stored.
pub(super) struct Candidate {
    pub(super) id: BlockId,
    pub(super) raw: Bytes,
    /// Goes to the cache too: the next snapshot will read it as its parent's.
    pub(super) is_node: bool,
}

/// Collects candidates into batches and settles them in the background.
pub(super) struct Sink {
    shared: Arc<Shared>,
    batch: Vec<Candidate>,
    batch_bytes: usize,
    /// Ids in `batch` and in `flying`.
    unsettled: HashSet<BlockId>,
    flying: JoinSet<Result<Vec<BlockId>, WriteError>>,
    failed: bool,
}

impl Sink {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            batch: Vec::new(),
            batch_bytes: 0,
            unsettled: HashSet::new(),
            flying: JoinSet::new(),
            failed: false,
        }
    }

    /// Takes a candidate; waits while too much is under way.
    pub(super) async fn push(&mut self, candidate: Candidate) -> Result<(), WriteError> {
        if !self.unsettled.insert(candidate.id) {
            return Ok(());
        }
        self.batch_bytes += candidate.raw.len();
        self.batch.push(candidate);
        if self.batch_bytes >= BATCH_BYTES || self.batch.len() >= LOOKUP_IDS_MAX {
            self.launch().await?;
        }
        Ok(())
    }

    /// Waits until everything pushed so far is stored.
    pub(super) async fn flush(&mut self) -> Result<(), WriteError> {
        self.launch().await?;
        while !self.flying.is_empty() {
            self.land().await?;
        }
        Ok(())
    }

    /// Stops what is under way.
    pub(super) async fn stop(&mut self) {
        self.failed = true;
        self.flying.shutdown().await;
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
        match settled {
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

/// A bad block's old place; `None` when its row does not tell.
type Replaced = Option<PayloadAt>;

/// What the index says about a block.
enum Fate {
    /// Stored, and claimed for our epoch.
    Stored(PayloadAt),
    Missing,
    /// There, but bad: to be replaced.
    Bad(Replaced),
}

/// A block on its way into the store.
struct Packed {
    id: BlockId,
    row: BlockRow,
    payload: Option<RawDocumentBuf>,
    frame: Bytes,
    is_node: bool,
    replaces: Option<Replaced>,
}

async fn settle(shared: &Arc<Shared>, batch: Vec<Candidate>) -> Result<Vec<BlockId>, WriteError> {
    let ids: Vec<_> = batch.iter().map(|candidate| candidate.id).collect();
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
    if !missing.is_empty() {
        let mut packed = pack(shared, missing).await?;
        insert_payloads(shared, &mut session, &mut packed).await?;
        shared.engine.stop("writer: payloads inserted").await;
        index(shared, &mut session, packed).await?;
    }
    shared.engine.stop("writer: indexed").await;
    shared.causal.note(&session);
    remember(shared, &ids, Vec::new()).await?;
    Ok(ids)
}

/// Fates of all ids. What the cache has seen before is claimed without looking it up first: one round trip when it is still there.
async fn lookup(
    shared: &Arc<Shared>,
    session: &mut ClientSession,
    ids: &[BlockId],
) -> Result<HashMap<BlockId, Fate>, WriteError> {
    let mut unknown = ids.to_vec();
    if let Some(cache) = shared.engine.cache.clone() {
        let asked = ids.to_vec();
        let known = shared.engine.workers.run(move || cache.known(&asked)).await.map_err(|_| broken())?;
        let is_known = |(id, known): &(&BlockId, Option<i64>)| known.is_some() && !shared.quarantined.contains(*id);
        let hinted: Vec<_> = ids.iter().zip(known).filter(is_known).map(|(id, _)| *id).collect();
        if !hinted.is_empty() && claim(shared, session, &hinted).await? == hinted.len() as u64 {
            let hinted: HashSet<_> = hinted.into_iter().collect();
            unknown.retain(|id| !hinted.contains(id));
        }
    }
    fates(shared, session, unknown).await
}

async fn fates(
    shared: &Arc<Shared>,
    session: &mut ClientSession,
    ids: Vec<BlockId>,
) -> Result<HashMap<BlockId, Fate>, WriteError> {
    let mut fates = HashMap::with_capacity(ids.len());
    let mut open = ids;
    for _ in 0..ROUNDS_MAX {
        if open.is_empty() {
            return Ok(fates);
        }
        let rows = shared.engine.store.rows(session, &open).await?;
        let mut unclaimed = Vec::new();
        for id in open {
            match rows.get(&id) {
                None => fates.insert(id, Fate::Missing),
                Some(Row::Broken { quarantined }) => {
                    if !quarantined {
                        tracing::warn!(%id, "the row of a block does not decode: it is stored anew");
                        shared.engine.store.quarantine(&[id]).await?;
                    }
                    fates.insert(id, Fate::Bad(None))
                }
                Some(Row::Good(row)) if row.quarantined => fates.insert(id, Fate::Bad(Some(row.at))),
                Some(Row::Good(row)) if row.epoch >= shared.epoch => fates.insert(id, Fate::Stored(row.at)),
                Some(Row::Good(_)) => {
                    unclaimed.push(id);
                    None
                }
            };
        }
        if unclaimed.is_empty() {
            return Ok(fates);
        }
        shared.engine.stop("writer: rows read").await;
        // The answer is only a count: when it is short, the next round reads them again.
        if claim(shared, session, &unclaimed).await? == unclaimed.len() as u64 {
            for id in unclaimed {
                if let Some(Row::Good(row)) = rows.get(&id) {
                    fates.insert(id, Fate::Stored(row.at));
                }
            }
            return Ok(fates);
        }
        open = unclaimed;
    }
    Err(WriteError::Internal("claims do not settle"))
}

/// Raises `e` of blocks that exist; how many of them do.
async fn claim(shared: &Shared, session: &mut ClientSession, ids: &[BlockId]) -> Result<u64, StoreFault> {
    let filter =
        doc! { "_id": { "$in": ids.iter().map(|id| id.to_bson()).collect::<Vec<_>>() }, "q": { "$exists": false } };
    let update = doc! { "$max": { "e": shared.epoch } };
    retrying!(
        "claiming blocks",
        shared.engine.store.blocks.update_many(filter.clone(), update.clone()).session(&mut *session)
    )
    .map(|result| result.matched_count)
}

/// Compresses on the worker threads.
async fn pack(shared: &Arc<Shared>, missing: Vec<(Candidate, Option<Replaced>)>) -> Result<Vec<Packed>, WriteError> {
    let mut number = shared.next_number.fetch_add(missing.len() as u64, Relaxed);
    let part = missing.len().div_ceil(shared.engine.workers.count()).max(1);
    let (level, writer, epoch) = (shared.engine.options.zstd_level, shared.id, shared.epoch);
    let mut parts = Vec::new();
    let mut missing = missing.into_iter().peekable();
    while missing.peek().is_some() {
        let group: Vec<_> = missing.by_ref().take(part).collect();
        let first = number;
        number += group.len() as u64;
        parts.push(shared.engine.workers.run(move || {
            let mut packer = Packer::new(level).map_err(|_| WriteError::Internal("no memory for a zstd context"))?;
            let places = (first..).map(|number| PayloadAt { writer, number });
            group
                .into_iter()
                .zip(places)
                .map(|((candidate, replaces), at)| pack_one(&mut packer, candidate, replaces, at, epoch))
                .collect::<Result<Vec<_>, _>>()
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
    at: PayloadAt,
    epoch: i64,
) -> Result<Packed, WriteError> {
    let Candidate { id, raw, is_node } = candidate;
    let frame = packer.pack(&raw).map_err(|_| WriteError::Internal("a block does not compress"))?;
    let length = |len: usize| u32::try_from(len).map_err(|_| WriteError::Internal("a block larger than 4 GiB"));
    let row = BlockRow { raw_len: length(raw.len())?, frame_len: length(frame.len())?, epoch, at, quarantined: false };
    let mut payload = RawDocumentBuf::new();
    let place = at.to_bytes();
    payload.append(bson::cstr!("_id"), generic(&place));
    payload.append(bson::cstr!("i"), generic(&id.0));
    payload.append(bson::cstr!("z"), generic(&frame));
    payload.append(bson::cstr!("s"), generic(&checksum(&frame)));
    // The frame itself is kept only for what goes to the cache.
    let frame = if is_node { frame.into() } else { Bytes::new() };
    Ok(Packed { id, row, payload: Some(payload), frame, is_node, replaces })
}

async fn insert_payloads(
    shared: &Shared,
    session: &mut ClientSession,
    packed: &mut [Packed],
) -> Result<(), WriteError> {
    let mut documents: Vec<RawDocumentBuf> = packed.iter_mut().filter_map(|one| one.payload.take()).collect();
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
    Ok(())
}

fn generic(bytes: &[u8]) -> RawBinaryRef<'_> {
    RawBinaryRef { subtype: BinarySubtype::Generic, bytes }
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

async fn index(shared: &Arc<Shared>, session: &mut ClientSession, packed: Vec<Packed>) -> Result<(), WriteError> {
    let _turn = shared.turn.acquire().await.map_err(|_| WriteError::Internal("the turn is closed"))?;
    let mut rest = packed;
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
async fn try_index(shared: &Shared, session: &mut ClientSession, rest: &[Packed]) -> Result<(), Refusal> {
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
            let mut update = doc! { "$unset": { "q": "" } };
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
async fn indexed(shared: &Arc<Shared>, stored: Vec<Packed>) -> Result<(), WriteError> {
    let mut nodes = Vec::new();
    let mut replaced = Vec::new();
    for one in stored {
        shared.new_blocks.fetch_add(1, Relaxed);
        shared.new_bytes.fetch_add(u64::from(one.row.raw_len), Relaxed);
        shared.stored_bytes.fetch_add(u64::from(one.row.frame_len), Relaxed);
        replaced.extend(one.replaces.flatten().map(PayloadAt::to_bson));
        if one.is_node {
            nodes.push((one.id, one.row.raw_len, one.frame));
        }
    }
    if !replaced.is_empty() {
        let filter = doc! { "_id": { "$in": replaced } };
        retrying!("deleting replaced payloads", shared.engine.store.payloads.delete_many(filter.clone()))?;
    }
    remember(shared, &[], nodes).await
}

async fn remember(shared: &Shared, settled: &[BlockId], nodes: Vec<(BlockId, u32, Bytes)>) -> Result<(), WriteError> {
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

fn broken() -> WriteError {
    WriteError::Internal("a worker thread ended early")
}
