//! The trash of snapshots: until when it can be undone; and names given afterwards.

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::world::{World, ok, op, refused};

#[tokio::test]
async fn the_trash_says_until_when_it_can_be_undone() {
    let world = World::new().await;
    let job = world.job().await;
    world.open_chain(&job.id, op(100, 1)).await;
    let older = world.snapshot(&job.id, op(100, 1), 0, 1).await.id;
    for t in [200, 300] {
        world.snapshot(&job.id, op(t, 1), 0, 1).await;
    }
    let path = world.backup(&format!("/snapshots/{older}"));
    assert_eq!(world.get(&path).await["trashedUntil"], json!(null), "not in the trash");
    ok(world.call(Some(&world.admin), Method::DELETE, &path, None).await).await;
    assert_eq!(world.get(&path).await["trashedUntil"], json!(null), "no daemon has said how long it keeps");
    let (one, two) = (world.daemon("one", 1).await, world.daemon("two", 1).await);
    world.metadb.note_trash_grace(&one.id, 86_400).await.unwrap();
    world.metadb.note_trash_grace(&two.id, 3_600).await.unwrap();
    // A daemon that is no more collects nothing.
    world.metadb.note_trash_grace(&holdfast_domain::DaemonId::random(), 1).await.unwrap();
    let shown = world.get(&path).await;
    let second = |name: &str| shown[name].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_second();
    assert_eq!(second("trashedUntil") - second("trashedAt"), 3_600, "the shortest of any daemon: {shown}");
    ok(world.post(&format!("{path}/restoreFromTrash"), json!({})).await).await;
    assert_eq!(world.get(&path).await["trashedUntil"], json!(null));
}

#[tokio::test]
async fn a_snapshot_is_named_after_it_was_taken() {
    let world = World::new().await;
    let job = world.job().await;
    world.open_chain(&job.id, op(100, 1)).await;
    let id = world.snapshot(&job.id, op(100, 1), 0, 1).await.id;
    let path = world.backup(&format!("/snapshots/{id}"));
    let patch = async |body| world.call(Some(&world.admin), Method::PATCH, &path, Some(&body)).await;
    ok(patch(json!({ "label": " before the move " })).await).await;
    let named = world.get(&path).await;
    assert_eq!((&named["label"], &named["pinned"]), (&json!("before the move"), &json!(false)), "named, not pinned");
    refused(patch(json!({ "label": "x".repeat(201) })).await, StatusCode::BAD_REQUEST, "badRequest").await;
    refused(patch(json!({})).await, StatusCode::BAD_REQUEST, "badRequest").await;
    ok(patch(json!({ "label": null })).await).await;
    assert_eq!(world.get(&path).await["label"], json!(null));
    let unknown = world.backup("/snapshots/0123456789abcdef01234567");
    let other = world.call(Some(&world.admin), Method::PATCH, &unknown, Some(&json!({ "label": "x" }))).await;
    refused(other, StatusCode::NOT_FOUND, "notFound").await;
    let audit = world.get(&format!("/groups/{}/audit", world.group.name)).await;
    assert!(audit.to_string().contains("snapshot named"), "{audit}");
}
