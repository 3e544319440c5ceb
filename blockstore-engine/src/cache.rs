//! Cache beside the heads: hot blocks, nodes of trees, known (id, epoch), in RocksDB.
//!
//! Invariants: expendable. Every block and node is verified by its hash on every hit; nothing here is ever the authority for "exists" (a
//! known id is still claimed in the database); holds no block of a group that encrypts, because it would lie in the clear; bounded in bytes by RocksDB's FIFO compaction, which drops the oldest files; deleted and
//! rebuilt when corrupt. One process has it open at a time. Called from worker threads, never from async tasks.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use rocksdb::{
    BlockBasedOptions, ColumnFamilyDescriptor, DB, DBCompactionStyle, DBCompressionType, ErrorKind, FifoCompactOptions,
    Options, WriteBatch, WriteOptions,
};

use crate::error::OpenError;
use crate::frame::Opener;
use crate::id::{BlockHasher, BlockId};

/// Smallest cache in bytes; below, the shares of the shelves are smaller than their write buffers.
pub const CACHE_BYTES_MIN: u64 = 16 << 20;
const BUFFER_MIN: u64 = 1 << 20;
const BUFFER_MAX: u64 = 32 << 20;
const BLOCKS: &str = "blocks";
const NODES: &str = "nodes";
const KNOWN: &str = "known";

/// Where the cache lies and how large it may grow.
#[derive(Debug, Clone)]
pub struct CacheOptions {
    /// A folder of its own; created, and deleted when corrupt.
    pub path: PathBuf,
    /// Bytes on disk, at least [`CACHE_BYTES_MIN`].
    pub bytes: u64,
}

/// What the cache did since it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// Blocks and nodes served.
    pub hits: u64,
    /// Blocks and nodes asked for and not there.
    pub misses: u64,
    /// Entries that did not fit their hash and were dropped.
    pub bad: u64,
    /// How often the whole was deleted and created anew.
    pub rebuilds: u64,
    /// Bytes on disk.
    pub bytes: u64,
}

/// Which part of the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shelf {
    /// Content of files.
    Blocks,
    /// Nodes and pages of trees.
    Nodes,
}

impl Shelf {
    fn name(self) -> &'static str {
        match self {
            Self::Blocks => BLOCKS,
            Self::Nodes => NODES,
        }
    }
}

/// The open database. Each rebuild uses a folder of the next number, because readers may still be inside the broken one.
struct Current {
    db: Arc<DB>,
    generation: u64,
}

/// See the module.
pub(crate) struct Cache {
    options: CacheOptions,
    /// `None` only after a rebuild failed: then the cache is off.
    db: RwLock<Option<Current>>,
    hits: AtomicU64,
    misses: AtomicU64,
    bad: AtomicU64,
    rebuilds: AtomicU64,
}

impl Cache {
    /// Opens or creates it; what is there and corrupt is deleted first.
    pub(crate) fn open(options: CacheOptions) -> Result<Self, OpenError> {
        if options.bytes < CACHE_BYTES_MIN {
            return Err(OpenError::Options("the cache needs at least 16 MiB"));
        }
        let mut generations = generations(&options.path);
        let mut generation = generations.pop().unwrap_or(0);
        let mut rebuilds = 0;
        let db = match open_db(&options, generation) {
            Ok(db) => db,
            Err(error) if is_locked(&error) => return Err(failed(&options.path, &error)),
            Err(error) => {
                tracing::warn!(%error, path = %options.path.display(), "the cache does not open: deleting and rebuilding it");
                rebuilds = 1;
                generations.push(generation);
                generation += 1;
                open_db(&options, generation).map_err(|error| failed(&options.path, &error))?
            }
        };
        for old in generations {
            let _ = std::fs::remove_dir_all(options.path.join(old.to_string()));
        }
        Ok(Self {
            options,
            db: RwLock::new(Some(Current { db: Arc::new(db), generation })),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            bad: AtomicU64::new(0),
            rebuilds: AtomicU64::new(rebuilds),
        })
    }

