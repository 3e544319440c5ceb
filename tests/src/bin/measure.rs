//! Measures the spine on this machine, all processes together, and holds each number against its target.
//!
//! Run by `scripts/measure` on release builds. Prints one line per number: `NAME VALUE UNIT target T met|MISSED`. It never
//! fails because of a number: a machine may be busy; it fails when something does not work.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use bson::{Document, Timestamp, doc};
use futures::future::try_join_all;
use holdfast_domain::Ts;
use holdfast_tests::{
    ReplicaSet, ReplicaSetOptions,
    appliance::Appliance,
    cpu::{CpuWatch, peak_resident_bytes},
    mongod_binary,
};
use mongodb::Client;
use serde_json::Value;
use tokio::time::sleep;

const MB: f64 = 1e6;
/// Documents of the initial sync: 1 KB each.
const DOCUMENTS: i64 = 700_000;
const COLLECTIONS: i64 = 4;
const BATCH: i64 = 2000;
/// Small operations of the catch-up.
const SMALL_OPS: i64 = 600_000;
/// Updates, one by one, whose cost at the agent and at the primary is compared.
const UPDATES: i64 = 40_000;
/// Writes whose way to "restorable" is timed.
const PROBES: usize = 60;
const LONG: Duration = Duration::from_secs(900);

fn report(name: &str, value: f64, unit: &str, target: &str, met: bool) {
    println!("{name:<44} {value:>10.2} {unit:<8} target {target:<12} {}", if met { "met" } else { "MISSED" });
}

/// Watches every process that takes part.
fn watch(appliance: &Appliance, set: &ReplicaSet, agent: bool) -> Result<CpuWatch> {
    let mut parts = vec![("source".to_owned(), set.member(0)?.pid())];
    if agent {
        parts.push(("agent".to_owned(), appliance.agent_pid(0)));
    }
    for part in ["web", "ingest", "daemon", "mongod"] {
        parts.push((part.to_owned(), appliance.pid(part).with_context(|| format!("{part} runs"))?));
    }
    parts.extend(appliance.head_pids().into_iter().map(|pid| ("heads".to_owned(), pid)));
    CpuWatch::start(parts)
}

fn say(mut watch: CpuWatch, appliance: &Appliance) -> Result<()> {
    for pid in appliance.head_pids() {
        watch.joined("heads", pid);
    }
    println!("  {}", watch.line()?);
    Ok(())
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut appliance = Appliance::start(&mongod_binary()).await?;
    let set = ReplicaSet::start(1, ReplicaSetOptions { ..ReplicaSetOptions::default() }).await?;
    let client = set.client();
    let bytes = fill(&client).await?;

    let backup = initial_sync(&mut appliance, &set, bytes).await?;
    let first = snapshot(&appliance, &backup, "first").await?;
    churn(&client).await?;
    reach(&appliance, &backup, &client).await?;
    let second = snapshot(&appliance, &backup, "after 1.5 % churn").await?;
    snapshots(&appliance, &backup, first, second).await?;
    latency(&appliance, &backup, &client).await?;
    agent_cpu(&appliance, &backup, &set, &client).await?;
    catch_up(&appliance, &backup, &set, &client).await?;
    for part in ["daemon", "ingest"] {
        let peak = peak_resident_bytes(appliance.pid(part).with_context(|| format!("{part} runs"))?)?;
        report(&format!("{part}: peak resident"), peak / MB, "MB", "<= 256", peak <= 256.0 * 1_048_576.0);
    }
    let peak = peak_resident_bytes(appliance.agent_pid(0))?;
    report("agent: peak resident", peak / MB, "MB", "<= 128", peak <= 128.0 * 1_048_576.0);
    appliance.stop().await
}

/// Documents of about 1 KB that compress by half, with two indexes; their bytes.
async fn fill(client: &Client) -> Result<f64> {
    let work = (0..COLLECTIONS).map(|c| async move {
        let target = client.database("measure").collection::<Document>(&format!("c{c}"));
        for key in ["n", "word"] {
            target.create_index(mongodb::IndexModel::builder().keys(doc! {key: 1}).build()).await?;
        }
        for start in (0..DOCUMENTS / COLLECTIONS).step_by(usize::try_from(BATCH)?) {
            target.insert_many((start..start + BATCH).map(document)).await?;
        }
        anyhow::Ok(())
    });
    try_join_all(work).await?;
    let stats = client.database("measure").run_command(doc! {"dbStats": 1}).await?;
    bson_number(&stats, "dataSize")
}

