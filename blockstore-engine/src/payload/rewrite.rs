//! Copies live payloads to new places: what moving to another store and compacting packs have in common.
//!
//! Invariants: the new copy is durable before its block names it; a block gets the new place only if it still names the old one; an old
//! document goes only when the block names the new copy (old packs go by `sweep.rs`, when no block names them). Nothing is opened or
//! recompressed: frames stay as they are, so no download notices. At most one pack (or [`BATCH_BYTES`] of documents) is in memory.

use std::sync::Arc;

use bson::{RawDocumentBuf, doc};
use mongodb::ClientSession;

use super::format::{PackBuilder, PackId};
use super::packs::PackStore;
use super::registration::{Move, Registration};
use super::{PayloadStore, encode_document};
use crate::engine::Engine;
use crate::error::PayloadError;
use crate::frame::{Sealed, Unreadable};
use crate::id::{PACKS_MAX, PayloadAt, Place, RootId};
use crate::store::{BlockRow, LOOKUP_IDS_MAX, Row};
use crate::txn::{is_duplicate, retrying};

/// Bytes of documents inserted at a time.
const BATCH_BYTES: usize = 8 << 20;

/// Where copies go.
enum Target {
    Database { documents: Vec<RawDocumentBuf>, bytes: usize, next: u64 },
    Packs { store: Arc<PackStore>, open: Option<PackBuilder>, next: u32 },
}

/// What a rewriter did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Rewritten {
    pub(super) blocks: u64,
    /// Bytes of their frames.
    pub(super) bytes: u64,
    /// Payloads that were not copied because they are bad.
    pub(super) bad: u64,
}

/// See the module.
pub(super) struct Rewriter {
    engine: Arc<Engine>,
    registration: Registration,
    target: Target,
    moves: Vec<(Move, u32)>,
    pub(super) done: Rewritten,
}

impl Rewriter {
    pub(super) async fn new(engine: Arc<Engine>, to: PayloadStore) -> Result<Self, PayloadError> {
        let target = match to {
            PayloadStore::Mongo => Target::Database { documents: Vec::new(), bytes: 0, next: 0 },
            PayloadStore::Packs(number) => {
                let store = engine.payloads.packs(number)?;
                Target::Packs { store, open: None, next: 0 }
            }
        };
        let registration = Registration::new(engine.clone()).await?;
        Ok(Self { engine, registration, target, moves: Vec::new(), done: Rewritten::default() })
    }

    /// Takes a payload that the block names; copies that are bad are counted and left where they are.
    pub(super) async fn push(
        &mut self,
        session: &mut ClientSession,
        old: PayloadAt,
        row: &BlockRow,
        sealed: Result<Sealed, &'static str>,
    ) -> Result<(), PayloadError> {
        let fits = |sealed: &Sealed| {
            (sealed.raw_len, sealed.frame_len) == (row.raw_len, row.frame_len)
                && sealed.body.len() as u64 == Sealed::body_len(sealed.frame_len, sealed.key)
                // Without the key it moves as it is; whoever has the key finds out what it is worth.
                && !matches!(sealed.frame(&self.engine.options.keys), Err(Unreadable::Bad(_)))
        };
        let Some(sealed) = sealed.ok().filter(fits) else {
            self.done.bad += 1;
            return Ok(());
        };
        if self.registration.is_gone() {
            return Err(PayloadError::Gone);
        }
        let writer = self.registration.id;
        let (new, is_full) = self.target.push(writer, &sealed)?;
        self.moves.push((Move { id: sealed.id, old, new }, sealed.frame_len));
        if is_full { self.flush(session).await } else { Ok(()) }
    }

    /// Makes the copies durable, lets the blocks name them, deletes old documents.
    pub(super) async fn flush(&mut self, session: &mut ClientSession) -> Result<(), PayloadError> {
        let moves = std::mem::take(&mut self.moves);
        if moves.is_empty() {
            return Ok(());
        }
        self.target.store(&self.engine, session).await?;
        let only: Vec<_> = moves.iter().map(|(one, _)| *one).collect();
        self.registration.apply(session, &only).await?;
        let mut old = Vec::new();
        for part in moves.chunks(LOOKUP_IDS_MAX) {
            let ids: Vec<_> = part.iter().map(|(one, _)| one.id).collect();
            let rows = self.engine.store.rows(session, &ids).await?;
            for (one, frame_len) in part {
                // Where the block is gone or was stored anew meanwhile, the copy is garbage of ours.
                if matches!(rows.get(&one.id), Some(Row::Good(row)) if row.at == one.new) {
                    self.done.blocks += 1;
                    self.done.bytes += u64::from(*frame_len);
                    old.extend((one.old.place() == Place::Database).then(|| one.old.to_bson()));
                }
            }
        }
        for old in old.chunks(LOOKUP_IDS_MAX) {
            let filter = doc! { "_id": { "$in": old } };
            retrying!("deleting old copies", self.engine.store.payloads.delete_many(filter.clone()))?;
        }
        Ok(())
    }

    /// Everything pushed is at its new place; the registration goes.
    pub(super) async fn end(mut self, session: &mut ClientSession) -> Result<Rewritten, PayloadError> {
        self.flush(session).await?;
        self.registration.end().await?;
        Ok(self.done)
    }
}

impl Target {
    /// The place of the copy, and whether it is time to store what was gathered.
    fn push(&mut self, writer: RootId, sealed: &Sealed) -> Result<(PayloadAt, bool), PayloadError> {
        match self {
            Self::Database { documents, bytes, next } => {
                let at = PayloadAt { writer, number: *next };
                *next += 1;
                let document = encode_document(at, sealed);
                *bytes += document.as_bytes().len();
                documents.push(document);
                Ok((at, *bytes >= BATCH_BYTES))
            }
            Self::Packs { store, open, next } => {
                let builder = open.get_or_insert_with(|| {
                    let number = *next;
                    *next += 1;
                    PackBuilder::new(PackId { writer, number })
                });
                if builder.id().number >= PACKS_MAX {
                    return Err(PayloadError::Internal("a rewriter has used up the numbers of its packs"));
                }
                let at =
                    builder.push(store.number, sealed).ok_or(PayloadError::Internal("a block does not fit a pack"))?;
                Ok((at, builder.len() >= store.pack_bytes))
            }
        }
    }

    async fn store(&mut self, engine: &Engine, session: &mut ClientSession) -> Result<(), PayloadError> {
        match self {
            Self::Database { documents, bytes, .. } => {
                let documents = std::mem::take(documents);
                *bytes = 0;
                retrying!("inserting payloads", async {
                    match engine.store.payloads.insert_many(&documents).ordered(false).session(&mut *session).await {
                        Err(error) if is_duplicate(&error) => Ok(()),
                        other => other.map(|_| ()),
                    }
                })?;
            }
            Self::Packs { store, open, .. } => {
                if let Some(builder) = open.take() {
                    let path = builder.id().path();
                    let pack = engine.workers.run(move || builder.finish()).await;
                    store.put(&path, pack.map_err(|_| PayloadError::Internal("a worker thread ended early"))?).await?;
                }
            }
        }
        Ok(())
    }
}
