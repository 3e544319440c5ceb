//! Verification of what is stored: a rolling share of all blocks, single snapshots, and what follows when a block is bad.
//!
//! A bad block is quarantined (to every writer it counts as missing), the snapshots that need it are named and marked, and it is repaired from
//! the cache, from a source that the caller gives, or by the next writer that meets the same content (`repair.rs`).
//! Invariants: a bad block stays to be named (`s` of its row) until its snapshots are marked, whoever found it and however that ended; results
//! are kept in `checks`, per slice of the id space and per snapshot; nothing here deletes a block. Verification reads the
//! database, never the cache.

mod repair;
pub mod rolling;
mod trace;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use bson::{Bson, DateTime, Document, doc};
use futures::TryStreamExt;
use tokio_util::sync::CancellationToken;

pub use repair::{RepairReport, RepairSource, directory};
pub use rolling::{NamedBlock, OnVerify, RollingOptions, RollingReport, SLICES, VerifyProgress};

use crate::engine::{Blockstore, Engine};
use crate::error::{ErrorClass, ReadError, RegisterError, RootError, StoreFault, WriteError};
use crate::gc::CollectError;
use crate::id::{BlockId, RootId};
use crate::keys::KeyId;
use crate::progress::OnProgress;
use crate::reader::{BadBlock, NotVerified, VerifyReport};
use crate::stats::number;
use crate::txn::retrying;

/// Bad blocks named in one report, at most; the rest is quarantined, and its snapshots are marked, all the same.
const BAD_NAMED_MAX: usize = 10_000;
/// Bad blocks kept with a result, at most; the count is kept whole.
const BAD_KEPT_MAX: usize = 1000;

