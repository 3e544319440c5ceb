//! kill -9 of every part at random moments while the source is written to, and while restores are made: nothing that was acknowledged is
//! lost, nothing is taken for a divergence that is none, and the restores still equal.
//!
//! Thirty kills and more in the ordinary suite; `scripts/endurance` makes several rounds of it in one appliance (`HOLDFAST_KILL_ROUNDS`).

use std::time::{Duration, Instant as Clock};

use crate::instants::{Instant, Instants, check_restore};
use anyhow::{Context as _, Result, ensure};
use bson::{Document, doc};
use holdfast_tests::{
    ReplicaSet, ReplicaSetOptions,
    appliance::Appliance,
    mongod_binary,
    processes::kill_pid,
    workload::{self, Live},
};
use mongodb::Client;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::Value;
use tokio::time::sleep;

/// Least number of kills in one round.
const KILLS_MIN: u32 = 30;
const SYNC_WAIT: Duration = Duration::from_secs(300);
const REACH_WAIT: Duration = Duration::from_secs(300);
/// Operations of the transaction in which the head's mongod is killed.
const LARGE_TRANSACTION_OPS: usize = 50_000;
/// Longest pause between two kills.
const PAUSE_MAX: Duration = Duration::from_millis(1800);
/// How often a part is looked for before it is said to be down, and the distance.
const LOOKS: u32 = 600;
const LOOK_EVERY: Duration = Duration::from_millis(50);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Agent,
    Ingest,
    Web,
    Daemon,
    Head,
    Database,
    /// The mongod that makes a restore.
    Restore,
}

