//! Getting and keeping a job's lease.
//!
//! A lease whose owner is this daemon was left by its own dead predecessor (the head folder's lock says that it is dead) and is taken at
//! once; another's only when its beat has stood still for the lease's length by our monotonic clock.

use std::{sync::Arc, time::Instant};

use holdfast_domain::{BackupJobId, BackupState, Classify as _, ErrorClass, LeaseWatch};
use holdfast_metadb::{BackupJob, Fence, MetaDb, MetaError};
use tokio_util::sync::CancellationToken;

use crate::{chain_of, context::Context};

/// Waits until the job's lease is ours. None: the job is not this daemon's, or the daemon ends.
pub(crate) async fn acquire(
    ctx: &Arc<Context>,
    job: &BackupJobId,
    cancel: &CancellationToken,
) -> Option<(Fence, BackupJob)> {
    let mut watch = LeaseWatch::new(ctx.lease());
    let started = Instant::now();
    let owner = ctx.id.as_str();
    loop {
        match ctx.metadb.backup_job(job).await {
            Ok(None) => return None,
            Ok(Some(found)) if found.daemon.as_ref() != Some(&ctx.id) || found.state == BackupState::Terminated => {
                return None;
            }
            Ok(Some(found)) => {
                if found.lease.owner == owner || watch.read(started.elapsed(), &found.lease) {
                    match ctx.metadb.acquire_lease(job, &found.lease, owner).await {
                        Ok(Some(fence)) => return Some((fence, found)),
                        Ok(None) => {}
                        Err(error) => tracing::warn!(%job, error = chain_of(&error), "take a lease"),
                    }
                }
            }
            Err(error) => {
                watch.failed();
                tracing::warn!(%job, error = chain_of(&error), "read a backup job");
            }
        }
        cancel.run_until_cancelled(tokio::time::sleep(ctx.lease() / 6)).await?;
    }
}

/// Renews until told to stop; cancels `lost` when the lease went to another.
///
/// Failed renewals lose nothing: as long as nobody took the lease, the next one finds it. Whoever takes it raises the epoch that fences
/// every write.
pub(crate) async fn keep(metadb: MetaDb, fence: Fence, every: std::time::Duration, lost: CancellationToken) {
    loop {
        tokio::time::sleep(every).await;
        match metadb.renew_lease(&fence).await {
            Ok(()) => {}
            Err(MetaError::Fenced) => {
                tracing::warn!(job = %fence.job, epoch = fence.epoch, "the lease went to another daemon");
                lost.cancel();
                return;
            }
            Err(error) if error.class() == ErrorClass::Retry => {
                tracing::debug!(job = %fence.job, error = chain_of(&error), "renew a lease");
            }
            Err(error) => tracing::warn!(job = %fence.job, error = chain_of(&error), "renew a lease"),
        }
    }
}
