//! Trimming: entries before a floor go, oldest first, then the days whose payloads nothing names any more.
//!
//! The floor is the caller's: the smallest resume point of any snapshot that is kept. Order matters: an entry goes before its
//! payload, and within a chain the opening entry goes last, so that whatever a crash leaves is a chain without a hole.

use bson::{Document, doc};
use futures::TryStreamExt as _;
use holdfast_domain::{BackupJobId, EntryPosition};
use mongodb::Collection;

use crate::{Ledger, LedgerError, TrimReport, db::on, read::between, sync_state::state_key};

/// Entries deleted by one command at most.
const BATCH_ENTRIES: i64 = 1000;
/// Entries deleted by one call at most: bounds its time to some seconds.
const ENTRIES_MAX: u64 = 50_000;

impl Ledger {
    /// Deletes what lies before `floor`. Kept all the same: the ledger's last entry, and the opening entry of every chain that
    /// has others. Whole chains before the floor's go with their initial sync and catalogs.
    ///
    /// # Errors
    /// [`LedgerError::Database`]; what was deleted until then stays deleted.
    pub async fn trim(&self, job: &BackupJobId, floor: EntryPosition) -> Result<TrimReport, LedgerError> {
        let mut report = TrimReport::default();
        let Some(tail) = self.tail(job).await? else { return Ok(report) };
        let floor = floor.min(tail.at);
        for chain in self.chains(job).await?.into_iter().map(|span| span.chain).filter(|c| *c <= floor.chain) {
            let whole = chain < floor.chain;
            let end = if whole { i64::MAX } else { floor.seq };
            if !self.trim_slices(job, chain, end, &mut report).await? {
                report.more = true;
                return Ok(report);
            }
            if whole {
                self.remove_chain(job, chain, &mut report).await?;
            }
        }
        let (days, more) = self.drop_days(job).await?;
        report.days = days;
        report.more = more;
        Ok(report)
    }

    /// Removes all of a job: entries before what they name, chain by chain, then payloads, then what is known of it. Nothing of the job may
    /// be written any more. False: a bound stopped it, call again.
    ///
    /// # Errors
    /// [`LedgerError::Database`]; what was removed until then stays removed.
    pub async fn remove_job(&self, job: &BackupJobId) -> Result<bool, LedgerError> {
        let mut report = TrimReport::default();
        for chain in self.chains(job).await?.into_iter().map(|span| span.chain) {
            if !self.trim_slices(job, chain, i64::MAX, &mut report).await? {
                return Ok(false);
            }
            self.remove_chain(job, chain, &mut report).await?;
        }
        self.remove_days(job).await?;
        self.remove_rollups(job).await?;
        let facts: Collection<Document> = self.db.collection("ledger_jobs");
        facts.delete_one(doc! { "_id": job.clone() }).await.map_err(on("forget a job"))?;
        Ok(true)
    }

    /// Deletes entries 1 to `end - 1` of a chain, oldest first. False: a bound stopped it.
    async fn trim_slices(
        &self,
        job: &BackupJobId,
        chain: i64,
        end: i64,
        report: &mut TrimReport,
    ) -> Result<bool, LedgerError> {
        let op = "trim the ledger";
        if end <= 1 {
            return Ok(true);
        }
        let entries: Collection<Document> = self.db.collection("ledger_entries");
        loop {
            let range = between(job, (chain, 1), (chain, end - 1));
            let batch = entries.find(range).projection(doc! { "_id": 1 }).sort(doc! { "_id": 1 }).limit(BATCH_ENTRIES);
            let ids: Vec<Document> = batch.await.map_err(on(op))?.try_collect().await.map_err(on(op))?;
            let last = ids.last().and_then(|doc| doc.get_document("_id").ok()).and_then(|id| id.get_i64("seq").ok());
            let Some(last) = last else { return Ok(true) };
            if report.entries >= ENTRIES_MAX {
                return Ok(false);
            }
            let gone = entries.delete_many(between(job, (chain, 1), (chain, last))).await.map_err(on(op))?;
            report.entries += gone.deleted_count;
        }
    }

    /// The rest of a chain that has no slice any more.
    async fn remove_chain(&self, job: &BackupJobId, chain: i64, report: &mut TrimReport) -> Result<(), LedgerError> {
        self.drop_sync(job, chain).await?;
        self.remove_catalogs(job, chain).await?;
        let op = "remove a chain";
        self.states_collection().delete_one(state_key(job, chain)).await.map_err(on(op))?;
        let end = doc! { "_id": { "job": job.clone(), "chain": chain } };
        self.rollup_ends_collection().delete_one(end).await.map_err(on(op))?;
        let gone = self.entries_collection().delete_many(between(job, (chain, 0), (chain, i64::MAX))).await;
        report.entries += gone.map_err(on(op))?.deleted_count;
        Ok(())
    }
}
