//! The tail against real replica sets: what the ledger holds is the source's oplog, byte for byte, whatever happens on the way.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crate::support::{Agent, fake::Fake, source, wait};
use bson::{Document, RawDocumentBuf, doc};
use holdfast_domain::{CloseReason, EntryBody, OpKind, OpTime};
use holdfast_tests::{ReplicaSet, ReplicaSetOptions};
use mongodb::Client;
use tokio::task::JoinHandle;

async fn set(members: usize, options: ReplicaSetOptions) -> (ReplicaSet, Fake, tempfile::TempDir) {
    let set = ReplicaSet::start(members, options).await.unwrap();
    let fake = Fake::start(set.name(), &set.uri()).await;
    (set, fake, tempfile::tempdir().unwrap())
}

fn last(fake: &Fake) -> Option<OpTime> {
    fake.lock().ledger.tail().map(|t| t.last)
}

/// Waits until the ledger holds what the source has now.
async fn caught_up(fake: &Fake, client: &Client) {
    let newest = source::newest(client).await;
    wait("the ledger follows", || async { last(fake).is_some_and(|l| l.ts >= newest.ts) }).await;
}

async fn synced(fake: &Fake, chain: i64) {
    let done = || async { fake.lock().syncs.get(&chain).is_some_and(|s| s.complete.is_some()) };
    wait("the initial sync is complete", done).await;
}

/// Compares a chain with the source's oplog, and the summaries with what is in it.
async fn same_as_oplog(fake: &Fake, client: &Client, chain: i64) -> usize {
    let (sent, summaries) = {
        let inner = fake.lock();
        let of_chain = inner.ledger.entries.iter().filter(|s| s.entry.at.chain == chain);
        (inner.ledger.oplog(chain), of_chain.map(|s| s.summary.clone()).collect::<Vec<_>>())
    };
    let ts = |raw: &RawDocumentBuf| raw.get_timestamp("ts").unwrap().into();
    let (from, to) = (ts(&sent[0]), ts(sent.last().unwrap()));
    let there = source::oplog(client, from, to).await;
    assert_eq!(sent.len(), there.len());
    assert!(sent.iter().zip(&there).all(|(a, b)| a.as_bytes() == b.as_bytes()), "byte for byte");
    let inserts = |raw: &RawDocumentBuf| -> i64 {
        let o = raw.get_document("o").unwrap();
        match (raw.get_str("op").unwrap(), o.get_array("applyOps")) {
            ("i", _) => 1,
            ("c", Ok(ops)) => ops
                .into_iter()
                .filter(|op| op.as_ref().unwrap().as_document().unwrap().get_str("op").unwrap() == "i")
                .count() as i64,
            _ => 0,
        }
    };
    let counted: i64 =
        summaries.iter().flat_map(|s| &s.counts).filter(|c| c.kind == OpKind::Insert).map(|c| c.count).sum();
    assert_eq!(counted, sent.iter().map(inserts).sum::<i64>(), "inserts counted");
    sent.len()
}

