//! Two appliances on one database server: a source whose web service can be killed, and a puller with web service and daemon.

use std::{collections::BTreeMap, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use blockstore_engine::{Blockstore, CommitRequest, EngineOptions, Floor, Progress, Purpose, Root, WriterRequest};
use holdfast_blockstore::{ApplianceStore, OpenRequest};
use holdfast_daemon::Daemon;
use holdfast_domain::{AgentId, EntryPosition, OpTime, Ts};
use holdfast_ledger::{Ledger, SnapshotMeta, StorageOptions};
use holdfast_metadb::{
    BackupJob, DaemonSettings, DataSettings, DatabaseSettings, Discovery, Group, MetaDb, NewApiKey, OffsiteCopy,
    OffsiteRun, Role, Settings,
};
use holdfast_service::{Ca, MasterKey, Served, client_config, install_crypto_provider, serve};
use holdfast_tests::{ReplicaSet, ReplicaSetOptions, mongod_binary};
use holdfast_web::{WebParts, WebState};
use mongodb::{Client, Database};
use reqwest::{Method, Response};
use serde_json::Value;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// Databases, keys and folder of one appliance.
pub struct Appliance {
    pub metadb: MetaDb,
    pub blockstore: ApplianceStore,
    /// Key of a global admin.
    pub admin: String,
    pub dir: TempDir,
    pub ca: Ca,
    uri: String,
    name: &'static str,
}

impl Appliance {
    pub async fn new(databases: &ReplicaSet, name: &'static str) -> Self {
        install_crypto_provider();
        let dir = tempfile::tempdir().unwrap();
        let uri = databases.uri();
        let client = Client::with_uri_str(&uri).await.unwrap();
        let metadb = MetaDb::open(client.database(&format!("{name}_app"))).await.unwrap();
        let blocks = client.database(&format!("{name}_blocks"));
        let blockstore = open(&metadb, blocks, dir.path()).await;
        let ca = Ca::load_or_create(&dir.path().join("ca")).unwrap();
        let new = NewApiKey::new(None, Role::Owner, "test");
        let (_, admin) = metadb.create_api_key(new).await.unwrap();
        Self { metadb, blockstore, admin, dir, ca, uri, name }
    }

    pub async fn key(&self, group: Option<&Group>, role: Role) -> String {
        let new = NewApiKey::new(group.map(|g| g.id.clone()), role, "k");
        self.metadb.create_api_key(new).await.unwrap().1
    }

    /// A group with a backup of `rs0`.
    pub async fn backup(&self, group: &str) -> (Group, BackupJob) {
        let group = self.metadb.create_group(group).await.unwrap();
        let job = self.backup_of(&group).await;
        (group, job)
    }

    /// A group that encrypts, with a backup of `rs0`.
    pub async fn encrypted_backup(&self, group: &str) -> (Group, BackupJob) {
        let id = holdfast_domain::GroupId::random();
        let key = self.blockstore.create_key(&id).await.unwrap();
        let group = self.metadb.create_group_as(id, group, Some(key)).await.unwrap();
        let job = self.backup_of(&group).await;
        (group, job)
    }

    async fn backup_of(&self, group: &Group) -> BackupJob {
        let made = self.metadb.create_deployment(&group.id, Some("rs0"), vec!["a:27017".into()], None).await.unwrap();
        let source: holdfast_metadb::Discovery = Discovery {
            agent: AgentId::random(),
            refusal: None,
            source: Some(
                serde_json::from_value(serde_json::json!({
                    "rs": "rs0", "version": "6.0.5", "fcv": "6.0", "directoryPerDb": false, "directoryForIndexes": false,
                    "storageBytes": 1, "dataBytes": 1,
                    "members": [{ "host": "a:27017", "state": "PRIMARY", "hidden": false, "delaySeconds": 0 }],
                }))
                .unwrap(),
            ),
            privileges: Vec::new(),
        };
        let found = self.metadb.record_discovery(&made.id, &source).await.unwrap().unwrap();
        self.metadb.create_backup_job(&found, Vec::new()).await.unwrap()
    }

    /// A snapshot of these files at second `t`.
    pub async fn snapshot(&self, job: &BackupJob, t: u32, parent: Option<&Root>, files: &Files) -> Root {
        let parent = parent.map(|root| root.id);
        let key = self.blockstore.key_of(&job.group).await.unwrap();
        let request = WriterRequest { job: job.id.to_string(), job_epoch: 0, parent, key };
        let mut writer = self.blockstore.register(request).await.unwrap();
        for (path, bytes) in files {
            writer.add_file(path, 0o600, bytes.clone()).await.unwrap();
        }
        let optime = OpTime { ts: Ts { t, i: 1 }, term: 1 };
        let meta = SnapshotMeta {
            group: job.group.clone(),
            rs: job.rs.clone(),
            optime,
            resume: EntryPosition { chain: 1, seq: i64::from(t) },
            feed_from: optime,
            server_version: "6.0.5".into(),
            fcv: "6.0".into(),
            storage: StorageOptions::default(),
            taken_at: bson::DateTime::now(),
            label: None,
        };
        let commit = CommitRequest {
            meta: meta.encode().unwrap(),
            resume: Floor { chain: 1, seq: i64::from(t) },
            purpose: Purpose::Snapshot,
            label: Some(format!("at {t}")),
            pins: Vec::new(),
        };
        writer.commit(commit).await.unwrap()
    }

    /// Its web service, with connections of its own.
    pub async fn serve(&self, addr: SocketAddr, token: CancellationToken) -> Served {
        let client = Client::with_uri_str(&self.uri).await.unwrap();
        let blocks = client.database(&format!("{}_blocks", self.name));
        let metadb = MetaDb::open(client.database(&format!("{}_app", self.name))).await.unwrap();
        let state = WebState::new(WebParts {
            metadb: metadb.clone(),
            ledger: Ledger::open(blocks.clone(), holdfast_ledger::Keyring::default()).await.unwrap(),
            blockstore: open(&metadb, blocks, self.dir.path()).await,
            master_key: Arc::new(MasterKey::load_or_create(&self.dir.path().join("master.key")).unwrap()),
            ca_pin: self.ca.pin(),
            web_url: "https://appliance:8080".into(),
            ingest_url: "https://appliance:8081".into(),
            trusted_proxies: Vec::new(),
            hsts: false,
            shutdown: token.clone(),
        });
        serve(addr, holdfast_web::router(state), Some(self.ca.leaf(&[]).unwrap()), token).await.unwrap()
    }

    pub fn settings(&self) -> Settings {
        let port = || holdfast_mongod::free_port().unwrap();
        let first = port();
        let database = |kind| DatabaseSettings { uri: self.uri.clone(), name: format!("{}_{kind}", self.name) };
        Settings {
            app_database: database("app"),
            blockstore: database("blocks"),
            data: DataSettings { dir: self.dir.path().to_owned() },
            web: Default::default(),
            ingest: Default::default(),
            app: Default::default(),
            daemon: DaemonSettings {
                name: self.name.into(),
                head_dir: Some(self.dir.path().join("heads")),
                head_ports: vec![port()],
                restore_ports: [first, first],
                mongod_binaries: vec![mongod_binary()],
                lease_seconds: 3,
                block_cache_bytes: 64 << 20,
                ..Default::default()
            },
        }
    }

    /// What a snapshot holds, restored.
    pub async fn restored(&self, store: &Blockstore, id: &str) -> Files {
        let root = store.root(&id.parse().unwrap()).await.unwrap().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        let quiet = Arc::new(|_: Progress| {});
        store.reader(root).materialise(&out, quiet, CancellationToken::new()).await.unwrap();
        read(&out)
    }
}

/// The blockstore as every process of the appliance opens it.
async fn open(metadb: &MetaDb, database: Database, dir: &Path) -> ApplianceStore {
    let master_key = Arc::new(MasterKey::load_or_create(&dir.join("master.key")).unwrap());
    let request = OpenRequest { metadb: metadb.clone(), database, master_key, options: EngineOptions::default() };
    ApplianceStore::open(request).await.unwrap()
}

pub type Files = BTreeMap<String, Vec<u8>>;

pub fn read(dir: &Path) -> Files {
    let entries = std::fs::read_dir(dir).unwrap().map(Result::unwrap);
    entries.map(|e| (e.file_name().into_string().unwrap(), std::fs::read(e.path()).unwrap())).collect()
}

/// The source's web service in a runtime of its own, so that it can die at once.
pub struct Killable {
    runtime: Option<tokio::runtime::Runtime>,
    pub addr: SocketAddr,
}

impl Killable {
    pub async fn start(source: &Arc<Appliance>, addr: SocketAddr) -> Self {
        let source = Arc::clone(source);
        let started = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
            let served = runtime.block_on(source.serve(addr, CancellationToken::new()));
            (runtime, served.addr())
        });
        let (runtime, addr) = tokio::task::spawn_blocking(move || started.join().unwrap()).await.unwrap();
        Self { runtime: Some(runtime), addr }
    }

    pub fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }

    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.addr.port())
    }
}

