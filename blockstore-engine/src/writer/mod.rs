//! Writing a snapshot: registration, files, commit.
//!
//! Pipeline, bounded and with back-pressure from end to end: read, cut and hash segments on worker threads (a few ahead) → tree builder in the
//! order of the file → candidates in batches → look up, claim, compress (and encrypt), insert payloads or fill packs, index. Memory does not depend on the size of a
//! file. Cancel-safe: dropped futures leave blocks that no root names; a dropped writer deletes its registration.

mod build;
mod claim;
mod commit;
mod copied;
mod cut;
mod insert;
pub(crate) mod list;
mod parent;
mod register;
mod shortcut;
mod sink;

use std::collections::{HashSet, VecDeque};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use bytes::Bytes;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

pub use commit::CommitRequest;
pub(crate) use register::BEAT_EVERY;

use crate::engine::Engine;
use crate::error::{RegisterError, WriteError};
use crate::id::{BlockHasher, BlockId, RootId};
use crate::keys::{BlockKeys, KeyId};
use crate::payload::PayloadStore;
use crate::progress::{OnProgress, Progress};
use crate::proof::NewBlocksReport;
use crate::ranges::{Plan, RangesReport, Since, Unchanged};
use crate::reader::BadBlock;
use crate::root::Root;
use crate::tree::{Child, FILE_SIZE_MAX, FileEntry, check_path};
use crate::txn::Causal;
use crate::workers::Broken;
use build::TreeBuilder;
use cut::{Buffers, Cut, SEGMENT_BYTES, Segment, Source};
use parent::Parent;
use sink::{Candidate, Sink};

/// Files whose parents' top nodes are fetched in one query.
const FILES_AHEAD: usize = 64;

/// Who wants to write.
#[derive(Debug, Clone)]
pub struct WriterRequest {
    /// The job, 1 to 1024 bytes.
    pub job: String,
    /// The owner's epoch; refused when the job's guard has a higher one.
    pub job_epoch: i64,
    /// The snapshot to compare with; it is kept while the writer lives.
    pub parent: Option<RootId>,
    /// The key that the job's group encrypts under, which must be in the ring of [`crate::EngineOptions`]; `None`: it does not encrypt.
    /// Another key than the parent's makes a new full: nothing of the parent is met again.
    pub key: Option<KeyId>,
}

/// What the tasks of one writer share.
pub(crate) struct Shared {
    engine: Arc<Engine>,
    id: RootId,
    job: String,
    /// Blocks with `e` at or above it cannot be collected while this writer is registered.
    epoch: i64,
    causal: Causal,
    cancel: CancellationToken,
    quarantined: Arc<HashSet<BlockId>>,
    /// One batch indexes at a time.
    turn: Semaphore,
    keys: Option<Arc<BlockKeys>>,
    /// Where this writer's payloads go, all of them.
    write_to: PayloadStore,
    next_number: AtomicU64,
    next_pack: AtomicU32,
    new_blocks: AtomicU64,
    new_bytes: AtomicU64,
    stored_bytes: AtomicU64,
}

impl Shared {
    fn hasher(&self) -> BlockHasher {
        self.keys.as_ref().map_or(BlockHasher::PLAIN, |keys| keys.hasher())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Committed,
    Closed,
}

/// A registered writer of one snapshot.
pub struct SnapshotWriter {
    shared: Arc<Shared>,
    parent_id: Option<RootId>,
    parent_root: Option<Root>,
    parent: Option<Parent>,
    files: Vec<FileEntry>,
    paths: HashSet<String>,
    sink: Sink,
    beat: AbortOnDropHandle<()>,
    state: State,
    /// What it stored did not read back: it commits nothing any more.
    is_disproved: bool,
}

/// A step on its way through the pipeline.
enum Step {
    Start {
        size: u64,
        block_size: u32,
    },
    /// Blocks (level 0) or one node that the parent has too.
    Adopt {
        level: u8,
        children: Vec<Child>,
        parent_nodes: Vec<BlockId>,
        len: u64,
    },
    Segment {
        task: AbortOnDropHandle<Result<Result<Cut, WriteError>, Broken>>,
        parent_nodes: Vec<BlockId>,
        len: u64,
    },
    End {
        source: Source,
        entry: FileEntry,
    },
}

/// One run of the pipeline over some files.
struct Pipeline<'a> {
    writer: &'a mut SnapshotWriter,
    steps: VecDeque<Step>,
    segments: usize,
    buffers: Buffers,
    builder: TreeBuilder,
    parent_nodes: HashSet<BlockId>,
    done: Progress,
    progress: OnProgress,
    /// Bytes taken from the parent's trees, and bytes to be read.
    adopted_bytes: u64,
    read_bytes: u64,
}

