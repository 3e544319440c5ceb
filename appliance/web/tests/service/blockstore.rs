//! The blockstore's side of operators: groups that encrypt and their keys, payload stores, requests, numbers.

use blockstore_engine::{GroupKey, PayloadStore, StoreNumber};
use holdfast_metadb::{BlockstoreRequestState, Role};
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::world::{World, ok, op, refused};

#[tokio::test]
async fn the_key_of_a_group_is_exported_to_global_admins_alone() {
    let world = World::new().await;
    let name = format!("secret-{}", world.group.name);
    let made = ok(world.post("/groups", json!({ "name": name, "encrypt": true })).await).await;
    assert_eq!(made["encrypted"], true);
    let path = format!("/groups/{name}/key/export");
    let answer = world.post(&path, json!({})).await;
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let exported = ok(answer).await;
    let key = GroupKey::from_file(exported["content"].as_str().unwrap()).unwrap();
    assert_eq!(key.id().to_string(), exported["keyId"].as_str().unwrap());
    let page = ok(world.post(&path, json!({ "form": "html" })).await).await;
    let page = page["content"].as_str().unwrap();
    assert!(page.contains("<svg") && page.contains(&key.export()) && page.contains(&name));

    // Not for those who only back up; for the group's own owner; and no key where nothing is encrypted.
    let group = world.metadb.group_by_name(&name).await.unwrap().unwrap();
    let own = world.key(Some(&group), Role::BackupAdmin).await;
    let operator = world.key(None, Role::BackupAdmin).await;
    ok(world.call(Some(&world.key(Some(&group), Role::Owner).await), Method::POST, &path, Some(&json!({}))).await)
        .await;
    for key in [&own, &operator] {
        let refusal = world.call(Some(key), Method::POST, &path, Some(&json!({}))).await;
        refused(refusal, StatusCode::FORBIDDEN, "forbidden").await;
    }
    let plain = format!("/groups/{}/key/export", world.group.name);
    refused(world.post(&plain, json!({})).await, StatusCode::CONFLICT, "groupNotEncrypted").await;
    let stored = world.metadb.group_key(&key.id().to_string()).await.unwrap().unwrap();
    // Behind its id, which stands in the clear.
    let shown = exported["content"].as_str().unwrap();
    assert!(!stored.wrapped[20..].windows(8).any(|part| shown.contains(&hex::encode(part))));
    // A name that is taken leaves no key behind.
    refused(world.post("/groups", json!({ "name": name, "encrypt": true })).await, StatusCode::CONFLICT, "groupExists")
        .await;
    assert_eq!(world.metadb.group_keys().await.unwrap().len(), 1);
}

