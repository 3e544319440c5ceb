//! One process, kept alive: restarted with back-off when it dies, stopped with SIGTERM, then SIGKILL.

use std::{
    path::PathBuf,
    process::Child,
    time::{Duration, Instant},
};

use anyhow::bail;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{sync::watch, time::sleep};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{programs::logged, ready::Ready};

/// How often a child is looked at.
pub(super) const POLL: Duration = Duration::from_millis(100);
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// A process that lived this long starts again with the shortest pause.
const STEADY: Duration = Duration::from_secs(60);
/// From SIGTERM to SIGKILL.
const TERM_WAIT: Duration = Duration::from_secs(40);

pub(super) struct Service {
    pub(super) name: String,
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<String>,
    pub(super) log: PathBuf,
    /// The process writes this file when it serves; None: it serves as soon as it runs.
    pub(super) ready_file: Option<PathBuf>,
}

/// A supervised process.
pub(super) struct Supervised {
    name: String,
    serving: watch::Receiver<bool>,
}

impl Supervised {
    /// Waits until the process has said that it serves.
    pub(super) async fn serving(mut self, within: Duration) -> anyhow::Result<()> {
        match tokio::time::timeout(within, self.serving.wait_for(|&serving| serving)).await {
            Ok(Ok(_)) => Ok(()),
            _ => bail!("{} did not serve within {} s", self.name, within.as_secs()),
        }
    }
}

/// Starts a process and keeps it alive until `stop`.
pub(super) fn supervise(service: Service, stop: CancellationToken, tasks: &TaskTracker, ready: Ready) -> Supervised {
    let (sender, serving) = watch::channel(false);
    let name = service.name.clone();
    tasks.spawn(async move {
        let mut pause = PAUSE_MIN;
        while !stop.is_cancelled() {
            let since = Instant::now();
            if let Err(error) = live(&service, &stop, &ready, &sender).await {
                tracing::error!(service = %service.name, error = format!("{error:#}"), "start a process");
            }
            ready.pid(&service.name, None);
            pause = if since.elapsed() > STEADY { PAUSE_MIN } else { pause };
            if !stop.is_cancelled() {
                tokio::select! { () = sleep(pause) => {}, () = stop.cancelled() => {} }
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
    });
    Supervised { name, serving }
}

/// One life of the process.
async fn live(
    service: &Service,
    stop: &CancellationToken,
    ready: &Ready,
    serving: &watch::Sender<bool>,
) -> anyhow::Result<()> {
    if let Some(file) = &service.ready_file {
        std::fs::remove_file(file).ok();
    }
    let command = logged(&service.program, &service.arguments, &service.log)?;
    let mut child = holdfast_mongod::spawn(command).await?;
    ready.pid(&service.name, Some(child.id()));
    loop {
        if let Some(status) = child.try_wait()? {
            tracing::warn!(service = %service.name, %status, "a process ended");
            return Ok(());
        }
        if service.ready_file.as_ref().is_none_or(|file| file.exists()) {
            serving.send_replace(true);
        }
        tokio::select! {
            () = sleep(POLL) => {}
            () = stop.cancelled() => return end(&mut child).await,
        }
    }
}

/// SIGTERM, a wait, SIGKILL.
async fn end(child: &mut Child) -> anyhow::Result<()> {
    // The child is not reaped yet, so its id is still its own.
    let pid = Pid::from_raw(i32::try_from(child.id())?);
    kill(pid, Signal::SIGTERM).ok();
    let deadline = Instant::now() + TERM_WAIT;
    while Instant::now() < deadline {
        if child.try_wait()?.is_some() {
            return Ok(());
        }
        sleep(POLL).await;
    }
    child.kill()?;
    child.wait()?;
    bail!("a process did not stop within {} s and was killed", TERM_WAIT.as_secs())
}
