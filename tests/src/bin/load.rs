//! Load on the API: so many reads a second over the ten routes that pages ask most, beside a running backup, each route against its target.
//!
//! Run by `scripts/load` on release builds. An open load: requests are sent at their time whether or not earlier ones were answered, and an
//! answer is late from the time at which its request was due, so that a server that stalls is seen. Prints one line per route:
//! `ROUTE answers p50 p99 longest target 50 ms met|MISSED`. It never fails because of a number: a machine may be busy; it fails when
//! something does not work.

use std::{
    fs,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use holdfast_service::{client_config, install_crypto_provider};
use holdfast_tests::{
    ReplicaSet, ReplicaSetOptions,
    appliance::Appliance,
    cpu::CpuWatch,
    mongod_binary,
    workload::{Live, LiveOptions},
};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tokio::{sync::Semaphore, task::JoinSet};

/// Requests a second, of all routes together.
const PER_SECOND: u32 = 500;
/// The target: 99 of 100 answers come within this.
const TARGET: Duration = Duration::from_millis(50);
/// What is not counted: connections are opened, caches fill.
const WARM_UP: Duration = Duration::from_secs(5);
/// How long is measured, when HOLDFAST_LOAD_SECONDS says nothing.
const SECONDS: u64 = 60;
/// Requests under way at once at most; beyond, the server has stalled for seconds and there is nothing to measure.
const UNDER_WAY_MAX: usize = 2_000;
/// How long the backup may take to be active.
const ACTIVE_MAX: Duration = Duration::from_secs(600);
/// Snapshots that lists have to show.
const SNAPSHOTS: usize = 5;

/// A route with the answers to it.
struct Route {
    name: &'static str,
    path: String,
    /// Milliseconds from when it was due to the last byte.
    took: Mutex<Vec<f64>>,
}

/// How requests show who asks.
#[derive(Clone)]
struct Caller {
    http: Client,
    base: String,
    cookie: String,
}

impl Caller {
    async fn ask(&self, path: &str) -> Result<(StatusCode, usize)> {
        let request = self.http.get(format!("{}{path}", self.base)).header("cookie", &self.cookie);
        let answer = request.send().await?;
        let status = answer.status();
        Ok((status, answer.bytes().await?.len()))
    }
}

/// The administrator's session: pages are read by people.
async fn claim(appliance: &Appliance) -> Result<Caller> {
    let url = appliance.ready()?["webUrl"].as_str().context("webUrl")?.to_owned();
    let pem = fs::read_to_string(appliance.dir().join("data/ca/ca.pem")).context("read the appliance's CA")?;
    let http = Client::builder().tls_backend_preconfigured(client_config(&pem)?).no_proxy().build()?;
    let code = fs::read_to_string(appliance.dir().join("data/setup.code")).context("read the set-up code")?;
    let body = json!({
        "code": code.trim(), "email": "load@example.org", "name": "Load", "password": "correct horse battery",
        "group": "load",
    });
    let base = format!("{url}/api/v1");
    let request = http.request(Method::POST, format!("{base}/setup/claim")).header("sec-fetch-site", "same-origin");
    let answer = request.json(&body).send().await?;
    ensure!(answer.status() == StatusCode::CREATED, "the appliance cannot be claimed: {}", answer.text().await?);
    let cookie = answer.headers().get("set-cookie").and_then(|set| set.to_str().ok()).context("a cookie")?;
    let cookie = cookie.split(';').next().unwrap_or_default().to_owned();
    Ok(Caller { http, base, cookie })
}

fn routes(rs: &str, now: i64) -> Vec<Arc<Route>> {
    let backup = format!("/groups/load/backups/{rs}");
    let route = |name, path: String| Arc::new(Route { name, path, took: Mutex::default() });
    vec![
        route("session", "/sessions/current".into()),
        route("overview", "/groups/load/overview".into()),
        route("backups", "/groups/load/backups".into()),
        route("backup", backup.clone()),
        route("timeline", format!("{backup}/timeline?from={}&to={now}", now - 3_600)),
        route("snapshots", format!("{backup}/snapshots")),
        route("deployments", "/groups/load/deployments".into()),
        route("agents", "/groups/load/agents".into()),
        route("restores", "/groups/load/restores".into()),
        route("jobs", "/jobs?limit=50".into()),
    ]
}

/// Sends requests to the routes in turn, each at its time; what failed.
async fn load(caller: &Caller, routes: &[Arc<Route>], length: Duration, counts: bool) -> Result<Vec<String>> {
    let failed = Arc::<Mutex<Vec<String>>>::default();
    let under_way = Arc::new(Semaphore::new(UNDER_WAY_MAX));
    let mut tasks = JoinSet::new();
    let begun = Instant::now();
    let step = Duration::from_secs(1) / PER_SECOND;
    let mut n = 0_u32;
    loop {
        let due = begun + step * n;
        if due.duration_since(begun) >= length {
            break;
        }
        tokio::time::sleep_until(due.into()).await;
        let Ok(slot) = under_way.clone().try_acquire_owned() else {
            bail!("{UNDER_WAY_MAX} requests wait for an answer after {:?}: the server has stalled", begun.elapsed());
        };
        let route = routes[n as usize % routes.len()].clone();
        let (caller, failed) = (caller.clone(), failed.clone());
        tasks.spawn(async move {
            let said = caller.ask(&route.path).await;
            let took = due.elapsed().as_secs_f64() * 1e3;
            drop(slot);
            let what = match said {
                Ok((StatusCode::OK, _)) => {
                    if counts {
                        route.took.lock().unwrap_or_else(PoisonError::into_inner).push(took);
                    }
                    return;
                }
                Ok((status, _)) => format!("{}: {status}", route.name),
                Err(error) => format!("{}: {error:#}", route.name),
            };
            failed.lock().unwrap_or_else(PoisonError::into_inner).push(what);
        });
        // Ended tasks are not kept.
        while tasks.try_join_next().is_some() {}
        n += 1;
    }
    while tasks.join_next().await.is_some() {}
    let failed = std::mem::take(&mut *failed.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(failed)
}

/// The value below which this share of the sorted values lies.
fn percentile(sorted: &[f64], share: f64) -> f64 {
    let at = ((sorted.len() as f64 * share).ceil() as usize).clamp(1, sorted.len().max(1)) - 1;
    sorted.get(at).copied().unwrap_or(f64::NAN)
}

fn line(name: &str, mut took: Vec<f64>) {
    took.sort_by(f64::total_cmp);
    let (p50, p99, longest) = (percentile(&took, 0.5), percentile(&took, 0.99), percentile(&took, 1.0));
    let target = TARGET.as_secs_f64() * 1e3;
    let met = if p99 <= target { "met" } else { "MISSED" };
    println!(
        "{name:<12} {:>7} answers  p50 {p50:>7.2} ms  p99 {p99:>7.2} ms  longest {longest:>7.2} ms  target {target} ms {met}",
        took.len()
    );
}

#[tokio::main]
async fn main() -> Result<()> {
    let seconds = match std::env::var("HOLDFAST_LOAD_SECONDS") {
        Ok(text) => text.parse().context("HOLDFAST_LOAD_SECONDS is a number of seconds")?,
        Err(_) => SECONDS,
    };
    install_crypto_provider();
    let mut appliance = Appliance::start(&mongod_binary()).await?;
    let caller = claim(&appliance).await?;
    let set = ReplicaSet::start(1, ReplicaSetOptions::default()).await?;
    let live = Live::start_with(&set.client(), LiveOptions::default()).await?;
    // The group is there already: the claim made it.
    appliance.start_agent("load").await?;
    let found = appliance.cli(&["deployments", "add", "load", &set.uri()]).await?;
    let rs = found[0]["rs"].as_str().context("the name of the set")?.to_owned();
    let backup = format!("load/{rs}");
    appliance.cli(&["backups", "start", &backup]).await?;
    appliance.wait_active(&backup, ACTIVE_MAX).await?;
    for n in 0..SNAPSHOTS {
        appliance.cli(&["snapshots", "take", &backup, "--label", &format!("load {n}"), "--wait"]).await?;
    }
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
    let routes = routes(&rs, i64::try_from(now)?);
    for route in &routes {
        let (status, bytes) = caller.ask(&route.path).await?;
        ensure!(status == StatusCode::OK && bytes > 2, "{} is not answered: {status}, {bytes} bytes", route.path);
    }
    ensure!(
        load(&caller, &routes, WARM_UP, false).await?.is_empty(),
        "requests failed while the connections were opened"
    );
    let mut parts = vec![("source".to_owned(), set.member(0)?.pid()), ("load".to_owned(), std::process::id())];
    for part in ["web", "ingest", "daemon", "mongod"] {
        parts.push((part.to_owned(), appliance.pid(part).with_context(|| format!("{part} runs"))?));
    }
    let (cpu, writes) = (CpuWatch::start(parts)?, live.counts());
    let failed = load(&caller, &routes, Duration::from_secs(seconds), true).await?;
    println!("{PER_SECOND} requests a second for {seconds} s, beside a backup of a source that is written to");
    let mut all = Vec::new();
    for route in &routes {
        let took = std::mem::take(&mut *route.took.lock().unwrap_or_else(PoisonError::into_inner));
        all.extend_from_slice(&took);
        line(route.name, took);
    }
    line("all", all);
    println!("  {}", cpu.line()?);
    println!("  writes at the source: from {writes:?} to {:?}", live.counts());
    ensure!(failed.is_empty(), "{} requests failed, the first: {}", failed.len(), failed[0]);
    let shown: Value = appliance.cli(&["backups", "show", &backup]).await?;
    ensure!(shown["state"] == "active" && shown["lastError"].is_null(), "the backup suffered: {shown}");
    live.stop().await?;
    appliance.stop().await
}