    /// The raw bytes of a block, verified.
    pub(crate) fn get(&self, shelf: Shelf, opener: &mut Opener, id: BlockId) -> Option<Bytes> {
        let found = self.read(|db| {
            let Some(cf) = db.cf_handle(shelf.name()) else { return Ok(None) };
            let Some(value) = db.get_pinned_cf(cf, id.0)? else { return Ok(None) };
            let opened = value
                .split_first_chunk::<4>()
                .and_then(|(len, frame)| opener.open(BlockHasher::PLAIN, id, u32::from_le_bytes(*len), frame).ok());
            if opened.is_none() {
                self.bad.fetch_add(1, Relaxed);
                db.delete_cf_opt(cf, id.0, &unlogged())?;
            }
            Ok(opened)
        });
        let counter = if found.is_some() { &self.hits } else { &self.misses };
        counter.fetch_add(1, Relaxed);
        found
    }

    /// Keeps frames: (id, raw length, frame).
    pub(crate) fn put(&self, shelf: Shelf, frames: &[(BlockId, u32, Bytes)]) {
        self.read(|db| {
            let Some(cf) = db.cf_handle(shelf.name()) else { return Ok(None) };
            let mut batch = WriteBatch::default();
            for (id, raw_len, frame) in frames {
                let mut value = Vec::with_capacity(4 + frame.len());
                value.extend_from_slice(&raw_len.to_le_bytes());
                value.extend_from_slice(frame);
                batch.put_cf(cf, id.0, value);
            }
            db.write_opt(batch, &unlogged()).map(Some)
        });
    }

    /// The epoch at which each id was last seen in the index, if it is remembered.
    pub(crate) fn known(&self, ids: &[BlockId]) -> Vec<Option<i64>> {
        self.read(|db| {
            let Some(cf) = db.cf_handle(KNOWN) else { return Ok(None) };
            let mut epochs = Vec::with_capacity(ids.len());
            for id in ids {
                let value = db.get_pinned_cf(cf, id.0)?;
                epochs.push(value.and_then(|value| value.as_ref().try_into().ok().map(i64::from_le_bytes)));
            }
            Ok(Some(epochs))
        })
        .unwrap_or_else(|| vec![None; ids.len()])
    }

    /// Remembers that these ids stand in the index with this epoch.
    pub(crate) fn remember(&self, ids: &[BlockId], epoch: i64) {
        self.read(|db| {
            let Some(cf) = db.cf_handle(KNOWN) else { return Ok(None) };
            let mut batch = WriteBatch::default();
            for id in ids {
                batch.put_cf(cf, id.0, epoch.to_le_bytes());
            }
            db.write_opt(batch, &unlogged()).map(Some)
        });
    }

    pub(crate) fn stats(&self) -> CacheStats {
        let bytes = self.read(|db| {
            let mut bytes = 0;
            for name in [BLOCKS, NODES, KNOWN] {
                if let Some(cf) = db.cf_handle(name) {
                    bytes += db.property_int_value_cf(cf, "rocksdb.total-sst-files-size")?.unwrap_or(0);
                }
            }
            Ok(Some(bytes))
        });
        CacheStats {
            hits: self.hits.load(Relaxed),
            misses: self.misses.load(Relaxed),
            bad: self.bad.load(Relaxed),
            rebuilds: self.rebuilds.load(Relaxed),
            bytes: bytes.unwrap_or(0),
        }
    }

    /// Runs `work`; on corruption the cache is rebuilt, on any other fault the answer is a miss.
    fn read<T>(&self, work: impl FnOnce(&DB) -> Result<Option<T>, rocksdb::Error>) -> Option<T> {
        let db = self.db.read().unwrap_or_else(PoisonError::into_inner).as_ref()?.db.clone();
        match work(&db) {
            Ok(value) => value,
            Err(error) => {
                tracing::warn!(%error, path = %self.options.path.display(), "the cache fails");
                if error.kind() == ErrorKind::Corruption {
                    self.rebuild(&db);
                }
                None
            }
        }
    }

