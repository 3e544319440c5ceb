//! Backup jobs: the standing intent to back up one replica set; reading them, and what operators write.
//!
//! What the job's daemon writes is in `backup_job_writes`, what concerns its agent in `assignments`.

use bson::{Bson, DateTime, Document, doc};
use futures::TryStreamExt as _;
use holdfast_agent_api::{BandwidthRule, JobReport};
use holdfast_domain::{
    AgentId, BackupEvent, BackupJobId, BackupState, DaemonId, DeploymentId, GroupId, Lease, OpTime, Progress,
    RetentionPolicy, SnapshotSchedule,
};
use serde::{Deserialize, Serialize};

use crate::{
    Deployment, MetaDb, MetaError, Seen, SnapshotRequest,
    error::{duplicate, on, to_bson},
};

/// Tries of a compare-and-set on a job's state.
pub(crate) const STATE_TRIES_MAX: usize = 20;
/// Rules of a bandwidth plan at most.
const BANDWIDTH_RULES_MAX: usize = 48;
/// Slowest bandwidth, in bytes a second.
const BANDWIDTH_BYTES_MIN: u64 = 65_536;

/// Which agent sends for a job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// The agent; None: nobody yet.
    pub agent: Option<AgentId>,
    /// Raised by one at every change; slices of an older one are refused.
    pub epoch: i64,
    /// Raised by one whenever the agent asks for this job.
    pub beat: i64,
}

/// What an agent last said of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobAgentReport {
    /// Its words.
    pub report: JobReport,
    /// When it was received; shown, never decided on.
    pub at: DateTime,
}

/// The outcome of opening a snapshot to see that it is one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// Which snapshot.
    pub snapshot: String,
    /// When.
    pub at: DateTime,
    /// Sound.
    pub good: bool,
    /// What was done and found, a sentence.
    pub detail: String,
    /// How long it took to open, in seconds.
    pub seconds: i64,
}

/// How a snapshot found out what changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangesFound {
    /// Which snapshot.
    pub snapshot: String,
    /// When it was committed.
    pub at: DateTime,
    /// Why everything was read, a sentence; `None`: only what changed was.
    pub refused: Option<String>,
    /// Bytes taken from the snapshot before without being read.
    pub unchanged_bytes: i64,
    /// Bytes read.
    pub read_bytes: i64,
    /// Unchanged blocks that were read and compared all the same.
    pub sampled: i64,
    /// Those of them that had changed. More than 0 is an alert: the file system's word cannot be trusted.
    pub missed: i64,
    /// The first of them: file and offset in bytes.
    pub first_miss: Option<String>,
    /// How long the head was held, in milliseconds: stopping it, cloning, mending, starting it again.
    pub held_ms: i64,
    /// Extents of the head's files.
    pub extents: i64,
    /// Extents per GiB of the most fragmented file.
    pub extents_per_gib: i64,
}

/// A backup job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackupJob {
    /// Id.
    #[serde(rename = "_id")]
    pub id: BackupJobId,
    /// Its group.
    pub group: GroupId,
    /// What it backs up.
    pub deployment: DeploymentId,
    /// Name of the replica set.
    pub rs: String,
    /// State.
    pub state: BackupState,
    /// What its daemon is doing, a verb phrase.
    #[serde(default)]
    pub phase: String,
    /// How far.
    #[serde(default)]
    pub progress: Option<Progress>,
    /// The daemon that it is bound to.
    #[serde(default)]
    pub daemon: Option<DaemonId>,
    /// The daemon that an operator wants it to move to.
    #[serde(default)]
    pub wanted_daemon: Option<DaemonId>,
    /// Labels that its daemon must have.
    #[serde(default)]
    pub labels: Vec<String>,
    /// Who works on it now.
    pub lease: Lease,
    /// Which agent sends.
    pub assignment: Assignment,
    /// When snapshots are due.
    pub schedule: SnapshotSchedule,
    /// What is kept.
    pub retention: RetentionPolicy,
    /// Limits on the agent's sending.
    #[serde(default)]
    pub bandwidth: Vec<BandwidthRule>,
    /// Member to read from.
    #[serde(default)]
    pub member: Option<String>,
    /// Hours that a restore link holds, unless the request says otherwise.
    pub link_hours: u32,
    /// Uses of a restore link, unless the request says otherwise.
    pub link_uses: u32,
    /// Optime of the head.
    #[serde(default)]
    pub head_optime: Option<OpTime>,
    /// Generation of the head: raised when a new one replaces it.
    #[serde(default)]
    pub head_generation: i64,
    /// Bytes of the head on disk.
    #[serde(default)]
    pub head_bytes: i64,
    /// Newest majority committed optime that the agent saw at the source.
    #[serde(default)]
    pub source_optime: Option<OpTime>,
    /// What the agent said last.
    #[serde(default)]
    pub agent_report: Option<JobAgentReport>,
    /// Last error, a sentence; None when all is well.
    #[serde(default)]
    pub last_error: Option<String>,
    /// A resync is asked for; the sentence says why.
    #[serde(default)]
    pub resync_requested: Option<String>,
    /// Snapshots asked for, the last 50.
    #[serde(default)]
    pub snapshot_requests: Vec<SnapshotRequest>,
    /// The head wants to compare itself with the source's catalog.
    #[serde(default)]
    pub catalog_wanted: bool,
    /// The last proof of a snapshot.
    #[serde(default)]
    pub last_proof: Option<Proof>,
    /// How the last snapshot found out what changed; `None` where a head is held while its snapshot is written.
    #[serde(default)]
    pub last_changes: Option<ChangesFound>,
    /// The last snapshot whose sample missed: stays until an operator acknowledges it, or another one misses.
    #[serde(default)]
    pub changes_alert: Option<ChangesFound>,
    /// Counts the changes of its settings by people.
    #[serde(default)]
    pub settings_rev: i64,
    /// What is left of it after it was terminated is being removed: it can no longer be taken back.
    #[serde(default)]
    pub ending: bool,
    /// When it was made.
    pub created: DateTime,
    /// When its state changed last.
    pub state_since: DateTime,
}

