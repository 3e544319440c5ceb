//! From the files of a cleanly stopped dbpath to a committed snapshot, and back to files.
//!
//! Invariants: the files do not change while they are read (a clone, or a head that is held); the root is written last, and only after what
//! this writer inserted was read back and verified (the quick proof, which quarantines what is bad, so that the next attempt stores it anew); a
//! writer that loses its registration commits nothing. Used by the
//! head's driver and by restores. It never opens a mongod.

use std::{io, path::Path, sync::Arc};

use blockstore_engine::{
    Blockstore, CommitRequest, Floor, KeyId, OnProgress, Pin, Purpose, RangesReport, ReadError, RegisterError, Root,
    RootError, RootId, WriteError, WriterRequest, ranges::Since,
};
use holdfast_domain::{BackupJobId, ErrorClass, SnapshotId};
use holdfast_ledger::{SnapshotMeta, SnapshotMetaError};
use tokio_util::sync::CancellationToken;

use crate::{dbpath, error::engine_class, restore_info};

/// What shall be stored.
#[derive(Clone, Debug)]
pub struct SnapshotOrder {
    /// Whose.
    pub job: BackupJobId,
    /// Epoch of the job's lease.
    pub epoch: i64,
    /// What it is.
    pub meta: SnapshotMeta,
    /// What it is for.
    pub purpose: Purpose,
    /// The snapshot that it is compared with.
    pub parent: Option<RootId>,
    /// Who needs it from the start.
    pub pins: Vec<Pin>,
    /// The key that its group encrypts under.
    pub key: Option<KeyId>,
}

