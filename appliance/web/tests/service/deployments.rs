//! Deployments: members with their states, another look, removal.

use holdfast_agent_api::SourceMember;
use holdfast_domain::{AgentId, Role};
use holdfast_metadb::Discovery;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::world::{World, ok, refused, source};

#[tokio::test]
async fn members_are_shown_as_the_agent_saw_them() {
    let world = World::new().await;
    let made = world.metadb.create_deployment(&world.group.id, None, vec!["a:1".into()], None).await.unwrap();
    let path = format!("/groups/{}/deployments/{}", world.group.name, made.id);
    let before = world.get(&path).await;
    assert_eq!((&before["members"], &before["discovered"]), (&json!([]), &json!(null)));
    let member = |host: &str, state: &str, hidden, delay_seconds| SourceMember {
        host: host.into(),
        state: state.into(),
        hidden,
        delay_seconds,
    };
    let mut found = source("rs0");
    found.members = vec![
        member("a:1", "PRIMARY", false, 0),
        member("b:1", "SECONDARY", true, 0),
        member("c:1", "SECONDARY", true, 3600),
        member("d:1", "ARBITER", false, 0),
    ];
    let discovery = Discovery { agent: AgentId::random(), refusal: None, source: Some(found), privileges: Vec::new() };
    world.metadb.record_discovery(&made.id, &discovery).await.unwrap();
    let shown = world.get(&path).await;
    assert_eq!(
        shown["members"],
        json!([
            { "host": "a:1", "state": "PRIMARY", "hidden": false, "delaySeconds": 0 },
            { "host": "b:1", "state": "SECONDARY", "hidden": true, "delaySeconds": 0 },
            { "host": "c:1", "state": "SECONDARY", "hidden": true, "delaySeconds": 3600 },
            { "host": "d:1", "state": "ARBITER", "hidden": false, "delaySeconds": 0 },
        ])
    );
    assert!(shown["discovered"].is_string());
    let again = ok(world.post(&format!("{path}/look"), json!({})).await).await;
    assert_eq!(again["state"], "discovering");
    assert_eq!(world.metadb.deployments_to_discover(&world.group.id).await.unwrap().len(), 1, "an agent is told");
}

#[tokio::test]
async fn only_what_has_no_backup_is_removed() {
    let world = World::new().await;
    let lonely = world.deployment("lonely", None).await;
    let job = world.job().await;
    let path = |id: &holdfast_domain::DeploymentId| format!("/groups/{}/deployments/{id}", world.group.name);
    let delete = async |key: &str, path: &str| world.call(Some(key), Method::DELETE, path, None).await;
    let backed_up = refused(delete(&world.admin, &path(&job.deployment)).await, StatusCode::CONFLICT, "backedUp").await;
    assert!(backed_up.contains("terminate the backup first"), "{backed_up}");
    let viewer = world.key(Some(&world.group), Role::ReadOnly).await;
    refused(delete(&viewer, &path(&lonely.id)).await, StatusCode::FORBIDDEN, "forbidden").await;
    let other = world.metadb.create_group(&format!("other-{}", world.group.name)).await.unwrap();
    let elsewhere = format!("/groups/{}/deployments/{}", other.name, lonely.id);
    refused(delete(&world.admin, &elsewhere).await, StatusCode::NOT_FOUND, "notFound").await;
    ok(delete(&world.admin, &path(&lonely.id)).await).await;
    refused(delete(&world.admin, &path(&lonely.id)).await, StatusCode::NOT_FOUND, "notFound").await;
    assert!(world.metadb.hosts(&world.group.id).await.unwrap().iter().all(|host| host.deployment != lonely.id));
    let audit = world.get(&format!("/groups/{}/audit", world.group.name)).await;
    assert!(audit.to_string().contains("deployment removed"), "{audit}");
}
