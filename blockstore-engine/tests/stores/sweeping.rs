//! Packs of which little is left are compacted while readers read.

use std::collections::HashSet;

use blockstore_engine::{BlockId, FrameSource, LeafWalk, PayloadStore, Root, SweepRequest};
use mongodb::bson::{Document, doc};
use tokio_util::sync::CancellationToken;

use super::{directory, number, packs, sweep, to_packs};
use crate::support::*;

/// Every block, node and page of a snapshot.
async fn ids(bed: &Bed, root: &Root) -> HashSet<BlockId> {
    let reader = bed.store.reader(root.clone());
    let mut ids = HashSet::from([root.tree]);
    let mut level = vec![root.tree];
    while let Some(id) = level.pop() {
        if let Ok(node) = reader.node(id).await {
            ids.extend(node.children.iter().filter_map(|child| child.id));
            if node.level > 1 {
                level.extend(node.children.iter().filter_map(|child| child.id));
            }
        }
    }
    for entry in reader.entries().await.unwrap() {
        let mut walk = LeafWalk::new(&entry, 0..entry.size);
        while let Some(leaf) = walk.next(&reader).await.unwrap() {
            ids.extend(leaf.id);
        }
        ids.extend(walk.visited());
    }
    ids
}

/// What a run of the collector does: unlinks the root, deletes blocks that no other root needs.
async fn collect(bed: &Bed, gone: &Root, kept: &[&Root]) {
    let mut dead = ids(bed, gone).await;
    for root in kept {
        for id in ids(bed, root).await {
            dead.remove(&id);
        }
    }
    bed.db.collection::<Document>("roots").delete_one(doc! { "_id": gone.id.to_string() }).await.unwrap();
    let dead: Vec<_> = dead.iter().map(|id| id.to_bson()).collect();
    bed.db.collection::<Document>("blocks").delete_many(doc! { "_id": { "$in": dead } }).await.unwrap();
}

fn bytes(dir: &std::path::Path) -> u64 {
    packs(dir).iter().map(|pack| pack.metadata().unwrap().len()).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_packs_go_and_sparse_ones_are_compacted_under_readers() {
    let dir = tempfile::tempdir().unwrap();
    let bed = bed_with(to_packs(directory(dir.path()))).await;
    let mut random = Random(11);
    let whole = random.bytes(16 << 20);
    bed.put("file", &whole);
    bed.put("other", &random.bytes(4 << 20));
    let first = bed.snapshot(None).await;
    // Of every ten blocks of the file one stays; the other file goes.
    let mut changed = whole.clone();
    for (index, block) in changed.chunks_mut(BLOCK).enumerate() {
        if index % 10 != 0 {
            block.copy_from_slice(&random.bytes(block.len()));
        }
    }
    bed.put("file", &changed);
    std::fs::remove_file(bed.source().join("other")).unwrap();
    let second = bed.snapshot(Some(&first)).await;
    collect(&bed, &first, &[&second]).await;
    let before = bytes(dir.path());
    let dry = SweepRequest { dry_run: true, ..sweep(50) };
    let planned = bed.store.sweep_packs(dry, CancellationToken::new()).await.unwrap();
    assert_eq!(bytes(dir.path()), before);
    let stop = CancellationToken::new();
    let reading = {
        let (store, root, stop, expected) = (bed.store.clone(), second.clone(), stop.clone(), changed.clone());
        tokio::spawn(async move {
            let mut rounds = 0u64;
            while !stop.is_cancelled() {
                let reader = store.reader(root.clone());
                let read = reader.read("file", 0, 16 << 20).await.unwrap();
                assert!(read[..] == expected[..]);
                rounds += 1;
            }
            rounds
        })
    };
    let swept = bed.store.sweep_packs(sweep(50), CancellationToken::new()).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    stop.cancel();
    assert!(reading.await.unwrap() > 0);
    assert_eq!((swept.deleted_packs, swept.copied_bytes), (planned.deleted_packs, planned.copied_bytes));
    assert!(swept.deleted_packs >= 6 && swept.copied_bytes > 0, "{swept:?}");
    assert!(bytes(dir.path()) + swept.deleted_bytes < before + swept.copied_bytes + 200_000);
    assert_eq!(bed.count("writers").await, 0);
    assert!(bed.restored(&second).await == tree(&bed.source()));
    assert!(bed.store.reader(second.clone()).verify(quiet()).await.unwrap().is_good());
    // Nothing is left to do, and doing it again changes nothing.
    let again = bed.store.sweep_packs(sweep(50), CancellationToken::new()).await.unwrap();
    assert_eq!((again.deleted_packs, again.copied_bytes), (0, 0), "{again:?}");
    // Copies of roots follow.
    let mirrored = bed.store.mirror_roots(number(1)).await.unwrap();
    assert_eq!((mirrored.written, mirrored.deleted), (0, 1));
    // The last snapshot goes: nothing stays but folders.
    collect(&bed, &second, &[]).await;
    bed.store.sweep_packs(sweep(50), CancellationToken::new()).await.unwrap();
    assert_eq!((packs(dir.path()).len(), bed.count("blocks").await), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rewriter_whose_registration_goes_changes_nothing_more() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = to_packs(directory(dir.path()));
    options.write_to = PayloadStore::Mongo;
    let bed = bed_with(options).await;
    bed.put("file", &Random(12).bytes(40 << 20));
    let root = bed.snapshot(None).await;
    // Each registration is deleted as soon as it is seen.
    let stop = CancellationToken::new();
    let writers = bed.db.collection::<Document>("writers");
    let deleting = {
        let stop = stop.clone();
        tokio::spawn(async move {
            while !stop.is_cancelled() {
                writers.delete_many(doc! {}).await.unwrap();
            }
        })
    };
    let request = blockstore_engine::MoveRequest { from: PayloadStore::Mongo, to: PayloadStore::Packs(number(1)) };
    let error = bed.store.move_payloads(request, quiet(), CancellationToken::new()).await.unwrap_err();
    stop.cancel();
    deleting.await.unwrap();
    assert!(matches!(error, blockstore_engine::PayloadError::Gone), "{error}");
    assert!(bed.store.reader(root.clone()).verify(quiet()).await.unwrap().is_good());
    // Its copies are garbage that a sweep finds.
    let swept = bed.store.sweep_packs(sweep(0), CancellationToken::new()).await.unwrap();
    assert!(swept.deleted_packs > 0, "{swept:?}");
    assert!(bed.restored(&root).await == tree(&bed.source()));
}
