//! The initial sync against real replica sets: resumed, renamed, dropped, with tokens that no longer hold, from before open transactions.

use std::{sync::atomic::Ordering, time::Duration};

use crate::support::{Agent, fake::Fake, source, wait};
use bson::{Document, RawDocumentBuf, doc};
use holdfast_domain::Ts;
use holdfast_tests::{ReplicaSet, ReplicaSetOptions};
use mongodb::Client;

async fn single() -> (ReplicaSet, Client, Fake, tempfile::TempDir) {
    let set = ReplicaSet::start(1, ReplicaSetOptions::default()).await.unwrap();
    let fake = Fake::start(set.name(), &set.uri()).await;
    let client = set.client();
    (set, client, fake, tempfile::tempdir().unwrap())
}

/// About 30 MB: three slices.
async fn fill(client: &Client, name: &str) {
    let all = client.database("d").collection::<Document>(name);
    for n in 0..30 {
        let many: Vec<Document> = (0..200).map(|i| doc! { "_id": n * 200 + i, "p": source::noise(5000) }).collect();
        all.insert_many(many).await.unwrap();
    }
}

async fn complete(fake: &Fake, chain: i64) {
    let done = || async { fake.lock().syncs.get(&chain).is_some_and(|s| s.complete.is_some()) };
    wait("the initial sync is complete", done).await;
}

async fn one_slice_each(fake: &Fake, uuids: &[&String]) {
    let stored =
        |uuid: &str| fake.lock().syncs.get(&0).is_some_and(|s| s.scans.get(uuid).is_some_and(|s| s.slices.len() == 1));
    wait("a slice of each is stored", || async { uuids.iter().all(|uuid| stored(uuid)) }).await;
}

