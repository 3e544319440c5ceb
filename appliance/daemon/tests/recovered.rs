//! When everything is lost: the blockstore database alone, then a folder of packs alone, give back snapshots and instants.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::support::{World, agent::Agent, open_files};
use blockstore_engine::{
    Blockstore, EngineOptions, GroupKey, MoveRequest, PackLocation, PackStoreOptions, PayloadStore, S3Options,
    StoreNumber,
};
use bson::{Document, doc};
use holdfast_daemon::mirror::{Mirror, MirrorReport};
use holdfast_domain::{ErrorClass, Ts};
use holdfast_ledger::{JobFacts, SegmentName};
use holdfast_recover::{
    Contents, Keyring, OnStep, Place, RecoverFault, RestoreOptions, Source, Step, Target, check, plan, restore,
};
use holdfast_tests::{ReplicaSetOptions, compare, mongod_binary, workload};
use tokio_util::sync::CancellationToken;

async fn recorded(world: &World) -> (Ts, compare::ServerState) {
    let (at, state) = compare::record(&world.source.client()).await.unwrap();
    (at.into(), state)
}

async fn insert(world: &World, from: i32, count: i32) {
    let documents: Vec<Document> =
        (from..from + count).map(|n| doc! { "_id": n, "text": format!("document {n}").repeat(20) }).collect();
    world.source.client().database("shop").collection("c").insert_many(documents).await.unwrap();
}

fn quiet() -> OnStep {
    Arc::new(|_| {})
}

/// Restores into a folder of its own and gives what it holds.
async fn recovered(place: &Place, target: Target, dir: &Path) -> Result<compare::ServerState, RecoverFault> {
    recovered_with(place, &Keyring::default(), target, dir).await
}

async fn recovered_with(
    place: &Place,
    keys: &Keyring,
    target: Target,
    dir: &Path,
) -> Result<compare::ServerState, RecoverFault> {
    let to = dir.join("restored");
    let source = Source::open(place, keys.clone()).await?;
    let plan = plan(&source.contents().await?, &target)?;
    let options = RestoreOptions { to: to.clone(), mongod: Some(mongod_binary()) };
    let restored = restore(&source, &plan, &options, quiet(), CancellationToken::new()).await?;
    assert!(restored.open.contains("--directoryperdb"));
    assert!(!dir.join("restored.recover").exists(), "nothing is left");
    let info: serde_json::Value = serde_json::from_slice(&std::fs::read(to.join("restoreInfo.json")).unwrap()).unwrap();
    assert_eq!(info["optime"]["t"], restored.instant.t);
    let found = open_files(&to, true).await;
    std::fs::remove_dir_all(&to).unwrap();
    Ok(found)
}

fn instant(at: Ts) -> Target {
    Target::Instant { at, backup: None, base: None }
}

async fn assert_recovers(place: &Place, target: Target, expected: &compare::ServerState) {
    let dir = tempfile::tempdir().unwrap();
    let found = recovered(place, target.clone(), dir.path()).await.unwrap_or_else(|e| panic!("{target:?}: {e:?}"));
    let differences = compare::diff(expected, &found);
    assert!(differences.is_empty(), "{target:?}: {differences:#?}");
}

/// Snapshot and instant come back with the exported key; without it both are refused in a sentence that names the key, and nothing is left.
async fn assert_recovers_by_key(
    place: &Place,
    key_file: &str,
    snapshot: &(holdfast_domain::SnapshotId, compare::ServerState),
    at: &(Ts, compare::ServerState),
) {
    let key = GroupKey::from_file(key_file).unwrap();
    let keys = Keyring::default();
    keys.insert(&key);
    let dir = tempfile::tempdir().unwrap();
    for (target, expected) in [(Target::Snapshot(snapshot.0.clone()), &snapshot.1), (instant(at.0), &at.1)] {
        let found = recovered_with(place, &keys, target.clone(), dir.path()).await;
        let differences = compare::diff(expected, &found.unwrap_or_else(|e| panic!("{target:?}: {e:?}")));
        assert!(differences.is_empty(), "{target:?}: {differences:#?}");
        let refused = recovered(place, target, dir.path()).await.unwrap_err().to_string();
        let says = refused.contains(&key.id().to_string()) && refused.contains("not at hand");
        assert!(says, "{refused}");
        assert!(!dir.path().join("restored").exists());
    }
}

