//! Getting blocks out of the database or the cache, checked.
//!
//! Invariants: what leaves here fits its id (raw) or its stored checksum (frames). A block that is missing is looked up again, because its
//! payload may have moved between the two reads, before it counts as missing. Per-block faults are values beside the good blocks, so that
//! one bad block does not hide the others from a verification.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bson::doc;
use bson::raw::RawDocument;
use bytes::Bytes;
use mongodb::ClientSession;

use crate::cache::Shelf;
use crate::engine::Engine;
use crate::error::{ReadError, StoreFault};
use crate::frame::{Opener, checksum};
use crate::id::{BlockId, PayloadAt};
use crate::store::{BlockRow, LOOKUP_IDS_MAX, Row, Store};
use crate::txn::{Causal, retrying};

/// Payloads asked for in one query, at most: 8 MiB of blocks of the default size.
pub(crate) const FETCH_IDS_MAX: usize = 128;
/// Looking a missing block up again, at most; waits 20, 40, 80, 160 ms between.
const ATTEMPTS_MAX: u32 = 5;

/// A stored frame as it lies in the database.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) raw_len: u32,
    pub(crate) frame: Bytes,
}

/// Where blocks may come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    /// Cache first.
    Anywhere(Shelf),
    /// The database alone: to prove what it holds.
    Database,
}

/// Good blocks and bad ones.
pub(crate) type PerBlock<T> = HashMap<BlockId, Result<T, ReadError>>;

/// Blocks, raw and verified, each asked id once in the answer.
pub(crate) async fn blocks(
    engine: &Arc<Engine>,
    causal: &Causal,
    ids: &[BlockId],
    from: From,
) -> Result<PerBlock<Bytes>, ReadError> {
    let mut wanted = unique(ids);
    let mut all = HashMap::with_capacity(wanted.len());
    if let (From::Anywhere(shelf), Some(cache)) = (from, engine.cache.clone()) {
        let asked = wanted.clone();
        let hits = engine.workers.run(move || {
            let mut opener = Opener::new()?;
            Ok::<_, std::io::Error>(
                asked.into_iter().filter_map(|id| Some((id, cache.get(shelf, &mut opener, id)?))).collect::<Vec<_>>(),
            )
        });
        let hits = hits.await.map_err(|_| broken())?.map_err(|_| no_context())?;
        all.extend(hits.into_iter().map(|(id, raw)| (id, Ok(raw))));
        wanted.retain(|id| !all.contains_key(id));
    }
    for ids in wanted.chunks(FETCH_IDS_MAX) {
        let stored = frames(engine, causal, ids).await?;
        let cache = engine.cache.clone();
        let opened = engine.workers.run(move || {
            let mut opener = Opener::new()?;
            let mut to_cache = Vec::new();
            let mut opened = Vec::with_capacity(stored.len());
            for (id, stored) in stored {
                let raw = stored.and_then(|stored| {
                    let raw = opener
                        .open(id, stored.raw_len, &stored.frame)
                        .map_err(|reason| ReadError::BadBlock { id, reason })?;
                    to_cache.push((id, stored.raw_len, stored.frame));
                    Ok(raw)
                });
                opened.push((id, raw));
            }
            if let (From::Anywhere(shelf), Some(cache)) = (from, cache) {
                cache.put(shelf, &to_cache);
            }
            Ok::<_, std::io::Error>(opened)
        });
        all.extend(opened.await.map_err(|_| broken())?.map_err(|_| no_context())?);
    }
    Ok(all)
}

/// Stored frames, checked by their checksums, each asked id once in the answer.
pub(crate) async fn frames(
    engine: &Arc<Engine>,
    causal: &Causal,
    ids: &[BlockId],
) -> Result<PerBlock<Stored>, ReadError> {
    let mut session = causal.session(engine.store.db.client()).await?;
    let mut all = HashMap::with_capacity(ids.len());
    for ids in unique(ids).chunks(FETCH_IDS_MAX) {
        let mut wanted = ids.to_vec();
        for attempt in 0..ATTEMPTS_MAX {
            if attempt > 0 {
                tokio::time::sleep(Duration::from_millis(10 << attempt)).await;
            }
            let rows = engine.store.rows(&mut session, &wanted).await?;
            let mut places = HashMap::with_capacity(rows.len());
            for (id, row) in rows {
                match row {
                    Row::Good(row) => {
                        places.insert(row.at, (id, row));
                    }
                    Row::Broken { .. } => {
                        all.insert(id, Err(ReadError::BadBlock { id, reason: "its row in the index does not decode" }));
                    }
                }
            }
            payloads(&engine.store, &mut session, &places, &mut all).await?;
            wanted.retain(|id| !all.contains_key(id));
            if wanted.is_empty() {
                break;
            }
        }
        all.extend(wanted.into_iter().map(|id| (id, Err(ReadError::Missing(id)))));
    }
    Ok(all)
}

