//! Giving a backup up: what goes, what stays, how it is taken back, what is left when all is gone.

use std::time::Duration;

use blockstore_engine::{CollectOptions, Pin};
use holdfast_domain::{CloseReason, Role, SliceSummary};
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::world::{World, ok, op, refused};

#[tokio::test]
async fn a_backup_is_given_up_and_taken_back() {
    let world = World::new().await;
    let job = world.job().await;
    world.open_chain(&job.id, op(100, 1)).await;
    world.append(&job.id, &[op(100, 1), op(400, 1)], SliceSummary::default()).await;
    let mut roots = Vec::new();
    for t in [100, 200, 300] {
        roots.push(world.snapshot(&job.id, op(t, 1), 0, 1).await.id);
    }
    // One went before: that is not undone with the rest. One is pinned and stays.
    let long_ago = world.snapshot(&job.id, op(50, 1), 0, 1).await.id;
    world.blockstore.pin(&roots[1], Pin { by: "user".into(), until: None }).await.unwrap();
    world.blockstore.set_label(&roots[1], Some("the audit".into())).await.unwrap();
    let daemon = world.daemon("d", 1 << 40).await;
    world.metadb.note_trash_grace(&daemon.id, 3_600).await.unwrap();

    let path = world.backup("/termination");
    let plan = world.get(&path).await;
    assert_eq!((&plan["state"], &plan["goes"]), (&json!("initialSync"), &json!(3)));
    assert_eq!(
        (&plan["stays"][0]["label"], &plan["stays"][0]["why"]),
        (&json!("the audit"), &json!("pinned by a user"))
    );
    assert_eq!(plan["ranges"][0]["to"]["t"], 400);
    let wrong = world.post(&path, json!({ "name": "rs" })).await;
    let detail = refused(wrong, StatusCode::UNPROCESSABLE_ENTITY, "nameDiffers").await;
    assert!(detail.contains("rs0"), "{detail}");
    assert_eq!(world.get(&world.backup("")).await["state"], "initialSync", "nothing was done");
    let reader = world.key(Some(&world.group), Role::ReadOnly).await;
    let forbidden = world.call(Some(&reader), Method::POST, &path, Some(&json!({ "name": "rs0" }))).await;
    refused(forbidden, StatusCode::FORBIDDEN, "forbidden").await;

    let done = ok(world.post(&path, json!({ "name": "rs0" })).await).await;
    assert_eq!((&done["state"], &done["goes"]), (&json!("terminated"), &json!(3)));
    let second = |text: &serde_json::Value| text.as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_second();
    let left = second(&done["undoUntil"]) - jiff::Timestamp::now().as_second();
    assert!((3_500..=3_600).contains(&left), "{left}");
    let again = ok(world.post(&path, json!({ "name": "rs0" })).await).await;
    assert_eq!(again["undoUntil"], done["undoUntil"], "twice is once");
    assert_eq!(world.ledger.tail(&job.id).await.unwrap().unwrap().closed, Some(CloseReason::Stopped));
    let states = async || {
        let listed = world.get(&world.backup("/snapshots")).await;
        listed.as_array().unwrap().iter().map(|s| s["state"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(states().await, ["trashed", "trashed", "complete", "trashed"]);
    for (below, method) in [("/start", Method::POST), ("/stop", Method::POST), ("/resync", Method::POST)] {
        let answer = world.call(Some(&world.admin), method, &world.backup(below), Some(&json!({}))).await;
        refused(answer, StatusCode::CONFLICT, "terminated").await;
    }
    let one = world.post(&world.backup(&format!("/snapshots/{}/restoreFromTrash", roots[0])), json!({})).await;
    refused(one, StatusCode::CONFLICT, "terminated").await;
    let overview = world.get(&format!("/groups/{}/overview", world.group.name)).await;
    assert_eq!(overview["deployments"][0]["verdict"]["level"], "off");

    let taken = world.call(Some(&world.admin), Method::DELETE, &path, None).await;
    assert_eq!(ok(taken).await["state"], "stopped");
    assert_eq!(states().await, ["complete"; 4]);
    assert_eq!(world.get(&world.backup("")).await["ranges"][0]["to"]["t"], 400, "every second is back");
    let nothing = world.call(Some(&world.admin), Method::DELETE, &path, None).await;
    refused(nothing, StatusCode::CONFLICT, "notTerminated").await;
    let started = ok(world.post(&world.backup("/start"), json!({})).await).await;
    assert_eq!(started["state"], "initialSync");
    assert!(world.blockstore.root(&long_ago).await.unwrap().is_some());
}

#[tokio::test]
async fn when_all_is_gone_the_ledger_and_the_job_go_too() {
    let world = World::new().await;
    let job = world.job().await;
    world.open_chain(&job.id, op(100, 1)).await;
    world.append(&job.id, &[op(100, 1), op(400, 1)], SliceSummary::default()).await;
    world.snapshot(&job.id, op(100, 1), 0, 1).await;
    ok(world.post(&world.backup("/termination"), json!({ "name": "rs0" })).await).await;
    let ended = world.metadb.backup_job(&job.id).await.unwrap().unwrap();
    // What a daemon does once the collector has removed the last root.
    let options = CollectOptions { grace: Duration::ZERO, ..CollectOptions::default() };
    world.blockstore.collect(&options, std::sync::Arc::new(|_| {}), Default::default()).await.unwrap();
    assert!(world.blockstore.roots(job.id.as_str()).await.unwrap().is_empty());
    assert!(world.ledger.tail(&job.id).await.unwrap().is_some(), "the ledger stays until then");
    assert!(world.ledger.remove_job(&job.id).await.unwrap());
    assert!(world.ledger.tail(&job.id).await.unwrap().is_none());
    assert!(world.ledger.chains(&job.id).await.unwrap().is_empty());
    assert!(world.ledger.remove_job(&job.id).await.unwrap(), "again");
    assert!(world.metadb.remove_terminated(&ended).await.unwrap());
    let gone = world.call(Some(&world.admin), Method::GET, &world.backup(""), None).await;
    refused(gone, StatusCode::NOT_FOUND, "notFound").await;
    // The deployment is free: to be removed, or backed up anew.
    let again = world.metadb.deployment(&job.deployment).await.unwrap().unwrap();
    let anew = world.metadb.create_backup_job(&again, Vec::new()).await.unwrap();
    assert_ne!(anew.id, job.id);
    assert!(!world.metadb.remove_terminated(&anew).await.unwrap(), "one that runs is never removed");
}
