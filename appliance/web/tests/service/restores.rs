//! Restores: which instants are offered, what is pinned, what the answer holds.

use holdfast_domain::{CloseReason, RestoreTarget, SliceSummary, Ts};
use holdfast_metadb::{Role, hash_secret};
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::world::{World, ok, op, refused};

#[tokio::test]
async fn a_snapshot_is_ready_at_once() {
    let world = World::new().await;
    let job = world.job().await;
    world.open_chain(&job.id, op(100, 1)).await;
    let root = world.snapshot(&job.id, op(105, 2), 0, 1).await;
    let path = world.backup("/restores");
    let answer = world.post(&path, json!({ "snapshot": root.id.to_string(), "format": "tar" })).await;
    assert_eq!(answer.status(), StatusCode::CREATED);
    let made = ok(answer).await;
    assert_eq!((&made["state"], &made["optime"]), (&json!("ready"), &json!({ "t": 105, "i": 2 })));
    assert!(made["bytes"].as_i64().unwrap() > 1024);
    let url = made["url"].as_str().unwrap();
    let rest = url.strip_prefix("https://appliance:8081/restores/").unwrap();
    let (secret, file) = rest.split_once('/').unwrap();
    assert_eq!(file, format!("{}-rs0-105-2.tar", world.group.name));
    let kept = world.metadb.restore_job_by_link(&hash_secret(secret)).await.unwrap().unwrap();
    assert_eq!((kept.uses, kept.root), (3, Some(root.id.to_string())));
    assert!(kept.etag.is_some());
    let pinned = world.blockstore.root(&root.id).await.unwrap().unwrap();
    assert_eq!(pinned.pins[0].by, format!("restore:{}", kept.id));
    let hours =
        (pinned.pins[0].until.unwrap().timestamp_millis() - bson::DateTime::now().timestamp_millis()) / 3_600_000;
    assert_eq!(hours, 47, "48 h, begun just now");
    let shown = world.get(&format!("/restores/{}", made["id"].as_str().unwrap())).await;
    assert_eq!((&shown["url"], &shown["state"]), (&json!(null), &json!("ready")), "the secret is shown once");
    assert_eq!(world.get(&path).await[0]["id"], made["id"]);
    let other = world.metadb.create_group(&format!("x{}", world.group.name)).await.unwrap();
    let key = world.key(Some(&other), Role::Owner).await;
    let hidden =
        world.call(Some(&key), Method::GET, &format!("/restores/{}", made["id"].as_str().unwrap()), None).await;
    refused(hidden, StatusCode::NOT_FOUND, "notFound").await;
}

#[tokio::test]
async fn an_instant_is_offered_only_when_the_ledger_holds_it() {
    let world = World::new().await;
    let daemon = world.daemon("d", 1 << 40).await;
    let job = world.job().await;
    world.metadb.bind_daemon(&job.id, None, &daemon.id).await.unwrap();
    world.open_chain(&job.id, op(100, 1)).await;
    world.append(&job.id, &[op(100, 1), op(110, 3)], SliceSummary::default()).await;
    let path = world.backup("/restores");
    let none = world.post(&path, json!({ "at": "105,1" })).await;
    let detail = refused(none, StatusCode::CONFLICT, "notRestorable").await;
    assert!(detail.contains("nothing can be restored yet"), "{detail}");
    let root = world.snapshot(&job.id, op(105, 2), 0, 1).await;

    let made = ok(world.post(&path, json!({ "at": "110,3", "hours": 1, "uses": 1 })).await).await;
    assert_eq!(
        (&made["state"], &made["bytes"], &made["snapshot"]),
        (&json!("queued"), &json!(null), &json!(root.id.to_string()))
    );
    let kept = world.metadb.restore_jobs(&job.id).await.unwrap().remove(0);
    assert_eq!(kept.target, RestoreTarget::Instant(Ts { t: 110, i: 3 }));
    assert_eq!((kept.daemon, kept.base_root, kept.uses), (Some(daemon.id), root.id.to_string(), 1));
    // The whole of second 109 is there, that of 110 is not yet.
    let second = ok(world.post(&path, json!({ "at": "1970-01-01T00:01:49Z" })).await).await;
    assert_eq!(second["optime"]["t"], 109);
    for (at, what) in
        [("1970-01-01T00:01:50Z", "a second still open"), ("110,4", "beyond"), ("105,1", "before the snapshot")]
    {
        let detail = refused(world.post(&path, json!({ "at": at })).await, StatusCode::CONFLICT, "notRestorable").await;
        assert!(detail.contains("(105,2) to 1970-01-01T00:01:50Z (110,3)"), "{what}: {detail}");
    }
    // Waiting helps when the ledger grows, and only then.
    let body = json!({ "at": "1970-01-01T00:01:50Z", "waitSeconds": 20 });
    let (waited, _) = tokio::join!(world.post(&path, body), async {
        tokio::time::sleep(std::time::Duration::from_millis(700)).await;
        world.append(&job.id, &[op(111, 1)], SliceSummary::default()).await;
    });
    assert_eq!(ok(waited).await["state"], "queued");
    world.ledger.force_close(&job.id, CloseReason::Stopped, "x").await.unwrap();
    let begun = std::time::Instant::now();
    let closed = world.post(&path, json!({ "at": "500,1", "waitSeconds": 30 })).await;
    refused(closed, StatusCode::CONFLICT, "notRestorable").await;
    assert!(begun.elapsed().as_secs() < 10, "a closed chain is not waited for");
}

