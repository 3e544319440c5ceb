//! The ledger's compare-and-set, against a real server.

use std::time::Duration;

use crate::support::*;
use bson::doc;
use holdfast_domain::{BackupJobId, Classify as _, CloseReason, EntryBody, EntryPosition, ErrorClass, Hash32, Ts};
use holdfast_ledger::{AppendError, Ledger, LedgerError};
use rand::RngExt as _;

#[tokio::test]
async fn one_effect_and_every_other_request_refused() {
    let server = Server::start().await;
    let (ledger, job) = (&server.ledger, BackupJobId::random());
    assert_eq!(ledger.tail(&job).await.unwrap(), None);
    let conflict = ledger.open_chain(&job, &open(Hash32::of(b"x"), at(100))).await.unwrap_err();
    assert!(matches!(conflict, AppendError::Conflict { tail: None }));
    assert!(matches!(
        ledger.force_close(&job, CloseReason::Stopped, "").await,
        Err(AppendError::Conflict { tail: None })
    ));

    let opened = ledger.open_chain(&job, &open(Hash32::ZERO, at(100))).await.unwrap();
    assert_eq!(opened.at, EntryPosition { chain: 0, seq: 0 });
    assert_eq!(ledger.open_chain(&job, &open(Hash32::ZERO, at(100))).await.unwrap(), opened, "the same again");
    assert!(matches!(ledger.open_chain(&job, &open(Hash32::ZERO, at(101))).await, Err(AppendError::Conflict { .. })));
    assert_eq!(ledger.chain_source(&job, 0).await.unwrap(), Some(doc! { "rs": "rs0" }));

    // The payload must be there, and be what the request says.
    let one = slice(raw_slice(100, 109, "one"));
    let good = request(ledger, &job, &opened, &one).await;
    let mut absent = good.clone();
    absent.payload.hash = Hash32::of(b"never sent");
    assert!(matches!(ledger.append_slice(&job, 0, &absent).await, Err(AppendError::NoPayload)));
    let mut other_end = good.clone();
    other_end.last = at(110);
    let e = ledger.append_slice(&job, 0, &other_end).await.unwrap_err();
    assert!(matches!(e, AppendError::PayloadMismatch { field: "last" }), "{e:?}");
    let late = slice(raw_slice(101, 105, "late"));
    assert!(
        matches!(append(ledger, &job, &opened, &late).await, Err(AppendError::Invalid { .. })),
        "not the start point"
    );

    let first = ledger.append_slice(&job, 0, &good).await.unwrap();
    assert_eq!(ledger.append_slice(&job, 0, &good).await.unwrap(), first, "the same again");
    let two = slice(raw_slice(110, 119, "two"));
    let second = append(ledger, &job, &first, &two).await.unwrap();
    assert_eq!(ledger.append_slice(&job, 0, &good).await.unwrap(), first, "the same again, later");
    assert_eq!(ledger.tail(&job).await.unwrap(), Some(second.clone()));

    // Other bytes at a taken number; a gap; a wrong predecessor; out of order; another chain.
    let other = slice(raw_slice(100, 109, "other"));
    let e = append(ledger, &job, &opened, &other).await.unwrap_err();
    assert!(matches!(&e, AppendError::Conflict { tail: Some(tail) } if *tail == second), "{e:?}");
    assert_eq!(e.class(), ErrorClass::Caller);
    let three = slice(raw_slice(120, 129, "three"));
    let right = request(ledger, &job, &second, &three).await;
    let refused = [
        holdfast_ledger::AppendRequest { seq: 4, ..right.clone() },
        holdfast_ledger::AppendRequest { prev: first.hash, ..right.clone() },
        holdfast_ledger::AppendRequest { prev: Hash32::ZERO, ..right.clone() },
    ];
    for request in &refused {
        let e = ledger.append_slice(&job, 0, request).await.unwrap_err();
        assert!(matches!(&e, AppendError::Conflict { tail: Some(tail) } if *tail == second), "{e:?}");
    }
    assert!(matches!(
        ledger.append_slice(&job, 1, &right).await,
        Err(AppendError::NoPayload | AppendError::Conflict { .. })
    ));
    let overlap = slice(raw_slice(119, 129, "overlap"));
    assert!(matches!(append(ledger, &job, &second, &overlap).await, Err(AppendError::Invalid { .. })));
    let zero = holdfast_ledger::AppendRequest { seq: 0, ..right.clone() };
    assert!(matches!(ledger.append_slice(&job, 0, &zero).await, Err(AppendError::Invalid { .. })));
    assert_eq!(ledger.tail(&job).await.unwrap(), Some(second.clone()), "nothing of it had an effect");

    // Closing.
    assert!(matches!(
        ledger.close_chain(&job, first.hash, CloseReason::Stopped, "").await,
        Err(AppendError::Conflict { .. })
    ));
    let closed = ledger.close_chain(&job, second.hash, CloseReason::WindowLost, "too late").await.unwrap();
    assert_eq!(closed.closed, Some(CloseReason::WindowLost));
    assert_eq!(closed.last, second.last);
    assert_eq!(ledger.close_chain(&job, second.hash, CloseReason::WindowLost, "again").await.unwrap(), closed);
    assert_eq!(ledger.force_close(&job, CloseReason::Stopped, "").await.unwrap(), closed);
    assert!(matches!(
        ledger.close_chain(&job, second.hash, CloseReason::Stopped, "").await,
        Err(AppendError::Closed { .. })
    ));
    let e = ledger.append_slice(&job, 0, &right).await.unwrap_err();
    assert!(matches!(&e, AppendError::Closed { tail } if *tail == closed), "{e:?}");
    let e = append(ledger, &job, &closed, &three).await.unwrap_err();
    assert!(matches!(e, AppendError::Closed { .. }), "{e:?}");

    // The next chain.
    assert!(ledger.open_chain(&job, &open(Hash32::ZERO, at(100))).await.is_err());
    assert!(ledger.open_chain(&job, &open(second.hash, at(100))).await.is_err());
    let next = ledger.open_chain(&job, &open(closed.hash, at(300))).await.unwrap();
    assert_eq!(next.at, EntryPosition { chain: 1, seq: 0 });
    let chains = ledger.chains(&job).await.unwrap();
    assert_eq!(
        chains.iter().map(|c| (c.chain, c.first_seq, c.from, c.to, c.closed)).collect::<Vec<_>>(),
        [(0, 0, at(100), at(119), true), (1, 0, at(300), at(300), false),]
    );

    // Reading.
    let all = ledger.entries(&job, 0, 0, 100).await.unwrap();
    assert_eq!(all.iter().map(|e| e.entry.at.seq).collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert_eq!(all[3].detail.as_deref(), Some("too late"));
    assert_eq!(ledger.entries(&job, 0, 1, 1).await.unwrap().len(), 1);
    assert!(ledger.entries(&job, 0, 4, 10).await.unwrap().is_empty());
    let find = async |t, i| ledger.entry_at(&job, 0, Ts { t, i }).await.unwrap().map(|at| at.seq);
    assert_eq!(find(50, 0).await, Some(1));
    assert_eq!(find(109, 1).await, Some(1));
    assert_eq!(find(109, 2).await, Some(2));
    assert_eq!(find(119, 1).await, Some(2));
    assert_eq!(find(119, 2).await, None);
    let EntryBody::Slice { payload } = &all[1].entry.body else { panic!("{all:?}") };
    assert_eq!(ledger.read_payload(&job, 0, payload).await.unwrap(), one.raw);
    // Another job sees nothing of it.
    assert_eq!(ledger.tail(&BackupJobId::random()).await.unwrap(), None);
}

#[tokio::test]
async fn racing_appenders_leave_a_linear_chain_also_over_an_election() {
    const APPENDERS: usize = 8;
    const ENTRIES: i64 = 60;
    let server = Server::start().await;
    let job = BackupJobId::random();
    server.ledger.open_chain(&job, &open(Hash32::ZERO, at(1))).await.unwrap();
    let mut tasks = Vec::new();
    for n in 0..APPENDERS {
        let (ledger, job) = (server.ledger.clone(), job.clone());
        tasks.push(tokio::spawn(async move {
            let mut mine = 0;
            loop {
                let tail = ledger.tail(&job).await;
                let Ok(Some(tail)) = tail else { continue };
                if tail.at.seq >= ENTRIES {
                    return mine;
                }
                let from = tail.last.ts.t + u32::from(tail.at.seq > 0);
                let slice = slice(raw_slice(from, from, &format!("appender {n}")));
                match append(&ledger, &job, &tail, &slice).await {
                    Ok(_) => mine += 1,
                    Err(AppendError::Conflict { .. }) => {}
                    Err(e) if e.class() == ErrorClass::Retry => {}
                    Err(e) => panic!("{e:?}"),
                }
            }
        }));
    }
    while server.ledger.tail(&job).await.unwrap().unwrap().at.seq < ENTRIES / 3 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // The connection is cut by the step-down in some versions: the outcome shows in the chain.
    let step_down = doc! { "replSetStepDown": 1, "secondaryCatchUpPeriodSecs": 0, "force": true };
    let _ = server.mongod.client().database("admin").run_command(step_down).await;
    let mut appended = 0;
    for task in tasks {
        appended += task.await.unwrap();
    }
    let entries = server.ledger.entries(&job, 0, 0, 10_000).await.unwrap();
    assert!(entries.len() as i64 > ENTRIES);
    // Every acknowledgement is one entry. (An appender that lost its answer in the election is told "the same" or retries.)
    assert_eq!(entries.len() - 1, appended);
    for (n, pair) in entries.windows(2).enumerate() {
        assert_eq!(pair[1].entry.prev, pair[0].hash, "entry {n}");
        assert_eq!(pair[1].entry.at.seq, pair[0].entry.at.seq + 1);
    }
}

#[tokio::test]
async fn payloads_are_whole_or_refused() {
    let server = Server::start().await;
    let (ledger, job) = (&server.ledger, BackupJobId::random());
    let opened = ledger.open_chain(&job, &open(Hash32::ZERO, at(100))).await.unwrap();
    // 16 MB that no compression makes smaller.
    let mut ballast = vec![0_u8; 16 << 20];
    rand::rng().fill(&mut ballast[..]);
    let binary = bson::Binary { subtype: bson::spec::BinarySubtype::Generic, bytes: ballast };
    let ts = bson::Timestamp { time: 100, increment: 1 };
    let raw = bson::serialize_to_vec(&doc! { "ts": ts, "t": 1_i64, "op": "i", "o": { "b": binary } }).unwrap();
    let big = slice(raw);
    assert!(big.frame.len() > 16 << 20);
    let receipt = ledger.put_payload(&job, 0, big.hash, &big.frame, &big.facts, None).await.unwrap();
    assert_eq!(ledger.put_payload(&job, 0, big.hash, &big.frame, &big.facts, None).await.unwrap(), receipt);
    // The same raw bytes, compressed otherwise: the stored frame stays.
    let otherwise = zstd::bulk::compress(&big.raw, 1).unwrap();
    assert_eq!(ledger.put_payload(&job, 0, big.hash, &otherwise, &big.facts, None).await.unwrap(), receipt);
    let mut wrong = big.facts;
    wrong.entries += 1;
    assert!(ledger.put_payload(&job, 0, big.hash, &big.frame, &wrong, None).await.is_err());
    let tail = append(ledger, &job, &opened, &big).await.unwrap();
    assert_eq!(tail.at.seq, 1);
    assert_eq!(ledger.read_payload(&job, 0, &receipt).await.unwrap(), big.raw);

    let name = server.collections("oplog_").await.remove(0);
    let parts = server.db.collection::<bson::Document>(&name);
    assert_eq!(parts.count_documents(doc! {}).await.unwrap(), 3, "parts of 8 MiB");
    let later = parts.find_one(doc! { "_id.part": 1 }).await.unwrap().unwrap();
    let bson::Bson::Binary(mut data) = later.get("data").cloned().unwrap() else { panic!() };
    data.bytes[1000] ^= 1;
    let id = doc! { "_id": later.get("_id").cloned() };
    parts.update_one(id.clone(), doc! { "$set": { "data": data.clone() } }).await.unwrap();
    let flipped = ledger.read_payload(&job, 0, &receipt).await.unwrap_err();
    assert!(matches!(flipped, LedgerError::Corrupt { .. }), "{flipped:?}");
    assert_eq!(flipped.class(), ErrorClass::Corrupt);
    data.bytes.pop();
    parts.update_one(id.clone(), doc! { "$set": { "data": data } }).await.unwrap();
    assert!(matches!(ledger.read_payload(&job, 0, &receipt).await, Err(LedgerError::Corrupt { .. })), "truncated");
    parts.delete_one(id).await.unwrap();
    assert!(matches!(ledger.read_payload(&job, 0, &receipt).await, Err(LedgerError::Corrupt { .. })), "a part missing");
    parts.delete_many(doc! {}).await.unwrap();
    assert!(matches!(ledger.read_payload(&job, 0, &receipt).await, Err(LedgerError::Missing { .. })));
}

#[tokio::test]
async fn damaged_entries_are_never_given_out() {
    let server = Server::start().await;
    let (ledger, job) = (&server.ledger, BackupJobId::random());
    chain_of(ledger, &job, Hash32::ZERO, 4).await;
    let entries = server.db.collection::<bson::Document>("ledger_entries");
    let third = doc! { "_id.seq": 3 };
    let whole = entries.find_one(third.clone()).await.unwrap().unwrap();
    entries.update_one(third.clone(), doc! { "$set": { "entry.last.term": 7_i64 } }).await.unwrap();
    assert!(matches!(ledger.entries(&job, 0, 0, 100).await, Err(LedgerError::Corrupt { .. })), "another field");
    entries.delete_one(third.clone()).await.unwrap();
    assert!(matches!(ledger.entries(&job, 0, 0, 100).await, Err(LedgerError::Corrupt { .. })), "a hole");
    assert!(matches!(
        ledger.entries(&job, 0, 3, 100).await,
        Err(LedgerError::Corrupt { .. } | LedgerError::Trimmed { .. })
    ));
    entries.insert_one(whole).await.unwrap();
    assert_eq!(ledger.entries(&job, 0, 0, 100).await.unwrap().len(), 5);
}

#[tokio::test]
async fn two_open_at_once_and_the_space_is_told() {
    let server = Server::start().await;
    let db = server.db.client().database("fresh");
    let opened: Vec<_> =
        futures::future::join_all((0..6).map(|_| Ledger::open(db.clone(), holdfast_ledger::Keyring::default()))).await;
    assert!(opened.iter().all(Result::is_ok), "{opened:?}");
    let versions = db.collection::<bson::Document>("ledger_meta");
    assert_eq!(versions.count_documents(doc! { "version": 1 }).await.unwrap(), 1);
    let space = server.ledger.space().await.unwrap();
    assert!(space.fs_total_bytes > space.fs_used_bytes && space.fs_used_bytes > 0, "{space:?}");
    // The same numbers for several jobs do not touch each other.
    let (a, b) = (BackupJobId::random(), BackupJobId::random());
    chain_of(&server.ledger, &a, Hash32::ZERO, 2).await;
    assert_eq!(server.ledger.tail(&b).await.unwrap(), None);
    chain_of(&server.ledger, &b, Hash32::ZERO, 1).await;
    assert_eq!(server.ledger.tail(&a).await.unwrap().unwrap().at.seq, 2);
}
