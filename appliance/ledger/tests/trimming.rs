//! Trimming and the days of receipt, against a real server.

use crate::support::*;
use bson::{Document, doc};
use holdfast_domain::{BackupJobId, CloseReason, EntryBody, EntryPosition, Hash32};
use holdfast_ledger::{AppendError, LedgerError, TrimReport};

const OLD: i32 = 20_200_101;
const OLDER: i32 = 20_191_231;

fn at_seq(chain: i64, seq: i64) -> EntryPosition {
    EntryPosition { chain, seq }
}

#[tokio::test]
async fn what_is_named_stays() {
    let server = Server::start().await;
    let (ledger, job) = (&server.ledger, BackupJobId::random());
    assert_eq!(ledger.trim(&job, at_seq(0, 5)).await.unwrap(), TrimReport::default());
    chain_of(ledger, &job, Hash32::ZERO, 6).await;
    let entries = ledger.entries(&job, 0, 1, 10).await.unwrap();
    let EntryBody::Slice { payload } = &entries[0].entry.body else { panic!("{entries:?}") };
    let today = payload.day;
    // Slices 1 and 2 came on one day, 3 and 4 on the next, 5 and 6 today.
    move_day(&server, &job, today, OLDER, 1..=2).await;
    move_day(&server, &job, today, OLD, 3..=4).await;
    let day = |n: i32| format!("oplog_{job}_{n:08}");

    let report = ledger.trim(&job, at_seq(0, 2)).await.unwrap();
    assert_eq!(report, TrimReport { entries: 1, days: 0, more: false }, "slice 2 names its day still");
    assert_eq!(server.collections("oplog_").await, [day(OLDER), day(OLD), day(today)]);
    let EntryBody::Slice { payload } = &ledger.entries(&job, 0, 2, 1).await.unwrap()[0].entry.body.clone() else {
        panic!()
    };
    assert_eq!(payload.day, OLDER);
    ledger.read_payload(&job, 0, payload).await.unwrap();

    let report = ledger.trim(&job, at_seq(0, 5)).await.unwrap();
    assert_eq!(report, TrimReport { entries: 3, days: 2, more: false });
    assert_eq!(server.collections("oplog_").await, [day(today)], "today stays whatever names it");
    assert!(matches!(ledger.entries(&job, 0, 0, 10).await, Err(LedgerError::Trimmed { first_seq: 5, .. })));
    assert!(matches!(ledger.entries(&job, 0, 4, 10).await, Err(LedgerError::Trimmed { first_seq: 5, .. })));
    assert_eq!(ledger.entries(&job, 0, 5, 10).await.unwrap().len(), 2);
    let chains = ledger.chains(&job).await.unwrap();
    assert_eq!((chains[0].first_seq, chains[0].from, chains[0].to), (5, at(100), at(159)));
    assert!(ledger.chain_source(&job, 0).await.unwrap().is_some(), "the opening entry stays");

    // The end of the ledger stays even where the floor lies beyond it.
    ledger.trim(&job, at_seq(7, 7)).await.unwrap();
    let tail = ledger.tail(&job).await.unwrap().unwrap();
    assert_eq!(tail.at, at_seq(0, 6));
    append(ledger, &job, &tail, &slice(raw_slice(160, 169, "on"))).await.unwrap();
}

#[tokio::test]
async fn a_frozen_writer_cannot_name_a_dropped_day() {
    let server = Server::start().await;
    let (ledger, job) = (&server.ledger, BackupJobId::random());
    let opened = ledger.open_chain(&job, &open(Hash32::ZERO, at(100))).await.unwrap();
    let one = slice(raw_slice(100, 109, "one"));
    let mut frozen = request(ledger, &job, &opened, &one).await;
    let today = frozen.payload.day;
    // No entry names it yet.
    move_day(&server, &job, today, OLD, 90..=99).await;
    frozen.payload.day = OLD;
    let report = ledger.trim(&job, at_seq(0, 1)).await.unwrap();
    assert_eq!(report.days, 1);
    assert!(matches!(ledger.append_slice(&job, 0, &frozen).await, Err(AppendError::NoPayload)));
    // It even writes the payload again, late: the day stays dropped, and the next trim removes it.
    let parts = server.db.collection::<Document>(&format!("oplog_{job}_{today:08}"));
    let part = parts.find_one(doc! {}).await.unwrap().unwrap();
    let late = format!("oplog_{job}_{OLD:08}");
    server.db.collection::<Document>(&late).insert_one(part).await.unwrap();
    assert!(matches!(ledger.append_slice(&job, 0, &frozen).await, Err(AppendError::NoPayload)));
    assert_eq!(ledger.trim(&job, at_seq(0, 1)).await.unwrap().days, 1);
    assert!(!server.collections("oplog_").await.contains(&late));
    // Under today's receipt it goes in.
    frozen.payload.day = today;
    ledger.append_slice(&job, 0, &frozen).await.unwrap();
}

