//! Heads on file systems of their own: clones are made, compared, kept, cleaned up; a wrong one is noticed.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::loop_fs::LoopFs;
use crate::support::{World, agent::Agent};
use blockstore_engine::ranges;
use bson::{Document, doc};
use holdfast_domain::Ts;
use holdfast_metadb::Settings;
use holdfast_tests::{ReplicaSetOptions, compare};

async fn insert(world: &World, from: i32, count: i32) {
    let documents: Vec<Document> = (from..from + count)
        .map(|n| doc! { "_id": n, "text": format!("{:0>300}", n64(n).wrapping_mul(0x9e37_79b9_7f4a_7c15)) })
        .collect();
    world.source.client().database("shop").collection("c").insert_many(documents).await.unwrap();
}

fn n64(n: i32) -> u64 {
    u64::try_from(n).unwrap() + 1
}

async fn recorded(world: &World) -> (Ts, compare::ServerState) {
    let (at, state) = compare::record(&world.source.client()).await.unwrap();
    (at.into(), state)
}

async fn world_on(fs: &LoopFs) -> (World, Settings) {
    let world = World::new(ReplicaSetOptions::default()).await;
    let mut settings = world.settings("one");
    settings.daemon.head_dir = Some(fs.path().join("heads"));
    fs::create_dir_all(fs.path().join("heads")).unwrap();
    (world, settings)
}

fn job_dir(world: &World, settings: &Settings) -> PathBuf {
    settings.head_dir().join("jobs").join(world.job.as_str())
}

/// Names of the clones and their records.
fn clones(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.starts_with("clone-")).collect();
    names.sort();
    names
}

fn head_db(dir: &Path) -> PathBuf {
    let generation = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path());
    generation.filter(|path| path.join("db").is_dir() && path.join("head.json").exists()).max().unwrap().join("db")
}

