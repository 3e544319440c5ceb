//! Restores of an instant: a reconciler that claims restore jobs, and the workflow that makes one.
//!
//! The workflow: bring the base snapshot's files back, replay the ledger to the instant, stop cleanly, store the result as a snapshot of
//! purpose `restore`, so that any ingest instance can serve it. Commit point: the root; then the job is `ready`. Each attempt begins
//! anew in an empty work folder; a half made one leaves nothing but garbage for the collector.
//!
//! Invariants: what is stored equals the source at exactly the instant; the base was pinned before the job existed; every write of the job
//! carries its lease's epoch.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use blockstore_engine::{
    Pin, Purpose, Root,
    archive::{Archive, ArchiveError, ArchiveFormat as EngineFormat},
};
use holdfast_domain::{
    ArchiveFormat, Classify as _, EntryPosition, ErrorClass, LeaseWatch, OpTime, Progress, RestoreJobId, RestoreState,
    RestoreTarget, SnapshotPoint, Ts, chain_for, restore_scratch_bytes,
};
use holdfast_ledger::{LedgerError, SnapshotMeta};
use holdfast_metadb::{MetaError, RestoreFence, RestoreJob, RestoreUpdate};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    chain_of,
    context::Context,
    error::engine_class,
    head::Head,
    job::HeadFiles,
    replay::{self, ReplayError, ReplayRequest},
    snapshotter::{self, Snapshot, SnapshotError, SnapshotOrder},
    space,
};

/// How often the queue is looked at.
const POLL: Duration = Duration::from_secs(1);
/// Attempts at one restore by this process before it fails for good.
const ATTEMPTS_MAX: u32 = 4;
/// How often progress is written.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);
/// Plans made anew while frames are being replaced.
const PLANS_MAX: usize = 3;

