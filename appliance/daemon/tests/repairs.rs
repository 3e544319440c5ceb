//! Bad blocks are repaired from what the daemon has of its heads, whoever found them; second stores are looked after.

use std::{fs, path::Path, sync::Arc, time::Duration};

use crate::loop_fs::LoopFs;
use crate::support::{World, agent::Agent};
use blockstore_engine::{
    BlockId, Blockstore, CollectOptions, CommitRequest, EngineOptions, Floor, FrameSource, LeafWalk, PackLocation,
    PackStoreOptions, PayloadStore, Purpose, Root, StoreNumber, WriterRequest,
};
use bson::{Document, doc};
use holdfast_daemon::{collector, offsite::care};
use holdfast_tests::ReplicaSetOptions;
use tokio_util::sync::CancellationToken;

/// Some blocks of the largest file of a snapshot.
async fn some_blocks(world: &World, root: &Root) -> Vec<BlockId> {
    let reader = world.store.reader(root.clone());
    let files = reader.entries().await.unwrap();
    let largest = files.iter().max_by_key(|entry| entry.size).unwrap();
    let mut walk = LeafWalk::new(largest, 0..largest.size);
    let mut ids = Vec::new();
    while let Some(leaf) = walk.next(&reader).await.unwrap() {
        ids.extend(leaf.id);
    }
    ids.into_iter().take(5).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_blocks_are_repaired_from_the_clone_of_the_head_on_xfs() {
    let Some(fs) = LoopFs::new("xfs") else { return };
    let world = World::new(ReplicaSetOptions::default()).await;
    let mut settings = world.settings("one");
    settings.daemon.head_dir = Some(fs.path().join("heads"));
    fs::create_dir_all(fs.path().join("heads")).unwrap();
    let documents: Vec<Document> = (0..5000).map(|n| doc! { "_id": n, "text": format!("{n:0>300}") }).collect();
    world.source.client().database("shop").collection("c").insert_many(documents).await.unwrap();
    let daemon = world.daemon(&settings).await;
    let _agent = Agent::start(&world.source, &world.ledger, &world.job).await;
    let mark = world.mark().await;
    world.wait_head(mark).await;
    world.wait_snapshots(1).await;
    let id = world.snapshot().await;
    let root = world.store.root(&id.parse().unwrap()).await.unwrap().unwrap();
    let bad = some_blocks(&world, &root).await;
    assert!(!bad.is_empty());

    // As a writer or a copy leaves them that met them and ended: quarantined, and nobody named.
    let (ctx, cancel) = (daemon.daemon.context(), CancellationToken::new());
    assert!(!collector::repair_if_needed(ctx, true, &cancel).await.unwrap(), "nothing is damaged");
    world.store.quarantine(&bad).await.unwrap();
    assert!(collector::repair_if_needed(ctx, false, &cancel).await.unwrap(), "named, so repaired at once");
    for id in &bad {
        assert!(!world.store.is_quarantined(id).await.unwrap(), "{id}");
    }
    assert!(world.store.all_roots().await.unwrap().iter().all(|root| !root.quarantined));
    assert!(!collector::repair_if_needed(ctx, true, &cancel).await.unwrap(), "nothing is damaged any more");
    daemon.stop().await;
}

fn packs(dir: &Path) -> usize {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_pack = |path: &Path| path.extension().is_some_and(|ending| ending == "pack");
    entries.map(|path| if path.is_dir() { packs(&path) } else { usize::from(is_pack(&path)) }).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_store_is_read_back_and_its_packs_are_swept() {
    let world = World::new(ReplicaSetOptions::default()).await;
    let folder = world.dir.path().join("second");
    fs::create_dir_all(&folder).unwrap();
    let number = StoreNumber::new(1).unwrap();
    let options = EngineOptions {
        packs: vec![PackStoreOptions::new(number, PackLocation::Directory(folder.clone()))],
        write_to: PayloadStore::Packs(number),
        ..EngineOptions::default()
    };
    let target = Blockstore::open(world.appliance.client().database("second"), options).await.unwrap();
    let bytes: Vec<u8> = (0..1_000_000u32).map(|n| n.wrapping_mul(0x9e37_79b9).to_be_bytes()[0]).collect();
    let request = WriterRequest { job: "copy".into(), job_epoch: 1, parent: None, key: None };
    let mut writer = target.register(request).await.unwrap();
    writer.add_file("file", 0o600, bytes).await.unwrap();
    let commit = CommitRequest {
        meta: vec![1],
        resume: Floor { chain: 1, seq: 1 },
        purpose: Purpose::Snapshot,
        label: None,
        pins: Vec::new(),
    };
    let root = writer.commit(commit).await.unwrap();
    let cancel = CancellationToken::new();
    assert_eq!(care::verify("copy", &target, 3600, 3600, &cancel).await.unwrap(), None);
    assert_eq!(target.slice_times().await.unwrap().len(), 256);
    target.quarantine(&[root.tree]).await.unwrap();
    let bad = care::verify("copy", &target, 3600, 3600, &cancel).await.unwrap().unwrap();
    assert!(bad.contains(&root.id.to_string()), "{bad}");

    target.trash(&root.id, &|_| Ok(())).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let options = CollectOptions { grace: Duration::ZERO, ..CollectOptions::default() };
    let report = target.collect(&options, Arc::new(|_| {}), cancel.clone()).await.unwrap();
    assert_eq!(report.unlinked, [root.id]);
    assert!(packs(&folder) > 0, "a collection alone frees no pack");
    care::sweep("copy", &target, &cancel).await.unwrap();
    assert_eq!(packs(&folder), 0);
}
