//! A backup is given up: taken back while its grace lasts, with every second restorable again; and afterwards gone, with its ledger and its
//! head, and nothing of another backup.

use std::{path::PathBuf, time::Duration};

use crate::support::{PATIENCE, World, agent::Agent};
use blockstore_engine::{CollectOptions, CommitRequest, Floor, Purpose, RegisterError, Root, WriterRequest};
use bson::{Document, doc};
use holdfast_daemon::{retention, terminated::Terminated};
use holdfast_domain::{
    BackupEvent, BackupJobId, BackupState, CloseReason, EntryPosition, Hash32, OpTime, SliceSummary, Ts,
};
use holdfast_ledger::{AppendRequest, OpenChainRequest, SnapshotMeta, StorageOptions, compress, inspect_payload};
use holdfast_metadb::{Discovery, MetaError, Settings};
use holdfast_tests::{ReplicaSetOptions, compare};

async fn insert(world: &World, from: i32, count: i32) {
    let text = "what only the backup that is given up holds ".repeat(20);
    let documents: Vec<Document> =
        (from..from + count).map(|n| doc! { "_id": n, "text": format!("{n} {text}") }).collect();
    world.source.client().database("shop").collection("c").insert_many(documents).await.unwrap();
}

async fn recorded(world: &World) -> (Ts, compare::ServerState) {
    let (at, state) = compare::record(&world.source.client()).await.unwrap();
    (at.into(), state)
}

fn head(settings: &Settings, job: &BackupJobId) -> PathBuf {
    settings.head_dir().join("jobs").join(job.as_str())
}

async fn until(what: &str, good: impl AsyncFn() -> bool) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !good().await {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    assert!(waited.await.is_ok(), "waited in vain for {what}");
}

/// As the web server does.
async fn terminate(world: &World) {
    world.metadb.operate(&world.job, BackupEvent::Terminate).await.unwrap();
    world.ledger.force_close(&world.job, CloseReason::Stopped, "terminated").await.unwrap();
}

/// Another backup of the same group: a chain with two slices, and a snapshot.
async fn other(world: &World) -> (BackupJobId, Root) {
    let group = world.job().await.group;
    let made = world.metadb.create_deployment(&group, Some("other"), vec!["o:1".into()], None).await.unwrap();
    let mut source = crate::support::agent::source_info(&world.source).await;
    source.rs = "other".into();
    let found = Discovery {
        agent: holdfast_domain::AgentId::random(),
        refusal: None,
        source: Some(source),
        privileges: Vec::new(),
    };
    let made = world.metadb.record_discovery(&made.id, &found).await.unwrap().unwrap();
    let job = world.metadb.create_backup_job(&made, Vec::new()).await.unwrap();
    // Nobody feeds it: no daemon shall wait for its agent.
    world.metadb.operate(&job.id, BackupEvent::Stop).await.unwrap();
    let at = |t: u32| OpTime { ts: Ts { t, i: 1 }, term: 1 };
    let open = OpenChainRequest { prev: Hash32::ZERO, start: at(100), source: doc! {} };
    let mut tail = world.ledger.open_chain(&job.id, &open).await.unwrap();
    for t in [100, 200] {
        let raw = bson::serialize_to_vec(&doc! { "ts": bson::Timestamp::from(at(t).ts), "t": 1_i64 }).unwrap();
        let facts = inspect_payload(&raw).unwrap();
        let frame = compress(&raw).unwrap();
        let payload = world.ledger.put_payload(&job.id, 0, Hash32::of(&raw), &frame, &facts).await.unwrap();
        let request = AppendRequest {
            seq: tail.at.seq + 1,
            prev: tail.hash,
            first: facts.first,
            last: facts.last,
            payload,
            summary: SliceSummary::default(),
        };
        tail = world.ledger.append_slice(&job.id, 0, &request).await.unwrap();
    }
    let request = WriterRequest { job: job.id.to_string(), job_epoch: 0, parent: None, key: None };
    let mut writer = world.store.register(request).await.unwrap();
    writer.add_file("WiredTiger", 0o600, b"files of the other".to_vec()).await.unwrap();
    let meta = SnapshotMeta {
        group,
        rs: "other".into(),
        optime: at(150),
        resume: EntryPosition { chain: 0, seq: 1 },
        feed_from: at(150),
        server_version: "6.0.5".into(),
        fcv: "6.0".into(),
        storage: StorageOptions::default(),
        taken_at: bson::DateTime::now(),
        label: None,
    };
    let commit = CommitRequest {
        meta: meta.encode().unwrap(),
        resume: Floor { chain: 0, seq: 1 },
        purpose: Purpose::Snapshot,
        label: None,
        pins: Vec::new(),
    };
    let root = writer.commit(commit).await.unwrap();
    (job.id, root)
}

