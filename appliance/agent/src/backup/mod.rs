//! The backup part: follows replica sets into the appliance's ledger.
//!
//! Bird's eye: `assignments` asks the appliance what to do and runs one `job` per replica set. A job opens a chain at a `start_point`, then
//! runs side by side the `tail` (oplog -> `cutter` -> `outbox` -> `sender`) and, until it is complete, the `initial_sync` (`listing`, `scan`),
//! then the `catalog`. `source` is the replica set, `job_api` the appliance.
//!
//! Invariants: only majority committed data is sent; what was acknowledged is never sent differently; memory is bounded by `budget` and by one
//! batch and one growing slice per cursor.

mod assignments;
mod bandwidth;
mod budget;
mod catalog;
mod context;
mod cutter;
mod discovery;
mod entry;
mod error;
mod frame;
mod health;
mod initial_sync;
mod job;
mod job_api;
mod listing;
mod local_sources;
mod member_choice;
mod oplog;
mod outbox;
mod privileges;
mod report;
mod scan;
mod sender;
mod source;
mod spool;
mod start_point;
mod tail;

pub(crate) use error::{JobError, command_code};
pub(crate) use source::{Source, run};

pub use assignments::{BackupOptions, run as run_backup};
pub use local_sources::LocalSources;
pub use privileges::{ROLE, UserProof, check, create_role_and_user};