#[tokio::test]
async fn stores_are_added_limited_and_retired() {
    let world = World::new().await;
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("packs");
    let new = json!({ "directory": folder, "default": true, "packMib": 1, "bandwidthBytesPerSecond": 1_000_000_000 });
    let added = ok(world.post("/blockstore/stores", new.clone()).await).await;
    assert_eq!((&added["number"], &added["default"], &added["fault"]), (&json!(1), &json!(true), &json!(null)));
    assert_eq!(world.blockstore.writes_to(), PayloadStore::Packs(StoreNumber::new(1).unwrap()));
    assert!(!world.post("/blockstore/stores", new).await.status().is_success(), "in use already");

    // A bucket that nobody answers for is refused in a sentence; its secret is shown nowhere.
    let bucket = json!({ "s3": {
        "endpoint": "http://127.0.0.1:9", "region": "r", "bucket": "b", "accessKeyId": "id", "secretAccessKey": "s3cret",
    } });
    let detail = refused(world.post("/blockstore/stores", bucket).await, StatusCode::CONFLICT, "storeUnusable").await;
    assert!(!detail.contains("s3cret"), "{detail}");
    let job = world.job().await;
    world.snapshot(&job.id, op(100, 1), 0, 1).await;
    let listed = world.get("/blockstore/stores").await;
    assert!(!listed.to_string().contains("s3cret"));
    assert_eq!((&listed[0]["kind"], &listed[0]["default"]), (&json!("database"), &json!(false)));
    assert_eq!((&listed[1]["kind"], &listed[1]["packs"]), (&json!("directory"), &json!(1)));
    assert_eq!(listed[2]["state"], "retired");

    let change = async |number: u8, change| {
        let path = format!("/blockstore/stores/{number}");
        world.call(Some(&world.admin), Method::PATCH, &path, Some(&change)).await
    };
    assert_eq!(
        ok(change(1, json!({ "bandwidthBytesPerSecond": 0 })).await).await["bandwidthBytesPerSecond"],
        json!(null)
    );
    let full = refused(change(1, json!({ "state": "retired" })).await, StatusCode::CONFLICT, "storeNotEmpty").await;
    assert!(full.contains("1 packs"), "{full}");
    assert!(!change(2, json!({ "default": true })).await.status().is_success(), "retired");
    // Moving from the default is refused; once another one is, the store is drained and the daemon asked.
    let ask = json!({ "kind": "move", "from": 1, "to": 0 });
    assert!(!world.post("/blockstore/requests", ask.clone()).await.status().is_success());
    ok(change(0, json!({ "default": true })).await).await;
    let asked = ok(world.post("/blockstore/requests", ask).await).await;
    assert_eq!(
        (&asked["kind"], &asked["work"]["from"], &asked["state"]),
        (&json!("move"), &json!(1), &json!("queued"))
    );
    assert_eq!(world.get("/blockstore/stores").await[1]["state"], "draining");
    let path = format!("/blockstore/requests/{}", asked["id"].as_str().unwrap());
    ok(world.call(Some(&world.admin), Method::DELETE, &path, None).await).await;
    assert_eq!(world.get(&path).await["state"], "cancelled");
    let ended = world.call(Some(&world.admin), Method::DELETE, &path, None).await;
    refused(ended, StatusCode::CONFLICT, "requestEnded").await;
    assert_eq!(ok(change(1, json!({ "state": "active" })).await).await["state"], "active");
}

