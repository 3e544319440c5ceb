//! Keeping snapshots: listing, pins, labels, the trash.
//!
//! Invariants: a pin needs its root outside the trash and its resume point not below the job's floor; trashing needs no live pin and the
//! caller's rule, asked about the roots that would stay outside the trash; both run under the job's guard. Roots leave `roots` only in a
//! run of the garbage collector. A root that does not fit its seal is shown as quarantined and is never read from.

use bson::{DateTime, Document, doc};
use futures::TryStreamExt;
use mongodb::ClientSession;

use crate::engine::Blockstore;
use crate::error::{RootError, StoreFault};
use crate::guards::{ensure_guard, touch_guard};
use crate::id::RootId;
use crate::root::{NAME_BYTES_MAX, PINS_MAX, Pin, Root};
use crate::store::Store;
use crate::txn::{Abort, Causal, retrying, transaction};

/// The caller's condition on the roots of one job that are (or would stay) outside the trash, sorted by commit. `Err` says why not.
/// It may be asked more than once.
pub type Rule<'a> = dyn Fn(&[Root]) -> Result<(), String> + Send + Sync + 'a;

/// The first holder that needs this root now.
pub(crate) fn first_live_pin(root: &Root) -> Option<(RootId, String)> {
    let now = DateTime::now();
    root.pins.iter().find(|pin| pin.is_live(now)).map(|pin| (root.id, pin.by.clone()))
}

/// The first holder that needs the slices after this root now.
pub(crate) fn first_slices_pin(root: &Root) -> Option<(RootId, String)> {
    let now = DateTime::now();
    root.pins.iter().find(|pin| pin.is_live(now) && pin.holds_slices()).map(|pin| (root.id, pin.by.clone()))
}

/// A stored root; one that does not fit its seal comes back as quarantined.
fn decode(document: Document) -> Result<Root, RootError> {
    let mut root: Root = bson::deserialize_from_document(document).map_err(|_| RootError::BadDocument("roots"))?;
    root.quarantined |= !root.is_sealed();
    Ok(root)
}

/// Inside a transaction: the job's roots outside the trash, sorted by commit.
pub(crate) async fn outside_trash(
    store: &Store,
    session: &mut ClientSession,
    job: &str,
) -> Result<Vec<Root>, Abort<RootError>> {
    let mut roots = Vec::new();
    let find = store.roots.find(doc! { "job": job, "trashedAt": null }).sort(doc! { "committedAt": 1, "_id": 1 });
    let mut cursor = find.session(&mut *session).await?;
    while cursor.advance(&mut *session).await? {
        roots.push(decode(cursor.deserialize_current()?).map_err(Abort::Refused)?);
    }
    Ok(roots)
}

impl Blockstore {
    /// All snapshots of a job, those in the trash included, sorted by commit.
    ///
    /// # Errors
    /// `BadDocument` when one does not decode; a failing database.
    pub async fn roots(&self, job: &str) -> Result<Vec<Root>, RootError> {
        self.find_roots(doc! { "job": job }).await
    }

    /// All snapshots of all jobs, sorted by commit.
    ///
    /// # Errors
    /// As [`Self::roots`].
    pub async fn all_roots(&self) -> Result<Vec<Root>, RootError> {
        self.find_roots(doc! {}).await
    }

    /// One snapshot.
    ///
    /// # Errors
    /// As [`Self::roots`].
    pub async fn root(&self, id: &RootId) -> Result<Option<Root>, RootError> {
        Ok(self.find_roots(doc! { "_id": id.to_string() }).await?.pop())
    }

    async fn find_roots(&self, filter: Document) -> Result<Vec<Root>, RootError> {
        let roots = &self.engine.store.roots;
        let found: Result<Vec<Document>, StoreFault> = retrying!("reading roots", async {
            roots.find(filter.clone()).sort(doc! { "committedAt": 1, "_id": 1 }).await?.try_collect().await
        });
        found?.into_iter().map(decode).collect()
    }

    /// Pins a snapshot; a pin of the same holder is replaced. Holders that need the files alone: [`crate::COPY_PIN`].
    ///
    /// # Errors
    /// `NotFound`, `InTrash`, `BelowFloor` (not for those), `Request` (too many pins, a name too long).
    pub async fn pin(&self, id: &RootId, pin: Pin) -> Result<(), RootError> {
        if pin.by.is_empty() || pin.by.len() > NAME_BYTES_MAX {
            return Err(RootError::Request("the holder's name must have 1 to 1024 bytes"));
        }
        let (store, root) = self.guarded(id).await?;
        let mut session = Causal::default().session(store.db.client()).await?;
        let session = &mut session;
        transaction!(&mut *session, "pinning a snapshot", RootError, {
            let guard = touch_guard(store, session, &root.job).await?;
            let root = read(store, session, id).await?;
            if root.trashed_at.is_some() {
                return Err(Abort::Refused(RootError::InTrash(*id)));
            }
            if pin.holds_slices() && guard.is_above(root.resume, root.purpose) {
                return Err(Abort::Refused(RootError::BelowFloor(*id)));
            }
            let now = DateTime::now();
            let mut pins: Vec<Pin> =
                root.pins.into_iter().filter(|other| other.by != pin.by && other.is_live(now)).collect();
            pins.push(pin.clone());
            if pins.len() > PINS_MAX {
                return Err(Abort::Refused(RootError::Request("too many pins on one snapshot")));
            }
            let pins = bson::serialize_to_bson(&pins)
                .map_err(|_| Abort::Refused(RootError::Request("a pin does not encode")))?;
            store
                .roots
                .update_one(doc! { "_id": id.to_string() }, doc! { "$set": { "pins": pins } })
                .session(&mut *session)
                .await?;
            Ok(())
        })
    }

