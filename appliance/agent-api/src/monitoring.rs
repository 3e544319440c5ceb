//! Monitoring, as an agent sees it. These requests go to `web`, not to ingest.
//!
//! One agent of a group is active by a lease; the others stand by and watch the lease's beat by their own monotonic clock
//! (`holdfast_domain::LeaseWatch`). Everything that the active one finds goes in numbered reports: a report is accepted once, whatever is
//! sent again.

use std::collections::BTreeMap;

use holdfast_domain::{DeploymentId, Lease};
use serde::{Deserialize, Serialize};

use crate::PrivilegeCheck;

/// A host is read this often when nothing else is set, in seconds.
pub const MONITORING_PERIOD_SECONDS: u64 = 10;
/// Shortest period.
pub const MONITORING_PERIOD_SECONDS_MIN: u64 = 10;
/// Longest period.
pub const MONITORING_PERIOD_SECONDS_MAX: u64 = 300;
/// The lease of the active agent lasts so long without a beat, in seconds. With polls every [`MONITORING_POLL_SECONDS`] a standby takes over
/// within 90 seconds.
pub const MONITORING_LEASE_SECONDS: u64 = 45;
/// An agent asks so often, in seconds: less than a third of the lease, as its watch needs.
pub const MONITORING_POLL_SECONDS: u64 = 10;
/// Largest report, compressed, in bytes.
pub const MONITORING_REPORT_BYTES_MAX: usize = 4 << 20;
/// Largest report, unpacked, in bytes.
pub const MONITORING_REPORT_RAW_BYTES_MAX: usize = 16 << 20;
/// What an agent found while no server answered is kept so long, in seconds: 1 h.
pub const MONITORING_SPOOL_SECONDS_MAX: i64 = 3_600;

/// An agent says that it is there, and asks what to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MonitoringRequest {
    /// Version of the agent.
    pub version: String,
    /// Host name of its machine.
    pub hostname: String,
    /// Its wall clock, milliseconds since 1970: tells how far it is off.
    pub clock_millis: i64,
    /// Epoch of the lease that it holds; renewed by this request.
    #[serde(default)]
    pub epoch: Option<i64>,
    /// The lease as it saw it, when by its watch it is over: it wants to take it.
    #[serde(default)]
    pub take: Option<Lease>,
    /// It ends, and gives its lease back.
    #[serde(default)]
    pub release: bool,
    /// Bytes of reports that wait on its disk.
    #[serde(default)]
    pub spool_bytes: u64,
    /// Memory that it holds, in bytes.
    #[serde(default)]
    pub resident_bytes: u64,
}

/// What an agent shall do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MonitoringResponse {
    /// The lease as it is now. It is the agent's when `epoch` says so.
    pub lease: Lease,
    /// Epoch under which the agent is active; none: it stands by.
    #[serde(default)]
    pub epoch: Option<i64>,
    /// Each host is read this often, in seconds.
    pub period_seconds: u64,
    /// Where to look, besides the agent's own connection strings. Empty for a standby.
    #[serde(default)]
    pub seeds: Vec<MonitoringSeed>,
    /// Keys of every CA to trust now.
    #[serde(default)]
    pub ca_pins: Vec<String>,
}

/// Where to begin looking.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MonitoringSeed {
    /// The deployment that it was stored for.
    pub deployment: DeploymentId,
    /// Connection string of one member or more.
    pub uri: String,
}

/// What an agent found. Sent as one zstd frame of JSON.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MonitoringReport {
    /// Made once for each spool: numbers count within it.
    pub spool: String,
    /// Number of the report, from 0, without a gap.
    pub seq: i64,
    /// Epoch under which it was found.
    pub epoch: i64,
    /// Measurements.
    #[serde(default)]
    pub ticks: Vec<Tick>,
    /// How hosts are.
    #[serde(default)]
    pub hosts: Vec<HostReport>,
    /// What happened to them.
    #[serde(default)]
    pub events: Vec<HostEvent>,
    /// Answers as they came.
    #[serde(default)]
    pub pings: Vec<RawPing>,
    /// What seldom changes.
    #[serde(default)]
    pub facts: Vec<HostFacts>,
    /// `host:port`s that are no longer part of what was found.
    #[serde(default)]
    pub gone: Vec<String>,
}

/// Measurements of one host, one of its databases or one disk at one time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tick {
    /// `host:port`.
    pub host: String,
    /// Empty: the host itself; `db/NAME` or `disk/NAME`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub part: String,
    /// When, milliseconds since 1970 by the agent's clock.
    pub at: i64,
    /// Values by the names of metrics.
    pub values: BTreeMap<String, f64>,
}

/// What a host is in its deployment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum HostRole {
    /// A mongod on its own.
    #[default]
    Standalone,
    /// A member of a replica set.
    Member,
    /// A router of a sharded cluster.
    Mongos,
    /// A member of a cluster's config servers.
    Config,
    /// A member of a shard.
    Shard,
}

