//! What the daemon's tests share: a source, an appliance's databases, a small agent that fills the ledger, daemons in this process.

#![allow(clippy::unwrap_used, reason = "tests")]
#![allow(dead_code, unreachable_pub, reason = "shared by several tests")]

pub mod agent;

use std::{collections::BTreeMap, path::Path, time::Duration};

use bson::doc;
use holdfast_daemon::Daemon;
use holdfast_domain::{BackupJobId, BackupState, RestoreJobId, RestoreState, RestoreTarget, Ts};
use holdfast_ledger::Ledger;
use holdfast_metadb::{
    BackupJob, DaemonSettings, DataSettings, DatabaseSettings, Discovery, MetaDb, NewRestoreJob, RestoreJob, Settings,
};
use holdfast_tests::{ReplicaSet, ReplicaSetOptions, compare, mongod_binary};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// How long anything may take.
pub const PATIENCE: Duration = Duration::from_secs(600);

/// A source, the appliance's databases, a backup job.
pub struct World {
    pub source: ReplicaSet,
    pub appliance: ReplicaSet,
    pub metadb: MetaDb,
    pub ledger: Ledger,
    pub store: holdfast_blockstore::ApplianceStore,
    pub job: BackupJobId,
    pub dir: TempDir,
}

/// A daemon in this process.
pub struct Running {
    pub daemon: Daemon,
    pub token: CancellationToken,
}

impl Running {
    pub async fn stop(self) {
        self.token.cancel();
        self.daemon.ended().await;
    }
}

pub fn logs() {
    let filter = std::env::var("RUST_LOG").unwrap_or_else(|_| "warn,holdfast_daemon=info".into());
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
    holdfast_service::install_crypto_provider();
}

impl World {
    pub async fn new(options: ReplicaSetOptions) -> Self {
        Self::of(options, false).await
    }

    /// With a group that encrypts.
    pub async fn encrypted(options: ReplicaSetOptions) -> Self {
        Self::of(options, true).await
    }

    async fn of(options: ReplicaSetOptions, encrypted: bool) -> Self {
        logs();
        let (source, appliance) =
            tokio::join!(ReplicaSet::start(1, options), ReplicaSet::start(1, ReplicaSetOptions::default()));
        let (source, appliance) = (source.unwrap(), appliance.unwrap());
        let client = appliance.client();
        let metadb = MetaDb::open(client.database("holdfast")).await.unwrap();
        let blocks = client.database("holdfast_blockstore");
        let dir = tempfile::tempdir().unwrap();
        let master_key = holdfast_service::MasterKey::load_or_create(&dir.path().join("master.key")).unwrap();
        let request = holdfast_blockstore::OpenRequest {
            metadb: metadb.clone(),
            database: blocks,
            master_key: master_key.into(),
            options: blockstore_engine::EngineOptions::default(),
        };
        let store = holdfast_blockstore::ApplianceStore::open(request).await.unwrap();
        let ledger = Ledger::open(client.database("holdfast_blockstore"), store.keyring()).await.unwrap();
        let id = holdfast_domain::GroupId::random();
        let key = if encrypted { Some(store.create_key(&id).await.unwrap()) } else { None };
        let group = metadb.create_group_as(id, "tests", key).await.unwrap();
        let deployment = metadb.create_deployment(&group.id, None, Vec::new(), None).await.unwrap();
        let (_, secret) = metadb.create_enroll_token(&group.id).await.unwrap();
        let enrolled = metadb.enroll(&secret, "host", "0", "instance").await.unwrap();
        let discovery = Discovery {
            agent: enrolled.agent.id.clone(),
            refusal: None,
            source: Some(agent::source_info(&source).await),
            privileges: Vec::new(),
        };
        metadb.record_discovery(&deployment.id, &discovery).await.unwrap();
        let deployment = metadb.deployment(&deployment.id).await.unwrap().unwrap();
        let job = metadb.create_backup_job(&deployment, Vec::new()).await.unwrap();
        if let Some(key) = store.key_of(&group.id).await.unwrap() {
            agent::encrypt(&job.id, key);
        }
        Self { source, appliance, metadb, ledger, store, job: job.id, dir }
    }

