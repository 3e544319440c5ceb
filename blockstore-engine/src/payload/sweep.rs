//! Frees packs: deletes those that no block names, and compacts those of which little is still named.
//!
//! Invariants: only packs whose registration is gone are touched, and that is established before the blocks are looked up: from then on
//! they can only become fewer. A pack is deleted when none of its places is named by a block, read after its registration was gone. A pack
//! that cannot be read is never deleted: blocks may name it.

use std::collections::HashSet;
use std::sync::Arc;

use bson::doc;
use mongodb::ClientSession;
use tokio_util::sync::CancellationToken;

use super::PayloadStore;
use super::format::{Entry, PACKS};
use super::packs::{Listed, PackStore, ReadFault};
use super::rewrite::Rewriter;
use crate::engine::{Blockstore, Engine};
use crate::error::{PayloadError, StoreFault};
use crate::id::{PayloadAt, RootId, StoreNumber};
use crate::progress::{OnProgress, Progress};
use crate::store::{BlockRow, LOOKUP_IDS_MAX, Row};
use crate::txn::{Causal, retrying};

/// Packs that are about to go, at most, before their copies are stored and they are looked at again.
const EMPTIED_MAX: usize = 64;
/// Names of bad packs in a report, at most.
const BAD_PACKS_MAX: usize = 1000;

/// What to sweep.
#[derive(Debug, Clone, Copy)]
pub struct SweepRequest {
    /// Which store.
    pub store: StoreNumber,
    /// Packs of which at most this share of bytes is still named are compacted, 0 to 100. 0: none is.
    pub compact_below_percent: u8,
    /// Only says what would be done.
    pub dry_run: bool,
}

/// What a sweep found and did (in a dry run: would have done).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SweepReport {
    /// Packs looked at.
    pub packs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Packs of writers that still live: left alone.
    pub busy_packs: u64,
    /// Packs deleted, those that were compacted included.
    pub deleted_packs: u64,
    /// Their bytes.
    pub deleted_bytes: u64,
    /// Frame bytes that were copied out of compacted packs.
    pub copied_bytes: u64,
    /// Bytes that no block names, in packs that stay.
    pub dead_bytes: u64,
    /// Bad payloads met while copying: their packs stay.
    pub bad_blocks: u64,
    /// Packs that cannot be read, up to 1000 of them, and why: they stay.
    pub bad_packs: Vec<(String, &'static str)>,
}

impl SweepReport {
    fn bad(&mut self, pack: Listed, reason: &'static str) {
        if self.bad_packs.len() < BAD_PACKS_MAX {
            self.bad_packs.push((pack.id.path().to_string(), reason));
        }
    }
}

/// Who does what with the live payloads of packs.
pub(super) struct Plan {
    pub(super) to: PayloadStore,
    pub(super) below_percent: u8,
    pub(super) dry_run: bool,
}

impl Blockstore {
    /// Frees packs whose writers are gone, beside writers, readers and runs of the collector. Called after blocks were deleted. Idempotent;
    /// what it did so far stays when it is cancelled.
    ///
    /// # Errors
    /// `NoStore`, `Cancelled`, `Gone`, a failing database or pack store.
    pub async fn sweep_packs(
        &self,
        request: SweepRequest,
        cancel: CancellationToken,
    ) -> Result<SweepReport, PayloadError> {
        if request.compact_below_percent > 100 {
            return Err(PayloadError::Request("a share above 100 percent"));
        }
        let store = self.engine.payloads.packs(request.store)?;
        let plan = Plan {
            to: PayloadStore::Packs(request.store),
            below_percent: request.compact_below_percent,
            dry_run: request.dry_run,
        };
        sweep(&self.engine, &store, &plan, &(Arc::new(|_| {}) as OnProgress), &cancel).await
    }
}

