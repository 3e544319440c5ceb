//! Initial syncs, against a real server.

use crate::support::*;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bson::{Document, doc};
use holdfast_domain::{BackupJobId, CloseReason, Hash32};
use holdfast_ledger::{
    CompleteSync, EndScan, Ledger, PutSlice, ScanGrant, StartScan, SyncError, SyncPhase, SyncSliceHeader, compress,
};

const A: &str = "0123456789abcdef0123456789abcdef";
const B: &str = "fedcba9876543210fedcba9876543210";

fn scan_of(uuid: &str, member: &str, anew: bool) -> StartScan {
    let encode = |doc: Document| STANDARD.encode(bson::serialize_to_vec(&doc).unwrap());
    StartScan {
        uuid: uuid.into(),
        db: "shop".into(),
        name: "orders".into(),
        options: encode(doc! { "capped": true, "size": 4096 }),
        indexes: encode(doc! { "indexes": [{ "v": 2, "key": { "_id": 1 }, "name": "_id_" }] }),
        member: member.into(),
        anew,
        documents: 10,
        bytes: 1000,
    }
}

struct Sent {
    raw: Vec<u8>,
    frame: Vec<u8>,
    header: SyncSliceHeader,
}

fn documents(n: i32, text: &str) -> Sent {
    let raw = bson::serialize_to_vec(&doc! { "_id": n, "text": text }).unwrap();
    let header = SyncSliceHeader {
        hash: Hash32::of(&raw),
        raw_bytes: raw.len() as i64,
        documents: 1,
        token: Some(format!("token{n}")),
    };
    Sent { frame: compress(&raw).unwrap(), raw, header }
}

async fn put(
    ledger: &Ledger,
    job: &BackupJobId,
    uuid: &str,
    scan: i64,
    seq: i64,
    sent: &Sent,
) -> Result<PutSlice, SyncError> {
    ledger.put_sync_slice(job, 0, uuid, scan, seq, &sent.header, &sent.frame, None).await
}

