//! Whoever owns one group tries everything of another: by its name, by its id, and with its ids under their own group.

use std::collections::BTreeMap;

use holdfast_agent_api::HostReport;
use holdfast_metadb::{Discovery, Group, Role, SftpTarget};
use holdfast_web::{Need, ROWS, Row};
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::world::{Browser, World, ok, op, source};

/// What the other group has, by the words of the paths.
struct Ids {
    of: BTreeMap<&'static str, String>,
    join_request: String,
    snapshot_request: String,
}

impl Ids {
    fn path(&self, row: &Row, group: &str) -> String {
        let part = |part: &str| match part {
            "{group}" => group.to_owned(),
            "{request}" if row.path.contains("/joinRequests/") => self.join_request.clone(),
            "{request}" => self.snapshot_request.clone(),
            part if part.starts_with('{') => {
                let name = part.trim_matches(['{', '}']);
                self.of.get(name).unwrap_or_else(|| panic!("{}: no id stands for {part}", row.path)).clone()
            }
            part => part.to_owned(),
        };
        row.path.split('/').map(part).collect::<Vec<_>>().join("/")
    }

    /// A body that the route would take.
    fn body(&self, row: &Row) -> Value {
        match (row.method, row.path) {
            ("PUT", "/groups/{group}/members/{user}") | ("POST", "/groups/{group}/joinRequests/{request}") => {
                json!({ "roles": ["readOnly"] })
            }
            ("POST", "/groups/{group}/backups/{rs}/restores") => json!({ "snapshot": self.of["snapshot"] }),
            ("POST", "/restores/{restore}/delivery") => json!({ "sftp": self.of["target"] }),
            ("PATCH", "/groups/{group}/backups/{rs}/snapshots/{snapshot}") => json!({ "label": "eve was here" }),
            _ => json!({}),
        }
    }
}

/// First thing of a list that the administrator sees.
async fn first(world: &World, path: &str) -> Value {
    world.get(path).await[0].clone()
}

fn id(value: &Value) -> String {
    value["id"].as_str().unwrap_or_else(|| panic!("no id in {value}")).to_owned()
}

/// The world's group, with one of each thing that a path can name.
async fn filled(world: &World) -> Ids {
    let group = format!("/groups/{}", world.group.name);
    let job = world.job().await;
    world.open_chain(&job.id, op(100, 1)).await;
    let root = world.snapshot(&job.id, op(105, 2), 0, 1).await;
    let asked = ok(world.post(&world.backup("/snapshots"), json!({})).await).await;
    let restore = ok(world.post(&world.backup("/restores"), json!({ "snapshot": root.id.to_string() })).await).await;
    let bob = world.user("bob", &[]).await;
    world.metadb.put_member(&world.group.id, &bob.id, &[Role::BackupAdmin]).await.unwrap();
    let invited = json!({ "email": "new@example.org", "roles": ["readOnly"] });
    ok(world.post(&format!("{group}/invitations"), invited).await).await;
    let joiner = world.user("joiner", &[]).await;
    let join = json!({ "group": world.group.name, "message": "please" });
    ok(world.signed_in(&joiner).await.call(Method::POST, "/joinRequests", Some(&join)).await).await;
    world.key(Some(&world.group), Role::ReadOnly).await;
    let (_, token) = world.metadb.create_enroll_token(&world.group.id).await.unwrap();
    world.metadb.enroll(&token, "db1", "0.1.0", "instance-of-b").await.unwrap();
    let target = SftpTarget {
        host: "127.0.0.1".into(),
        port: 1,
        user: "backup".into(),
        host_key: "ssh-ed25519 AAAA".into(),
        ..SftpTarget::new(world.group.id.clone(), "vault-of-b".into())
    };
    world.metadb.add_sftp_target(&target).await.unwrap();
    let host = HostReport { host: "h:1".into(), at: 1, ..HostReport::default() };
    world.metadb.note_monitored_hosts(&world.group.id, &[host]).await.unwrap();
    let of = BTreeMap::from([
        ("host", id(&first(world, &format!("{group}/hosts")).await)),
        ("target", target.name),
        ("rs", "rs0".to_owned()),
        ("user", bob.id.to_string()),
        ("invitation", id(&first(world, &format!("{group}/invitations")).await)),
        ("key", id(&first(world, &format!("{group}/apiKeys")).await)),
        ("agent", id(&first(world, &format!("{group}/agents")).await)),
        ("deployment", id(&first(world, &format!("{group}/deployments")).await)),
        ("snapshot", root.id.to_string()),
        ("restore", id(&restore)),
    ]);
    Ids {
        of,
        join_request: id(&first(world, &format!("{group}/joinRequests")).await),
        snapshot_request: asked["request"].as_str().unwrap().to_owned(),
    }
}

