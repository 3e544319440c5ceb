//! Registrations, epochs, claims, guards; corruption and its repair.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::*;
use blockstore_engine::cache::CACHE_BYTES_MIN;
use blockstore_engine::{
    BlockId, CacheOptions, CommitRequest, EngineOptions, ErrorClass, Floor, FrameSource, LeafWalk, Pin, Purpose,
    ReadError, RegisterError, Root, RootError, RootId, WriteError,
};
use mongodb::Collection;
use mongodb::bson::{Binary, DateTime, Document, doc, spec::BinarySubtype};

fn binary(bytes: &[u8]) -> Binary {
    Binary { subtype: BinarySubtype::Generic, bytes: bytes.to_vec() }
}

fn collection(bed: &Bed, name: &str) -> Collection<Document> {
    bed.db.collection(name)
}

fn yes(_: &[Root]) -> Result<(), String> {
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_writers_of_the_same_content_share_it() {
    let bed = bed().await;
    bed.put("file", &Random(1).bytes(30 << 20));
    let (mut one, mut two) = (bed.writer(None).await, bed.writer(None).await);
    let source = bed.source();
    let (a, b) = tokio::join!(one.write_dir(&source, &|_| true, quiet()), two.write_dir(&source, &|_| true, quiet()));
    a.unwrap();
    b.unwrap();
    let (one_root, two_root) = (one.commit(commit()).await.unwrap(), two.commit(commit()).await.unwrap());
    assert_eq!(one_root.tree, two_root.tree);
    let reports = [one.verify_new().await.unwrap(), two.verify_new().await.unwrap()];
    assert!(reports.iter().all(|report| report.is_good()), "{reports:?}");
    let blocks = bed.count("blocks").await;
    assert_eq!(
        reports.iter().map(|report| report.blocks).sum::<u64>(),
        blocks,
        "each block was inserted by one of them"
    );
    assert_eq!(reports.iter().map(|report| report.orphans).sum::<u64>() + blocks, bed.count("payloads").await);
    assert_eq!(one_root.new_bytes + two_root.new_bytes, bed.store.stats().await.unwrap().raw_bytes);
    for root in [one_root, two_root] {
        assert!(bed.restored(&root).await == tree(&source));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_without_registration_indexes_nothing_and_cannot_commit() {
    let bed = bed().await;
    bed.put("file", &Random(2).bytes(20 << 20));
    let mut early = bed.writer(None).await;
    early.write_dir(&bed.source(), &|_| true, quiet()).await.unwrap();
    let mut late = bed.writer(None).await;
    collection(&bed, "writers").delete_many(doc! {}).await.unwrap();
    let error = early.commit(commit()).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Cancelled, "{error:?}");
    let blocks = bed.count("blocks").await;
    let error = async {
        late.add_file("other", 0o600, Random(3).bytes(20 << 20)).await?;
        late.commit(commit()).await
    };
    assert_eq!(error.await.unwrap_err().class(), ErrorClass::Cancelled);
    assert_eq!(bed.count("blocks").await, blocks);
    assert_eq!(bed.count("roots").await, 0);
    let idle = bed.writer(None).await;
    collection(&bed, "writers").delete_many(doc! {}).await.unwrap();
    tokio::time::timeout(Duration::from_secs(20), idle.cancelled().cancelled()).await.expect("the beat finds out");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn older_owners_are_refused_and_their_writers_cancelled() {
    let bed = bed().await;
    let mut old = bed.writer(None).await;
    bed.store.raise_epoch("job", 5).await.unwrap();
    bed.store.raise_epoch("job", 5).await.unwrap();
    let error = bed.store.register(request("job", None)).await.err().unwrap();
    assert!(matches!(error, RegisterError::StaleEpoch { guard: 5, ours: 1, .. }), "{error}");
    assert_eq!(error.class(), ErrorClass::Cancelled);
    assert!(matches!(bed.store.raise_epoch("job", 4).await, Err(RegisterError::StaleEpoch { .. })));
    assert_eq!(old.commit(commit()).await.unwrap_err().class(), ErrorClass::Cancelled);
    let mut newer = request("job", None);
    newer.job_epoch = 5;
    let new = bed.store.register(newer).await.unwrap();
    let guard = bed.store.guard("job").await.unwrap();
    assert_eq!((guard.epoch, guard.floor), (5, None));
    assert!(guard.n >= 4);
    bed.store.register(request("other job", None)).await.unwrap().abandon().await.unwrap();
    assert_eq!(bed.count("writers").await, 1);
    drop(new);
    let started = Instant::now();
    while bed.count("writers").await > 0 {
        assert!(started.elapsed() < Duration::from_secs(20), "a dropped writer deletes its registration");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parents_must_exist_in_the_same_job() {
    let bed = bed().await;
    bed.put("a", b"a");
    let root = bed.snapshot(None).await;
    for (job, parent) in [("job", RootId::random()), ("other", root.id)] {
        let refused = bed.store.register(request(job, Some(parent))).await.err().unwrap();
        assert!(matches!(refused, RegisterError::ParentGone(id) if id == parent));
    }
    assert!(matches!(bed.store.register(request("", None)).await, Err(RegisterError::Request(_))));
    assert_eq!(bed.count("writers").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blocks_of_an_older_epoch_are_claimed() {
    let dir = tempfile::tempdir().unwrap();
    for cached in [false, true] {
        let cache = cached.then(|| CacheOptions { path: dir.path().join("cache"), bytes: CACHE_BYTES_MIN });
        let bed = bed_with(EngineOptions { cache, ..EngineOptions::default() }).await;
        bed.put("file", &Random(4).bytes(10 << 20));
        let first = bed.snapshot(None).await;
        let blocks = bed.count("blocks").await;
        // What a run of the collector does before it marks.
        collection(&bed, "gc").update_one(doc! { "_id": "gc" }, doc! { "$inc": { "epoch": 1_i64 } }).await.unwrap();
        // With a parent: unchanged blocks need no claim.
        bed.snapshot(Some(&first)).await;
        let claimed = doc! { "e": 2_i64 };
        assert_eq!(collection(&bed, "blocks").count_documents(claimed.clone()).await.unwrap(), 0);
        // Without: every block is claimed, none is stored again.
        let again = bed.snapshot(None).await;
        assert_eq!(again.new_bytes, 0);
        assert_eq!(collection(&bed, "blocks").count_documents(claimed.clone()).await.unwrap(), blocks);
        // Gone since (as the collector deletes, by epoch): stored again, whatever the cache remembers.
        collection(&bed, "gc").update_one(doc! { "_id": "gc" }, doc! { "$inc": { "epoch": 1_i64 } }).await.unwrap();
        let gone: Vec<Document> =
            futures::TryStreamExt::try_collect(collection(&bed, "blocks").find(doc! {}).limit(40).await.unwrap())
                .await
                .unwrap();
        for block in &gone {
            collection(&bed, "blocks").delete_one(doc! { "_id": block.get("_id").unwrap() }).await.unwrap();
            collection(&bed, "payloads").delete_one(doc! { "_id": block.get("at").unwrap() }).await.unwrap();
        }
        let restored = bed.snapshot(None).await;
        assert!(restored.new_bytes > 0);
        assert_eq!(bed.count("blocks").await, blocks);
        assert_eq!(collection(&bed, "blocks").count_documents(doc! { "e": 3_i64 }).await.unwrap(), blocks);
        assert!(bed.store.reader(restored.clone()).verify(quiet()).await.unwrap().is_good());
        assert!(bed.restored(&restored).await == tree(&bed.source()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pins_trash_and_floor_keep_their_rules() {
    let bed = bed().await;
    bed.put("a", b"a");
    let old = bed.snapshot(None).await;
    let new = bed.snapshot(Some(&old)).await;
    let store = &bed.store;
    let pin = |until| Pin { by: "restore 1".into(), until };
    let unknown = RootId::random();
    assert!(matches!(store.pin(&unknown, pin(None)).await, Err(RootError::NotFound(_))));
    assert!(matches!(store.set_label(&unknown, None).await, Err(RootError::NotFound(_))));

    // Pinned: stays out of the trash until the pin ends or goes.
    store.pin(&old.id, pin(None)).await.unwrap();
    assert!(matches!(store.trash(&old.id, &yes).await, Err(RootError::Pinned { .. })));
    store.pin(&old.id, pin(Some(DateTime::from_millis(0)))).await.unwrap();
    assert_eq!(store.root(&old.id).await.unwrap().unwrap().pins.len(), 1, "replaced, not added");
    store.trash(&old.id, &yes).await.unwrap();
    store.trash(&old.id, &|_| Err("not asked again".into())).await.unwrap();
    assert!(store.root(&old.id).await.unwrap().unwrap().trashed_at.is_some());
    assert!(matches!(store.pin(&old.id, pin(None)).await, Err(RootError::InTrash(_))));
    store.untrash(&old.id).await.unwrap();
    store.pin(&old.id, pin(None)).await.unwrap();
    store.unpin(&old.id, "somebody else").await.unwrap();
    assert!(store.root(&old.id).await.unwrap().unwrap().is_pinned(DateTime::now()));
    store.unpin(&old.id, "restore 1").await.unwrap();
    store.set_label(&old.id, Some("before".into())).await.unwrap();
    assert_eq!(store.root(&old.id).await.unwrap().unwrap().label.as_deref(), Some("before"));

    // The rule sees what would stay; of two deletions at once that each rely on the other's root, one is refused.
    let keep_one = |rest: &[Root]| if rest.is_empty() { Err("the last one".to_owned()) } else { Ok(()) };
    let (a, b) = tokio::join!(store.trash(&old.id, &keep_one), store.trash(&new.id, &keep_one));
    assert!(a.is_ok() != b.is_ok(), "{a:?} {b:?}");
    assert!(matches!(a.and(b), Err(RootError::Rule(reason)) if reason == "the last one"));
    store.untrash(&old.id).await.unwrap();
    store.untrash(&new.id).await.unwrap();

    // The floor only rises, not above what a pin needs, and not against the rule.
    let floor = |seq| Floor { chain: 1, seq };
    store.pin(&old.id, pin(None)).await.unwrap();
    assert!(matches!(store.raise_floor("job", floor(11), &yes).await, Err(RootError::Pinned { .. })));
    store.raise_floor("job", floor(10), &yes).await.unwrap();
    store.raise_floor("job", floor(3), &|_| Err("not asked".into())).await.unwrap();
    assert_eq!(store.guard("job").await.unwrap().floor, Some(floor(10)));
    store.unpin(&old.id, "restore 1").await.unwrap();
    let refusing = |roots: &[Root]| Err(format!("{} roots", roots.len()));
    assert!(
        matches!(store.raise_floor("job", floor(11), &refusing).await, Err(RootError::Rule(reason)) if reason == "2 roots")
    );
    store.raise_floor("job", floor(11), &yes).await.unwrap();
    assert!(matches!(store.pin(&old.id, pin(None)).await, Err(RootError::BelowFloor(_))));
    let pinned = CommitRequest { pins: vec![pin(None)], ..commit() };
    assert!(matches!(bed.writer(None).await.commit(pinned.clone()).await, Err(WriteError::BelowFloor)));
    let for_restore = CommitRequest { purpose: Purpose::Restore, ..pinned };
    let root = bed.writer(None).await.commit(for_restore).await.unwrap();
    assert!(matches!(store.trash(&root.id, &yes).await, Err(RootError::Pinned { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_root_is_never_read_from() {
    let bed = bed().await;
    bed.put("a", b"a");
    let root = bed.snapshot(None).await;
    collection(&bed, "roots").update_one(doc! {}, doc! { "$inc": { "logicalBytes": 1_i64 } }).await.unwrap();
    let changed = bed.store.root(&root.id).await.unwrap().unwrap();
    assert!(changed.quarantined);
    let reader = bed.store.reader(changed);
    let error = reader.files().await.unwrap_err();
    assert!(matches!(error, ReadError::BadRoot(_)) && error.class() == ErrorClass::Corrupt);
    assert_eq!(reader.verify(quiet()).await.unwrap().bad_count, 1);
    collection(&bed, "roots").update_one(doc! {}, doc! { "$unset": { "tree": 1 } }).await.unwrap();
    assert_eq!(bed.store.root(&root.id).await.unwrap_err().class(), ErrorClass::Corrupt);
}

async fn payload(bed: &Bed, id: BlockId) -> Document {
    let row = collection(bed, "blocks").find_one(doc! { "_id": id.to_bson() }).await.unwrap().unwrap();
    collection(bed, "payloads").find_one(doc! { "_id": row.get("at").unwrap() }).await.unwrap().unwrap()
}

async fn set_frame(bed: &Bed, id: BlockId, frame: &[u8], with_sum: bool) {
    let at = payload(bed, id).await.get("_id").unwrap().clone();
    let mut set = doc! { "z": binary(frame) };
    if with_sum {
        set.insert("s", binary(&blake3::hash(frame).as_bytes()[..16]));
        let length = i32::try_from(frame.len()).unwrap();
        collection(bed, "blocks")
            .update_one(doc! { "_id": id.to_bson() }, doc! { "$set": { "l": length } })
            .await
            .unwrap();
    }
    collection(bed, "payloads").update_one(doc! { "_id": at }, doc! { "$set": set }).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn torn_flipped_and_swapped_blocks_are_refused_and_repaired() {
    let bed = bed().await;
    bed.put("file", &Random(5).bytes(20 * BLOCK));
    let root = bed.snapshot(None).await;
    let only = bed.store.reader(root.clone()).entries().await.unwrap().remove(0);
    let ids = leaves(&bed, &root, &only.path).await;
    let frame = |document: &Document| document.get_binary_generic("z").unwrap().clone();
    let good = frame(&payload(&bed, ids[0]).await);
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 4;
    let other = frame(&payload(&bed, ids[9]).await);
    set_frame(&bed, ids[0], &flipped, false).await;
    set_frame(&bed, ids[1], &good[..good.len() / 2], false).await;
    set_frame(&bed, ids[2], &good[..good.len() / 2], true).await;
    set_frame(&bed, ids[3], &other, true).await;
    set_frame(&bed, ids[4], &[other.clone(), other.clone()].concat(), true).await;
    set_frame(&bed, ids[5], b"", true).await;
    let at = |document: &Document| document.get("_id").unwrap().clone();
    collection(&bed, "payloads").delete_one(doc! { "_id": at(&payload(&bed, ids[6]).await) }).await.unwrap();
    collection(&bed, "blocks")
        .update_one(doc! { "_id": ids[7].to_bson() }, doc! { "$unset": { "l": 1 } })
        .await
        .unwrap();
    collection(&bed, "blocks").delete_one(doc! { "_id": ids[8].to_bson() }).await.unwrap();

    let reader = bed.store.reader(root.clone());
    for id in &ids[..9] {
        let error = reader.blocks(&[*id]).await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::Corrupt, "{error}");
        // A frame that fits its own checksum and length can only be told from the right one by opening it.
        if *id != ids[3] {
            assert_eq!(reader.frames(&[*id]).await.unwrap_err().class(), ErrorClass::Corrupt);
        }
    }
    reader.blocks(&ids[9..]).await.unwrap();
    let report = reader.verify(quiet()).await.unwrap();
    assert_eq!(report.bad_count, 9, "{report:?}");
    assert!(report.bad.iter().all(|bad| bad.path.as_deref() == Some("file") && ids[..9].contains(&bad.id.unwrap())));
    assert!(!bed.store.verify_new(&root.id).await.unwrap().is_good());
    let target = bed.dir.path().join("out");
    let error = reader.materialise(&target, quiet(), tokio_util::sync::CancellationToken::new()).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Corrupt);

    // Quarantined, they count as missing even where the parent has them: the next writer repairs them.
    let bad: Vec<_> = report.bad.iter().filter_map(|bad| bad.id).collect();
    assert_eq!(bed.store.quarantine(&bad).await.unwrap(), 9, "one gets a row that says just that");
    bed.store.set_quarantined(&root.id, true).await.unwrap();
    let repaired = bed.snapshot(Some(&root)).await;
    assert_eq!(repaired.new_bytes, 9 * BLOCK as u64);
    let complete = bed.snapshot(None).await;
    assert_eq!(complete.new_bytes, 0);
    for root in [root, repaired, complete] {
        assert!(bed.store.reader(root.clone()).verify(quiet()).await.unwrap().is_good());
        assert!(bed.restored(&root).await == tree(&bed.source()));
    }
    assert!(reader.reframed().await.unwrap() > 0, "downloads begun before must not be joined to later ones");
    assert_eq!(collection(&bed, "blocks").count_documents(doc! { "q": { "$exists": true } }).await.unwrap(), 0);
    assert_eq!(
        bed.count("payloads").await,
        bed.count("blocks").await + 3,
        "replaced payloads are gone, but for three that no readable row named"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parent_that_cannot_be_read_is_no_parent() {
    let bed = bed().await;
    bed.put("file", &Random(6).bytes(20 * BLOCK));
    let first = bed.snapshot(None).await;
    let top = bed.store.reader(first.clone()).entries().await.unwrap()[0].top.unwrap();
    // The node of the file, then the tree of entries.
    for id in [top, first.tree] {
        set_frame(&bed, id, b"garbage", true).await;
        let next = bed.snapshot(Some(&first)).await;
        assert!(next.new_bytes > 0 && next.new_bytes < BLOCK as u64, "{}", next.new_bytes);
        assert!(bed.restored(&next).await == tree(&bed.source()));
        assert!(
            bed.store.reader(first.clone()).verify(quiet()).await.unwrap().is_good(),
            "repaired by the next writer"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn encrypted_payloads_are_not_taken_for_plain_ones() {
    let bed = bed().await;
    bed.put("file", &Random(7).bytes(BLOCK));
    let root = bed.snapshot(None).await;
    collection(&bed, "payloads").update_many(doc! {}, doc! { "$set": { "k": "key 1" } }).await.unwrap();
    let error = bed.store.reader(root).files().await.unwrap_err();
    assert!(matches!(error, ReadError::NoKey(_)) && error.class() == ErrorClass::Operator);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writing_goes_on_through_elections() {
    let server = Arc::new(tokio::task::spawn_blocking(Server::start).await.unwrap());
    let bed = bed_on(server, EngineOptions::default()).await;
    bed.put("file", &Random(8).bytes(100 << 20));
    let mut writer = bed.writer(None).await;
    let admin = bed.db.client().database("admin");
    let elections = async {
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_millis(150)).await;
            // The connection may close before the answer.
            let _ =
                admin.run_command(doc! { "replSetStepDown": 1, "secondaryCatchUpPeriodSecs": 0, "force": true }).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let (written, ()) = tokio::join!(
        async {
            writer.write_dir(&bed.source(), &|_| true, quiet()).await?;
            for number in 0..60 {
                writer.add_file(&format!("small{number}"), 0o600, Random(1000 + number).bytes(1 << 20)).await?;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            writer.commit(commit()).await
        },
        elections
    );
    let root = written.unwrap();
    assert!(writer.verify_new().await.unwrap().is_good());
    assert_eq!(root.files, 61);
    let restored = bed.restored(&root).await;
    assert!(restored["file"].1 == std::fs::read(bed.source().join("file")).unwrap());
    assert!(restored["small59"].1 == Random(1059).bytes(1 << 20));
}
