//! The steps of one run, and of one count: `docs/concurrency.md` lists them and says why in this order.
//!
//! Invariants: nothing is deleted before the epoch moved, older writers are gone and everything to mark from was read; the place that a killed
//! run reached is noted after each part of the id space.

use std::sync::Arc;
use std::time::Instant;

use bson::DateTime;
use tokio_util::sync::CancellationToken;

use super::account::{Account, Amount, Tally};
use super::classes::Classes;
use super::delete::{self, Doomed};
use super::lease::{Lease, RunState};
use super::mark::{MarkRoot, Walk};
use super::marks::Marks;
use super::report::{CollectError, CollectOptions, CollectPhase, CollectProgress, CollectReport, OnCollect};
use super::scan::{Pace, RowScan, permille};
use super::writers::{self, Watch, Writer, roots_and_writers};
use super::{mark_roots, sweep, unlink};
use crate::engine::Engine;
use crate::id::BlockId;
use crate::stats::disk;
use crate::store::Row;
use crate::txn::Causal;

/// One run, or one count.
pub(super) struct Run<'a> {
    engine: &'a Arc<Engine>,
    pub(super) causal: Causal,
    mark_bytes: usize,
    pace: Pace,
    done: CollectProgress,
    progress: OnCollect,
    cancel: CancellationToken,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        engine: &'a Arc<Engine>,
        options: &CollectOptions,
        progress: OnCollect,
        cancel: CancellationToken,
    ) -> Self {
        Self {
            engine,
            causal: Causal::default(),
            mark_bytes: options.mark_bytes,
            pace: Pace::new(options.give_way),
            done: CollectProgress::default(),
            progress,
            cancel,
        }
    }

    fn tell(&mut self, phase: CollectPhase) {
        self.done.phase = phase;
        (self.progress)(self.done);
    }

    pub(super) async fn collect(
        &mut self,
        lease: &Lease,
        options: &CollectOptions,
    ) -> Result<CollectReport, CollectError> {
        let engine = self.engine;
        let before = disk(&engine.store).await?;
        self.tell(CollectPhase::Waiting);
        engine.stop("run: leased").await;
        let resumed = lease.left;
        let mut state = match resumed {
            Some(state) => state,
            None => {
                let started_at = DateTime::now();
                let epoch = writers::move_epoch(&engine.store, &self.causal).await?;
                engine.stop("run: epoch moved").await;
                let state = RunState { epoch, cursor: 0, started_at };
                lease.checkpoint(&state).await?;
                state
            }
        };
        let mut watch = Watch::new(options.expire_after);
        let mut unlinked = Vec::new();
        let (roots, at) = loop {
            let (done, progress) = (self.done, self.progress.clone());
            let waiting = move |waiting_for| progress(CollectProgress { waiting_for, ..done });
            writers::wait_for_older(engine, &self.causal, state.epoch, &mut watch, &self.cancel, &waiting).await?;
            engine.stop("run: waited").await;
            self.tell(CollectPhase::Unlinking);
            unlinked.append(&mut unlink::unlink_due(engine, &self.causal, lease, options.grace).await?);
            engine.stop("run: unlinked").await;
            let at = DateTime::now();
            let (roots, writers) = roots_and_writers(engine, &self.causal).await?;
            // One that registered with the epoch before and has not raised it yet: it has looked nothing up, but waiting is cheap.
            if writers.iter().all(|writer| writer.epoch >= state.epoch) {
                break (roots, at);
            }
        };
        engine.stop("run: roots read").await;
        let marked = mark_roots(&roots, |index, _| index)?;
        let mut classes = Classes::default();
        self.tell(CollectPhase::Marking);
        self.delete_layouts(&marked, &mut classes).await?;
        let mut tally = Tally::default();
        // Looked at by the owner before: only counted, for the sweep.
        self.count_rows(state.cursor, &mut tally).await?;
        let mut deleted = Amount::default();
        loop {
            self.tell(CollectPhase::Marking);
            let marks = self.mark(&marked, state.cursor, &mut classes).await?;
            engine.stop("run: marked").await;
            self.tell(CollectPhase::Deleting);
            deleted.add(self.delete_blocks(&marks, state.epoch, &mut tally).await?);
            match u64::try_from(marks.range().1) {
                Ok(next) => state.cursor = next,
                Err(_) => break,
            }
            lease.checkpoint(&state).await?;
        }
        engine.stop("run: blocks deleted").await;
        self.tell(CollectPhase::Sweeping);
        let swept = sweep::sweep(engine, &self.causal, &tally.by_writer, &mut self.pace, &self.cancel).await?;
        self.done.freed_bytes += swept.bytes;
        engine.stop("run: swept").await;
        let is_whole = resumed.is_none_or(|left| left.cursor == 0) && !classes.overflowed();
        let account = is_whole.then(|| Account::new((at, state.epoch), &roots, &classes, &tally));
        if let Some(account) = &account {
            account.save(&engine.store).await?;
        }
        let after = disk(&engine.store).await?;
        self.done.permille = 1000;
        self.tell(CollectPhase::Sweeping);
        Ok(CollectReport {
            epoch: state.epoch,
            resumed: resumed.is_some(),
            started_at: state.started_at,
            finished_at: DateTime::now(),
            unlinked,
            deleted,
            orphans: swept.orphans,
            orphan_bytes: swept.bytes,
            payloads_missing: swept.missing,
            disk_bytes: (before.total, after.total),
            reusable_bytes: (before.reusable, after.reusable),
            account,
        })
    }

    /// Counts by sets; deletes nothing.
    pub(super) async fn count(
        &mut self,
        marked: &[MarkRoot],
        writers: &[Writer],
        classes: &mut Classes,
    ) -> Result<Tally, CollectError> {
        // A block of this epoch or a newer one may be in use by a writer that is still registered.
        let oldest = writers.iter().map(|writer| writer.epoch).min().unwrap_or(i64::MAX);
        let mut tally = Tally::default();
        let mut from = 0;
        loop {
            self.tell(CollectPhase::Marking);
            let marks = self.mark(marked, from, classes).await?;
            let (start, end) = marks.range();
            let mut scan = RowScan::new(start, end);
            loop {
                let started = Instant::now();
                let rows = scan.next(self.engine, &self.causal).await?;
                if rows.is_empty() {
                    break;
                }
                for (id, row) in &rows {
                    let Row::Good(row) = row else { continue };
                    match marks.get(*id) {
                        Some(class) => tally.by_class.entry(class).or_default().count(row),
                        None if row.epoch < oldest => tally.garbage.count(row),
                        None => tally.held.count(row),
                    }
                }
                self.scanned(&rows, started).await?;
            }
            match u64::try_from(end) {
                Ok(next) => from = next,
                Err(_) => return Ok(tally),
            }
        }
    }

    async fn mark(&self, marked: &[MarkRoot], from: u64, classes: &mut Classes) -> Result<Marks, CollectError> {
        Walk::new(self.engine, &self.causal, marked, classes, &self.cancel).all(from, self.mark_bytes).await
    }

    async fn delete_layouts(&mut self, marked: &[MarkRoot], classes: &mut Classes) -> Result<(), CollectError> {
        let mut from = 0;
        loop {
            let mut walk = Walk::new(self.engine, &self.causal, marked, classes, &self.cancel);
            let marks = walk.nodes(from, self.mark_bytes).await?;
            delete::layouts(self.engine, &self.causal, &marks).await?;
            match u64::try_from(marks.range().1) {
                Ok(next) => from = next,
                Err(_) => break,
            }
        }
        self.engine.stop("run: layouts deleted").await;
        Ok(())
    }

    async fn count_rows(&mut self, to: u64, tally: &mut Tally) -> Result<(), CollectError> {
        let mut scan = RowScan::new(0, u128::from(to));
        loop {
            let started = Instant::now();
            let rows = scan.next(self.engine, &self.causal).await?;
            if rows.is_empty() {
                return Ok(());
            }
            for (_, row) in &rows {
                if let Row::Good(row) = row {
                    tally.stays(row);
                }
            }
            self.scanned(&rows, started).await?;
        }
    }

    async fn delete_blocks(&mut self, marks: &Marks, epoch: i64, tally: &mut Tally) -> Result<Amount, CollectError> {
        let (from, to) = marks.range();
        let mut scan = RowScan::new(from, to);
        let mut deleted = Amount::default();
        loop {
            let started = Instant::now();
            let rows = scan.next(self.engine, &self.causal).await?;
            if rows.is_empty() {
                return Ok(deleted);
            }
            let mut doomed = Vec::new();
            for (id, row) in &rows {
                match (marks.get(*id), row) {
                    (Some(class), Row::Good(row)) => {
                        tally.by_class.entry(class).or_default().count(row);
                        tally.stays(row);
                    }
                    (Some(_), Row::Broken { .. }) => {}
                    (None, Row::Good(row)) if row.epoch >= epoch => {
                        tally.held.count(row);
                        tally.stays(row);
                    }
                    (None, Row::Good(row)) => doomed.push(Doomed { id: *id, row: Some(*row) }),
                    (None, Row::Broken { .. }) => doomed.push(Doomed { id: *id, row: None }),
                }
            }
            let gone = delete::blocks(self.engine, &self.causal, epoch, &doomed).await?;
            self.done.blocks_deleted += gone.blocks;
            self.done.freed_bytes += gone.stored_bytes;
            deleted.add(gone);
            self.scanned(&rows, started).await?;
        }
    }

    async fn scanned(&mut self, rows: &[(BlockId, Row)], started: Instant) -> Result<(), CollectError> {
        self.done.blocks_seen += rows.len() as u64;
        if let Some((id, _)) = rows.last() {
            self.done.permille = permille(*id);
        }
        self.tell(self.done.phase);
        self.pace.give_way(self.engine, started.elapsed(), &self.cancel).await
    }
}
