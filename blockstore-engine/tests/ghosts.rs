//! A run of the collector that froze at any step, lost its lease, and wakes up after its successor is done and a writer stored again what
//! both of them wanted to delete.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use crate::frozen::{freezer, prepared};
use crate::support::*;
use blockstore_engine::{Blockstore, CollectError, CollectReport};
use mongodb::bson::{Document, doc};
use tokio_util::sync::CancellationToken;

async fn collect(store: Blockstore) -> Result<CollectReport, CollectError> {
    store.collect(&eager(), Arc::new(|_| {}), CancellationToken::new()).await
}

/// The steps of one run, each once.
async fn steps() -> BTreeSet<&'static str> {
    let (bed, ..) = prepared().await;
    let freezer = freezer(None, 0);
    collect(bed.store.with_stops(freezer.stops)).await.unwrap();
    let steps: BTreeSet<_> = freezer.seen.lock().unwrap().iter().copied().collect();
    for name in ["run: unlinked", "run: roots read", "run: marked", "run: deleting blocks", "run: deleting payloads"] {
        assert!(steps.contains(name), "{steps:?}");
    }
    steps
}

async fn thawed_at(step: &'static str) {
    let (bed, trashed, parent) = prepared().await;
    let freezer = freezer(Some(step), 0);
    let ghost = tokio::spawn(collect(bed.store.with_stops(freezer.stops.clone())));
    while !freezer.frozen.load(SeqCst) {
        assert!(!ghost.is_finished(), "{step}: never stopped");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // Taken for dead. Its beat, which is not frozen here, learns of it within two seconds; what follows is faster.
    let lease = bed.db.collection::<Document>("gc");
    lease.update_one(doc! { "_id": "run" }, doc! { "$set": { "owner": null } }).await.unwrap();
    bed.try_collect(&eager()).await.unwrap();
    assert!(bed.store.root(&trashed.id).await.unwrap().is_none(), "{step}");
    // Its files are partly what only the unlinked snapshot had: stored again, at other places.
    let root = bed.snapshot(Some(&parent)).await;
    freezer.thaw.send(true).unwrap();
    match ghost.await.unwrap() {
        Ok(_) | Err(CollectError::Cancelled) => {}
        Err(error) => panic!("{step}: {error:?}"),
    }
    for root in [&parent, &root] {
        assert!(bed.store.reader(root.clone()).verify(quiet()).await.unwrap().is_good(), "{step}");
    }
    assert!(bed.restored(&root).await == tree(&bed.source()), "{step}");
    bed.check_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_ghost_thawed_at_any_step_harms_nothing() {
    for step in steps().await {
        thawed_at(step).await;
    }
}