/// Why a restore was not made.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// Materialising or replaying.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// Storing.
    #[error("store the restored files")]
    Snapshot(#[from] SnapshotError),
    /// The app database.
    #[error("app database")]
    Meta(#[from] MetaError),
    /// The ledger.
    #[error("ledger")]
    Ledger(#[from] LedgerError),
    /// The archive's layout.
    #[error("plan the archive")]
    Archive(#[from] ArchiveError),
    /// No snapshot leads to the instant.
    #[error("no good snapshot leads to {0}")]
    NoBase(Ts),
    /// The disk.
    #[error("the head disk has {free_mb} MB free, the restore needs {needed_mb} MB")]
    NoRoom {
        /// Free.
        free_mb: u64,
        /// Needed.
        needed_mb: u64,
    },
    /// Called off.
    #[error("called off")]
    Cancelled,
}

impl RestoreError {
    /// See [`ErrorClass`].
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Replay(e) => e.class(),
            Self::Snapshot(e) => e.class(),
            Self::Meta(e) => e.class(),
            Self::Ledger(e) => e.class(),
            Self::Archive(e) => engine_class(e.class()),
            Self::NoBase(_) => ErrorClass::Caller,
            Self::NoRoom { .. } => ErrorClass::Operator,
            Self::Cancelled => ErrorClass::Cancelled,
        }
    }
}

/// Claims and makes restores until cancelled.
pub async fn run(ctx: Arc<Context>, cancel: CancellationToken) {
    // Dropped with this task: restores end where they are.
    let mut tasks = JoinSet::new();
    let mut watches: HashMap<RestoreJobId, LeaseWatch> = HashMap::new();
    let busy: Arc<Mutex<HashSet<RestoreJobId>>> = Arc::default();
    let attempts: Arc<Mutex<HashMap<RestoreJobId, u32>>> = Arc::default();
    let started = Instant::now();
    while !cancel.is_cancelled() {
        while tasks.try_join_next().is_some() {}
        match ctx.metadb.queued_restores(&ctx.id).await {
            Err(error) => {
                watches.clear();
                tracing::warn!(error = chain_of(&error), "look for restores");
            }
            Ok(queued) => {
                watches.retain(|id, _| queued.iter().any(|job| job.id == *id));
                lock(&attempts).retain(|id, _| queued.iter().any(|job| job.id == *id));
                for job in queued {
                    if lock(&busy).contains(&job.id) {
                        continue;
                    }
                    let watch = watches.entry(job.id.clone()).or_insert_with(|| LeaseWatch::new(ctx.lease()));
                    let free = job.lease.owner == ctx.id.as_str() || watch.read(started.elapsed(), &job.lease);
                    let Ok(slot) = Arc::clone(&ctx.restores).try_acquire_owned() else { break };
                    if !free {
                        continue;
                    }
                    let Ok(Some(fence)) = ctx.metadb.claim_restore(&job.id, &job.lease, ctx.id.as_str()).await else {
                        continue;
                    };
                    lock(&busy).insert(job.id.clone());
                    let attempt = {
                        let mut attempts = lock(&attempts);
                        let n = attempts.entry(job.id.clone()).or_default();
                        *n += 1;
                        *n
                    };
                    let (ctx, busy, cancel) = (Arc::clone(&ctx), Arc::clone(&busy), cancel.child_token());
                    tasks.spawn(async move {
                        let id = job.id.clone();
                        make(&ctx, job, fence, attempt, cancel).await;
                        ctx.board.remove("restore", id.as_str());
                        lock(&busy).remove(&id);
                        drop(slot);
                    });
                }
            }
        }
        let _ = cancel.run_until_cancelled(tokio::time::sleep(POLL)).await;
    }
    while tasks.join_next().await.is_some() {}
}

fn lock<T>(of: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes one restore under its lease and says how it ended.
async fn make(ctx: &Arc<Context>, job: RestoreJob, fence: RestoreFence, attempt: u32, cancel: CancellationToken) {
    let (metadb, kept, lost, every) = (ctx.metadb.clone(), fence.clone(), cancel.clone(), ctx.lease() / 3);
    let keeper = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(async move {
        loop {
            tokio::time::sleep(every).await;
            if matches!(metadb.renew_restore(&kept).await, Err(MetaError::Fenced)) {
                lost.cancel();
                return;
            }
        }
    }));
    let work = Work { ctx, job: &job, fence: &fence, cancel: &cancel };
    let made = tokio::select! {
        biased;
        () = cancel.cancelled() => Err(RestoreError::Cancelled),
        made = work.run() => made,
    };
    let told = match made {
        Ok(update) => {
            tracing::info!(restore = %job.id, root = update.root, optime = ?update.optime, "restore ready");
            metrics::counter!("holdfast_restores_total", "outcome" => "ready").increment(1);
            ctx.metadb.set_restore_state(&fence, RestoreState::Ready, &update).await
        }
        Err(error) => {
            let class = error.class();
            let again = match class {
                ErrorClass::Cancelled => true,
                ErrorClass::Retry | ErrorClass::Operator => attempt < ATTEMPTS_MAX,
                ErrorClass::Caller | ErrorClass::Corrupt | ErrorClass::Bug => false,
            };
            let text = chain_of(&error);
            tracing::warn!(restore = %job.id, error = text, attempt, again, "a restore was not made");
            let state = if again { RestoreState::Queued } else { RestoreState::Failed };
            let update = RestoreUpdate {
                phase: Some(if again { "wait to try again" } else { "failed" }.into()),
                error: (class != ErrorClass::Cancelled).then_some(text),
                ..RestoreUpdate::default()
            };
            ctx.metadb.set_restore_state(&fence, state, &update).await
        }
    };
    drop(keeper);
    if let Err(error) = told {
        tracing::debug!(restore = %job.id, error = chain_of(&error), "say how a restore ended");
    }
    let _ = ctx.metadb.release_restore(&fence).await;
}

/// One attempt.
struct Work<'a> {
    ctx: &'a Arc<Context>,
    job: &'a RestoreJob,
    fence: &'a RestoreFence,
    cancel: &'a CancellationToken,
}

