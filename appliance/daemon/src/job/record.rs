//! The job's document, as its driver sees and changes it.
//!
//! Invariants: every write carries the lease's owner and epoch; phases, progress and positions are written at most once a second, changes of
//! state at once. What is shown decides nothing here.

use std::time::{Duration, Instant};

use holdfast_domain::{BackupEvent, BackupJobId, OpTime, Progress, SnapshotId};
use holdfast_metadb::{BackupJob, ChangesFound, Fence, HeadFacts, MetaDb, MetaError, Proof, SnapshotRequestState};

use crate::board::Board;

/// Phase, progress and position are written this often.
const FLUSH_EVERY: Duration = Duration::from_secs(1);
/// The bytes of the head on disk are counted this often: it walks a folder.
const BYTES_EVERY: Duration = Duration::from_secs(30);

/// What a person sees of the head.
#[derive(Clone, Debug, Default, PartialEq)]
struct Shown {
    phase: String,
    progress: Option<Progress>,
    error: Option<String>,
    optime: Option<OpTime>,
    generation: i64,
    bytes: i64,
}

/// See the module.
pub(crate) struct Record {
    metadb: MetaDb,
    fence: Fence,
    board: Board,
    job: BackupJob,
    now: Shown,
    written: Shown,
    flushed: Option<Instant>,
    bytes_seen: Option<Instant>,
}

impl Record {
    /// The record of a job whose lease is held.
    pub(crate) fn new(metadb: MetaDb, fence: Fence, board: Board, job: BackupJob) -> Self {
        let shown = Shown {
            phase: job.phase.clone(),
            progress: job.progress.clone(),
            error: job.last_error.clone(),
            optime: job.head_optime,
            generation: job.head_generation,
            bytes: job.head_bytes,
        };
        let record =
            Self { metadb, fence, board, job, now: shown.clone(), written: shown, flushed: None, bytes_seen: None };
        record.view(|_| {});
        record
    }

    pub(crate) fn id(&self) -> &BackupJobId {
        &self.job.id
    }

    pub(crate) fn job(&self) -> &BackupJob {
        &self.job
    }

    pub(crate) fn epoch(&self) -> i64 {
        self.fence.epoch
    }

    /// Reads the document again. Another owner's lease is [`MetaError::Fenced`].
    pub(crate) async fn refresh(&mut self) -> Result<(), MetaError> {
        let job = self.metadb.backup_job(&self.job.id).await?;
        let job = job.ok_or_else(|| MetaError::NotFound { what: "backup job", id: self.job.id.to_string() })?;
        if job.lease.owner != self.fence.owner || job.lease.epoch != self.fence.epoch {
            return Err(MetaError::Fenced);
        }
        self.job = job;
        Ok(())
    }

    /// Adds a beat to the lease: an error says that it is lost.
    pub(crate) async fn renew(&self) -> Result<(), MetaError> {
        self.metadb.renew_lease(&self.fence).await
    }

    /// Moves the state. An event that does not fit (an operator was faster) changes nothing.
    pub(crate) async fn event(&mut self, event: BackupEvent) -> Result<(), MetaError> {
        let error = self.now.error.clone();
        match self.metadb.set_state(&self.fence, event, &self.now.phase, error.as_deref()).await {
            Ok(state) => {
                tracing::info!(job = %self.job.id, ?event, ?state, "state of the backup");
                self.job.state = state;
                self.written.error = error;
                self.view(|_| {});
                Ok(())
            }
            Err(MetaError::Transition(_)) => self.refresh().await,
            Err(error) => Err(error),
        }
    }

    /// What is being done, a verb phrase.
    pub(crate) fn phase(&mut self, phase: &str) {
        if self.now.phase != phase {
            phase.clone_into(&mut self.now.phase);
            self.now.progress = None;
            self.view(|_| {});
        }
    }

    pub(crate) fn progress(&mut self, done: u64, total: u64, unit: &str) {
        self.now.progress = Some(Progress { done, total, unit: unit.to_owned() });
    }

    pub(crate) fn no_progress(&mut self) {
        self.now.progress = None;
    }

    pub(crate) fn error(&mut self, error: Option<String>) {
        if self.now.error != error {
            self.now.error = error;
            self.view(|_| {});
        }
    }

    pub(crate) fn head(&mut self, optime: OpTime) {
        self.now.optime = Some(optime);
    }

    /// The head's folder: its generation, and from time to time its size.
    pub(crate) fn head_folder(&mut self, generation: i64, dir: &std::path::Path) {
        if self.now.generation != generation || self.bytes_seen.is_none_or(|at| at.elapsed() >= BYTES_EVERY) {
            self.now.generation = generation;
            self.now.bytes = i64::try_from(crate::space::used(dir).unwrap_or(0)).unwrap_or(i64::MAX);
            self.bytes_seen = Some(Instant::now());
        }
    }

