//! Whether blocks are in the store already: looked up, and claimed for the writer's epoch.
//!
//! Invariants (`docs/concurrency.md` says why): a block counts as stored only when its row has `e` at or above the writer's epoch; a count
//! that is short is never guessed about, the rows are read again.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bson::doc;
use mongodb::ClientSession;

use super::Shared;
use super::insert::broken;
use crate::error::{StoreFault, WriteError};
use crate::id::{BlockId, PayloadAt};
use crate::store::Row;
use crate::txn::retrying;

/// Rounds of claiming or indexing until everything is settled: each further one needs somebody else to interfere again.
pub(super) const ROUNDS_MAX: usize = 16;

/// A bad block's old place; `None` when its row does not tell.
pub(super) type Replaced = Option<PayloadAt>;

/// What the index says about a block.
pub(super) enum Fate {
    /// Stored, and claimed for our epoch.
    Stored(PayloadAt),
    Missing,
    /// There, but bad: to be replaced.
    Bad(Replaced),
}

/// Fates of all ids. What the cache has seen before is claimed without looking it up first: one round trip when it is still there.
pub(super) async fn lookup(
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

pub(super) async fn fates(
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
