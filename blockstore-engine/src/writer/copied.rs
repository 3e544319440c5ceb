//! A writer whose blocks come from another store: asked which are missing, given them in their stored form, committed with their origin.
//!
//! Invariants: as for blocks from files: what is not given was found and claimed, or lies below the parent, before the commit. The caller
//! (`copy/`) has checked every sealed block against its id and this writer's key. A subtree may be left out only when the parent has it, never
//! because its top is there: a node that is claimed again may have lost its children.

use std::collections::HashSet;

use super::claim::{Fate, lookup};
use super::commit::{Content, seal};
use super::sink::{Body, Candidate};
use super::{CommitRequest, SnapshotWriter, State};
use crate::error::WriteError;
use crate::frame::Sealed;
use crate::id::BlockId;
use crate::root::{Origin, Root};

impl SnapshotWriter {
    /// The snapshot that is kept while this writer lives.
    pub(crate) fn parent_root(&self) -> Option<&Root> {
        self.parent_root.as_ref()
    }

    /// Bad blocks, which count as missing wherever they are met.
    pub(crate) fn quarantined(&self) -> &HashSet<BlockId> {
        &self.shared.quarantined
    }

    /// Whether a block of this id was given and is on its way into the store.
    pub(crate) fn is_on_its_way(&self, id: &BlockId) -> bool {
        self.sink.is_unsettled(id)
    }

    /// Which of these blocks (at most `LOOKUP_IDS_MAX`) must be given; the others are claimed.
    pub(crate) async fn missing(&self, ids: &[BlockId]) -> Result<HashSet<BlockId>, WriteError> {
        if self.shared.cancel.is_cancelled() {
            return Err(WriteError::Cancelled);
        }
        let mut session = self.shared.causal.session(self.shared.engine.store.db.client()).await?;
        let fates = lookup(&self.shared, &mut session, ids).await?;
        self.shared.causal.note(&session);
        let is_missing = |(id, fate)| (!matches!(fate, Fate::Stored(_))).then_some(id);
        Ok(fates.into_iter().filter_map(is_missing).collect())
    }

    /// Takes a block in its stored form; waits while too much is under way.
    pub(crate) async fn put_sealed(&mut self, sealed: Sealed, is_node: bool) -> Result<(), WriteError> {
        if self.state != State::Open {
            return Err(WriteError::Request("the writer is closed"));
        }
        if sealed.key != self.shared.keys.as_ref().map(|keys| keys.id) {
            return Err(WriteError::Request("a block under another key than the writer's"));
        }
        self.sink.push(Candidate { id: sealed.id, body: Body::Sealed(sealed), is_node }).await
    }

    /// The root as it is about to be committed, to look at what it reads back as. Not sealed by a commit: nobody else may see it.
    pub(crate) fn draft(&self, source: &Root) -> Root {
        let mut root = Root { id: self.shared.id, job: self.shared.job.clone(), ..source.clone() };
        root.hash = root.seal();
        root
    }

    /// Commits a copy of this root: same files, with where it came from.
    pub(crate) async fn commit_copy(
        &mut self,
        request: CommitRequest,
        source: &Root,
        store: String,
    ) -> Result<Root, WriteError> {
        self.sink.flush().await?;
        let origin = Origin {
            store,
            root: source.id,
            job: source.job.clone(),
            committed_at: source.committed_at,
            hash: source.hash,
        };
        let Root { tree, files, logical_bytes, .. } = *source;
        seal(self, request, Content { tree, files, logical_bytes, origin: Some(origin) }).await
    }
}
