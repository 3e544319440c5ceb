//! How much the store holds: exact for small stores, estimated from a sample for large ones, because counting reads every row.

use bson::{Document, doc};
use futures::TryStreamExt;

use crate::engine::Engine;
use crate::error::StoreFault;
use crate::store::Store;
use crate::txn::retrying;

/// Up to this many blocks are counted exactly (about a second); beyond, a sample is scaled.
const EXACT_BLOCKS_MAX: u64 = 1_000_000;
const SAMPLE_BLOCKS: i64 = 10_000;

/// See [`crate::Blockstore::stats`].
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct StoreStats {
    /// Distinct blocks, nodes and pages.
    pub blocks: u64,
    /// Their raw bytes.
    pub raw_bytes: u64,
    /// Bytes of their frames.
    pub stored_bytes: u64,
    /// Whether the two sums are exact, not scaled from a sample.
    pub exact: bool,
    /// Bytes of the payload collection's files on the database's disk, indexes included.
    pub disk_bytes: u64,
    /// Of those, bytes that are free for reuse inside the files.
    pub reusable_bytes: u64,
    /// Committed snapshots, trash included.
    pub roots: u64,
    /// Live registrations.
    pub writers: u64,
}

pub(crate) async fn stats(engine: &Engine) -> Result<StoreStats, StoreFault> {
    let store = &engine.store;
    let estimate = retrying!("counting blocks", store.blocks.estimated_document_count())?;
    let exact = estimate <= EXACT_BLOCKS_MAX;
    let sums = doc! { "$group": { "_id": null, "count": { "$sum": 1_i64 }, "raw": { "$sum": { "$toLong": "$n" } }, "stored": { "$sum": { "$toLong": "$l" } } } };
    let pipeline = if exact { vec![sums] } else { vec![doc! { "$sample": { "size": SAMPLE_BLOCKS } }, sums] };
    let groups: Vec<Document> =
        retrying!("summing blocks", async { store.blocks.aggregate(pipeline.clone()).await?.try_collect().await })?;
    let number = |field: &str| groups.first().map_or(0, |group| number(group, field));
    let count = number("count");
    let scale = |sum: u64| {
        if exact || count == 0 {
            return sum;
        }
        u64::try_from(u128::from(sum) * u128::from(estimate) / u128::from(count)).unwrap_or(u64::MAX)
    };
    let disk = disk(store).await?;
    let roots = retrying!("counting roots", store.roots.count_documents(doc! {}))?;
    let writers = retrying!("counting writers", store.writers.count_documents(doc! {}))?;
    Ok(StoreStats {
        blocks: if exact { count } else { estimate },
        raw_bytes: scale(number("raw")),
        stored_bytes: scale(number("stored")),
        exact,
        disk_bytes: disk.total,
        reusable_bytes: disk.reusable,
        roots,
        writers,
    })
}

/// Bytes of the payloads' files.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Disk {
    /// On disk, indexes included.
    pub(crate) total: u64,
    /// Of those free for reuse.
    pub(crate) reusable: u64,
}

pub(crate) async fn disk(store: &Store) -> Result<Disk, StoreFault> {
    let storage = doc! { "$collStats": { "storageStats": {} } };
    let storage: Vec<Document> = retrying!("reading collection statistics", async {
        store.payloads.aggregate([storage.clone()]).await?.try_collect().await
    })?;
    let storage: Vec<&Document> = storage.iter().filter_map(|one| one.get_document("storageStats").ok()).collect();
    let total = |read: &dyn Fn(&Document) -> u64| storage.iter().map(|one| read(one)).sum();
    Ok(Disk {
        total: total(&|one| number(one, "totalSize")),
        reusable: total(&|one| {
            let manager = one.get_document("wiredTiger").and_then(|engine| engine.get_document("block-manager"));
            manager.map_or(0, |manager| number(manager, "file bytes available for reuse"))
        }),
    })
}

/// The server answers with whatever number type fits.
pub(crate) fn number(document: &Document, field: &str) -> u64 {
    match document.get(field) {
        Some(bson::Bson::Int32(n)) => u64::try_from(*n).unwrap_or(0),
        Some(bson::Bson::Int64(n)) => u64::try_from(*n).unwrap_or(0),
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a size in bytes is exact in a double up to 2^53, and positive"
        )]
        Some(bson::Bson::Double(n)) => *n as u64,
        _ => 0,
    }
}