/// Which jobs to list. Default: all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackupJobFilter {
    /// Of this group.
    pub group: Option<GroupId>,
    /// Bound to this daemon.
    pub daemon: Option<DaemonId>,
    /// Bound to none.
    pub unbound: bool,
    /// Assigned to this agent.
    pub agent: Option<AgentId>,
    /// Only those that run (an agent should send, a daemon apply).
    pub running: bool,
}

/// Settings of a job that an operator changes; None leaves one as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackupSettings {
    /// When snapshots are due.
    pub schedule: Option<SnapshotSchedule>,
    /// What is kept.
    pub retention: Option<RetentionPolicy>,
    /// Limits on sending.
    pub bandwidth: Option<Vec<BandwidthRule>>,
    /// Member to read from; `Some(None)`: let the agent choose.
    pub member: Option<Option<String>>,
    /// Hours that a restore link holds: 1 to 720.
    pub link_hours: Option<u32>,
    /// Uses of a restore link: 1 to 1000.
    pub link_uses: Option<u32>,
    /// Labels that the daemon must have.
    pub labels: Option<Vec<String>>,
}

impl BackupSettings {
    pub(crate) fn check(&self) -> Result<(), MetaError> {
        let wrong = |what, detail: String| Err(MetaError::Invalid { what, detail });
        if let Some(schedule) = self.schedule.filter(|s| !SnapshotSchedule::EVERY_SECONDS.contains(&s.every_seconds)) {
            return wrong("the schedule", format!("{} s lies outside 60 s to 7 days", schedule.every_seconds));
        }
        if self.link_hours.is_some_and(|h| !(1..=720).contains(&h)) {
            return wrong("linkHours", "1 to 720 are allowed".into());
        }
        if self.link_uses.is_some_and(|n| !(1..=1000).contains(&n)) {
            return wrong("linkUses", "1 to 1000 are allowed".into());
        }
        let rules = self.bandwidth.as_deref().unwrap_or_default();
        let bad = |r: &BandwidthRule| r.from_hour > 23 || r.to_hour > 24 || r.bytes_per_second < BANDWIDTH_BYTES_MIN;
        if rules.len() > BANDWIDTH_RULES_MAX || rules.iter().any(bad) {
            let detail = "hours lie within a day, bytes a second are at least 65536, rules at most 48".into();
            return wrong("the bandwidth", detail);
        }
        Ok(())
    }
}

impl MetaDb {
    /// Makes the backup job of a deployment that was found.
    ///
    /// # Errors
    /// [`MetaError::Exists`] when it has one; [`MetaError::Invalid`] while it is not found.
    pub async fn create_backup_job(
        &self,
        deployment: &Deployment,
        labels: Vec<String>,
    ) -> Result<BackupJob, MetaError> {
        let Some(rs) = deployment.rs.clone() else {
            let detail = "no agent has found its replica set yet".to_owned();
            return Err(MetaError::Invalid { what: "the deployment", detail });
        };
        let defaults = self.backup_defaults().await?;
        let job = BackupJob {
            id: BackupJobId::random(),
            group: deployment.group.clone(),
            deployment: deployment.id.clone(),
            rs: rs.clone(),
            state: BackupState::InitialSync,
            phase: String::new(),
            progress: None,
            daemon: None,
            wanted_daemon: None,
            labels,
            lease: Lease { owner: String::new(), epoch: 0, beat: 0 },
            assignment: Assignment::default(),
            schedule: defaults.schedule,
            retention: defaults.retention,
            bandwidth: Vec::new(),
            member: None,
            link_hours: defaults.link_hours,
            link_uses: defaults.link_uses,
            head_optime: None,
            head_generation: 0,
            head_bytes: 0,
            source_optime: None,
            agent_report: None,
            last_error: None,
            resync_requested: None,
            snapshot_requests: Vec::new(),
            catalog_wanted: false,
            last_proof: None,
            last_changes: None,
            changes_alert: None,
            settings_rev: 0,
            ending: false,
            created: DateTime::now(),
            state_since: DateTime::now(),
        };
        match self.of::<BackupJob>("backup_jobs").insert_one(&job).await {
            Ok(_) => Ok(job),
            Err(e) if duplicate(&e) => Err(MetaError::Exists { what: "backup of", id: rs }),
            Err(e) => Err(on("make a backup job")(e)),
        }
    }

