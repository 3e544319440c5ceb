//! Leases of backup jobs and restore jobs: taken by compare-and-set on the lease as read, renewed, given back.
//!
//! When a lease may be taken is not decided here: the caller watches it with `holdfast_domain::LeaseWatch`.

use bson::{Document, doc};
use holdfast_domain::{BackupJobId, Lease, RestoreJobId};

use crate::{MetaDb, MetaError, error::on};

/// Proof of holding a backup job's lease; in the filter of every write of its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    /// Job.
    pub job: BackupJobId,
    /// Holder.
    pub owner: String,
    /// Epoch.
    pub epoch: i64,
}

/// Proof of holding a restore job's lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoreFence {
    /// Restore job.
    pub restore: RestoreJobId,
    /// Holder.
    pub owner: String,
    /// Epoch.
    pub epoch: i64,
}

pub(crate) fn held(id: &str, owner: &str, epoch: i64) -> Document {
    doc! { "_id": id, "lease.owner": owner, "lease.epoch": epoch }
}

impl Fence {
    pub(crate) fn filter(&self) -> Document {
        held(self.job.as_str(), &self.owner, self.epoch)
    }
}

impl RestoreFence {
    pub(crate) fn filter(&self) -> Document {
        held(self.restore.as_str(), &self.owner, self.epoch)
    }
}

impl MetaDb {
    pub(crate) async fn take(
        &self,
        collection: &str,
        id: &str,
        seen: &Lease,
        owner: &str,
    ) -> Result<Option<i64>, MetaError> {
        let filter = doc! {
            "_id": id, "lease.owner": &seen.owner, "lease.epoch": seen.epoch, "lease.beat": seen.beat,
        };
        let epoch = seen.epoch + 1;
        let update = doc! { "$set": { "lease.owner": owner, "lease.epoch": epoch, "lease.beat": seen.beat + 1 } };
        let done = self.of::<Document>(collection).update_one(filter, update).await.map_err(on("take a lease"))?;
        Ok((done.matched_count > 0).then_some(epoch))
    }

    pub(crate) async fn write_lease(
        &self,
        collection: &str,
        filter: Document,
        update: Document,
    ) -> Result<(), MetaError> {
        let done = self.of::<Document>(collection).update_one(filter, update).await;
        match done.map_err(on("write a lease"))?.matched_count {
            0 => Err(MetaError::Fenced),
            _ => Ok(()),
        }
    }

    /// Takes a job's lease if it is still as `seen`. None: it moved.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn acquire_lease(
        &self,
        job: &BackupJobId,
        seen: &Lease,
        owner: &str,
    ) -> Result<Option<Fence>, MetaError> {
        let epoch = self.take("backup_jobs", job.as_str(), seen, owner).await?;
        Ok(epoch.map(|epoch| Fence { job: job.clone(), owner: owner.to_owned(), epoch }))
    }

    /// Renews it: adds one to its beat.
    ///
    /// # Errors
    /// [`MetaError::Fenced`] when it is lost.
    pub async fn renew_lease(&self, fence: &Fence) -> Result<(), MetaError> {
        self.write_lease("backup_jobs", fence.filter(), doc! { "$inc": { "lease.beat": 1_i64 } }).await
    }

    /// Gives it back: the next one may take it at once.
    ///
    /// # Errors
    /// [`MetaError::Fenced`] when it is lost already.
    pub async fn release_lease(&self, fence: &Fence) -> Result<(), MetaError> {
        let update = doc! { "$set": { "lease.owner": "" }, "$inc": { "lease.beat": 1_i64 } };
        self.write_lease("backup_jobs", fence.filter(), update).await
    }

    /// Takes a restore job's lease if it is still as `seen`. None: it moved.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn claim_restore(
        &self,
        restore: &RestoreJobId,
        seen: &Lease,
        owner: &str,
    ) -> Result<Option<RestoreFence>, MetaError> {
        let epoch = self.take("restore_jobs", restore.as_str(), seen, owner).await?;
        Ok(epoch.map(|epoch| RestoreFence { restore: restore.clone(), owner: owner.to_owned(), epoch }))
    }

    /// Renews it.
    ///
    /// # Errors
    /// [`MetaError::Fenced`] when it is lost.
    pub async fn renew_restore(&self, fence: &RestoreFence) -> Result<(), MetaError> {
        self.write_lease("restore_jobs", fence.filter(), doc! { "$inc": { "lease.beat": 1_i64 } }).await
    }

    /// Gives it back.
    ///
    /// # Errors
    /// [`MetaError::Fenced`] when it is lost already.
    pub async fn release_restore(&self, fence: &RestoreFence) -> Result<(), MetaError> {
        let update = doc! { "$set": { "lease.owner": "" }, "$inc": { "lease.beat": 1_i64 } };
        self.write_lease("restore_jobs", fence.filter(), update).await
    }
}
