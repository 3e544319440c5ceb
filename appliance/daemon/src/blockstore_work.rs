//! Work on the blockstore that operators asked for: taken from its documents, carried out one at a time, reported while it runs.
//!
//! Invariants: every kind of work may be begun anew, so that a request whose daemon died is taken over as it stands; whether a daemon lives is
//! told by the request's beat and this process's monotonic clock; when the request is another's, the work here ends. It must never change
//! what is kept: only the collector's own rules remove snapshots.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use blockstore_engine::{
    Amount, CollectError, CollectOptions, CollectPhase, CollectProgress, MoveRequest, Progress, Purpose,
    RollingOptions, RootId, SweepRequest, VerifyProgress,
};
use bson::{Bson, DateTime, Document, doc};
use holdfast_domain::{LeaseWatch, RetentionPolicy, SnapshotFacts, SnapshotId, plan_retention};
use holdfast_ledger::SnapshotMeta;
use holdfast_metadb::{BlockstoreProgress, BlockstoreRequest, BlockstoreRequestState, BlockstoreWork, MetaError};
use tokio_util::sync::CancellationToken;

use crate::{chain_of, collector, context::Context, mender, sweeper};

/// How often the requests are looked at.
const POLL: Duration = Duration::from_secs(2);
/// How often progress is written and a wish to end is read.
const BEAT_EVERY: Duration = Duration::from_secs(2);
/// Pause before something is tried again that others keep busy.
const BUSY_PAUSE: Duration = Duration::from_secs(5);
/// Snapshots and blocks named in a result, at most.
const NAMED_MAX: usize = 1000;

/// Runs until cancelled.
pub async fn run(ctx: Arc<Context>, cancel: CancellationToken) {
    let started = Instant::now();
    let mut watches: HashMap<String, LeaseWatch> = HashMap::new();
    while cancel.run_until_cancelled(tokio::time::sleep(POLL)).await.is_some() {
        let open = match ctx.metadb.open_blockstore_requests().await {
            Ok(open) => open,
            Err(error) => {
                watches.clear();
                tracing::debug!(error = chain_of(&error), "look for work on the blockstore");
                continue;
            }
        };
        watches.retain(|id, _| open.iter().any(|request| request.id == *id));
        for request in open {
            let is_free = request.state == BlockstoreRequestState::Queued || request.owner == ctx.id.as_str() || {
                let watch = watches.entry(request.id.clone()).or_insert_with(|| LeaseWatch::new(ctx.lease()));
                watch.read(started.elapsed(), &request.lease())
            };
            if !is_free {
                continue;
            }
            match ctx.metadb.take_blockstore_request(&request, ctx.id.as_str()).await {
                Ok(Some(taken)) => {
                    carry_out(&ctx, &taken, &cancel).await;
                    // Others may have been called off, or taken, meanwhile.
                    break;
                }
                Ok(None) => {}
                Err(error) => tracing::debug!(error = chain_of(&error), "take work on the blockstore"),
            }
        }
    }
}

type Shown = Arc<Mutex<BlockstoreProgress>>;

fn show(shown: &Shown, phase: &str, done: u64, total: u64, unit: &str) {
    let now = BlockstoreProgress { phase: phase.into(), done, total, unit: unit.into() };
    *shown.lock().unwrap_or_else(PoisonError::into_inner) = now;
}

