//! What the tests of the agent share: an ingest server in memory that checks everything, and the agent's own binary against real replica sets.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]
#![allow(clippy::unwrap_used, reason = "tests")]

pub mod fake;
mod ledger;
mod scans;
pub mod source;
pub mod web;

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use fake::Fake;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// Longest that anything here may take.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// The agent's binary. Killed when dropped.
pub struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Agent {
    /// Starts it with the fake's token. With `HOLDFAST_LOG` its log is shown.
    pub fn start(fake: &Fake, state_dir: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast-agent"));
        command
            .args(["run", "--server", &fake.url, "--enroll", &fake.token(), "--only", "backup", "--state"])
            .arg(state_dir);
        if std::env::var_os("HOLDFAST_LOG").is_none() {
            command.stderr(Stdio::null());
        }
        Self(command.spawn().unwrap())
    }

    /// Starts its monitoring part alone.
    pub fn start_monitoring(web: &web::Web, state_dir: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast-agent"));
        command.args(["run", "--enroll", &web.token(), "--only", "monitoring", "--state"]).arg(state_dir);
        if std::env::var_os("HOLDFAST_LOG").is_none() {
            command.stderr(Stdio::null());
        }
        Self(command.spawn().unwrap())
    }

    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// kill -9.
    pub fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// SIGTERM; it must end cleanly and soon.
    pub async fn stop(mut self) {
        kill(Pid::from_raw(self.0.id() as i32), Signal::SIGTERM).unwrap();
        let since = std::time::Instant::now();
        let status = loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                break status;
            }
            assert!(since.elapsed() < Duration::from_secs(30), "the agent does not stop");
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        assert!(status.success(), "{status}");
    }

    /// Largest resident size so far, in megabytes.
    pub fn peak_megabytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
    }
}

/// Waits until something holds.
pub async fn wait<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let since = std::time::Instant::now();
    while !holds().await {
        assert!(since.elapsed() < PATIENCE, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
