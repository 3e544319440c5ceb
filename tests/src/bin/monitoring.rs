//! What monitoring costs: bytes of a host over all its retention, and how many hosts one web process takes in.
//!
//! Run by `scripts/monitoring` on release builds. `size` writes a day of a host's measurements as web does, rolls them up and tells from
//! the collections' files what two years come to. `ingest` sends reports of a hundred hosts each to a whole appliance as fast as they are
//! taken. Prints one line per number with its target; it never fails because of a number, only when something does not work.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use bson::doc;
use holdfast_agent_api::{
    EnrollRequest, EnrollResponse, EnrollToken, HostReport, MonitoringReport, MonitoringResponse, PROTOCOL_HEADER,
    PROTOCOL_VERSION, Tick,
};
use holdfast_domain::{GroupId, HostId};
use holdfast_metadb::{MetaDb, MonitoringSettings, Sample, StoredPing, series_of};
use holdfast_metrics::{METRICS, Scope};
use holdfast_mongod::{MongodOptions, free_port, start_embedded};
use holdfast_service::{client_config, install_crypto_provider};
use holdfast_tests::{appliance::Appliance, mongod_binary};
use mongodb::Client;
use rand::RngExt as _;
use serde_json::json;

const PERIOD: i64 = 10;
const DAY: i64 = 86_400;
const GIGABYTE: f64 = 1_073_741_824.0;
/// Hosts of one report.
const HOSTS: usize = 100;
/// Agents that send side by side.
const AGENTS: usize = 4;
/// How long is measured, when HOLDFAST_LOAD_SECONDS says nothing.
const SECONDS: u64 = 30;

fn names(scopes: &[Scope]) -> Vec<&'static str> {
    METRICS.iter().filter(|metric| scopes.contains(&metric.scope)).map(|metric| metric.name).collect()
}

