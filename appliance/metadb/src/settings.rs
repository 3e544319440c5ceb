//! Process configuration: one TOML file, the same on every machine of an appliance. Unknown fields are refused, so that a
//! misspelt one is noticed.
//!
//! Read by `holdfast-app` and `holdfast-daemon`; written by the CLI and the packages.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

/// Everything.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "SettingsFile")]
pub struct Settings {
    /// Where everything but blocks and slices lives.
    pub app_database: DatabaseSettings,
    /// Where blocks, roots, sync slices and oplog slices live. May be left out where nothing is backed up: then it lies beside the app database.
    pub blockstore: DatabaseSettings,
    /// Data directory.
    pub data: DataSettings,
    /// UI and API.
    pub web: WebSettings,
    /// Agents and downloads.
    pub ingest: IngestSettings,
    /// The process that runs web and ingest.
    pub app: AppSettings,
    /// The daemon.
    pub daemon: DaemonSettings,
}

/// The file as it is written: what monitoring alone does not need may be left out.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SettingsFile {
    app_database: DatabaseSettings,
    blockstore: Option<DatabaseSettings>,
    data: DataSettings,
    #[serde(default)]
    web: WebSettings,
    #[serde(default)]
    ingest: IngestSettings,
    #[serde(default)]
    app: AppSettings,
    #[serde(default)]
    daemon: DaemonSettings,
}

impl From<SettingsFile> for Settings {
    fn from(file: SettingsFile) -> Self {
        let SettingsFile { app_database, blockstore, data, web, ingest, app, daemon } = file;
        // Nothing is backed up without a daemon: an empty database beside the app's own does.
        let beside = || DatabaseSettings { name: format!("{}_blockstore", app_database.name), ..app_database.clone() };
        let blockstore = blockstore.unwrap_or_else(beside);
        Self { app_database, blockstore, data, web, ingest, app, daemon }
    }
}

/// One database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseSettings {
    /// Connection string.
    pub uri: String,
    /// Database name.
    pub name: String,
}

/// Data directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSettings {
    /// Absolute path: `ca/`, `master.key`, `kill.secret`, `daemon/` lie here.
    pub dir: PathBuf,
}

/// Listener of web.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebSettings {
    /// Address.
    pub listen: SocketAddr,
    /// How browsers and agents reach it.
    pub public_url: String,
    /// TLS; off only on loopback or behind a proxy.
    pub tls: bool,
    /// Proxies whose `X-Forwarded-For` is believed, as addresses or ranges (`10.0.0.0/8`).
    pub trusted_proxies: Vec<String>,
    /// Tell browsers to use nothing but HTTPS with this host name (HSTS). Only with a certificate that every browser trusts: it cannot be
    /// taken back for two years. Not followed while web serves TLS itself, with the certificate of the appliance's own CA.
    pub hsts: bool,
}

impl Default for WebSettings {
    fn default() -> Self {
        Self {
            listen: loopback(8080),
            public_url: "https://127.0.0.1:8080".into(),
            tls: true,
            trusted_proxies: Vec::new(),
            hsts: false,
        }
    }
}

/// Listener of ingest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IngestSettings {
    /// Address.
    pub listen: SocketAddr,
    /// How agents and downloads reach it.
    pub public_url: String,
    /// TLS; off only on loopback or behind a proxy.
    pub tls: bool,
    /// Debug listener.
    pub debug_listen: SocketAddr,
    /// Payload bytes held in memory at once, over all requests.
    pub payload_bytes_in_flight_max: u64,
    /// Slices are refused when less than this is left of the blockstore's disk, in bytes.
    pub space_reserve_bytes: u64,
    /// Sync slices are refused while more than this waits for a job's head, in bytes.
    pub sync_backlog_bytes_max: u64,
}

impl Default for IngestSettings {
    fn default() -> Self {
        Self {
            listen: loopback(8081),
            public_url: "https://127.0.0.1:8081".into(),
            tls: true,
            debug_listen: loopback(8091),
            payload_bytes_in_flight_max: 64 << 20,
            space_reserve_bytes: 1 << 30,
            sync_backlog_bytes_max: 2 << 30,
        }
    }
}

