//! Mail by a real SMTP server (aiosmtpd), with STARTTLS and a password.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use holdfast_metadb::Role;
use holdfast_mongod::free_port;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::world::{PASSWORD, World, ok, refused};

/// Longest wait for a mail.
const WAIT: Duration = Duration::from_secs(60);

struct Server {
    child: Child,
    dir: tempfile::TempDir,
    port: u16,
    ca: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    fn start() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/smtp-server");
        let found = Command::new(script).output().unwrap();
        assert!(found.status.success(), "scripts/smtp-server: {}", String::from_utf8_lossy(&found.stderr));
        let python = String::from_utf8(found.stdout).unwrap().trim().to_owned();
        let dir = tempfile::tempdir().unwrap();
        let key = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        let ca = key.cert.pem();
        std::fs::write(dir.path().join("cert.pem"), &ca).unwrap();
        std::fs::write(dir.path().join("key.pem"), key.signing_key.serialize_pem()).unwrap();
        let port = free_port().unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/smtp_server.py");
        let child = Command::new(python)
            .arg(script)
            .arg(dir.path())
            .arg(port.to_string())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, dir, port, ca }
    }

    /// The newest mail to an address.
    fn mail(&self, to: &str) -> Option<String> {
        let mut files: Vec<_> = std::fs::read_dir(self.dir.path()).unwrap().flatten().map(|e| e.path()).collect();
        files.retain(|path| path.extension().is_some_and(|ending| ending == "eml"));
        files.sort();
        // Long lines come quoted-printable.
        let plain = |text: String| text.replace("=\n", "").replace("=3D", "=");
        let mut texts = files.iter().rev().filter_map(|path| std::fs::read_to_string(path).ok().map(plain));
        texts.find(|text| text.lines().any(|line| line == format!("X-RcptTo: {to}")))
    }

    async fn wait_for(&self, to: &str, word: &str) -> String {
        let begun = Instant::now();
        loop {
            if let Some(text) = self.mail(to).filter(|text| text.contains(word)) {
                return text;
            }
            assert!(begun.elapsed() < WAIT, "no mail to {to}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn token(mail: &str) -> &str {
    let from = mail.split_once("#token=").unwrap().1;
    from.split_whitespace().next().unwrap()
}

#[tokio::test]
async fn mails_are_sent_by_a_real_server() {
    let server = Server::start();
    let world = World::new().await;
    let ada = world.user("ada", &[Role::Owner]).await;
    let a = world.signed_in(&ada).await;
    let test = json!({ "to": "ops@example.org" });
    refused(
        a.call(Method::POST, "/settings/mail/test", Some(&test)).await,
        StatusCode::UNPROCESSABLE_ENTITY,
        "mailNotSet",
    )
    .await;
    let mut set = json!({
        "host": "localhost", "port": server.port, "security": "startTls", "username": "holdfast",
        "password": "wrong", "from": "Holdfast <backup@example.org>", "ca": server.ca,
    });
    ok(a.call(Method::PUT, "/settings/mail", Some(&set)).await).await;
    // Also the wait until the server is up.
    let begun = Instant::now();
    loop {
        let why = a.call(Method::POST, "/settings/mail/test", Some(&test)).await;
        let why = refused(why, StatusCode::UNPROCESSABLE_ENTITY, "mailFailed").await;
        if why.contains("535") || begun.elapsed() > WAIT {
            assert!(why.contains("535") && !why.contains("wrong"), "{why}");
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    set["password"] = json!("s3cret-of-mail");
    ok(a.call(Method::PUT, "/settings/mail", Some(&set)).await).await;
    ok(a.call(Method::POST, "/settings/mail/test", Some(&test)).await).await;
    let mail = server.wait_for("ops@example.org", "A test from Holdfast").await;
    assert!(mail.contains("From: Holdfast <backup@example.org>"), "{mail}");
    // The password is kept and not shown; it does not go to another server.
    set["password"] = Value::Null;
    let kept = ok(a.call(Method::PUT, "/settings/mail", Some(&set)).await).await;
    assert!(kept["passwordSet"] == true && !kept.to_string().contains("s3cret"), "{kept}");
    let stored = world.metadb.appliance_setting("mail").await.unwrap().unwrap();
    assert!(!format!("{stored:?}").contains("s3cret"));
    let mut moved = set.clone();
    moved["port"] = json!(1);
    assert_eq!(ok(a.call(Method::PUT, "/settings/mail", Some(&moved)).await).await["passwordSet"], false);
    set["password"] = json!("s3cret-of-mail");
    ok(a.call(Method::PUT, "/settings/mail", Some(&set)).await).await;
    // A server whose certificate nobody vouches for gets no password.
    let mut stranger = set.clone();
    stranger["ca"] = Value::Null;
    ok(a.call(Method::PUT, "/settings/mail", Some(&stranger)).await).await;
    let why = a.call(Method::POST, "/settings/mail/test", Some(&test)).await;
    let why = refused(why, StatusCode::UNPROCESSABLE_ENTITY, "mailFailed").await;
    assert!(why.to_lowercase().contains("certificate"), "{why}");
    ok(a.call(Method::PUT, "/settings/mail", Some(&set)).await).await;
    // A forgotten password, from the request to the sign-in.
    ok(world.call(None, Method::POST, "/password-resets", Some(&json!({ "email": ada.email }))).await).await;
    let mail = server.wait_for(&ada.email, "A new password").await;
    let confirm = json!({ "token": token(&mail), "password": "quite another sentence" });
    ok(world.call(None, Method::POST, "/password-resets/confirm", Some(&confirm)).await).await;
    refused(a.call(Method::GET, "/groups", None).await, StatusCode::UNAUTHORIZED, "apiKey").await;
    let a = world.sign_in(&ada.email, "quite another sentence").await;
    // Sign-up: the address is proved first.
    let mut policy = a.get("/settings/access").await;
    policy["signUp"] = json!("open");
    ok(a.call(Method::PUT, "/settings/access", Some(&policy)).await).await;
    ok(world.call(None, Method::POST, "/sign-ups", Some(&json!({ "email": "new@example.org", "name": "New" }))).await)
        .await;
    let mail = server.wait_for("new@example.org", "/sign-up#token=").await;
    let confirm = json!({ "token": token(&mail), "password": PASSWORD });
    let made = world.browser().call(Method::POST, "/sign-ups/confirm", Some(&confirm)).await;
    assert_eq!(made.status(), StatusCode::CREATED);
    let invited = json!({ "email": "guest@example.org", "roles": ["readOnly"] });
    let path = format!("/groups/{}/invitations", world.group.name);
    let made = ok(a.call(Method::POST, &path, Some(&invited)).await).await;
    assert_eq!((&made["mailed"], &made["link"]), (&json!(true), &Value::Null), "the mailbox alone has the secret");
    server.wait_for("guest@example.org", "/invitation#token=").await;
    let new = json!({ "email": "made@example.org", "name": "Made" });
    let made = ok(a.call(Method::POST, "/users", Some(&new)).await).await;
    assert_eq!((&made["mailed"], &made["link"]), (&json!(true), &Value::Null));
    server.wait_for("made@example.org", "/reset#token=").await;
    // Another address: confirmed by its mailbox, told to the old one.
    let change = json!({ "email": "ada.new@example.org", "password": "quite another sentence" });
    let asked = ok(a.call(Method::PUT, "/account", Some(&change)).await).await;
    assert_eq!((&asked["email"], &asked["emailPending"]), (&json!(ada.email), &json!("ada.new@example.org")));
    server.wait_for(&ada.email, "instead of this address").await;
    let mail = server.wait_for("ada.new@example.org", "/confirm-email#token=").await;
    let confirm = json!({ "token": token(&mail) });
    ok(world.browser().call(Method::POST, "/account/email/confirm", Some(&confirm)).await).await;
    server.wait_for(&ada.email, "is no longer used").await;
    assert_eq!(a.get("/sessions/current").await["user"]["email"], "ada.new@example.org");
    // An address that has an account is not told from one that has none.
    let taken = json!({ "email": "made@example.org", "password": "quite another sentence" });
    let asked = ok(a.call(Method::PUT, "/account", Some(&taken)).await).await;
    assert_eq!(asked["emailPending"], "made@example.org");
    server.wait_for("made@example.org", "has an account already").await;
    // A mail that is not taken makes neither invitation nor account.
    ok(a.call(Method::PUT, "/settings/mail", Some(&moved)).await).await;
    let invited = json!({ "email": "late@example.org", "roles": ["readOnly"] });
    let failed = a.call(Method::POST, &path, Some(&invited)).await;
    refused(failed, StatusCode::UNPROCESSABLE_ENTITY, "mailFailed").await;
    assert!(world.metadb.invitations(&world.group.id).await.unwrap().iter().all(|i| i.email != "late@example.org"));
    let new = json!({ "email": "late@example.org", "name": "Late" });
    let failed = a.call(Method::POST, "/users", Some(&new)).await;
    refused(failed, StatusCode::UNPROCESSABLE_ENTITY, "mailFailed").await;
    assert!(world.metadb.user_by_email("late@example.org").await.unwrap().is_none());
}
