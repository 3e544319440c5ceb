//! Monitoring end to end: the app package and a database alone, two agents of which one is killed, and an appliance that is away for a while.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use holdfast_mongod::{Mongod, MongodOptions, free_port, start_embedded};
use holdfast_service::{client_config, install_crypto_provider};
use holdfast_tests::{ReplicaSet, ReplicaSetOptions, appliance::program, mongod_binary};
use serde_json::{Value, json};

const WAIT: Duration = Duration::from_secs(150);
/// A standby takes over within this time.
const TAKE_OVER: Duration = Duration::from_secs(90);

/// `holdfast-app` on a database of its own: no daemon, no blockstore, nothing else.
struct App {
    dir: tempfile::TempDir,
    web_port: u16,
    ingest_port: u16,
    process: Option<Child>,
    _mongod: Mongod,
    http: Option<reqwest::Client>,
}

/// A process that ends with this value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for App {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl App {
    async fn start() -> Result<Self> {
        install_crypto_provider();
        let dir = tempfile::tempdir()?;
        let mut options = MongodOptions::plain(mongod_binary(), dir.path().join("db"), free_port()?);
        options.repl_set = Some("app".into());
        let mongod = start_embedded(options).await?;
        let uri = mongod.set_uri().context("a set")?;
        let (web_port, ingest_port) = (free_port()?, free_port()?);
        // No [blockstore]: monitoring alone has none.
        let config = format!(
            "[app_database]\nuri = \"{uri}\"\nname = \"app\"\n[data]\ndir = \"{}\"\n[web]\nlisten = \"127.0.0.1:{web_port}\"\npublic_url = \"https://127.0.0.1:{web_port}\"\n\
             [ingest]\nlisten = \"127.0.0.1:{ingest_port}\"\npublic_url = \"https://127.0.0.1:{ingest_port}\"\ndebug_listen = \"127.0.0.1:{}\"\n[app]\nkill_listen = \"127.0.0.1:{}\"\n",
            dir.path().join("data").display(),
            free_port()?,
            free_port()?,
        );
        std::fs::create_dir(dir.path().join("data"))?;
        std::fs::write(dir.path().join("holdfast.toml"), config)?;
        let mut app = Self { dir, web_port, ingest_port, process: None, _mongod: mongod, http: None };
        let key = app.path("admin.key");
        let made = app.command()?.arg("init").arg("--admin-key-file").arg(&key).status()?;
        ensure!(made.success(), "holdfast-app init failed");
        app.run().await?;
        Ok(app)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self) -> Result<Command> {
        let mut command = Command::new(program("holdfast-app")?);
        command.arg("--config").arg(self.path("holdfast.toml")).stdin(Stdio::null());
        if std::env::var_os("HOLDFAST_LOG").is_none() {
            command.stdout(Stdio::null()).stderr(Stdio::null());
        }
        Ok(command)
    }

    async fn run(&mut self) -> Result<()> {
        self.process = Some(self.command()?.spawn()?);
        let since = Instant::now();
        loop {
            if self.client().is_ok() && self.get("/groups").await.is_ok() {
                return Ok(());
            }
            ensure!(since.elapsed() < WAIT, "holdfast-app does not serve");
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }

    fn kill(&mut self) -> Result<()> {
        let mut process = self.process.take().context("it runs")?;
        process.kill()?;
        process.wait()?;
        Ok(())
    }

    fn client(&mut self) -> Result<reqwest::Client> {
        if let Some(http) = &self.http {
            return Ok(http.clone());
        }
        let pem = std::fs::read_to_string(self.path("data/ca/ca.pem"))?;
        let http = reqwest::Client::builder().tls_backend_preconfigured(client_config(&pem)?).no_proxy().build()?;
        self.http = Some(http.clone());
        Ok(http)
    }

    async fn call(&self, method: reqwest::Method, path: &str, body: Option<Value>) -> Result<Value> {
        let key = std::fs::read_to_string(self.path("admin.key"))?;
        let http = self.http.clone().context("a client")?;
        let mut request = http.request(method, format!("https://localhost:{}/api/v1{path}", self.web_port));
        request = request.bearer_auth(key.trim());
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status.is_success(), "{path}: {status} {text}");
        Ok(if text.is_empty() { Value::Null } else { serde_json::from_str(&text)? })
    }

    async fn get(&self, path: &str) -> Result<Value> {
        self.call(reqwest::Method::GET, path, None).await
    }

    /// An agent that monitors and does nothing else, with the connection string in its own hands.
    async fn agent(&self, name: &str, uri: &str) -> Result<Running> {
        let token = self.call(reqwest::Method::POST, "/groups/mon/enrollTokens", None).await?;
        self.spawn(name, Some(token["enrollToken"].as_str().context("a token")?), uri)
    }

    fn spawn(&self, name: &str, token: Option<&str>, uri: &str) -> Result<Running> {
        let mut command = Command::new(program("holdfast-agent")?);
        command.args(["run", "--only", "monitoring", "--mongodb", uri, "--state"]).arg(self.path(name));
        if let Some(token) = token {
            command.args(["--enroll", token]);
        }
        command.stdin(Stdio::null());
        if std::env::var_os("HOLDFAST_LOG").is_none() {
            command.stdout(Stdio::null()).stderr(Stdio::null());
        }
        Ok(Running(command.spawn()?))
    }

    /// Times of the last quarter of an hour, in seconds, at which the host has a value of CONNECTIONS.
    async fn measured(&self, host: &str) -> Result<Vec<i64>> {
        let from = bson::DateTime::from_millis(bson::DateTime::now().timestamp_millis() - 900_000);
        let from = from.try_to_rfc3339_string()?;
        let path = format!("/groups/mon/hosts/{host}/measurements?metrics=CONNECTIONS&from={from}");
        let answer = self.get(&path).await?;
        let (start, step) =
            (answer["start"].as_i64().context("start")?, answer["stepSeconds"].as_i64().context("step")?);
        ensure!(step == 10, "of a quarter of an hour everything is shown: {answer}");
        let means = answer["measurements"][0]["mean"].as_array().context("means")?.iter().enumerate();
        Ok(means
            .filter(|(_, mean)| mean.is_number())
            .map(|(n, _)| start + i64::try_from(n).unwrap_or(0) * step)
            .collect())
    }

    async fn active(&self) -> Result<Option<String>> {
        let agents = self.get("/groups/mon/agents").await?;
        let active = agents.as_array().into_iter().flatten().find(|agent| agent["monitoring"]["active"] == true);
        Ok(active.and_then(|agent| agent["id"].as_str().map(str::to_owned)))
    }
}