pub(super) async fn sweep(
    engine: &Arc<Engine>,
    store: &Arc<PackStore>,
    plan: &Plan,
    progress: &OnProgress,
    cancel: &CancellationToken,
) -> Result<SweepReport, PayloadError> {
    let causal = Causal::default();
    let mut session = causal.session(engine.store.db.client()).await?;
    let session = &mut session;
    let mut run = Run { engine, store, plan, report: SweepReport::default(), rewriter: None, emptied: Vec::new() };
    for writers in store.writers().await?.chunks(LOOKUP_IDS_MAX) {
        for writer in writers {
            if cancel.is_cancelled() {
                return Err(PayloadError::Cancelled);
            }
            // Listed first: what a writer adds after he was seen to be gone cannot be.
            let packs = store.packs_of(*writer).await?;
            if live_writers(engine, session, &[*writer]).await?.contains(writer) {
                run.report.busy_packs += packs.len() as u64;
                continue;
            }
            for pack in packs {
                run.pack(session, pack).await?;
                let bytes = run.report.copied_bytes + run.rewriter.as_ref().map_or(0, |rewriter| rewriter.done.bytes);
                progress(Progress { bytes, ..Progress::default() });
            }
            run.tidy(*writer);
        }
    }
    run.end(session).await
}

/// Which of these registrations exist.
pub(super) async fn live_writers(
    engine: &Engine,
    session: &mut ClientSession,
    writers: &[RootId],
) -> Result<HashSet<RootId>, StoreFault> {
    let filter = doc! { "_id": { "$in": writers.iter().map(ToString::to_string).collect::<Vec<_>>() } };
    retrying!("reading registrations", async {
        let mut live = HashSet::new();
        let mut cursor = engine.store.writers.find(filter.clone()).session(&mut *session).await?;
        while cursor.advance(&mut *session).await? {
            live.extend(cursor.current().get_str("_id").ok().and_then(|id| id.parse::<RootId>().ok()));
        }
        Ok(live)
    })
}

struct Run<'a> {
    engine: &'a Arc<Engine>,
    store: &'a Arc<PackStore>,
    plan: &'a Plan,
    report: SweepReport,
    rewriter: Option<Rewriter>,
    /// Packs whose live payloads were copied.
    emptied: Vec<Listed>,
}

/// What of a pack blocks name.
struct Named {
    places: Vec<(PayloadAt, Entry, Option<BlockRow>)>,
    /// Bytes of all records.
    bytes: u64,
    /// Bytes of those that are named.
    live_bytes: u64,
}