impl Drop for Killable {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The puller: its appliance, web service and daemon, a client of it.
pub struct Puller {
    pub at: Appliance,
    pub web: Api,
    daemon: Option<Daemon>,
    token: CancellationToken,
    _served: Served,
}

impl Puller {
    pub async fn start(databases: &ReplicaSet) -> Self {
        let at = Appliance::new(databases, "puller").await;
        let token = CancellationToken::new();
        let served = at.serve("127.0.0.1:0".parse().unwrap(), token.clone()).await;
        let web = Api::new(&at.ca, served.addr(), &at.admin);
        let daemon = Daemon::start(&at.settings(), token.clone()).await.unwrap();
        Self { at, web, daemon: Some(daemon), token, _served: served }
    }

    pub async fn stop(mut self) {
        self.token.cancel();
        self.daemon.take().unwrap().ended().await;
    }

    /// Waits until the order is as wanted.
    pub async fn wait(&self, name: &str, good: impl Fn(&OffsiteCopy) -> bool) -> OffsiteCopy {
        let waited = tokio::time::timeout(PATIENCE, async {
            loop {
                let copy = self.at.metadb.offsite_copy(name).await.unwrap().unwrap();
                if good(&copy) {
                    return copy;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        match waited.await {
            Ok(copy) => copy,
            Err(_) => panic!("waited in vain: {:#?}", self.at.metadb.offsite_copy(name).await),
        }
    }

    /// Asks for a run and waits for its end.
    pub async fn run(&self, name: &str) -> OffsiteRun {
        let before = self.at.metadb.offsite_copy(name).await.unwrap().unwrap().last;
        assert_eq!(self.web.call(Method::POST, &format!("/offsite/copies/{name}/run"), None).await.status(), 202);
        let done = self.wait(name, |copy| !copy.running && copy.asked.is_none() && copy.last != before).await;
        done.last.unwrap()
    }

    pub async fn pulled(&self, name: &str) -> Vec<Value> {
        let listed = self.web.get(&format!("/offsite/copies/{name}/snapshots")).await;
        listed.as_array().unwrap().clone()
    }
}

/// A client of one web service with one key.
pub struct Api {
    http: reqwest::Client,
    url: String,
    key: String,
}

impl Api {
    pub fn new(ca: &Ca, addr: SocketAddr, key: &str) -> Self {
        let trust = client_config(ca.pem()).unwrap();
        let http = reqwest::Client::builder().tls_backend_preconfigured(trust).no_proxy().build().unwrap();
        Self { http, url: format!("https://localhost:{}/api/v1", addr.port()), key: key.to_owned() }
    }

    /// Its URL, without the API's path.
    pub fn origin(&self) -> String {
        self.url.trim_end_matches("/api/v1").to_owned()
    }

    /// The same service, asked with another key.
    pub fn with_key(&self, key: &str) -> Self {
        Self { http: self.http.clone(), url: self.url.clone(), key: key.to_owned() }
    }

    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Response {
        let mut request = self.http.request(method, format!("{}{path}", self.url)).bearer_auth(&self.key);
        if let Some(body) = body {
            request = request.json(body);
        }
        request.send().await.unwrap()
    }

    pub async fn get(&self, path: &str) -> Value {
        let answer = self.call(Method::GET, path, None).await;
        assert!(answer.status().is_success(), "{path}: {}", answer.text().await.unwrap());
        answer.json().await.unwrap()
    }

    pub async fn post(&self, path: &str, body: Value) -> Value {
        let answer = self.call(Method::POST, path, Some(&body)).await;
        assert!(answer.status().is_success(), "{path}: {}", answer.text().await.unwrap());
        answer.json().await.unwrap()
    }
}

pub async fn databases() -> ReplicaSet {
    ReplicaSet::start(1, ReplicaSetOptions::default()).await.unwrap()
}
