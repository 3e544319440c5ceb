//! One run of an order: list, choose, copy oldest first, let go of what is not kept.
//!
//! A snapshot that cannot be copied (its key is not at hand, it is damaged, it went meanwhile) does not keep the others from it; a source or a
//! target that cannot be reached ends the run. Either way the result says so.

use std::{
    collections::{HashMap, HashSet},
    num::NonZeroU64,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use blockstore_engine::{CollectError, CollectOptions, CopyProgress, CopyRequest, ErrorClass, Root, RootError, RootId};
use bson::DateTime;
use holdfast_domain::{Classify as _, ErrorClass as Class};
use holdfast_ledger::SnapshotMeta;
use holdfast_metadb::{OffsiteCopy, OffsiteFence, OffsiteProgress, OffsiteRun, offsite_job};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::{
    care,
    side::{Found, Sides},
};
use crate::{chain_of, context::Context, retention};

/// How often the lease is renewed and progress written, at most.
const BEAT_EVERY: Duration = Duration::from_secs(1);
const DAY: i64 = 86_400;

type Shown = Arc<Mutex<OffsiteProgress>>;

/// Carries an order out and stores the result; nothing is stored when the lease is lost, so that the next owner goes on.
pub(super) async fn carry_out(
    ctx: &Arc<Context>,
    copy: &OffsiteCopy,
    fence: OffsiteFence,
    master_key: &Path,
    cancel: CancellationToken,
) {
    let shown: Shown = Arc::default();
    let lost = cancel.child_token();
    let beating =
        AbortOnDropHandle::new(tokio::spawn(beat(Arc::clone(ctx), fence.clone(), Arc::clone(&shown), lost.clone())));
    ctx.board.update("offsite", &copy.name, |view| view.phase = "copy snapshots".into());
    tracing::info!(copy = copy.name, epoch = fence.epoch, "an offsite run begins");
    let started = DateTime::now();
    let mut done = OffsiteRun {
        started,
        finished: started,
        copied: 0,
        present: 0,
        trashed: 0,
        sent_blocks: 0,
        sent_bytes: 0,
        proved_blocks: 0,
        error: None,
    };
    if let Err(error) = go(ctx, copy, &fence, master_key, &shown, &lost, &mut done).await {
        done.error.get_or_insert(format!("{error:#}"));
    }
    beating.abort();
    done.finished = DateTime::now();
    // Told to end: the next daemon goes on at once.
    let result = if cancel.is_cancelled() { None } else { Some(&done) };
    if let Some(error) = &done.error {
        tracing::warn!(copy = copy.name, error, "an offsite run is not complete");
    } else {
        tracing::info!(copy = copy.name, copied = done.copied, sent_bytes = done.sent_bytes, "an offsite run ended");
    }
    match ctx.metadb.end_offsite_run(&fence, result).await {
        Err(error) if error.class() != Class::Cancelled => {
            tracing::warn!(copy = copy.name, error = chain_of(&error), "store an offsite run");
        }
        _ => {}
    }
    ctx.board.remove("offsite", &copy.name);
}

async fn beat(ctx: Arc<Context>, fence: OffsiteFence, shown: Shown, lost: CancellationToken) {
    let every = BEAT_EVERY.min(ctx.lease() / 3);
    loop {
        tokio::time::sleep(every).await;
        let progress = shown.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match ctx.metadb.beat_offsite(&fence, &progress).await {
            Err(error) if error.class() == Class::Cancelled => {
                tracing::info!(copy = fence.copy, "the lease of an offsite copy is another's, or it was removed");
                lost.cancel();
                return;
            }
            Err(error) => tracing::debug!(error = chain_of(&error), "say how far an offsite copy is"),
            Ok(()) => {}
        }
    }
}

async fn go(
    ctx: &Context,
    copy: &OffsiteCopy,
    fence: &OffsiteFence,
    master_key: &Path,
    shown: &Shown,
    cancel: &CancellationToken,
    done: &mut OffsiteRun,
) -> anyhow::Result<()> {
    let opened = cancel.run_until_cancelled(async {
        let sides = Sides::open(ctx, copy, master_key).await?;
        let found = sides.list(ctx).await?;
        Ok::<_, anyhow::Error>((sides, found))
    });
    let Some(opened) = opened.await else { anyhow::bail!("called off") };
    let (sides, found) = opened?;
    let now = DateTime::now().timestamp_millis() / 1000;
    let keep_days = copy.keep_days.and_then(|days| u32::try_from(days).ok());
    let candidates: Vec<_> = found.iter().map(|one| one.candidate.clone()).collect();
    let wanted = copy.filter.select(&candidates, keep_days, now);
    show(shown, |shown| shown.snapshots_total = i64::try_from(wanted.len()).unwrap_or(i64::MAX));
    let jobs: HashMap<_, _> = found.iter().map(|one| (&one.candidate.id, one)).collect();
    let mut raised = HashSet::new();
    for id in &wanted {
        let Some(one) = jobs.get(id) else { continue };
        let job = offsite_job(&copy.id, &one.job).ok_or_else(|| anyhow::anyhow!("the job of a copy has no name"))?;
        // Ends what an earlier owner of the order may have left.
        if raised.insert(job.clone()) {
            sides.target.raise_epoch(job.as_str(), fence.epoch).await?;
        }
        show(shown, |shown| shown.snapshot = id.to_string());
        let request = CopyRequest {
            job: job.to_string(),
            job_epoch: fence.epoch,
            store: sides.called.clone(),
            label: one.candidate.label.clone(),
            pins: Vec::new(),
            bandwidth_bytes_per_second: copy
                .bytes_per_second
                .and_then(|rate| u64::try_from(rate).ok())
                .and_then(NonZeroU64::new),
        };
        let before = (done.sent_blocks, done.sent_bytes);
        let seen = Arc::clone(shown);
        let on = Arc::new(move |progress: CopyProgress| {
            show(&seen, |shown| {
                (shown.bytes, shown.bytes_total) = (signed(progress.bytes), signed(progress.bytes_total));
                shown.sent_blocks = before.0 + signed(progress.sent_blocks);
                shown.sent_bytes = before.1 + signed(progress.sent_bytes);
            });
        });
        match sides.copy(ctx, copy, id, request, on, cancel.clone()).await {
            Ok(report) if report.was_here => {
                done.present += 1;
                if report.root.trashed_at.is_some() {
                    sides.target.untrash(&report.root.id).await?;
                }
            }
            Ok(report) => {
                tracing::info!(copy = copy.name, snapshot = %id, root = %report.root.id, "a snapshot was copied");
                done.copied += 1;
                done.sent_blocks += signed(report.progress.sent_blocks);
                done.sent_bytes += signed(report.progress.sent_bytes);
                done.proved_blocks += signed(report.proof.blocks);
            }
            Err(error) => {
                let shown = shown.lock().unwrap_or_else(PoisonError::into_inner).clone();
                (done.sent_blocks, done.sent_bytes) = (shown.sent_blocks, shown.sent_bytes);
                let text =
                    format!("snapshot {id} of {}/{}: {}", one.candidate.group[1], one.candidate.rs, chain_of(&error));
                match error.class() {
                    ErrorClass::Retry | ErrorClass::Cancelled | ErrorClass::Bug => anyhow::bail!(text),
                    ErrorClass::Caller | ErrorClass::Operator | ErrorClass::Corrupt => {
                        tracing::warn!(copy = copy.name, error = text, "a snapshot was not copied");
                        done.error.get_or_insert(text);
                    }
                }
            }
        }
        show(shown, |shown| shown.snapshots += 1);
    }
    if cancel.is_cancelled() {
        anyhow::bail!("called off");
    }
    done.trashed = retain(ctx, copy, &sides, &found, now).await?;
    if sides.is_second {
        collect(ctx, copy, &sides, done.trashed > 0, cancel).await?;
        let every = u64::try_from(copy.every_seconds).unwrap_or(0);
        let within = ctx.settings.verify_within_seconds;
        if let Some(bad) = care::verify(&copy.name, &sides.target, within, every, cancel).await? {
            done.error.get_or_insert(bad);
        }
    }
    Ok(())
}

fn show(shown: &Shown, change: impl FnOnce(&mut OffsiteProgress)) {
    change(&mut shown.lock().unwrap_or_else(PoisonError::into_inner));
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Trashes copies that are not kept any more; how many.
async fn retain(ctx: &Context, copy: &OffsiteCopy, sides: &Sides, found: &[Found], now: i64) -> anyhow::Result<i64> {
    // A source that shows nothing at all may have lost its database: what came from it is worth most then.
    if found.is_empty() || retention::clock_in_doubt(ctx).await? {
        return Ok(0);
    }
    let at_source: HashSet<String> = found.iter().map(|one| one.candidate.id.to_string()).collect();
    let mut by_job: HashMap<String, Vec<(i64, Root)>> = HashMap::new();
    for root in sides.target.all_roots().await? {
        let Some(origin) = &root.origin else { continue };
        if root.trashed_at.is_none() && offsite_job(&copy.id, &origin.job).is_some_and(|job| job.as_str() == root.job) {
            let at = SnapshotMeta::decode(&root.meta).map_or(0, |meta| i64::from(meta.optime.ts.t));
            by_job.entry(root.job.clone()).or_default().push((at, root));
        }
    }
    let mut trashed = 0;
    for mut roots in by_job.into_values() {
        roots.sort_by_key(|(at, root)| (*at, root.committed_at));
        let Some((_, newest)) = roots.pop() else { continue };
        for (at, root) in roots {
            let is_kept = match copy.keep_days {
                Some(days) => at >= now - days * DAY,
                None => root.origin.as_ref().is_some_and(|origin| at_source.contains(&origin.root.to_string())),
            };
            if !is_kept && trash(sides, &root.id, &newest.id).await? {
                trashed += 1;
            }
        }
    }
    Ok(trashed)
}

async fn trash(sides: &Sides, id: &RootId, newest: &RootId) -> anyhow::Result<bool> {
    let rule = |rest: &[Root]| {
        if rest.iter().any(|root| root.id == *newest) { Ok(()) } else { Err("the newest copy stays".to_owned()) }
    };
    match sides.target.trash(id, &rule).await {
        Ok(()) => {
            tracing::info!(root = %id, "a copy goes to the trash");
            Ok(true)
        }
        // Pinned by a restore, or gone: the next run looks again.
        Err(RootError::Pinned { .. } | RootError::Rule(_) | RootError::NotFound(_)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Collects the second store's garbage, as often as the own one's, and gives its packs back.
async fn collect(
    ctx: &Context,
    copy: &OffsiteCopy,
    sides: &Sides,
    now: bool,
    cancel: &CancellationToken,
) -> anyhow::Result<()> {
    let every = ctx.settings.collect_every_seconds;
    let last = sides.target.last_collection().await?.map(|last| last.finished_at.timestamp_millis() / 1000);
    let age = last.map(|last| DateTime::now().timestamp_millis() / 1000 - last);
    let is_old = age.is_none_or(|age| u64::try_from(age).is_ok_and(|age| age >= every));
    if every == 0 || !(now || is_old) {
        return Ok(());
    }
    let in_doubt = retention::clock_in_doubt(ctx).await?;
    let grace = if in_doubt { Duration::MAX } else { Duration::from_secs(ctx.settings.trash_grace_seconds) };
    let options = CollectOptions { grace, ..CollectOptions::default() };
    match sides.target.collect(&options, Arc::new(|_| {}), cancel.clone()).await {
        Ok(_) => Ok(care::sweep(&copy.name, &sides.target, cancel).await?),
        Err(CollectError::Busy | CollectError::Cancelled) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
