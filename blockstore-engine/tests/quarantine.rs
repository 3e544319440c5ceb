//! What is known to be bad stays known: after a failed proof, after a verification that ended early, without a key.

use std::sync::Arc;
use std::time::Duration;

use crate::support::*;
use blockstore_engine::{
    BlockId, Blockstore, CollectOptions, EngineOptions, ErrorClass, GroupKey, Keyring, LeafWalk, RollingOptions,
    RollingReport, Root, WriteError, WriterRequest, verify::SLICES,
};
use futures::TryStreamExt;
use mongodb::bson::{Binary, Document, doc, spec::BinarySubtype};
use tokio_util::sync::CancellationToken;

async fn rolling(store: &Blockstore, age: Duration, share: (u32, u32)) -> RollingReport {
    let options = RollingOptions { age, share, give_way: 0 };
    store.verify_rolling(&options, Arc::new(|_| {}), CancellationToken::new()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_failed_proof_found_is_stored_anew_by_the_next_attempt() {
    let bed = bed().await;
    bed.put("file", &Random(71).bytes(40 * BLOCK));
    let mut writer = bed.writer(None).await;
    writer.write_dir(&bed.source(), &|_| true, quiet()).await.unwrap();
    assert!(writer.verify_new().await.unwrap().is_good());
    // One payload rots, one is lost: of that one the proof cannot say which block it held.
    let payloads = bed.db.collection::<Document>("payloads");
    let all: Vec<Document> = payloads.find(doc! {}).await.unwrap().try_collect().await.unwrap();
    let mut frame = all[3].get_binary_generic("z").unwrap().clone();
    let middle = frame.len() / 2;
    frame[middle] ^= 1;
    let frame = Binary { subtype: BinarySubtype::Generic, bytes: frame };
    let at = |n: usize| doc! { "_id": all[n].get("_id").unwrap().clone() };
    payloads.update_one(at(3), doc! { "$set": { "z": frame } }).await.unwrap();
    payloads.delete_one(at(5)).await.unwrap();
    let proof = writer.verify_new().await.unwrap();
    assert_eq!((proof.bad_count, proof.bad.iter().filter(|bad| bad.id.is_none()).count()), (2, 1), "{proof:?}");
    let refused = writer.commit(commit()).await.unwrap_err();
    assert!(matches!(refused, WriteError::Request(_)) && refused.class() == ErrorClass::Caller, "{refused}");
    writer.abandon().await.unwrap();
    assert_eq!(bed.count("roots").await, 0);

    let root = bed.snapshot(None).await;
    assert!(root.new_bytes > 0, "what was bad");
    let report = bed.store.reader(root.clone()).verify(quiet()).await.unwrap();
    assert!(report.is_good(), "{report:?}");
    assert!(bed.restored(&root).await == tree(&bed.source()));
    assert!(!bed.store.needs_repair().await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_quarantined_is_named_by_the_next_verification() {
    let bed = bed().await;
    bed.put("shared", &Random(72).bytes(10 * BLOCK));
    let first = bed.snapshot(None).await;
    bed.put("second", &Random(73).bytes(10 * BLOCK));
    let second = bed.snapshot(Some(&first)).await;
    let month = Duration::from_secs(30 * 24 * 3600);
    assert_eq!(rolling(&bed.store, month, (1, 1)).await.bad, []);
    // As a writer does that meets it, or a verification that fails before it names anything.
    let (both, one) = (leaves(&bed, &first, "shared").await[2], leaves(&bed, &second, "second").await[4]);
    bed.store.quarantine(&[both, one]).await.unwrap();
    assert!(bed.store.all_roots().await.unwrap().iter().all(|root| !root.quarantined));
    // Called off before it could: nothing is forgotten.
    let cancelled = CancellationToken::new();
    cancelled.cancel();
    let options = RollingOptions { age: month, share: (1, 1), give_way: 0 };
    let ended = bed.store.verify_rolling(&options, Arc::new(|_| {}), cancelled).await;
    assert!(ended.is_err() || !ended.unwrap().bad.is_empty());
    assert!(bed.store.needs_repair().await.unwrap());

    let report = rolling(&bed.store, month, (1, 1)).await;
    assert_eq!(report.slices, 0, "no slice is due");
    for root in bed.store.all_roots().await.unwrap() {
        assert!(root.quarantined, "{}", root.id);
    }
    assert_eq!(rolling(&bed.store, month, (1, 1)).await.bad, [], "named once");
    let needs = bed.store.snapshots_of(&[both, one], CancellationToken::new()).await.unwrap();
    assert_eq!((needs[&both].len(), needs[&one].as_slice()), (2, &[second.id][..]));

    // Repaired, and bad again: named again.
    let source = blockstore_engine::verify::directory(bed.source());
    let repaired = bed.store.repair(Some(source), CancellationToken::new()).await.unwrap();
    assert_eq!((repaired.from_source, repaired.healed.len()), (2, 2), "{repaired:?}");
    bed.store.quarantine(&[one]).await.unwrap();
    let report = rolling(&bed.store, month, (1, 1)).await;
    let named: Vec<_> = report.bad.iter().map(|bad| (bad.id, bad.snapshots.clone())).collect();
    assert_eq!(named, [(one, vec![second.id])]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blocks_that_cannot_be_read_for_want_of_a_key_do_not_count_as_verified() {
    let keys = Keyring::default();
    let key = keys.insert(&GroupKey::generate());
    let bed = bed_with(EngineOptions { keys, ..EngineOptions::default() }).await;
    bed.put("file", &Random(74).bytes(40 * BLOCK));
    let mut writer = bed.store.register(WriterRequest { key: Some(key), ..request("job", None) }).await.unwrap();
    writer.write_dir(&bed.source(), &|_| true, quiet()).await.unwrap();
    writer.commit(commit()).await.unwrap();
    let blocks = bed.count("blocks").await;
    let month = Duration::from_secs(30 * 24 * 3600);

    let keyless = Blockstore::open(bed.db.clone(), EngineOptions::default()).await.unwrap();
    let report = rolling(&keyless, month, (1, 1)).await;
    assert_eq!((report.unread, report.blocks, report.bad.as_slice()), (blocks, 0, &[][..]), "{report:?}");
    assert!(report.slices < SLICES && report.oldest.is_none(), "{report:?}");
    assert_eq!(keyless.slice_times().await.unwrap().len(), usize::from(report.slices));
    assert_eq!(rolling(&keyless, month, (1, 1)).await.unread, 0, "they had their turn");

    let report = rolling(&bed.store, Duration::ZERO, (1, 1)).await;
    assert_eq!((report.unread, report.blocks, report.slices), (0, blocks, SLICES), "{report:?}");
    assert!(report.oldest.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repairs_and_collections_beside_each_other() {
    let bed = bed().await;
    bed.put("file", &Random(76).bytes(60 * BLOCK));
    let kept = bed.snapshot(None).await;
    let ids = leaves(&bed, &kept, "file").await;
    let mut random = Random(77);
    for round in 0..6 {
        // Something to unlink and to delete, of which a part is bad too.
        bed.put("passing", &Random(1000 + round).bytes(20 * BLOCK));
        let passing = bed.snapshot(Some(&kept)).await;
        let gone = leaves(&bed, &passing, "passing").await;
        std::fs::remove_file(bed.source().join("passing")).unwrap();
        let mut bad: Vec<_> = (0..10).map(|_| ids[random.below(ids.len() as u64) as usize]).collect();
        bad.extend(&gone[..5]);
        bed.store.quarantine(&bad).await.unwrap();
        bed.store.trash(&passing.id, &|_| Ok(())).await.unwrap();
        let options = CollectOptions { grace: Duration::ZERO, ..CollectOptions::default() };
        let source = blockstore_engine::verify::directory(bed.source());
        let (repaired, collected) = tokio::join!(
            bed.store.repair(Some(source), CancellationToken::new()),
            bed.store.collect(&options, Arc::new(|_| {}), CancellationToken::new()),
        );
        repaired.unwrap();
        collected.unwrap();
        for id in &bad[..10] {
            assert!(!bed.store.is_quarantined(id).await.unwrap(), "round {round}: {id}");
        }
        assert!(bed.store.reader(kept.clone()).verify(quiet()).await.unwrap().is_good(), "round {round}");
    }
    assert!(bed.restored(&kept).await == tree(&bed.source()));
    bed.store.repair(None, CancellationToken::new()).await.unwrap();
    assert!(!bed.store.root(&kept.id).await.unwrap().unwrap().quarantined);
}
