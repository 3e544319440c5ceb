//! Groups, keys, agents, enrolment, daemons, settings, audit; against a real server.

use std::time::Duration;

use crate::support::*;
use bson::{DateTime, Document, doc};
use holdfast_domain::{Classify as _, DaemonId, ErrorClass};
use holdfast_metadb::{
    AuditEntry, DaemonBeat, DaemonFileSystem, DaemonHead, DaemonSpace, EnrollError, MetaDb, MetaError, NewApiKey,
    NewDaemon, Role,
};

const INSTANCE: &str = "instance-1";

#[tokio::test]
async fn many_open_at_once() {
    let server = Server::start().await;
    let db = server.db.client().database("fresh");
    let opened = futures::future::join_all((0..6).map(|_| MetaDb::open(db.clone()))).await;
    assert!(opened.iter().all(Result::is_ok), "{opened:?}");
    let schema = db.collection::<Document>("meta").find_one(doc! { "_id": "schema" }).await.unwrap().unwrap();
    assert_eq!(schema.get_i32("version").unwrap(), 4);
    // A newer program's database is taken as it is.
    db.collection::<Document>("meta").update_one(doc! {}, doc! { "$set": { "version": 99 } }).await.unwrap();
    MetaDb::open(db).await.unwrap();
}

#[tokio::test]
async fn keys_of_the_first_release_keep_what_they_allow() {
    let server = Server::start().await;
    let db = server.db.client().database("old");
    MetaDb::open(db.clone()).await.unwrap();
    let keys = db.collection::<Document>("api_keys");
    let old = |secret: &str, role: &str| {
        doc! { "_id": holdfast_metadb::hash_secret(secret), "group": null, "role": role, "label": "old",
        "created": bson::DateTime::now(), "expires": null }
    };
    let words = [("admin", Role::Owner), ("operator", Role::BackupAdmin), ("viewer", Role::ReadOnly)];
    keys.insert_many(words.map(|(word, _)| old(word, word))).await.unwrap();
    // As the first release left it.
    db.collection::<Document>("meta").update_one(doc! {}, doc! { "$set": { "version": 1 } }).await.unwrap();
    let meta = MetaDb::open(db.clone()).await.unwrap();
    keys.insert_one(old("late", "operator")).await.unwrap();
    for (word, role) in words {
        assert_eq!(meta.verify_api_key(word).await.unwrap().unwrap().role, role, "{word}");
        let stored = keys.find_one(doc! { "role": word, "access": role.as_str() }).await.unwrap();
        assert!(stored.is_some(), "an older server still finds its word, and the new one beside it");
    }
    let late = meta.verify_api_key("late").await.unwrap().unwrap();
    assert_eq!(late.role, Role::BackupAdmin, "a key that an older server made after the migration");
}

#[tokio::test]
async fn groups_and_keys() {
    let server = Server::start().await;
    let meta = &server.meta;
    let shop = meta.create_group(" shop ").await.unwrap();
    assert_eq!(shop.name, "shop");
    assert!(matches!(meta.create_group("shop").await, Err(MetaError::Exists { .. })));
    assert!(matches!(meta.create_group("  ").await, Err(MetaError::Invalid { .. })));
    assert!(matches!(meta.create_group(shop.id.as_str()).await, Err(MetaError::Invalid { .. })), "an id as a name");
    assert_eq!(meta.group_by_name("shop").await.unwrap().unwrap(), shop);
    assert_eq!(meta.group(&shop.id).await.unwrap().unwrap(), shop);
    assert_eq!(meta.groups().await.unwrap().len(), 1);

    let new = |lifetime| NewApiKey { lifetime, ..NewApiKey::new(Some(shop.id.clone()), Role::BackupAdmin, "ci") };
    let (key, secret) = meta.create_api_key(new(None)).await.unwrap();
    let verified = meta.verify_api_key(&secret).await.unwrap().unwrap();
    assert_eq!((verified.group, verified.role), (Some(shop.id.clone()), Role::BackupAdmin));
    assert!(meta.verify_api_key(&format!("{secret}x")).await.unwrap().is_none());
    let stored: Document = server.db.collection("api_keys").find_one(doc! {}).await.unwrap().unwrap();
    assert!(!stored.to_string().contains(&secret), "the secret is stored nowhere");
    let (_, over) = meta.create_api_key(new(Some(Duration::ZERO))).await.unwrap();
    assert!(meta.verify_api_key(&over).await.unwrap().is_none(), "expired");
    assert!(meta.revoke_api_key(&key.hash).await.unwrap());
    assert!(!meta.revoke_api_key(&key.hash).await.unwrap());
    assert!(meta.verify_api_key(&secret).await.unwrap().is_none(), "revoked");
    assert_eq!(meta.api_keys(Some(&shop.id)).await.unwrap().len(), 2);

    // The first key comes from a file: the same again changes nothing.
    let admin = NewApiKey::new(None, Role::Owner, "first");
    let first = meta.ensure_api_key("a secret of some length", admin.clone()).await.unwrap();
    assert_eq!(meta.ensure_api_key("a secret of some length", admin.clone()).await.unwrap(), first);
    assert!(matches!(meta.ensure_api_key("short", admin).await, Err(MetaError::Invalid { .. })));
    assert_eq!(meta.api_keys(None).await.unwrap(), [first]);
}

