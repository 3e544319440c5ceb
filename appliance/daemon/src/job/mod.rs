//! One task per backup job that is bound to this daemon.
//!
//! The task holds the job's lease while it works; [`driver::Driver`] does the work.

mod catalog;
mod clones;
mod driver;
mod error;
mod follow;
mod hand_over;
mod head_file;
mod lease;
mod load;
mod rebuild;
mod record;
mod snapshots;

use std::{sync::Arc, time::Duration};

use holdfast_domain::{BackupJobId, ErrorClass};
use tokio_util::sync::CancellationToken;

pub use head_file::{HeadFile, HeadFiles, HeadPhase};
pub use snapshots::USER_PIN;

use crate::{chain_of, context::Context, error::engine_class};
use driver::Driver;
use record::Record;

/// Pause before a task that ended by an error begins again.
const RESTART_PAUSE: Duration = Duration::from_secs(2);

/// Works on a job until it leaves this daemon or the daemon ends.
pub async fn run(ctx: Arc<Context>, id: BackupJobId, cancel: CancellationToken) {
    while !cancel.is_cancelled() {
        let Some((fence, job)) = lease::acquire(&ctx, &id, &cancel).await else { break };
        tracing::info!(job = %id, rs = job.rs, epoch = fence.epoch, "lease taken");
        let lost = cancel.child_token();
        let keeper = tokio::spawn(lease::keep(ctx.metadb.clone(), fence.clone(), ctx.lease() / 3, lost.clone()));
        let keeper = tokio_util::task::AbortOnDropHandle::new(keeper);
        let left = work(&ctx, &id, fence.clone(), job, &lost).await;
        let lease_lost = lost.is_cancelled() && !cancel.is_cancelled();
        if !lease_lost && let Err(error) = ctx.metadb.release_lease(&fence).await {
            tracing::debug!(job = %id, error = chain_of(&error), "give a lease back");
        }
        drop(keeper);
        if left {
            break;
        }
        let _ = cancel.run_until_cancelled(tokio::time::sleep(RESTART_PAUSE)).await;
    }
    ctx.board.remove("backup", id.as_str());
}

/// Works under one lease. True: the job left this daemon.
async fn work(
    ctx: &Arc<Context>,
    id: &BackupJobId,
    fence: holdfast_metadb::Fence,
    job: holdfast_metadb::BackupJob,
    lost: &CancellationToken,
) -> bool {
    // From here on no older owner's writer can commit.
    while let Err(error) = ctx.store.raise_epoch(id.as_str(), fence.epoch).await {
        tracing::warn!(job = %id, error = chain_of(&error), "raise the job's epoch in the blockstore");
        let stale = engine_class(error.class()) == ErrorClass::Cancelled;
        if stale || lost.run_until_cancelled(tokio::time::sleep(RESTART_PAUSE)).await.is_none() {
            return false;
        }
    }
    let record = Record::new(ctx.metadb.clone(), fence, ctx.board.clone(), job);
    let mut driver = match Driver::new(Arc::clone(ctx), record, lost.clone()) {
        Ok(driver) => driver,
        Err(error) => {
            tracing::error!(job = %id, error = chain_of(&error), "begin a backup job");
            return false;
        }
    };
    let left = driver.run().await;
    let lease_lost = lost.is_cancelled() && !ctx.shutdown.is_cancelled();
    driver.end(lease_lost).await;
    left
}
