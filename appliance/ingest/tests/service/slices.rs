//! Oplog slices: once, in order, whole, from the assigned agent; everything else is refused and changes nothing.

use std::time::Duration;

use holdfast_agent_api::{EPOCH_HEADER, LedgerTail, PROTOCOL_HEADER, SLICE_RAW_BYTES_MAX, paths};
use holdfast_domain::{BackupEvent, CloseReason, Hash32};
use reqwest::{Method, StatusCode};

use crate::world::{Knobs, World, conflict, entries, ok, op, packed, refused};

#[tokio::test]
async fn the_same_slice_twice_has_one_effect() {
    let world = World::new().await;
    let ingest = world.instance(Knobs::default()).await;
    let (agent, job, tail) = world.tailing(&ingest).await;
    let slice = agent.payload(&job.id, &tail, 100, 1, 50).await;
    let again = agent.payload(&job.id, &tail, 100, 1, 50).await;
    assert_eq!(again.payload, slice.payload, "the same payload has the same receipt");
    let first: LedgerTail = ok(agent.append(&job.id, 0, &slice).await).await;
    let second: LedgerTail = ok(agent.append(&job.id, 0, &slice).await).await;
    assert_eq!(first, second);
    assert_eq!((first.at.seq, first.last), (1, op(100, 50)));
    let stored = world.ledger.entries(&job.id, 0, 0, 10).await.unwrap();
    assert_eq!(stored.len(), 2, "the opening entry and one slice");
    let raw = world.ledger.read_payload(&job.id, 0, &slice.payload).await.unwrap();
    assert_eq!(raw, entries(100, 1, 50));
}

#[tokio::test]
async fn slices_of_a_group_that_encrypts_are_stored_under_its_key() {
    let world = World::encrypted().await;
    let ingest = world.instance(Knobs::default()).await;
    let (agent, job, tail) = world.tailing(&ingest).await;
    let slice = agent.payload(&job.id, &tail, 100, 1, 50).await;
    let again = agent.payload(&job.id, &tail, 100, 1, 50).await;
    assert_eq!(again.payload, slice.payload, "the same payload has the same receipt");
    let raw = entries(100, 1, 50);
    assert_ne!(slice.payload.hash, Hash32::of(&raw), "the agent learns a name, and needs no key");
    let _: LedgerTail = ok(agent.append(&job.id, 0, &slice).await).await;
    assert_eq!(world.ledger.read_payload(&job.id, 0, &slice.payload).await.unwrap(), raw);
    let stored = world.ledger.payload_frame(&job.id, 0, &slice.payload).await.unwrap();
    assert_eq!(stored.key.map(|key| key.to_string()), world.group.key);

    // The key is lost: nothing is taken in the clear, and the agent keeps what it has.
    let lost = world.lose_key().await;
    let ingest = lost.instance(Knobs::default()).await;
    let agent = crate::world::TestAgent { url: ingest.url.clone(), ..agent };
    let raw = entries(200, 1, 5);
    let answer = agent.put(&job.id, 0, &Hash32::of(&raw), packed(&raw)).await;
    let problem = refused(answer, StatusCode::SERVICE_UNAVAILABLE).await;
    assert!(problem.code == "noGroupKey" && problem.detail.contains(world.group.key.as_ref().unwrap()), "{problem:?}");
}

#[tokio::test]
async fn out_of_order_is_409_with_the_tail_and_changes_nothing() {
    let world = World::new().await;
    let ingest = world.instance(Knobs::default()).await;
    let (agent, job, tail) = world.tailing(&ingest).await;
    let one = agent.payload(&job.id, &tail, 100, 1, 5).await;
    let at_one: LedgerTail = ok(agent.append(&job.id, 0, &one).await).await;
    let mut skipping = agent.payload(&job.id, &at_one, 100, 6, 9).await;
    skipping.seq += 1;
    let got: LedgerTail = conflict(agent.append(&job.id, 0, &skipping).await).await;
    assert_eq!(got, at_one);
    let mut forked = agent.payload(&job.id, &at_one, 100, 6, 9).await;
    forked.prev = Hash32::of(b"another history");
    let got: LedgerTail = conflict(agent.append(&job.id, 0, &forked).await).await;
    assert_eq!(got, at_one);
    let mut other = agent.payload(&job.id, &tail, 100, 1, 4).await;
    other.seq = 1;
    let got: LedgerTail = conflict(agent.append(&job.id, 0, &other).await).await;
    assert_eq!(got, at_one, "other content under a stored number");
    assert_eq!(world.ledger.tail(&job.id).await.unwrap(), Some(at_one));
}