    /// A backup job.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn backup_job(&self, id: &BackupJobId) -> Result<Option<BackupJob>, MetaError> {
        self.of("backup_jobs").find_one(doc! { "_id": id.clone() }).await.map_err(on("read a backup job"))
    }

    /// A group's backup job by the name of its replica set.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn backup_job_by_rs(&self, group: &GroupId, rs: &str) -> Result<Option<BackupJob>, MetaError> {
        let filter = doc! { "group": group.clone(), "rs": rs };
        self.of("backup_jobs").find_one(filter).await.map_err(on("read a backup job"))
    }

    /// Backup jobs that fit, oldest first.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn backup_jobs(&self, which: &BackupJobFilter) -> Result<Vec<BackupJob>, MetaError> {
        let op = "list backup jobs";
        let mut filter = Document::new();
        if let Some(group) = &which.group {
            filter.insert("group", group.clone());
        }
        if let Some(daemon) = &which.daemon {
            filter.insert("daemon", daemon.clone());
        } else if which.unbound {
            filter.insert("daemon", Bson::Null);
        }
        if let Some(agent) = &which.agent {
            filter.insert("assignment.agent", agent.clone());
        }
        if which.running {
            let running: Vec<BackupState> = BackupState::ALL.into_iter().filter(|s| s.runs()).collect();
            filter.insert("state", doc! { "$in": to_bson(op, &running)? });
        }
        let cursor = self.of("backup_jobs").find(filter).sort(doc! { "created": 1 }).await.map_err(on(op))?;
        cursor.try_collect().await.map_err(on(op))
    }

    /// An operator moves a job's state: start, stop. The daemon sees it and follows.
    ///
    /// # Errors
    /// [`MetaError::Transition`] when the state does not allow it; [`MetaError::NotFound`].
    pub async fn operate(&self, id: &BackupJobId, event: BackupEvent) -> Result<BackupState, MetaError> {
        self.change_state(doc! { "_id": id.clone() }, event, doc! { "lastError": Bson::Null }, || MetaError::NotFound {
            what: "backup job",
            id: id.to_string(),
        })
        .await
    }

    /// Takes a termination back, while nothing of it is being removed yet.
    ///
    /// # Errors
    /// [`MetaError::Transition`] when it is not terminated; [`MetaError::State`] when what is left is being removed, or is gone.
    pub async fn take_termination_back(&self, id: &BackupJobId) -> Result<BackupState, MetaError> {
        let filter = doc! { "_id": id.clone(), "ending": { "$ne": true } };
        self.change_state(filter, BackupEvent::TakeBack, doc! { "lastError": Bson::Null }, || MetaError::State {
            state: BackupState::Terminated,
            what: "be taken back any more: what was left of it is being removed",
        })
        .await
    }

    /// Moves the state of the job that fits `filter`, setting more at once. `missing` is the error when none fits.
    pub(crate) async fn change_state(
        &self,
        filter: Document,
        event: BackupEvent,
        set: Document,
        missing: impl Fn() -> MetaError,
    ) -> Result<BackupState, MetaError> {
        let op = "change a backup job's state";
        let jobs = self.of::<BackupJob>("backup_jobs");
        for _ in 0..STATE_TRIES_MAX {
            let Some(job) = jobs.find_one(filter.clone()).await.map_err(on(op))? else { return Err(missing()) };
            let next = job.state.next(event)?;
            let mut set = set.clone();
            set.insert("state", to_bson(op, &next)?);
            if next != job.state {
                set.insert("stateSince", DateTime::now());
            }
            let mut as_read = filter.clone();
            as_read.insert("state", to_bson(op, &job.state)?);
            let done = jobs.update_one(as_read, doc! { "$set": set }).await.map_err(on(op))?;
            if done.matched_count > 0 {
                return Ok(next);
            }
        }
        Err(MetaError::Contention { op })
    }

    pub(crate) async fn set_job(&self, op: &'static str, id: &BackupJobId, update: Document) -> Result<(), MetaError> {
        let done = self.of::<BackupJob>("backup_jobs").update_one(doc! { "_id": id.clone() }, update).await;
        match done.map_err(on(op))?.matched_count {
            0 => Err(MetaError::NotFound { what: "backup job", id: id.to_string() }),
            _ => Ok(()),
        }
    }

    /// Asks for a new initial sync; the daemon closes the chain.
    ///
    /// # Errors
    /// [`MetaError::NotFound`], [`MetaError::State`] when the job does not run.
    pub async fn request_resync(&self, id: &BackupJobId, reason: &str) -> Result<(), MetaError> {
        let job = self.backup_job(id).await?;
        let job = job.ok_or_else(|| MetaError::NotFound { what: "backup job", id: id.to_string() })?;
        if matches!(job.state, BackupState::Stopped | BackupState::Terminated) {
            return Err(MetaError::State { state: job.state, what: "be synchronised anew" });
        }
        self.set_job("ask for a resync", id, doc! { "$set": { "resyncRequested": reason } }).await
    }

    /// Asks for a move to another daemon; None takes the wish back.
    ///
    /// # Errors
    /// [`MetaError::NotFound`].
    pub async fn request_move(&self, id: &BackupJobId, daemon: Option<&DaemonId>) -> Result<(), MetaError> {
        let wanted = daemon.cloned().map_or(Bson::Null, Into::into);
        self.set_job("ask for a move", id, doc! { "$set": { "wantedDaemon": wanted } }).await
    }

    /// Changes settings.
    ///
    /// # Errors
    /// [`MetaError::Invalid`] for a value out of bounds, [`MetaError::NotFound`].
    pub async fn update_backup_settings(&self, id: &BackupJobId, new: &BackupSettings) -> Result<(), MetaError> {
        self.update_backup_settings_seen(id, new, &Seen::ANY).await
    }

    /// The same, if the settings are at a revision that was seen.
    ///
    /// # Errors
    /// As [`Self::update_backup_settings`]; [`MetaError::Changed`], also when the job is gone.
    pub async fn update_backup_settings_seen(
        &self,
        id: &BackupJobId,
        new: &BackupSettings,
        seen: &Seen,
    ) -> Result<(), MetaError> {
        new.check()?;
        let op = "change a backup's settings";
        let mut set = Document::new();
        let values = [
            ("schedule", new.schedule.map(|v| to_bson(op, &v))),
            ("retention", new.retention.map(|v| to_bson(op, &v))),
            ("bandwidth", new.bandwidth.as_ref().map(|v| to_bson(op, v))),
            ("member", new.member.as_ref().map(|v| to_bson(op, v))),
            ("linkHours", new.link_hours.map(|v| to_bson(op, &v))),
            ("linkUses", new.link_uses.map(|v| to_bson(op, &v))),
            ("labels", new.labels.as_ref().map(|v| to_bson(op, v))),
        ];
        for (name, value) in values {
            if let Some(value) = value {
                set.insert(name, value?);
            }
        }
        if set.is_empty() {
            return Ok(());
        }
        let mut which = doc! { "_id": id.clone() };
        seen.narrow(&mut which, "settingsRev");
        let update = doc! { "$set": set, "$inc": { "settingsRev": 1_i64 } };
        let done = self.of::<BackupJob>("backup_jobs").update_one(which, update).await.map_err(on(op))?;
        match (done.matched_count, seen == &Seen::ANY) {
            (1.., _) => Ok(()),
            (0, true) => Err(MetaError::NotFound { what: "backup job", id: id.to_string() }),
            (0, false) => Err(MetaError::Changed),
        }
    }

    /// Binds a job to a daemon if it is bound to `expected` still. True: done; the wish to move there is fulfilled.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn bind_daemon(
        &self,
        id: &BackupJobId,
        expected: Option<&DaemonId>,
        daemon: &DaemonId,
    ) -> Result<bool, MetaError> {
        let filter = doc! { "_id": id.clone(), "daemon": expected.cloned().map_or(Bson::Null, Into::into) };
        let update = doc! { "$set": { "daemon": daemon.clone(), "wantedDaemon": Bson::Null } };
        let done = self.of::<BackupJob>("backup_jobs").update_one(filter, update).await;
        Ok(done.map_err(on("bind a backup job to a daemon"))?.matched_count > 0)
    }

    /// The agent's request for a catalog was answered.
    ///
    /// # Errors
    /// [`MetaError::NotFound`].
    pub async fn catalog_received(&self, id: &BackupJobId) -> Result<(), MetaError> {
        self.set_job("note a catalog", id, doc! { "$set": { "catalogWanted": false } }).await
    }
}