    pub fn settings(&self, name: &str) -> Settings {
        let uri = self.appliance.uri();
        let port = || holdfast_mongod::free_port().unwrap();
        let first = port();
        Settings {
            app_database: DatabaseSettings { uri: uri.clone(), name: "holdfast".into() },
            blockstore: DatabaseSettings { uri, name: "holdfast_blockstore".into() },
            data: DataSettings { dir: self.dir.path().to_owned() },
            web: Default::default(),
            ingest: Default::default(),
            app: Default::default(),
            daemon: DaemonSettings {
                name: name.into(),
                head_dir: Some(self.dir.path().join(name)),
                head_ports: (0..2).map(|_| port()).collect(),
                restore_ports: [first, first + 20],
                mongod_binaries: vec![mongod_binary()],
                lease_seconds: 3,
                block_cache_bytes: 64 << 20,
                ..Default::default()
            },
        }
    }

    pub async fn daemon(&self, settings: &Settings) -> Running {
        let token = CancellationToken::new();
        let daemon = Daemon::start(settings, token.clone()).await.unwrap();
        Running { daemon, token }
    }

    pub async fn job(&self) -> BackupJob {
        self.metadb.backup_job(&self.job).await.unwrap().unwrap()
    }

    /// Waits until the job is as wanted.
    pub async fn wait(&self, what: &str, good: impl Fn(&BackupJob) -> bool) -> BackupJob {
        let waited = tokio::time::timeout(PATIENCE, async {
            loop {
                let job = self.job().await;
                if good(&job) {
                    return job;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        match waited.await {
            Ok(job) => job,
            Err(_) => panic!("waited in vain for {what}: {:#?}", self.job().await),
        }
    }

    /// Waits until the head has passed `at`.
    pub async fn wait_head(&self, at: Ts) -> BackupJob {
        self.wait(&format!("a head at {at}"), |job| {
            job.state == BackupState::Active && job.head_optime.is_some_and(|o| o.ts >= at)
        })
        .await
    }

    /// Good snapshots, oldest first.
    pub async fn snapshots(&self) -> Vec<holdfast_daemon::snapshotter::Snapshot> {
        holdfast_daemon::snapshotter::good_snapshots(&self.store, &self.job).await.unwrap()
    }

    pub async fn wait_snapshots(&self, count: usize) {
        let waited = tokio::time::timeout(PATIENCE, async {
            while self.snapshots().await.len() < count {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        });
        assert!(waited.await.is_ok(), "waited in vain for {count} snapshots: {:#?}", self.job().await);
    }

    /// Asks for a snapshot and waits for it.
    pub async fn snapshot(&self) -> String {
        let request = self.metadb.request_snapshot(&self.job, Some("asked"), false).await.unwrap();
        let job = self
            .wait("a snapshot that was asked for", |job| {
                job.snapshot_requests.iter().any(|r| r.id == request.id && r.snapshot.is_some())
            })
            .await;
        job.snapshot_requests.iter().find(|r| r.id == request.id).unwrap().snapshot.clone().unwrap().to_string()
    }

    /// Asks for a restore, as the web server does, and waits for its end.
    pub async fn restore(&self, at: Ts) -> RestoreJob {
        use holdfast_domain::{SnapshotPoint, chain_for};
        let snapshots = self.snapshots().await;
        let points: Vec<_> = snapshots
            .iter()
            .map(|s| SnapshotPoint { id: s.id(), optime: s.meta.optime, resume: s.meta.resume })
            .collect();
        let chains = self.ledger.chains(&self.job).await.unwrap();
        let base = chain_for(at, None, &points, &chains).unwrap_or_else(|| panic!("{at} in {points:?} {chains:?}"));
        let id = RestoreJobId::random();
        let until = bson::DateTime::from_millis(bson::DateTime::now().timestamp_millis() + 3_600_000);
        let pin = blockstore_engine::Pin { by: format!("restore:{id}"), until: Some(until) };
        self.store.pin(&base.id.as_str().parse().unwrap(), pin).await.unwrap();
        let job = self.job().await;
        let new = NewRestoreJob {
            id: id.clone(),
            group: job.group,
            job: job.id,
            target: RestoreTarget::Instant(at),
            chain: None,
            format: holdfast_domain::ArchiveFormat::Tar,
            state: RestoreState::Queued,
            root: None,
            base_root: base.id.to_string(),
            optime: None,
            bytes: None,
            etag: None,
            link_hash: id.to_string(),
            name: "x".into(),
            expires: until,
            uses: 1,
            created_by: "test".into(),
            reason: String::new(),
            planned_bytes: None,
            daemon: None,
        };
        self.metadb.create_restore_job(new).await.unwrap();
        let waited = tokio::time::timeout(PATIENCE, async {
            loop {
                let job = self.metadb.restore_job(&id).await.unwrap().unwrap();
                if job.state.ended() {
                    return job;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        waited.await.expect("a restore ends")
    }

    /// Restores `at` and compares what its files hold with `expected`.
    pub async fn assert_restores(&self, at: Ts, expected: &compare::ServerState, directory_per_db: bool) {
        let job = self.restore(at).await;
        assert_eq!(job.state, RestoreState::Ready, "{at}: {:?}", job.error);
        let root = self.store.root(&job.root.unwrap().parse().unwrap()).await.unwrap().unwrap();
        assert_eq!(root.purpose, blockstore_engine::Purpose::Restore);
        let found = self.open_root(root, directory_per_db).await;
        let differences = compare::diff(expected, &found);
        assert!(differences.is_empty(), "{at}: {differences:#?}");
    }

    /// What the files of a root hold, opened by a plain mongod.
    pub async fn open_root(&self, root: blockstore_engine::Root, directory_per_db: bool) -> compare::ServerState {
        let dir = tempfile::tempdir().unwrap();
        let db = dir.path().join("db");
        let files = self.store.reader(root);
        files.materialise(&db, holdfast_daemon::snapshotter::unseen(), CancellationToken::new()).await.unwrap();
        let info: BTreeMap<String, serde_json::Value> =
            serde_json::from_slice(&std::fs::read(db.join("restoreInfo.json")).unwrap()).unwrap();
        assert_eq!(info["replicaSet"], self.source.name());
        open_files(&db, directory_per_db).await
    }

    /// Notes something in the source's oplog and gives the time.
    pub async fn mark(&self) -> Ts {
        let note = doc! { "appendOplogNote": 1, "data": { "why": "mark" }, "writeConcern": { "w": "majority" } };
        let answer = self.source.client().database("admin").run_command(note).await.unwrap();
        answer.get_timestamp("operationTime").unwrap().into()
    }
}

/// What a dbpath holds, opened by a plain mongod.
pub async fn open_files(db: &Path, directory_per_db: bool) -> compare::ServerState {
    let mut options = holdfast_mongod::MongodOptions::plain(mongod_binary(), db, holdfast_mongod::free_port().unwrap());
    options.directory_per_db = directory_per_db;
    let options = options.param("ttlMonitorEnabled", "false");
    let mongod = holdfast_mongod::Mongod::start(options).await.unwrap();
    let state = compare::state(&mongod.client()).await.unwrap();
    mongod.stop().await.unwrap();
    state
}

impl World {
    /// Asks for an instant after the ledger's end and gives the error.
    pub async fn restore_beyond(&self, end: Ts) -> String {
        let snapshots = self.snapshots().await;
        let id = RestoreJobId::random();
        let until = bson::DateTime::from_millis(bson::DateTime::now().timestamp_millis() + 3_600_000);
        let job = self.job().await;
        let new = NewRestoreJob {
            id: id.clone(),
            group: job.group,
            job: job.id,
            target: RestoreTarget::Instant(Ts { t: end.t + 86_400, i: 1 }),
            chain: None,
            format: holdfast_domain::ArchiveFormat::Tar,
            state: RestoreState::Queued,
            root: None,
            base_root: snapshots.last().unwrap().id().to_string(),
            optime: None,
            bytes: None,
            etag: None,
            link_hash: id.to_string(),
            name: "x".into(),
            expires: until,
            uses: 1,
            created_by: "test".into(),
            reason: String::new(),
            planned_bytes: None,
            daemon: None,
        };
        self.metadb.create_restore_job(new).await.unwrap();
        for _ in 0..600 {
            let job = self.metadb.restore_job(&id).await.unwrap().unwrap();
            if job.state.ended() {
                assert_eq!(job.state, RestoreState::Failed);
                return job.error.unwrap();
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the restore did not end");
    }

    /// Waits until a snapshot does not count as good any more.
    pub async fn wait_gone(&self, id: &str) {
        for _ in 0..600 {
            if !self.snapshots().await.iter().any(|s| s.id().as_str() == id) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("snapshot {id} still counts as good");
    }
}

/// Opens the stopped head of a job and changes it.
async fn change_head(
    settings: &Settings,
    job: &BackupJobId,
    change: impl AsyncFnOnce(mongodb::Collection<bson::Document>),
) {
    let dir = settings.head_dir().join("jobs").join(job.as_str());
    let heads = holdfast_daemon::job::HeadFiles::open(&dir).unwrap();
    let file = heads.current.clone().unwrap();
    let options = holdfast_daemon::head::HeadOptions {
        binary: mongod_binary(),
        port: holdfast_mongod::free_port().unwrap(),
        cache_gb: 0.25,
        directory_per_db: file.storage.directory_per_db,
        directory_for_indexes: file.storage.directory_for_indexes,
        keyfile: settings.head_dir().join("heads.key"),
    };
    let head = holdfast_daemon::head::Head::open(&heads.folder().unwrap(), &options).await.unwrap();
    change(head.client().database("shop").collection("c")).await;
    head.stop().await.unwrap();
}

/// Changes a document in the head.
pub async fn flip(settings: &Settings, job: &BackupJobId, filter: bson::Document, update: bson::Document) {
    change_head(settings, job, async |c| assert_eq!(c.update_one(filter, update).await.unwrap().modified_count, 1))
        .await;
}

/// Removes a document from the head.
pub async fn remove(settings: &Settings, job: &BackupJobId, filter: bson::Document) {
    change_head(settings, job, async |c| assert_eq!(c.delete_one(filter).await.unwrap().deleted_count, 1)).await;
}

/// Leaves the head as a kill while its version collection is renewed leaves it: the collection is new, its document is not there.
pub async fn lose_version(settings: &Settings, job: &BackupJobId) {
    change_head(settings, job, async |c| {
        let index = doc! { "v": 2, "key": { "_id": 1 }, "name": "_id_" };
        let create = doc! { "create": "system.version", "idIndex": index };
        let operation = doc! { "op": "c", "ns": "admin.$cmd", "ui": bson::Uuid::new(), "o": create };
        c.client().database("admin").run_command(doc! { "applyOps": [operation] }).await.unwrap();
    })
    .await;
}

/// Removes the head's files but for what says that it was there.
pub fn destroy_head(settings: &Settings, job: &BackupJobId) {
    let dir = settings.head_dir().join("jobs").join(job.as_str());
    let heads = holdfast_daemon::job::HeadFiles::open(&dir).unwrap();
    std::fs::remove_dir_all(heads.db().unwrap()).unwrap();
}
