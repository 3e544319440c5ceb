//! Configuration, discovery and the ledger, as an agent sees them.

use holdfast_domain::{
    BackupJobId, CloseReason, DeploymentId, EntryPosition, Hash32, OpTime, PayloadRef, Progress, SliceSummary,
};
use serde::{Deserialize, Serialize};

/// An agent asks for its configuration and says how it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigRequest {
    /// Version of the agent.
    pub version: String,
    /// Host name of its machine.
    pub hostname: String,
    /// Revision of the configuration that the agent has; None asks for an answer at once.
    pub have_revision: Option<String>,
    /// How long the server may hold the request while nothing changes, in seconds; at most 30.
    pub wait_seconds: u64,
    /// How its jobs are.
    pub jobs: Vec<JobReport>,
}

/// State of one job at the agent. Shown to operators, never used to decide what is durable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobReport {
    /// Job.
    pub job: BackupJobId,
    /// What it is doing, a verb phrase: `scan collections`, `tail the oplog`, `wait for a majority`.
    pub phase: String,
    /// How far.
    pub progress: Option<Progress>,
    /// Member in use, `host:port`.
    pub member: Option<String>,
    /// Newest majority committed optime seen at the source.
    pub source_optime: Option<OpTime>,
    /// Newest optime that the server acknowledged.
    pub sent_optime: Option<OpTime>,
    /// First and last second that the source's oplog holds, seconds since 1970.
    pub oplog_window: Option<(u32, u32)>,
    /// Bytes waiting in the spool.
    pub spool_bytes: u64,
    /// Last error, a sentence; None when all is well.
    pub error: Option<String>,
}

/// What an agent shall do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigResponse {
    /// Changes whenever anything below does.
    pub revision: String,
    /// Hex SHA-256 of the keys of every CA to trust now: the next one is announced before a change.
    pub ca_pins: Vec<String>,
    /// Replica sets to back up.
    pub jobs: Vec<JobConfig>,
    /// Deployments to look at.
    pub discoveries: Vec<DiscoveryRequest>,
}

/// One replica set to back up, assigned to this agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobConfig {
    /// Job.
    pub job: BackupJobId,
    /// Name of the replica set.
    pub rs: String,
    /// Connection string; None when the agent must have its own in its local file (credentials stay there).
    pub uri: Option<String>,
    /// Sent with every request of this job; the server refuses older ones.
    pub assignment_epoch: i64,
    /// End of the job's ledger; None before the first chain.
    pub tail: Option<LedgerTail>,
    /// True when the open chain's initial sync is complete: only tail.
    pub sync_complete: bool,
    /// Ask for a catalog at once (the head wants to compare).
    pub catalog_wanted: bool,
    /// Bandwidth by hours; empty: unlimited.
    #[serde(default)]
    pub bandwidth: Vec<BandwidthRule>,
    /// Member to read from, `host:port`; None: hidden, then secondary, then primary.
    #[serde(default)]
    pub member: Option<String>,
}

/// A limit on sending, for some hours of the day (agent's local time).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BandwidthRule {
    /// First hour, 0-23.
    pub from_hour: u8,
    /// Hour at which it ends, 0-24; smaller than `from_hour`: over midnight.
    pub to_hour: u8,
    /// Bytes a second; at least 65,536.
    pub bytes_per_second: u64,
}

/// A deployment to look at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DiscoveryRequest {
    /// Which.
    pub deployment: DeploymentId,
    /// Connection string of one member or more; None: the agent's local file names it.
    pub uri: Option<String>,
}

/// What was found. `refusal` or `source`, never both.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DiscoveryReport {
    /// Why this cannot be backed up, a sentence that says what to do; None when it can.
    pub refusal: Option<String>,
    /// What it is.
    pub source: Option<SourceInfo>,
    /// Privileges, each with what is missing for it.
    pub privileges: Vec<PrivilegeCheck>,
}

/// One thing that backing up needs, and whether it is allowed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PrivilegeCheck {
    /// What for: `read the oplog`.
    pub need: String,
    /// Granted.
    pub granted: bool,
    /// The server's words when not.
    pub error: Option<String>,
}

/// A replica set, as one member shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceInfo {
    /// Name of the replica set.
    pub rs: String,
    /// `host:port` of its members.
    pub members: Vec<SourceMember>,
    /// Server version, `6.0.5`.
    pub version: String,
    /// Feature compatibility version, `6.0`.
    pub fcv: String,
    /// Option `storage.directoryPerDB`.
    pub directory_per_db: bool,
    /// Option `storage.wiredTiger.engineConfig.directoryForIndexes`.
    pub directory_for_indexes: bool,
    /// Bytes of data files (storageSize and indexes of all databases), for the check of head space.
    pub storage_bytes: u64,
    /// Bytes of documents, uncompressed.
    pub data_bytes: u64,
}

/// A member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceMember {
    /// `host:port`.
    pub host: String,
    /// `PRIMARY`, `SECONDARY`, `ARBITER`, `DOWN` ...
    pub state: String,
    /// Hidden from clients.
    pub hidden: bool,
    /// Delay in seconds.
    pub delay_seconds: i64,
}

/// End of a ledger: what the next entry must follow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LedgerTail {
    /// Position of the last entry.
    pub at: EntryPosition,
    /// Its hash.
    pub hash: Hash32,
    /// Its last optime.
    pub last: OpTime,
    /// Set when it closed its chain: a new chain must be opened (with a new initial sync) before anything else.
    pub closed: Option<CloseReason>,
}

/// Opens the next chain. The server gives it the number after the last one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OpenChain {
    /// Hash of the closing entry before; zero for the first chain.
    pub prev: Hash32,
    /// Start point B: the optime of an oplog entry of the source, final.
    pub start: OpTime,
    /// What the source is.
    pub source: SourceInfo,
}

/// Closes the open chain. The last optime is the server's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CloseChain {
    /// Hash of the tail that the agent knows.
    pub prev: Hash32,
    /// Why.
    pub reason: CloseReason,
    /// A sentence for the operator.
    pub detail: String,
}

/// The payload is durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PayloadReceipt {
    /// What the entry shall name.
    pub payload: PayloadRef,
}

/// Appends a slice whose payload the server has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AppendSlice {
    /// Sequence number.
    pub seq: i64,
    /// Hash of the entry before.
    pub prev: Hash32,
    /// First oplog entry.
    pub first: OpTime,
    /// Last oplog entry.
    pub last: OpTime,
    /// The payload, as received back.
    pub payload: PayloadRef,
    /// What is in it.
    pub summary: SliceSummary,
}
