//! Garbage collection: frees what no snapshot reaches, in place, beside backups and readers.
//!
//! A run takes its lease, moves the epoch on, waits for older writers, unlinks what lay in the trash long enough, marks from all roots at one
//! cluster time, deletes layouts of unmarked nodes, blocks, payloads, and sweeps payloads that no block names. After a kill the next run goes
//! on in the same epoch. The same walk and scan without a deletion are the dry run and the account.
//! Invariants: `docs/concurrency.md` says why nothing that a snapshot or a live writer needs is deleted, and names the tests. A run deletes
//! nothing while something that it must mark from cannot be read. Memory is bounded ([`CollectOptions::mark_bytes`]). Dropping the future
//! of a run is safe at any point.

mod account;
mod classes;
mod delete;
mod lease;
mod mark;
mod marks;
mod scan;
mod sweep;
mod unlink;
mod writers;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bson::DateTime;
use tokio_util::sync::CancellationToken;

pub use account::{Account, Amount, SnapshotUsage};

use crate::engine::{Blockstore, Engine};
use crate::error::{ErrorClass, ReadError, RootError, StoreFault};
use crate::id::{BlockId, RootId};
use crate::stats::disk;
use crate::store::Row;
use crate::txn::Causal;
use account::Tally;
pub(crate) use classes::{Classes, OVERFLOW};
use delete::Doomed;
use lease::{Lease, RunState};
pub(crate) use mark::{MarkRoot, Walk};
use marks::Marks;
use scan::permille;
pub(crate) use scan::{Pace, RowScan};
use writers::{Found, Watch, Writer, roots_and_writers};

/// Collecting, dry runs, accounts.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// Another run holds the lease, and lives.
    #[error("another run of the collector is under way")]
    Busy,
    /// The caller's token was cancelled, or the lease was lost to another run, which goes on.
    #[error("the run was cancelled, or its lease was taken over")]
    Cancelled,
    /// Something to mark from cannot be read, so that what lies below is not known: nothing is deleted until it is repaired, or its snapshots
    /// lie in the trash and their grace is over.
    #[error("block {id} of {} snapshots cannot be read: nothing is deleted", snapshots.len())]
    Unreadable {
        /// The node or page.
        id: BlockId,
        /// Snapshots that need it.
        snapshots: Vec<RootId>,
        /// What is wrong with it.
        #[source]
        source: ReadError,
    },
    /// A root does not fit its seal, so that its tree may not be the one that was committed; as `Unreadable`.
    #[error("snapshot {0} does not fit its seal: nothing is deleted")]
    BadRoot(RootId),
    /// More distinct sets of snapshots share blocks than an account can hold; ask for single sets instead.
    #[error("too many distinct sets of snapshots share blocks for one account")]
    TooManySets,
    /// A stored document is malformed.
    #[error(transparent)]
    Root(#[from] RootError),
    /// Reading what is stored failed.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// An invariant of this crate does not hold.
    #[error("internal: {0}")]
    Internal(&'static str),
}

impl CollectError {
    /// See [`ErrorClass`].
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Busy => ErrorClass::Retry,
            Self::Cancelled => ErrorClass::Cancelled,
            Self::Unreadable { .. } | Self::BadRoot(_) => ErrorClass::Corrupt,
            Self::TooManySets => ErrorClass::Caller,
            Self::Root(error) => error.class(),
            Self::Read(error) => error.class(),
            Self::Store(fault) => fault.class(),
            Self::Internal(_) => ErrorClass::Bug,
        }
    }
}

/// How a run behaves.
#[derive(Debug, Clone)]
pub struct CollectOptions {
    /// How long a snapshot lies in the trash before it may be unlinked. Default 24 h.
    pub grace: Duration,
    /// A registration whose beat stood still for this long is deleted; writers beat every 2 s and wait elections out for up to a minute.
    /// Default 90 s.
    pub expire_after: Duration,
    /// The lease of another run whose beat stood still for this long is taken over. Default 30 s.
    pub take_over_after: Duration,
    /// Memory for marks in bytes, 16 a block: more blocks are marked in several passes. Default 128 MiB. At least 1 KiB.
    pub mark_bytes: usize,
    /// While writers are registered, a run pauses after each step for this many times the step's time (at most 2 s). 0: never. Default 3.
    pub give_way: u32,
}

impl Default for CollectOptions {
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(24 * 3600),
            expire_after: Duration::from_secs(90),
            take_over_after: lease::LEASE_DEAD,
            mark_bytes: 128 << 20,
            give_way: 3,
        }
    }
}

/// What a run is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CollectPhase {
    /// Taking the lease, moving the epoch on, waiting for older writers.
    #[default]
    Waiting,
    /// Removing snapshots whose grace is over.
    Unlinking,
    /// Reading trees.
    Marking,
    /// Comparing the index with the marks, and deleting.
    Deleting,
    /// Looking for payloads that no block names.
    Sweeping,
}

