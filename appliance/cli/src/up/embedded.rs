//! The embedded MongoDB: app database and blockstore of an appliance in a folder.

use std::time::Duration;

use anyhow::Context as _;
use holdfast_mongod::{Mongod, MongodOptions, create_keyfile, start_embedded};
use tokio::time::sleep;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{layout::Layout, ports::Ports, programs::Programs, ready::Ready};

/// Name in `pids` of the ready file.
const NAME: &str = "mongod";
/// Name of the embedded replica set.
const SET: &str = "holdfast";
/// Cache of the embedded server, GiB: small, since what it stores is written once and read in order.
const CACHE_GB: f64 = 0.5;
const PAUSE: Duration = Duration::from_secs(1);

/// Starts it, keeps it alive, and returns its connection string.
pub(super) async fn start(
    programs: &Programs,
    layout: &Layout,
    ports: &Ports,
    stop: &CancellationToken,
    tasks: &TaskTracker,
    ready: &Ready,
) -> anyhow::Result<String> {
    let keyfile = layout.data().join("mongod.key");
    create_keyfile(&keyfile).context("make the embedded database's key")?;
    let mut options = MongodOptions::embedded(&programs.mongod, layout.path("db"), ports.mongod, &keyfile, SET);
    options.log = layout.log(NAME);
    options.cache_gb = CACHE_GB;
    // The folder's lock says that no other `up` runs here, so its lock and pid file may lie beside the logs.
    options.lock_dir = Some(layout.path("run"));
    let mongod = start_embedded(options.clone()).await.context("start the embedded database")?;
    let uri = mongod.set_uri().context("the embedded database is a replica set")?;
    ready.pid(NAME, Some(mongod.pid()));
    tasks.spawn(keep(mongod, options, stop.clone(), ready.clone(), tasks.clone()));
    Ok(uri)
}

async fn keep(mut mongod: Mongod, options: MongodOptions, stop: CancellationToken, ready: Ready, tasks: TaskTracker) {
    loop {
        tokio::select! {
            status = mongod.wait() => tracing::warn!(%status, "the embedded database ended"),
            () = stop.cancelled() => break,
        }
        ready.pid(NAME, None);
        drop(mongod);
        mongod = loop {
            tokio::select! { () = sleep(PAUSE) => {}, () = stop.cancelled() => return }
            match start_embedded(options.clone()).await {
                Ok(mongod) => break mongod,
                Err(error) => tracing::error!(%error, "start the embedded database again"),
            }
        };
        ready.pid(NAME, Some(mongod.pid()));
    }
    // Last of all: the others write until they have stopped.
    while tasks.len() > 1 {
        sleep(PAUSE / 10).await;
    }
    if let Err(error) = mongod.stop().await {
        tracing::error!(%error, "stop the embedded database");
    }
}