impl SnapshotWriter {
    pub(crate) async fn register(engine: Arc<Engine>, request: WriterRequest) -> Result<Self, RegisterError> {
        let (shared, parent_root) = register::register(engine, &request).await?;
        let shared = Arc::new(shared);
        let beat = AbortOnDropHandle::new(tokio::spawn(register::keep_beating(shared.clone())));
        let sink = Sink::new(shared.clone());
        Ok(Self {
            shared,
            parent_id: request.parent,
            parent_root,
            parent: None,
            files: Vec::new(),
            paths: HashSet::new(),
            sink,
            beat,
            state: State::Open,
            is_disproved: false,
        })
    }

    /// Id of the registration, and of the snapshot once it is committed.
    #[must_use]
    pub fn id(&self) -> RootId {
        self.shared.id
    }

    /// Cancelled when the registration is gone; cancelling it stops the writer.
    #[must_use]
    pub fn cancelled(&self) -> CancellationToken {
        self.shared.cancel.clone()
    }

    /// Files so far; sorted by path once committed.
    #[must_use]
    pub fn files(&self) -> &[FileEntry] {
        &self.files
    }

    /// Writes all regular files below `dir` whose relative path (with `/`) `keep` wants. Folders as such are not stored.
    ///
    /// # Errors
    /// `Path` for links, sockets and the like that `keep` wants; `Io`; `FileChanged` when a file shrinks meanwhile; `Cancelled`.
    pub async fn write_dir(
        &mut self,
        dir: &Path,
        keep: &(dyn Fn(&str) -> bool + Sync),
        progress: OnProgress,
    ) -> Result<(), WriteError> {
        self.write_dir_planned(dir, keep, None, progress).await.map(|_| ())
    }

    /// As [`Self::write_dir`], but takes from the parent's trees what the comparison of `since` with `dir`, both clones, calls unchanged. The
    /// report says what that saved and whether its random sample held; what is written is right in every case.
    ///
    /// # Errors
    /// As [`Self::write_dir`]. A comparison that cannot be made is none: everything is read.
    pub async fn write_dir_since(
        &mut self,
        dir: &Path,
        keep: &(dyn Fn(&str) -> bool + Sync),
        since: Since,
        progress: OnProgress,
    ) -> Result<RangesReport, WriteError> {
        self.write_dir_planned(dir, keep, Some(since), progress).await
    }

    async fn write_dir_planned(
        &mut self,
        dir: &Path,
        keep: &(dyn Fn(&str) -> bool + Sync),
        since: Option<Since>,
        progress: OnProgress,
    ) -> Result<RangesReport, WriteError> {
        self.open_parent().await?;
        let folder = dir.to_owned();
        let mut found = blocking(move || list::list(&folder)).await??;
        found.retain(|file| keep(&file.path));
        if let Some(bad) = found.iter().find(|file| file.refusal.is_some()) {
            return Err(WriteError::Path { path: bad.path.clone(), reason: bad.refusal.unwrap_or_default() });
        }
        let found = Arc::new(found);
        let (plan, mut report) = match since {
            Some(since) => shortcut::prepare(self, dir, &found, since).await?,
            None => (Plan::default(), RangesReport::default()),
        };
        let total = Progress {
            files_total: found.len() as u64,
            bytes_total: found.iter().map(|file| file.size).sum(),
            ..Progress::default()
        };
        let mut pipeline = Pipeline::new(self, total, progress);
        for window in found.chunks(FILES_AHEAD) {
            if let Some(parent) = &pipeline.writer.parent {
                parent.prefetch(window.iter().map(|file| file.path.as_str())).await?;
            }
            for file in window {
                let path = file.absolute.clone();
                let (file_handle, mode, size) = blocking(move || open(path)).await??;
                let source = Source::File(Arc::new(file_handle), file.absolute.clone());
                pipeline.file(&file.path, mode, size, source, plan.files.get(&file.path)).await?;
            }
        }
        pipeline.drain().await?;
        (report.unchanged_bytes, report.read_bytes) = (pipeline.adopted_bytes, pipeline.read_bytes);
        Ok(report)
    }

