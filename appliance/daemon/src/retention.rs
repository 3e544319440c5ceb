//! Retention: a reconciler that trashes what the schedule does not keep, raises each job's floor and trims its ledger.
//!
//! Idempotent; works only on jobs that are bound to this daemon. Every condition is asked again inside the store's own transaction, so that
//! two who delete never rely on the other's snapshot. Unlinking what lies in the trash is the garbage collector's. While the wall clock is
//! in doubt nothing is trashed or trimmed. Backups that were given up are `terminated.rs`'s, whichever daemon they were bound to.

use std::{fs, sync::Arc, time::Duration};

use blockstore_engine::{Floor, Purpose, RootError};
use bson::DateTime;
use holdfast_domain::{BackupState, EntryPosition, plan_retention};
use holdfast_metadb::{BackupJob, BackupJobFilter};
use tokio_util::sync::CancellationToken;

use crate::{
    chain_of,
    clock_guard::{self, Anchor, Verdict},
    context::Context,
    identity::write_durably,
    keep::{self, Needs},
    terminated::Terminated,
};

/// How often retention runs.
const EVERY: Duration = Duration::from_secs(60);
/// After the start: soon, but not before the jobs are bound.
const FIRST_AFTER: Duration = Duration::from_secs(10);
/// Rounds of trimming per job and run; the ledger bounds each.
const TRIMS_MAX: usize = 20;
/// An agent whose report is younger than this is live, in seconds.
const LIVE_SECONDS: i64 = 300;
const DAY: i64 = 86_400;

/// Runs until cancelled.
pub async fn run(ctx: Arc<Context>, cancel: CancellationToken) {
    let mut pause = FIRST_AFTER;
    while cancel.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
        pause = EVERY;
        if let Err(error) = once(&ctx).await {
            tracing::warn!(error = format!("{error:#}"), "retention");
        }
    }
}

/// One run over this daemon's jobs.
///
/// # Errors
/// The databases'; what was done stays done.
pub async fn once(ctx: &Context) -> anyhow::Result<()> {
    let filter = BackupJobFilter { daemon: Some(ctx.id.clone()), ..BackupJobFilter::default() };
    let jobs = ctx.metadb.backup_jobs(&filter).await?;
    let now = clock_guard::read_clocks();
    if let Verdict::Doubtful(why) = judge(ctx, &jobs, &now) {
        tracing::warn!(why, "nothing is removed while the clock is in doubt");
        ctx.board.update("reconciler", "retention", |v| {
            v.phase = "wait for a clock that can be trusted".into();
            v.last_error = Some(format!("nothing is removed: {why}"));
        });
        return Ok(());
    }
    write_durably(&ctx.layout.clocks(), &serde_json::to_vec(&now)?)?;
    ctx.metadb.note_trash_grace(&ctx.id, ctx.settings.trash_grace_seconds).await?;
    end_restores(ctx).await?;
    let mut failed = None;
    if let Err(error) = bring_terminated_on(ctx).await {
        tracing::warn!(error = format!("{error:#}"), "end terminated backups");
        failed = Some(format!("{error:#}"));
    }
    for job in jobs.iter().filter(|job| job.state != BackupState::Terminated) {
        ctx.board.update("reconciler", "retention", |v| v.phase = format!("look at {}", job.rs));
        if let Err(error) = keep_job(ctx, job).await {
            tracing::warn!(job = %job.id, error = format!("{error:#}"), "retention of a backup");
            failed = Some(format!("{error:#}"));
        }
    }
    ctx.board.update("reconciler", "retention", |v| {
        v.phase = "wait".into();
        v.last_error = failed;
    });
    Ok(())
}

/// Of all daemons: a terminated backup has no head that binds it to one.
async fn bring_terminated_on(ctx: &Context) -> anyhow::Result<()> {
    let grace = Duration::from_secs(ctx.settings.trash_grace_seconds);
    let terminated = Terminated { metadb: &ctx.metadb, ledger: &ctx.ledger, store: &ctx.store, grace };
    for job in ctx.metadb.backup_jobs(&BackupJobFilter::default()).await? {
        if job.state == BackupState::Terminated {
            terminated.bring_on(&job).await?;
        }
    }
    Ok(())
}

/// Whether the wall clock cannot be trusted now, as a run of retention would find.
///
/// # Errors
/// The app database's.
pub async fn clock_in_doubt(ctx: &Context) -> anyhow::Result<bool> {
    let filter = BackupJobFilter { daemon: Some(ctx.id.clone()), ..BackupJobFilter::default() };
    let jobs = ctx.metadb.backup_jobs(&filter).await?;
    Ok(matches!(judge(ctx, &jobs, &clock_guard::read_clocks()), Verdict::Doubtful(_)))
}

fn judge(ctx: &Context, jobs: &[BackupJob], now: &Anchor) -> Verdict {
    let last: Option<Anchor> = fs::read(ctx.layout.clocks()).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    clock_guard::judge(last.as_ref(), now, newest_live(jobs, now.wall_seconds))
}

