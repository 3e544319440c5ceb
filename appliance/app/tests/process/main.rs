//! The binary as a service manager and an operator meet it.
#![allow(clippy::unwrap_used, reason = "tests")]

mod instances;

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use holdfast_mongod::{Mongod, MongodOptions, free_port, start_embedded};
use holdfast_service::{client_config, install_crypto_provider, kill_port::ask_to_end};
use nix::{sys::signal::Signal, unistd::Pid};
use serde_json::Value;

/// Longest wait for anything.
const WAIT: Duration = Duration::from_secs(60);
/// Time that a shutdown may take: the grace of the listeners and a little.
const END: Duration = Duration::from_secs(12);

struct Place {
    dir: tempfile::TempDir,
    port: u16,
}

impl Place {
    fn new() -> Self {
        install_crypto_provider();
        let place = Self { dir: tempfile::tempdir().unwrap(), port: free_port().unwrap() };
        std::fs::create_dir(place.path("data")).unwrap();
        let uri = format!("mongodb://127.0.0.1:{}/?replicaSet=store", place.port);
        let config = format!(
            "[app_database]\nuri = \"{uri}\"\nname = \"holdfast\"\n[blockstore]\nuri = \"{uri}\"\nname = \"blocks\"\n\
             [data]\ndir = \"{}\"\n\
             [web]\nlisten = \"127.0.0.1:0\"\npublic_url = \"https://localhost:0\"\n\
             [ingest]\nlisten = \"127.0.0.1:0\"\npublic_url = \"https://localhost:0\"\ndebug_listen = \"127.0.0.1:0\"\n\
             [app]\nkill_listen = \"127.0.0.1:0\"\n",
            place.path("data").display()
        );
        std::fs::write(place.path("holdfast.toml"), config).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    async fn mongod(&self) -> Mongod {
        let mut options = MongodOptions::plain(holdfast_tests::mongod_binary(), self.path("db"), self.port);
        options.repl_set = Some("store".into());
        options.oplog_size_mb = Some(990);
        start_embedded(options).await.unwrap()
    }

    fn app(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast-app"));
        command.args(arguments).arg("--config").arg(self.path("holdfast.toml")).stdin(Stdio::null());
        command
    }

    fn start(&self, arguments: &[&str], ready: &str) -> Running {
        let mut command = self.app(arguments);
        command.arg("--ready-file").arg(self.path(ready));
        Running { child: command.spawn().unwrap() }
    }

    async fn ready(&self, name: &str) -> Value {
        let begun = Instant::now();
        loop {
            if let Ok(text) = std::fs::read(self.path(name)) {
                return serde_json::from_slice(&text).unwrap();
            }
            assert!(begun.elapsed() < WAIT, "not ready");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn http(&self) -> reqwest::Client {
        let pem = std::fs::read_to_string(self.path("data/ca/ca.pem")).unwrap();
        let tls = client_config(&pem).unwrap();
        reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().build().unwrap()
    }

    /// Gives an account to someone of a provider, as their first sign-in would.
    async fn link_elsewhere(&self, email: &str) {
        let uri = format!("mongodb://127.0.0.1:{}/?replicaSet=store", self.port);
        let client = mongodb::Client::with_uri_str(uri).await.unwrap();
        let metadb = holdfast_metadb::MetaDb::open(client.database("holdfast")).await.unwrap();
        let user = metadb.user_by_email(email).await.unwrap().unwrap();
        assert!(metadb.link_user(&user.id, "oidc", "https://id.example.org ada").await.unwrap());
    }

    fn init(&self) -> String {
        let key = self.path("admin.key");
        let packs = self.path("packs");
        let init = ["init", "--admin-key-file", key.to_str().unwrap(), "--pack-directory", packs.to_str().unwrap()];
        let done = self.app(&init).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let text = std::fs::read_to_string(&key).unwrap().trim().to_owned();
        assert!(!String::from_utf8_lossy(&done.stdout).contains(&text), "the key is not printed");
        text
    }
}

struct Running {
    child: Child,
}

impl Running {
    async fn ended(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(begun.elapsed() < END, "it does not end");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn term(&self) {
        nix::sys::signal::kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), Signal::SIGTERM).unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test(flavor = "multi_thread")]
async fn init_then_two_instances_then_shutdown() {
    let place = Place::new();
    let mongod = place.mongod().await;
    let key = place.init();
    assert_eq!(mode(&place.path("admin.key")), 0o600);
    assert_eq!(place.init(), key, "a second init keeps the key");
    let mut all = place.start(&[], "all.json");
    let mut web = place.start(&["web"], "web.json");
    let (first, second) = (place.ready("all.json").await, place.ready("web.json").await);
    assert_eq!(second["ingest"], Value::Null);
    let http = place.http();
    for ready in [&first, &second] {
        let url = ready["webUrl"].as_str().unwrap();
        assert!(!url.ends_with(":0"), "{url} has the real port");
        let groups = http.get(format!("{url}/api/v1/groups")).bearer_auth(&key).send().await.unwrap();
        assert_eq!(groups.status(), 200);
        let debug = http.get(format!("http://{}/healthz", ready["debug"].as_str().unwrap())).send().await.unwrap();
        assert_eq!(debug.status(), 200);
    }
    let ingest = http.get(format!("{}/healthz", first["ingestUrl"].as_str().unwrap())).send().await.unwrap();
    assert_eq!(ingest.status(), 200);
    // The folder took the place of the database, once.
    let url = format!("{}/api/v1/blockstore/stores", first["webUrl"].as_str().unwrap());
    let stores: Value = http.get(url).bearer_auth(&key).send().await.unwrap().json().await.unwrap();
    assert_eq!(
        (stores.as_array().unwrap().len(), &stores[1]["default"], &stores[1]["fault"]),
        (2, &true.into(), &Value::Null)
    );
    assert_eq!(stores[1]["location"], place.path("packs").to_str().unwrap());
    // The enrolment token names the ports that are really served.
    let web_url = first["webUrl"].as_str().unwrap();
    let body = serde_json::json!({ "name": "g" });
    let made = http.post(format!("{web_url}/api/v1/groups")).bearer_auth(&key).json(&body).send().await.unwrap();
    assert_eq!(made.status(), 201);
    let token = http.post(format!("{web_url}/api/v1/groups/g/enrollTokens")).bearer_auth(&key).send().await.unwrap();
    let token: Value = token.json().await.unwrap();
    assert!(token["command"].as_str().unwrap().contains(first["ingestUrl"].as_str().unwrap()));
    let kill = second["kill"].as_str().unwrap().parse().unwrap();
    assert!(ask_to_end(kill, &place.path("data")).await.unwrap());
    assert!(web.ended().await.success());
    all.term();
    assert!(all.ended().await.success());
    mongod.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn it_waits_for_its_databases_and_can_be_ended_meanwhile() {
    let place = Place::new();
    let kill_port = free_port().unwrap();
    let debug_port = free_port().unwrap();
    let (kill, debug) = (format!("127.0.0.1:{kill_port}"), format!("127.0.0.1:{debug_port}"));
    let mut waiting = place.start(&["--kill-listen", &kill, "--debug-listen", &debug], "a.json");
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let begun = Instant::now();
    let health = loop {
        match http.get(format!("http://{debug}/healthz")).send().await {
            Ok(answer) => break answer,
            Err(_) => assert!(begun.elapsed() < WAIT, "the debug port does not answer"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(health.status(), 503);
    assert!(health.text().await.unwrap().contains("waiting for the databases"));
    assert!(ask_to_end(kill.parse().unwrap(), &place.path("data")).await.unwrap());
    assert!(waiting.ended().await.success());
    assert!(!place.path("a.json").exists());
    // Once more, and now they come.
    let mut waiting = place.start(&["ingest"], "b.json");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mongod = place.mongod().await;
    assert!(place.ready("b.json").await["ingest"].is_string());
    waiting.term();
    assert!(waiting.ended().await.success());
    mongod.stop().await.unwrap();
}

#[test]
fn wrong_use_is_said_in_a_sentence() {
    let place = Place::new();
    let missing =
        Command::new(env!("CARGO_BIN_EXE_holdfast-app")).args(["--config", "/nowhere.toml"]).output().unwrap();
    assert!(!missing.status.success());
    assert!(String::from_utf8_lossy(&missing.stderr).contains("/nowhere.toml"));
    let usage = place.app(&["--no-such-option"]).output().unwrap();
    assert_eq!(usage.status.code(), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_comes_from_a_file_and_comes_back_in() {
    let place = Place::new();
    let _mongod = place.mongod().await;
    place.init();
    let code = place.path("data/setup.code");
    assert_eq!(mode(&code), 0o600);
    let first = std::fs::read_to_string(&code).unwrap();
    place.init();
    assert_eq!(std::fs::read_to_string(&code).unwrap(), first, "a second init keeps the set-up code");
    let run = |arguments: &[&str]| {
        let done = place.app(arguments).output().unwrap();
        (done.status.success(), String::from_utf8(done.stdout).unwrap())
    };
    let (good, text) = run(&["setup-code"]);
    let renewed = std::fs::read_to_string(&code).unwrap();
    assert!(good && text.contains(renewed.trim()) && renewed != first, "{text}");
    let file = place.path("setup.json");
    let write = |password: &str| {
        let setup = serde_json::json!({
            "email": "Ada@example.org", "name": "Ada", "password": password, "group": "shop", "access": { "signUp": "closed" },
        });
        std::fs::write(&file, setup.to_string()).unwrap();
    };
    write("password1234");
    assert!(!run(&["setup", "--file", file.to_str().unwrap()]).0, "a weak password is refused");
    write("correct horse battery");
    assert!(run(&["setup", "--file", file.to_str().unwrap()]).0);
    assert!(!code.exists(), "there is nothing to claim any more");
    assert!(!run(&["setup", "--file", file.to_str().unwrap()]).0, "once");
    assert!(!run(&["setup-code"]).0, "and no code opens it again");
    let mut web = place.start(&["web"], "web.json");
    let ready = place.ready("web.json").await;
    let url = ready["webUrl"].as_str().unwrap().to_owned();
    let http = place.http();
    let sign_in = async |password: &str| {
        let body = serde_json::json!({ "email": "ada@example.org", "password": password });
        http.post(format!("{url}/api/v1/sessions")).json(&body).send().await.unwrap().status().as_u16()
    };
    assert_eq!(sign_in("correct horse battery").await, 201);
    // By then the account belonged to a provider that nobody reaches any more.
    place.link_elsewhere("ada@example.org").await;
    assert_eq!(sign_in("correct horse battery").await, 401, "there is no password here any more");
    let (good, text) = run(&["reset-administrator", "--email", "ada@example.org"]);
    assert!(good, "{text}");
    let password = text.trim().rsplit(' ').next().unwrap();
    assert_eq!(sign_in("correct horse battery").await, 401);
    assert_eq!(sign_in(password).await, 201);
    let page = http.get(format!("{url}/")).send().await.unwrap();
    assert!(page.headers()["content-security-policy"].to_str().unwrap().contains("script-src 'self'"));
    web.term();
    assert!(web.ended().await.success());
}
