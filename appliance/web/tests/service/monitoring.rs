//! Monitoring: agents report by their key, people and programs read; a report counts once.

use holdfast_agent_api::{
    HostEvent, HostEventKind, HostFacts, HostReport, HostRole, MonitoringReport, MonitoringResponse, RawPing, Tick,
};
use holdfast_domain::{Lease, Role};
use holdfast_metadb::host_id;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::world::{World, ok, refused};

struct Reporter {
    key: String,
    id: String,
}

async fn agent(world: &World, name: &str) -> Reporter {
    let (_, token) = world.metadb.create_enroll_token(&world.group.id).await.unwrap();
    let enrolled = world.metadb.enroll(&token, name, "0.1.0", &format!("instance of {name}")).await.unwrap();
    Reporter { key: enrolled.key, id: enrolled.agent.id.to_string() }
}

fn now() -> i64 {
    bson::DateTime::now().timestamp_millis()
}

impl Reporter {
    async fn post(&self, world: &World, path: &str, body: Vec<u8>) -> reqwest::Response {
        world.agent_call(&self.key, &format!("/agent/v1/monitoring/{path}"), body).await
    }

    async fn asks(&self, world: &World, epoch: Option<i64>, take: Option<&Lease>) -> MonitoringResponse {
        let body = json!({ "version": "0.1.0", "hostname": "h", "clockMillis": now(), "epoch": epoch, "take": take });
        let answer = self.post(world, "config", serde_json::to_vec(&body).unwrap()).await;
        assert_eq!(answer.status(), StatusCode::OK);
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
    }

    async fn reports(&self, world: &World, report: &MonitoringReport) -> (StatusCode, Value) {
        let frame = zstd::bulk::compress(&serde_json::to_vec(report).unwrap(), 3).unwrap();
        let answer = self.post(world, "reports", frame).await;
        let status = answer.status();
        (status, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default())
    }
}

fn ticks(from: i64, count: i64) -> Vec<Tick> {
    let one = |n: i64| Tick {
        host: "db1:27017".into(),
        part: String::new(),
        at: from + n * 10_000,
        values: [("CONNECTIONS".to_owned(), n as f64), ("UPTIME".to_owned(), 1e9)].into(),
    };
    (0..count).map(one).collect()
}

fn host(at: i64) -> HostReport {
    HostReport {
        host: "db1:27017".into(),
        at,
        role: HostRole::Member,
        set: Some("rs0".into()),
        state: "PRIMARY".into(),
        up: true,
        parts: vec!["disk/sda1".into()],
        ..HostReport::default()
    }
}

/// The windows that hold something: start and mean.
fn held(answer: &Value, name: &str) -> Vec<(i64, f64)> {
    let (start, step) = (answer["start"].as_i64().unwrap(), answer["stepSeconds"].as_i64().unwrap());
    let all = answer["measurements"].as_array().unwrap();
    let found = all.iter().find(|m| m["name"] == name).unwrap();
    assert_eq!(found["mean"].as_array().unwrap().len() as i64, answer["windows"].as_i64().unwrap());
    let means = found["mean"].as_array().unwrap().iter().enumerate();
    means.filter_map(|(n, mean)| Some((start + n as i64 * step, mean.as_f64()?))).collect()
}