/// Why a snapshot was not stored or not brought back.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The writer was refused.
    #[error("register a writer")]
    Register(#[from] RegisterError),
    /// Writing.
    #[error("write the snapshot")]
    Write(#[from] WriteError),
    /// Reading.
    #[error("read the snapshot")]
    Read(#[from] ReadError),
    /// Roots.
    #[error("look at the snapshots")]
    Root(#[from] RootError),
    /// What was written does not read back.
    #[error("{bad} of the blocks just written do not read back: {first}")]
    QuickProof {
        /// How many.
        bad: u64,
        /// The first one's fault.
        first: String,
    },
    /// The facts.
    #[error(transparent)]
    Meta(#[from] SnapshotMetaError),
    /// `restoreInfo.json`.
    #[error("encode {}", restore_info::FILE)]
    Info(#[from] serde_json::Error),
    /// The local files.
    #[error("files of the snapshot")]
    Io(#[from] io::Error),
    /// The group's key.
    #[error("key of the group")]
    Key(#[from] holdfast_blockstore::StoreError),
    /// Called off.
    #[error("called off")]
    Cancelled,
}

impl SnapshotError {
    /// See [`ErrorClass`].
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Register(e) => engine_class(e.class()),
            Self::Write(e) => engine_class(e.class()),
            Self::Read(e) => engine_class(e.class()),
            Self::Root(e) => engine_class(e.class()),
            Self::QuickProof { .. } | Self::Meta(_) => ErrorClass::Corrupt,
            Self::Info(_) => ErrorClass::Bug,
            Self::Io(_) => ErrorClass::Operator,
            Self::Key(e) => holdfast_domain::Classify::class(e),
            Self::Cancelled => ErrorClass::Cancelled,
        }
    }
}

/// A root with its facts.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The root.
    pub root: Root,
    /// Its facts.
    pub meta: SnapshotMeta,
}

impl Snapshot {
    /// The id that users see.
    ///
    /// # Panics
    /// Never: both ids are 24 hex digits.
    #[must_use]
    pub fn id(&self) -> SnapshotId {
        self.root.id.to_string().parse().expect("a root's id is 24 lowercase hex digits")
    }
}

/// The good snapshots of a job, oldest first by (chain, optime): outside the trash, not quarantined, not made for a restore.
///
/// # Errors
/// The store's.
pub async fn good_snapshots(store: &Blockstore, job: &BackupJobId) -> Result<Vec<Snapshot>, SnapshotError> {
    let roots = store.roots(job.as_str()).await?;
    let good = roots.into_iter().filter(|r| r.purpose == Purpose::Snapshot && r.trashed_at.is_none() && !r.quarantined);
    let mut out: Vec<Snapshot> =
        good.filter_map(|root| SnapshotMeta::decode(&root.meta).ok().map(|meta| Snapshot { root, meta })).collect();
    out.sort_by_key(|s| (s.meta.resume.chain, s.meta.optime));
    Ok(out)
}

/// Stores the files of `dir` as a snapshot, reading all of them.
///
/// # Errors
/// [`SnapshotError`]; the snapshot does not exist then.
pub async fn store(
    store: &Blockstore,
    dir: &Path,
    order: SnapshotOrder,
    progress: OnProgress,
    cancel: &CancellationToken,
) -> Result<Root, SnapshotError> {
    store_since(store, dir, None, order, progress, cancel).await.map(|(root, _)| root)
}

/// Stores the files of `dir` as a snapshot; with `since`, the clone of the parent snapshot, only what differs between the two clones is read.
///
/// # Errors
/// [`SnapshotError`]; the snapshot does not exist then.
pub async fn store_since(
    store: &Blockstore,
    dir: &Path,
    since: Option<Since>,
    order: SnapshotOrder,
    progress: OnProgress,
    cancel: &CancellationToken,
) -> Result<(Root, Option<RangesReport>), SnapshotError> {
    let job = order.job.as_str().to_owned();
    let mut writer =
        store.register(WriterRequest { job, job_epoch: order.epoch, parent: order.parent, key: order.key }).await?;
    let written = tokio::select! {
        biased;
        () = cancel.cancelled() => Err(SnapshotError::Cancelled),
        written = write(&mut writer, dir, since, order, progress) => written,
    };
    match written {
        Ok(written) => Ok(written),
        Err(error) => {
            if let Err(error) = writer.abandon().await {
                tracing::debug!(error = %crate::chain_of(&error), "abandon a snapshot");
            }
            Err(error)
        }
    }
}

async fn write(
    writer: &mut blockstore_engine::SnapshotWriter,
    dir: &Path,
    since: Option<Since>,
    order: SnapshotOrder,
    progress: OnProgress,
) -> Result<(Root, Option<RangesReport>), SnapshotError> {
    let keep = |path: &str| path != restore_info::FILE && dbpath::keeps(path);
    let report = match since {
        Some(since) => Some(writer.write_dir_since(dir, &keep, since, progress).await?),
        None => {
            writer.write_dir(dir, &keep, progress).await?;
            None
        }
    };
    let info = restore_info::encode(&order.meta, writer.files())?;
    writer.add_file(restore_info::FILE, 0o644, info).await?;
    let proof = writer.verify_new().await?;
    if !proof.is_good() {
        let first = proof.bad.first().map_or_else(String::new, |bad| bad.reason.clone());
        return Err(SnapshotError::QuickProof { bad: proof.bad_count, first });
    }
    let resume = Floor { chain: order.meta.resume.chain, seq: order.meta.resume.seq };
    let (label, meta) = (order.meta.label.clone(), order.meta.encode()?);
    let root = writer.commit(CommitRequest { meta, resume, purpose: order.purpose, label, pins: order.pins }).await?;
    Ok((root, report))
}

/// Brings a snapshot's files back into `to` (which must not exist or be empty): from the clone on this disk where there is one, else from
/// the store.
///
/// # Errors
/// [`SnapshotError`]; `to` is incomplete then.
pub async fn materialise(
    store: &Blockstore,
    root: &Root,
    clone: Option<&Path>,
    to: &Path,
    progress: OnProgress,
    cancel: &CancellationToken,
) -> Result<(), SnapshotError> {
    if let Some(clone) = clone.filter(|clone| clone.is_dir()) {
        let (from, to) = (clone.to_owned(), to.to_owned());
        tokio::task::spawn_blocking(move || dbpath::copy(&from, &to)).await.map_err(io::Error::other)??;
        return Ok(());
    }
    store.reader(root.clone()).materialise(to, progress, cancel.clone()).await?;
    match tokio::fs::remove_file(to.join(restore_info::FILE)).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// Progress that nobody looks at.
#[must_use]
pub fn unseen() -> OnProgress {
    Arc::new(|_| {})
}