/// How far a run is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CollectProgress {
    /// What it is doing.
    pub phase: CollectPhase,
    /// Older writers that it waits for.
    pub waiting_for: u64,
    /// Thousandths of the id space that are done.
    pub permille: u16,
    /// Rows of the index looked at.
    pub blocks_seen: u64,
    /// Blocks deleted.
    pub blocks_deleted: u64,
    /// Bytes of frames deleted.
    pub freed_bytes: u64,
}

/// Called often, from async tasks: must return at once.
pub type OnCollect = Arc<dyn Fn(CollectProgress) + Send + Sync>;

/// What a run did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectReport {
    /// The epoch that it collected.
    pub epoch: i64,
    /// Whether it went on with what an earlier one left; the counts are this part's alone.
    pub resumed: bool,
    /// When its first owner began, wall clock.
    pub started_at: DateTime,
    /// When it ended, wall clock.
    pub finished_at: DateTime,
    /// Snapshots that left the trash for good.
    pub unlinked: Vec<RootId>,
    /// Blocks, nodes and pages deleted.
    pub deleted: Amount,
    /// Payloads that no block named.
    pub orphans: u64,
    /// Bytes of their frames.
    pub orphan_bytes: u64,
    /// Rows whose payloads seem to be missing: a verification names them.
    pub payloads_missing: u64,
    /// Bytes of the payloads' files on disk before and after; the difference was given back to the file system.
    pub disk_bytes: (u64, u64),
    /// Bytes free inside those files before and after: freed for reuse by new blocks.
    pub reusable_bytes: (u64, u64),
    /// The account after the run; `None` when it was resumed midway or there are too many sets.
    pub account: Option<Account>,
}

impl CollectReport {
    /// Bytes of frames deleted in all: free for new blocks, whatever the file system got back.
    #[must_use]
    pub fn freed_bytes(&self) -> u64 {
        self.deleted.stored_bytes + self.orphan_bytes
    }

    /// Bytes that the file system got back.
    #[must_use]
    pub fn freed_on_disk(&self) -> u64 {
        self.disk_bytes.0.saturating_sub(self.disk_bytes.1)
    }
}

/// What a run would do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectPlan {
    /// Snapshots whose grace is over.
    pub unlink: Vec<RootId>,
    /// Blocks that would be deleted. Exact while no writer is registered; else `account.held` may be garbage too.
    pub reclaimable: Amount,
    /// What it was computed from.
    pub account: Account,
}

impl Blockstore {
    /// Runs the garbage collector, or goes on with a run that was killed. `Busy` when another one lives.
    ///
    /// # Errors
    /// `Unreadable` and `BadRoot` before anything is deleted; `Cancelled`, `Busy`; a failing database.
    pub async fn collect(
        &self,
        options: &CollectOptions,
        progress: OnCollect,
        cancel: CancellationToken,
    ) -> Result<CollectReport, CollectError> {
        let lease = Lease::take(&self.engine.store, options.take_over_after).await?;
        let stop = either(&cancel, &lease.lost);
        let mut run = Run::new(&self.engine, options, progress, stop.token.clone());
        match run.collect(&lease, options).await {
            Ok(report) => {
                lease.finish().await?;
                Ok(report)
            }
            Err(error) => {
                // Best effort: else it expires.
                if let Err(fault) = lease.give_back().await {
                    tracing::debug!(error = %fault, "the lease of a failed run stays until it expires");
                }
                Err(error)
            }
        }
    }

    /// What a run would do now: exact reclaimable bytes, nothing is changed but the kept account. `Busy` while a run is under way.
    ///
    /// # Errors
    /// As [`Self::collect`]; `TooManySets`.
    pub async fn plan_collect(
        &self,
        options: &CollectOptions,
        progress: OnCollect,
        cancel: CancellationToken,
    ) -> Result<CollectPlan, CollectError> {
        let (account, roots) = self.take_account(options, progress, cancel).await?;
        let cutoff = unlink::cutoff(options.grace);
        let parents: Vec<_> =
            writers::registered(&self.engine, &Causal::default()).await?.into_iter().filter_map(|w| w.parent).collect();
        let is_due = |root: &&Found| unlink::is_due(root, cutoff) && !parents.contains(&root.id.to_string());
        let unlink: Vec<_> = roots.iter().filter(is_due).map(|root| root.id).collect();
        let mut reclaimable = account.freed_if(&unlink);
        reclaimable.add(account.garbage);
        Ok(CollectPlan { unlink, reclaimable, account })
    }

    /// Takes the account afresh and keeps it. `Busy` while a run is under way.
    ///
    /// # Errors
    /// As [`Self::plan_collect`].
    pub async fn recount(
        &self,
        options: &CollectOptions,
        progress: OnCollect,
        cancel: CancellationToken,
    ) -> Result<Account, CollectError> {
        Ok(self.take_account(options, progress, cancel).await?.0)
    }

