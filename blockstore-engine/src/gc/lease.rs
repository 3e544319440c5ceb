//! The lease of collector runs: one at a time, and where a run stands, so that the next owner goes on after a kill.
//!
//! Invariants: taken over only when its beat stood still for [`LEASE_DEAD`] by the watcher's own monotonic clock; every change matches the
//! owner, so that who lost it learns so. A run that was frozen and lost its lease can do no harm all the same: what it deletes
//! is bound to its epoch (`delete.rs`), what it unlinks to this lease (`unlink.rs`).

use std::time::{Duration, Instant};

use bson::{DateTime, Document, doc};
use mongodb::ClientSession;
use mongodb::options::ReturnDocument;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::CollectError;
use crate::error::StoreFault;
use crate::store::Store;
use crate::txn::{is_duplicate, retrying};

const RUN_ID: &str = "run";
/// How often a run says that it lives.
const BEAT_EVERY: Duration = Duration::from_secs(2);
/// A lease whose beat stood still for this long is free: elections take up to about 12 s.
pub(crate) const LEASE_DEAD: Duration = Duration::from_secs(30);
const WATCH_EVERY: Duration = Duration::from_millis(500);

/// Where an unfinished run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RunState {
    /// Moved on by this run already.
    pub(crate) epoch: i64,
    /// Blocks with lower prefixes were looked at; 0 until the first part is done.
    pub(crate) cursor: u64,
    /// When its first owner began, wall clock.
    pub(crate) started_at: DateTime,
}

impl RunState {
    fn decode(document: &Document) -> Option<Self> {
        let state = document.get_document("state").ok()?;
        Some(Self {
            epoch: state.get_i64("epoch").ok()?,
            cursor: state.get_i64("cursor").ok()?.cast_unsigned(),
            started_at: *state.get_datetime("startedAt").ok()?,
        })
    }

    fn encode(&self) -> Document {
        doc! { "epoch": self.epoch, "cursor": self.cursor.cast_signed(), "startedAt": self.started_at }
    }
}

/// The right to run.
pub(crate) struct Lease {
    store: Store,
    owner: String,
    /// Cancelled when the lease was lost.
    pub(crate) lost: CancellationToken,
    beat: Option<AbortOnDropHandle<()>>,
    /// What an earlier owner left unfinished.
    pub(crate) left: Option<RunState>,
}

impl Lease {
    /// Takes the lease; waits at most `dead` to see whether its owner lives.
    pub(crate) async fn take(store: &Store, dead: Duration) -> Result<Self, CollectError> {
        let fresh = doc! { "_id": RUN_ID, "owner": null, "beat": 0_i64 };
        let created: Result<(), StoreFault> = retrying!("creating the lease of runs", async {
            match store.gc.insert_one(&fresh).await {
                Err(error) if is_duplicate(&error) => Ok(()),
                other => other.map(|_| ()),
            }
        });
        created?;
        let owner = crate::id::RootId::random().to_string();
        let mut watched: Option<(Document, Instant)> = None;
        loop {
            let found = retrying!("reading the lease of runs", store.gc.find_one(doc! { "_id": RUN_ID }))?;
            let found = found.ok_or(CollectError::Internal("the lease of runs is missing"))?;
            let holder = found.get_str("owner").ok().map(str::to_owned);
            let is_free = match (&holder, &watched) {
                (None, _) => true,
                (Some(holder), _) if *holder == owner => true,
                (Some(_), None) => {
                    watched = Some((found.clone(), Instant::now()));
                    false
                }
                (Some(_), Some((first, since))) => {
                    let same = |field| first.get(field) == found.get(field);
                    if !same("owner") || !same("beat") {
                        return Err(CollectError::Busy);
                    }
                    since.elapsed() >= dead
                }
            };
            if is_free {
                let filter = doc! { "_id": RUN_ID, "owner": holder, "beat": found.get("beat").cloned() };
                let update = doc! { "$set": { "owner": &owner }, "$inc": { "beat": 1_i64 } };
                let taken = retrying!(
                    "taking the lease of runs",
                    store.gc.find_one_and_update(filter.clone(), update.clone()).return_document(ReturnDocument::After)
                )?;
                if let Some(taken) = taken {
                    let lost = CancellationToken::new();
                    let beat = keep_beating(store.clone(), owner.clone(), lost.clone());
                    let left = RunState::decode(&taken);
                    let beat = Some(AbortOnDropHandle::new(tokio::spawn(beat)));
                    return Ok(Self { store: store.clone(), owner, lost, beat, left });
                }
                // Somebody else was faster, or an attempt of our own whose answer was lost: the next look tells.
                continue;
            }
            tokio::time::sleep(WATCH_EVERY.min(dead)).await;
        }
    }

    /// Notes where the run stands.
    pub(crate) async fn checkpoint(&self, state: &RunState) -> Result<(), CollectError> {
        self.update(doc! { "$set": { "state": state.encode() }, "$inc": { "beat": 1_i64 } }).await
    }

    /// Inside a transaction: whether the lease is still ours.
    pub(crate) async fn is_held(&self, session: &mut ClientSession) -> Result<bool, mongodb::error::Error> {
        let filter = doc! { "_id": RUN_ID, "owner": &self.owner };
        Ok(self.store.gc.find_one(filter).session(session).await?.is_some())
    }

    /// The run is done: forgets where it stood and frees the lease.
    pub(crate) async fn finish(mut self) -> Result<(), CollectError> {
        let done = self.update(doc! { "$set": { "owner": null }, "$unset": { "state": "" } }).await;
        self.beat = None;
        done
    }

    /// Frees the lease; the next owner goes on where this one stood.
    pub(crate) async fn give_back(mut self) -> Result<(), CollectError> {
        let done = self.update(doc! { "$set": { "owner": null } }).await;
        self.beat = None;
        done
    }

    async fn update(&self, update: Document) -> Result<(), CollectError> {
        let filter = doc! { "_id": RUN_ID, "owner": &self.owner };
        let updated =
            retrying!("updating the lease of runs", self.store.gc.update_one(filter.clone(), update.clone()))?;
        if updated.matched_count == 1 {
            return Ok(());
        }
        self.lost.cancel();
        Err(CollectError::Cancelled)
    }
}

async fn keep_beating(store: Store, owner: String, lost: CancellationToken) {
    loop {
        tokio::time::sleep(BEAT_EVERY).await;
        let filter = doc! { "_id": RUN_ID, "owner": &owner };
        match store.gc.update_one(filter, doc! { "$inc": { "beat": 1_i64 } }).await {
            Ok(result) if result.matched_count == 0 => {
                tracing::info!("another run took the lease over: this one ends");
                lost.cancel();
                return;
            }
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "a beat of the collector failed"),
        }
    }
}
