//! Backups that were given up: what is still outside the trash goes into it, and when nothing is left of one, its ledger, the copies of that,
//! and its document go.
//!
//! Invariants: nothing is removed that could still be taken back: the ledger stays as long as one root of the job is there, in the trash or
//! not, and the collector removes roots only after their grace; before the first entry goes the job is marked so that nobody takes it back. A
//! pinned snapshot, a user's or a restore's, keeps the job. Idempotent; any daemon may do it. Called by `retention.rs`, never while the wall
//! clock is in doubt. The head goes with the supervisor's next round.
//!
//! One thing stays: the job's guard in the blockstore, a hundred bytes, which from then on refuses everyone. A daemon that was frozen while it
//! owned the job would otherwise find no guard, hence no newer owner, and could commit a snapshot of a backup that nobody knows any more.

use std::time::Duration;

use blockstore_engine::{Blockstore, RootError};
use bson::DateTime;
use holdfast_domain::BackupState;
use holdfast_ledger::{JobFacts, Ledger, SegmentName};
use holdfast_metadb::{BackupJob, MetaDb};

use crate::chain_of;

/// The epoch of a job that nobody owns any more: above every owner's.
const NOBODY: i64 = i64::MAX;
/// Rounds of removing entries per job and run; the ledger bounds each.
const ROUNDS_MAX: usize = 20;

/// Where a terminated backup has its things.
#[derive(Clone, Copy)]
pub struct Terminated<'a> {
    /// The app database.
    pub metadb: &'a MetaDb,
    /// The ledgers.
    pub ledger: &'a Ledger,
    /// The blockstore.
    pub store: &'a Blockstore,
    /// How long a backup can be taken back at least, though it has no snapshot.
    pub grace: Duration,
}

impl Terminated<'_> {
    /// Brings one backup further. True: nothing of it is left.
    ///
    /// # Errors
    /// The databases' and the stores'; what was done stays done.
    pub async fn bring_on(&self, job: &BackupJob) -> anyhow::Result<bool> {
        anyhow::ensure!(job.state == BackupState::Terminated, "the backup of {} is not terminated", job.rs);
        let now = DateTime::now();
        let roots = self.store.roots(job.id.as_str()).await?;
        for root in roots.iter().filter(|r| r.trashed_at.is_none() && !r.is_pinned(now)) {
            match self.store.trash(&root.id, &|_| Ok(())).await {
                Ok(()) => {
                    tracing::info!(job = %job.id, root = %root.id, "a root of a terminated backup goes to the trash")
                }
                // Pinned meanwhile, or gone: the next run looks again.
                Err(RootError::Pinned { .. } | RootError::NotFound(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let passed = now.timestamp_millis() - job.state_since.timestamp_millis();
        let is_over = u128::try_from(passed).is_ok_and(|passed| passed >= self.grace.as_millis());
        if !roots.is_empty() || !is_over {
            return Ok(false);
        }
        self.remove(job).await
    }

    async fn remove(&self, job: &BackupJob) -> anyhow::Result<bool> {
        // From here on it cannot be taken back: a backup that goes on must not lose the start of its ledger.
        if !self.metadb.begin_removal(job).await? {
            return Ok(false);
        }
        self.store.raise_epoch(job.id.as_str(), NOBODY).await?;
        // A copy first: the ledger decides what of it is wanted, and after it nobody knows.
        for aside in self.store.asides() {
            let aside = aside?;
            let segments = aside.list(&SegmentName::folder(&job.id)).await?;
            let names = segments.into_iter().map(|(name, _)| name).chain([JobFacts::name(&job.id)]);
            for name in names {
                aside.delete(&name).await.map_err(|error| anyhow::anyhow!(chain_of(&error)))?;
            }
        }
        for _ in 0..ROUNDS_MAX {
            if self.ledger.remove_job(&job.id).await? {
                let gone = self.metadb.remove_terminated(job).await?;
                tracing::info!(job = %job.id, rs = job.rs, gone, "nothing is left of a terminated backup");
                return Ok(gone);
            }
        }
        Ok(false)
    }
}
