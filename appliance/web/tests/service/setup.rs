//! What the claim wizard sets, one after the other: code, account and group, then settings; and the same from a file.

use holdfast_domain::{RetentionPolicy, Role};
use holdfast_service::MasterKey;
use holdfast_web::{SetupFile, normal_code};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::world::{World, ok, refused};

const CODE: &str = "ABCDE-FGHJK-LMNPQ-RSTUV";

#[tokio::test]
async fn the_wizard_goes_from_the_code_to_the_defaults() {
    let world = World::new().await;
    world.metadb.put_setup_code(&normal_code(CODE), true).await.unwrap();
    let nobody = world.browser();
    let tried = async |code: &str| nobody.call(Method::POST, "/setup/code", Some(&json!({ "code": code }))).await;
    refused(tried("ABCDE").await, StatusCode::FORBIDDEN, "setupCode").await;
    assert_eq!(tried(&CODE.to_lowercase()).await.status(), StatusCode::NO_CONTENT);
    assert_eq!(nobody.get("/setup").await["claimed"], false, "looking claims nothing");
    let account = json!({
        "code": CODE, "email": "ada@example.org", "name": "Ada", "password": "correct horse battery", "group": "first",
    });
    let answer = nobody.call(Method::POST, "/setup/claim", Some(&account)).await;
    assert_eq!(answer.status(), StatusCode::CREATED);
    let ada = world.browser().with_cookie_of(&answer);
    refused(tried(CODE).await, StatusCode::CONFLICT, "claimed").await;

    // Each step is a setting, and each may be skipped. Who has just claimed is asked for no proof again.
    let put = async |path: &str, body: Value| ada.call(Method::PUT, path, Some(&body)).await;
    ok(put("/settings/publicUrl", json!({ "url": "https://Backup.Example.com/" })).await).await;
    let invited = json!({ "email": "eve@example.org", "roles": ["readOnly"] });
    let invited = ok(ada.call(Method::POST, "/groups/first/invitations", Some(&invited)).await).await;
    assert!(invited["link"].as_str().unwrap().starts_with("https://backup.example.com/invitation#token="));
    for bad in ["ftp://x", "https://x/path", "https://"] {
        refused(put("/settings/publicUrl", json!({ "url": bad })).await, StatusCode::BAD_REQUEST, "badRequest").await;
    }
    let plain = put("/settings/publicUrl", json!({ "url": "http://backup.example.com" })).await;
    refused(plain, StatusCode::UNPROCESSABLE_ENTITY, "publicUrlNotSecure").await;
    ok(put("/settings/publicUrl", json!({})).await).await;
    assert_eq!(ada.get("/settings/publicUrl").await["configured"], "https://appliance:8080");

    ok(put("/groups/first/policies", json!({ "unprotectedSeconds": 300 })).await).await;
    let mut defaults = ada.get("/settings/backupDefaults").await;
    assert_eq!(defaults["schedule"]["everySeconds"], 21_600);
    defaults["schedule"]["everySeconds"] = json!(3_600);
    defaults["retention"]["oplogWindowDays"] = json!(30);
    defaults["policy"] = json!({ "recoveryWindowSeconds": 86_400 });
    ok(put("/settings/backupDefaults", defaults.clone()).await).await;
    for (field, value) in [("linkUses", json!(0)), ("schedule", json!({ "everySeconds": 1 })), ("mode", json!(1))] {
        let mut bad = defaults.clone();
        bad[field] = value;
        refused(put("/settings/backupDefaults", bad).await, StatusCode::BAD_REQUEST, "badRequest").await;
    }
    // A new backup begins with them; what is promised falls back to them.
    world.job().await;
    let backup = world.get(&world.backup("")).await;
    assert_eq!(
        (&backup["settings"]["schedule"]["everySeconds"], &backup["settings"]["retention"]["oplogWindowDays"]),
        (&json!(3_600), &json!(30))
    );
    let policies = world.get(&format!("/groups/{}/policies", world.group.name)).await;
    assert_eq!(policies["backups"][0]["effective"]["recoveryWindowSeconds"], 86_400);
    assert_eq!(policies["policy"]["recoveryWindowSeconds"], Value::Null);
}