    /// Writes one file from memory.
    ///
    /// # Errors
    /// As [`Self::write_dir`].
    pub async fn add_file(&mut self, path: &str, mode: u32, bytes: impl Into<Bytes> + Send) -> Result<(), WriteError> {
        let bytes = bytes.into();
        self.open_parent().await?;
        let total = Progress { files_total: 1, bytes_total: bytes.len() as u64, ..Progress::default() };
        let mut pipeline = Pipeline::new(self, total, Arc::new(|_| {}));
        pipeline.file(path, mode, bytes.len() as u64, Source::Memory(bytes), None).await?;
        pipeline.drain().await
    }

    /// Commits the snapshot: after this it exists, before this it does not.
    ///
    /// # Errors
    /// `Cancelled` when the registration is gone; `BelowFloor` for pins that promise what is gone; `Request`, `Path`.
    pub async fn commit(&mut self, request: CommitRequest) -> Result<Root, WriteError> {
        commit::commit(self, request).await
    }

    /// Reads back and verifies every block that this writer inserted so far, before or after the commit. What is bad is quarantined: this writer
    /// commits nothing any more, and the next one stores it anew.
    ///
    /// # Errors
    /// When the database fails; bad blocks are in the report.
    pub async fn verify_new(&mut self) -> Result<NewBlocksReport, WriteError> {
        if self.state == State::Open {
            self.sink.flush().await?;
        }
        let mut report =
            crate::proof::verify_new(&self.shared.engine, self.shared.id, Some(self.shared.write_to)).await?;
        let missing = self.shared.new_blocks.load(Relaxed).saturating_sub(report.blocks + report.bad_count);
        if missing > 0 {
            report.bad_count += missing;
            report.bad.push(BadBlock {
                path: None,
                id: None,
                reason: format!("{missing} payloads that this writer inserted are missing"),
            });
        }
        if !report.is_good() {
            self.is_disproved = true;
            // What is named first: it is known even if the rest cannot be looked for now.
            let named: Vec<_> = report.bad.iter().filter_map(|bad| bad.id).collect();
            self.shared.engine.store.quarantine(&named).await?;
            let found = crate::proof::quarantine_bad(&self.shared.engine, &self.shared.causal, self.shared.id).await?;
            tracing::error!(
                writer = %self.shared.id, bad = report.bad_count, unnamed = found,
                "what was just stored does not read back: quarantined"
            );
        }
        Ok(report)
    }

    /// Takes single blocks outside of any file, which are stored after [`Self::flush`]: how a repair puts content back. (id, raw, whether it
    /// is a node)
    pub(crate) async fn put_blocks(&mut self, blocks: Vec<(BlockId, Bytes, bool)>) -> Result<(), WriteError> {
        for (id, raw, is_node) in blocks {
            self.sink.push(Candidate::raw(id, raw, is_node)).await?;
        }
        Ok(())
    }

    /// Waits until what was put is stored.
    pub(crate) async fn flush(&mut self) -> Result<(), WriteError> {
        self.sink.flush().await
    }

    /// Gives up: deletes the registration. What was stored is garbage.
    ///
    /// # Errors
    /// When the database fails; the registration then stays until it expires.
    pub async fn abandon(mut self) -> Result<(), WriteError> {
        self.beat.abort();
        self.sink.stop().await;
        if self.state == State::Open {
            self.state = State::Closed;
            register::unregister(&self.shared.engine, self.shared.id).await?;
        }
        Ok(())
    }