#[tokio::test]
async fn enrolment_and_agents_keys() {
    let server = Server::start().await;
    let meta = &server.meta;
    let group = meta.create_group("shop").await.unwrap().id;
    let (record, secret) = meta.create_enroll_token(&group).await.unwrap();
    let hours = (record.expires.timestamp_millis() - record.created.timestamp_millis()) / 3_600_000;
    assert_eq!(hours, 24);
    assert!(matches!(meta.enroll("nonsense", "h", "1", INSTANCE).await, Err(EnrollError::Unknown)));
    let (_, over) = meta.create_enroll_token_for(&group, Duration::ZERO).await.unwrap();
    assert!(matches!(meta.enroll(&over, "h", "1", INSTANCE).await, Err(EnrollError::Expired)));

    let first = meta.enroll(&secret, "db1", "0.1.0", INSTANCE).await.unwrap();
    assert_eq!(first.agent.group, group);
    assert_eq!(meta.authenticate_agent(&first.key).await.unwrap().unwrap().id, first.agent.id);
    // The answer was lost: the same instance asks again and stays the same agent. Another one is refused.
    let again = meta.enroll(&secret, "db1", "0.1.0", INSTANCE).await.unwrap();
    assert_eq!(again.agent.id, first.agent.id);
    assert_ne!(again.key, first.key);
    let other = meta.enroll(&secret, "db2", "0.1.0", "instance-2").await;
    assert!(matches!(other, Err(EnrollError::Used)), "{other:?}");
    assert_eq!(meta.agents(&group).await.unwrap().len(), 1);

    // Rotation: the old key works on for the overlap, then no more.
    let id = &first.agent.id;
    let rotated = meta.rotate_agent_key(id, Duration::from_secs(3600)).await.unwrap();
    for key in [&first.key, &again.key, &rotated] {
        assert!(meta.authenticate_agent(key).await.unwrap().is_some());
    }
    let second = meta.rotate_agent_key(id, Duration::ZERO).await.unwrap();
    for key in [&first.key, &again.key, &rotated] {
        assert!(meta.authenticate_agent(key).await.unwrap().is_none(), "the overlap is over");
    }
    for _ in 0..6 {
        meta.rotate_agent_key(id, Duration::from_secs(3600)).await.unwrap();
    }
    let agent = meta.agent(id).await.unwrap().unwrap();
    assert_eq!(agent.keys.len(), 4, "bounded");
    assert!(agent.keys[..3].iter().all(|key| key.expires.is_some()) && agent.keys[3].expires.is_none());
    assert!(meta.authenticate_agent(&second).await.unwrap().is_none(), "pushed out");

    let last = meta.rotate_agent_key(id, Duration::from_secs(3600)).await.unwrap();
    meta.touch_agent(id, "db1", "0.2.0").await.unwrap();
    let touched = meta.authenticate_agent(&last).await.unwrap().unwrap();
    assert_eq!((touched.version.as_str(), touched.beat), ("0.2.0", 1));
    assert!(meta.revoke_agent(id).await.unwrap());
    assert!(meta.authenticate_agent(&last).await.unwrap().is_none());
    assert!(matches!(meta.rotate_agent_key(id, Duration::ZERO).await, Err(MetaError::NotFound { .. })));
    // A new token brings it back, as the same agent.
    let (_, fresh) = meta.create_enroll_token(&group).await.unwrap();
    let back = meta.enroll(&fresh, "db1", "0.2.0", INSTANCE).await.unwrap();
    assert_eq!(&back.agent.id, id);
    assert!(meta.authenticate_agent(&back.key).await.unwrap().is_some());
    assert!(meta.authenticate_agent(&last).await.unwrap().is_none(), "a revoked key stays revoked");
}

#[tokio::test]
async fn one_token_for_many_at_once_makes_one_agent() {
    let server = Server::start().await;
    let group = server.meta.create_group("shop").await.unwrap().id;
    let (_, secret) = server.meta.create_enroll_token(&group).await.unwrap();
    let instances: Vec<String> = (0..8).map(|n| format!("instance-{n}")).collect();
    let tried = futures::future::join_all(instances.iter().map(|i| server.meta.enroll(&secret, "h", "1", i))).await;
    assert_eq!(tried.iter().filter(|r| r.is_ok()).count(), 1, "{tried:?}");
    assert_eq!(server.meta.agents(&group).await.unwrap().len(), 1);
}

