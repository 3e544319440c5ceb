//! The appliance's log, and the diagnostics bundle: complete, and without any secret.

use std::{collections::BTreeMap, io::Read as _};

use holdfast_metadb::{LogLevel, LogSource, NewLogLine, Role};
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::world::{World, ok, op, refused};

async fn say(world: &World, program: &str, at_millis: i64, level: LogLevel, message: &str) {
    let source = LogSource { program: program.to_owned(), instance: "host 1".to_owned() };
    let (target, fields) = ("holdfast::part".to_owned(), "job=j1".to_owned());
    let line = NewLogLine { at_millis, level, target, message: message.to_owned(), fields };
    world.metadb.add_log_lines(&source, &[line]).await.unwrap();
}

async fn messages(world: &World, query: &str) -> Vec<String> {
    let page = world.get(&format!("/logs{query}")).await;
    page["lines"].as_array().unwrap().iter().map(|line| line["message"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn lines_are_filtered_and_paged_newest_first() {
    let world = World::new().await;
    assert_eq!(world.get("/logs").await, json!({ "lines": [], "next": null }));
    world.metadb.create_logs().await.unwrap();
    world.metadb.create_logs().await.unwrap();
    for n in 0..5 {
        say(&world, "web", 1_000 + n, LogLevel::Info, &format!("request {n}")).await;
    }
    say(&world, "daemon", 2_000, LogLevel::Error, "Disk (full)").await;
    say(&world, "daemon", 1_500, LogLevel::Warn, "slow").await;
    assert_eq!(messages(&world, "?limit=3").await, ["Disk (full)", "slow", "request 4"]);
    assert_eq!(messages(&world, "?level=warn").await, ["Disk (full)", "slow"]);
    assert_eq!(messages(&world, "?level=error&program=web").await, Vec::<String>::new());
    assert_eq!(messages(&world, "?text=disk%20(FULL)").await, ["Disk (full)"]);
    assert_eq!(messages(&world, "?text=.*").await, Vec::<String>::new(), "a text is no pattern");
    let first = world.get("/logs?limit=4").await;
    let next = first["next"].as_str().unwrap();
    assert_eq!(messages(&world, &format!("?limit=4&before={next}")).await, ["request 2", "request 1", "request 0"]);
    for wrong in ["level=debug".to_owned(), format!("text={}", "x".repeat(201))] {
        let answer = world.call(Some(&world.admin), Method::GET, &format!("/logs?{wrong}"), None).await;
        refused(answer, StatusCode::BAD_REQUEST, "badRequest").await;
    }
    for role in [Role::ReadOnly, Role::BackupAdmin, Role::UserAdmin] {
        let key = world.key(None, role).await;
        for path in ["/logs", "/diagnostics"] {
            let answer = world.call(Some(&key), Method::GET, path, None).await;
            refused(answer, StatusCode::FORBIDDEN, "forbidden").await;
        }
    }
    let owner = world.key(Some(&world.group), Role::Owner).await;
    refused(world.call(Some(&owner), Method::GET, "/logs", None).await, StatusCode::FORBIDDEN, "forbidden").await;
}

/// The files of a bundle.
fn unpacked(packed: &[u8]) -> BTreeMap<String, String> {
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(packed));
    let mut files = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().to_string_lossy().into_owned();
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        files.insert(name.strip_prefix("holdfast-diagnostics/").unwrap().to_owned(), text);
    }
    files
}

async fn bundle(world: &World, key: &str) -> BTreeMap<String, String> {
    let answer = world.call(Some(key), Method::GET, "/diagnostics", None).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["content-type"], "application/gzip");
    assert!(answer.headers()["content-disposition"].to_str().unwrap().contains("holdfast-diagnostics-"));
    unpacked(&answer.bytes().await.unwrap())
}

