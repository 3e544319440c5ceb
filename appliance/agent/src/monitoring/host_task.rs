//! One host: reads it every period, turns readings into values, notices what happened.
//!
//! Its own task: whatever it waits for, no other host waits. A look that takes longer than a period skips the next ones.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use holdfast_agent_api::{HostEvent, HostEventKind, HostFacts, HostReport, RawPing, Tick};
use holdfast_metrics::{Elapsed, METRICS, Reading, Scope, elapsed, value};
use mongodb::Client;
use tokio::{sync::watch, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::{
    collect::{Collector, Look},
    facts::{self, Known},
    finding::{Finding, Findings, now_millis},
    hosts::Windows,
    sizes::Sizes,
    survey::Found,
    system,
    throttle::Throttle,
};
use crate::{
    backup::{Source, run as run_command},
    retry::with_sources,
};

/// A host that does not answer within this time is down.
const LOOK_TIMEOUT: Duration = Duration::from_secs(30);
/// How a host is is told anew this often, also when nothing changed.
const REPORT_EVERY: Duration = Duration::from_secs(60);
/// Raw answers are kept this often.
const PING_EVERY: Duration = Duration::from_secs(60);
/// Sizes of databases are told this often; they are read far less often.
const DATABASES_EVERY: Duration = Duration::from_secs(60);
/// Facts are read this often, and when the process was started anew.
const FACTS_EVERY: Duration = Duration::from_secs(600);

/// What a task works with.
pub(super) struct HostTask {
    pub(super) host: String,
    pub(super) source: Arc<Source>,
    pub(super) found: watch::Receiver<Found>,
    pub(super) period: watch::Receiver<Duration>,
    pub(super) findings: Findings,
    pub(super) windows: Windows,
    pub(super) agent_hostname: String,
    pub(super) cancel: CancellationToken,
}

/// What a task remembers.
struct Memory {
    collector: Collector,
    sizes: Sizes,
    before: Option<Reading>,
    machine_before: Option<Reading>,
    disks_before: BTreeMap<String, Reading>,
    last: Option<HostReport>,
    reported: Option<Instant>,
    pinged: Option<Instant>,
    databases_told: Option<Instant>,
    facts: Throttle,
    cores: Option<f64>,
    /// It runs on the agent's machine.
    here: bool,
    collections: Vec<holdfast_agent_api::CollectionFacts>,
}

/// Works until called off.
pub(super) async fn run(mut task: HostTask) {
    let mut memory = Memory {
        collector: Collector::new(),
        sizes: Sizes::new(),
        before: None,
        machine_before: None,
        disks_before: BTreeMap::new(),
        last: None,
        reported: None,
        pinged: None,
        databases_told: None,
        facts: Throttle::every(FACTS_EVERY),
        cores: None,
        here: false,
        collections: Vec::new(),
    };
    loop {
        let period = *task.period.borrow_and_update();
        let mut tick = tokio::time::interval(period);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                () = task.cancel.cancelled() => return,
                changed = task.period.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    break;
                }
                _ = tick.tick() => {}
            }
            tokio::select! {
                () = task.cancel.cancelled() => return,
                () = task.once(&mut memory, period) => {}
            }
        }
    }
}

impl HostTask {
    /// One look at the host.
    async fn once(&self, memory: &mut Memory, period: Duration) {
        let found = self.found.borrow().clone();
        let member = found.set.is_some();
        let answer = match self.client(&found) {
            Ok(client) => {
                let look = memory.collector.look(&client, member, !found.arbiter);
                match tokio::time::timeout(LOOK_TIMEOUT, look).await {
                    Ok(Ok(look)) => Ok((client, look)),
                    Ok(Err(error)) => Err(with_sources(&error)),
                    Err(_) => Err(format!("no answer within {} s", LOOK_TIMEOUT.as_secs())),
                }
            }
            Err(error) => Err(error),
        };
        let machine = if memory.here { self.machine(memory, period).await } else { BTreeMap::new() };
        match answer {
            Ok((client, look)) => self.answered(memory, &found, &client, look, period, machine).await,
            Err(error) => {
                self.tick(String::new(), now_millis(), machine).await;
                self.silent(memory, &found, error).await;
            }
        }
    }

    /// An arbiter has no users: there a login cannot succeed.
    fn client(&self, found: &Found) -> Result<Client, String> {
        let client = if found.arbiter { self.source.anonymous(&self.host) } else { self.source.client(&self.host) };
        client.map_err(|error| with_sources(&error))
    }

