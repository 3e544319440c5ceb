//! Moves the payloads of one store to another while backups run.
//!
//! Invariants: as in `rewrite.rs` and `sweep.rs`. Payloads of writers that still live stay for another call, so that a writer's own proof
//! finds what it wrote. Idempotent and resumable: what was moved is not met again.

use std::collections::HashSet;

use bson::{RawDocumentBuf, doc};
use tokio_util::sync::CancellationToken;

use super::rewrite::Rewriter;
use super::sweep::{Plan, live_writers, sweep};
use super::{PayloadStore, decode_document};
use crate::engine::Blockstore;
use crate::error::{PayloadError, StoreFault};
use crate::id::{BlockId, PayloadAt};
use crate::progress::{OnProgress, Progress};
use crate::store::Row;
use crate::txn::{Causal, retrying};

/// Documents read at a time: 8 MiB of blocks of the default size.
const BATCH: i64 = 128;
/// Packs of which at most this share is named: all.
const ALL_PERCENT: u8 = 100;

/// From where to where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MoveRequest {
    /// What shall be emptied. New payloads must not go there any more (`EngineOptions::write_to` of every process that writes).
    pub from: PayloadStore,
    /// What shall take all of it.
    pub to: PayloadStore,
}

/// What was moved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MoveReport {
    /// Payloads moved. Those of packs are not counted, only their bytes.
    pub blocks: u64,
    /// Bytes of their frames.
    pub bytes: u64,
    /// Payloads (packs, where they come from packs) left because their writers still live: call again later.
    pub busy: u64,
    /// Payloads left because no block names them: garbage, for the collector.
    pub unnamed: u64,
    /// Payloads (and packs) left because they are bad: for verification.
    pub bad: u64,
}

impl MoveReport {
    /// Whether nothing that a block names was left.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.busy == 0 && self.bad == 0
    }
}

impl Blockstore {
    /// Moves payloads, beside writers, readers and runs of the collector. The target also gets copies of the roots, if it is a pack store.
    ///
    /// # Errors
    /// `NoStore`, `Request` (the same store twice), `Cancelled`, `Gone`, a failing database or pack store. What was moved stays moved.
    pub async fn move_payloads(
        &self,
        request: MoveRequest,
        progress: OnProgress,
        cancel: CancellationToken,
    ) -> Result<MoveReport, PayloadError> {
        if request.from == request.to {
            return Err(PayloadError::Request("payloads cannot be moved to where they are"));
        }
        let report = match request.from {
            PayloadStore::Mongo => self.move_documents(request.to, &progress, &cancel).await?,
            PayloadStore::Packs(number) => {
                let store = self.engine.payloads.packs(number)?;
                let plan = Plan { to: request.to, below_percent: ALL_PERCENT, dry_run: false };
                let swept = sweep(&self.engine, &store, &plan, &progress, &cancel).await?;
                MoveReport {
                    bytes: swept.copied_bytes,
                    busy: swept.busy_packs,
                    bad: swept.bad_blocks + swept.bad_packs.len() as u64,
                    ..MoveReport::default()
                }
            }
        };
        if let PayloadStore::Packs(number) = request.to {
            self.mirror_roots(number).await?;
        }
        Ok(report)
    }

    async fn move_documents(
        &self,
        to: PayloadStore,
        progress: &OnProgress,
        cancel: &CancellationToken,
    ) -> Result<MoveReport, PayloadError> {
        let store = &self.engine.store;
        let causal = Causal::default();
        let mut session = causal.session(store.db.client()).await?;
        let session = &mut session;
        let mut report = MoveReport::default();
        let mut rewriter = Rewriter::new(self.engine.clone(), to).await?;
        let mut after: Option<PayloadAt> = None;
        loop {
            if cancel.is_cancelled() {
                return Err(PayloadError::Cancelled);
            }
            // In the order of writing, which is the order on disk.
            let filter = after.map_or(doc! {}, |after| doc! { "_id": { "$gt": after.to_bson() } });
            let batch: Result<Vec<RawDocumentBuf>, StoreFault> = retrying!("reading payloads to move", async {
                let mut batch = Vec::new();
                let find = store.payloads.find(filter.clone()).sort(doc! { "_id": 1 }).limit(BATCH);
                let mut cursor = find.session(&mut *session).await?;
                while cursor.advance(&mut *session).await? {
                    batch.push(cursor.current().to_owned());
                }
                Ok(batch)
            });
            let place = |raw: &RawDocumentBuf| PayloadAt::from_slice(raw.get_binary("_id").ok()?.bytes);
            let batch = batch?;
            let Some(last) = batch.last().and_then(place) else { break };
            after = Some(last);
            let named: Vec<_> = batch
                .iter()
                .filter_map(|raw| Some((place(raw)?, BlockId::from_slice(raw.get_binary("i").ok()?.bytes)?, raw)))
                .collect();
            report.bad += (batch.len() - named.len()) as u64;
            let writers: HashSet<_> = named.iter().map(|(at, ..)| at.writer).collect();
            let live = live_writers(&self.engine, session, &writers.into_iter().collect::<Vec<_>>()).await?;
            let ids: HashSet<_> = named.iter().map(|(_, id, _)| *id).collect();
            let rows = store.rows(session, &ids.into_iter().collect::<Vec<_>>()).await?;
            for (at, id, raw) in named {
                match rows.get(&id) {
                    _ if live.contains(&at.writer) => report.busy += 1,
                    Some(Row::Good(row)) if row.at == at => {
                        let sealed = decode_document(raw, row.raw_len, row.frame_len);
                        rewriter.push(session, at, row, sealed).await?;
                    }
                    Some(Row::Broken { .. }) => report.bad += 1,
                    _ => report.unnamed += 1,
                }
            }
            progress(Progress { bytes: rewriter.done.bytes, ..Progress::default() });
        }
        let done = rewriter.end(session).await?;
        report.blocks = done.blocks;
        report.bytes = done.bytes;
        report.bad += done.bad;
        Ok(report)
    }
}