/// How a host is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HostReport {
    /// `host:port`.
    pub host: String,
    /// When, milliseconds since 1970.
    pub at: i64,
    /// What it is.
    pub role: HostRole,
    /// Name of its replica set.
    #[serde(default)]
    pub set: Option<String>,
    /// Name of its shard.
    #[serde(default)]
    pub shard: Option<String>,
    /// Id of its cluster.
    #[serde(default)]
    pub cluster: Option<String>,
    /// `PRIMARY`, `SECONDARY`, `ARBITER` and what else the server says; `UP` of what is no member; `DOWN` when it does not answer.
    pub state: String,
    /// It answers the agent.
    pub up: bool,
    /// Why it does not, or why it is read only in part; a sentence.
    #[serde(default)]
    pub error: Option<String>,
    /// Hidden from clients.
    #[serde(default)]
    pub hidden: bool,
    /// An arbiter.
    #[serde(default)]
    pub arbiter: bool,
    /// It applies writes this much later on purpose, in seconds.
    #[serde(default)]
    pub delay_seconds: i64,
    /// Priority in elections.
    #[serde(default)]
    pub priority: Option<f64>,
    /// Votes in elections.
    #[serde(default)]
    pub votes: Option<i64>,
    /// How far it is behind, in seconds.
    #[serde(default)]
    pub lag_seconds: Option<f64>,
    /// The member that it copies from.
    #[serde(default)]
    pub syncs_from: Option<String>,
    /// Server version.
    #[serde(default)]
    pub version: Option<String>,
    /// Since when it runs, milliseconds since 1970.
    #[serde(default)]
    pub started: Option<i64>,
    /// Disks and databases that are measured: `disk/sda1`, `db/shop`.
    #[serde(default)]
    pub parts: Vec<String>,
}

/// What happened to a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HostEvent {
    /// `host:port`.
    pub host: String,
    /// When, milliseconds since 1970.
    pub at: i64,
    /// What.
    pub kind: HostEventKind,
    /// More of it, for people.
    #[serde(default)]
    pub detail: String,
}

/// Kinds of what happens to hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum HostEventKind {
    /// The process was started anew.
    Restarted,
    /// It became primary.
    BecamePrimary,
    /// It became secondary.
    BecameSecondary,
    /// It does not answer any more.
    Down,
    /// It answers again.
    Up,
    /// It was found.
    Appeared,
    /// It is no longer part of its deployment.
    Vanished,
}

/// Answers of a host as they came.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RawPing {
    /// `host:port`.
    pub host: String,
    /// When, milliseconds since 1970.
    pub at: i64,
    /// The answers by command, as relaxed extended JSON.
    pub answers: serde_json::Value,
}

/// What seldom changes of a host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HostFacts {
    /// `host:port`.
    pub host: String,
    /// When they were read, milliseconds since 1970.
    pub at: i64,
    /// `hostInfo`.
    #[serde(default)]
    pub host_info: serde_json::Value,
    /// `getCmdLineOpts`, without secrets.
    #[serde(default)]
    pub command_line: serde_json::Value,
    /// Warnings that the server gave when it started.
    #[serde(default)]
    pub startup_warnings: Vec<String>,
    /// What monitoring needs, and whether it is allowed.
    #[serde(default)]
    pub privileges: Vec<PrivilegeCheck>,
    /// Anyone can read it: it asks for no login.
    #[serde(default)]
    pub unauthenticated: bool,
    /// It listens on addresses that other machines reach, without a login.
    #[serde(default)]
    pub exposed: bool,
    /// When the server's certificate ends, milliseconds since 1970.
    #[serde(default)]
    pub certificate_ends: Option<i64>,
    /// The largest collections and the hottest ones.
    #[serde(default)]
    pub collections: Vec<CollectionFacts>,
}

/// A collection.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CollectionFacts {
    /// `database.collection`.
    pub ns: String,
    /// Documents.
    #[serde(default)]
    pub count: Option<i64>,
    /// Bytes of documents, uncompressed.
    #[serde(default)]
    pub size_bytes: Option<i64>,
    /// Bytes of its file.
    #[serde(default)]
    pub storage_bytes: Option<i64>,
    /// Bytes of its indexes.
    #[serde(default)]
    pub index_bytes: Option<i64>,
    /// Time that reads took since the process started, in milliseconds.
    #[serde(default)]
    pub read_millis: i64,
    /// Time that writes took since the process started, in milliseconds.
    #[serde(default)]
    pub write_millis: i64,
}

/// The server took a report, or had taken it before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MonitoringReceipt {
    /// Number of the last report of this spool that was taken: the next one has the number after it.
    pub taken: i64,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_watch_with_these_times_ends_within_ninety_seconds() {
        assert!(MONITORING_POLL_SECONDS * 3 < MONITORING_LEASE_SECONDS, "polls are close enough for the watch");
        assert!(MONITORING_LEASE_SECONDS + 3 * MONITORING_POLL_SECONDS < 90);
    }

    #[test]
    fn a_report_of_a_newer_agent_is_read() {
        let text = r#"{"spool":"a","seq":1,"epoch":2,"new":true,"ticks":[{"host":"h:1","at":5,"values":{"X":1.5}}]}"#;
        let report: MonitoringReport = serde_json::from_str(text).unwrap();
        assert_eq!((report.ticks[0].part.as_str(), report.ticks[0].values["X"]), ("", 1.5));
    }
}
