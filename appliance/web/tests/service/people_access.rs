//! Ways to more than one was given, and to shutting others out: each is tried here.

use std::time::Duration;

use holdfast_metadb::{Acceptance, AccessPolicy, NewApiKey, NewInvitation, OneTimeKind, Role, TotpPolicy, User};
use holdfast_web::ROWS;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::world::{Browser, PASSWORD, World, ok, op, refused};

const WINDOW: Duration = Duration::from_secs(900);

fn token_of(made: &Value) -> String {
    made["link"].as_str().unwrap().split_once("#token=").unwrap().1.to_owned()
}

async fn accept(browser: &Browser, token: &str) -> reqwest::Response {
    browser.call(Method::POST, "/invitations/accept", Some(&json!({ "token": token }))).await
}

#[tokio::test]
async fn an_invitation_is_no_way_to_a_role_of_ones_own() {
    let world = World::new().await;
    let (eve, bob, carl) = (world.user("eve", &[]).await, world.user("bob", &[]).await, world.user("carl", &[]).await);
    world.metadb.put_member(&world.group.id, &eve.id, &[Role::UserAdmin]).await.unwrap();
    let (e, b, c) = (world.signed_in(&eve).await, world.signed_in(&bob).await, world.signed_in(&carl).await);
    let path = format!("/groups/{}/invitations", world.group.name);
    let invite = |email: &str| json!({ "email": email, "roles": ["backupAdmin"] });
    // Her own address, and one that she makes up.
    for email in [eve.email.as_str(), "made-up@example.org"] {
        let made = ok(e.call(Method::POST, &path, Some(&invite(email))).await).await;
        refused(accept(&e, &token_of(&made)).await, StatusCode::FORBIDDEN, "ownInvitation").await;
    }
    // By a key that she made it is hers too, and so is her membership.
    let keys = format!("/groups/{}/apiKeys", world.group.name);
    let key = ok(e.call(Method::POST, &keys, Some(&json!({ "label": "k", "role": "userAdmin" }))).await).await;
    let key = key["key"].as_str().unwrap();
    let made = ok(world.call(Some(key), Method::POST, &path, Some(&invite(&eve.email))).await).await;
    refused(accept(&e, &token_of(&made)).await, StatusCode::FORBIDDEN, "ownInvitation").await;
    let own = format!("/groups/{}/members/{}", world.group.name, eve.id);
    let more = json!({ "roles": ["backupAdmin"] });
    refused(world.call(Some(key), Method::PUT, &own, Some(&more)).await, StatusCode::FORBIDDEN, "ownRole").await;
    let roles = world.metadb.member(&world.group.id, &eve.id).await.unwrap().unwrap().roles;
    assert_eq!(roles, [Role::UserAdmin]);
    // Whoever finds a link of someone else has nothing; the one whom it names joins by one click.
    let made = ok(e.call(Method::POST, &path, Some(&invite(&carl.email))).await).await;
    let token = token_of(&made);
    let why = refused(accept(&b, &token).await, StatusCode::FORBIDDEN, "otherAddress").await;
    assert!(why.contains(&carl.email), "{why}");
    assert!(world.metadb.member(&world.group.id, &bob.id).await.unwrap().is_none());
    let nobody = world.browser().call(Method::POST, "/invitations/accept", Some(&json!({ "token": token }))).await;
    refused(nobody, StatusCode::CONFLICT, "accountExists").await;
    assert_eq!(accept(&c, &token).await.status(), StatusCode::NO_CONTENT);
    assert_eq!(c.get("/sessions/current").await["groups"][0]["roles"], json!(["backupAdmin"]));
    refused(accept(&c, &token).await, StatusCode::NOT_FOUND, "invitationOver").await;
}

#[tokio::test]
async fn an_invitation_that_was_taken_back_makes_no_account() {
    let world = World::new().await;
    let new = NewInvitation { email: "new@example.org", roles: &[Role::ReadOnly], invited_by: "ada", inviter: None };
    let (invitation, secret) = world.metadb.create_invitation(&world.group.id, new).await.unwrap();
    assert!(world.metadb.revoke_invitation(&world.group.id, &invitation.id).await.unwrap());
    let user = User::new("new@example.org", "New", None, Vec::new());
    assert_eq!(world.metadb.accept_with_account(&secret, &user).await.unwrap(), Acceptance::Over);
    assert!(world.metadb.user_by_email("new@example.org").await.unwrap().is_none());
}