    /// Replaces the database that `broken` is, unless somebody did so already.
    fn rebuild(&self, broken: &Arc<DB>) {
        let mut slot = self.db.write().unwrap_or_else(PoisonError::into_inner);
        let Some(generation) = slot.as_ref().filter(|current| Arc::ptr_eq(&current.db, broken)).map(|it| it.generation)
        else {
            return;
        };
        self.rebuilds.fetch_add(1, Relaxed);
        *slot = match open_db(&self.options, generation + 1) {
            Ok(db) => Some(Current { db: Arc::new(db), generation: generation + 1 }),
            Err(error) => {
                tracing::error!(%error, "the cache could not be rebuilt and is off");
                None
            }
        };
        broken.cancel_all_background_work(true);
        let _ = std::fs::remove_dir_all(self.options.path.join(generation.to_string()));
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        // Nothing is logged, so what is in memory goes to disk now or is lost (which costs misses only).
        let slot = self.db.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(Current { db, .. }) = slot.take() {
            for name in [BLOCKS, NODES, KNOWN] {
                if let Some(cf) = db.cf_handle(name) {
                    let _ = db.flush_cf(cf);
                }
            }
        }
    }
}

fn unlogged() -> WriteOptions {
    let mut options = WriteOptions::default();
    options.disable_wal(true);
    options
}

fn failed(path: &Path, error: &rocksdb::Error) -> OpenError {
    OpenError::Cache { path: path.to_owned(), reason: error.to_string() }
}

/// Another process (or another store of this one) has it open: not a reason to delete it.
fn is_locked(error: &rocksdb::Error) -> bool {
    error.kind() == ErrorKind::IOError && error.as_ref().contains("lock")
}

/// Numbers of the folders that are there, ascending.
fn generations(path: &Path) -> Vec<u64> {
    let names = std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let mut numbers: Vec<u64> = names.filter_map(|name| name.to_str()?.parse().ok()).collect();
    numbers.sort_unstable();
    numbers
}

