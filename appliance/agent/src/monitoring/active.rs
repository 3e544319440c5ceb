//! Whether this agent is its group's active one, and where it shall look. The loop that runs the monitoring part.
//!
//! The active agent renews its lease whenever it asks. One that stands by watches the lease by its own monotonic clock and asks for it when it
//! is over. While no server answers the active one works on: what it finds waits in the spool, and counts unless another took over.

use std::{
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use holdfast_agent_api::{
    MONITORING_LEASE_SECONDS, MONITORING_PERIOD_SECONDS_MAX, MONITORING_PERIOD_SECONDS_MIN, MONITORING_POLL_SECONDS,
    MonitoringRequest, MonitoringResponse,
};
use holdfast_domain::{Lease, LeaseWatch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{
    assemble::{self, Shared},
    finding, hosts,
    hosts::Plan,
    sender,
    spool::Spool,
};
use crate::{api::ServerApi, backup::LocalSources, retry::with_sources};

/// An error of asking is logged at most this often.
const LOG_EVERY: Duration = Duration::from_secs(60);
/// How long the last reports may take to be sent when the agent ends.
const LAST_REPORTS: Duration = Duration::from_secs(3);
/// Folder of the spool in the state directory.
const SPOOL_DIR: &str = "monitoring";

/// What the monitoring part needs.
pub struct MonitoringOptions {
    /// The appliance's web service.
    pub server: Arc<ServerApi>,
    /// Connection strings that stay here.
    pub sources: LocalSources,
    /// State directory.
    pub state_dir: PathBuf,
    /// Host name told to the appliance.
    pub hostname: String,
    /// Bytes that may wait on disk while no server answers.
    pub spool_bytes_max: u64,
}

/// What runs while the agent is active.
struct Active {
    plan: tokio::sync::watch::Sender<Plan>,
    cancel: CancellationToken,
    task: JoinHandle<()>,
}

impl Active {
    async fn stop(self) {
        self.cancel.cancel();
        let _ = self.task.await;
    }
}

/// Works until called off. `new_pins` is told the pins of every answer.
///
/// # Errors
/// The spool cannot be opened.
pub async fn run(
    options: &MonitoringOptions,
    cancel: CancellationToken,
    mut new_pins: impl FnMut(&[String]),
) -> std::io::Result<()> {
    let spool = Spool::open(&options.state_dir.join(SPOOL_DIR), options.spool_bytes_max)?;
    let shared = Shared::new(spool);
    let (findings, found) = finding::channel();
    let assembling = tokio::spawn(assemble::run(found, shared.clone()));
    let sending_cancel = CancellationToken::new();
    let sending = tokio::spawn(sender::run(Arc::clone(&options.server), shared.clone(), sending_cancel.clone()));
    let (mut epoch, mut take) = (None::<i64>, None::<Lease>);
    let mut watch = LeaseWatch::new(Duration::from_secs(MONITORING_LEASE_SECONDS));
    let (started, mut logged) = (Instant::now(), None::<Instant>);
    let mut active: Option<Active> = None;
    while !cancel.is_cancelled() {
        let request = request(options, &shared, epoch, take.take());
        let answer = tokio::select! {
            () = cancel.cancelled() => break,
            answer = options.server.monitoring_config(&request) => answer,
        };
        let mut pause = Duration::from_secs(MONITORING_POLL_SECONDS);
        match answer {
            Ok(response) => {
                logged = None;
                new_pins(&response.ca_pins);
                if response.epoch != epoch {
                    tracing::info!(epoch = ?response.epoch, holder = response.lease.owner, "this agent's part in monitoring changed");
                }
                epoch = response.epoch;
                if epoch.is_some() {
                    shared.epoch.store(epoch.unwrap_or_default(), Ordering::SeqCst);
                    let plan = plan_of(options, &response);
                    match &active {
                        Some(active) => {
                            active.plan.send_if_modified(|known| std::mem::replace(known, plan.clone()) != plan);
                        }
                        None => active = Some(start(plan, &findings, &options.hostname, &cancel)),
                    }
                } else {
                    if let Some(active) = active.take() {
                        active.stop().await;
                    }
                    if watch.read(started.elapsed(), &response.lease) {
                        take = Some(response.lease);
                        pause = Duration::ZERO;
                    }
                }
            }
            Err(error) => {
                watch.failed();
                if logged.is_none_or(|at: Instant| at.elapsed() > LOG_EVERY) {
                    tracing::warn!(error = with_sources(&error), "cannot ask the appliance about monitoring");
                    logged = Some(Instant::now());
                }
            }
        }
        tokio::select! {
            () = cancel.cancelled() => break,
            () = tokio::time::sleep(pause) => {}
        }
    }
    if let Some(active) = active.take() {
        active.stop().await;
    }
    drop(findings);
    let _ = assembling.await;
    // The lease is given back, so that another one need not wait until it is over.
    let request = MonitoringRequest { release: true, ..request(options, &shared, epoch, None) };
    let _ = tokio::time::timeout(LAST_REPORTS, async {
        while shared.with(|spool| spool.first().is_some()) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    if epoch.is_some() {
        let _ = tokio::time::timeout(LAST_REPORTS, options.server.monitoring_config(&request)).await;
    }
    sending_cancel.cancel();
    let _ = sending.await;
    Ok(())
}

fn start(plan: Plan, findings: &finding::Findings, hostname: &str, cancel: &CancellationToken) -> Active {
    let (plan, plans) = tokio::sync::watch::channel(plan);
    let cancel = cancel.child_token();
    let task = tokio::spawn(hosts::run(plans, findings.clone(), hostname.to_owned(), cancel.clone()));
    Active { plan, cancel, task }
}

fn plan_of(options: &MonitoringOptions, response: &MonitoringResponse) -> Plan {
    let seconds = response.period_seconds.clamp(MONITORING_PERIOD_SECONDS_MIN, MONITORING_PERIOD_SECONDS_MAX);
    let mut seeds: Vec<String> = options.sources.all().to_vec();
    seeds.extend(response.seeds.iter().map(|seed| seed.uri.clone()));
    seeds.dedup();
    Plan { period: Duration::from_secs(seconds), seeds }
}

fn request(options: &MonitoringOptions, shared: &Shared, epoch: Option<i64>, take: Option<Lease>) -> MonitoringRequest {
    MonitoringRequest {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        hostname: options.hostname.clone(),
        clock_millis: finding::now_millis(),
        epoch,
        take,
        release: false,
        spool_bytes: shared.with(|spool| spool.bytes()),
        resident_bytes: super::system::resident_bytes().unwrap_or(0),
    }
}
