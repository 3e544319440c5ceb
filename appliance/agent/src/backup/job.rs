//! One backup job under one assignment: opens chains, syncs, tails, until it is called off.

use std::{sync::Arc, time::Duration};

use holdfast_agent_api::{JobConfig, LedgerTail, OpenChain};
use holdfast_domain::{Classify as _, ErrorClass, Hash32};

use super::{
    catalog, context::JobContext, discovery, error::JobError, initial_sync, job_api::Outcome, member_choice::Wishes,
    report::Part, start_point, tail,
};

/// Pause after a failure, before the server is asked again.
const PAUSE: Duration = Duration::from_secs(3);
/// Pause between the end of a chain and the next.
const STEP_PAUSE: Duration = Duration::from_millis(250);

/// How a job ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// Called off, or no longer this agent's.
    Cancelled,
    /// The server must say anew where the job stands.
    AskAgain,
}

/// Works until the job is called off or the server must be asked again. Errors are reported, not returned.
pub(crate) async fn run(ctx: Arc<JobContext>, config: JobConfig) -> Ended {
    let (mut tail, mut complete) = (config.tail, config.sync_complete);
    loop {
        let error = match step(&ctx, tail.clone(), complete).await {
            Ok(now) => {
                // A rewind keeps the chain and so its sync; a closed chain has a new one.
                complete =
                    complete && now.closed.is_none() && tail.as_ref().is_some_and(|t| t.at.chain == now.at.chain);
                tail = Some(now);
                if ctx.sleep(STEP_PAUSE).await.is_err() {
                    return Ended::Cancelled;
                }
                continue;
            }
            Err(error) => error,
        };
        match error {
            JobError::Rewind(now) => {
                tracing::info!(job = %ctx.api.job, at = ?now.at, "the ledger stands elsewhere: cutting anew from there");
                complete =
                    complete && now.closed.is_none() && tail.as_ref().is_some_and(|t| t.at.chain == now.at.chain);
                tail = Some(*now);
            }
            JobError::ChainEnded(now) if now.closed.is_some() => {
                (tail, complete) = (Some(*now), false);
            }
            // Another chain is open: someone else worked on this job. Only the server knows whether its sync is complete.
            JobError::ChainEnded(_) => return Ended::AskAgain,
            error if error.class() == ErrorClass::Cancelled => {
                if !ctx.api.cancel.is_cancelled() {
                    tracing::info!(job = %ctx.api.job, error = crate::retry::with_sources(&error), "the job is no longer ours");
                }
                return if ctx.api.cancel.is_cancelled() { Ended::Cancelled } else { Ended::AskAgain };
            }
            error => {
                ctx.report.error(Part::Job, Some(crate::retry::with_sources(&error)));
                // What the last answers said may be old by now: the server is asked where the job stands.
                return if ctx.sleep(PAUSE).await.is_err() { Ended::Cancelled } else { Ended::AskAgain };
            }
        }
    }
}

/// Opens a chain, or works on the open one until it ends. Returns where the ledger stands.
async fn step(ctx: &Arc<JobContext>, tail: Option<LedgerTail>, complete: bool) -> Result<LedgerTail, JobError> {
    match tail {
        Some(tail) if tail.closed.is_none() => work(ctx, tail, complete).await,
        closed => open(ctx, closed).await,
    }
}

/// Opens the next chain at a new start point.
async fn open(ctx: &JobContext, closed: Option<LedgerTail>) -> Result<LedgerTail, JobError> {
    ctx.report.phase(Part::Job, "find the start point");
    let wanted = ctx.wanted_member();
    let member = ctx.source.pick(Wishes { wanted: wanted.as_deref(), ..Wishes::default() }).await?;
    ctx.report.update(|report| report.member = Some(member.host.clone()));
    let source = discovery::source_info(&member.client, &member.host).await?;
    let found = tokio::select! {
        () = ctx.api.cancel.cancelled() => return Err(JobError::Cancelled),
        found = with_majority_watch(ctx, start_point::find_start(&member)) => found?,
    };
    let prev = closed.map_or(Hash32::ZERO, |tail| tail.hash);
    tracing::info!(job = %ctx.api.job, start = %found, member = member.host, "opening a chain");
    match ctx.api.open_chain(&OpenChain { prev, start: found, source }).await? {
        Outcome::Done(tail) => Ok(tail),
        Outcome::Conflict(tail) => Err(if tail.closed.is_some() {
            JobError::Rewind(Box::new(tail))
        } else {
            JobError::ChainEnded(Box::new(tail))
        }),
    }
}

/// Says "no majority" while something waits for one.
async fn with_majority_watch<T>(
    ctx: &JobContext,
    work: impl Future<Output = Result<T, JobError>>,
) -> Result<T, JobError> {
    tokio::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return done,
            () = tokio::time::sleep(Duration::from_secs(10)) => {
                if let Ok(state) = ctx.source.survey().await
                    && let Some(said) = state.without_majority()
                {
                    ctx.report.phase(Part::Job, "wait for a majority");
                    ctx.report.error(Part::Job, Some(said));
                }
            }
        }
    }
}

/// Tails, and syncs beside it when the sync is not complete yet. Returns where the ledger stands when the chain ended.
async fn work(ctx: &Arc<JobContext>, tail: LedgerTail, complete: bool) -> Result<LedgerTail, JobError> {
    let chain = tail.at.chain;
    remove_other_spools(ctx, chain);
    ctx.report.syncing(false);
    let start = tail.last;
    let beside = async {
        if !complete {
            ctx.report.syncing(true);
            initial_sync::run(ctx, chain, start).await?;
            ctx.report.syncing(false);
            ctx.report.phase(Part::Job, "tail the oplog");
        }
        catalog::keep_sending(ctx, chain).await
    };
    tokio::select! {
        ended = tail::run(ctx, tail) => ended,
        failed = beside => match failed {
            Ok(()) => Err(JobError::Bug("the catalogs of an open chain ended".into())),
            Err(error) => Err(error),
        },
    }
}

/// Spools of chains that ended hold what no chain will take.
fn remove_other_spools(ctx: &JobContext, chain: i64) {
    let keep = format!("spool-{chain}");
    let entries = std::fs::read_dir(&ctx.dir).into_iter().flatten().flatten();
    for entry in entries.filter(|e| e.file_name().to_str().is_some_and(|n| n.starts_with("spool-") && n != keep)) {
        if let Err(error) = std::fs::remove_dir_all(entry.path()) {
            tracing::warn!(%error, path = %entry.path().display(), "cannot remove the spool of an ended chain");
        }
    }
}
