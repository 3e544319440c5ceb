//! The collector: a reconciler that frees what no snapshot reaches and reads a share of the store back, each when it is due.
//!
//! Any daemon may do it: the engine's own lease lets one run at a time, and its documents say when the last one was, so that several daemons
//! do not do more. Only this unlinks what lies in the trash; while the wall clock is in doubt nothing is unlinked, since grace is told by
//! it. A bad block is logged as an error with the names of its snapshots, and repaired from the cache where it still lies there.

use std::{sync::Arc, time::Duration};

use blockstore_engine::{CollectError, CollectOptions, CollectReport, RollingOptions};
use bson::DateTime;
use tokio_util::sync::CancellationToken;

use crate::{chain_of, context::Context, retention, sweeper};

/// How often it looks whether something is due.
const EVERY: Duration = Duration::from_secs(300);
/// After the start: heads and their backups come first.
const FIRST_AFTER: Duration = Duration::from_secs(600);
/// Parts into which one round of verification is divided: one part is read at a time, as often as the round needs.
const VERIFY_PARTS: u32 = 256;

/// Runs until cancelled.
pub async fn run(ctx: Arc<Context>, cancel: CancellationToken) {
    let mut pause = FIRST_AFTER;
    while cancel.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
        pause = EVERY;
        let mut failed = None;
        if let Err(error) = collect_if_due(&ctx, &cancel).await {
            tracing::warn!(error = format!("{error:#}"), "collect garbage");
            failed = Some(format!("{error:#}"));
        }
        if let Err(error) = verify_if_due(&ctx, &cancel).await {
            tracing::warn!(error = format!("{error:#}"), "verify stored blocks");
            failed = Some(format!("{error:#}"));
        }
        ctx.board.update("reconciler", "collector", |v| {
            v.phase = "wait".into();
            v.last_error = failed;
        });
    }
}

/// Collects when the last run is older than the settings say; what it did.
///
/// # Errors
/// The store's. Another daemon's run, or the end of this one, is none.
pub async fn collect_if_due(ctx: &Context, cancel: &CancellationToken) -> anyhow::Result<Option<CollectReport>> {
    let every = ctx.settings.collect_every_seconds;
    let last = ctx.store.last_collection().await?.map(|last| last.finished_at);
    if every == 0 || last.is_some_and(|last| !is_older(last, DateTime::now(), every)) {
        return Ok(None);
    }
    let options = options(ctx).await?;
    ctx.board.update("reconciler", "collector", |v| v.phase = "collect garbage".into());
    match ctx.store.collect(&options, Arc::new(|_| {}), cancel.clone()).await {
        Ok(report) => {
            tracing::info!(
                unlinked = report.unlinked.len(),
                blocks = report.deleted.blocks,
                freed_for_reuse_bytes = report.freed_bytes(),
                freed_on_disk_bytes = report.freed_on_disk(),
                "garbage was collected"
            );
            sweeper::sweep(ctx, cancel).await;
            Ok(Some(report))
        }
        // Another daemon's run, or the end of this one: it goes on where this one stood.
        Err(CollectError::Busy | CollectError::Cancelled) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// How a run behaves now.
///
/// # Errors
/// The databases', which say whether the clock is in doubt.
pub async fn options(ctx: &Context) -> anyhow::Result<CollectOptions> {
    // In doubt: collects what is garbage already, removes nothing.
    let in_doubt = retention::clock_in_doubt(ctx).await?;
    let grace = if in_doubt { Duration::MAX } else { Duration::from_secs(ctx.settings.trash_grace_seconds) };
    Ok(CollectOptions { grace, ..CollectOptions::default() })
}

/// Reads back what was not read within the time that the settings give.
///
/// # Errors
/// The store's. What is bad is logged, not an error here.
pub async fn verify_if_due(ctx: &Context, cancel: &CancellationToken) -> anyhow::Result<()> {
    let within = ctx.settings.verify_within_seconds;
    if within == 0 {
        return Ok(());
    }
    let options =
        RollingOptions { age: Duration::from_secs(within), share: (1, VERIFY_PARTS), ..RollingOptions::default() };
    ctx.board.update("reconciler", "collector", |v| v.phase = "verify stored blocks".into());
    let report = match ctx.store.verify_rolling(&options, Arc::new(|_| {}), cancel.clone()).await {
        Ok(report) => report,
        Err(_) if cancel.is_cancelled() => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    for bad in &report.bad {
        let snapshots: Vec<_> = bad.snapshots.iter().map(ToString::to_string).collect();
        tracing::error!(block = %bad.id, reason = bad.reason, ?snapshots, "a stored block is bad");
    }
    if !report.bad.is_empty() {
        match ctx.store.repair(None, cancel.clone()).await {
            Ok(repair) => {
                tracing::info!(repaired = repair.from_cache, left = repair.left.len(), "bad blocks were repaired")
            }
            Err(error) => tracing::warn!(error = chain_of(&error), "repair bad blocks"),
        }
    }
    Ok(())
}

/// Whether `last` is at least `seconds` ago; a time in the future counts, since then the clock was moved.
fn is_older(last: DateTime, now: DateTime, seconds: u64) -> bool {
    let passed = now.timestamp_millis() - last.timestamp_millis();
    passed < 0 || u64::try_from(passed / 1000).is_ok_and(|passed| passed >= seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_by_the_wall_clock() {
        let at = DateTime::from_millis;
        assert!(!is_older(at(1_000_000), at(1_059_999), 60));
        assert!(is_older(at(1_000_000), at(1_060_000), 60));
        assert!(is_older(at(2_000_000), at(1_000_000), 60), "a clock that was moved back delays nothing");
    }
}
