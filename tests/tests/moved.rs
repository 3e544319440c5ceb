//! Two daemons with different room and labels: a new backup goes to the one that fits; by command it moves to the other and back while the
//! source is written to, without a second initial sync; and a document that is flipped in a head is found by the proof and healed.

use std::{collections::BTreeSet, time::Duration};

use crate::instants::{Instants, check_restore};
use anyhow::{Context as _, Result, ensure};
use bson::{Document, doc};
use holdfast_tests::{
    ReplicaSet, ReplicaSetOptions,
    appliance::Appliance,
    extra_daemon::{DaemonOptions, ExtraDaemon},
    mongod_binary,
    workload::Live,
};
use mongodb::Client;
use serde_json::Value;
use tokio::time::{Instant, sleep};

const SYNC_WAIT: Duration = Duration::from_secs(300);
const WAIT: Duration = Duration::from_secs(180);
const POLL: Duration = Duration::from_millis(200);
/// What the agent says once per initial sync.
const SYNCED: &str = "the initial sync is complete";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_moves_without_a_new_sync_and_a_flipped_head_is_healed() -> Result<()> {
    let _turn = crate::turn().await;
    let mut appliance = Appliance::start(&mongod_binary()).await?;
    let cold = DaemonOptions {
        name: "cold".into(),
        labels: vec!["cold".into(), "hdd".into()],
        head_bytes_max: 8 << 30,
        proof_every_seconds: 0,
    };
    let cold = ExtraDaemon::start(&appliance, &cold).await?;
    both_are_listed(&appliance).await?;

    let set = ReplicaSet::start(1, ReplicaSetOptions::default()).await?;
    let client = set.client();
    // Nothing that the load does touches this one: what is flipped in it stays flipped.
    let quiet = client.database("quiet").collection::<Document>("ledger");
    quiet.insert_many((0..2000).map(|n| doc! {"_id": n, "balance": n * 7})).await?;
    let live = Live::start(&client, 11).await?;
    let backup = appliance.back_up_on("prod", &set.uri(), &["cold", "hdd"]).await?;
    let shown = appliance.wait_active(&backup, SYNC_WAIT).await?;
    ensure!(shown["daemon"] == "cold" && shown["chain"] == 0, "the labels decide: {shown}");

    let mut instants = Instants::default();
    record(&mut instants, &client, &live, "before the move").await?;
    let states = move_to(&appliance, &backup, "local", &mut instants, &client, &live).await?;
    ensure!(states.iter().all(|s| s == "active" || s == "catchingUp"), "no sync while it moved: {states:?}");
    record(&mut instants, &client, &live, "after the move").await?;
    let log = std::fs::read_to_string(appliance.dir().join("logs/daemon.log"))?;
    ensure!(log.contains("rebuild the head") && !log.contains("initial load done"), "rebuilt, not loaded:\n{log}");
    move_to(&appliance, &backup, "cold", &mut instants, &client, &live).await?;
    ensure!(cold.log().matches("initial load done").count() == 1, "back by its snapshot too:\n{}", cold.log());

    flip_and_heal(&appliance, &cold, &backup).await?;
    record(&mut instants, &client, &live, "after the head was healed").await?;
    live.stop().await?;
    let newest = instants.record(&client, "the newest second").await?;
    let shown = appliance.wait_restorable(&backup, newest, WAIT).await?;
    ensure!(shown["chain"] == 0 && shown["closed"].is_null(), "one chain through it all: {shown}");
    let agent = std::fs::read_to_string(appliance.dir().join("logs/agent.log"))?;
    ensure!(agent.matches(SYNCED).count() == 1, "one initial sync in all:\n{agent}");
    for instant in instants.all() {
        check_restore(&appliance, &backup, instant).await?;
    }
    cold.stop().await?;
    appliance.stop().await.context("stop the appliance")
}

