//! Starting, stopping, synchronising anew, moving, showing, settings.

use holdfast_domain::{BackupEvent, CloseReason, SliceSummary};
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::world::{World, ok, op, refused};

#[tokio::test]
async fn a_start_needs_a_found_deployment_and_head_space() {
    let world = World::new().await;
    let path = world.backup("/start");
    refused(world.post(&path, json!({})).await, StatusCode::NOT_FOUND, "notFound").await;
    world.metadb.create_deployment(&world.group.id, Some("rs0"), vec!["a:1".into()], None).await.unwrap();
    refused(world.post(&path, json!({})).await, StatusCode::CONFLICT, "notDiscovered").await;
    world.deployment("rs1", Some("this is a shard: back up the whole cluster")).await;
    let shard = world.post(&path.replace("rs0", "rs1"), json!({})).await;
    let detail = refused(shard, StatusCode::UNPROCESSABLE_ENTITY, "refused").await;
    assert!(detail.contains("this is a shard"), "{detail}");
    world.deployment("rs2", None).await;
    let path = path.replace("rs0", "rs2");
    let detail = refused(world.post(&path, json!({})).await, StatusCode::UNPROCESSABLE_ENTITY, "headSpace").await;
    assert!(detail.contains("no daemon"), "{detail}");
    world.daemon("small", 110 << 20).await;
    let detail = refused(world.post(&path, json!({})).await, StatusCode::UNPROCESSABLE_ENTITY, "headSpace").await;
    assert!(detail.contains("small") && detail.contains("120 MiB"), "{detail}");
    world.daemon("large", 1 << 40).await;
    let labels = world.post(&path, json!({ "daemonLabels": ["tape"] })).await;
    refused(labels, StatusCode::UNPROCESSABLE_ENTITY, "headSpace").await;
    let started = ok(world.post(&path, json!({})).await).await;
    assert_eq!((&started["state"], &started["rs"]), (&json!("initialSync"), &json!("rs2")));
    let again = ok(world.post(&path, json!({})).await).await;
    assert_eq!(again["id"], started["id"], "the same backup");
}

#[tokio::test]
async fn a_stop_ends_the_chain_and_a_start_begins_anew() {
    let world = World::new().await;
    world.daemon("d", 1 << 40).await;
    let job = world.job().await;
    world.open_chain(&job.id, op(100, 1)).await;
    let stopped = ok(world.post(&world.backup("/stop"), json!({})).await).await;
    assert_eq!((&stopped["state"], &stopped["closed"]), (&json!("stopped"), &json!("stopped")));
    let again = ok(world.post(&world.backup("/stop"), json!({})).await).await;
    assert_eq!(again["state"], "stopped");
    let resync = world.post(&world.backup("/resync"), json!({})).await;
    refused(resync, StatusCode::CONFLICT, "backupStopped").await;
    let take = world.post(&world.backup("/snapshots"), json!({})).await;
    refused(take, StatusCode::CONFLICT, "backupStopped").await;
    let started = ok(world.post(&world.backup("/start"), json!({})).await).await;
    assert_eq!(started["state"], "initialSync");
}

#[tokio::test]
async fn a_failed_backup_starts_with_a_chain_of_its_own() {
    let world = World::new().await;
    world.daemon("d", 1 << 40).await;
    let job = world.job().await;
    world.open_chain(&job.id, op(100, 1)).await;
    world.metadb.operate(&job.id, BackupEvent::Fail).await.unwrap();
    let started = ok(world.post(&world.backup("/start"), json!({})).await).await;
    assert_eq!((&started["state"], &started["closed"]), (&json!("initialSync"), &json!("resyncRequested")));
}

#[tokio::test]
async fn a_resync_closes_the_chain_and_is_noted() {
    let world = World::new().await;
    let job = world.job().await;
    world.open_chain(&job.id, op(100, 1)).await;
    ok(world.post(&world.backup("/resync"), json!({ "reason": "the disk was doubtful" })).await).await;
    let tail = world.ledger.tail(&job.id).await.unwrap().unwrap();
    assert_eq!(tail.closed, Some(CloseReason::ResyncRequested));
    let noted = world.metadb.backup_job(&job.id).await.unwrap().unwrap();
    assert_eq!(noted.resync_requested.as_deref(), Some("the disk was doubtful"));
    ok(world.post(&world.backup("/resync"), json!({})).await).await;
    assert_eq!(world.ledger.tail(&job.id).await.unwrap().unwrap(), tail, "a closed chain stays as it is");
}

