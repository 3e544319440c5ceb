//! The quick proof: what a writer inserted, read back and verified, in the order of writing.
//!
//! Invariants: reads payloads by the registration in their place, so that it needs no list and bounded memory; counts as good only what the
//! index refers to. Payloads that no block names (another writer was first) are orphans, garbage but not faults. What a writer's own proof
//! finds bad is quarantined before the answer, so that the next attempt stores it anew instead of meeting it in the index.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bson::{RawDocumentBuf, doc};
use bytes::Bytes;
use mongodb::ClientSession;

use crate::engine::Engine;
use crate::error::{ErrorClass, ReadError, StoreFault};
use crate::frame::{Opener, Sealed, Unreadable};
use crate::gc::SCAN_ROWS;
use crate::id::{BlockId, PayloadAt, RootId, StoreNumber};
use crate::keys::Keyring;
use crate::payload::format::{decode_pack, decode_record};
use crate::payload::packs::ReadFault;
use crate::payload::{PackId, PayloadStore, decode_document};
use crate::reader::{BadBlock, FETCH_IDS_MAX, From, VerifyReport, fetch_blocks};
use crate::store::{BlockRow, LOOKUP_IDS_MAX, Row};
use crate::txn::{Causal, retrying};

/// What [`crate::Blockstore::verify_new`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewBlocksReport {
    /// Blocks, nodes and pages that this writer inserted and that read back.
    pub blocks: u64,
    /// Their raw bytes.
    pub raw_bytes: u64,
    /// Bytes of their frames.
    pub stored_bytes: u64,
    /// Payloads of this writer that no block refers to.
    pub orphans: u64,
    /// Bad blocks in all.
    pub bad_count: u64,
    /// The first of them, as in [`VerifyReport::bad`].
    pub bad: Vec<BadBlock>,
}

impl NewBlocksReport {
    /// Whether everything was good.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.bad_count == 0
    }
}

/// `wrote_to`: the only store that can hold payloads of this writer; `None`: any.
pub(crate) async fn verify_new(
    engine: &Arc<Engine>,
    writer: RootId,
    wrote_to: Option<PayloadStore>,
) -> Result<NewBlocksReport, ReadError> {
    let causal = Causal::default();
    let mut session = causal.session(engine.store.db.client()).await?;
    let mut proof = Proof::default();
    let mut next = PayloadAt { writer, number: 0 };
    let last = PayloadAt { writer, number: u64::MAX };
    loop {
        let filter = doc! { "_id": { "$gte": next.to_bson(), "$lte": last.to_bson() } };
        let limit = i64::try_from(FETCH_IDS_MAX).map_err(|_| ReadError::Internal("size of a batch"))?;
        let batch: Result<Vec<RawDocumentBuf>, StoreFault> = retrying!("reading new payloads", async {
            let mut batch = Vec::with_capacity(FETCH_IDS_MAX);
            let mut cursor = engine
                .store
                .payloads
                .find(filter.clone())
                .sort(doc! { "_id": 1 })
                .limit(limit)
                .session(&mut session)
                .await?;
            while cursor.advance(&mut session).await? {
                batch.push(cursor.current().to_owned());
            }
            Ok(batch)
        });
        let batch = batch?;
        let Some(place) = batch.last().and_then(|raw| PayloadAt::from_slice(raw.get_binary("_id").ok()?.bytes)) else {
            break;
        };
        // Without a place and an id nothing refers to it as this writer's; the index will name the block as missing to its readers.
        let named = |raw: &RawDocumentBuf| {
            let at = PayloadAt::from_slice(raw.get_binary("_id").ok()?.bytes)?;
            Some((at, BlockId::from_slice(raw.get_binary("i").ok()?.bytes)?))
        };
        let named: Vec<_> = batch.into_iter().filter_map(|raw| Some((named(&raw)?, raw))).collect();
        let rows = rows(engine, &mut session, named.iter().map(|((_, id), _)| *id)).await?;
        let sealed = named.into_iter().map(|((at, id), raw)| {
            let lengths = match rows.get(&id) {
                Some(Row::Good(row)) => (row.raw_len, row.frame_len),
                _ => (0, 0),
            };
            (at, id, decode_document(&raw, lengths.0, lengths.1))
        });
        proof.take(engine, &rows, sealed.collect()).await?;
        let Some(number) = place.number.checked_add(1) else { break };
        next = PayloadAt { writer, number };
    }
    let stores = match wrote_to {
        None => engine.payloads.all_packs()?,
        Some(PayloadStore::Mongo) => Vec::new(),
        Some(PayloadStore::Packs(number)) => vec![engine.payloads.packs(number)?],
    };
    for packs in stores {
        for pack in packs.packs_of(writer).await? {
            let bytes = match packs.whole(pack.id, pack.bytes).await {
                Ok(bytes) => bytes,
                // Nothing refers to it, or its blocks are named as missing to their readers.
                Err(ReadFault::Missing) => continue,
                Err(ReadFault::Torn(reason)) => {
                    proof.faults.push(BadBlock {
                        path: None,
                        id: None,
                        reason: format!("pack {}: {reason}", pack.id.path()),
                    });
                    continue;
                }
                Err(ReadFault::Fault(fault)) => return Err(fault.into()),
            };
            proof.pack(engine, &mut session, packs.number, pack.id, bytes).await?;
        }
    }
    let Proof { mut report, faults } = proof;
    report.bad_count = faults.bad_count;
    report.bad = faults.bad;
    Ok(report)
}

