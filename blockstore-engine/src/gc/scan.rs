//! Reading the index in the order of ids, in batches that can be repeated, and giving way to backups.
//!
//! Invariants: a batch is bounded ([`SCAN_ROWS`]); no cursor stays open between batches, so that a slow run holds nothing at the server.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bson::{Document, doc};
use tokio_util::sync::CancellationToken;

use super::CollectError;
use super::marks::{END, lowest};
use crate::engine::Engine;
use crate::error::StoreFault;
use crate::id::BlockId;
use crate::store::{BlockRow, Row};
use crate::txn::{Causal, retrying};

/// Rows of one batch: about 500 KB.
pub(crate) const SCAN_ROWS: i64 = 4096;
/// Longest pause for the sake of backups after one step.
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// How often a run asks whether there are writers.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// Rows whose prefixes lie in `[from, to)`, ascending.
pub(crate) struct RowScan {
    after: Option<BlockId>,
    from: BlockId,
    to: Option<BlockId>,
    ended: bool,
}

impl RowScan {
    pub(crate) fn new(from: u64, to: u128) -> Self {
        Self { after: None, from: lowest(from), to: u64::try_from(to).ok().map(lowest), ended: u128::from(from) >= to }
    }

    /// The next rows; empty at the end.
    pub(crate) async fn next(
        &mut self,
        engine: &Arc<Engine>,
        causal: &Causal,
    ) -> Result<Vec<(BlockId, Row)>, StoreFault> {
        if self.ended {
            return Ok(Vec::new());
        }
        let mut range = match self.after {
            None => doc! { "$gte": self.from.to_bson() },
            Some(after) => doc! { "$gt": after.to_bson() },
        };
        if let Some(to) = self.to {
            range.insert("$lt", to.to_bson());
        }
        let filter = doc! { "_id": range };
        let mut session = causal.session(engine.store.db.client()).await?;
        let rows: Result<Vec<_>, StoreFault> = retrying!("reading the index", async {
            let mut rows = Vec::new();
            let find = engine.store.blocks.find(filter.clone()).sort(doc! { "_id": 1 }).limit(SCAN_ROWS);
            let mut cursor = find.session(&mut session).await?;
            while cursor.advance(&mut session).await? {
                rows.extend(BlockRow::decode_any(cursor.current()));
            }
            Ok(rows)
        });
        let rows = rows?;
        match rows.last() {
            Some((id, _)) => self.after = Some(*id),
            None => self.ended = true,
        }
        Ok(rows)
    }
}

/// How far a scan is, in thousandths of the id space.
pub(crate) fn permille(id: BlockId) -> u16 {
    u16::try_from(u128::from(super::marks::prefix(id)) * 1000 / END).unwrap_or(1000)
}

/// Gives way to backups: while writers are registered, a run pauses after each step for a multiple of the time that the step took.
pub(crate) struct Pace {
    factor: u32,
    asked: Option<Instant>,
    is_busy: bool,
}

impl Pace {
    pub(crate) fn new(factor: u32) -> Self {
        Self { factor, asked: None, is_busy: false }
    }

    /// Call after each step with the time that it took.
    pub(crate) async fn give_way(
        &mut self,
        engine: &Arc<Engine>,
        took: Duration,
        cancel: &CancellationToken,
    ) -> Result<(), CollectError> {
        if cancel.is_cancelled() {
            return Err(CollectError::Cancelled);
        }
        if self.factor == 0 {
            return Ok(());
        }
        if self.asked.is_none_or(|asked| asked.elapsed() >= ASK_EVERY) {
            let writers = &engine.store.writers;
            let found: Option<Document> = retrying!("looking for writers", writers.find_one(doc! {}))?;
            self.is_busy = found.is_some();
            self.asked = Some(Instant::now());
        }
        if self.is_busy {
            tokio::select! {
                () = cancel.cancelled() => return Err(CollectError::Cancelled),
                () = tokio::time::sleep((took * self.factor).min(PAUSE_MAX)) => {}
            }
        }
        Ok(())
    }
}
