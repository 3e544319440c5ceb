//! What tasks find, on its way to a report.

use holdfast_agent_api::{HostEvent, HostFacts, HostReport, RawPing, Tick};
use tokio::sync::mpsc;

/// Findings that may wait for being put into a report.
const WAITING_MAX: usize = 1_000;

/// One thing that was found.
#[derive(Debug)]
pub(super) enum Finding {
    Tick(Tick),
    Host(Box<HostReport>),
    Event(HostEvent),
    Ping(RawPing),
    Facts(Box<HostFacts>),
    Gone(String),
}

/// Where findings go.
pub(super) type Findings = mpsc::Sender<Finding>;

/// A channel for findings.
pub(super) fn channel() -> (Findings, mpsc::Receiver<Finding>) {
    mpsc::channel(WAITING_MAX)
}

/// Now, milliseconds since 1970.
pub(super) fn now_millis() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}
