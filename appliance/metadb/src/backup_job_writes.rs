//! What a job's daemon writes: each with its lease's owner and epoch in the filter.

use bson::{Bson, DateTime, Document, doc};
use holdfast_domain::{BackupEvent, BackupJobId, BackupState, OpTime, Progress};

use crate::{
    BackupJob, ChangesFound, Fence, MetaDb, MetaError, Proof,
    error::{on, to_bson},
};

/// How a head is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeadFacts {
    /// Its optime; None: it has none yet.
    pub optime: Option<OpTime>,
    /// Its generation.
    pub generation: i64,
    /// Bytes on disk.
    pub bytes: i64,
}

impl MetaDb {
    pub(crate) async fn set_fenced(&self, op: &'static str, fence: &Fence, update: Document) -> Result<(), MetaError> {
        let done = self.of::<BackupJob>("backup_jobs").update_one(fence.filter(), update).await;
        match done.map_err(on(op))?.matched_count {
            0 => Err(MetaError::Fenced),
            _ => Ok(()),
        }
    }

    /// Moves the job's state. `last_error` None clears it.
    ///
    /// # Errors
    /// [`MetaError::Fenced`]; [`MetaError::Transition`] when the state does not allow it (an operator may have stopped it).
    pub async fn set_state(
        &self,
        fence: &Fence,
        event: BackupEvent,
        phase: &str,
        last_error: Option<&str>,
    ) -> Result<BackupState, MetaError> {
        let set = doc! { "phase": phase, "lastError": last_error, "progress": Bson::Null };
        self.change_state(fence.filter(), event, set, || MetaError::Fenced).await
    }

    /// Says what is being done, and how far.
    ///
    /// # Errors
    /// [`MetaError::Fenced`].
    pub async fn set_progress(&self, fence: &Fence, phase: &str, progress: Option<&Progress>) -> Result<(), MetaError> {
        let op = "store a job's progress";
        let set = doc! { "phase": phase, "progress": to_bson(op, &progress)? };
        self.set_fenced(op, fence, doc! { "$set": set }).await
    }

    /// Sets or clears the last error, without a change of state.
    ///
    /// # Errors
    /// [`MetaError::Fenced`].
    pub async fn set_last_error(&self, fence: &Fence, error: Option<&str>) -> Result<(), MetaError> {
        self.set_fenced("store a job's error", fence, doc! { "$set": { "lastError": error } }).await
    }

    /// Says how the head is.
    ///
    /// # Errors
    /// [`MetaError::Fenced`].
    pub async fn set_head(&self, fence: &Fence, head: &HeadFacts) -> Result<(), MetaError> {
        let op = "store a head's position";
        let set = doc! {
            "headOptime": to_bson(op, &head.optime)?, "headGeneration": head.generation, "headBytes": head.bytes,
        };
        self.set_fenced(op, fence, doc! { "$set": set }).await
    }

    /// The resync that was asked for is under way.
    ///
    /// # Errors
    /// [`MetaError::Fenced`].
    pub async fn clear_resync_request(&self, fence: &Fence) -> Result<(), MetaError> {
        self.set_fenced("note a resync", fence, doc! { "$set": { "resyncRequested": Bson::Null } }).await
    }

    /// Asks the agent for the source's catalog.
    ///
    /// # Errors
    /// [`MetaError::Fenced`].
    pub async fn want_catalog(&self, fence: &Fence) -> Result<(), MetaError> {
        self.set_fenced("ask for a catalog", fence, doc! { "$set": { "catalogWanted": true } }).await
    }

    /// Stores the outcome of a proof.
    ///
    /// # Errors
    /// [`MetaError::Fenced`].
    pub async fn set_proof(&self, fence: &Fence, proof: &Proof) -> Result<(), MetaError> {
        let op = "store a proof";
        self.set_fenced(op, fence, doc! { "$set": { "lastProof": to_bson(op, proof)? } }).await
    }

    /// Stores how a snapshot found out what changed; with a miss, as the alert too.
    ///
    /// # Errors
    /// [`MetaError::Fenced`].
    pub async fn set_changes(&self, fence: &Fence, facts: &ChangesFound) -> Result<(), MetaError> {
        let op = "store how a snapshot found what changed";
        let mut set = doc! { "lastChanges": to_bson(op, facts)? };
        if facts.missed > 0 {
            set.insert("changesAlert", to_bson(op, facts)?);
        }
        self.set_fenced(op, fence, doc! { "$set": set }).await
    }

    /// Somebody has seen to the alert that this snapshot raised. False: there is none, or another snapshot raised it since.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn acknowledge_changes(&self, job: &BackupJobId, snapshot: &str) -> Result<bool, MetaError> {
        let filter = doc! { "_id": job.clone(), "changesAlert.snapshot": snapshot };
        let update = doc! { "$set": { "changesAlert": null } };
        let done = self.of::<BackupJob>("backup_jobs").update_one(filter, update).await;
        Ok(done.map_err(on("acknowledge an alert"))?.matched_count > 0)
    }

    /// From now on a terminated job cannot be taken back: its ledger is about to go. False: it is not there, or was taken back.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn begin_removal(&self, job: &BackupJob) -> Result<bool, MetaError> {
        let op = "end a terminated backup";
        let filter = doc! { "_id": job.id.clone(), "state": to_bson(op, &BackupState::Terminated)? };
        let update = doc! { "$set": { "ending": true } };
        let done = self.of::<BackupJob>("backup_jobs").update_one(filter, update).await.map_err(on(op))?;
        Ok(done.matched_count > 0)
    }

    /// Removes a terminated job of which nothing is left, and the policy of its own. False: it is not there, or was taken back.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn remove_terminated(&self, job: &BackupJob) -> Result<bool, MetaError> {
        let op = "remove a terminated backup";
        let filter = doc! { "_id": job.id.clone(), "state": to_bson(op, &BackupState::Terminated)? };
        let done = self.of::<BackupJob>("backup_jobs").delete_one(filter).await.map_err(on(op))?;
        let policy = doc! { "_id": format!("{}/{}", job.group, job.id) };
        self.of::<Document>("policies").delete_one(policy).await.map_err(on(op))?;
        Ok(done.deleted_count > 0)
    }

    /// Gives the job up for another daemon: bound to none, so that a reconciler binds it anew.
    ///
    /// # Errors
    /// [`MetaError::Fenced`].
    pub async fn unbind_daemon(&self, fence: &Fence) -> Result<(), MetaError> {
        let set = doc! { "daemon": Bson::Null, "lease.owner": "", "stateSince": DateTime::now() };
        self.set_fenced("give a job up", fence, doc! { "$set": set, "$inc": { "lease.beat": 1_i64 } }).await
    }
}