/// Documents of a job in every collection of the blockstore's database that names jobs.
async fn left_of(world: &World, job: &BackupJobId) -> Vec<String> {
    let db = world.appliance.client().database("holdfast_blockstore");
    let mut left = Vec::new();
    for name in db.list_collection_names().await.unwrap() {
        // The guard stays and refuses everyone; looked at below.
        if name == "guards" {
            continue;
        }
        if name.contains(job.as_str()) {
            left.push(name);
            continue;
        }
        let names = [doc! { "_id.job": job.as_str() }, doc! { "job": job.as_str() }, doc! { "_id": job.as_str() }];
        let count = db.collection::<Document>(&name).count_documents(doc! { "$or": names.to_vec() }).await.unwrap();
        if count > 0 {
            left.push(format!("{count} in {name}"));
        }
    }
    left
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_is_given_up_taken_back_and_given_up_for_good() {
    let world = World::new(ReplicaSetOptions::default()).await;
    insert(&world, 0, 2000).await;
    let settings = world.settings("one");
    let daemon = world.daemon(&settings).await;
    let ctx = daemon.daemon.context();
    let agent = Agent::start(&world.source, &world.ledger, &world.job).await;
    world.wait_snapshots(1).await;
    insert(&world, 10_000, 500).await;
    let (at, state) = recorded(&world).await;
    let end = world.mark().await;
    world.wait_head(end).await;
    let (other_job, other_root) = other(&world).await;
    assert!(head(&settings, &world.job).exists());

    // Given up: the head goes at once, the snapshots lie in the trash, the ledger stays.
    terminate(&world).await;
    drop(agent);
    until("the head to go", async || !head(&settings, &world.job).exists()).await;
    retention::once(ctx).await.unwrap();
    let roots = world.store.roots(world.job.as_str()).await.unwrap();
    assert!(!roots.is_empty() && roots.iter().all(|root| root.trashed_at.is_some()), "{roots:?}");
    assert!(world.ledger.tail(&world.job).await.unwrap().is_some());
    let grace = CollectOptions { grace: Duration::from_secs(3600), ..CollectOptions::default() };
    let report = world.store.collect(&grace, std::sync::Arc::new(|_| {}), Default::default()).await.unwrap();
    assert!(report.unlinked.is_empty(), "their grace is not over: {report:?}");

    // Taken back inside the grace: what could be restored can be restored again, and the backup goes on.
    assert_eq!(world.metadb.take_termination_back(&world.job).await.unwrap(), BackupState::Stopped);
    for root in &roots {
        world.store.untrash(&root.id).await.unwrap();
    }
    retention::once(ctx).await.unwrap();
    world.assert_restores(at, &state, false).await;
    world.metadb.operate(&world.job, BackupEvent::Start).await.unwrap();
    let agent = Agent::start(&world.source, &world.ledger, &world.job).await;
    insert(&world, 20_000, 500).await;
    let end = world.mark().await;
    world.wait_head(end).await;
    world.assert_restores(at, &state, false).await;

    // Given up again, and after the grace nothing of it is left.
    terminate(&world).await;
    drop(agent);
    until("the head to go", async || !head(&settings, &world.job).exists()).await;
    retention::once(ctx).await.unwrap();
    // What was made for restores goes when its links are over; here they are over now.
    for root in world.store.roots(world.job.as_str()).await.unwrap() {
        for pin in &root.pins {
            world.store.unpin(&root.id, &pin.by).await.unwrap();
        }
    }
    retention::once(ctx).await.unwrap();
    assert!(world.metadb.backup_job(&world.job).await.unwrap().is_some(), "its snapshots still lie in the trash");
    let over = CollectOptions { grace: Duration::ZERO, ..CollectOptions::default() };
    let report = world.store.collect(&over, std::sync::Arc::new(|_| {}), Default::default()).await.unwrap();
    assert!(!report.unlinked.is_empty() && report.freed_bytes() > 0, "{report:?}");
    assert!(world.store.roots(world.job.as_str()).await.unwrap().is_empty());
    retention::once(ctx).await.unwrap();
    assert!(world.metadb.backup_job(&world.job).await.unwrap().is_some(), "the daemon's own grace is a day");
    let at_once =
        Terminated { metadb: &world.metadb, ledger: &world.ledger, store: &world.store, grace: Duration::ZERO };
    let job = world.job().await;
    assert!(at_once.bring_on(&job).await.unwrap(), "nothing is left");
    assert!(world.metadb.backup_job(&world.job).await.unwrap().is_none());
    assert_eq!(left_of(&world, &world.job).await, Vec::<String>::new());
    assert!(!at_once.bring_on(&job).await.unwrap(), "once");
    let late = world.store.raise_epoch(world.job.as_str(), job.lease.epoch + 1).await;
    assert!(matches!(late, Err(RegisterError::StaleEpoch { .. })), "a daemon that took itself for its owner: {late:?}");

    // Of the other everything is there.
    assert!(!left_of(&world, &other_job).await.is_empty());
    let tail = world.ledger.tail(&other_job).await.unwrap().unwrap();
    assert_eq!((tail.at.seq, tail.last.ts.t), (2, 200));
    let root = world.store.root(&other_root.id).await.unwrap().unwrap();
    assert!(root.trashed_at.is_none());
    let dir = tempfile::tempdir().unwrap();
    let reader = world.store.reader(root);
    reader
        .materialise(&dir.path().join("db"), holdfast_daemon::snapshotter::unseen(), Default::default())
        .await
        .unwrap();
    assert_eq!(std::fs::read(dir.path().join("db/WiredTiger")).unwrap(), b"files of the other");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_being_removed_is_not_taken_back() {
    let world = World::new(ReplicaSetOptions::default()).await;
    terminate_without_a_chain(&world).await;
    let job = world.job().await;
    let waits = |grace| Terminated { metadb: &world.metadb, ledger: &world.ledger, store: &world.store, grace };
    assert!(!waits(Duration::from_secs(3600)).bring_on(&job).await.unwrap(), "it can be taken back for an hour");
    assert_eq!(world.metadb.take_termination_back(&world.job).await.unwrap(), BackupState::Stopped);
    assert!(waits(Duration::ZERO).bring_on(&world.job().await).await.is_err(), "it is not terminated");
    world.metadb.operate(&world.job, BackupEvent::Terminate).await.unwrap();
    // A daemon that has begun and not ended.
    assert!(world.metadb.begin_removal(&job).await.unwrap());
    let refused = world.metadb.take_termination_back(&world.job).await;
    assert!(matches!(refused, Err(MetaError::State { .. })), "{refused:?}");
    assert!(waits(Duration::ZERO).bring_on(&world.job().await).await.unwrap(), "the next run ends it");
    assert!(world.metadb.backup_job(&world.job).await.unwrap().is_none());
}

async fn terminate_without_a_chain(world: &World) {
    world.metadb.operate(&world.job, BackupEvent::Terminate).await.unwrap();
}
