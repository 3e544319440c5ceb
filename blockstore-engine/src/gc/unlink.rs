//! Unlinking: snapshots leave the store for good.
//!
//! Invariants: only inside a run, after the epoch moved and before it marks; each in a transaction under the job's guard that finds the run's
//! lease held, the root still in the trash and its grace over, no live pin, no registration that has it as parent.

use std::sync::Arc;
use std::time::Duration;

use bson::{DateTime, doc};

use super::CollectError;
use super::lease::Lease;
use super::writers::{Found, roots_and_writers};
use crate::engine::Engine;
use crate::guards::{ensure_guard, touch_guard};
use crate::id::RootId;
use crate::root::Root;
use crate::txn::{Abort, Causal, retrying, transaction};

/// Trashed before this, a root's grace is over. Wall clock: grace is for people, it decides no ownership.
pub(crate) fn cutoff(grace: Duration) -> DateTime {
    let grace = i64::try_from(grace.as_millis()).unwrap_or(i64::MAX);
    DateTime::from_millis(DateTime::now().timestamp_millis().saturating_sub(grace))
}

/// Whether a run would unlink it, as far as its document tells.
pub(crate) fn is_due(root: &Found, cutoff: DateTime) -> bool {
    root.trashed_at.is_some_and(|at| at <= cutoff) && !root.is_pinned
}

/// Unlinks what is due; the ids.
pub(crate) async fn unlink_due(
    engine: &Arc<Engine>,
    causal: &Causal,
    lease: &Lease,
    grace: Duration,
) -> Result<Vec<RootId>, CollectError> {
    let cutoff = cutoff(grace);
    let (roots, _) = roots_and_writers(engine, causal).await?;
    let mut unlinked = Vec::new();
    for root in roots.iter().filter(|root| is_due(root, cutoff)) {
        engine.stop("run: unlinking").await;
        if unlink(engine, causal, lease, root, cutoff).await? {
            tracing::info!(root = %root.id, job = root.job, "a snapshot left the trash for good");
            unlinked.push(root.id);
        }
    }
    let gone: Vec<_> = unlinked.iter().map(RootId::to_string).collect();
    let results = doc! { "_id.root": { "$in": gone } };
    retrying!("dropping results of verifications", engine.store.checks.delete_many(results.clone()))?;
    Ok(unlinked)
}

async fn unlink(
    engine: &Arc<Engine>,
    causal: &Causal,
    lease: &Lease,
    found: &Found,
    cutoff: DateTime,
) -> Result<bool, CollectError> {
    let store = &engine.store;
    ensure_guard(store, &found.job).await?;
    let mut session = causal.session(store.db.client()).await?;
    let session = &mut session;
    let id = found.id.to_string();
    let unlinked: Result<bool, CollectError> = transaction!(&mut *session, "unlinking a snapshot", CollectError, {
        touch_guard(store, session, &found.job).await?;
        if !lease.is_held(session).await? {
            return Err(Abort::Refused(CollectError::Cancelled));
        }
        let Some(document) = store.roots.find_one(doc! { "_id": &id }).session(&mut *session).await? else {
            return Ok(false);
        };
        let Ok(root) = bson::deserialize_from_document::<Root>(document) else { return Ok(false) };
        if root.trashed_at.is_none_or(|at| at > cutoff) || root.is_pinned(DateTime::now()) {
            return Ok(false);
        }
        if store.writers.find_one(doc! { "parent": &id }).session(&mut *session).await?.is_some() {
            return Ok(false);
        }
        store.roots.delete_one(doc! { "_id": &id }).session(&mut *session).await?;
        Ok(true)
    });
    causal.note(session);
    unlinked
}
