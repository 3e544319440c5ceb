//! Stores and keys come, go and change while processes have the blockstore open.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use blockstore_engine::{CommitRequest, EngineOptions, Floor, PayloadStore, Purpose, Root, StoreNumber, WriterRequest};
use holdfast_blockstore::{ApplianceStore, OpenRequest, S3Credentials};
use holdfast_domain::{Classify as _, ErrorClass, GroupId};
use holdfast_metadb::{DATABASE_STORE, MetaDb, PayloadStoreLocation};
use holdfast_mongod::{Mongod, MongodOptions, create_keyfile, free_port, start_embedded};
use holdfast_service::MasterKey;
use mongodb::Client;

struct World {
    client: Client,
    metadb: MetaDb,
    dir: tempfile::TempDir,
    _mongod: Mongod,
}

impl World {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let binary = PathBuf::from(std::env::var_os("MONGOD").unwrap());
        let keyfile = dir.path().join("mongod.key");
        create_keyfile(&keyfile).unwrap();
        let path = dir.path().join("db");
        let options = MongodOptions::embedded(&binary, path, free_port().unwrap(), &keyfile, "rs");
        let mongod = start_embedded(options).await.unwrap();
        let client = Client::with_uri_str(mongod.set_uri().unwrap()).await.unwrap();
        let metadb = MetaDb::open(client.database("app")).await.unwrap();
        Self { client, metadb, dir, _mongod: mongod }
    }

    fn key(&self, name: &str) -> Arc<MasterKey> {
        Arc::new(MasterKey::load_or_create(&self.dir.path().join(name)).unwrap())
    }

    async fn open(&self, key: &str) -> ApplianceStore {
        let request = OpenRequest {
            metadb: self.metadb.clone(),
            database: self.client.database("blocks"),
            master_key: self.key(key),
            options: EngineOptions { workers: 1, ..EngineOptions::default() },
        };
        ApplianceStore::open(request).await.unwrap()
    }

    fn directory(&self, name: &str) -> PayloadStoreLocation {
        PayloadStoreLocation::Directory { path: self.dir.path().join(name).to_str().unwrap().into() }
    }
}

/// A real S3 server, ended with the test.
struct Bucket {
    server: std::process::Child,
    port: u16,
}

