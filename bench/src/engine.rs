//! One operation of our engine in a process of its own, so that what it takes can be measured: `holdfast-bench op ...`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use blockstore_engine::archive::{Archive, ArchiveFormat};
use blockstore_engine::ranges::{BoundClone, Since, clone_tree};
use blockstore_engine::{
    Blockstore, CacheOptions, CommitRequest, EngineOptions, Floor, OnProgress, PackLocation, PackStoreOptions,
    PayloadStore, Purpose, Root, StoreNumber, WriterRequest,
};
use bson::{RawDocumentBuf, doc};
use futures::{StreamExt as _, TryStreamExt as _};
use mongodb::options::{Acknowledgment, WriteConcern};
use mongodb::{Client, Database};
use tokio_util::sync::CancellationToken;

/// The job whose snapshots these are.
pub const JOB: &str = "bench";
/// Documents in one insert when payloads are inserted alone: as many as the engine's own batches have.
const ALONE_BATCH: usize = 128;
/// The writer's cache (nodes of trees, known ids).
const CACHE_BYTES: u64 = 256 << 20;

/// What every operation is told.
#[derive(Debug, Clone)]
pub struct Place {
    /// Address of the index's server.
    pub uri: String,
    /// Database.
    pub db: String,
    /// A folder for packs; `None`: payloads go to the database.
    pub packs: Option<PathBuf>,
    /// A folder for the cache, if there is to be one.
    pub cache: Option<PathBuf>,
}

impl Place {
    /// As arguments of a process.
    #[must_use]
    pub fn arguments(&self) -> Vec<String> {
        let path = |path: &Option<PathBuf>| path.as_ref().map_or("-".into(), |path| path.display().to_string());
        vec![self.uri.clone(), self.db.clone(), path(&self.packs), path(&self.cache)]
    }

    /// From arguments of a process, and what follows them.
    ///
    /// # Errors
    /// When there are too few.
    pub fn parse(arguments: &[String]) -> Result<(Self, &[String])> {
        let [uri, db, packs, cache, rest @ ..] = arguments else { bail!("uri, database, packs, cache are needed") };
        let path = |text: &str| (text != "-").then(|| PathBuf::from(text));
        Ok((Self { uri: uri.clone(), db: db.clone(), packs: path(packs), cache: path(cache) }, rest))
    }

    /// The database.
    ///
    /// # Errors
    /// When the address is none.
    pub async fn database(&self) -> Result<Database> {
        Ok(Client::with_uri_str(&self.uri).await?.database(&self.db))
    }

    /// The store.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub async fn open(&self) -> Result<Blockstore> {
        let mut options = EngineOptions::default();
        if let Some(packs) = &self.packs {
            let number = StoreNumber::new(1).context("1 is a number of a store")?;
            options.packs = vec![PackStoreOptions::new(number, PackLocation::Directory(packs.clone()))];
            options.write_to = PayloadStore::Packs(number);
        }
        options.cache = self.cache.clone().map(|path| CacheOptions { path, bytes: CACHE_BYTES });
        Ok(Blockstore::open(self.database().await?, options).await?)
    }
}

/// Nobody watches.
#[must_use]
pub fn quiet() -> OnProgress {
    Arc::new(|_| {})
}

/// A commit of the benchmarks.
#[must_use]
pub fn commit_request(meta: Vec<u8>) -> CommitRequest {
    CommitRequest { meta, resume: Floor { chain: 1, seq: 1 }, purpose: Purpose::Snapshot, label: None, pins: vec![] }
}

async fn newest(store: &Blockstore) -> Result<Option<Root>> {
    let mut roots = store.roots(JOB).await?;
    roots.sort_by_key(|root| root.committed_at);
    Ok(roots.pop())
}

/// Runs the operation that the arguments name, and prints what it did.
///
/// # Errors
/// When it fails.
pub async fn op(arguments: &[String]) -> Result<()> {
    let (name, arguments) = arguments.split_first().context("an operation is needed")?;
    let (place, rest) = Place::parse(arguments)?;
    let folder = || rest.first().map(Path::new).context("a folder is needed");
    match name.as_str() {
        "backup" => backup(&place, folder()?).await,
        "clone-backup" => {
            clone_backup(&place, folder()?, rest.get(1).map(Path::new).context("clones need a folder")?).await
        }
        "restore" => {
            let store = place.open().await?;
            let root = newest(&store).await?.context("a snapshot is needed")?;
            Ok(store.reader(root).materialise(folder()?, quiet(), CancellationToken::new()).await?)
        }
        "stream" => stream(&place).await,
        "verify" => {
            let store = place.open().await?;
            let root = newest(&store).await?.context("a snapshot is needed")?;
            let report = store.reader(root).verify(quiet()).await?;
            ensure!(report.is_good(), "the snapshot is not whole: {report:?}");
            Ok(())
        }
        "insert-alone" => insert_alone(&place.database().await?).await,
        "collect" => crate::synthetic::collect(&place).await,
        other => bail!("there is no operation {other}"),
    }
}

