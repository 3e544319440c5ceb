//! Initial sync over HTTP: scans, slices, resuming, back-pressure.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bson::doc;
use holdfast_agent_api::{
    Catalog, CompleteSync, EndScan, SYNC_SLICE_HEADER, ScanGrant, ScanTail, StartScan, SyncSliceHeader, SyncState,
    paths,
};
use holdfast_domain::{BackupJobId, Hash32};
use reqwest::{Method, Response, StatusCode};

use crate::world::{Knobs, TestAgent, World, conflict, ok, op, packed, refused};

const UUID: &str = "00112233445566778899aabbccddeeff";

fn base64_of(document: &bson::Document) -> String {
    STANDARD.encode(bson::serialize_to_vec(document).unwrap())
}

fn documents(from: i32, count: i32) -> Vec<u8> {
    (from..from + count)
        .flat_map(|n| bson::serialize_to_vec(&doc! { "_id": n, "x": "y".repeat(50) }).unwrap())
        .collect()
}

async fn start(agent: &TestAgent, job: &BackupJobId, anew: bool) -> ScanGrant {
    let request = StartScan {
        uuid: UUID.into(),
        db: "a".into(),
        name: "b".into(),
        options: base64_of(&doc! {}),
        indexes: base64_of(&doc! { "indexes": [{ "v": 2, "key": { "_id": 1 }, "name": "_id_" }] }),
        member: "a:27017/1".into(),
        anew,
        documents: 100,
        bytes: 10_000,
    };
    ok(agent.post(&paths::chain(job, 0, "collections"), &request).await).await
}

async fn put(
    agent: &TestAgent,
    job: &BackupJobId,
    scan: i64,
    seq: i64,
    raw: &[u8],
    header: &SyncSliceHeader,
) -> Response {
    let call = agent.call(Method::PUT, &paths::sync_slice(job, 0, UUID, scan, seq));
    call.header(SYNC_SLICE_HEADER, serde_json::to_string(header).unwrap()).body(packed(raw)).send().await.unwrap()
}

fn header(raw: &[u8], documents: i64, token: i32) -> SyncSliceHeader {
    let token = Some(base64_of(&doc! { "$recordId": token }));
    SyncSliceHeader { hash: Hash32::of(raw), raw_bytes: raw.len() as i64, documents, token }
}

#[tokio::test]
async fn a_scan_is_stored_resumed_and_completed() {
    let world = World::new().await;
    let ingest = world.instance(Knobs::default()).await;
    let (agent, job, _) = world.tailing(&ingest).await;
    let grant = start(&agent, &job.id, false).await;
    assert_eq!((grant.scan, grant.tail.next_seq), (0, 0));
    let (one, two) = (documents(0, 10), documents(10, 7));
    let tail: ScanTail = ok(put(&agent, &job.id, 0, 0, &one, &header(&one, 10, 10)).await).await;
    assert_eq!(tail.next_seq, 1);
    let _: ScanTail = ok(put(&agent, &job.id, 0, 0, &one, &header(&one, 10, 10)).await).await;
    let other: ScanTail = conflict(put(&agent, &job.id, 0, 0, &two, &header(&two, 7, 10)).await).await;
    assert_eq!(other.next_seq, 1, "other bytes under a stored number");
    assert!(other.token.is_some());
    let skipping: ScanTail = conflict(put(&agent, &job.id, 0, 2, &two, &header(&two, 7, 17)).await).await;
    assert_eq!(skipping.next_seq, 1);
    let wrong = SyncSliceHeader { documents: 8, ..header(&two, 7, 17) };
    let answer = put(&agent, &job.id, 0, 1, &two, &wrong).await;
    assert_eq!(refused(answer, StatusCode::BAD_REQUEST).await.code, "badPayload");
    let lying = SyncSliceHeader { hash: Hash32::of(b"else"), ..header(&two, 7, 17) };
    let answer = put(&agent, &job.id, 0, 1, &two, &lying).await;
    assert_eq!(refused(answer, StatusCode::BAD_REQUEST).await.code, "wrongHash");

    let resumed = start(&agent, &job.id, false).await;
    assert_eq!((resumed.scan, resumed.tail.next_seq), (0, 1), "the same member goes on");
    let anew = start(&agent, &job.id, true).await;
    assert_eq!((anew.scan, anew.tail.next_seq), (1, 0));
    let answer = put(&agent, &job.id, 0, 1, &two, &header(&two, 7, 17)).await;
    assert_eq!(refused(answer, StatusCode::GONE).await.code, "staleScan");
    let _: ScanTail = ok(put(&agent, &job.id, 1, 0, &one, &header(&one, 10, 10)).await).await;

    let complete = CompleteSync { end: op(150, 1), collections: 1 };
    let early = agent.post(&paths::chain(&job.id, 0, "sync/complete"), &complete).await;
    assert_eq!(refused(early, StatusCode::UNPROCESSABLE_ENTITY).await.code, "syncIncomplete");
    let ended = agent.post(&paths::end_scan(&job.id, 0, UUID, 1), &EndScan { slices: 1, gone: false }).await;
    assert_eq!(ended.status(), StatusCode::NO_CONTENT);
    assert!(!agent.ask(None, 0).await.jobs[0].sync_complete);
    let done = agent.post(&paths::chain(&job.id, 0, "sync/complete"), &complete).await;
    assert_eq!(done.status(), StatusCode::NO_CONTENT);
    let state: SyncState = ok(agent.call(Method::GET, &paths::chain(&job.id, 0, "sync")).send().await.unwrap()).await;
    assert!(state.complete && state.scans.len() == 1 && state.end == Some(op(150, 1)));
    assert!(agent.ask(None, 0).await.jobs[0].sync_complete);
    let raw = world.ledger.read_sync_slice(&job.id, 0, UUID, 1, 0).await.unwrap();
    assert_eq!(raw, Some(one));
}

