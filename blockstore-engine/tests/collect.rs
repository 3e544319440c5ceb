//! The garbage collector: what it frees, what it keeps, what it counts, and who may get in its way.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::support::*;
use blockstore_engine::{CollectError, CollectOptions, CollectPhase, ErrorClass, Pin, Root, RootError, RootId, Stops};
use mongodb::bson::{Document, doc};
use tokio_util::sync::CancellationToken;

fn yes(_: &[Root]) -> Result<(), String> {
    Ok(())
}

fn silent() -> blockstore_engine::OnCollect {
    Arc::new(|_| {})
}

/// Five snapshots of a changing folder; each has something of its own.
async fn history(bed: &Bed) -> Vec<Root> {
    let mut random = Random(11);
    let mut big = random.bytes(40 * BLOCK);
    bed.put("steady", &random.bytes(30 * BLOCK + 77));
    let mut roots: Vec<Root> = Vec::new();
    for turn in 0..5 {
        for _ in 0..3 {
            let at = usize::try_from(random.below(40)).unwrap() * BLOCK;
            big[at..at + 100].copy_from_slice(&random.bytes(100));
        }
        bed.put("big", &big);
        bed.put(&format!("only{turn}"), &random.bytes(2 * BLOCK + turn));
        if turn > 0 {
            std::fs::remove_file(bed.source().join(format!("only{}", turn - 1))).unwrap();
        }
        // Shared by the second and the third alone.
        match turn {
            1 => bed.put("pair", &random.bytes(3 * BLOCK)),
            3 => std::fs::remove_file(bed.source().join("pair")).unwrap(),
            _ => {}
        }
        roots.push(bed.snapshot(roots.last()).await);
    }
    roots
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frees_exactly_what_the_account_and_the_dry_run_said() {
    let bed = bed().await;
    let roots = history(&bed).await;
    let ids: Vec<_> = roots.iter().map(|root| root.id).collect();
    let first = bed.collect().await;
    assert_eq!((first.deleted.blocks, first.orphans, first.unlinked.len()), (0, 0, 0), "{first:?}");
    let account = bed.store.account().await.unwrap().unwrap();
    assert_eq!(Some(&account), first.account.as_ref(), "what was kept is what was counted");
    let stats = bed.store.stats().await.unwrap();
    assert_eq!(account.live.stored_bytes, stats.stored_bytes);
    assert_eq!(account.live.raw_bytes, stats.raw_bytes);
    for (usage, root) in account.snapshots.iter().zip(&roots) {
        assert_eq!((usage.id, usage.logical_bytes), (root.id, root.logical_bytes));
        assert_eq!(usage.unique, account.freed_if(&[root.id]));
        assert!(usage.unique.blocks > 0 && usage.shared.blocks > 0);
    }
    assert_eq!(account.freed_if(&ids), account.live);
    // Sets free more than their members alone.
    let pair = [ids[1], ids[2]];
    assert!(account.freed_if(&pair).blocks > account.freed_if(&pair[..1]).blocks + account.freed_if(&pair[1..]).blocks);
    for gone in [&ids[..1], &pair[..], &ids[2..], &[]] {
        let fresh = bed.store.freed_if(gone, &eager(), silent(), CancellationToken::new()).await.unwrap();
        assert_eq!(fresh, account.freed_if(gone));
    }

    // Trashed, they are promised by the dry run and freed by the run, to the byte.
    for id in &pair {
        bed.store.trash(id, &yes).await.unwrap();
    }
    let plan = bed.store.plan_collect(&CollectOptions::default(), silent(), CancellationToken::new()).await.unwrap();
    assert_eq!((plan.unlink.len(), plan.reclaimable.blocks), (0, 0), "their grace is not over");
    let plan = bed.store.plan_collect(&eager(), silent(), CancellationToken::new()).await.unwrap();
    assert_eq!(plan.unlink, pair);
    assert_eq!(plan.reclaimable, account.freed_if(&pair));
    assert_eq!(bed.count("roots").await, 5, "a dry run changes nothing");
    let kept = bed.try_collect(&CollectOptions { grace: Duration::from_secs(3600), ..eager() }).await.unwrap();
    assert_eq!((kept.unlinked.len(), kept.deleted.blocks), (0, 0));
    let report = bed.collect().await;
    assert_eq!(report.unlinked, pair);
    assert_eq!(report.deleted, plan.reclaimable);
    assert_eq!(report.freed_bytes(), plan.reclaimable.stored_bytes);
    assert_eq!(bed.store.stats().await.unwrap().stored_bytes, stats.stored_bytes - report.freed_bytes());
    assert!(report.epoch > first.epoch);
    let last = bed.store.last_collection().await.unwrap().unwrap();
    assert_eq!((last.epoch, last.unlinked, last.deleted), (report.epoch, 2, report.deleted));
    assert_eq!((last.freed_bytes, last.finished_at), (report.freed_bytes(), report.finished_at));
    bed.check_all().await;
    assert!(bed.restored(&roots[4]).await == tree(&bed.source()));
    assert!(matches!(bed.store.untrash(&ids[1]).await, Err(RootError::NotFound(_))));

    // Everything gone: nothing is left.
    for id in [ids[0], ids[3], ids[4]] {
        bed.store.trash(&id, &yes).await.unwrap();
    }
    bed.collect().await;
    assert_eq!((bed.count("blocks").await, bed.count("payloads").await, bed.count("roots").await), (0, 0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn marks_in_parts_when_memory_is_small() {
    let bed = bed().await;
    // Many more distinct blocks than 64 marks.
    let mut random = Random(12);
    bed.put("a", &random.bytes(300 * BLOCK));
    let first = bed.snapshot(None).await;
    bed.put("a", &random.bytes(300 * BLOCK));
    bed.put("b", &random.bytes(50 * BLOCK));
    let second = bed.snapshot(Some(&first)).await;
    let tight = CollectOptions { mark_bytes: 1 << 10, ..eager() };
    let parts = Arc::new(AtomicU64::new(0));
    let counted = parts.clone();
    let stops: Stops = Arc::new(move |step| {
        counted.fetch_add(u64::from(step == "run: marked"), Relaxed);
        Box::pin(async {})
    });
    let wide = bed.try_collect(&eager()).await.unwrap();
    let narrow = bed.store.with_stops(stops).collect(&tight, silent(), CancellationToken::new()).await.unwrap();
    assert!(parts.load(Relaxed) >= 8, "{}", parts.load(Relaxed));
    assert_eq!(wide.account.as_ref().unwrap().snapshots, narrow.account.as_ref().unwrap().snapshots);
    assert_eq!(narrow.deleted.blocks, 0);
    bed.store.trash(&first.id, &yes).await.unwrap();
    let report = bed.try_collect(&tight).await.unwrap();
    assert_eq!(report.deleted, wide.account.unwrap().freed_if(&[first.id]));
    assert!(report.deleted.blocks >= 300);
    bed.check_all().await;
    assert!(bed.restored(&second).await == tree(&bed.source()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pins_parents_and_the_living_are_kept() {
    let bed = bed().await;
    bed.put("file", &Random(13).bytes(20 * BLOCK));
    let parent = bed.snapshot(None).await;
    let pinned = bed.snapshot(None).await;
    // Pinned in the trash: only by a pin that came before it and was not live then.
    bed.store.trash(&parent.id, &yes).await.unwrap();
    bed.store.trash(&pinned.id, &yes).await.unwrap();
    let pins = doc! { "$set": { "pins": [{ "by": "restore", "until": null }] } };
    bed.db.collection::<Document>("roots").update_one(doc! { "_id": pinned.id.to_string() }, pins).await.unwrap();
    let mut writer = bed.writer(Some(&parent)).await;
    let plan = bed.store.plan_collect(&eager(), silent(), CancellationToken::new()).await.unwrap();
    assert_eq!(plan.unlink, [], "parent of a registration, and pinned");
    // The run waits for the writer, which is of an older epoch and lives.
    let waiting = Arc::new(AtomicU64::new(0));
    let told = waiting.clone();
    let progress: blockstore_engine::OnCollect = Arc::new(move |progress| {
        if progress.phase == CollectPhase::Waiting {
            told.fetch_max(progress.waiting_for, Relaxed);
        }
    });
    let store = bed.store.clone();
    let options = CollectOptions { expire_after: Duration::from_secs(60), ..eager() };
    let run = tokio::spawn(async move { store.collect(&options, progress, CancellationToken::new()).await });
    while waiting.load(Relaxed) == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(!run.is_finished());
    let busy = bed.try_collect(&CollectOptions { take_over_after: Duration::from_secs(60), ..eager() }).await;
    assert!(matches!(busy, Err(CollectError::Busy)) && busy.unwrap_err().class() == ErrorClass::Retry);
    writer.write_dir(&bed.source(), &|_| true, quiet()).await.unwrap();
    let child = writer.commit(commit()).await.unwrap();
    let report = run.await.unwrap().unwrap();
    assert_eq!(report.unlinked, [parent.id]);
    assert!(bed.restored(&child).await == tree(&bed.source()));
    bed.check_all().await;
    assert_eq!(bed.count("roots").await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_aborted_writers_left_is_swept_and_what_lives_is_not() {
    let bed = bed().await;
    bed.put("kept", &Random(14).bytes(10 * BLOCK));
    let root = bed.snapshot(None).await;
    // A race of two writers leaves orphans; an abandoned one leaves blocks.
    let mut gone = bed.writer(None).await;
    gone.add_file("gone", 0o600, Random(15).bytes(100 * BLOCK)).await.unwrap();
    gone.verify_new().await.unwrap();
    gone.abandon().await.unwrap();
    let payloads = bed.db.collection::<Document>("payloads");
    let mut orphan = payloads.find_one(doc! {}).await.unwrap().unwrap();
    let orphan_bytes = orphan.get_binary_generic("z").unwrap().len() as u64;
    for writer in [RootId::random(), RootId::random()] {
        let at = blockstore_engine::PayloadAt { writer, number: 3 };
        orphan.insert("_id", at.to_bson());
        payloads.insert_one(&orphan).await.unwrap();
    }
    // The place of a registration that is there is left alone.
    let mut live = bed.writer(None).await;
    orphan.insert("_id", blockstore_engine::PayloadAt { writer: live.id(), number: 1 << 40 }.to_bson());
    payloads.insert_one(&orphan).await.unwrap();
    live.add_file("live", 0o600, Random(16).bytes(50 * BLOCK)).await.unwrap();
    let plan = bed.store.plan_collect(&eager(), silent(), CancellationToken::new()).await.unwrap();
    assert_eq!(plan.reclaimable.blocks, 0, "a registered writer may be using any of it");
    assert!(plan.account.held.blocks >= 100);
    let options = CollectOptions { expire_after: Duration::from_secs(60), ..eager() };
    let (report, committed) = tokio::join!(bed.try_collect(&options), async {
        tokio::time::sleep(Duration::from_millis(800)).await;
        live.commit(commit()).await.unwrap()
    });
    let report = report.unwrap();
    assert!(report.deleted.blocks >= 100, "{report:?}");
    assert_eq!(report.orphans, 3);
    assert_eq!(report.orphan_bytes, 3 * orphan_bytes);
    for root in [&root, &committed] {
        assert!(bed.store.reader(root.clone()).verify(quiet()).await.unwrap().is_good());
    }
    bed.check_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deletes_nothing_while_something_cannot_be_read() {
    let bed = bed().await;
    bed.put("file", &Random(17).bytes(20 * BLOCK));
    let bad = bed.snapshot(None).await;
    bed.put("file", &Random(18).bytes(20 * BLOCK));
    let good = bed.snapshot(None).await;
    let gone = bed.writer(None).await;
    gone.abandon().await.unwrap();
    let blocks = bed.count("blocks").await;
    let row =
        bed.db.collection::<Document>("blocks").find_one(doc! { "_id": bad.tree.to_bson() }).await.unwrap().unwrap();
    let payloads = bed.db.collection::<Document>("payloads");
    payloads.delete_one(doc! { "_id": row.get("at").unwrap() }).await.unwrap();
    let error = bed.try_collect(&eager()).await.unwrap_err();
    assert!(
        matches!(&error, CollectError::Unreadable { id, snapshots, .. } if *id == bad.tree && *snapshots == [bad.id])
    );
    assert_eq!(error.class(), ErrorClass::Corrupt);
    assert_eq!(bed.count("blocks").await, blocks);
    // The way out: its snapshot goes.
    bed.store.trash(&bad.id, &yes).await.unwrap();
    let report = bed.collect().await;
    assert_eq!(report.unlinked, [bad.id]);
    assert!(report.resumed, "the failed run's epoch is gone on with");
    bed.check_all().await;
    // A root that does not fit its seal, likewise.
    bed.db.collection::<Document>("roots").update_one(doc! {}, doc! { "$inc": { "files": 1_i64 } }).await.unwrap();
    let error = bed.try_collect(&eager()).await.unwrap_err();
    assert!(matches!(error, CollectError::BadRoot(id) if id == good.id));
    bed.store.trash(&good.id, &yes).await.unwrap();
    bed.collect().await;
    assert_eq!(bed.count("payloads").await, 0);
}

/// Ends a run at its `n`th step, as a kill would: nothing after it is done, the lease stays.
async fn killed_at(bed: &Bed, n: u64) -> Option<&'static str> {
    let (killed, at) = tokio::sync::oneshot::channel();
    let killed = std::sync::Mutex::new(Some(killed));
    let count = AtomicU64::new(0);
    let stops: Stops = Arc::new(move |step| {
        if !step.starts_with("run: ") || count.fetch_add(1, Relaxed) != n {
            return Box::pin(async {});
        }
        if let Some(killed) = killed.lock().unwrap().take() {
            killed.send(step).unwrap();
        }
        Box::pin(std::future::pending())
    });
    let store = bed.store.with_stops(stops);
    tokio::select! {
        report = async { store.collect(&CollectOptions { mark_bytes: 1 << 10, ..eager() }, silent(), CancellationToken::new()).await } => {
            report.unwrap();
            None
        }
        step = at => Some(step.unwrap()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_run_killed_at_any_step_is_gone_on_with() {
    let mut steps = Vec::new();
    for n in 0.. {
        let bed = bed().await;
        let mut random = Random(19);
        bed.put("old", &random.bytes(45 * BLOCK));
        let old = bed.snapshot(None).await;
        std::fs::remove_file(bed.source().join("old")).unwrap();
        bed.put("new", &random.bytes(45 * BLOCK));
        let new = bed.snapshot(Some(&old)).await;
        bed.store.trash(&old.id, &yes).await.unwrap();
        let Some(step) = killed_at(&bed, n).await else { break };
        steps.push(step);
        // Backups go on meanwhile, and what they claim is not lost to the rest of the run.
        bed.put("old", &Random(19).bytes(45 * BLOCK));
        let again = bed.snapshot(None).await;
        let report =
            bed.try_collect(&CollectOptions { take_over_after: Duration::from_millis(100), ..eager() }).await.unwrap();
        assert_eq!(report.resumed, n >= 2, "killed at {step}");
        for root in [&new, &again] {
            assert!(bed.store.reader(root.clone()).verify(quiet()).await.unwrap().is_good(), "killed at {step}");
        }
        assert!(bed.restored(&again).await == tree(&bed.source()), "killed at {step}");
        bed.check_all().await;
    }
    for step in [
        "run: leased",
        "run: unlinking",
        "run: marked",
        "run: deleting blocks",
        "run: deleting payloads",
        "run: sweeping",
        "run: swept",
    ] {
        assert!(steps.contains(&step), "{steps:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn unlinking_meets_pins_trashing_and_registrations() {
    let bed = bed().await;
    bed.put("file", &Random(20).bytes(3 * BLOCK));
    for round in 0..12 {
        let root = bed.snapshot(None).await;
        bed.store.trash(&root.id, &yes).await.unwrap();
        let store = bed.store.clone();
        let other = async {
            tokio::time::sleep(Duration::from_millis(round * 12)).await;
            match round % 3 {
                // Out of the trash and pinned: both succeed or the root was gone before.
                0 => match store.untrash(&root.id).await {
                    Ok(()) => store.pin(&root.id, Pin { by: "me".into(), until: None }).await.is_ok(),
                    Err(error) => {
                        assert!(matches!(error, RootError::NotFound(_)), "{error}");
                        false
                    }
                },
                // A writer that compares with it keeps it.
                1 => match store.register(request("job", Some(root.id))).await {
                    Ok(mut writer) => {
                        writer.write_dir(&bed.source(), &|_| true, quiet()).await.unwrap();
                        let kept = store.root(&root.id).await.unwrap().is_some();
                        let child = writer.commit(commit()).await.unwrap();
                        assert!(bed.store.reader(child.clone()).verify(quiet()).await.unwrap().is_good());
                        kept
                    }
                    Err(_) => false,
                },
                _ => {
                    store.untrash(&root.id).await.is_ok()
                        && store.trash(&root.id, &yes).await.is_ok()
                        && store.untrash(&root.id).await.is_ok()
                }
            }
        };
        let options = eager();
        let (report, kept) = tokio::join!(bed.try_collect(&options), other);
        let report = report.unwrap();
        match store.root(&root.id).await.unwrap() {
            Some(found) => {
                assert!(!report.unlinked.contains(&root.id));
                assert!(bed.store.reader(found).verify(quiet()).await.unwrap().is_good());
            }
            None => assert!(report.unlinked.contains(&root.id) && (!kept || round % 3 == 1), "round {round}"),
        }
    }
    bed.check_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_writers_and_a_collector_never_lose_a_block() {
    let bed = Arc::new(bed().await);
    let stop = CancellationToken::new();
    let runs = Arc::new(AtomicU64::new(0));
    let collector = {
        let (bed, stop, runs) = (bed.clone(), stop.clone(), runs.clone());
        tokio::spawn(async move {
            while !stop.is_cancelled() {
                bed.try_collect(&eager()).await.unwrap();
                runs.fetch_add(1, Relaxed);
            }
        })
    };
    let writer = |job: &'static str, seed: u64| {
        let (bed, runs) = (bed.clone(), runs.clone());
        tokio::spawn(async move {
            let mut random = Random(seed);
            let mut last: Option<Root> = None;
            // As often as it takes, on a machine of any speed, to meet several runs.
            for turn in 0u64.. {
                if turn >= 12 && runs.load(Relaxed) >= 5 {
                    break;
                }
                let parent = last.as_ref().filter(|_| turn % 3 != 0).map(|root| root.id);
                let mut writer = bed.store.register(request(job, parent)).await.unwrap();
                // Content comes back after it was garbage, so that claims meet deletions.
                for file in 0..6 {
                    let content = Random(random.below(9)).bytes(30 * BLOCK);
                    writer.add_file(&format!("f{file}"), 0o600, content).await.unwrap();
                }
                let root = writer.commit(commit()).await.unwrap();
                let report = bed.store.reader(root.clone()).verify(quiet()).await.unwrap();
                assert!(report.is_good(), "{job} {turn}: {report:?}");
                if let Some(last) = last {
                    bed.store.trash(&last.id, &yes).await.unwrap();
                }
                last = Some(root);
            }
        })
    };
    let (one, two) = tokio::join!(writer("one", 1), writer("two", 2));
    one.unwrap();
    two.unwrap();
    stop.cancel();
    collector.await.unwrap();
    bed.check_all().await;
    assert_eq!(bed.count("roots").await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn layouts_of_unmarked_nodes_go_and_others_stay() {
    use blockstore_engine::FrameSource;
    let bed = bed().await;
    let mut tops = Vec::new();
    let mut roots = Vec::new();
    for seed in [21, 22] {
        bed.put("file", &Random(seed).bytes(20 * BLOCK));
        let root = bed.snapshot(None).await;
        let reader = bed.store.reader(root.clone());
        let top = reader.entries().await.unwrap()[0].top.unwrap();
        reader.stored_sum(top).await.unwrap();
        tops.push(top);
        roots.push(root);
    }
    assert_eq!(bed.count("layouts").await, 2);
    bed.store.trash(&roots[0].id, &yes).await.unwrap();
    bed.collect().await;
    let left = bed.db.collection::<Document>("layouts").find_one(doc! {}).await.unwrap().unwrap();
    assert_eq!(bed.count("layouts").await, 1);
    assert_eq!(left.get_binary_generic("_id").unwrap().as_slice(), tops[1].0);
    // And a run that is cancelled before it began leaves everything, its lease free.
    let cancel = CancellationToken::new();
    cancel.cancel();
    let error = bed.store.collect(&eager(), silent(), cancel).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Cancelled);
    let lease = bed.db.collection::<Document>("gc").find_one(doc! { "_id": "run" }).await.unwrap().unwrap();
    assert!(lease.get_str("owner").is_err(), "{lease}");
    bed.check_all().await;
}