#[tokio::test]
async fn a_move_names_a_daemon() {
    let world = World::new().await;
    let job = world.job().await;
    let daemon = world.daemon("second", 1).await;
    let nowhere = world.post(&world.backup("/move"), json!({ "daemon": "third" })).await;
    assert!(refused(nowhere, StatusCode::BAD_REQUEST, "badRequest").await.contains("second"));
    ok(world.post(&world.backup("/move"), json!({ "daemon": "second" })).await).await;
    let noted = world.metadb.backup_job(&job.id).await.unwrap().unwrap();
    assert_eq!(noted.wanted_daemon, Some(daemon.id));
    assert_eq!(world.get("/daemons").await[0]["name"], "second");
}

#[tokio::test]
async fn a_backup_says_what_can_be_restored() {
    let world = World::new().await;
    let job = world.job().await;
    let empty = world.get(&world.backup("")).await;
    assert_eq!(
        (&empty["ranges"], &empty["lagSeconds"], &empty["headOptime"]),
        (&json!([]), &json!(null), &json!(null))
    );
    world.open_chain(&job.id, op(100, 1)).await;
    world.append(&job.id, &[op(100, 1), op(110, 1)], SliceSummary::default()).await;
    world.snapshot(&job.id, op(105, 1), 0, 1).await;
    world.append(&job.id, &[op(120, 7)], SliceSummary::default()).await;
    let shown = world.get(&world.backup("")).await;
    let range = json!([{
        "from": { "t": 105, "i": 1, "at": "1970-01-01T00:01:45Z" },
        "to": { "t": 120, "i": 7, "at": "1970-01-01T00:02:00Z" },
    }]);
    assert_eq!(shown["ranges"], range);
    assert_eq!((&shown["chain"], &shown["ledgerOptime"]), (&json!(0), &json!({ "t": 120, "i": 7 })));
    assert_eq!(shown["group"], world.group.name);
    assert_eq!(world.get(&format!("/groups/{}/backups", world.group.id)).await[0]["rs"], "rs0");
}

#[tokio::test]
async fn settings_change_alone_and_within_bounds() {
    let world = World::new().await;
    world.job().await;
    let patch = async |body| world.call(Some(&world.admin), Method::PATCH, &world.backup(""), Some(&body)).await;
    let changed =
        ok(patch(json!({ "schedule": { "everySeconds": 60 }, "member": "b:27017", "linkUses": 5 })).await).await;
    assert_eq!((&changed["schedule"]["everySeconds"], &changed["member"]), (&json!(60), &json!("b:27017")));
    assert_eq!((&changed["linkUses"], &changed["linkHours"]), (&json!(5), &json!(24)));
    let kept = ok(patch(json!({ "linkHours": 2 })).await).await;
    assert_eq!(kept["member"], "b:27017", "what is left out stays");
    let freed = ok(patch(json!({ "member": null })).await).await;
    assert_eq!(freed["member"], json!(null));
    refused(patch(json!({ "schedule": { "everySeconds": 1 } })).await, StatusCode::BAD_REQUEST, "badRequest").await;
    refused(patch(json!({ "linkHours": 0 })).await, StatusCode::BAD_REQUEST, "badRequest").await;
    let days = json!({ "retention": {
        "sixHourlyDays": 2, "dailyDays": 7, "weeklyWeeks": 4, "monthlyMonths": 500, "oplogWindowDays": 7,
    } });
    refused(patch(days).await, StatusCode::BAD_REQUEST, "badRequest").await;
    let slow = json!({ "bandwidth": [{ "fromHour": 0, "toHour": 24, "bytesPerSecond": 1 }] });
    refused(patch(slow).await, StatusCode::BAD_REQUEST, "badRequest").await;
}
