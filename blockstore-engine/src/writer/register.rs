//! Registering a writer, and keeping the registration alive.
//!
//! Invariants: the registration is inserted in the transaction that checks the job's epoch in its guard; after it `gc.epoch` is read again
//! and the registration raised until it did not move, before the first lookup; then the parent is read again: a run of the collector either
//! sees this writer or is seen by it. Renewal matches only an existing registration; when it is gone the writer is cancelled.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::time::Duration;

use bson::{DateTime, doc};
use mongodb::ClientSession;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::{Shared, WriterRequest};
use crate::engine::Engine;
use crate::error::{RegisterError, StoreFault};
use crate::guards::{check_job, ensure_guard, touch_guard};
use crate::id::{BlockId, RootId};
use crate::root::Root;
use crate::txn::{Abort, Causal, retrying, transaction};

/// How often a writer says that it lives. Whoever takes registrations for dead must wait for much longer.
pub(crate) const BEAT_EVERY: Duration = Duration::from_secs(2);
/// Bad blocks that a writer keeps in mind, at most (32 MB); a store with more needs repair first, and lookups find them all the same.
const QUARANTINED_MAX: i64 = 1 << 20;

pub(super) async fn register(
    engine: Arc<Engine>,
    request: &WriterRequest,
) -> Result<(Shared, Option<Root>), RegisterError> {
    check_job(&request.job).map_err(RegisterError::Request)?;
    let keys = match request.key {
        None => None,
        Some(key) => Some(engine.options.keys.get(key).ok_or(RegisterError::NoKey(key))?),
    };
    let store = engine.store.clone();
    let causal = Causal::default();
    let mut session = causal.session(store.db.client()).await?;
    let session = &mut session;
    ensure_guard(&store, &request.job).await?;
    let id = RootId::random();
    let mut epoch = store.epoch(session).await?;
    engine.stop("writer: epoch read").await;
    transaction!(&mut *session, "registering a writer", RegisterError, {
        let guard = touch_guard(&store, session, &request.job).await?;
        if request.job_epoch < guard.epoch {
            let job = request.job.clone();
            return Err(Abort::Refused(RegisterError::StaleEpoch { job, guard: guard.epoch, ours: request.job_epoch }));
        }
        if let Some(parent) = request.parent {
            let filter = doc! { "_id": parent.to_string(), "job": &request.job };
            if store.roots.find_one(filter).session(&mut *session).await?.is_none() {
                return Err(Abort::Refused(RegisterError::ParentGone(parent)));
            }
        }
        let registration = doc! {
            "_id": id.to_string(),
            "job": &request.job,
            "jobEpoch": request.job_epoch,
            "e": epoch,
            "parent": request.parent.map(|parent| parent.to_string()),
            "beat": 0_i64,
            "since": DateTime::now(),
        };
        store.writers.insert_one(registration).session(&mut *session).await?;
        Ok(())
    })?;
    engine.stop("writer: registered").await;
    loop {
        let now = store.epoch(session).await?;
        engine.stop("writer: epoch read again").await;
        if now <= epoch {
            break;
        }
        let raise = doc! { "$max": { "e": now } };
        let raised = retrying!(
            "raising a registration",
            store.writers.update_one(doc! { "_id": id.to_string() }, raise.clone()).session(&mut *session)
        )?;
        if raised.matched_count != 1 {
            return Err(RegisterError::Gone);
        }
        epoch = now;
    }
    engine.stop("writer: epoch settled").await;
    let parent = match request.parent {
        None => None,
        Some(parent) => match read_root(&engine, session, parent).await? {
            Some(root) => Some(root),
            None => {
                unregister(&engine, id).await?;
                return Err(RegisterError::ParentGone(parent));
            }
        },
    };
    engine.stop("writer: parent read again").await;
    let quarantined = Arc::new(quarantined(&engine, session).await?);
    causal.note(session);
    let shared = Shared {
        write_to: engine.payloads.write_to(),
        engine,
        id,
        job: request.job.clone(),
        epoch,
        causal,
        cancel: CancellationToken::new(),
        quarantined,
        turn: Semaphore::new(1),
        keys,
        next_number: AtomicU64::new(0),
        next_pack: AtomicU32::new(0),
        new_blocks: AtomicU64::new(0),
        new_bytes: AtomicU64::new(0),
        stored_bytes: AtomicU64::new(0),
    };
    Ok((shared, parent))
}

/// A parent that does not decode is no parent to compare with; the caller finds out by its seal.
async fn read_root(engine: &Engine, session: &mut ClientSession, id: RootId) -> Result<Option<Root>, StoreFault> {
    let filter = doc! { "_id": id.to_string() };
    let found = retrying!("reading the parent", engine.store.roots.find_one(filter.clone()).session(&mut *session))?;
    Ok(found.and_then(|doc| bson::deserialize_from_document(doc).ok()))
}

async fn quarantined(engine: &Engine, session: &mut ClientSession) -> Result<HashSet<BlockId>, StoreFault> {
    retrying!("reading the bad blocks", async {
        let mut ids = HashSet::new();
        let filter = doc! { "q": { "$exists": true } };
        let mut cursor = engine
            .store
            .blocks
            .find(filter)
            .hint(mongodb::options::Hint::Keys(doc! { "q": 1 }))
            .limit(QUARANTINED_MAX)
            .session(&mut *session)
            .await?;
        while cursor.advance(&mut *session).await? {
            ids.extend(cursor.current().get_binary("_id").ok().and_then(|id| BlockId::from_slice(id.bytes)));
        }
        Ok(ids)
    })
}

/// Deletes a registration; whether it was there.
pub(super) async fn unregister(engine: &Engine, id: RootId) -> Result<bool, StoreFault> {
    let deleted =
        retrying!("deleting a registration", engine.store.writers.delete_one(doc! { "_id": id.to_string() }))?;
    Ok(deleted.deleted_count == 1)
}

/// Renews the registration until the writer is dropped or the registration is gone.
pub(super) async fn keep_beating(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(BEAT_EVERY).await;
        shared.engine.stop("writer: beat").await;
        let beat = shared
            .engine
            .store
            .writers
            .update_one(doc! { "_id": shared.id.to_string() }, doc! { "$inc": { "beat": 1_i64 } })
            .await;
        match beat {
            Ok(result) if result.matched_count == 0 => {
                tracing::info!(writer = %shared.id, job = shared.job, "the registration is gone: writer cancelled");
                shared.cancel.cancel();
                return;
            }
            Ok(_) => {}
            // The next beat tries again; what writes finds out by itself.
            Err(error) => tracing::debug!(%error, writer = %shared.id, "a beat failed"),
        }
    }
}
