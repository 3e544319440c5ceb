//! Deliveries: restores that are pushed to SFTP servers once they are made.
//!
//! Invariants: one daemon at a time works on a delivery, under the restore job's lease, and every write carries its epoch; the file gets its
//! name when it is whole and its sums lie beside it, never before; what was called off is not sent on; the root is pinned while it is under way.
//! An attempt that broke, or whose daemon died, is gone on with at the length that the server has, after a look at what is there.
//!
//! Called by `daemon.rs`; `push.rs` brings one file over.

mod push;

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use holdfast_domain::{Classify as _, DeliveryEvent, DeliveryState, ErrorClass, LeaseWatch, RestoreJobId};
use holdfast_metadb::{Delivery, DeliveryProgress, MetaError, RestoreFence, RestoreJob};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{chain_of, context::Context};

/// How often the deliveries are looked at.
const POLL: Duration = Duration::from_secs(1);
/// Deliveries at a time in one daemon: each may fill a link.
const DELIVERIES_MAX: usize = 2;
/// The pause after the first attempt that broke; it doubles with each further one.
const PAUSE_MIN: Duration = Duration::from_secs(2);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(300);
/// How often progress is written, at most; also when a cancellation is noticed.
const BEAT_EVERY: Duration = Duration::from_secs(1);

/// How often each delivery broke in a row in this process, and when it may be tried again.
type Pauses = Arc<Mutex<HashMap<RestoreJobId, (u32, Instant)>>>;
/// How far a push is.
type Shown = Arc<Mutex<DeliveryProgress>>;

/// Delivers until cancelled. `master_key` is the file of the appliance's key, which opens the groups' SFTP keys.
pub async fn run(ctx: Arc<Context>, master_key: PathBuf, cancel: CancellationToken) {
    let mut tasks = JoinSet::new();
    let mut watches: HashMap<RestoreJobId, LeaseWatch> = HashMap::new();
    let busy: Arc<Mutex<HashSet<RestoreJobId>>> = Arc::default();
    let pauses = Pauses::default();
    let begun = Instant::now();
    while cancel.run_until_cancelled(tokio::time::sleep(POLL)).await.is_some() {
        while tasks.try_join_next().is_some() {}
        let open = match ctx.metadb.open_deliveries().await {
            Ok(open) => open,
            Err(error) => {
                watches.clear();
                tracing::warn!(error = chain_of(&error), "look for deliveries");
                continue;
            }
        };
        watches.retain(|id, _| open.iter().any(|job| job.id == *id));
        lock(&pauses).retain(|id, _| open.iter().any(|job| job.id == *id));
        for job in open {
            let watch = watches.entry(job.id.clone()).or_insert_with(|| LeaseWatch::new(ctx.lease()));
            let free = watch.read(begun.elapsed(), &job.lease);
            let paused = lock(&pauses).get(&job.id).is_some_and(|(_, until)| *until > Instant::now());
            let Some(delivery) = job.delivery.clone() else { continue };
            if !free || paused || lock(&busy).contains(&job.id) || lock(&busy).len() >= DELIVERIES_MAX {
                continue;
            }
            match ctx.metadb.claim_restore(&job.id, &job.lease, ctx.id.as_str()).await {
                Ok(Some(fence)) => {
                    lock(&busy).insert(job.id.clone());
                    let (ctx, master_key, cancel) = (Arc::clone(&ctx), master_key.clone(), cancel.child_token());
                    let (busy, pauses) = (Arc::clone(&busy), Arc::clone(&pauses));
                    tasks.spawn(async move {
                        let one = One { ctx: &ctx, job: &job, delivery: &delivery, fence: &fence };
                        one.carry_out(&master_key, &pauses, cancel).await;
                        ctx.board.remove("delivery", job.id.as_str());
                        lock(&busy).remove(&job.id);
                    });
                }
                Ok(None) => {}
                Err(error) => tracing::warn!(restore = %job.id, error = chain_of(&error), "begin a delivery"),
            }
        }
    }
    // They were told to end too, and give their leases back.
    while tasks.join_next().await.is_some() {}
}

fn lock<T>(of: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The pause after so many attempts in a row that broke.
fn pause_after(broken: u32) -> Duration {
    PAUSE_MIN.saturating_mul(2_u32.saturating_pow(broken.saturating_sub(1))).min(PAUSE_MAX)
}

/// One attempt at one delivery.
struct One<'a> {
    ctx: &'a Arc<Context>,
    job: &'a RestoreJob,
    delivery: &'a Delivery,
    fence: &'a RestoreFence,
}