#[tokio::test]
async fn damaged_payloads_are_refused() {
    let world = World::new().await;
    let ingest = world.instance(Knobs::default()).await;
    let (agent, job, tail) = world.tailing(&ingest).await;
    let raw = entries(100, 1, 200);
    let (hash, frame) = (Hash32::of(&raw), packed(&raw));
    let truncated = frame[..frame.len() - 3].to_vec();
    let problem = refused(agent.put(&job.id, 0, &hash, truncated).await, StatusCode::BAD_REQUEST).await;
    assert_eq!(problem.code, "badPayload");
    for at in [0, 6, frame.len() / 2, frame.len() - 1] {
        let mut flipped = frame.clone();
        flipped[at] ^= 0x10;
        let status = agent.put(&job.id, 0, &hash, flipped).await.status();
        assert!(status == StatusCode::BAD_REQUEST || status == StatusCode::PAYLOAD_TOO_LARGE, "byte {at}: {status}");
    }
    let mut entry = raw.clone();
    let last = entry.len() - 1;
    entry[last] = 7;
    let bad = agent.put(&job.id, 0, &Hash32::of(&entry), packed(&entry)).await;
    assert_eq!(refused(bad, StatusCode::BAD_REQUEST).await.code, "badPayload", "right hash, wrong BSON");
    let wrong = agent.put(&job.id, 0, &Hash32::of(b"else"), frame.clone()).await;
    assert_eq!(refused(wrong, StatusCode::BAD_REQUEST).await.code, "wrongHash");
    // Nothing of it can be appended.
    let mut slice = agent.payload(&job.id, &tail, 100, 1, 3).await;
    slice.payload.hash = hash;
    let answer = agent.append(&job.id, 0, &slice).await;
    assert_eq!(refused(answer, StatusCode::UNPROCESSABLE_ENTITY).await.code, "noPayload");
    assert_eq!(world.ledger.tail(&job.id).await.unwrap(), Some(tail));
}

#[tokio::test]
async fn bombs_and_oversized_bodies_are_refused() {
    let world = World::new().await;
    let ingest = world.instance(Knobs::default()).await;
    let (agent, job, _) = world.tailing(&ingest).await;
    let zeros = vec![0; SLICE_RAW_BYTES_MAX + 1];
    let bomb = packed(&zeros);
    assert!(bomb.len() < 100_000, "a bomb indeed: {}", bomb.len());
    let answer = agent.put(&job.id, 0, &Hash32::of(&zeros), bomb).await;
    assert_eq!(refused(answer, StatusCode::PAYLOAD_TOO_LARGE).await.code, "tooLarge");
    let silent = zstd::stream::encode_all(&zeros[..], 1).unwrap();
    let answer = agent.put(&job.id, 0, &Hash32::of(&zeros), silent).await;
    assert_eq!(refused(answer, StatusCode::PAYLOAD_TOO_LARGE).await.code, "tooLarge");
    // A length that is too great is refused before the body comes.
    let path = paths::payload(&job.id, 0, &Hash32::ZERO);
    let huge = agent
        .call(Method::PUT, &path)
        .header("content-length", 1_u64 << 40)
        .body(reqwest::Body::wrap_stream(futures::stream::pending::<Result<bytes::Bytes, std::io::Error>>()));
    if let Ok(answer) = huge.timeout(Duration::from_secs(10)).send().await {
        assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
    }
}

