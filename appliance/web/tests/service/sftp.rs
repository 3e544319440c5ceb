//! SFTP targets: the host key is looked at and pinned, the group's key opens the server, restores name a target.

use holdfast_domain::{DeliveryState, Role};
use holdfast_tests::sshd::Sshd;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::world::{World, ok, op, refused};

fn target(sshd: &Sshd, host_key: &str) -> Value {
    json!({
        "name": "vault", "host": "127.0.0.1", "port": sshd.port(), "user": sshd.user(),
        "folder": sshd.folder().to_str().unwrap(), "hostKey": host_key,
    })
}

#[tokio::test]
async fn a_target_is_added_with_the_key_that_was_looked_at_and_refused_with_another() {
    let world = World::new().await;
    let mut sshd = Sshd::start().unwrap();
    let below = |rest: &str| format!("/groups/{}/sftp{rest}", world.group.name);
    let at = json!({ "host": "127.0.0.1", "port": sshd.port() });
    let shown = ok(world.post(&below("/look"), at).await).await;
    let kept = sshd.host_key().unwrap();
    let host_key = shown["hostKey"].as_str().unwrap();
    assert!(kept.starts_with(host_key) && shown["fingerprint"].as_str().unwrap().starts_with("SHA256:"), "{shown}");
    let unseen = world.post(&below("/targets"), target(&sshd, "")).await;
    let detail = refused(unseen, StatusCode::BAD_REQUEST, "badRequest").await;
    assert!(detail.contains("look at the server first"), "{detail}");
    let added = world.post(&below("/targets"), target(&sshd, host_key)).await;
    assert_eq!(added.status(), StatusCode::CREATED);
    refused(world.post(&below("/targets"), target(&sshd, host_key)).await, StatusCode::CONFLICT, "exists").await;
    let listed = world.get(&below("/targets")).await;
    assert_eq!((listed[0]["name"].as_str(), &listed[0]["fingerprint"]), (Some("vault"), &shown["fingerprint"]));

    // The key is made once, its private half is sealed.
    let key = world.get(&below("/key")).await;
    assert_eq!(world.get(&below("/key")).await, key);
    let stored = world.metadb.sftp_key(&world.group.id).await.unwrap().unwrap();
    assert!(!format!("{stored:?}").contains("PRIVATE"));

    let test = async || world.post(&below("/targets/vault/test"), json!({})).await;
    let detail = refused(test().await, StatusCode::UNPROCESSABLE_ENTITY, "sftpLoginRefused").await;
    assert!(detail.contains("authorized_keys"), "{detail}");
    sshd.authorize(key["publicKey"].as_str().unwrap()).unwrap();
    assert!(ok(test().await).await["freeBytes"].as_u64().unwrap() > 0);

    sshd.new_host_key().unwrap();
    let detail = refused(test().await, StatusCode::UNPROCESSABLE_ENTITY, "sftpHostKeyChanged").await;
    assert!(detail.contains(shown["fingerprint"].as_str().unwrap()) && detail.contains("nothing was sent"), "{detail}");

    let gone = world.call(Some(&world.admin), Method::DELETE, &below("/targets/vault"), None).await;
    assert_eq!(gone.status(), StatusCode::NO_CONTENT);
    refused(test().await, StatusCode::NOT_FOUND, "notFound").await;
}