async fn payloads(
    store: &Store,
    session: &mut ClientSession,
    places: &HashMap<PayloadAt, (BlockId, BlockRow)>,
    all: &mut PerBlock<Stored>,
) -> Result<(), StoreFault> {
    if places.is_empty() {
        return Ok(());
    }
    let filter = doc! { "_id": { "$in": places.keys().map(|at| at.to_bson()).collect::<Vec<_>>() } };
    retrying!("reading payloads", async {
        let mut cursor = store.payloads.find(filter.clone()).session(&mut *session).await?;
        while cursor.advance(&mut *session).await? {
            let raw = cursor.current();
            let Some((id, row)) =
                raw.get_binary("_id").ok().and_then(|at| places.get(&PayloadAt::from_slice(at.bytes)?))
            else {
                continue;
            };
            all.insert(*id, check(*id, row, raw));
        }
        Ok(())
    })
}

/// A payload against its row and its own checksum.
fn check(id: BlockId, row: &BlockRow, raw: &RawDocument) -> Result<Stored, ReadError> {
    let bad = |reason| ReadError::BadBlock { id, reason };
    let payload = Payload::decode(raw).map_err(bad)?;
    if payload.id != id {
        return Err(bad("the payload belongs to another block"));
    }
    if payload.has_key {
        return Err(ReadError::NoKey(id));
    }
    if u32::try_from(payload.frame.len()) != Ok(row.frame_len) {
        return Err(bad("length of the frame differs from the index"));
    }
    if checksum(payload.frame) != payload.sum {
        return Err(bad("the frame does not fit its checksum"));
    }
    crate::frame::check_frame(payload.frame).map_err(bad)?;
    Ok(Stored { raw_len: row.raw_len, frame: Bytes::copy_from_slice(payload.frame) })
}

/// A document of `payloads`.
pub(crate) struct Payload<'a> {
    pub(crate) at: PayloadAt,
    pub(crate) id: BlockId,
    pub(crate) has_key: bool,
    pub(crate) frame: &'a [u8],
    pub(crate) sum: &'a [u8],
}

impl<'a> Payload<'a> {
    pub(crate) fn decode(raw: &'a RawDocument) -> Result<Self, &'static str> {
        let binary =
            |key| raw.get_binary(key).map(|found| found.bytes).map_err(|_| "a field of the payload is missing");
        Ok(Self {
            at: PayloadAt::from_slice(binary("_id")?).ok_or("the payload's place does not decode")?,
            id: BlockId::from_slice(binary("i")?).ok_or("the payload's id does not decode")?,
            has_key: !matches!(raw.get("k"), Ok(None | Some(bson::RawBsonRef::Null))),
            frame: binary("z")?,
            sum: binary("s")?,
        })
    }
}

/// Lengths of stored frames, in the order of the ids.
pub(crate) async fn frame_lengths(engine: &Engine, causal: &Causal, ids: &[BlockId]) -> Result<Vec<u32>, ReadError> {
    let mut session = causal.session(engine.store.db.client()).await?;
    let mut lengths = HashMap::with_capacity(ids.len());
    for chunk in unique(ids).chunks(LOOKUP_IDS_MAX) {
        for (id, row) in engine.store.rows(&mut session, chunk).await? {
            let Row::Good(row) = row else {
                return Err(ReadError::BadBlock { id, reason: "its row in the index does not decode" });
            };
            lengths.insert(id, row.frame_len);
        }
    }
    ids.iter().map(|id| lengths.get(id).copied().ok_or(ReadError::Missing(*id))).collect()
}

fn unique(ids: &[BlockId]) -> Vec<BlockId> {
    let mut seen = HashSet::with_capacity(ids.len());
    ids.iter().copied().filter(|id| seen.insert(*id)).collect()
}

pub(crate) fn broken() -> ReadError {
    ReadError::Internal("a worker thread ended early")
}

fn no_context() -> ReadError {
    ReadError::Internal("no memory for a zstd context")
}