#[tokio::test]
async fn a_dropped_day_is_not_used_again() {
    let server = Server::start().await;
    let (ledger, job) = (&server.ledger, BackupJobId::random());
    let opened = ledger.open_chain(&job, &open(Hash32::ZERO, at(100))).await.unwrap();
    let one = slice(raw_slice(100, 109, "one"));
    let today = request(ledger, &job, &opened, &one).await.payload.day;
    // As after a clock that ran ahead and came back.
    let days = server.db.collection::<Document>("ledger_days");
    days.update_many(doc! {}, doc! { "$set": { "dropped": true } }).await.unwrap();
    let request = request(ledger, &job, &opened, &one).await;
    assert!(request.payload.day > today);
    ledger.append_slice(&job, 0, &request).await.unwrap();
    ledger.read_payload(&job, 0, &request.payload).await.unwrap();
}

#[tokio::test]
async fn whole_chains_go_with_all_that_belongs_to_them() {
    let server = Server::start().await;
    let (ledger, job) = (&server.ledger, BackupJobId::random());
    let mut prev = Hash32::ZERO;
    for _ in 0..3 {
        let tail = chain_of(ledger, &job, prev, 3).await;
        ledger.put_catalog(&job, tail.at.chain, at(100), at(101), b"a catalog", None).await.unwrap();
        prev = ledger.close_chain(&job, tail.hash, CloseReason::ResyncRequested, "").await.unwrap().hash;
    }
    let last = chain_of(ledger, &job, prev, 2).await;
    assert_eq!(last.at.chain, 3);
    let report = ledger.trim(&job, at_seq(2, 2)).await.unwrap();
    assert_eq!(report.entries, 5 + 5 + 1);
    let chains = ledger.chains(&job).await.unwrap();
    assert_eq!(chains.iter().map(|c| (c.chain, c.first_seq)).collect::<Vec<_>>(), [(2, 2), (3, 0)]);
    assert!(ledger.sync_info(&job, 1).await.unwrap().is_none());
    assert!(ledger.latest_catalog(&job, 1).await.unwrap().is_none());
    assert!(ledger.latest_catalog(&job, 2).await.unwrap().is_some());
    assert_eq!(ledger.entries(&job, 3, 0, 10).await.unwrap().len(), 3);
    // A ledger whose chains are all over keeps its last entry: the next chain must name it.
    let closed = ledger.close_chain(&job, last.hash, CloseReason::Stopped, "").await.unwrap();
    ledger.trim(&job, at_seq(9, 0)).await.unwrap();
    assert_eq!(ledger.tail(&job).await.unwrap(), Some(closed.clone()));
    ledger.open_chain(&job, &open(closed.hash, at(500))).await.unwrap();
}

#[tokio::test]
async fn appends_and_trims_at_once_lose_nothing() {
    let server = Server::start().await;
    let job = BackupJobId::random();
    let opened = server.ledger.open_chain(&job, &open(Hash32::ZERO, at(100))).await.unwrap();
    let (ledger, trimmed) = (server.ledger.clone(), job.clone());
    let trimmer = tokio::spawn(async move {
        for _ in 0..30 {
            let tail = ledger.tail(&trimmed).await.unwrap().unwrap();
            ledger.trim(&trimmed, at_seq(0, (tail.at.seq - 5).max(0))).await.unwrap();
        }
    });
    let mut tail = opened;
    for n in 0..40 {
        let slice = slice(raw_slice(100 + n * 2, 101 + n * 2, "x"));
        tail = append(&server.ledger, &job, &tail, &slice).await.unwrap();
    }
    trimmer.await.unwrap();
    let first = server.ledger.chains(&job).await.unwrap()[0].first_seq;
    for stored in server.ledger.entries(&job, 0, first.max(1), 100).await.unwrap() {
        let EntryBody::Slice { payload } = &stored.entry.body else { continue };
        server.ledger.read_payload(&job, 0, payload).await.unwrap();
    }
}