    /// The account of the last run (or [`Self::recount`]), with its time.
    ///
    /// # Errors
    /// A failing database.
    pub async fn account(&self) -> Result<Option<Account>, CollectError> {
        Account::load(&self.engine.store).await
    }

    /// What would be freed if these snapshots were gone, computed afresh: exact, whatever the number of sets.
    ///
    /// # Errors
    /// As [`Self::recount`], but for `TooManySets`.
    pub async fn freed_if(
        &self,
        gone: &[RootId],
        options: &CollectOptions,
        progress: OnCollect,
        cancel: CancellationToken,
    ) -> Result<Amount, CollectError> {
        let lease = Lease::take(&self.engine.store, options.take_over_after).await?;
        let stop = either(&cancel, &lease.lost);
        let mut run = Run::new(&self.engine, options, progress, stop.token.clone());
        let counted = async {
            let (roots, writers) = roots_and_writers(&self.engine, &run.causal).await?;
            let marked = mark_roots(&roots, |_, root| u32::from(!gone.contains(&root.id)))?;
            let mut classes = Classes::default();
            let only_gone = classes.single(0);
            let tally = run.count(&marked, &writers, &mut classes).await?;
            Ok(tally.by_class.get(&only_gone).copied().unwrap_or_default())
        };
        let counted: Result<Amount, CollectError> = counted.await;
        lease.give_back().await?;
        counted
    }

    async fn take_account(
        &self,
        options: &CollectOptions,
        progress: OnCollect,
        cancel: CancellationToken,
    ) -> Result<(Account, Vec<Found>), CollectError> {
        let lease = Lease::take(&self.engine.store, options.take_over_after).await?;
        let stop = either(&cancel, &lease.lost);
        let mut run = Run::new(&self.engine, options, progress, stop.token.clone());
        let taken = async {
            let at = DateTime::now();
            let (roots, writers) = roots_and_writers(&self.engine, &run.causal).await?;
            let mut session = run.causal.session(self.engine.store.db.client()).await?;
            let epoch = self.engine.store.epoch(&mut session).await?;
            let marked = mark_roots(&roots, |index, _| index)?;
            let mut classes = Classes::default();
            let tally = run.count(&marked, &writers, &mut classes).await?;
            if classes.overflowed() {
                return Err(CollectError::TooManySets);
            }
            let account = Account::new((at, epoch), &roots, &classes, &tally);
            account.save(&self.engine.store).await?;
            Ok((account, roots))
        };
        let taken = taken.await;
        lease.give_back().await?;
        taken
    }
}

/// A token that is cancelled when one of two is; the task that joins them ends with it.
struct Either {
    token: CancellationToken,
    _task: tokio_util::task::AbortOnDropHandle<()>,
}

fn either(a: &CancellationToken, b: &CancellationToken) -> Either {
    let token = a.child_token();
    let (joined, b) = (token.clone(), b.clone());
    let task = tokio::spawn(async move {
        b.cancelled().await;
        joined.cancel();
    });
    Either { token, _task: tokio_util::task::AbortOnDropHandle::new(task) }
}

/// Roots to mark from, each with its number in sets. A root that does not fit its seal may name another tree than was committed.
fn mark_roots(roots: &[Found], index: impl Fn(u32, &Found) -> u32) -> Result<Vec<MarkRoot>, CollectError> {
    let mut marked = Vec::with_capacity(roots.len());
    for (at, root) in (0u32..).zip(roots) {
        if !root.is_sealed {
            return Err(CollectError::BadRoot(root.id));
        }
        marked.push(MarkRoot { id: root.id, tree: root.tree, index: index(at, root) });
    }
    Ok(marked)
}

/// Roots whose blocks can be told by their trees: those that fit their seals, each with its index.
pub(crate) async fn roots_to_name(engine: &Arc<Engine>, causal: &Causal) -> Result<Vec<MarkRoot>, CollectError> {
    let (mut roots, _) = roots_and_writers(engine, causal).await?;
    roots.retain(|root| root.is_sealed);
    mark_roots(&roots, |index, _| index)
}

/// One run, or one count.
struct Run<'a> {
    engine: &'a Arc<Engine>,
    causal: Causal,
    mark_bytes: usize,
    pace: Pace,
    done: CollectProgress,
    progress: OnCollect,
    cancel: CancellationToken,
}

impl<'a> Run<'a> {
    fn new(engine: &'a Arc<Engine>, options: &CollectOptions, progress: OnCollect, cancel: CancellationToken) -> Self {
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

    async fn collect(&mut self, lease: &Lease, options: &CollectOptions) -> Result<CollectReport, CollectError> {
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
    async fn count(
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
