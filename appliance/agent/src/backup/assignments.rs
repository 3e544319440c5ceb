//! Asks the appliance what to do, by long poll, and keeps one task per assigned job and one per discovery.
//!
//! A job's task is stopped, and waited for, before another takes its place: two tasks never work on one job. Reports go with every
//! request; what an operator should not wait for cuts a poll short.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use holdfast_agent_api::{ConfigRequest, ConfigResponse, DiscoveryRequest, JobConfig};
use holdfast_domain::{BackupJobId, Classify as _, DeploymentId, ErrorClass};
use tokio::{
    sync::{Notify, watch},
    task::{JoinHandle, JoinSet},
};
use tokio_util::sync::CancellationToken;

use super::{
    bandwidth::Bandwidth,
    budget::Budget,
    context::{JobContext, Wishes},
    discovery,
    error::JobError,
    job::{self, Ended},
    job_api::JobApi,
    local_sources::LocalSources,
    report::{Part, Reporter},
    source::Source,
};
use crate::{
    api::ServerApi,
    retry::{ServerHealth, pause_before, until_done, with_sources},
};

/// How long the server may hold a request: short, because the requests carry the reports.
const WAIT_SECONDS: u64 = 10;
/// Least time between two requests.
const BETWEEN: Duration = Duration::from_millis(500);
/// A deployment is not looked at again within this time.
const DISCOVERY_EVERY: Duration = Duration::from_secs(60);
/// Deployments looked at side by side.
const DISCOVERIES_MAX: usize = 8;
/// An error of the poll is logged at most this often.
const LOG_EVERY: Duration = Duration::from_secs(60);
/// How long a job may take to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);

/// What the backup part needs.
pub struct BackupOptions {
    /// The appliance.
    pub server: Arc<ServerApi>,
    /// Connection strings that stay here.
    pub sources: LocalSources,
    /// Folder for spools and positions.
    pub state_dir: PathBuf,
    /// Host name told to the appliance.
    pub hostname: String,
    /// Bound of the spool of one job, in bytes.
    pub spool_bytes_max: u64,
}

struct Running {
    epoch: i64,
    uri: String,
    cancel: CancellationToken,
    wishes: watch::Sender<Wishes>,
    context: Arc<JobContext>,
    task: JoinHandle<Ended>,
}

struct Assignments<'a> {
    options: &'a BackupOptions,
    budget: Budget,
    running: HashMap<BackupJobId, Running>,
    reporters: HashMap<BackupJobId, Reporter>,
    discoveries: JoinSet<DeploymentId>,
    looked_at: HashMap<DeploymentId, Instant>,
    urgent: Arc<Notify>,
    cancel: CancellationToken,
}

/// Works until called off. `new_pins` is told the pins of every answer.
pub async fn run(options: &BackupOptions, cancel: CancellationToken, mut new_pins: impl FnMut(&[String])) {
    let mut all = Assignments {
        options,
        budget: Budget::default(),
        running: HashMap::new(),
        reporters: HashMap::new(),
        discoveries: JoinSet::new(),
        looked_at: HashMap::new(),
        urgent: Arc::new(Notify::new()),
        cancel: cancel.clone(),
    };
    let mut revision = None;
    let (mut failures, mut logged) = (0, None::<Instant>);
    while !cancel.is_cancelled() {
        let ended = all.reap().await;
        if ended {
            revision = None;
        }
        let request = all.request(revision.clone());
        let urgent = Arc::clone(&all.urgent);
        let answer = tokio::select! {
            () = cancel.cancelled() => break,
            answer = options.server.config(&request) => answer,
            () = urgent.notified() => {
                // The next request carries the news.
                tokio::time::sleep(BETWEEN).await;
                continue;
            }
        };
        match answer {
            Ok(config) => {
                if failures > 0 {
                    tracing::info!(server = options.server.authority(), "the appliance answers again");
                }
                (failures, logged) = (0, None);
                new_pins(&config.ca_pins);
                revision = Some(config.revision.clone());
                all.follow(config).await;
                all.pause(BETWEEN).await;
            }
            Err(error) => {
                failures += 1;
                if logged.is_none_or(|at| at.elapsed() > LOG_EVERY) {
                    tracing::warn!(error = with_sources(&error), failures, "cannot ask the appliance what to do");
                    logged = Some(Instant::now());
                }
                // A key that is not known, or a protocol that is too new: nothing helps but an operator.
                let slow = matches!(error.class(), ErrorClass::Operator | ErrorClass::Caller);
                all.pause(if slow { Duration::from_secs(15) } else { pause_before(failures) }).await;
            }
        }
    }
    let jobs: Vec<BackupJobId> = all.running.keys().cloned().collect();
    for id in &jobs {
        if let Some(running) = all.running.get(id) {
            running.cancel.cancel();
        }
    }
    for id in jobs {
        all.stop(&id).await;
    }
}

