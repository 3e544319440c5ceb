//! One mongod for the whole test binary, and for each test databases, a listener, and keys of its own.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, LazyLock, mpsc},
};

use blockstore_engine::{CommitRequest, EngineOptions, Floor, Purpose, Root, WriterRequest};
use bson::doc;
use holdfast_agent_api::{LedgerTail, SourceInfo, SourceMember};
use holdfast_blockstore::{ApplianceStore, OpenRequest};
use holdfast_domain::{BackupJobId, EntryPosition, Hash32, OpTime, SliceSummary, Ts};
use holdfast_ledger::{
    AppendRequest, Ledger, OpenChainRequest, SnapshotMeta, StorageOptions, compress, inspect_payload,
};
use holdfast_metadb::{
    BackupJob, Daemon, DaemonBeat, DaemonSpace, Discovery, Group, MetaDb, NewApiKey, NewDaemon, NewSession, Role, User,
};
use holdfast_mongod::{MongodOptions, free_port, start_embedded};
use holdfast_service::{Ca, MasterKey, Served, client_config, install_crypto_provider, serve};
use holdfast_web::{WebParts, WebState};
use mongodb::Client;
use reqwest::{Method, Response, StatusCode};
use serde_json::Value;
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
            let dir = home.join(format!("web-mongod-{}", std::process::id()));
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
        let dead = name.strip_prefix("web-mongod-").is_some_and(|pid| !Path::new("/proc").join(pid).exists());
        if dead {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// Password of everyone here.
pub(crate) const PASSWORD: &str = "correct horse battery";
/// Its argon2id string, made once: hashing takes long on purpose.
static PASSWORD_HASH: tokio::sync::OnceCell<String> = tokio::sync::OnceCell::const_new();

pub(crate) struct World {
    pub(crate) metadb: MetaDb,
    pub(crate) ledger: Ledger,
    pub(crate) blockstore: ApplianceStore,
    pub(crate) group: Group,
    /// Key of a global admin.
    pub(crate) admin: String,
    http: reqwest::Client,
    url: String,
    token: CancellationToken,
    served: Served,
    dir: TempDir,
}

impl Drop for World {
    fn drop(&mut self) {
        self.token.cancel();
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        install_crypto_provider();
        let client = Client::with_uri_str(&*SERVER).await.unwrap();
        let name = hex::encode(rand::random::<[u8; 6]>());
        let app = client.database(&format!("app_{name}"));
        let metadb = patiently(|| MetaDb::open(app.clone())).await;
        let blocks = client.database(&format!("blocks_{name}"));
        let ledger = patiently(|| Ledger::open(blocks.clone())).await;
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
        let ca = Ca::load_or_create(&dir.path().join("ca")).unwrap();
        let token = CancellationToken::new();
        let state = WebState::new(WebParts {
            metadb: metadb.clone(),
            ledger: ledger.clone(),
            blockstore: blockstore.clone(),
            master_key,
            ca_pin: ca.pin(),
            web_url: "https://appliance:8080".into(),
            ingest_url: "https://appliance:8081".into(),
            trusted_proxies: Vec::new(),
            hsts: false,
            shutdown: token.clone(),
        });
        let tls = ca.leaf_beside(&[], state.browser_certificate()).unwrap();
        let router = holdfast_web::router(state);
        let served = serve("127.0.0.1:0".parse().unwrap(), router, Some(tls), token.clone()).await.unwrap();
        let url = format!("https://localhost:{}", served.addr().port());
        let trust = client_config(ca.pem()).unwrap();
        let http = reqwest::Client::builder().tls_backend_preconfigured(trust).no_proxy().build().unwrap();
        let group = metadb.create_group(&format!("g{name}")).await.unwrap();
        let new = NewApiKey::new(None, Role::Owner, "test");
        let (_, admin) = metadb.create_api_key(new).await.unwrap();
        Self { metadb, ledger, blockstore, group, admin, http, url, token, served, dir }
    }

    /// Any request below `/api/v1`, or to a path that begins with `//` as it is.
    pub(crate) async fn call(&self, key: Option<&str>, method: Method, path: &str, body: Option<&Value>) -> Response {
        let url = match path.strip_prefix('/') {
            Some(rest) if rest.starts_with('/') => format!("{}{rest}", self.url),
            _ => format!("{}/api/v1{path}", self.url),
        };
        let mut request = self.http.request(method, url);
        if let Some(key) = key {
            request = request.bearer_auth(key);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        request.send().await.unwrap()
    }

    /// A request as an agent makes it.
    pub(crate) async fn agent_call(&self, key: &str, path: &str, body: Vec<u8>) -> Response {
        let request = self.http.post(format!("{}{path}", self.url)).bearer_auth(key).body(body);
        request.header(holdfast_agent_api::PROTOCOL_HEADER, "1").send().await.unwrap()
    }

    /// Where this world's listener is.
    pub(crate) fn addr(&self) -> std::net::SocketAddr {
        self.served.addr()
    }

    /// Certificate of the appliance's own CA.
    pub(crate) fn ca(&self) -> Ca {
        Ca::load_or_create(&self.dir.path().join("ca")).unwrap()
    }

    /// Another instance on the same databases, as `holdfast-app` runs it.
    pub(crate) async fn second_instance(&self) -> Served {
        let master_key = Arc::new(MasterKey::load_or_create(&self.dir.path().join("master.key")).unwrap());
        let state = WebState::new(WebParts {
            metadb: self.metadb.clone(),
            ledger: self.ledger.clone(),
            blockstore: self.blockstore.clone(),
            master_key,
            ca_pin: self.ca().pin(),
            web_url: "https://appliance:8080".into(),
            ingest_url: "https://appliance:8081".into(),
            trusted_proxies: Vec::new(),
            hsts: false,
            shutdown: self.token.clone(),
        });
        let tls = self.ca().leaf_beside(&[], state.browser_certificate()).unwrap();
        tokio::spawn(holdfast_web::watch_browser_certificate(state.clone()));
        let router = holdfast_web::router(state);
        serve("127.0.0.1:0".parse().unwrap(), router, Some(tls), self.token.clone()).await.unwrap()
    }

    /// A browser that is not signed in, on a page of ours.
    pub(crate) fn browser(&self) -> Browser {
        Browser { http: self.http.clone(), url: self.url.clone(), cookie: None }
    }

    /// An account.
    pub(crate) async fn user(&self, name: &str, global_roles: &[Role]) -> User {
        let hash = PASSWORD_HASH.get_or_init(async || holdfast_web::hash_password(PASSWORD).await.unwrap()).await;
        let email = format!("{name}@example.org");
        let user = User::new(&email, name, Some(hash.clone()), global_roles.to_vec());
        self.metadb.create_user(&user).await.unwrap();
        user
    }

    /// A browser in which someone has signed in.
    pub(crate) async fn sign_in(&self, email: &str, password: &str) -> Browser {
        let browser = self.browser();
        let body = serde_json::json!({ "email": email, "password": password });
        let answer = browser.call(Method::POST, "/sessions", Some(&body)).await;
        assert_eq!(answer.status(), StatusCode::CREATED, "{answer:?}");
        let cookie = answer.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
        Browser { cookie: Some(cookie), ..browser }
    }

    /// The same, of an account of this world, without the time that a password takes.
    pub(crate) async fn signed_in(&self, user: &User) -> Browser {
        let new = NewSession {
            user: user.id.clone(),
            lifetime: std::time::Duration::from_secs(86_400),
            idle: std::time::Duration::from_secs(12 * 3600),
            address: "127.0.0.1".into(),
            agent: "test".into(),
            verified: None,
            factor_elsewhere: false,
        };
        let (_, secret) = self.metadb.create_session(new).await.unwrap();
        Browser { cookie: Some(format!("__Host-holdfast={secret}")), ..self.browser() }
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        ok(self.call(Some(&self.admin), Method::GET, path, None).await).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Response {
        self.call(Some(&self.admin), Method::POST, path, Some(&body)).await
    }

    pub(crate) async fn key(&self, group: Option<&Group>, role: Role) -> String {
        let new = NewApiKey::new(group.map(|g| g.id.clone()), role, "k");
        self.metadb.create_api_key(new).await.unwrap().1
    }

    pub(crate) async fn daemon(&self, name: &str, free_bytes: u64) -> Daemon {
        let new = NewDaemon { name: name.into(), version: "0.1.0".into(), labels: Vec::new(), ports: Vec::new() };
        let daemon = self.metadb.register_daemon(&new).await.unwrap();
        let space = DaemonSpace { total_bytes: free_bytes, used_bytes: 0, free_bytes };
        let beat = DaemonBeat { space, ..DaemonBeat::default() };
        self.metadb.beat_daemon(&daemon.id, &beat).await.unwrap();
        daemon
    }

    /// A deployment that some agent found.
    pub(crate) async fn deployment(&self, rs: &str, refusal: Option<&str>) -> holdfast_metadb::Deployment {
        let made = self.metadb.create_deployment(&self.group.id, Some(rs), vec!["a:27017".into()], None).await.unwrap();
        let found = Discovery {
            agent: holdfast_domain::AgentId::random(),
            refusal: refusal.map(str::to_owned),
            source: refusal.is_none().then(|| source(rs)),
            privileges: Vec::new(),
        };
        self.metadb.record_discovery(&made.id, &found).await.unwrap().unwrap()
    }

    pub(crate) async fn job(&self) -> BackupJob {
        let deployment = self.deployment("rs0", None).await;
        self.metadb.create_backup_job(&deployment, Vec::new()).await.unwrap()
    }

    /// Path of the backup of `rs0`.
    pub(crate) fn backup(&self, below: &str) -> String {
        format!("/groups/{}/backups/rs0{below}", self.group.name)
    }

    /// Opens the next chain at `start`.
    pub(crate) async fn open_chain(&self, job: &BackupJobId, start: OpTime) -> LedgerTail {
        let prev = self.ledger.tail(job).await.unwrap().map_or(Hash32::ZERO, |tail| tail.hash);
        self.ledger.open_chain(job, &OpenChainRequest { prev, start, source: doc! {} }).await.unwrap()
    }

    /// Appends a slice with these optimes.
    pub(crate) async fn append(&self, job: &BackupJobId, optimes: &[OpTime], summary: SliceSummary) -> LedgerTail {
        let tail = self.ledger.tail(job).await.unwrap().unwrap();
        let entry =
            |o: &OpTime| bson::serialize_to_vec(&doc! { "ts": bson::Timestamp::from(o.ts), "t": o.term }).unwrap();
        let raw: Vec<u8> = optimes.iter().flat_map(entry).collect();
        let facts = inspect_payload(&raw).unwrap();
        let frame = compress(&raw).unwrap();
        let payload = self.ledger.put_payload(job, tail.at.chain, Hash32::of(&raw), &frame, &facts).await.unwrap();
        let request = AppendRequest {
            seq: tail.at.seq + 1,
            prev: tail.hash,
            first: facts.first,
            last: facts.last,
            payload,
            summary,
        };
        self.ledger.append_slice(job, tail.at.chain, &request).await.unwrap()
    }

    /// A snapshot at `optime`, from which slice `seq` of `chain` goes on.
    pub(crate) async fn snapshot(&self, job: &BackupJobId, optime: OpTime, chain: i64, seq: i64) -> Root {
        let request = WriterRequest { job: job.to_string(), job_epoch: 0, parent: None, key: None };
        let mut writer = self.blockstore.register(request).await.unwrap();
        writer.add_file("WiredTiger", 0o600, format!("files at {optime}").into_bytes()).await.unwrap();
        let meta = SnapshotMeta {
            group: self.group.id.clone(),
            rs: "rs0".into(),
            optime,
            resume: EntryPosition { chain, seq },
            feed_from: optime,
            server_version: "6.0.5".into(),
            fcv: "6.0".into(),
            storage: StorageOptions::default(),
            taken_at: bson::DateTime::now(),
            label: None,
        };
        let commit = CommitRequest {
            meta: meta.encode().unwrap(),
            resume: Floor { chain, seq },
            purpose: Purpose::Snapshot,
            label: None,
            pins: Vec::new(),
        };
        writer.commit(commit).await.unwrap()
    }
}

/// A person's browser: a cookie, and what browsers say of where a request comes from.
pub(crate) struct Browser {
    http: reqwest::Client,
    url: String,
    pub(crate) cookie: Option<String>,
}

impl Browser {
    /// The same browser with the cookie that an answer set.
    pub(crate) fn with_cookie_of(self, answer: &Response) -> Self {
        let cookie = answer.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
        Self { cookie: Some(cookie), ..self }
    }

    pub(crate) async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Response {
        self.call_with(method, path, body, &[("sec-fetch-site", "same-origin")]).await
    }

    /// With these headers instead.
    pub(crate) async fn call_with(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        headers: &[(&str, &str)],
    ) -> Response {
        let mut request = self.http.request(method, format!("{}/api/v1{path}", self.url));
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", cookie);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        request.send().await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        ok(self.call(Method::GET, path, None).await).await
    }
}

pub(crate) fn source(rs: &str) -> SourceInfo {
    let host = "a:27017".to_owned();
    SourceInfo {
        rs: rs.into(),
        members: vec![SourceMember { host, state: "PRIMARY".into(), hidden: false, delay_seconds: 0 }],
        version: "6.0.5".into(),
        fcv: "6.0".into(),
        directory_per_db: false,
        directory_for_indexes: false,
        storage_bytes: 100 << 20,
        data_bytes: 300 << 20,
    }
}

pub(crate) fn op(t: u32, i: u32) -> OpTime {
    OpTime { ts: Ts { t, i }, term: 1 }
}

pub(crate) async fn ok(response: Response) -> Value {
    let status = response.status();
    let text = response.text().await.unwrap();
    assert!(status.is_success(), "{status}: {text}");
    if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() }
}

/// The answer's problem, which must have this status and code.
pub(crate) async fn refused(response: Response, status: StatusCode, code: &str) -> String {
    let got = response.status();
    let headers: BTreeMap<String, String> = response
        .headers()
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap_or_default().to_owned()))
        .collect();
    let text = response.text().await.unwrap();
    assert_eq!(got, status, "{text}");
    assert_eq!(headers["content-type"], "application/problem+json");
    let problem: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(problem["code"], code, "{text}");
    assert_eq!(problem["status"], status.as_u16());
    assert_eq!(problem["requestId"], headers["x-request-id"]);
    problem["detail"].as_str().unwrap().to_owned()
}