    async fn open_parent(&mut self) -> Result<(), WriteError> {
        if self.state != State::Open {
            return Err(WriteError::Request("the writer is closed"));
        }
        if let Some(root) = self.parent_root.take() {
            self.parent = Some(Parent::load(self.shared.engine.clone(), root).await?);
        }
        Ok(())
    }
}

impl Drop for SnapshotWriter {
    fn drop(&mut self) {
        if self.state != State::Open {
            return;
        }
        self.shared.cancel.cancel();
        // Best effort: a registration that stays is deleted when it expires or the job gets a new owner.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let shared = self.shared.clone();
            runtime.spawn(async move {
                if let Err(error) = register::unregister(&shared.engine, shared.id).await {
                    tracing::debug!(%error, writer = %shared.id, "the registration of a dropped writer stays");
                }
            });
        }
    }
}

impl<'a> Pipeline<'a> {
    fn new(writer: &'a mut SnapshotWriter, done: Progress, progress: OnProgress) -> Self {
        let hasher = writer.shared.hasher();
        Self {
            writer,
            steps: VecDeque::new(),
            segments: 0,
            buffers: Buffers::default(),
            builder: TreeBuilder::new(hasher, 0, crate::tree::BLOCK_SIZE_MIN),
            parent_nodes: HashSet::new(),
            done,
            progress,
            adopted_bytes: 0,
            read_bytes: 0,
        }
    }

    /// Sends one file into the pipeline; `unchanged` blocks are taken from the parent.
    async fn file(
        &mut self,
        path: &str,
        mode: u32,
        size: u64,
        source: Source,
        unchanged: Option<&Arc<Unchanged>>,
    ) -> Result<(), WriteError> {
        let bad = |reason| WriteError::Path { path: path.to_owned(), reason };
        check_path(path).map_err(|error| bad(error.0))?;
        if size > FILE_SIZE_MAX {
            return Err(bad("larger than a file can be"));
        }
        if !self.writer.paths.insert(path.to_owned()) {
            return Err(bad("in the snapshot already"));
        }
        let old = self.writer.parent.as_ref().and_then(|parent| parent.file(path)).cloned();
        // A file keeps its block size for life.
        let block_size = old.as_ref().map_or(self.writer.shared.engine.options.block_size, |old| old.block_size);
        let fits = |blocks: &&Arc<Unchanged>| blocks.size() == size && blocks.block_size() == u64::from(block_size);
        let unchanged = unchanged.filter(fits);
        self.steps.push_back(Step::Start { size, block_size });
        let mut offset = 0;
        while offset < size {
            if let (Some(unchanged), Some(old)) = (unchanged, &old)
                && let Some(len) = self.adopt_subtree(old, unchanged, offset).await?
            {
                offset += len;
                continue;
            }
            let len = (size - offset).min(u64::from(SEGMENT_BYTES));
            let (blocks, parent_nodes) = match (&self.writer.parent, &old) {
                (Some(parent), Some(old)) => parent.blocks(old, offset, len).await?,
                _ => (Vec::new(), Vec::new()),
            };
            let known = unchanged.map_or_else(Vec::new, |unchanged| {
                let first = offset / u64::from(block_size);
                let may = |id: &Option<BlockId>| id.is_none_or(|id| !self.writer.shared.quarantined.contains(&id));
                (first..).zip(&blocks).map(|(block, id)| unchanged.is(block) && may(id)).collect()
            });
            let segment = Segment {
                source: source.clone(),
                offset,
                len: usize::try_from(len).map_err(|_| WriteError::Internal("a segment beyond memory"))?,
                block_size: usize::try_from(block_size).map_err(|_| WriteError::Internal("a block beyond memory"))?,
                parent: blocks,
                known,
                quarantined: self.writer.shared.quarantined.clone(),
                buffers: self.buffers.clone(),
                hasher: self.writer.shared.hasher(),
            };
            let unknown = segment.unknown_bytes();
            (self.read_bytes, self.adopted_bytes) = (self.read_bytes + unknown, self.adopted_bytes + (len - unknown));
            let workers = self.writer.shared.engine.workers.clone();
            // One more than the workers, so that they find the next one when they are done.
            while self.segments > workers.count() {
                self.step().await?;
            }
            let task = AbortOnDropHandle::new(tokio::spawn(async move { workers.run(move || segment.cut()).await }));
            self.steps.push_back(Step::Segment { task, parent_nodes, len });
            self.segments += 1;
            offset += len;
        }
        let entry = FileEntry { path: path.to_owned(), mode: mode & 0o7777, size, block_size, top: None, depth: 0 };
        self.steps.push_back(Step::End { source, entry });
        Ok(())
    }

