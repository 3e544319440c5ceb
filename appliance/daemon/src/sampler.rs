//! The sampler: a reconciler that keeps what the blockstore holds, so that operators see how it grows and when it is full.
//!
//! Every daemon samples; the app database keeps one sample of a time. A store that does not answer leaves its number out.

use std::{path::Path, sync::Arc, time::Duration};

use blockstore_engine::{Amount, CacheStats, RootId, StoreNumber};
use bson::DateTime;
use holdfast_metadb::{BlockstoreNumbers, CacheAnswers, DATABASE_STORE, PayloadStoreLocation, PayloadStoreState};
use tokio_util::sync::CancellationToken;

use crate::{context::Context, space};

/// How often.
const EVERY: Duration = Duration::from_secs(300);
/// After the start: the first point of a new appliance shall be seen soon.
const FIRST_AFTER: Duration = Duration::from_secs(30);
/// How long a store may take to say what lies in it.
const USAGE_WITHIN: Duration = Duration::from_secs(30);

/// Runs until cancelled.
pub async fn run(ctx: Arc<Context>, cancel: CancellationToken) {
    let mut pause = FIRST_AFTER;
    let mut told = CacheStats::default();
    while cancel.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
        pause = EVERY;
        let cache = ctx.store.cache_stats().unwrap_or_default();
        match cancel.run_until_cancelled(once(&ctx, since(&told, &cache))).await {
            None => return,
            Some(Ok(())) => told = cache,
            Some(Err(error)) => tracing::warn!(error = format!("{error:#}"), "sample the blockstore"),
        }
    }
}

/// What the cache answered since it was told last.
fn since(told: &CacheStats, now: &CacheStats) -> CacheAnswers {
    CacheAnswers { hits: now.hits.saturating_sub(told.hits), misses: now.misses.saturating_sub(told.misses) }
}

/// One sample.
///
/// # Errors
/// The databases'.
pub async fn once(ctx: &Context, cache: CacheAnswers) -> anyhow::Result<()> {
    let numbers = numbers(ctx).await?;
    ctx.metadb.add_blockstore_sample(DateTime::now().timestamp_millis() / 1000, &numbers, cache).await?;
    Ok(())
}

async fn numbers(ctx: &Context) -> anyhow::Result<BlockstoreNumbers> {
    let stats = ctx.store.stats().await?;
    let roots = ctx.store.all_roots().await?;
    let mut numbers = BlockstoreNumbers {
        logical_bytes: roots.iter().map(|root| root.logical_bytes).sum(),
        raw_bytes: stats.raw_bytes,
        stored_bytes: stats.stored_bytes,
        disk_bytes: Some(stats.disk_bytes),
        ..BlockstoreNumbers::default()
    };
    if let Some(account) = ctx.store.account().await? {
        let trashed: Vec<RootId> = account.snapshots.iter().filter(|one| one.trashed).map(|one| one.id).collect();
        let stored = |amounts: &[Amount]| amounts.iter().map(|one| one.stored_bytes).sum::<u64>();
        numbers.unique_bytes = Some(account.snapshots.iter().map(|one| one.unique.stored_bytes).sum());
        numbers.reclaimable_bytes = Some(stored(&[account.freed_if(&trashed), account.garbage]));
    }
    let stores = ctx.metadb.payload_stores().await?;
    for store in stores.stores.iter().filter(|store| store.state != PayloadStoreState::Retired) {
        let bytes = match StoreNumber::new(store.number) {
            Some(number) => match tokio::time::timeout(USAGE_WITHIN, ctx.store.pack_usage(number)).await {
                Ok(Ok(usage)) => Some(usage.bytes),
                Ok(Err(_)) | Err(_) => None,
            },
            None => None,
        };
        numbers.disk_bytes = numbers.disk_bytes.zip(bytes).map(|(sum, bytes)| sum + bytes);
    }
    numbers.free_bytes = if stores.default == DATABASE_STORE {
        Some(ctx.ledger.space().await?.available_bytes())
    } else {
        let default = stores.stores.iter().find(|store| store.number == stores.default);
        default.and_then(|store| match &store.location {
            PayloadStoreLocation::Directory { path } => {
                space::room(Path::new(path), 0).ok().map(|room| room.free_bytes)
            }
            PayloadStoreLocation::S3 { .. } => None,
        })
    };
    Ok(numbers)
}
