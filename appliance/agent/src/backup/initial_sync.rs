//! The initial sync of a chain: list, scan, complete. Resumable at any moment from what the server knows.
//!
//! Runs beside the tail, which began at the chain's start point B. Before a member's first list its majority point must have reached B. The end
//! point E is the largest operation time of any answer, and at least the majority point after the last slice.

use std::{
    collections::HashSet,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures::{StreamExt as _, TryStreamExt as _};
use holdfast_agent_api::{CompleteSync, EndScan, SyncState};
use holdfast_domain::{OpTime, Progress, Ts};

use super::{
    context::JobContext,
    error::JobError,
    health::Throttle,
    listing::{self, Listed},
    member_choice::Wishes,
    report::Part,
    scan,
    source::Member,
};

/// Collections scanned side by side by one job; the agent's budget bounds them over all jobs.
const SCANS_MAX: usize = 2;
/// Pause before another member is taken.
const MEMBER_PAUSE: Duration = Duration::from_secs(1);
/// Longest pause of that kind.
const MEMBER_PAUSE_MAX: Duration = Duration::from_secs(20);

/// One run on one member.
pub(crate) struct SyncRun<'a> {
    pub(crate) ctx: &'a Arc<JobContext>,
    pub(crate) chain: i64,
    pub(crate) throttle: Throttle,
    pub(crate) end: &'a EndPoint,
    sent_bytes: AtomicU64,
    total_bytes: AtomicU64,
}

impl SyncRun<'_> {
    /// A slice is on its way.
    pub(crate) fn sent(&self, raw_bytes: usize) {
        let done = self.sent_bytes.fetch_add(raw_bytes as u64, Ordering::Relaxed) + raw_bytes as u64;
        let total = self.total_bytes.load(Ordering::Relaxed).max(done);
        self.ctx.report.phase(Part::Sync, "scan collections");
        self.ctx.report.progress(Progress { done, total, unit: "bytes".into() });
    }
}

/// The largest operation time seen, kept in a file over restarts of the agent.
pub(crate) struct EndPoint {
    path: PathBuf,
    time: Mutex<(Ts, Option<Instant>)>,
}

/// The file is written at most this often.
const KEEP_EVERY: Duration = Duration::from_secs(1);

