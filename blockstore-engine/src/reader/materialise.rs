//! Writing a snapshot's files to a folder.
//!
//! Invariants: no existing file is opened or followed; holes are never written; a block is written only when verified; bounded read-ahead
//! ([`BATCHES_AHEAD`] batches); files and folders are synced before it returns `Ok`, large ones also on the way ([`SYNC_BEHIND_BYTES`]). After
//! cancellation no thread writes any more.

use std::collections::BTreeSet;
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::fetch::{FETCH_IDS_MAX, broken};
use super::leaves::LeafWalk;
use super::{FileSource, sized};
use crate::error::ReadError;
use crate::id::BlockId;
use crate::progress::{OnProgress, Progress};
use crate::tree::FileEntry;

/// Batches of blocks fetched and written at a time.
pub(super) const BATCHES_AHEAD: usize = 4;
/// Raw bytes of one batch, at most (and one block more).
pub(super) const BATCH_BYTES: u64 = 8 << 20;
/// Files whose top nodes are fetched in one query.
pub(super) const FILES_AHEAD: usize = 64;
/// Files synced by one thread at a time.
const SYNC_CHUNK: usize = 64;
/// A file with so many bytes that were not synced yet is synced while others are written: else the disk would stand idle until all is written,
/// and then everybody would wait for it.
const SYNC_BEHIND_BYTES: u64 = 64 << 20;

struct Target {
    file: File,
    path: PathBuf,
    /// Bytes written since the file was last synced on the way.
    unsynced: AtomicU64,
}

struct Piece {
    target: Arc<Target>,
    offset: u64,
    len: u64,
    id: BlockId,
}

pub(crate) async fn materialise<S: FileSource>(
    reader: &S,
    dir: &Path,
    progress: OnProgress,
    cancel: CancellationToken,
) -> Result<(), ReadError> {
    let files = reader.all_files().await?;
    let mut job = Job {
        reader: reader.clone(),
        cancel,
        behind: Arc::new(Semaphore::new(1)),
        tasks: JoinSet::new(),
        batch: Vec::new(),
        batch_bytes: 0,
        done: Progress {
            files_total: files.len() as u64,
            bytes_total: files.iter().map(|entry| entry.size).sum(),
            ..Progress::default()
        },
        progress,
    };
    let written = job.write(&files, dir).await;
    if written.is_err() {
        // What runs still ends by itself; nobody may write into the folder after this returns.
        job.cancel.cancel();
        while job.tasks.join_next().await.is_some() {}
        return written;
    }
    sync(&files, dir).await
}

struct Job<S> {
    reader: S,
    cancel: CancellationToken,
    /// One file is synced at a time on the way.
    behind: Arc<Semaphore>,
    tasks: JoinSet<Result<u64, ReadError>>,
    batch: Vec<Piece>,
    batch_bytes: u64,
    done: Progress,
    progress: OnProgress,
}

impl<S: FileSource> Job<S> {
    async fn write(&mut self, files: &[FileEntry], dir: &Path) -> Result<(), ReadError> {
        // A token of our own: a failure stops what runs, not what the caller does elsewhere with his.
        self.cancel = self.cancel.child_token();
        for window in files.chunks(FILES_AHEAD) {
            let tops: Vec<_> = window.iter().filter(|entry| entry.depth > 0).filter_map(|entry| entry.top).collect();
            self.reader.fetch_ahead(&tops).await?;
            for entry in window {
                let target = Arc::new(create(dir, entry).await?);
                let mut walk = LeafWalk::new(entry, 0..entry.size);
                while let Some(leaf) = walk.next(&self.reader).await? {
                    let Some(id) = leaf.id else {
                        self.done.bytes += leaf.len;
                        continue;
                    };
                    self.batch.push(Piece { target: target.clone(), offset: leaf.offset, len: leaf.len, id });
                    self.batch_bytes += leaf.len;
                    if self.batch.len() >= FETCH_IDS_MAX || self.batch_bytes >= BATCH_BYTES {
                        self.launch().await?;
                    }
                }
                self.done.files += 1;
            }
        }
        self.launch().await?;
        while let Some(done) = self.tasks.join_next().await {
            self.count(done)?;
        }
        Ok(())
    }

    async fn launch(&mut self) -> Result<(), ReadError> {
        if self.cancel.is_cancelled() {
            return Err(ReadError::Cancelled);
        }
        while self.tasks.len() >= BATCHES_AHEAD {
            if let Some(done) = self.tasks.join_next().await {
                self.count(done)?;
            }
        }
        let batch = std::mem::take(&mut self.batch);
        self.batch_bytes = 0;
        if !batch.is_empty() {
            self.tasks.spawn(copy(self.reader.clone(), batch, self.cancel.clone(), self.behind.clone()));
        }
        Ok(())
    }