#[tokio::test]
async fn lasting_access_needs_the_second_factor_of_the_policy() {
    let world = World::new().await;
    let policy = AccessPolicy { totp: TotpPolicy::All, ..AccessPolicy::default() };
    world.metadb.put_access_policy(&policy).await.unwrap();
    let ada = world.user("ada", &[Role::Owner]).await;
    let browser = world.signed_in(&ada).await;
    let make = json!({ "label": "ci", "role": "owner" });
    let made = browser.call(Method::POST, "/account/apiKeys", Some(&make)).await;
    refused(made, StatusCode::FORBIDDEN, "totpEnrolmentRequired").await;
    let join = browser.call(Method::POST, "/joinRequests", Some(&json!({ "group": "x" }))).await;
    refused(join, StatusCode::FORBIDDEN, "totpEnrolmentRequired").await;
    browser.get("/account/apiKeys").await;
    // A key of before the policy waits until its person has one; a key of nobody goes on.
    let own = NewApiKey { user: Some(ada.id.clone()), ..NewApiKey::new(None, Role::Owner, "old") };
    let (_, key) = world.metadb.create_api_key(own).await.unwrap();
    for (method, path) in [(Method::GET, "/groups"), (Method::GET, "/daemons"), (Method::GET, "/offsite/snapshots")] {
        let held = world.call(Some(&key), method, path, None).await;
        refused(held, StatusCode::FORBIDDEN, "totpEnrolmentRequired").await;
    }
    let mut totp = holdfast_metadb::Totp::new(vec![1]);
    totp.confirmed = true;
    world.metadb.put_totp(&ada.id, Some(&totp), &[]).await.unwrap();
    ok(world.call(Some(&key), Method::GET, "/groups", None).await).await;
    world.get("/groups").await;
}

#[tokio::test]
async fn strangers_who_guess_do_not_lock_the_owner_out() {
    let world = World::new().await;
    let ada = world.user("ada", &[]).await;
    let sign_in = async |password: &str| {
        let body = json!({ "email": ada.email, "password": password });
        world.browser().call(Method::POST, "/sessions", Some(&body)).await
    };
    // One place uses up its own attempts, and not those of everyone.
    for _ in 0..60 {
        let status = sign_in("wrong").await.status();
        assert!([StatusCode::UNAUTHORIZED, StatusCode::TOO_MANY_REQUESTS].contains(&status));
    }
    let account = holdfast_web::sign_in_family(&ada.email);
    assert_eq!(world.metadb.throttle(&account, 50, WINDOW).await.unwrap(), None, "elsewhere there are attempts left");
    world.metadb.unthrottle_family(&account).await.unwrap();
    // Many places together are bounded where the account is new...
    for _ in 0..60 {
        world.metadb.throttle_of(Some(&account), &account, 50, WINDOW).await.unwrap();
    }
    refused(sign_in(PASSWORD).await, StatusCode::TOO_MANY_REQUESTS, "lockedOut").await;
    // ... and do not matter to who is signed in, nor where the account signed in before.
    let browser = world.signed_in(&ada).await;
    let again = json!({ "password": PASSWORD });
    ok(browser.call(Method::POST, "/sessions/current/verify", Some(&again)).await).await;
    world.metadb.unthrottle(&account).await.unwrap();
    assert_eq!(sign_in(PASSWORD).await.status(), StatusCode::CREATED);
    for _ in 0..60 {
        world.metadb.throttle_of(Some(&account), &account, 50, WINDOW).await.unwrap();
    }
    assert_eq!(sign_in(PASSWORD).await.status(), StatusCode::CREATED);
    // A session guesses no more often than that.
    let wrong = json!({ "password": "no" });
    for _ in 0..10 {
        browser.call(Method::POST, "/sessions/current/verify", Some(&wrong)).await;
    }
    let locked = browser.call(Method::POST, "/sessions/current/verify", Some(&again)).await;
    refused(locked, StatusCode::TOO_MANY_REQUESTS, "lockedOut").await;
}

#[tokio::test]
async fn keys_of_the_appliance_are_listed_and_revoked() {
    let world = World::new().await;
    let ada = world.user("ada", &[Role::Owner]).await;
    let a = world.signed_in(&ada).await;
    let made = ok(a.call(Method::POST, "/apiKeys", Some(&json!({ "label": "ci", "role": "readOnly" }))).await).await;
    let key = made["key"].as_str().unwrap();
    ok(world.call(Some(key), Method::GET, "/daemons", None).await).await;
    let find = async |label: &str| {
        let all = world.get("/apiKeys").await;
        all.as_array().unwrap().iter().find(|k| k["label"] == label).cloned().unwrap()
    };
    let listed = find("ci").await;
    assert_eq!(
        (&listed["key"], &listed["madeBy"], &listed["makerLeft"]),
        (&Value::Null, &json!(ada.email), &json!(false))
    );
    assert_eq!((&find("test").await["madeBy"], &find("test").await["makerLeft"]), (&Value::Null, &json!(false)));
    // A group's key is not named here.
    let group = format!("/groups/{}/apiKeys", world.group.name);
    let other = ok(world.post(&group, json!({ "label": "g", "role": "readOnly" })).await).await;
    let one = |id: &Value| format!("/apiKeys/{}", id.as_str().unwrap());
    let foreign = a.call(Method::DELETE, &one(&other["id"]), None).await;
    refused(foreign, StatusCode::NOT_FOUND, "notFound").await;
    ok(a.call(Method::DELETE, &one(&made["id"]), None).await).await;
    refused(world.call(Some(key), Method::GET, "/daemons", None).await, StatusCode::UNAUTHORIZED, "apiKey").await;
    assert_eq!(find("ci").await["revoked"], true);
    let audit = a.get("/audit").await;
    assert_eq!(
        (&audit["entries"][0]["action"], &audit["entries"][0]["target"]),
        (&json!("API key revoked"), &json!("ci"))
    );
}

