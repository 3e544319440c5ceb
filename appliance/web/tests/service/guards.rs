//! What tries to get in by the side: other sites, other groups, keys, headers, paths.

use std::time::Duration;

use holdfast_metadb::{Role, SignUp};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::world::{PASSWORD, World, ok, refused};

#[tokio::test]
async fn another_site_cannot_ride_on_a_cookie() {
    let world = World::new().await;
    let ada = world.user("ada", &[Role::Owner]).await;
    let browser = world.signed_in(&ada).await;
    let make = async |headers: &[(&str, &str)], name: &str| {
        browser.call_with(Method::POST, "/groups", Some(&json!({ "name": name })), headers).await
    };
    for headers in [
        &[("sec-fetch-site", "cross-site")][..],
        &[("sec-fetch-site", "same-site"), ("origin", "https://appliance:8080")],
        &[("origin", "https://evil.example")],
        &[("origin", "null")],
        &[],
    ] {
        refused(make(headers, "evil").await, StatusCode::FORBIDDEN, "crossSite").await;
    }
    assert!(world.metadb.group_by_name("evil").await.unwrap().is_none());
    ok(make(&[("sec-fetch-site", "same-origin")], "one").await).await;
    ok(make(&[("origin", "https://appliance:8080")], "two").await).await;
    // A sign-in from another site would put its own account into this browser.
    let sign_in = json!({ "email": ada.email, "password": PASSWORD });
    let elsewhere = [("sec-fetch-site", "cross-site")];
    let forced = world.browser().call_with(Method::POST, "/sessions", Some(&sign_in), &elsewhere).await;
    refused(forced, StatusCode::FORBIDDEN, "crossSite").await;
    // Reading answers carry nothing that lets another site read them.
    let read = browser.call_with(Method::GET, "/groups", None, &[("origin", "https://evil.example")]).await;
    assert!(read.headers().get("access-control-allow-origin").is_none());
    // A key rides on nothing.
    let keyed = world.call(Some(&world.admin), Method::POST, "/groups", Some(&json!({ "name": "three" }))).await;
    ok(keyed).await;
}