async fn until<T, F: Future<Output = Result<Option<T>>>>(
    what: &str,
    wait: Duration,
    mut look: impl FnMut() -> F,
) -> Result<T> {
    let since = Instant::now();
    loop {
        if let Ok(Some(found)) = look().await {
            return Ok(found);
        }
        ensure!(since.elapsed() < wait, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

fn spooled(state: &Path) -> usize {
    std::fs::read_dir(state.join("monitoring")).map_or(0, |files| files.count())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_app_and_its_database_monitor_and_a_standby_takes_over() -> Result<()> {
    let _turn = crate::turn().await;
    let set = ReplicaSet::start(2, ReplicaSetOptions::default()).await?;
    let mut app = App::start().await?;
    ensure!(app.ingest_port != app.web_port);
    app.call(reqwest::Method::POST, "/groups", Some(json!({ "name": "mon" }))).await?;
    let first = app.agent("one", &set.uri()).await?;
    let hosts = until("two hosts", WAIT, async || {
        let hosts = app.get("/groups/mon/hosts").await?;
        Ok((hosts.as_array().is_some_and(|all| all.len() == 2)).then_some(hosts))
    })
    .await?;
    let host = hosts[0]["id"].as_str().context("an id")?.to_owned();
    until("measurements", WAIT, async || Ok((app.measured(&host).await?.len() >= 2).then_some(()))).await?;
    let before = app.active().await?.context("one agent is active")?;

    // A second one stands by; the first is killed; the second takes over.
    let second = app.agent("two", &set.uri()).await?;
    until("the second agent asks", WAIT, async || {
        let agents = app.get("/groups/mon/agents").await?;
        let asked = agents.as_array().into_iter().flatten().filter(|agent| agent["monitoring"].is_object()).count();
        Ok((asked == 2).then_some(()))
    })
    .await?;
    ensure!(app.active().await?.as_deref() == Some(before.as_str()), "the first one stays active");
    // It has seen the lease a few times.
    tokio::time::sleep(Duration::from_secs(12)).await;
    drop(first);
    let killed = Instant::now();
    let gone = app.measured(&host).await?.last().copied().context("values")?;
    until("the standby takes over", TAKE_OVER, async || {
        let measured = app.measured(&host).await?;
        Ok(measured.last().is_some_and(|last| *last > gone + 20).then_some(()))
    })
    .await?;
    println!("the standby took over within {:.0} s", killed.elapsed().as_secs_f64());

    // The appliance is away: what the agent finds waits on its disk, arrives later, and counts once.
    app.kill()?;
    let away = bson::DateTime::now().timestamp_millis() / 1_000;
    until("reports wait", WAIT, async || Ok((spooled(&app.path("two")) >= 12).then_some(()))).await?;
    app.run().await?;
    let back = bson::DateTime::now().timestamp_millis() / 1_000;
    until("everything arrives", WAIT, async || {
        let measured = app.measured(&host).await?;
        let while_away = measured.iter().filter(|at| (away + 10..back).contains(at)).count();
        let due = usize::try_from((back - away - 10) / 10).unwrap_or(0);
        Ok((while_away + 1 >= due).then_some(()))
    })
    .await?;
    let client = mongodb::Client::with_uri_str(app._mongod.set_uri().context("a set")?).await?;
    let doubles = vec![
        bson::doc! { "$group": { "_id": { "s": "$s", "at": "$at" }, "n": { "$sum": 1 } } },
        bson::doc! { "$match": { "n": { "$gt": 1 } } },
    ];
    let mut found = client.database("app").collection::<bson::Document>("samples").aggregate(doubles).await?;
    ensure!(!found.advance().await?, "something was stored twice");
    drop(second);
    Ok(())
}
