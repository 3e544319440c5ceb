//! A head loaded from scans of a source that is being written to and renamed all the while.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{collections::HashSet, time::Duration};

use bson::{Bson, Document, RawDocumentBuf, doc};
use holdfast_domain::Ts;
use holdfast_tests::workload::{Live, LiveOptions, ddl_storm, rich};
use mongodb::Client;

use super::{Lab, *};

/// Documents per slice.
const SLICE: usize = 400;
/// The collection does not exist any more.
const GONE: i32 = 26;

/// Cluster time of the source's last majority-committed write.
async fn now(client: &Client) -> Ts {
    let hello = client.database("admin").run_command(doc! { "hello": 1 }).await.unwrap();
    let last = hello.get_document("lastWrite").unwrap();
    last.get_document("opTime").unwrap().get_timestamp("ts").unwrap().into()
}

/// What happened to one collection's scans.
enum Scanned {
    Ended(Vec<Vec<u8>>),
    Again,
    Gone,
}

/// Scans one collection by its UUID with majority reads, slowly.
async fn scan(client: &Client, db: &str, uuid: CollectionUuid, pause: Duration) -> Scanned {
    let command = doc! { "find": uuid, "hint": { "$natural": 1 }, "batchSize": i64::try_from(SLICE).unwrap(), "noCursorTimeout": true, "readConcern": { "level": "majority" } };
    let database = client.database(db);
    let ended = |error: mongodb::error::Error| match error.kind.as_ref() {
        mongodb::error::ErrorKind::Command(error) if error.code == GONE => Scanned::Gone,
        mongodb::error::ErrorKind::Command(_) => Scanned::Again,
        _ => panic!("{error}"),
    };
    let cursor = match database.run_cursor_command(command).await {
        Ok(cursor) => cursor,
        Err(error) => return ended(error),
    };
    let mut cursor = cursor.with_type::<RawDocumentBuf>();
    let (mut slices, mut slice, mut count) = (Vec::new(), Vec::new(), 0);
    loop {
        match cursor.advance().await {
            Ok(true) => {
                slice.extend_from_slice(cursor.current().as_bytes());
                count += 1;
                if count % SLICE == 0 {
                    slices.push(std::mem::take(&mut slice));
                    tokio::time::sleep(pause).await;
                }
            }
            Ok(false) => break,
            Err(error) => return ended(error),
        }
    }
    slices.push(slice);
    Scanned::Ended(slices)
}