    async fn answered(
        &self,
        memory: &mut Memory,
        found: &Found,
        client: &Client,
        look: Look,
        period: Duration,
        machine_values: BTreeMap<String, f64>,
    ) {
        let Look { mut reading, place, version, started, machine, certificate_ends, status, set_status } = look;
        memory.here = machine == self.agent_hostname;
        let at = reading.wall_millis;
        if let Some(cores) = memory.cores {
            reading.values.insert("host:cores", cores);
        }
        if let Some(delay) = found.set.as_ref().map(|_| found.delay_seconds) {
            #[allow(clippy::cast_precision_loss, reason = "seconds")]
            reading.values.insert("repl:delaySeconds", delay as f64);
        }
        let state = place.as_ref().map_or_else(|| "UP".to_owned(), |place| place.state.clone());
        self.share_window(found, &state, &mut reading);
        if !found.arbiter {
            memory.sizes.read(client).await;
            memory.sizes.totals(&mut reading);
        }
        let seconds = period.as_secs_f64();
        let restarted =
            memory.before.as_ref().is_some_and(|before| elapsed(before, &reading, seconds) == Elapsed::Restarted);
        if restarted {
            self.event(at, HostEventKind::Restarted, "the process was started anew").await;
        }
        let mut values = values(&[Scope::Host], memory.before.as_ref(), &reading, seconds);
        values.extend(machine_values);
        self.tick(String::new(), at, values).await;
        let now = Instant::now();
        if memory.databases_told.is_none_or(|told| told.elapsed() >= DATABASES_EVERY) {
            memory.databases_told = Some(now);
            let all: Vec<(String, Reading)> = memory.sizes.databases().map(|(name, r)| (name.clone(), r)).collect();
            for (name, reading) in all {
                let values = self::values(&[Scope::Database], None, &reading, seconds);
                self.tick(format!("db/{name}"), at, values).await;
            }
        }
        let lag_seconds = place.as_ref().and_then(|place| place.lag_seconds);
        let report = HostReport {
            state,
            up: true,
            error: None,
            lag_seconds,
            syncs_from: place.and_then(|place| place.syncs_from),
            version,
            started,
            parts: self.parts(memory),
            ..report_of(found, at)
        };
        self.report(memory, report).await;
        if memory.pinged.is_none_or(|pinged| pinged.elapsed() >= PING_EVERY) {
            memory.pinged = Some(now);
            let answers = facts::ping_of(&status, set_status.as_ref());
            self.send(Finding::Ping(RawPing { host: self.host.clone(), at, answers })).await;
        }
        if restarted || memory.facts.is_due(now) {
            if !found.arbiter
                && let Some(busy) = memory.sizes.busy(client).await
            {
                memory.collections = busy;
            }
            let known = Known {
                host: &self.host,
                member: found.set.is_some() && !found.arbiter,
                certificate_ends,
                collections: memory.collections.clone(),
            };
            let read = facts::read(client, &self.source, known).await;
            memory.cores = read.cores.or(memory.cores);
            memory.facts.done(Instant::now(), now.elapsed());
            self.facts(read.facts).await;
        }
        memory.before = Some(reading);
    }

    /// The primary's oplog says how far its members may fall behind.
    fn share_window(&self, found: &Found, state: &str, reading: &mut Reading) {
        let Some(set) = &found.set else { return };
        let key = format!("{}/{set}", found.cluster.as_deref().unwrap_or_default());
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(window) = reading.get("oplog:windowSeconds").filter(|_| state == "PRIMARY") {
            windows.insert(key.clone(), window);
        }
        if let Some(window) = windows.get(&key) {
            reading.values.insert("repl:primaryWindowSeconds", *window);
        }
    }

    async fn silent(&self, memory: &mut Memory, found: &Found, error: String) {
        let last = memory.last.clone().unwrap_or_default();
        if found.arbiter && self.greets().await {
            let error = "an arbiter has no users: of one that asks for a login only the state is known".to_owned();
            let state = "ARBITER".to_owned();
            let report = HostReport { state, up: true, error: Some(error), ..report_of(found, now_millis()) };
            return self.report(memory, report).await;
        }
        let report = HostReport {
            state: "DOWN".to_owned(),
            up: false,
            error: Some(error),
            version: last.version,
            parts: last.parts,
            ..report_of(found, now_millis())
        };
        self.report(memory, report).await;
    }