#[tokio::test]
async fn a_key_of_a_group_outlives_its_maker_and_says_so() {
    let world = World::new().await;
    let eve = world.user("eve", &[]).await;
    world.metadb.put_member(&world.group.id, &eve.id, &[Role::UserAdmin]).await.unwrap();
    let e = world.signed_in(&eve).await;
    let path = format!("/groups/{}/apiKeys", world.group.name);
    let made = ok(e.call(Method::POST, &path, Some(&json!({ "label": "ci", "role": "readOnly" }))).await).await;
    assert_eq!(world.get(&path).await[0]["makerLeft"], false);
    world.metadb.put_member(&world.group.id, &eve.id, &[]).await.unwrap();
    let listed = world.get(&path).await;
    assert_eq!((&listed[0]["madeBy"], &listed[0]["makerLeft"]), (&json!(eve.email), &json!(true)));
    ok(world.call(made["key"].as_str(), Method::GET, "/groups", None).await).await;
}

#[tokio::test]
async fn a_password_set_by_link_ends_own_keys_and_is_none_of_the_persons_words() {
    let world = World::new().await;
    let ada = world.user("lovelace", &[Role::Owner]).await;
    let a = world.signed_in(&ada).await;
    let made =
        ok(a.call(Method::POST, "/account/apiKeys", Some(&json!({ "label": "x", "role": "owner" }))).await).await;
    let key = made["key"].as_str();
    ok(world.call(key, Method::GET, "/groups", None).await).await;
    let facts = bson::doc! { "user": ada.id.clone() };
    let token = world.metadb.create_one_time(OneTimeKind::PasswordReset, facts, WINDOW).await.unwrap();
    let set = async |password: &str| {
        let body = json!({ "token": token, "password": password });
        world.call(None, Method::POST, "/password-resets/confirm", Some(&body)).await
    };
    refused(set("lovelace1234").await, StatusCode::UNPROCESSABLE_ENTITY, "weakPassword").await;
    // The refusal has not used the link up.
    ok(set("quite another sentence").await).await;
    refused(world.call(key, Method::GET, "/groups", None).await, StatusCode::UNAUTHORIZED, "apiKey").await;
    // The same of a sign-up.
    let policy = AccessPolicy { sign_up: holdfast_metadb::SignUp::Open, ..AccessPolicy::default() };
    world.metadb.put_access_policy(&policy).await.unwrap();
    tokio::time::sleep(Duration::from_millis(2100)).await;
    let facts = bson::doc! { "email": "turingalan@example.org", "name": "Alan" };
    let token = world.metadb.create_one_time(OneTimeKind::SignUp, facts, WINDOW).await.unwrap();
    let weak = json!({ "token": token, "password": "turingalan12" });
    let weak = world.browser().call(Method::POST, "/sign-ups/confirm", Some(&weak)).await;
    refused(weak, StatusCode::UNPROCESSABLE_ENTITY, "weakPassword").await;
}