async fn both_are_listed(appliance: &Appliance) -> Result<()> {
    let daemons = appliance.cli(&["daemons", "list"]).await?;
    let of = |name: &str| daemons.as_array().into_iter().flatten().find(|d| d["name"] == name).cloned();
    let (local, cold) = (of("local").context("local")?, of("cold").context("cold")?);
    let has = |daemon: &Value, label: &str| daemon["labels"].as_array().is_some_and(|all| all.contains(&label.into()));
    ensure!(has(&cold, "hdd") && !has(&local, "hdd"), "labels of their own: {daemons}");
    ensure!(cold["freeBytes"].as_u64() <= Some(8 << 30), "room of its own: {daemons}");
    Ok(())
}

async fn record(instants: &mut Instants, client: &Client, live: &Live, what: &str) -> Result<()> {
    instants.sample_busy(client, live, 1, what).await?;
    live.pause().await;
    instants.record(client, what).await?;
    live.resume();
    Ok(())
}

/// Moves the backup by command while the load goes on, and records instants meanwhile; the states that it went through.
async fn move_to(
    appliance: &Appliance,
    backup: &str,
    daemon: &str,
    instants: &mut Instants,
    client: &Client,
    live: &Live,
) -> Result<BTreeSet<String>> {
    let asked = appliance.cli(&["backups", "move", backup, daemon]).await?;
    let before = live.counts().total();
    let head_before = seconds(&asked["headOptime"]);
    record(instants, client, live, &format!("while it moves to {daemon}")).await?;
    let mut states = BTreeSet::new();
    let since = Instant::now();
    loop {
        let shown = appliance.cli(&["backups", "show", backup]).await?;
        states.insert(shown["state"].as_str().unwrap_or("none").to_owned());
        ensure!(shown["chain"] == 0, "the chain goes on: {shown}");
        // There, and further than it was when it left.
        if shown["daemon"] == daemon && shown["state"] == "active" && seconds(&shown["headOptime"]) > head_before + 2 {
            break;
        }
        ensure!(since.elapsed() < WAIT, "it did not move to {daemon}: {shown}\n{}", appliance.logs());
        sleep(POLL).await;
    }
    ensure!(live.counts().total() > before, "the source was written to all the time");
    Ok(states)
}

fn seconds(optime: &Value) -> u64 {
    optime["t"].as_u64().unwrap_or(0)
}

/// A value changes in the open head behind everyone's back: no operation fails, only the proof can tell.
async fn flip_and_heal(appliance: &Appliance, cold: &ExtraDaemon, backup: &str) -> Result<()> {
    take_and_see(appliance, backup, "good").await?;
    let head = cold.head_client().await?;
    let flipped = head.database("quiet").collection::<Document>("ledger");
    let done = flipped.update_one(doc! {"_id": 1234}, doc! {"$set": {"balance": 1}}).await?;
    ensure!(done.modified_count == 1, "{done:?}");
    take_and_see(appliance, backup, "damaged").await?;
    let log = cold.log();
    ensure!(log.contains("quiet.ledger has another content"), "the proof says where:\n{log}");
    // The head that was rebuilt leads to a snapshot that is proved against the ledger again.
    take_and_see(appliance, backup, "good").await?;
    let head = cold.head_client().await?;
    let healed = head.database("quiet").collection::<Document>("ledger").find_one(doc! {"_id": 1234}).await?;
    ensure!(healed == Some(doc! {"_id": 1234, "balance": 1234 * 7}), "healed: {healed:?}");
    Ok(())
}

/// Takes a snapshot and waits for what its proof says.
async fn take_and_see(appliance: &Appliance, backup: &str, proof: &str) -> Result<()> {
    let taken = appliance.cli(&["snapshots", "take", backup, "--wait"]).await?;
    let since = Instant::now();
    loop {
        let all = appliance.cli(&["snapshots", "list", backup]).await?;
        let found = all.as_array().into_iter().flatten().find(|s| s["id"] == taken["id"]).cloned();
        let found = found.context("the snapshot is listed")?;
        if found["proof"] == proof {
            return Ok(());
        }
        let other = ["good", "damaged", "failed"].iter().any(|word| *word != proof && found["proof"] == *word);
        // A failed proof is told before its snapshot is marked.
        let wrong = other && !(proof == "damaged" && found["proof"] == "failed");
        ensure!(!wrong && since.elapsed() < WAIT, "a snapshot shall be {proof}: {found}\n{}", appliance.logs());
        sleep(POLL).await;
    }
}