async fn cycle_on(kind: &str) {
    let Some(fs) = LoopFs::new(kind) else { return };
    let (world, settings) = world_on(&fs).await;
    insert(&world, 0, 20_000).await;
    let daemon = world.daemon(&settings).await;
    let _agent = Agent::start(&world.source, &world.ledger, &world.job).await;
    let mark = world.mark().await;
    world.wait_head(mark).await;
    world.wait_snapshots(1).await;
    let dir = job_dir(&world, &settings);
    let mut instants = Vec::new();
    for round in 1..3 {
        insert(&world, 100_000 * round, 50).await;
        instants.push(recorded(&world).await);
        world.wait_head(instants.last().unwrap().0).await;
        let id = world.snapshot().await;
        let found = world.wait("what changed", |job| job.last_changes.as_ref().is_some_and(|c| c.snapshot == id)).await;
        let found = found.last_changes.unwrap();
        assert_eq!((found.refused.as_deref(), found.missed), (None, 0), "{found:?}");
        assert!(found.sampled > 0 && found.unchanged_bytes > found.read_bytes, "{found:?}");
        assert_eq!(clones(&dir), [format!("clone-{id}"), format!("clone-{id}.clone")]);
    }
    // The proof compares what is stored, opened, with a copy of the clone, and with a replay of the snapshot before.
    world.wait("a proof", |job| job.last_proof.as_ref().is_some_and(|proof| proof.good)).await;
    for (at, state) in &instants {
        world.assert_restores(*at, state, false).await;
    }
    let seen = world.metadb.daemons().await.unwrap().remove(0).file_system.unwrap();
    assert_eq!((seen.name.as_str(), seen.finds_changes), (kind, true));
    assert_eq!(world.job().await.changes_alert, None);

    // What a crash leaves is cleaned up, and the clone of the newest snapshot is still good for the next.
    daemon.daemon.abort().await;
    fs::create_dir_all(dir.join("clone-new/left")).unwrap();
    fs::create_dir_all(dir.join("clone-000000000000000000000001")).unwrap();
    fs::write(dir.join("clone-000000000000000000000001.clone"), "torn").unwrap();
    let daemon = world.daemon(&settings).await;
    insert(&world, 300_000, 50).await;
    let mark = world.mark().await;
    world.wait_head(mark).await;
    assert_eq!(clones(&dir).len(), 2, "the newest snapshot's and its record");
    let id = world.snapshot().await;
    let job = world.wait("what changed", |job| job.last_changes.as_ref().is_some_and(|c| c.snapshot == id)).await;
    assert_eq!(job.last_changes.unwrap().refused, None);
    daemon.stop().await;

    // A clone that lies: the head has a file that differs from the snapshot's, and a clone of it bound to that snapshot.
    let note = head_db(&dir).join("note");
    fs::write(&note, vec![1; 300_000]).unwrap();
    let daemon = world.daemon(&settings).await;
    let with_note = world.snapshot().await;
    daemon.stop().await;
    fs::write(&note, vec![2; 300_000]).unwrap();
    let lie = dir.join(format!("clone-{with_note}"));
    ranges::remove_clone(&lie).unwrap();
    let root = with_note.parse().unwrap();
    ranges::clone_tree(&head_db(&dir), &lie, &holdfast_daemon::dbpath::keeps).unwrap().bind(root, &lie).unwrap();
    let daemon = world.daemon(&settings).await;
    let (at, state) = recorded(&world).await;
    let id = world.snapshot().await;
    let job = world.wait("an alert", |job| job.changes_alert.is_some()).await;
    let alert = job.changes_alert.unwrap();
    assert_eq!((alert.snapshot.as_str(), job.last_changes.unwrap().snapshot.as_str()), (id.as_str(), id.as_str()));
    assert!(alert.missed > 0 && alert.first_miss.as_deref().unwrap().starts_with("note at "), "{alert:?}");
    assert_eq!(alert.unchanged_bytes, 0, "everything was read");
    let root = world.store.root(&id.parse().unwrap()).await.unwrap().unwrap();
    let stored = world.store.reader(root).read("note", 0, 300_000).await.unwrap();
    assert!(stored.len() == 300_000 && stored.iter().all(|byte| *byte == 2), "the snapshot is what the head is");
    let view = daemon.daemon.context().board.to_json().to_string();
    assert!(view.contains("\"missed\""), "{view}");
    // A good one afterwards does not make it unseen.
    let mark = world.mark().await;
    world.wait_head(mark).await;
    let next = world.snapshot().await;
    let job = world.wait("what changed", |job| job.last_changes.as_ref().is_some_and(|c| c.snapshot == next)).await;
    assert_eq!(job.last_changes.unwrap().missed, 0);
    assert_eq!(job.changes_alert.unwrap().snapshot, id);
    world.assert_restores(at, &state, false).await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn snapshots_by_clones_on_xfs() {
    cycle_on("xfs").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn snapshots_by_clones_on_btrfs() {
    cycle_on("btrfs").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_clones_the_head_is_held_on_ext4() {
    let Some(fs) = LoopFs::new("ext4") else { return };
    let (world, settings) = world_on(&fs).await;
    insert(&world, 0, 500).await;
    let daemon = world.daemon(&settings).await;
    let _agent = Agent::start(&world.source, &world.ledger, &world.job).await;
    let (at, state) = recorded(&world).await;
    let mark = world.mark().await;
    world.wait_head(mark).await;
    world.wait_snapshots(1).await;
    world.snapshot().await;
    assert_eq!(clones(&job_dir(&world, &settings)), [] as [&str; 0]);
    assert_eq!(world.job().await.last_changes, None);
    world.assert_restores(at, &state, false).await;
    let seen = world.metadb.daemons().await.unwrap().remove(0).file_system.unwrap();
    assert!(seen.name == "ext4" && !seen.finds_changes && seen.recommendation.contains("XFS"), "{seen:?}");
    daemon.stop().await;
}
