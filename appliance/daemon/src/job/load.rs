//! Initial load: the slices of a chain's initial sync, then the ledger over them, then the indexes.
//!
//! Invariants: at most two heads load at a time; how far a collection is loaded is kept by the head itself, so a load that is cut off
//! anywhere goes on where it was; slices stay stored until the first snapshot, so a head that is lost before it is loaded again.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bson::RawDocumentBuf;
use futures::future::BoxFuture;
use holdfast_agent_api::LedgerTail;
use holdfast_domain::{BackupEvent, BackupJobId, BackupState, CloseReason};
use holdfast_ledger::{Ledger, LedgerError, StorageOptions, StoredScan, SyncInfo, SyncPhase};
use tokio::sync::OwnedSemaphorePermit;

use super::{
    driver::{Driver, Next, POLL},
    error::JobError,
    head_file::{HeadFile, HeadPhase},
};
use crate::{
    feed::Feed,
    head::{CollectionSpec, CollectionUuid, Head, HeadError, Loader, Phase, Position, SliceKey},
    ports::HeadPort,
};

/// Loads of one chain that may fail before it is given up.
pub(super) const LOADS_MAX: u32 = 3;
/// Collections loaded side by side, each with one slice read ahead: at most four slices of about 10 MB are in memory.
const COLLECTIONS_AT_ONCE: usize = 2;
/// Longest that one step loads, so that the job's document is looked at in between.
const STEP_MAX: Duration = Duration::from_secs(2);

/// A head that is being loaded.
pub(super) struct OpenLoader {
    loader: Loader,
    port: HeadPort,
    announced: HashSet<(String, i64)>,
    /// What this process has loaded: the head keeps no progress of what it leaves out (`system.profile`).
    next: HashMap<CollectionUuid, SliceKey>,
    feed: Option<Feed>,
    /// Catch-up begins once everything is loaded and does not go back.
    all_loaded: bool,
    _slot: OwnedSemaphorePermit,
}

impl OpenLoader {
    pub(super) async fn stop(self) -> Result<Position, HeadError> {
        self.loader.stop().await
    }

    pub(super) async fn kill(self) {
        self.loader.kill().await;
    }
}

impl Driver {
    /// Makes the folder of a head that shall be loaded.
    pub(super) async fn begin_load(&mut self, tail: &LedgerTail) -> Result<Next, JobError> {
        let chain = tail.at.chain;
        let Some(info) = self.ctx.ledger.sync_info(self.record.id(), chain).await? else {
            self.record.phase("wait for the agent's initial sync");
            return Ok(Next::Wait(POLL));
        };
        if info.phase == SyncPhase::Dropped {
            let why = "the head is lost, no snapshot of this chain exists, and the slices of its initial sync are gone";
            self.give_up_chain(CloseReason::SyncFailed, why).await?;
            return Ok(Next::Again);
        }
        let source = self.source(chain).await?;
        self.ctx.binaries.for_source(&source.version)?;
        if matches!(self.record.job().state, BackupState::CatchingUp | BackupState::Active) {
            self.record.event(BackupEvent::Resync).await?;
        }
        let generation = self.heads.next_generation()?;
        std::fs::create_dir_all(self.heads.generation(generation))?;
        self.heads.put(HeadFile {
            chain,
            generation,
            phase: HeadPhase::Loading,
            server_version: source.version,
            fcv: source.fcv,
            storage: StorageOptions {
                directory_per_db: source.directory_per_db,
                directory_for_indexes: source.directory_for_indexes,
            },
            divergence: None,
            compared: None,
            base: None,
        })?;
        Ok(Next::Again)
    }

    /// One step of loading.
    pub(super) async fn load(&mut self, tail: &LedgerTail) -> Result<Next, JobError> {
        if matches!(self.record.job().state, BackupState::CatchingUp | BackupState::Active) {
            self.record.event(BackupEvent::Resync).await?;
        }
        if self.loader.is_none() {
            self.open_loader().await?;
            return Ok(Next::Again);
        }
        let chain = tail.at.chain;
        let info = self.ctx.ledger.sync_info(self.record.id(), chain).await?;
        let info = info.ok_or_else(|| LedgerError::Missing { what: "the state of the initial sync".to_owned() })?;
        let Some(open) = self.loader.as_ref() else { return Ok(Next::Again) };
        if open.loader.phase() == Phase::CatchingUp || open.all_loaded {
            return self.catch_up(chain, &info).await;
        }
        if info.phase == SyncPhase::Dropped {
            return Err(HeadError::NeedsResync("the slices of the initial sync are gone".to_owned()).into());
        }
        self.load_documents(chain, &info).await
    }

