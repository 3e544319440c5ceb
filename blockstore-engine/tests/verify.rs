//! Verification: rolling shares, single snapshots, quarantine that names snapshots, repair from every source.

use std::sync::Arc;
use std::time::Duration;

use crate::support::*;
use blockstore_engine::cache::CACHE_BYTES_MIN;
use blockstore_engine::verify::{SLICES, directory};
use blockstore_engine::{
    BlockId, CacheOptions, EngineOptions, ErrorClass, FrameSource, LeafWalk, RepairSource, RollingOptions, Root,
};
use mongodb::bson::{Binary, Document, doc, spec::BinarySubtype};
use tokio_util::sync::CancellationToken;

fn all_now() -> RollingOptions {
    RollingOptions { age: Duration::ZERO, share: (1, 1), give_way: 0 }
}

/// Flips a bit of the stored frame.
async fn flip(bed: &Bed, id: BlockId) {
    let row = bed.db.collection::<Document>("blocks").find_one(doc! { "_id": id.to_bson() }).await.unwrap().unwrap();
    let payloads = bed.db.collection::<Document>("payloads");
    let at = doc! { "_id": row.get("at").unwrap() };
    let mut frame = payloads.find_one(at.clone()).await.unwrap().unwrap().get_binary_generic("z").unwrap().clone();
    let middle = frame.len() / 2;
    frame[middle] ^= 1;
    let frame = Binary { subtype: BinarySubtype::Generic, bytes: frame };
    payloads.update_one(at, doc! { "$set": { "z": frame } }).await.unwrap();
}

