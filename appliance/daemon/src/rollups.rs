//! Rollups: a reconciler that counts what the agents brought, so that web shows a year as cheaply as an hour.
//!
//! Works on jobs that are bound to this daemon; the ledger counts every entry once, whoever asks. What is older than any view goes.

use std::{sync::Arc, time::Duration};

use holdfast_ledger::ROLLUP_DAYS_MAX;
use holdfast_metadb::BackupJobFilter;
use tokio_util::sync::CancellationToken;

use crate::context::Context;

/// How often: what is not counted yet is read entry by entry.
const EVERY: Duration = Duration::from_secs(20);
/// After the start: soon, but not before the jobs are bound.
const FIRST_AFTER: Duration = Duration::from_secs(5);
/// Pause before the next run when a bound stopped one.
const SOON: Duration = Duration::from_millis(100);
const DAY: i64 = 86_400;

/// Runs until cancelled.
pub async fn run(ctx: Arc<Context>, cancel: CancellationToken) {
    let mut pause = FIRST_AFTER;
    while cancel.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
        let done = match cancel.run_until_cancelled(once(&ctx)).await {
            None => return,
            Some(done) => done,
        };
        pause = if matches!(done, Ok(true)) { SOON } else { EVERY };
        let failed = done.err().map(|error| format!("{error:#}"));
        if let Some(error) = &failed {
            tracing::warn!(error, "count what was written");
        }
        ctx.board.update("reconciler", "rollups", |v| {
            v.phase = "wait".into();
            v.last_error = failed;
        });
    }
}

/// One run over this daemon's jobs. True: a bound stopped it.
///
/// # Errors
/// The databases'; the first job's. The other jobs were looked at all the same.
pub async fn once(ctx: &Context) -> anyhow::Result<bool> {
    let filter = BackupJobFilter { daemon: Some(ctx.id.clone()), ..BackupJobFilter::default() };
    let old = bson::DateTime::now().timestamp_millis() / 1000 - i64::from(ROLLUP_DAYS_MAX) * DAY;
    let (mut more, mut failed) = (false, None);
    for job in ctx.metadb.backup_jobs(&filter).await? {
        let counted = async {
            more |= ctx.ledger.roll_up(&job.id).await?;
            ctx.ledger.forget_rollups(&job.id, u32::try_from(old).unwrap_or_default()).await
        };
        if let Err(error) = counted.await {
            failed.get_or_insert(anyhow::Error::from(error).context(format!("backup of {}", job.rs)));
        }
    }
    failed.map_or(Ok(more), Err)
}
