//! Getting blocks out of the payload stores or the cache, checked, decrypted where they are encrypted.
//!
//! Invariants: what leaves here fits its id (raw) or its stored checksum (frames). A block that is missing is looked up again, because its
//! payload may have moved between the two reads, before it counts as missing. Per-block faults are values beside the good blocks, so that
//! one bad block does not hide the others from a verification.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mongodb::ClientSession;

use crate::cache::Shelf;
use crate::engine::Engine;
use crate::error::ReadError;
use crate::frame::{Opener, Sealed, Unreadable};
use crate::id::{BlockHasher, BlockId, PayloadAt};
use crate::keys::Keyring;
use crate::store::{BlockRow, LOOKUP_IDS_MAX, Row};
use crate::txn::Causal;

/// Payloads asked for in one query, at most: 8 MiB of blocks of the default size.
pub(crate) const FETCH_IDS_MAX: usize = 128;
/// Looking a missing block up again, at most; waits 20, 40, 80, 160 ms between.
const ATTEMPTS_MAX: u32 = 5;

/// A stored frame, plain.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) raw_len: u32,
    pub(crate) frame: Bytes,
    /// What gave its block the id.
    pub(crate) hasher: BlockHasher,
}

/// Where blocks may come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    /// Cache first.
    Anywhere(Shelf),
    /// The payload stores alone: to prove what they hold.
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
                        .open(stored.hasher, id, stored.raw_len, &stored.frame)
                        .map_err(|reason| ReadError::BadBlock { id, reason })?;
                    // The cache is not encrypted.
                    if !stored.hasher.is_keyed() {
                        to_cache.push((id, stored.raw_len, stored.frame));
                    }
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
    let keys = engine.options.keys.clone();
    each(engine, causal, ids, move |id, row, sealed| check(id, row, sealed, &keys)).await
}

/// Payloads in their stored form, for another store: checked as far as the keys at hand allow, each asked id once in the answer.
pub(crate) async fn sealed(
    engine: &Arc<Engine>,
    causal: &Causal,
    ids: &[BlockId],
) -> Result<PerBlock<Sealed>, ReadError> {
    let keys = engine.options.keys.clone();
    let take = move |id, row: &BlockRow, sealed: Result<Sealed, &'static str>| {
        let kept = sealed.clone();
        match check(id, row, sealed, &keys) {
            // Without the key only its reader can look into it.
            Ok(_) | Err(ReadError::NoKey { .. }) => kept.map_err(|reason| ReadError::BadBlock { id, reason }),
            Err(error) => Err(error),
        }
    };
    each(engine, causal, ids, take).await
}

/// What `take` makes of each payload, on the worker threads.
async fn each<T: Send + 'static>(
    engine: &Arc<Engine>,
    causal: &Causal,
    ids: &[BlockId],
    take: impl Fn(BlockId, &BlockRow, Result<Sealed, &'static str>) -> Result<T, ReadError> + Clone + Send + 'static,
) -> Result<PerBlock<T>, ReadError> {
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
            payloads(engine, &mut session, places, &mut all, take.clone()).await?;
            wanted.retain(|id| !all.contains_key(id));
            if wanted.is_empty() {
                break;
            }
        }
        all.extend(wanted.into_iter().map(|id| (id, Err(ReadError::Missing(id)))));
    }
    Ok(all)
}

/// Payloads at these places, checked.
async fn payloads<T: Send + 'static>(
    engine: &Arc<Engine>,
    session: &mut ClientSession,
    places: HashMap<PayloadAt, (BlockId, BlockRow)>,
    all: &mut PerBlock<T>,
    take: impl Fn(BlockId, &BlockRow, Result<Sealed, &'static str>) -> Result<T, ReadError> + Send + 'static,
) -> Result<(), ReadError> {
    if places.is_empty() {
        return Ok(());
    }
    let found = engine.payloads.fetch(&engine.store, session, &places).await?;
    let checked = engine.workers.run(move || {
        let check = |(at, sealed)| {
            let (id, row) = places.get(&at)?;
            Some((*id, take(*id, row, sealed)))
        };
        found.into_iter().filter_map(check).collect::<Vec<_>>()
    });
    all.extend(checked.await.map_err(|_| broken())?);
    Ok(())
}

/// A payload against its row and its own checksum.
pub(crate) fn check(
    id: BlockId,
    row: &BlockRow,
    sealed: Result<Sealed, &'static str>,
    keys: &Keyring,
) -> Result<Stored, ReadError> {
    let bad = |reason| ReadError::BadBlock { id, reason };
    let sealed = sealed.map_err(bad)?;
    if sealed.id != id {
        return Err(bad("the payload belongs to another block"));
    }
    if (sealed.raw_len, sealed.frame_len) != (row.raw_len, row.frame_len) {
        return Err(bad("lengths of the payload differ from the index"));
    }
    match sealed.frame(keys) {
        Ok((frame, hasher)) => Ok(Stored { raw_len: row.raw_len, frame, hasher }),
        Err(Unreadable::NoKey(key)) => Err(ReadError::NoKey { id, key }),
        Err(Unreadable::Bad(reason)) => Err(bad(reason)),
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