#[tokio::test]
async fn deployments_and_hosts() {
    let server = Server::start().await;
    let meta = &server.meta;
    let group = meta.create_group("shop").await.unwrap().id;
    let one = meta.create_deployment(&group, None, vec!["a:1".into()], Some(vec![1, 2, 3])).await.unwrap();
    assert_eq!(meta.deployments_to_discover(&group).await.unwrap().len(), 1);
    let refused =
        holdfast_metadb::Discovery { refusal: Some("it is a standalone".into()), source: None, ..found("x", &[]) };
    let after = meta.record_discovery(&one.id, &refused).await.unwrap().unwrap();
    assert_eq!(after.state, holdfast_metadb::DeploymentState::Refused);
    assert!(meta.create_backup_job(&after, Vec::new()).await.is_err());
    assert!(meta.deployments_to_discover(&group).await.unwrap().is_empty());
    meta.rediscover(&one.id).await.unwrap();
    let after = meta.record_discovery(&one.id, &found("rs0", &["a:1", "b:1"])).await.unwrap().unwrap();
    assert_eq!((after.rs.as_deref(), after.uri_sealed()), (Some("rs0"), Some(&[1, 2, 3][..])));
    assert_eq!(after.source, Some(source("rs0", &["a:1", "b:1"])));
    assert_eq!(meta.deployment_by_rs(&group, "rs0").await.unwrap().unwrap().id, one.id);
    assert_eq!(meta.hosts(&group).await.unwrap().iter().map(|h| h.host.as_str()).collect::<Vec<_>>(), ["a:1", "b:1"]);
    meta.record_discovery(&one.id, &found("rs0", &["b:1", "c:1"])).await.unwrap();
    assert_eq!(meta.hosts(&group).await.unwrap().iter().map(|h| h.host.as_str()).collect::<Vec<_>>(), ["b:1", "c:1"]);
    // The same set under another address.
    let two = meta.create_deployment(&group, None, vec!["c:1".into()], None).await.unwrap();
    let after = meta.record_discovery(&two.id, &found("rs0", &["c:1"])).await.unwrap().unwrap();
    assert_eq!(after.state, holdfast_metadb::DeploymentState::Refused);
    assert!(after.refusal.unwrap().contains("already"), "said, not lost");
    assert!(meta.remove_deployment(&two.id).await.unwrap());
    let kept = meta.deployment(&one.id).await.unwrap().unwrap();
    meta.create_backup_job(&kept, Vec::new()).await.unwrap();
    assert!(matches!(meta.create_backup_job(&kept, Vec::new()).await, Err(MetaError::Exists { .. })));
    assert!(matches!(meta.remove_deployment(&one.id).await, Err(MetaError::Exists { .. })));
}

#[tokio::test]
async fn daemons_settings_and_audit() {
    let server = Server::start().await;
    let meta = &server.meta;
    let new = NewDaemon { name: "d1".into(), version: "1".into(), labels: vec!["ssd".into()], ports: vec![27500] };
    let daemon = meta.register_daemon(&new).await.unwrap();
    assert_eq!(meta.register_daemon(&new).await.unwrap().id, daemon.id, "the same name is the same daemon");
    let head = DaemonHead {
        job: holdfast_domain::BackupJobId::random(),
        generation: 1,
        bytes: 5 << 40,
        phase: "apply".into(),
    };
    let space = DaemonSpace { total_bytes: 10, used_bytes: 4, free_bytes: 6 };
    let file_system = Some(DaemonFileSystem { name: "xfs".into(), finds_changes: true, recommendation: "good".into() });
    let beat = DaemonBeat {
        space,
        file_system: file_system.clone(),
        heads: vec![head],
        ports: vec![8640],
        labels: vec![],
        busy_percent: None,
    };
    meta.beat_daemon(&daemon.id, &beat).await.unwrap();
    let seen = meta.daemons().await.unwrap().remove(0);
    assert_eq!(seen.file_system, file_system);
    assert_eq!((seen.space, seen.heads.len(), seen.ports.as_slice(), seen.beat), (space, 1, &[8640][..], 3));
    assert!(matches!(meta.beat_daemon(&DaemonId::random(), &beat).await, Err(MetaError::NotFound { .. })));

    assert_eq!(meta.appliance_setting("mail").await.unwrap(), None);
    meta.put_appliance_setting("mail", doc! { "to": "x" }).await.unwrap();
    meta.put_appliance_setting("mail", doc! { "to": "y" }).await.unwrap();
    assert_eq!(meta.appliance_setting("mail").await.unwrap(), Some(doc! { "to": "y" }));

    let entry = AuditEntry {
        who: "first".into(),
        action: "createGroup".into(),
        target: "shop".into(),
        ..AuditEntry::default()
    };
    meta.audit(entry).await.unwrap();
    let stored = meta.audit_entries(None, 10).await.unwrap();
    assert_eq!((stored.len(), stored[0].action.as_str()), (1, "createGroup"));
    assert!(stored[0].at <= DateTime::now());
    assert_eq!(MetaError::Fenced.class(), ErrorClass::Cancelled);
}
