//! A running mongod: start, answer, stop, kill.
//!
//! Invariants: see the crate's. The child is reached only through `Child`, never by its bare pid, so that a pid which the
//! kernel has given to another process meanwhile is never signalled.

use std::{
    fmt, fs,
    fs::File,
    os::unix::{fs::DirBuilderExt, process::ExitStatusExt},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use bson::{Document, doc};
use mongodb::{
    Client,
    options::{AuthMechanism, ClientOptions, Credential, ServerAddress},
};
use nix::{
    fcntl::Flock,
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::net::TcpStream;

use crate::{
    error::{StartError, StopError},
    keyfile, leftover,
    lock::{self, Beside},
    log,
    options::{Auth, MongodOptions, SYSTEM_USER},
    spawner, version,
};

/// How long a server may take until it answers: a recovery from the journal after a kill is the longest part.
pub const START_TIMEOUT: Duration = Duration::from_secs(120);
/// How long a shutdown may take before the server is killed: a checkpoint of a large dirty cache on a slow disk.
pub const STOP_TIMEOUT: Duration = Duration::from_secs(120);
/// How often a start or an exit is looked at.
const POLL: Duration = Duration::from_millis(20);
/// How long one connection or command may take while the server starts.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the shutdown command itself may take to be taken; afterwards SIGTERM asks for the same.
const SHUTDOWN_COMMAND_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a member of a set that shuts down waits for others to catch up, in seconds.
const STEP_DOWN_SECONDS: i32 = 1;

/// A private mongod. Dropping it kills the server; [`Mongod::stop`] shuts it down cleanly.
pub struct Mongod {
    options: MongodOptions,
    dbpath: PathBuf,
    beside: Beside,
    pid: u32,
    log_start: u64,
    client: Client,
    key: Option<String>,
    started_in: Duration,
    child: Mutex<Child>,
    /// Held while the server runs. `None` once it has ended.
    lock: Mutex<Option<Flock<File>>>,
}

impl fmt::Debug for Mongod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never the key.
        f.debug_struct("Mongod")
            .field("pid", &self.pid)
            .field("port", &self.options.port)
            .field("dbpath", &self.dbpath)
            .finish()
    }
}

impl Mongod {
    /// Starts a server and waits until it answers, [`START_TIMEOUT`] at most. A left-over server on the same dbpath is
    /// killed first. Dropping the future kills the server.
    ///
    /// # Errors
    /// See [`StartError`]; no server runs on the dbpath afterwards (but for [`StartError::InUse`], where another owns it).
    pub async fn start(options: MongodOptions) -> Result<Self, StartError> {
        Self::start_within(options, START_TIMEOUT).await
    }

    /// As [`Mongod::start`] with another bound, for dbpaths that are known to recover for long.
    ///
    /// # Errors
    /// As [`Mongod::start`].
    pub async fn start_within(options: MongodOptions, timeout: Duration) -> Result<Self, StartError> {
        let since = Instant::now();
        options.check()?;
        check_processor(&options)?;
        let dbpath = prepare(&options)?;
        let beside = Beside::of(&dbpath, options.lock_dir.as_deref());
        let held = lock::take(&dbpath, &beside)?;
        leftover::remove(&dbpath, &beside.pid).await?;
        let key = match &options.auth {
            Auth::None => None,
            Auth::KeyFile(path) => Some(keyfile::read_keyfile(path).map_err(StartError::KeyFile)?),
        };
        let client = make_client(options.port, key.as_deref())?;
        let io_error = |what, path: &PathBuf| {
            let path = path.clone();
            move |source| StartError::Io { what, path, source }
        };
        let (log_file, log_start) = log::open(&options.log).map_err(io_error("open log", &options.log))?;
        let second = log_file.try_clone().map_err(io_error("open log", &options.log))?;

        let mut command = Command::new(&options.binary);
        // Options that the server does not know are reported on its output, before it opens its log.
        command.args(options.arguments(&dbpath)).stdin(Stdio::null()).stdout(log_file).stderr(second);
        let child = spawner::spawn(command)
            .await
            .map_err(|source| StartError::Exec { binary: options.binary.clone(), source })?;
        let mut mongod = Self {
            dbpath,
            beside,
            pid: child.id(),
            log_start,
            client,
            key,
            started_in: Duration::ZERO,
            child: Mutex::new(child),
            lock: Mutex::new(Some(held)),
            options,
        };
        leftover::write(&mongod.beside.pid, mongod.pid).map_err(io_error("write", &mongod.beside.pid))?;
        mongod.wait_until_it_answers(since, timeout).await?;
        mongod.started_in = since.elapsed();
        tracing::debug!(pid = mongod.pid, port = mongod.options.port, dbpath = %mongod.dbpath.display(),
            elapsed_ms = u64::try_from(mongod.started_in.as_millis()).unwrap_or(u64::MAX), "mongod answers");
        Ok(mongod)
    }

