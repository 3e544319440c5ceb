//! The app database: people, groups, keys, agents, deployments, hosts, backup jobs, daemons, restore jobs, settings, audit.
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

mod access_policy;
mod agents;
mod api_keys;
mod assignments;
mod audit;
mod backup_defaults;
mod backup_job_writes;
mod backup_jobs;
mod blockstore_requests;
mod blockstore_samples;
mod changes;
mod daemons;
mod db;
mod deliveries;
mod deployments;
mod downloads;
mod enroll_tokens;
mod error;
mod group_keys;
mod groups;
mod host_facts;
mod hosts;
mod idempotency;
mod job_queue;
mod leases;
mod logs;
mod members;
mod monitored_hosts;
mod monitoring_lease;
mod monitoring_settings;
mod monitoring_spools;
mod offsite_copies;
mod one_time;
mod payload_stores;
mod policies;
mod public_url;
mod restore_jobs;
mod sample_rollups;
mod samples;
mod schema;
mod schema_api;
mod schema_deliveries;
mod schema_monitoring;
mod schema_people;
mod secret;
mod seen;
mod sessions;
mod settings;
mod settings_store;
mod setup;
mod sftp_targets;
mod sign_in_settings;
mod snapshot_requests;
mod throttles;
mod trash_grace;
mod txn;
mod users;

pub use access_policy::{AccessPolicy, GroupCreation, SignUp, TotpPolicy};
pub use agents::{Agent, AgentKey};
pub use api_keys::{ApiKey, NewApiKey};
pub use audit::{AuditEntry, AuditFilter, StoredAuditEntry};
pub use backup_defaults::BackupDefaults;
pub use backup_job_writes::HeadFacts;
pub use backup_jobs::{Assignment, BackupJob, BackupJobFilter, BackupSettings, ChangesFound, JobAgentReport, Proof};
pub use blockstore_requests::{BlockstoreProgress, BlockstoreRequest, BlockstoreRequestState, BlockstoreWork};
pub use blockstore_samples::{BlockstoreNumbers, BlockstoreSample, CacheAnswers};
pub use changes::{Change, ChangeKind, ChangeScope, Changes};
pub use daemons::{Daemon, DaemonBeat, DaemonChange, DaemonFileSystem, DaemonHead, DaemonSpace, NewDaemon};
pub use db::MetaDb;
pub use deliveries::{Delivery, DeliveryProgress};
pub use deployments::{Deployment, DeploymentState, Discovery};
pub use downloads::{DownloadError, Grant};
pub use enroll_tokens::{EnrollError, EnrollTokenRecord, Enrolled};
pub use error::MetaError;
pub use group_keys::StoredGroupKey;
pub use groups::Group;
pub use holdfast_domain::Role;
pub use host_facts::{RAW_PINGS_MAX, StoredHostEvent, StoredPing};
pub use hosts::Host;
pub use idempotency::{HeldKey, Keyed};
pub use leases::{Fence, RestoreFence};
pub use logs::{LOG_LINES_MAX, LogFilter, LogLevel, LogSource, NewLogLine, StoredLogLine};
pub use members::{Acceptance, Invitation, JoinRequest, Member, NewInvitation};
pub use monitored_hosts::{MonitoredHost, host_id};
pub use monitoring_lease::{MonitoringAgent, MonitoringLease};
pub use monitoring_settings::MonitoringSettings;
pub use monitoring_spools::ReportTurn;
pub use offsite_copies::{
    NewOffsiteCopy, OffsiteCopy, OffsiteFence, OffsitePeer, OffsiteProgress, OffsiteRun, offsite_job,
    offsite_secret_context,
};
pub use one_time::OneTimeKind;
pub use payload_stores::{DATABASE_STORE, PayloadStore, PayloadStoreLocation, PayloadStoreState, PayloadStores};
pub use policies::GroupPolicies;
pub use public_url::normal_url;
pub use restore_jobs::{NewRestoreJob, RestoreCursor, RestoreJob, RestoreUpdate, Revoked};
pub use sample_rollups::MeasurementQuery;
pub use samples::{Sample, series_of};
pub use secret::{SecretKind, hash_secret, new_secret};
pub use seen::Seen;
pub use sessions::{NewSession, Session};
pub use settings::{
    AppSettings, DaemonSettings, DataSettings, DatabaseSettings, IngestSettings, Settings, SettingsError, WebSettings,
};
pub use setup::{Claim, Claimant};
pub use sftp_targets::{SftpTarget, StoredSftpKey, sftp_key_context};
pub use sign_in_settings::{
    Arrivals, GroupMapping, LdapSecurity, LdapSettings, OidcSettings, SecondFactor, sealed_binary,
};
pub use snapshot_requests::{SnapshotRequest, SnapshotRequestState};
pub use users::{Totp, User, normal_email};