fn document(n: i64) -> Document {
    let noise: Vec<u8> = (0..450).map(|_| rand::random()).collect();
    let noise = bson::Binary { subtype: bson::spec::BinarySubtype::Generic, bytes: noise };
    doc! {"_id": n, "n": n * 7919 % 1_000_003, "word": format!("w{}", n % 5000), "noise": noise, "text": "kelp ".repeat(90)}
}

fn bson_number(doc: &Document, name: &str) -> Result<f64> {
    let value = doc.get(name).with_context(|| format!("{name} in the answer"))?;
    value
        .as_f64()
        .or_else(|| value.as_i64().map(|n| n as f64))
        .or_else(|| value.as_i32().map(f64::from))
        .context("a number")
}

async fn initial_sync(appliance: &mut Appliance, set: &ReplicaSet, bytes: f64) -> Result<String> {
    let (since, mut cpu) = (Instant::now(), watch(appliance, set, false)?);
    let backup = appliance.back_up("measure", &set.uri()).await?;
    cpu.joined("agent", appliance.agent_pid(0));
    let open = |b: &Value| b["state"] == "catchingUp" || b["state"] == "active";
    appliance.wait_backup(&backup, LONG, open).await?;
    let rate = bytes / MB / since.elapsed().as_secs_f64();
    report("initial sync until the head has its indexes", rate, "MB/s", ">= 40", rate >= 40.0);
    say(cpu, appliance)?;
    appliance.wait_active(&backup, LONG).await?;
    Ok(backup)
}

async fn snapshot(appliance: &Appliance, backup: &str, label: &str) -> Result<f64> {
    let since = Instant::now();
    appliance.cli(&["snapshots", "take", backup, "--label", label, "--wait"]).await?;
    Ok(since.elapsed().as_secs_f64())
}

/// The first snapshot is the one that the initial sync ended with; its time stands in the daemon's own record.
async fn snapshots(appliance: &Appliance, backup: &str, unchanged: f64, churned: f64) -> Result<()> {
    let all = appliance.cli(&["snapshots", "list", backup]).await?;
    let all = all.as_array().context("a list")?;
    let seconds = |s: &Value| s["tookSeconds"].as_f64();
    let first =
        all.iter().filter_map(|s| Some((s["at"].as_str()?.to_owned(), seconds(s)?))).min_by(|a, b| a.0.cmp(&b.0));
    let first = first.context("the first snapshot's time")?.1;
    let last =
        all.iter().filter(|s| s["label"] == "after 1.5 % churn").find_map(seconds).context("the last one's time")?;
    println!(
        "  first snapshot {first:.2} s, unchanged {unchanged:.2} s, after 1.5 % churn {last:.2} s ({churned:.2} s as asked for)"
    );
    let ratio = last / first;
    report("incremental snapshot / first snapshot", ratio, "", "<= 0.25", ratio <= 0.25);
    Ok(())
}

/// 1.5 % of the documents, in runs: what an application that appends and touches recent data does.
async fn churn(client: &Client) -> Result<()> {
    for c in 0..COLLECTIONS {
        let each = DOCUMENTS / COLLECTIONS * 15 / 1000;
        let range = doc! {"_id": {"$gte": 1000, "$lt": 1000 + each}};
        client
            .database("measure")
            .collection::<Document>(&format!("c{c}"))
            .update_many(range, doc! {"$set": {"touched": true}})
            .await?;
    }
    Ok(())
}

async fn newest(client: &Client) -> Result<Ts> {
    let note = doc! {"appendOplogNote": 1, "data": {"measure": 1}};
    let answer = client.database("admin").run_command(note).await?;
    Ok(Timestamp::into(answer.get_timestamp("operationTime")?))
}

