//! The workload and the comparison themselves: a tool that proves other things has to be proved first.

use std::time::Duration;

use bson::{Document, doc};
use holdfast_tests::{ReplicaSet, ReplicaSetOptions, compare, workload};
use mongodb::Client;

async fn one_member() -> ReplicaSet {
    ReplicaSet::start(1, ReplicaSetOptions::default()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_step_of_rich_passes_and_differences_are_seen() {
    let set = one_member().await;
    let client = set.client();
    let steps = workload::rich(&client).await.unwrap();
    assert!(steps.len() >= 95, "{} steps", steps.len());
    let names: std::collections::BTreeSet<_> = steps.iter().map(|step| step.name).collect();
    assert_eq!(names.len(), steps.len(), "names are unique");
    assert_eq!(workload::failures(&steps), Vec::<String>::new());

    let (at, first) = compare::record(&client).await.unwrap();
    assert!(at.time > 0);
    assert_eq!(compare::diff(&first, &compare::state(&client).await.unwrap()), Vec::<String>::new());
    let stored: compare::ServerState = serde_json::from_str(&serde_json::to_string(&first).unwrap()).unwrap();
    assert_eq!(compare::diff(&first, &stored), Vec::<String>::new());

    // Each change shows, and as what it is.
    let app = client.database("app");
    for (command, wanted) in [
        (
            doc! { "update": "plain", "updates": [{ "q": { "_id": 1 }, "u": { "$set": { "v": -1 } } }] },
            "app.plain: dbHash",
        ),
        (doc! { "dropIndexes": "plain", "index": "wild" }, "app.plain: indexes"),
        (doc! { "collMod": "c_plain", "validationLevel": "off" }, "app.c_plain: options"),
        (doc! { "drop": "uq" }, "app.uq: only in the source"),
        (doc! { "create": "surprise" }, "app.surprise: only in the other"),
    ] {
        app.run_command(command).await.unwrap();
        let found = compare::diff(&first, &compare::state(&client).await.unwrap());
        assert!(found.iter().any(|line| line.starts_with(wanted)), "{wanted}: {found:?}");
    }
    // Same documents in another order: only the natural order tells.
    let capped = app.collection::<Document>("order");
    for order in [[1, 2], [2, 1]] {
        app.run_command(doc! { "create": "order", "capped": true, "size": 4096 }).await.unwrap();
        for id in order {
            capped.insert_one(doc! { "_id": id }).await.unwrap();
        }
        if order == [1, 2] {
            app.run_command(doc! { "renameCollection": "app.order", "to": "app.first" }).await.unwrap_err();
            client
                .database("admin")
                .run_command(doc! { "renameCollection": "app.order", "to": "app.first" })
                .await
                .unwrap();
        }
    }
    let state = compare::state(&client).await.unwrap();
    let of = |name: &str| state.databases["app"].collections[name].clone();
    assert_eq!(of("first").md5, of("order").md5);
    assert_ne!(of("first").natural_order, of("order").natural_order);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_writers_and_a_storm_run_beside_each_other_and_stop() {
    let set = one_member().await;
    let client = set.client();
    let live = workload::Live::start(&client, 3).await.unwrap();
    let storm = workload::ddl_storm(&client, 3).await.unwrap();
    // Until every kind was seen, not for a time: a busy machine is slow.
    tokio::time::timeout(Duration::from_secs(120), async {
        while live.counts().done.len() < 20 || storm.counts().done.len() < 17 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await
    .unwrap_or_else(|_| panic!("{:#?} {:#?}", live.counts(), storm.counts()));
    assert!(compare::record(&client).await.is_err(), "a busy source is no source to record");
    let storm_counts = storm.counts();
    assert!(storm_counts.done.len() >= 17, "{storm_counts:#?}");
    let (live, storm) = (live.stop().await.unwrap(), storm.stop().await.unwrap());
    assert!(live.total() > 20 && storm.total() > 17);
    let (_, first) = compare::record(&client).await.unwrap();
    assert_eq!(compare::diff(&first, &compare::record(&client).await.unwrap().1), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_things_are_large() {
    let set = one_member().await;
    let client = set.client();
    workload::big_document(&client).await.unwrap();
    assert_eq!(workload::big_transaction(&client, 200 << 20).await.unwrap(), 200);
    assert_eq!(workload::many_ops_transaction(&client, 5001).await.unwrap(), 5001);
    let large = client.database("large");
    let count = async |name: &str| large.collection::<Document>(name).count_documents(doc! {}).await.unwrap();
    assert_eq!(count("transaction").await, 200);
    assert_eq!(count("operations").await, 2501 - 1250);
    let stats = large.run_command(doc! { "collStats": "document" }).await.unwrap();
    assert!(stats.get_i32("size").unwrap() > 16 * 1024 * 1024 - 200);
    // Chained: at most 16 MB of the transaction in each oplog entry, the last of which is no partial one.
    let oplog = client.database("local").collection::<Document>("oplog.rs");
    let parts = oplog.count_documents(doc! { "o.partialTxn": true }).await.unwrap();
    assert!(parts >= 12, "{parts} partial entries");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_set_survives_elections_kills_and_restarts() {
    let members =
        vec![Default::default(), Default::default(), holdfast_tests::MemberOptions { priority: 0.0, hidden: true }];
    let options = ReplicaSetOptions { members, directory_per_db: true, ..Default::default() };
    let mut set = ReplicaSet::start(3, options).await.unwrap();
    let client = set.client();
    let items = client.database("t").collection::<Document>("items");
    items.insert_one(doc! { "_id": 1 }).await.unwrap();
    let first = set.primary().await.unwrap();
    let second = set.step_down().await.unwrap();
    assert_ne!(first, second);
    items.insert_one(doc! { "_id": 2 }).await.unwrap();
    set.kill_member(second).await.unwrap();
    assert!(set.direct(second).is_err());
    let third = set.primary().await.unwrap();
    assert!(third != second && third != 2, "a hidden member is never primary");
    items.insert_one(doc! { "_id": 3 }).await.unwrap();
    set.restart_member(second).await.unwrap();
    set.wait_ready().await.unwrap();
    set.wait_majority().await.unwrap();
    assert_eq!(count_at(&set.direct(second).unwrap()).await, 3);
    set.stop_member(2).await.unwrap();
    assert!(set.dbpath(2).unwrap().join("t").is_dir(), "one folder per database");
    assert_eq!(count_at(&Client::with_uri_str(set.uri()).await.unwrap()).await, 3);
}

async fn count_at(client: &Client) -> u64 {
    client.database("t").collection::<Document>("items").count_documents(doc! {}).await.unwrap()
}
