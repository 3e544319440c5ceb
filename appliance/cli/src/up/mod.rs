//! `holdfast up`: a whole appliance in one folder.
//!
//! Starts the embedded MongoDB, then web, ingest and daemon as processes of their own, each restarted with back-off when it
//! dies; writes `ready.json` when all of them serve and again whenever a process id changes; stops everything that it
//! started on SIGTERM or Ctrl-C. Nothing outlives it: every child carries a parent-death signal. The ports are chosen once
//! and kept in the folder, because enrolled agents remember the addresses; while `up` runs no other `up` takes them.

mod config;
mod demo;
mod embedded;
mod layout;
mod ports;
mod programs;
mod ready;
mod reserved;
mod shop;
mod supervisor;

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, bail};
use serde_json::json;
use tokio::{
    signal::unix::{SignalKind, signal},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub(crate) use self::programs::find_mongod;
use self::{layout::Layout, ports::Ports, programs::Programs, ready::Ready, reserved::Reserved, supervisor::Service};
use crate::{args::UpArgs, client::Client, connect::DEFAULT_DIR, output::Output};

/// How long the parts may take to serve after their start: schema, indexes, certificates on a slow disk.
const SERVE_WAIT_MAX: Duration = Duration::from_secs(180);
/// How long stopping may take in all: the daemon closes its heads cleanly.
const STOP_WAIT_MAX: Duration = Duration::from_secs(60);

pub(crate) async fn run(args: UpArgs, dir: Option<PathBuf>, output: &Output) -> anyhow::Result<()> {
    holdfast_service::logging::init();
    let programs = Programs::find(args.mongod.as_deref())?;
    let layout = Layout::create(&dir.unwrap_or_else(|| PathBuf::from(DEFAULT_DIR)))?;
    let _lock = layout.lock()?;
    let mut reserved = Reserved::default();
    let ports = Ports::load_or_choose(&layout, &args, &mut reserved)?;
    let stop = CancellationToken::new();
    let tasks = TaskTracker::new();
    stop_on_signals(stop.clone())?;
    let started = tokio::select! {
        result = start(&args, &programs, &layout, &ports, &stop, &tasks, output) => result,
        () = stop.cancelled() => Ok(()),
    };
    if started.is_ok() {
        stop.cancelled().await;
        output.say("stopping");
    }
    stop.cancel();
    tasks.close();
    let stopped = timeout(STOP_WAIT_MAX, tasks.wait()).await;
    layout.remove_ready();
    started?;
    if stopped.is_err() {
        bail!("not everything stopped within {} s; what is left ends with this process", STOP_WAIT_MAX.as_secs());
    }
    Ok(())
}

async fn start(
    args: &UpArgs,
    programs: &Programs,
    layout: &Layout,
    ports: &Ports,
    stop: &CancellationToken,
    tasks: &TaskTracker,
    output: &Output,
) -> anyhow::Result<()> {
    output.say(&format!("starting Holdfast in {}", layout.dir().display()));
    let ready = Ready::new(layout.ready_file());
    let uri = embedded::start(programs, layout, ports, stop, tasks, &ready).await?;
    config::write(layout, ports, programs, &uri)?;
    programs::run_once(&programs.app, &config::init_arguments(layout), &layout.log("init"))
        .await
        .context("prepare the databases")?;
    let services = config::services(layout, ports, programs);
    for service in services {
        let name = service.name.clone();
        supervisor::supervise(service, stop.clone(), tasks, ready.clone())
            .serving(SERVE_WAIT_MAX)
            .await
            .with_context(|| format!("{name} does not serve; see {}", layout.log(&name).display()))?;
        output.say(&format!("  {name} serves"));
    }
    let key = std::fs::read_to_string(layout.admin_key()).context("read the administrator's key")?.trim().to_owned();
    let (web, ingest) = (ports.web_url(), ports.ingest_url());
    ready.publish(json!({
        "webUrl": web, "ingestUrl": ingest, "caFile": layout.ca_file(), "adminKey": key, "mongoUri": uri,
        "debugPorts": ports.debug(), "killPorts": ports.kill(), "heads": ports.heads,
    }))?;
    output.say(&format!(
        "Holdfast is ready: {web} (API), {ingest} (agents)\n  holdfast --dir {} groups list",
        layout.dir().display()
    ));
    // Gone once someone has claimed the appliance.
    if let Ok(code) = std::fs::read_to_string(layout.setup_code()) {
        let code = code.trim();
        output.say(&format!("  open {web} in a browser and make your account with the set-up code {code}"));
        ready.publish(json!({ "setupCode": code }))?;
    }
    if args.demo {
        let client = Client::new(&web, key, Some(&layout.ca_file()))?;
        demo::start(&demo::Demo { programs, layout, ports, stop, tasks, ready: &ready, client: &client, output })
            .await
            .context("start the demo")?;
    }
    Ok(())
}

/// SIGTERM and Ctrl-C stop everything.
fn stop_on_signals(stop: CancellationToken) -> anyhow::Result<()> {
    let mut term = signal(SignalKind::terminate()).context("watch for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("watch for Ctrl-C")?;
    tokio::spawn(async move {
        tokio::select! { _ = term.recv() => {}, _ = interrupt.recv() => {} }
        stop.cancel();
    });
    Ok(())
}

/// A program with its arguments, for a log or a supervisor.
fn service(name: &str, program: &std::path::Path, arguments: Vec<String>, layout: &Layout) -> Service {
    Service {
        name: name.to_owned(),
        program: program.to_owned(),
        arguments,
        log: layout.log(name),
        ready_file: Some(layout.service_ready(name)),
    }
}
