//! Nobody writes over what they have not seen: tags and `If-Match` wherever people change what others change too.

use holdfast_domain::Role;
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::world::{Browser, World, ok, refused};

/// Something with a tag, and two changes of it that differ.
struct Case {
    read: String,
    write: (Method, String),
    bodies: [Value; 2],
}

async fn cases(world: &World, owner: &Browser) -> Vec<Case> {
    world.job().await;
    let bob = world.user("bob", &[]).await;
    world.metadb.put_member(&world.group.id, &bob.id, &[Role::ReadOnly]).await.unwrap();
    let put =
        |path: &str, bodies: [Value; 2]| Case { read: path.to_owned(), write: (Method::PUT, path.to_owned()), bodies };
    let with = |base: &Value, field: &str, value: Value| {
        let mut body = base.clone();
        body[field] = value;
        body
    };
    let access = owner.get("/settings/access").await;
    let defaults = owner.get("/settings/backupDefaults").await;
    let mail = json!({ "host": "", "port": 587, "security": "startTls", "from": "" });
    vec![
        put(
            "/settings/access",
            [with(&access, "sessionHours", json!(10)), with(&access, "groupCreation", json!("everyone"))],
        ),
        put("/settings/mail", [with(&mail, "port", json!(25)), with(&mail, "port", json!(26))]),
        put("/settings/publicUrl", [json!({ "url": "https://a.example" }), json!({ "url": "https://b.example" })]),
        put(
            "/settings/backupDefaults",
            [with(&defaults, "linkHours", json!(5)), with(&defaults, "policy", json!({ "restoreSeconds": 600 }))],
        ),
        put(
            &format!("/groups/{}/policies", world.group.name),
            [json!({ "restoreSeconds": 60 }), json!({ "unprotectedSeconds": 60 })],
        ),
        Case {
            read: world.backup(""),
            write: (Method::PATCH, world.backup("")),
            bodies: [json!({ "linkHours": 7 }), json!({ "schedule": { "everySeconds": 3600 } })],
        },
        put(&format!("/users/{}", bob.id), [json!({ "globalRoles": ["readOnly"] }), json!({ "name": "Bob B." })]),
    ]
}

async fn send(owner: &Browser, (method, path): &(Method, String), body: &Value, seen: Option<&str>) -> Response {
    let mut headers = vec![("sec-fetch-site", "same-origin")];
    headers.extend(seen.map(|seen| ("if-match", seen)));
    owner.call_with(method.clone(), path, Some(body), &headers).await
}

async fn tag(owner: &Browser, path: &str) -> String {
    let answer = owner.call(Method::GET, path, None).await;
    assert_eq!(answer.status(), StatusCode::OK, "{path}");
    answer.headers()["etag"].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_second_of_two_who_saw_the_same_is_told() {
    let world = World::new().await;
    let owner = world.signed_in(&world.user("owner", &[Role::Owner]).await).await;
    for Case { read, write, bodies } in cases(&world, &owner).await {
        let seen = tag(&owner, &read).await;
        let first = send(&owner, &write, &bodies[0], Some(&seen)).await;
        let after = first.headers().get("etag").map(|tag| tag.to_str().unwrap().to_owned());
        let answered = ok(first).await;
        assert_ne!(after.as_deref(), Some(seen.as_str()), "{read}: {answered}");
        let there = owner.get(&read).await;
        let second = send(&owner, &write, &bodies[1], Some(&seen)).await;
        let detail = refused(second, StatusCode::PRECONDITION_FAILED, "changedMeanwhile").await;
        assert!(detail.contains("read it again"), "{detail}");
        assert_eq!(owner.get(&read).await, there, "{read}: nothing was written");
        // Who reads again may; who says nothing may; a tag of nobody's fits nothing.
        let now = tag(&owner, &read).await;
        assert_eq!(Some(&now), after.as_ref(), "{read}: the answer has the new tag");
        ok(send(&owner, &write, &bodies[1], Some(&now)).await).await;
        ok(send(&owner, &write, &bodies[0], None).await).await;
        ok(send(&owner, &write, &bodies[1], Some("*")).await).await;
        refused(
            send(&owner, &write, &bodies[0], Some("\"nonsense\"")).await,
            StatusCode::PRECONDITION_FAILED,
            "changedMeanwhile",
        )
        .await;
    }
}

#[tokio::test]
async fn of_many_at_once_one_writes() {
    let world = World::new().await;
    let owner = world.signed_in(&world.user("owner", &[Role::Owner]).await).await;
    for Case { read, write, bodies } in cases(&world, &owner).await {
        let seen = tag(&owner, &read).await;
        let all = (0..8).map(|n| send(&owner, &write, &bodies[n % 2], Some(&seen)));
        let statuses: Vec<u16> =
            futures::future::join_all(all).await.iter().map(|answer| answer.status().as_u16()).collect();
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{read}: {statuses:?}");
        assert_eq!(statuses.iter().filter(|status| **status == 412).count(), 7, "{read}: {statuses:?}");
    }
}

#[tokio::test]
async fn roles_in_a_group_and_policies_of_backups_are_guarded_by_their_revision() {
    let world = World::new().await;
    let owner = world.signed_in(&world.user("owner", &[Role::Owner]).await).await;
    world.job().await;
    let bob = world.user("bob", &[]).await;
    world.metadb.put_member(&world.group.id, &bob.id, &[Role::ReadOnly]).await.unwrap();
    let group = format!("/groups/{}", world.group.name);
    let member = (Method::PUT, format!("{group}/members/{}", bob.id));
    let revision = async || {
        let members = owner.get(&format!("{group}/members")).await;
        format!("\"{}\"", members[0]["revision"])
    };
    let seen = revision().await;
    ok(send(&owner, &member, &json!({ "roles": ["backupAdmin"] }), Some(&seen)).await).await;
    let late = send(&owner, &member, &json!({ "roles": ["owner"] }), Some(&seen)).await;
    refused(late, StatusCode::PRECONDITION_FAILED, "changedMeanwhile").await;
    let remove = (Method::DELETE, member.1.clone());
    refused(send(&owner, &remove, &json!({}), Some(&seen)).await, StatusCode::PRECONDITION_FAILED, "changedMeanwhile")
        .await;
    let now = revision().await;
    assert_eq!(send(&owner, &remove, &json!({}), Some(&now)).await.status(), StatusCode::NO_CONTENT);

    let policy = (Method::PUT, world.backup("/policy"));
    let seen = owner.get(&format!("{group}/policies")).await["backups"][0]["revision"].to_string();
    let seen = format!("\"{seen}\"");
    let set = ok(send(&owner, &policy, &json!({ "restoreSeconds": 600 }), Some(&seen)).await).await;
    assert_eq!((&set["revision"], &set["own"]["restoreSeconds"]), (&json!(1), &json!(600)));
    let late = send(&owner, &policy, &json!({}), Some(&seen)).await;
    refused(late, StatusCode::PRECONDITION_FAILED, "changedMeanwhile").await;
}