/// The process of web and ingest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AppSettings {
    /// Kill port.
    pub kill_listen: SocketAddr,
}

impl Default for AppSettings {
    fn default() -> Self {
        Self { kill_listen: loopback(8650) }
    }
}

/// The daemon.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DaemonSettings {
    /// Its name among the daemons: two running ones never share it. Empty: the machine's host name.
    pub name: String,
    /// Labels that jobs can ask for.
    pub labels: Vec<String>,
    /// Where heads lie. None: `daemon/` of the data directory.
    pub head_dir: Option<PathBuf>,
    /// Bytes that heads may take; 0: what the disk has.
    pub head_bytes_max: u64,
    /// Kill port.
    pub kill_listen: SocketAddr,
    /// Debug listener.
    pub debug_listen: SocketAddr,
    /// Ports of head mongods; as many heads are open at once.
    pub head_ports: Vec<u16>,
    /// First and last port of mongods for restores and drills.
    pub restore_ports: [u16; 2],
    /// Directory with mongod binaries, one or one per version.
    pub mongod_dir: Option<PathBuf>,
    /// The mongod binaries themselves.
    pub mongod_binaries: Vec<PathBuf>,
    /// WiredTiger cache of a head, in GB.
    pub head_cache_gb: f64,
    /// Length of a lease, in seconds.
    pub lease_seconds: u64,
    /// Memory for blocks while reading snapshots, in bytes.
    pub block_cache_bytes: u64,
    /// Snapshots larger than this are not proved by opening them, in bytes.
    pub proof_bytes_max: u64,
    /// A job's newest snapshot is proved this often, in seconds.
    pub proof_every_seconds: u64,
    /// Garbage of the blockstore is collected this often, in seconds; 0: never.
    pub collect_every_seconds: u64,
    /// How long a snapshot lies in the trash before it is removed for good, in seconds.
    pub trash_grace_seconds: u64,
    /// Ledgers are copied into the stores of packs this often, in seconds: what a lost database costs; 0: never.
    pub mirror_every_seconds: u64,
    /// Every stored block is read back within this time, in seconds; 0: never.
    pub verify_within_seconds: u64,
}

impl Default for DaemonSettings {
    fn default() -> Self {
        Self {
            name: String::new(),
            labels: Vec::new(),
            head_dir: None,
            head_bytes_max: 0,
            kill_listen: loopback(8640),
            debug_listen: loopback(8090),
            head_ports: vec![27500, 27501, 27502, 27503],
            restore_ports: [27700, 27799],
            mongod_dir: None,
            mongod_binaries: Vec::new(),
            head_cache_gb: 0.25,
            lease_seconds: 15,
            block_cache_bytes: 256 << 20,
            proof_bytes_max: 50 << 30,
            proof_every_seconds: 86_400,
            collect_every_seconds: 86_400,
            trash_grace_seconds: 86_400,
            mirror_every_seconds: 30,
            verify_within_seconds: 30 * 86_400,
        }
    }
}

const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), port)
}

/// A setting that cannot be worked with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("setting {name}: {detail}")]
pub struct SettingsError {
    /// Which, as in the file.
    pub name: &'static str,
    /// What is wrong and what would be right.
    pub detail: String,
}

