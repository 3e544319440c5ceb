//! Copying snapshots from another store, block by block: only what this store does not have travels.
//!
//! Invariants: the copy is an ordinary writer of this store (registration, epochs, claims, indexing transactions, one commit), so
//! `docs/concurrency.md` holds for it as for every other. A subtree is left out only below a snapshot that the writer's registration keeps
//! (its parent: a copy made before); anything else is asked for by id, claimed when it is there, and fetched when it is not. Nothing that the
//! source says is believed: root against seal, block against id, node against geometry, the whole tree of entries against the root; what was
//! stored is read back before the commit. Frames are passed on as they are: no recompression; an encrypted snapshot keeps its key and so its
//! ids, and needs that key here. Resuming is copying again: what is there is claimed. The same snapshot twice is one copy.
//!
//! Called by the appliance's daemon; `address.rs` is also the serving side of a copy over a network.

pub mod address;
mod error;
mod fetch;
mod source;
mod walk;
mod wire;

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

pub use address::BlockAddress;
pub use error::{CopyError, SourceFault};
pub use source::{CopySource, HOLD_FOR, StoreSource, Wanted};
pub use wire::StoredBlock;

use crate::engine::Blockstore;
use crate::error::RegisterError;
use crate::id::RootId;
use crate::proof::NewBlocksReport;
use crate::root::{FORMAT, NAME_BYTES_MAX, Pin, Root};
use crate::writer::{CommitRequest, WriterRequest};

/// How often the source is told to keep its snapshot: several times within [`HOLD_FOR`].
const HOLD_EVERY: Duration = Duration::from_secs(20 * 60);

/// What to copy, and under which name.
#[derive(Debug, Clone)]
pub struct CopyRequest {
    /// The job here that the copy belongs to, 1 to 1024 bytes. Copies of one job are each other's parents.
    pub job: String,
    /// As of any writer of that job.
    pub job_epoch: i64,
    /// What the source is called, for [`crate::Origin::store`].
    pub store: String,
    /// A name given by a person; usually the source's.
    pub label: Option<String>,
    /// Who needs the copy from the start.
    pub pins: Vec<Pin>,
    /// Bytes per second from the source, at most. `None`: as fast as it goes.
    pub bandwidth_bytes_per_second: Option<NonZeroU64>,
}

/// How far a copy is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CopyProgress {
    /// Raw bytes of the snapshot's files in all, holes included.
    pub bytes_total: u64,
    /// Of these, settled: shared, present or stored. What is missing to the total is what may have to be sent still, at most.
    pub bytes: u64,
    /// Of these, found below a snapshot that was copied before, or holes: not even asked for.
    pub shared_bytes: u64,
    /// Blocks, nodes and pages that were asked for and are here already.
    pub present_blocks: u64,
    /// Blocks, nodes and pages that were sent.
    pub sent_blocks: u64,
    /// Bytes that travelled for them.
    pub sent_bytes: u64,
}

/// Called often, from async tasks: must return at once.
pub type OnCopy = Arc<dyn Fn(CopyProgress) + Send + Sync>;

/// What a copy did.
#[derive(Debug, Clone)]
pub struct CopyReport {
    /// The copy.
    pub root: Root,
    /// It was here already: nothing was done.
    pub was_here: bool,
    /// Counts.
    pub progress: CopyProgress,
    /// What was stored, read back from this store.
    pub proof: NewBlocksReport,
}

impl Blockstore {
    /// Copies a snapshot into this store. Done again after it was cut short, it goes on where it stood; done again after its end, it does
    /// nothing.
    ///
    /// # Errors
    /// What the source says or sends ([`CopyError::Source`], `BadBlock` ...), `NotProved` when what was stored does not read back, `Register`
    /// without the key of an encrypted snapshot, `Cancelled`. Nothing is committed then.
    pub async fn copy_from<S: CopySource>(
        &self,
        source: Arc<S>,
        request: CopyRequest,
        progress: OnCopy,
        cancel: CancellationToken,
    ) -> Result<CopyReport, CopyError> {
        if request.store.len() > NAME_BYTES_MAX {
            return Err(CopyError::Request("the source's name must have at most 1024 bytes"));
        }
        let copied = cancel.run_until_cancelled(async {
            source.hold().await?;
            let holder = source.clone();
            let _holding = AbortOnDropHandle::new(tokio::spawn(async move {
                loop {
                    tokio::time::sleep(HOLD_EVERY).await;
                    if let Err(error) = holder.hold().await {
                        tracing::warn!(%error, "the source was not told to keep its snapshot; tried again");
                    }
                }
            }));
            self.copy_held(&source, &request, progress).await
        });
        let copied = copied.await.unwrap_or(Err(CopyError::Cancelled));
        source.release().await;
        copied
    }

    async fn copy_held<S: CopySource>(
        &self,
        source: &Arc<S>,
        request: &CopyRequest,
        progress: OnCopy,
    ) -> Result<CopyReport, CopyError> {
        let root = source.root().await?;
        if !root.is_sealed() {
            return Err(CopyError::BadRoot(root.id));
        }
        if root.format > FORMAT {
            return Err(CopyError::NewerFormat(root.id));
        }
        if root.quarantined {
            return Err(CopyError::Damaged(root.id));
        }
        let was_here = |root| CopyReport {
            root,
            was_here: true,
            progress: CopyProgress::default(),
            proof: NewBlocksReport::default(),
        };
        let here = self.roots(&request.job).await?;
        let is_copy = |one: &&Root, id: RootId| one.origin.as_ref().is_some_and(|origin| origin.root == id);
        if let Some(copy) = here.iter().rev().find(|one| is_copy(one, root.id)) {
            return Ok(was_here(copy.clone()));
        }
        // The copy of its own parent shares most; else the newest.
        let fits = |one: &&Root| one.trashed_at.is_none() && !one.quarantined && one.key == root.key;
        let parents = || here.iter().rev().filter(fits);
        let parent = root.parent.and_then(|parent| parents().find(|one| is_copy(one, parent)));
        let parent = parent.or_else(|| parents().next()).map(|one| one.id);
        let asked =
            |parent| WriterRequest { job: request.job.clone(), job_epoch: request.job_epoch, parent, key: root.key };
        let mut writer = match self.register(asked(parent)).await {
            // Unlinked since it was listed.
            Err(RegisterError::ParentGone(_)) => self.register(asked(None)).await?,
            other => other?,
        };
        let progress = walk::copy_blocks(self, source, &root, &mut writer, request, progress).await?;
        // Order, number of files, every node above them: as any reader will find it.
        let files = self.reader(writer.draft(&root)).files().await?;
        if files.iter().map(|entry| entry.size).sum::<u64>() != root.logical_bytes {
            return Err(CopyError::BadRoot(root.id));
        }
        let proof = writer.verify_new().await?;
        if !proof.is_good() {
            // What is bad is quarantined: the next attempt stores it anew.
            return Err(CopyError::NotProved(Box::new(proof)));
        }
        let commit = CommitRequest {
            meta: root.meta.clone(),
            resume: root.resume,
            purpose: root.purpose,
            label: request.label.clone(),
            pins: request.pins.clone(),
        };
        let copy = writer.commit_copy(commit, &root, request.store.clone()).await?;
        Ok(CopyReport { root: copy, was_here: false, progress, proof })
    }
}
