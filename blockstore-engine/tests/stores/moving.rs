//! Payloads move from store to store while backups run.

use blockstore_engine::{EngineOptions, GroupKey, Keyring, MoveReport, MoveRequest, PayloadStore, Root, WriterRequest};
use std::collections::BTreeMap;
use tokio_util::sync::CancellationToken;

use super::s3::S3Server;
use super::{directory, number, packs, small_packs};
use crate::support::*;

type Files = BTreeMap<String, (u32, Vec<u8>)>;

/// Moves until nothing is left but what lies there for good.
async fn move_all(bed: &Bed, from: PayloadStore, to: PayloadStore) -> MoveReport {
    let mut total = MoveReport::default();
    for _ in 0..50 {
        let report =
            bed.store.move_payloads(MoveRequest { from, to }, quiet(), CancellationToken::new()).await.unwrap();
        total.bytes += report.bytes;
        if report.is_complete() {
            return total;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("moving does not end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn snapshots_survive_moves_that_run_beside_writers() {
    let server = S3Server::shared().await;
    let bucket = server.location().await;
    let dir = tempfile::tempdir().unwrap();
    let keys = Keyring::default();
    let key = keys.insert(&GroupKey::generate());
    let (local, remote) = (PayloadStore::Packs(number(1)), PayloadStore::Packs(number(2)));
    let options = |write_to| EngineOptions {
        packs: vec![small_packs(1, directory(dir.path())), small_packs(2, bucket.clone())],
        write_to,
        keys: keys.clone(),
        ..EngineOptions::default()
    };
    let bed = bed_with(options(PayloadStore::Mongo)).await;
    let mut random = Random(31);
    bed.put("big", &random.bytes(12 << 20));
    bed.put("small", &random.bytes(100));
    let mut made: Vec<(Root, Files)> = Vec::new();
    for key in [None, Some(key)] {
        let mut writer = bed.store.register(WriterRequest { key, ..request("job", None) }).await.unwrap();
        writer.write_dir(&bed.source(), &|_| true, quiet()).await.unwrap();
        made.push((writer.commit(commit()).await.unwrap(), tree(&bed.source())));
    }
    for (from, to) in [(PayloadStore::Mongo, local), (local, remote), (remote, PayloadStore::Mongo)] {
        let writes_to = blockstore_engine::Blockstore::open(bed.db.clone(), options(to)).await.unwrap();
        // Two jobs write while everything moves: one without a parent, so that it meets blocks that are on their way.
        let (mut fresh, ()) = tokio::join!(
            async {
                let mut fresh: Vec<(Root, Files)> = Vec::new();
                for round in 0..6u8 {
                    let block = usize::try_from(random.below(190)).unwrap() * BLOCK;
                    let mut big = std::fs::read(bed.source().join("big")).unwrap();
                    big[block..block + BLOCK].copy_from_slice(&random.bytes(BLOCK));
                    bed.put("big", &big);
                    let (base, _) = made.last().unwrap();
                    let (parent, key) = if round % 2 == 0 { (None, None) } else { (Some(base.id), base.key) };
                    let request = WriterRequest { key, ..request("job", parent) };
                    let mut writer = writes_to.register(request).await.unwrap();
                    writer.write_dir(&bed.source(), &|_| true, quiet()).await.unwrap();
                    let proof = writer.verify_new().await.unwrap();
                    assert!(proof.is_good(), "{proof:?}");
                    fresh.push((writer.commit(commit()).await.unwrap(), tree(&bed.source())));
                }
                fresh
            },
            async {
                let report = move_all(&bed, from, to).await;
                assert!(report.bytes > 10 << 20, "{report:?}");
            }
        );
        made.append(&mut fresh);
        // What writers stored meanwhile went to the target; nothing that a block names is left.
        let last = move_all(&bed, from, to).await;
        assert_eq!(last.bytes, 0);
        if from == PayloadStore::Mongo {
            assert_eq!(bed.count("payloads").await, 0);
        }
        if from == local {
            assert_eq!(packs(dir.path()).len(), 0);
        }
        for (root, files) in &made {
            assert!(&bed.restored(root).await == files, "{from:?} to {to:?}");
        }
    }
    assert_eq!(bed.count("writers").await, 0);
    assert_eq!(bed.count("payloads").await, bed.count("blocks").await);
    for (root, _) in made {
        assert!(bed.store.reader(root).verify(quiet()).await.unwrap().is_good());
    }
    let nowhere = MoveRequest { from: local, to: local };
    assert!(bed.store.move_payloads(nowhere, quiet(), CancellationToken::new()).await.is_err());
}
