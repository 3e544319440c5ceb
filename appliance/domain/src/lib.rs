//! Pure types of Holdfast: ids, optimes, states with their transitions, schedules, retention, the ledger's arithmetic.
//!
//! Invariants: no I/O, no async, no clock of its own (every function that needs a time takes it). Everything
//! that two programs must agree on byte for byte (the hash of a ledger entry) is computed here and nowhere else.
//! Called by every other crate of the appliance; depends on none of them.

mod access;
mod backup_job;
mod delivery;
mod error_class;
mod hash32;
mod ids;
mod lease;
mod ledger_entry;
mod offsite;
mod optime;
mod protection;
mod restorable;
mod restore_job;
mod retention;
mod schedule;
mod summary;

pub use access::{Action, Resource, Role, TABLE as ACCESS_TABLE, may};
pub use backup_job::{BackupEvent, BackupState, NoSuchTransition, Progress};
pub use delivery::{DeliveryEvent, DeliveryState};
pub use error_class::{Classify, ErrorClass};
pub use hash32::{Hash32, ParseHashError};
pub use ids::{
    AgentId, BackupJobId, DaemonId, DeploymentId, GroupId, HostId, InvitationId, JoinRequestId, ParseIdError,
    RestoreJobId, SnapshotId, UserId,
};
pub use lease::{Lease, LeaseWatch};
pub use ledger_entry::{CloseReason, EntryBody, EntryPosition, LedgerEntry, PayloadRef};
pub use offsite::{OffsiteCandidate, OffsiteFilter, offsite_due};
pub use optime::{OpTime, ParseTsError, Ts};
pub use protection::{ProtectionPolicy, gap_in_window};
pub use restorable::{ChainSpan, Range, SnapshotPoint, chain_for, ranges};
pub use restore_job::{ArchiveFormat, RestoreState, RestoreTarget, restore_scratch_bytes};
pub use retention::{KeepReason, Kept, RetentionPlan, RetentionPolicy, SnapshotFacts, plan_retention};
pub use schedule::SnapshotSchedule;
pub use summary::{DdlMark, NamespaceCount, OpKind, SliceSummary, SummaryBuilder};