#[tokio::test]
async fn an_address_is_not_changed_without_its_mailbox() {
    let world = World::new().await;
    let (ada, bob) = (world.user("ada", &[]).await, world.user("bob", &[]).await);
    let a = world.signed_in(&ada).await;
    // Without a mail server, and the same whether there is such an account or not.
    for email in [bob.email.as_str(), "free@example.org"] {
        let change = json!({ "email": email, "password": PASSWORD });
        let asked = a.call(Method::PUT, "/account", Some(&change)).await;
        refused(asked, StatusCode::UNPROCESSABLE_ENTITY, "mailNotSet").await;
    }
    let named = ok(a.call(Method::PUT, "/account", Some(&json!({ "name": "Ada L." }))).await).await;
    assert_eq!(
        (&named["name"], &named["email"], &named["emailPending"]),
        (&json!("Ada L."), &json!(ada.email), &Value::Null)
    );
    // The link moves the account; a reset that lies in the old mailbox no longer works.
    let facts = |from: &str| bson::doc! { "user": ada.id.clone(), "from": from, "to": "free@example.org" };
    let stale = world.metadb.create_one_time(OneTimeKind::EmailChange, facts("old@example.org"), WINDOW).await.unwrap();
    let link = world.metadb.create_one_time(OneTimeKind::EmailChange, facts(&ada.email), WINDOW).await.unwrap();
    let reset = bson::doc! { "user": ada.id.clone() };
    let reset = world.metadb.create_one_time(OneTimeKind::PasswordReset, reset, WINDOW).await.unwrap();
    let confirm = async |token: &str| {
        world.browser().call(Method::POST, "/account/email/confirm", Some(&json!({ "token": token }))).await
    };
    refused(confirm(&stale).await, StatusCode::NOT_FOUND, "linkOver").await;
    ok(confirm(&link).await).await;
    refused(confirm(&link).await, StatusCode::NOT_FOUND, "linkOver").await;
    assert_eq!(a.get("/sessions/current").await["user"]["email"], "free@example.org");
    let old = json!({ "token": reset, "password": "quite another sentence" });
    let old = world.call(None, Method::POST, "/password-resets/confirm", Some(&old)).await;
    refused(old, StatusCode::NOT_FOUND, "linkOver").await;
}

#[tokio::test]
async fn restores_and_deletions_want_a_fresh_proof() {
    let world = World::new().await;
    let ada = world.user("ada", &[Role::Owner]).await;
    let job = world.job().await;
    world.open_chain(&job.id, op(100, 1)).await;
    let root = world.snapshot(&job.id, op(105, 2), 0, 1).await;
    let new = json!({ "snapshot": root.id.to_string() });
    let restore = ok(world.post(&world.backup("/restores"), new).await).await["id"].as_str().unwrap().to_owned();
    let browser = world.signed_in(&ada).await;
    let sessions = world.metadb.database().collection::<bson::Document>("sessions");
    let old = bson::DateTime::from_millis(bson::DateTime::now().timestamp_millis() - 3_600_000);
    sessions.update_many(bson::doc! {}, bson::doc! { "$set": { "verified": old } }).await.unwrap();
    let mut asked = Vec::new();
    for row in ROWS.iter().filter(|row| row.again) {
        let part = |part: &str| match part {
            "{group}" => world.group.name.clone(),
            "{rs}" => "rs0".to_owned(),
            "{restore}" => restore.clone(),
            "{number}" => "1".to_owned(),
            part if part.starts_with('{') => "0123456789abcdef01234567".to_owned(),
            part => part.to_owned(),
        };
        let path = row.path.split('/').map(part).collect::<Vec<_>>().join("/");
        let method: Method = row.method.parse().unwrap();
        let body = json!({});
        let answer = browser.call(method.clone(), &path, (method != Method::DELETE).then_some(&body)).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{} {path}", row.method);
        refused(answer, StatusCode::FORBIDDEN, "reauthenticationRequired").await;
        asked.push((row.method, row.path));
    }
    // What gives data away, and what takes it away.
    for wanted in [
        ("POST", "/groups/{group}/backups/{rs}/restores"),
        ("POST", "/restores/{restore}/delivery"),
        ("POST", "/groups/{group}/sftp/targets"),
        ("POST", "/offsite/copies/{copy}/restores"),
        ("POST", "/groups/{group}/key/export"),
        ("DELETE", "/groups/{group}/backups/{rs}/snapshots/{snapshot}"),
        ("POST", "/groups/{group}/backups/{rs}/termination"),
        ("PATCH", "/groups/{group}/backups/{rs}"),
        ("DELETE", "/groups/{group}/deployments/{deployment}"),
        ("PUT", "/settings/oidc"),
        ("PUT", "/settings/ldap"),
    ] {
        assert!(asked.contains(&wanted), "{wanted:?}");
    }
}

#[tokio::test]
async fn a_sign_in_ends_the_session_that_its_cookie_replaces() {
    let world = World::new().await;
    let (ada, bob) = (world.user("ada", &[]).await, world.user("bob", &[]).await);
    let former = world.signed_in(&ada).await;
    let of_bob = world.signed_in(&bob).await;
    let body = json!({ "email": ada.email, "password": PASSWORD });
    for browser in [&former, &of_bob] {
        let answer = browser.call(Method::POST, "/sessions", Some(&body)).await;
        assert_eq!(answer.status(), StatusCode::CREATED);
    }
    refused(former.call(Method::GET, "/sessions/current", None).await, StatusCode::UNAUTHORIZED, "apiKey").await;
    ok(of_bob.call(Method::GET, "/sessions/current", None).await).await;
}