    /// True when the host says hello to anyone.
    async fn greets(&self) -> bool {
        match self.source.anonymous(&self.host) {
            Ok(client) => run_command(&client, "admin", bson::doc! { "hello": 1 }).await.is_ok(),
            Err(_) => false,
        }
    }

    /// Tells how the host is, when it changed or was not told for a while; and what happened to it.
    async fn report(&self, memory: &mut Memory, report: HostReport) {
        let before = memory.last.as_ref();
        let was = |state: &str| before.is_some_and(|before| before.state == state);
        let mut kinds = Vec::new();
        if let Some(before) = before {
            if before.up && !report.up {
                kinds.push(HostEventKind::Down);
            }
            if !before.up && report.up {
                kinds.push(HostEventKind::Up);
            }
        }
        if before.is_some() && report.state == "PRIMARY" && !was("PRIMARY") {
            kinds.push(HostEventKind::BecamePrimary);
        }
        if was("PRIMARY") && report.state == "SECONDARY" {
            kinds.push(HostEventKind::BecameSecondary);
        }
        for kind in kinds {
            self.event(report.at, kind, report.error.as_deref().unwrap_or_default()).await;
        }
        let same = before.is_some_and(|before| {
            let plain = |report: &HostReport| HostReport { at: 0, lag_seconds: None, started: None, ..report.clone() };
            plain(before) == plain(&report)
        });
        if !same || memory.reported.is_none_or(|told| told.elapsed() >= REPORT_EVERY) {
            memory.reported = Some(Instant::now());
            self.send(Finding::Host(Box::new(report.clone()))).await;
        }
        memory.last = Some(report);
    }

    /// The machine's values, for a host that runs where the agent does; also while the host itself is down. Its disks are told at once.
    async fn machine(&self, memory: &mut Memory, period: Duration) -> BTreeMap<String, f64> {
        let seconds = period.as_secs_f64();
        let (monotonic_millis, at) = (memory.collector.monotonic_millis(), now_millis());
        let mut reading = Reading { monotonic_millis, wall_millis: at, ..Reading::default() };
        system::machine(&mut reading);
        let machine = values(&[Scope::System], memory.machine_before.as_ref(), &reading, seconds);
        memory.machine_before = Some(reading);
        let disks = system::disks(monotonic_millis, at);
        for (name, reading) in &disks {
            let values = values(&[Scope::Disk], memory.disks_before.get(name), reading, seconds);
            self.tick(format!("disk/{name}"), at, values).await;
        }
        memory.disks_before = disks;
        machine
    }

    fn parts(&self, memory: &Memory) -> Vec<String> {
        let disks = memory.disks_before.keys().map(|name| format!("disk/{name}"));
        disks.chain(memory.sizes.databases().map(|(name, _)| format!("db/{name}"))).collect()
    }

    async fn tick(&self, part: String, at: i64, values: BTreeMap<String, f64>) {
        if !values.is_empty() {
            self.send(Finding::Tick(Tick { host: self.host.clone(), part, at, values })).await;
        }
    }

    async fn event(&self, at: i64, kind: HostEventKind, detail: &str) {
        let event = HostEvent { host: self.host.clone(), at, kind, detail: detail.to_owned() };
        self.send(Finding::Event(event)).await;
    }

    async fn facts(&self, facts: HostFacts) {
        self.send(Finding::Facts(Box::new(facts))).await;
    }

    async fn send(&self, finding: Finding) {
        // Closed only when the agent ends.
        let _ = self.findings.send(finding).await;
    }
}

fn values(scopes: &[Scope], before: Option<&Reading>, now: &Reading, period: f64) -> BTreeMap<String, f64> {
    let metrics = METRICS.iter().filter(|metric| scopes.contains(&metric.scope));
    metrics.filter_map(|metric| Some((metric.name.to_owned(), value(metric, before, now, period)?))).collect()
}

fn report_of(found: &Found, at: i64) -> HostReport {
    HostReport {
        host: found.host.clone(),
        at,
        role: found.role,
        set: found.set.clone(),
        shard: found.shard.clone(),
        cluster: found.cluster.clone(),
        hidden: found.hidden,
        arbiter: found.arbiter,
        delay_seconds: found.delay_seconds,
        priority: found.priority,
        votes: found.votes,
        ..HostReport::default()
    }
}
