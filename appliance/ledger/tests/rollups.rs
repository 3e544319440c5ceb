//! Rollups against a real server: what they say is what the entries say, however they were counted.

use std::collections::BTreeMap;

use bson::{Document, doc};
use holdfast_domain::{BackupJobId, CloseReason, EntryPosition, Hash32, OpKind, SummaryBuilder, Ts};
use holdfast_ledger::{EVENTS_MAX, EventKind, Ledger, LedgerTail, Rollups};

use crate::support::*;

const HOUR: u32 = 3_600;
const DAY: u32 = 86_400;

/// Appends a slice of one second with so many inserts, and a drop where the second is a multiple of an hour.
async fn append_second(ledger: &Ledger, job: &BackupJobId, tail: &LedgerTail, t: u32, inserts: i64) -> LedgerTail {
    let mut request = request(ledger, job, tail, &slice(raw_slice(t, t, "x"))).await;
    let mut summary = SummaryBuilder::default();
    (0..inserts).for_each(|_| summary.count(Ts { t, i: 1 }, "a.b", OpKind::Insert));
    if t.is_multiple_of(HOUR) {
        summary.ddl(at(t), "a.b", "drop");
    }
    request.summary = summary.finish();
    ledger.append_slice(job, tail.at.chain, &request).await.unwrap()
}

async fn read(ledger: &Ledger, job: &BackupJobId, from: u32, to: u32) -> Rollups {
    let chains = ledger.chains(job).await.unwrap();
    ledger.rollups(job, &chains, from, to).await.unwrap()
}

/// Three days with a slice every 20 minutes: slice n has n % 5 inserts.
async fn three_days(ledger: &Ledger, job: &BackupJobId) -> (LedgerTail, BTreeMap<u32, i64>) {
    let mut tail = ledger.open_chain(job, &open(Hash32::ZERO, at(DAY))).await.unwrap();
    let mut wanted = BTreeMap::new();
    for n in 0..216 {
        let (t, inserts) = (DAY + n * 1_200, i64::from(n % 5));
        tail = append_second(ledger, job, &tail, t, inserts).await;
        wanted.insert(t, inserts);
    }
    (tail, wanted)
}

fn sum(wanted: &BTreeMap<u32, i64>, step: u32, from: u32, to: u32) -> BTreeMap<u32, i64> {
    let mut out = BTreeMap::new();
    for (t, inserts) in wanted.range(from..=to).filter(|(_, inserts)| **inserts > 0) {
        *out.entry(t - t % step).or_default() += inserts;
    }
    out
}

fn inserts(rollups: &Rollups) -> BTreeMap<u32, i64> {
    let some = rollups.bins.iter().filter(|bin| bin.operations.inserts > 0);
    some.map(|bin| (bin.from, bin.operations.inserts)).collect()
}

#[tokio::test]
async fn they_say_what_the_entries_say_counted_or_not() {
    let server = Server::start().await;
    let (ledger, job) = (&server.ledger, BackupJobId::random());
    let (tail, mut wanted) = three_days(ledger, &job).await;
    let windows = [(0, 10 * DAY), (DAY, DAY + 3 * HOUR), (2 * DAY, 2 * DAY + 7 * HOUR), (0, 400 * DAY)];
    let mut before = Vec::new();
    for (from, to) in windows {
        let all = read(ledger, &job, from, to).await;
        assert_eq!(inserts(&all), sum(&wanted, all.bin_seconds, from, to), "{from} to {to}");
        assert!(!all.behind);
        before.push(all);
    }
    assert_eq!(before.iter().map(|all| all.bin_seconds).collect::<Vec<_>>(), [1_800, 60, 60, DAY]);
    assert_eq!(
        (before[0].events.len(), before[0].events[0].at.t, before[0].events[0].kind),
        (72, DAY, EventKind::Drop)
    );
    // Two count at once, then nothing is left; nothing is counted twice.
    let (one, two) = tokio::join!(ledger.roll_up(&job), ledger.roll_up(&job));
    assert!(!one.unwrap() && !two.unwrap());
    for ((from, to), before) in windows.into_iter().zip(&before) {
        assert_eq!(read(ledger, &job, from, to).await, *before, "{from} to {to}");
    }
    // What came since is told from the entries.
    append_second(ledger, &job, &tail, 4 * DAY, 7).await;
    wanted.insert(4 * DAY, 7);
    let all = read(ledger, &job, 0, 10 * DAY).await;
    assert_eq!(inserts(&all), sum(&wanted, all.bin_seconds, 0, 10 * DAY));
    assert_eq!(all.events.len(), 73);
}