    /// Takes a holder's pin away; nothing happens when there is none.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn unpin(&self, id: &RootId, by: &str) -> Result<(), RootError> {
        self.update(id, doc! { "$pull": { "pins": { "by": by } } }).await
    }

    /// Names a snapshot, or takes its name away.
    ///
    /// # Errors
    /// `NotFound`, `Request` when the label is too long.
    pub async fn set_label(&self, id: &RootId, label: Option<String>) -> Result<(), RootError> {
        if label.as_ref().is_some_and(|label| label.len() > NAME_BYTES_MAX) {
            return Err(RootError::Request("a label must have at most 1024 bytes"));
        }
        self.update(id, doc! { "$set": { "label": label } }).await
    }

    /// Marks a snapshot as touched by bad blocks, or as good again.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn set_quarantined(&self, id: &RootId, quarantined: bool) -> Result<(), RootError> {
        self.update(id, doc! { "$set": { "quarantined": quarantined } }).await
    }

    /// Moves a snapshot to the trash. `rule` is asked inside the transaction with the job's roots that would stay outside. Idempotent.
    ///
    /// # Errors
    /// `NotFound`, `Pinned`, `Rule`.
    pub async fn trash(&self, id: &RootId, rule: &Rule<'_>) -> Result<(), RootError> {
        let (store, root) = self.guarded(id).await?;
        let mut session = Causal::default().session(store.db.client()).await?;
        let session = &mut session;
        transaction!(&mut *session, "trashing a snapshot", RootError, {
            touch_guard(store, session, &root.job).await?;
            let root = read(store, session, id).await?;
            if root.trashed_at.is_some() {
                return Ok(());
            }
            if let Some((id, by)) = first_live_pin(&root) {
                return Err(Abort::Refused(RootError::Pinned { id, by }));
            }
            let mut rest = outside_trash(store, session, &root.job).await?;
            rest.retain(|other| other.id != *id);
            rule(&rest).map_err(|reason| Abort::Refused(RootError::Rule(reason)))?;
            store
                .roots
                .update_one(doc! { "_id": id.to_string() }, doc! { "$set": { "trashedAt": DateTime::now() } })
                .session(&mut *session)
                .await?;
            Ok(())
        })
    }

    /// Takes a snapshot out of the trash. Idempotent.
    ///
    /// # Errors
    /// `NotFound`: a run of the garbage collector may have removed it.
    pub async fn untrash(&self, id: &RootId) -> Result<(), RootError> {
        let (store, root) = self.guarded(id).await?;
        let mut session = Causal::default().session(store.db.client()).await?;
        let session = &mut session;
        transaction!(&mut *session, "taking a snapshot out of the trash", RootError, {
            touch_guard(store, session, &root.job).await?;
            read(store, session, id).await?;
            store
                .roots
                .update_one(doc! { "_id": id.to_string() }, doc! { "$set": { "trashedAt": null } })
                .session(&mut *session)
                .await?;
            Ok(())
        })
    }

    /// The root (for its job) with a guard that exists.
    async fn guarded(&self, id: &RootId) -> Result<(&Store, Root), RootError> {
        let root = self.root(id).await?.ok_or(RootError::NotFound(*id))?;
        ensure_guard(&self.engine.store, &root.job).await?;
        Ok((&self.engine.store, root))
    }

    async fn update(&self, id: &RootId, update: Document) -> Result<(), RootError> {
        let updated = retrying!(
            "updating a root",
            self.engine.store.roots.update_one(doc! { "_id": id.to_string() }, update.clone())
        )?;
        if updated.matched_count == 0 { Err(RootError::NotFound(*id)) } else { Ok(()) }
    }
}

async fn read(store: &Store, session: &mut ClientSession, id: &RootId) -> Result<Root, Abort<RootError>> {
    let found = store.roots.find_one(doc! { "_id": id.to_string() }).session(session).await?;
    decode(found.ok_or(Abort::Refused(RootError::NotFound(*id)))?).map_err(Abort::Refused)
}