#[tokio::test]
async fn slices_scans_and_their_numbers() {
    let server = Server::start().await;
    let (ledger, job) = (&server.ledger, BackupJobId::random());
    let first = scan_of(A, "m1", false);
    assert!(matches!(ledger.start_scan(&job, 0, &first, None).await, Err(SyncError::NoSync)));
    assert!(matches!(put(ledger, &job, A, 0, 0, &documents(0, "x")).await, Err(SyncError::NoSync)));
    ledger.open_chain(&job, &open(Hash32::ZERO, at(100))).await.unwrap();
    assert!(matches!(put(ledger, &job, A, 0, 0, &documents(0, "x")).await, Err(SyncError::NoScan)));
    let bad = StartScan { uuid: "../x".into(), ..first.clone() };
    assert!(matches!(ledger.start_scan(&job, 0, &bad, None).await, Err(SyncError::Invalid { .. })));
    let bad = StartScan { options: "AAAA".into(), ..first.clone() };
    assert!(matches!(ledger.start_scan(&job, 0, &bad, None).await, Err(SyncError::Invalid { .. })));

    let grant = ledger.start_scan(&job, 0, &first, None).await.unwrap();
    assert_eq!(grant, ScanGrant { scan: 0, tail: Default::default() });
    let (zero, one) = (documents(0, "zero"), documents(1, "one"));
    assert_eq!(put(ledger, &job, A, 0, 0, &zero).await.unwrap(), PutSlice::Stored);
    assert_eq!(put(ledger, &job, A, 0, 0, &zero).await.unwrap(), PutSlice::Same);
    let e = put(ledger, &job, A, 0, 0, &one).await.unwrap_err();
    assert!(
        matches!(&e, SyncError::Conflict { tail } if tail.next_seq == 1 && tail.token.as_deref() == Some("token0")),
        "{e:?}"
    );
    assert!(matches!(put(ledger, &job, A, 0, 2, &one).await, Err(SyncError::Conflict { .. })), "a gap");
    assert!(matches!(put(ledger, &job, A, 1, 1, &one).await, Err(SyncError::StaleScan { current: 0 })));
    assert_eq!(put(ledger, &job, A, 0, 1, &one).await.unwrap(), PutSlice::Stored);

    // The same member goes on; the head reads; what it loaded is no backlog.
    let again = ledger.start_scan(&job, 0, &first, None).await.unwrap();
    assert_eq!((again.scan, again.tail.next_seq, again.tail.token.as_deref()), (0, 2, Some("token1")));
    let total = (zero.frame.len() + one.frame.len()) as u64;
    assert_eq!(ledger.backlog(&job, 0).await.unwrap(), total);
    assert_eq!(ledger.read_sync_slice(&job, 0, A, 0, 1).await.unwrap(), Some(one.raw.clone()));
    assert_eq!(ledger.read_sync_slice(&job, 0, A, 0, 2).await.unwrap(), None);
    ledger.mark_loaded(&job, 0, A, 0, 0).await.unwrap();
    ledger.mark_loaded(&job, 0, A, 0, 0).await.unwrap();
    assert_eq!(ledger.backlog(&job, 0).await.unwrap(), one.frame.len() as u64);
    ledger.mark_loaded(&job, 0, A, 0, 99).await.unwrap();
    assert_eq!(ledger.backlog(&job, 0).await.unwrap(), 0);
    let scans = ledger.scans(&job, 0).await.unwrap();
    assert_eq!((scans[0].loaded_seq, scans[0].next_seq, scans[0].documents_stored), (2, 2, 2));
    assert_eq!(scans[0].options, doc! { "capped": true, "size": 4096 });
    assert_eq!(scans[0].indexes[0].get_str("name").unwrap(), "_id_");

    // Another member: another number, and nothing of the old one.
    let other = ledger.start_scan(&job, 0, &scan_of(A, "m2", false), None).await.unwrap();
    assert_eq!((other.scan, other.tail.next_seq), (1, 0));
    assert!(matches!(put(ledger, &job, A, 0, 2, &one).await, Err(SyncError::StaleScan { current: 1 })));
    assert!(matches!(put(ledger, &job, A, 0, 0, &zero).await, Err(SyncError::StaleScan { current: 1 })));
    assert_eq!(ledger.read_sync_slice(&job, 0, A, 0, 0).await.unwrap(), None);
    assert_eq!(ledger.start_scan(&job, 0, &scan_of(A, "m2", true), None).await.unwrap().scan, 2);
    put(ledger, &job, A, 2, 0, &one).await.unwrap();
    ledger.mark_loaded(&job, 0, A, 1, 0).await.unwrap();
    assert_eq!(ledger.backlog(&job, 0).await.unwrap(), one.frame.len() as u64, "an older scan's mark");

    // Ending.
    assert!(matches!(
        ledger.end_scan(&job, 0, A, 2, &EndScan { slices: 2, gone: false }).await,
        Err(SyncError::Conflict { .. })
    ));
    assert!(matches!(
        ledger.end_scan(&job, 0, A, 1, &EndScan { slices: 0, gone: false }).await,
        Err(SyncError::StaleScan { .. })
    ));
    for _ in 0..2 {
        ledger.end_scan(&job, 0, A, 2, &EndScan { slices: 1, gone: false }).await.unwrap();
    }
    assert!(matches!(put(ledger, &job, A, 2, 1, &zero).await, Err(SyncError::Conflict { .. })), "it ended");
    assert_eq!(put(ledger, &job, A, 2, 0, &one).await.unwrap(), PutSlice::Same);

    // Completing.
    ledger.start_scan(&job, 0, &scan_of(B, "m2", false), None).await.unwrap();
    let complete = |collections| CompleteSync { end: at(200), collections };
    assert!(matches!(ledger.complete_sync(&job, 0, &complete(2)).await, Err(SyncError::Incomplete { .. })));
    ledger.end_scan(&job, 0, B, 0, &EndScan { slices: 0, gone: true }).await.unwrap();
    assert!(matches!(ledger.complete_sync(&job, 0, &complete(2)).await, Err(SyncError::Incomplete { .. })));
    ledger.note_end(&job, 0, at(150)).await.unwrap();
    ledger.note_end(&job, 0, at(250)).await.unwrap();
    ledger.note_end(&job, 0, at(220)).await.unwrap();
    assert_eq!(ledger.sync_state(&job, 0).await.unwrap().end, Some(at(250)));
    for _ in 0..2 {
        ledger.complete_sync(&job, 0, &complete(1)).await.unwrap();
    }
    ledger.note_end(&job, 0, at(900)).await.unwrap();
    let state = ledger.sync_state(&job, 0).await.unwrap();
    assert!(state.complete && state.end == Some(at(250)), "the largest end, final");
    assert_eq!(state.scans.len(), 2);
    assert!(matches!(ledger.start_scan(&job, 0, &scan_of(A, "m2", true), None).await, Err(SyncError::Complete)));
}

