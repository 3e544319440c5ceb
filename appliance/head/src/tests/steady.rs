//! A head that follows an oplog equals its source, however the oplog is cut.
#![allow(clippy::unwrap_used, reason = "tests")]

use bson::{RawDocumentBuf, doc};
use futures::future::BoxFuture;
use holdfast_tests::workload::{failures, rich};

use super::{
    super::{
        applier::{Applier, Failed},
        *,
    },
    Lab, raw,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_operation_in_one_feed_and_over_a_restart() {
    let lab = Lab::new().await;
    let steps = rich(&lab.client()).await.unwrap();
    assert_eq!(failures(&steps), Vec::<String>::new());
    let oplog = lab.oplog().await;

    let mut head = lab.head("h").await;
    let applied = head.apply(&oplog.all(), None).await.unwrap();
    assert_eq!((applied.last.ts, applied.entries), (oplog.last(), oplog.entries.len() as u64));
    assert_eq!(lab.diff(&head).await, Vec::<String>::new());
    // The same again has no effect.
    assert_eq!(head.apply(&oplog.all(), None).await.unwrap().entries, 0);
    let position = head.stop().await.unwrap();
    assert!(position.at_boundary() && position.ts == oplog.last() && position.feed_from == position.optime());

    let head = lab.open("h").await;
    assert_eq!((head.position(), head.phase()), (position, Phase::Steady));
    assert_eq!(lab.diff(&head).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_at_random_places_with_stops_in_between() {
    let lab = Lab::new().await;
    rich(&lab.client()).await.unwrap();
    let oplog = lab.oplog().await;
    let count = oplog.entries.len();
    let mut cuts: Vec<usize> = (0..10).map(|_| rand::random_range(1..count)).collect();
    // Within $out a temporary collection exists, which a standalone would drop at its start.
    let temporary = oplog.position(|entry| entry.get_document("o").is_ok_and(|o| o.get_bool("temp").unwrap_or(false)));
    cuts.extend([temporary + 1, count]);
    cuts.sort_unstable();
    println!("cuts: {cuts:?}");
    let mut head = lab.head("h").await;
    for cut in cuts {
        // Slices overlap: what was applied is skipped.
        head.apply(&oplog.bytes(..cut), None).await.unwrap();
        assert!(head.stop().await.unwrap().at_boundary());
        head = lab.open("h").await;
    }
    assert_eq!(lab.diff(&head).await, Vec::<String>::new());
}

/// Does every command twice that is not atomic with the marker: what happens when a head dies between the two.
#[derive(Debug)]
struct Twice(Box<dyn Applier>);

impl Applier for Twice {
    fn batch(&self, command: RawDocumentBuf) -> BoxFuture<'_, Result<(), Failed>> {
        self.0.batch(command)
    }

    fn alone<'a>(&'a self, op: &'a [u8], always_upsert: bool) -> BoxFuture<'a, Result<(), Failed>> {
        Box::pin(async move {
            self.0.alone(op, always_upsert).await?;
            self.0.alone(op, always_upsert).await
        })
    }

    fn create_indexes<'a>(
        &'a self,
        db: &'a str,
        collection: &'a str,
        uuid: Option<CollectionUuid>,
        specs: &'a [Vec<u8>],
    ) -> BoxFuture<'a, Result<(), Failed>> {
        Box::pin(async move {
            self.0.create_indexes(db, collection, uuid, specs).await?;
            self.0.create_indexes(db, collection, uuid, specs).await
        })
    }

    fn version_collection<'a>(
        &'a self,
        create: &'a [u8],
        uuid: Option<CollectionUuid>,
    ) -> BoxFuture<'a, Result<(), Failed>> {
        Box::pin(async move {
            self.0.version_collection(create, uuid).await?;
            self.0.version_collection(create, uuid).await
        })
    }
}

#[derive(Debug)]
struct Nobody;

impl Applier for Nobody {
    fn batch(&self, _: RawDocumentBuf) -> BoxFuture<'_, Result<(), Failed>> {
        unreachable!("replaced at once")
    }
    fn alone<'a>(&'a self, _: &'a [u8], _: bool) -> BoxFuture<'a, Result<(), Failed>> {
        unreachable!("replaced at once")
    }
    fn create_indexes<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
        _: Option<CollectionUuid>,
        _: &'a [Vec<u8>],
    ) -> BoxFuture<'a, Result<(), Failed>> {
        unreachable!("replaced at once")
    }
    fn version_collection<'a>(&'a self, _: &'a [u8], _: Option<CollectionUuid>) -> BoxFuture<'a, Result<(), Failed>> {
        unreachable!("replaced at once")
    }
}

pub(super) fn wrap(head: &mut Head, wrap: impl FnOnce(Box<dyn Applier>) -> Box<dyn Applier>) {
    let inner = std::mem::replace(&mut head.feeder.applier, Box::new(Nobody));
    head.feeder.applier = wrap(inner);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_that_are_not_atomic_may_be_done_twice() {
    let lab = Lab::new().await;
    rich(&lab.client()).await.unwrap();
    let mut head = lab.head("h").await;
    wrap(&mut head, |inner| Box::new(Twice(inner)));
    head.apply(&lab.oplog().await.all(), None).await.unwrap();
    assert_eq!(lab.diff(&head).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn null_timestamps_and_large_documents_arrive_as_they_are() {
    let lab = Lab::new().await;
    let db = lab.client().database("a");
    let zero = bson::Timestamp { time: 0, increment: 0 };
    let seed = doc! { "$set": { "t0": zero, "after": 1, "n": { "z": zero }, "t1": zero } };
    db.collection("c").insert_one(doc! { "_id": 1, "before": 1 }).await.unwrap();
    db.collection::<bson::Document>("c").update_one(doc! { "_id": 1 }, vec![seed]).await.unwrap();
    // Both copy the document as it is, by inserts.
    db.run_command(doc! { "cloneCollectionAsCapped": "c", "toCollection": "copy", "size": 8192 }).await.unwrap();
    lab.client().database("admin").run_command(doc! { "renameCollection": "a.c", "to": "b.c" }).await.unwrap();
    db.collection("big").insert_one(doc! { "_id": 1, "p": "x".repeat(16 * 1024 * 1024 - 30) }).await.unwrap();
    let held = db.collection::<RawDocumentBuf>("copy").find_one(doc! {}).await.unwrap().unwrap();
    assert_eq!(
        raw::find(held.as_bytes(), "t0").unwrap().unwrap().ts(),
        Some(holdfast_domain::Ts::ZERO),
        "the source itself holds it"
    );
    // A source may keep its files in folders; its head takes the same options.
    let options = HeadOptions { directory_per_db: true, directory_for_indexes: true, ..lab.options() };
    let mut head = lab.head_with("h", &options).await;
    head.apply(&lab.oplog().await.all(), None).await.unwrap();
    assert!(Head::dbpath(&lab.path("h")).join("a/index").is_dir());
    assert_eq!(lab.diff(&head).await, Vec::<String>::new());
}
