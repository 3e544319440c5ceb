//! Sign-in by a real LDAP directory (OpenLDAP's slapd), with LDAPS and StartTLS.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use holdfast_metadb::{AccessPolicy, AuditFilter, Role, TotpPolicy, User};
use holdfast_mongod::free_port;
use holdfast_service::client_config;
use ldap3::{LdapConnAsync, LdapConnSettings, Mod};
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::world::{Browser, PASSWORD, World, ok, refused};

/// Longest wait for the directory to come up.
const WAIT: Duration = Duration::from_secs(60);
const BASE: &str = "dc=example,dc=org";
const ROOT_PASSWORD: &str = "root-of-the-tree";
const READER_PASSWORD: &str = "reader-s3cret";
const ADA_PASSWORD: &str = "ada in the directory";
const BOB_PASSWORD: &str = "bob in the directory";

struct Slapd {
    child: Option<Child>,
    dir: tempfile::TempDir,
    port: u16,
    port_tls: u16,
    ca: String,
}

impl Drop for Slapd {
    fn drop(&mut self) {
        self.stop();
    }
}

fn ldif() -> String {
    let person = |uid: &str, name: &str, mail: &str, password: &str| {
        format!(
            "dn: uid={uid},ou=people,{BASE}\nobjectClass: inetOrgPerson\nuid: {uid}\ncn: {name}\nsn: {name}\nmail: {mail}\n\
             userPassword: {password}\n\n"
        )
    };
    [
        format!("dn: {BASE}\nobjectClass: dcObject\nobjectClass: organization\ndc: example\no: Example\n\n"),
        format!("dn: ou=people,{BASE}\nobjectClass: organizationalUnit\nou: people\n\n"),
        format!("dn: ou=groups,{BASE}\nobjectClass: organizationalUnit\nou: groups\n\n"),
        format!(
            "dn: cn=reader,{BASE}\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\ncn: reader\n\
             userPassword: {READER_PASSWORD}\n\n"
        ),
        person("ada", "Ada Lovelace", "ada@example.org", ADA_PASSWORD),
        person("bob", "Bob", "bob@elsewhere.org", BOB_PASSWORD),
        format!(
            "dn: cn=ops,ou=groups,{BASE}\nobjectClass: groupOfNames\ncn: ops\nmember: uid=ada,ou=people,{BASE}\n\
             member: uid=bob,ou=people,{BASE}\n\n"
        ),
    ]
    .concat()
}

