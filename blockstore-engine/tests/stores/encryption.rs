//! Groups that encrypt share nothing with others, and nothing opens without their key.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use blockstore_engine::{
    Blockstore, EngineOptions, ErrorClass, GroupKey, Keyring, MasterKey, ReadError, RegisterError, RollingOptions, WriterRequest,
};
use mongodb::bson::{Binary, Document, doc};
use tokio_util::sync::CancellationToken;

use super::{directory, encrypted_snapshot, packs, to_packs};
use crate::support::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn equal_contents_of_two_groups_meet_nowhere() {
    let keys = Keyring::default();
    let bed = bed_with(EngineOptions { keys: keys.clone(), ..EngineOptions::default() }).await;
    bed.put("file", &Random(1).bytes(20 * BLOCK));
    // Keys of groups that come later are added while the store is open.
    let (one, two) = (keys.insert(&GroupKey::generate()), keys.insert(&GroupKey::generate()));
    let plain = bed.snapshot(None).await;
    let blocks = bed.count("blocks").await;
    let a = encrypted_snapshot(&bed, None, one).await;
    let b = encrypted_snapshot(&bed, None, two).await;
    assert_eq!(bed.count("blocks").await, 3 * blocks);
    // A parent under another key saves nothing, and changes nothing.
    let c = encrypted_snapshot(&bed, Some(&a), two).await;
    assert_eq!((c.tree, c.new_bytes), (b.tree, 0));
    assert!(plain.tree != a.tree && a.tree != b.tree);
    for root in [plain, a, b, c] {
        assert!(bed.restored(&root).await == tree(&bed.source()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_opens_without_the_key() {
    let (master, key) = (MasterKey::generate(), GroupKey::generate());
    let wrapped = master.wrap(&key);
    let keys = Keyring::default();
    let id = keys.insert(&key);
    let bed = bed_with(EngineOptions { keys: keys.clone(), ..EngineOptions::default() }).await;
    bed.put("file", &Random(2).bytes(5 * BLOCK));
    let root = encrypted_snapshot(&bed, None, id).await;
    keys.remove(id);
    keys.insert(&GroupKey::generate());
    let request = WriterRequest { key: Some(id), ..request("job", Some(root.id)) };
    let refused = bed.store.register(request).await.err().unwrap();
    assert!(matches!(refused, RegisterError::NoKey(key) if key == id));
    let reader = bed.store.reader(root.clone());
    let error = reader.files().await.unwrap_err();
    assert!(matches!(error, ReadError::NoKey { key, .. } if key == id), "{error}");
    assert_eq!(error.class(), ErrorClass::Operator);
    let unverified = reader.verify(quiet()).await.unwrap_err();
    assert_eq!((unverified.class(), unverified.to_string()), (ErrorClass::Operator, format!("not verified: key {id} is not here")));
    // The key again, from where it is kept.
    assert_eq!(keys.insert(&master.unwrap_key(&wrapped).unwrap()), id);
    assert!(bed.restored(&root).await == tree(&bed.source()));
    // A payload that claims another key does not open under that one either.
    let other = keys.insert(&GroupKey::generate());
    let payloads = bed.db.collection::<Document>("payloads");
    let claims = Binary { subtype: mongodb::bson::spec::BinarySubtype::Generic, bytes: other.to_bson().bytes };
    payloads.update_many(doc! {}, doc! { "$set": { "k": claims } }).await.unwrap();
    let error = bed.store.reader(root).files().await.unwrap_err();
    assert!(matches!(error, ReadError::BadBlock { .. }) && error.class() == ErrorClass::Corrupt, "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_blocks_are_repaired_under_their_key() {
    let dir = tempfile::tempdir().unwrap();
    let options = to_packs(directory(dir.path()));
    let key = options.keys.insert(&GroupKey::generate());
    let bed = bed_with(options).await;
    bed.put("file", &Random(3).bytes(40 * BLOCK));
    let root = encrypted_snapshot(&bed, None, key).await;
    let pack = packs(dir.path()).into_iter().max_by_key(|pack| pack.metadata().unwrap().len()).unwrap();
    let mut bytes = std::fs::read(&pack).unwrap();
    let half = bytes.len() / 2;
    bytes[half] ^= 1;
    std::fs::write(&pack, bytes).unwrap();
    let reader = bed.store.reader(root.clone());
    let report = reader.verify(quiet()).await.unwrap();
    assert_eq!((report.bad_count, report.bad[0].reason.contains("decrypt")), (1, true), "{report:?}");
    bed.store.quarantine(&[report.bad[0].id.unwrap()]).await.unwrap();
    let source = blockstore_engine::verify::directory(bed.source());
    let repaired = bed.store.repair(Some(source), CancellationToken::new()).await.unwrap();
    assert_eq!((repaired.bad, repaired.from_source, repaired.left.len()), (1, 1, 0), "{repaired:?}");
    assert!(bed.store.reader(root.clone()).verify(quiet()).await.unwrap().is_good());
    assert!(bed.restored(&root).await == tree(&bed.source()));
    assert_eq!((bed.count("payloads").await, bed.count("writers").await), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_key_is_not_a_bad_block() {
    let keys = Keyring::default();
    let (one, two) = (keys.insert(&GroupKey::generate()), keys.insert(&GroupKey::generate()));
    let bed = bed_with(EngineOptions { keys, ..EngineOptions::default() }).await;
    bed.put("file", &Random(4).bytes(30 * BLOCK));
    let plain = bed.snapshot(None).await;
    let (locked, open) = (encrypted_snapshot(&bed, None, one).await, encrypted_snapshot(&bed, None, two).await);
    let whole = bed.store.verify_snapshot(&locked.id, quiet(), CancellationToken::new()).await.unwrap();
    assert!(whole.report.is_good());

    // Another process: it has the key of one group of two.
    let keyless = Keyring::default();
    let store = Blockstore::open(bed.db.clone(), EngineOptions { keys: keyless, ..EngineOptions::default() }).await.unwrap();
    for root in [&locked, &open] {
        let refused = store.verify_snapshot(&root.id, quiet(), CancellationToken::new()).await.unwrap_err();
        let key = root.key.unwrap();
        assert_eq!((refused.class(), refused.to_string()), (ErrorClass::Operator, format!("not verified: key {key} is not here")));
    }
    assert!(store.verify_snapshot(&plain.id, quiet(), CancellationToken::new()).await.unwrap().report.is_good());
    let all = RollingOptions { age: Duration::ZERO, share: (1, 1), give_way: 0 };
    let report = store.verify_rolling(&all, Arc::new(|_| {}), CancellationToken::new()).await.unwrap();
    assert_eq!((report.bad.len(), &report.missing_keys), (0, &BTreeSet::from([one, two])), "{report:?}");
    let said = report.not_verified().unwrap();
    assert_eq!((said.class(), said.blocks), (Some(ErrorClass::Operator), report.unread));
    assert!(said.to_string().ends_with("are not here") && said.to_string().contains(&one.to_string()), "{said}");
    let marked = async || bed.db.collection::<Document>("blocks").count_documents(doc! { "q": { "$exists": true } }).await.unwrap();
    assert_eq!(marked().await, 0);
    assert!(bed.store.all_roots().await.unwrap().iter().all(|root| !root.quarantined));
    // What was proved with the key is not forgotten for the attempt without it.
    let kept = bed.store.snapshot_checks().await.unwrap();
    assert!(kept.iter().any(|check| *check == whole), "{kept:?}");

    // A block that is really bad, of the plain group and of a locked one: the first is named, the second waits for its key. No snapshot is
    // marked or unmarked that nobody could look into.
    let (ours, theirs) = (leaves(&bed, &plain, "file").await[3], leaves(&bed, &locked, "file").await[3]);
    bed.store.quarantine(&[ours, theirs]).await.unwrap();
    let named = store.name_bad_blocks(&CancellationToken::new()).await.unwrap();
    assert_eq!(named, HashMap::from([(ours, vec![plain.id])]));
    let repaired = store.repair(None, CancellationToken::new()).await.unwrap();
    assert_eq!((repaired.healed.len(), repaired.touched.as_slice()), (0, &[plain.id][..]), "{repaired:?}");
    let touched = async || {
        let roots = bed.store.all_roots().await.unwrap();
        roots.into_iter().filter(|root| root.quarantined).map(|root| root.id).collect::<Vec<_>>()
    };
    assert_eq!(touched().await, [plain.id]);
    let named = bed.store.name_bad_blocks(&CancellationToken::new()).await.unwrap();
    assert_eq!(named, HashMap::from([(theirs, vec![locked.id])]));
    assert_eq!(touched().await, [plain.id, locked.id]);
    store.repair(None, CancellationToken::new()).await.unwrap();
    assert_eq!(touched().await, [plain.id, locked.id], "not healed by one that cannot look");
    let source = blockstore_engine::verify::directory(bed.source());
    let repaired = bed.store.repair(Some(source), CancellationToken::new()).await.unwrap();
    assert_eq!((repaired.from_source, repaired.healed.len()), (2, 2), "{repaired:?}");
    assert_eq!(marked().await, 0);
}