#[tokio::test]
async fn they_outlive_the_entries_until_they_are_forgotten() {
    let server = Server::start().await;
    let (ledger, job) = (&server.ledger, BackupJobId::random());
    let (tail, wanted) = three_days(ledger, &job).await;
    ledger.roll_up(&job).await.unwrap();
    ledger.close_chain(&job, tail.hash, CloseReason::ResyncRequested, "").await.unwrap();
    let tail = ledger.tail(&job).await.unwrap().unwrap();
    let opened = ledger.open_chain(&job, &open(tail.hash, at(9 * DAY))).await.unwrap();
    ledger.trim(&job, EntryPosition { chain: 1, seq: 0 }).await.unwrap();
    assert_eq!(ledger.chains(&job).await.unwrap().len(), 1, "the first chain is gone");
    let all = read(ledger, &job, 0, 10 * DAY).await;
    assert_eq!(inserts(&all), sum(&wanted, all.bin_seconds, 0, 10 * DAY));
    append_second(ledger, &job, &opened, 9 * DAY, 1).await;
    ledger.roll_up(&job).await.unwrap();
    ledger.forget_rollups(&job, 3 * DAY).await.unwrap();
    let all = read(ledger, &job, 0, 10 * DAY).await;
    let mut left = sum(&wanted, all.bin_seconds, 3 * DAY, 10 * DAY);
    left.insert(9 * DAY, 1);
    assert_eq!(inserts(&all), left);
    assert_eq!(all.events.len(), 24 + 1);
    assert!(ledger.remove_job(&job).await.unwrap());
    for name in ["ledger_rollups", "ledger_events", "ledger_rollup_ends"] {
        let left = server.db.collection::<Document>(name).count_documents(doc! {}).await.unwrap();
        assert_eq!(left, 0, "{name}");
    }
}

#[tokio::test]
async fn a_year_of_many_commands_is_a_bounded_answer() {
    let server = Server::start().await;
    let (ledger, job) = (&server.ledger, BackupJobId::random());
    let mut tail = ledger.open_chain(&job, &open(Hash32::ZERO, at(DAY))).await.unwrap();
    for n in 0..12 {
        let t = DAY + n * 30 * DAY;
        let mut request = request(ledger, &job, &tail, &slice(raw_slice(t, t, "x"))).await;
        let mut summary = SummaryBuilder::default();
        for i in 0..150 {
            let when = holdfast_domain::OpTime { ts: Ts { t, i }, term: 1 };
            summary.ddl(when, "a.b", if i % 3 == 0 { "drop" } else { "createIndexes" });
        }
        request.summary = summary.finish();
        tail = ledger.append_slice(&job, 0, &request).await.unwrap();
    }
    let fresh = read(ledger, &job, 0, 365 * DAY).await;
    ledger.roll_up(&job).await.unwrap();
    let all = read(ledger, &job, 0, 365 * DAY).await;
    assert_eq!(all, fresh, "grouped here and there alike");
    assert!(all.events.len() < EVENTS_MAX);
    assert_eq!(all.events.iter().map(|event| event.count).sum::<i64>(), 1_800);
    assert_eq!((all.events[0].kind, all.events[0].count, all.events[1].kind), (EventKind::Drop, 50, EventKind::Index));
    assert_eq!(all.bins.iter().map(|bin| bin.operations.ddl).sum::<i64>(), 1_800);
    // Few enough: one by one.
    assert_eq!(read(ledger, &job, DAY, DAY + HOUR).await.events.len(), 150);
}
