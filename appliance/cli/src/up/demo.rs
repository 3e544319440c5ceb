//! `--demo`: a three-member replica set with a live workload, an agent beside it, and its backup.

use std::time::Duration;

use anyhow::{Context as _, bail};
use holdfast_mongod::{Member, Mongod, MongodOptions, SetSettings, initiate, wait_primary};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    layout::Layout,
    ports::Ports,
    programs::Programs,
    ready::Ready,
    shop,
    supervisor::{self, Service},
};
use crate::{
    client::{Client, Refused},
    output::{Output, field},
};

/// Name of the demo's group.
const GROUP: &str = "demo";
/// Name of the demo's replica set.
const SET: &str = "demo";
/// Distance of the demo's snapshots: short, so that there is something to look at soon.
const SNAPSHOT_SECONDS: u32 = 60;
/// All of them are kept this long: a list that is worth a look.
const SNAPSHOTS_HOURS: u32 = 2;
const PRIMARY_WAIT: Duration = Duration::from_secs(60);
const FOUND_WAIT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(300);
/// HTTP status of a thing that exists already.
const CONFLICT: u16 = 409;

pub(super) struct Demo<'a> {
    pub(super) programs: &'a Programs,
    pub(super) layout: &'a Layout,
    pub(super) ports: &'a Ports,
    pub(super) stop: &'a CancellationToken,
    pub(super) tasks: &'a TaskTracker,
    pub(super) ready: &'a Ready,
    pub(super) client: &'a Client,
    pub(super) output: &'a Output,
}

pub(super) async fn start(demo: &Demo<'_>) -> anyhow::Result<()> {
    let uri = start_set(demo).await?;
    demo.output.say("  demo replica set runs, with a small shop writing to it");
    demo.tasks.spawn(shop::run(uri.clone(), demo.stop.clone()));
    start_agent(demo).await?;
    back_up(demo, &uri).await?;
    demo.ready.publish(json!({"demo": {"group": GROUP, "rs": SET, "mongoUri": uri}}))?;
    let dir = demo.layout.dir().display();
    demo.output.say(&format!(
        "  its backup has begun; look at it with\n    holdfast --dir {dir} backups show {GROUP}/{SET}\n    \
         holdfast --dir {dir} snapshots list {GROUP}/{SET}\n  and restore a second with\n    \
         holdfast --dir {dir} restore {GROUP}/{SET} --at \"$(date -u +%FT%TZ)\" --wait --to ./restored"
    ));
    Ok(())
}

async fn start_set(demo: &Demo<'_>) -> anyhow::Result<String> {
    let mut first = None;
    for (n, &port) in demo.ports.demo.iter().enumerate() {
        let name = format!("demo{n}");
        let mut options = MongodOptions::plain(&demo.programs.mongod, demo.layout.path(&name), port);
        options.repl_set = Some(SET.to_owned());
        options.oplog_size_mb = Some(990);
        options.log = demo.layout.log(&name);
        options.lock_dir = Some(demo.layout.path("run"));
        let mongod = Mongod::start(options.clone()).await.with_context(|| format!("start {name}"))?;
        first.get_or_insert_with(|| mongod.client());
        demo.ready.pid(&name, Some(mongod.pid()));
        demo.tasks.spawn(keep(name, mongod, options, demo.stop.clone(), demo.ready.clone()));
    }
    let first = first.context("a set has members")?;
    let members: Vec<Member> = demo.ports.demo.iter().map(|&port| Member::local(port)).collect();
    let settings = SetSettings { election_timeout_ms: Some(2000), heartbeat_interval_ms: Some(500) };
    initiate(&first, SET, &members, settings).await.context("make the demo set")?;
    let hosts: Vec<&str> = members.iter().map(|m| m.host.as_str()).collect();
    let uri = format!("mongodb://{}/?replicaSet={SET}", hosts.join(","));
    let client = mongodb::Client::with_uri_str(&uri).await.context("connect to the demo set")?;
    wait_primary(&client, PRIMARY_WAIT).await.context("wait for the demo set's primary")?;
    Ok(uri)
}

/// Starts a member again when it dies.
async fn keep(name: String, mut mongod: Mongod, options: MongodOptions, stop: CancellationToken, ready: Ready) {
    loop {
        tokio::select! {
            _ = mongod.wait() => ready.pid(&name, None),
            () = stop.cancelled() => break,
        }
        drop(mongod);
        mongod = loop {
            tokio::select! { () = sleep(POLL) => {}, () = stop.cancelled() => return }
            match Mongod::start(options.clone()).await {
                Ok(mongod) => break mongod,
                Err(error) => tracing::error!(%error, member = name, "start a demo member again"),
            }
        };
        ready.pid(&name, Some(mongod.pid()));
    }
    if let Err(error) = mongod.stop().await {
        tracing::error!(%error, member = name, "stop a demo member");
    }
}

async fn start_agent(demo: &Demo<'_>) -> anyhow::Result<()> {
    unless_exists(demo.client.post(&["groups"], json!({"name": GROUP})).await)?;
    let state = demo.layout.path("demo-agent");
    let token = demo.client.post(&["groups", GROUP, "enrollTokens"], json!({})).await?;
    let arguments = ["run", "--server", &demo.ports.ingest_url(), "--enroll", &field(&token, "enrollToken"), "--state"];
    let mut arguments: Vec<String> = arguments.into_iter().map(str::to_owned).collect();
    arguments.push(state.to_string_lossy().into_owned());
    let service = Service {
        name: "agent".to_owned(),
        program: demo.programs.agent.clone(),
        arguments,
        log: demo.layout.log("agent"),
        ready_file: None,
    };
    supervisor::supervise(service, demo.stop.clone(), demo.tasks, demo.ready.clone());
    Ok(())
}

async fn back_up(demo: &Demo<'_>, uri: &str) -> anyhow::Result<()> {
    let known = demo.client.get(&["groups", GROUP, "deployments"]).await?;
    let found = |d: &Value| d["rs"] == SET && d["state"] == "found";
    if !known.as_array().is_some_and(|all| all.iter().any(found)) {
        let added = demo.client.post(&["groups", GROUP, "deployments"], json!({"uri": uri})).await?;
        wait_found(demo, &field(&added, "id")).await?;
    }
    unless_exists(demo.client.post(&["groups", GROUP, "backups", SET, "start"], json!({})).await)?;
    let settings = json!({
        "schedule": {"everySeconds": SNAPSHOT_SECONDS, "replayDebtSecondsMax": 600},
        "retention": {
            "recentHours": SNAPSHOTS_HOURS, "sixHourlyDays": 2, "dailyDays": 7, "weeklyWeeks": 4, "monthlyMonths": 12,
            "oplogWindowDays": 7,
        },
    });
    demo.client.patch(&["groups", GROUP, "backups", SET], settings).await?;
    Ok(())
}

async fn wait_found(demo: &Demo<'_>, id: &str) -> anyhow::Result<()> {
    let deadline = Instant::now() + FOUND_WAIT;
    loop {
        let deployment = demo.client.get(&["groups", GROUP, "deployments", id]).await?;
        match deployment["state"].as_str() {
            Some("discovering") if Instant::now() < deadline => sleep(POLL).await,
            Some("found") => return Ok(()),
            _ => bail!("the agent did not find the demo set: {}", field(&deployment, "refusal")),
        }
    }
}

/// At a second start in the same folder everything is there already.
fn unless_exists(answer: anyhow::Result<Value>) -> anyhow::Result<()> {
    match answer {
        Err(error) if error.downcast_ref::<Refused>().is_some_and(|r| r.status == CONFLICT) => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Ok(()),
    }
}
