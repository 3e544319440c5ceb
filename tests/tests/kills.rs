//! kill -9 of every part, at random moments, at least thirty times, while the source is written to: nothing that was
//! acknowledged is lost, and the restores still equal.

#![allow(clippy::unwrap_used, reason = "tests")]

mod instants;

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bson::{Document, doc};
use holdfast_tests::{
    ReplicaSet, ReplicaSetOptions,
    appliance::{Appliance, kill_pid},
    mongod_binary,
    workload::{self, Live},
};
use instants::{Instants, check_restore};
use mongodb::Client;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::time::sleep;

/// Kills in one run.
const KILLS: u32 = 32;
const SYNC_WAIT: Duration = Duration::from_secs(300);
const REACH_WAIT: Duration = Duration::from_secs(300);
/// Operations of the transaction in which the head's mongod is killed.
const LARGE_TRANSACTION_OPS: usize = 50_000;

#[derive(Clone, Copy, Debug)]
enum Part {
    Agent,
    Ingest,
    Web,
    Daemon,
    Head,
    Database,
}

/// In this order, again and again: every part dies at least five times.
const PARTS: [Part; 6] = [Part::Agent, Part::Ingest, Part::Daemon, Part::Head, Part::Database, Part::Web];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_by_kills() -> Result<()> {
    let seed = std::env::var("HOLDFAST_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or_else(rand::random::<u64>);
    println!("seed {seed} (set HOLDFAST_SEED to repeat)");
    let mut rng = StdRng::seed_from_u64(seed);
    let mut appliance = Appliance::start(&mongod_binary()).await?;
    let params = [("enableTestCommands", "1"), ("transactionLifetimeLimitSeconds", "600")];
    let params = params.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let mut set = ReplicaSet::start(3, ReplicaSetOptions { params, ..ReplicaSetOptions::default() }).await?;
    let client = set.client();
    fill(&client).await?;
    let live = Live::start(&client, seed).await?;
    let backup = appliance.back_up("prod", &set.uri()).await?;

    // In mid-scan: the agent dies, the last documents go, and the members change.
    sleep(Duration::from_millis(1500)).await;
    appliance.kill_agent(0)?;
    let filler = client.database("fill").collection::<Document>("c0");
    filler.delete_many(doc! {"_id": {"$gte": 15_000}}).await?;
    set.step_down().await?;
    appliance.kill_agent(0)?;
    appliance.kill_part("ingest")?;
    sleep(Duration::from_secs(1)).await;
    appliance.kill_part("daemon")?;
    appliance.wait_active(&backup, SYNC_WAIT).await?;

    let mut instants = Instants::default();
    let mut killed = 4;
    while killed < KILLS {
        let part = PARTS[killed as usize % PARTS.len()];
        sleep(Duration::from_millis(rng.random_range(300..3000))).await;
        if matches!(part, Part::Head) {
            large_transaction(&client, killed).await?;
        }
        if strike(&mut appliance, part).await? {
            killed += 1;
            println!("{killed}: {part:?}");
        }
        if killed % 6 == 0 {
            live.pause().await;
            instants.record(&client, &format!("after {killed} kills")).await?;
            live.resume();
        }
    }
    live.stop().await?;
    let newest = instants.record(&client, "after all kills").await?;
    let shown = appliance.wait_restorable(&backup, newest, REACH_WAIT).await?;
    ensure!(shown["chain"] == 0, "a chain was closed although nothing called for it: {shown}\n{}", appliance.logs());
    for instant in instants.all() {
        check_restore(&appliance, &backup, instant).await?;
    }
    appliance.stop().await.context("stop the appliance")
}

/// Enough for an initial sync that takes some seconds.
async fn fill(client: &Client) -> Result<()> {
    for collection in ["c0", "c1", "c2"] {
        let target = client.database("fill").collection::<Document>(collection);
        for start in (0..20_000).step_by(2000) {
            let text = "the part of kelp that grips the rock ".repeat(25);
            target.insert_many((start..start + 2000).map(|n| doc! {"_id": n, "n": n, "text": &text})).await?;
        }
        let index = mongodb::IndexModel::builder().keys(doc! {"n": 1}).build();
        target.create_index(index).await?;
    }
    Ok(())
}

async fn large_transaction(client: &Client, number: u32) -> Result<()> {
    if number % 4 == 0 {
        workload::many_ops_transaction(client, LARGE_TRANSACTION_OPS).await?;
    }
    Ok(())
}

/// Kills one part; false when it is down at this moment.
async fn strike(appliance: &mut Appliance, part: Part) -> Result<bool> {
    let name = match part {
        Part::Agent => {
            appliance.kill_agent(0)?;
            return Ok(true);
        }
        Part::Head => {
            for _ in 0..50 {
                if let Some(pid) = appliance.head_pids().first() {
                    return Ok(kill_pid(*pid).is_ok());
                }
                sleep(Duration::from_millis(100)).await;
            }
            return Ok(false);
        }
        Part::Ingest => "ingest",
        Part::Web => "web",
        Part::Daemon => "daemon",
        Part::Database => "mongod",
    };
    for _ in 0..100 {
        if appliance.pid(name).is_some() {
            return Ok(appliance.kill_part(name).is_ok());
        }
        sleep(Duration::from_millis(100)).await;
    }
    Ok(false)
}
