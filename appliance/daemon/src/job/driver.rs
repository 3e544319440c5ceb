//! The driver of one bound job: the one task that owns its head.
//!
//! Purpose: bring the head from nothing to the end of the ledger and keep it there, take snapshots on the way, and heal it when it differs.
//!
//! Invariants:
//! - Every write of the job is fenced by the lease; when the lease is lost the head's mongod is killed and the task ends.
//! - How far a head came is read from the head itself, at every opening; nothing else is believed.
//! - A head that differs from its source is never fed on: it is rebuilt from the last good snapshot, or the chain is closed.
//! - One step at a time; a step that fails is tried again, and each is resumable at every point.
//!
//! Called by `job/mod.rs`. It must never write a ledger entry other than a closing one.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use blockstore_engine::ranges::{self, MendWindow};
use holdfast_agent_api::{LedgerTail, SourceInfo};
use holdfast_domain::{BackupEvent, BackupState, CloseReason, OpTime};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::{
    error::{JobError, Then},
    head_file::{HeadFiles, HeadPhase},
    load::OpenLoader,
    record::Record,
    snapshots::Writing,
};
use crate::{
    chain_of,
    context::Context,
    feed::Feed,
    head::{Head, HeadError, Position},
    ports::HeadPort,
    proof::ProofOutcome,
    replay_debt::ReplayDebt,
    snapshotter::Snapshot,
    space,
};

/// Pause when there is nothing to do: what a new slice waits at most before it is applied.
pub(super) const POLL: Duration = Duration::from_millis(300);
/// How often the job's document and the ledger's tail are read while there is work.
const REFRESH_EVERY: Duration = Duration::from_millis(250);
/// How often the room on the head disk is looked at.
const ROOM_EVERY: Duration = Duration::from_secs(5);
/// Pauses after errors: doubled up to the longest.
const PAUSE_FIRST: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(15);
/// Pause after an error that someone must act on.
const PAUSE_OPERATOR: Duration = Duration::from_secs(10);
/// A head that cannot be worked with this often in a row, for whatever reason, is rebuilt.
const FAILURES_MAX: u32 = 8;
/// A ledger that cannot be read this often in a row is given up.
const UNREADABLE_MAX: u32 = 5;
/// Longest that a head may take to stop when the daemon ends or the job leaves.
const STOP_TIMEOUT: Duration = Duration::from_secs(60);

/// A head's mongod that runs.
pub(super) struct OpenHead {
    pub(super) head: Head,
    pub(super) port: HeadPort,
    pub(super) feed: Feed,
    pub(super) worked_at: Instant,
}

/// What comes after a step.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The next step at once.
    Again,
    /// After a pause.
    Wait(Duration),
    /// The job is not this daemon's any more.
    Left,
}

/// See the module.
pub(crate) struct Driver {
    pub(super) ctx: Arc<Context>,
    pub(super) record: Record,
    pub(super) cancel: CancellationToken,
    pub(super) heads: HeadFiles,
    pub(super) open: Option<OpenHead>,
    pub(super) loader: Option<OpenLoader>,
    /// A chain, and how many loads of it failed.
    pub(super) loads_failed: (i64, u32),
    pub(super) position: Option<Position>,
    pub(super) debt: ReplayDebt,
    pub(super) newest: Option<Snapshot>,
    pub(super) newest_known: bool,
    pub(super) writing: Option<Writing>,
    /// What the next snapshot mends, because the last one's clone is too fragmented there.
    pub(super) fragmented: Vec<MendWindow>,
    pub(super) proving: Option<AbortOnDropHandle<ProofOutcome>>,
    pub(super) catalog_seen: Option<Instant>,
    pub(super) ready_since: Option<Instant>,
    pub(super) request_target: Option<(String, OpTime, Instant)>,
    pub(super) last_seq: i64,
    pub(super) catalog_skipped: Option<OpTime>,
    tail: Option<LedgerTail>,
    refreshed: Option<Instant>,
    room_seen: Option<Instant>,
    failures: u32,
}

impl Driver {
    /// A driver for a job whose lease is held.
    ///
    /// # Errors
    /// The head folder.
    pub(crate) fn new(ctx: Arc<Context>, record: Record, cancel: CancellationToken) -> Result<Self, JobError> {
        let heads = HeadFiles::open(&ctx.layout.job(record.id()))?;
        // Whoever was writing from it is dead.
        ranges::remove_clone(&heads.new_clone())?;
        Ok(Self {
            ctx,
            record,
            cancel,
            heads,
            open: None,
            loader: None,
            loads_failed: (0, 0),
            position: None,
            debt: ReplayDebt::default(),
            newest: None,
            newest_known: false,
            writing: None,
            fragmented: Vec::new(),
            proving: None,
            catalog_seen: None,
            ready_since: None,
            request_target: None,
            last_seq: 0,
            catalog_skipped: None,
            tail: None,
            refreshed: None,
            room_seen: None,
            failures: 0,
        })
    }