#[tokio::test]
async fn a_report_counts_once_and_is_read_back() {
    let world = World::new().await;
    let agent = agent(&world, "one").await;
    let active = agent.asks(&world, None, None).await;
    assert_eq!((active.epoch, active.lease.owner.as_str(), active.period_seconds), (Some(1), agent.id.as_str(), 10));
    // On a whole ten seconds, so that each value has a window of its own.
    let from = now() / 10_000 * 10_000 - 600_000;
    let mut measured = ticks(from, 10);
    measured.extend(ticks(from + 200_000, 10));
    let report = MonitoringReport {
        spool: "s".into(),
        seq: 0,
        epoch: 1,
        ticks: measured,
        hosts: vec![host(now())],
        events: vec![HostEvent {
            host: "db1:27017".into(),
            at: from,
            kind: HostEventKind::Restarted,
            detail: String::new(),
        }],
        pings: vec![RawPing {
            host: "db1:27017".into(),
            at: from,
            answers: json!({ "serverStatus": { "uptime": 5 } }),
        }],
        facts: vec![HostFacts {
            host: "db1:27017".into(),
            at: from,
            startup_warnings: vec!["Access control is not enabled".into()],
            unauthenticated: true,
            command_line: json!({ "parsed": { "net.x": 1 } }),
            ..HostFacts::default()
        }],
        gone: Vec::new(),
    };
    for _ in 0..3 {
        assert_eq!(agent.reports(&world, &report).await, (StatusCode::OK, json!({ "taken": 0 })));
    }
    let group = format!("/groups/{}", world.group.name);
    let id = host_id(&world.group.id, "db1:27017").to_string();
    let hosts = world.get(&format!("{group}/hosts")).await;
    assert_eq!(
        (&hosts[0]["id"], &hosts[0]["state"], &hosts[0]["role"]),
        (&json!(id), &json!("PRIMARY"), &json!("member"))
    );
    assert!(hosts[0]["notices"][0].as_str().unwrap().contains("no login"), "{hosts}");
    let path = format!("{group}/hosts/{id}/measurements?metrics=CONNECTIONS,UPTIME");
    let answer = world.get(&path).await;
    assert_eq!((&answer["resolution"], &answer["stepSeconds"]), (&json!("raw"), &json!(10)));
    let values = held(&answer, "CONNECTIONS");
    assert_eq!(values.len(), 20, "each once: {values:?}");
    assert_eq!((values[0], values[10]), ((from / 1_000, 0.0), (from / 1_000 + 200, 0.0)), "and a gap between");
    let coarse = world.get(&format!("{path}&stepSeconds=300")).await;
    assert_eq!(coarse["stepSeconds"], json!(300));
    assert!((held(&coarse, "UPTIME")[0].1 - 1e9).abs() < 1.0);
    let newest = world.call(Some(&world.admin), Method::GET, &format!("{group}/metrics"), None).await;
    assert!(newest.headers()["content-type"].to_str().unwrap().starts_with("application/openmetrics-text"));
    let text = newest.text().await.unwrap();
    assert!(text.contains("holdfast_connections{host=\"db1:27017\",role=\"member\",set=\"rs0\"} 9"), "{text}");
    assert!(text.contains("holdfast_host_up{host=\"db1:27017\"") && text.ends_with("# EOF\n"));
    assert_eq!(world.get(&format!("{group}/hosts/{id}/pings")).await[0]["answers"]["serverStatus"]["uptime"], 5);
    let facts = world.get(&format!("{group}/hosts/{id}/facts")).await;
    assert_eq!(
        (&facts["startupWarnings"][0], &facts["commandLine"]["parsed"]["net.x"]),
        (&json!("Access control is not enabled"), &json!(1))
    );
    let events = world.get(&format!("{group}/hostEvents")).await;
    assert_eq!((events.as_array().unwrap().len(), &events[0]["kind"]), (1, &json!("restarted")));
    let agents = world.get(&format!("{group}/agents")).await;
    assert_eq!(agents[0]["monitoring"]["active"], true, "{agents}");
    let wrong =
        world.call(Some(&world.admin), Method::GET, &format!("{group}/hosts/{id}/measurements?metrics=NO"), None).await;
    refused(wrong, StatusCode::BAD_REQUEST, "badRequest").await;
    let table = world.get("/metrics").await;
    assert!(table.as_array().unwrap().len() >= 110 && table[0]["unit"].is_string());
    // A reader may read, and nobody without a key.
    let reader = world.key(Some(&world.group), Role::ReadOnly).await;
    ok(world.call(Some(&reader), Method::GET, &format!("{group}/hosts/{id}"), None).await).await;
    let nobody = world.call(None, Method::GET, &format!("{group}/metrics"), None).await;
    assert_eq!(nobody.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_report_that_a_dead_server_began_is_stored_without_doubles() {
    let world = World::new().await;
    let agent = agent(&world, "one").await;
    agent.asks(&world, None, None).await;
    let from = now() / 10_000 * 10_000 - 600_000;
    let report = MonitoringReport {
        spool: "s".into(),
        seq: 4,
        epoch: 1,
        ticks: ticks(from, 10),
        hosts: vec![host(now())],
        ..MonitoringReport::default()
    };
    // As if a server had begun, stored four of ten, and died more than a minute ago.
    let id = agent.id.parse().unwrap();
    world.metadb.begin_report(&id, "s", 4).await.unwrap();
    let host = host_id(&world.group.id, "db1:27017");
    let half = report.ticks[..4].iter().map(|tick| holdfast_metadb::Sample {
        series: holdfast_metadb::series_of(&host, ""),
        at: tick.at,
        values: tick.values.clone(),
    });
    world.metadb.add_samples(&half.collect::<Vec<_>>()).await.unwrap();
    let (status, problem) = agent.reports(&world, &report).await;
    assert_eq!((status, &problem["code"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("reportUnderWay")));
    let spools = world.metadb.database().collection::<bson::Document>("monitoring_spools");
    let long_ago = bson::DateTime::from_millis(now() - 120_000);
    spools.update_one(bson::doc! {}, bson::doc! { "$set": { "begunAt": long_ago } }).await.unwrap();
    assert_eq!(agent.reports(&world, &report).await, (StatusCode::OK, json!({ "taken": 4 })));
    let stored = world.metadb.database().collection::<bson::Document>("samples");
    assert_eq!(stored.count_documents(bson::doc! {}).await.unwrap(), 10);
}

#[tokio::test]
async fn a_standby_takes_over_and_the_old_ones_time_ends_there() {
    let world = World::new().await;
    let (one, two) = (agent(&world, "one").await, agent(&world, "two").await);
    let first = one.asks(&world, None, None).await;
    let seen = two.asks(&world, None, None).await;
    assert_eq!((first.epoch, seen.epoch, seen.lease.owner.as_str()), (Some(1), None, one.id.as_str()));
    // The holder beats: what the other saw is no longer the lease.
    assert_eq!(one.asks(&world, Some(1), None).await.epoch, Some(1));
    assert_eq!(two.asks(&world, None, Some(&seen.lease)).await.epoch, None);
    let seen = two.asks(&world, None, None).await;
    let before = now() - 20_000;
    assert_eq!(two.asks(&world, None, Some(&seen.lease)).await.epoch, Some(2));
    assert_eq!(one.asks(&world, Some(1), None).await.epoch, None, "it stands by now");
    // What the old one found before counts, what it found after does not.
    tokio::time::sleep(std::time::Duration::from_millis(30)).await;
    let late = MonitoringReport {
        spool: "s".into(),
        seq: 0,
        epoch: 1,
        ticks: [ticks(before, 1), ticks(now(), 1)].concat(),
        hosts: vec![host(before)],
        ..MonitoringReport::default()
    };
    assert_eq!(one.reports(&world, &late).await.0, StatusCode::OK);
    let stored = world.metadb.database().collection::<bson::Document>("samples");
    assert_eq!(stored.count_documents(bson::doc! {}).await.unwrap(), 1);
    // An agent that was started anew takes its own lease back at once.
    assert_eq!(two.asks(&world, None, None).await.epoch, Some(3));
}

#[tokio::test]
async fn strangers_and_old_protocols_are_refused() {
    let world = World::new().await;
    let wrong = world.agent_call("no-key", "/agent/v1/monitoring/config", b"{}".to_vec()).await;
    refused(wrong, StatusCode::UNAUTHORIZED, "agentKey").await;
    let agent = agent(&world, "one").await;
    let plain = world.call(Some(&agent.key), Method::POST, "//agent/v1/monitoring/config", Some(&json!({}))).await;
    refused(plain, StatusCode::BAD_REQUEST, "protocolVersion").await;
    let nonsense = agent.post(&world, "reports", b"nonsense".to_vec()).await;
    refused(nonsense, StatusCode::BAD_REQUEST, "badRequest").await;
    let path = "/settings/monitoring";
    let settings = world.get(path).await;
    let mut changed = settings.clone();
    changed["periodSeconds"] = json!(60);
    let put = world.call(Some(&world.admin), Method::PUT, path, Some(&changed)).await;
    assert_eq!(ok(put).await["periodSeconds"], 60);
    assert_eq!(agent.asks(&world, None, None).await.period_seconds, 60);
    changed["periodSeconds"] = json!(5);
    let put = world.call(Some(&world.admin), Method::PUT, path, Some(&changed)).await;
    refused(put, StatusCode::BAD_REQUEST, "badRequest").await;
}