/// While the source is written to. Parts that `up` starts again with a growing pause die less often than the others.
const STEADY: [Part; 18] = [
    Part::Agent,
    Part::Head,
    Part::Ingest,
    Part::Head,
    Part::Database,
    Part::Agent,
    Part::Daemon,
    Part::Head,
    Part::Web,
    Part::Agent,
    Part::Head,
    Part::Ingest,
    Part::Database,
    Part::Agent,
    Part::Daemon,
    Part::Head,
    Part::Web,
    Part::Agent,
];
/// While restores are made, one after the other. A restore survives three failures of its own mongod.
const IN_RESTORES: [&[Part]; 4] = [
    &[Part::Restore, Part::Restore, Part::Restore],
    &[Part::Daemon, Part::Restore],
    &[Part::Restore, Part::Database],
    &[Part::Restore, Part::Daemon],
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_by_kills() -> Result<()> {
    let _turn = crate::turn().await;
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = number("HOLDFAST_SEED").unwrap_or_else(rand::random::<u64>);
    let rounds = number("HOLDFAST_KILL_ROUNDS").unwrap_or(1).max(1);
    println!("seed {seed} (set HOLDFAST_SEED to repeat), rounds {rounds}");
    let mut run = Run::start(seed).await?;
    run.in_mid_scan().await?;
    let mut instants = Instants::default();
    for round in 1..=rounds {
        let before = run.killed;
        run.steady(&mut instants).await?;
        run.live.pause().await;
        let newest = instants.record(&run.client, &format!("after {} kills", run.killed)).await?;
        run.live.resume();
        let shown = run.appliance.wait_restorable(&run.backup, newest, REACH_WAIT).await?;
        run.one_chain(&shown)?;
        run.in_restores(&instants).await?;
        println!("{} s: round {round}: {} kills", run.since.elapsed().as_secs(), run.killed - before);
    }
    run.end(&instants).await
}

/// An appliance, a source, and how often something was killed.
struct Run {
    appliance: Appliance,
    set: ReplicaSet,
    client: Client,
    live: Live,
    backup: String,
    rng: StdRng,
    killed: u32,
    since: Clock,
}

impl Run {
    async fn start(seed: u64) -> Result<Self> {
        let since = Clock::now();
        let mut appliance = Appliance::start(&mongod_binary()).await?;
        let set = ReplicaSet::start(3, ReplicaSetOptions::default()).await?;
        let client = set.client();
        fill(&client).await?;
        let live = Live::start(&client, seed).await?;
        let backup = appliance.back_up("prod", &set.uri()).await?;
        Ok(Self { appliance, set, client, live, backup, rng: StdRng::seed_from_u64(seed), killed: 0, since })
    }

    /// In the initial sync: the agent dies, what it sent last goes, the member that it reads from becomes another's secondary.
    async fn in_mid_scan(&mut self) -> Result<()> {
        let scanning = |shown: &Value| shown["agentReport"]["progress"]["done"].as_u64().is_some_and(|done| done > 0);
        let begun = |shown: &Value| scanning(shown) || shown["state"] != "initialSync";
        self.appliance.wait_backup(&self.backup, SYNC_WAIT, begun).await?;
        self.strike(Part::Agent).await?;
        for collection in ["c0", "c1", "c2"] {
            let filler = self.client.database("fill").collection::<Document>(collection);
            filler.delete_many(doc! {"_id": {"$gte": 1000, "$lt": 15_000}}).await?;
        }
        self.set.step_down().await?;
        self.strike(Part::Agent).await?;
        self.strike(Part::Ingest).await?;
        sleep(Duration::from_secs(1)).await;
        self.strike(Part::Daemon).await?;
        let shown = self.appliance.wait_active(&self.backup, SYNC_WAIT).await?;
        self.one_chain(&shown)
    }

    async fn steady(&mut self, instants: &mut Instants) -> Result<()> {
        workload::many_ops_transaction(&self.client, LARGE_TRANSACTION_OPS).await?;
        for (n, part) in STEADY.into_iter().enumerate() {
            let pause = self.rng.random_range(Duration::from_millis(200)..PAUSE_MAX);
            sleep(pause).await;
            self.strike(part).await?;
            if n % 6 == 5 {
                self.live.pause().await;
                instants.record(&self.client, &format!("after {} kills", self.killed)).await?;
                self.live.resume();
            }
        }
        Ok(())
    }

    /// Restores the last instants while what makes them is killed; each ends well, and equal.
    async fn in_restores(&mut self, instants: &Instants) -> Result<()> {
        let newest: Vec<&Instant> = instants.all().iter().rev().take(IN_RESTORES.len()).collect();
        for (instant, strikes) in newest.into_iter().cycle().zip(IN_RESTORES) {
            let pauses: Vec<u64> = strikes.iter().map(|_| self.rng.random_range(0..600)).collect();
            let kills = strike_in_restore(&self.appliance, strikes, &pauses);
            let (restored, struck) = tokio::join!(check_restore(&self.appliance, &self.backup, instant), kills);
            restored.with_context(|| format!("a restore under {strikes:?}"))?;
            self.killed += struck?;
        }
        Ok(())
    }

    /// Kills a part; waits for it when it is down at this moment.
    async fn strike(&mut self, part: Part) -> Result<()> {
        if part == Part::Agent {
            self.appliance.kill_agent(0)?;
        } else {
            strike(&self.appliance, part).await?;
        }
        self.killed += 1;
        println!("{} s: {}: {part:?}", self.since.elapsed().as_secs(), self.killed);
        Ok(())
    }

    fn one_chain(&self, shown: &Value) -> Result<()> {
        let same = shown["chain"] == 0 && shown["closed"].is_null();
        ensure!(same, "a chain was closed although nothing called for it: {shown}\n{}", self.appliance.logs());
        Ok(())
    }

    async fn end(self, instants: &Instants) -> Result<()> {
        ensure!(self.killed >= KILLS_MIN, "only {} kills", self.killed);
        self.live.stop().await?;
        // The others were restored under fire; the oldest one has seen it all.
        let oldest = instants.all().first().context("an instant")?;
        check_restore(&self.appliance, &self.backup, oldest).await?;
        println!("{} s: {} kills", self.since.elapsed().as_secs(), self.killed);
        self.appliance.stop().await.context("stop the appliance")
    }
}

/// Enough for an initial sync that takes some seconds.
async fn fill(client: &Client) -> Result<()> {
    for collection in ["c0", "c1", "c2"] {
        let target = client.database("fill").collection::<Document>(collection);
        for start in (0..16_000).step_by(2000) {
            let text = "the part of kelp that grips the rock ".repeat(25);
            target.insert_many((start..start + 2000).map(|n| doc! {"_id": n, "n": n, "text": &text})).await?;
        }
        let index = mongodb::IndexModel::builder().keys(doc! {"n": 1}).build();
        target.create_index(index).await?;
    }
    Ok(())
}

/// Kills parts while a restore is made; the number of kills. The restore may be done before all are struck.
async fn strike_in_restore(appliance: &Appliance, parts: &[Part], pauses: &[u64]) -> Result<u32> {
    let mut killed = 0;
    let mut seen: Vec<u32> = Vec::new();
    for (part, pause) in parts.iter().zip(pauses) {
        // A mongod of this restore that was not struck yet: the restore is in its midst.
        let Some(pid) = new_restore_mongod(appliance, &seen).await else { break };
        sleep(Duration::from_millis(*pause)).await;
        if *part == Part::Restore {
            seen.push(pid);
            // It may have ended by itself meanwhile.
            if kill_pid(pid).is_err() {
                continue;
            }
        } else {
            strike(appliance, *part).await?;
            seen.push(pid);
        }
        killed += 1;
        println!("in a restore: {part:?}");
    }
    Ok(killed)
}

async fn new_restore_mongod(appliance: &Appliance, seen: &[u32]) -> Option<u32> {
    for _ in 0..LOOKS {
        if let Some(pid) = appliance.restore_pids().into_iter().find(|pid| !seen.contains(pid)) {
            return Some(pid);
        }
        sleep(LOOK_EVERY).await;
    }
    None
}

async fn strike(appliance: &Appliance, part: Part) -> Result<()> {
    for _ in 0..LOOKS {
        let pid = match part {
            Part::Head => appliance.head_pids().first().copied(),
            Part::Restore => appliance.restore_pids().first().copied(),
            Part::Ingest => appliance.pid("ingest"),
            Part::Web => appliance.pid("web"),
            Part::Daemon => appliance.pid("daemon"),
            Part::Database => appliance.pid("mongod"),
            Part::Agent => None,
        };
        // Gone between the look and the kill: look again.
        if pid.is_some_and(|pid| kill_pid(pid).is_ok()) {
            return Ok(());
        }
        sleep(LOOK_EVERY).await;
    }
    anyhow::bail!("{part:?} was down for {:?}\n{}", LOOK_EVERY * LOOKS, appliance.logs())
}