/// Does it, with a beat beside; notes its end. A daemon that ends leaves it to be taken over.
async fn carry_out(ctx: &Context, request: &BlockstoreRequest, cancel: &CancellationToken) {
    let token = cancel.child_token();
    let shown = Shown::default();
    tracing::info!(request = request.id, work = ?request.work, by = request.asked_by, "work on the blockstore begins");
    let mut called_off = false;
    let outcome = {
        let mut work = std::pin::pin!(work(ctx, &request.work, &shown, &token));
        loop {
            tokio::select! {
                outcome = &mut work => break outcome,
                () = tokio::time::sleep(BEAT_EVERY) => {}
            }
            let now = shown.lock().unwrap_or_else(PoisonError::into_inner).clone();
            match ctx.metadb.beat_blockstore_request(&request.id, ctx.id.as_str(), &now).await {
                Ok(false) => {}
                Ok(true) => {
                    called_off = true;
                    token.cancel();
                }
                Err(MetaError::Fenced) => {
                    tracing::info!(request = request.id, "the work is another daemon's now");
                    token.cancel();
                }
                Err(error) => tracing::debug!(error = chain_of(&error), "report work on the blockstore"),
            }
        }
    };
    if cancel.is_cancelled() {
        return;
    }
    let outcome = match outcome {
        Ok(result) => Ok(result),
        Err(_) if called_off => Err(None),
        Err(error) => {
            tracing::warn!(request = request.id, error = format!("{error:#}"), "work on the blockstore failed");
            Err(Some(format!("{error:#}")))
        }
    };
    match ctx.metadb.finish_blockstore_request(&request.id, ctx.id.as_str(), outcome).await {
        Ok(()) => tracing::info!(request = request.id, "work on the blockstore ended"),
        Err(error) => tracing::info!(request = request.id, error = chain_of(&error), "its end was not noted"),
    }
}

async fn work(
    ctx: &Context,
    work: &BlockstoreWork,
    shown: &Shown,
    cancel: &CancellationToken,
) -> anyhow::Result<Document> {
    match work {
        BlockstoreWork::Collect => collect(ctx, shown, cancel).await,
        BlockstoreWork::Plan => plan(ctx, shown, cancel).await,
        BlockstoreWork::WhatIf { retention } => what_if(ctx, retention, shown, cancel).await,
        BlockstoreWork::Verify { snapshot: Some(id) } => verify_one(ctx, id, shown, cancel).await,
        BlockstoreWork::Verify { snapshot: None } => verify_all(ctx, shown, cancel).await,
        BlockstoreWork::Move { from, to } => move_payloads(ctx, (*from, *to), shown, cancel).await,
    }
}

fn on_collect(shown: &Shown) -> Arc<dyn Fn(CollectProgress) + Send + Sync> {
    let shown = Arc::clone(shown);
    Arc::new(move |p: CollectProgress| {
        let phase = match p.phase {
            CollectPhase::Waiting => "wait for older writers",
            CollectPhase::Unlinking => "remove snapshots whose grace is over",
            CollectPhase::Marking => "mark what snapshots need",
            CollectPhase::Deleting => "compare the index with it",
            CollectPhase::Sweeping => "look for payloads that no block names",
        };
        show(&shown, phase, u64::from(p.permille), 1000, "permille");
    })
}