/// Quarantines what refers to this writer's payloads and does not read back. A torn pack and a missing payload do not tell which blocks they
/// held, and one report names few of many: so every row that refers to this writer is read. Looks through the whole index, after a failed
/// proof alone.
pub(crate) async fn quarantine_bad(engine: &Arc<Engine>, causal: &Causal, writer: RootId) -> Result<u64, ReadError> {
    let (first, last) = (PayloadAt { writer, number: 0 }, PayloadAt { writer, number: u64::MAX });
    let mut after: Option<BlockId> = None;
    let mut marked = 0;
    loop {
        let mut filter = doc! { "at": { "$gte": first.to_bson(), "$lte": last.to_bson() }, "q": { "$exists": false } };
        if let Some(after) = after {
            filter.insert("_id", doc! { "$gt": after.to_bson() });
        }
        let mut session = causal.session(engine.store.db.client()).await?;
        let ids: Result<Vec<BlockId>, StoreFault> = retrying!("reading the rows of a writer", async {
            let mut ids = Vec::new();
            let find = engine.store.blocks.find(filter.clone()).sort(doc! { "_id": 1 }).limit(SCAN_ROWS);
            let mut cursor = find.session(&mut session).await?;
            while cursor.advance(&mut session).await? {
                ids.extend(cursor.current().get_binary("_id").ok().and_then(|id| BlockId::from_slice(id.bytes)));
            }
            Ok(ids)
        });
        let ids = ids?;
        let Some(newest) = ids.last() else { return Ok(marked) };
        after = Some(*newest);
        for part in ids.chunks(FETCH_IDS_MAX) {
            let read = fetch_blocks(engine, causal, part, From::Database).await?;
            let is_bad = |(id, raw): (BlockId, Result<Bytes, ReadError>)| {
                raw.is_err_and(|error| error.class() == ErrorClass::Corrupt).then_some(id)
            };
            let bad: Vec<_> = read.into_iter().filter_map(is_bad).collect();
            marked += engine.store.quarantine(&bad).await?;
        }
    }
}

async fn rows(
    engine: &Engine,
    session: &mut ClientSession,
    ids: impl Iterator<Item = BlockId>,
) -> Result<HashMap<BlockId, Row>, StoreFault> {
    let ids: Vec<_> = ids.collect::<HashSet<_>>().into_iter().collect();
    engine.store.rows(session, &ids).await
}