#[tokio::test]
async fn nothing_of_another_group_can_be_named() {
    let world = World::new().await;
    let other = world.metadb.create_group(&format!("b-{}", world.group.name)).await.unwrap();
    let (ada, eve) = (world.user("ada", &[]).await, world.user("eve", &[]).await);
    world.metadb.put_member(&world.group.id, &ada.id, &[Role::Owner]).await.unwrap();
    world.metadb.put_member(&other.id, &eve.id, &[Role::Owner]).await.unwrap();
    let (a, e) = (world.signed_in(&ada).await, world.signed_in(&eve).await);
    let invited = json!({ "email": "x@example.org", "roles": ["readOnly"] });
    let made = ok(a.call(Method::POST, &format!("/groups/{}/invitations", world.group.id), Some(&invited)).await).await;
    let key = json!({ "label": "k", "role": "readOnly" });
    let key = ok(a.call(Method::POST, &format!("/groups/{}/apiKeys", world.group.id), Some(&key)).await).await;
    let bob = world.user("bob", &[]).await;
    let asked = world.metadb.request_join(&world.group.id, &bob.id, "").await.unwrap();
    let deployment = world.deployment("rs0", None).await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    // By her own group's path, and by the other's.
    for group in [other.id.as_str(), world.group.id.as_str(), world.group.name.as_str()] {
        let of = |below: &str| format!("/groups/{group}/{below}");
        let tries = [
            (Method::DELETE, of(&format!("invitations/{}", text(&made["id"])))),
            (Method::DELETE, of(&format!("apiKeys/{}", text(&key["id"])))),
            (Method::DELETE, of(&format!("members/{}", ada.id))),
            (Method::PUT, of(&format!("members/{}", ada.id))),
            (Method::POST, of(&format!("joinRequests/{}", asked.id))),
            (Method::GET, of(&format!("deployments/{}", deployment.id))),
        ];
        for (method, path) in tries {
            let body = json!({ "roles": ["readOnly"] });
            let body = [Method::PUT, Method::POST].contains(&method).then_some(&body);
            refused(e.call(method, &path, body).await, StatusCode::NOT_FOUND, "notFound").await;
        }
    }
    for below in ["members", "invitations", "apiKeys", "audit", "events", "agents", "backups", "deployments"] {
        let path = format!("/groups/{}/{below}", world.group.name);
        refused(e.call(Method::GET, &path, None).await, StatusCode::NOT_FOUND, "notFound").await;
    }
    assert_eq!(e.get("/groups").await.as_array().unwrap().len(), 1);
    let audit = e.get(&format!("/groups/{}/audit", other.id)).await.to_string();
    assert!(!audit.contains("x@example.org"));
    assert_eq!(world.metadb.invitations(&world.group.id).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_persons_key_does_no_more_than_the_person() {
    let world = World::new().await;
    let ada = world.user("ada", &[]).await;
    world.metadb.put_member(&world.group.id, &ada.id, &[Role::BackupAdmin]).await.unwrap();
    let a = world.signed_in(&ada).await;
    let make = json!({ "label": "ci", "role": "owner", "addresses": ["127.0.0.1"] });
    let made = ok(a.call(Method::POST, "/account/apiKeys", Some(&make)).await).await;
    let key = made["key"].as_str().unwrap();
    assert_eq!(made["addresses"], json!(["127.0.0.1/32"]));
    let backups = format!("/groups/{}/backups", world.group.name);
    ok(world.call(Some(key), Method::GET, &backups, None).await).await;
    let invitations = format!("/groups/{}/invitations", world.group.name);
    refused(world.call(Some(key), Method::GET, &invitations, None).await, StatusCode::FORBIDDEN, "forbidden").await;
    refused(world.call(Some(key), Method::GET, "/daemons", None).await, StatusCode::FORBIDDEN, "forbidden").await;
    refused(world.call(Some(key), Method::GET, "/sessions/current", None).await, StatusCode::FORBIDDEN, "forbidden")
        .await;
    // It follows the person: fewer roles, no account.
    world.metadb.put_member(&world.group.id, &ada.id, &[Role::ReadOnly]).await.unwrap();
    let start = world.call(Some(key), Method::POST, &format!("{backups}/rs0/start"), None).await;
    refused(start, StatusCode::FORBIDDEN, "forbidden").await;
    world.metadb.put_standing(&ada.id, &[], true).await.unwrap();
    refused(world.call(Some(key), Method::GET, &backups, None).await, StatusCode::UNAUTHORIZED, "apiKey").await;
    // From elsewhere it is none.
    let bob = world.user("bob", &[Role::Owner]).await;
    let b = world.signed_in(&bob).await;
    let far = json!({ "label": "far", "role": "owner", "addresses": ["192.0.2.0/24", "2001:db8::/32"] });
    let far = ok(b.call(Method::POST, "/account/apiKeys", Some(&far)).await).await;
    let used = world.call(far["key"].as_str(), Method::GET, "/groups", None).await;
    refused(used, StatusCode::UNAUTHORIZED, "apiKey").await;
    let bad = json!({ "label": "x", "role": "owner", "addresses": ["10.0.0.0/99"] });
    refused(b.call(Method::POST, "/account/apiKeys", Some(&bad)).await, StatusCode::BAD_REQUEST, "badRequest").await;
}

#[tokio::test]
async fn a_key_is_no_way_to_a_higher_role() {
    let world = World::new().await;
    let eve = world.user("eve", &[]).await;
    world.metadb.put_member(&world.group.id, &eve.id, &[Role::UserAdmin]).await.unwrap();
    let e = world.signed_in(&eve).await;
    let path = format!("/groups/{}/apiKeys", world.group.name);
    for role in ["owner", "backupAdmin", "admin"] {
        let made = e.call(Method::POST, &path, Some(&json!({ "label": "x", "role": role }))).await;
        refused(made, StatusCode::FORBIDDEN, "forbidden").await;
    }
    ok(e.call(Method::POST, &path, Some(&json!({ "label": "x", "role": "viewer" }))).await).await;
    let listed = e.get(&path).await;
    assert_eq!(listed[0]["role"], "readOnly", "the words of the first release are read");
}

#[tokio::test]
async fn headers_and_paths_lead_nowhere_else() {
    let world = World::new().await;
    let ada = world.user("ada", &[Role::Owner]).await;
    let a = world.signed_in(&ada).await;
    // The server's own name in links does not come from the request.
    let invited = json!({ "email": "x@example.org", "roles": ["readOnly"] });
    let path = format!("/groups/{}/invitations", world.group.name);
    let headers =
        [("sec-fetch-site", "same-origin"), ("x-forwarded-host", "evil.example"), ("forwarded", "host=evil.example")];
    let made = ok(a.call_with(Method::POST, &path, Some(&invited), &headers).await).await;
    assert!(made["link"].as_str().unwrap().starts_with("https://appliance:8080/"), "{made}");
    // The audit log and the limits go by the peer, not by what it says of itself.
    let headers = [("sec-fetch-site", "same-origin"), ("x-forwarded-for", "6.6.6.6")];
    ok(a.call_with(Method::POST, "/groups", Some(&json!({ "name": "g" })), &headers).await).await;
    let audit = a.get("/audit").await;
    assert_eq!(
        (&audit["entries"][0]["address"], &audit["entries"][0]["who"]),
        (&json!("127.0.0.1"), &json!(ada.email))
    );
    // No path answers with a redirect, and none reaches files.
    for path in
        ["//%2F%2Fevil.example", "//..%2f..%2fetc%2fpasswd", "//x?next=https://evil.example", "//api/v1/../groups"]
    {
        let answer = world.call(None, Method::GET, path, None).await;
        assert!(!answer.status().is_redirection(), "{path}: {}", answer.status());
        assert!(answer.headers().get("location").is_none());
        assert!(!answer.text().await.unwrap().contains("root:"), "{path}");
    }
    let page = world.call(None, Method::GET, "//some/page", None).await;
    let csp = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(csp.contains("frame-ancestors 'none'") && csp.contains("script-src 'self';"), "{csp}");
    assert_eq!(page.headers()["x-content-type-options"], "nosniff");
    assert_eq!(page.headers()["referrer-policy"], "no-referrer");
    refused(world.call(None, Method::GET, "//api/v2/x", None).await, StatusCode::NOT_FOUND, "notFound").await;
}

#[tokio::test]
async fn what_was_done_is_told_with_before_and_after() {
    let world = World::new().await;
    let (ada, bob) = (world.user("ada", &[Role::Owner]).await, world.user("bob", &[]).await);
    world.metadb.put_member(&world.group.id, &bob.id, &[Role::ReadOnly]).await.unwrap();
    let a = world.signed_in(&ada).await;
    let member = format!("/groups/{}/members/{}", world.group.name, bob.id);
    for roles in [json!(["backupAdmin"]), json!(["readOnly"]), json!(["monitoringAdmin"])] {
        ok(a.call(Method::PUT, &member, Some(&json!({ "roles": roles }))).await).await;
    }
    let log = format!("/groups/{}/audit", world.group.name);
    let first = a.get(&format!("{log}?limit=2")).await;
    let newest = &first["entries"][0];
    assert_eq!((&newest["action"], &newest["target"]), (&json!("roles changed"), &json!(bob.email)));
    assert_eq!(
        (&newest["before"]["roles"], &newest["after"]["roles"]),
        (&json!(["readOnly"]), &json!(["monitoringAdmin"]))
    );
    let second = a.get(&format!("{log}?limit=2&cursor={}", first["next"].as_str().unwrap())).await;
    assert_eq!(second["entries"].as_array().unwrap().len(), 1);
    assert_eq!(second["next"], Value::Null);
    let csv = a.call(Method::GET, &format!("{log}?format=csv"), None).await;
    assert!(csv.headers()["content-disposition"].to_str().unwrap().contains("audit.csv"));
    let csv = csv.text().await.unwrap();
    assert_eq!(csv.lines().count(), 4, "{csv}");
    let lines = a.call(Method::GET, &format!("{log}?format=lines"), None).await.text().await.unwrap();
    assert_eq!(
        lines.lines().filter(|l| serde_json::from_str::<Value>(l).unwrap()["action"] == "roles changed").count(),
        3
    );
    let bad = a.call(Method::GET, &format!("{log}?cursor=x"), None).await;
    refused(bad, StatusCode::BAD_REQUEST, "badRequest").await;
}

#[tokio::test]
async fn events_tell_what_changed_and_end_with_the_session() {
    let world = World::new().await;
    let ada = world.user("ada", &[]).await;
    world.metadb.put_member(&world.group.id, &ada.id, &[Role::ReadOnly]).await.unwrap();
    let a = world.signed_in(&ada).await;
    let path = format!("/groups/{}/events", world.group.name);
    let mut stream = a.call(Method::GET, &path, None).await;
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    let mut text = String::new();
    let mut until = async |word: &str, times: usize| {
        while text.matches(word).count() < times {
            let chunk = tokio::time::timeout(Duration::from_secs(60), stream.chunk()).await.expect("an event in time");
            text.push_str(&String::from_utf8_lossy(&chunk.unwrap().expect("the stream goes on")));
        }
        text.clear();
    };
    // One when the stream begins, one when the reader watches.
    until("\"kind\":\"reload\"", 2).await;
    let job = world.job().await;
    until(&format!("\"kind\":\"backup\",\"id\":\"{}\",\"rs\":\"rs0\"", job.id), 1).await;
    let other = world.metadb.create_group(&format!("o-{}", world.group.name)).await.unwrap();
    world.metadb.create_deployment(&other.id, Some("foreign"), vec!["a:1".into()], None).await.unwrap();
    world.metadb.end_sessions(&ada.id, None).await.unwrap();
    let mut rest = String::new();
    while let Some(chunk) = tokio::time::timeout(Duration::from_secs(60), stream.chunk()).await.unwrap().unwrap() {
        rest.push_str(&String::from_utf8_lossy(&chunk));
    }
    assert!(!rest.contains("foreign"), "{rest}");
}

#[tokio::test]
async fn sign_up_follows_the_policy() {
    let world = World::new().await;
    let ada = world.user("ada", &[Role::Owner]).await;
    let a = world.signed_in(&ada).await;
    let new = json!({ "email": "new@example.org", "name": "New" });
    let closed = world.call(None, Method::POST, "/sign-ups", Some(&new)).await;
    refused(closed, StatusCode::UNPROCESSABLE_ENTITY, "signUpClosed").await;
    let mut policy = a.get("/settings/access").await;
    policy["signUp"] = json!("open");
    policy["passwordCharsMin"] = json!(4);
    let bad = a.call(Method::PUT, "/settings/access", Some(&policy)).await;
    refused(bad, StatusCode::BAD_REQUEST, "badRequest").await;
    policy["passwordCharsMin"] = json!(14);
    ok(a.call(Method::PUT, "/settings/access", Some(&policy)).await).await;
    assert_eq!(world.metadb.access_policy().await.unwrap().sign_up, SignUp::Open);
    let (known, unknown) = (json!({ "email": ada.email, "name": "New" }), new);
    let (one, two) = (
        ok(world.call(None, Method::POST, "/sign-ups", Some(&known)).await).await,
        ok(world.call(None, Method::POST, "/sign-ups", Some(&unknown)).await).await,
    );
    assert_eq!(one, two, "an address that has an account is not told from one that has none");
}
