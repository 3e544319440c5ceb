//! A pack store alone: snapshots are listed and come back without any database.

use blockstore_engine::recover::RootFault;
use blockstore_engine::{
    EngineOptions, ErrorClass, GroupKey, Keyring, MoveRequest, PackStoreOptions, PayloadStore, RecoverError, Recovery,
    Root,
};
use tokio_util::sync::CancellationToken;

use super::s3::S3Server;
use super::{assert_archived, directory, encrypted_snapshot, number, packs, small_packs, to_packs};
use crate::support::*;

async fn recover(options: &PackStoreOptions, keys: Keyring) -> (tempfile::TempDir, Recovery) {
    let scratch = tempfile::tempdir().unwrap();
    let recovery = Recovery::open(options, keys, &scratch.path().join("index"), quiet()).await.unwrap();
    (scratch, recovery)
}

async fn restored(recovery: &Recovery, root: &Root) -> std::collections::BTreeMap<String, (u32, Vec<u8>)> {
    let target = tempfile::tempdir().unwrap();
    let dir = target.path().join("out");
    recovery.snapshot(root.clone()).materialise(&dir, quiet(), CancellationToken::new()).await.unwrap();
    tree(&dir)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_is_recovered_without_the_database() {
    let dir = tempfile::tempdir().unwrap();
    let options = to_packs(directory(dir.path()));
    let pack_options = options.packs[0].clone();
    let keys = Keyring::default();
    let (group, other) = (GroupKey::generate(), GroupKey::generate());
    let (key, _) = (keys.insert(&group), keys.insert(&other));
    let bed = bed_with(EngineOptions { keys: keys.clone(), ..options }).await;
    let mut random = Random(41);
    bed.put("db/collection.wt", &[random.bytes(70 << 10), vec![0; 1 << 20], random.bytes(9 << 20)].concat());
    bed.put("empty", b"");
    let first = bed.snapshot(None).await;
    let before = tree(&bed.source());
    bed.put("db/new", &random.bytes(100_000));
    let second = bed.snapshot(Some(&first)).await;
    let third = encrypted_snapshot(&bed, None, key).await;
    let after = tree(&bed.source());
    bed.db.drop().await.unwrap();

    let (_scratch, recovery) = recover(&pack_options, keys.clone()).await;
    assert!(recovery.bad_packs().is_empty());
    let found: Vec<_> = recovery.roots().await.unwrap().into_iter().map(|one| one.root.unwrap()).collect();
    assert_eq!(found, [first.clone(), second.clone(), third.clone()]);
    assert!(restored(&recovery, &first).await == before);
    assert!(restored(&recovery, &second).await == after);
    assert!(restored(&recovery, &third).await == after);
    assert_archived(|| recovery.snapshot(third.clone()), &after).await;

    // Without the key the encrypted one tells that it is there, and no more.
    let (_scratch, keyless) = recover(&pack_options, Keyring::default()).await;
    let found = keyless.roots().await.unwrap();
    assert_eq!((found.len(), found[2].id), (3, third.id));
    assert_eq!(found[2].root.as_ref().unwrap_err(), &RootFault::NoKey(key));
    let error = keyless.snapshot(third.clone()).files().await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Operator, "{error}");

    // A pack that lost its end gives what is before the tear; what is lost is said, not made up.
    let victim = packs(dir.path()).into_iter().max_by_key(|pack| pack.metadata().unwrap().len()).unwrap();
    let bytes = std::fs::read(&victim).unwrap();
    std::fs::write(&victim, &bytes[..bytes.len() - 60_000]).unwrap();
    let (_scratch, torn) = recover(&pack_options, keys).await;
    assert_eq!(torn.bad_packs().len(), 1);
    let mut lost = 0;
    for root in [&first, &second, &third] {
        let absent = torn.snapshot(root.clone()).absent_blocks().await;
        let target = tempfile::tempdir().unwrap();
        let dir = target.path().join("out");
        let read = torn.snapshot(root.clone()).materialise(&dir, quiet(), CancellationToken::new()).await;
        if let Err(error) = read {
            assert_eq!(error.class(), ErrorClass::Corrupt, "{error}");
            assert!(absent.is_err() || absent.unwrap() > 0, "the lists tell it");
            lost += 1;
        } else {
            assert_eq!(absent.unwrap(), 0);
        }
    }
    assert!(lost > 0, "what lay in the tear belongs to some snapshot");
    let nothing = small_packs(1, directory(&dir.path().join("nothing")));
    let error = Recovery::open(&nothing, Keyring::default(), &dir.path().join("x"), quiet()).await.err().unwrap();
    assert!(matches!(error, RecoverError::NoStore));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_is_recovered_after_payloads_were_moved_there() {
    let server = S3Server::shared().await;
    let mut options = to_packs(server.location().await);
    options.write_to = PayloadStore::Mongo;
    let pack_options = options.packs[0].clone();
    let bed = bed_with(options).await;
    bed.put("file", &Random(42).bytes(6 << 20));
    let root = bed.snapshot(None).await;
    let (_scratch, empty) = recover(&pack_options, Keyring::default()).await;
    assert!(empty.roots().await.unwrap().is_empty());
    let request = MoveRequest { from: PayloadStore::Mongo, to: PayloadStore::Packs(number(1)) };
    let moved = bed.store.move_payloads(request, quiet(), CancellationToken::new()).await.unwrap();
    assert!(moved.is_complete() && moved.blocks == bed.count("blocks").await, "{moved:?}");
    let source = tree(&bed.source());
    // What the caller keeps beside the packs; larger than one request takes.
    let aside = bed.store.asides().pop().unwrap().unwrap();
    let large = Random(43).bytes(9 << 20);
    aside.put("notes/a.x", &large, None).await.unwrap();
    aside.put("notes/b.x", b"b", None).await.unwrap();
    aside.put("notes/b.x", b"other", None).await.unwrap();
    aside.put("c", b"c", None).await.unwrap();
    aside.delete("c").await.unwrap();
    aside.delete("c").await.unwrap();
    bed.db.drop().await.unwrap();
    let (_scratch, recovery) = recover(&pack_options, Keyring::default()).await;
    let aside = Recovery::glance(&pack_options, Keyring::default()).await.unwrap().aside();
    let names = aside.list("notes").await.unwrap();
    assert_eq!(names.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["notes/a.x", "notes/b.x"]);
    assert_eq!(aside.list("").await.unwrap(), names);
    assert!(aside.get("notes/a.x").await.unwrap().unwrap() == large && aside.get("c").await.unwrap().is_none());
    assert_eq!(aside.get("notes/b.x").await.unwrap().unwrap(), "other");
    assert_eq!(recovery.snapshot(root.clone()).absent_blocks().await.unwrap(), 0);
    assert_eq!(recovery.roots().await.unwrap()[0].root.as_ref().unwrap(), &root);
    assert!(restored(&recovery, &root).await == source);
}
