//! What agents and servers say to each other. Serde only: no I/O.
//!
//! Every request carries the header [`PROTOCOL_HEADER`]; a server refuses a version that it does not know with a
//! sentence, and accepts the release before its own. Documents take unknown fields (a rolling upgrade must not break
//! them). Paths are built by [`paths`] on both sides. Payloads travel as one zstd frame; hashes are over the raw bytes.
//!
//! | request | body | answer |
//! |---|---|---|
//! | `POST /agent/v1/enroll` | [`EnrollRequest`] | [`EnrollResponse`] |
//! | `POST /agent/v1/config` | [`ConfigRequest`] | [`ConfigResponse`]; held open until something changes or `wait_seconds` pass |
//! | `POST /agent/v1/keys/rotate` | - | [`EnrollResponse`] with a new key; the old one works on for [`KEY_OVERLAP_SECONDS`] |
//! | `POST /agent/v1/discoveries/{deployment}` | [`DiscoveryReport`] | 204 |
//! | `POST {job}/chains` | [`OpenChain`] | [`LedgerTail`] |
//! | `POST {job}/chains/{chain}/close` | [`CloseChain`] | [`LedgerTail`] |
//! | `GET {job}/chains/{chain}/sync` | - | [`SyncState`] |
//! | `POST {job}/chains/{chain}/collections` | [`StartScan`] | [`ScanGrant`] |
//! | `PUT {job}/chains/{chain}/collections/{uuid}/scans/{scan}/slices/{seq}` | zstd frame, header [`SYNC_SLICE_HEADER`] = JSON [`SyncSliceHeader`] | 200, also for the same again; 409 [`ScanTail`] |
//! | `POST {job}/chains/{chain}/collections/{uuid}/scans/{scan}/end` | [`EndScan`] | 204 |
//! | `POST {job}/chains/{chain}/sync/complete` | [`CompleteSync`] | 204 |
//! | `PUT {job}/chains/{chain}/payloads/{hash}` | zstd frame | [`PayloadReceipt`] |
//! | `POST {job}/chains/{chain}/entries` | [`AppendSlice`] | [`LedgerTail`]; 409 [`LedgerTail`] |
//! | `PUT {job}/chains/{chain}/catalog` | zstd frame of BSON [`Catalog`] | 204 |
//!
//! | `POST /agent/v1/monitoring/config` (web) | [`MonitoringRequest`] | [`MonitoringResponse`] |
//! | `POST /agent/v1/monitoring/reports` (web) | zstd frame of JSON [`MonitoringReport`] | [`MonitoringReceipt`]; 409 with [`MonitoringReceipt`] for another number |
//!
//! `{job}` is `/agent/v1/jobs/{id}`; each of these requests carries [`EPOCH_HEADER`] with the assignment epoch. A stale epoch,
//! another group's job or a stopped job is 403 or 409 with a [`Problem`]; lag and space are 429 and 503 with `Retry-After`.

mod backup;
mod catalog;
mod enroll;
mod monitoring;
mod problem;
mod protocol;
mod sync;

pub use backup::{
    AppendSlice, BandwidthRule, CloseChain, ConfigRequest, ConfigResponse, DiscoveryReport, DiscoveryRequest,
    JobConfig, JobReport, LedgerTail, OpenChain, PayloadReceipt, PrivilegeCheck, SourceInfo, SourceMember,
};
pub use catalog::{Catalog, CatalogCollection};
pub use enroll::{EnrollRequest, EnrollResponse, EnrollToken, TokenError};
pub use monitoring::{
    CollectionFacts, HostEvent, HostEventKind, HostFacts, HostReport, HostRole, MONITORING_LEASE_SECONDS,
    MONITORING_PERIOD_SECONDS, MONITORING_PERIOD_SECONDS_MAX, MONITORING_PERIOD_SECONDS_MIN, MONITORING_POLL_SECONDS,
    MONITORING_REPORT_BYTES_MAX, MONITORING_REPORT_RAW_BYTES_MAX, MONITORING_SPOOL_SECONDS_MAX, MonitoringReceipt,
    MonitoringReport, MonitoringRequest, MonitoringResponse, MonitoringSeed, RawPing, Tick,
};
pub use problem::Problem;
pub use protocol::{ProtocolRefusal, check_protocol};
pub use sync::{CompleteSync, EndScan, ScanGrant, ScanState, ScanTail, StartScan, SyncSliceHeader, SyncState};

