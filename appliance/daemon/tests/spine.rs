//! The whole path with real mongods: a ledger is filled, the daemon loads, applies, snapshots, restores, heals, moves and keeps.

use std::time::Duration;

use crate::support::{self, World, agent::Agent};
use bson::{Document, doc};
use holdfast_daemon::{collector, rollups, sampler};
use holdfast_domain::{BackupState, OpTime, RetentionPolicy, SnapshotSchedule, Ts};
use holdfast_metadb::{BackupSettings, CacheAnswers};
use holdfast_tests::{ReplicaSetOptions, compare, workload};
use tokio_util::sync::CancellationToken;

async fn recorded(world: &World) -> (Ts, compare::ServerState) {
    let (at, state) = compare::record(&world.source.client()).await.unwrap();
    (at.into(), state)
}

async fn insert(world: &World, collection: &str, from: i32, count: i32) {
    let documents: Vec<Document> =
        (from..from + count).map(|n| doc! { "_id": n, "n": n, "text": format!("document {n}") }).collect();
    world.source.client().database("shop").collection(collection).insert_many(documents).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn loads_applies_snapshots_and_restores_every_recorded_instant() {
    let world = World::new(ReplicaSetOptions { directory_per_db: true, ..Default::default() }).await;
    let client = world.source.client();
    insert(&world, "before", 0, 2000).await;
    let steps = workload::rich(&client).await.unwrap();
    assert!(workload::failures(&steps).is_empty(), "{:?}", workload::failures(&steps));
    let settings = world.settings("one");
    let daemon = world.daemon(&settings).await;
    let _agent = Agent::start(&world.source, &world.ledger, &world.job).await;
    let mut instants = Vec::new();
    for round in 0..2 {
        insert(&world, "after", round * 1000, 500).await;
        instants.push(recorded(&world).await);
        workload::many_ops_transaction(&client, 300).await.unwrap();
        instants.push(recorded(&world).await);
        client
            .database("shop")
            .collection::<Document>("after")
            .delete_many(doc! { "n": { "$mod": [7, 1] } })
            .await
            .unwrap();
        instants.push(recorded(&world).await);
        world.wait_head(instants.last().unwrap().0).await;
        if round == 0 {
            let snapshot = world.snapshot().await;
            let snapshots = world.snapshots().await;
            let taken = snapshots.iter().find(|s| s.id().as_str() == snapshot).unwrap();
            assert_eq!(taken.root.label.as_deref(), Some("asked"));
            assert!(taken.root.parent.is_some(), "deduplicated against the first");
        }
    }
    let end = world.mark().await;
    world.wait_head(end).await;
    world.wait("a proof", |job| job.last_proof.as_ref().is_some_and(|proof| proof.good)).await;
    let first = world.snapshots().await[0].meta.optime.ts;
    let mut restored = 0;
    for (at, state) in &instants {
        if *at >= first {
            world.assert_restores(*at, state, true).await;
            restored += 1;
        }
    }
    assert!(restored >= 5, "{restored}");
    let late = world.restore_beyond(end).await;
    assert!(late.contains("ends at"), "{late}");
    let job = world.job().await;
    assert_eq!(job.last_error, None);
    daemon.stop().await;
    assert!(world.job().await.lease.owner.is_empty(), "given back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn goes_on_after_crashes_and_a_second_daemon_takes_over() {
    let world = World::new(ReplicaSetOptions::default()).await;
    insert(&world, "c", 0, 5000).await;
    let settings = world.settings("one");
    let daemon = world.daemon(&settings).await;
    let _agent = Agent::start(&world.source, &world.ledger, &world.job).await;
    // Crashes in the load, in the catch-up, in the steady state.
    let mut daemon = daemon;
    for round in 0..4 {
        tokio::time::sleep(Duration::from_millis(1500 + round * 700)).await;
        daemon.daemon.abort().await;
        let round = i32::try_from(round).unwrap();
        insert(&world, "c", 10_000 * (round + 1), 300).await;
        daemon = world.daemon(&settings).await;
    }
    let (at, state) = recorded(&world).await;
    let end = world.mark().await;
    world.wait_head(end).await;
    world.wait_snapshots(1).await;
    world.snapshot().await;
    let epoch = world.job().await.lease.epoch;
    // The lease is taken away: the driver must let go, and come back under a new epoch once the other lets go.
    let job = world.job().await;
    let thief = world.metadb.acquire_lease(&world.job, &job.lease, "thief").await.unwrap().unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(world.job().await.lease.owner, "thief");
    world.metadb.release_lease(&thief).await.unwrap();
    let back = world.wait("the lease back", |job| job.lease.epoch > epoch + 1 && !job.lease.owner.is_empty()).await;
    assert_ne!(back.lease.owner, "thief");
    // The daemon dies for good; another one takes the job and rebuilds the head.
    daemon.daemon.abort().await;
    insert(&world, "c", 100_000, 300).await;
    let second = world.settings("two");
    let other = world.daemon(&second).await;
    let other_id = other.daemon.context().id.clone();
    world.wait("another daemon", |job| job.daemon.as_ref() == Some(&other_id)).await;
    let (at2, state2) = recorded(&world).await;
    let end = world.mark().await;
    world.wait_head(end).await;
    world.assert_restores(at2, &state2, false).await;
    if world.snapshots().await[0].meta.optime.ts <= at {
        world.assert_restores(at, &state, false).await;
    }
    // And back by command.
    let first = world.daemon(&settings).await;
    let first_id = first.daemon.context().id.clone();
    world.metadb.request_move(&world.job, Some(&first_id)).await.unwrap();
    world.wait("the move", |job| job.daemon.as_ref() == Some(&first_id)).await;
    insert(&world, "c", 200_000, 10).await;
    let end = world.mark().await;
    world.wait_head(end).await;
    other.stop().await;
    first.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flipped_document_and_a_lost_head_are_healed() {
    let world = World::new(ReplicaSetOptions::default()).await;
    insert(&world, "c", 0, 1000).await;
    let mut settings = world.settings("one");
    settings.daemon.proof_every_seconds = 0;
    let daemon = world.daemon(&settings).await;
    let _agent = Agent::start(&world.source, &world.ledger, &world.job).await;
    world.wait_snapshots(1).await;
    world.wait("the first proof", |job| job.last_proof.is_some()).await;
    // A value changes in the head behind everyone's back: no operation fails, only the proof can tell.
    daemon.token.cancel();
    daemon.daemon.ended().await;
    support::flip(&settings, &world.job, doc! { "_id": 500 }, doc! { "$set": { "n": -1 } }).await;
    let daemon = world.daemon(&settings).await;
    insert(&world, "c", 5000, 10).await;
    let end = world.mark().await;
    world.wait_head(end).await;
    let bad = world.snapshot().await;
    let failed = world.wait("the proof to fail", |job| job.last_proof.as_ref().is_some_and(|p| !p.good)).await;
    assert!(failed.last_proof.unwrap().detail.contains("shop.c"), "it says where");
    world.wait_gone(&bad).await;
    let (at, state) = recorded(&world).await;
    let end = world.mark().await;
    world.wait_head(end).await;
    world.snapshot().await;
    world.wait("a good proof again", |job| job.last_proof.as_ref().is_some_and(|p| p.good)).await;
    world.assert_restores(at, &state, false).await;
    // A document is missing: the next update of it fails with 218, and the head is rebuilt at once.
    daemon.token.cancel();
    daemon.daemon.ended().await;
    support::remove(&settings, &world.job, doc! { "_id": 600 }).await;
    let daemon = world.daemon(&settings).await;
    let c = world.source.client().database("shop").collection::<Document>("c");
    c.update_one(doc! { "_id": 600 }, doc! { "$set": { "changed": true } }).await.unwrap();
    let (at, state) = recorded(&world).await;
    let end = world.mark().await;
    world.wait_head(end).await;
    world.assert_restores(at, &state, false).await;
    world.snapshot().await;
    // The head's files are gone.
    daemon.token.cancel();
    daemon.daemon.ended().await;
    support::destroy_head(&settings, &world.job);
    let daemon = world.daemon(&settings).await;
    insert(&world, "c", 7000, 10).await;
    let end = world.mark().await;
    world.wait_head(end).await;
    assert_eq!(world.ledger.chains(&world.job).await.unwrap().len(), 1, "no resync was needed");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_is_lost_before_its_first_snapshot_is_loaded_again() {
    let world = World::new(ReplicaSetOptions::default()).await;
    insert(&world, "c", 0, 500).await;
    let settings = world.settings("one");
    let mut daemon = world.daemon(&settings).await;
    // Without a catalog the first snapshot waits a while: long enough to lose the head before it.
    let _agent = Agent::start_without_catalog(&world.source, &world.ledger, &world.job).await;
    for lost in ["its version document", "its files"] {
        world.wait("a loaded head", |job| matches!(job.state, BackupState::CatchingUp | BackupState::Active)).await;
        daemon.stop().await;
        assert!(world.snapshots().await.is_empty(), "no snapshot yet");
        if lost == "its files" {
            support::destroy_head(&settings, &world.job);
        } else {
            support::lose_version(&settings, &world.job).await;
        }
        daemon = world.daemon(&settings).await;
        world.wait(&format!("a load after the head lost {lost}"), |job| job.state == BackupState::Resyncing).await;
    }
    world.wait_snapshots(1).await;
    insert(&world, "c", 1000, 500).await;
    let (at, state) = recorded(&world).await;
    let end = world.mark().await;
    assert_eq!(world.ledger.chains(&world.job).await.unwrap().len(), 1, "loaded again, not synced again");
    world.wait_head(end).await;
    world.assert_restores(at, &state, false).await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_lies_in_the_trash_is_collected_when_it_is_due() {
    let world = World::new(ReplicaSetOptions::default()).await;
    insert(&world, "c", 0, 500).await;
    let mut settings = world.settings("one");
    settings.daemon.trash_grace_seconds = 0;
    let daemon = world.daemon(&settings).await;
    let _agent = Agent::start(&world.source, &world.ledger, &world.job).await;
    world.wait_snapshots(1).await;
    insert(&world, "c", 1000, 2000).await;
    world.snapshot().await;
    let (at, state) = recorded(&world).await;
    let first = world.snapshots().await.remove(0);
    world.store.trash(&first.root.id, &|_| Ok(())).await.unwrap();
    let (ctx, cancel) = (daemon.daemon.context(), CancellationToken::new());
    let report = collector::collect_if_due(ctx, &cancel).await.unwrap().expect("the first run is due");
    assert_eq!(report.unlinked, [first.root.id]);
    assert!(report.freed_bytes() > 0, "what only the first one had: {report:?}");
    assert!(world.store.root(&first.root.id).await.unwrap().is_none());
    assert!(collector::collect_if_due(ctx, &cancel).await.unwrap().is_none(), "the next one is due in a day");
    collector::verify_if_due(ctx, &cancel).await.unwrap();
    sampler::once(ctx, CacheAnswers { hits: 1, misses: 2 }).await.unwrap();
    let now = bson::DateTime::now().timestamp_millis() / 1000;
    let samples = world.metadb.blockstore_samples(now, now - 3_600, now).await.unwrap();
    let sample = samples.last().expect("one was taken");
    let numbers = sample.numbers;
    assert!(numbers.logical_bytes > numbers.stored_bytes && numbers.stored_bytes > 0, "{numbers:?}");
    assert!(numbers.disk_bytes.is_some() && numbers.free_bytes.is_some(), "the database has both: {numbers:?}");
    assert!(numbers.unique_bytes.is_some() && numbers.reclaimable_bytes.is_some(), "it was counted: {numbers:?}");
    assert!(sample.cache.misses >= 2);
    while rollups::once(ctx).await.unwrap() {}
    let chains = world.ledger.chains(&world.job).await.unwrap();
    let counted = world.ledger.rollups(&world.job, &chains, 0, u32::MAX).await.unwrap();
    assert!(counted.bins.iter().map(|bin| bin.operations.inserts).sum::<i64>() >= 2_000, "{counted:?}");
    let end = world.mark().await;
    world.wait_head(end).await;
    world.assert_restores(at, &state, false).await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resync_opens_another_chain_and_retention_keeps_what_it_must() {
    let world = World::new(ReplicaSetOptions::default()).await;
    insert(&world, "c", 0, 500).await;
    let daemon = world.daemon(&world.settings("one")).await;
    let agent = Agent::start(&world.source, &world.ledger, &world.job).await;
    world.wait_snapshots(1).await;
    insert(&world, "c", 1000, 500).await;
    let (at, state) = recorded(&world).await;
    let end = world.mark().await;
    world.wait_head(end).await;
    world.metadb.request_resync(&world.job, "asked by the test").await.unwrap();
    world.wait("a resync", |job| job.state == BackupState::Resyncing && job.resync_requested.is_none()).await;
    drop(agent);
    insert(&world, "c", 2000, 500).await;
    let _agent = Agent::start(&world.source, &world.ledger, &world.job).await;
    world.wait_snapshots(2).await;
    let chains = world.ledger.chains(&world.job).await.unwrap();
    assert_eq!(chains.len(), 2);
    // Old seconds stay restorable.
    world.assert_restores(at, &state, false).await;
    let (at2, state2) = recorded(&world).await;
    let end = world.mark().await;
    world.wait_head(end).await;
    world.assert_restores(at2, &state2, false).await;
    // With a window of nothing only the newest snapshot and what follows it stay.
    let retention = RetentionPolicy {
        recent_hours: 0,
        six_hourly_days: 0,
        daily_days: 0,
        weekly_weeks: 0,
        monthly_months: 0,
        oplog_window_days: 0,
    };
    let schedule = SnapshotSchedule { every_seconds: 3600, replay_debt_seconds_max: 600 };
    let change = BackupSettings { retention: Some(retention), schedule: Some(schedule), ..Default::default() };
    world.metadb.update_backup_settings(&world.job, &change).await.unwrap();
    world.snapshot().await;
    insert(&world, "c", 3000, 500).await;
    let end = world.mark().await;
    world.wait_head(end).await;
    holdfast_daemon::retention::once(daemon.daemon.context()).await.unwrap();
    let left = world.snapshots().await;
    assert_eq!(left.len(), 1, "the newest");
    let chains = world.ledger.chains(&world.job).await.unwrap();
    assert_eq!(chains.len(), 1, "{chains:?}");
    assert!(chains[0].chain == 1 && chains[0].first_seq <= left[0].meta.resume.seq, "{chains:?}");
    let floor = world.store.guard(world.job.as_str()).await.unwrap().floor.unwrap();
    assert_eq!((floor.chain, floor.seq), (1, left[0].meta.resume.seq));
    let (at3, state3) = recorded(&world).await;
    let end = world.mark().await;
    world.wait_head(end).await;
    world.assert_restores(at3, &state3, false).await;
    assert!(OpTime::default() < left[0].meta.optime);
    daemon.stop().await;
}
