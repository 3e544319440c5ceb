//! Snapshots: listed from the roots, asked for, pinned, deleted within the rule.

use blockstore_engine::Pin;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::world::{World, ok, op, refused};

#[tokio::test]
async fn snapshots_are_asked_for_and_watched() {
    let world = World::new().await;
    world.job().await;
    let answer = world.post(&world.backup("/snapshots"), json!({ "label": "before the upgrade", "pin": true })).await;
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    let request = ok(answer).await["request"].as_str().unwrap().to_owned();
    let shown = world.get(&world.backup(&format!("/snapshots/requests/{request}"))).await;
    assert_eq!((&shown["state"], &shown["snapshot"]), (&json!("queued"), &json!(null)));
    let unknown = world.call(Some(&world.admin), Method::GET, &world.backup("/snapshots/requests/x"), None).await;
    refused(unknown, StatusCode::NOT_FOUND, "notFound").await;
}

#[tokio::test]
async fn what_must_stay_cannot_be_deleted() {
    let world = World::new().await;
    let job = world.job().await;
    world.open_chain(&job.id, op(100, 1)).await;
    let now = u32::try_from(jiff::Timestamp::now().as_second()).unwrap();
    let day = 86_400;
    let times = [now - 30 * day, now - 10 * day, now - 3 * day, now - day];
    let mut roots = Vec::new();
    for t in times {
        roots.push(world.snapshot(&job.id, op(t, 1), 0, 1).await.id.to_string());
    }
    let delete = async |n: usize| {
        let path = world.backup(&format!("/snapshots/{}", roots[n]));
        world.call(Some(&world.admin), Method::DELETE, &path, None).await
    };
    let listed = world.get(&world.backup("/snapshots")).await;
    let ids: Vec<&str> = listed.as_array().unwrap().iter().map(|s| s["id"].as_str().unwrap()).collect();
    assert_eq!(ids, roots.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(
        (&listed[0]["state"], &listed[0]["proof"], &listed[0]["pinned"]),
        (&json!("complete"), &json!("none"), &json!(false))
    );
    assert_eq!(listed[3]["optime"], json!({ "t": times[3], "i": 1 }));

    let newest = refused(delete(3).await, StatusCode::CONFLICT, "mustStay").await;
    assert!(newest.contains("newest"), "{newest}");
    let base = refused(delete(1).await, StatusCode::CONFLICT, "mustStay").await;
    assert!(base.contains("window"), "{base}");
    ok(world.post(&world.backup(&format!("/snapshots/{}/pin", roots[2])), json!({})).await).await;
    assert_eq!(world.get(&world.backup("/snapshots")).await[2]["pinned"], true);
    refused(delete(2).await, StatusCode::CONFLICT, "pinned").await;
    ok(world.post(&world.backup(&format!("/snapshots/{}/unpin", roots[2])), json!({})).await).await;
    ok(delete(2).await).await;
    ok(delete(0).await).await;
    let listed = world.get(&world.backup("/snapshots")).await;
    let states: Vec<_> = listed.as_array().unwrap().iter().map(|s| s["state"].clone()).collect();
    assert_eq!(states, ["trashed", "complete", "trashed", "complete"]);
    let pin = world.post(&world.backup(&format!("/snapshots/{}/pin", roots[2])), json!({})).await;
    refused(pin, StatusCode::CONFLICT, "inTrash").await;
}

#[tokio::test]
async fn a_restores_pin_keeps_a_snapshot_too() {
    let world = World::new().await;
    let job = world.job().await;
    world.open_chain(&job.id, op(100, 1)).await;
    let older = world.snapshot(&job.id, op(100, 1), 0, 1).await;
    for t in [200, 300] {
        world.snapshot(&job.id, op(t, 1), 0, 1).await;
    }
    world.blockstore.pin(&older.id, Pin { by: "restore:x".into(), until: None }).await.unwrap();
    let path = world.backup(&format!("/snapshots/{}", older.id));
    let answer = world.call(Some(&world.admin), Method::DELETE, &path, None).await;
    refused(answer, StatusCode::CONFLICT, "pinned").await;
    assert_eq!(world.get(&world.backup("/snapshots")).await[0]["pinned"], false, "only a user's pin is shown as one");
    let unknown = world.backup("/snapshots/0123456789abcdef01234567");
    let other = world.call(Some(&world.admin), Method::DELETE, &unknown, None).await;
    refused(other, StatusCode::NOT_FOUND, "notFound").await;
}
