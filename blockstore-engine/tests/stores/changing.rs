//! Pack stores that come, go and are replaced while the store is open.

use blockstore_engine::{ErrorClass, PayloadStore, ReadError, WriteError};

use super::{directory, number, packs, small_packs};
use crate::support::{self, bed_with, tree};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_away_is_refused_and_everything_else_works() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    let bed = bed_with(blockstore_engine::EngineOptions::default()).await;
    bed.put("in the database", &[1; 200_000]);
    let in_database = bed.snapshot(None).await;

    // Told of a store at run time: later writers go there, one that is at it stays where it began.
    let mut early = bed.store.register(support::request("early", None)).await.unwrap();
    let stores = [Ok(small_packs(1, directory(&one))), Ok(small_packs(2, directory(&two)))];
    let states = bed.store.set_payload_stores(&stores, PayloadStore::Packs(number(1))).await.unwrap();
    assert!(states.len() == 2 && states.iter().all(|state| state.fault.is_none()));
    bed.put("in packs", &[2; 200_000]);
    early.write_dir(&bed.source(), &|_| true, support::quiet()).await.unwrap();
    assert!(early.verify_new().await.unwrap().is_good());
    early.abandon().await.unwrap();
    assert!(packs(&one).is_empty());
    bed.put("in packs", &[3; 200_000]);
    let in_packs = bed.snapshot(Some(&in_database)).await;
    assert!(!packs(&one).is_empty());

    // Unmounted while in use: nothing is taken for lost, nothing is written below the mount point.
    std::fs::rename(&one, dir.path().join("away")).unwrap();
    std::fs::create_dir(&one).unwrap();
    let error = bed.store.reader(in_packs.clone()).read("in packs", 0, 10).await.unwrap_err();
    assert!(matches!(error, ReadError::NoStore(ref store) if store.number == number(1)), "{error}");
    assert_eq!(error.class(), ErrorClass::Retry);
    assert_eq!(bed.store.reader(in_database.clone()).read("in the database", 0, 2).await.unwrap(), [1; 2][..]);

    // Away at a start: opening is no error, what needs it is refused, the rest works.
    let fresh = blockstore_engine::Blockstore::open(bed.db.clone(), Default::default()).await.unwrap();
    let error = fresh.reader(in_packs.clone()).read("in packs", 0, 10).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Operator, "nobody told it of the store: {error}");
    let states = fresh.set_payload_stores(&stores, PayloadStore::Packs(number(1))).await.unwrap();
    assert!(states[0].fault.as_ref().unwrap().reason.contains("mounted"), "{states:?}");
    assert_eq!((states[1].fault.as_ref(), fresh.payload_stores()), (None, states.clone()));
    fresh.reader(in_database.clone()).read("in the database", 0, 2).await.unwrap();
    bed.put("new", &[4; 200_000]);
    let mut writer = fresh.register(support::request("job", None)).await.unwrap();
    let refused = match writer.write_dir(&bed.source(), &|_| true, support::quiet()).await {
        Err(error) => error,
        Ok(_) => writer.commit(support::commit()).await.unwrap_err(),
    };
    assert!(matches!(refused, WriteError::NoStore(_)), "{refused}");
    assert!(packs(&one).is_empty());
    writer.abandon().await.unwrap();
    // Writes can go elsewhere meanwhile.
    fresh.set_payload_stores(&stores, PayloadStore::Packs(number(2))).await.unwrap();
    let mut writer = fresh.register(support::request("elsewhere", None)).await.unwrap();
    writer.add_file("new", 0o644, vec![4; 200_000]).await.unwrap();
    let elsewhere = writer.commit(support::commit()).await.unwrap();
    assert!(!packs(&two).is_empty());

    // Mounted again: the process that had it goes on, the other one is told again.
    std::fs::remove_dir(&one).unwrap();
    std::fs::rename(dir.path().join("away"), &one).unwrap();
    assert_eq!(bed.store.reader(in_packs.clone()).read("in packs", 0, 2).await.unwrap(), [3; 2][..]);
    let states = fresh.set_payload_stores(&stores, PayloadStore::Packs(number(1))).await.unwrap();
    assert!(states.iter().all(|state| state.fault.is_none()));
    assert_eq!(fresh.reader(elsewhere).read("new", 0, 2).await.unwrap(), [4; 2][..]);
    std::fs::remove_file(bed.source().join("new")).unwrap();
    assert!(bed.restored(&in_packs).await == tree(&bed.source()));

    // Options that make no sense change nothing.
    assert!(fresh.set_payload_stores(&[], PayloadStore::Packs(number(1))).await.is_err());
    assert_eq!(fresh.payload_stores(), states);
}
