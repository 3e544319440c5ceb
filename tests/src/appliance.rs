//! A whole appliance of real binaries, as a user runs it: `holdfast up` in a temporary folder, and agents beside it.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use holdfast_domain::Ts;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tokio::time::sleep;

use crate::processes::{kill_pid, mongods_below};

/// How long an appliance may take to be ready on a loaded machine.
const READY_WAIT_MAX: Duration = Duration::from_secs(240);
/// From SIGTERM to SIGKILL.
const STOP_WAIT_MAX: Duration = Duration::from_secs(70);
const POLL: Duration = Duration::from_millis(400);

/// Path of one of our programs, built beside the tests.
///
/// # Errors
/// It is not built: `cargo build --workspace` (scripts/test does that).
pub fn program(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe().context("find the test's own path")?;
    // A test lies in target/<profile>/deps, a program in target/<profile>.
    let found = own.ancestors().skip(1).take(2).map(|folder| folder.join(name)).find(|path| path.is_file());
    found.with_context(|| format!("{name} is not built: run `cargo build --workspace` first (scripts/test does)"))
}

/// A running appliance; stopped when dropped.
pub struct Appliance {
    dir: tempfile::TempDir,
    up: Child,
    agents: Vec<Child>,
}

impl Appliance {
    /// Starts one and waits until it serves.
    ///
    /// # Errors
    /// It did not become ready; the error quotes its logs.
    pub async fn start(mongod: &Path) -> Result<Self> {
        let dir = tempfile::tempdir().context("make a folder")?;
        let port = || holdfast_mongod::free_port().map(|p| p.to_string());
        let heads = free_row(4)?.to_string();
        Self::begin(dir, mongod, &["--web-port", &port()?, "--ingest-port", &port()?, "--heads-port", &heads]).await
    }