impl Drop for Bucket {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

impl Bucket {
    async fn start() -> Self {
        let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/s3-server");
        let output = std::process::Command::new(script).output().unwrap();
        assert!(output.status.success(), "scripts/s3-server failed");
        let port = free_port().unwrap();
        let server = std::process::Command::new(String::from_utf8(output.stdout).unwrap().trim())
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let bucket = Self { server, port };
        for _ in 0..1200 {
            if let Ok(mut stream) = tokio::net::TcpStream::connect(("127.0.0.1", port)).await {
                let request =
                    "PUT /packs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
                tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes()).await.unwrap();
                let mut answer = String::new();
                tokio::io::AsyncReadExt::read_to_string(&mut stream, &mut answer).await.unwrap();
                assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
                return bucket;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the S3 server does not start");
    }

    fn location(&self, key: &MasterKey) -> PayloadStoreLocation {
        let credentials = S3Credentials { access_key_id: "test".into(), secret_access_key: "test".into() };
        PayloadStoreLocation::S3 {
            endpoint: Some(format!("http://127.0.0.1:{}", self.port)),
            region: "us-east-1".into(),
            bucket: "packs".into(),
            prefix: "holdfast".into(),
            virtual_hosted: false,
            ca_pem: None,
            credentials: credentials.seal(key).unwrap(),
        }
    }
}

/// Bytes per second that the limited bucket may take.
const LIMIT: u64 = 1 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_is_written_within_its_limit_and_takes_what_lay_in_the_database() {
    let world = World::new().await;
    let bucket = Bucket::start().await;
    let store = world.open("master.key").await;
    let before = write(&store, None, 1).await;
    let location = bucket.location(&world.key("master.key"));
    let add = |stores: &mut holdfast_metadb::PayloadStores| {
        let number = stores.add(location.clone(), 1 << 20, Some(LIMIT))?;
        stores.set_default(number).map(|()| number)
    };
    let number = world.metadb.change_payload_stores(add).await.unwrap();
    store.reload().await.unwrap();
    assert_eq!(store.faults(), []);

    // Noise, so that as much is sent as is written.
    let noise: Vec<u8> = (0..(4u64 << 20) / 32).flat_map(|_| rand::random::<[u8; 32]>()).collect();
    let request = WriterRequest { job: "noise".into(), job_epoch: 0, parent: None, key: None };
    let mut writer = store.register(request).await.unwrap();
    let started = std::time::Instant::now();
    writer.add_file("noise", 0o644, noise.clone()).await.unwrap();
    let commit = CommitRequest {
        meta: Vec::new(),
        resume: Floor { chain: 0, seq: 0 },
        purpose: Purpose::Snapshot,
        label: None,
        pins: Vec::new(),
    };
    let root = writer.commit(commit).await.unwrap();
    // 4 MiB, of which the first request of at most 1 MiB passes at once.
    assert!(started.elapsed() >= Duration::from_secs(2), "{:?}: sent faster than the limit", started.elapsed());
    // Without a limit from now on, in the running process.
    world.metadb.change_payload_stores(|stores| stores.set_bandwidth(number, None)).await.unwrap();
    store.reload().await.unwrap();
    assert!(store.reader(root).read("noise", 0, noise.len() as u64).await.unwrap() == noise);

    // What lay in the database moves into the bucket.
    let packs = PayloadStore::Packs(StoreNumber::new(number).unwrap());
    let request = blockstore_engine::MoveRequest { from: PayloadStore::Mongo, to: packs };
    let moved = store.move_payloads(request, Arc::new(|_| {}), Default::default()).await.unwrap();
    assert!(moved.blocks > 0 && moved.is_complete(), "{moved:?}");
    assert_eq!(store.reader(before).read("file", 0, 2).await.unwrap(), [1; 2][..]);
    let left = world.client.database("blocks").collection::<bson::Document>("payloads");
    assert_eq!(left.count_documents(bson::doc! {}).await.unwrap(), 0);
    assert!(store.pack_usage(StoreNumber::new(number).unwrap()).await.unwrap().packs >= 4);
}

async fn write(store: &ApplianceStore, group: Option<&GroupId>, byte: u8) -> Root {
    let key = match group {
        Some(group) => store.key_of(group).await.unwrap(),
        None => None,
    };
    let request = WriterRequest { job: "job".into(), job_epoch: 0, parent: None, key };
    let mut writer = store.register(request).await.unwrap();
    writer.add_file("file", 0o644, vec![byte; 300_000]).await.unwrap();
    let commit = CommitRequest {
        meta: Vec::new(),
        resume: Floor { chain: 0, seq: 0 },
        label: None,
        purpose: Purpose::Snapshot,
        pins: Vec::new(),
    };
    writer.commit(commit).await.unwrap()
}

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..600 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{what}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn running_processes_learn_of_stores_and_keys() {
    let world = World::new().await;
    let (app, daemon) = tokio::join!(world.open("master.key"), world.open("master.key"));
    assert_eq!((daemon.writes_to(), daemon.faults().len()), (PayloadStore::Mongo, 0));
    let in_database = write(&daemon, None, 1).await;

    // A directory, made the default by one process; a bucket that nobody answers for.
    let credentials = S3Credentials { access_key_id: "a".into(), secret_access_key: "s".into() };
    let nobody = PayloadStoreLocation::S3 {
        endpoint: Some("http://127.0.0.1:9".into()),
        region: "r".into(),
        bucket: "b".into(),
        prefix: String::new(),
        virtual_hosted: false,
        ca_pem: None,
        credentials: credentials.seal(&world.key("master.key")).unwrap(),
    };
    let add = |location: PayloadStoreLocation| {
        let metadb = world.metadb.clone();
        async move { metadb.change_payload_stores(|all| all.add(location.clone(), 1 << 20, None)).await.unwrap() }
    };
    assert_eq!(add(world.directory("one")).await, 1);
    world.metadb.change_payload_stores(|all| all.set_default(1)).await.unwrap();
    let one = PayloadStore::Packs(StoreNumber::new(1).unwrap());
    until("the default is known", || daemon.writes_to() == one && app.writes_to() == one).await;
    let in_packs = write(&daemon, None, 2).await;
    assert!(std::fs::read_dir(world.dir.path().join("one/packs")).unwrap().count() > 0);
    assert_eq!(add(nobody).await, 2);
    until("the bucket is told to be away", || app.faults().iter().any(|fault| fault.number.get() == 2)).await;
    assert_eq!(app.reader(in_packs.clone()).read("file", 0, 2).await.unwrap(), [2; 2][..]);
    assert_eq!(app.reader(in_database).read("file", 0, 2).await.unwrap(), [1; 2][..]);
    assert_eq!(app.usable_packs(), [StoreNumber::new(1).unwrap()]);

    // A key made by one process is used by another, at once.
    let group = GroupId::random();
    let key = app.create_key(&group).await.unwrap();
    world.metadb.create_group_as(group.clone(), "secret", Some(key.clone())).await.unwrap();
    let secret = write(&daemon, Some(&group), 3).await;
    assert_eq!(secret.key.unwrap().to_string(), key);
    assert_eq!(app.reader(secret.clone()).read("file", 0, 2).await.unwrap(), [3; 2][..]);
    assert_eq!(daemon.key_of(&GroupId::random()).await.unwrap(), None);
    assert_eq!(app.export_key(&key).await.unwrap().id(), secret.key.unwrap());
    let stored = world.metadb.group_key(&key).await.unwrap().unwrap();
    assert_eq!(stored.wrapped.len(), blockstore_engine::keys::WRAPPED_BYTES);

    // Another master key: opens, reads what is plain, says what it cannot.
    let stranger = world.open("other.key").await;
    assert_eq!(stranger.reader(in_packs).read("file", 0, 2).await.unwrap(), [2; 2][..]);
    assert!(stranger.reader(secret).read("file", 0, 2).await.is_err());
    let error = stranger.key_of(&group).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Operator, "{error}");
    assert!(stranger.faults().iter().any(|fault| fault.reason.contains("master key")), "{:?}", stranger.faults());

    // Back to the database; a retired store is not opened any more.
    world.metadb.change_payload_stores(|all| all.set_default(DATABASE_STORE)).await.unwrap();
    world.metadb.change_payload_stores(|all| all.drain(2).and_then(|()| all.retire(2))).await.unwrap();
    until("the change is known", || daemon.writes_to() == PayloadStore::Mongo && daemon.faults().is_empty()).await;
}