#[tokio::test]
async fn a_restore_names_a_target_of_its_group_and_its_delivery_is_called_off() {
    let world = World::new().await;
    let sshd = Sshd::start().unwrap();
    let job = world.job().await;
    world.open_chain(&job.id, op(100, 1)).await;
    let root = world.snapshot(&job.id, op(105, 2), 0, 1).await;
    let path = world.backup("/restores");
    let body = json!({ "snapshot": root.id.to_string(), "format": "tar", "sftp": "vault" });
    refused(world.post(&path, body.clone()).await, StatusCode::NOT_FOUND, "notFound").await;
    let targets = format!("/groups/{}/sftp/targets", world.group.name);
    ok(world.post(&targets, target(&sshd, &sshd.host_key().unwrap())).await).await;
    let made = ok(world.post(&path, body).await).await;
    let delivery = &made["delivery"];
    assert_eq!((&delivery["target"], &delivery["state"]), (&json!("vault"), &json!("waiting")), "{made}");
    let file = delivery["path"].as_str().unwrap();
    assert!(file.starts_with(sshd.folder().to_str().unwrap()) && file.ends_with(".tar"), "{file}");
    let id = made["id"].as_str().unwrap();
    let open = world.metadb.open_deliveries().await.unwrap();
    assert_eq!(open.iter().map(|job| job.id.to_string()).collect::<Vec<_>>(), [id]);

    let off = format!("/restores/{id}/delivery");
    let reader = world.key(Some(&world.group), Role::ReadOnly).await;
    let not_theirs = world.call(Some(&reader), Method::DELETE, &off, None).await;
    assert_eq!(not_theirs.status(), StatusCode::FORBIDDEN);
    let called_off = world.call(Some(&world.admin), Method::DELETE, &off, None).await;
    assert_eq!(called_off.status(), StatusCode::NO_CONTENT);
    let again = world.call(Some(&world.admin), Method::DELETE, &off, None).await;
    refused(again, StatusCode::CONFLICT, "deliveryEnded").await;
    let kept = world.metadb.restore_jobs(&job.id).await.unwrap().remove(0);
    assert_eq!(kept.delivery.unwrap().state, DeliveryState::Cancelled);
    assert!(world.metadb.open_deliveries().await.unwrap().is_empty());
    assert_eq!(world.get(&format!("/restores/{id}")).await["state"], "ready", "the link works on");

    // It is pushed later too: to a target of the group, once at a time.
    let push = async |target: &str| world.post(&off, json!({ "sftp": target })).await;
    refused(push("nothing").await, StatusCode::NOT_FOUND, "notFound").await;
    let asked = ok(push("vault").await).await;
    assert_eq!((&asked["state"], &asked["path"], &asked["attempts"]), (&json!("waiting"), &json!(file), &json!(0)));
    refused(push("vault").await, StatusCode::CONFLICT, "notDeliverable").await;
    assert_eq!(world.metadb.open_deliveries().await.unwrap().len(), 1);
    let theirs = world.call(Some(&reader), Method::POST, &off, Some(&json!({ "sftp": "vault" }))).await;
    assert_eq!(theirs.status(), StatusCode::FORBIDDEN);
    let actions: Vec<String> = world
        .metadb
        .audit_page(&holdfast_metadb::AuditFilter::default(), 50)
        .await
        .unwrap()
        .into_iter()
        .map(|entry| entry.action)
        .collect();
    for action in ["SFTP target added", "delivery asked for", "delivery called off"] {
        assert!(actions.iter().any(|a| a == action), "{action}: {actions:?}");
    }
}

#[tokio::test]
async fn a_look_at_a_server_is_bounded_and_written_down() {
    let world = World::new().await;
    let path = format!("/groups/{}/sftp/look", world.group.name);
    for bad in ["", "a b", "a\nb"] {
        refused(world.post(&path, json!({ "host": bad })).await, StatusCode::BAD_REQUEST, "badRequest").await;
    }
    let closed = holdfast_mongod::free_port().unwrap();
    let mut looks = 0;
    let locked = loop {
        let answer = world.post(&path, json!({ "host": "127.0.0.1", "port": closed })).await;
        if answer.status() == StatusCode::TOO_MANY_REQUESTS {
            break answer;
        }
        refused(answer, StatusCode::UNPROCESSABLE_ENTITY, "sftpConnection").await;
        looks += 1;
        assert!(looks <= 60);
    };
    refused(locked, StatusCode::TOO_MANY_REQUESTS, "lockedOut").await;
    let all = world.metadb.audit_page(&holdfast_metadb::AuditFilter::default(), 100).await.unwrap();
    let named = format!("127.0.0.1:{closed}");
    assert!(all.iter().any(|entry| entry.action == "SFTP server looked at" && entry.target == named));
}