/// Verifying and repairing.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The caller's token was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// An option is out of its range.
    #[error("{0}")]
    Request(&'static str),
    /// Finding the snapshots of a block failed.
    #[error(transparent)]
    Trace(#[from] CollectError),
    /// Reading failed, otherwise than by corruption.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A snapshot could not be read or marked.
    #[error(transparent)]
    Root(#[from] RootError),
    /// Registering the writer of a repair failed.
    #[error(transparent)]
    Register(#[from] RegisterError),
    /// Storing a repaired block failed.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

impl VerifyError {
    /// See [`ErrorClass`].
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Cancelled => ErrorClass::Cancelled,
            Self::Request(_) => ErrorClass::Caller,
            Self::Trace(error) => error.class(),
            Self::Read(error) => error.class(),
            Self::Root(error) => error.class(),
            Self::Register(error) => error.class(),
            Self::Write(error) => error.class(),
            Self::Store(fault) => fault.class(),
        }
    }
}

/// What the last verification of one snapshot found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotCheck {
    /// The snapshot.
    pub root: RootId,
    /// When, wall clock.
    pub at: DateTime,
    /// What was read and what was bad; at most 1000 bad blocks are kept.
    pub report: VerifyReport,
}

impl SnapshotCheck {
    fn encode(&self) -> Document {
        let signed = |n| i64::try_from(n).unwrap_or(i64::MAX);
        let bad = self.report.bad.iter().take(BAD_KEPT_MAX).map(|bad| {
            let id = bad.id.map(BlockId::to_bson);
            Bson::Document(doc! { "path": &bad.path, "id": id, "reason": &bad.reason })
        });
        doc! {
            "_id": { "root": self.root.to_string() },
            "at": self.at,
            "files": signed(self.report.files),
            "blocks": signed(self.report.blocks),
            "bytes": signed(self.report.bytes),
            "badCount": signed(self.report.bad_count),
            "bad": bad.collect::<Vec<_>>(),
            "unread": signed(self.report.not_verified.blocks),
            "missingKeys": self.report.not_verified.keys.iter().map(|key| key.to_bson()).collect::<Vec<_>>(),
        }
    }

    fn decode(document: &Document) -> Option<Self> {
        let bad = |one: &Bson| {
            let one = one.as_document()?;
            Some(BadBlock {
                path: one.get_str("path").ok().map(str::to_owned),
                id: one.get_binary_generic("id").ok().and_then(|id| BlockId::from_slice(id)),
                reason: one.get_str("reason").ok()?.to_owned(),
            })
        };
        let key = |one: &Bson| match one {
            Bson::Binary(key) => KeyId::from_slice(&key.bytes),
            _ => None,
        };
        let keys = document.get_array("missingKeys").map(|keys| keys.iter().filter_map(key).collect()).unwrap_or_default();
        Some(Self {
            root: document.get_document("_id").ok()?.get_str("root").ok()?.parse().ok()?,
            at: *document.get_datetime("at").ok()?,
            report: VerifyReport {
                files: number(document, "files"),
                blocks: number(document, "blocks"),
                bytes: number(document, "bytes"),
                bad_count: number(document, "badCount"),
                bad: document.get_array("bad").ok()?.iter().filter_map(bad).collect(),
                not_verified: NotVerified { blocks: number(document, "unread"), keys },
            },
        })
    }
}

impl Blockstore {
    /// Reads every block of one snapshot from the database and verifies it. What is bad is quarantined, the snapshot (and others that need the
    /// same blocks) marked; a snapshot that is good again is unmarked. The result is kept.
    ///
    /// # Errors
    /// `Root(NotFound)`; `Read(NotVerified)` when nothing was found to be bad and a key is not here: nothing is marked, unmarked or kept then; a
    /// failing database. Corruption is in the result.
    pub async fn verify_snapshot(
        &self,
        id: &RootId,
        progress: OnProgress,
        cancel: CancellationToken,
    ) -> Result<SnapshotCheck, VerifyError> {
        let root = self.root(id).await?.ok_or(RootError::NotFound(*id))?;
        let reader = self.reader(root.clone());
        let report = tokio::select! {
            () = cancel.cancelled() => return Err(VerifyError::Cancelled),
            report = reader.verify(progress) => report?,
        };
        let check = SnapshotCheck { root: *id, at: DateTime::now(), report };
        let bad: HashSet<BlockId> = check.report.bad.iter().filter_map(|bad| bad.id).collect();
        if !bad.is_empty() {
            self.quarantine(&bad.iter().copied().collect::<Vec<_>>()).await?;
            let named = trace::snapshots_of(&self.engine, &bad, &cancel).await?;
            mark(self, named.needs.values().flatten().copied().collect()).await?;
            self.engine.store.set_named(&named.settled(&bad.into_iter().collect::<Vec<_>>())).await?;
        }
        let is_bad = check.report.bad_count > 0;
        if is_bad != root.quarantined {
            self.set_quarantined(id, is_bad).await?;
        }
        keep(&self.engine, check.encode()).await?;
        Ok(check)
    }

    /// Names the snapshots of bad blocks that nobody has named yet, and marks them. Whoever meets a bad block (a writer, a copy, a verification)
    /// only quarantines it, and may end before it asks who needs it: what it found is named here, by whoever comes next. At most 10000 are
    /// in the answer, all are named; but those that may belong to a snapshot whose key is not here, which wait for it.
    ///
    /// # Errors
    /// `Trace` when cancelled; a failing database.
    pub async fn name_bad_blocks(
        &self,
        cancel: &CancellationToken,
    ) -> Result<HashMap<BlockId, Vec<RootId>>, VerifyError> {
        let store = &self.engine.store;
        let mut all = HashMap::new();
        let mut after = None;
        loop {
            let ids = store.unnamed(after).await?;
            let Some(last) = ids.last() else { return Ok(all) };
            after = Some(*last);
            let mut named = trace::snapshots_of(&self.engine, &ids.iter().copied().collect(), cancel).await?;
            // Below a node that cannot be read nothing can be named: its snapshots count as touched.
            mark(self, named.needs.values().flatten().chain(&named.unreadable).copied().collect()).await?;
            // Last: an end before it names them again.
            let ids = named.settled(&ids);
            store.set_named(&ids).await?;
            for id in ids {
                if all.len() < BAD_NAMED_MAX {
                    all.insert(id, named.needs.remove(&id).unwrap_or_default());
                }
            }
        }
    }

    /// Whether [`Self::repair`] has something to do: a block is quarantined, or a snapshot still marked that may be whole again.
    ///
    /// # Errors
    /// A failing database.
    pub async fn needs_repair(&self) -> Result<bool, VerifyError> {
        if self.engine.store.has_quarantined().await? {
            return Ok(true);
        }
        Ok(self.all_roots().await?.iter().any(|root| root.quarantined && root.is_sealed()))
    }

    /// The last results of single snapshots, newest first.
    ///
    /// # Errors
    /// A failing database.
    pub async fn snapshot_checks(&self) -> Result<Vec<SnapshotCheck>, VerifyError> {
        let filter = doc! { "_id.root": { "$exists": true } };
        let checks = &self.engine.store.checks;
        let found: Result<Vec<Document>, StoreFault> = retrying!("reading results of verifications", async {
            checks.find(filter.clone()).sort(doc! { "at": -1 }).await?.try_collect().await
        });
        Ok(found?.iter().filter_map(SnapshotCheck::decode).collect())
    }

    /// The snapshots that need each of these blocks.
    ///
    /// # Errors
    /// A failing database.
    pub async fn snapshots_of(
        &self,
        blocks: &[BlockId],
        cancel: CancellationToken,
    ) -> Result<HashMap<BlockId, Vec<RootId>>, VerifyError> {
        let wanted = blocks.iter().copied().collect();
        Ok(trace::snapshots_of(&self.engine, &wanted, &cancel).await?.needs)
    }
}

/// Marks snapshots as touched by bad blocks; one that was unlinked meanwhile needs no mark.
async fn mark(store: &Blockstore, roots: BTreeSet<RootId>) -> Result<(), VerifyError> {
    for root in roots {
        match store.set_quarantined(&root, true).await {
            Ok(()) | Err(RootError::NotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

async fn keep(engine: &Arc<Engine>, result: Document) -> Result<(), StoreFault> {
    let filter = doc! { "_id": result.get("_id").cloned() };
    let checks = &engine.store.checks;
    retrying!("keeping the result of a verification", checks.replace_one(filter.clone(), &result).upsert(true))?;
    Ok(())
}