/// Tries again while another run holds the lease.
async fn unless_busy<T, F: Future<Output = Result<T, CollectError>>>(
    shown: &Shown,
    cancel: &CancellationToken,
    run: impl Fn() -> F,
) -> anyhow::Result<T> {
    loop {
        match run().await {
            Err(CollectError::Busy) => {
                show(shown, "wait for another run of the collector", 0, 0, "");
                let waited = cancel.run_until_cancelled(tokio::time::sleep(BUSY_PAUSE)).await;
                anyhow::ensure!(waited.is_some(), "cancelled");
            }
            other => return Ok(other?),
        }
    }
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn amount(amount: Amount) -> Document {
    doc! {
        "blocks": signed(amount.blocks), "rawBytes": signed(amount.raw_bytes),
        "storedBytes": signed(amount.stored_bytes),
    }
}

fn names<T: ToString>(ids: impl IntoIterator<Item = T>) -> Vec<Bson> {
    ids.into_iter().take(NAMED_MAX).map(|id| Bson::String(id.to_string())).collect()
}

async fn collect(ctx: &Context, shown: &Shown, cancel: &CancellationToken) -> anyhow::Result<Document> {
    let options = collector::options(ctx).await?;
    let report = unless_busy(shown, cancel, || ctx.store.collect(&options, on_collect(shown), cancel.clone())).await?;
    show(shown, "give packs back", 0, 0, "");
    let swept = sweeper::sweep(ctx, cancel).await;
    let freed_in_packs: i64 = swept.iter().filter_map(|store| store.get_i64("deletedBytes").ok()).sum();
    Ok(doc! {
        "startedAt": report.started_at, "finishedAt": report.finished_at,
        "unlinked": names(&report.unlinked),
        "deleted": amount(report.deleted),
        "orphans": signed(report.orphans), "orphanBytes": signed(report.orphan_bytes),
        "freedForReuseBytes": signed(report.freed_bytes()),
        "freedOnDiskBytes": signed(report.freed_on_disk()).saturating_add(freed_in_packs),
        "stores": swept,
    })
}

async fn plan(ctx: &Context, shown: &Shown, cancel: &CancellationToken) -> anyhow::Result<Document> {
    let options = collector::options(ctx).await?;
    let plan =
        unless_busy(shown, cancel, || ctx.store.plan_collect(&options, on_collect(shown), cancel.clone())).await?;
    let mut stores = Vec::new();
    for number in ctx.store.usable_packs() {
        show(shown, &format!("look through payload store {number}"), 0, 0, "");
        let request = SweepRequest { store: number, compact_below_percent: 0, dry_run: true };
        stores.push(sweeper::note(number, &ctx.store.sweep_packs(request, cancel.clone()).await?));
    }
    Ok(doc! {
        "at": plan.account.at,
        "unlink": names(&plan.unlink),
        "reclaimable": amount(plan.reclaimable),
        "held": amount(plan.account.held),
        "live": amount(plan.account.live),
        "stores": stores,
    })
}

async fn what_if(
    ctx: &Context,
    policy: &RetentionPolicy,
    shown: &Shown,
    cancel: &CancellationToken,
) -> anyhow::Result<Document> {
    let mut facts: HashMap<String, Vec<SnapshotFacts>> = HashMap::new();
    let now = DateTime::now();
    let mut gone: Vec<RootId> = Vec::new();
    for root in ctx.store.all_roots().await?.into_iter().filter(|root| root.purpose == Purpose::Snapshot) {
        if root.trashed_at.is_some() {
            gone.push(root.id);
            continue;
        }
        let meta = SnapshotMeta::decode(&root.meta)?;
        facts.entry(root.job.clone()).or_default().push(SnapshotFacts {
            id: root.id.to_string().parse()?,
            at: i64::from(meta.optime.ts.t),
            pinned: root.is_pinned(now),
            good: !root.quarantined,
        });
    }
    let seconds = now.timestamp_millis() / 1000;
    let would: Vec<SnapshotId> =
        facts.values().flat_map(|facts| plan_retention(policy, facts, seconds).trash).collect();
    let in_trash = gone.len();
    for id in &would {
        gone.push(id.as_str().parse().map_err(|_| anyhow::anyhow!("an id of a snapshot does not parse"))?);
    }
    let options = CollectOptions::default();
    let freed =
        unless_busy(shown, cancel, || ctx.store.freed_if(&gone, &options, on_collect(shown), cancel.clone())).await?;
    Ok(doc! {
        "at": now,
        "snapshots": signed(would.len() as u64),
        "inTrash": signed(in_trash as u64),
        "ids": names(&would),
        "freed": amount(freed),
    })
}

async fn verify_one(
    ctx: &Context,
    id: &SnapshotId,
    shown: &Shown,
    cancel: &CancellationToken,
) -> anyhow::Result<Document> {
    let root: RootId = id.as_str().parse().map_err(|_| anyhow::anyhow!("{id} is no snapshot"))?;
    let on = Arc::clone(shown);
    let progress = Arc::new(move |p: Progress| show(&on, "read the snapshot back", p.bytes, p.bytes_total, "bytes"));
    let check = ctx.store.verify_snapshot(&root, progress, cancel.clone()).await?;
    let bad: Vec<Bson> = check
        .report
        .bad
        .iter()
        .take(NAMED_MAX)
        .map(|bad| Bson::Document(doc! { "path": &bad.path, "reason": &bad.reason }))
        .collect();
    let mut result = doc! {
        "snapshot": id.as_str(), "at": check.at, "files": signed(check.report.files),
        "blocks": signed(check.report.blocks), "bytes": signed(check.report.bytes),
        "badCount": signed(check.report.bad_count), "bad": bad,
    };
    if check.report.bad_count > 0 {
        tracing::error!(snapshot = %id, bad = check.report.bad_count, "a snapshot is damaged");
        result.insert("repair", repair(ctx, cancel).await?);
    }
    Ok(result)
}

async fn verify_all(ctx: &Context, shown: &Shown, cancel: &CancellationToken) -> anyhow::Result<Document> {
    let options = RollingOptions { age: Duration::ZERO, share: (1, 1), ..RollingOptions::default() };
    let on = Arc::clone(shown);
    let progress = Arc::new(move |p: VerifyProgress| {
        show(&on, "read stored blocks back", u64::from(p.slices), u64::from(p.slices_total), "slices");
    });
    let report = ctx.store.verify_rolling(&options, progress, cancel.clone()).await?;
    let bad: Vec<Bson> = report
        .bad
        .iter()
        .take(NAMED_MAX)
        .map(|bad| {
            let snapshots = names(&bad.snapshots);
            Bson::Document(doc! { "block": bad.id.to_string(), "reason": &bad.reason, "snapshots": snapshots })
        })
        .collect();
    let mut result = doc! {
        "at": DateTime::now(), "blocks": signed(report.blocks), "bytes": signed(report.bytes),
        "badCount": signed(report.bad.len() as u64), "bad": bad,
    };
    if !report.bad.is_empty() {
        for bad in &report.bad {
            let snapshots: Vec<_> = bad.snapshots.iter().map(ToString::to_string).collect();
            tracing::error!(block = %bad.id, reason = bad.reason, ?snapshots, "a stored block is bad");
        }
        result.insert("repair", repair(ctx, cancel).await?);
    }
    Ok(result)
}

async fn repair(ctx: &Context, cancel: &CancellationToken) -> anyhow::Result<Document> {
    let report = mender::repair(ctx, cancel).await?;
    Ok(doc! {
        "repaired": signed(report.from_cache + report.from_source), "left": signed(report.left.len() as u64),
        "healed": names(&report.healed), "touched": names(&report.touched),
    })
}

/// Until nothing that a block names is left there: writers that began before the change go on to write to the old store until they end.
async fn move_payloads(
    ctx: &Context,
    (from, to): (u8, u8),
    shown: &Shown,
    cancel: &CancellationToken,
) -> anyhow::Result<Document> {
    let stores = ctx.metadb.payload_stores().await?;
    anyhow::ensure!(stores.default != from, "new payloads go to store {from}: make another store the default first");
    ctx.store.reload().await?;
    let request = MoveRequest { from: holdfast_blockstore::target(from), to: holdfast_blockstore::target(to) };
    let (mut blocks, mut bytes, mut idle_rounds) = (0, 0, 0);
    loop {
        let (on, before) = (Arc::clone(shown), bytes);
        let progress = Arc::new(move |p: Progress| show(&on, "copy payloads", before + p.bytes, 0, "bytes"));
        let report = ctx.store.move_payloads(request, progress, cancel.clone()).await?;
        blocks += report.blocks;
        bytes += report.bytes;
        // Processes learn of the new default within seconds: twice nothing, a pause between, is nothing.
        idle_rounds = if report.busy == 0 && report.bytes == 0 { idle_rounds + 1 } else { 0 };
        if idle_rounds == 2 {
            anyhow::ensure!(
                report.bad == 0,
                "{} payloads are bad and were left: verify the blockstore, then move again",
                report.bad
            );
            return Ok(doc! {
                "movedBlocks": signed(blocks), "movedBytes": signed(bytes), "garbageLeft": signed(report.unnamed),
            });
        }
        let phase = if report.busy > 0 { "wait for backups that began before" } else { "look again" };
        show(shown, phase, bytes, 0, "bytes");
        let waited = cancel.run_until_cancelled(tokio::time::sleep(BUSY_PAUSE)).await;
        anyhow::ensure!(waited.is_some(), "cancelled");
        let stores = ctx.metadb.payload_stores().await?;
        anyhow::ensure!(stores.default != from, "store {from} was made the default again");
    }
}