type Read = (PayloadAt, BlockId, Result<Sealed, &'static str>);

#[derive(Default)]
struct Proof {
    report: NewBlocksReport,
    faults: VerifyReport,
}

impl Proof {
    async fn pack(
        &mut self,
        engine: &Arc<Engine>,
        session: &mut ClientSession,
        store: StoreNumber,
        pack: PackId,
        bytes: Bytes,
    ) -> Result<(), ReadError> {
        let whole = bytes.clone();
        let decoded = engine.workers.run(move || decode_pack(pack, &whole)).await;
        let entries = match decoded.map_err(|_| ReadError::Internal("a worker thread ended early"))? {
            Ok(entries) => entries,
            Err(reason) => {
                self.faults.push(BadBlock { path: None, id: None, reason: format!("pack {}: {reason}", pack.path()) });
                return Ok(());
            }
        };
        for part in entries.chunks(LOOKUP_IDS_MAX) {
            let rows = rows(engine, session, part.iter().map(|entry| entry.id)).await?;
            let read = part.iter().map(|entry| {
                let at = PayloadAt::in_pack(pack.writer, store, pack.number, entry.offset);
                let from = usize::try_from(entry.offset).unwrap_or(usize::MAX);
                let record = bytes.get(from..).map(|_| bytes.slice(from..)).ok_or("the record is torn");
                (at, entry.id, record.and_then(|record| decode_record(&record)))
            });
            self.take(engine, &rows, read.collect()).await?;
        }
        Ok(())
    }

    /// Counts what was read against the rows of its blocks.
    async fn take(
        &mut self,
        engine: &Arc<Engine>,
        rows: &HashMap<BlockId, Row>,
        read: Vec<Read>,
    ) -> Result<(), ReadError> {
        let mut ours = Vec::with_capacity(read.len());
        for (at, id, sealed) in read {
            match rows.get(&id) {
                Some(Row::Good(row)) if row.at == at => ours.push((id, *row, sealed)),
                Some(Row::Broken { .. }) => self.faults.push(bad(id, "its row in the index does not decode")),
                _ => self.report.orphans += 1,
            }
        }
        let keys = engine.options.keys.clone();
        let checked = engine.workers.run(move || {
            let mut opener = Opener::new().map_err(|_| ReadError::Internal("no memory for a zstd context"))?;
            let check =
                |(id, row, sealed): (BlockId, BlockRow, _)| (id, row, prove(&mut opener, &keys, id, &row, sealed));
            Ok::<_, ReadError>(ours.into_iter().map(check).collect::<Vec<_>>())
        });
        for (id, row, fault) in checked.await.map_err(|_| ReadError::Internal("a worker thread ended early"))?? {
            match fault {
                // A key that was taken away is not a bad block: the proof cannot be given, and nothing is marked.
                Err(Unreadable::NoKey(key)) => return Err(ReadError::NoKey { id, key }),
                Ok(()) => {
                    self.report.blocks += 1;
                    self.report.raw_bytes += u64::from(row.raw_len);
                    self.report.stored_bytes += u64::from(row.frame_len);
                }
                Err(Unreadable::Bad(reason)) => self.faults.push(bad(id, reason)),
            }
        }
        Ok(())
    }
}

fn prove(
    opener: &mut Opener,
    keys: &Keyring,
    id: BlockId,
    row: &BlockRow,
    sealed: Result<Sealed, &'static str>,
) -> Result<(), Unreadable> {
    let sealed = sealed.map_err(Unreadable::Bad)?;
    if (sealed.id, sealed.raw_len, sealed.frame_len) != (id, row.raw_len, row.frame_len) {
        return Err(Unreadable::Bad("the payload differs from the index"));
    }
    let (frame, hasher) = sealed.frame(keys)?;
    opener.open(hasher, id, row.raw_len, &frame).map(|_| ()).map_err(Unreadable::Bad)
}

fn bad(id: BlockId, reason: &str) -> BadBlock {
    BadBlock { path: None, id: Some(id), reason: reason.to_owned() }
}
