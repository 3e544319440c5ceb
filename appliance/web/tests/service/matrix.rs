//! Every route with every role and with none, by session and by key, against the table.

use holdfast_domain::{Action, Resource, Role, may};
use holdfast_metadb::{NewApiKey, User};
use holdfast_web::{Need, ROWS, Row};
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::world::{Browser, World, ok, op};

/// Someone who asks.
struct Asker {
    name: String,
    session: Option<Browser>,
    key: Option<String>,
    in_group: Vec<Role>,
    global: Vec<Role>,
}

impl Asker {
    async fn ask(&self, world: &World, row: &Row) -> Response {
        let part = |part: &str| match part {
            "{group}" => world.group.name.clone(),
            "{rs}" => "nothing".to_owned(),
            "{restore}" | "{user}" | "{agent}" | "{deployment}" | "{snapshot}" | "{invitation}" | "{request}"
            | "{key}" | "{session}" => "0123456789abcdef01234567".to_owned(),
            other => other.to_owned(),
        };
        let path = row.path.split('/').map(part).collect::<Vec<_>>().join("/");
        let method: Method = row.method.parse().unwrap();
        let body = json!({});
        let body = (method != Method::GET && method != Method::DELETE).then_some(&body);
        match (&self.session, &self.key) {
            (Some(browser), _) => browser.call(method, &path, body).await,
            (None, key) => world.call(key.as_deref(), method, &path, body).await,
        }
    }

    /// What the table says: None: it is let through to the handler.
    fn expected(&self, row: &Row) -> Option<StatusCode> {
        let nobody = self.session.is_none() && self.key.is_none();
        match row.need {
            Need::Public => None,
            _ if nobody => Some(StatusCode::UNAUTHORIZED),
            Need::SignedIn => None,
            Need::Person | Need::Enrolled => self.session.is_none().then_some(StatusCode::FORBIDDEN),
            // By default only global roles make groups.
            Need::NewGroup => (!may(&self.global, Action::Create, Resource::Groups)).then_some(StatusCode::FORBIDDEN),
            Need::Global(action, resource) => (!may(&self.global, action, resource)).then_some(StatusCode::FORBIDDEN),
            Need::Group(action, resource) => {
                let all: Vec<Role> = self.in_group.iter().chain(&self.global).copied().collect();
                // Who has no role does not even hear that there is such a group.
                if all.is_empty() {
                    Some(StatusCode::NOT_FOUND)
                } else {
                    (!may(&all, action, resource)).then_some(StatusCode::FORBIDDEN)
                }
            }
            // The restore that is named does not exist, for anyone.
            Need::Restore(..) => Some(StatusCode::NOT_FOUND),
        }
    }
}

async fn askers(world: &World) -> Vec<Asker> {
    let mut all = vec![Asker { name: "nobody".into(), session: None, key: None, in_group: vec![], global: vec![] }];
    let session = async |name: &str, in_group: &[Role], global: &[Role]| {
        let user: User = world.user(name, global).await;
        if !in_group.is_empty() {
            world.metadb.put_member(&world.group.id, &user.id, in_group).await.unwrap();
        }
        let session = Some(world.signed_in(&user).await);
        Asker { name: name.to_owned(), session, key: None, in_group: in_group.to_vec(), global: global.to_vec() }
    };
    all.push(session("stranger", &[], &[]).await);
    for role in Role::ALL {
        all.push(session(&format!("group-{}", role.as_str()), &[role], &[]).await);
        all.push(session(&format!("global-{}", role.as_str()), &[], &[role]).await);
        for global in [false, true] {
            let group = (!global).then(|| world.group.id.clone());
            let (_, key) = world.metadb.create_api_key(NewApiKey::new(group, role, "k")).await.unwrap();
            let one = |is: bool| if is { vec![role] } else { vec![] };
            let name = format!("key-{}-{}", if global { "global" } else { "group" }, role.as_str());
            all.push(Asker { name, session: None, key: Some(key), in_group: one(!global), global: one(global) });
        }
    }
    let other = world.metadb.create_group(&format!("other-{}", world.group.name)).await.unwrap();
    let (_, key) = world.metadb.create_api_key(NewApiKey::new(Some(other.id), Role::Owner, "other")).await.unwrap();
    all.push(Asker {
        name: "key-of-another-group".into(),
        session: None,
        key: Some(key),
        in_group: vec![],
        global: vec![],
    });
    all
}