    async fn wait_until_it_answers(&self, since: Instant, timeout: Duration) -> Result<(), StartError> {
        let mut last = String::new();
        loop {
            if let Some(status) = self.try_wait() {
                self.ended();
                return Err(StartError::Exited {
                    dbpath: self.dbpath.clone(),
                    status: words(status),
                    code: status.code(),
                    log: log::errors(&self.options.log, self.log_start),
                });
            }
            // First the bare port: a refused attempt of the driver would cost its pause of half a second.
            if TcpStream::connect(("127.0.0.1", self.options.port)).await.is_ok() {
                match tokio::time::timeout(PROBE_TIMEOUT, self.answering_pid()).await {
                    Ok(Ok(pid)) if pid == i64::from(self.pid) => return Ok(()),
                    // Someone else's server on this port: ours is about to end with code 48.
                    Ok(Ok(pid)) => last = format!("process {pid} answers on port {}", self.options.port),
                    Ok(Err(error)) => last = error.to_string(),
                    Err(_) => last = format!("connected, but no answer within {} s", PROBE_TIMEOUT.as_secs()),
                }
            }
            if since.elapsed() > timeout {
                self.kill().await;
                let log = format!("{}; {last}", log::errors(&self.options.log, self.log_start));
                return Err(StartError::Timeout { dbpath: self.dbpath.clone(), waited: timeout, log });
            }
            tokio::time::sleep(POLL).await;
        }
    }

    async fn answering_pid(&self) -> mongodb::error::Result<i64> {
        // The smallest serverStatus: only the head of the answer is wanted.
        let command = doc! { "serverStatus": 1, "wiredTiger": 0, "metrics": 0, "locks": 0, "repl": 0, "tcmalloc": 0, "transactions": 0 };
        let status: Document = self.client.database("admin").run_command(command).await?;
        Ok(status.get_i64("pid").unwrap_or_default())
    }