impl Assignments<'_> {
    async fn pause(&self, time: Duration) {
        tokio::select! {
            () = self.cancel.cancelled() => {}
            () = tokio::time::sleep(time) => {}
        }
    }

    fn request(&self, have_revision: Option<String>) -> ConfigRequest {
        ConfigRequest {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            hostname: self.options.hostname.clone(),
            have_revision,
            wait_seconds: WAIT_SECONDS,
            jobs: self.reporters.values().map(Reporter::now).collect(),
        }
    }

    /// Takes out what ended by itself. True when a job did: the server must be asked anew.
    async fn reap(&mut self) -> bool {
        while let Some(done) = self.discoveries.try_join_next() {
            if let Err(error) = done {
                tracing::error!(%error, "a discovery ended badly");
            }
        }
        let ended: Vec<BackupJobId> =
            self.running.iter().filter(|(_, r)| r.task.is_finished()).map(|(id, _)| id.clone()).collect();
        for id in &ended {
            self.stop(id).await;
        }
        !ended.is_empty()
    }

    async fn stop(&mut self, id: &BackupJobId) {
        let Some(running) = self.running.remove(id) else { return };
        running.cancel.cancel();
        let mut task = running.task;
        match tokio::time::timeout(STOP_TIMEOUT, &mut task).await {
            Ok(Ok(ended)) => tracing::debug!(job = %id, ?ended, "job ended"),
            Ok(Err(error)) => tracing::error!(job = %id, %error, "a job ended badly"),
            Err(_) => {
                task.abort();
                let _ = task.await;
            }
        }
    }

    /// Does what the answer says.
    async fn follow(&mut self, config: ConfigResponse) {
        let wanted: HashMap<BackupJobId, JobConfig> = config.jobs.into_iter().map(|j| (j.job.clone(), j)).collect();
        let gone: Vec<BackupJobId> = self
            .running
            .iter()
            .filter(|(id, r)| {
                wanted
                    .get(*id)
                    .is_none_or(|c| c.assignment_epoch != r.epoch || self.uri_of(c).is_ok_and(|u| u != r.uri))
            })
            .map(|(id, _)| id.clone())
            .collect();
        for id in gone {
            self.stop(&id).await;
        }
        self.reporters.retain(|id, _| wanted.contains_key(id));
        for (id, config) in wanted {
            match self.running.get(&id) {
                Some(running) => {
                    running.context.api.bandwidth.set(&config.bandwidth);
                    running.wishes.send_if_modified(|wishes| {
                        let now = wishes_of(&config);
                        let changed = *wishes != now;
                        *wishes = now;
                        changed
                    });
                }
                None => self.start(config).await,
            }
        }
        for discovery in config.discoveries {
            self.discover(discovery);
        }
    }

    fn uri_of(&self, config: &JobConfig) -> Result<String, JobError> {
        let own = || self.options.sources.for_set(&config.rs).map(str::to_owned);
        config.uri.clone().or_else(own).ok_or_else(|| {
            JobError::Setup(format!(
                "no connection string for {} is known here: start the agent with --mongodb, or store the credentials in the appliance",
                config.rs
            ))
        })
    }

    async fn start(&mut self, config: JobConfig) {
        let id = config.job.clone();
        let urgent = Arc::clone(&self.urgent);
        let report = self.reporters.entry(id.clone()).or_insert_with(|| Reporter::new(id.clone(), urgent)).clone();
        let made = async {
            let uri = self.uri_of(&config)?;
            let source = Source::parse(&uri, &config.rs).await?;
            Ok::<_, JobError>((uri, source))
        };
        let (uri, source) = match made.await {
            Ok(made) => made,
            Err(error) => return report.error(Part::Job, Some(with_sources(&error))),
        };
        let cancel = self.cancel.child_token();
        let bandwidth = Bandwidth::default();
        bandwidth.set(&config.bandwidth);
        let (wishes, listener) = watch::channel(wishes_of(&config));
        let context = Arc::new(JobContext {
            api: JobApi {
                server: Arc::clone(&self.options.server),
                job: id.clone(),
                epoch: config.assignment_epoch,
                cancel: cancel.clone(),
                health: ServerHealth::default(),
                bandwidth,
            },
            source,
            report,
            budget: self.budget.clone(),
            dir: self.options.state_dir.join("jobs").join(id.as_str()),
            spool_bytes_max: self.options.spool_bytes_max,
            wishes: listener,
            ledger: std::sync::Mutex::new(config.tail.clone()),
        });
        let epoch = config.assignment_epoch;
        tracing::info!(job = %id, rs = config.rs, epoch, "job starts");
        let (task_context, urgent) = (Arc::clone(&context), Arc::clone(&self.urgent));
        let task = tokio::spawn(async move {
            let ended = job::run(task_context, config).await;
            urgent.notify_one();
            ended
        });
        self.running.insert(id, Running { epoch, uri, cancel, wishes, context, task });
    }

    fn discover(&mut self, request: DiscoveryRequest) {
        let id = request.deployment;
        let recent = self.looked_at.get(&id).is_some_and(|at| at.elapsed() < DISCOVERY_EVERY);
        if recent || self.discoveries.len() >= DISCOVERIES_MAX {
            return;
        }
        let Some(uri) = request.uri.or_else(|| self.options.sources.first().map(str::to_owned)) else {
            tracing::warn!(deployment = %id, "asked to look at a deployment without a connection string, and none is known here");
            return;
        };
        self.looked_at.retain(|_, at| at.elapsed() < DISCOVERY_EVERY);
        self.looked_at.insert(id.clone(), Instant::now());
        let (server, cancel) = (Arc::clone(&self.options.server), self.cancel.clone());
        self.discoveries.spawn(async move {
            let report = discovery::discover(&uri).await;
            let health = ServerHealth::default();
            let sent =
                until_done("report a discovery", &cancel, &health, Some(10), || server.discovery(&id, &report)).await;
            match sent {
                Ok(()) => tracing::info!(deployment = %id, refusal = report.refusal, "deployment looked at"),
                Err(error) => {
                    tracing::warn!(deployment = %id, error = with_sources(&error), "cannot report a discovery")
                }
            }
            id
        });
    }
}

fn wishes_of(config: &JobConfig) -> Wishes {
    Wishes { member: config.member.clone(), catalog_wanted: config.catalog_wanted }
}
