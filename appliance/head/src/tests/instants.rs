//! A head brought to an instant holds what the source held then.
#![allow(clippy::unwrap_used, reason = "tests")]

use bson::{Document, doc};
use holdfast_domain::Ts;
use holdfast_tests::{
    compare,
    workload::{Live, many_ops_transaction},
};

use super::{Lab, later};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instants_in_the_middle_equal_the_states_that_were_recorded() {
    let lab = Lab::new().await;
    let live = Live::start(&lab.client(), 7).await.unwrap();
    let mut recorded = Vec::new();
    for _ in 0..4 {
        tokio::time::sleep(std::time::Duration::from_millis(400)).await;
        live.pause().await;
        recorded.push(compare::record(&lab.client()).await.unwrap());
        live.resume();
    }
    live.stop().await.unwrap();
    let oplog = lab.oplog().await;
    let mut head = lab.head("h").await;
    for (at, state) in recorded {
        let applied = head.apply(&oplog.all(), Some(at.into())).await.unwrap();
        assert!(applied.done == (oplog.last() > at.into()) && applied.last.ts <= at.into());
        assert_eq!(compare::diff(&state, &compare::state(&head.client()).await.unwrap()), Vec::<String>::new());
    }
    assert!(!head.apply(&oplog.all(), Some(Ts { t: u32::MAX, i: 0 })).await.unwrap().done, "nothing beyond was seen");
    assert_eq!(lab.diff(&head).await, Vec::<String>::new());
}

async fn count(client: &mongodb::Client, db: &str, collection: &str) -> u64 {
    client.database(db).collection::<Document>(collection).count_documents(doc! {}).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_is_there_whole_from_its_last_entry_on() {
    let lab = Lab::new().await;
    many_ops_transaction(&lab.client(), 100).await.unwrap();
    // Large enough for several entries.
    holdfast_tests::workload::big_transaction(&lab.client(), 40 << 20).await.unwrap();
    let oplog = lab.oplog().await;
    let parts: Vec<Ts> = oplog
        .entries
        .iter()
        .filter(|(_, e)| e.get_document("o").is_ok_and(|o| o.get_bool("partialTxn").unwrap_or(false)))
        .map(|(ts, _)| *ts)
        .collect();
    let last =
        oplog.position(|e| e.get_document("o").is_ok_and(|o| o.contains_key("applyOps") && o.contains_key("count")));
    assert!(parts.len() >= 2, "the transaction has {} parts", parts.len());
    let mut head = lab.head("h").await;
    for part in &parts {
        head.apply(&oplog.all(), Some(*part)).await.unwrap();
        assert_eq!(count(&head.client(), "large", "transaction").await, 0);
        assert_eq!((head.position().ts, head.position().feed_from.ts), (*part, parts[0]));
        // Over a restart the parts are fed again.
        head.stop().await.unwrap();
        head = lab.open("h").await;
        let gap = head.apply(&oplog.bytes(last..), None).await.unwrap_err();
        assert!(matches!(gap, super::HeadError::FeedGap { .. }), "{gap}");
        head.resume().await.unwrap();
    }
    head.apply(&oplog.all(), Some(oplog.entries[last].0)).await.unwrap();
    assert_eq!(count(&head.client(), "large", "transaction").await, 40);
    head.apply(&oplog.all(), None).await.unwrap();
    assert_eq!(lab.diff(&head).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prepared_transactions_commit_abort_and_belong_to_the_instant_of_their_commit_timestamp() {
    let lab = Lab::new().await;
    let client = lab.client();
    let (db, admin) = (client.database("a"), client.database("admin"));
    db.collection("c").insert_one(doc! { "_id": "before" }).await.unwrap();
    let mut session = client.start_session().await.unwrap();
    session.start_transaction().await.unwrap();
    db.collection("c").insert_one(doc! { "_id": "prepared" }).session(&mut session).await.unwrap();
    let prepared = admin.run_command(doc! { "prepareTransaction": 1 }).session(&mut session).await.unwrap();
    let at = prepared.get_timestamp("prepareTimestamp").unwrap();
    db.collection("c").insert_one(doc! { "_id": "between" }).await.unwrap();
    let between: Ts = lab.oplog().await.last();
    admin.run_command(doc! { "commitTransaction": 1, "commitTimestamp": at }).session(&mut session).await.unwrap();

    let mut dropped = client.start_session().await.unwrap();
    dropped.start_transaction().await.unwrap();
    db.collection("c").insert_one(doc! { "_id": "aborted" }).session(&mut dropped).await.unwrap();
    admin.run_command(doc! { "prepareTransaction": 1 }).session(&mut dropped).await.unwrap();
    admin.run_command(doc! { "abortTransaction": 1 }).session(&mut dropped).await.unwrap();
    db.collection("c").insert_one(doc! { "_id": "after" }).await.unwrap();
    let oplog = lab.oplog().await;

    // A restore to the instant between holds the transaction, and cannot go on from there.
    let mut fixed = lab.head("fixed").await;
    let applied = fixed.apply(&oplog.all(), Some(between)).await.unwrap();
    assert!(applied.done && fixed.position().bound == Some(between));
    assert_eq!(count(&fixed.client(), "a", "c").await, 3);
    let error = fixed.apply(&oplog.all(), None).await.unwrap_err();
    assert!(matches!(error, super::HeadError::Bounded(at) if at == between), "{error}");
    fixed.stop().await.unwrap();

    // A head that follows holds it from its commit entry on.
    let mut head = lab.head("h").await;
    let index = oplog.entries.iter().position(|(ts, _)| *ts == between).unwrap();
    head.apply(&oplog.bytes(..=index), None).await.unwrap();
    assert_eq!(count(&head.client(), "a", "c").await, 2);
    assert!(head.position().feed_from.ts < head.position().ts);
    head.stop().await.unwrap();
    let mut head = lab.open("h").await;
    head.apply(&oplog.all(), None).await.unwrap();
    assert_eq!(count(&head.client(), "a", "c").await, 4);
    assert_eq!(lab.diff(&head).await, Vec::<String>::new());
    // Time moves on with entries that change nothing.
    let note = later(oplog.last(), 5, doc! { "op": "n", "ns": "", "o": { "msg": "periodic noop" } });
    assert_eq!(head.apply(&note, None).await.unwrap().last.ts.t, oplog.last().t + 5);
}
