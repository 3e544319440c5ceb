//! Agents: enrolment, keys, configuration, taking over.

use std::time::{Duration, Instant};

use holdfast_agent_api::{
    ConfigRequest, DiscoveryReport, EnrollRequest, EnrollResponse, JobReport, PROTOCOL_HEADER, PROTOCOL_VERSION, paths,
};
use holdfast_domain::CloseReason;
use holdfast_metadb::DeploymentState;
use reqwest::StatusCode;

use crate::world::{Knobs, World, ok, op, refused, source};

#[tokio::test]
async fn a_token_gives_one_instance_a_key() {
    let world = World::new().await;
    let ingest = world.instance(Knobs::default()).await;
    let (_, secret) = world.metadb.create_enroll_token(&world.group.id).await.unwrap();
    let send = async |secret: &str, instance: &str| {
        let request = EnrollRequest {
            secret: secret.into(),
            hostname: "h".into(),
            version: "0.1.0".into(),
            instance: instance.into(),
        };
        let call = world.http.post(format!("{}{}", ingest.url, paths::ENROLL)).json(&request);
        call.header(PROTOCOL_HEADER, PROTOCOL_VERSION).send().await.unwrap()
    };
    let first: EnrollResponse = ok(send(&secret, "instance-1").await).await;
    let again: EnrollResponse = ok(send(&secret, "instance-1").await).await;
    assert_eq!(first.agent, again.agent);
    assert_ne!(first.key, again.key);
    let answer = send(&secret, "instance-2").await;
    assert_eq!(refused(answer, StatusCode::UNAUTHORIZED).await.code, "enrollToken");
    let answer = send("hft_unknown", "instance-1").await;
    assert_eq!(refused(answer, StatusCode::UNAUTHORIZED).await.code, "enrollToken");
}

#[tokio::test]
async fn keys_rotate_with_an_overlap_and_can_be_revoked() {
    let world = World::new().await;
    let ingest = world.instance(Knobs::default()).await;
    let agent = world.enroll(&ingest, "a").await;
    let rotated: EnrollResponse = ok(agent.post(paths::ROTATE_KEY, &()).await).await;
    let mut newer = agent.clone();
    newer.enrolled.key = rotated.key;
    agent.ask(None, 0).await;
    newer.ask(None, 0).await;
    world.metadb.revoke_agent(&agent.enrolled.agent).await.unwrap();
    for one in [agent, newer] {
        let request = ConfigRequest {
            version: "0.1.0".into(),
            hostname: "h".into(),
            have_revision: None,
            wait_seconds: 0,
            jobs: Vec::new(),
        };
        let answer = one.post(paths::CONFIG, &request).await;
        assert_eq!(refused(answer, StatusCode::UNAUTHORIZED).await.code, "agentKey");
    }
}

#[tokio::test]
async fn configuration_waits_for_a_change() {
    let world = World::new().await;
    let ingest = world.instance(Knobs::default()).await;
    let mut agent = world.enroll(&ingest, "a").await;
    let job = world.job(&agent, "rs0").await;
    let config = agent.take_job(&job.id).await;
    assert_eq!(config.jobs[0].uri.as_deref(), Some("mongodb://u:secret@a:27017"));
    assert_eq!(config.ca_pins.len(), 1);
    let begun = Instant::now();
    let same = agent.ask(Some(&config.revision), 2).await;
    assert_eq!(same.revision, config.revision);
    assert!(begun.elapsed() >= Duration::from_secs(2), "held");
    // A growing ledger is no change, the end of a chain is.
    let tail = agent.open_chain(&job.id, holdfast_domain::Hash32::ZERO, op(100, 1)).await;
    let opened = agent.ask(None, 0).await;
    assert_ne!(opened.revision, config.revision);
    let slice = agent.payload(&job.id, &tail, 100, 1, 5).await;
    agent.append(&job.id, 0, &slice).await;
    assert_eq!(agent.ask(None, 0).await.revision, opened.revision);
    let begun = Instant::now();
    let (changed, _) = tokio::join!(agent.ask(Some(&opened.revision), 30), async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        world.ledger.force_close(&job.id, CloseReason::ResyncRequested, "x").await.unwrap();
    });
    assert!(changed.jobs[0].tail.as_ref().unwrap().closed.is_some());
    assert!(begun.elapsed() < Duration::from_secs(10), "answered when it changed");
}

