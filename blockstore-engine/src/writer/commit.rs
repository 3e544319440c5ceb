//! The commit point of a snapshot: one transaction that deletes the registration and inserts the root.
//!
//! Invariants: before it everything that the root refers to is stored and claimed; a writer whose proof failed commits nothing; a registration that is gone commits nothing; pins that
//! come with the root are checked against the job's floor under its guard.

use std::sync::atomic::Ordering::Relaxed;

use bson::{DateTime, doc};
use bytes::Bytes;

use super::build::page_tree;
use super::sink::Candidate;
use super::{SnapshotWriter, State};
use crate::error::{StoreFault, WriteError};
use crate::guards::{ensure_guard, touch_guard};
use crate::id::BlockId;
use crate::root::{FORMAT, Floor, META_BYTES_MAX, NAME_BYTES_MAX, Origin, PINS_MAX, Pin, Purpose, Root};
use crate::tree::{check_order, encode_pages};
use crate::txn::{Abort, retrying, transaction};

/// What a root says beside its files.
#[derive(Debug, Clone)]
pub struct CommitRequest {
    /// Opaque to the store, at most 4 MiB.
    pub meta: Vec<u8>,
    /// Where replay on top of the snapshot starts.
    pub resume: Floor,
    /// What it is for.
    pub purpose: Purpose,
    /// A name given by a person, at most 1024 bytes.
    pub label: Option<String>,
    /// Who needs it from the start.
    pub pins: Vec<Pin>,
}

impl CommitRequest {
    fn check(&self) -> Result<(), WriteError> {
        let fits = |text: &String| !text.is_empty() && text.len() <= NAME_BYTES_MAX;
        if self.meta.len() > META_BYTES_MAX {
            return Err(WriteError::Request("meta larger than 4 MiB"));
        }
        if self.pins.len() > PINS_MAX || !self.pins.iter().all(|pin| fits(&pin.by)) {
            return Err(WriteError::Request(
                "too many pins, or a holder's name of another length than 1 to 1024 bytes",
            ));
        }
        if self.label.as_ref().is_some_and(|label| label.len() > NAME_BYTES_MAX) {
            return Err(WriteError::Request("a label must have at most 1024 bytes"));
        }
        Ok(())
    }
}

impl SnapshotWriter {
    /// Whether it may commit.
    fn check_open(&self) -> Result<(), WriteError> {
        if self.state != State::Open {
            return Err(WriteError::Request("the writer is closed"));
        }
        if self.is_disproved {
            return Err(WriteError::Request("what this writer stored does not read back: begin a new one"));
        }
        Ok(())
    }
}

pub(super) async fn commit(writer: &mut SnapshotWriter, request: CommitRequest) -> Result<Root, WriteError> {
    request.check()?;
    writer.check_open()?;
    let tree = store_entries(writer).await?;
    let content = Content {
        tree,
        files: writer.files.len() as u64,
        logical_bytes: writer.files.iter().map(|entry| entry.size).sum(),
        origin: None,
    };
    seal(writer, request, content).await
}

/// What a root seals of its files.
pub(super) struct Content {
    pub(super) tree: BlockId,
    pub(super) files: u64,
    pub(super) logical_bytes: u64,
    pub(super) origin: Option<Origin>,
}

/// Commits a tree of which everything is stored.
pub(super) async fn seal(
    writer: &mut SnapshotWriter,
    request: CommitRequest,
    content: Content,
) -> Result<Root, WriteError> {
    request.check()?;
    writer.check_open()?;
    let shared = writer.shared.clone();
    let mut root = Root {
        id: shared.id,
        job: shared.job.clone(),
        parent: writer.parent_id,
        committed_at: DateTime::now(),
        meta: request.meta,
        resume: request.resume,
        purpose: request.purpose,
        label: request.label,
        pins: request.pins,
        trashed_at: None,
        quarantined: false,
        files: content.files,
        logical_bytes: content.logical_bytes,
        new_bytes: shared.new_bytes.load(Relaxed),
        stored_bytes: shared.stored_bytes.load(Relaxed),
        tree: content.tree,
        key: shared.keys.as_ref().map(|keys| keys.id),
        origin: content.origin,
        hash: [0; 32],
        format: FORMAT,
    };
    root.hash = root.seal();
    let document = bson::serialize_to_document(&root).map_err(|_| WriteError::Internal("a root does not encode"))?;
    let store = &shared.engine.store;
    let mut session = shared.causal.session(store.db.client()).await?;
    let session = &mut session;
    shared.engine.stop("writer: before the commit").await;
    let is_pinned = !root.pins.is_empty();
    if is_pinned {
        ensure_guard(store, &root.job).await?;
    }
    let committed: Result<(), WriteError> = transaction!(&mut *session, "committing a snapshot", WriteError, {
        if is_pinned && touch_guard(store, session, &root.job).await?.is_above(root.resume, root.purpose) {
            return Err(Abort::Refused(WriteError::BelowFloor));
        }
        let deleted = store.writers.delete_one(doc! { "_id": root.id.to_string() }).session(&mut *session).await?;
        if deleted.deleted_count != 1 {
            return Err(Abort::Refused(WriteError::Cancelled));
        }
        store.roots.insert_one(&document).session(&mut *session).await?;
        Ok(())
    });
    match committed {
        Ok(()) => {}
        // An attempt whose answer was lost may have committed: then the root is there.
        Err(WriteError::Cancelled) => {
            let filter = doc! { "_id": root.id.to_string() };
            let found: Result<_, StoreFault> =
                retrying!("reading the root back", store.roots.find_one(filter.clone()).session(&mut *session));
            if found?.is_none() {
                shared.cancel.cancel();
                return Err(WriteError::Cancelled);
            }
        }
        Err(error) => return Err(error),
    }
    shared.engine.stop("writer: committed").await;
    writer.state = State::Committed;
    writer.beat.abort();
    crate::payload::mirror::mirror_one(&shared.engine, shared.write_to, &root).await;
    Ok(root)
}

/// Stores the tree of entries; its top.
async fn store_entries(writer: &mut SnapshotWriter) -> Result<BlockId, WriteError> {
    writer.files.sort_by(|a, b| a.path.cmp(&b.path));
    check_order(&writer.files).map_err(|bad| WriteError::Path { path: String::new(), reason: bad.0 })?;
    let hasher = writer.shared.hasher();
    let pages: Vec<(BlockId, Bytes)> =
        encode_pages(&writer.files).into_iter().map(|page| (hasher.id(&page), page.into())).collect();
    let (tree, nodes) = page_tree(hasher, &pages);
    for (id, raw) in pages.into_iter().chain(nodes) {
        let is_parents = writer.parent.as_ref().is_some_and(|parent| parent.tree.contains(&id));
        if !is_parents || writer.shared.quarantined.contains(&id) {
            writer.sink.push(Candidate::raw(id, raw, true)).await?;
        }
    }
    writer.sink.flush().await?;
    Ok(tree)
}