/// Writes until told to stop; errors of elections are part of it.
fn load(client: Client, stop: Arc<AtomicBool>) -> JoinHandle<u64> {
    tokio::spawn(async move {
        let all = client.database("load").collection::<Document>("a");
        let mut done = 0;
        for n in 0_i64.. {
            if stop.load(Ordering::SeqCst) {
                break;
            }
            let many: Vec<Document> = (0..20).map(|i| doc! { "n": n, "i": i, "pad": "x".repeat(300) }).collect();
            done += u64::from(all.insert_many(many).await.is_ok());
            done += u64::from(all.update_many(doc! { "n": n - 5 }, doc! { "$inc": { "i": 1 } }).await.is_ok());
            done += u64::from(all.delete_many(doc! { "n": n - 50 }).await.is_ok());
            if n % 7 == 0 {
                let mut session = client.start_session().await.unwrap();
                if session.start_transaction().await.is_ok() {
                    for i in 0..30 {
                        let _ = all.insert_one(doc! { "n": n, "t": i }).session(&mut session).await;
                    }
                    done += u64::from(session.commit_transaction().await.is_ok());
                }
            }
            if n % 25 == 0 {
                let other = client.database("load").collection::<Document>(&format!("ddl{n}"));
                let _ = other.insert_one(doc! { "_id": 1 }).await;
                let _ = other.drop().await;
            }
        }
        done
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ledger_is_the_oplog_through_an_election_kills_and_a_large_entry() {
    let (set, fake, state) = set(3, ReplicaSetOptions::default()).await;
    let client = set.client();
    client
        .database("load")
        .collection("big")
        .insert_one(doc! { "_id": 0, "p": source::noise(16_500_000) })
        .await
        .unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let writer = load(client.clone(), Arc::clone(&stop));
    let agent = Agent::start(&fake, state.path());
    synced(&fake, 0).await;
    caught_up(&fake, &client).await;

    fake.lose_answers.store(3, Ordering::SeqCst);
    let term = source::newest(&client).await.term;
    set.step_down().await.unwrap();
    client
        .database("load")
        .collection("big")
        .insert_one(doc! { "_id": 1, "p": source::noise(16_700_000) })
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    agent.kill();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let agent = Agent::start(&fake, state.path());
    tokio::time::sleep(Duration::from_secs(4)).await;
    agent.kill();
    let agent = Agent::start(&fake, state.path());
    stop.store(true, Ordering::SeqCst);
    assert!(writer.await.unwrap() > 100);
    caught_up(&fake, &client).await;
    agent.stop().await;

    assert!(same_as_oplog(&fake, &client, 0).await > 1000);
    let inner = fake.lock();
    assert_eq!(inner.enrolled, 1, "the same token is not used twice");
    assert!(inner.ledger.entries.iter().all(|s| s.entry.at.chain == 0), "one unbroken chain");
    let elections: Vec<_> = inner.ledger.entries.iter().flat_map(|s| &s.summary.elections).collect();
    assert!(elections.iter().any(|e| e.term > term), "{elections:?}");
    let marks: Vec<_> = inner.ledger.entries.iter().flat_map(|s| &s.summary.ddl).collect();
    assert!(marks.iter().any(|m| m.command == "drop" && m.ns.starts_with("load.ddl")));
    let alone = inner.ledger.entries.iter().any(|s| match &s.entry.body {
        EntryBody::Slice { payload } => payload.raw_bytes > 16_600_000 && payload.entries == 1,
        _ => false,
    });
    assert!(alone, "the large entry is a slice alone");
    let scanned = inner.syncs[&0].scans.values().find(|s| s.start.name == "big").unwrap();
    assert_eq!(scanned.documents().len(), 1);
    assert!(!inner.catalogs.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_the_server_is_spooled_over_a_kill_of_the_agent() {
    let (set, fake, state) = set(1, ReplicaSetOptions::default()).await;
    let client = set.client();
    let all = client.database("d").collection::<Document>("c");
    all.insert_one(doc! { "_id": 0 }).await.unwrap();
    let agent = Agent::start(&fake, state.path());
    synced(&fake, 0).await;
    caught_up(&fake, &client).await;

    fake.down.store(true, Ordering::SeqCst);
    for n in 0..40 {
        let many: Vec<Document> = (0..100).map(|i| doc! { "n": n, "i": i, "p": source::noise(2000) }).collect();
        all.insert_many(many).await.unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let spool = state.path().join("jobs").join(fake.lock().job.as_str()).join("spool-0");
    let files = || {
        std::fs::read_dir(&spool)
            .map(|d| d.filter(|e| e.as_ref().unwrap().path().extension().unwrap() == "slice").count())
            .unwrap_or(0)
    };
    wait("slices wait on disk", || async { files() >= 3 }).await;
    agent.kill();
    let spooled = files();
    assert!(spooled >= 3);

    // What is on disk is sent even where the source no longer could give it: its first bytes come from the files alone.
    let names: Vec<String> = {
        let mut names: Vec<_> = std::fs::read_dir(&spool).unwrap().map(|e| e.unwrap().path()).collect();
        names.sort();
        names.iter().map(|p| std::fs::read(p).unwrap()).map(|bytes| header_hash(&bytes)).collect()
    };
    fake.down.store(false, Ordering::SeqCst);
    let agent = Agent::start(&fake, state.path());
    caught_up(&fake, &client).await;
    agent.stop().await;
    same_as_oplog(&fake, &client, 0).await;
    assert_eq!(files(), 0, "the spool is empty again");
    let inner = fake.lock();
    let sent: Vec<String> = inner
        .ledger
        .entries
        .iter()
        .filter_map(|s| match &s.entry.body {
            EntryBody::Slice { payload } => Some(payload.hash.to_string()),
            _ => None,
        })
        .collect();
    assert!(
        sent.windows(names.len()).any(|w| w == names),
        "the spooled slices are in the ledger as they were, in order"
    );
}

fn header_hash(file: &[u8]) -> String {
    let length = u32::from_le_bytes(file[8..12].try_into().unwrap()) as usize;
    let header: serde_json::Value = serde_json::from_slice(&file[12..12 + length]).unwrap();
    header["hash"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_window_closes_the_chain_and_a_new_one_begins() {
    let options = ReplicaSetOptions {
        oplog_mb: 5,
        params: vec![("syncdelay".into(), "1".into())],
        ..ReplicaSetOptions::default()
    };
    let (set, fake, state) = set(1, options).await;
    let client = set.client();
    let all = client.database("d").collection::<Document>("c");
    all.insert_one(doc! { "_id": 0 }).await.unwrap();
    let agent = Agent::start(&fake, state.path());
    synced(&fake, 0).await;
    caught_up(&fake, &client).await;
    agent.stop().await;
    let before = last(&fake).unwrap();

    let oldest = || async {
        let oplog = client.database("local").collection::<RawDocumentBuf>("oplog.rs");
        let first = oplog.find_one(doc! {}).sort(doc! { "$natural": 1 }).await.unwrap().unwrap();
        holdfast_domain::Ts::from(first.get_timestamp("ts").unwrap())
    };
    wait("the oplog rolled over", || async {
        all.insert_one(doc! { "p": source::noise(2 << 20) }).await.unwrap();
        oldest().await > before.ts
    })
    .await;
    let started = std::time::Instant::now();
    let agent = Agent::start(&fake, state.path());
    synced(&fake, 1).await;
    assert!(started.elapsed() < Duration::from_secs(60));
    agent.stop().await;
    let inner = fake.lock();
    let closed = inner.ledger.entries.iter().find(|s| s.entry.closes()).unwrap();
    assert_eq!(closed.entry.body, EntryBody::Close { reason: CloseReason::WindowLost });
    assert_eq!(closed.entry.last, before);
    assert!(inner.ledger.details[0].contains("no longer holds"), "{}", inner.ledger.details[0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_history_closes_the_chain() {
    let (mut set, fake, state) = set(1, ReplicaSetOptions::default()).await;
    let client = set.client();
    let all = client.database("d").collection::<Document>("c");
    all.insert_one(doc! { "_id": 0 }).await.unwrap();
    let dbpath = set.dbpath(0).unwrap();
    let copy = state.path().join("copy");
    set.stop_member(0).await.unwrap();
    let copied = std::process::Command::new("cp").arg("-a").args([&dbpath, &copy]).status().unwrap();
    assert!(copied.success());
    set.restart_member(0).await.unwrap();
    set.wait_ready().await.unwrap();
    let agent_state = state.path().join("agent");
    let agent = Agent::start(&fake, &agent_state);
    all.insert_one(doc! { "_id": 1 }).await.unwrap();
    synced(&fake, 0).await;
    caught_up(&fake, &client).await;
    agent.stop().await;

    // The member is restored from an older copy and goes on from there.
    set.stop_member(0).await.unwrap();
    std::fs::remove_dir_all(&dbpath).unwrap();
    std::fs::rename(&copy, &dbpath).unwrap();
    set.restart_member(0).await.unwrap();
    set.wait_ready().await.unwrap();
    wait("the client finds the primary again", || async { all.insert_one(doc! { "_id": "other" }).await.is_ok() })
        .await;
    let before = last(&fake).unwrap();
    wait("the clock is past the old history", || async {
        all.insert_one(doc! {}).await.unwrap();
        source::newest(&client).await.ts > before.ts
    })
    .await;
    let agent = Agent::start(&fake, &agent_state);
    synced(&fake, 1).await;
    all.insert_one(doc! { "_id": "after" }).await.unwrap();
    caught_up(&fake, &client).await;
    agent.stop().await;
    {
        let inner = fake.lock();
        let closed = inner.ledger.entries.iter().find(|s| s.entry.closes()).unwrap();
        assert_eq!(closed.entry.body, EntryBody::Close { reason: CloseReason::OtherHistory });
    }
    same_as_oplog(&fake, &client, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_majority_it_says_so_and_sends_nothing_that_can_roll_back() {
    let (mut set, fake, state) = set(3, ReplicaSetOptions::default()).await;
    let client = set.client();
    client.database("d").collection("c").insert_one(doc! { "_id": 0 }).await.unwrap();
    let agent = Agent::start(&fake, state.path());
    synced(&fake, 0).await;
    let primary = set.primary().await.unwrap();
    for i in (0..3).filter(|i| *i != primary) {
        set.kill_member(i).await.unwrap();
    }
    let unsafe_write = doc! { "insert": "c", "documents": [{ "_id": "lost" }], "writeConcern": { "w": 1 } };
    let wrote = set.direct(primary).unwrap().database("d").run_command(unsafe_write).await.is_ok();
    let said = || async { fake.lock().errors.iter().any(|e| e.contains("no majority")) };
    wait("the report says that there is no majority", said).await;
    if wrote {
        let lost = fake
            .lock()
            .ledger
            .oplog(0)
            .iter()
            .any(|e| e.get_document("o").unwrap().get_str("_id").is_ok_and(|id| id == "lost"));
        assert!(!lost, "not majority committed, not sent");
    }
    for i in (0..3).filter(|i| *i != primary) {
        set.restart_member(i).await.unwrap();
    }
    set.wait_ready().await.unwrap();
    wait("it gets on again", || async {
        client.database("d").collection::<Document>("c").insert_one(doc! {}).await.is_ok()
            && fake.lock().job_report.as_ref().is_some_and(|r| r.error.is_none())
    })
    .await;
    caught_up(&fake, &client).await;
    agent.stop().await;
    same_as_oplog(&fake, &client, 0).await;
    assert!(fake.lock().ledger.entries.iter().all(|s| !s.entry.closes()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_assignment_and_a_chain_closed_by_the_server_are_followed() {
    let (set, fake, state) = set(1, ReplicaSetOptions::default()).await;
    let client = set.client();
    let all = client.database("d").collection::<Document>("c");
    all.insert_one(doc! { "_id": 0 }).await.unwrap();
    let agent = Agent::start(&fake, state.path());
    synced(&fake, 0).await;
    fake.lock().config.as_mut().unwrap().assignment_epoch = 2;
    all.insert_one(doc! { "_id": 1 }).await.unwrap();
    caught_up(&fake, &client).await;

    // An operator asks for a resync: the ledger closes the chain, the agent's next slice finds it so.
    {
        let mut inner = fake.lock();
        let (job, tail) = (inner.job.clone(), inner.ledger.tail().unwrap());
        inner.ledger.close(&job, tail.hash, CloseReason::ResyncRequested, "asked for".into()).unwrap();
    }
    all.insert_one(doc! { "_id": 2 }).await.unwrap();
    synced(&fake, 1).await;
    all.insert_one(doc! { "_id": 3 }).await.unwrap();
    caught_up(&fake, &client).await;

    // The job is taken away: nothing more is sent.
    let config = fake.lock().config.take();
    wait("the job's report goes", || async {
        let before = fake.lock().ledger.entries.len();
        all.insert_one(doc! {}).await.unwrap();
        tokio::time::sleep(Duration::from_secs(4)).await;
        fake.lock().ledger.entries.len() == before
    })
    .await;
    fake.lock().config = config;
    caught_up(&fake, &client).await;
    agent.stop().await;
    same_as_oplog(&fake, &client, 0).await;
    same_as_oplog(&fake, &client, 1).await;
}