/// Everything of the group that the sweep could change, as its administrator sees it.
async fn picture(world: &World) -> Value {
    let mut all = serde_json::Map::new();
    for list in ["members", "invitations", "joinRequests", "apiKeys", "deployments"] {
        let path = format!("/groups/{}/{list}", world.group.name);
        all.insert(list.to_owned(), world.get(&path).await);
    }
    all.insert("sftp".into(), world.get(&format!("/groups/{}/sftp/targets", world.group.name)).await);
    let agents = first(world, &format!("/groups/{}/agents", world.group.name)).await;
    all.insert("agent".into(), agents["revoked"].clone());
    let backup = world.get(&world.backup("")).await;
    for field in ["state", "schedule", "retention", "settings"] {
        all.insert(field.to_owned(), backup[field].clone());
    }
    let snapshots = world.get(&world.backup("/snapshots")).await;
    all.insert("snapshots".into(), snapshots);
    let restores = world.get(&world.backup("/restores")).await;
    let ids: Vec<&Value> = restores.as_array().unwrap().iter().map(|restore| &restore["id"]).collect();
    all.insert("restores".into(), json!(ids));
    Value::Object(all)
}

/// Eve, who has every role in her own group, as a person and as a key.
async fn eve(world: &World) -> (Group, Browser, String) {
    let own = world.metadb.create_group(&format!("eve-{}", world.group.name)).await.unwrap();
    let user = world.user("eve", &[]).await;
    world.metadb.put_member(&own.id, &user.id, &Role::ALL).await.unwrap();
    // A backup of the same name as the other's: only ids below it are strange.
    let made = world.metadb.create_deployment(&own.id, Some("rs0"), vec!["e:27017".into()], None).await.unwrap();
    let found = Discovery {
        agent: holdfast_domain::AgentId::random(),
        refusal: None,
        source: Some(source("rs0")),
        privileges: Vec::new(),
    };
    let made = world.metadb.record_discovery(&made.id, &found).await.unwrap().unwrap();
    world.metadb.create_backup_job(&made, Vec::new()).await.unwrap();
    let key = world.key(Some(&own), Role::Owner).await;
    let browser = world.signed_in(&user).await;
    (own, browser, key)
}

#[tokio::test]
async fn idor_nobody_reaches_into_another_group() {
    let world = World::new().await;
    let ids = filled(&world).await;
    let (own, browser, key) = eve(&world).await;
    let before = picture(&world).await;
    let mut wrong = Vec::new();
    let mut tried = 0;
    let refused = |status: StatusCode| [StatusCode::NOT_FOUND, StatusCode::FORBIDDEN].contains(&status);
    for row in ROWS {
        let method: Method = row.method.parse().unwrap();
        let named = row.path.contains("{group}") || matches!(row.need, Need::Restore(..));
        // Below a backup of one's own the last name counts: the replica set is Eve's own there.
        let nested = matches!(row.need, Need::Group(..))
            && row.path.split('/').any(|part| part.starts_with('{') && part != "{group}" && part != "{rs}");
        let takes_ids = row.path.ends_with("/{rs}/restores") && row.method == "POST";
        let mut paths = Vec::new();
        if named {
            paths.push(ids.path(row, &world.group.name));
            paths.push(ids.path(row, world.group.id.as_str()));
        }
        if nested || takes_ids {
            paths.push(ids.path(row, &own.name));
        }
        let body = ids.body(row);
        let body = (method != Method::GET && method != Method::DELETE).then_some(&body);
        for path in paths {
            let person: Response = browser.call(method.clone(), &path, body).await;
            let program: Response = world.call(Some(&key), method.clone(), &path, body).await;
            for (who, answer) in [("session", person), ("key", program)] {
                tried += 1;
                let status = answer.status();
                if !refused(status) {
                    let said = answer.text().await.unwrap_or_default();
                    wrong.push(format!("{who}: {} {path}: {status} {said}", row.method));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(tried > 150, "{tried} attempts are not every row");
    assert_eq!(picture(&world).await, before, "something of the other group was changed");
}