#[tokio::test]
async fn only_the_assigned_agent_of_the_group_may_send() {
    let world = World::new().await;
    let ingest = world.instance(Knobs::default()).await;
    let (agent, job, tail) = world.tailing(&ingest).await;
    let slice = agent.payload(&job.id, &tail, 100, 1, 5).await;
    let send = async |call: reqwest::RequestBuilder| call.json(&slice).send().await.unwrap();
    let path = paths::chain(&job.id, 0, "entries");

    let mut older = agent.clone();
    older.epoch -= 1;
    let answer = send(older.call(Method::POST, &path)).await;
    assert_eq!(refused(answer, StatusCode::FORBIDDEN).await.code, "staleAssignment");

    let standby = world.enroll(&ingest, "standby").await;
    let mut same_epoch = standby.clone();
    same_epoch.epoch = agent.epoch;
    let answer = send(same_epoch.call(Method::POST, &path)).await;
    assert_eq!(refused(answer, StatusCode::FORBIDDEN).await.code, "staleAssignment");

    let other = world.metadb.create_group(&format!("other{}", world.group.name)).await.unwrap();
    let mut stranger = world.enroll_in(&other, &ingest, "stranger").await;
    stranger.epoch = agent.epoch;
    let answer = send(stranger.call(Method::POST, &path)).await;
    assert_eq!(refused(answer, StatusCode::FORBIDDEN).await.code, "notYourJob");

    let mut forged = agent.clone();
    forged.enrolled.key = "hfa_nothing".into();
    let answer = send(forged.call(Method::POST, &path)).await;
    assert_eq!(refused(answer, StatusCode::UNAUTHORIZED).await.code, "agentKey");
    let bare =
        world.http.post(format!("{}{path}", ingest.url)).header(PROTOCOL_HEADER, 1).header(EPOCH_HEADER, agent.epoch);
    assert_eq!(refused(send(bare).await, StatusCode::UNAUTHORIZED).await.code, "agentKey");

    let version = |value: &'static str| {
        let url = format!("{}{path}", ingest.url);
        world
            .http
            .post(url)
            .header(PROTOCOL_HEADER, value)
            .bearer_auth(&agent.enrolled.key)
            .header(EPOCH_HEADER, agent.epoch)
    };
    let problem = refused(send(version("2")).await, StatusCode::UPGRADE_REQUIRED).await;
    assert!(problem.detail.contains("upgrade the appliance first"), "{}", problem.detail);
    assert_eq!(refused(send(version("one")).await, StatusCode::BAD_REQUEST).await.code, "protocolVersion");

    assert_eq!(world.ledger.tail(&job.id).await.unwrap().as_ref(), Some(&tail), "nothing of this had an effect");
    let _: LedgerTail = ok(send(agent.call(Method::POST, &path)).await).await;

    world.metadb.operate(&job.id, BackupEvent::Stop).await.unwrap();
    let answer = send(agent.call(Method::POST, &path)).await;
    assert_eq!(refused(answer, StatusCode::FORBIDDEN).await.code, "jobStopped");
}

#[tokio::test]
async fn a_closed_chain_takes_nothing_and_the_next_one_opens_on_it() {
    let world = World::new().await;
    let ingest = world.instance(Knobs::default()).await;
    let (agent, job, tail) = world.tailing(&ingest).await;
    let slice = agent.payload(&job.id, &tail, 100, 1, 5).await;
    let closed = world.ledger.force_close(&job.id, CloseReason::ResyncRequested, "asked for").await.unwrap();
    let got: LedgerTail = conflict(agent.append(&job.id, 0, &slice).await).await;
    assert_eq!(got, closed);
    assert_eq!(got.closed, Some(CloseReason::ResyncRequested));
    let config = agent.ask(None, 0).await;
    assert_eq!(config.jobs[0].tail.as_ref().unwrap().closed, Some(CloseReason::ResyncRequested));
    let next = agent.open_chain(&job.id, closed.hash, op(200, 1)).await;
    assert_eq!((next.at.chain, next.at.seq), (1, 0));
    let same = agent.open_chain(&job.id, closed.hash, op(200, 1)).await;
    assert_eq!(same, next, "asked again after a lost answer");
    let answer = agent
        .post(
            &paths::chains(&job.id),
            &serde_json::json!({
                "prev": Hash32::ZERO, "start": op(300, 1), "source": crate::world::source("rs0"),
            }),
        )
        .await;
    let got: LedgerTail = conflict(answer).await;
    assert_eq!(got, next);
}

#[tokio::test]
async fn at_the_space_reserve_slices_wait() {
    let world = World::new().await;
    let ingest = world.instance(Knobs::default()).await;
    let (mut agent, job, _) = world.tailing(&ingest).await;
    let full = world.instance(Knobs { space_reserve_bytes: u64::MAX, ..Knobs::default() }).await;
    agent.url.clone_from(&full.url);
    let raw = entries(100, 1, 5);
    let answer = agent.put(&job.id, 0, &Hash32::of(&raw), packed(&raw)).await;
    assert!(answer.headers().contains_key("retry-after"));
    assert_eq!(refused(answer, StatusCode::SERVICE_UNAVAILABLE).await.code, "spaceReserve");
}
