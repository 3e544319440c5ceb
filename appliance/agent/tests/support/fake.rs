//! An ingest server in memory: the whole protocol, over HTTP, with every check that the real one makes, and ways to fail.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, Request, State},
    http::{HeaderMap, StatusCode},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use holdfast_agent_api::{
    AppendSlice, Catalog, CloseChain, CompleteSync, ConfigRequest, ConfigResponse, DiscoveryReport, DiscoveryRequest,
    EPOCH_HEADER, EndScan, EnrollRequest, EnrollResponse, EnrollToken, JobConfig, JobReport, OpenChain,
    PROTOCOL_HEADER, PayloadReceipt, Problem, SYNC_SLICE_HEADER, StartScan,
};
use holdfast_domain::{AgentId, BackupJobId, DeploymentId, GroupId};

use super::{ledger::Ledger, scans::Sync};

pub struct Inner {
    pub job: BackupJobId,
    pub ledger: Ledger,
    pub syncs: BTreeMap<i64, Sync>,
    pub catalogs: Vec<Catalog>,
    pub config: Option<JobConfig>,
    pub discoveries: Vec<DiscoveryRequest>,
    pub reports: Vec<DiscoveryReport>,
    pub job_report: Option<JobReport>,
    /// Every error that was reported.
    pub errors: Vec<String>,
    pub enrolled: i64,
}

#[derive(Clone)]
pub struct Fake {
    inner: Arc<Mutex<Inner>>,
    pub url: String,
    /// Answers 503 to everything.
    pub down: Arc<AtomicBool>,
    /// Sync slices of this number and above are held back; negative: none.
    pub hold_from: Arc<AtomicI64>,
    /// Answers to appends are lost after the effect, this many times.
    pub lose_answers: Arc<AtomicI64>,
}

type Answer<T> = Result<T, Response>;

fn problem(status: u16, code: &str, tail: Option<serde_json::Value>) -> Response {
    let problem = Problem {
        status,
        code: code.into(),
        title: code.into(),
        detail: format!("the test server says {code}"),
        request_id: String::new(),
        tail,
    };
    (StatusCode::from_u16(status).unwrap(), Json(problem)).into_response()
}

fn conflict(tail: &impl serde::Serialize) -> Response {
    problem(409, "ledgerConflict", Some(serde_json::to_value(tail).unwrap()))
}

impl Fake {
    /// Starts it on a free port, with one job of this set.
    pub async fn start(rs: &str, uri: &str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let job = BackupJobId::random();
        let config = JobConfig {
            job: job.clone(),
            rs: rs.into(),
            uri: Some(uri.into()),
            assignment_epoch: 1,
            tail: None,
            sync_complete: false,
            catalog_wanted: false,
            bandwidth: Vec::new(),
            member: None,
        };
        let inner = Inner {
            job,
            ledger: Ledger::default(),
            syncs: BTreeMap::new(),
            catalogs: Vec::new(),
            config: Some(config),
            discoveries: Vec::new(),
            reports: Vec::new(),
            job_report: None,
            errors: Vec::new(),
            enrolled: 0,
        };
        let fake = Self {
            inner: Arc::new(Mutex::new(inner)),
            url,
            down: Arc::default(),
            hold_from: Arc::new(AtomicI64::new(-1)),
            lose_answers: Arc::default(),
        };
        let app = fake.router();
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        fake
    }

    pub fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    pub fn token(&self) -> String {
        let token = EnrollToken {
            ingest_url: self.url.clone(),
            web_url: String::new(),
            ca_pin: String::new(),
            secret: "s3".into(),
        };
        token.encode()
    }

