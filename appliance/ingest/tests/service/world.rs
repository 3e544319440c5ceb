//! One mongod for the whole test binary, and for each test databases, listeners and agents of its own.

use std::{
    path::Path,
    sync::{Arc, LazyLock, mpsc},
    time::Duration,
};

use blockstore_engine::EngineOptions;
use bson::doc;
use holdfast_agent_api::{
    AppendSlice, ConfigRequest, ConfigResponse, EPOCH_HEADER, EnrollRequest, EnrollResponse, LedgerTail, OpenChain,
    PROTOCOL_HEADER, PROTOCOL_VERSION, PayloadReceipt, Problem, SourceInfo, SourceMember, paths,
};
use holdfast_blockstore::{ApplianceStore, OpenRequest};
use holdfast_domain::{BackupJobId, Hash32, OpTime, SliceSummary, Ts};
use holdfast_ingest::{IngestParts, IngestState};
use holdfast_ledger::Ledger;
use holdfast_metadb::{BackupJob, Discovery, Group, MetaDb};
use holdfast_mongod::{MongodOptions, free_port, start_embedded};
use holdfast_service::{Ca, MasterKey, Served, client_config, install_crypto_provider, serve};
use mongodb::Client;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::{Serialize, de::DeserializeOwned};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// Connection string of the mongod. It lives in a thread of its own, since every test has a runtime of its own, and dies
/// with the process.
static SERVER: LazyLock<String> = LazyLock::new(|| {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async move {
            let home = Path::new(env!("CARGO_TARGET_TMPDIR"));
            remove_dead(home);
            let dir = home.join(format!("ingest-mongod-{}", std::process::id()));
            let mut options =
                MongodOptions::plain(holdfast_tests::mongod_binary(), dir.join("db"), free_port().unwrap());
            options.repl_set = Some("store".into());
            options.oplog_size_mb = Some(990);
            let mongod = start_embedded(options).await.unwrap();
            tell.send(mongod.set_uri().unwrap()).unwrap();
            std::future::pending::<()>().await;
        });
    });
    told.recv().unwrap()
});

/// Opens a store as the programs do: a machine under load may let the first attempt pass its time.
async fn patiently<T, E: std::fmt::Debug, F: Future<Output = Result<T, E>>>(open: impl Fn() -> F) -> T {
    const ATTEMPTS_MAX: usize = 10;
    for _ in 1..ATTEMPTS_MAX {
        match open().await {
            Ok(opened) => return opened,
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(500)).await,
        }
    }
    open().await.unwrap()
}