/// A walk: what servers measure changes from one time to the next, and not from nothing to everything.
struct Walk(BTreeMap<&'static str, f64>);

impl Walk {
    fn new(names: &[&'static str]) -> Self {
        let mut rng = rand::rng();
        Self(names.iter().map(|name| (*name, rng.random_range(0.0..1e6_f64))).collect())
    }

    fn step(&mut self) -> BTreeMap<String, f64> {
        let mut rng = rand::rng();
        for value in self.0.values_mut() {
            *value = (*value * rng.random_range(0.97..1.03)).max(0.001);
        }
        self.0.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
    }
}

/// Writes a day of a host: itself, two disks, five databases.
async fn write_day(meta: &MetaDb, host: &HostId, now: i64) -> Result<()> {
    let begin = now - now % 3_600 - DAY + 2 * 3_600;
    let mut series = vec![(series_of(host, ""), Walk::new(&names(&[Scope::Host, Scope::System])), PERIOD)];
    for disk in ["disk/sda1", "disk/sdb1"] {
        series.push((series_of(host, disk), Walk::new(&names(&[Scope::Disk])), PERIOD));
    }
    for db in 0..5 {
        series.push((series_of(host, &format!("db/db{db}")), Walk::new(&names(&[Scope::Database])), 60));
    }
    let mut hours = BTreeSet::new();
    for (series, walk, period) in &mut series {
        let mut batch = Vec::new();
        let mut at = begin;
        while at < now {
            hours.insert((series.clone(), at - at % 3_600));
            batch.push(Sample { series: series.clone(), at: at * 1_000, values: walk.step() });
            at += *period;
            if batch.len() >= 500 || at >= now {
                meta.add_samples(&batch).await?;
                batch.clear();
            }
        }
    }
    meta.note_sample_work(&hours).await?;
    while meta.roll_up(now).await? > 0 {}
    Ok(())
}

async fn stored(meta: &MetaDb, collection: &str) -> Result<f64> {
    let stats = meta.database().run_command(doc! { "collStats": collection }).await?;
    let of = |field: &str| stats.get(field).and_then(|n| n.as_i64().or_else(|| n.as_i32().map(i64::from))).unwrap_or(0);
    #[allow(clippy::cast_precision_loss, reason = "sizes")]
    let bytes = (of("storageSize") + of("totalIndexSize")) as f64;
    Ok(bytes)
}

async fn size() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut options = MongodOptions::plain(mongod_binary(), dir.path().join("db"), free_port()?);
    options.repl_set = Some("rs".into());
    let mongod = start_embedded(options).await?;
    let client = Client::with_uri_str(mongod.set_uri().context("a set")?).await?;
    let meta = MetaDb::open(client.database("app")).await?;
    let now = i64::try_from(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs())?;
    let hosts: u32 = 4;
    let group = GroupId::random();
    for n in 0..hosts {
        write_day(&meta, &HostId::random(), now).await?;
        for slot in 0..20 {
            let ping = StoredPing { at: slot * 60_000, answers: vec![7; 8_000] };
            meta.note_ping(&group, &format!("h{n}:1"), &ping).await?;
        }
    }
    client.database("admin").run_command(doc! { "fsync": 1 }).await?;
    let settings = MonitoringSettings::default();
    #[allow(clippy::cast_precision_loss, reason = "days")]
    let days = |seconds: i64| seconds as f64 / DAY as f64;
    let mut total = 0.0;
    // What was written is 22 hours and some minutes of a day.
    let part = 22.5 / 24.0;
    for (what, collection, times) in [
        ("raw", "system.buckets.samples", days(settings.raw_seconds) / part),
        ("minutes", "sample_minutes", days(settings.minute_seconds) / part),
        ("hours", "sample_hours", days(settings.hour_seconds)),
        ("pings", "raw_pings", 1.0),
    ] {
        let bytes = stored(&meta, collection).await? / f64::from(hosts) * times;
        total += bytes;
        println!("monitoring size {what}: {:.1} MB a host", bytes / 1e6);
    }
    let met = if total < GIGABYTE { "met" } else { "MISSED" };
    println!("monitoring size of a host over all its retention: {:.1} MB  target < 1 GB  {met}", total / 1e6);
    mongod.stop().await?;
    Ok(())
}

struct Sender {
    http: reqwest::Client,
    url: String,
    key: String,
    epoch: i64,
    spool: String,
}

impl Sender {
    async fn post(&self, path: &str, body: Vec<u8>) -> Result<Vec<u8>> {
        let request = self.http.post(format!("{}/agent/v1/monitoring/{path}", self.url)).bearer_auth(&self.key);
        let answer = request.header(PROTOCOL_HEADER, PROTOCOL_VERSION).body(body).send().await?;
        let status = answer.status();
        let body = answer.bytes().await?.to_vec();
        ensure!(status.is_success(), "{path}: {status} {}", String::from_utf8_lossy(&body));
        Ok(body)
    }
}

/// An agent of a group of its own, which is active at once.
async fn sender(appliance: &Appliance, n: usize) -> Result<Sender> {
    let ready = appliance.ready()?;
    let group = format!("load{n}");
    appliance.cli(&["groups", "create", &group]).await?;
    let token = appliance.cli(&["agents", "enroll", &group]).await?;
    let token = EnrollToken::decode(token["enrollToken"].as_str().context("a token")?)?;
    let pem = std::fs::read_to_string(appliance.dir().join("data/ca/ca.pem")).context("read the appliance's CA")?;
    let http = reqwest::Client::builder().tls_backend_preconfigured(client_config(&pem)?).no_proxy().build()?;
    let request = EnrollRequest {
        secret: token.secret,
        hostname: "load".into(),
        version: "0".into(),
        instance: format!("load {n}"),
    };
    let ingest = ready["ingestUrl"].as_str().context("ingestUrl")?;
    let answer = http.post(format!("{ingest}/agent/v1/enroll")).header(PROTOCOL_HEADER, PROTOCOL_VERSION);
    let given: EnrollResponse = answer.json(&request).send().await?.error_for_status()?.json().await?;
    let url = ready["webUrl"].as_str().context("webUrl")?.to_owned();
    let mut sender = Sender { http, url, key: given.key, epoch: 0, spool: format!("load{n}") };
    let asked = json!({ "version": "0", "hostname": "load", "clockMillis": 0 });
    let active: MonitoringResponse =
        serde_json::from_slice(&sender.post("config", serde_json::to_vec(&asked)?).await?)?;
    sender.epoch = active.epoch.context("the first agent of a group is active")?;
    Ok(sender)
}

fn now_millis() -> i64 {
    bson::DateTime::now().timestamp_millis()
}

/// Frames of reports, made before the time that is measured.
fn frame(sender: &Sender, seq: i64, walk: &mut Walk) -> Result<Vec<u8>> {
    let at = now_millis() - 3_600_000 + seq * 10_000;
    let ticks =
        (0..HOSTS).map(|n| Tick { host: format!("host{n}:27017"), part: String::new(), at, values: walk.step() });
    let ticks: Vec<Tick> = ticks.collect();
    let hosts =
        (0..HOSTS).map(|n| HostReport { host: format!("host{n}:27017"), at, up: true, ..HostReport::default() });
    // Agents tell how a host is once a minute.
    let hosts: Vec<HostReport> = if seq % 6 == 0 { hosts.collect() } else { Vec::new() };
    let report = MonitoringReport {
        spool: sender.spool.clone(),
        seq,
        epoch: sender.epoch,
        ticks,
        hosts,
        ..MonitoringReport::default()
    };
    Ok(zstd::bulk::compress(&serde_json::to_vec(&report)?, 3)?)
}

async fn ingest() -> Result<()> {
    install_crypto_provider();
    let seconds = std::env::var("HOLDFAST_LOAD_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(SECONDS);
    let appliance = Appliance::start(&mongod_binary()).await?;
    let taken = Arc::new(AtomicU64::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    let mut senders = Vec::new();
    for n in 0..AGENTS {
        senders.push(sender(&appliance, n).await?);
    }
    let began = Instant::now();
    for sender in senders {
        let taken = Arc::clone(&taken);
        tasks.spawn(async move {
            let mut walk = Walk::new(&names(&[Scope::Host, Scope::System]));
            // At most an hour of ticks each: later ones would lie in the future.
            for seq in 0..350 {
                if began.elapsed() > Duration::from_secs(seconds) {
                    break;
                }
                let frame = frame(&sender, seq, &mut walk)?;
                sender.post("reports", frame).await?;
                taken.fetch_add(HOSTS as u64, Ordering::Relaxed);
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    #[allow(clippy::cast_precision_loss, reason = "a rate")]
    let rate = taken.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64();
    let (at_60, at_10) = (rate * 60.0, rate * 10.0);
    let met = if at_60 >= 2_000.0 { "met" } else { "MISSED" };
    println!("monitoring ingest: {rate:.0} hosts a second, {} values each", names(&[Scope::Host, Scope::System]).len());
    println!("monitoring ingest at 60 s: {at_60:.0} hosts  target >= 2000  {met}");
    println!("monitoring ingest at 10 s: {at_10:.0} hosts (senders, web and database on this machine)");
    appliance.stop().await
}

#[tokio::main]
async fn main() -> Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("size") => size().await,
        Some("ingest") => ingest().await,
        _ => {
            size().await?;
            ingest().await
        }
    }
}
