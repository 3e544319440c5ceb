//! Guards: one document per job that serialises what must not run beside each other.
//!
//! Invariants: registering, pinning, trashing, unlinking and raising the floor are each a transaction that increments `n` and checks its
//! condition inside, so that of two of them one sees the other's result. `epoch` and `floor` only grow.

use bson::{Document, doc};
use mongodb::ClientSession;
use mongodb::options::ReturnDocument;

use crate::engine::Blockstore;
use crate::error::{RegisterError, RootError, StoreFault};
use crate::root::{Floor, NAME_BYTES_MAX, Purpose, Root};
use crate::roots::{Rule, first_slices_pin, outside_trash};
use crate::store::Store;
use crate::txn::{Abort, Causal, is_duplicate, retrying, transaction};

/// The state that serialises a job's writers and keepers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Guard {
    /// Registrations of older owners are refused.
    pub epoch: i64,
    /// Counts transactions.
    pub n: i64,
    /// Slices before it may be deleted; `None`: none may.
    pub floor: Option<Floor>,
}

impl Guard {
    fn decode(document: &Document) -> Self {
        let floor = document
            .get_document("floor")
            .ok()
            .and_then(|floor| Some(Floor { chain: floor.get_i64("chain").ok()?, seq: floor.get_i64("seq").ok()? }));
        Self { epoch: document.get_i64("epoch").unwrap_or(0), n: document.get_i64("n").unwrap_or(0), floor }
    }

    /// Whether slices that replay on this root needs may be gone.
    pub(crate) fn is_above(&self, resume: Floor, purpose: Purpose) -> bool {
        purpose == Purpose::Snapshot && self.floor.is_some_and(|floor| resume < floor)
    }
}

/// What is wrong with a job's name, if anything.
pub(crate) fn check_job(job: &str) -> Result<(), &'static str> {
    if job.is_empty() || job.len() > NAME_BYTES_MAX { Err("the job's name must have 1 to 1024 bytes") } else { Ok(()) }
}

/// Makes sure that there is a guard, outside of transactions: two upserts inside would meet as a duplicate key.
pub(crate) async fn ensure_guard(store: &Store, job: &str) -> Result<(), StoreFault> {
    let guard = doc! { "_id": job, "epoch": 0_i64, "n": 0_i64 };
    retrying!("creating a guard", async {
        if store.guards.find_one(doc! { "_id": job }).await?.is_some() {
            return Ok(());
        }
        match store.guards.insert_one(&guard).await {
            Err(error) if is_duplicate(&error) => Ok(()),
            other => other.map(|_| ()),
        }
    })
}

/// Inside a transaction: increments `n` and answers the guard.
pub(crate) async fn touch_guard(
    store: &Store,
    session: &mut ClientSession,
    job: &str,
) -> Result<Guard, mongodb::error::Error> {
    let touched = store
        .guards
        .find_one_and_update(doc! { "_id": job }, doc! { "$inc": { "n": 1_i64 } })
        .return_document(ReturnDocument::After)
        .session(session);
    let guard = touched.await?.ok_or_else(|| mongodb::error::Error::custom("the job's guard is missing"))?;
    Ok(Guard::decode(&guard))
}

impl Blockstore {
    /// The guard of a job; all zero when there is none yet.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn guard(&self, job: &str) -> Result<Guard, StoreFault> {
        let found = retrying!("reading a guard", self.engine.store.guards.find_one(doc! { "_id": job }))?;
        Ok(found.as_ref().map(Guard::decode).unwrap_or_default())
    }

    /// Says that the job has a new owner: raises its epoch, then deletes the registrations of older ones. Idempotent.
    ///
    /// # Errors
    /// `StaleEpoch` when a newer owner was here.
    pub async fn raise_epoch(&self, job: &str, epoch: i64) -> Result<(), RegisterError> {
        check_job(job).map_err(RegisterError::Request)?;
        let store = &self.engine.store;
        ensure_guard(store, job).await?;
        let causal = Causal::default();
        let mut session = causal.session(store.db.client()).await?;
        let session = &mut session;
        transaction!(&mut *session, "raising a job's epoch", RegisterError, {
            let guard = touch_guard(store, session, job).await?;
            if guard.epoch > epoch {
                return Err(Abort::Refused(RegisterError::StaleEpoch {
                    job: job.to_owned(),
                    guard: guard.epoch,
                    ours: epoch,
                }));
            }
            store
                .guards
                .update_one(doc! { "_id": job }, doc! { "$max": { "epoch": epoch } })
                .session(&mut *session)
                .await?;
            Ok(())
        })?;
        let older = doc! { "job": job, "jobEpoch": { "$lt": epoch } };
        retrying!("deleting older registrations", store.writers.delete_many(older.clone()).session(&mut *session))?;
        Ok(())
    }

    /// Raises the floor of a job: slices before it may then be deleted. A lower one than the present changes nothing. `rule` is asked inside
    /// the transaction with the job's roots outside the trash.
    ///
    /// # Errors
    /// `Pinned` when the resume point of a pinned snapshot would come to lie below it, `Rule` when the rule says no.
    pub async fn raise_floor(&self, job: &str, floor: Floor, rule: &Rule<'_>) -> Result<(), RootError> {
        check_job(job).map_err(RootError::Request)?;
        let store = &self.engine.store;
        ensure_guard(store, job).await?;
        let causal = Causal::default();
        let mut session = causal.session(store.db.client()).await?;
        let session = &mut session;
        transaction!(&mut *session, "raising a job's floor", RootError, {
            let guard = touch_guard(store, session, job).await?;
            if guard.floor.is_some_and(|present| present >= floor) {
                return Ok(());
            }
            let roots: Vec<Root> = outside_trash(store, session, job).await?;
            let raised = Guard { floor: Some(floor), ..guard };
            if let Some((id, by)) =
                roots.iter().filter(|root| raised.is_above(root.resume, root.purpose)).find_map(first_slices_pin)
            {
                return Err(Abort::Refused(RootError::Pinned { id, by }));
            }
            rule(&roots).map_err(|reason| Abort::Refused(RootError::Rule(reason)))?;
            let update = doc! { "$set": { "floor": { "chain": floor.chain, "seq": floor.seq } } };
            store.guards.update_one(doc! { "_id": job }, update).session(&mut *session).await?;
            Ok(())
        })
    }
}