    /// Works until the job leaves, the lease is lost, or the daemon ends. True: the job went to another daemon.
    pub(crate) async fn run(&mut self) -> bool {
        let cancel = self.cancel.clone();
        loop {
            let step = tokio::select! {
                biased;
                () = cancel.cancelled() => Err(JobError::Cancelled),
                step = self.step() => step,
            };
            let pause = match step {
                Ok(Next::Again) => {
                    self.failures = 0;
                    Duration::ZERO
                }
                Ok(Next::Wait(pause)) => {
                    self.failures = 0;
                    pause
                }
                Ok(Next::Left) => return true,
                Err(error) => match self.after(error).await {
                    Some(pause) => pause,
                    None => return false,
                },
            };
            // A failed report is tried again with the next one.
            if let Err(error) = self.record.flush(false).await
                && JobError::from(error).then() == Then::End
            {
                return false;
            }
            if !pause.is_zero() {
                let _ = cancel.run_until_cancelled(tokio::time::sleep(pause)).await;
            }
        }
    }

    /// Ends what runs: cleanly, or at once when the lease is lost.
    pub(crate) async fn end(&mut self, lease_lost: bool) {
        if let Some(writing) = self.writing.take() {
            writing.abort().await;
        }
        if let Some(proving) = self.proving.take() {
            proving.abort();
        }
        if lease_lost {
            self.kill_head().await;
        } else if tokio::time::timeout(STOP_TIMEOUT, self.close_head()).await.is_err() {
            tracing::warn!(job = %self.record.id(), "the head did not stop in time");
            self.kill_head().await;
        }
        let _ = self.record.flush(true).await;
    }

    /// What follows an error. None: the end.
    async fn after(&mut self, error: JobError) -> Option<Duration> {
        let then = error.then();
        let text = chain_of(&error);
        if then == Then::End {
            return None;
        }
        self.failures += 1;
        tracing::warn!(job = %self.record.id(), error = text, ?then, failures = self.failures, "a step of the backup failed");
        self.record.error(Some(text.clone()));
        let then = if self.failures >= FAILURES_MAX && matches!(error, JobError::Head(_)) && then == Then::Again {
            Then::Rebuild
        } else {
            then
        };
        // Whatever failed inside a head: its position is read anew, its feed begins anew.
        match (&error, then) {
            (JobError::Head(_), _) | (_, Then::Rebuild | Then::Resync) => self.kill_head().await,
            (JobError::Feed(_), _) => self.close_head().await,
            _ => {}
        }
        let then = match &error {
            // The source was upgraded: its files go on under the next release, if it is here.
            JobError::Head(HeadError::NeedsBinary { fcv, .. }) if self.change_binary(fcv) => Then::Again,
            // What the ledger holds stays unreadable: its range ends here.
            JobError::Feed(_) if then == Then::Wait && self.failures >= UNREADABLE_MAX => Then::Resync,
            _ => then,
        };
        let done = match then {
            Then::Rebuild => self.rebuild(&text, error.differs()).await,
            Then::Resync => self.give_up_chain(CloseReason::SyncFailed, &text).await,
            _ => Ok(()),
        };
        if let Err(error) = done {
            if error.then() == Then::End {
                return None;
            }
            tracing::warn!(job = %self.record.id(), error = chain_of(&error), "healing the head failed; it is tried again");
            self.record.error(Some(chain_of(&error)));
        }
        if then == Then::Wait {
            return Some(PAUSE_OPERATOR);
        }
        Some((PAUSE_FIRST * 2_u32.saturating_pow(self.failures.min(6) - 1)).min(PAUSE_MAX))
    }

    /// Opens the head with the release that this feature compatibility version needs, from now on. False: it is not here.
    fn change_binary(&mut self, fcv: &str) -> bool {
        let Ok(binary) = self.ctx.binaries.for_source(fcv) else { return false };
        let (major, minor, patch) = binary.version;
        tracing::info!(job = %self.record.id(), fcv, release = format!("{major}.{minor}.{patch}"), "the head changes its mongod");
        let changed = self.heads.change(|head| {
            head.server_version = format!("{major}.{minor}.{patch}");
            fcv.clone_into(&mut head.fcv);
        });
        changed.is_ok()
    }

    /// One step.
    async fn step(&mut self) -> Result<Next, JobError> {
        if !self.refresh().await? {
            return Ok(Next::Left);
        }
        let job = self.record.job();
        if job.state == BackupState::Terminated {
            self.close_head().await;
            return Ok(Next::Left);
        }
        if let Some(wanted) = job.wanted_daemon.clone().filter(|wanted| *wanted != self.ctx.id) {
            return self.hand_over(wanted).await;
        }
        if !job.state.runs() {
            self.close_head().await;
            self.record.phase("stopped");
            return Ok(Next::Wait(Duration::from_secs(1)));
        }
        let Some(tail) = self.tail.clone() else {
            self.record.phase("wait for the agent");
            return Ok(Next::Wait(POLL));
        };
        if job.resync_requested.is_some() && tail.closed.is_none() {
            let why = job.resync_requested.clone().unwrap_or_default();
            self.give_up_chain(CloseReason::ResyncRequested, &why).await?;
            return Ok(Next::Again);
        }
        match self.heads.current.as_ref().map(|head| (head.chain, head.phase)) {
            Some((chain, HeadPhase::Ready)) if chain == tail.at.chain => {
                self.check_room().await?;
                self.follow(&tail).await
            }
            Some((chain, HeadPhase::Loading)) if chain == tail.at.chain && tail.closed.is_none() => {
                self.check_room().await?;
                self.load(&tail).await
            }
            _ if tail.closed.is_some() => {
                self.close_head().await;
                self.record.phase("wait for the agent to sync again");
                Ok(Next::Wait(POLL))
            }
            _ => self.begin(&tail).await,
        }
    }

