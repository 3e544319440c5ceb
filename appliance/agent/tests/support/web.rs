//! The appliance's monitoring door in memory: one lease, reports kept as they came, and a way to be away.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use holdfast_agent_api::{
    EnrollRequest, EnrollResponse, EnrollToken, HostEventKind, HostFacts, HostReport, MonitoringReceipt,
    MonitoringReport, MonitoringRequest, MonitoringResponse, MonitoringSeed,
};
use holdfast_domain::{AgentId, DeploymentId, GroupId, Lease};

#[derive(Default)]
pub struct Seen {
    /// By spool and number: the same one twice is one.
    pub reports: BTreeMap<(String, i64), MonitoringReport>,
    /// Requests that carried a report, those sent again too.
    pub sent: usize,
}

#[derive(Clone)]
pub struct Web {
    pub seen: Arc<Mutex<Seen>>,
    pub url: String,
    /// Answers 503 to everything.
    pub down: Arc<AtomicBool>,
    seeds: Vec<MonitoringSeed>,
}

impl Web {
    /// Starts it on a free port; agents shall begin to look at `uri`.
    pub async fn start(uri: &str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seeds = vec![MonitoringSeed { deployment: DeploymentId::random(), uri: uri.into() }];
        let web = Self { seen: Arc::default(), url, down: Arc::default(), seeds };
        let app = Router::new()
            .route("/agent/v1/enroll", post(enroll))
            .route("/agent/v1/monitoring/config", post(config))
            .route("/agent/v1/monitoring/reports", post(report))
            .layer(DefaultBodyLimit::max(8 << 20))
            .with_state(web.clone());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        web
    }

    pub fn token(&self) -> String {
        let token = EnrollToken {
            ingest_url: self.url.clone(),
            web_url: self.url.clone(),
            ca_pin: String::new(),
            secret: "s3".into(),
        };
        token.encode()
    }

    fn all<T>(&self, pick: impl Fn(&MonitoringReport) -> Vec<T>) -> Vec<T> {
        self.seen.lock().unwrap().reports.values().flat_map(pick).collect()
    }

    /// How each host was when it was told last.
    pub fn hosts(&self) -> BTreeMap<String, HostReport> {
        self.all(|report| report.hosts.clone()).into_iter().map(|host| (host.host.clone(), host)).collect()
    }

    /// Values of a metric of a host, by time in milliseconds.
    pub fn values(&self, host: &str, part: &str, metric: &str) -> Vec<(i64, f64)> {
        let mut all = self.all(|report| {
            let of = report.ticks.iter().filter(|tick| tick.host == host && tick.part == part);
            of.filter_map(|tick| Some((tick.at, *tick.values.get(metric)?))).collect()
        });
        all.sort_by_key(|(at, _)| *at);
        all
    }

    /// What happened to a host, in order.
    pub fn events(&self, host: &str) -> Vec<(i64, HostEventKind)> {
        let mut all = self
            .all(|report| report.events.iter().filter(|e| e.host == host).map(|e| (e.at, e.kind)).collect::<Vec<_>>());
        all.sort();
        all
    }

    pub fn facts(&self, host: &str) -> Option<HostFacts> {
        self.all(|report| report.facts.clone()).into_iter().rfind(|facts| facts.host == host)
    }

    pub fn pings(&self, host: &str) -> usize {
        self.all(|report| report.pings.iter().filter(|p| p.host == host).map(|p| p.at).collect::<Vec<_>>()).len()
    }

    fn away(&self) -> Option<Response> {
        self.down.load(Ordering::SeqCst).then(|| StatusCode::SERVICE_UNAVAILABLE.into_response())
    }
}

async fn enroll(State(_): State<Web>, Json(request): Json<EnrollRequest>) -> Json<EnrollResponse> {
    assert_eq!(request.secret, "s3");
    Json(EnrollResponse { agent: AgentId::random(), group: GroupId::random(), key: "the-key".into() })
}

async fn config(State(web): State<Web>, Json(request): Json<MonitoringRequest>) -> Response {
    if let Some(away) = web.away() {
        return away;
    }
    let epoch = request.epoch.or(Some(1)).filter(|_| !request.release);
    let lease = Lease { owner: "it".into(), epoch: 1, beat: 1 };
    let seeds = web.seeds.clone();
    Json(MonitoringResponse { lease, epoch, period_seconds: 10, seeds, ca_pins: Vec::new() }).into_response()
}

async fn report(State(web): State<Web>, body: Bytes) -> Response {
    web.seen.lock().unwrap().sent += 1;
    if let Some(away) = web.away() {
        return away;
    }
    let report: MonitoringReport = serde_json::from_slice(&zstd::decode_all(body.as_ref()).unwrap()).unwrap();
    let taken = report.seq;
    web.seen.lock().unwrap().reports.insert((report.spool.clone(), taken), report);
    Json(MonitoringReceipt { taken }).into_response()
}