/// Version of this protocol.
pub const PROTOCOL_VERSION: u32 = 1;
/// Header that carries the version.
pub const PROTOCOL_HEADER: &str = "holdfast-protocol";
/// Header that carries a job's assignment epoch.
pub const EPOCH_HEADER: &str = "holdfast-assignment-epoch";
/// Header that describes a sync slice, as JSON.
pub const SYNC_SLICE_HEADER: &str = "holdfast-sync-slice";
/// Server name that agents ask for in TLS, whatever host name leads there; only the appliance's own CA has it.
pub const TLS_SERVER_NAME: &str = "holdfast.internal";

/// An oplog slice is cut at this many raw bytes ...
pub const OPLOG_SLICE_RAW_BYTES: usize = 4 << 20;
/// ... or when its first entry is this old, in seconds.
pub const OPLOG_SLICE_AGE_SECONDS: u64 = 5;
/// A sync slice is cut at this many raw bytes.
pub const SYNC_SLICE_RAW_BYTES: usize = 10 << 20;
/// Largest raw slice of either kind: one document or entry of 16 MiB + 16 KiB, alone.
pub const SLICE_RAW_BYTES_MAX: usize = (16 << 20) + (16 << 10) + SYNC_SLICE_RAW_BYTES;
/// Largest compressed body: zstd's own bound over the largest raw slice (incompressible data).
pub const SLICE_BODY_BYTES_MAX: usize = SLICE_RAW_BYTES_MAX + (SLICE_RAW_BYTES_MAX >> 8) + 1024;
/// Largest JSON body, in bytes.
pub const JSON_BODY_BYTES_MAX: usize = 4 << 20;
/// Longest that a configuration request is held open, in seconds.
pub const CONFIG_WAIT_SECONDS_MAX: u64 = 30;
/// How long a rotated key works on, in seconds: 24 h.
pub const KEY_OVERLAP_SECONDS: u64 = 86_400;

/// Paths, built in one place.
pub mod paths {
    use holdfast_domain::{BackupJobId, DeploymentId, Hash32};

    /// Enrolment.
    pub const ENROLL: &str = "/agent/v1/enroll";
    /// Configuration.
    pub const CONFIG: &str = "/agent/v1/config";
    /// A new key for the asking agent.
    pub const ROTATE_KEY: &str = "/agent/v1/keys/rotate";

    /// What a monitoring agent shall do.
    pub const MONITORING_CONFIG: &str = "/agent/v1/monitoring/config";
    /// What a monitoring agent found.
    pub const MONITORING_REPORTS: &str = "/agent/v1/monitoring/reports";

    /// Report of a discovery.
    #[must_use]
    pub fn discovery(deployment: &DeploymentId) -> String {
        format!("/agent/v1/discoveries/{deployment}")
    }
    /// Opening a chain.
    #[must_use]
    pub fn chains(job: &BackupJobId) -> String {
        format!("/agent/v1/jobs/{job}/chains")
    }
    /// Something below a chain: `close`, `sync`, `sync/complete`, `collections`, `entries`, `catalog`.
    #[must_use]
    pub fn chain(job: &BackupJobId, chain: i64, below: &str) -> String {
        format!("/agent/v1/jobs/{job}/chains/{chain}/{below}")
    }
    /// A slice's payload.
    #[must_use]
    pub fn payload(job: &BackupJobId, chain: i64, hash: &Hash32) -> String {
        format!("/agent/v1/jobs/{job}/chains/{chain}/payloads/{hash}")
    }
    /// A sync slice.
    #[must_use]
    pub fn sync_slice(job: &BackupJobId, chain: i64, uuid: &str, scan: i64, seq: i64) -> String {
        format!("/agent/v1/jobs/{job}/chains/{chain}/collections/{uuid}/scans/{scan}/slices/{seq}")
    }
    /// End of a scan.
    #[must_use]
    pub fn end_scan(job: &BackupJobId, chain: i64, uuid: &str, scan: i64) -> String {
        format!("/agent/v1/jobs/{job}/chains/{chain}/collections/{uuid}/scans/{scan}/end")
    }
}