/// Lists and scans the source as an agent does, and loads a head. `restarts`: the head is killed in the middle of the load.
async fn load(lab: &Lab, name: &str, pause: Duration, restarts: bool) -> Loader {
    let client = lab.client();
    let head = Head::create(&lab.path(name), &lab.options()).await.unwrap();
    let mut loader = Loader::begin(head).await.unwrap();
    let mut scanned = 0;
    for db in client.list_database_names().await.unwrap() {
        if matches!(db.as_str(), "local" | "config") {
            continue;
        }
        let listed = client
            .database(&db)
            .run_command(doc! { "listCollections": 1, "cursor": { "batchSize": 10_000 } })
            .await
            .unwrap();
        for listed in listed.get_document("cursor").unwrap().get_array("firstBatch").unwrap() {
            let listed = listed.as_document().unwrap();
            if listed.get_str("type").unwrap() != "collection" || listed.get_str("name").unwrap() == "system.profile" {
                continue;
            }
            let uuid = listed.get_document("info").unwrap().get("uuid").and_then(CollectionUuid::from_bson).unwrap();
            let indexes = match client
                .database(&db)
                .run_command(doc! { "listIndexes": uuid, "cursor": { "batchSize": 1000 } })
                .await
            {
                Ok(indexes) => indexes,
                Err(error) => {
                    assert!(
                        matches!(error.kind.as_ref(), mongodb::error::ErrorKind::Command(error) if error.code == GONE),
                        "{error}"
                    );
                    continue;
                }
            };
            let spec = CollectionSpec {
                uuid,
                db: db.clone(),
                name: listed.get_str("name").unwrap().into(),
                options: RawDocumentBuf::try_from(listed.get_document("options").unwrap()).unwrap(),
                indexes: indexes
                    .get_document("cursor")
                    .unwrap()
                    .get_array("firstBatch")
                    .unwrap()
                    .iter()
                    .map(|index| RawDocumentBuf::try_from(index.as_document().unwrap()).unwrap())
                    .collect(),
            };
            for number in 0.. {
                loader.collection(&spec).await.unwrap();
                match scan(&client, &db, uuid, pause).await {
                    Scanned::Ended(slices) => {
                        for (seq, slice) in slices.iter().enumerate() {
                            let key = SliceKey { scan: number, seq: i64::try_from(seq).unwrap() };
                            loader.insert(uuid, key, slice).await.unwrap();
                            assert!(loader.insert(uuid, key, slice).await.unwrap().again);
                        }
                        break;
                    }
                    Scanned::Gone => {
                        println!("{}.{} ({uuid}) is gone", spec.db, spec.name);
                        loader.gone(uuid).await.unwrap();
                        break;
                    }
                    // Half a scan was loaded under the old number.
                    Scanned::Again => {
                        println!("{}.{} ({uuid}) is scanned again", spec.db, spec.name);
                        let junk = doc! { "_id": "of a scan that was given up", "number": number };
                        loader.insert(uuid, SliceKey { scan: number, seq: 0 }, &junk.to_vec().unwrap()).await.unwrap();
                    }
                }
            }
            scanned += 1;
            if restarts && scanned % 5 == 2 {
                loader.kill().await;
                loader = Loader::begin(lab.open(name).await).await.unwrap();
                assert_eq!(loader.phase(), Phase::Loading);
            }
        }
    }
    loader
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quiet_source_of_every_kind_is_loaded_without_an_oplog() {
    let lab = Lab::new().await;
    rich(&lab.client()).await.unwrap();
    let end = now(&lab.client()).await;
    let mut loader = load(&lab, "h", Duration::ZERO, false).await;
    let oplog = lab.oplog().await;
    let from = oplog.entries.iter().position(|(ts, _)| *ts >= end).unwrap();
    loader.catch_up(&oplog.bytes(from..)).await.unwrap();
    let head = loader.finish(end).await.unwrap();
    assert_eq!(lab.diff(&head).await, Vec::<String>::new());
    head.stop().await.unwrap();
    let head = lab.open("h").await;
    assert_eq!(head.phase(), Phase::Steady);
    assert_eq!(lab.diff(&head).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_replayed_over_its_own_result_converges() {
    // The hardest fuzz there is: the scan is from the end, the oplog from the beginning.
    let lab = Lab::new().await;
    rich(&lab.client()).await.unwrap();
    let mut loader = load(&lab, "h", Duration::ZERO, false).await;
    let oplog = lab.oplog().await;
    loader.catch_up(&oplog.bytes(..oplog.entries.len() / 2)).await.unwrap();
    let early = loader.finish(oplog.last()).await.unwrap_err();
    assert!(matches!(early, HeadError::BeforeEnd { end, .. } if end == oplog.last()), "{early}");
    let mut loader = Loader::begin(lab.open("h").await).await.unwrap();
    loader.catch_up(&oplog.all()).await.unwrap();
    let head = loader.finish(oplog.last()).await.unwrap();
    assert_eq!(lab.diff(&head).await, Vec::<String>::new());
}

async fn fuzzy(seed: u64, crashes: bool) {
    let lab = Lab::new().await;
    let client = lab.client();
    let live =
        Live::start_with(&client, LiveOptions { seed, pause: Duration::from_millis(2), ..LiveOptions::default() })
            .await
            .unwrap();
    let storm = ddl_storm(&client, seed).await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let begin = now(&client).await;
    let mut loader = load(&lab, "h", Duration::from_millis(10), crashes).await;
    let end = now(&client).await;
    tokio::time::sleep(Duration::from_millis(300)).await;

    let mut oplog = lab.oplog().await;
    while oplog.last() < end {
        oplog = lab.oplog().await;
    }
    let from = oplog.entries.iter().position(|(ts, _)| *ts >= begin).unwrap();
    let to = oplog.entries.iter().position(|(ts, _)| *ts > end).unwrap_or(oplog.entries.len());
    println!("{} entries while {:?}..{:?} was scanned", to - from, begin, end);
    if crashes {
        for cut in (from..to).step_by(((to - from) / 4).max(1)) {
            loader.catch_up(&oplog.bytes(from..cut)).await.unwrap();
            loader.kill().await;
            loader = Loader::begin(lab.open("h").await).await.unwrap();
        }
    }
    loader.catch_up(&oplog.bytes(from..to)).await.unwrap();
    let mut head = loader.finish(end).await.unwrap();
    // From here on it follows steadily, while the source still changes.
    head.apply(&oplog.bytes(from..), None).await.unwrap();
    storm.stop().await.unwrap();
    live.stop().await.unwrap();
    head.apply(&lab.oplog().await.all(), None).await.unwrap();
    assert_eq!(lab.diff(&head).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_under_writes_and_renames_converges() {
    fuzzy(11, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_under_writes_and_renames_converges_over_crashes_of_the_head() {
    fuzzy(23, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_finished_asks_for_a_new_sync() {
    let lab = Lab::new().await;
    let uuid = CollectionUuid([9, 9, 9, 9, 9, 9, 0x49, 9, 0x89, 9, 9, 9, 9, 9, 9, 9]);
    let loader = Loader::begin(Head::create(&lab.path("h"), &lab.options()).await.unwrap()).await.unwrap();
    loader.collection(&spec(&lab.version)).await.unwrap();
    let unique = RawDocumentBuf::try_from(&doc! { "v": 2, "key": { "u": 1 }, "name": "u_1", "unique": true }).unwrap();
    let spec = CollectionSpec {
        uuid,
        db: "a".into(),
        name: "c".into(),
        options: RawDocumentBuf::new(),
        indexes: vec![unique],
    };
    loader.collection(&spec).await.unwrap();
    let documents =
        |ids: std::ops::Range<i32>| ids.flat_map(|n| doc! { "_id": n, "u": 1 }.to_vec().unwrap()).collect::<Vec<u8>>();
    let key = |scan, seq| SliceKey { scan, seq };
    loader.insert(uuid, key(0, 0), &documents(0..5)).await.unwrap();
    // Slices come in order; an older scan has no effect; a newer one begins anew.
    assert!(matches!(loader.insert(uuid, key(0, 2), &documents(0..5)).await.unwrap_err(), HeadError::SliceGap { .. }));
    assert!(matches!(loader.insert(uuid, key(1, 1), &documents(0..5)).await.unwrap_err(), HeadError::SliceGap { .. }));
    loader.insert(uuid, key(3, 0), &documents(2..4)).await.unwrap();
    assert!(loader.insert(uuid, key(0, 1), &documents(0..9)).await.unwrap().again);
    assert_eq!(loader.next_slice(uuid).await, Some(key(3, 1)));
    let stored: Vec<Bson> =
        loader.client().database("a").collection::<Document>("c").distinct("_id", doc! {}).await.unwrap();
    assert_eq!(stored.into_iter().collect::<Vec<_>>(), vec![Bson::Int32(2), Bson::Int32(3)]);
    let mut loader = loader;
    loader.catch_up(&[]).await.unwrap();
    let error = loader.finish(Ts::ZERO).await.unwrap_err();
    assert!(matches!(&error, HeadError::NeedsResync(why) if why.contains("a.c") && why.contains("11000")), "{error}");
    assert_eq!(error.remedy(), Remedy::Resync);
    // A head in its initial sync is not fed like one that follows.
    let mut head = lab.open("h").await;
    assert!(matches!(head.apply(&[], None).await.unwrap_err(), HeadError::WrongPhase { .. }));
    let names: HashSet<String> = head.catalog().await.unwrap().collections.into_iter().map(|c| c.name).collect();
    assert!(names.contains("c"));
}
