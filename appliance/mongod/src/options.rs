//! How a private mongod is started: the options and the command line made of them.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use crate::error::StartError;

/// The least cache that mongod takes, in GiB.
pub const CACHE_GB_MIN: f64 = 0.25;
/// The user as whom members and private clients log in on `local`.
pub const SYSTEM_USER: &str = "__system";
/// Oplog of an embedded set in MB: every block that is stored is written to it too, and nobody replicates from it.
const EMBEDDED_OPLOG_MB: u32 = 990;

/// Who may talk to the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    /// Everyone on this machine: tests, the demo's source.
    None,
    /// Only holders of this key (see [`crate::create_keyfile`]), as `__system` on `local`.
    KeyFile(PathBuf),
}

/// Everything that a start needs. Made by [`MongodOptions::head`], [`MongodOptions::embedded`] or
/// [`MongodOptions::plain`], then changed where needed.
#[derive(Debug, Clone)]
pub struct MongodOptions {
    /// The mongod binary.
    pub binary: PathBuf,
    /// The data folder; created when missing.
    pub dbpath: PathBuf,
    /// TCP port on 127.0.0.1.
    pub port: u16,
    /// The log file: appended to, moved to `<log>.1` when it is over [`crate::LOG_BYTES_MAX`].
    pub log: PathBuf,
    /// WiredTiger's cache in GiB, at least [`CACHE_GB_MIN`].
    pub cache_gb: f64,
    /// Name of the replica set that it is a member of; `None`: standalone.
    pub repl_set: Option<String>,
    /// Who may talk to it.
    pub auth: Auth,
    /// One folder per database. Fixed when the dbpath is created: another value is refused by the server (exit 100).
    pub directory_per_db: bool,
    /// Indexes in folders of their own. Fixed like `directory_per_db`.
    pub wired_tiger_directory_for_indexes: bool,
    /// Size of the oplog in MB; `None`: the server's default, 5 % of the disk.
    pub oplog_size_mb: Option<u32>,
    /// `--setParameter` names and values.
    pub params: Vec<(String, String)>,
    /// More arguments, as they are.
    pub extra_args: Vec<String>,
    /// Folder for the lock and pid file; `None`: beside the dbpath.
    pub lock_dir: Option<PathBuf>,
}

impl MongodOptions {
    /// A standalone without users: tests, the demo's set (with `repl_set` set), restored files that are looked at.
    /// The log lies beside the dbpath.
    pub fn plain(binary: impl Into<PathBuf>, dbpath: impl Into<PathBuf>, port: u16) -> Self {
        let dbpath = dbpath.into();
        let mut log = dbpath.clone().into_os_string();
        log.push(".log");
        Self {
            binary: binary.into(),
            dbpath,
            port,
            log: PathBuf::from(log),
            cache_gb: CACHE_GB_MIN,
            repl_set: None,
            auth: Auth::None,
            directory_per_db: false,
            wired_tiger_directory_for_indexes: false,
            oplog_size_mb: None,
            params: vec![("diagnosticDataCollectionEnabled".into(), "false".into())],
            // A journal of 101 MB instead of 301.
            extra_args: vec!["--wiredTigerEngineConfigString".into(), "log=(prealloc=false)".into()],
            lock_dir: None,
        }
    }

    /// A head: standalone, only for holders of the key, never deleting by its own clock (a TTL index in a head must not
    /// remove what the source still has).
    pub fn head(
        binary: impl Into<PathBuf>,
        dbpath: impl Into<PathBuf>,
        port: u16,
        keyfile: impl Into<PathBuf>,
    ) -> Self {
        let mut options = Self::plain(binary, dbpath, port);
        options.auth = Auth::KeyFile(keyfile.into());
        options.params.push(("ttlMonitorEnabled".into(), "false".into()));
        options
    }