#[tokio::test]
async fn every_route_with_every_role_and_with_none() {
    let world = World::new().await;
    let mut wrong = Vec::new();
    // Leaving the group and signing out come last: they take away what the others are asked with.
    let mut rows: Vec<&Row> = ROWS.iter().collect();
    rows.sort_by_key(|row| match (row.method, row.path) {
        ("DELETE", "/account/groups/{group}") => 1,
        ("DELETE", "/sessions/current") => 2,
        _ => 0,
    });
    for asker in askers(&world).await {
        for row in &rows {
            let name = format!("{} {} {}", asker.name, row.method, row.path);
            let answer = asker.ask(&world, row).await;
            let status = answer.status();
            let streams = answer.headers().get("content-type").is_some_and(|kind| kind == "text/event-stream");
            let problem: Value = if streams { Value::Null } else { answer.json().await.unwrap_or_default() };
            match asker.expected(row) {
                Some(expected) if status != expected => wrong.push(format!("{name}: {status}, not {expected}")),
                Some(_) => {}
                None => {
                    let let_through = ![StatusCode::UNAUTHORIZED, StatusCode::METHOD_NOT_ALLOWED].contains(&status)
                        || matches!(problem["code"].as_str(), Some("credentials"));
                    let forbidden = problem["code"] == "forbidden";
                    let unknown = problem["detail"].as_str().is_some_and(|d| d.contains("knows no such path"));
                    if !let_through || forbidden || unknown || status == StatusCode::INTERNAL_SERVER_ERROR {
                        wrong.push(format!("{name}: {status} {problem}, and it is allowed"));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_restore_is_named_by_its_group_alone() {
    let world = World::new().await;
    let job = world.job().await;
    world.open_chain(&job.id, op(100, 1)).await;
    let root = world.snapshot(&job.id, op(105, 2), 0, 1).await;
    let new = json!({ "snapshot": root.id.to_string(), "format": "tar" });
    let made = ok(world.post(&world.backup("/restores"), new).await).await;
    let mut asked = 0;
    for asker in askers(&world).await {
        for row in ROWS {
            let Need::Restore(action, resource) = row.need else { continue };
            let all: Vec<Role> = asker.in_group.iter().chain(&asker.global).copied().collect();
            let nobody = asker.session.is_none() && asker.key.is_none();
            let expected = match (nobody, all.is_empty(), may(&all, action, resource)) {
                (true, ..) => StatusCode::UNAUTHORIZED,
                (_, true, _) => StatusCode::NOT_FOUND,
                (.., false) => StatusCode::FORBIDDEN,
                // What changes the restore would change what the next one is asked about.
                (.., true) if row.method != "GET" => continue,
                (.., true) => StatusCode::OK,
            };
            let path = row.path.replace("{restore}", made["id"].as_str().unwrap());
            let method: Method = row.method.parse().unwrap();
            let answer = match &asker.session {
                Some(browser) => browser.call(method, &path, None).await,
                None => world.call(asker.key.as_deref(), method, &path, None).await,
            };
            assert_eq!(answer.status(), expected, "{} {} {}", asker.name, row.method, row.path);
            asked += 1;
        }
    }
    assert!(asked > 20);
}

#[tokio::test]
async fn a_persons_key_needs_the_roles_of_both() {
    let world = World::new().await;
    let mut wrong = Vec::new();
    for of_person in Role::ALL {
        let user = world.user(of_person.as_str(), &[]).await;
        world.metadb.put_member(&world.group.id, &user.id, &[of_person]).await.unwrap();
        for of_key in Role::ALL {
            let new = NewApiKey { user: Some(user.id.clone()), ..NewApiKey::new(None, of_key, "k") };
            let (_, key) = world.metadb.create_api_key(new).await.unwrap();
            let name = format!("a key of {} of a person of {}", of_key.as_str(), of_person.as_str());
            let asker = Asker { name, session: None, key: Some(key), in_group: vec![], global: vec![] };
            for row in ROWS {
                let Need::Group(action, resource) = row.need else { continue };
                let allowed = may(&[of_person], action, resource) && may(&[of_key], action, resource);
                let let_through = asker.ask(&world, row).await.status() != StatusCode::FORBIDDEN;
                if allowed != let_through {
                    wrong.push(format!("{} {} {}: {let_through}", asker.name, row.method, row.path));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
