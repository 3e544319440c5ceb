//! A real single-member replica set for the tests of one binary, and folders of files to snapshot.
#![allow(clippy::unwrap_used, reason = "tests")]
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, LazyLock, Mutex, Weak};
use std::time::Duration;

use blockstore_engine::{
    BlockId, Blockstore, CollectError, CollectOptions, CollectReport, CommitRequest, EngineOptions, Floor, LeafWalk, Progress, Purpose,
    Root, RootId, SnapshotWriter, WriterRequest,
};
use holdfast_mongod::{Mongod, MongodOptions, free_port, start_embedded};
use mongodb::{Client, Database};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

pub const BLOCK: usize = 64 << 10;

static BINARY: LazyLock<PathBuf> = LazyLock::new(|| {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/mongod");
    let output = Command::new(script).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "scripts/mongod failed");
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
});
static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());
static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A replica set of one member, with a runtime of its own so that it outlives the test that started it.
pub struct Server {
    runtime: Option<Runtime>,
    mongod: Option<Mongod>,
    uri: String,
    _dir: TempDir,
}

impl Server {
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// With `--setParameter`s.
    pub fn start_with(params: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let mut options = MongodOptions::plain(&*BINARY, dir.path().join("db"), free_port().unwrap());
        options.repl_set = Some("rs".into());
        options.oplog_size_mb = Some(990);
        options.params.extend(params.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let mongod = runtime.block_on(start_embedded(options)).unwrap();
        let uri = mongod.set_uri().unwrap();
        Self { runtime: Some(runtime), mongod: Some(mongod), uri, _dir: dir }
    }

    pub fn uri(&self) -> &str {
        &self.uri
    }

    fn shared() -> Arc<Self> {
        let mut slot = SHARED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        slot.upgrade().unwrap_or_else(|| {
            let server = Arc::new(Self::start());
            *slot = Arc::downgrade(&server);
            server
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let (runtime, mongod) = (self.runtime.take().unwrap(), self.mongod.take().unwrap());
        // The last test may drop it inside its own runtime.
        let ended = std::thread::spawn(move || {
            runtime.block_on(mongod.kill());
            drop(mongod);
            drop(runtime);
        });
        let _ = ended.join();
    }
}

/// A store in a database of its own, and a folder.
pub struct Bed {
    pub store: Blockstore,
    pub db: Database,
    pub dir: TempDir,
    pub server: Arc<Server>,
}

pub async fn bed() -> Bed {
    bed_with(EngineOptions::default()).await
}

pub async fn bed_with(options: EngineOptions) -> Bed {
    let server = tokio::task::spawn_blocking(Server::shared).await.unwrap();
    bed_on(server, options).await
}

pub async fn bed_on(server: Arc<Server>, options: EngineOptions) -> Bed {
    let client = Client::with_uri_str(&server.uri).await.unwrap();
    let db = client.database(&format!("store{}", NUMBER.fetch_add(1, Relaxed)));
    let store = Blockstore::open(db.clone(), options).await.unwrap();
    Bed { store, db, dir: tempfile::tempdir().unwrap(), server }
}

impl Bed {
    pub fn source(&self) -> PathBuf {
        let source = self.dir.path().join("source");
        fs::create_dir_all(&source).unwrap();
        source
    }

    pub fn put(&self, path: &str, bytes: &[u8]) {
        let path = self.source().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    pub async fn writer(&self, parent: Option<&Root>) -> SnapshotWriter {
        self.store.register(request("job", parent.map(|root| root.id))).await.unwrap()
    }

    pub async fn snapshot(&self, parent: Option<&Root>) -> Root {
        let mut writer = self.writer(parent).await;
        writer.write_dir(&self.source(), &|_| true, quiet()).await.unwrap();
        writer.commit(commit()).await.unwrap()
    }

    /// Restores into a fresh folder and returns what is there.
    pub async fn restored(&self, root: &Root) -> BTreeMap<String, (u32, Vec<u8>)> {
        let target = tempfile::tempdir().unwrap();
        let dir = target.path().join("out");
        self.store.reader(root.clone()).materialise(&dir, quiet(), CancellationToken::new()).await.unwrap();
        tree(&dir)
    }

    pub async fn count(&self, collection: &str) -> u64 {
        self.db.collection::<mongodb::bson::Document>(collection).count_documents(mongodb::bson::doc! {}).await.unwrap()
    }
}

/// Options under which tests need not wait.
pub fn eager() -> CollectOptions {
    CollectOptions {
        grace: Duration::ZERO,
        expire_after: Duration::from_secs(20),
        take_over_after: Duration::from_secs(6),
        give_way: 0,
        ..CollectOptions::default()
    }
}

impl Bed {
    pub async fn try_collect(&self, options: &CollectOptions) -> Result<CollectReport, CollectError> {
        self.store.collect(options, Arc::new(|_| {}), CancellationToken::new()).await
    }

    pub async fn collect(&self) -> CollectReport {
        self.try_collect(&eager()).await.unwrap()
    }

    /// With nobody registered: every snapshot is whole, a run leaves exactly what they reach, and counts it right.
    pub async fn check_all(&self) {
        for root in self.store.all_roots().await.unwrap() {
            let report = self.store.reader(root.clone()).verify(quiet()).await.unwrap();
            assert!(report.is_good(), "snapshot {}: {report:?}", root.id);
        }
        let report = self.collect().await;
        assert_eq!(report.payloads_missing, 0);
        let account = report.account.unwrap();
        let stats = self.store.stats().await.unwrap();
        assert_eq!(account.live.blocks, stats.blocks, "garbage is left");
        assert_eq!(account.live.stored_bytes, stats.stored_bytes);
        assert_eq!(self.count("payloads").await, stats.blocks, "payloads without blocks are left");
        for root in self.store.all_roots().await.unwrap() {
            assert!(self.store.reader(root).verify(quiet()).await.unwrap().is_good());
        }
    }
}

pub fn request(job: &str, parent: Option<RootId>) -> WriterRequest {
    WriterRequest { job: job.into(), job_epoch: 1, parent, key: None }
}

pub fn commit() -> CommitRequest {
    CommitRequest {
        meta: b"meta".to_vec(),
        resume: Floor { chain: 1, seq: 10 },
        purpose: Purpose::Snapshot,
        label: None,
        pins: vec![],
    }
}

pub fn quiet() -> Arc<dyn Fn(Progress) + Send + Sync> {
    Arc::new(|_| {})
}

/// All files below a folder with mode and content.
pub fn tree(dir: &Path) -> BTreeMap<String, (u32, Vec<u8>)> {
    let mut files = BTreeMap::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                let mode = entry.metadata().unwrap().permissions().mode() & 0o7777;
                let path = entry.path().strip_prefix(dir).unwrap().to_str().unwrap().to_owned();
                files.insert(path, (mode, fs::read(entry.path()).unwrap()));
            }
        }
    }
    files
}

/// Numbers that a seed decides.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// Bytes that compress to about half.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(len + 16);
        while out.len() < len {
            let word = self.next().to_le_bytes();
            out.extend_from_slice(&word);
            out.extend_from_slice(&[word[0]; 8]);
        }
        out.truncate(len);
        out
    }
}

/// The blocks of one file of a snapshot, in order, without holes.
pub async fn leaves(bed: &Bed, root: &Root, file: &str) -> Vec<BlockId> {
    let reader = bed.store.reader(root.clone());
    let entry = reader.file(file).await.unwrap();
    let mut walk = LeafWalk::new(&entry, 0..entry.size);
    let mut ids = Vec::new();
    while let Some(leaf) = walk.next(&reader).await.unwrap() {
        ids.extend(leaf.id);
    }
    ids
}