impl Work<'_> {
    async fn run(&self) -> Result<RestoreUpdate, RestoreError> {
        let (root, optime) = match &self.job.target {
            RestoreTarget::Snapshot(id) => {
                let found = snapshotter::good_snapshots(&self.ctx.store, &self.job.job).await?;
                let snapshot = found.into_iter().find(|s| s.id() == *id).ok_or(RestoreError::NoBase(Ts::ZERO))?;
                (snapshot.root, snapshot.meta.optime)
            }
            RestoreTarget::Instant(to) => self.instant(*to).await?,
        };
        let (bytes, etag) = self.plan(&root).await?;
        if root.purpose == Purpose::Restore {
            // What is downloaded holds itself; the base may go where retention wants it.
            let base = self.job.base_root.parse();
            if let Ok(base) = base
                && let Err(error) = self.ctx.store.unpin(&base, &self.pin_name()).await
            {
                tracing::debug!(restore = %self.job.id, error = chain_of(&error), "unpin the base of a restore");
            }
        }
        Ok(RestoreUpdate {
            phase: Some("ready".into()),
            root: Some(root.id.to_string()),
            optime: Some(optime),
            bytes,
            etag,
            ..RestoreUpdate::default()
        })
    }

    fn pin_name(&self) -> String {
        format!("restore:{}", self.job.id)
    }

    async fn say(&self, phase: &str, progress: Option<Progress>) -> Result<(), RestoreError> {
        self.ctx.board.update("restore", self.job.id.as_str(), |v| v.phase = phase.to_owned());
        let update = RestoreUpdate { phase: Some(phase.to_owned()), progress, ..RestoreUpdate::default() };
        Ok(self.ctx.metadb.set_restore_state(self.fence, RestoreState::Running, &update).await?)
    }

    /// Makes the state at `to` and stores it.
    async fn instant(&self, to: Ts) -> Result<(Root, OpTime), RestoreError> {
        self.say("choose the snapshot to begin with", None).await?;
        let base = self.base(to).await?;
        replay::check_reach(self.ctx, &self.job.job, &base.meta, to).await?;
        let io = |e: std::io::Error| RestoreError::Snapshot(SnapshotError::Io(e));
        let room = space::room(self.ctx.layout.root(), self.ctx.settings.head_bytes_max).map_err(io)?;
        let needed = restore_scratch_bytes(base.root.logical_bytes);
        if room.free_bytes < needed {
            return Err(RestoreError::NoRoom { free_mb: room.free_bytes >> 20, needed_mb: needed >> 20 });
        }
        let work = self.ctx.layout.work(&format!("restore-{}", self.job.id)).map_err(io)?;
        let heads = HeadFiles::open(&self.ctx.layout.job(&self.job.job)).ok();
        let clone = heads.map(|heads| heads.clone_of(&base.id()));
        let request =
            ReplayRequest { job: &self.job.job, base: &base, clone: clone.as_deref(), dir: work.path(), to: Some(to) };
        let started = Instant::now();
        let progress: Arc<Mutex<(String, Progress)>> = Arc::default();
        let (files, slices) = (Arc::clone(&progress), Arc::clone(&progress));
        let on_files = Arc::new(move |p: blockstore_engine::Progress| {
            let now = Progress { done: p.bytes, total: p.bytes_total, unit: "bytes".into() };
            *lock(&files) = ("bring the snapshot back".into(), now);
        });
        let from = base.meta.optime.ts.t;
        let on_optime = move |at: OpTime| {
            let seconds = |t: u32| u64::from(t.saturating_sub(from));
            let now = Progress { done: seconds(at.ts.t), total: seconds(to.t), unit: "seconds".into() };
            *lock(&slices) = ("replay the oplog".into(), now);
        };
        let replaying = replay::replay(self.ctx, &request, on_files, on_optime, self.cancel);
        let replayed = self.watch(replaying, &progress).await?;
        let position = replayed.head.position();
        let stopped = replayed.head.stop().await;
        drop(replayed.port);
        stopped.map_err(ReplayError::from)?;
        tracing::info!(restore = %self.job.id, %to, at = %position.optime(), seconds = started.elapsed().as_secs_f64(), "instant made");
        let chain = base.meta.resume.chain;
        let seq = self.ctx.ledger.entry_at(&self.job.job, chain, position.feed_from.ts).await?.map_or(1, |at| at.seq);
        let order = SnapshotOrder {
            job: self.job.job.clone(),
            // Whoever owns the job now: a newer owner's registration deletes this one, and the restore is tried again.
            epoch: self.ctx.store.guard(self.job.job.as_str()).await.map_err(|e| SnapshotError::Root(e.into()))?.epoch,
            meta: SnapshotMeta {
                optime: position.optime(),
                resume: EntryPosition { chain, seq },
                feed_from: position.feed_from,
                taken_at: bson::DateTime::now(),
                label: None,
                ..base.meta.clone()
            },
            purpose: Purpose::Restore,
            parent: Some(base.root.id),
            // What is stored for a restore is as secret as what it is made of.
            key: base.root.key,
            pins: vec![Pin { by: self.pin_name(), until: Some(self.job.expires) }],
        };
        let written = Arc::clone(&progress);
        let on_write = Arc::new(move |p: blockstore_engine::Progress| {
            let now = Progress { done: p.bytes, total: p.bytes_total, unit: "bytes".into() };
            *lock(&written) = ("store the restored files".into(), now);
        });
        let db = Head::dbpath(work.path());
        let storing = snapshotter::store(&self.ctx.store, &db, order, on_write, self.cancel);
        let root = self.watch(storing, &progress).await?;
        Ok((root, position.optime()))
    }

    /// Runs a step and writes how far it is once a second.
    async fn watch<T, E: Into<RestoreError>>(
        &self,
        step: impl Future<Output = Result<T, E>>,
        progress: &Mutex<(String, Progress)>,
    ) -> Result<T, RestoreError> {
        let mut step = std::pin::pin!(step);
        loop {
            tokio::select! {
                done = &mut step => return done.map_err(Into::into),
                () = tokio::time::sleep(PROGRESS_EVERY) => {
                    let (phase, now) = lock(progress).clone();
                    if !phase.is_empty() {
                        self.say(&phase, Some(now)).await?;
                    }
                }
            }
        }
    }

    /// The snapshot to begin with: the one that was pinned for this job, or, where that is in doubt by now, the next best.
    async fn base(&self, to: Ts) -> Result<Snapshot, RestoreError> {
        let good = snapshotter::good_snapshots(&self.ctx.store, &self.job.job).await?;
        if let Some(pinned) =
            good.iter().find(|s| s.root.id.to_string() == self.job.base_root && s.meta.optime.ts <= to)
        {
            return Ok(pinned.clone());
        }
        let points: Vec<SnapshotPoint> =
            good.iter().map(|s| SnapshotPoint { id: s.id(), optime: s.meta.optime, resume: s.meta.resume }).collect();
        let chains = self.ctx.ledger.chains(&self.job.job).await?;
        let chosen = chain_for(to, self.job.chain, &points, &chains).map(|point| point.id.clone());
        let base = good.into_iter().find(|s| Some(s.id()) == chosen).ok_or(RestoreError::NoBase(to))?;
        let pin = Pin { by: self.pin_name(), until: Some(self.job.expires) };
        self.ctx.store.pin(&base.root.id, pin).await.map_err(SnapshotError::from)?;
        Ok(base)
    }

    /// Bytes and tag of the download.
    async fn plan(&self, root: &Root) -> Result<(Option<i64>, Option<String>), RestoreError> {
        let format = match self.job.format {
            ArchiveFormat::Tar => EngineFormat::Tar,
            ArchiveFormat::TarZst => EngineFormat::TarZst,
            ArchiveFormat::TarGz => EngineFormat::TarGz,
        };
        let mut attempt = 1;
        loop {
            match Archive::plan(self.ctx.store.reader(root.clone()), format).await {
                Ok(plan) => {
                    let bytes = plan.len().map(|n| i64::try_from(n).unwrap_or(i64::MAX));
                    return Ok((bytes, Some(plan.etag())));
                }
                Err(ArchiveError::LayoutChanged) if attempt < PLANS_MAX => attempt += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }
}
