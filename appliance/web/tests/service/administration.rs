//! Daemons that are emptied and labelled, and the job queue.

use holdfast_domain::BackupEvent;
use holdfast_metadb::{BlockstoreWork, DaemonBeat, DaemonHead, DaemonSpace, Role};
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::world::{World, ok, refused};

#[tokio::test]
async fn a_daemon_is_emptied_and_labelled() {
    let world = World::new().await;
    let job = world.job().await;
    let first = world.daemon("first", 50 << 30).await;
    world.daemon("second", 50 << 30).await;
    assert!(world.metadb.bind_daemon(&job.id, None, &first.id).await.unwrap());
    let beat = DaemonBeat {
        space: DaemonSpace { total_bytes: 100 << 30, used_bytes: 50 << 30, free_bytes: 50 << 30 },
        heads: vec![DaemonHead { job: job.id.clone(), generation: 1, bytes: 7, phase: "follow".into() }],
        ports: vec![8640, 8641, 28000],
        labels: vec!["mongod-6.0".into()],
        busy_percent: Some(37),
        ..DaemonBeat::default()
    };
    world.metadb.beat_daemon(&first.id, &beat).await.unwrap();
    let shown = world.get("/daemons").await;
    assert_eq!((&shown[0]["name"], &shown[0]["ports"]), (&json!("first"), &json!([8640, 8641, 28000])));
    assert_eq!((&shown[0]["busyPercent"], &shown[0]["totalBytes"]), (&json!(37), &json!(100_u64 << 30)));
    assert_eq!((&shown[0]["headList"][0]["rs"], &shown[0]["headList"][0]["bytes"]), (&json!("rs0"), &json!(7)));

    let change = async |key: &str, body| world.call(Some(key), Method::PATCH, "/daemons/first", Some(&body)).await;
    let labelled = ok(change(&world.admin, json!({ "givenLabels": ["ssd", "eu"] })).await).await;
    assert_eq!(labelled["labels"], json!(["eu", "mongod-6.0", "ssd"]));
    // What operators gave survives the daemon's own reports.
    world.metadb.beat_daemon(&first.id, &beat).await.unwrap();
    assert_eq!(world.get("/daemons").await[0]["labels"], json!(["eu", "mongod-6.0", "ssd"]));
    refused(change(&world.admin, json!({ "givenLabels": ["a b"] })).await, StatusCode::BAD_REQUEST, "badRequest").await;
    let viewer = world.key(None, Role::ReadOnly).await;
    refused(change(&viewer, json!({ "draining": true })).await, StatusCode::FORBIDDEN, "forbidden").await;

    let draining = ok(change(&world.admin, json!({ "draining": true })).await).await;
    assert_eq!(draining["draining"], true);
    // Nothing new goes there: neither by hand nor by the appliance.
    let back = world.post(&world.backup("/move"), json!({ "daemon": "first" })).await;
    refused(back, StatusCode::CONFLICT, "daemonDraining").await;
    ok(world.call(Some(&world.admin), Method::PATCH, "/daemons/second", Some(&json!({ "draining": true }))).await)
        .await;
    world.metadb.operate(&job.id, BackupEvent::Stop).await.unwrap();
    let start = world.post(&world.backup("/start"), json!({})).await;
    let why = refused(start, StatusCode::UNPROCESSABLE_ENTITY, "headSpace").await;
    assert!(why.contains("being emptied"), "{why}");
    // The daemon's own wish to move a head waits for an operator's.
    let second = world.metadb.daemons().await.unwrap().remove(1);
    assert!(world.metadb.drain_job(&job.id, &first.id, &second.id).await.unwrap());
    assert!(!world.metadb.drain_job(&job.id, &first.id, &second.id).await.unwrap());
    let shown = world.get("/daemons").await;
    assert_eq!(shown[0]["headList"][0]["movesTo"], "second");
    let moving = world.get("/jobs?kind=move").await;
    assert_eq!(moving["jobs"][0]["title"], "Head of rs0 moves to second", "{moving}");

    world.metadb.set_drain_fault(&first.id, Some("rs0: no room")).await.unwrap();
    assert_eq!(world.get("/daemons").await[0]["drainFault"], "rs0: no room");
    let back = ok(change(&world.admin, json!({ "draining": false })).await).await;
    assert_eq!((&back["draining"], &back["drainFault"]), (&json!(false), &json!(null)));
    let audit = world.get("/audit").await;
    let noted = &audit["entries"][0];
    assert_eq!((&noted["action"], &noted["before"]["draining"]), (&json!("daemon changed"), &json!(true)));
    let unknown = world.call(Some(&world.admin), Method::PATCH, "/daemons/third", Some(&json!({}))).await;
    refused(unknown, StatusCode::NOT_FOUND, "notFound").await;
}

#[tokio::test]
async fn the_job_queue_shows_all_work_in_pages() {
    let world = World::new().await;
    let job = world.job().await;
    let daemon = world.daemon("worker", 50 << 30).await;
    assert!(world.metadb.bind_daemon(&job.id, None, &daemon.id).await.unwrap());
    world.metadb.request_snapshot(&job.id, Some("before the move"), false).await.unwrap();
    let mut asked = Vec::new();
    for _ in 0..3 {
        asked.push(world.metadb.ask_blockstore(BlockstoreWork::Plan, "someone").await.unwrap());
    }
    let taken = world.metadb.take_blockstore_request(&asked[0], daemon.id.as_str()).await.unwrap().unwrap();
    let why = Err(Some("the disk is full".to_owned()));
    world.metadb.finish_blockstore_request(&taken.id, daemon.id.as_str(), why).await.unwrap();

    let mut seen = Vec::new();
    let mut path = "/jobs?limit=2".to_owned();
    loop {
        let page = world.get(&path).await;
        seen.extend(page["jobs"].as_array().unwrap().clone());
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/jobs?limit=2&cursor={next}");
    }
    let titles: Vec<&str> = seen.iter().map(|job| job["title"].as_str().unwrap()).collect();
    assert_eq!(titles[..3], ["What a collection would free"; 3], "{titles:?}");
    assert_eq!(titles[3..], ["Snapshot of rs0: before the move", "Initial sync of rs0"]);
    let failed = world.get("/jobs?state=failed").await;
    let failed = &failed["jobs"];
    assert_eq!(failed.as_array().unwrap().len(), 1);
    assert_eq!(
        (&failed[0]["error"], &failed[0]["daemon"], &failed[0]["attempt"], &failed[0]["askedBy"]),
        (&json!("the disk is full"), &json!("worker"), &json!(1), &json!("someone"))
    );
    let syncs = world.get("/jobs?kind=backup&state=running").await;
    assert_eq!((&syncs["jobs"][0]["rs"], &syncs["jobs"][0]["group"]), (&json!("rs0"), &json!(world.group.name)));
    assert_eq!(world.get("/jobs?kind=restore").await["jobs"], json!([]));
    let wrong = world.call(Some(&world.admin), Method::GET, "/jobs?cursor=nonsense", None).await;
    refused(wrong, StatusCode::BAD_REQUEST, "badRequest").await;
    // Of one group alone, or of none: not for them.
    let own = world.key(Some(&world.group), Role::Owner).await;
    refused(world.call(Some(&own), Method::GET, "/jobs", None).await, StatusCode::FORBIDDEN, "forbidden").await;
}