/// Folders of earlier runs, whose processes are gone.
fn remove_dead(home: &Path) {
    for entry in std::fs::read_dir(home).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let dead = name.strip_prefix("ingest-mongod-").is_some_and(|pid| !Path::new("/proc").join(pid).exists());
        if dead {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// What a test may turn.
pub(crate) struct Knobs {
    pub(crate) space_reserve_bytes: u64,
    pub(crate) sync_backlog_bytes_max: u64,
    pub(crate) lease: Duration,
}

impl Default for Knobs {
    fn default() -> Self {
        Self { space_reserve_bytes: 1 << 20, sync_backlog_bytes_max: 1 << 30, lease: Duration::from_secs(60) }
    }
}

/// An instance.
pub(crate) struct Instance {
    pub(crate) url: String,
    token: CancellationToken,
    _served: Served,
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.token.cancel();
    }
}

pub(crate) struct World {
    pub(crate) metadb: MetaDb,
    pub(crate) ledger: Ledger,
    pub(crate) blockstore: ApplianceStore,
    blocks: mongodb::Database,
    pub(crate) http: reqwest::Client,
    pub(crate) group: Group,
    pub(crate) master_key: Arc<MasterKey>,
    ca: Ca,
    _dir: TempDir,
}

impl World {
    pub(crate) async fn new() -> Self {
        let mut world = Self::empty().await;
        world.group = world.metadb.create_group(&world.group.name).await.unwrap();
        world
    }

    /// With a group that encrypts.
    pub(crate) async fn encrypted() -> Self {
        let mut world = Self::empty().await;
        let id = holdfast_domain::GroupId::random();
        let key = world.blockstore.create_key(&id).await.unwrap();
        world.group = world.metadb.create_group_as(id, &world.group.name, Some(key)).await.unwrap();
        world
    }

    /// The same databases, for a process with another master key.
    pub(crate) async fn lose_key(&self) -> Self {
        let other = Self::empty().await;
        let request = OpenRequest {
            metadb: self.metadb.clone(),
            database: self.blocks.clone(),
            master_key: other.master_key.clone(),
            options: EngineOptions::default(),
        };
        let blockstore = ApplianceStore::open(request).await.unwrap();
        let ledger = Ledger::open(self.blocks.clone(), blockstore.keyring()).await.unwrap();
        Self { metadb: self.metadb.clone(), ledger, blockstore, blocks: self.blocks.clone(), ..other }
    }

    /// Databases, and the name of a group that is not there yet.
    async fn empty() -> Self {
        install_crypto_provider();
        let client = Client::with_uri_str(&*SERVER).await.unwrap();
        let name = hex::encode(rand::random::<[u8; 6]>());
        let app = client.database(&format!("app_{name}"));
        let metadb = patiently(|| MetaDb::open(app.clone())).await;
        let blocks = client.database(&format!("blocks_{name}"));
        let dir = TempDir::new().unwrap();
        let master_key = Arc::new(MasterKey::load_or_create(&dir.path().join("master.key")).unwrap());
        let open = || {
            ApplianceStore::open(OpenRequest {
                metadb: metadb.clone(),
                database: blocks.clone(),
                master_key: master_key.clone(),
                options: EngineOptions::default(),
            })
        };
        let blockstore = patiently(open).await;
        let ledger = patiently(|| Ledger::open(blocks.clone(), blockstore.keyring())).await;
        let ca = Ca::load_or_create(&dir.path().join("ca")).unwrap();
        let tls = client_config(ca.pem()).unwrap();
        let http = reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().build().unwrap();
        let group = Group::new(&format!("g{name}")).unwrap();
        Self { metadb, ledger, blockstore, blocks, http, group, master_key, ca, _dir: dir }
    }

    pub(crate) async fn instance(&self, knobs: Knobs) -> Instance {
        let token = CancellationToken::new();
        let state = IngestState::new(IngestParts {
            metadb: self.metadb.clone(),
            ledger: self.ledger.clone(),
            blockstore: self.blockstore.clone(),
            master_key: self.master_key.clone(),
            ca_pins: vec![self.ca.pin()],
            payload_bytes_in_flight_max: 64 << 20,
            space_reserve_bytes: knobs.space_reserve_bytes,
            sync_backlog_bytes_max: knobs.sync_backlog_bytes_max,
            assignment_lease: Some(knobs.lease),
            shutdown: token.clone(),
        });
        tokio::spawn(holdfast_ingest::watch_assignments(state.clone()));
        let tls = self.ca.leaf(&[]).unwrap();
        let router = holdfast_ingest::router(state);
        let served = serve("127.0.0.1:0".parse().unwrap(), router, Some(tls), token.clone()).await.unwrap();
        Instance { url: format!("https://localhost:{}", served.addr().port()), token, _served: served }
    }

    /// Enrols an agent by a fresh token.
    pub(crate) async fn enroll(&self, instance: &Instance, name: &str) -> TestAgent {
        self.enroll_in(&self.group, instance, name).await
    }

    pub(crate) async fn enroll_in(&self, group: &Group, instance: &Instance, name: &str) -> TestAgent {
        let (_, secret) = self.metadb.create_enroll_token(&group.id).await.unwrap();
        let request = EnrollRequest {
            secret,
            hostname: name.into(),
            version: "0.1.0".into(),
            instance: format!("{name}-instance"),
        };
        let sent = self.http.post(format!("{}{}", instance.url, paths::ENROLL)).json(&request);
        let answer = sent.header(PROTOCOL_HEADER, PROTOCOL_VERSION).send().await.unwrap();
        let enrolled: EnrollResponse = ok(answer).await;
        TestAgent { http: self.http.clone(), url: instance.url.clone(), enrolled, epoch: 0 }
    }

    /// A deployment that `finder` found, and its backup job.
    pub(crate) async fn job(&self, finder: &TestAgent, rs: &str) -> BackupJob {
        let sealed = self
            .master_key
            .seal(&format!("groups/{}/deployments/uri", self.group.id), b"mongodb://u:secret@a:27017")
            .unwrap();
        let made =
            self.metadb.create_deployment(&self.group.id, None, vec!["a:27017".into()], Some(sealed)).await.unwrap();
        let found = Discovery {
            agent: finder.enrolled.agent.clone(),
            refusal: None,
            source: Some(source(rs)),
            privileges: Vec::new(),
        };
        let deployment = self.metadb.record_discovery(&made.id, &found).await.unwrap().unwrap();
        self.metadb.create_backup_job(&deployment, Vec::new()).await.unwrap()
    }

    /// A job with its agent and an open chain.
    pub(crate) async fn tailing(&self, instance: &Instance) -> (TestAgent, BackupJob, LedgerTail) {
        let mut agent = self.enroll(instance, "a").await;
        let job = self.job(&agent, "rs0").await;
        agent.take_job(&job.id).await;
        let tail = agent.open_chain(&job.id, Hash32::ZERO, op(100, 1)).await;
        (agent, job, tail)
    }
}

/// What a source says of itself.
pub(crate) fn source(rs: &str) -> SourceInfo {
    let host = "a:27017".to_owned();
    SourceInfo {
        rs: rs.into(),
        members: vec![SourceMember { host, state: "PRIMARY".into(), hidden: false, delay_seconds: 0 }],
        version: "6.0.5".into(),
        fcv: "6.0".into(),
        directory_per_db: false,
        directory_for_indexes: false,
        storage_bytes: 1 << 20,
        data_bytes: 1 << 20,
    }
}

pub(crate) fn op(t: u32, i: u32) -> OpTime {
    OpTime { ts: Ts { t, i }, term: 1 }
}

/// Raw oplog entries of second `t`, `from` to `to`.
pub(crate) fn entries(t: u32, from: u32, to: u32) -> Vec<u8> {
    let entry = |i| {
        let ts = bson::Timestamp { time: t, increment: i };
        bson::serialize_to_vec(&doc! { "ts": ts, "t": 1_i64, "op": "i", "ns": "a.b", "o": { "_id": i64::from(i) } })
            .unwrap()
    };
    (from..=to).flat_map(entry).collect()
}

pub(crate) fn packed(raw: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(raw, 1).unwrap()
}

/// The answer's body, which must be a success.
pub(crate) async fn ok<T: DeserializeOwned>(response: Response) -> T {
    let status = response.status();
    let text = response.text().await.unwrap();
    assert!(status.is_success(), "{status}: {text}");
    serde_json::from_str(&text).unwrap()
}

/// The answer's problem, which must have this status.
pub(crate) async fn refused(response: Response, status: StatusCode) -> Problem {
    let got = response.status();
    let kind = response.headers().get("content-type").and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    let text = response.text().await.unwrap();
    assert_eq!(got, status, "{text}");
    assert_eq!(kind, "application/problem+json");
    let problem: Problem = serde_json::from_str(&text).unwrap();
    assert_eq!(problem.status, status.as_u16());
    assert!(!problem.code.is_empty() && !problem.detail.is_empty() && !problem.request_id.is_empty(), "{text}");
    problem
}

/// The tail that a conflict brings.
pub(crate) async fn conflict<T: DeserializeOwned>(response: Response) -> T {
    let problem = refused(response, StatusCode::CONFLICT).await;
    serde_json::from_value(problem.tail.expect("a conflict brings the tail")).unwrap()
}

#[derive(Clone)]
pub(crate) struct TestAgent {
    pub(crate) http: reqwest::Client,
    pub(crate) url: String,
    pub(crate) enrolled: EnrollResponse,
    pub(crate) epoch: i64,
}

impl TestAgent {
    pub(crate) fn call(&self, method: Method, path: &str) -> RequestBuilder {
        self.http
            .request(method, format!("{}{path}", self.url))
            .header(PROTOCOL_HEADER, PROTOCOL_VERSION)
            .header(EPOCH_HEADER, self.epoch)
            .bearer_auth(&self.enrolled.key)
    }

    pub(crate) async fn post(&self, path: &str, body: &impl Serialize) -> Response {
        self.call(Method::POST, path).json(body).send().await.unwrap()
    }

    pub(crate) async fn ask(&self, have: Option<&str>, wait_seconds: u64) -> ConfigResponse {
        let request = ConfigRequest {
            version: "0.1.0".into(),
            hostname: "h".into(),
            have_revision: have.map(str::to_owned),
            wait_seconds,
            jobs: Vec::new(),
        };
        ok(self.post(paths::CONFIG, &request).await).await
    }

    /// Asks for the configuration, which must hold the job, and takes over its epoch.
    pub(crate) async fn take_job(&mut self, job: &BackupJobId) -> ConfigResponse {
        let config = self.ask(None, 0).await;
        let mine = config.jobs.iter().find(|j| j.job == *job).expect("the job is this agent's");
        self.epoch = mine.assignment_epoch;
        config
    }

    pub(crate) async fn open_chain(&self, job: &BackupJobId, prev: Hash32, start: OpTime) -> LedgerTail {
        ok(self.post(&paths::chains(job), &OpenChain { prev, start, source: source("rs0") }).await).await
    }

    pub(crate) async fn put(&self, job: &BackupJobId, chain: i64, hash: &Hash32, frame: Vec<u8>) -> Response {
        self.call(Method::PUT, &paths::payload(job, chain, hash)).body(frame).send().await.unwrap()
    }

    /// Sends the payload, and says what entry would append it.
    pub(crate) async fn payload(
        &self,
        job: &BackupJobId,
        tail: &LedgerTail,
        t: u32,
        from: u32,
        to: u32,
    ) -> AppendSlice {
        let raw = entries(t, from, to);
        let receipt: PayloadReceipt = ok(self.put(job, tail.at.chain, &Hash32::of(&raw), packed(&raw)).await).await;
        AppendSlice {
            seq: tail.at.seq + 1,
            prev: tail.hash,
            first: op(t, from),
            last: op(t, to),
            payload: receipt.payload,
            summary: SliceSummary::default(),
        }
    }

    pub(crate) async fn append(&self, job: &BackupJobId, chain: i64, slice: &AppendSlice) -> Response {
        self.post(&paths::chain(job, chain, "entries"), slice).await
    }
}
