//! A writer frozen between every two steps of the protocol while a run of the collector goes by.
//!
//! The steps are those that the writer names; the list is taken from a run without a stop, so that a new step is tested by itself.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::*;
use blockstore_engine::{Blockstore, CollectOptions, ErrorClass, Root, RootId, Stops};
use tokio::sync::watch;

fn yes(_: &[Root]) -> Result<(), String> {
    Ok(())
}

/// Freezes a whole process: once it stopped at its step, every other step (its beat included) stops too, until it is thawed.
pub(crate) struct Freezer {
    pub(crate) stops: Stops,
    pub(crate) frozen: Arc<AtomicBool>,
    pub(crate) thaw: watch::Sender<bool>,
    pub(crate) seen: Arc<Mutex<Vec<&'static str>>>,
}

/// At the `occurrence`th time (from 0) of this step.
pub(crate) fn freezer(step: Option<&'static str>, occurrence: usize) -> Freezer {
    let (thaw, thawed) = watch::channel(false);
    let frozen = Arc::new(AtomicBool::new(false));
    let seen: Arc<Mutex<Vec<&'static str>>> = Arc::default();
    let (is_frozen, noted) = (frozen.clone(), seen.clone());
    let stops: Stops = Arc::new(move |now| {
        let mut seen = noted.lock().unwrap();
        let before = seen.iter().filter(|other| **other == now).count();
        seen.push(now);
        if Some(now) == step && before == occurrence {
            is_frozen.store(true, SeqCst);
        }
        let mut thawed = thawed.clone();
        let waits = is_frozen.load(SeqCst);
        Box::pin(async move {
            if waits {
                let _ = thawed.wait_for(|thawed| *thawed).await;
            }
        })
    });
    Freezer { stops, frozen, thaw, seen }
}

/// Two snapshots that share a part, the older one in the trash; the writer's files are partly the parent's, partly what only the trashed one
/// has, partly new: it will inherit, claim and insert.
pub(crate) async fn prepared() -> (Bed, Root, Root) {
    let bed = bed().await;
    let mut random = Random(31);
    let (shared, old, new) = (random.bytes(6 * BLOCK), random.bytes(6 * BLOCK), random.bytes(6 * BLOCK));
    bed.put("shared", &shared);
    bed.put("old", &old);
    let trashed = bed.snapshot(None).await;
    std::fs::remove_file(bed.source().join("old")).unwrap();
    let parent = bed.snapshot(Some(&trashed)).await;
    bed.store.trash(&trashed.id, &yes).await.unwrap();
    bed.put("again", &old);
    bed.put("new", &new);
    (bed, trashed, parent)
}

async fn write(store: Blockstore, source: std::path::PathBuf, parent: RootId) -> Result<Root, ErrorClass> {
    let mut writer = store.register(request("job", Some(parent))).await.map_err(|error| error.class())?;
    // Two flushes, so that every step of a batch happens more than once.
    writer.write_dir(&source, &|_| true, quiet()).await.map_err(|error| error.class())?;
    writer.verify_new().await.map_err(|error| error.class())?;
    writer.commit(commit()).await.map_err(|error| error.class())
}

async fn steps() -> Vec<(&'static str, usize)> {
    let (bed, _, parent) = prepared().await;
    // Claims need an older epoch than the writer's.
    bed.try_collect(&CollectOptions { grace: Duration::from_secs(3600), ..eager() }).await.unwrap();
    let freezer = freezer(None, 0);
    write(bed.store.with_stops(freezer.stops), bed.source(), parent.id).await.unwrap();
    let seen = freezer.seen.lock().unwrap().clone();
    let mut steps: Vec<_> = Vec::new();
    for step in seen {
        let occurrence = steps.iter().filter(|(other, _)| *other == step).count();
        if step != "writer: beat" {
            steps.push((step, occurrence));
        }
    }
    let names: BTreeSet<_> = steps.iter().map(|(step, _)| *step).collect();
    for name in [
        "writer: epoch read",
        "writer: registered",
        "writer: epoch settled",
        "writer: rows read",
        "writer: payloads inserted",
        "writer: indexed",
        "writer: before the commit",
        "writer: committed",
    ] {
        assert!(names.contains(name), "{names:?}");
    }
    steps
}

async fn frozen_at(step: &'static str, occurrence: usize, expires: bool) {
    let what = format!("{step} ({occurrence}), expires: {expires}");
    let (bed, trashed, parent) = prepared().await;
    bed.try_collect(&CollectOptions { grace: Duration::from_secs(3600), ..eager() }).await.unwrap();
    let freezer = freezer(Some(step), occurrence);
    let written = tokio::spawn(write(bed.store.with_stops(freezer.stops.clone()), bed.source(), parent.id));
    while !freezer.frozen.load(SeqCst) {
        assert!(!written.is_finished(), "{what}: never stopped");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // The parent goes to the trash too: nothing but the registration protects it.
    bed.store.trash(&parent.id, &yes).await.unwrap();
    let is_registered = bed.count("writers").await > 0;
    let report = if expires {
        // A run that takes it for dead goes by, and one more.
        let impatient = CollectOptions { expire_after: Duration::from_millis(300), ..eager() };
        let report = bed.try_collect(&impatient).await.unwrap();
        assert_eq!(bed.count("writers").await, 0, "{what}");
        bed.try_collect(&impatient).await.unwrap();
        freezer.thaw.send(true).unwrap();
        report
    } else {
        // A run that has to wait for it, or goes by when it is not registered (any more).
        let patient = CollectOptions { expire_after: Duration::from_secs(600), ..eager() };
        let store = bed.store.clone();
        let run = tokio::spawn(async move {
            store.collect(&patient, Arc::new(|_| {}), tokio_util::sync::CancellationToken::new()).await
        });
        if is_registered {
            tokio::time::sleep(Duration::from_millis(150)).await;
            assert!(!run.is_finished(), "{what}: the run did not wait");
        } else {
            tokio::time::sleep(Duration::from_millis(150)).await;
        }
        freezer.thaw.send(true).unwrap();
        run.await.unwrap().unwrap()
    };
    assert!(report.unlinked.contains(&trashed.id), "{what}");
    let written = written.await.unwrap();
    match &written {
        Ok(root) => {
            assert!(!expires || !is_registered, "{what}: committed without a registration");
            assert!(bed.store.reader(root.clone()).verify(quiet()).await.unwrap().is_good(), "{what}");
            assert!(bed.restored(root).await == tree(&bed.source()), "{what}");
        }
        Err(class) => {
            // Its registration expired, or its parent was gone before it was registered.
            assert!(expires || !is_registered, "{what}: {class:?}");
            let expected =
                if is_registered { vec![ErrorClass::Cancelled, ErrorClass::Caller] } else { vec![ErrorClass::Caller] };
            assert!(expected.contains(class), "{what}: {class:?}");
        }
    }
    if !expires && is_registered {
        assert!(written.is_ok(), "{what}");
    }
    bed.check_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_run_waits_for_a_writer_frozen_at_any_step() {
    for (step, occurrence) in steps().await {
        frozen_at(step, occurrence, false).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_writer_frozen_at_any_step_until_it_expired_harms_nothing() {
    for (step, occurrence) in steps().await {
        frozen_at(step, occurrence, true).await;
    }
}