    fn answer(&self, request: &ConfigRequest, first: bool) -> ConfigResponse {
        let mut inner = self.lock();
        if let Some(report) = request.jobs.first().filter(|_| first) {
            inner.errors.extend(report.error.clone());
            inner.job_report = Some(report.clone());
        }
        let tail = inner.ledger.tail();
        let complete = |chain: i64| inner.syncs.get(&chain).is_some_and(|s| s.complete.is_some());
        let sync_complete = tail.as_ref().is_some_and(|t| t.closed.is_none() && complete(t.at.chain));
        let jobs: Vec<JobConfig> =
            inner.config.iter().cloned().map(|c| JobConfig { tail: tail.clone(), sync_complete, ..c }).collect();
        let discoveries = inner.discoveries.clone();
        let key = (jobs.first().map(|j| (j.assignment_epoch, j.catalog_wanted, j.member.clone())), discoveries.len());
        let revision = format!("{key:?} {:?} {sync_complete}", tail.map(|t| (t.at.chain, t.closed)));
        ConfigResponse { revision, ca_pins: Vec::new(), jobs, discoveries }
    }

    fn refusal(&self, headers: &HeaderMap, path: &str) -> Option<Response> {
        if self.down.load(Ordering::SeqCst) {
            return Some(problem(503, "unavailable", None));
        }
        let header = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
        assert_eq!(header(PROTOCOL_HEADER), Some("1"));
        if header("authorization") != Some("Bearer the-key") {
            return Some(problem(401, "agentKey", None));
        }
        let epoch = self.lock().config.as_ref().map(|c| c.assignment_epoch.to_string());
        let stale = path.contains("/jobs/") && (epoch.is_none() || header(EPOCH_HEADER) != epoch.as_deref());
        stale.then(|| problem(403, "staleAssignment", None))
    }

    fn router(&self) -> Router {
        let chain = "/agent/v1/jobs/{job}/chains/{chain}";
        let scan = format!("{chain}/collections/{{uuid}}/scans/{{scan}}");
        Router::new()
            .route("/agent/v1/config", post(config))
            .route("/agent/v1/discoveries/{id}", post(discovery))
            .route("/agent/v1/jobs/{job}/chains", post(open))
            .route(&format!("{chain}/close"), post(close))
            .route(&format!("{chain}/sync"), get(sync_state))
            .route(&format!("{chain}/sync/complete"), post(complete))
            .route(&format!("{chain}/collections"), post(start_scan))
            .route(&format!("{scan}/slices/{{seq}}"), put(put_slice))
            .route(&format!("{scan}/end"), post(end_scan))
            .route(&format!("{chain}/payloads/{{hash}}"), put(payload))
            .route(&format!("{chain}/entries"), post(append))
            .route(&format!("{chain}/catalog"), put(catalog))
            .layer(from_fn_with_state(self.clone(), checks))
            .route("/agent/v1/enroll", post(enroll))
            .layer(DefaultBodyLimit::max(64 << 20))
            .with_state(self.clone())
    }
}

async fn checks(State(fake): State<Fake>, request: Request, next: Next) -> Response {
    match fake.refusal(request.headers(), request.uri().path()) {
        Some(refusal) => refusal,
        None => next.run(request).await,
    }
}

async fn enroll(State(fake): State<Fake>, Json(request): Json<EnrollRequest>) -> Answer<Json<EnrollResponse>> {
    if request.secret != "s3" {
        return Err(problem(401, "token", None));
    }
    fake.lock().enrolled += 1;
    Ok(Json(EnrollResponse { agent: AgentId::random(), group: GroupId::random(), key: "the-key".into() }))
}

