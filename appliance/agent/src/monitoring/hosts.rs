//! Which hosts there are, and one task for each of them.
//!
//! Every seed is looked at by its own task, so that one that hangs holds up no other. A host that one seed finds belongs to it; what two seeds
//! find belongs to the first.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
    time::Duration,
};

use holdfast_agent_api::{HostEvent, HostEventKind};
use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;

use super::{
    finding::{Finding, Findings, now_millis},
    host_task::{self, HostTask},
    survey::{self, Found},
};
use crate::backup::{JobError, Source};

/// Deployments are looked at anew this often.
const SURVEY_EVERY: Duration = Duration::from_secs(30);
/// A host that was not found so many times in a row is gone.
const MISSED_MAX: u32 = 2;
/// Hosts that one agent watches, at most.
const HOSTS_MAX: usize = 2_000;
/// How long tasks may take to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// Each host is read this often.
    pub(super) period: Duration,
    /// Connection strings to begin with.
    pub(super) seeds: Vec<String>,
}

/// What hosts of one replica set tell each other: how far back the primary's oplog reaches, in seconds.
pub(super) type Windows = Arc<Mutex<HashMap<String, f64>>>;

struct Running {
    seed: String,
    missed: u32,
    found: watch::Sender<Found>,
    cancel: CancellationToken,
}

struct Hosts {
    findings: Findings,
    hostname: String,
    period: watch::Sender<Duration>,
    windows: Windows,
    running: BTreeMap<String, Running>,
    tasks: JoinSet<()>,
    cancel: CancellationToken,
}

/// Works until called off.
pub(super) async fn run(
    mut plans: watch::Receiver<Plan>,
    findings: Findings,
    hostname: String,
    cancel: CancellationToken,
) {
    let mut plan = plans.borrow_and_update().clone();
    let (period, _) = watch::channel(plan.period);
    let mut hosts = Hosts {
        findings,
        hostname,
        period,
        windows: Windows::default(),
        running: BTreeMap::new(),
        tasks: JoinSet::new(),
        cancel: cancel.clone(),
    };
    let mut sources: HashMap<String, Arc<Source>> = HashMap::new();
    let mut looking: JoinSet<(String, Result<Vec<Found>, JobError>)> = JoinSet::new();
    let mut tick = tokio::time::interval(SURVEY_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut under_way: Vec<String> = Vec::new();
    loop {
        tokio::select! {
            () = cancel.cancelled() => break,
            _ = tick.tick() => {
                while hosts.tasks.try_join_next().is_some() {}
                for seed in &plan.seeds {
                    if under_way.contains(seed) {
                        continue;
                    }
                    let source = match sources.get(seed) {
                        Some(source) => Arc::clone(source),
                        None => match Source::parse(seed, "the seed").await {
                            Ok(source) => Arc::clone(sources.entry(seed.clone()).or_insert(Arc::new(source))),
                            Err(error) => {
                                tracing::warn!(error = crate::retry::with_sources(&error), "a connection string cannot be used for monitoring");
                                continue;
                            }
                        },
                    };
                    under_way.push(seed.clone());
                    let seed = seed.clone();
                    looking.spawn(async move {
                        let found = survey::survey(&source).await;
                        (seed, found)
                    });
                }
            }
            Some(done) = looking.join_next() => {
                let Ok((seed, found)) = done else { continue };
                under_way.retain(|known| *known != seed);
                match found {
                    Ok(found) => {
                        if let Some(source) = sources.get(&seed).filter(|_| plan.seeds.contains(&seed)) {
                            hosts.follow(&seed, source, found).await;
                        }
                    }
                    Err(error) => tracing::debug!(error = crate::retry::with_sources(&error), "a deployment cannot be looked at now"),
                }
            }
            changed = plans.changed() => {
                if changed.is_err() {
                    break;
                }
                plan = plans.borrow_and_update().clone();
                hosts.period.send_replace(plan.period);
                sources.retain(|seed, _| plan.seeds.contains(seed));
                let lost: Vec<String> = hosts.running.iter().filter(|(_, r)| !plan.seeds.contains(&r.seed)).map(|(h, _)| h.clone()).collect();
                for host in lost {
                    hosts.lose(&host).await;
                }
                tick.reset_immediately();
            }
        }
    }
    for running in hosts.running.values() {
        running.cancel.cancel();
    }
    let ended = tokio::time::timeout(STOP_TIMEOUT, async { while hosts.tasks.join_next().await.is_some() {} }).await;
    if ended.is_err() {
        hosts.tasks.abort_all();
    }
}

impl Hosts {
    /// Makes the tasks of a seed those of what was found.
    async fn follow(&mut self, seed: &str, source: &Arc<Source>, found: Vec<Found>) {
        let names: Vec<String> = found.iter().map(|found| found.host.clone()).collect();
        for found in found {
            let many = self.running.len() >= HOSTS_MAX;
            match self.running.get_mut(&found.host) {
                Some(running) if running.seed == seed => {
                    running.missed = 0;
                    running.found.send_if_modified(|known| std::mem::replace(known, found.clone()) != found);
                }
                Some(_) => {}
                None if many => {
                    tracing::warn!(
                        host = found.host,
                        "an agent watches at most {HOSTS_MAX} hosts: give this one to another group"
                    );
                }
                None => self.begin(seed, source, found).await,
            }
        }
        let mut gone = Vec::new();
        for (host, running) in self.running.iter_mut().filter(|(host, r)| r.seed == seed && !names.contains(host)) {
            running.missed += 1;
            if running.missed >= MISSED_MAX {
                gone.push(host.clone());
            }
        }
        for host in gone {
            self.lose(&host).await;
        }
    }

    async fn begin(&mut self, seed: &str, source: &Arc<Source>, found: Found) {
        tracing::info!(host = found.host, role = ?found.role, "host found");
        let host = found.host.clone();
        self.event(&host, HostEventKind::Appeared).await;
        let (sender, receiver) = watch::channel(found);
        let cancel = self.cancel.child_token();
        let task = HostTask {
            host: host.clone(),
            source: Arc::clone(source),
            found: receiver,
            period: self.period.subscribe(),
            findings: self.findings.clone(),
            windows: Arc::clone(&self.windows),
            agent_hostname: self.hostname.clone(),
            cancel: cancel.clone(),
        };
        self.tasks.spawn(host_task::run(task));
        self.running.insert(host, Running { seed: seed.to_owned(), missed: 0, found: sender, cancel });
    }

    async fn lose(&mut self, host: &str) {
        let Some(running) = self.running.remove(host) else { return };
        running.cancel.cancel();
        tracing::info!(host, "host is gone");
        self.event(host, HostEventKind::Vanished).await;
        let _ = self.findings.send(Finding::Gone(host.to_owned())).await;
    }

    async fn event(&self, host: &str, kind: HostEventKind) {
        let event = HostEvent { host: host.to_owned(), at: now_millis(), kind, detail: String::new() };
        let _ = self.findings.send(Finding::Event(event)).await;
    }
}