    pub(crate) fn port(&mut self, port: Option<u16>) {
        self.view(|v| v.port = port);
    }

    pub(crate) fn debt(&mut self, seconds: f64) {
        self.view(|v| v.replay_debt_seconds = seconds);
    }

    fn view(&self, change: impl FnOnce(&mut crate::board::View)) {
        self.board.update("backup", self.job.id.as_str(), |v| {
            v.rs.clone_from(&self.job.rs);
            v.state = format!("{:?}", self.job.state);
            v.phase.clone_from(&self.now.phase);
            v.lease_epoch = self.fence.epoch;
            v.head_optime = self.now.optime.map(|o| o.to_string());
            v.last_changes.clone_from(&self.job.last_changes);
            v.last_error.clone_from(&self.now.error);
            change(v);
        });
    }

    /// Writes what changed, at most once a second unless `at_once`.
    pub(crate) async fn flush(&mut self, at_once: bool) -> Result<(), MetaError> {
        if self.now == self.written || (!at_once && self.flushed.is_some_and(|at| at.elapsed() < FLUSH_EVERY)) {
            return Ok(());
        }
        self.flushed = Some(Instant::now());
        self.view(|_| {});
        let (now, written) = (self.now.clone(), self.written.clone());
        if now.phase != written.phase || now.progress != written.progress {
            self.metadb.set_progress(&self.fence, &now.phase, now.progress.as_ref()).await?;
        }
        if now.error != written.error {
            self.metadb.set_last_error(&self.fence, now.error.as_deref()).await?;
        }
        if (now.optime, now.generation, now.bytes) != (written.optime, written.generation, written.bytes) {
            let facts = HeadFacts { optime: now.optime, generation: now.generation, bytes: now.bytes };
            self.metadb.set_head(&self.fence, &facts).await?;
        }
        self.written = now;
        Ok(())
    }

    /// The oldest snapshot request that waits.
    pub(crate) fn waiting_request(&self) -> Option<&holdfast_metadb::SnapshotRequest> {
        let waits = |r: &&holdfast_metadb::SnapshotRequest| {
            matches!(r.state, SnapshotRequestState::Queued | SnapshotRequestState::Running)
        };
        self.job.snapshot_requests.iter().find(waits)
    }

    /// Says that a request is being worked on.
    pub(crate) async fn begin_request(&mut self) -> Result<(), MetaError> {
        self.metadb.take_snapshot_request(&self.fence).await.map(|_| ())
    }

    /// Says how a request ended.
    pub(crate) async fn end_request(&mut self, id: &str, outcome: Result<SnapshotId, String>) -> Result<(), MetaError> {
        let Some(request) = self.job.snapshot_requests.iter().find(|r| r.id == id).cloned() else { return Ok(()) };
        self.metadb.finish_snapshot_request(&self.fence, &request, outcome).await?;
        self.refresh().await
    }

    /// The resync that was asked for is under way.
    pub(crate) async fn resync_begun(&mut self) -> Result<(), MetaError> {
        self.metadb.clear_resync_request(&self.fence).await?;
        self.job.resync_requested = None;
        Ok(())
    }

    /// Asks the agent for the source's catalog.
    pub(crate) async fn want_catalog(&self) -> Result<(), MetaError> {
        if self.job.catalog_wanted { Ok(()) } else { self.metadb.want_catalog(&self.fence).await }
    }

    /// When the last proof was made, seconds since 1970.
    pub(crate) fn last_proof_seconds(&self) -> Option<i64> {
        self.job.last_proof.as_ref().map(|proof| proof.at.timestamp_millis() / 1000)
    }

    /// Stores how a snapshot found out what changed.
    pub(crate) async fn changes(&mut self, found: ChangesFound) -> Result<(), MetaError> {
        self.metadb.set_changes(&self.fence, &found).await?;
        self.job.last_changes = Some(found);
        self.view(|_| {});
        Ok(())
    }

    /// Stores the outcome of a proof.
    pub(crate) async fn proof(
        &mut self,
        snapshot: &SnapshotId,
        fault: Option<&str>,
        seconds: f64,
    ) -> Result<(), MetaError> {
        #[allow(clippy::cast_possible_truncation, reason = "seconds of a proof")]
        let seconds = seconds.round() as i64;
        let detail = fault.map_or_else(|| format!("opened in {seconds} s, equal to the head"), str::to_owned);
        let at = bson::DateTime::now();
        let proof = Proof { snapshot: snapshot.to_string(), at, good: fault.is_none(), detail, seconds };
        self.metadb.set_proof(&self.fence, &proof).await?;
        self.job.last_proof = Some(proof);
        Ok(())
    }
}
