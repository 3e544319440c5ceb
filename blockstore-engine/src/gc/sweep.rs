//! Sweeping payloads that no block names: what aborted writers, lost races and killed runs left.
//!
//! Invariants: a payload is swept only once it was seen, then the registration in its place was found gone (in this order: a registration comes
//! before its payloads, so that one which is not there after a payload was seen never comes again; then nobody can index it any more: indexing touches the
//! registration) and the row of its block, read after that, names another place or is not there. A payload that does not say its block stays. Which registrations need a look is found by
//! counting, so that whole payloads are read of those alone that have orphans.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bson::{Document, RawDocumentBuf, doc};
use futures::TryStreamExt;
use mongodb::options::Hint;
use tokio_util::sync::CancellationToken;

use super::CollectError;
use super::delete::payloads;
use super::scan::Pace;
use super::writers::registered;
use crate::engine::Engine;
use crate::error::StoreFault;
use crate::id::{BlockId, PayloadAt, RootId};
use crate::store::Row;
use crate::txn::{Causal, retrying};

/// Payloads looked at in one batch; at most one lookup of rows.
const SWEEP_ROWS: i64 = 1024;

/// What a sweep found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Swept {
    pub(crate) orphans: u64,
    pub(crate) bytes: u64,
    /// Rows whose payloads are missing, as far as counts tell: for a verification to name.
    pub(crate) missing: u64,
}

/// Sweeps; `rows` says how many rows of the index name a place of each registration.
pub(crate) async fn sweep(
    engine: &Arc<Engine>,
    causal: &Causal,
    rows: &HashMap<RootId, u64>,
    pace: &mut Pace,
    cancel: &CancellationToken,
) -> Result<Swept, CollectError> {
    let mut swept = Swept::default();
    let mut from = None;
    while let Some(writer) = next_writer(engine, causal, from).await? {
        let started = std::time::Instant::now();
        from = Some(PayloadAt { writer, number: u64::MAX });
        engine.stop("run: sweeping").await;
        let live: HashSet<String> = registered(engine, causal).await?.into_iter().map(|writer| writer.id).collect();
        if !live.contains(&writer.to_string()) {
            let named = rows.get(&writer).copied().unwrap_or(0);
            let count = count(engine, causal, writer).await?;
            if count != named {
                swept.missing += named.saturating_sub(count);
                look(engine, causal, writer, &mut swept).await?;
            }
        }
        pace.give_way(engine, started.elapsed(), cancel).await?;
    }
    Ok(swept)
}

fn all_of(writer: RootId) -> Document {
    let place = |number| PayloadAt { writer, number }.to_bson();
    doc! { "$gte": place(0), "$lte": place(u64::MAX) }
}

/// The first registration with payloads after this place.
async fn next_writer(
    engine: &Arc<Engine>,
    causal: &Causal,
    after: Option<PayloadAt>,
) -> Result<Option<RootId>, CollectError> {
    let filter = after.map_or_else(|| doc! {}, |after| doc! { "_id": { "$gt": after.to_bson() } });
    let mut session = causal.session(engine.store.db.client()).await?;
    let found: Result<Option<RawDocumentBuf>, StoreFault> = retrying!("looking for payloads", async {
        let find = engine.store.payloads.find_one(filter.clone());
        find.projection(doc! { "_id": 1 }).sort(doc! { "_id": 1 }).session(&mut session).await
    });
    let place = found?.map(|raw| raw.get_binary("_id").ok().and_then(|id| PayloadAt::from_slice(id.bytes)));
    match place {
        None => Ok(None),
        Some(Some(place)) => Ok(Some(place.writer)),
        Some(None) => Err(CollectError::Internal("the place of a payload does not decode")),
    }
}

/// Counts by the index on `_id` alone.
async fn count(engine: &Arc<Engine>, causal: &Causal, writer: RootId) -> Result<u64, CollectError> {
    let mut session = causal.session(engine.store.db.client()).await?;
    let filter = doc! { "_id": all_of(writer) };
    let counted = retrying!(
        "counting payloads",
        engine.store.payloads.count_documents(filter.clone()).hint(Hint::Keys(doc! { "_id": 1 })).session(&mut session)
    )?;
    Ok(counted)
}

/// Compares each payload of a registration that is gone with the row of its block.
async fn look(engine: &Arc<Engine>, causal: &Causal, writer: RootId, swept: &mut Swept) -> Result<(), CollectError> {
    let mut range = all_of(writer);
    loop {
        let mut session = causal.session(engine.store.db.client()).await?;
        let pipeline = [
            doc! { "$match": { "_id": range.clone() } },
            doc! { "$sort": { "_id": 1 } },
            doc! { "$limit": SWEEP_ROWS },
            doc! { "$project": { "i": 1, "n": { "$binarySize": { "$ifNull": ["$z", ""] } } } },
        ];
        let found: Result<Vec<Document>, StoreFault> = retrying!("reading places of payloads", async {
            let cursor = engine.store.payloads.aggregate(pipeline.clone()).session(&mut session).await?;
            cursor.with_type::<Document>().stream(&mut session).try_collect().await
        });
        let found = found?;
        let Some(last) = found.last().and_then(|doc| doc.get("_id").cloned()) else { return Ok(()) };
        range.remove("$gte");
        range.insert("$gt", last);
        let entries: Vec<(PayloadAt, Option<BlockId>, u64)> = found.iter().filter_map(decode).collect();
        let ids: HashSet<BlockId> = entries.iter().filter_map(|(_, id, _)| *id).collect();
        let rows = engine.store.rows(&mut session, &ids.into_iter().collect::<Vec<_>>()).await?;
        causal.note(&session);
        let is_orphan = |(at, id, _): &&(PayloadAt, Option<BlockId>, u64)| match id.and_then(|id| rows.get(&id)) {
            Some(Row::Good(row)) => row.at != *at,
            // A row that does not decode may have meant this payload: it stays until the row is mended or gone.
            Some(Row::Broken { .. }) => false,
            None => id.is_some(),
        };
        let orphans: Vec<_> = entries.iter().filter(is_orphan).collect();
        payloads(engine, causal, orphans.iter().map(|(at, ..)| *at)).await?;
        swept.orphans += orphans.len() as u64;
        swept.bytes += orphans.iter().map(|(_, _, bytes)| bytes).sum::<u64>();
    }
}

fn decode(document: &Document) -> Option<(PayloadAt, Option<BlockId>, u64)> {
    let at = PayloadAt::from_slice(document.get_binary_generic("_id").ok()?)?;
    let id = document.get_binary_generic("i").ok().and_then(|id| BlockId::from_slice(id));
    Some((at, id, crate::stats::number(document, "n")))
}
