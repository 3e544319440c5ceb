//! The collector: a reconciler that frees what no snapshot reaches and reads a share of the store back, each when it is due.
//!
//! Any daemon may do it: the engine's own lease lets one run at a time, and its documents say when the last one was, so that several daemons
//! do not do more. Only this unlinks what lies in the trash; while the wall clock is in doubt nothing is unlinked, since grace is told by
//! it. A bad block is logged as an error with the names of its snapshots, whoever found it, and repaired from the cache or from the heads of this
//! daemon and their clones where its content still lies there. Slices come due early enough that a whole round ends within the setting.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use blockstore_engine::{CollectError, CollectOptions, CollectReport, RollingOptions, verify::SLICES};
use bson::DateTime;
use tokio_util::sync::CancellationToken;

use crate::{context::Context, mender, retention, sweeper};

/// How often it looks whether something is due.
const EVERY: Duration = Duration::from_secs(300);
/// After the start: heads and their backups come first.
const FIRST_AFTER: Duration = Duration::from_secs(600);
/// How often a repair is tried again while something is damaged: content that was not here may have come.
const REPAIR_EVERY: Duration = Duration::from_secs(6 * 3600);

/// Runs until cancelled.
pub async fn run(ctx: Arc<Context>, cancel: CancellationToken) {
    let mut pause = FIRST_AFTER;
    let mut repaired: Option<Instant> = None;
    while cancel.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
        pause = EVERY;
        let mut failed = None;
        if let Err(error) = collect_if_due(&ctx, &cancel).await {
            tracing::warn!(error = format!("{error:#}"), "collect garbage");
            failed = Some(format!("{error:#}"));
        }
        let found = verify_if_due(&ctx, &cancel).await.unwrap_or_else(|error| {
            tracing::warn!(error = format!("{error:#}"), "verify stored blocks");
            failed = Some(format!("{error:#}"));
            false
        });
        let again = repaired.is_none_or(|at| at.elapsed() >= REPAIR_EVERY);
        match repair_if_needed(&ctx, found || again, &cancel).await {
            Ok(true) => repaired = Some(Instant::now()),
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "repair bad blocks");
                failed = Some(format!("{error:#}"));
            }
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

/// How a verification at every turn of this reconciler reads everything back within this time: the age from which slices are due, and how many
/// are read at one turn.
///
/// As few as make a round that takes at most a quarter of the time; due early by twice a round, or a tenth of the time if that is more, since all may
/// come due at once and reading takes its time too.
fn schedule(within: Duration) -> (Duration, u32) {
    let slices = u32::from(SLICES);
    let round = |share: u32| EVERY * slices.div_ceil(share);
    let share = (1..=slices).find(|share| round(*share) <= within / 4).unwrap_or(slices);
    let early = (round(share) * 2).max(within / 10).min(within / 2);
    (within - early, share)
}

/// Reads back what must be read now so that everything is within the time that the settings give; whether something was found to be bad.
///
/// # Errors
/// The store's. What is bad is logged, not an error here.
pub async fn verify_if_due(ctx: &Context, cancel: &CancellationToken) -> anyhow::Result<bool> {
    let within = ctx.settings.verify_within_seconds;
    if within == 0 {
        return Ok(false);
    }
    let (age, share) = schedule(Duration::from_secs(within));
    let options = RollingOptions { age, share: (share, u32::from(SLICES)), ..RollingOptions::default() };
    ctx.board.update("reconciler", "collector", |v| v.phase = "verify stored blocks".into());
    let report = match ctx.store.verify_rolling(&options, Arc::new(|_| {}), cancel.clone()).await {
        Ok(report) => report,
        Err(_) if cancel.is_cancelled() => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    if report.unread > 0 {
        tracing::warn!(blocks = report.unread, "stored blocks could not be verified: their key is not here");
    }
    for bad in &report.bad {
        let snapshots: Vec<_> = bad.snapshots.iter().map(ToString::to_string).collect();
        tracing::error!(block = %bad.id, reason = bad.reason, ?snapshots, "a stored block is bad");
    }
    Ok(!report.bad.is_empty())
}

/// Names the snapshots of bad blocks that nobody named yet, then repairs what is damaged, if it is `due` or something was named; whether it did.
/// Not only what this daemon's own verification found: writers and copies meet bad blocks too, and may end before they name anything.
///
/// # Errors
/// The store's. What is left is logged, not an error here.
pub async fn repair_if_needed(ctx: &Context, due: bool, cancel: &CancellationToken) -> anyhow::Result<bool> {
    let named = ctx.store.name_bad_blocks(cancel).await?;
    for (block, snapshots) in &named {
        let snapshots: Vec<_> = snapshots.iter().map(ToString::to_string).collect();
        tracing::error!(%block, ?snapshots, "a stored block is bad");
    }
    let wanted = due || !named.is_empty();
    if !wanted || !ctx.store.needs_repair().await? {
        return Ok(false);
    }
    ctx.board.update("reconciler", "collector", |v| v.phase = "repair bad blocks".into());
    let report = mender::repair(ctx, cancel).await?;
    tracing::info!(
        from_cache = report.from_cache,
        from_heads = report.from_source,
        left = report.left.len(),
        healed = report.healed.len(),
        damaged = report.touched.len(),
        "bad blocks were repaired"
    );
    Ok(true)
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

    /// Turns as the reconciler takes them, each longer than the pause by what it reads; the longest that any slice waited.
    fn longest_wait(within: Duration, begun_at_once: bool) -> Duration {
        let (age, share) = schedule(within);
        let turn = EVERY + EVERY / 10;
        let mut last: Vec<Duration> = (0..u32::from(SLICES))
            .map(|slice| if begun_at_once { Duration::ZERO } else { within * slice / 1000 })
            .collect();
        let (mut now, mut longest) = (within / 4, Duration::ZERO);
        while now < within * 4 {
            let mut due: Vec<usize> = (0..last.len()).filter(|slice| now >= last[*slice] + age).collect();
            due.sort_by_key(|slice| last[*slice]);
            for slice in due.into_iter().take(share as usize) {
                longest = longest.max(now - last[slice]);
                last[slice] = now;
            }
            longest = longest.max(last.iter().map(|last| now.saturating_sub(*last)).max().unwrap_or_default());
            now += turn;
        }
        longest
    }

    #[test]
    fn everything_is_read_within_the_setting() {
        let day = Duration::from_secs(24 * 3600);
        for within in [30 * day, 7 * day, day, day / 4, day / 24] {
            for begun_at_once in [false, true] {
                let waited = longest_wait(within, begun_at_once);
                assert!(waited <= within, "{waited:?} of {within:?}");
                assert!(waited >= within / 3, "{waited:?} of {within:?}: not read much more often than asked");
            }
        }
        assert_eq!(schedule(30 * day).1, 1, "one slice at a turn");
    }
}