    /// This chain has no head here yet: from its newest snapshot, else from its initial sync.
    async fn begin(&mut self, tail: &LedgerTail) -> Result<Next, JobError> {
        self.close_head().await;
        self.check_room().await?;
        self.position = None;
        self.newest_known = false;
        if self.rebuild_from_snapshot(tail.at.chain, None).await? {
            return Ok(Next::Again);
        }
        self.begin_load(tail).await
    }

    /// Reads job and tail again when they are old. False: the job is another daemon's.
    async fn refresh(&mut self) -> Result<bool, JobError> {
        if self.refreshed.is_some_and(|at| at.elapsed() < REFRESH_EVERY) {
            return Ok(true);
        }
        self.record.refresh().await?;
        if self.record.job().daemon.as_ref() != Some(&self.ctx.id) {
            return Ok(false);
        }
        self.tail = self.ctx.ledger.tail(self.record.id()).await?;
        self.refreshed = Some(Instant::now());
        if let (Some(file), Some(folder)) = (&self.heads.current, self.heads.folder()) {
            self.record.head_folder(file.generation, &folder);
        }
        Ok(true)
    }

    /// Makes the next step read the job again.
    pub(super) fn forget_reads(&mut self) {
        self.refreshed = None;
    }

    /// Waits, with the head closed, while the head disk is too full.
    async fn check_room(&mut self) -> Result<(), JobError> {
        if self.room_seen.is_some_and(|at| at.elapsed() < ROOM_EVERY) {
            return Ok(());
        }
        let (dir, max) = (self.ctx.layout.root().to_owned(), self.ctx.settings.head_bytes_max);
        let room =
            tokio::task::spawn_blocking(move || space::room(&dir, max)).await.map_err(std::io::Error::other)??;
        if room.free_bytes < space::HEAD_RESERVE_BYTES {
            self.close_head().await;
            self.record.phase("wait for room on the head disk");
            return Err(JobError::NoRoom {
                free_mb: room.free_bytes >> 20,
                needed_mb: space::HEAD_RESERVE_BYTES >> 20,
            });
        }
        self.room_seen = Some(Instant::now());
        Ok(())
    }

    /// What the source of a chain is.
    pub(super) async fn source(&self, chain: i64) -> Result<SourceInfo, JobError> {
        let doc = self.ctx.ledger.chain_source(self.record.id(), chain).await?.unwrap_or_default();
        bson::deserialize_from_document(doc)
            .map_err(|source| JobError::Form { what: "the description of the source", source })
    }

    /// Closes the chain, so that the agent opens another and syncs again.
    pub(super) async fn give_up_chain(&mut self, reason: CloseReason, detail: &str) -> Result<(), JobError> {
        self.close_head().await;
        self.record.renew().await?;
        let short: String = detail.chars().take(500).collect();
        let tail = self.ctx.ledger.force_close(self.record.id(), reason, &short).await?;
        tracing::warn!(job = %self.record.id(), chain = tail.at.chain, ?reason, detail = short, "chain closed");
        if self.record.job().resync_requested.is_some() {
            self.record.resync_begun().await?;
        }
        if matches!(self.record.job().state, BackupState::CatchingUp | BackupState::Active) {
            self.record.event(BackupEvent::Resync).await?;
        }
        self.forget_reads();
        Ok(())
    }

    /// Stops the head cleanly, if it runs; what went wrong is seen at the next opening.
    pub(super) async fn close_head(&mut self) {
        if let Some(open) = self.open.take() {
            self.record.port(None);
            drop(open.feed);
            if let Err(error) = open.head.stop().await {
                tracing::warn!(job = %self.record.id(), error = chain_of(&error), "stop the head");
            }
        }
        if let Some(loader) = self.loader.take() {
            self.record.port(None);
            if let Err(error) = loader.stop().await {
                tracing::warn!(job = %self.record.id(), error = chain_of(&error), "stop the head");
            }
        }
    }

    /// Ends the head's mongod at once.
    pub(super) async fn kill_head(&mut self) {
        if let Some(open) = self.open.take() {
            self.record.port(None);
            drop(open.feed);
            open.head.kill().await;
        }
        if let Some(loader) = self.loader.take() {
            self.record.port(None);
            loader.kill().await;
        }
    }
}
