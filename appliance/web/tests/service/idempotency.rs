//! The same request again, by its key.

use holdfast_metadb::Role;
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::world::{World, ok, refused};

async fn send(world: &World, key: &str, path: &str, body: &Value, again: &str) -> Response {
    let headers = [("authorization", &*format!("Bearer {key}")), ("idempotency-key", again)];
    world.browser().call_with(Method::POST, path, Some(body), &headers).await
}

async fn groups_named(world: &World, name: &str) -> usize {
    let all = world.get("/groups").await;
    all.as_array().unwrap().iter().filter(|group| group["name"] == name).count()
}

#[tokio::test]
async fn idempotent_the_same_again_makes_nothing_twice() {
    let world = World::new().await;
    let name = format!("twice-{}", world.group.name);
    let new = json!({ "name": name });
    let first = send(&world, &world.admin, "/groups", &new, "k1").await;
    assert_eq!(first.status(), StatusCode::CREATED);
    assert!(first.headers().get("idempotency-replayed").is_none());
    let first = ok(first).await;
    let again = send(&world, &world.admin, "/groups", &new, "k1").await;
    assert_eq!(again.status(), StatusCode::CREATED);
    assert_eq!(again.headers()["idempotency-replayed"], "true");
    assert_eq!(again.headers()["content-type"], "application/json");
    assert_eq!(ok(again).await, first);
    // Without the key, or with a new one, it is judged as what it is: the second of that name.
    refused(world.post("/groups", new.clone()).await, StatusCode::CONFLICT, "groupExists").await;
    refused(send(&world, &world.admin, "/groups", &new, "k2").await, StatusCode::CONFLICT, "groupExists").await;
    assert_eq!(groups_named(&world, &name).await, 1);
    // Another body, or another path, by the same key.
    let other = json!({ "name": format!("other-{name}") });
    let said = send(&world, &world.admin, "/groups", &other, "k1").await;
    let said = refused(said, StatusCode::UNPROCESSABLE_ENTITY, "idempotencyKeyUsed").await;
    assert!(said.contains("new key"), "{said}");
    let path = format!("/groups/{}/enrollTokens", world.group.name);
    let said = send(&world, &world.admin, &path, &new, "k1").await;
    refused(said, StatusCode::UNPROCESSABLE_ENTITY, "idempotencyKeyUsed").await;
    // The key of another caller is another key.
    let stranger = world.key(None, Role::Owner).await;
    assert_eq!(send(&world, &stranger, "/groups", &other, "k1").await.status(), StatusCode::CREATED);
}

#[tokio::test]
async fn idempotent_a_secret_that_is_shown_once_comes_again_to_who_made_it() {
    let world = World::new().await;
    let path = format!("/groups/{}/enrollTokens", world.group.name);
    let first = ok(send(&world, &world.admin, &path, &json!({}), "t").await).await;
    assert_eq!(ok(send(&world, &world.admin, &path, &json!({}), "t").await).await, first);
    let other = ok(send(&world, &world.admin, &path, &json!({}), "u").await).await;
    assert_ne!(other, first);
}

#[tokio::test]
async fn idempotent_a_refusal_leaves_the_key_free() {
    let world = World::new().await;
    let bad = send(&world, &world.admin, "/groups", &json!({ "name": "no spaces" }), "k").await;
    refused(bad, StatusCode::BAD_REQUEST, "badRequest").await;
    let good = json!({ "name": format!("good-{}", world.group.name) });
    assert_eq!(send(&world, &world.admin, "/groups", &good, "k").await.status(), StatusCode::CREATED);
    let long = "x".repeat(201);
    let said = send(&world, &world.admin, "/groups", &good, &long).await;
    refused(said, StatusCode::BAD_REQUEST, "badRequest").await;
    // Who may no longer make it does not hear what was answered either.
    let reader = world.key(None, Role::ReadOnly).await;
    refused(send(&world, &reader, "/groups", &good, "k").await, StatusCode::FORBIDDEN, "forbidden").await;
}

#[tokio::test]
async fn idempotent_many_at_once_are_one() {
    let world = World::new().await;
    let name = format!("rush-{}", world.group.name);
    let new = json!({ "name": name });
    let sent = (0..12).map(|_| send(&world, &world.admin, "/groups", &new, "rush"));
    let mut made = Vec::new();
    for answer in futures::future::join_all(sent).await {
        if answer.status() == StatusCode::CONFLICT {
            assert_eq!(answer.headers()["retry-after"], "1");
            refused(answer, StatusCode::CONFLICT, "requestUnderWay").await;
        } else {
            made.push(ok(answer).await["id"].clone());
        }
    }
    assert!(!made.is_empty());
    made.push(ok(send(&world, &world.admin, "/groups", &new, "rush").await).await["id"].clone());
    made.dedup();
    assert_eq!(made.len(), 1, "{made:?}");
    assert_eq!(groups_named(&world, &name).await, 1);
}

#[tokio::test]
async fn idempotent_who_went_away_hears_how_it_ended() {
    let world = World::new().await;
    let name = format!("away-{}", world.group.name);
    let new = json!({ "name": name });
    // The connection is dropped while the request is under way, or just before: either way it is there once in the end.
    let cut = send(&world, &world.admin, "/groups", &new, "away");
    let _ = tokio::time::timeout(std::time::Duration::from_millis(15), cut).await;
    let made = loop {
        let answer = send(&world, &world.admin, "/groups", &new, "away").await;
        if answer.status() != StatusCode::CONFLICT {
            break ok(answer).await;
        }
        refused(answer, StatusCode::CONFLICT, "requestUnderWay").await;
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    };
    assert_eq!(made["name"], name);
    assert_eq!(groups_named(&world, &name).await, 1);
}