#[tokio::test]
async fn everyone_makes_groups_when_the_policy_says_so() {
    let world = World::new().await;
    let owner = world.signed_in(&world.user("owner", &[Role::Owner]).await).await;
    let ada = world.user("ada", &[]).await;
    let browser = world.signed_in(&ada).await;
    let new = json!({ "name": format!("of-ada-{}", world.group.name) });
    let make = async || browser.call(Method::POST, "/groups", Some(&new)).await;
    refused(make().await, StatusCode::FORBIDDEN, "forbidden").await;
    assert_eq!(browser.get("/sessions/current").await["makesGroups"], false);
    let mut access = owner.get("/settings/access").await;
    access["groupCreation"] = json!("everyone");
    ok(owner.call(Method::PUT, "/settings/access", Some(&access)).await).await;
    assert_eq!(make().await.status(), StatusCode::CREATED);
    let session = browser.get("/sessions/current").await;
    assert_eq!(session["makesGroups"], true);
    assert_eq!((&session["groups"][0]["roles"], &session["groups"][0]["member"]), (&json!(["owner"]), &json!(true)));
    // A key is nobody: only its role counts.
    let key = world.key(Some(&world.group), Role::Owner).await;
    let by_key = world.call(Some(&key), Method::POST, "/groups", Some(&json!({ "name": "by-key" }))).await;
    refused(by_key, StatusCode::FORBIDDEN, "forbidden").await;
}

fn file() -> Value {
    json!({
        "email": "Ada@example.org", "name": "Ada", "password": "correct horse battery", "group": "first",
        "policy": { "unprotectedSeconds": 120 },
        "mail": {
            "host": "mail.example.org", "port": 587, "security": "startTls", "from": "Holdfast <backup@example.org>",
            "username": "backup", "password": "hunter2hunter2",
        },
        "publicUrl": "https://backup.example.com",
        "access": { "signUp": "closed", "groupCreation": "everyone" },
        "backupDefaults": { "schedule": { "everySeconds": 7200 }, "policy": { "restoreSeconds": 3600 } },
    })
}

#[tokio::test]
async fn a_file_sets_all_of_it_once() {
    let world = World::new().await;
    let dir = tempfile::tempdir().unwrap();
    let key = MasterKey::load_or_create(&dir.path().join("master.key")).unwrap();
    let carry = async |file: &Value| {
        SetupFile::parse(file.to_string().as_bytes()).unwrap().carry_out(&world.metadb, &key).await
    };
    // What does not fit is said before anything is done, without its value.
    for (field, value) in [
        ("password", json!("short")),
        ("email", json!("nobody")),
        ("group", json!("a b")),
        ("publicUrl", json!("backup.example.com")),
        ("policy", json!({ "restoreSeconds": 1 })),
        ("access", json!({ "sessionHours": 0 })),
        ("backupDefaults", json!({ "linkHours": 0 })),
        (
            "mail",
            json!({ "host": "mail.example.org", "port": 25, "security": "none", "from": "a@b.c", "username": "u", "password": "hunter2hunter2" }),
        ),
    ] {
        let mut bad = file();
        bad[field] = value;
        let why = carry(&bad).await.unwrap_err();
        assert!(!why.is_empty() && !why.contains("hunter2") && !why.contains("correct horse"), "{field}: {why}");
        assert!(!world.metadb.claimed().await.unwrap(), "{field}: nothing was done");
    }
    let done = carry(&file()).await.unwrap().unwrap();
    assert_eq!((done.email.as_str(), done.group.as_str()), ("ada@example.org", "first"));
    let group = world.metadb.group_by_name("first").await.unwrap().unwrap();
    let policies = world.metadb.policies(&group.id).await.unwrap();
    assert_eq!(policies.group.unprotected_seconds, Some(120));
    assert_eq!(policies.of_group().restore_seconds, Some(3600));
    assert_eq!(world.metadb.public_url().await.unwrap().0.as_deref(), Some("https://backup.example.com"));
    let defaults = world.metadb.backup_defaults().await.unwrap();
    assert_eq!((defaults.schedule.every_seconds, defaults.retention), (7200, RetentionPolicy::default()));
    let mail = world.get("/settings/mail").await;
    assert_eq!((&mail["host"], &mail["passwordSet"]), (&json!("mail.example.org"), &json!(true)));
    let stored = world.metadb.appliance_setting("mail").await.unwrap().unwrap();
    assert!(!stored.to_string().contains("hunter2"), "the password is sealed");
    assert_eq!(world.get("/settings/access").await["signUp"], "closed");
    assert_eq!(carry(&file()).await.unwrap().map(|done| done.email), None, "once");
}