async fn config(State(fake): State<Fake>, Json(request): Json<ConfigRequest>) -> Json<ConfigResponse> {
    let mut waited = 0;
    loop {
        let response = fake.answer(&request, waited == 0);
        if request.have_revision.as_deref() != Some(&response.revision) || waited > 10 * request.wait_seconds.min(2) {
            return Json(response);
        }
        waited += 1;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn discovery(
    State(fake): State<Fake>,
    Path(_): Path<DeploymentId>,
    Json(report): Json<DiscoveryReport>,
) -> StatusCode {
    let mut inner = fake.lock();
    inner.discoveries.clear();
    inner.reports.push(report);
    StatusCode::NO_CONTENT
}

async fn open(State(fake): State<Fake>, Json(open): Json<OpenChain>) -> Answer<Response> {
    let mut inner = fake.lock();
    let job = inner.job.clone();
    let tail = inner.ledger.open(&job, open).map_err(|tail| conflict(&tail))?;
    inner.syncs.entry(tail.at.chain).or_default();
    Ok(Json(tail).into_response())
}

async fn close(
    State(fake): State<Fake>,
    Path((_, _)): Path<(String, i64)>,
    Json(close): Json<CloseChain>,
) -> Answer<Response> {
    let mut inner = fake.lock();
    let job = inner.job.clone();
    let closed = inner.ledger.close(&job, close.prev, close.reason, close.detail);
    closed.map(|tail| Json(tail).into_response()).map_err(|tail| conflict(&tail))
}

async fn sync_state(State(fake): State<Fake>, Path((_, chain)): Path<(String, i64)>) -> Answer<Response> {
    let inner = fake.lock();
    let sync = inner.syncs.get(&chain).ok_or_else(|| problem(404, "noSync", None))?;
    Ok(Json(sync.state()).into_response())
}

async fn start_scan(
    State(fake): State<Fake>,
    Path((_, chain)): Path<(String, i64)>,
    Json(start): Json<StartScan>,
) -> Response {
    Json(fake.lock().syncs.get_mut(&chain).unwrap().start(start)).into_response()
}

async fn put_slice(
    State(fake): State<Fake>,
    Path((_, chain, uuid, scan, seq)): Path<(String, i64, String, i64, i64)>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer<StatusCode> {
    while (0..=seq).contains(&fake.hold_from.load(Ordering::SeqCst)) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let header = serde_json::from_str(headers.get(SYNC_SLICE_HEADER).unwrap().to_str().unwrap()).unwrap();
    let raw = zstd::decode_all(body.as_ref()).unwrap();
    let mut inner = fake.lock();
    let put = inner.syncs.get_mut(&chain).unwrap().put(&uuid, scan, seq, header, raw);
    put.map(|()| StatusCode::OK).map_err(|tail| conflict(&tail))
}

async fn end_scan(
    State(fake): State<Fake>,
    Path((_, chain, uuid, scan)): Path<(String, i64, String, i64)>,
    Json(end): Json<EndScan>,
) -> StatusCode {
    fake.lock().syncs.get_mut(&chain).unwrap().end(&uuid, scan, &end);
    StatusCode::NO_CONTENT
}

async fn complete(
    State(fake): State<Fake>,
    Path((_, chain)): Path<(String, i64)>,
    Json(complete): Json<CompleteSync>,
) -> StatusCode {
    fake.lock().syncs.get_mut(&chain).unwrap().complete(complete);
    StatusCode::NO_CONTENT
}

async fn payload(
    State(fake): State<Fake>,
    Path((_, chain, hash)): Path<(String, i64, String)>,
    body: Bytes,
) -> Json<PayloadReceipt> {
    let raw = zstd::decode_all(body.as_ref()).unwrap();
    let payload = fake.lock().ledger.put(chain, hash.parse().unwrap(), raw);
    Json(PayloadReceipt { payload })
}

async fn append(
    State(fake): State<Fake>,
    Path((_, chain)): Path<(String, i64)>,
    Json(slice): Json<AppendSlice>,
) -> Answer<Response> {
    let mut inner = fake.lock();
    let job = inner.job.clone();
    let done = inner.ledger.append(&job, chain, slice);
    if fake.lose_answers.load(Ordering::SeqCst) > 0 {
        fake.lose_answers.fetch_sub(1, Ordering::SeqCst);
        return Err(problem(502, "lost", None));
    }
    done.map(|tail| Json(tail).into_response()).map_err(|tail| conflict(&tail))
}

async fn catalog(State(fake): State<Fake>, Path((_, _)): Path<(String, i64)>, body: Bytes) -> StatusCode {
    let raw = zstd::decode_all(body.as_ref()).unwrap();
    let mut inner = fake.lock();
    inner.catalogs.push(bson::deserialize_from_slice(&raw).unwrap());
    if let Some(config) = &mut inner.config {
        config.catalog_wanted = false;
    }
    StatusCode::NO_CONTENT
}