impl One<'_> {
    /// Sends, and says how it ended.
    async fn carry_out(&self, master_key: &std::path::Path, pauses: &Pauses, cancel: CancellationToken) {
        let id = &self.job.id;
        let begun = self.ctx.metadb.move_delivery(self.fence, self.delivery.state, DeliveryEvent::Begin, None).await;
        if let Err(error) = begun {
            tracing::debug!(restore = %id, error = chain_of(&error), "begin a delivery");
            let _ = self.ctx.metadb.release_restore(self.fence).await;
            return;
        }
        self.ctx.board.update("delivery", id.as_str(), |view| view.phase = "push to an SFTP server".into());
        tracing::info!(restore = %id, target = self.delivery.target_name, "a delivery begins");
        let shown = Shown::default();
        let lost = cancel.child_token();
        let beating = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(beat(
            Arc::clone(self.ctx),
            self.fence.clone(),
            Arc::clone(&shown),
            lost.clone(),
        )));
        let pushing = push::push(self.ctx, self.job, self.delivery, master_key, &shown);
        let pushed = lost.run_until_cancelled(pushing).await;
        beating.abort();
        let _ = beating.await;
        let (event, error) = match pushed {
            // Told to end, called off, or the lease went: whoever has it next goes on.
            None => (DeliveryEvent::Break, None),
            Some(Ok(())) => (DeliveryEvent::Finish, None),
            Some(Err(error)) => {
                let text = chain_of(&error);
                let event = if error.class() == ErrorClass::Retry { DeliveryEvent::Break } else { DeliveryEvent::Fail };
                tracing::warn!(restore = %id, error = text, ?event, "a restore was not delivered");
                (event, Some(text))
            }
        };
        if event == DeliveryEvent::Break && error.is_some() {
            let mut pauses = lock(pauses);
            // What came further than before is not stuck.
            let further = lock(&shown).sent_bytes > self.delivery.sent_bytes;
            let broken = if further { 1 } else { pauses.get(id).map_or(1, |(broken, _)| broken + 1) };
            pauses.insert(id.clone(), (broken, Instant::now() + pause_after(broken)));
        }
        let last = *lock(&shown);
        // However it ended: how far it came since the last beat. Where it was called off or the lease went, there is nothing to say.
        let _ = self.ctx.metadb.beat_delivery(self.fence, &last).await;
        let moved = self.ctx.metadb.move_delivery(self.fence, DeliveryState::Sending, event, error.as_deref()).await;
        match moved {
            Ok(()) if event == DeliveryEvent::Finish => {
                tracing::info!(restore = %id, bytes = last.sent_bytes, "a restore was delivered");
                metrics::counter!("holdfast_deliveries_total", "outcome" => "delivered").increment(1);
            }
            Ok(()) => {}
            Err(error) => tracing::debug!(restore = %id, error = chain_of(&error), "say how a delivery ended"),
        }
        // As it is stored: it may have been called off meanwhile.
        if let Ok(Some(now)) = self.ctx.metadb.restore_job(id).await
            && now.delivery.is_none_or(|delivery| delivery.state.ended())
        {
            push::unpin(self.ctx, self.job).await;
        }
        let _ = self.ctx.metadb.release_restore(self.fence).await;
    }
}

/// Renews the lease and says how far it is. Cancels `lost` when the lease went or the delivery was called off, and when it could not be
/// renewed for as long as it lasts: then another daemon may be writing the same file.
async fn beat(ctx: Arc<Context>, fence: RestoreFence, shown: Shown, lost: CancellationToken) {
    let every = BEAT_EVERY.min(ctx.lease() / 3);
    let mut renewed = Instant::now();
    loop {
        tokio::time::sleep(every).await;
        let now = *lock(&shown);
        let sent = Instant::now();
        match ctx.metadb.beat_delivery(&fence, &now).await {
            Err(MetaError::Fenced) => {
                tracing::info!(restore = %fence.restore, "a delivery was called off, or its lease is another's");
                lost.cancel();
                return;
            }
            Err(error) if renewed.elapsed() + every < ctx.lease() => {
                tracing::debug!(error = chain_of(&error), "say how far a delivery is");
            }
            Err(error) => {
                tracing::warn!(restore = %fence.restore, error = chain_of(&error), "a delivery's lease was not renewed in time");
                lost.cancel();
                return;
            }
            Ok(()) => renewed = sent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_bound() {
        let seconds: Vec<u64> = [1, 2, 3, 8, 9, 99].into_iter().map(|n| pause_after(n).as_secs()).collect();
        assert_eq!(seconds, [2, 4, 8, 256, 300, 300]);
    }
}
