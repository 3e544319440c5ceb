//! The streams of events: of a group, also what is removed from it, and of the whole appliance.

use std::time::Duration;

use holdfast_domain::Role;
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::world::{World, refused};

/// Longest wait for an event.
const PATIENCE: Duration = Duration::from_secs(30);

/// A stream, read event by event.
struct Stream {
    response: Response,
    text: String,
}

impl Stream {
    /// The first stream of an instance starts the reader of changes.
    async fn first(world: &World, key: &str, path: &str) -> Self {
        let mut stream = Self::open(world, key, path).await;
        assert_eq!(stream.next().await["kind"], "reload", "once more when the reader watches");
        stream
    }

    async fn open(world: &World, key: &str, path: &str) -> Self {
        let response = world.call(Some(key), Method::GET, path, None).await;
        assert_eq!(response.status(), StatusCode::OK);
        let mut stream = Self { response, text: String::new() };
        assert_eq!(stream.next().await["kind"], "reload", "the first says: read everything");
        stream
    }

    async fn next(&mut self) -> Value {
        let read = async {
            loop {
                if let Some((event, rest)) = self.text.split_once("\n\n") {
                    let data = event.lines().find_map(|line| line.strip_prefix("data: ")).map(str::to_owned);
                    self.text = rest.to_owned();
                    if let Some(data) = data {
                        return serde_json::from_str(&data).unwrap();
                    }
                    continue;
                }
                let chunk = self.response.chunk().await.unwrap().expect("the stream goes on");
                self.text.push_str(std::str::from_utf8(&chunk).unwrap());
            }
        };
        tokio::time::timeout(PATIENCE, read).await.expect("an event comes")
    }

    /// The next event of a kind, past others.
    async fn of(&mut self, kind: &str) -> Value {
        loop {
            let event = self.next().await;
            if event["kind"] == kind {
                return event;
            }
        }
    }
}

#[tokio::test]
async fn what_is_removed_is_told_without_a_name() {
    let world = World::new().await;
    let reader = world.key(Some(&world.group), Role::ReadOnly).await;
    let bob = world.user("bob", &[]).await;
    let deployment = world.deployment("rs9", None).await;
    world.metadb.put_member(&world.group.id, &bob.id, &[Role::ReadOnly]).await.unwrap();
    let path = format!("/groups/{}/events", world.group.name);
    let mut stream = Stream::first(&world, &reader, &path).await;
    world.metadb.put_member(&world.group.id, &bob.id, &[Role::BackupAdmin]).await.unwrap();
    let changed = stream.of("people").await;
    assert_eq!(changed["group"], world.group.id.as_str());
    world.metadb.put_member(&world.group.id, &bob.id, &[]).await.unwrap();
    let gone = stream.of("people").await;
    assert_eq!((&gone["id"], &gone["group"]), (&json!(""), &Value::Null));
    let below = format!("/groups/{}/deployments/{}", world.group.name, deployment.id);
    let removed = world.call(Some(&world.admin), Method::DELETE, &below, None).await;
    assert_eq!(removed.status(), StatusCode::NO_CONTENT);
    assert_eq!(stream.of("deployment").await["id"], "");
}

#[tokio::test]
async fn the_appliance_has_a_stream_of_its_own() {
    let world = World::new().await;
    let of_group = world.key(Some(&world.group), Role::Owner).await;
    let refusal = world.call(Some(&of_group), Method::GET, "/events", None).await;
    refused(refusal, StatusCode::FORBIDDEN, "forbidden").await;
    let reader = world.key(None, Role::ReadOnly).await;
    let mut appliance = Stream::first(&world, &reader, "/events").await;
    let daemon = world.daemon("worker", 1 << 30).await;
    assert_eq!(appliance.of("daemon").await["id"], daemon.id.as_str());
    let job = world.job().await;
    let backup = appliance.of("backup").await;
    assert_eq!((&backup["id"], &backup["rs"]), (&json!(job.id.as_str()), &json!("rs0")));
    assert_eq!(backup["group"], world.group.id.as_str());
    let set = json!({ "url": "https://backup.example.com" });
    let answer = world.call(Some(&world.admin), Method::PUT, "/settings/publicUrl", Some(&set)).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(appliance.of("setting").await["id"], "publicUrl");
    assert_eq!(appliance.of("audit").await["group"], Value::Null);
    world.user("carol", &[]).await;
    appliance.of("user").await;
    // A key notes its own use with every request: that is no news.
    world.key(None, Role::ReadOnly).await;
    appliance.of("key").await;
    let other = world.metadb.create_group(&format!("other-{}", world.group.name)).await.unwrap();
    assert_eq!(appliance.of("group").await["id"], other.id.as_str());
    // What is of the appliance, or of another group, no group hears.
    let path = format!("/groups/{}/events", other.name);
    let mut group = Stream::open(&world, &world.admin, &path).await;
    world.metadb.note_trash_grace(&daemon.id, 77).await.unwrap();
    world.metadb.request_snapshot(&job.id, None, false).await.unwrap();
    let user = world.user("dave", &[]).await;
    world.metadb.put_member(&other.id, &user.id, &[Role::ReadOnly]).await.unwrap();
    let first = group.next().await;
    assert!(["people", "group"].contains(&first["kind"].as_str().unwrap()), "{first}");
}