    fn count(&mut self, done: Result<Result<u64, ReadError>, tokio::task::JoinError>) -> Result<(), ReadError> {
        self.done.bytes += done.map_err(|_| broken())??;
        (self.progress)(self.done);
        Ok(())
    }
}

async fn copy<S: FileSource>(
    reader: S,
    batch: Vec<Piece>,
    cancel: CancellationToken,
    behind: Arc<Semaphore>,
) -> Result<u64, ReadError> {
    let ids: Vec<_> = batch.iter().map(|piece| piece.id).collect();
    let found = tokio::select! {
        () = cancel.cancelled() => return Err(ReadError::Cancelled),
        found = reader.blocks(&ids) => found?,
    };
    let workers = reader.workers().clone();
    let work = move || {
        let (mut bytes, mut due) = (0, None);
        for (piece, raw) in batch.iter().zip(&found) {
            let raw = sized(piece.id, raw, piece.len)?;
            let target = &piece.target;
            target.file.write_all_at(raw, piece.offset).map_err(|source| io_error(&target.path, source))?;
            bytes += piece.len;
            if target.unsynced.fetch_add(piece.len, Relaxed) + piece.len >= SYNC_BEHIND_BYTES {
                due = Some(target.clone());
            }
        }
        Ok::<_, ReadError>((bytes, due))
    };
    let (bytes, due) = workers.run(work).await.map_err(|_| broken())??;
    if let (Some(target), Ok(permit)) = (due, behind.try_acquire_owned()) {
        target.unsynced.store(0, Relaxed);
        let sync = move || {
            let _permit = permit;
            // Its fault is told to this handle, and may not be told again to the one that syncs at the end.
            target.file.sync_data().map_err(|source| io_error(&target.path, source))
        };
        tokio::task::spawn_blocking(sync).await.map_err(|_| broken())??;
    }
    Ok(bytes)
}

fn io_error(path: &Path, source: io::Error) -> ReadError {
    ReadError::Io { path: path.to_owned(), source }
}

async fn create(dir: &Path, entry: &FileEntry) -> Result<Target, ReadError> {
    let (path, size) = (dir.join(&entry.path), entry.size);
    let work = move || {
        let open = || {
            if let Some(parent) = path.parent() {
                DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
            }
            let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
            file.set_len(size)?;
            Ok(file)
        };
        match open() {
            Ok(file) => Ok(Target { file, path, unsynced: AtomicU64::new(0) }),
            Err(source) => Err(io_error(&path, source)),
        }
    };
    tokio::task::spawn_blocking(work).await.map_err(|_| broken())?
}

/// Syncs files, sets their modes, then syncs folders.
async fn sync(files: &[FileEntry], dir: &Path) -> Result<(), ReadError> {
    let mut folders = BTreeSet::from([dir.to_owned()]);
    let mut tasks = JoinSet::new();
    for chunk in files.chunks(SYNC_CHUNK) {
        let chunk: Vec<_> = chunk.iter().map(|entry| (dir.join(&entry.path), entry.mode)).collect();
        for (path, _) in &chunk {
            let mut above = path.parent();
            while let Some(folder) = above.filter(|folder| folder.starts_with(dir) && !folders.contains(*folder)) {
                folders.insert(folder.to_owned());
                above = folder.parent();
            }
        }
        while tasks.len() >= BATCHES_AHEAD {
            joined(tasks.join_next().await)?;
        }
        tasks.spawn_blocking(move || {
            chunk.iter().try_for_each(|(path, mode)| {
                let open = OpenOptions::new().write(true).open(path);
                let set = open.and_then(|file| {
                    file.set_permissions(Permissions::from_mode(*mode)).and_then(|()| file.sync_all())
                });
                set.map_err(|source| io_error(path, source))
            })
        });
    }
    while let Some(done) = tasks.join_next().await {
        joined(Some(done))?;
    }
    tasks.spawn_blocking(move || {
        folders.iter().rev().try_for_each(|path| {
            // An empty snapshot has made no folder yet.
            DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|source| io_error(path, source))?;
            File::open(path).and_then(|folder| folder.sync_all()).map_err(|source| io_error(path, source))
        })
    });
    joined(tasks.join_next().await)
}

fn joined(done: Option<Result<Result<(), ReadError>, tokio::task::JoinError>>) -> Result<(), ReadError> {
    done.map_or(Ok(()), |done| done.map_err(|_| broken())?)
}