/// The newest entry that a live agent saw at its source, in seconds since 1970: an agent is live when it reported since the last run, told
/// by this machine's clock on both sides (a jump of the clock makes agents look dead, not alive).
fn newest_live(jobs: &[BackupJob], now: i64) -> Option<i64> {
    let live = |job: &&BackupJob| {
        job.agent_report.as_ref().is_some_and(|r| (now - r.at.timestamp_millis() / 1000).abs() <= LIVE_SECONDS)
    };
    jobs.iter().filter(live).filter_map(|job| Some(i64::from(job.source_optime?.ts.t))).max()
}

/// Links whose time is over let go of their snapshots; what was made for them alone goes to the trash.
async fn end_restores(ctx: &Context) -> anyhow::Result<()> {
    for ended in ctx.metadb.expire_restores().await? {
        let pin = format!("restore:{}", ended.id);
        for root in [Some(ended.base_root), ended.root].into_iter().flatten() {
            let Ok(root) = root.parse() else { continue };
            match ctx.store.unpin(&root, &pin).await {
                Ok(()) | Err(RootError::NotFound(_)) => {}
                Err(error) => tracing::warn!(restore = %ended.id, error = chain_of(&error), "unpin a snapshot"),
            }
        }
    }
    Ok(())
}

async fn keep_job(ctx: &Context, job: &BackupJob) -> anyhow::Result<()> {
    let now = DateTime::now();
    let seconds = now.timestamp_millis() / 1000;
    let roots = ctx.store.roots(job.id.as_str()).await?;
    for root in roots.iter().filter(|r| r.purpose == Purpose::Restore && r.trashed_at.is_none() && !r.is_pinned(now)) {
        tracing::info!(job = %job.id, root = %root.id, "a restore's files go to the trash");
        tell(ctx.store.trash(&root.id, &|_| Ok(())).await)?;
    }
    let places = keep::places(&roots, now);
    let plan = plan_retention(&job.retention, &keep::facts(&places), seconds);
    for id in &plan.trash {
        let (Some(place), Ok(root)) = (places.iter().find(|p| p.id == *id), id.as_str().parse()) else { continue };
        tracing::info!(job = %job.id, snapshot = %id, at = place.at, "a snapshot goes to the trash");
        tell(ctx.store.trash(&root, &|rest| keep::may_trash(place, rest, &job.retention, DateTime::now())).await)?;
    }
    trim(ctx, job, seconds).await
}

/// Raises the floor to the first slice that must stay, then lets the ledger delete what lies before it.
async fn trim(ctx: &Context, job: &BackupJob, now: i64) -> anyhow::Result<()> {
    let Some(tail) = ctx.ledger.tail(&job.id).await? else { return Ok(()) };
    let needs = Needs {
        window_start: now - i64::from(job.retention.oplog_window_days) * DAY,
        open_chain: tail.closed.is_none().then_some(tail.at.chain),
        // A head that was not opened since this process started may need all of its chain.
        head: Some(
            ctx.needs
                .get(&job.id)
                .filter(|at| at.chain == tail.at.chain)
                .unwrap_or(EntryPosition { chain: tail.at.chain, seq: 0 }),
        ),
    };
    let places = keep::places(&ctx.store.roots(job.id.as_str()).await?, DateTime::now());
    let Some(wanted) = keep::floor(&places, &needs) else { return Ok(()) };
    let floor = Floor { chain: wanted.chain, seq: wanted.seq };
    let present = ctx.store.guard(job.id.as_str()).await?.floor;
    if present.is_none_or(|present| present < floor) {
        let rule = |roots: &[blockstore_engine::Root]| keep::may_raise(roots, &needs, DateTime::now(), wanted);
        match ctx.store.raise_floor(job.id.as_str(), floor, &rule).await {
            Ok(()) => {}
            Err(RootError::Pinned { .. } | RootError::Rule(_)) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
    // What the guard says, not what was planned: another daemon may have raised it further.
    let Some(floor) = ctx.store.guard(job.id.as_str()).await?.floor else { return Ok(()) };
    for _ in 0..TRIMS_MAX {
        let report = ctx.ledger.trim(&job.id, EntryPosition { chain: floor.chain, seq: floor.seq }).await?;
        if report.entries > 0 || report.days > 0 {
            tracing::info!(job = %job.id, entries = report.entries, days = report.days, "ledger trimmed");
        }
        if !report.more {
            break;
        }
    }
    Ok(())
}

/// A refusal is no failure: the next run looks again.
fn tell(done: Result<(), RootError>) -> anyhow::Result<()> {
    match done {
        Ok(()) => Ok(()),
        Err(error @ (RootError::Pinned { .. } | RootError::Rule(_) | RootError::NotFound(_))) => {
            tracing::debug!(error = chain_of(&error), "a snapshot stays");
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}
