//! A second `holdfast-daemon` of an appliance: as on another machine, with a name, labels, room, ports and a head folder of its own.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use holdfast_mongod::{free_port, read_keyfile};
use mongodb::{
    Client,
    options::{AuthMechanism, ClientOptions, Credential, ServerAddress},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::time::sleep;
use toml::{Table, Value};

use crate::{
    appliance::{Appliance, free_row, program},
    processes::mongods_below,
};

/// How long a daemon may take to work, and to stop.
const WAIT_MAX: Duration = Duration::from_secs(70);
/// How long an open head is waited for: it is closed while a snapshot of it is written.
const HEAD_WAIT_MAX: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(100);
/// Ports for restores and proofs.
const RESTORE_PORTS: u16 = 8;

/// What is its own.
#[derive(Clone, Debug)]
pub struct DaemonOptions {
    /// Name among the daemons.
    pub name: String,
    /// Labels that backups can ask for.
    pub labels: Vec<String>,
    /// Bytes that its heads may take; 0: what the disk has.
    pub head_bytes_max: u64,
    /// Least distance of two proofs of a backup's snapshots, in seconds; 0: each snapshot is proved.
    pub proof_every_seconds: u64,
}

/// A running daemon; killed when dropped.
pub struct ExtraDaemon {
    heads: PathBuf,
    log: PathBuf,
    child: Child,
}

impl ExtraDaemon {
    /// Starts one that works with the appliance's databases, and waits until it works.
    ///
    /// # Errors
    /// It did not; the error quotes its log.
    pub async fn start(appliance: &Appliance, options: &DaemonOptions) -> Result<Self> {
        let path = |what: &str| appliance.dir().join(format!("{what}-{}", options.name));
        let (heads, config, ready) = (path("heads"), path("config"), path("ready"));
        let log = appliance.dir().join("logs").join(format!("daemon-{}.log", options.name));
        let body = configuration(&fs::read_to_string(appliance.dir().join("holdfast.toml"))?, &heads, options)?;
        fs::write(&config, body)?;
        fs::remove_file(&ready).ok();
        let file = fs::OpenOptions::new().create(true).append(true).open(&log)?;
        let mut command = Command::new(program("holdfast-daemon")?);
        command.arg("--config").arg(&config).arg("--ready-file").arg(&ready);
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let mut daemon = Self { heads, log, child: command.spawn().context("start a second daemon")? };
        let since = Instant::now();
        while !ready.exists() {
            if let Some(status) = daemon.child.try_wait()? {
                bail!("the second daemon ended with {status}:\n{}", daemon.log());
            }
            if since.elapsed() > WAIT_MAX {
                bail!("the second daemon was not ready within {WAIT_MAX:?}:\n{}", daemon.log());
            }
            sleep(POLL).await;
        }
        Ok(daemon)
    }

    /// All that it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// A client of the one head that it has open, with the heads' key. What it writes makes the head differ from its source.
    ///
    /// # Errors
    /// No head is open for a minute.
    pub async fn head_client(&self) -> Result<Client> {
        let since = Instant::now();
        let port = loop {
            match mongods_below(&self.heads.join("jobs")).first() {
                Some(found) => break found.port,
                None if since.elapsed() > HEAD_WAIT_MAX => bail!("no head was open for {HEAD_WAIT_MAX:?}"),
                None => sleep(POLL).await,
            }
        };
        let key = read_keyfile(&self.heads.join("heads.key"))?;
        let credential = Credential::builder()
            .username("__system".to_owned())
            .password(key)
            .source("local".to_owned())
            .mechanism(AuthMechanism::ScramSha256)
            .build();
        let address = ServerAddress::Tcp { host: "127.0.0.1".into(), port: Some(port) };
        let options =
            ClientOptions::builder().hosts(vec![address]).direct_connection(true).credential(credential).build();
        Client::with_options(options).context("connect to a head")
    }

    /// Stops it cleanly.
    ///
    /// # Errors
    /// It had to be killed, or ended with a failure.
    pub async fn stop(mut self) -> Result<()> {
        kill(Pid::from_raw(i32::try_from(self.child.id())?), Signal::SIGTERM)?;
        let since = Instant::now();
        while since.elapsed() < WAIT_MAX {
            match self.child.try_wait()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => bail!("the second daemon ended with {status}:\n{}", self.log()),
                None => sleep(POLL).await,
            }
        }
        bail!("the second daemon did not stop within {WAIT_MAX:?}:\n{}", self.log())
    }
}

impl Drop for ExtraDaemon {
    fn drop(&mut self) {
        // Its mongods carry a parent-death signal.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The appliance's own configuration with another daemon in it.
fn configuration(appliance: &str, heads: &Path, options: &DaemonOptions) -> Result<String> {
    let mut table: Table = toml::from_str(appliance).context("the appliance's configuration")?;
    let daemon = table.get_mut("daemon").and_then(Value::as_table_mut).context("it has a daemon")?;
    let (first_head, first_restore) = (free_row(4)?, free_row(RESTORE_PORTS)?);
    let row =
        |first: u16, count: u16| -> Vec<Value> { (first..first + count).map(|p| Value::Integer(p.into())).collect() };
    let loopback = || free_port().map(|port| Value::String(format!("127.0.0.1:{port}")));
    let last_restore = first_restore + RESTORE_PORTS - 1;
    for (name, value) in [
        ("name", Value::String(options.name.clone())),
        ("labels", Value::Array(options.labels.iter().cloned().map(Value::String).collect())),
        ("head_dir", Value::String(heads.to_string_lossy().into_owned())),
        ("head_bytes_max", Value::Integer(i64::try_from(options.head_bytes_max)?)),
        ("proof_every_seconds", Value::Integer(i64::try_from(options.proof_every_seconds)?)),
        ("head_ports", Value::Array(row(first_head, 4))),
        (
            "restore_ports",
            Value::Array(vec![Value::Integer(first_restore.into()), Value::Integer(last_restore.into())]),
        ),
        ("kill_listen", loopback()?),
        ("debug_listen", loopback()?),
    ] {
        daemon.insert(name.to_owned(), value);
    }
    toml::to_string(&table).context("write a daemon's configuration")
}
