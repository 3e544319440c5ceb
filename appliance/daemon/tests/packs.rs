//! A group that encrypts, its blocks in packs: backed up, collected, moved to another folder while the backup runs, restored equal.

use std::{path::Path, time::Duration};

use crate::support::{PATIENCE, World, agent::Agent};
use blockstore_engine::{PayloadStore, StoreNumber};
use bson::{Document, doc};
use holdfast_metadb::{BlockstoreRequest, BlockstoreRequestState, BlockstoreWork, PayloadStoreLocation, PayloadStores};
use holdfast_tests::{ReplicaSetOptions, compare};

const SECRET: &str = "a sentence that must not be found in any pack";

async fn insert(world: &World, from: i32, count: i32) {
    let documents: Vec<Document> =
        (from..from + count).map(|n| doc! { "_id": n, "text": format!("{SECRET} {n}") }).collect();
    world.source.client().database("shop").collection("c").insert_many(documents).await.unwrap();
}

/// Carries work out by the running daemon.
async fn done(world: &World, work: BlockstoreWork) -> BlockstoreRequest {
    let asked = world.metadb.ask_blockstore(work, "test").await.unwrap();
    let ended = tokio::time::timeout(PATIENCE, async {
        loop {
            let request = world.metadb.blockstore_request(&asked.id).await.unwrap().unwrap();
            if !matches!(request.state, BlockstoreRequestState::Queued | BlockstoreRequestState::Running) {
                return request;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
    let ended = ended.await.unwrap();
    assert_eq!(ended.state, BlockstoreRequestState::Done, "{ended:?}");
    ended
}

/// All files below a folder: how many packs, and whether any file holds these bytes.
fn look(dir: &Path, wanted: &[u8]) -> (usize, bool) {
    let (mut packs, mut found) = (0, false);
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            let below = look(&path, wanted);
            (packs, found) = (packs + below.0, found | below.1);
            continue;
        }
        packs += usize::from(path.extension().is_some_and(|ending| ending == "pack"));
        found |= std::fs::read(&path).unwrap().windows(wanted.len()).any(|bytes| bytes == wanted);
    }
    (packs, found)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_encrypted_group_on_packs_is_backed_up_collected_moved_and_restored() {
    let world = World::new(ReplicaSetOptions::default()).await;
    let group = world.job().await.group;
    let key = world.store.create_key(&group).await.unwrap();
    let groups = world.metadb.database().collection::<Document>("groups");
    groups.update_one(doc! { "_id": group.as_str() }, doc! { "$set": { "key": &key } }).await.unwrap();
    let folder = |name: &str| world.dir.path().join(name);
    let add = |name: &'static str| {
        let path = folder(name).to_str().unwrap().to_owned();
        move |stores: &mut PayloadStores| {
            let number = stores.add(PayloadStoreLocation::Directory { path: path.clone() }, 1 << 20, None)?;
            stores.set_default(number)
        }
    };
    world.metadb.change_payload_stores(add("one")).await.unwrap();

    insert(&world, 0, 3000).await;
    let settings = world.settings("one-daemon");
    let daemon = world.daemon(&settings).await;
    let _agent = Agent::start(&world.source, &world.ledger, &world.job).await;
    let end = world.mark().await;
    world.wait_head(end).await;
    world.wait_snapshots(1).await;
    insert(&world, 10_000, 3000).await;
    let end = world.mark().await;
    world.wait_head(end).await;
    world.snapshot().await;
    // After the newer snapshot: instants before it go with the older one.
    let (at, state) = compare::record(&world.source.client()).await.unwrap();
    let snapshots = world.snapshots().await;
    assert!(snapshots.iter().all(|snapshot| snapshot.root.key.unwrap().to_string() == key));
    // zstd keeps short runs of literals as they are: plain packs would show the sentence.
    let (packs, readable) = look(&folder("one"), SECRET.as_bytes());
    assert!(packs > 0 && !readable, "{packs} packs");

    // The older one goes; what it alone needed is given back by one collection.
    let older = &snapshots[0].root;
    world.store.trash(&older.id, &|_| Ok(())).await.unwrap();
    let planned = done(&world, BlockstoreWork::Plan).await.result.unwrap();
    assert!(planned.get_array("unlink").unwrap().is_empty(), "its grace is not over: {planned}");
    let collected = done(&world, BlockstoreWork::Collect).await.result.unwrap();
    assert!(collected.get_array("stores").unwrap().len() == 1, "{collected}");
    world.store.untrash(&older.id).await.unwrap();
    assert!(folder("one").join("roots").read_dir().unwrap().count() >= 2, "copies of the roots lie beside the packs");

    // Moved while the backup goes on.
    world.metadb.change_payload_stores(add("two")).await.unwrap();
    world.metadb.change_payload_stores(|stores| stores.drain(1)).await.unwrap();
    insert(&world, 20_000, 1000).await;
    let moved = done(&world, BlockstoreWork::Move { from: 1, to: 2 }).await.result.unwrap();
    assert!(moved.get_i64("movedBytes").unwrap() > 0, "{moved}");
    assert_eq!(look(&folder("one"), SECRET.as_bytes()), (0, false));
    assert!(look(&folder("two"), SECRET.as_bytes()).0 > 0);
    assert_eq!(daemon.daemon.context().store.writes_to(), PayloadStore::Packs(StoreNumber::new(2).unwrap()));
    let verified = done(&world, BlockstoreWork::Verify { snapshot: None }).await.result.unwrap();
    assert_eq!(verified.get_i64("badCount").unwrap(), 0, "{verified}");

    // Everything that was recorded comes back, from the packs that were moved; what is stored for it is encrypted too.
    world.store.reload().await.unwrap();
    world.assert_restores(at.into(), &state, false).await;
    let roots = world.store.roots(world.job.as_str()).await.unwrap();
    assert!(roots.iter().all(|root| root.key.is_some()));
    assert!(!look(&folder("two"), SECRET.as_bytes()).1);
    daemon.stop().await;
}