    /// A client of this server alone (direct connection), logged in as `__system` where there is a key. Clones share one
    /// pool.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// TCP port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.options.port
    }

    /// The options it was started with.
    pub fn options(&self) -> &MongodOptions {
        &self.options
    }

    /// The dbpath in its canonical form.
    pub fn dbpath(&self) -> &std::path::Path {
        &self.dbpath
    }

    /// Time from the call of start to the first answer.
    pub fn started_in(&self) -> Duration {
        self.started_in
    }

    /// Connection string for this server alone. Where there is a key it holds the key: a secret, never to be logged.
    pub fn uri(&self) -> String {
        self.uri_with("directConnection=true")
    }

    /// Connection string that follows the replica set's topology; `None` for a standalone. A secret like
    /// [`Mongod::uri`].
    pub fn set_uri(&self) -> Option<String> {
        self.options.repl_set.as_ref().map(|name| self.uri_with(&format!("replicaSet={}", percent(name))))
    }

    fn uri_with(&self, rest: &str) -> String {
        let port = self.options.port;
        match &self.key {
            None => format!("mongodb://127.0.0.1:{port}/?{rest}"),
            Some(key) => format!(
                "mongodb://{SYSTEM_USER}:{}@127.0.0.1:{port}/?authSource=local&authMechanism=SCRAM-SHA-256&{rest}",
                percent(key)
            ),
        }
    }

    /// How it ended, if it did.
    pub fn try_wait(&self) -> Option<ExitStatus> {
        // An error means that someone else reaped the child: it is gone, with a status that nobody knows.
        self.child
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .try_wait()
            .unwrap_or_else(|_| Some(ExitStatus::from_raw(0xff00)))
    }

    /// Waits until it has ended, however it ends. Any number may wait.
    pub async fn wait(&self) -> ExitStatus {
        loop {
            if let Some(status) = self.try_wait() {
                self.ended();
                return status;
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// The last errors in its log since it was started, in words.
    pub fn log_errors(&self) -> String {
        log::errors(&self.options.log, self.log_start)
    }

    /// Shuts it down cleanly, [`STOP_TIMEOUT`] at most, and frees the dbpath. Idempotent after a clean end.
    ///
    /// # Errors
    /// It had to be killed, or ended by something else than a clean shutdown; the dbpath is free in both cases and the
    /// journal recovers it at the next start.
    pub async fn stop(&self) -> Result<(), StopError> {
        self.stop_within(STOP_TIMEOUT).await
    }

    /// As [`Mongod::stop`] with another bound.
    ///
    /// # Errors
    /// As [`Mongod::stop`].
    pub async fn stop_within(&self, timeout: Duration) -> Result<(), StopError> {
        let since = Instant::now();
        if self.try_wait().is_none() {
            let mut command = doc! { "shutdown": 1, "force": true };
            if self.options.repl_set.is_some() {
                command.insert("timeoutSecs", STEP_DOWN_SECONDS);
            }
            let admin = self.client.database("admin");
            let asked = tokio::time::timeout(SHUTDOWN_COMMAND_TIMEOUT.min(timeout), admin.run_command(command)).await;
            // The connection breaks when the command is obeyed, so only an answer that says no counts as refused.
            let refused = match &asked {
                Err(_) => Some("no answer".to_owned()),
                Ok(Err(error)) if matches!(*error.kind, mongodb::error::ErrorKind::Command(_)) => {
                    Some(error.to_string())
                }
                Ok(_) => None,
            };
            if let Some(why) = refused {
                tracing::debug!(pid = self.pid, why, "shutdown command not taken: SIGTERM");
                self.signal(Signal::SIGTERM);
            }
        }
        let mut asked_again = false;
        let status = loop {
            if let Some(status) = self.try_wait() {
                break status;
            }
            let waited = since.elapsed();
            if waited > timeout {
                self.kill().await;
                return Err(StopError::Killed { pid: self.pid, waited: timeout });
            }
            // A broken connection may also mean that the command never arrived.
            if !asked_again && waited > SHUTDOWN_COMMAND_TIMEOUT.min(timeout / 2) {
                self.signal(Signal::SIGTERM);
                asked_again = true;
            }
            tokio::time::sleep(POLL).await;
        };
        self.ended();
        if status.success() {
            return Ok(());
        }
        Err(StopError::Unclean { pid: self.pid, status: words(status), log: self.log_errors() })
    }

    /// Kills it (SIGKILL), waits for its end and frees the dbpath.
    pub async fn kill(&self) {
        self.signal(Signal::SIGKILL);
        self.wait().await;
    }

    /// Freezes (SIGSTOP) or continues (SIGCONT) it, or sends any other signal; nothing happens once it has ended.
    pub fn signal(&self, signal: Signal) {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        // While the lock is held and the child is not reaped its pid cannot be given to another process.
        if matches!(child.try_wait(), Ok(None))
            && let Ok(pid) = i32::try_from(child.id())
        {
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }

    /// Moves the log aside when it is over its bound and lets the server open a new one. For servers that run for weeks:
    /// call it now and then.
    ///
    /// # Errors
    /// The server did not take the command.
    pub async fn bound_log(&self) -> mongodb::error::Result<()> {
        if !log::is_long(&self.options.log) {
            return Ok(());
        }
        fs::rename(&self.options.log, log::rotated(&self.options.log))?;
        self.client.database("admin").run_command(doc! { "logRotate": "server" }).await.map(|_| ())
    }

    /// The server has ended: others may open the dbpath.
    fn ended(&self) {
        let mut lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = lock.take() {
            // While the lock is held nobody else writes this file.
            let _ = fs::remove_file(&self.beside.pid);
            drop(held);
        }
    }
}

impl Drop for Mongod {
    fn drop(&mut self) {
        let child = self.child.get_mut().unwrap_or_else(PoisonError::into_inner);
        if matches!(child.try_wait(), Ok(None)) {
            let _ = child.kill();
            let _ = child.wait();
        }
        self.ended();
    }
}

/// A client of the server on a port of this machine.
fn make_client(port: u16, key: Option<&str>) -> Result<Client, StartError> {
    let mut options = ClientOptions::default();
    options.hosts = vec![ServerAddress::Tcp { host: "127.0.0.1".into(), port: Some(port) }];
    options.direct_connection = Some(true);
    options.app_name = Some("holdfast".to_owned());
    options.credential = key.map(|key| {
        Credential::builder()
            .username(SYSTEM_USER.to_owned())
            .password(key.to_owned())
            .source("local".to_owned())
            .mechanism(AuthMechanism::ScramSha256)
            .build()
    });
    Client::with_options(options).map_err(StartError::Client)
}

/// Creates the dbpath and the folder of the locks; the dbpath in its canonical form.
fn prepare(options: &MongodOptions) -> Result<PathBuf, StartError> {
    let create = |path: &PathBuf| {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|source| StartError::Io {
            what: "create",
            path: path.clone(),
            source,
        })
    };
    create(&options.dbpath)?;
    if let Some(dir) = &options.lock_dir {
        create(dir)?;
    }
    fs::canonicalize(&options.dbpath).map_err(|source| StartError::Io {
        what: "resolve",
        path: options.dbpath.clone(),
        source,
    })
}

#[cfg(target_arch = "x86_64")]
fn check_processor(options: &MongodOptions) -> Result<(), StartError> {
    if std::arch::is_x86_feature_detected!("avx") {
        return Ok(());
    }
    match version::version(&options.binary).map_err(StartError::Version)? {
        (major, minor, _) if major >= 5 => Err(StartError::NoAvx { major, minor }),
        _ => Ok(()),
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn check_processor(_: &MongodOptions) -> Result<(), StartError> {
    Ok(())
}

/// `exit code 100` or `signal 9`.
fn words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => status.to_string(),
    }
}

/// Percent-encodes all but letters and digits.
fn percent(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
