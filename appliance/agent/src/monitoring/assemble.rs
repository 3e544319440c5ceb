//! Puts findings together to numbered reports in the spool.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use holdfast_agent_api::MonitoringReport;
use tokio::sync::{Notify, mpsc};

use super::{
    finding::{Finding, now_millis},
    spool::Spool,
};

/// A report is closed when its first finding is this old ...
const AGE: Duration = Duration::from_secs(2);
/// ... or when it holds about so many bytes.
const BYTES: usize = 2 << 20;
/// About the bytes of a value with its name.
const VALUE_BYTES: usize = 40;
/// Level of compression.
const LEVEL: i32 = 3;

/// The spool, shared by who fills and who empties it.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    pub(super) spool: Arc<Mutex<Spool>>,
    /// Rung when a report was put into it.
    pub(super) more: Arc<Notify>,
    /// Epoch under which findings are made.
    pub(super) epoch: Arc<AtomicI64>,
}

impl Shared {
    pub(super) fn new(spool: Spool) -> Self {
        Self { spool: Arc::new(Mutex::new(spool)), more: Arc::default(), epoch: Arc::default() }
    }

    /// Works on the spool; never across an await.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut Spool) -> T) -> T {
        work(&mut self.spool.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn bytes_of(finding: &Finding) -> usize {
    match finding {
        Finding::Tick(tick) => 100 + tick.values.len() * VALUE_BYTES,
        Finding::Ping(ping) => ping.answers.to_string().len(),
        Finding::Facts(facts) => facts.host_info.to_string().len() + facts.command_line.to_string().len() + 4_096,
        Finding::Host(_) | Finding::Event(_) | Finding::Gone(_) => 600,
    }
}

fn add(report: &mut MonitoringReport, finding: Finding) {
    match finding {
        Finding::Tick(tick) => report.ticks.push(tick),
        Finding::Host(host) => report.hosts.push(*host),
        Finding::Event(event) => report.events.push(event),
        Finding::Ping(ping) => report.pings.push(ping),
        Finding::Facts(facts) => report.facts.push(*facts),
        Finding::Gone(host) => report.gone.push(host),
    }
}

/// Works until nobody can find anything any more.
pub(super) async fn run(mut findings: mpsc::Receiver<Finding>, shared: Shared) {
    while let Some(first) = findings.recv().await {
        let until = tokio::time::Instant::now() + AGE;
        let mut report = MonitoringReport::default();
        let mut bytes = bytes_of(&first);
        add(&mut report, first);
        while bytes < BYTES {
            match tokio::time::timeout_at(until, findings.recv()).await {
                Ok(Some(finding)) => {
                    bytes += bytes_of(&finding);
                    add(&mut report, finding);
                }
                Ok(None) | Err(_) => break,
            }
        }
        report.epoch = shared.epoch.load(Ordering::SeqCst);
        if let Err(error) = keep(&shared, report) {
            tracing::error!(%error, "a report of measurements cannot be kept: is the disk of the state directory full?");
        }
        shared.more.notify_one();
    }
}

fn keep(shared: &Shared, mut report: MonitoringReport) -> std::io::Result<()> {
    shared.with(|spool| {
        let (name, seq) = spool.next();
        (report.spool, report.seq) = (name.to_owned(), seq);
        let frame = zstd::bulk::compress(&serde_json::to_vec(&report)?, LEVEL)?;
        spool.push(&frame, now_millis())
    })
}
