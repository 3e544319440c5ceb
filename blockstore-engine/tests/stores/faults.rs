//! Services that fail, packs that tear, writers that die.

use std::fs;

use blockstore_engine::{ErrorClass, FrameSource, PackLocation, PayloadAt, Place, WriteError};
use mongodb::bson::{Document, doc};
use tokio_util::sync::CancellationToken;

use super::s3::{Fault, Proxy, S3Server};
use super::{directory, packs, sweep, to_packs};
use crate::support::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passing_faults_of_the_service_are_waited_out() {
    let server = S3Server::shared().await;
    let proxy = Proxy::start(server.port).await;
    let mut options = to_packs(PackLocation::S3(server.bucket(proxy.port).await));
    options.packs[0].pack_bytes = 12 << 20;
    let bed = bed_with(options).await;
    let mut random = Random(3);
    bed.put("file", &random.bytes(60 << 20));
    // Single and multipart uploads, their beginnings and ends, and the look afterwards.
    proxy.inject("PUT", "partNumber", Fault::Status(500), 2);
    proxy.inject("PUT", "partNumber", Fault::Stall, 1);
    proxy.inject("PUT", "partNumber", Fault::LoseAnswer, 1);
    proxy.inject("POST", "uploads", Fault::Status(503), 1);
    proxy.inject("POST", "uploadId", Fault::Close, 1);
    proxy.inject("PUT", ".pack", Fault::LoseAnswer, 1);
    proxy.inject("HEAD", ".pack", Fault::Status(500), 1);
    proxy.inject("PUT", ".root", Fault::Status(500), 1);
    let root = bed.snapshot(None).await;
    assert_eq!(proxy.left(), 0, "every fault was met");
    for (fault, count) in [
        (Fault::Status(500), 2),
        (Fault::Status(503), 1),
        (Fault::Stall, 1),
        (Fault::Close, 2),
        (Fault::Truncate(100), 2),
        (Fault::Truncate(300_000), 2),
        (Fault::Slow, 2),
    ] {
        proxy.inject("GET", ".pack", fault, count);
        let read = bed.restored(&root).await;
        assert!(read == tree(&bed.source()), "{fault:?}");
        assert_eq!(proxy.left(), 0, "{fault:?} was met");
        proxy.clear();
    }
    let report = bed.store.reader(root).verify(quiet()).await.unwrap();
    assert!(report.is_good(), "{report:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_refuses_is_for_the_operator_at_once() {
    let server = S3Server::shared().await;
    let proxy = Proxy::start(server.port).await;
    let bed = bed_with(to_packs(PackLocation::S3(server.bucket(proxy.port).await))).await;
    bed.put("file", &Random(4).bytes(1 << 20));
    proxy.inject("PUT", ".pack", Fault::Status(403), 1);
    let mut writer = bed.writer(None).await;
    writer.write_dir(&bed.source(), &|_| true, quiet()).await.unwrap();
    let error = writer.commit(commit()).await.unwrap_err();
    assert!(matches!(error, WriteError::Packs(_)) && error.class() == ErrorClass::Operator, "{error}");
    assert_eq!(bed.count("blocks").await, 0, "nothing is indexed that is not stored");
    assert_eq!(bed.count("roots").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn torn_flipped_and_lost_packs_are_found_and_repaired() {
    let dir = tempfile::tempdir().unwrap();
    let bed = bed_with(to_packs(directory(dir.path()))).await;
    bed.put("file", &Random(5).bytes(16 << 20));
    let root = bed.snapshot(None).await;
    // Batches fill packs in the order in which they are done, so that the trees may lie in any: those are left whole.
    let reader = bed.store.reader(root.clone());
    let mut trees = vec![root.tree, reader.entries().await.unwrap()[0].top.unwrap()];
    trees.extend(reader.node(root.tree).await.unwrap().children.iter().filter_map(|child| child.id));
    let mut all = packs(dir.path());
    for id in trees {
        let blocks = bed.db.collection::<Document>("blocks");
        let row = blocks.find_one(doc! { "_id": id.to_bson() }).await.unwrap().unwrap();
        let at = PayloadAt::from_slice(row.get_binary_generic("at").unwrap()).unwrap();
        let Place::Pack { pack, .. } = at.place() else { panic!("not in a pack") };
        all.retain(|path| !path.ends_with(format!("{pack:06x}.pack")));
    }
    assert!(all.len() >= 3, "{all:?}");
    let pack = fs::read(&all[0]).unwrap();
    fs::write(&all[0], &pack[..pack.len() / 2]).unwrap();
    let mut pack = fs::read(&all[1]).unwrap();
    pack[500_000] ^= 1;
    fs::write(&all[1], &pack).unwrap();
    fs::remove_file(&all[2]).unwrap();
    let reader = bed.store.reader(root.clone());
    let report = reader.verify(quiet()).await.unwrap();
    let in_half = |reason: &str| report.bad.iter().filter(|bad| bad.reason.contains(reason)).count();
    assert!(in_half("torn") > 5 && in_half("missing") > 10, "{report:?}");
    assert_eq!(report.bad_count as usize, in_half("torn") + in_half("missing") + 1, "one bit is one block");
    assert!(!bed.store.verify_new(&root.id).await.unwrap().is_good());
    let out = bed.dir.path().join("out");
    let error = reader.materialise(&out, quiet(), CancellationToken::new()).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Corrupt);
    // A sweep leaves alone what it cannot read.
    let swept = bed.store.sweep_packs(sweep(50), CancellationToken::new()).await.unwrap();
    assert_eq!((swept.deleted_packs, swept.bad_packs.len()), (0, 1), "{swept:?}");
    // The next writer that meets the content stores it anew.
    let bad: Vec<_> = report.bad.iter().filter_map(|bad| bad.id).collect();
    assert_eq!(bed.store.quarantine(&bad).await.unwrap(), report.bad_count);
    let again = bed.snapshot(Some(&root)).await;
    assert!(again.new_bytes > 0);
    for root in [root, again] {
        assert!(bed.store.reader(root.clone()).verify(quiet()).await.unwrap().is_good());
        assert!(bed.restored(&root).await == tree(&bed.source()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pack_whose_writer_died_before_indexing_is_swept() {
    let dir = tempfile::tempdir().unwrap();
    let bed = bed_with(to_packs(directory(dir.path()))).await;
    bed.put("kept", &Random(6).bytes(3 << 20));
    let kept = bed.snapshot(None).await;
    let before = packs(dir.path());
    // Less than one pack: a second upload could still be at work on its thread when the first one's indexing fails, and land between the
    // plan and the sweep.
    bed.put("lost", &Random(7).bytes(600 << 10));
    // The registration goes while nothing of the writer is indexed: what an expiry does to a writer that was stopped.
    let mut writer = bed.writer(Some(&kept)).await;
    let cancelled = CancellationToken::new();
    bed.db.collection::<Document>("writers").delete_one(doc! { "_id": writer.id().to_string() }).await.unwrap();
    let written = async {
        writer.write_dir(&bed.source(), &|_| true, quiet()).await?;
        writer.commit(commit()).await
    };
    assert!(matches!(written.await, Err(WriteError::Cancelled)));
    drop(writer);
    assert!(packs(dir.path()).len() > before.len(), "the payloads were durable before the index");
    // Also what a killed process leaves half written.
    let staged = before[0].parent().unwrap().join("000777.pack#1");
    fs::write(&staged, b"half").unwrap();
    let dry = blockstore_engine::SweepRequest { dry_run: true, ..sweep(50) };
    let planned = bed.store.sweep_packs(dry, cancelled.clone()).await.unwrap();
    assert!(staged.exists());
    let swept = bed.store.sweep_packs(sweep(50), cancelled.clone()).await.unwrap();
    assert_eq!(swept, planned);
    assert!(swept.deleted_packs > 0 && swept.copied_bytes == 0, "{swept:?}");
    assert_eq!(packs(dir.path()), before);
    assert!(bed.restored(&kept).await.len() == 1);
    // Packs of a writer that lives stay, whoever names them or not.
    let mut alive = bed.writer(None).await;
    alive.add_file("more", 0o600, Random(8).bytes(3 << 20)).await.unwrap();
    assert!(alive.verify_new().await.unwrap().is_good());
    let swept = bed.store.sweep_packs(sweep(50), cancelled).await.unwrap();
    assert!(swept.busy_packs > 0 && swept.deleted_packs == 0, "{swept:?}");
    alive.commit(commit()).await.unwrap();
}
