//! Sign-in by a real OpenID Connect provider (oidc-provider-mock on Authlib, with PKCE), driven by HTTP as a browser would.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use holdfast_metadb::{AuditFilter, Role, SignUp};
use holdfast_mongod::free_port;
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::world::{Browser, PASSWORD, World, ok, refused};

/// Longest wait for the provider to come up.
const WAIT: Duration = Duration::from_secs(120);
const REDIRECT: &str = "https://appliance:8080/signed-in";

struct Provider {
    child: Child,
    url: String,
    http: reqwest::Client,
    client_id: String,
    secret: String,
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Provider {
    async fn start() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let found = Command::new(root.join("../../scripts/oidc-provider")).output().unwrap();
        assert!(found.status.success(), "scripts/oidc-provider: {}", String::from_utf8_lossy(&found.stderr));
        let python = String::from_utf8(found.stdout).unwrap().trim().to_owned();
        let port = free_port().unwrap();
        let child = Command::new(python)
            .arg(root.join("tests/oidc_provider.py"))
            .arg(port.to_string())
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let url = format!("http://127.0.0.1:{port}");
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap();
        let mut provider = Self { child, url, http, client_id: String::new(), secret: String::new() };
        let begun = Instant::now();
        let register = json!({ "redirect_uris": [REDIRECT] });
        let answer = loop {
            match provider.http.post(format!("{}/oauth2/clients", provider.url)).json(&register).send().await {
                Ok(answer) => break answer,
                Err(error) => assert!(begun.elapsed() < WAIT, "the provider does not come up: {error}"),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        let client: Value = answer.json().await.unwrap();
        provider.client_id = client["client_id"].as_str().unwrap().to_owned();
        provider.secret = client["client_secret"].as_str().unwrap().to_owned();
        provider
    }

    async fn person(&self, subject: &str, claims: Value) {
        let answer = self.http.put(format!("{}/users/{subject}", self.url)).json(&claims).send().await.unwrap();
        assert!(answer.status().is_success(), "{answer:?}");
    }

    /// The person agrees; what the browser would be sent back with: code and state.
    async fn agree(&self, url: &str, subject: &str) -> Value {
        let answer = self
            .http
            .post(url)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!("sub={subject}"))
            .send()
            .await
            .unwrap();
        let back = answer.headers().get("location").map(|to| to.to_str().unwrap().to_owned());
        let Some(back) = back else { panic!("{:?}", answer.text().await) };
        assert!(back.starts_with(REDIRECT), "{back}");
        let back: url::Url = back.parse().unwrap();
        let query = |name: &str| back.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
        json!({ "state": query("state"), "code": query("code"), "error": query("error") })
    }

    fn settings(&self, world: &World) -> Value {
        json!({
            "issuer": self.url, "label": "Example ID", "clientId": self.client_id, "secret": self.secret,
            "scopes": ["email", "profile"], "groupsClaim": "groups", "trustEmail": false, "ca": null,
            "arrivals": {
                "domains": ["example.org"], "linkByEmail": false, "secondFactor": "here",
                "mapping": [{ "theirs": "ops", "group": world.group.name, "roles": ["backupAdmin"] }],
            },
        })
    }
}

/// A browser with this cookie of an answer.
fn keep(browser: &Browser, world: &World, answer: &Response, name: &str) -> Browser {
    let lines = answer.headers().get_all("set-cookie").iter().map(|line| line.to_str().unwrap());
    let found = lines.filter_map(|line| line.split(';').next()).find(|pair| pair.starts_with(&format!("{name}=")));
    let pair = found.unwrap_or_else(|| panic!("no cookie {name}: {answer:?}")).to_owned();
    let cookie = browser
        .cookie
        .clone()
        .filter(|old| !old.starts_with(name))
        .map_or(pair.clone(), |old| format!("{old}; {pair}"));
    let mut kept = world.browser();
    kept.cookie = Some(cookie);
    kept
}

/// Begins a sign-in: the browser that did, and where it is sent.
async fn begin(world: &World) -> (Browser, String) {
    let browser = world.browser();
    let answer = browser.call(Method::POST, "/sign-ins/oidc", Some(&json!({}))).await;
    let cookie = answer.headers()["set-cookie"].to_str().unwrap().to_owned();
    for part in ["__Host-holdfast-sign-in=hfo_", "HttpOnly", "Secure", "SameSite=Strict"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    let browser = keep(&browser, world, &answer, "__Host-holdfast-sign-in");
    let url = ok(answer).await["url"].as_str().unwrap().to_owned();
    (browser, url)
}

async fn finish(browser: &Browser, back: &Value) -> Response {
    browser.call(Method::POST, "/sign-ins/oidc/finish", Some(back)).await
}

/// A whole sign-in.
async fn sign_in(world: &World, provider: &Provider, subject: &str) -> (Browser, Response) {
    let (browser, url) = begin(world).await;
    let back = provider.agree(&url, subject).await;
    let answer = finish(&browser, &back).await;
    (browser, answer)
}

async fn set(a: &Browser, settings: &Value) -> Value {
    ok(a.call(Method::PUT, "/settings/oidc", Some(settings)).await).await
}

/// The address with another value of a parameter.
fn tampered(url: &str, name: &str, value: &str) -> String {
    let mut url: url::Url = url.parse().unwrap();
    let pairs: Vec<(String, String)> = url.query_pairs().map(|(k, v)| (k.into_owned(), v.into_owned())).collect();
    assert!(pairs.iter().any(|(key, _)| key == name), "{url} has no {name}");
    let changed = pairs.into_iter().map(|(k, v)| if k == name { (k, value.to_owned()) } else { (k, v) });
    url.query_pairs_mut().clear().extend_pairs(changed);
    url.to_string()
}

#[tokio::test]
async fn a_provider_is_set_and_tested() {
    let provider = Provider::start().await;
    let world = World::new().await;
    let boss = world.user("boss", &[Role::Owner]).await;
    let a = world.signed_in(&boss).await;
    let begun = world.browser().call(Method::POST, "/sign-ins/oidc", Some(&json!({}))).await;
    refused(begun, StatusCode::UNPROCESSABLE_ENTITY, "oidcNotSet").await;
    assert_eq!(ok(world.call(None, Method::GET, "/setup", None).await).await["oidc"], Value::Null);
    let mut settings = provider.settings(&world);
    let shown = set(&a, &settings).await;
    assert_eq!(shown["redirectUri"], REDIRECT);
    assert!(shown["secretSet"] == true && !shown.to_string().contains(&provider.secret), "{shown}");
    let stored = world.metadb.appliance_setting("oidc").await.unwrap().unwrap();
    assert!(!format!("{stored:?}").contains(&provider.secret));
    assert_eq!(ok(world.call(None, Method::GET, "/setup", None).await).await["oidc"], "Example ID");
    let tested = ok(a.call(Method::POST, "/settings/oidc/test", None).await).await;
    assert!(tested["detail"].as_str().unwrap().contains("1 key"), "{tested}");
    // Another issuer than the one that describes itself is not taken, and gets no stored secret.
    settings["secret"] = Value::Null;
    assert_eq!(set(&a, &settings).await["secretSet"], true);
    settings["issuer"] = json!(format!("{}/", provider.url));
    assert_eq!(set(&a, &settings).await["secretSet"], false);
    let why = a.call(Method::POST, "/settings/oidc/test", None).await;
    let why = refused(why, StatusCode::UNPROCESSABLE_ENTITY, "oidcFailed").await;
    assert!(why.contains("issuer"), "{why}");
    let begun = world.browser().call(Method::POST, "/sign-ins/oidc", Some(&json!({}))).await;
    refused(begun, StatusCode::SERVICE_UNAVAILABLE, "providerAway").await;
    settings["issuer"] = json!("http://id.example.org");
    let clear = a.call(Method::PUT, "/settings/oidc", Some(&settings)).await;
    refused(clear, StatusCode::UNPROCESSABLE_ENTITY, "issuerInTheClear").await;
}

#[tokio::test]
async fn people_of_a_provider_sign_in() {
    let provider = Provider::start().await;
    let world = World::new().await;
    let boss = world.user("boss", &[Role::Owner]).await;
    let a = world.signed_in(&boss).await;
    let mut settings = provider.settings(&world);
    set(&a, &settings).await;
    let claims =
        json!({ "email": "ada@example.org", "email_verified": true, "name": "Ada", "groups": ["ops", "others"] });
    provider.person("ada-1", claims.clone()).await;
    // The first sign-in makes the account, with the roles of its groups; the second finds it, whatever the address is by then.
    let (browser, answer) = sign_in(&world, &provider, "ada-1").await;
    assert_eq!(answer.status(), StatusCode::CREATED, "{answer:?}");
    let ada = keep(&browser, &world, &answer, "__Host-holdfast");
    let session = ok(answer).await;
    assert_eq!(session["user"]["email"], "ada@example.org");
    assert_eq!(session["origin"], "oidc");
    assert_eq!(session["groups"][0]["roles"], json!(["backupAdmin"]));
    ok(ada.call(Method::GET, "/sessions/current", None).await).await;
    let mut renamed = claims.clone();
    renamed["email"] = json!("lovelace@elsewhere.org");
    renamed["groups"] = json!([]);
    provider.person("ada-1", renamed).await;
    let again = ok(sign_in(&world, &provider, "ada-1").await.1).await;
    assert_eq!(again["user"]["id"], session["user"]["id"]);
    assert_eq!(again["groups"], json!([]), "out of the group there, out of it here");
    // Another subject with the same address is another person.
    provider.person("ada-2", claims).await;
    refused(sign_in(&world, &provider, "ada-2").await.1, StatusCode::CONFLICT, "accountExists").await;
    // Addresses that are not verified, and other domains, get no account.
    provider.person("eve", json!({ "email": "eve@example.org", "email_verified": false })).await;
    let eve = sign_in(&world, &provider, "eve").await.1;
    refused(eve, StatusCode::UNPROCESSABLE_ENTITY, "emailNotVerified").await;
    provider.person("far", json!({ "email": "far@elsewhere.org", "email_verified": true })).await;
    refused(sign_in(&world, &provider, "far").await.1, StatusCode::UNPROCESSABLE_ENTITY, "signUpClosed").await;
    // Unless they are invited.
    provider.person("guest", json!({ "email": "guest@elsewhere.org", "email_verified": true })).await;
    let invitation = json!({ "email": "guest@elsewhere.org", "roles": ["readOnly"] });
    let invitations = format!("/groups/{}/invitations", world.group.name);
    let invited = ok(a.call(Method::POST, &invitations, Some(&invitation)).await).await;
    let token = invited["link"].as_str().unwrap().split_once("#token=").unwrap().1.to_owned();
    let (browser, answer) = sign_in(&world, &provider, "guest").await;
    let guest = keep(&browser, &world, &answer, "__Host-holdfast");
    assert_eq!(ok(answer).await["groups"], json!([]));
    let accepted = guest.call(Method::POST, "/invitations/accept", Some(&json!({ "token": token }))).await;
    assert_eq!(accepted.status(), StatusCode::NO_CONTENT);
    // An account that is here is taken over by a verified address alone, and only when that is allowed.
    let local = world.user("bob", &[]).await;
    provider.person("bob", json!({ "email": local.email, "email_verified": true })).await;
    provider.person("false-bob", json!({ "email": local.email, "email_verified": false })).await;
    refused(sign_in(&world, &provider, "bob").await.1, StatusCode::CONFLICT, "accountExists").await;
    settings["arrivals"]["linkByEmail"] = json!(true);
    set(&a, &settings).await;
    // Of an address that is not verified nothing is said, not even whether it has an account.
    let unsaid = sign_in(&world, &provider, "false-bob").await.1;
    refused(unsaid, StatusCode::UNPROCESSABLE_ENTITY, "emailNotVerified").await;
    // Whoever has a role over the appliance gets in here: nobody there makes themselves one of them.
    provider.person("false-boss", json!({ "email": boss.email, "email_verified": true })).await;
    refused(sign_in(&world, &provider, "false-boss").await.1, StatusCode::CONFLICT, "accountExists").await;
    let own = json!({ "label": "of bob", "role": "readOnly" });
    let b = world.signed_in(&local).await;
    let key = ok(b.call(Method::POST, "/account/apiKeys", Some(&own)).await).await["key"].as_str().unwrap().to_owned();
    assert_eq!(world.call(Some(&key), Method::GET, "/groups", None).await.status(), StatusCode::OK);
    world.sign_in(&local.email, PASSWORD).await;
    let linked = ok(sign_in(&world, &provider, "bob").await.1).await;
    assert_eq!(linked["user"]["id"], local.id.to_string());
    let body = json!({ "email": local.email, "password": PASSWORD });
    let old = world.browser().call(Method::POST, "/sessions", Some(&body)).await;
    refused(old, StatusCode::UNAUTHORIZED, "credentials").await;
    // Whoever had the password made no key that outlives it.
    assert_eq!(world.call(Some(&key), Method::GET, "/groups", None).await.status(), StatusCode::UNAUTHORIZED);
    refused(b.call(Method::GET, "/sessions/current", None).await, StatusCode::UNAUTHORIZED, "apiKey").await;
    // No way back to a password here: not by changing it, not by a link.
    let again = world.signed_in(&world.metadb.user(&local.id).await.unwrap().unwrap()).await;
    let change = json!({ "current": PASSWORD, "new": "another long enough password" });
    let changed = again.call(Method::POST, "/account/password", Some(&change)).await;
    refused(changed, StatusCode::UNPROCESSABLE_ENTITY, "passwordElsewhere").await;
    // Where sign-up is closed nobody gets an account.
    let mut policy = world.metadb.access_policy().await.unwrap();
    policy.sign_up = SignUp::Closed;
    world.metadb.put_access_policy(&policy).await.unwrap();
    tokio::time::sleep(Duration::from_millis(2100)).await;
    provider.person("late", json!({ "email": "late@example.org", "email_verified": true })).await;
    refused(sign_in(&world, &provider, "late").await.1, StatusCode::UNPROCESSABLE_ENTITY, "signUpClosed").await;
    // A shut account ends its sessions and is let in no more.
    let path = format!("/users/{}", session["user"]["id"].as_str().unwrap());
    ok(a.call(Method::PUT, &path, Some(&json!({ "disabled": true }))).await).await;
    refused(ada.call(Method::GET, "/sessions/current", None).await, StatusCode::UNAUTHORIZED, "apiKey").await;
    refused(sign_in(&world, &provider, "ada-1").await.1, StatusCode::FORBIDDEN, "forbidden").await;
    let all = world.metadb.audit_page(&AuditFilter::default(), 200).await.unwrap();
    let actions: Vec<String> = all.into_iter().map(|entry| entry.action).collect();
    for action in
        ["account made at first sign-in", "account linked", "roles set by sign-in", "signed in by the provider"]
    {
        assert!(actions.iter().any(|a| a == action), "{action}: {actions:?}");
    }
}

#[tokio::test]
async fn a_sign_in_by_a_provider_cannot_be_forged() {
    let provider = Provider::start().await;
    let world = World::new().await;
    let boss = world.user("boss", &[Role::Owner]).await;
    let a = world.signed_in(&boss).await;
    set(&a, &provider.settings(&world)).await;
    provider.person("ada", json!({ "email": "ada@example.org", "email_verified": true })).await;
    let denied = async |browser: &Browser, back: &Value, word: &str| {
        let answer = finish(browser, back).await;
        assert!(answer.headers().get_all("set-cookie").iter().next().is_none(), "{answer:?}");
        let why = refused(answer, StatusCode::UNAUTHORIZED, "signInRefused").await;
        assert!(why.to_lowercase().contains(word), "{why}");
    };
    // A state that nobody made.
    let (browser, url) = begin(&world).await;
    let mut back = provider.agree(&url, "ada").await;
    let right = back["state"].clone();
    back["state"] = json!("hfo_made-up");
    refused(finish(&browser, &back).await, StatusCode::NOT_FOUND, "signInOver").await;
    back["state"] = right;
    // Another browser than the one that began it: whoever is lured to someone else's answer signs in as nobody.
    let (other, _) = begin(&world).await;
    denied(&other, &back, "another browser").await;
    refused(finish(&browser, &back).await, StatusCode::NOT_FOUND, "signInOver").await;
    // A nonce that is not ours: the token was made for another sign-in.
    let (browser, url) = begin(&world).await;
    let back = provider.agree(&tampered(&url, "nonce", "of-another-sign-in"), "ada").await;
    denied(&browser, &back, "nonce").await;
    // A challenge that is not ours: the code was asked for by someone else.
    let (browser, url) = begin(&world).await;
    let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    let back = provider.agree(&tampered(&url, "code_challenge", challenge), "ada").await;
    denied(&browser, &back, "challenge").await;
    // Another issuer in the answer.
    let (browser, url) = begin(&world).await;
    let mut back = provider.agree(&url, "ada").await;
    back["iss"] = json!("https://id.evil.example");
    denied(&browser, &back, "another provider").await;
    // The provider refused.
    let (browser, url) = begin(&world).await;
    let mut back = provider.agree(&url, "ada").await;
    back["code"] = Value::Null;
    back["error"] = json!("access_denied");
    denied(&browser, &back, "access_denied").await;
    // An answer is good once, and so is its code.
    let (browser, url) = begin(&world).await;
    let back = provider.agree(&url, "ada").await;
    ok(finish(&browser, &back).await).await;
    refused(finish(&browser, &back).await, StatusCode::NOT_FOUND, "signInOver").await;
    let (browser, url) = begin(&world).await;
    let mut replayed = provider.agree(&url, "ada").await;
    replayed["code"] = back["code"].clone();
    denied(&browser, &replayed, "invalid_grant").await;
    // A page of another site cannot begin one.
    let body = json!({});
    let cross = [("sec-fetch-site", "cross-site")];
    let begun = world.browser().call_with(Method::POST, "/sign-ins/oidc", Some(&body), &cross).await;
    refused(begun, StatusCode::FORBIDDEN, "crossSite").await;
    let all = world.metadb.audit_page(&AuditFilter::default(), 200).await.unwrap();
    assert!(all.iter().filter(|entry| entry.action == "sign-in by the provider refused").count() >= 6);
}

#[tokio::test]
async fn a_second_factor_is_asked_for_after_the_provider() {
    let provider = Provider::start().await;
    let world = World::new().await;
    let boss = world.user("boss", &[Role::Owner]).await;
    let a = world.signed_in(&boss).await;
    let mut settings = provider.settings(&world);
    set(&a, &settings).await;
    provider.person("ada", json!({ "email": "ada@example.org", "email_verified": true })).await;
    let (browser, answer) = sign_in(&world, &provider, "ada").await;
    let ada = keep(&browser, &world, &answer, "__Host-holdfast");
    ok(answer).await;
    let begun = ok(ada.call(Method::POST, "/account/totp", Some(&json!({ "password": "" }))).await).await;
    let secret = totp_rs::Secret::try_from_base32(begun["secret"].as_str().unwrap()).unwrap();
    let now = u64::try_from(jiff::Timestamp::now().as_second()).unwrap();
    let code = totp_rs::Builder::new().with_secret(secret).build().unwrap().generate(now);
    let code = json!({ "code": code.to_string() });
    let recovery = ok(ada.call(Method::POST, "/account/totp/confirm", Some(&code)).await).await;
    let recovery = recovery["recoveryCodes"].as_array().unwrap().clone();
    // Right at the provider, and still not in.
    let (browser, answer) = sign_in(&world, &provider, "ada").await;
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    assert!(answer.headers().get("set-cookie").is_none());
    let token = ok(answer).await["token"].clone();
    let send = async |browser: &Browser, totp: &Value| {
        browser.call(Method::POST, "/sign-ins/code", Some(&json!({ "token": token, "totp": totp }))).await
    };
    refused(send(&browser, &json!("000000")).await, StatusCode::UNAUTHORIZED, "totpWrong").await;
    let (other, _) = begin(&world).await;
    refused(send(&other, &recovery[0]).await, StatusCode::NOT_FOUND, "signInOver").await;
    assert_eq!(send(&browser, &recovery[0]).await.status(), StatusCode::CREATED);
    refused(send(&browser, &recovery[1]).await, StatusCode::NOT_FOUND, "signInOver").await;
    // A wrong code is guessed ten times from one place, and no more.
    let (guesser, answer) = sign_in(&world, &provider, "ada").await;
    let token = ok(answer).await["token"].clone();
    let mut guesses = 0;
    let locked = loop {
        let body = json!({ "token": token, "totp": "000000" });
        let answer = guesser.call(Method::POST, "/sign-ins/code", Some(&body)).await;
        if answer.status() == StatusCode::TOO_MANY_REQUESTS {
            break answer;
        }
        guesses += 1;
        assert!(guesses <= 10, "{answer:?}");
    };
    refused(locked, StatusCode::TOO_MANY_REQUESTS, "lockedOut").await;
    // Where the second factor is the provider's business it is not asked for here.
    settings["arrivals"]["secondFactor"] = json!("provider");
    set(&a, &settings).await;
    assert_eq!(sign_in(&world, &provider, "ada").await.1.status(), StatusCode::CREATED);
}

#[tokio::test]
async fn what_the_provider_remembers_of_a_browser_is_no_proof() {
    let provider = Provider::start().await;
    let world = World::new().await;
    let boss = world.user("boss", &[Role::Owner]).await;
    let a = world.signed_in(&boss).await;
    set(&a, &provider.settings(&world)).await;
    let now = jiff::Timestamp::now().as_second();
    let claims = |asked: i64| json!({ "email": "ada@example.org", "email_verified": true, "groups": ["ops"], "auth_time": asked });
    let begin_again = async || {
        let browser = world.browser();
        let answer = browser.call(Method::POST, "/sign-ins/oidc", Some(&json!({ "again": true }))).await;
        let browser = keep(&browser, &world, &answer, "__Host-holdfast-sign-in");
        let url = ok(answer).await["url"].as_str().unwrap().to_owned();
        (browser, url)
    };
    let target = json!({ "name": "vault", "host": "127.0.0.1", "user": "x", "hostKey": "ssh-ed25519 AAAA" });
    let targets = format!("/groups/{}/sftp/targets", world.group.name);
    // Signed in there since yesterday: in, but what asks again who it is asks.
    provider.person("ada", claims(now - 86_400)).await;
    let (browser, answer) = sign_in(&world, &provider, "ada").await;
    let ada = keep(&browser, &world, &answer, "__Host-holdfast");
    ok(answer).await;
    let asks = ada.call(Method::POST, &targets, Some(&target)).await;
    let why = refused(asks, StatusCode::FORBIDDEN, "reauthenticationRequired").await;
    assert!(why.contains("sign in again by your provider"), "{why}");
    // The provider is told to ask, and one that does not is not believed.
    let (browser, url) = begin_again().await;
    assert!(url.contains("prompt=login") && url.contains("max_age=0"), "{url}");
    let back = provider.agree(&url, "ada").await;
    let why = refused(finish(&browser, &back).await, StatusCode::UNAUTHORIZED, "signInRefused").await;
    assert!(why.contains("ask again who you are"), "{why}");
    // It asked: what was refused is done.
    provider.person("ada", claims(now)).await;
    let (browser, url) = begin_again().await;
    let answer = finish(&browser, &provider.agree(&url, "ada").await).await;
    let ada = keep(&browser, &world, &answer, "__Host-holdfast");
    ok(answer).await;
    let taken = ada.call(Method::POST, &targets, Some(&target)).await;
    refused(taken, StatusCode::BAD_REQUEST, "badRequest").await;
    // Nobody has a password here to send instead.
    let body = json!({ "password": "" });
    let sent = ada.call(Method::POST, "/sessions/current/verify", Some(&body)).await;
    refused(sent, StatusCode::UNAUTHORIZED, "credentials").await;
}
