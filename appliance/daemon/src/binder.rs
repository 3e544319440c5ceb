//! Binds backup jobs to daemons: a reconciler that every daemon runs; compare-and-set makes them agree.
//!
//! - A job that runs and is bound to none goes to the daemon that suits it best.
//! - A job of a daemon that is lost for good goes to another: its lease's beat and the daemon's own stood still for
//!   [`LOST_LEASES`] times a lease's length, by this process's monotonic clock.
//! - A job whose wanted daemon is another than its own moves: its own daemon does that; when that one is lost, this does.
//! - A daemon that an operator empties takes no job, and asks for the move of its own jobs, one after the other.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use holdfast_domain::{BackupJobId, DaemonId, Lease, LeaseWatch};
use holdfast_metadb::{BackupJob, BackupJobFilter, Daemon, MetaError};
use tokio_util::sync::CancellationToken;

use crate::{
    chain_of,
    context::Context,
    placement::{Candidate, Need, choose},
    registration,
};

/// How often jobs are looked at, at most; the leases' length sets it where that is shorter.
const POLL_MAX: Duration = Duration::from_millis(500);
/// A daemon that restarts is back within a few lease's lengths; moving a head costs more than waiting that long.
const LOST_LEASES: u32 = 8;

/// What the reconciler remembers between its rounds.
pub struct Binder {
    ctx: Arc<Context>,
    started: Instant,
    daemons: HashMap<DaemonId, LeaseWatch>,
    jobs: HashMap<BackupJobId, LeaseWatch>,
    first_beats: HashMap<DaemonId, i64>,
}

/// Runs until cancelled.
pub async fn run(ctx: Arc<Context>, cancel: CancellationToken) {
    // A watch's reads must not lie further apart than a third of its length.
    let pause = POLL_MAX.min(ctx.lease() / 4);
    let mut binder = Binder {
        ctx,
        started: Instant::now(),
        daemons: HashMap::new(),
        jobs: HashMap::new(),
        first_beats: HashMap::new(),
    };
    while cancel.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
        if let Err(error) = binder.round().await {
            binder.daemons.values_mut().for_each(LeaseWatch::failed);
            binder.jobs.values_mut().for_each(LeaseWatch::failed);
            tracing::warn!(error = chain_of(&error), "bind jobs to daemons");
        }
    }
}

impl Binder {
    async fn round(&mut self) -> Result<(), MetaError> {
        let daemons = self.ctx.metadb.daemons().await?;
        let jobs = self.ctx.metadb.backup_jobs(&BackupJobFilter::default()).await?;
        let now = self.started.elapsed();
        let length = self.ctx.lease() * LOST_LEASES;
        let lost: Vec<DaemonId> = daemons
            .iter()
            .filter(|daemon| {
                let lease = Lease { owner: daemon.id.to_string(), epoch: 0, beat: daemon.beat };
                let watch = self.daemons.entry(daemon.id.clone()).or_insert_with(|| LeaseWatch::new(length));
                watch.read(now, &lease) && daemon.id != self.ctx.id
            })
            .map(|daemon| daemon.id.clone())
            .collect();
        // A daemon counts once it was seen to report: what a dead one left in the database says nothing.
        let alive: Vec<Daemon> = daemons
            .iter()
            .filter(|daemon| {
                let first = *self.first_beats.entry(daemon.id.clone()).or_insert(daemon.beat);
                daemon.id == self.ctx.id || (daemon.beat != first && !lost.contains(&daemon.id))
            })
            .cloned()
            .collect();
        // Time for the others to be seen, so that the choice is among all.
        let knows_the_others = self.started.elapsed() >= registration::beat_every(&self.ctx) * 2;
        self.jobs.retain(|id, _| jobs.iter().any(|job| job.id == *id));
        let mut unbound = 0;
        for job in &jobs {
            let watch = self.jobs.entry(job.id.clone()).or_insert_with(|| LeaseWatch::new(length));
            let lease_stands_still = watch.read(now, &job.lease);
            if !job.state.runs() {
                continue;
            }
            match &job.daemon {
                None => {
                    unbound += 1;
                    if knows_the_others {
                        self.bind(job, &jobs, &alive).await?;
                    }
                }
                Some(bound) if *bound == self.ctx.id => {}
                Some(bound) => {
                    let gone = lost.contains(bound) || !daemons.iter().any(|d| d.id == *bound);
                    if gone && lease_stands_still {
                        tracing::warn!(job = %job.id, from = %bound, "its daemon is lost: the backup moves");
                        self.bind(job, &jobs, &alive).await?;
                    }
                }
            }
        }
        if let Some(own) = daemons.iter().find(|daemon| daemon.id == self.ctx.id && daemon.draining)
            && knows_the_others
        {
            self.drain(own, &jobs, &alive).await?;
        }
        self.ctx.board.update("reconciler", "binder", |v| {
            v.phase = format!("{} jobs, {unbound} unbound, {} daemons, {} lost", jobs.len(), daemons.len(), lost.len());
        });
        Ok(())
    }