    async fn drain(&mut self) -> Result<(), WriteError> {
        while !self.steps.is_empty() {
            self.step().await?;
        }
        (self.progress)(self.counted());
        Ok(())
    }

    /// Takes the oldest step to its end.
    async fn step(&mut self) -> Result<(), WriteError> {
        if self.writer.shared.cancel.is_cancelled() {
            return Err(WriteError::Cancelled);
        }
        match self.steps.pop_front() {
            None => {}
            Some(Step::Start { size, block_size }) => {
                self.builder = TreeBuilder::new(self.writer.shared.hasher(), size, block_size);
                self.parent_nodes.clear();
            }
            Some(Step::Adopt { level, children, parent_nodes, len }) => {
                self.parent_nodes.extend(parent_nodes);
                for child in children {
                    self.builder.push_at(level, child);
                }
                let nodes = self.builder.take_nodes();
                self.store_nodes(nodes).await?;
                self.done.bytes += len;
                (self.progress)(self.counted());
            }
            Some(Step::Segment { task, parent_nodes, len }) => {
                self.segments -= 1;
                let cut = match task.await {
                    Ok(Ok(cut)) => cut?,
                    _ => return Err(WriteError::Internal("a worker thread ended early")),
                };
                self.parent_nodes.extend(parent_nodes);
                for child in cut.children {
                    self.builder.push(child);
                }
                for (id, raw) in cut.fresh {
                    self.writer.sink.push(Candidate::raw(id, raw, false)).await?;
                }
                let nodes = self.builder.take_nodes();
                self.store_nodes(nodes).await?;
                self.done.bytes += len;
                (self.progress)(self.counted());
            }
            Some(Step::End { source, mut entry }) => {
                if let Source::File(file, path) = source {
                    let size = file.metadata().map_err(|source| WriteError::Io { path: path.clone(), source })?.len();
                    if size < entry.size {
                        return Err(WriteError::FileChanged { path });
                    }
                }
                let empty = TreeBuilder::new(self.writer.shared.hasher(), 0, entry.block_size);
                let builder = std::mem::replace(&mut self.builder, empty);
                let (top, depth, nodes) = builder.finish();
                self.store_nodes(nodes).await?;
                (entry.top, entry.depth) = (top, depth);
                entry.check().map_err(|bad| WriteError::Internal(bad.0))?;
                self.writer.files.push(entry);
                self.done.files += 1;
            }
        }
        Ok(())
    }

    /// Nodes that the parent has too need nothing: it is kept while this writer lives.
    async fn store_nodes(&mut self, nodes: Vec<(BlockId, Bytes)>) -> Result<(), WriteError> {
        for (id, raw) in nodes {
            if !self.parent_nodes.contains(&id) || self.writer.shared.quarantined.contains(&id) {
                self.writer.sink.push(Candidate::raw(id, raw, true)).await?;
            }
        }
        Ok(())
    }

    fn counted(&self) -> Progress {
        let shared = &self.writer.shared;
        Progress {
            new_blocks: shared.new_blocks.load(Relaxed),
            new_bytes: shared.new_bytes.load(Relaxed),
            stored_bytes: shared.stored_bytes.load(Relaxed),
            ..self.done
        }
    }
}

/// Opens a regular file without following a link: handle, permission bits, size.
fn open(path: PathBuf) -> Result<(File, u32, u64), WriteError> {
    let io_error = |source| WriteError::Io { path: path.clone(), source };
    let flags = nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(&path).map_err(io_error)?;
    let metadata = file.metadata().map_err(io_error)?;
    if !metadata.is_file() {
        return Err(WriteError::FileChanged { path });
    }
    Ok((file, metadata.permissions().mode() & 0o7777, metadata.len()))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, WriteError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| WriteError::Internal("a blocking thread ended early"))
}