fn bytes(all: &[RawDocumentBuf]) -> Vec<&[u8]> {
    all.iter().map(|d| d.as_bytes()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_agent_resumes_and_a_deleted_token_starts_that_collection_anew() {
    let (_set, client, fake, state) = single().await;
    for name in ["resumed", "deleted"] {
        fill(&client, name).await;
    }
    client.database("d").run_command(doc! { "create": "empty" }).await.unwrap();
    client.database("d").run_command(doc! { "create": "v", "viewOn": "resumed", "pipeline": [] }).await.unwrap();
    client.database("d").run_command(doc! { "create": "ts", "timeseries": { "timeField": "t" } }).await.unwrap();
    client.database("d").collection("ts").insert_one(doc! { "t": bson::DateTime::now(), "v": 1 }).await.unwrap();
    let (resumed, deleted) = (source::uuid(&client, "d", "resumed").await, source::uuid(&client, "d", "deleted").await);

    fake.hold_from.store(1, Ordering::SeqCst);
    let agent = Agent::start(&fake, state.path());
    one_slice_each(&fake, &[&resumed, &deleted]).await;
    agent.kill();
    // The record of the last token goes, and all before it.
    client.database("d").collection::<Document>("deleted").delete_many(doc! { "_id": { "$lt": 5900 } }).await.unwrap();

    fake.hold_from.store(-1, Ordering::SeqCst);
    let agent = Agent::start(&fake, state.path());
    complete(&fake, 0).await;
    wait("a catalog follows the sync", || async { !fake.lock().catalogs.is_empty() }).await;
    agent.stop().await;
    assert_eq!(fake.lock().syncs[&0].scans[&resumed].number, 0, "resumed, not begun again");
    let there = source::documents(&client, "d", "resumed").await;
    let inner = fake.lock();
    let sync = &inner.syncs[&0];
    assert_eq!(bytes(&sync.scans[&resumed].documents()), bytes(&there), "every document once, in natural order");
    let scan = &sync.scans[&deleted];
    assert!(scan.number >= 1, "a new scan number");
    assert_eq!(scan.documents().len(), 100);
    let names: Vec<_> = sync.scans.values().map(|s| (s.start.db.as_str(), s.start.name.as_str())).collect();
    for expected in [("d", "empty"), ("d", "system.views"), ("d", "system.buckets.ts"), ("admin", "system.version")] {
        assert!(names.contains(&expected), "{expected:?} in {names:?}");
    }
    assert!(!names.iter().any(|(db, name)| matches!(*db, "local" | "config") || *name == "v" || *name == "ts"));
    let catalog = inner.catalogs.last().unwrap();
    let kinds: Vec<_> =
        catalog.collections.iter().filter(|c| c.db == "d").map(|c| (c.name.as_str(), c.kind.as_str())).collect();
    assert!(
        kinds.contains(&("v", "view"))
            && kinds.contains(&("ts", "timeseries"))
            && kinds.contains(&("empty", "collection"))
    );
    assert!(catalog.before <= catalog.after);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn renames_and_drops_during_a_scan() {
    let (_set, client, fake, state) = single().await;
    for name in ["renamed", "dropped"] {
        fill(&client, name).await;
    }
    let (renamed, dropped) = (source::uuid(&client, "d", "renamed").await, source::uuid(&client, "d", "dropped").await);
    fake.hold_from.store(1, Ordering::SeqCst);
    let agent = Agent::start(&fake, state.path());
    one_slice_each(&fake, &[&renamed, &dropped]).await;
    let db = client.database("d");
    client.database("admin").run_command(doc! { "renameCollection": "d.renamed", "to": "d.other" }).await.unwrap();
    db.collection::<Document>("dropped").drop().await.unwrap();
    db.collection::<Document>("renamed")
        .insert_one(doc! { "_id": "another collection under the old name" })
        .await
        .unwrap();
    fake.hold_from.store(-1, Ordering::SeqCst);
    complete(&fake, 0).await;
    agent.stop().await;
    let there = source::documents(&client, "d", "other").await;
    let inner = fake.lock();
    let sync = &inner.syncs[&0];
    assert_eq!(bytes(&sync.scans[&renamed].documents()), bytes(&there), "by UUID, whatever its name");
    assert!(sync.scans[&dropped].gone);
    assert!(!sync.scans[&renamed].gone);
    let end = sync.complete.as_ref().unwrap().end;
    assert!(end.ts >= inner.ledger.entries[0].entry.first.ts);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_start_point_lies_before_an_open_prepared_transaction() {
    let (set, client, fake, state) = single().await;
    client.database("d").run_command(doc! { "create": "tx" }).await.unwrap();
    let direct = set.direct(0).unwrap();
    let mut session = direct.start_session().await.unwrap();
    session.start_transaction().await.unwrap();
    let tx = direct.database("d").collection::<Document>("tx");
    for n in 0..20 {
        tx.insert_one(doc! { "_id": n, "p": source::noise(1 << 20) }).session(&mut session).await.unwrap();
    }
    let prepared =
        direct.database("admin").run_command(doc! { "prepareTransaction": 1 }).session(&mut session).await.unwrap();
    let at = prepared.get_timestamp("prepareTimestamp").unwrap();
    for n in 0..50 {
        client.database("d").collection("later").insert_one(doc! { "_id": n }).await.unwrap();
    }
    let agent = Agent::start(&fake, state.path());
    complete(&fake, 0).await;
    let start = fake.lock().ledger.entries[0].entry.first;
    assert!(start.ts < Ts::from(at), "{start} is before the prepare at {at}");
    let commit = doc! { "commitTransaction": 1, "commitTimestamp": at };
    direct.database("admin").run_command(commit).session(&mut session).await.unwrap();
    let newest = source::newest(&client).await;
    wait("the ledger follows", || async { fake.lock().ledger.tail().is_some_and(|t| t.last.ts >= newest.ts) }).await;
    agent.stop().await;
    let inner = fake.lock();
    let mut inserted = 0;
    for entry in inner.ledger.oplog(0) {
        if let Ok(ops) = entry.get_document("o").unwrap().get_array("applyOps") {
            let of_tx = |op: &&bson::RawDocument| op.get_str("ns").unwrap() == "d.tx";
            inserted += ops.into_iter().map(|op| op.unwrap().as_document().unwrap()).filter(of_tx).count();
        }
    }
    assert_eq!(inserted, 20, "the whole transaction is in the chain");
    let scanned = inner.syncs[&0].scans.values().find(|s| s.start.name == "tx").unwrap();
    assert!(scanned.documents().is_empty(), "and was not in the scan");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn discovery_tells_what_it_is_or_what_to_do() {
    let (set, _client, fake, state) = single().await;
    fake.lock().config = None;
    let agent = Agent::start(&fake, state.path());
    let ask = |uri: String| {
        let fake = fake.clone();
        async move {
            let asked = holdfast_agent_api::DiscoveryRequest {
                deployment: holdfast_domain::DeploymentId::random(),
                uri: Some(uri),
            };
            let before = fake.lock().reports.len();
            fake.lock().discoveries = vec![asked];
            wait("the report", || async { fake.lock().reports.len() > before }).await;
            fake.lock().reports.last().cloned().unwrap()
        }
    };
    let report = ask(set.uri()).await;
    let info = report.source.unwrap();
    assert_eq!(
        (info.rs.as_str(), info.version.as_str(), info.fcv.as_str(), info.directory_per_db),
        ("rs0", "6.0.5", "6.0", false)
    );
    assert_eq!(info.members.len(), 1);
    assert!(report.privileges.iter().all(|p| p.granted), "{:?}", report.privileges);

    let dir = tempfile::tempdir().unwrap();
    let port = holdfast_mongod::free_port().unwrap();
    let options = holdfast_mongod::MongodOptions::plain(holdfast_tests::mongod_binary(), dir.path().join("db"), port);
    let standalone = holdfast_mongod::Mongod::start(options).await.unwrap();
    let refusal = ask(format!("mongodb://127.0.0.1:{port}/")).await.refusal.unwrap();
    assert!(refusal.contains("standalone") && refusal.contains("rs.initiate()"), "{refusal}");
    standalone.stop().await.unwrap();

    let port = holdfast_mongod::free_port().unwrap();
    let mut options =
        holdfast_mongod::MongodOptions::plain(holdfast_tests::mongod_binary(), dir.path().join("shard"), port);
    options.repl_set = Some("shard0".into());
    options.extra_args.push("--shardsvr".into());
    let shard = holdfast_mongod::Mongod::start(options).await.unwrap();
    let member = holdfast_mongod::Member::local(port);
    holdfast_mongod::initiate(&shard.client(), "shard0", &[member], holdfast_mongod::SetSettings::default())
        .await
        .unwrap();
    holdfast_mongod::wait_primary(&shard.client(), Duration::from_secs(60)).await.unwrap();
    let refusal = ask(format!("mongodb://127.0.0.1:{port}/")).await.refusal.unwrap();
    assert!(refusal.contains("a shard of a sharded cluster"), "{refusal}");
    shard.stop().await.unwrap();
    agent.stop().await;
}