/// Collections of the blockstore database in which this can be read, plain or in a zstd frame.
async fn shown_in(world: &World, marker: &str) -> Vec<String> {
    use futures::TryStreamExt as _;
    let plain = |bytes: &[u8]| bytes.windows(marker.len()).any(|part| part == marker.as_bytes());
    let shows = |bytes: &[u8]| {
        let frames = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(&[0x28, 0xb5, 0x2f, 0xfd]));
        let mut unpacked = frames.filter_map(|at| {
            let mut out = Vec::new();
            let mut decoder = zstd::stream::read::Decoder::new(&bytes[at..]).ok()?.single_frame();
            std::io::Read::read_to_end(&mut decoder, &mut out).ok()?;
            Some(out)
        });
        plain(bytes) || unpacked.any(|out| plain(&out))
    };
    let db = world.appliance.client().database("holdfast_blockstore");
    let mut out = Vec::new();
    for name in db.list_collection_names().await.unwrap() {
        let mut all = db.collection::<bson::RawDocumentBuf>(&name).find(doc! {}).await.unwrap();
        while let Some(one) = all.try_next().await.unwrap() {
            if shows(one.as_bytes()) {
                out.push(name.clone());
                break;
            }
        }
    }
    out
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_encrypts_comes_back_by_its_exported_key() {
    let world = World::encrypted(ReplicaSetOptions { directory_per_db: true, ..Default::default() }).await;
    insert(&world, 0, 2000).await;
    let daemon = world.daemon(&world.settings("one")).await;
    let agent = Agent::start(&world.source, &world.ledger, &world.job).await;
    world.wait_snapshots(1).await;
    insert(&world, 10_000, 500).await;
    let still = recorded(&world).await;
    let at = world.mark().await;
    world.wait_head(at).await;
    let snapshot: holdfast_domain::SnapshotId = world.snapshot().await.parse().unwrap();
    insert(&world, 20_000, 500).await;
    let later = recorded(&world).await;
    let at = world.mark().await;
    world.wait_head(at).await;
    world.assert_restores(later.0, &later.1, true).await;
    drop(agent);
    daemon.stop().await;
    assert_eq!(shown_in(&world, "document 1").await, Vec::<String>::new());

    let job = world.job().await;
    let group = world.metadb.group(&job.group).await.unwrap().unwrap();
    let key_file = world.store.export_key(group.key.as_ref().unwrap()).await.unwrap().to_file("tests");
    let database = Place::Database { uri: world.appliance.uri(), database: None, packs: None };
    let snapshot = (snapshot, still.1);
    assert_recovers_by_key(&database, &key_file, &snapshot, &later).await;

    // To a folder, then to a bucket, each with its copy of the ledger; the databases are gone in the end.
    let bucket = holdfast_tests::s3::S3Server::start().await;
    let packs = world.dir.path().join("packs");
    let s3 = PackLocation::S3(S3Options {
        endpoint: Some(bucket.endpoint()),
        region: "us-east-1".into(),
        bucket: holdfast_tests::s3::BUCKET.into(),
        prefix: "holdfast".into(),
        access_key_id: "test".into(),
        secret_access_key: "test".into(),
        virtual_hosted: false,
        ca_pem: None,
        request_timeout: S3Options::REQUEST_TIMEOUT,
    });
    let facts = JobFacts {
        job: world.job.clone(),
        group: group.id.to_string(),
        group_name: group.name,
        deployment: job.deployment.to_string(),
        rs: world.source.name().to_owned(),
    };
    let mut from = PayloadStore::Mongo;
    for (number, location) in [(1, PackLocation::Directory(packs.clone())), (2, s3)] {
        let number = StoreNumber::new(number).unwrap();
        let mut stores = vec![PackStoreOptions::new(number, location.clone())];
        if let PayloadStore::Packs(before) = from {
            stores.push(PackStoreOptions::new(before, PackLocation::Directory(packs.clone())));
        }
        let options = EngineOptions { packs: stores, keys: world.store.keyring(), ..EngineOptions::default() };
        let db = world.appliance.client().database("holdfast_blockstore");
        let store = Blockstore::open(db, options).await.unwrap();
        let mut mirror = Mirror::new(world.ledger.clone(), store.clone());
        bring_up(&mut mirror, &facts).await;
        let request = MoveRequest { from, to: PayloadStore::Packs(number) };
        let moved = store.move_payloads(request, Arc::new(|_| {}), CancellationToken::new()).await.unwrap();
        assert!(moved.is_complete(), "{moved:?}");
        let place = Place::Packs(location);
        assert!(contents(&place).await.faults[0].contains("key"), "a listing says that the key lacks");
        assert_recovers_by_key(&place, &key_file, &snapshot, &later).await;
        from = PayloadStore::Packs(number);
    }
    for file in below(&packs, "") {
        let bytes = std::fs::read(&file).unwrap();
        assert!(!bytes.windows(10).any(|part| part == b"document 1"), "{}", file.display());
    }
}