    async fn open_loader(&mut self) -> Result<(), JobError> {
        let Some(file) = self.heads.current.clone() else { return Ok(()) };
        self.record.phase("wait for a turn to load");
        self.record.flush(true).await?;
        let slot = self.ctx.loading.clone().acquire_owned().await.map_err(|_| JobError::Cancelled)?;
        let port = self.ctx.head_ports.take().await;
        self.record.phase("open the new head");
        self.record.flush(true).await?;
        let options = self.ctx.head_options(&file.server_version, file.storage, port.number)?;
        let dir = self.heads.generation(file.generation);
        let head = if Head::dbpath(&dir).is_dir() {
            Head::open(&dir, &options).await?
        } else {
            Head::create(&dir, &options).await?
        };
        if head.phase() == Phase::Steady && head.position() != Position::START {
            // It was finished, and this process ended before it could say so.
            head.stop().await?;
            self.heads.change(|head| head.phase = HeadPhase::Ready)?;
            return Ok(());
        }
        let loader = Loader::begin(head).await?;
        self.record.port(Some(port.number));
        self.loader = Some(OpenLoader {
            loader,
            port,
            announced: HashSet::new(),
            next: HashMap::new(),
            feed: None,
            all_loaded: false,
            _slot: slot,
        });
        Ok(())
    }

