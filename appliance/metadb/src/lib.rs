//! The app database: groups, keys, agents, deployments, hosts, backup jobs, daemons, restore jobs, settings, audit.
//!
//! Purpose: the only crate that knows these collections; everything the parts of the appliance tell each other goes
//! through documents here.
//!
//! Invariants:
//! - Every write of a job's owner carries the lease's owner and epoch in its filter ([`Fence`]); when it matches nothing
//!   the answer is [`MetaError::Fenced`], of class `Cancelled`, and nothing was written.
//! - Secrets are stored as SHA-256 of 32 random bytes and found by that hash; stored credentials come in sealed.
//! - Documents take unknown fields; migrations only add. Any number of processes may open at once.
//! - Writes are `w: majority, j: true`; reads are majority reads at the primary.
//!
//! Called by web, ingest, alerts, the daemon, the app. Snapshots are not here: they are the engine's roots.

mod agents;
mod api_keys;
mod assignments;
mod audit;
mod backup_job_writes;
mod backup_jobs;
mod daemons;
mod db;
mod deployments;
mod downloads;
mod enroll_tokens;
mod error;
mod groups;
mod hosts;
mod leases;
mod restore_jobs;
mod schema;
mod secret;
mod settings;
mod settings_store;
mod snapshot_requests;

pub use agents::{Agent, AgentKey};
pub use api_keys::{ApiKey, NewApiKey, Role};
pub use audit::{AuditEntry, StoredAuditEntry};
pub use backup_job_writes::HeadFacts;
pub use backup_jobs::{Assignment, BackupJob, BackupJobFilter, BackupSettings, JobAgentReport, Proof};
pub use daemons::{Daemon, DaemonBeat, DaemonHead, DaemonSpace, NewDaemon};
pub use db::MetaDb;
pub use deployments::{Deployment, DeploymentState, Discovery};
pub use downloads::{DownloadError, Grant};
pub use enroll_tokens::{EnrollError, EnrollTokenRecord, Enrolled};
pub use error::MetaError;
pub use groups::Group;
pub use hosts::Host;
pub use leases::{Fence, RestoreFence};
pub use restore_jobs::{NewRestoreJob, RestoreJob, RestoreUpdate};
pub use secret::{SecretKind, hash_secret, new_secret};
pub use settings::{
    AppSettings, DaemonSettings, DataSettings, DatabaseSettings, IngestSettings, Settings, SettingsError, WebSettings,
};
pub use snapshot_requests::{SnapshotRequest, SnapshotRequestState};