#[tokio::test]
async fn a_backlog_slows_sync_slices_and_not_oplog_slices() {
    let world = World::new().await;
    let ingest = world.instance(Knobs { sync_backlog_bytes_max: 100, ..Knobs::default() }).await;
    let (agent, job, tail) = world.tailing(&ingest).await;
    start(&agent, &job.id, false).await;
    let one = documents(0, 50);
    let _: ScanTail = ok(put(&agent, &job.id, 0, 0, &one, &header(&one, 50, 50)).await).await;
    // The measurement of an empty backlog holds for a second.
    tokio::time::sleep(std::time::Duration::from_millis(1200)).await;
    let two = documents(50, 50);
    let answer = put(&agent, &job.id, 0, 1, &two, &header(&two, 50, 100)).await;
    assert!(answer.headers().contains_key("retry-after"));
    assert_eq!(refused(answer, StatusCode::TOO_MANY_REQUESTS).await.code, "syncBacklog");
    let slice = agent.payload(&job.id, &tail, 100, 1, 5).await;
    assert_eq!(agent.append(&job.id, 0, &slice).await.status(), StatusCode::OK);
    world.ledger.mark_loaded(&job.id, 0, UUID, 0, 0).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(1200)).await;
    let _: ScanTail = ok(put(&agent, &job.id, 0, 1, &two, &header(&two, 50, 100)).await).await;
}

#[tokio::test]
async fn catalogs_are_kept_and_checked() {
    let world = World::new().await;
    let ingest = world.instance(Knobs::default()).await;
    let (agent, job, _) = world.tailing(&ingest).await;
    let catalog = Catalog { before: op(100, 1), after: op(100, 9), collections: Vec::new() };
    let raw = bson::serialize_to_vec(&catalog).unwrap();
    let path = paths::chain(&job.id, 0, "catalog");
    let send = async |raw: &[u8]| agent.call(Method::PUT, &path).body(packed(raw)).send().await.unwrap();
    assert_eq!(send(&raw).await.status(), StatusCode::NO_CONTENT);
    let kept = world.ledger.latest_catalog(&job.id, 0).await.unwrap().unwrap();
    assert_eq!(kept, (op(100, 1), op(100, 9), raw));
    let backwards = Catalog { before: op(100, 9), after: op(100, 1), collections: Vec::new() };
    let answer = send(&bson::serialize_to_vec(&backwards).unwrap()).await;
    assert_eq!(refused(answer, StatusCode::BAD_REQUEST).await.code, "badRequest");
    assert_eq!(send(b"no bson").await.status(), StatusCode::BAD_REQUEST);
}
