//! Runs of the garbage collector over packs: blocks go, then packs, while payloads move and writers write.

use std::sync::Arc;

use blockstore_engine::{MoveRequest, PayloadStore, Root};
use tokio_util::sync::CancellationToken;

use super::{directory, number, packs, small_packs, sweep, to_packs};
use crate::support::*;

async fn change(bed: &Bed, random: &mut Random, parent: Option<&Root>) -> Root {
    let mut big = std::fs::read(bed.source().join("big")).unwrap();
    let blocks = (big.len() / BLOCK) as u64;
    for _ in 0..blocks / 4 {
        let at = usize::try_from(random.below(blocks)).unwrap() * BLOCK;
        big[at..at + BLOCK].copy_from_slice(&random.bytes(BLOCK));
    }
    bed.put("big", &big);
    bed.snapshot(parent).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_run_frees_a_sweep_gives_back() {
    let dir = tempfile::tempdir().unwrap();
    let bed = bed_with(to_packs(directory(dir.path()))).await;
    let mut random = Random(51);
    bed.put("big", &random.bytes(6 << 20));
    let mut roots: Vec<Root> = vec![bed.snapshot(None).await];
    for _ in 0..6 {
        let next = change(&bed, &mut random, roots.last()).await;
        roots.push(next);
    }
    let before = bed.store.pack_usage(number(1)).await.unwrap();
    for root in &roots[..6] {
        bed.store.trash(&root.id, &|_| Ok(())).await.unwrap();
    }
    let report = bed.collect().await;
    assert_eq!((report.unlinked.len(), report.payloads_missing, report.orphans), (6, 0, 0), "{report:?}");
    assert!(report.deleted.stored_bytes > 2 << 20, "{report:?}");
    assert_eq!(bed.store.pack_usage(number(1)).await.unwrap(), before, "a run alone frees no pack");
    let swept = bed.store.sweep_packs(sweep(70), CancellationToken::new()).await.unwrap();
    let after = bed.store.pack_usage(number(1)).await.unwrap();
    assert!(after.bytes + report.deleted.stored_bytes * 8 / 10 < before.bytes, "{swept:?} {after:?} {before:?}");
    assert_eq!(bed.store.mirror_roots(number(1)).await.unwrap().deleted, 6);
    assert!(bed.restored(&roots[6]).await == tree(&bed.source()));
    // The last one too: nothing stays.
    bed.store.trash(&roots[6].id, &|_| Ok(())).await.unwrap();
    bed.collect().await;
    bed.store.sweep_packs(sweep(70), CancellationToken::new()).await.unwrap();
    assert_eq!((bed.count("blocks").await, packs(dir.path()).len()), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_moves_sweeps_and_writers_beside_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = to_packs(directory(&dir.path().join("one")));
    options.packs.push(small_packs(2, directory(&dir.path().join("two"))));
    let bed = Arc::new(bed_with(options).await);
    let mut random = Random(52);
    bed.put("big", &random.bytes(4 << 20));
    let stop = CancellationToken::new();
    let background = |step: fn(Arc<Bed>, u64) -> futures::future::BoxFuture<'static, ()>| {
        let (bed, stop) = (bed.clone(), stop.clone());
        tokio::spawn(async move {
            let mut round = 0;
            while !stop.is_cancelled() {
                step(bed.clone(), round).await;
                round += 1;
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            round
        })
    };
    let moving = background(|bed, round| {
        Box::pin(async move {
            let stores = [PayloadStore::Packs(number(1)), PayloadStore::Packs(number(2)), PayloadStore::Mongo];
            let at = |round: u64| stores[usize::try_from(round % 3).unwrap()];
            let request = MoveRequest { from: at(round), to: at(round + 1) };
            bed.store.move_payloads(request, quiet(), CancellationToken::new()).await.unwrap();
        })
    });
    let sweeping = background(|bed, _| {
        Box::pin(async move {
            let swept = bed.store.sweep_packs(sweep(60), CancellationToken::new()).await.unwrap();
            assert_eq!((swept.bad_blocks, swept.bad_packs.len()), (0, 0), "{swept:?}");
        })
    });
    let collecting = background(|bed, _| {
        Box::pin(async move {
            bed.collect().await;
        })
    });
    let mut kept: Vec<(Root, _)> = Vec::new();
    for round in 0..25u32 {
        let parent = kept.last().filter(|_| round % 3 > 0).map(|(root, _): &(Root, _)| root.clone());
        let root = change(&bed, &mut random, parent.as_ref()).await;
        kept.push((root, tree(&bed.source())));
        if kept.len() > 4 {
            let (old, _) = kept.remove(0);
            bed.store.trash(&old.id, &|_| Ok(())).await.unwrap();
        }
        let (root, files) = &kept[kept.len() / 2];
        assert!(&bed.restored(root).await == files, "round {round}");
    }
    stop.cancel();
    let rounds = [moving.await.unwrap(), sweeping.await.unwrap(), collecting.await.unwrap()];
    assert!(rounds.iter().all(|rounds| *rounds > 2), "{rounds:?}");
    for (root, files) in &kept {
        assert!(bed.store.reader(root.clone()).verify(quiet()).await.unwrap().is_good());
        assert!(&bed.restored(root).await == files);
    }
    let report = bed.collect().await;
    assert_eq!(report.payloads_missing, 0);
    assert_eq!(report.account.unwrap().live.blocks, bed.count("blocks").await);
    assert_eq!(bed.count("writers").await, 0);
}