    /// Hands the next head of this daemon over. One at a time: each is rebuilt elsewhere, and reads the blockstore for that.
    async fn drain(&self, own: &Daemon, jobs: &[BackupJob], alive: &[Daemon]) -> Result<(), MetaError> {
        let mine: Vec<&BackupJob> =
            jobs.iter().filter(|job| job.daemon.as_ref() == Some(&own.id) && job.state.runs()).collect();
        if mine.iter().any(|job| job.wanted_daemon.as_ref().is_some_and(|wanted| *wanted != own.id)) {
            return Ok(());
        }
        let mut candidates = Vec::new();
        for daemon in alive.iter().filter(|daemon| daemon.id != own.id) {
            candidates.push(self.candidate(daemon, jobs).await?);
        }
        let mut fault = None;
        // A head that fits nowhere must not hold up those that do.
        for job in mine {
            match choose(&self.need(job).await?, &candidates) {
                Ok(to) => {
                    if self.ctx.metadb.drain_job(&job.id, &own.id, &to.id).await? {
                        tracing::info!(job = %job.id, rs = job.rs, to = to.name, "this daemon is emptied: a head moves");
                    }
                    fault = None;
                    break;
                }
                Err(why) => fault = Some(format!("{}: {why}", job.rs)),
            }
        }
        if fault == own.drain_fault {
            return Ok(());
        }
        if let Some(why) = &fault {
            tracing::warn!(why, "a head cannot be moved off this daemon");
        }
        self.ctx.metadb.set_drain_fault(&own.id, fault.as_deref()).await
    }

    async fn bind(&self, job: &BackupJob, jobs: &[BackupJob], alive: &[Daemon]) -> Result<(), MetaError> {
        let need = self.need(job).await?;
        let mut candidates = Vec::new();
        for daemon in alive.iter().filter(|d| Some(&d.id) != job.daemon.as_ref()) {
            candidates.push(self.candidate(daemon, jobs).await?);
        }
        let wanted =
            job.wanted_daemon.as_ref().and_then(|wanted| candidates.iter().find(|c| c.id == *wanted && !c.draining));
        let chosen = match wanted.map_or_else(|| choose(&need, &candidates), Ok) {
            Ok(chosen) => chosen,
            Err(why) => return self.say(job, &why).await,
        };
        if self.ctx.metadb.bind_daemon(&job.id, job.daemon.as_ref(), &chosen.id).await? {
            tracing::info!(job = %job.id, rs = job.rs, daemon = %chosen.id, name = chosen.name, "backup bound to a daemon");
        }
        Ok(())
    }

    async fn need(&self, job: &BackupJob) -> Result<Need, MetaError> {
        let source = self.ctx.metadb.deployment(&job.deployment).await?.and_then(|deployment| deployment.source);
        Ok(Need {
            labels: job.labels.clone(),
            source_bytes: source.as_ref().map_or(0, |s| s.storage_bytes),
            release_line: source.as_ref().map(|s| release_line(&s.version)).unwrap_or_default(),
        })
    }

    async fn candidate(&self, daemon: &Daemon, jobs: &[BackupJob]) -> Result<Candidate, MetaError> {
        let bound: Vec<_> = jobs.iter().filter(|j| j.daemon.as_ref() == Some(&daemon.id) && j.state.runs()).collect();
        // What a head will take and does not take yet is promised.
        let mut promised_bytes = 0;
        for job in &bound {
            let has = u64::try_from(job.head_bytes).unwrap_or(0);
            promised_bytes += self.need(job).await?.head_bytes().saturating_sub(has);
        }
        Ok(Candidate {
            id: daemon.id.clone(),
            name: daemon.name.clone(),
            labels: daemon.all_labels(),
            free_bytes: daemon.space.free_bytes,
            promised_bytes,
            jobs: bound.len(),
            release_lines: daemon
                .labels
                .iter()
                .filter_map(|l| l.strip_prefix(RELEASE_LABEL))
                .map(str::to_owned)
                .collect(),
            draining: daemon.draining,
        })
    }

    /// Says on a job why no daemon takes it, under its lease, which is nobody's.
    async fn say(&self, job: &BackupJob, why: &str) -> Result<(), MetaError> {
        if job.last_error.as_deref() == Some(why) || !job.lease.owner.is_empty() {
            return Ok(());
        }
        tracing::warn!(job = %job.id, why, "no daemon suits this backup");
        if let Some(fence) = self.ctx.metadb.acquire_lease(&job.id, &job.lease, self.ctx.id.as_str()).await? {
            self.ctx.metadb.set_last_error(&fence, Some(why)).await?;
            self.ctx.metadb.release_lease(&fence).await?;
        }
        Ok(())
    }
}

/// `6.0` of `6.0.5`.
#[must_use]
pub fn release_line(version: &str) -> String {
    version.split('.').take(2).collect::<Vec<_>>().join(".")
}

/// Label under which a daemon says which release lines it has a mongod for.
pub const RELEASE_LABEL: &str = "mongod-";