async fn rolling(bed: &Bed, options: &RollingOptions) -> blockstore_engine::verify::RollingReport {
    bed.store.verify_rolling(options, Arc::new(|_| {}), CancellationToken::new()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shares_roll_over_the_whole_store_and_name_the_snapshots_of_bad_blocks() {
    let bed = bed().await;
    let mut random = Random(41);
    let shared = random.bytes(30 * BLOCK);
    bed.put("shared", &shared);
    bed.put("first", &random.bytes(20 * BLOCK));
    let first = bed.snapshot(None).await;
    std::fs::remove_file(bed.source().join("first")).unwrap();
    bed.put("second", &random.bytes(20 * BLOCK));
    let second = bed.snapshot(Some(&first)).await;
    let third = RollingOptions { share: (1, 3), give_way: 0, ..RollingOptions::default() };
    let (mut slices, mut blocks) = (0, 0);
    for turn in 0..3 {
        let report = rolling(&bed, &third).await;
        assert_eq!(report.oldest.is_some(), turn == 2, "until all slices had their turn");
        assert_eq!(report.bad, []);
        slices += report.slices;
        blocks += report.blocks;
    }
    assert_eq!((slices, blocks), (SLICES, bed.count("blocks").await), "each block once");
    assert_eq!(rolling(&bed, &third).await.slices, 0, "nothing is due for 30 days");
    assert_eq!(rolling(&bed, &RollingOptions { share: (1, 128), ..all_now() }).await.slices, 2, "by age, oldest first");

    let bad = [leaves(&bed, &first, "shared").await[3], leaves(&bed, &first, "first").await[5]];
    let node = bed.store.reader(second.clone()).file("second").await.unwrap().top.unwrap();
    for id in bad.iter().chain([&node]) {
        flip(&bed, *id).await;
    }
    let report = rolling(&bed, &all_now()).await;
    let mut named: Vec<_> = report.bad.iter().map(|bad| (bad.id, bad.snapshots.clone())).collect();
    let mut expected = vec![(bad[0], vec![first.id, second.id]), (bad[1], vec![first.id]), (node, vec![second.id])];
    named.sort();
    expected.sort();
    assert_eq!(named, expected);
    for root in bed.store.all_roots().await.unwrap() {
        assert!(root.quarantined);
    }
    assert_eq!(rolling(&bed, &all_now()).await.bad, [], "named once, quarantined since");
    assert!(bed.store.is_quarantined(&node).await.unwrap());
    let wrong = RollingOptions { share: (2, 1), ..all_now() };
    let refused = bed.store.verify_rolling(&wrong, Arc::new(|_| {}), CancellationToken::new());
    assert_eq!(refused.await.unwrap_err().class(), ErrorClass::Caller);

    // The next writer that meets the same content repairs them, and a repair without a source then finds the snapshots whole.
    bed.put("first", &Random(0).bytes(10));
    let mut random = Random(41);
    random.bytes(30 * BLOCK);
    bed.put("first", &random.bytes(20 * BLOCK));
    bed.snapshot(Some(&second)).await;
    let report = bed.store.repair(None, CancellationToken::new()).await.unwrap();
    assert_eq!((report.bad, report.left.len(), report.touched.len()), (0, 0, 0), "{report:?}");
    assert_eq!(report.healed, [first.id, second.id]);
    bed.check_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_snapshot_is_verified_on_demand_and_repaired_from_a_folder() {
    let bed = bed().await;
    // A file with two levels of nodes would need 64 MB; the last node of a level is shorter than its span.
    bed.put("file", &Random(42).bytes(40 * BLOCK + 99));
    bed.put("small", &Random(43).bytes(500));
    let root = bed.snapshot(None).await;
    let other = bed.snapshot(None).await;
    let check = bed.store.verify_snapshot(&root.id, quiet(), CancellationToken::new()).await.unwrap();
    assert!(check.report.is_good() && check.report.blocks > 40);
    assert_eq!(bed.store.snapshot_checks().await.unwrap(), [check]);
    let reader = bed.store.reader(root.clone());
    let ids = leaves(&bed, &root, "file").await;
    let small = reader.file("small").await.unwrap().top.unwrap();
    let node = reader.file("file").await.unwrap().top.unwrap();
    flip(&bed, ids[7]).await;
    flip(&bed, ids[40]).await;
    flip(&bed, small).await;
    // Gone altogether.
    bed.db.collection::<Document>("blocks").delete_one(doc! { "_id": ids[9].to_bson() }).await.unwrap();
    let check = bed.store.verify_snapshot(&root.id, quiet(), CancellationToken::new()).await.unwrap();
    assert_eq!(check.report.bad_count, 4);
    let kept = bed.store.snapshot_checks().await.unwrap();
    assert_eq!((kept.len(), &kept[0]), (1, &check), "the newer result replaces the older");
    for root in bed.store.all_roots().await.unwrap() {
        assert!(root.quarantined, "both need the blocks");
    }
    flip(&bed, node).await;
    bed.store.quarantine(&[node]).await.unwrap();

    // A source with other content, or none, does no harm.
    let garbage: RepairSource =
        Arc::new(
            |path, _, len| if path == "small" { Err(std::io::ErrorKind::NotFound.into()) } else { Ok(vec![7; len]) },
        );
    let report = bed.store.repair(Some(garbage), CancellationToken::new()).await.unwrap();
    assert_eq!((report.bad, report.from_source, report.left.len()), (5, 0, 5));
    assert_eq!(report.touched.len(), 2);
    let report = bed.store.repair(Some(directory(bed.source())), CancellationToken::new()).await.unwrap();
    // Below a bad node nothing can be placed: the node comes first, what lies below it next.
    assert_eq!((report.from_source, report.left.len()), (2, 3), "{report:?}");
    let report = bed.store.repair(Some(directory(bed.source())), CancellationToken::new()).await.unwrap();
    assert_eq!((report.bad, report.from_source, report.from_cache, report.left.len()), (3, 3, 0, 0), "{report:?}");
    let mut healed = report.healed;
    healed.sort();
    let mut both = vec![root.id, other.id];
    both.sort();
    assert_eq!(healed, both);
    assert!(reader.reframed().await.unwrap() > 0);
    let check = bed.store.verify_snapshot(&root.id, quiet(), CancellationToken::new()).await.unwrap();
    assert!(check.report.is_good());
    assert!(bed.restored(&root).await == tree(&bed.source()));
    bed.check_all().await;
    let unknown = blockstore_engine::RootId::random();
    let error = bed.store.verify_snapshot(&unknown, quiet(), CancellationToken::new()).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Caller);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cache_repairs_what_it_still_has() {
    let dir = tempfile::tempdir().unwrap();
    let cache = Some(CacheOptions { path: dir.path().join("cache"), bytes: CACHE_BYTES_MIN });
    let bed = bed_with(EngineOptions { cache, ..EngineOptions::default() }).await;
    bed.put("file", &Random(44).bytes(20 * BLOCK));
    let root = bed.snapshot(None).await;
    let ids = leaves(&bed, &root, "file").await;
    // Read once: in the cache. The others are not.
    bed.store.reader(root.clone()).blocks(&ids[..3]).await.unwrap();
    let top = bed.store.reader(root.clone()).file("file").await.unwrap().top.unwrap();
    for id in [ids[0], ids[2], ids[10], top] {
        flip(&bed, id).await;
    }
    let check = bed.store.verify_snapshot(&root.id, quiet(), CancellationToken::new()).await.unwrap();
    assert_eq!(check.report.bad_count, 4, "proved from the database, not from the cache");
    let report = bed.store.repair(None, CancellationToken::new()).await.unwrap();
    assert_eq!((report.bad, report.from_cache), (4, 3));
    assert_eq!(report.left, [ids[10]]);
    assert_eq!(report.touched, [root.id]);
    assert!(bed.store.root(&root.id).await.unwrap().unwrap().quarantined);
    let report = bed.store.repair(Some(directory(bed.source())), CancellationToken::new()).await.unwrap();
    assert_eq!((report.from_source, report.healed.as_slice()), (1, &[root.id][..]));
    bed.check_all().await;
}