async fn contents(place: &Place) -> Contents {
    Source::open(place, Keyring::default()).await.unwrap().contents().await.unwrap()
}

/// Files below a folder.
fn below(dir: &Path, ending: &str) -> Vec<PathBuf> {
    let (mut out, mut folders) = (Vec::new(), vec![dir.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            match entry.path() {
                path if path.is_dir() => folders.push(path),
                path if path.to_string_lossy().ends_with(ending) => out.push(path),
                _ => {}
            }
        }
    }
    out.sort();
    out
}

/// A copy of the packs to be damaged.
fn copy_of(packs: &Path, to: &Path) -> Place {
    for file in below(packs, "") {
        let target = to.join(file.strip_prefix(packs).unwrap());
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(&file, target).unwrap();
    }
    Place::Packs(PackLocation::Directory(to.to_owned()))
}

async fn bring_up(mirror: &mut Mirror, facts: &JobFacts) -> MirrorReport {
    let mut sum = MirrorReport::default();
    loop {
        let reports = mirror.job(facts).await.unwrap();
        let (_, report) = &reports[0];
        sum.written += report.written;
        sum.deleted += report.deleted;
        if !report.more {
            return sum;
        }
    }
}

fn segment_of(path: &Path) -> SegmentName {
    let name = path.to_string_lossy();
    name[name.find("aside/").unwrap() + 6..].parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn databases_are_lost_one_after_the_other() {
    let world = World::new(ReplicaSetOptions { directory_per_db: true, ..Default::default() }).await;
    insert(&world, 0, 2000).await;
    let daemon = world.daemon(&world.settings("one")).await;
    let agent = Agent::start(&world.source, &world.ledger, &world.job).await;
    world.wait_snapshots(1).await;
    let mut instants = Vec::new();
    insert(&world, 10_000, 500).await;
    instants.push(recorded(&world).await);
    workload::many_ops_transaction(&world.source.client(), 300).await.unwrap();
    let still = recorded(&world).await;
    instants.push(still.clone());
    let at = world.mark().await;
    world.wait_head(at).await;
    let snapshot: holdfast_domain::SnapshotId = world.snapshot().await.parse().unwrap();
    insert(&world, 20_000, 500).await;
    instants.push(recorded(&world).await);
    let at = world.mark().await;
    world.wait_head(at).await;
    daemon.stop().await;

    // Payloads in the database: it has everything, and nothing needs to be copied.
    let mut nothing = Mirror::new(world.ledger.clone(), Blockstore::clone(&world.store));
    let group = world.metadb.group(&world.job().await.group).await.unwrap().unwrap();
    let facts = JobFacts {
        job: world.job.clone(),
        group: group.id.to_string(),
        group_name: group.name,
        deployment: world.job().await.deployment.to_string(),
        rs: world.source.name().to_owned(),
    };
    assert!(nothing.job(&facts).await.unwrap().is_empty());

    // They are moved to packs, and the ledger is copied there, little by little as it grows.
    let packs = world.dir.path().join("packs");
    let options = EngineOptions {
        packs: vec![PackStoreOptions::new(StoreNumber::new(1).unwrap(), PackLocation::Directory(packs.clone()))],
        ..EngineOptions::default()
    };
    let store = Blockstore::open(world.appliance.client().database("holdfast_blockstore"), options).await.unwrap();
    let mut mirror = Mirror::new(world.ledger.clone(), store.clone());
    let first = bring_up(&mut mirror, &facts).await;
    assert!(first.written > 0 && first.deleted == 0, "{first:?}");
    assert_eq!(bring_up(&mut mirror, &facts).await.written, 0, "idempotent");
    for round in 0..3 {
        insert(&world, 30_000 + round * 1000, 200).await;
        instants.push(recorded(&world).await);
        let end = world.mark().await;
        while world.ledger.tail(&world.job).await.unwrap().unwrap().last.ts < end {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        assert!(bring_up(&mut mirror, &facts).await.written > 0, "what was appended");
    }
    drop(agent);
    bring_up(&mut mirror, &facts).await;
    // A daemon that knows nothing finds out what is there; one segment was torn meanwhile and is written again.
    let torn = below(&packs, ".seg").pop().unwrap();
    std::fs::write(&torn, &std::fs::read(&torn).unwrap()[..30]).unwrap();
    let mut other = Mirror::new(world.ledger.clone(), store.clone());
    let mended = bring_up(&mut other, &facts).await;
    assert_eq!((mended.written, mended.deleted), (1, 1));

    // The app database is lost.
    world.appliance.client().database("holdfast").drop().await.unwrap();
    let database = Place::Database { uri: world.appliance.uri(), database: None, packs: None };
    let listed = contents(&database).await;
    assert!(listed.faults.is_empty() && listed.backups.len() == 1, "{listed:?}");
    assert_eq!((listed.backups[0].group.as_str(), listed.backups[0].rs.as_str()), ("tests", world.source.name()));
    assert_eq!(listed.remarks.len(), 1, "a store of packs was opened before");
    assert_recovers(&database, Target::Snapshot(snapshot.clone()), &still.1).await;
    assert_recovers(&database, instant(instants[2].0), &instants[2].1).await;

    // Payloads go to the packs, and both databases are lost.
    let request = MoveRequest { from: PayloadStore::Mongo, to: PayloadStore::Packs(StoreNumber::new(1).unwrap()) };
    let moved = store.move_payloads(request, Arc::new(|_| {}), CancellationToken::new()).await.unwrap();
    assert!(moved.is_complete(), "{moved:?}");
    let both = Place::Database {
        uri: world.appliance.uri(),
        database: None,
        packs: Some(PackLocation::Directory(packs.clone())),
    };
    assert_recovers(&both, Target::Snapshot(snapshot.clone()), &still.1).await;
    world.appliance.client().database("holdfast_blockstore").drop().await.unwrap();
    let gone = Source::open(&database, Keyring::default()).await.err().unwrap();
    assert!(matches!(gone, RecoverFault::NothingThere(_)), "{gone:?}");

    let alone = Place::Packs(PackLocation::Directory(packs.clone()));
    let listed = contents(&alone).await;
    assert!(listed.faults.is_empty() && listed.backups.len() == 1, "{listed:?}");
    let backup = &listed.backups[0];
    assert_eq!((backup.group.as_str(), backup.rs.as_str(), backup.ranges.len()), ("tests", world.source.name(), 1));
    assert!(backup.faults.is_empty(), "{:?}", backup.faults);
    assert_recovers(&alone, Target::Snapshot(snapshot.clone()), &still.1).await;
    for (at, state) in &instants {
        assert_recovers(&alone, instant(*at), state).await;
    }
    let source = Source::open(&alone, Keyring::default()).await.unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let whole = check(&source, &listed, &scratch.path().join("x"), quiet(), CancellationToken::new()).await.unwrap();
    assert!(whole.faults.is_empty() && whole.whole.len() == backup.snapshots.len(), "{whole:?}");

    broken_off_and_gone_on_with(&alone, instants.last().unwrap()).await;
    damaged(&packs, &instants, &snapshot).await;
}

/// Called off while the oplog is replayed; the same again goes on with the files that are there.
async fn broken_off_and_gone_on_with(place: &Place, (at, state): &(Ts, compare::ServerState)) {
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("restored");
    let source = Source::open(place, Keyring::default()).await.unwrap();
    let contents = source.contents().await.unwrap();
    let plan = plan(&contents, &instant(*at)).unwrap();
    let options = RestoreOptions { to: to.clone(), mongod: Some(mongod_binary()) };
    let (cancel, token) = (CancellationToken::new(), CancellationToken::new());
    let stop = cancel.clone();
    let on_step: OnStep = Arc::new(move |step: Step| {
        if step.what == "replay the oplog" {
            stop.cancel();
        }
    });
    let error = restore(&source, &plan, &options, on_step, cancel).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Cancelled, "{error:?}");
    assert!(!to.exists(), "half a restore has no name");
    let again: OnStep = Arc::new(|step: Step| assert_ne!(step.what, "bring the files back", "they are there"));
    restore(&source, &plan, &options, again, token).await.unwrap();
    let differences = compare::diff(state, &open_files(&to, true).await);
    assert!(differences.is_empty(), "{differences:#?}");
    let into_what_is_there = restore(&source, &plan, &options, quiet(), CancellationToken::new()).await.unwrap_err();
    assert_eq!(into_what_is_there.class(), ErrorClass::Caller);
}

async fn damaged(packs: &Path, instants: &[(Ts, compare::ServerState)], snapshot: &holdfast_domain::SnapshotId) {
    let (last, _) = instants.last().unwrap();
    let before = &instants[2];
    // A segment that begins after the third instant, and is not the last.
    let victim = |dir: &Path| {
        let all = below(dir, ".seg");
        let after = |pair: &&[PathBuf]| segment_of(&pair[0]).end >= before.0 && segment_of(&pair[1]).end < *last;
        all.windows(2).find(after).unwrap()[1].clone()
    };

    // Cut short: the listing tells, and says what is left.
    let dir = tempfile::tempdir().unwrap();
    let place = copy_of(packs, dir.path());
    let path = victim(dir.path());
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    let listed = contents(&place).await;
    assert_eq!(listed.backups[0].faults.len(), 2, "{:?}", listed.backups[0].faults);
    let refused = plan(&listed, &instant(*last)).unwrap_err().to_string();
    assert!(refused.contains("what can be restored: ") && refused.contains("lost"), "{refused}");
    assert_recovers(&place, instant(before.0), &before.1).await;

    // A flipped byte: only reading tells; the error says up to where it is good.
    let mut flipped = bytes.clone();
    let at = bytes.len() / 2;
    flipped[at] ^= 1;
    std::fs::write(&path, &flipped).unwrap();
    let target = tempfile::tempdir().unwrap();
    let error = recovered(&place, instant(*last), target.path()).await.unwrap_err();
    assert!(matches!(&error, RecoverFault::Ends { .. }) && error.class() == ErrorClass::Corrupt, "{error:?}");
    let text = error.to_string();
    assert!(text.contains("checksum") && text.contains("restore --at"), "{text}");
    assert!(!target.path().join("restored").exists());
    let source = Source::open(&place, Keyring::default()).await.unwrap();
    let scratch = target.path().join("scratch");
    let found = check(&source, &listed, &scratch, quiet(), CancellationToken::new()).await.unwrap();
    assert!(found.faults.iter().any(|fault| fault.contains("lost")), "{found:?}");

    // Gone: a gap.
    std::fs::remove_file(&path).unwrap();
    let listed = contents(&place).await;
    assert!(listed.backups[0].faults[0].contains("lacks entries"), "{:?}", listed.backups[0].faults);
    assert!(plan(&listed, &instant(*last)).is_err());

    // A pack is gone: nothing half is left, and the error says what is whole.
    for pack in below(dir.path(), ".pack") {
        std::fs::remove_file(pack).unwrap();
    }
    let error = recovered(&place, Target::Snapshot(snapshot.clone()), target.path()).await.unwrap_err();
    assert!(error.to_string().contains("no other snapshot of this backup is whole"), "{error}");
    assert_eq!(error.class(), ErrorClass::Corrupt);
    assert!(!target.path().join("restored").exists());
    let found = check(&source, &listed, &target.path().join("scratch2"), quiet(), CancellationToken::new()).await;
    assert!(found.unwrap().whole.is_empty());

    // A copy of a root is damaged: it is named, the others stay.
    let roots = below(dir.path(), ".root");
    std::fs::write(&roots[0], "x").unwrap();
    let listed = contents(&place).await;
    assert_eq!((listed.faults.len(), listed.backups[0].snapshots.len()), (1, roots.len() - 1), "{:?}", listed.faults);

    let empty = tempfile::tempdir().unwrap();
    let empty = Place::Packs(PackLocation::Directory(empty.path().to_owned()));
    let nothing = Source::open(&empty, Keyring::default()).await;
    assert_eq!(nothing.err().unwrap().class(), ErrorClass::Operator);
}