#[tokio::test]
async fn the_bundle_holds_what_is_needed_and_no_secret() {
    let world = World::new().await;
    let job = world.job().await;
    world.open_chain(&job.id, op(100, 1)).await;
    let root = world.snapshot(&job.id, op(105, 2), 0, 1).await;
    say(&world, "daemon", 2_000, LogLevel::Error, "the disk is full").await;
    let group = format!("/groups/{}", world.group.name);
    let mut secrets = vec![world.admin.clone()];

    // Everything that has a secret gets one.
    let boss = world.user("boss", &[Role::Owner]).await;
    let a = world.signed_in(&boss).await;
    let mail = json!({
        "host": "mail.example.org", "port": 587, "security": "startTls", "from": "holdfast@example.org",
        "username": "holdfast", "password": "mail-password-7731",
    });
    ok(a.call(Method::PUT, "/settings/mail", Some(&mail)).await).await;
    let arrivals = json!({ "domains": [], "linkByEmail": false, "secondFactor": "here", "mapping": [] });
    let ldap = json!({
        "host": "ldap.example.org", "port": 636, "security": "tls", "bindDn": "cn=holdfast,dc=example,dc=org",
        "password": "ldap-password-7732", "userBase": "dc=example,dc=org", "userFilter": "(uid={user})",
        "idAttribute": "entryUUID", "emailAttribute": "mail", "nameAttribute": "cn", "groupBase": "", "groupFilter": "",
        "arrivals": arrivals,
    });
    ok(a.call(Method::PUT, "/settings/ldap", Some(&ldap)).await).await;
    let oidc = json!({
        "issuer": "https://id.example.org", "label": "Example ID", "clientId": "holdfast", "secret": "oidc-secret-7733",
        "scopes": ["email"], "groupsClaim": "", "trustEmail": false, "ca": null, "arrivals": arrivals,
    });
    ok(a.call(Method::PUT, "/settings/oidc", Some(&oidc)).await).await;
    let uri =
        json!({ "uri": "mongodb://backup:uri-password-7736@db9:27017/?replicaSet=rs9", "storeCredentials": true });
    ok(world.post(&format!("{group}/deployments"), uri).await).await;
    for secret in ["mail-password-7731", "ldap-password-7732", "oidc-secret-7733", "uri-password-7736"] {
        secrets.push(secret.to_owned());
    }
    let token = ok(world.post(&format!("{group}/enrollTokens"), json!({})).await).await;
    let restore = ok(world.post(&world.backup("/restores"), json!({ "snapshot": root.id.to_string() })).await).await;
    let key = ok(world.post(&format!("{group}/apiKeys"), json!({ "label": "k", "role": "readOnly" })).await).await;
    for (made, field) in [(&token, "enrollToken"), (&restore, "url"), (&key, "key")] {
        let secret = made[field].as_str().unwrap_or_else(|| panic!("no {field} in {made}"));
        secrets.push(secret.rsplit('/').nth(usize::from(field == "url")).unwrap().to_owned());
    }
    let cookie = a.cookie.as_deref().and_then(|cookie| cookie.split_once('='));
    secrets.push(cookie.unwrap().1.to_owned());

    let files = bundle(&world, &world.admin).await;
    for (name, text) in &files {
        for secret in &secrets {
            assert!(!text.contains(secret.as_str()), "{name} holds {secret}");
        }
        assert!(!text.contains("argon2") && !text.contains("PRIVATE KEY"), "{name}");
        assert!(!text.contains("notInTheBundle"), "{name}: {text}");
    }
    assert!(files["log.txt"].contains("error daemon (host 1) holdfast::part: the disk is full job=j1"));
    assert!(files["settings-mail.json"].contains("mail.example.org"), "what was set is there, without its secret");
    let snapshots = &files[&format!("groups/{}/rs0-snapshots.json", world.group.name)];
    assert!(snapshots.contains(&root.id.to_string()));
    for name in
        ["about", "daemons", "jobs", "blockstore", "blockstore-history", "settings-oidc", "settings-ldap", "audit"]
    {
        assert!(files.contains_key(&format!("{name}.json")), "{name} is missing");
    }

    // Whoever may not see the settings does not get them this way either.
    let key = world.key(None, Role::MonitoringAdmin).await;
    let files = bundle(&world, &key).await;
    assert!(files["settings-mail.json"].contains("notInTheBundle") && !files["settings-mail.json"].contains("example"));
    assert!(files["daemons.json"].starts_with('['));
}
