//! Proving a snapshot: every node, page and block read back from the database and checked. What is bad becomes a report, not an error.

use tokio::task::JoinSet;

use super::fetch::{FETCH_IDS_MAX, From, broken};
use super::leaves::LeafWalk;
use super::materialise::{BATCH_BYTES, BATCHES_AHEAD, FILES_AHEAD};
use super::not_verified::NotVerified;
use super::{SnapshotReader, sized};
use crate::error::{ErrorClass, ReadError};
use crate::id::BlockId;
use crate::progress::{OnProgress, Progress};

/// Bad blocks kept in one report, at most; the count goes on.
pub const BAD_BLOCKS_MAX: usize = 10_000;

/// A block that does not read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadBlock {
    /// The first file in which it was met; `None` for the tree of entries.
    pub path: Option<String>,
    /// The block, node or page; `None` when the root itself is bad.
    pub id: Option<BlockId>,
    /// What is wrong with it.
    pub reason: String,
}

/// What a verification found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Files looked at.
    pub files: u64,
    /// Blocks, nodes and pages read, each occurrence counted.
    pub blocks: u64,
    /// Raw bytes of files that were proved, holes included.
    pub bytes: u64,
    /// Bad blocks in all.
    pub bad_count: u64,
    /// The first [`BAD_BLOCKS_MAX`] of them.
    pub bad: Vec<BadBlock>,
    /// What could not be looked at for want of a key: neither good nor bad.
    pub not_verified: NotVerified,
}

impl VerifyReport {
    /// Whether everything was read and was good.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.bad_count == 0 && self.not_verified.blocks == 0
    }

    /// The report, unless all that is to be said is that it could not be made.
    fn ended(self) -> Result<Self, ReadError> {
        if self.bad_count == 0 && self.not_verified.blocks > 0 {
            return Err(ReadError::NotVerified(self.not_verified));
        }
        Ok(self)
    }

    /// Notes corruption, and what lacks its key; any other error goes on to the caller.
    pub(crate) fn note(&mut self, path: Option<&str>, error: ReadError) -> Result<(), ReadError> {
        if let ReadError::NoKey { key, .. } = error {
            self.not_verified.add(key);
            return Ok(());
        }
        if error.class() != ErrorClass::Corrupt {
            return Err(error);
        }
        let id = match &error {
            ReadError::Missing(id) | ReadError::BadBlock { id, .. } | ReadError::BadNode { id, .. } => Some(*id),
            _ => None,
        };
        let reason =
            std::error::Error::source(&error).map_or_else(|| error.to_string(), |source| format!("{error}: {source}"));
        self.push(BadBlock { path: path.map(str::to_owned), id, reason });
        Ok(())
    }

    pub(crate) fn push(&mut self, bad: BadBlock) {
        self.bad_count += 1;
        if self.bad.len() < BAD_BLOCKS_MAX {
            self.bad.push(bad);
        }
    }
}

/// (index of the file, the block, its raw length; a node's is not checked here)
type Piece = (Option<usize>, BlockId, Option<u64>);

/// Per block: index of its file, and its raw length or what is wrong with it.
type Results = Vec<(Option<usize>, Result<u64, ReadError>)>;

struct Job {
    reader: SnapshotReader,
    report: VerifyReport,
    tasks: JoinSet<Result<Results, ReadError>>,
    batch: Vec<Piece>,
    batch_bytes: u64,
    paths: Vec<String>,
    done: Progress,
    progress: OnProgress,
}