#[tokio::test]
async fn reports_are_kept_for_the_assigned_agent() {
    let world = World::new().await;
    let ingest = world.instance(Knobs::default()).await;
    let mut agent = world.enroll(&ingest, "a").await;
    let job = world.job(&agent, "rs0").await;
    agent.take_job(&job.id).await;
    let request = ConfigRequest {
        version: "0.2.0".into(),
        hostname: "elsewhere".into(),
        have_revision: None,
        wait_seconds: 0,
        jobs: vec![JobReport {
            job: job.id.clone(),
            phase: "tail the oplog".into(),
            progress: None,
            member: Some("a:27017".into()),
            source_optime: Some(op(500, 1)),
            sent_optime: None,
            oplog_window: Some((1, 500)),
            spool_bytes: 7,
            error: None,
        }],
    };
    let _: serde_json::Value = ok(agent.post(paths::CONFIG, &request).await).await;
    let kept = world.metadb.backup_job(&job.id).await.unwrap().unwrap();
    assert_eq!(kept.source_optime, Some(op(500, 1)));
    assert_eq!(kept.agent_report.unwrap().report.phase, "tail the oplog");
    assert!(kept.assignment.beat >= 1, "asking proves life");
    let known = world.metadb.agent(&agent.enrolled.agent).await.unwrap().unwrap();
    assert_eq!((known.version.as_str(), known.hostname.as_str()), ("0.2.0", "elsewhere"));
}

#[tokio::test]
async fn a_standby_takes_over_when_the_agent_is_silent() {
    let world = World::new().await;
    let knobs = || Knobs { lease: Duration::from_secs(6), ..Knobs::default() };
    let ingest = world.instance(knobs()).await;
    let (mut agent, job, tail) = world.tailing(&ingest).await;
    let slice = agent.payload(&job.id, &tail, 100, 1, 5).await;
    let mut standby = world.enroll(&ingest, "standby").await;
    // While the agent asks, the standby gets nothing, however long that goes on.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(9) {
        agent.ask(None, 0).await;
        assert!(standby.ask(None, 0).await.jobs.is_empty(), "a standby gets no jobs");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    // The agent falls silent.
    let begun = Instant::now();
    let taken = loop {
        let config = standby.ask(None, 0).await;
        if let Some(job) = config.jobs.first() {
            break job.clone();
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "the standby never took over");
        tokio::time::sleep(Duration::from_millis(250)).await;
    };
    assert!(begun.elapsed() >= Duration::from_secs(5), "not before its lease was over");
    assert_eq!(taken.assignment_epoch, agent.epoch + 1);
    standby.epoch = taken.assignment_epoch;
    // The old one comes back with what it still has.
    let answer = agent.append(&job.id, 0, &slice).await;
    assert_eq!(refused(answer, StatusCode::FORBIDDEN).await.code, "staleAssignment");
    assert_eq!(standby.append(&job.id, 0, &slice).await.status(), StatusCode::OK);
    agent.epoch = 0;
    assert!(agent.ask(None, 0).await.jobs.is_empty(), "now it stands by");
}

#[tokio::test]
async fn discoveries_are_asked_for_and_kept() {
    let world = World::new().await;
    let ingest = world.instance(Knobs::default()).await;
    let agent = world.enroll(&ingest, "a").await;
    let made = world.metadb.create_deployment(&world.group.id, None, vec!["a:1".into()], None).await.unwrap();
    let asked = agent.ask(None, 0).await.discoveries;
    assert_eq!(asked.len(), 1);
    assert_eq!((&asked[0].deployment, &asked[0].uri), (&made.id, &None));
    let path = paths::discovery(&made.id);
    let neither = DiscoveryReport { refusal: None, source: None, privileges: Vec::new() };
    assert_eq!(refused(agent.post(&path, &neither).await, StatusCode::BAD_REQUEST).await.code, "badRequest");
    let report = DiscoveryReport { refusal: None, source: Some(source("rs7")), privileges: Vec::new() };
    let other = world.metadb.create_group(&format!("other{}", world.group.name)).await.unwrap();
    let stranger = world.enroll_in(&other, &ingest, "stranger").await;
    let answer = stranger.post(&path, &report).await;
    assert_eq!(refused(answer, StatusCode::FORBIDDEN).await.code, "notYourDeployment");
    assert_eq!(agent.post(&path, &report).await.status(), StatusCode::NO_CONTENT);
    let kept = world.metadb.deployment(&made.id).await.unwrap().unwrap();
    assert_eq!((kept.state, kept.rs.as_deref()), (DeploymentState::Found, Some("rs7")));
    assert!(agent.ask(None, 0).await.discoveries.is_empty());
}
