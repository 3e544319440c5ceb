//! People: the claim, sessions, passwords, second factors, members and invitations.

use holdfast_metadb::{AccessPolicy, Role, TotpPolicy, User, hash_secret};
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::world::{Browser, PASSWORD, World, ok, refused};

async fn claim(world: &World, code: &str, email: &str, group: &str) -> Response {
    let body = json!({ "code": code, "email": email, "name": "Ada", "password": PASSWORD, "group": group });
    world.browser().call(Method::POST, "/setup/claim", Some(&body)).await
}

#[tokio::test]
async fn the_appliance_is_claimed_once_however_many_try() {
    let world = World::new().await;
    let before = ok(world.call(None, Method::GET, "/setup", None).await).await;
    assert_eq!(before["claimed"], false);
    let code = holdfast_web::new_code();
    assert!(world.metadb.put_setup_code(&holdfast_web::normal_code(&code), false).await.unwrap());
    assert!(!world.metadb.put_setup_code("OTHER", false).await.unwrap(), "the first code stays");
    refused(claim(&world, "AAAAA-AAAAA", "a@example.org", "shop").await, StatusCode::FORBIDDEN, "setupCode").await;
    let weak =
        json!({ "code": code, "email": "a@example.org", "name": "A", "password": "password1234", "group": "shop" });
    let weak = world.browser().call(Method::POST, "/setup/claim", Some(&weak)).await;
    refused(weak, StatusCode::UNPROCESSABLE_ENTITY, "weakPassword").await;
    let attempts = ["a", "b", "c", "d"].map(|name| {
        let (world, code) = (&world, &code);
        async move { claim(world, code, &format!("{name}@example.org"), &format!("group-{name}")).await }
    });
    let answers = futures::future::join_all(attempts).await;
    let made: Vec<&Response> = answers.iter().filter(|a| a.status() == StatusCode::CREATED).collect();
    assert_eq!(made.len(), 1, "{answers:?}");
    let cookie = made[0].headers()["set-cookie"].to_str().unwrap().to_owned();
    for part in ["__Host-holdfast=hfs_", "HttpOnly", "Secure", "SameSite=Strict", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    for answer in answers {
        if answer.status() == StatusCode::CREATED {
            let current = ok(answer).await;
            assert_eq!(current["globalRoles"], json!(["owner"]));
            assert_eq!(current["groups"].as_array().unwrap().len(), 2, "its own and the one that was there");
        } else {
            assert!([StatusCode::CONFLICT, StatusCode::FORBIDDEN].contains(&answer.status()), "{answer:?}");
        }
    }
    assert_eq!(world.metadb.users(None, 10).await.unwrap().len(), 1);
    assert_eq!(world.metadb.groups().await.unwrap().len(), 2);
    assert!(!world.metadb.put_setup_code("LATER", true).await.unwrap(), "no code opens it again");
    refused(claim(&world, &code, "z@example.org", "late").await, StatusCode::CONFLICT, "claimed").await;
    assert_eq!(ok(world.call(None, Method::GET, "/setup", None).await).await["claimed"], true);
}

#[tokio::test]
async fn a_wrong_sign_in_tells_nothing_and_ends_in_a_lock_out() {
    let world = World::new().await;
    let ada = world.user("ada", &[]).await;
    let shut = world.user("shut", &[]).await;
    world.metadb.put_standing(&shut.id, &[], true).await.unwrap();
    let nobody = User::new("none@example.org", "None", None, Vec::new());
    world.metadb.create_user(&nobody).await.unwrap();
    let attempt = async |email: &str, password: &str| {
        let body = json!({ "email": email, "password": password });
        world.browser().call(Method::POST, "/sessions", Some(&body)).await
    };
    let mut answers = Vec::new();
    for (email, password) in [
        (ada.email.as_str(), "wrong"),
        ("stranger@example.org", PASSWORD),
        (shut.email.as_str(), PASSWORD),
        (nobody.email.as_str(), "nobody's password"),
    ] {
        let answer = attempt(email, password).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        assert!(answer.headers().get("set-cookie").is_none());
        let mut problem: Value = answer.json().await.unwrap();
        problem["requestId"] = Value::Null;
        answers.push(problem);
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
    // The same number of attempts locks an account and what is none.
    for email in [ada.email.as_str(), "stranger@example.org"] {
        let mut locked = None;
        for n in 2..=15 {
            let answer = attempt(email, "wrong").await;
            if answer.status() == StatusCode::TOO_MANY_REQUESTS {
                assert!(answer.headers().contains_key("retry-after"));
                locked = Some(n);
                break;
            }
        }
        assert_eq!(locked, Some(11), "{email}");
    }
    refused(attempt(&ada.email, PASSWORD).await, StatusCode::TOO_MANY_REQUESTS, "lockedOut").await;
    world.metadb.unthrottle(&format!("signIn/{}/127.0.0.1", ada.email)).await.unwrap();
    assert_eq!(attempt(&ada.email.to_uppercase(), PASSWORD).await.status(), StatusCode::CREATED);
    // Asking for a new password tells nothing either.
    let ask = async |email: &str| {
        let body = json!({ "email": email });
        let answer = world.call(None, Method::POST, "/password-resets", Some(&body)).await;
        (answer.status(), answer.text().await.unwrap())
    };
    assert_eq!(ask(&ada.email).await, ask("stranger@example.org").await);
}

#[tokio::test]
async fn sessions_are_seen_and_ended() {
    let world = World::new().await;
    let ada = world.user("ada", &[]).await;
    let (first, second) = (world.signed_in(&ada).await, world.signed_in(&ada).await);
    let sessions = first.get("/account/sessions").await;
    assert_eq!(sessions.as_array().unwrap().len(), 2);
    let current = first.get("/sessions/current").await;
    assert_eq!(current["user"]["email"], ada.email);
    assert_eq!(current["groups"], json!([]));
    let other = sessions.as_array().unwrap().iter().find(|s| s["current"] == false).unwrap();
    let path = format!("/account/sessions/{}", other["id"].as_str().unwrap());
    ok(first.call(Method::DELETE, &path, None).await).await;
    let gone = second.call(Method::GET, "/sessions/current", None).await;
    refused(gone, StatusCode::UNAUTHORIZED, "apiKey").await;
    // Another person's session cannot be named.
    let eve = world.user("eve", &[]).await;
    let eves = world.signed_in(&eve).await;
    let foreign = format!("/account/sessions/{}", current["id"].as_str().unwrap());
    refused(eves.call(Method::DELETE, &foreign, None).await, StatusCode::NOT_FOUND, "notFound").await;
    // A new password ends the others.
    let third = world.signed_in(&ada).await;
    let wrong = json!({ "current": "no", "new": "another good sentence" });
    refused(first.call(Method::POST, "/account/password", Some(&wrong)).await, StatusCode::UNAUTHORIZED, "credentials")
        .await;
    let change = json!({ "current": PASSWORD, "new": "another good sentence" });
    ok(first.call(Method::POST, "/account/password", Some(&change)).await).await;
    refused(third.call(Method::GET, "/sessions/current", None).await, StatusCode::UNAUTHORIZED, "apiKey").await;
    let out = first.call(Method::DELETE, "/sessions/current", None).await;
    assert!(out.headers()["set-cookie"].to_str().unwrap().contains("Max-Age=0"));
    refused(first.call(Method::GET, "/sessions/current", None).await, StatusCode::UNAUTHORIZED, "apiKey").await;
}

#[tokio::test]
async fn idle_and_old_sessions_are_over() {
    let world = World::new().await;
    let ada = world.user("ada", &[]).await;
    let browser = world.signed_in(&ada).await;
    let sessions = world.metadb.database().collection::<bson::Document>("sessions");
    let set = async |field: &str, seconds_ago: i64| {
        let then = bson::DateTime::from_millis(bson::DateTime::now().timestamp_millis() - seconds_ago * 1000);
        sessions.update_many(bson::doc! {}, bson::doc! { "$set": { field: then } }).await.unwrap();
    };
    set("lastSeen", 3600).await;
    browser.get("/sessions/current").await;
    set("lastSeen", 13 * 3600).await;
    refused(browser.call(Method::GET, "/sessions/current", None).await, StatusCode::UNAUTHORIZED, "apiKey").await;
    set("lastSeen", 0).await;
    browser.get("/sessions/current").await;
    set("expires", 1).await;
    refused(browser.call(Method::GET, "/sessions/current", None).await, StatusCode::UNAUTHORIZED, "apiKey").await;
}

fn code(secret: &str, steps_ahead: u64) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let secret = totp_rs::Secret::try_from_base32(secret).unwrap();
    let totp = totp_rs::Builder::new().with_secret(secret).build().unwrap();
    totp.generate(now + 30 * steps_ahead).to_string()
}

#[tokio::test]
async fn a_second_factor_is_asked_for_and_each_code_is_taken_once() {
    let world = World::new().await;
    let ada = world.user("ada", &[]).await;
    let browser = world.signed_in(&ada).await;
    let begun = ok(browser.call(Method::POST, "/account/totp", Some(&json!({ "password": PASSWORD }))).await).await;
    let secret = begun["secret"].as_str().unwrap();
    assert!(begun["uri"].as_str().unwrap().starts_with("otpauth://totp/Holdfast"), "{begun}");
    let stored = world.metadb.user(&ada.id).await.unwrap().unwrap();
    assert!(!stored.has_totp(), "it counts once it is confirmed");
    let wrong = json!({ "code": "000000" });
    refused(
        browser.call(Method::POST, "/account/totp/confirm", Some(&wrong)).await,
        StatusCode::UNAUTHORIZED,
        "totpWrong",
    )
    .await;
    let first = code(secret, 0);
    let confirmed =
        ok(browser.call(Method::POST, "/account/totp/confirm", Some(&json!({ "code": first }))).await).await;
    let recovery = confirmed["recoveryCodes"][3].as_str().unwrap().to_owned();
    assert_eq!(confirmed["recoveryCodes"].as_array().unwrap().len(), 10);
    let attempt = async |totp: Option<&str>| {
        let body = json!({ "email": ada.email, "password": PASSWORD, "totp": totp });
        world.browser().call(Method::POST, "/sessions", Some(&body)).await
    };
    refused(attempt(None).await, StatusCode::UNAUTHORIZED, "totpRequired").await;
    refused(attempt(Some(&first)).await, StatusCode::UNAUTHORIZED, "totpWrong").await;
    let next = code(secret, 1);
    assert_eq!(attempt(Some(&next)).await.status(), StatusCode::CREATED);
    refused(attempt(Some(&next)).await, StatusCode::UNAUTHORIZED, "totpWrong").await;
    assert_eq!(attempt(Some(&recovery.to_uppercase())).await.status(), StatusCode::CREATED);
    refused(attempt(Some(&recovery)).await, StatusCode::UNAUTHORIZED, "totpWrong").await;
    let current = browser.get("/sessions/current").await;
    assert_eq!((&current["totp"]["enabled"], &current["totp"]["recoveryCodes"]), (&json!(true), &json!(9)));
    let stored = world.metadb.database().collection::<bson::Document>("users");
    let stored = format!("{:?}", stored.find_one(bson::doc! { "email": &ada.email }).await.unwrap().unwrap());
    assert!(
        !stored.contains(&recovery)
            && stored.contains(&hash_secret(&confirmed["recoveryCodes"][0].as_str().unwrap().replace('-', "")))
    );
    ok(browser.call(Method::DELETE, "/account/totp", None).await).await;
    assert_eq!(attempt(None).await.status(), StatusCode::CREATED);
}

#[tokio::test]
async fn a_required_second_factor_holds_up_all_but_the_account() {
    let world = World::new().await;
    let ada = world.user("ada", &[Role::Owner]).await;
    let policy = AccessPolicy { totp: TotpPolicy::GlobalRoles, ..AccessPolicy::default() };
    world.metadb.put_access_policy(&policy).await.unwrap();
    let browser = world.signed_in(&ada).await;
    assert_eq!(browser.get("/sessions/current").await["totp"]["required"], true);
    let held = browser.call(Method::GET, "/groups", None).await;
    refused(held, StatusCode::FORBIDDEN, "totpEnrolmentRequired").await;
    let begun = ok(browser.call(Method::POST, "/account/totp", Some(&json!({ "password": PASSWORD }))).await).await;
    let code = code(begun["secret"].as_str().unwrap(), 0);
    ok(browser.call(Method::POST, "/account/totp/confirm", Some(&json!({ "code": code }))).await).await;
    browser.get("/groups").await;
    let removed = browser.call(Method::DELETE, "/account/totp", None).await;
    refused(removed, StatusCode::UNPROCESSABLE_ENTITY, "totpNeeded").await;
}

#[tokio::test]
async fn what_cannot_be_undone_asks_again_who_it_is() {
    let world = World::new().await;
    let ada = world.user("ada", &[Role::Owner]).await;
    let browser = world.signed_in(&ada).await;
    let sessions = world.metadb.database().collection::<bson::Document>("sessions");
    let old = bson::DateTime::from_millis(bson::DateTime::now().timestamp_millis() - 3_600_000);
    sessions.update_many(bson::doc! {}, bson::doc! { "$set": { "verified": old } }).await.unwrap();
    let key = json!({ "label": "x", "role": "readOnly" });
    let path = format!("/groups/{}/apiKeys", world.group.name);
    let again = browser.call(Method::POST, &path, Some(&key)).await;
    refused(again, StatusCode::FORBIDDEN, "reauthenticationRequired").await;
    world.job().await;
    let restore =
        browser.call(Method::POST, &world.backup("/restores"), Some(&json!({ "at": "2026-01-01T00:00:00Z" }))).await;
    refused(restore, StatusCode::FORBIDDEN, "reauthenticationRequired").await;
    let wrong = browser.call(Method::POST, "/sessions/current/verify", Some(&json!({ "password": "no" }))).await;
    refused(wrong, StatusCode::UNAUTHORIZED, "credentials").await;
    ok(browser.call(Method::POST, "/sessions/current/verify", Some(&json!({ "password": PASSWORD }))).await).await;
    assert_eq!(browser.call(Method::POST, &path, Some(&key)).await.status(), StatusCode::CREATED);
}

#[tokio::test]
async fn members_change_by_others_and_the_last_owner_stays() {
    let world = World::new().await;
    let (ada, bob) = (world.user("ada", &[]).await, world.user("bob", &[]).await);
    let group = &world.group.id;
    world.metadb.put_member(group, &ada.id, &[Role::Owner]).await.unwrap();
    world.metadb.put_member(group, &bob.id, &[Role::UserAdmin]).await.unwrap();
    let (a, b) = (world.signed_in(&ada).await, world.signed_in(&bob).await);
    let of = |user: &User| format!("/groups/{}/members/{}", world.group.name, user.id);
    let owner = json!({ "roles": ["owner"] });
    refused(b.call(Method::PUT, &of(&bob), Some(&owner)).await, StatusCode::FORBIDDEN, "ownRole").await;
    refused(b.call(Method::DELETE, &of(&ada), None).await, StatusCode::FORBIDDEN, "forbidden").await;
    let carl = world.user("carl", &[]).await;
    world.metadb.put_member(group, &carl.id, &[Role::ReadOnly]).await.unwrap();
    refused(b.call(Method::PUT, &of(&carl), Some(&owner)).await, StatusCode::FORBIDDEN, "forbidden").await;
    ok(b.call(Method::PUT, &of(&carl), Some(&json!({ "roles": ["backupAdmin"] }))).await).await;
    let leave = format!("/account/groups/{}", world.group.name);
    refused(a.call(Method::DELETE, &leave, None).await, StatusCode::CONFLICT, "lastOwner").await;
    ok(a.call(Method::PUT, &of(&bob), Some(&owner)).await).await;
    // Two owners leave at once: one of them stays.
    let (one, two) = tokio::join!(a.call(Method::DELETE, &leave, None), b.call(Method::DELETE, &leave, None));
    let mut codes = [one.status(), two.status()];
    codes.sort();
    assert_eq!(codes, [StatusCode::NO_CONTENT, StatusCode::CONFLICT]);
    let members = world.metadb.members(group).await.unwrap();
    assert_eq!(members.iter().filter(|m| m.roles.contains(&Role::Owner)).count(), 1);
}

#[tokio::test]
async fn the_last_global_owner_stays() {
    let world = World::new().await;
    let (ada, bob) = (world.user("ada", &[Role::Owner]).await, world.user("bob", &[Role::Owner]).await);
    let (a, b) = (world.signed_in(&ada).await, world.signed_in(&bob).await);
    let none = json!({ "globalRoles": [] });
    let (pa, pb) = (format!("/users/{}", ada.id), format!("/users/{}", bob.id));
    refused(a.call(Method::PUT, &pa, Some(&none)).await, StatusCode::FORBIDDEN, "ownRole").await;
    let (one, two) = tokio::join!(a.call(Method::PUT, &pb, Some(&none)), b.call(Method::PUT, &pa, Some(&none)));
    let done = [&one, &two].iter().filter(|answer| answer.status() == StatusCode::OK).count();
    assert_eq!(done, 1, "{one:?} {two:?}");
    let left = world.metadb.users(None, 10).await.unwrap();
    assert_eq!(left.iter().filter(|u| u.global_roles.contains(&Role::Owner)).count(), 1);
    // A user admin of the whole appliance does not shut out an owner.
    let eve = world.user("eve", &[Role::UserAdmin]).await;
    let e = world.signed_in(&eve).await;
    let owner = left.iter().find(|u| u.global_roles.contains(&Role::Owner)).unwrap();
    let shut = e.call(Method::PUT, &format!("/users/{}", owner.id), Some(&json!({ "disabled": true }))).await;
    refused(shut, StatusCode::FORBIDDEN, "forbidden").await;
    let made = json!({ "email": "new@example.org", "name": "New", "globalRoles": ["owner"] });
    refused(e.call(Method::POST, "/users", Some(&made)).await, StatusCode::FORBIDDEN, "forbidden").await;
}

#[tokio::test]
async fn an_invitation_makes_an_account_once() {
    let world = World::new().await;
    let ada = world.user("ada", &[]).await;
    world.metadb.put_member(&world.group.id, &ada.id, &[Role::UserAdmin]).await.unwrap();
    let a = world.signed_in(&ada).await;
    let path = format!("/groups/{}/invitations", world.group.name);
    let owner = json!({ "email": "x@example.org", "roles": ["owner"] });
    refused(a.call(Method::POST, &path, Some(&owner)).await, StatusCode::FORBIDDEN, "forbidden").await;
    for bad in ["x@example.org\r\nBcc: y@example.org", "<script>@x", "x"] {
        let body = json!({ "email": bad, "roles": ["readOnly"] });
        refused(a.call(Method::POST, &path, Some(&body)).await, StatusCode::BAD_REQUEST, "badRequest").await;
    }
    let made =
        ok(a.call(Method::POST, &path, Some(&json!({ "email": "Carl@example.org", "roles": ["backupAdmin"] }))).await)
            .await;
    assert_eq!((&made["email"], &made["mailed"]), (&json!("carl@example.org"), &json!(false)));
    let link = made["link"].as_str().unwrap();
    assert!(link.starts_with("https://appliance:8080/invitation#token=hfi_"), "{link}");
    let token = link.split_once("#token=").unwrap().1;
    assert_eq!(a.get(&path).await[0]["link"], Value::Null, "shown once");
    let facts =
        ok(world.browser().call(Method::POST, "/invitations/look", Some(&json!({ "token": token }))).await).await;
    assert_eq!((&facts["group"], &facts["accountExists"]), (&json!(world.group.name), &json!(false)));
    let accept = json!({ "token": token, "name": "Carl", "password": PASSWORD });
    let (one, two) = {
        let (b1, b2) = (world.browser(), world.browser());
        tokio::join!(
            b1.call(Method::POST, "/invitations/accept", Some(&accept)),
            b2.call(Method::POST, "/invitations/accept", Some(&accept)),
        )
    };
    let made = [&one, &two].iter().filter(|a| a.status() == StatusCode::CREATED).count();
    assert_eq!(made, 1, "{one:?} {two:?}");
    let won = if one.status() == StatusCode::CREATED { one } else { two };
    let current = ok(won).await;
    assert_eq!(current["groups"][0]["roles"], json!(["backupAdmin"]));
    refused(
        world.browser().call(Method::POST, "/invitations/accept", Some(&accept)).await,
        StatusCode::NOT_FOUND,
        "invitationOver",
    )
    .await;
}

#[tokio::test]
async fn a_request_to_join_waits_for_an_answer() {
    let world = World::new().await;
    let (ada, bob) = (world.user("ada", &[]).await, world.user("bob", &[]).await);
    world.metadb.put_member(&world.group.id, &ada.id, &[Role::Owner]).await.unwrap();
    let (a, b) = (world.signed_in(&ada).await, world.signed_in(&bob).await);
    let ask = async |group: &str| {
        let answer = b.call(Method::POST, "/joinRequests", Some(&json!({ "group": group, "message": "hello" }))).await;
        (answer.status(), answer.text().await.unwrap())
    };
    assert_eq!(ask(&world.group.name).await, ask("there-is-none").await, "whether there is a group is not told");
    let path = format!("/groups/{}/joinRequests", world.group.name);
    refused(b.call(Method::GET, &path, None).await, StatusCode::NOT_FOUND, "notFound").await;
    let waiting = a.get(&path).await;
    assert_eq!((&waiting[0]["user"]["email"], &waiting[0]["message"]), (&json!(bob.email), &json!("hello")));
    let one = format!("{path}/{}", waiting[0]["id"].as_str().unwrap());
    ok(a.call(Method::POST, &one, Some(&json!({ "roles": ["readOnly"] }))).await).await;
    assert_eq!(b.get("/groups").await[0]["id"], world.group.id.as_str());
    refused(
        a.call(Method::POST, &one, Some(&json!({ "roles": ["readOnly"] }))).await,
        StatusCode::NOT_FOUND,
        "notFound",
    )
    .await;
}

#[tokio::test]
async fn a_link_sets_a_password_once() {
    let world = World::new().await;
    let ada = world.user("ada", &[Role::UserAdmin]).await;
    let a = world.signed_in(&ada).await;
    let new = json!({ "email": "new@example.org", "name": "New" });
    let made = ok(a.call(Method::POST, "/users", Some(&new)).await).await;
    refused(a.call(Method::POST, "/users", Some(&new)).await, StatusCode::CONFLICT, "exists").await;
    let token = made["link"].as_str().unwrap().split_once("/reset#token=").unwrap().1;
    let set = |password: &str| json!({ "token": token, "password": password });
    let weak = world.call(None, Method::POST, "/password-resets/confirm", Some(&set("short"))).await;
    refused(weak, StatusCode::UNPROCESSABLE_ENTITY, "weakPassword").await;
    ok(world.call(None, Method::POST, "/password-resets/confirm", Some(&set(PASSWORD))).await).await;
    let twice = world.call(None, Method::POST, "/password-resets/confirm", Some(&set(PASSWORD))).await;
    refused(twice, StatusCode::NOT_FOUND, "linkOver").await;
    let browser: Browser = world.sign_in("new@example.org", PASSWORD).await;
    assert_eq!(browser.get("/groups").await, json!([]));
}
