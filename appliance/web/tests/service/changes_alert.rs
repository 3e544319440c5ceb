//! A sample that missed stands in the verdict until somebody acknowledges it.

use holdfast_domain::Role;
use holdfast_metadb::ChangesFound;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::world::{World, ok, op, refused};

fn missed(snapshot: &str, missed: i64) -> ChangesFound {
    ChangesFound {
        snapshot: snapshot.into(),
        at: bson::DateTime::from_millis(1_700_000_000_000),
        refused: (missed > 0).then(|| "a sample missed".into()),
        unchanged_bytes: 0,
        read_bytes: 1 << 20,
        sampled: 64,
        missed,
        first_miss: (missed > 0).then(|| "note at 65536".into()),
        held_ms: 300,
        extents: 4,
        extents_per_gib: 2,
    }
}

#[tokio::test]
async fn the_verdict_names_the_alert_until_it_is_acknowledged() {
    let world = World::new().await;
    let job = world.job().await;
    let now = u32::try_from(jiff::Timestamp::now().as_second()).unwrap();
    world.open_chain(&job.id, op(now - 20, 1)).await;
    world.append(&job.id, &[op(now - 20, 1), op(now, 1)], Default::default()).await;
    let agent = holdfast_domain::AgentId::random();
    let seen = world.metadb.backup_job(&job.id).await.unwrap().unwrap();
    assert!(world.metadb.assign_agent(&job.id, seen.assignment.epoch, &agent).await.unwrap().is_some());
    let fence = world.metadb.acquire_lease(&job.id, &seen.lease, "d").await.unwrap().unwrap();
    let overview = format!("/groups/{}/overview", world.group.name);
    let verdict = async || world.get(&overview).await["deployments"][0]["verdict"].clone();
    let says = async || verdict().await["sentence"].as_str().unwrap().contains("called unchanged");
    world.metadb.set_changes(&fence, &missed("a", 0)).await.unwrap();
    assert!(!says().await, "{}", verdict().await);

    world.metadb.set_changes(&fence, &missed("b", 3)).await.unwrap();
    let shown = verdict().await;
    assert_eq!((&shown["level"], &shown["since"]), (&json!("late"), &json!("2023-11-14T22:13:20Z")), "{shown}");
    let sentence = shown["sentence"].as_str().unwrap();
    assert!(sentence.contains("3 of 64 blocks that the file system called unchanged had changed"), "{sentence}");
    assert!(shown["action"].as_str().unwrap().contains("acknowledge"), "{shown}");
    assert!(world.get(&overview).await["verdict"]["level"] != "protected");
    // A good snapshot afterwards changes nothing.
    world.metadb.set_changes(&fence, &missed("c", 0)).await.unwrap();
    assert!(says().await);

    let path = world.backup("/changesAlert/acknowledgement");
    let reader = world.key(Some(&world.group), Role::ReadOnly).await;
    let forbidden = world.call(Some(&reader), Method::POST, &path, Some(&json!({ "snapshot": "b" }))).await;
    refused(forbidden, StatusCode::FORBIDDEN, "forbidden").await;
    let other = world.post(&path, json!({ "snapshot": "a" })).await;
    let detail = refused(other, StatusCode::CONFLICT, "noAlert").await;
    assert!(detail.contains("snapshot a raised no alert"), "{detail}");
    assert!(says().await);
    let done = ok(world.post(&path, json!({ "snapshot": "b" })).await).await;
    assert_eq!(done["changesAlert"], json!(null));
    assert!(!says().await, "{}", verdict().await);
    let audit = world.get(&format!("/groups/{}/audit", world.group.name)).await.to_string();
    assert!(audit.contains("unchanged blocks alert acknowledged") && audit.contains("rs0, snapshot b"), "{audit}");
    refused(world.post(&path, json!({ "snapshot": "b" })).await, StatusCode::CONFLICT, "noAlert").await;
}