async fn reach(appliance: &Appliance, backup: &str, client: &Client) -> Result<()> {
    let at = newest(client).await?;
    appliance.wait_restorable(backup, at, LONG).await?;
    let applied = |b: &Value| b["headOptime"]["t"].as_u64() >= Some(u64::from(at.t));
    appliance.wait_backup(backup, LONG, applied).await?;
    Ok(())
}

async fn latency(appliance: &Appliance, backup: &str, client: &Client) -> Result<()> {
    let mut seconds = Vec::new();
    for n in 0..PROBES {
        let target = client.database("measure").collection::<Document>("probe");
        target.insert_one(doc! {"n": i64::try_from(n)?}).await?;
        let since = Instant::now();
        let at = newest(client).await?;
        appliance.wait_restorable(backup, at, LONG).await?;
        seconds.push(since.elapsed().as_secs_f64());
        sleep(Duration::from_millis(rand::random_range(0..400))).await;
    }
    seconds.sort_by(f64::total_cmp);
    let p99 = seconds[(seconds.len() * 99 / 100).min(seconds.len() - 1)];
    println!("  write to restorable: median {:.2} s", seconds[seconds.len() / 2]);
    report("write to restorable, p99", p99, "s", "<= 10", p99 <= 10.0);
    Ok(())
}

async fn small_ops(client: &Client, count: i64) -> Result<()> {
    let work = (0..4).map(|w| async move {
        let target = client.database("measure").collection::<Document>(&format!("small{w}"));
        for start in (0..count / 4).step_by(1000) {
            target.insert_many((start..start + 1000).map(|_| doc! {"n": start, "w": w})).await?;
        }
        anyhow::Ok(())
    });
    try_join_all(work).await?;
    Ok(())
}

async fn agent_cpu(appliance: &Appliance, backup: &str, set: &ReplicaSet, client: &Client) -> Result<()> {
    reach(appliance, backup, client).await?;
    let cpu = watch(appliance, set, true)?;
    let writers = (0..COLLECTIONS).map(|c| async move {
        let target = client.database("measure").collection::<Document>(&format!("c{c}"));
        for n in 0..UPDATES / COLLECTIONS {
            let change = doc! {"$inc": {"count": 1}, "$set": {"word": format!("w{n}")}};
            // Not waiting for the journal: the measure would be of the disk.
            let unjournaled = mongodb::options::WriteConcern::nodes(1);
            target.update_one(doc! {"_id": n * 7 % 100_000}, change).write_concern(unjournaled).await?;
        }
        anyhow::Ok(())
    });
    try_join_all(writers).await?;
    let at = newest(client).await?;
    appliance.wait_restorable(backup, at, LONG).await?;
    let share = 100.0 * cpu.of("agent") / cpu.of("source");
    report("agent's CPU / source primary's CPU", share, "%", "<= 15", share <= 15.0);
    say(cpu, appliance)
}

/// The daemon sleeps while the ledger grows, then catches up.
async fn catch_up(appliance: &Appliance, backup: &str, set: &ReplicaSet, client: &Client) -> Result<()> {
    reach(appliance, backup, client).await?;
    let daemon = nix::unistd::Pid::from_raw(i32::try_from(appliance.pid("daemon").context("the daemon runs")?)?);
    nix::sys::signal::kill(daemon, nix::sys::signal::Signal::SIGSTOP)?;
    let grown = async {
        small_ops(client, SMALL_OPS).await?;
        let at = newest(client).await?;
        appliance.wait_restorable(backup, at, LONG).await?;
        anyhow::Ok(at)
    };
    let at = grown.await;
    nix::sys::signal::kill(daemon, nix::sys::signal::Signal::SIGCONT)?;
    let (at, since, cpu) = (at?, Instant::now(), watch(appliance, set, true)?);
    let applied = |b: &Value| b["headOptime"]["t"].as_u64() >= Some(u64::from(at.t));
    appliance.wait_backup(backup, LONG, applied).await?;
    let rate = SMALL_OPS as f64 / since.elapsed().as_secs_f64();
    report("catch-up of a stored ledger", rate, "ops/s", ">= 20000", rate >= 20_000.0);
    say(cpu, appliance)
}
