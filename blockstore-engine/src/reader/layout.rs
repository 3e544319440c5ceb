//! Sums of frame lengths below nodes, cached in `layouts`: what an archive's exact length is computed from without reading every row.
//!
//! Invariants: a cached sum holds only for the `gc.reframed` that it was computed under (`r`), so that a sum written late by a slow reader
//! is never believed after frames were replaced. The collection can be dropped at any time.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;

use bson::{Document, doc};

use super::SnapshotReader;
use crate::error::{ReadError, StoreFault};
use crate::id::BlockId;
use crate::source::FrameSource;
use crate::store::LOOKUP_IDS_MAX;
use crate::tree::FANOUT;
use crate::txn::retrying;

pub(super) async fn stored_sum(reader: &SnapshotReader, id: BlockId) -> Result<u64, ReadError> {
    let reframed = reader.reframed().await?;
    if let Some(sum) = cached(reader, &[id], reframed).await?.remove(&id) {
        return Ok(sum);
    }
    sum_below(reader, id, reframed).await
}

/// Computes and caches; levels are at most five deep.
fn sum_below<'a>(
    reader: &'a SnapshotReader,
    id: BlockId,
    reframed: i64,
) -> Pin<Box<dyn Future<Output = Result<u64, ReadError>> + Send + 'a>> {
    Box::pin(async move {
        let node = reader.node(id).await?;
        let ids: Vec<_> = node.children.iter().filter_map(|child| child.id).collect();
        let mut sum = 0u64;
        if node.level == 1 {
            sum += reader.frame_lengths(&ids).await?.into_iter().map(u64::from).sum::<u64>();
        } else {
            let mut known = cached(reader, &ids, reframed).await?;
            for child in ids {
                let below = match known.get(&child) {
                    Some(below) => *below,
                    None => sum_below(reader, child, reframed).await?,
                };
                known.insert(child, below);
                sum = sum.saturating_add(below);
            }
        }
        remember(reader, id, sum, reframed).await?;
        Ok(sum)
    })
}

async fn cached(reader: &SnapshotReader, ids: &[BlockId], reframed: i64) -> Result<HashMap<BlockId, u64>, ReadError> {
    const { assert!(FANOUT <= LOOKUP_IDS_MAX as u64, "the children of one node fit one query") };
    let layouts = &reader.inner.engine.store.layouts;
    let filter = doc! { "_id": { "$in": ids.iter().map(|id| id.to_bson()).collect::<Vec<_>>() }, "r": reframed };
    let found: Result<Vec<Document>, StoreFault> = retrying!("reading layouts", async {
        let mut cursor = layouts.find(filter.clone()).await?;
        let mut found = Vec::new();
        while cursor.advance().await? {
            found.push(cursor.deserialize_current()?);
        }
        Ok(found)
    });
    let decode = |doc: Document| {
        let id = BlockId::from_slice(doc.get_binary_generic("_id").ok()?)?;
        Some((id, u64::try_from(doc.get_i64("sum").ok()?).ok()?))
    };
    Ok(found?.into_iter().filter_map(decode).collect())
}

async fn remember(reader: &SnapshotReader, id: BlockId, sum: u64, reframed: i64) -> Result<(), ReadError> {
    let layouts = &reader.inner.engine.store.layouts;
    let update = doc! { "$set": { "sum": i64::try_from(sum).unwrap_or(i64::MAX), "r": reframed } };
    retrying!("writing layouts", async {
        match layouts.update_one(doc! { "_id": id.to_bson() }, update.clone()).upsert(true).await {
            // Another reader computed the same sum at the same time.
            Err(error) if crate::txn::is_duplicate(&error) => Ok(()),
            other => other.map(|_| ()),
        }
    })?;
    Ok(())
}
