//! The mongods that a run starts: the one whose files are backed up, and the replica set of one member that holds the index.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use holdfast_mongod::{Mongod, MongodOptions, free_port, start_embedded};

/// A clean stop writes what is dirty in the cache.
const STOP_WITHIN: Duration = Duration::from_secs(300);
/// As the appliance's embedded set has it.
const OPLOG_MB: u32 = 990;

fn binary() -> Result<PathBuf> {
    std::env::var_os("MONGOD").map(PathBuf::from).context("MONGOD names the mongod binary (scripts/bench sets it)")
}

/// A standalone server on these files.
///
/// # Errors
/// When it does not start.
pub async fn standalone(dbpath: &Path) -> Result<Mongod> {
    let mut options = MongodOptions::plain(binary()?, dbpath, free_port()?);
    options.cache_gb = 1.0;
    Ok(Mongod::start(options).await?)
}

/// A replica set of one member, as an embedded database is one, with a cache of this many GiB.
///
/// # Errors
/// When it does not start.
pub async fn index(dbpath: &Path, cache_gb: f64) -> Result<Mongod> {
    let mut options = MongodOptions::plain(binary()?, dbpath, free_port()?);
    options.repl_set = Some("bench".into());
    options.oplog_size_mb = Some(OPLOG_MB);
    options.cache_gb = cache_gb;
    Ok(start_embedded(options).await?)
}

/// Its address, for another process.
///
/// # Errors
/// When it is no replica set.
pub fn uri(mongod: &Mongod) -> Result<String> {
    mongod.set_uri().context("the server of the index is a replica set")
}

/// A clean stop.
///
/// # Errors
/// When it does not end in time.
pub async fn stop(mongod: Mongod) -> Result<()> {
    Ok(mongod.stop_within(STOP_WITHIN).await?)
}