impl Run<'_> {
    async fn pack(&mut self, session: &mut ClientSession, pack: Listed) -> Result<(), PayloadError> {
        let Some(named) = self.named(session, pack).await? else { return Ok(()) };
        self.report.packs += 1;
        self.report.bytes += pack.bytes;
        let Named { places: named, bytes, live_bytes } = named;
        if named.is_empty() {
            return self.delete(pack).await;
        }
        let is_sparse = u128::from(live_bytes) * 100 <= u128::from(bytes) * u128::from(self.plan.below_percent);
        // A row that does not decode names an unknown place.
        if !is_sparse || named.iter().any(|(.., row)| row.is_none()) {
            self.report.dead_bytes += bytes - live_bytes;
            return Ok(());
        }
        if self.plan.dry_run {
            self.report.copied_bytes += named.iter().map(|(_, entry, _)| u64::from(entry.frame_len)).sum::<u64>();
            return self.delete(pack).await;
        }
        let ranges: Vec<_> = named.iter().map(|(_, entry, _)| (entry.offset, entry.frame_len)).collect();
        let records = match self.store.records(pack.id, &ranges).await {
            Ok(records) => records,
            Err(fault) => return self.unreadable(pack, fault),
        };
        let mut rewriter = match self.rewriter.take() {
            Some(rewriter) => rewriter,
            None => Rewriter::new(self.engine.clone(), self.plan.to).await?,
        };
        for ((at, entry, row), record) in named.into_iter().zip(records) {
            let Some(row) = row else { continue };
            let record =
                record.and_then(|sealed| if sealed.id == entry.id { Ok(sealed) } else { Err("another block") });
            rewriter.push(session, at, &row, record).await?;
        }
        self.rewriter = Some(rewriter);
        self.emptied.push(pack);
        if self.emptied.len() >= EMPTIED_MAX { self.settle(session).await } else { Ok(()) }
    }

    /// What of a pack blocks name; `None` when it cannot be told.
    async fn named(&mut self, session: &mut ClientSession, pack: Listed) -> Result<Option<Named>, PayloadError> {
        let entries = match self.store.list_of(pack).await {
            Ok(entries) => entries,
            Err(fault) => return self.unreadable(pack, fault).map(|()| None),
        };
        let bytes = entries.iter().map(Entry::record_bytes_max).sum();
        let mut named = Vec::new();
        for part in entries.chunks(LOOKUP_IDS_MAX) {
            let ids: Vec<_> = part.iter().map(|entry| entry.id).collect::<HashSet<_>>().into_iter().collect();
            let rows = self.engine.store.rows(session, &ids).await?;
            for entry in part {
                let at = PayloadAt::in_pack(pack.id.writer, self.store.number, pack.id.number, entry.offset);
                match rows.get(&entry.id) {
                    Some(Row::Good(row)) if row.at == at => named.push((at, *entry, Some(*row))),
                    Some(Row::Broken { .. }) => named.push((at, *entry, None)),
                    _ => {}
                }
            }
        }
        let live_bytes = named.iter().map(|(_, entry, _)| entry.record_bytes_max()).sum();
        Ok(Some(Named { places: named, bytes, live_bytes }))
    }

    fn unreadable(&mut self, pack: Listed, fault: ReadFault) -> Result<(), PayloadError> {
        match fault {
            // Another sweep was faster.
            ReadFault::Missing => Ok(()),
            ReadFault::Torn(reason) => {
                self.report.bad(pack, reason);
                Ok(())
            }
            ReadFault::Fault(fault) => Err(fault.into()),
        }
    }

    async fn delete(&mut self, pack: Listed) -> Result<(), PayloadError> {
        if !self.plan.dry_run {
            self.store.delete(&pack.id.path()).await?;
        }
        self.report.deleted_packs += 1;
        self.report.deleted_bytes += pack.bytes;
        Ok(())
    }

    /// Stores the copies, then deletes the packs that are empty now.
    async fn settle(&mut self, session: &mut ClientSession) -> Result<(), PayloadError> {
        if let Some(rewriter) = &mut self.rewriter {
            rewriter.flush(session).await?;
        }
        for pack in std::mem::take(&mut self.emptied) {
            match self.named(session, pack).await? {
                Some(named) if named.places.is_empty() => self.delete(pack).await?,
                _ => {}
            }
        }
        self.tidy_all();
        Ok(())
    }

    async fn end(mut self, session: &mut ClientSession) -> Result<SweepReport, PayloadError> {
        self.settle(session).await?;
        if let Some(rewriter) = self.rewriter.take() {
            let done = rewriter.end(session).await?;
            self.report.copied_bytes += done.bytes;
            self.report.bad_blocks += done.bad;
        }
        Ok(self.report)
    }

    /// In a directory: removes what a killed writer left half written, and his folder when it is empty.
    fn tidy(&self, writer: RootId) {
        let Some(directory) = self.store.directory.as_ref().filter(|_| !self.plan.dry_run) else { return };
        let folder = directory.join(PACKS).join(writer.to_string());
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            // Names of files that are being written: `<pack>#<number>`.
            if entry.file_name().to_string_lossy().contains(".pack#") {
                let _ = std::fs::remove_file(entry.path());
            }
        }
        let _ = std::fs::remove_dir(folder);
    }

    /// Folders that deletions left empty; those that are not stay.
    fn tidy_all(&self) {
        let Some(directory) = self.store.directory.as_ref().filter(|_| !self.plan.dry_run) else { return };
        for entry in std::fs::read_dir(directory.join(PACKS)).into_iter().flatten().flatten() {
            let _ = std::fs::remove_dir(entry.path());
        }
    }
}