    /// The embedded single-member replica set of an appliance, for [`crate::start_embedded`]. Its TTL monitor stays on:
    /// the appliance's own collections rely on it.
    pub fn embedded(
        binary: impl Into<PathBuf>,
        dbpath: impl Into<PathBuf>,
        port: u16,
        keyfile: impl Into<PathBuf>,
        repl_set: impl Into<String>,
    ) -> Self {
        let mut options = Self::plain(binary, dbpath, port);
        options.auth = Auth::KeyFile(keyfile.into());
        options.repl_set = Some(repl_set.into());
        options.oplog_size_mb = Some(EMBEDDED_OPLOG_MB);
        options
    }

    /// Adds a `--setParameter`.
    #[must_use]
    pub fn param(mut self, name: &str, value: impl ToString) -> Self {
        self.params.push((name.to_owned(), value.to_string()));
        self
    }

    /// Refuses what the server would refuse less clearly.
    pub(crate) fn check(&self) -> Result<(), StartError> {
        if !self.cache_gb.is_finite() || self.cache_gb < CACHE_GB_MIN {
            return Err(StartError::Options(format!("a cache of {} GiB is below {CACHE_GB_MIN}", self.cache_gb)));
        }
        if self.port == 0 {
            return Err(StartError::Options("port 0: choose one with free_port".into()));
        }
        Ok(())
    }

    /// The arguments, with the dbpath in its canonical form (left-overs are recognised by it).
    pub(crate) fn arguments(&self, dbpath: &Path) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = Vec::new();
        let mut add = |name: &str, value: OsString| arguments.extend([name.into(), value]);
        add("--dbpath", dbpath.into());
        add("--port", self.port.to_string().into());
        add("--bind_ip", "127.0.0.1".into());
        add("--logpath", self.log.clone().into());
        add("--wiredTigerCacheSizeGB", self.cache_gb.to_string().into());
        // zlib of 6.0.5 is known to be unsafe.
        add("--networkMessageCompressors", "snappy,zstd".into());
        // `reopen`: who moves the log aside is bound_log, so that one old file is kept and not one per rotation.
        add("--logRotate", "reopen".into());
        if let Some(name) = &self.repl_set {
            add("--replSet", name.into());
        }
        if let Some(size_mb) = self.oplog_size_mb {
            add("--oplogSize", size_mb.to_string().into());
        }
        if let Auth::KeyFile(path) = &self.auth {
            add("--keyFile", path.into());
            // Without it the first client on this machine could make itself a user.
            add("--setParameter", "enableLocalhostAuthBypass=false".into());
        }
        for (name, value) in &self.params {
            add("--setParameter", format!("{name}={value}").into());
        }
        arguments.extend(["--logappend".into(), "--nounixsocket".into()]);
        if self.directory_per_db {
            arguments.push("--directoryperdb".into());
        }
        if self.wired_tiger_directory_for_indexes {
            arguments.push("--wiredTigerDirectoryForIndexes".into());
        }
        arguments.extend(self.extra_args.iter().map(Into::into));
        arguments
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_never_deletes_by_its_own_clock_and_asks_for_the_key() {
        let options = MongodOptions::head("mongod", "/d/h", 27500, "/d/key");
        let line: Vec<String> = options
            .arguments(Path::new("/d/h"))
            .iter()
            .map(|argument| argument.to_string_lossy().into_owned())
            .collect();
        let line = line.join(" ");
        for wanted in [
            "--bind_ip 127.0.0.1",
            "--nounixsocket",
            "--setParameter ttlMonitorEnabled=false",
            "--setParameter diagnosticDataCollectionEnabled=false",
            "--setParameter enableLocalhostAuthBypass=false",
            "--keyFile /d/key",
            "--wiredTigerEngineConfigString log=(prealloc=false)",
            "--wiredTigerCacheSizeGB 0.25",
            "--networkMessageCompressors snappy,zstd",
        ] {
            assert!(line.contains(wanted), "{wanted} in {line}");
        }
        assert!(!line.contains("--replSet"));
    }

    #[test]
    fn too_small_a_cache_is_refused() {
        let mut options = MongodOptions::plain("mongod", "/d", 1);
        options.cache_gb = 0.1;
        assert!(matches!(options.check(), Err(StartError::Options(_))));
        options.cache_gb = f64::NAN;
        assert!(matches!(options.check(), Err(StartError::Options(_))));
    }
}
