//! Who may do what; what is never shown.

use holdfast_metadb::Role;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::world::{World, ok, refused};

#[tokio::test]
async fn unknown_paths_and_fields_are_refused() {
    let world = World::new().await;
    let unknown = world.call(Some(&world.admin), Method::GET, "/nothing", None).await;
    refused(unknown, StatusCode::NOT_FOUND, "notFound").await;
    let outside = world.call(None, Method::GET, "//api/v2/x", None).await;
    refused(outside, StatusCode::NOT_FOUND, "notFound").await;
    let field = world.post("/groups", json!({ "name": "x", "nmae": "y" })).await;
    let detail = refused(field, StatusCode::BAD_REQUEST, "badRequest").await;
    assert!(detail.contains("nmae"), "{detail}");
    let method = world.call(Some(&world.admin), Method::DELETE, "/groups", None).await;
    refused(method, StatusCode::METHOD_NOT_ALLOWED, "methodNotAllowed").await;
    let health = world.call(None, Method::GET, "//healthz", None).await;
    assert_eq!(health.status(), StatusCode::OK);
    let api = ok(world.call(None, Method::GET, "/openapi.json", None).await).await;
    assert!(api["openapi"].as_str().unwrap().starts_with("3.1."));
}

#[tokio::test]
async fn a_groups_key_sees_its_group_alone() {
    let world = World::new().await;
    let made = ok(world.post("/groups", json!({ "name": format!("other-{}", world.group.name) })).await).await;
    let other = made["name"].as_str().unwrap();
    let again = world.post("/groups", json!({ "name": other })).await;
    refused(again, StatusCode::CONFLICT, "groupExists").await;
    let key = world.key(Some(&world.group), Role::Owner).await;
    let groups = ok(world.call(Some(&key), Method::GET, "/groups", None).await).await;
    assert_eq!(groups.as_array().unwrap().len(), 1);
    for name in [other, made["id"].as_str().unwrap()] {
        let path = format!("/groups/{name}/agents");
        refused(world.call(Some(&key), Method::GET, &path, None).await, StatusCode::NOT_FOUND, "notFound").await;
        ok(world.call(Some(&world.admin), Method::GET, &path, None).await).await;
    }
    refused(world.call(Some(&key), Method::GET, "/daemons", None).await, StatusCode::FORBIDDEN, "forbidden").await;
    let group = world.call(Some(&key), Method::POST, "/groups", Some(&json!({ "name": "mine" }))).await;
    refused(group, StatusCode::FORBIDDEN, "forbidden").await;
}

#[tokio::test]
async fn roles_bound_what_a_key_does() {
    let world = World::new().await;
    world.job().await;
    let viewer = world.key(Some(&world.group), Role::ReadOnly).await;
    let operator = world.key(Some(&world.group), Role::BackupAdmin).await;
    let stop = world.backup("/stop");
    ok(world.call(Some(&viewer), Method::GET, &world.backup(""), None).await).await;
    refused(world.call(Some(&viewer), Method::POST, &stop, None).await, StatusCode::FORBIDDEN, "forbidden").await;
    let tokens = format!("/groups/{}/enrollTokens", world.group.name);
    refused(world.call(Some(&operator), Method::POST, &tokens, None).await, StatusCode::FORBIDDEN, "forbidden").await;
    ok(world.call(Some(&operator), Method::POST, &stop, None).await).await;
}

#[tokio::test]
async fn keys_are_made_listed_and_revoked() {
    let world = World::new().await;
    let path = format!("/groups/{}/apiKeys", world.group.name);
    let made = ok(world.post(&path, json!({ "label": "ci", "role": "viewer", "days": 1 })).await).await;
    let key = made["key"].as_str().unwrap();
    let groups = ok(world.call(Some(key), Method::GET, "/groups", None).await).await;
    assert_eq!(groups[0]["id"], world.group.id.as_str());
    let listed = world.get(&path).await;
    assert_eq!((&listed[0]["label"], &listed[0]["key"]), (&json!("ci"), &Value::Null));
    let one = format!("{path}/{}", made["id"].as_str().unwrap());
    ok(world.call(Some(&world.admin), Method::DELETE, &one, None).await).await;
    refused(world.call(Some(key), Method::GET, "/groups", None).await, StatusCode::UNAUTHORIZED, "apiKey").await;
}

#[tokio::test]
async fn an_enrolment_token_carries_what_an_agent_needs() {
    let world = World::new().await;
    let made = ok(world.post(&format!("/groups/{}/enrollTokens", world.group.name), json!({})).await).await;
    let token = holdfast_agent_api::EnrollToken::decode(made["enrollToken"].as_str().unwrap()).unwrap();
    assert_eq!((token.ingest_url.as_str(), token.ca_pin.len()), ("https://appliance:8081", 64));
    assert!(
        made["command"].as_str().unwrap().starts_with("holdfast-agent run --server https://appliance:8081 --enroll ")
    );
    let enrolled = world.metadb.enroll(&token.secret, "h", "1", "instance-1").await.unwrap();
    let path = format!("/groups/{}/agents", world.group.name);
    assert_eq!(world.get(&path).await[0]["id"], enrolled.agent.id.as_str());
    let one = format!("{path}/{}", enrolled.agent.id);
    ok(world.call(Some(&world.admin), Method::DELETE, &one, None).await).await;
    assert!(world.metadb.authenticate_agent(&enrolled.key).await.unwrap().is_none());
    assert_eq!(world.get(&path).await[0]["revoked"], true);
}

#[tokio::test]
async fn connection_strings_are_never_shown_again() {
    let world = World::new().await;
    let path = format!("/groups/{}/deployments", world.group.name);
    let uri = "mongodb://backup:s3cret@a:27017,b:27018/?replicaSet=rs0";
    let answer = world.post(&path, json!({ "uri": uri })).await;
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    let made = ok(answer).await;
    assert_eq!((&made["hosts"], &made["state"]), (&json!(["a:27017", "b:27018"]), &json!("discovering")));
    let one = world.get(&format!("{path}/{}", made["id"].as_str().unwrap())).await;
    let all = world.get(&path).await;
    for shown in [&made, &one, &all] {
        assert!(!shown.to_string().contains("s3cret"), "{shown}");
    }
    let stored = world.metadb.deployments(&world.group.id).await.unwrap();
    let sealed = stored[0].uri_sealed().unwrap();
    assert!(!sealed.windows(6).any(|w| w == b"s3cret"), "sealed at rest");
    let wrong = world.post(&path, json!({ "uri": "mongodb://u:s3cret@a:99999999" })).await;
    assert!(!refused(wrong, StatusCode::BAD_REQUEST, "badRequest").await.contains("s3cret"));
    let kept = ok(world.post(&path, json!({ "uri": uri, "storeCredentials": false })).await).await;
    assert_eq!(kept["credentialsStored"], false);
}