    /// As [`Self::start`], on the ports that `up` chooses by itself.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_on_usual_ports(mongod: &Path) -> Result<Self> {
        Self::begin(tempfile::tempdir().context("make a folder")?, mongod, &[]).await
    }

    /// Starts one in a folder in which one ran before.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_again(dir: tempfile::TempDir, mongod: &Path) -> Result<Self> {
        Self::begin(dir, mongod, &[]).await
    }

    async fn begin(dir: tempfile::TempDir, mongod: &Path, arguments: &[&str]) -> Result<Self> {
        std::fs::create_dir_all(dir.path().join("logs"))?;
        let log = std::fs::OpenOptions::new().create(true).append(true).open(dir.path().join("logs/up.log"))?;
        let mut command = up(dir.path(), mongod)?;
        command.args(arguments).stdout(log.try_clone()?).stderr(log);
        let up = command.spawn().context("start holdfast up")?;
        let mut appliance = Self { dir, up, agents: Vec::new() };
        appliance.wait_ready().await?;
        Ok(appliance)
    }

    /// The folder that the appliance runs in.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    async fn wait_ready(&mut self) -> Result<()> {
        let since = Instant::now();
        while !self.dir().join("ready.json").exists() {
            if let Some(status) = self.up.try_wait()? {
                bail!("holdfast up ended with {status}:\n{}", self.logs());
            }
            if since.elapsed() > READY_WAIT_MAX {
                bail!("holdfast up was not ready within {READY_WAIT_MAX:?}:\n{}", self.logs());
            }
            sleep(POLL).await;
        }
        Ok(())
    }

    /// Last lines of every log, for a failing test's message.
    #[must_use]
    pub fn logs(&self) -> String {
        let mut text = String::new();
        for log in ["up", "init", "web", "ingest", "daemon", "agent"] {
            let Ok(body) = std::fs::read_to_string(self.dir().join("logs").join(format!("{log}.log"))) else {
                continue;
            };
            let lines: Vec<&str> = body.lines().collect();
            text += &format!("--- {log}\n{}\n", lines[lines.len().saturating_sub(40)..].join("\n"));
        }
        text
    }

    /// `ready.json` as it is now.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn ready(&self) -> Result<Value> {
        let bytes = std::fs::read(self.dir().join("ready.json")).context("read ready.json")?;
        serde_json::from_slice(&bytes).context("ready.json is JSON")
    }

    /// Process id of a part: `web`, `ingest`, `daemon`, `mongod`; None while it is down.
    #[must_use]
    pub fn pid(&self, part: &str) -> Option<u32> {
        self.ready().ok()?["pids"][part].as_u64().and_then(|pid| u32::try_from(pid).ok())
    }

    /// Process ids of the mongods that keep heads open now.
    #[must_use]
    pub fn head_pids(&self) -> Vec<u32> {
        mongods_below(&self.dir().join("daemon/jobs")).into_iter().map(|found| found.pid).collect()
    }

    /// Process ids of the mongods that make restores now.
    #[must_use]
    pub fn restore_pids(&self) -> Vec<u32> {
        let mut found = mongods_below(&self.dir().join("daemon/work"));
        let is_restore = |part: &OsStr| part.to_string_lossy().starts_with("restore-");
        found.retain(|mongod| mongod.dbpath.iter().any(is_restore));
        found.into_iter().map(|mongod| mongod.pid).collect()
    }

    /// Runs `holdfast` with `--json`; its answer.
    ///
    /// # Errors
    /// It failed; the error is what it printed.
    pub async fn cli(&self, arguments: &[&str]) -> Result<Value> {
        let output = self.cli_output(arguments).await?;
        if !output.status.success() {
            let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            bail!("holdfast {} ended with {}: {out}{err}", arguments.join(" "), output.status);
        }
        serde_json::from_slice(&output.stdout).with_context(|| format!("holdfast {} prints JSON", arguments.join(" ")))
    }

    /// Runs `holdfast` with `--json`; status and output, whatever they are.
    ///
    /// # Errors
    /// It could not be started.
    pub async fn cli_output(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = Command::new(program("holdfast")?);
        command.arg("--json").arg("--dir").arg(self.dir()).args(arguments).stdin(Stdio::null());
        tokio::task::spawn_blocking(move || command.output()).await?.context("run holdfast")
    }

    /// Starts an agent of the group beside the databases; its number.
    ///
    /// # Errors
    /// It could not be enrolled or started.
    pub async fn start_agent(&mut self, group: &str) -> Result<usize> {
        let token = self.cli(&["agents", "enroll", group]).await?;
        let number = self.agents.len();
        let token = token["enrollToken"].as_str().context("a token")?.to_owned();
        let child = self.spawn_agent(number, Some(&token))?;
        self.agents.push(child);
        Ok(number)
    }

    fn spawn_agent(&self, number: usize, token: Option<&str>) -> Result<Child> {
        let ready = self.ready()?;
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.dir().join("logs/agent.log"))?;
        let mut command = Command::new(program("holdfast-agent")?);
        command.arg("run").arg("--server").arg(ready["ingestUrl"].as_str().context("ingestUrl")?);
        command.arg("--state").arg(self.dir().join(format!("agent{number}")));
        if let Some(token) = token {
            command.arg("--enroll").arg(token);
        }
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        command.spawn().context("start holdfast-agent")
    }

    /// Process id of an agent.
    #[must_use]
    pub fn agent_pid(&self, number: usize) -> u32 {
        self.agents[number].id()
    }

    /// Kills an agent (SIGKILL) and starts it again with the state it left.
    ///
    /// # Errors
    /// It could not be started again.
    pub fn kill_agent(&mut self, number: usize) -> Result<()> {
        self.agents[number].kill()?;
        self.agents[number].wait()?;
        self.agents[number] = self.spawn_agent(number, None)?;
        Ok(())
    }

    /// Sends SIGKILL to a part; `up` starts it again.
    ///
    /// # Errors
    /// It is not running.
    pub fn kill_part(&self, part: &str) -> Result<()> {
        let pid = self.pid(part).with_context(|| format!("{part} is not running"))?;
        kill_pid(pid)
    }

    /// Group, agent, deployment and backup of a replica set in one go; `GROUP/RS`.
    ///
    /// # Errors
    /// One of the steps failed.
    pub async fn back_up(&mut self, group: &str, uri: &str) -> Result<String> {
        self.back_up_on(group, uri, &[]).await
    }

    /// As [`Self::back_up`], on a daemon that has all these labels.
    ///
    /// # Errors
    /// One of the steps failed.
    pub async fn back_up_on(&mut self, group: &str, uri: &str, labels: &[&str]) -> Result<String> {
        self.cli(&["groups", "create", group]).await?;
        self.start_agent(group).await?;
        let found = self.cli(&["deployments", "add", group, uri]).await?;
        let rs = found[0]["rs"].as_str().context("the name of the set")?.to_owned();
        let backup = format!("{group}/{rs}");
        let mut start = vec!["backups", "start", &backup];
        start.extend(labels.iter().flat_map(|label| ["--label", label]));
        self.cli(&start).await?;
        Ok(backup)
    }

    /// Waits until `backups show` satisfies `good`.
    ///
    /// # Errors
    /// It did not within `wait`; the error shows the last answer and the logs.
    pub async fn wait_backup(&self, backup: &str, wait: Duration, good: impl Fn(&Value) -> bool) -> Result<Value> {
        let since = Instant::now();
        loop {
            let shown = self.cli(&["backups", "show", backup]).await;
            if let Ok(shown) = &shown
                && good(shown)
            {
                return Ok(shown.clone());
            }
            if since.elapsed() > wait {
                bail!("the backup did not come to what was expected within {wait:?}: {shown:?}\n{}", self.logs());
            }
            sleep(POLL).await;
        }
    }

    /// Waits until the backup is active with a snapshot.
    ///
    /// # Errors
    /// As [`Self::wait_backup`].
    pub async fn wait_active(&self, backup: &str, wait: Duration) -> Result<Value> {
        let active = |b: &Value| b["state"] == "active" && b["ranges"].as_array().is_some_and(|r| !r.is_empty());
        self.wait_backup(backup, wait, active).await
    }

    /// Waits until `at` can be restored.
    ///
    /// # Errors
    /// As [`Self::wait_backup`].
    pub async fn wait_restorable(&self, backup: &str, at: Ts, wait: Duration) -> Result<Value> {
        let reach = |b: &Value| {
            let ends =
                b["ranges"].as_array().into_iter().flatten().map(|r| (r["to"]["t"].as_u64(), r["to"]["i"].as_u64()));
            ends.max().is_some_and(|end| end >= (Some(u64::from(at.t)), Some(u64::from(at.i))))
        };
        self.wait_backup(backup, wait, reach).await
    }

    /// Restores an instant into a new folder.
    ///
    /// # Errors
    /// The command failed.
    pub async fn restore_at(&self, backup: &str, at: Ts, to: &Path) -> Result<Value> {
        let (at, to) = (format!("{},{}", at.t, at.i), to.to_string_lossy().into_owned());
        self.cli(&["restore", backup, "--at", &at, "--wait", "--to", &to]).await
    }

    /// Stops everything in order.
    ///
    /// # Errors
    /// It had to be killed, or ended with a failure.
    pub async fn stop(mut self) -> Result<()> {
        self.stop_now().await
    }

    /// As [`Self::stop`]; its folder, with everything in it.
    ///
    /// # Errors
    /// As [`Self::stop`].
    pub async fn stop_keeping_files(mut self) -> Result<tempfile::TempDir> {
        self.stop_now().await?;
        Ok(std::mem::replace(&mut self.dir, tempfile::tempdir()?))
    }

    async fn stop_now(&mut self) -> Result<()> {
        for agent in &mut self.agents {
            agent.kill().ok();
            agent.wait().ok();
        }
        self.agents.clear();
        if self.up.try_wait()?.is_none() {
            kill(Pid::from_raw(i32::try_from(self.up.id())?), Signal::SIGTERM)?;
        }
        let since = Instant::now();
        while since.elapsed() < STOP_WAIT_MAX {
            if let Some(status) = self.up.try_wait()? {
                if status.success() {
                    return Ok(());
                }
                bail!("holdfast up ended with {status}\n{}", self.logs());
            }
            sleep(POLL).await;
        }
        self.up.kill()?;
        self.up.wait()?;
        bail!("holdfast up did not stop within {STOP_WAIT_MAX:?}\n{}", self.logs());
    }
}

impl Drop for Appliance {
    fn drop(&mut self) {
        for child in self.agents.iter_mut() {
            child.kill().ok();
            child.wait().ok();
        }
        // Its children carry a parent-death signal.
        self.up.kill().ok();
        self.up.wait().ok();
    }
}

fn up(dir: &Path, mongod: &Path) -> Result<Command> {
    let mut command = Command::new(program("holdfast")?);
    command.arg("up").arg("--dir").arg(dir).env("MONGOD", mongod).stdin(Stdio::null());
    Ok(command)
}

/// Runs `holdfast up` in a folder where it must end by itself; status and output.
///
/// # Errors
/// It could not be started.
pub async fn up_output(dir: &Path, mongod: &Path) -> Result<Output> {
    let mut command = up(dir, mongod)?;
    tokio::task::spawn_blocking(move || command.output()).await?.context("run holdfast up")
}

/// First of `count` free ports in a row.
pub(crate) fn free_row(count: u16) -> Result<u16> {
    for _ in 0..200 {
        let first = holdfast_mongod::free_port()?;
        if (first..first + count).all(|p| std::net::TcpListener::bind(("127.0.0.1", p)).is_ok()) {
            return Ok(first);
        }
    }
    bail!("no {count} free ports in a row")
}
