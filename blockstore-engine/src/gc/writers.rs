//! What a run does about writers: moves the epoch on, waits for those of an older one, deletes registrations that stopped to beat.
//!
//! Invariants: a registration is deleted only when its beat stood still for the given time by this process's monotonic clock, and only while
//! it still has that beat; it is never just ignored. When this returns, no registration has an older epoch, and writers and roots
//! were read at one cluster time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bson::{DateTime, Document, doc};
use mongodb::options::ReturnDocument;
use tokio_util::sync::CancellationToken;

use super::CollectError;
use crate::engine::Engine;
use crate::error::{RootError, StoreFault};
use crate::id::RootId;
use crate::root::Root;
use crate::store::{GC_ID, Store};
use crate::txn::{Abort, Causal, retrying, transaction};

/// How often a waiting run looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Moves the epoch on; the new one.
pub(crate) async fn move_epoch(store: &Store, causal: &Causal) -> Result<i64, CollectError> {
    let mut session = causal.session(store.db.client()).await?;
    let update = doc! { "$inc": { "epoch": 1_i64 } };
    // Moved twice when an answer is lost: it only counts.
    let moved = retrying!(
        "moving the epoch on",
        store
            .gc
            .find_one_and_update(doc! { "_id": GC_ID }, update.clone())
            .return_document(ReturnDocument::After)
            .session(&mut session)
    )?;
    causal.note(&session);
    moved.and_then(|doc| doc.get_i64("epoch").ok()).ok_or(CollectError::Internal("gc.epoch is missing"))
}

/// A registration, as far as a run needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Writer {
    pub(crate) id: String,
    pub(crate) epoch: i64,
    pub(crate) beat: i64,
    pub(crate) parent: Option<String>,
}

impl Writer {
    fn decode(document: &Document) -> Option<Self> {
        Some(Self {
            id: document.get_str("_id").ok()?.to_owned(),
            epoch: document.get_i64("e").ok()?,
            beat: document.get_i64("beat").ok()?,
            parent: document.get_str("parent").ok().map(str::to_owned),
        })
    }
}

/// Watches registrations and tells which stopped to beat.
pub(crate) struct Watch {
    seen: HashMap<String, (i64, Instant)>,
    expire_after: Duration,
}

impl Watch {
    pub(crate) fn new(expire_after: Duration) -> Self {
        Self { seen: HashMap::new(), expire_after }
    }

    fn has_expired(&mut self, writer: &Writer) -> bool {
        let now = Instant::now();
        let seen = self.seen.entry(writer.id.clone()).or_insert((writer.beat, now));
        if seen.0 != writer.beat {
            *seen = (writer.beat, now);
        }
        now.duration_since(seen.1) >= self.expire_after
    }
}

/// Waits until no registration is older than `epoch`; `waiting` is told for how many.
pub(crate) async fn wait_for_older(
    engine: &Arc<Engine>,
    causal: &Causal,
    epoch: i64,
    watch: &mut Watch,
    cancel: &CancellationToken,
    waiting: &(dyn Fn(u64) + Sync),
) -> Result<(), CollectError> {
    loop {
        if cancel.is_cancelled() {
            return Err(CollectError::Cancelled);
        }
        let store = &engine.store;
        let mut session = causal.session(store.db.client()).await?;
        let older = read_writers(store, &mut session, doc! { "e": { "$lt": epoch } }).await?;
        causal.note(&session);
        waiting(older.len() as u64);
        if older.is_empty() {
            return Ok(());
        }
        for writer in older.iter().filter(|writer| watch.has_expired(writer)).collect::<Vec<_>>() {
            let filter = doc! { "_id": &writer.id, "beat": writer.beat };
            let deleted = retrying!(
                "deleting an expired registration",
                store.writers.delete_one(filter.clone()).session(&mut session)
            )?;
            if deleted.deleted_count == 1 {
                tracing::warn!(writer = writer.id, "a writer stopped to beat: its registration was deleted");
            }
            causal.note(&session);
        }
        tokio::select! {
            () = cancel.cancelled() => return Err(CollectError::Cancelled),
            () = tokio::time::sleep(LOOK_EVERY.min(watch.expire_after / 2)) => {}
        }
    }
}

async fn read_writers(
    store: &Store,
    session: &mut mongodb::ClientSession,
    filter: Document,
) -> Result<Vec<Writer>, CollectError> {
    let found: Result<Vec<Document>, StoreFault> = retrying!("reading registrations", async {
        let mut found = Vec::new();
        let mut cursor = store.writers.find(filter.clone()).session(&mut *session).await?;
        while cursor.advance(&mut *session).await? {
            found.push(cursor.deserialize_current()?);
        }
        Ok(found)
    });
    let decode = |doc: &Document| Writer::decode(doc).ok_or(CollectError::Root(RootError::BadDocument("writers")));
    found?.iter().map(decode).collect()
}

/// Writers that are registered now.
pub(crate) async fn registered(engine: &Arc<Engine>, causal: &Causal) -> Result<Vec<Writer>, CollectError> {
    let mut session = causal.session(engine.store.db.client()).await?;
    let found = read_writers(&engine.store, &mut session, doc! {}).await?;
    causal.note(&session);
    Ok(found)
}

/// A root, as far as a run needs it.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) id: RootId,
    pub(crate) job: String,
    pub(crate) committed_at: DateTime,
    pub(crate) tree: crate::id::BlockId,
    pub(crate) logical_bytes: u64,
    pub(crate) trashed_at: Option<DateTime>,
    pub(crate) is_pinned: bool,
    pub(crate) is_sealed: bool,
}

/// Roots and writers at one cluster time, roots sorted by job and commit.
pub(crate) async fn roots_and_writers(
    engine: &Arc<Engine>,
    causal: &Causal,
) -> Result<(Vec<Found>, Vec<Writer>), CollectError> {
    let store = &engine.store;
    let mut session = causal.session(store.db.client()).await?;
    let session = &mut session;
    let read: Result<_, CollectError> = transaction!(&mut *session, "reading roots and writers", CollectError, {
        let (mut roots, mut writers) = (Vec::new(), Vec::new());
        let mut cursor =
            store.roots.find(doc! {}).sort(doc! { "job": 1, "committedAt": 1 }).session(&mut *session).await?;
        let now = DateTime::now();
        while cursor.advance(&mut *session).await? {
            let root: Root = bson::deserialize_from_slice(cursor.current().as_bytes())
                .map_err(|_| Abort::Refused(CollectError::Root(RootError::BadDocument("roots"))))?;
            roots.push(Found {
                id: root.id,
                is_sealed: root.is_sealed(),
                is_pinned: root.is_pinned(now),
                committed_at: root.committed_at,
                tree: root.tree,
                logical_bytes: root.logical_bytes,
                trashed_at: root.trashed_at,
                job: root.job,
            });
        }
        let mut cursor = store.writers.find(doc! {}).session(&mut *session).await?;
        while cursor.advance(&mut *session).await? {
            let writer = Writer::decode(&cursor.deserialize_current()?);
            writers.push(writer.ok_or(Abort::Refused(CollectError::Root(RootError::BadDocument("writers"))))?);
        }
        Ok((roots, writers))
    });
    causal.note(session);
    read
}
