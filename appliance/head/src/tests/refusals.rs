//! What a head must not do silently.
#![allow(clippy::unwrap_used, reason = "tests")]

use bson::{Bson, Document, doc};
use holdfast_domain::{Classify, ErrorClass, OpTime};

use super::{Lab, *};

/// A source with three documents, its oplog, and a head that follows it.
async fn three() -> (Lab, Oplog, Head) {
    let lab = Lab::new().await;
    let collection = lab.client().database("a").collection("c");
    collection.insert_many((1..=3).map(|n| doc! { "_id": n, "u": n })).await.unwrap();
    lab.client()
        .database("a")
        .run_command(doc! { "createIndexes": "c", "indexes": [{ "key": { "u": 1 }, "name": "u_1", "unique": true }] })
        .await
        .unwrap();
    let oplog = lab.oplog().await;
    let mut head = lab.head("h").await;
    head.apply(&oplog.all(), None).await.unwrap();
    (lab, oplog, head)
}

fn uuid_of(oplog: &Oplog) -> Bson {
    let at = oplog.position(|e| e.get_str("ns").is_ok_and(|ns| ns == "a.c"));
    Document::try_from(oplog.entries[at].1.as_ref()).unwrap().get("ui").unwrap().clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_entries_stop_the_head_before_any_of_them_is_applied() {
    let (lab, oplog, mut head) = three().await;
    let ui = uuid_of(&oplog);
    let insert = |n: i32| doc! { "op": "i", "ns": "a.c", "ui": ui.clone(), "o": { "_id": n, "u": n } };
    let unknown = doc! { "op": "c", "ns": "a.$cmd", "o": { "dropIdent": "x" } };
    let good = later(oplog.last(), 1, insert(4));
    let bad = later(oplog.last(), 2, doc! { "op": "c", "ns": "admin.$cmd", "o": { "applyOps": [insert(5), unknown] } });
    let error = head.apply(&[good.clone(), bad].concat(), None).await.unwrap_err();
    assert!(
        error.to_string().contains(&format!("{},1", oplog.last().t + 2)) && error.to_string().contains("dropIdent"),
        "{error}"
    );
    assert_eq!((error.class(), error.remedy()), (ErrorClass::Operator, Remedy::Operator));
    assert!(matches!(head.apply(&good, None).await.unwrap_err(), HeadError::Interrupted));
    assert_eq!(head.resume().await.unwrap().ts.t, oplog.last().t + 1, "what came before is applied");
    let collection = head.client().database("a").collection::<Document>("c");
    assert_eq!(collection.count_documents(doc! {}).await.unwrap(), 4);

    let newer = later(
        oplog.last(),
        3,
        doc! { "op": "u", "ns": "admin.system.version", "ui": lab.version.uuid, "o": { "$v": 2, "diff": { "u": { "version": "7.0" } } }, "o2": { "_id": "featureCompatibilityVersion" } },
    );
    let error = head.apply(&newer, None).await.unwrap_err();
    assert!(matches!(&error, HeadError::NeedsBinary { fcv, .. } if fcv == "7.0"), "{error}");
    head.resume().await.unwrap();
    let garbage = head.apply(&[1, 2, 3], None).await.unwrap_err();
    assert_eq!((garbage.class(), garbage.remedy()), (ErrorClass::Corrupt, Remedy::Resync));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn divergence_is_found_by_operations_and_by_comparison() {
    let (lab, oplog, mut head) = three().await;
    assert_eq!(lab.diff(&head).await, Vec::<String>::new());
    // A document that was changed behind the head's back: seen by its hash only.
    let own = head.client().database("a").collection::<Document>("c");
    own.update_one(doc! { "_id": 1 }, doc! { "$set": { "flipped": true } }).await.unwrap();
    let (ours, theirs) = (head.db_hashes().await.unwrap(), db_hashes(&lab.client()).await.unwrap());
    assert_ne!(ours["a"]["c"], theirs["a"]["c"]);
    assert_eq!(ours["admin"], theirs["admin"]);
    // An index that is gone: seen by the catalogs.
    own.drop_index("u_1").await.unwrap();
    let said = head.compare_catalog(&read_catalog(&lab.client()).await.unwrap()).await.unwrap();
    assert_eq!(said.len(), 1);
    assert_eq!(said[0].to_string(), "a.c: index u_1 is missing on the head");

    // An update of a document that the head lacks.
    own.delete_one(doc! { "_id": 2 }).await.unwrap();
    let ui = uuid_of(&oplog);
    let update = |n: i32| doc! { "op": "u", "ns": "a.c", "ui": ui.clone(), "o": { "$v": 2, "diff": { "u": { "x": 1 } } }, "o2": { "_id": n } };
    let entries =
        [later(oplog.last(), 1, update(3)), later(oplog.last(), 2, update(2)), later(oplog.last(), 3, update(1))]
            .concat();
    let error = head.apply(&entries, None).await.unwrap_err();
    let HeadError::Diverged { at, code: 218, ns, .. } = &error else { panic!("{error}") };
    assert_eq!(
        (at.ts.t, ns.as_str(), error.class(), error.remedy()),
        (oplog.last().t + 2, "a.c", ErrorClass::Corrupt, Remedy::Rebuild)
    );
    assert_eq!(head.resume().await.unwrap().ts.t, oplog.last().t + 1, "the marker stands before the entry that failed");

    // A unique key that the head gives to another document, and a collection that it does not have.
    own.insert_one(doc! { "_id": 9, "u": 100 }).await.unwrap();
    head.client()
        .database("a")
        .run_command(doc! { "createIndexes": "c", "indexes": [{ "key": { "u": 1 }, "name": "u_1", "unique": true }] })
        .await
        .unwrap();
    let double = doc! { "op": "i", "ns": "a.c", "ui": ui.clone(), "o": { "_id": 10, "u": 100 } };
    let error = head.apply(&later(oplog.last(), 4, double), None).await.unwrap_err();
    assert!(matches!(error, HeadError::Diverged { code: 11000, .. }), "{error}");
    head.resume().await.unwrap();
    let stranger = doc! { "op": "i", "ns": "a.none", "ui": CollectionUuid([7; 16]), "o": { "_id": 10 } };
    let error = head.apply(&later(oplog.last(), 4, stranger), None).await.unwrap_err();
    assert!(matches!(error, HeadError::Diverged { code: 26, .. }), "{error}");
    head.resume().await.unwrap();
    let index = doc! { "op": "c", "ns": "a.$cmd", "ui": CollectionUuid([7; 16]), "o": { "createIndexes": "none", "v": 2, "key": { "x": 1 }, "name": "x_1" } };
    let error = head.apply(&later(oplog.last(), 4, index), None).await.unwrap_err();
    assert!(matches!(error, HeadError::Diverged { code: 26, .. }), "an index must not create a collection: {error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_histories_and_missing_parts_are_refused() {
    let (lab, oplog, mut head) = three().await;
    let mut fork = Document::try_from(oplog.entries.last().unwrap().1.as_ref()).unwrap();
    fork.insert("t", 99_i64);
    let error = head.apply(&fork.to_vec().unwrap(), None).await.unwrap_err();
    assert!(matches!(error, HeadError::OtherHistory { .. }) && error.remedy() == Remedy::Resync, "{error}");
    head.resume().await.unwrap();

    let prev = doc! { "ts": bson::Timestamp { time: oplog.last().t, increment: 900 }, "t": 1_i64 };
    let part = doc! { "op": "c", "ns": "admin.$cmd", "lsid": { "id": 1 }, "txnNumber": 1_i64, "prevOpTime": prev, "o": { "applyOps": [], "partialTxn": true } };
    let error = head.apply(&later(oplog.last(), 1, part), None).await.unwrap_err();
    assert!(
        matches!(error, HeadError::MissingLink { at: OpTime { ts, .. }, .. } if ts.t == oplog.last().t + 1),
        "{error}"
    );
    head.resume().await.unwrap();

    let (a, b) = (
        later(oplog.last(), 2, doc! { "op": "n", "ns": "", "o": {} }),
        later(oplog.last(), 1, doc! { "op": "n", "ns": "", "o": {} }),
    );
    assert!(
        matches!(head.apply(&[a, b].concat(), None).await.unwrap_err(), HeadError::Decode { .. }),
        "time runs forward"
    );
    head.kill().await;

    assert!(matches!(Head::create(&lab.path("h"), &lab.options()).await.unwrap_err(), HeadError::NotEmpty(_)));
    assert!(matches!(Head::open(&lab.path("nothing"), &lab.options()).await.unwrap_err(), HeadError::NoHead { .. }));
    let foreign = HeadOptions { binary: "/bin/true".into(), ..lab.options() };
    assert_eq!(Head::open(&lab.path("h"), &foreign).await.unwrap_err().class(), ErrorClass::Operator);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_binary_keeps_its_promises() {
    let dir = tempfile::tempdir().unwrap();
    let found = probe(&mongod_binary(), dir.path()).await.unwrap();
    assert!(found.atomic_batch && found.obeys_always_upsert);
    found.check(&mongod_binary()).unwrap();
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "the probe leaves nothing behind");
}