#[tokio::test]
async fn nothing_enters_a_dropped_sync() {
    let server = Server::start().await;
    let (ledger, job) = (&server.ledger, BackupJobId::random());
    let tail = ledger.open_chain(&job, &open(Hash32::ZERO, at(100))).await.unwrap();
    ledger.start_scan(&job, 0, &scan_of(A, "m1", false), None).await.unwrap();
    let zero = documents(0, "zero");
    put(ledger, &job, A, 0, 0, &zero).await.unwrap();
    assert_eq!(server.collections("sync_").await.len(), 3);
    for _ in 0..2 {
        ledger.drop_sync(&job, 0).await.unwrap();
    }
    assert_eq!(server.collections("sync_").await, ["sync_scans", "sync_states"]);
    assert!(matches!(put(ledger, &job, A, 0, 1, &documents(1, "late")).await, Err(SyncError::Dropped)));
    assert!(matches!(put(ledger, &job, A, 0, 0, &zero).await, Err(SyncError::Dropped)));
    assert!(matches!(ledger.start_scan(&job, 0, &scan_of(B, "m1", false), None).await, Err(SyncError::Dropped)));
    let complete = CompleteSync { end: at(1), collections: 0 };
    assert!(matches!(ledger.complete_sync(&job, 0, &complete).await, Err(SyncError::Dropped)));
    assert_eq!(server.collections("sync_").await, ["sync_scans", "sync_states"]);
    let info = ledger.sync_info(&job, 0).await.unwrap().unwrap();
    assert_eq!((info.phase, info.complete), (SyncPhase::Dropped, false));
    // The next chain's sync is its own.
    let closed = ledger.close_chain(&job, tail.hash, CloseReason::SyncFailed, "").await.unwrap();
    ledger.open_chain(&job, &open(closed.hash, at(300))).await.unwrap();
    ledger.start_scan(&job, 1, &scan_of(A, "m1", false), None).await.unwrap();
    ledger.put_sync_slice(&job, 1, A, 0, 0, &zero.header, &zero.frame, None).await.unwrap();
    assert!(matches!(put(ledger, &job, A, 0, 1, &documents(1, "late")).await, Err(SyncError::Dropped)));
    assert_eq!(ledger.read_sync_slice(&job, 1, A, 0, 0).await.unwrap(), Some(zero.raw));
    ledger.end_scan(&job, 1, A, 0, &EndScan { slices: 1, gone: false }).await.unwrap();
    ledger.complete_sync(&job, 1, &CompleteSync { end: at(301), collections: 1 }).await.unwrap();
    ledger.drop_sync(&job, 1).await.unwrap();
    ledger.complete_sync(&job, 1, &CompleteSync { end: at(301), collections: 1 }).await.unwrap();
    assert!(ledger.sync_state(&job, 1).await.unwrap().complete, "an agent that starts again only tails");
}

#[tokio::test]
async fn racing_senders_and_a_drop_in_between() {
    let server = Server::start().await;
    let job = BackupJobId::random();
    let tail = server.ledger.open_chain(&job, &open(Hash32::ZERO, at(100))).await.unwrap();
    let mut tasks = Vec::new();
    for uuid in [A, B] {
        server.ledger.start_scan(&job, 0, &scan_of(uuid, "m1", false), None).await.unwrap();
        for _ in 0..3 {
            let (ledger, job) = (server.ledger.clone(), job.clone());
            tasks.push(tokio::spawn(async move {
                let mut stored = 0;
                for seq in 0..10_000 {
                    loop {
                        match put(&ledger, &job, uuid, 0, seq, &documents(seq as i32, "same bytes")).await {
                            Ok(PutSlice::Stored) => stored += 1,
                            Ok(PutSlice::Same) => {}
                            Err(SyncError::Conflict { tail }) if tail.next_seq < seq => continue,
                            Err(SyncError::Dropped) => return (stored, seq),
                            Err(e) => panic!("{e:?}"),
                        }
                        break;
                    }
                }
                panic!("the drop never came");
            }));
        }
    }
    while server.ledger.scans(&job, 0).await.unwrap().iter().any(|scan| scan.next_seq < 20) {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let before = server.ledger.scans(&job, 0).await.unwrap();
    for scan in &before {
        for seq in 0..scan.next_seq {
            assert!(server.ledger.read_sync_slice(&job, 0, &scan.uuid, 0, seq).await.unwrap().is_some());
        }
    }
    server.ledger.drop_sync(&job, 0).await.unwrap();
    let (mut stored, mut sent) = (0, 0);
    for task in tasks {
        let (mine, reached) = task.await.unwrap();
        stored += mine;
        sent = sent.max(reached);
    }
    assert!(stored >= 40 && stored <= 2 * sent, "{stored} of at most {sent} each");
    assert_eq!(server.collections("sync_").await, ["sync_scans", "sync_states"]);
    assert_eq!(server.ledger.tail(&job).await.unwrap(), Some(tail));
}

#[tokio::test]
async fn catalogs_larger_than_a_document() {
    let server = Server::start().await;
    let (ledger, job) = (&server.ledger, BackupJobId::random());
    assert!(ledger.latest_catalog(&job, 0).await.unwrap().is_none());
    let mut big = vec![0_u8; 20 << 20];
    rand::Rng::fill_bytes(&mut rand::rng(), &mut big);
    ledger.put_catalog(&job, 0, at(10), at(11), &big, None).await.unwrap();
    ledger.put_catalog(&job, 0, at(10), at(11), &big, None).await.unwrap();
    assert_eq!(ledger.latest_catalog(&job, 0).await.unwrap(), Some((at(10), at(11), big)));
    ledger.put_catalog(&job, 0, at(20), at(21), b"small", None).await.unwrap();
    assert_eq!(ledger.latest_catalog(&job, 0).await.unwrap(), Some((at(20), at(21), b"small".to_vec())));
    let left = server.db.collection::<Document>("ledger_catalogs").count_documents(doc! {}).await.unwrap();
    assert_eq!(left, 1, "older ones are gone");
}
