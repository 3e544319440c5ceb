//! Deleting what is not marked: layouts first, then blocks in batches, then their payloads.
//!
//! Invariants: a block is deleted only by `{_id, at, e below the run's epoch}`, so that one that was claimed or stored again meanwhile does not
//! match; its payload only after the block is gone. All layouts of unmarked nodes go before any block: a node claimed again may have
//! children inserted anew with other lengths.

use std::collections::HashMap;
use std::sync::Arc;

use bson::{Document, doc};

use super::CollectError;
use super::account::Amount;
use super::marks::{Marks, lowest};
use crate::engine::Engine;
use crate::error::StoreFault;
use crate::id::{BlockId, PayloadAt};
use crate::store::{BlockRow, LOOKUP_IDS_MAX, Row};
use crate::txn::{Causal, retrying};

/// Layouts read at a time.
const LAYOUT_ROWS: i64 = 4096;

/// Deletes the layouts in the range of the marks whose nodes are not marked.
pub(crate) async fn layouts(engine: &Arc<Engine>, causal: &Causal, marks: &Marks) -> Result<u64, CollectError> {
    let (from, to) = marks.range();
    let to = u64::try_from(to).ok().map(lowest);
    let mut after: Option<BlockId> = None;
    let mut session = causal.session(engine.store.db.client()).await?;
    let mut deleted = 0;
    loop {
        let mut range = match after {
            None => doc! { "$gte": lowest(from).to_bson() },
            Some(after) => doc! { "$gt": after.to_bson() },
        };
        if let Some(to) = to {
            range.insert("$lt", to.to_bson());
        }
        let filter = doc! { "_id": range };
        let layouts = &engine.store.layouts;
        let found: Result<Vec<BlockId>, StoreFault> = retrying!("reading layouts", async {
            let mut found = Vec::new();
            let find = layouts.find(filter.clone()).projection(doc! { "_id": 1 }).sort(doc! { "_id": 1 });
            let mut cursor = find.limit(LAYOUT_ROWS).session(&mut session).await?;
            while cursor.advance(&mut session).await? {
                let document: Document = cursor.deserialize_current()?;
                found.extend(document.get_binary_generic("_id").ok().and_then(|id| BlockId::from_slice(id)));
            }
            Ok(found)
        });
        let found = found?;
        let Some(last) = found.last() else { return Ok(deleted) };
        after = Some(*last);
        let stale: Vec<_> = found.iter().filter(|id| marks.get(**id).is_none()).map(|id| id.to_bson()).collect();
        if !stale.is_empty() {
            let filter = doc! { "_id": { "$in": stale } };
            deleted +=
                retrying!("deleting layouts", layouts.delete_many(filter.clone()).session(&mut session))?.deleted_count;
        }
    }
}

/// A block to delete.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Doomed {
    pub(crate) id: BlockId,
    /// `None`: its row does not decode.
    pub(crate) row: Option<BlockRow>,
}

/// Deletes blocks that are still as they were read and not claimed since, then their payloads.
pub(crate) async fn blocks(
    engine: &Arc<Engine>,
    causal: &Causal,
    epoch: i64,
    doomed: &[Doomed],
) -> Result<Amount, CollectError> {
    let mut gone = Amount::default();
    for doomed in doomed.chunks(LOOKUP_IDS_MAX) {
        gone.add(batch(engine, causal, epoch, doomed).await?);
    }
    Ok(gone)
}

async fn batch(engine: &Arc<Engine>, causal: &Causal, epoch: i64, doomed: &[Doomed]) -> Result<Amount, CollectError> {
    let store = &engine.store;
    let mut session = causal.session(store.db.client()).await?;
    let good: HashMap<BlockId, BlockRow> = doomed.iter().filter_map(|one| Some((one.id, one.row?))).collect();
    let broken: Vec<_> = doomed.iter().filter(|one| one.row.is_none()).map(|one| one.id).collect();
    let mut gone = Amount::default();
    engine.stop("run: deleting blocks").await;
    let mut deleted = 0;
    if !good.is_empty() {
        // A place belongs to one block alone, so the two lists together name pairs.
        let filter = doc! {
            "_id": { "$in": good.keys().map(|id| id.to_bson()).collect::<Vec<_>>() },
            "at": { "$in": good.values().map(|row| row.at.to_bson()).collect::<Vec<_>>() },
            "e": { "$lt": epoch },
        };
        deleted =
            retrying!("deleting blocks", store.blocks.delete_many(filter.clone()).session(&mut session))?.deleted_count;
    }
    for id in broken {
        // Whatever stands there has no epoch that could save it; a writer that stored it anew gave it one.
        let filter = doc! { "_id": id.to_bson(), "e": { "$not": { "$gte": epoch } } };
        gone.blocks +=
            retrying!("deleting blocks", store.blocks.delete_one(filter.clone()).session(&mut session))?.deleted_count;
    }
    let mut places: HashMap<PayloadAt, BlockRow> = good.values().map(|row| (row.at, *row)).collect();
    if deleted != good.len() as u64 {
        // The answer is only a count: what is still there under its place was claimed meanwhile.
        let ids: Vec<_> = good.keys().copied().collect();
        for row in store.rows(&mut session, &ids).await?.into_values() {
            if let Row::Good(row) = row {
                places.remove(&row.at);
            }
        }
    }
    causal.note(&session);
    engine.stop("run: deleting payloads").await;
    payloads(engine, causal, places.keys().copied()).await?;
    for row in places.values() {
        gone.count(row);
    }
    Ok(gone)
}

/// Deletes payloads that no block names.
pub(crate) async fn payloads(
    engine: &Arc<Engine>,
    causal: &Causal,
    places: impl Iterator<Item = PayloadAt>,
) -> Result<(), StoreFault> {
    let places: Vec<_> = places.map(PayloadAt::to_bson).collect();
    if places.is_empty() {
        return Ok(());
    }
    let mut session = causal.session(engine.store.db.client()).await?;
    let filter = doc! { "_id": { "$in": places } };
    retrying!("deleting payloads", engine.store.payloads.delete_many(filter.clone()).session(&mut session))?;
    Ok(())
}