    async fn load_documents(&mut self, chain: i64, info: &SyncInfo) -> Result<Next, JobError> {
        let scans = self.ctx.ledger.scans(self.record.id(), chain).await?;
        let Some(open) = self.loader.as_mut() else { return Ok(Next::Again) };
        let mut waiting = Vec::new();
        for scan in &scans {
            let uuid = parse_uuid(&scan.uuid)?;
            let key = (scan.uuid.clone(), scan.scan);
            if scan.gone {
                if open.announced.insert(key) {
                    open.loader.gone(uuid).await?;
                }
                continue;
            }
            if open.announced.insert(key) {
                open.loader.collection(&spec(scan, uuid)?).await?;
                if open.loader.next_slice(uuid).await.is_some_and(|next| next.scan < scan.scan) {
                    open.loader.reset(uuid).await?;
                }
            }
            let next = open.loader.next_slice(uuid).await.max(open.next.get(&uuid).copied());
            let from = next.filter(|next| next.scan == scan.scan).map_or(0, |next| next.seq);
            if from < scan.next_seq {
                waiting.push((scan, uuid, from));
            }
        }
        let done: u64 = scans.iter().map(loaded_bytes).sum();
        let total: i64 = scans.iter().filter(|s| !s.gone).map(|s| s.bytes.max(s.raw_bytes_stored)).sum();
        self.record.phase("load documents");
        self.record.progress(done, u64::try_from(total).unwrap_or(0).max(done), "bytes");
        if waiting.is_empty() {
            let all_ended = scans.iter().all(|s| s.ended || s.gone);
            if info.phase == SyncPhase::Complete && all_ended {
                open.all_loaded = true;
                return Ok(Next::Again);
            }
            if open.port.should_yield(true) {
                self.close_head().await;
            }
            return Ok(Next::Wait(POLL));
        }
        let work = LoadWork {
            ledger: &self.ctx.ledger,
            job: self.record.id(),
            chain,
            loader: &open.loader,
            until: Instant::now() + STEP_MAX,
            waiting: Mutex::new(waiting.into_iter().map(|(scan, uuid, from)| Portion::new(scan, uuid, from)).collect()),
            loaded: AtomicU64::new(0),
            done: Mutex::default(),
        };
        let workers: [BoxFuture<'_, Result<(), JobError>>; COLLECTIONS_AT_ONCE] =
            std::array::from_fn(|_| Box::pin(work.worker()) as BoxFuture<'_, _>);
        futures::future::try_join_all(workers).await?;
        let loaded = work.loaded.load(Ordering::Relaxed);
        let done = work.done.into_inner().unwrap_or_else(PoisonError::into_inner);
        open.next.extend(done);
        metrics::counter!("holdfast_head_loaded_bytes_total").increment(loaded);
        if open.port.should_yield(false) {
            self.close_head().await;
        }
        Ok(Next::Again)
    }

    /// Applies the ledger over what was loaded, up to the end of the sync; then builds the indexes.
    async fn catch_up(&mut self, chain: i64, info: &SyncInfo) -> Result<Next, JobError> {
        let end = info.end.ok_or_else(|| LedgerError::Missing { what: "the end of the initial sync".to_owned() })?;
        let feed_from = self.loader.as_ref().map(|open| open.loader.position().feed_from.ts).unwrap_or_default();
        if self.loader.as_ref().is_some_and(|open| open.feed.is_none()) {
            let from = self.feed_start(chain, feed_from).await?;
            let feed = Feed::start(self.ctx.ledger.clone(), self.record.id().clone(), chain, from);
            if let Some(open) = self.loader.as_mut() {
                open.feed = Some(feed);
            }
        }
        let Some(open) = self.loader.as_mut() else { return Ok(Next::Again) };
        let position = open.loader.position();
        if open.loader.phase() == Phase::CatchingUp && position.ts >= end.ts && position.at_boundary() {
            return self.finish_load(end.ts).await;
        }
        self.record.phase("apply the oplog of the initial sync");
        let Some(feed) = open.feed.as_mut() else { return Ok(Next::Again) };
        let Ok(slice) = tokio::time::timeout(POLL, feed.next()).await else {
            self.record.phase("wait for the oplog of the initial sync");
            return Ok(Next::Again);
        };
        let slice = slice?;
        if slice.closes.is_some() {
            open.feed = None;
            self.forget_reads();
            return Ok(Next::Wait(POLL));
        }
        if !slice.raw.is_empty() {
            self.last_seq = slice.at.seq;
            open.loader.catch_up(&slice.raw).await?;
            self.record.head(open.loader.position().optime());
        }
        if open.port.should_yield(false) {
            self.close_head().await;
        }
        Ok(Next::Again)
    }

    async fn finish_load(&mut self, end: holdfast_domain::Ts) -> Result<Next, JobError> {
        self.record.phase("build indexes");
        self.record.flush(true).await?;
        let Some(open) = self.loader.take() else { return Ok(Next::Again) };
        let started = Instant::now();
        let head = open.loader.finish(end).await?;
        let position = head.stop().await?;
        self.record.port(None);
        self.heads.change(|head| head.phase = HeadPhase::Ready)?;
        self.position = Some(position);
        self.newest_known = false;
        self.ready_since = None;
        tracing::info!(
            job = %self.record.id(), at = %position.optime(), index_seconds = started.elapsed().as_secs_f64(), "initial load done"
        );
        self.record.event(BackupEvent::Loaded).await?;
        Ok(Next::Again)
    }
}

/// The slices of one collection that are stored and not loaded.
struct Portion {
    uuid_text: String,
    uuid: CollectionUuid,
    scan: i64,
    from: i64,
    to: i64,
}

impl Portion {
    fn new(scan: &StoredScan, uuid: CollectionUuid, from: i64) -> Self {
        Self { uuid_text: scan.uuid.clone(), uuid, scan: scan.scan, from, to: scan.next_seq }
    }
}

/// Loads slices of several collections.
struct LoadWork<'a> {
    ledger: &'a Ledger,
    job: &'a BackupJobId,
    chain: i64,
    loader: &'a Loader,
    until: Instant,
    waiting: Mutex<Vec<Portion>>,
    loaded: AtomicU64,
    done: Mutex<Vec<(CollectionUuid, SliceKey)>>,
}

impl LoadWork<'_> {
    /// Takes collections until there is none left, or the step has lasted long enough.
    async fn worker(&self) -> Result<(), JobError> {
        loop {
            let portion = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).pop();
            match portion {
                Some(portion) if Instant::now() < self.until => self.collection(&portion).await?,
                _ => return Ok(()),
            }
        }
    }

    async fn read(&self, portion: &Portion, seq: i64) -> Result<Option<Vec<u8>>, LedgerError> {
        if seq >= portion.to || Instant::now() >= self.until {
            return Ok(None);
        }
        self.ledger.read_sync_slice(self.job, self.chain, &portion.uuid_text, portion.scan, seq).await
    }

    /// Slice by slice; the next is read while one is inserted. A slice that is gone belongs to a scan that a newer one replaced: the next
    /// look at the scans sees it.
    async fn collection(&self, portion: &Portion) -> Result<(), JobError> {
        let mut seq = portion.from;
        let mut ready = self.read(portion, seq).await?;
        while let Some(raw) = ready {
            let insert = self.loader.insert(portion.uuid, SliceKey { scan: portion.scan, seq }, &raw);
            let (inserted, next) = tokio::join!(insert, self.read(portion, seq + 1));
            self.loaded.fetch_add(inserted?.bytes, Ordering::Relaxed);
            self.ledger.mark_loaded(self.job, self.chain, &portion.uuid_text, portion.scan, seq).await?;
            seq += 1;
            let loaded = (portion.uuid, SliceKey { scan: portion.scan, seq });
            self.done.lock().unwrap_or_else(PoisonError::into_inner).push(loaded);
            ready = next?;
        }
        Ok(())
    }
}

fn parse_uuid(text: &str) -> Result<CollectionUuid, JobError> {
    text.parse()
        .map_err(|_| LedgerError::Corrupt { what: "a scan".to_owned(), detail: format!("{text:?} is no UUID") }.into())
}

fn spec(scan: &StoredScan, uuid: CollectionUuid) -> Result<CollectionSpec, JobError> {
    let raw = |doc: &bson::Document| {
        RawDocumentBuf::try_from(doc).map_err(|source| JobError::Form { what: "a collection's options", source })
    };
    Ok(CollectionSpec {
        uuid,
        db: scan.db.clone(),
        name: scan.name.clone(),
        options: raw(&scan.options)?,
        indexes: scan.indexes.iter().map(raw).collect::<Result<_, _>>()?,
    })
}

/// Raw bytes of a scan that are loaded, in proportion to its slices.
fn loaded_bytes(scan: &StoredScan) -> u64 {
    if scan.gone || scan.next_seq == 0 {
        return 0;
    }
    u64::try_from(scan.raw_bytes_stored / scan.next_seq * scan.loaded_seq.min(scan.next_seq)).unwrap_or(0)
}