impl EndPoint {
    fn open(path: PathBuf) -> Self {
        let kept = std::fs::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok());
        Self { path, time: Mutex::new((kept.unwrap_or_default(), None)) }
    }

    /// One more answer.
    pub(crate) fn raise(&self, time: Ts) {
        let mut kept = self.time.lock().unwrap_or_else(PoisonError::into_inner);
        if time > kept.0 {
            kept.0 = time;
            if kept.1.is_some_and(|at| at.elapsed() < KEEP_EVERY) {
                return;
            }
            kept.1 = Some(Instant::now());
            // Not synced: after a power cut the majority point at the end covers it but for a member that ran ahead of all others.
            let temporary = self.path.with_extension("tmp");
            let written =
                std::fs::write(&temporary, time.to_string()).and_then(|()| std::fs::rename(&temporary, &self.path));
            if let Err(error) = written {
                tracing::warn!(%error, path = %self.path.display(), "cannot keep the end point");
            }
        }
    }

    fn now(&self) -> Ts {
        self.time.lock().unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Brings the sync of this chain to its end, over members' failures.
pub(crate) async fn run(ctx: &Arc<JobContext>, chain: i64, start: OpTime) -> Result<(), JobError> {
    std::fs::create_dir_all(&ctx.dir).map_err(|source| JobError::Disk {
        doing: "make the folder",
        path: ctx.dir.display().to_string(),
        source,
    })?;
    let end = EndPoint::open(ctx.dir.join(format!("sync-{chain}.end")));
    let (mut avoid, mut pause) = (Vec::new(), MEMBER_PAUSE);
    loop {
        let state = ctx.api.sync_state(chain).await?;
        if state.complete {
            return Ok(());
        }
        if let Some(known) = state.end {
            end.raise(known.ts);
        }
        let failed = match pick(ctx, &state, &avoid).await {
            Ok(member) => {
                let run = SyncRun {
                    ctx,
                    chain,
                    throttle: Throttle::default(),
                    end: &end,
                    sent_bytes: AtomicU64::new(0),
                    total_bytes: AtomicU64::new(0),
                };
                match run.on_member(&member, state, start).await {
                    Ok(()) => {
                        let _ = std::fs::remove_file(&end.path);
                        return Ok(());
                    }
                    Err(error) => {
                        avoid = vec![member.host];
                        error
                    }
                }
            }
            Err(error) => {
                avoid.clear();
                error
            }
        };
        match failed {
            error @ (JobError::Source { .. } | JobError::NoMember(_) | JobError::Setup(_)) => {
                ctx.report.error(Part::Sync, Some(crate::retry::with_sources(&error)));
            }
            error => return Err(error),
        }
        ctx.sleep(pause).await?;
        pause = (pause * 2).min(MEMBER_PAUSE_MAX);
    }
}

/// The member that was scanned before, if it can be: only there its tokens hold.
async fn pick(ctx: &JobContext, state: &SyncState, avoid: &[String]) -> Result<Member, JobError> {
    let before = state.scans.iter().rev().find(|s| !s.ended).and_then(|s| s.member.split('/').next());
    let wanted = ctx.wanted_member();
    match ctx.source.pick(Wishes { wanted: wanted.as_deref(), before, avoid }).await {
        Err(JobError::NoMember(_)) if !avoid.is_empty() => {
            ctx.source.pick(Wishes { wanted: wanted.as_deref(), before, avoid: &[] }).await
        }
        done => done,
    }
}

impl SyncRun<'_> {
    async fn on_member(&self, member: &Member, state: SyncState, start: OpTime) -> Result<(), JobError> {
        self.ctx.report.phase(Part::Sync, "wait until the member has reached the start point");
        while !member.reached(start.ts).await? {
            if self.ctx.api.cancel.is_cancelled() {
                return Err(JobError::Cancelled);
            }
            if let Some(said) = self.ctx.source.survey().await?.without_majority() {
                self.ctx.report.error(Part::Sync, Some(said));
            }
        }
        self.ctx.report.phase(Part::Sync, "list the collections");
        let listing = listing::list(member).await?;
        self.end.raise(listing.time);
        let here: HashSet<&str> = listing.collections.iter().filter_map(|c| c.uuid.as_deref()).collect();
        for scan in state.scans.iter().filter(|s| !s.ended && !here.contains(s.uuid.as_str())) {
            let gone = EndScan { slices: scan.tail.next_seq, gone: true };
            self.ctx.api.end_scan(self.chain, &scan.uuid, scan.scan, &gone).await?;
        }
        let ended: HashSet<&str> = state.scans.iter().filter(|s| s.ended).map(|s| s.uuid.as_str()).collect();
        let open = |c: &&Listed| c.uuid.as_deref().is_some_and(|u| !ended.contains(u));
        let todo: Vec<Listed> = listing.collections.iter().filter(open).cloned().collect();
        self.estimate(member).await;
        self.ctx.report.phase(Part::Sync, "scan collections");
        self.ctx.report.error(Part::Sync, None);
        let scans = todo.into_iter().map(|listed| async move {
            let _place = self.ctx.budget.scan().await;
            let uuid = listed.uuid.as_deref().unwrap_or_default();
            scan::scan(self, member, &listed, uuid).await
        });
        futures::stream::iter(scans).buffer_unordered(SCANS_MAX).try_collect::<()>().await?;
        self.complete(member).await
    }

    /// The bytes that there are, for progress only.
    async fn estimate(&self, member: &Member) {
        if let Ok((data_bytes, _)) = super::discovery::bytes_of(&member.client).await {
            self.total_bytes.store(data_bytes, Ordering::Relaxed);
        }
    }

    async fn complete(&self, member: &Member) -> Result<(), JobError> {
        self.ctx.report.phase(Part::Sync, "complete the initial sync");
        let state = self.ctx.api.sync_state(self.chain).await?;
        if let Some(open) = state.scans.iter().find(|s| !s.ended) {
            return Err(JobError::Bug(format!("the scan of {}.{} has not ended", open.db, open.name)));
        }
        let majority = member.majority_point().await?;
        let seen = self.end.now().max(state.end.map_or(Ts::ZERO, |end| end.ts));
        let end = if seen > majority.ts { OpTime { ts: seen, term: majority.term } } else { majority };
        let collections = i64::try_from(state.scans.iter().filter(|s| !s.gone).count()).unwrap_or(i64::MAX);
        self.ctx.api.complete_sync(self.chain, &CompleteSync { end, collections }).await?;
        tracing::info!(job = %self.ctx.api.job, %end, collections, "the initial sync is complete");
        Ok(())
    }
}