#[tokio::test]
async fn of_two_histories_the_younger_serves_and_the_older_on_request() {
    let world = World::new().await;
    let job = world.job().await;
    world.open_chain(&job.id, op(100, 1)).await;
    world.append(&job.id, &[op(100, 1), op(200, 1)], SliceSummary::default()).await;
    let older = world.snapshot(&job.id, op(110, 1), 0, 1).await;
    world.ledger.force_close(&job.id, CloseReason::OtherHistory, "x").await.unwrap();
    world.open_chain(&job.id, op(105, 1)).await;
    world.append(&job.id, &[op(105, 1), op(300, 1)], SliceSummary::default()).await;
    let younger = world.snapshot(&job.id, op(108, 1), 1, 1).await;
    let path = world.backup("/restores");
    let made = ok(world.post(&path, json!({ "at": "150,1" })).await).await;
    assert_eq!(made["snapshot"], younger.id.to_string());
    let made = ok(world.post(&path, json!({ "at": "150,1", "chain": 0 })).await).await;
    assert_eq!(made["snapshot"], older.id.to_string());
    let beyond = world.post(&path, json!({ "at": "250,1", "chain": 0 })).await;
    refused(beyond, StatusCode::CONFLICT, "notRestorable").await;
}

#[tokio::test]
async fn impossible_requests_are_refused_before_anything_is_pinned() {
    let world = World::new().await;
    let job = world.job().await;
    world.open_chain(&job.id, op(100, 1)).await;
    let root = world.snapshot(&job.id, op(105, 2), 0, 1).await;
    let path = world.backup("/restores");
    let id = root.id.to_string();
    for body in [
        json!({}),
        json!({ "snapshot": id, "at": "105,2" }),
        json!({ "snapshot": id, "format": "zip" }),
        json!({ "snapshot": id, "hours": 0 }),
        json!({ "snapshot": id, "uses": 5000 }),
        json!({ "snapshot": "x" }),
        json!({ "at": "soon" }),
    ] {
        refused(world.post(&path, body).await, StatusCode::BAD_REQUEST, "badRequest").await;
    }
    let unknown = world.post(&path, json!({ "snapshot": "0123456789abcdef01234567" })).await;
    refused(unknown, StatusCode::NOT_FOUND, "notFound").await;
    world.snapshot(&job.id, op(200, 2), 0, 1).await;
    world.blockstore.trash(&root.id, &|_| Ok(())).await.unwrap();
    refused(world.post(&path, json!({ "snapshot": id })).await, StatusCode::CONFLICT, "notRestorable").await;
    let pins = world.blockstore.root(&root.id).await.unwrap().unwrap().pins;
    assert!(pins.is_empty(), "{pins:?}");
}
