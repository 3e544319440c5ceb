//! The daemon: heads, snapshots, restores, proofs, retention.
//!
//! It takes its work from documents in the app database; no client talks to it. Everything it writes for a job is fenced by the job's lease.
//!
//! | module | does |
//! |---|---|
//! | `daemon`, `context`, `identity`, `layout` | start, what tasks share, who this is, where things lie |
//! | `registration`, `binder`, `placement`, `supervisor` | reports itself, binds jobs to daemons, runs a task per bound job |
//! | `job/` | the driver of one job: load, follow, snapshot, heal, move |
//! | `head` (crate `holdfast-head`) | a private mongod that follows an oplog |
//! | `feed` | the ledger, read ahead |
//! | `snapshotter`, `restore_info`, `dbpath` | files to snapshots and back |
//! | `replay`, `proof`, `restorer` | instants: for proofs and restores |
//! | `retention`, `keep`, `clock_guard` | what is removed, and when nothing is |
//! | `deliver/` | restores pushed to SFTP servers |
//! | `offsite/` | snapshots pulled from another Holdfast, pushed to a second blockstore |
//! | `collector`, `sweeper`, `mender` | frees what nothing reaches, gives packs back, reads back what is stored, repairs it |
//! | `blockstore_work` | collections, verifications and moves that operators asked for |
//! | `mirror` | copies ledgers into the stores of packs |

pub mod binaries;
pub mod binder;
pub mod blockstore_work;
pub mod board;
pub mod busy;
pub mod clock_guard;
pub mod collector;
pub mod context;
pub mod daemon;
pub mod dbpath;
pub mod deliver;
pub mod error;
pub mod feed;
pub mod identity;
pub mod job;
pub mod keep;
pub mod layout;
pub mod logs;
pub mod mender;
pub mod mirror;
pub mod offsite;
pub mod placement;
pub mod ports;
pub mod proof;
pub mod registration;
pub mod replay;
pub mod replay_debt;
pub mod restore_info;
pub mod restorer;
pub mod retention;
pub mod rollups;
pub mod sampler;
pub mod snapshotter;
pub mod space;
pub mod supervisor;
pub mod sweeper;
pub mod terminated;

pub use daemon::Daemon;
pub use error::chain_of;
/// Heads have a crate of their own, since recovery opens them too.
pub use holdfast_head as head;
