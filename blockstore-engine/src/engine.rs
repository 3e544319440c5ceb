//! The store: opening it, and the ways into it.
//!
//! Called by whoever writes snapshots (`register`), reads them (`reader`) and keeps them (`roots.rs`, `guards.rs`).

use std::sync::Arc;

use mongodb::Database;

use crate::cache::{Cache, CacheOptions, CacheStats};
use crate::error::{OpenError, ReadError, RegisterError, StoreFault};
use crate::id::{BlockId, RootId};
use crate::keys::Keyring;
use crate::payload::{PackStoreOptions, PayloadStore, Payloads};
use crate::proof::NewBlocksReport;
use crate::reader::SnapshotReader;
use crate::root::Root;
use crate::stats::StoreStats;
use crate::stops::Stops;
use crate::store::Store;
use crate::tree::is_block_size;
use crate::workers::Workers;
use crate::writer::{SnapshotWriter, WriterRequest};

/// Worker threads, at most.
const WORKERS_MAX: usize = 64;

/// How a store is used by this process. Block size and level may differ among processes and over time.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// Bytes per block of files that have no parent: a power of two, 64 KiB to 1 MiB.
    pub block_size: u32,
    /// zstd level of new frames, 1 to 19.
    pub zstd_level: i32,
    /// Threads that hash and compress, 1 to 64.
    pub workers: usize,
    /// A local cache, if any.
    pub cache: Option<CacheOptions>,
    /// Stores of packs that payloads may lie in, at most 128; [`Blockstore::set_payload_stores`] changes them later.
    pub packs: Vec<PackStoreOptions>,
    /// Where new payloads go; what lies elsewhere stays readable there and can be moved.
    pub write_to: PayloadStore,
    /// Keys of groups that encrypt; the caller keeps a clone and adds those of groups that come later.
    pub keys: Keyring,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            block_size: 64 << 10,
            zstd_level: 1,
            workers: 2,
            cache: None,
            packs: Vec::new(),
            write_to: PayloadStore::Mongo,
            keys: Keyring::default(),
        }
    }
}

pub(crate) struct Engine {
    pub(crate) store: Store,
    pub(crate) payloads: Arc<Payloads>,
    pub(crate) workers: Workers,
    pub(crate) cache: Option<Arc<Cache>>,
    pub(crate) options: EngineOptions,
    /// See `stops.rs`.
    pub(crate) stops: Option<Stops>,
}

impl Engine {
    /// A step that others can see is about to be, or was, done.
    pub(crate) async fn stop(&self, step: &'static str) {
        crate::stops::stop(self.stops.as_ref(), step).await;
    }
}

/// A content-addressed store in one MongoDB database. Cheap to clone.
#[derive(Clone)]
pub struct Blockstore {
    pub(crate) engine: Arc<Engine>,
}

impl Blockstore {
    /// Opens the store in this database; creates what is missing. Safe with several at once. The database must be a replica set or a sharded
    /// cluster, since it needs transactions.
    ///
    /// # Errors
    /// Options out of range, a newer format, a cache that another process has open, a pack store that is not the one that the database knows, a
    /// failing database or pack store.
    pub async fn open(db: Database, options: EngineOptions) -> Result<Self, OpenError> {
        if !is_block_size(options.block_size) {
            return Err(OpenError::Options("the block size must be a power of two from 64 KiB to 1 MiB"));
        }
        if !(1..=19).contains(&options.zstd_level) {
            return Err(OpenError::Options("the zstd level must be 1 to 19"));
        }
        if !(1..=WORKERS_MAX).contains(&options.workers) {
            return Err(OpenError::Options("workers must be 1 to 64"));
        }
        let cache = match options.cache.clone() {
            None => None,
            Some(cache) => {
                let path = cache.path.clone();
                let opened = tokio::task::spawn_blocking(move || Cache::open(cache)).await;
                Some(Arc::new(opened.map_err(|error| OpenError::Cache { path, reason: error.to_string() })??))
            }
        };
        let store = Store::new(&db);
        store.prepare().await?;
        let payloads = Arc::new(Payloads::open(&store, &options.packs, options.write_to).await?);
        let workers = Workers::new(options.workers);
        Ok(Self { engine: Arc::new(Engine { store, payloads, workers, cache, options, stops: None }) })
    }

    /// The same store with a hook between the steps of the protocol: for tests that freeze a participant.
    #[doc(hidden)]
    #[must_use]
    pub fn with_stops(&self, stops: Stops) -> Self {
        let Engine { store, payloads, workers, cache, options, .. } = &*self.engine;
        let (store, payloads, workers) = (store.clone(), payloads.clone(), workers.clone());
        let (cache, options) = (cache.clone(), options.clone());
        Self { engine: Arc::new(Engine { store, payloads, workers, cache, options, stops: Some(stops) }) }
    }

    /// Registers a writer: the first step of every snapshot.
    ///
    /// # Errors
    /// `StaleEpoch` when a newer owner of the job was here, `ParentGone`, a failing database.
    pub async fn register(&self, request: WriterRequest) -> Result<SnapshotWriter, RegisterError> {
        SnapshotWriter::register(self.engine.clone(), request).await
    }

    /// Reads a snapshot.
    #[must_use]
    pub fn reader(&self, root: Root) -> SnapshotReader {
        SnapshotReader::new(self.engine.clone(), root)
    }

    /// Reads back and verifies what the writer of this snapshot inserted: the quick proof. Memory and order do not depend on its size.
    ///
    /// # Errors
    /// When the database fails; bad blocks are in the report.
    pub async fn verify_new(&self, writer: &RootId) -> Result<NewBlocksReport, ReadError> {
        crate::proof::verify_new(&self.engine, *writer, None).await
    }

    /// Marks blocks as bad: to every writer they count as missing from now on, so that the next one that meets the same content stores it
    /// anew. Returns how many were not marked before.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn quarantine(&self, blocks: &[BlockId]) -> Result<u64, StoreFault> {
        self.engine.store.quarantine(blocks).await
    }

    /// How much the store holds.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn stats(&self) -> Result<StoreStats, StoreFault> {
        crate::stats::stats(&self.engine).await
    }

    /// The keys that this process may use; clones share them.
    #[must_use]
    pub fn keys(&self) -> &Keyring {
        &self.engine.options.keys
    }

    /// What the cache did, if there is one.
    #[must_use]
    pub fn cache_stats(&self) -> Option<CacheStats> {
        self.engine.cache.as_ref().map(|cache| cache.stats())
    }
}
