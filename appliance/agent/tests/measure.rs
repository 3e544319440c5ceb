//! Bounds that hold whatever the sizes: memory with documents of 16 MB everywhere, time of a write to the ledger, CPU beside the primary's.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::time::{Duration, Instant};

use bson::{Document, doc};
use holdfast_tests::{ReplicaSet, ReplicaSetOptions};
use support::{Agent, fake::Fake, source, wait};

/// Resident memory of the agent at most, in megabytes.
const MEMORY_MEGABYTES_MAX: u64 = 128;
/// A write is at the server within this time, the slowest of many; restorable within 10 s in all.
const LEDGER_DELAY_MAX: Duration = Duration::from_secs(5);

/// User and system time of a process, in seconds.
fn cpu_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    ticks / 100.0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_stays_below_its_bound_with_the_largest_documents() {
    let set = ReplicaSet::start(1, ReplicaSetOptions { cache_gb: 0.5, ..ReplicaSetOptions::default() }).await.unwrap();
    let fake = Fake::start(set.name(), &set.uri()).await;
    let state = tempfile::tempdir().unwrap();
    let client = set.client();
    for name in ["a", "b"] {
        for n in 0..6 {
            let all = client.database("d").collection::<Document>(name);
            all.insert_one(doc! { "_id": n, "p": source::noise(16_700_000) }).await.unwrap();
        }
    }
    let agent = Agent::start(&fake, state.path());
    wait("the scan begins", || async { fake.lock().syncs.get(&0).is_some_and(|s| !s.scans.is_empty()) }).await;
    for n in 10..16 {
        client
            .database("d")
            .collection("a")
            .insert_one(doc! { "_id": n, "p": source::noise(16_700_000) })
            .await
            .unwrap();
    }
    wait("the sync completes", || async { fake.lock().syncs.get(&0).is_some_and(|s| s.complete.is_some()) }).await;
    let newest = source::newest(&client).await;
    wait("the ledger follows", || async { fake.lock().ledger.tail().is_some_and(|t| t.last.ts >= newest.ts) }).await;
    let peak = agent.peak_megabytes();
    println!("peak resident memory of the agent: {peak} MB");
    agent.stop().await;
    assert!(peak <= MEMORY_MEGABYTES_MAX, "{peak} MB");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_writes_arrive_soon_and_cost_little() {
    let set = ReplicaSet::start(1, ReplicaSetOptions::default()).await.unwrap();
    let fake = Fake::start(set.name(), &set.uri()).await;
    let state = tempfile::tempdir().unwrap();
    let client = set.client();
    let all = client.database("d").collection::<Document>("c");
    all.insert_one(doc! { "_id": -1 }).await.unwrap();
    let agent = Agent::start(&fake, state.path());
    wait("the sync completes", || async { fake.lock().syncs.get(&0).is_some_and(|s| s.complete.is_some()) }).await;
    let mongod = set.member(0).unwrap().pid();
    let (agent_before, mongod_before, since) = (cpu_seconds(agent.pid()), cpu_seconds(mongod), Instant::now());
    let (mut slowest, mut written, mut watched) = (Duration::ZERO, 0, None);
    while since.elapsed() < Duration::from_secs(15) {
        all.insert_one(doc! { "_id": written, "p": "x".repeat(300) }).await.unwrap();
        written += 1;
        let (ts, at) = match watched {
            Some(watched) => watched,
            None => *watched.insert((source::newest(&client).await.ts, Instant::now())),
        };
        if fake.lock().ledger.tail().is_some_and(|t| t.last.ts >= ts) {
            slowest = slowest.max(at.elapsed());
            watched = None;
        }
    }
    let (ours, theirs) = (cpu_seconds(agent.pid()) - agent_before, cpu_seconds(mongod) - mongod_before);
    let share = 100.0 * ours / theirs;
    println!(
        "{written} writes, slowest at the server after {slowest:?}; CPU: agent {ours:.2} s, mongod {theirs:.2} s, {share:.1} %"
    );
    agent.stop().await;
    assert!(written > 100 && slowest > Duration::ZERO && slowest < LEDGER_DELAY_MAX, "{slowest:?}");
    assert!(ours < theirs / 2.0, "far above what it should cost, even in a build for tests");
}