impl Slapd {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        // A copy: profiles of AppArmor hold the program at its own path to its own folders.
        let installed = ["/usr/sbin/slapd", "/usr/libexec/slapd"].into_iter().map(Path::new).find(|p| p.exists());
        std::fs::copy(installed.expect("slapd is needed: apt-get install slapd"), at("slapd")).unwrap();
        let key = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        let ca = key.cert.pem();
        std::fs::write(at("cert.pem"), &ca).unwrap();
        std::fs::write(at("key.pem"), key.signing_key.serialize_pem()).unwrap();
        std::fs::create_dir(at("db")).unwrap();
        let home = dir.path().display();
        let conf = format!(
            "include /etc/ldap/schema/core.schema\ninclude /etc/ldap/schema/cosine.schema\n\
             include /etc/ldap/schema/inetorgperson.schema\npidfile {home}/pid\nmodulepath /usr/lib/ldap\nmoduleload back_mdb\n\
             TLSCertificateFile {home}/cert.pem\nTLSCertificateKeyFile {home}/key.pem\n\
             database mdb\nsuffix \"{BASE}\"\nrootdn \"cn=root,{BASE}\"\nrootpw {ROOT_PASSWORD}\ndirectory {home}/db\n\
             access to attrs=userPassword by anonymous auth by * none\n\
             access to * by dn.exact=\"cn=reader,{BASE}\" read by anonymous auth by * none\n"
        );
        std::fs::write(at("slapd.conf"), conf).unwrap();
        std::fs::write(at("people.ldif"), ldif()).unwrap();
        let added = Command::new(at("slapd"))
            .args(["-T", "add", "-f"])
            .arg(at("slapd.conf"))
            .arg("-l")
            .arg(at("people.ldif"))
            .output()
            .unwrap();
        assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
        let (port, port_tls) = (free_port().unwrap(), free_port().unwrap());
        let mut slapd = Self { child: None, dir, port, port_tls, ca };
        slapd.run();
        let begun = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port_tls)).is_err() {
            assert!(begun.elapsed() < WAIT, "slapd does not come up");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        slapd
    }

    fn program(&self) -> PathBuf {
        self.dir.path().join("slapd")
    }

    fn run(&mut self) {
        let listen = format!("ldap://127.0.0.1:{}/ ldaps://127.0.0.1:{}/", self.port, self.port_tls);
        let child = Command::new(self.program())
            .args(["-d", "0", "-h", &listen, "-f"])
            .arg(self.dir.path().join("slapd.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.child = Some(child.unwrap());
    }

    fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Takes someone out of the group `ops`, as the directory's administrator.
    async fn leave_ops(&self, uid: &str) {
        let config = Arc::new(client_config(&self.ca).unwrap());
        let settings = LdapConnSettings::new().set_config(config);
        let url = format!("ldaps://localhost:{}", self.port_tls);
        let (connection, mut ldap) = LdapConnAsync::with_settings(settings, &url).await.unwrap();
        tokio::spawn(async move { connection.drive().await });
        ldap.simple_bind(&format!("cn=root,{BASE}"), ROOT_PASSWORD).await.unwrap().success().unwrap();
        let member = format!("uid={uid},ou=people,{BASE}");
        let change = vec![Mod::Delete("member", [member.as_str()].into_iter().collect())];
        ldap.modify(&format!("cn=ops,ou=groups,{BASE}"), change).await.unwrap().success().unwrap();
    }

    fn settings(&self, world: &World) -> Value {
        json!({
            "host": "localhost", "port": self.port_tls, "security": "tls", "ca": self.ca,
            "bindDn": format!("cn=reader,{BASE}"), "password": READER_PASSWORD,
            "userBase": format!("ou=people,{BASE}"), "userFilter": "(|(uid={user})(mail={user}))",
            "idAttribute": "entryUUID", "emailAttribute": "mail", "nameAttribute": "cn",
            "groupBase": format!("ou=groups,{BASE}"), "groupFilter": "(member={dn})",
            "arrivals": {
                "domains": ["example.org"], "linkByEmail": false, "secondFactor": "here",
                "mapping": [{ "theirs": format!("CN=ops, ou=groups,{BASE}"), "group": world.group.name, "roles": ["backupAdmin"] }],
            },
        })
    }
}

async fn attempt(world: &World, name: &str, password: &str) -> Response {
    let body = json!({ "email": name, "password": password });
    world.browser().call(Method::POST, "/sessions", Some(&body)).await
}

/// A browser with the cookie of an answer that began a session.
fn browser_of(world: &World, answer: &Response) -> Browser {
    assert_eq!(answer.status(), StatusCode::CREATED, "{answer:?}");
    let cookie = answer.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let mut browser = world.browser();
    browser.cookie = Some(cookie);
    browser
}

async fn actions(world: &World) -> Vec<String> {
    let all = world.metadb.audit_page(&AuditFilter::default(), 200).await.unwrap();
    all.into_iter().map(|stored| stored.action).collect()
}

#[tokio::test]
async fn a_directory_is_set_and_tested() {
    let slapd = Slapd::start().await;
    let world = World::new().await;
    let boss = world.user("boss", &[Role::Owner]).await;
    let a = world.signed_in(&boss).await;
    let test = json!({ "user": "ada" });
    let unset = a.call(Method::POST, "/settings/ldap/test", Some(&test)).await;
    refused(unset, StatusCode::UNPROCESSABLE_ENTITY, "ldapNotSet").await;
    let mut set = slapd.settings(&world);
    set["password"] = json!("wrong");
    ok(a.call(Method::PUT, "/settings/ldap", Some(&set)).await).await;
    let why = a.call(Method::POST, "/settings/ldap/test", Some(&test)).await;
    let why = refused(why, StatusCode::UNPROCESSABLE_ENTITY, "ldapFailed").await;
    assert!(why.contains("password of the service account is wrong"), "{why}");
    for (security, port) in [("tls", slapd.port_tls), ("startTls", slapd.port)] {
        set["security"] = json!(security);
        set["port"] = json!(port);
        set["password"] = json!(READER_PASSWORD);
        ok(a.call(Method::PUT, "/settings/ldap", Some(&set)).await).await;
        let found = ok(a.call(Method::POST, "/settings/ldap/test", Some(&test)).await).await;
        assert_eq!(found["person"]["email"], "ada@example.org", "{found}");
        assert_eq!(found["person"]["groups"], json!([format!("cn=ops,ou=groups,{BASE}")]));
    }
    // What was typed is no filter.
    for typed in ["*", "ada)(uid=*", "nobody"] {
        let test = json!({ "user": typed });
        let why = a.call(Method::POST, "/settings/ldap/test", Some(&test)).await;
        let why = refused(why, StatusCode::UNPROCESSABLE_ENTITY, "ldapFailed").await;
        assert!(why.contains("finds nobody"), "{why}");
    }
    // The password is stored sealed, is never shown, stays when it is left out, and goes to no other host.
    set["password"] = Value::Null;
    let kept = ok(a.call(Method::PUT, "/settings/ldap", Some(&set)).await).await;
    assert!(kept["passwordSet"] == true && !kept.to_string().contains("s3cret"), "{kept}");
    let stored = world.metadb.appliance_setting("ldap").await.unwrap().unwrap();
    assert!(!format!("{stored:?}").contains(READER_PASSWORD));
    ok(a.call(Method::POST, "/settings/ldap/test", Some(&test)).await).await;
    let mut moved = set.clone();
    moved["host"] = json!("127.0.0.1");
    refused(a.call(Method::PUT, "/settings/ldap", Some(&moved)).await, StatusCode::BAD_REQUEST, "badRequest").await;
    // In the clear only to this machine; a certificate that nobody vouches for gets no password.
    let mut clear = slapd.settings(&world);
    clear["security"] = json!("none");
    clear["host"] = json!("ldap.example.org");
    refused(
        a.call(Method::PUT, "/settings/ldap", Some(&clear)).await,
        StatusCode::UNPROCESSABLE_ENTITY,
        "ldapInTheClear",
    )
    .await;
    let mut stranger = slapd.settings(&world);
    stranger["ca"] = Value::Null;
    ok(a.call(Method::PUT, "/settings/ldap", Some(&stranger)).await).await;
    let why = a.call(Method::POST, "/settings/ldap/test", Some(&test)).await;
    let why = refused(why, StatusCode::UNPROCESSABLE_ENTITY, "ldapFailed").await;
    assert!(why.to_lowercase().contains("certificate"), "{why}");
    let mut bad = slapd.settings(&world);
    bad["userFilter"] = json!("(uid=ada)");
    refused(a.call(Method::PUT, "/settings/ldap", Some(&bad)).await, StatusCode::BAD_REQUEST, "badRequest").await;
}

#[tokio::test]
async fn people_of_a_directory_sign_in() {
    let mut slapd = Slapd::start().await;
    let world = World::new().await;
    let boss = world.user("boss", &[Role::Owner]).await;
    let a = world.signed_in(&boss).await;
    refused(attempt(&world, "ada", ADA_PASSWORD).await, StatusCode::UNAUTHORIZED, "credentials").await;
    let mut set = slapd.settings(&world);
    ok(a.call(Method::PUT, "/settings/ldap", Some(&set)).await).await;
    assert_eq!(ok(world.call(None, Method::GET, "/setup", None).await).await["ldap"], true);
    // Wrong, empty and made-up ones are all the same.
    for (name, password) in
        [("ada", "wrong"), ("ada", ""), ("*", ADA_PASSWORD), ("ada)(uid=*", ADA_PASSWORD), ("nobody", ADA_PASSWORD)]
    {
        refused(attempt(&world, name, password).await, StatusCode::UNAUTHORIZED, "credentials").await;
    }
    // The first sign-in makes the account, with the roles of its groups; the second finds it, by either name.
    let answer = attempt(&world, "ada", ADA_PASSWORD).await;
    let ada = browser_of(&world, &answer);
    let session = ok(answer).await;
    assert_eq!(session["user"]["email"], "ada@example.org");
    assert_eq!(session["user"]["name"], "Ada Lovelace");
    assert_eq!(session["origin"], "ldap");
    assert_eq!(session["groups"][0]["roles"], json!(["backupAdmin"]));
    let again = ok(attempt(&world, "ADA@example.org", ADA_PASSWORD).await).await;
    assert_eq!(again["user"]["id"], session["user"]["id"]);
    // A restore asks for the directory's password.
    let prove = async |password: &str| {
        let body = json!({ "password": password });
        ada.call(Method::POST, "/sessions/current/verify", Some(&body)).await
    };
    refused(prove("wrong").await, StatusCode::UNAUTHORIZED, "credentials").await;
    refused(prove("").await, StatusCode::UNAUTHORIZED, "credentials").await;
    ok(prove(ADA_PASSWORD).await).await;
    // So does a second factor, which outlives an open browser; a password of here is none of theirs.
    for (password, status) in [("wrong", 401), ("", 401), (ADA_PASSWORD, 201)] {
        let body = json!({ "password": password });
        assert_eq!(ada.call(Method::POST, "/account/totp", Some(&body)).await.status(), status, "{password:?}");
    }
    let change = json!({ "current": ADA_PASSWORD, "new": "another long enough password" });
    let changed = ada.call(Method::POST, "/account/password", Some(&change)).await;
    refused(changed, StatusCode::UNPROCESSABLE_ENTITY, "passwordElsewhere").await;
    // Someone of another domain gets no account; neither does one whose address has an account here, before that is allowed.
    refused(attempt(&world, "bob", BOB_PASSWORD).await, StatusCode::UNPROCESSABLE_ENTITY, "signUpClosed").await;
    assert!(world.metadb.user_by_email("bob@elsewhere.org").await.unwrap().is_none());
    let mut local = world.user("bob", &[]).await;
    local.email = "bob@elsewhere.org".into();
    world.metadb.put_profile(&local).await.unwrap();
    refused(attempt(&world, "bob", BOB_PASSWORD).await, StatusCode::CONFLICT, "accountExists").await;
    ok(attempt(&world, &local.email, PASSWORD).await).await;
    set["arrivals"]["linkByEmail"] = json!(true);
    let kept = ok(a.call(Method::PUT, "/settings/ldap", Some(&set)).await).await;
    assert_eq!(
        kept["arrivals"]["mapping"][0]["group"],
        world.group.id.to_string(),
        "a group of the same name is another"
    );
    let linked = ok(attempt(&world, "bob", BOB_PASSWORD).await).await;
    assert_eq!(linked["user"]["id"], local.id.to_string());
    refused(attempt(&world, &local.email, PASSWORD).await, StatusCode::UNAUTHORIZED, "credentials").await;
    // Out of the group there, out of it here.
    slapd.leave_ops("ada").await;
    let after = ok(attempt(&world, "ada", ADA_PASSWORD).await).await;
    assert_eq!(after["groups"], json!([]));
    // The audit log tells all of it.
    let actions = actions(&world).await;
    for action in [
        "account made at first sign-in",
        "account linked",
        "roles set by sign-in",
        "signed in by the directory",
        "sign-in refused",
    ] {
        assert!(actions.iter().any(|a| a == action), "{action}: {actions:?}");
    }
    // A shut account ends its sessions and is let in by no password.
    let id: User = world.metadb.user_by_email("ada@example.org").await.unwrap().unwrap();
    let shut = json!({ "disabled": true });
    ok(a.call(Method::PUT, &format!("/users/{}", id.id), Some(&shut)).await).await;
    refused(ada.call(Method::GET, "/sessions/current", None).await, StatusCode::UNAUTHORIZED, "apiKey").await;
    refused(attempt(&world, "ada", ADA_PASSWORD).await, StatusCode::FORBIDDEN, "forbidden").await;
    // Without the directory the accounts that are here still sign in.
    slapd.stop();
    ok(attempt(&world, &boss.email, PASSWORD).await).await;
    refused(attempt(&world, "bob", BOB_PASSWORD).await, StatusCode::SERVICE_UNAVAILABLE, "directoryAway").await;
}

#[tokio::test]
async fn a_directory_is_not_guessed_through() {
    let slapd = Slapd::start().await;
    let world = World::new().await;
    let boss = world.user("boss", &[Role::Owner]).await;
    let a = world.signed_in(&boss).await;
    let mut set = slapd.settings(&world);
    ok(a.call(Method::PUT, "/settings/ldap", Some(&set)).await).await;
    // However the name is spelled, it is one person's lock-out.
    let mut locked = None;
    for n in 1..=15 {
        let name = if n % 2 == 0 { "ada" } else { "ada@example.org" };
        let answer = attempt(&world, name, "wrong").await;
        if answer.status() == StatusCode::TOO_MANY_REQUESTS {
            assert!(answer.headers().contains_key("retry-after"));
            locked = Some(n);
            break;
        }
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    }
    assert_eq!(locked, Some(11));
    refused(attempt(&world, "ada", ADA_PASSWORD).await, StatusCode::TOO_MANY_REQUESTS, "lockedOut").await;
    // A policy that asks everyone for a second factor asks these people too, unless it is the directory's business.
    let policy = AccessPolicy { totp: TotpPolicy::All, ..AccessPolicy::default() };
    world.metadb.put_access_policy(&policy).await.unwrap();
    set["arrivals"]["domains"] = json!(["elsewhere.org"]);
    for (whose, asked) in [("here", true), ("provider", false)] {
        world.metadb.put_access_policy(&AccessPolicy::default()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(2100)).await;
        set["arrivals"]["secondFactor"] = json!(whose);
        ok(a.call(Method::PUT, "/settings/ldap", Some(&set)).await).await;
        world.metadb.put_access_policy(&policy).await.unwrap();
        tokio::time::sleep(Duration::from_millis(2100)).await;
        let answer = attempt(&world, "bob", BOB_PASSWORD).await;
        let bob = browser_of(&world, &answer);
        assert_eq!(ok(answer).await["totp"]["required"], asked);
        let groups = bob.call(Method::GET, "/groups", None).await;
        if asked {
            refused(groups, StatusCode::FORBIDDEN, "totpEnrolmentRequired").await;
        } else {
            ok(groups).await;
        }
    }
}
