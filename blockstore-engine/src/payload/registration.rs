//! The registration under which payloads are rewritten: what makes their new copies safe from being swept before blocks name them.
//!
//! Invariants: as for a writer, every change of the index touches the registration in the same transaction, so that one that was deleted
//! changes nothing. It has no job and no parent; it relies on no block being kept, so its epoch follows `gc.epoch` at every beat and no run
//! of the collector waits for it for longer than a beat.

use std::sync::Arc;

use bson::{DateTime, doc};
use mongodb::ClientSession;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::engine::Engine;
use crate::error::{PayloadError, StoreFault};
use crate::id::{BlockId, PayloadAt, RootId};
use crate::txn::{Abort, Causal, retrying, transaction};
use crate::writer::BEAT_EVERY;

/// Places changed in one transaction: few, because a claim of one of the blocks meanwhile makes it start again.
const MOVES_AT_ONCE: usize = 256;

/// A block's payload at a new place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Move {
    pub(super) id: BlockId,
    pub(super) old: PayloadAt,
    pub(super) new: PayloadAt,
}

/// See the module.
pub(super) struct Registration {
    pub(super) id: RootId,
    engine: Arc<Engine>,
    gone: CancellationToken,
    beat: Option<AbortOnDropHandle<()>>,
}

impl Registration {
    pub(super) async fn new(engine: Arc<Engine>) -> Result<Self, PayloadError> {
        let id = RootId::random();
        let mut session = Causal::default().session(engine.store.db.client()).await?;
        let epoch = engine.store.epoch(&mut session).await?;
        let registration = doc! {
            "_id": id.to_string(), "job": "", "jobEpoch": 0_i64, "e": epoch, "parent": null, "beat": 0_i64,
            "since": DateTime::now(),
        };
        retrying!("registering a rewriter of payloads", async {
            match engine.store.writers.insert_one(&registration).await {
                // Our own, from an attempt whose answer was lost: the id is random.
                Err(error) if crate::txn::is_duplicate(&error) => Ok(()),
                other => other.map(|_| ()),
            }
        })?;
        let gone = CancellationToken::new();
        let beat = AbortOnDropHandle::new(tokio::spawn(keep_beating(engine.clone(), id, gone.clone())));
        Ok(Self { id, engine, gone, beat: Some(beat) })
    }

    /// Whether the registration was seen to be gone.
    pub(super) fn is_gone(&self) -> bool {
        self.gone.is_cancelled()
    }

    /// Lets blocks name their new places, where they still name the old ones.
    pub(super) async fn apply(&self, session: &mut ClientSession, moves: &[Move]) -> Result<(), PayloadError> {
        for moves in moves.chunks(MOVES_AT_ONCE) {
            let updates: Vec<_> = moves
                .iter()
                .map(|one| {
                    doc! {
                        "q": { "_id": one.id.to_bson(), "at": one.old.to_bson() },
                        "u": { "$set": { "at": one.new.to_bson() } },
                    }
                })
                .collect();
            let store = &self.engine.store;
            let applied: Result<(), PayloadError> = transaction!(&mut *session, "setting new places", PayloadError, {
                let touched = store
                    .writers
                    .update_one(doc! { "_id": self.id.to_string() }, doc! { "$inc": { "beat": 1_i64 } })
                    .session(&mut *session)
                    .await?;
                if touched.matched_count != 1 {
                    return Err(Abort::Refused(PayloadError::Gone));
                }
                let command = doc! { "update": store.blocks.name(), "updates": updates.clone(), "ordered": false };
                let answer = store.db.run_command(command).session(&mut *session).await?;
                if answer.contains_key("writeErrors") {
                    return Err(Abort::Driver(mongodb::error::Error::custom("places could not be set")));
                }
                Ok(())
            });
            if matches!(applied, Err(PayloadError::Gone)) {
                self.gone.cancel();
            }
            applied?;
        }
        Ok(())
    }

    /// Deletes the registration: new copies that no block names are garbage from now on.
    pub(super) async fn end(mut self) -> Result<(), StoreFault> {
        self.beat = None;
        delete(&self.engine, self.id).await
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // Best effort: what stays is deleted when it expires.
        if let (Some(_), Ok(runtime)) = (self.beat.take(), tokio::runtime::Handle::try_current()) {
            let (engine, id) = (self.engine.clone(), self.id);
            runtime.spawn(async move {
                if let Err(error) = delete(&engine, id).await {
                    tracing::debug!(%error, rewriter = %id, "the registration of a dropped rewriter stays");
                }
            });
        }
    }
}

async fn delete(engine: &Engine, id: RootId) -> Result<(), StoreFault> {
    let filter = doc! { "_id": id.to_string() };
    retrying!("deleting a rewriter's registration", engine.store.writers.delete_one(filter.clone())).map(|_| ())
}

async fn keep_beating(engine: Arc<Engine>, id: RootId, gone: CancellationToken) {
    loop {
        tokio::time::sleep(BEAT_EVERY).await;
        let beat = async {
            let mut session = Causal::default().session(engine.store.db.client()).await?;
            let epoch = engine.store.epoch(&mut session).await?;
            let update = doc! { "$inc": { "beat": 1_i64 }, "$max": { "e": epoch } };
            let beaten = engine.store.writers.update_one(doc! { "_id": id.to_string() }, update).await;
            beaten.map_err(|source| StoreFault { action: "renewing a registration", source })
        };
        match beat.await {
            Ok(result) if result.matched_count == 0 => {
                tracing::info!(rewriter = %id, "the registration is gone: rewriting ends");
                gone.cancel();
                return;
            }
            Ok(_) => {}
            // The next beat tries again; what writes finds out by itself.
            Err(error) => tracing::debug!(%error, rewriter = %id, "a beat failed"),
        }
    }
}