impl Settings {
    /// Checks what types cannot say. Called after loading, before anything starts.
    ///
    /// # Errors
    /// [`SettingsError`] naming the first setting that is wrong.
    pub fn validate(&self) -> Result<(), SettingsError> {
        let wrong = |name, detail: &str| Err(SettingsError { name, detail: detail.to_owned() });
        if !self.data.dir.is_absolute() {
            return wrong("data.dir", "it must be an absolute path");
        }
        if self.daemon.head_dir.as_ref().is_some_and(|dir| !dir.is_absolute()) {
            return wrong("daemon.head_dir", "it must be an absolute path");
        }
        if self.daemon.head_ports.is_empty() {
            return wrong("daemon.head_ports", "at least one port is needed");
        }
        if self.daemon.restore_ports[0] > self.daemon.restore_ports[1] {
            return wrong("daemon.restore_ports", "the first port must not be greater than the last");
        }
        if !(0.25..=1024.0).contains(&self.daemon.head_cache_gb) {
            return wrong("daemon.head_cache_gb", "it must lie between 0.25 and 1024");
        }
        if !(3..=600).contains(&self.daemon.lease_seconds) {
            return wrong("daemon.lease_seconds", "it must lie between 3 and 600");
        }
        for (name, database) in [("app_database.name", &self.app_database), ("blockstore.name", &self.blockstore)] {
            if database.name.is_empty() || database.name.len() > 63 {
                return wrong(name, "a database name has 1 to 63 bytes");
            }
        }
        for (name, url) in [("web.public_url", &self.web.public_url), ("ingest.public_url", &self.ingest.public_url)] {
            if !url.starts_with("https://") && !url.starts_with("http://") {
                return wrong(name, "it must begin with https:// or http://");
            }
        }
        Ok(())
    }

    /// Where heads lie.
    #[must_use]
    pub fn head_dir(&self) -> PathBuf {
        self.daemon.head_dir.clone().unwrap_or_else(|| self.data.dir.join("daemon"))
    }

    /// The secret of the kill ports.
    #[must_use]
    pub fn kill_secret_path(&self) -> PathBuf {
        self.data.dir.join("kill.secret")
    }

    /// The master key.
    #[must_use]
    pub fn master_key_path(&self) -> PathBuf {
        self.data.dir.join("master.key")
    }

    /// The set-up code, while the appliance has no administrator.
    #[must_use]
    pub fn setup_code_path(&self) -> PathBuf {
        self.data.dir.join("setup.code")
    }

    /// The CA's directory.
    #[must_use]
    pub fn ca_dir(&self) -> PathBuf {
        self.data.dir.join("ca")
    }

    /// Data directory.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.data.dir
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const SMALL: &str = r#"
        [app_database]
        uri = "mongodb://127.0.0.1"
        name = "holdfast"
        [blockstore]
        uri = "mongodb://127.0.0.1"
        name = "holdfast_blockstore"
        [data]
        dir = "/var/lib/holdfast"
    "#;

    #[test]
    fn a_small_file_is_enough_and_unknown_fields_are_refused() {
        let settings: Settings = toml::from_str(SMALL).unwrap();
        settings.validate().unwrap();
        assert_eq!(settings.web, WebSettings::default());
        assert_eq!(settings.head_dir(), PathBuf::from("/var/lib/holdfast/daemon"));
        assert!(toml::from_str::<Settings>(&format!("{SMALL}\n[web]\nlissten = \"127.0.0.1:1\"")).is_err());
        let text = toml::to_string(&settings).unwrap();
        assert_eq!(toml::from_str::<Settings>(&text).unwrap(), settings);
        // Monitoring alone has no blockstore of its own.
        let without = SMALL.replace("[blockstore]", "[unused]").replace("holdfast_blockstore", "x");
        let without = without.split("[unused]").next().unwrap().to_owned() + "[data]\ndir = \"/var/lib/holdfast\"";
        let alone: Settings = toml::from_str(&without).unwrap();
        assert_eq!(
            (alone.blockstore.name.as_str(), alone.blockstore.uri.as_str()),
            ("holdfast_blockstore", "mongodb://127.0.0.1")
        );
    }

    #[test]
    fn wrong_values_are_named() {
        let mut settings: Settings = toml::from_str(SMALL).unwrap();
        settings.data.dir = "relative".into();
        assert_eq!(settings.validate().unwrap_err().name, "data.dir");
        let mut settings: Settings = toml::from_str(SMALL).unwrap();
        settings.daemon.lease_seconds = 1;
        assert_eq!(settings.validate().unwrap_err().name, "daemon.lease_seconds");
    }
}