/// A snapshot of a folder, on top of the newest one if there is one.
async fn backup(place: &Place, source: &Path) -> Result<()> {
    let store = place.open().await?;
    let parent = newest(&store).await?.map(|root| root.id);
    let request = WriterRequest { job: JOB.into(), job_epoch: 1, parent, key: None };
    let mut writer = store.register(request).await?;
    writer.write_dir(source, &keep, quiet()).await?;
    let root = writer.commit(commit_request(Vec::new())).await?;
    println!("{} {} {}", root.logical_bytes, root.new_bytes, root.stored_bytes);
    Ok(())
}

/// What a backup takes: not the lock, which is no data.
fn keep(path: &str) -> bool {
    !path.ends_with(".lock")
}

/// As [`backup`], from a clone that shares the folder's bytes, and reading only what differs from the clone of the snapshot before: as a daemon does
/// it where the file system can.
async fn clone_backup(place: &Place, source: &Path, clones: &Path) -> Result<()> {
    let store = place.open().await?;
    let parent = newest(&store).await?.map(|root| root.id);
    std::fs::create_dir_all(clones)?;
    let (next, last) = (clones.join("next"), clones.join("last"));
    let clone = clone_tree(source, &next, &keep)?;
    let request = WriterRequest { job: JOB.into(), job_epoch: 1, parent, key: None };
    let mut writer = store.register(request).await?;
    let mut read = None;
    match BoundClone::open(&last)? {
        Some(bound) => {
            let report = writer.write_dir_since(clone.dir(), &keep, Since::new(bound), quiet()).await?;
            ensure!(!report.is_alert(), "the comparison of clones missed a change: {report:?}");
            read = Some(report.read_bytes);
        }
        None => writer.write_dir(clone.dir(), &keep, quiet()).await?,
    }
    let root = writer.commit(commit_request(Vec::new())).await?;
    clone.bind(root.id, &last)?;
    println!("{} {} {} {}", root.logical_bytes, root.new_bytes, root.stored_bytes, read.unwrap_or(root.logical_bytes));
    Ok(())
}

/// The newest snapshot as `tar.zst` into nothing.
async fn stream(place: &Place) -> Result<()> {
    let store = place.open().await?;
    let root = newest(&store).await?.context("a snapshot is needed")?;
    let archive = Archive::plan(store.reader(root), ArchiveFormat::TarZst).await?;
    let mut stream = archive.stream(archive.whole());
    let mut bytes = 0;
    while let Some(piece) = stream.next().await {
        bytes += piece?.len() as u64;
    }
    println!("{} {bytes}", archive.raw_len());
    Ok(())
}

/// The store's payload documents once more into another collection, in batches as large as the engine's, durable, and nothing else: prints the
/// seconds that the inserts took.
async fn insert_alone(db: &Database) -> Result<()> {
    let plain = doc! { "wiredTiger": { "configString": "block_compressor=none" } };
    db.create_collection("alone").storage_engine(plain).await?;
    let alone = db.collection::<RawDocumentBuf>("alone");
    let durable = WriteConcern::builder().w(Acknowledgment::Majority).journal(true).build();
    let mut source = db.collection::<RawDocumentBuf>("payloads").find(doc! {}).await?;
    let (mut batch, mut took) = (Vec::with_capacity(ALONE_BATCH), Duration::ZERO);
    loop {
        let next = source.try_next().await?;
        let is_last = next.is_none();
        batch.extend(next);
        if batch.len() >= ALONE_BATCH || (is_last && !batch.is_empty()) {
            let started = Instant::now();
            alone.insert_many(&batch).ordered(false).write_concern(durable.clone()).await?;
            took += started.elapsed();
            batch.clear();
        }
        if is_last {
            break;
        }
    }
    println!("{}", took.as_secs_f64());
    Ok(())
}