#[tokio::test]
async fn numbers_and_requests_are_for_global_keys() {
    let world = World::new().await;
    let job = world.job().await;
    let root = world.snapshot(&job.id, op(100, 1), 0, 1).await;
    let what_if = json!({ "retention": {
        "recentHours": 0, "sixHourlyDays": 0, "dailyDays": 0, "weeklyWeeks": 0, "monthlyMonths": 0, "oplogWindowDays": 0,
    } });
    refused(world.post("/blockstore/whatIf", what_if.clone()).await, StatusCode::CONFLICT, "noAccount").await;
    world.snapshot(&job.id, op(200, 1), 0, 1).await;
    world.blockstore.recount(&Default::default(), std::sync::Arc::new(|_| {}), Default::default()).await.unwrap();
    let shown = world.get("/blockstore").await;
    assert_eq!((&shown["snapshots"], &shown["exact"], &shown["writers"]), (&json!(2), &json!(true), &json!(0)));
    assert_eq!(shown["storedBytes"], shown["account"]["live"]["storedBytes"], "{shown}");
    assert_eq!(shown["account"]["reclaimable"]["storedBytes"], 0);
    assert_eq!(shown["verification"]["never"], 256);
    let answer = ok(world.post("/blockstore/whatIf", what_if).await).await;
    assert_eq!((&answer["count"], &answer["snapshots"][0]), (&json!(1), &json!(root.id.to_string())));
    let one = world.get(&world.backup(&format!("/snapshots/{}", root.id))).await;
    assert_eq!(answer["freed"]["storedBytes"], one["uniqueBytes"], "{one}");
    assert_eq!(world.get("/blockstore/report").await["checks"], json!([]));

    for body in [
        json!({ "kind": "collect" }),
        json!({ "kind": "plan" }),
        json!({ "kind": "verify", "snapshot": root.id.to_string() }),
    ] {
        let asked = ok(world.post("/blockstore/requests", body.clone()).await).await;
        assert_eq!(asked["kind"], body["kind"]);
    }
    let listed = world.get("/blockstore/requests").await;
    assert_eq!(listed.as_array().unwrap().len(), 3);
    // As a daemon would: taken once, reported, ended.
    let open = world.metadb.open_blockstore_requests().await.unwrap();
    let taken = world.metadb.take_blockstore_request(&open[0], "d1").await.unwrap().unwrap();
    assert!(world.metadb.take_blockstore_request(&open[0], "d2").await.unwrap().is_none());
    assert!(!world.metadb.beat_blockstore_request(&taken.id, "d1", &Default::default()).await.unwrap());
    assert!(world.metadb.beat_blockstore_request(&taken.id, "d2", &Default::default()).await.is_err());
    let result = bson::doc! { "at": bson::DateTime::from_millis(0), "live": { "storedBytes": 5_i64 } };
    world.metadb.finish_blockstore_request(&taken.id, "d1", Ok(result)).await.unwrap();
    let ended = world.get(&format!("/blockstore/requests/{}", taken.id)).await;
    assert_eq!((&ended["state"], &ended["result"]["live"]["storedBytes"]), (&json!("done"), &json!(5)));
    assert_eq!(
        (&taken.state, &ended["result"]["at"]),
        (&BlockstoreRequestState::Running, &json!("1970-01-01T00:00:00Z"))
    );

    let own = world.key(Some(&world.group), Role::Owner).await;
    let viewer = world.key(None, Role::ReadOnly).await;
    for path in ["/blockstore", "/blockstore/stores", "/blockstore/requests", "/blockstore/report"] {
        refused(world.call(Some(&own), Method::GET, path, None).await, StatusCode::FORBIDDEN, "forbidden").await;
        ok(world.call(Some(&viewer), Method::GET, path, None).await).await;
    }
    let collect = json!({ "kind": "collect" });
    let collect = world.call(Some(&viewer), Method::POST, "/blockstore/requests", Some(&collect)).await;
    refused(collect, StatusCode::FORBIDDEN, "forbidden").await;
}

#[tokio::test]
async fn snapshots_are_labelled_and_come_back_from_the_trash() {
    let world = World::new().await;
    let job = world.job().await;
    world.open_chain(&job.id, op(100, 1)).await;
    let older = world.snapshot(&job.id, op(100, 1), 0, 1).await.id;
    for t in [200, 300] {
        world.snapshot(&job.id, op(t, 1), 0, 1).await;
    }
    let path = world.backup(&format!("/snapshots/{older}"));
    ok(world.post(&format!("{path}/pin"), json!({ "label": "before the move" })).await).await;
    let shown = world.get(&path).await;
    assert_eq!((&shown["label"], &shown["pinned"]), (&json!("before the move"), &json!(true)));
    ok(world.call(Some(&world.admin), Method::POST, &format!("{path}/pin"), None).await).await;
    assert_eq!(world.get(&path).await["label"], "before the move", "a pin without one takes none away");
    ok(world.post(&format!("{path}/unpin"), json!({})).await).await;
    ok(world.call(Some(&world.admin), Method::DELETE, &path, None).await).await;
    let trashed = world.get(&path).await;
    assert_eq!(trashed["state"], "trashed");
    assert!(trashed["trashedAt"].is_string());
    ok(world.post(&format!("{path}/restoreFromTrash"), json!({})).await).await;
    assert_eq!(world.get(&path).await["state"], "complete");
    let unknown = world.backup("/snapshots/0123456789abcdef01234567/restoreFromTrash");
    refused(world.post(&unknown, json!({})).await, StatusCode::NOT_FOUND, "notFound").await;
}
