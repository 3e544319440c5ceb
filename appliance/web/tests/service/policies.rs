//! Policies of protection: set for a group, overridden by a backup, measured by the verdict.

use holdfast_domain::{AgentId, BackupEvent, CloseReason, Role, SliceSummary};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::world::{World, ok, op, refused};

#[tokio::test]
async fn the_verdict_measures_against_what_is_promised() {
    let world = World::new().await;
    let job = world.job().await;
    let now = u32::try_from(jiff::Timestamp::now().as_second()).unwrap();
    // Two chains with a gap of some hours between them; the newest write is 200 s old.
    world.open_chain(&job.id, op(now - 36_000, 1)).await;
    world.append(&job.id, &[op(now - 36_000, 1), op(now - 30_000, 1)], SliceSummary::default()).await;
    world.snapshot(&job.id, op(now - 35_000, 1), 0, 1).await;
    world.ledger.force_close(&job.id, CloseReason::WindowLost, "x").await.unwrap();
    world.open_chain(&job.id, op(now - 20_000, 1)).await;
    world.append(&job.id, &[op(now - 20_000, 1), op(now - 200, 1)], SliceSummary::default()).await;
    world.snapshot(&job.id, op(now - 300, 1), 1, 1).await;
    world.metadb.assign_agent(&job.id, 0, &AgentId::random()).await.unwrap().unwrap();
    for event in [BackupEvent::Loaded, BackupEvent::CaughtUp] {
        world.metadb.operate(&job.id, event).await.unwrap();
    }
    let group = format!("/groups/{}", world.group.name);
    let row = async || world.get(&format!("{group}/overview")).await["deployments"][0].clone();
    let put = async |path: &str, body: Value| world.call(Some(&world.admin), Method::PUT, path, Some(&body)).await;
    let level = |row: &Value| row["verdict"]["level"].as_str().unwrap().to_owned();
    let sentence = |row: &Value| row["verdict"]["sentence"].as_str().unwrap().to_owned();
    let shown = row().await;
    assert_eq!(level(&shown), "late", "200 s are more than usual: {shown}");
    assert_eq!(shown["unbrokenFrom"]["t"], now - 300);
    assert_eq!(shown["policy"]["unprotectedSeconds"], json!(null));

    let path = format!("{group}/policies");
    ok(put(&path, json!({ "unprotectedSeconds": 100 })).await).await;
    let shown = row().await;
    assert_eq!(level(&shown), "unprotected");
    assert!(sentence(&shown).contains("the policy allows 100 s"), "{shown}");
    // The backup says otherwise: half an hour may be lost, and then nothing is late.
    let own = world.backup("/policy");
    let set = ok(put(&own, json!({ "unprotectedSeconds": 1800 })).await).await;
    assert_eq!(set["effective"]["unprotectedSeconds"], 1800);
    assert_eq!(level(&row().await), "protected");
    // The recovery window, measured by the gap and by what retention keeps.
    ok(put(&path, json!({ "unprotectedSeconds": 100, "recoveryWindowSeconds": 36_000 })).await).await;
    let gap = row().await;
    assert_eq!(level(&gap), "late");
    assert!(sentence(&gap).contains("no second between"), "{gap}");
    ok(put(&path, json!({ "recoveryWindowSeconds": 3_600 })).await).await;
    assert_eq!(level(&row().await), "late", "the gap ended 300 s ago");
    ok(put(&path, json!({ "recoveryWindowSeconds": 30 * 86_400 })).await).await;
    assert!(sentence(&row().await).contains("retention keeps every second of 7 days"));

    let all = world.get(&path).await;
    assert_eq!(
        (&all["policy"]["recoveryWindowSeconds"], &all["policy"]["unprotectedSeconds"]),
        (&json!(2_592_000), &json!(null))
    );
    assert_eq!(
        (&all["backups"][0]["rs"], &all["backups"][0]["own"]["unprotectedSeconds"]),
        (&json!("rs0"), &json!(1800))
    );
    let audit = world.get(&format!("{group}/audit")).await;
    assert!(audit.to_string().contains("policy of a backup changed"), "{audit}");
}

#[tokio::test]
async fn policies_have_bounds_and_are_changed_by_those_who_back_up() {
    let world = World::new().await;
    world.job().await;
    let path = format!("/groups/{}/policies", world.group.name);
    let put = async |key: &str, body: Value| world.call(Some(key), Method::PUT, &path, Some(&body)).await;
    let detail =
        refused(put(&world.admin, json!({ "restoreSeconds": 1 })).await, StatusCode::BAD_REQUEST, "badRequest");
    assert!(detail.await.contains("the time to restore lies between 60 and"));
    refused(put(&world.admin, json!({ "loss": 1 })).await, StatusCode::BAD_REQUEST, "badRequest").await;
    let (reader, backup) =
        (world.key(Some(&world.group), Role::ReadOnly).await, world.key(Some(&world.group), Role::BackupAdmin).await);
    refused(put(&reader, json!({})).await, StatusCode::FORBIDDEN, "forbidden").await;
    ok(put(&backup, json!({ "restoreSeconds": 600 })).await).await;
    ok(world.call(Some(&reader), Method::GET, &path, None).await).await;
    // Another group's policy is its own.
    let other = world.metadb.create_group(&format!("other-{}", world.group.name)).await.unwrap();
    assert_eq!(world.get(&format!("/groups/{}/policies", other.name)).await["policy"]["restoreSeconds"], json!(null));
}
