//! A private mongod as a child of this process.
//!
//! Purpose: heads, restores, drills, the embedded replica set and the tests all need a mongod of their own that starts,
//! answers, stops cleanly and never outlives the process that started it.
//!
//! Invariants:
//! - One opener per dbpath: a lock file beside it is held while a [`Mongod`] lives and its server runs.
//! - No server outlives its parent: the child carries a parent-death signal, and what is left over all the same (pid and
//!   start time in a file beside the dbpath) is killed before the dbpath is opened again.
//! - [`Mongod::start`] returns a server that answers and that *is* the child, or an error that quotes the server's log.
//!
//! Called by: the daemon (heads, restores, drills), the CLI (`holdfast up`), the tests. It knows nothing of backups, and
//! it must never touch a file inside a dbpath itself.

mod error;
mod keyfile;
mod leftover;
mod lock;
mod log;
mod options;
mod ports;
mod process;
mod replica_set;
mod spawner;
mod version;

pub use error::{ErrorClass, KeyFileError, ReplicaSetError, StartError, StopError, VersionError};
pub use keyfile::{create_keyfile, read_keyfile};
pub use log::LOG_BYTES_MAX;
pub use options::{Auth, CACHE_GB_MIN, MongodOptions, SYSTEM_USER};
pub use ports::free_port;
pub use process::{Mongod, START_TIMEOUT, STOP_TIMEOUT};
pub use replica_set::{Member, SetSettings, initiate, start_embedded, wait_primary};
pub use spawner::spawn;
pub use version::version;