pub(super) async fn verify(reader: &SnapshotReader, progress: OnProgress) -> Result<VerifyReport, ReadError> {
    // A reader of its own, so that a memo filled earlier hides nothing.
    let reader = SnapshotReader::new(reader.inner.engine.clone(), reader.inner.root.clone());
    let mut job = Job {
        reader: reader.clone(),
        report: VerifyReport::default(),
        tasks: JoinSet::new(),
        batch: Vec::new(),
        batch_bytes: 0,
        paths: Vec::new(),
        done: Progress::default(),
        progress,
    };
    let files = match reader.load_entries(From::Database).await {
        Ok(files) => files,
        Err(error) => {
            job.report.note(None, error)?;
            return job.report.ended();
        }
    };
    let (nodes, pages) = reader.entry_tree().await?;
    for id in nodes.into_iter().chain(pages) {
        job.push((None, id, None)).await?;
    }
    job.paths = files.iter().map(|entry| entry.path.clone()).collect();
    job.done.files_total = files.len() as u64;
    job.done.bytes_total = files.iter().map(|entry| entry.size).sum();
    for (window, entries) in files.chunks(FILES_AHEAD).enumerate() {
        let tops: Vec<_> = entries.iter().filter(|entry| entry.depth > 0).filter_map(|entry| entry.top).collect();
        reader.prefetch(&tops).await?;
        for (index, entry) in entries.iter().enumerate() {
            let file = Some(window * FILES_AHEAD + index);
            let mut walk = LeafWalk::new(entry, 0..entry.size);
            let mut seen = 0;
            loop {
                let next = walk.next(&reader).await;
                // The walk may have met nodes in the cache: they are proved from the database too.
                for node in walk.visited().get(seen..).unwrap_or_default() {
                    job.push((file, *node, None)).await?;
                }
                seen = walk.visited().len();
                match next {
                    Ok(None) => break,
                    Ok(Some(leaf)) => match leaf.id {
                        None => job.count_bytes(leaf.len),
                        Some(id) => job.push((file, id, Some(leaf.len))).await?,
                    },
                    Err(error) => {
                        // Below a bad node nothing can be found.
                        job.report.note(Some(&entry.path), error)?;
                        break;
                    }
                }
            }
            job.report.files += 1;
            job.done.files += 1;
        }
    }
    job.launch().await?;
    while job.collect().await? {}
    job.report.ended()
}

impl Job {
    fn count_bytes(&mut self, bytes: u64) {
        self.report.bytes += bytes;
        self.done.bytes += bytes;
    }

    async fn push(&mut self, piece: Piece) -> Result<(), ReadError> {
        self.batch_bytes += piece.2.unwrap_or(0);
        self.batch.push(piece);
        if self.batch.len() >= FETCH_IDS_MAX || self.batch_bytes >= BATCH_BYTES {
            self.launch().await?;
        }
        Ok(())
    }

    async fn launch(&mut self) -> Result<(), ReadError> {
        while self.tasks.len() >= BATCHES_AHEAD {
            self.collect().await?;
        }
        let batch = std::mem::take(&mut self.batch);
        self.batch_bytes = 0;
        if !batch.is_empty() {
            self.tasks.spawn(check(self.reader.clone(), batch));
        }
        Ok(())
    }

    /// Takes one result; whether there was one.
    async fn collect(&mut self) -> Result<bool, ReadError> {
        let Some(done) = self.tasks.join_next().await else { return Ok(false) };
        for (file, result) in done.map_err(|_| broken())?? {
            self.report.blocks += 1;
            match result {
                Ok(bytes) => self.count_bytes(bytes),
                Err(error) => {
                    let path = file.and_then(|file| self.paths.get(file)).cloned();
                    self.report.note(path.as_deref(), error)?;
                }
            }
        }
        (self.progress)(self.done);
        Ok(true)
    }
}

async fn check(reader: SnapshotReader, batch: Vec<Piece>) -> Result<Results, ReadError> {
    let ids: Vec<_> = batch.iter().map(|(_, id, _)| *id).collect();
    let mut found = reader.fetch(&ids, From::Database).await?;
    let mut results = Vec::with_capacity(batch.len());
    for (file, id, len) in batch {
        let result = match (found.get(&id), len) {
            (Some(Ok(raw)), Some(len)) => sized(id, raw, len).map(|_| len),
            (Some(Ok(_)), None) => Ok(0),
            // The same bad block a second time in one batch is named once.
            _ => match found.remove(&id) {
                Some(Err(error)) => Err(error),
                _ => continue,
            },
        };
        results.push((file, result));
    }
    Ok(results)
}