fn open_db(options: &CacheOptions, generation: u64) -> Result<DB, rocksdb::Error> {
    // Shares of the bytes: 12/16 blocks, 3/16 nodes, 1/16 known.
    let shelves = [(BLOCKS, 12), (NODES, 3), (KNOWN, 1)].map(|(name, sixteenths)| {
        let share = options.bytes / 16 * sixteenths;
        let buffer = (share / 8).clamp(BUFFER_MIN, BUFFER_MAX);
        let mut fifo = FifoCompactOptions::default();
        fifo.set_max_table_files_size(share.saturating_sub(buffer).max(buffer));
        let mut table = BlockBasedOptions::default();
        table.set_bloom_filter(10.0, false);
        // Frames are large and verified on every hit; the page cache serves them, a second copy in RocksDB's would only cost memory.
        if name != KNOWN {
            table.disable_cache();
        }
        let mut column = Options::default();
        column.set_compaction_style(DBCompactionStyle::Fifo);
        column.set_fifo_compaction_options(&fifo);
        column.set_num_levels(1);
        column.set_compression_type(DBCompressionType::None);
        column.set_write_buffer_size(usize::try_from(buffer).unwrap_or(usize::MAX));
        column.set_block_based_table_factory(&table);
        ColumnFamilyDescriptor::new(name, column)
    });
    let mut db = Options::default();
    db.create_if_missing(true);
    db.create_missing_column_families(true);
    db.set_max_open_files(-1);
    db.set_keep_log_file_num(2);
    db.set_max_background_jobs(2);
    let path = options.path.join(generation.to_string());
    // RocksDB creates only the last folder itself; if this fails, so does opening, with a reason.
    let _ = std::fs::create_dir_all(&path);
    DB::open_cf_descriptors(&db, path, shelves)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::frame::Packer;

    fn options(dir: &tempfile::TempDir) -> CacheOptions {
        CacheOptions { path: dir.path().join("cache"), bytes: CACHE_BYTES_MIN }
    }

    fn frame(seed: u64, len: usize) -> (BlockId, u32, Bytes) {
        let raw: Vec<u8> = (0..len as u64 / 32 + 1)
            .flat_map(|i| *blake3::hash(&[seed.to_le_bytes(), i.to_le_bytes()].concat()).as_bytes())
            .take(len)
            .collect();
        (BlockId::of(&raw), u32::try_from(len).unwrap(), Packer::new(1).unwrap().pack(&raw).unwrap().into())
    }

    /// Files of the newest generation.
    fn files(dir: &tempfile::TempDir) -> Vec<PathBuf> {
        let path = dir.path().join("cache");
        let newest = path.join(generations(&path).pop().unwrap().to_string());
        std::fs::read_dir(newest).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    #[test]
    fn keeps_verifies_and_reopens() {
        let dir = tempfile::tempdir().unwrap();
        let good = frame(1, 1000);
        let bad = (BlockId([9; 32]), good.1, good.2.clone());
        let mut opener = Opener::new().unwrap();
        let cache = Cache::open(options(&dir)).unwrap();
        cache.put(Shelf::Nodes, &[good.clone(), bad.clone()]);
        assert!(cache.get(Shelf::Nodes, &mut opener, good.0).is_some());
        assert!(cache.get(Shelf::Blocks, &mut opener, good.0).is_none());
        assert!(
            cache.get(Shelf::Nodes, &mut opener, bad.0).is_none(),
            "content that does not fit its id is never served"
        );
        let stats = cache.stats();
        assert_eq!((stats.hits, stats.misses, stats.bad), (1, 2, 1));
        cache.remember(&[good.0], 7);
        assert_eq!(cache.known(&[good.0, bad.0]), [Some(7), None]);
        assert!(
            matches!(Cache::open(options(&dir)), Err(OpenError::Cache { .. })),
            "open elsewhere: an error, not a deletion"
        );
        drop(cache);
        let cache = Cache::open(options(&dir)).unwrap();
        assert!(cache.get(Shelf::Nodes, &mut opener, good.0).is_some());
        assert_eq!(cache.stats().rebuilds, 0);
    }

    #[test]
    fn stays_within_its_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(options(&dir)).unwrap();
        let mut opener = Opener::new().unwrap();
        let all: Vec<_> = (0..800).map(|seed| frame(seed, 65_536)).collect();
        for chunk in all.chunks(16) {
            cache.put(Shelf::Blocks, chunk);
        }
        // Eviction runs in the background after a flush.
        let started = std::time::Instant::now();
        while cache.stats().bytes > CACHE_BYTES_MIN {
            assert!(started.elapsed().as_secs() < 30, "{:?}", cache.stats());
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        assert!(cache.get(Shelf::Blocks, &mut opener, all[0].0).is_none(), "the oldest is gone");
        assert!(cache.get(Shelf::Blocks, &mut opener, all[799].0).is_some(), "the newest is there");
    }

    #[test]
    fn a_corrupt_cache_is_rebuilt() {
        let dir = tempfile::tempdir().unwrap();
        let kept = frame(1, 1000);
        let cache = Cache::open(options(&dir)).unwrap();
        cache.put(Shelf::Blocks, std::slice::from_ref(&kept));
        drop(cache);
        let mut opener = Opener::new().unwrap();
        // Bytes of the table flipped: found by RocksDB's checksums at the first read, or by our hash.
        for file in files(&dir) {
            if file.extension().is_some_and(|ext| ext == "sst") {
                let mut bytes = std::fs::read(&file).unwrap();
                for byte in bytes.iter_mut().take(900) {
                    *byte ^= 0x55;
                }
                std::fs::write(&file, bytes).unwrap();
            }
        }
        let cache = Cache::open(options(&dir)).unwrap();
        assert!(cache.get(Shelf::Blocks, &mut opener, kept.0).is_none());
        assert!(cache.stats().rebuilds + cache.stats().bad > 0, "{:?}", cache.stats());
        cache.put(Shelf::Blocks, std::slice::from_ref(&kept));
        assert!(cache.get(Shelf::Blocks, &mut opener, kept.0).is_some(), "works again");
        drop(cache);
        // The manifest destroyed: found when opening.
        for file in files(&dir) {
            if file.file_name().unwrap().to_string_lossy().starts_with("MANIFEST") {
                std::fs::write(&file, b"garbage").unwrap();
            }
        }
        let cache = Cache::open(options(&dir)).unwrap();
        assert_eq!(cache.stats().rebuilds, 1);
        cache.put(Shelf::Blocks, std::slice::from_ref(&kept));
        assert!(cache.get(Shelf::Blocks, &mut opener, kept.0).is_some());
    }
}
