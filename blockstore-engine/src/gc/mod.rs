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
mod report;
mod run;
mod scan;
mod sweep;
mod unlink;
mod writers;

use std::sync::Arc;

use bson::DateTime;
use tokio_util::sync::CancellationToken;

pub use account::{Account, Amount, SnapshotUsage};
pub use report::{
    CollectError, CollectOptions, CollectPhase, CollectPlan, CollectProgress, CollectReport, LastRun, OnCollect,
};

use crate::engine::{Blockstore, Engine};
use crate::id::RootId;
use crate::txn::Causal;
pub(crate) use classes::{Classes, OVERFLOW};
use lease::Lease;
pub(crate) use mark::{MarkRoot, Unreadable, Walk};
use run::Run;
pub(crate) use scan::{Pace, RowScan, SCAN_ROWS};
use writers::{Found, roots_and_writers};

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
                LastRun::save(&self.engine.store, &report).await?;
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

    /// What the last finished run did, with its time; `None` before the first.
    ///
    /// # Errors
    /// A failing database.
    pub async fn last_collection(&self) -> Result<Option<LastRun>, CollectError> {
        LastRun::load(&self.engine.store).await
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
