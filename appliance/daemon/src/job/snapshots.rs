//! When the driver takes a snapshot, and how.
//!
//! Invariants: a snapshot is taken at an entry boundary of a head that was stopped cleanly. Where the file system can, the files are cloned
//! and the head goes on while the clone is written (`clones.rs`); elsewhere the head is held until the snapshot is committed. The clone of
//! the newest snapshot stays until the next one is committed.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use blockstore_engine::{
    OnProgress, Pin, Progress, Purpose, RangesReport, Root,
    ranges::{self, Survey, TreeClone},
};
use holdfast_agent_api::LedgerTail;
use holdfast_domain::{EntryBody, EntryPosition, ErrorClass, Ts};
use holdfast_ledger::SnapshotMeta;
use tokio_util::task::AbortOnDropHandle;

use super::{
    clones::{millis, survey},
    driver::{Driver, Next},
    error::JobError,
};
use crate::{
    chain_of,
    head::Position,
    proof::{self, Expected, ProofRequest},
    snapshotter::{self, Snapshot, SnapshotError, SnapshotOrder},
};

/// Name under which a user's pin is held.
pub const USER_PIN: &str = "user";
/// The first snapshot of a chain waits this long for a catalog of the source to compare with.
const FIRST_WAITS: Duration = Duration::from_secs(10);
/// A snapshot that was asked for waits this long for the head to reach what the ledger held then.
const REQUEST_WAITS: Duration = Duration::from_secs(60);
/// How often progress is written while the head is held.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);
/// Entries read at once when the debt of an unwatched stretch is added up.
const ENTRIES_PER_READ: i64 = 500;

/// Why a snapshot is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Why {
    First,
    Scheduled,
    ReplayDebt,
    Moving,
    Asked { id: String, label: Option<String>, pin: bool },
}

/// A snapshot that is being written.
pub(super) struct Writing {
    task: AbortOnDropHandle<Result<Stored, SnapshotError>>,
    why: Why,
    meta: SnapshotMeta,
    clone: Option<TreeClone>,
    held: Duration,
    progress: Arc<Mutex<Progress>>,
}

impl Writing {
    /// Waits a moment, or until it is written.
    pub(super) async fn wait(&self) {
        if !self.task.is_finished() {
            tokio::time::sleep(PROGRESS_EVERY).await;
        }
    }

    pub(super) async fn abort(self) {
        self.task.abort();
        let _ = self.task.await;
        if let Some(clone) = self.clone {
            let _ = ranges::remove_clone(clone.dir());
        }
    }
}

/// What was written.
struct Stored {
    root: Root,
    ranges: Option<RangesReport>,
    survey: Survey,
}

impl Driver {
    /// Reads the chain's newest good snapshot, once, and adds up what a replay from it would have to do.
    pub(super) async fn know_newest(&mut self, chain: i64) -> Result<(), JobError> {
        if self.newest_known {
            return Ok(());
        }
        let all = snapshotter::good_snapshots(&self.ctx.store, self.record.id()).await?;
        // What a crash left: only the clone that the next snapshot is compared with stays.
        self.heads.remove_clones(all.last().map(Snapshot::id).as_ref())?;
        self.newest = all.into_iter().rfind(|s| s.meta.resume.chain == chain);
        self.debt.clear();
        if let Some(newest) = &self.newest {
            let mut seq = newest.meta.resume.seq.max(1);
            loop {
                let entries = match self.ctx.ledger.entries(self.record.id(), chain, seq, ENTRIES_PER_READ).await {
                    Ok(entries) => entries,
                    Err(holdfast_ledger::LedgerError::Trimmed { .. }) => break,
                    Err(error) => return Err(error.into()),
                };
                for stored in &entries {
                    if let EntryBody::Slice { payload } = &stored.entry.body
                        && self.position.is_some_and(|p| stored.entry.last.ts <= p.ts)
                    {
                        self.debt.found(payload.entries, payload.raw_bytes);
                    }
                }
                let Some(last) = entries.last() else { break };
                seq = last.entry.at.seq + 1;
            }
        }
        self.newest_known = true;
        Ok(())
    }

    /// Whether a snapshot is due now.
    pub(super) fn snapshot_due(&mut self, tail: &LedgerTail) -> Option<Why> {
        if self.writing.is_some() {
            return None;
        }
        let position = self.position.filter(Position::at_boundary);
        if let Some(request) = self.record.waiting_request().cloned() {
            let known = self.request_target.as_ref().filter(|(id, _, _)| *id == request.id);
            let (target, since) =
                known.map_or_else(|| (tail.last, Instant::now()), |(_, optime, since)| (*optime, *since));
            if known.is_none() {
                self.request_target = Some((request.id.clone(), target, since));
            }
            if position.is_some_and(|p| p.ts >= target.ts || since.elapsed() >= REQUEST_WAITS) {
                return Some(Why::Asked { id: request.id, label: request.label, pin: request.pin });
            }
        }
        let position = position.filter(|p| p.ts > Ts::ZERO)?;
        let Some(newest) = &self.newest else {
            return (!self.wants_first_catalog()).then_some(Why::First);
        };
        if position.ts <= newest.meta.optime.ts {
            return None;
        }
        let last = newest.meta.taken_at.timestamp_millis() / 1000;
        let schedule = self.record.job().schedule;
        if schedule.due(Some(last), jiff::Timestamp::now().as_second()) {
            return Some(Why::Scheduled);
        }
        self.debt.exceeds(schedule.replay_debt_seconds_max).then_some(Why::ReplayDebt)
    }

    /// True while the chain's first snapshot waits for the catalog to be compared.
    pub(super) fn wants_first_catalog(&self) -> bool {
        let compared = self.heads.current.as_ref().is_some_and(|head| head.compared.is_some());
        let waited = self.ready_since.is_some_and(|since| since.elapsed() >= FIRST_WAITS);
        self.newest.is_none() && !compared && !waited
    }

    /// Takes a snapshot of the head as it stands.
    pub(super) async fn take_snapshot(&mut self, tail: &LedgerTail, why: Why) -> Result<Next, JobError> {
        let chain = tail.at.chain;
        if self.position.is_none() {
            self.open_head(chain).await?;
        }
        let (Some(position), Some(db)) = (self.position, self.heads.db()) else { return Ok(Next::Again) };
        if matches!(why, Why::Asked { .. }) {
            self.record.begin_request().await?;
        }
        let order = self.order(chain, position, &why).await?;
        self.record.phase("stop the head for a snapshot");
        self.record.flush(true).await?;
        let begun = Instant::now();
        let mut port = None;
        if let Some(open) = self.open.take() {
            self.record.port(None);
            drop(open.feed);
            open.head.stop().await?;
            port = Some(open.port);
        }
        let clone = self.clone_head(&db).await?;
        let stopped = begun.elapsed();
        if let Some(port) = port.filter(|_| clone.is_some() && why != Why::Moving) {
            // From here on the head goes on, without waiting for a turn; only then is the clone read.
            self.open_head_on(chain, Some(port)).await?;
        }
        let held = begun.elapsed();
        tracing::info!(
            job = %self.record.id(), ?why, at = %position.optime(), cloned = clone.is_some(), stopped_ms = millis(stopped),
            held_ms = millis(held), "snapshot begins"
        );
        let since = self.since(clone.is_some(), order.parent);
        let progress = Arc::new(Mutex::new(Progress::default()));
        let seen = Arc::clone(&progress);
        let on_progress: OnProgress = Arc::new(move |p| *seen.lock().unwrap_or_else(PoisonError::into_inner) = p);
        let (store, cancel, meta) = (self.ctx.store.clone(), self.cancel.clone(), order.meta.clone());
        let source = clone.as_ref().map_or(db, |clone| clone.dir().to_owned());
        let is_clone = clone.is_some();
        let task = tokio::spawn(async move {
            let (root, ranges) = snapshotter::store_since(&store, &source, since, order, on_progress, &cancel).await?;
            let survey = if is_clone { survey(source).await } else { Survey::default() };
            Ok(Stored { root, ranges, survey })
        });
        let task = AbortOnDropHandle::new(task);
        self.writing = Some(Writing { task, why, meta, clone, held, progress });
        if !is_clone {
            while self.writing.as_ref().is_some_and(|w| !w.task.is_finished()) {
                self.report_writing();
                self.record.flush(false).await?;
                tokio::time::sleep(PROGRESS_EVERY).await;
            }
            self.collect_tasks(tail).await?;
        }
        Ok(Next::Again)
    }

    async fn order(&self, chain: i64, position: Position, why: &Why) -> Result<SnapshotOrder, JobError> {
        let job = self.record.job();
        let file = self.heads.current.as_ref();
        let resume = EntryPosition { chain, seq: self.feed_start(chain, position.feed_from.ts).await? };
        let (label, pin) = match why {
            Why::Asked { label, pin, .. } => (label.clone(), *pin),
            _ => (None, false),
        };
        let meta = SnapshotMeta {
            group: job.group.clone(),
            rs: job.rs.clone(),
            optime: position.optime(),
            resume,
            feed_from: position.feed_from,
            server_version: file.map(|f| f.server_version.clone()).unwrap_or_default(),
            fcv: file.map(|f| f.fcv.clone()).unwrap_or_default(),
            storage: file.map(|f| f.storage).unwrap_or_default(),
            taken_at: bson::DateTime::now(),
            label,
        };
        // Of any chain: a head after a resync holds much of what the one before held.
        let parent = snapshotter::good_snapshots(&self.ctx.store, self.record.id()).await?.pop().map(|s| s.root.id);
        Ok(SnapshotOrder {
            job: self.record.id().clone(),
            epoch: self.record.epoch(),
            meta,
            purpose: Purpose::Snapshot,
            parent,
            key: self.ctx.store.key_of(&job.group).await.map_err(SnapshotError::Key)?,
            pins: if pin { vec![Pin { by: USER_PIN.to_owned(), until: None }] } else { Vec::new() },
        })
    }

    fn report_writing(&mut self) {
        if let Some(writing) = &self.writing {
            let p = *writing.progress.lock().unwrap_or_else(PoisonError::into_inner);
            self.record.phase("write the snapshot");
            self.record.progress(p.bytes, p.bytes_total, "bytes");
        }
    }

    /// Takes up what background tasks have finished.
    pub(super) async fn collect_tasks(&mut self, tail: &LedgerTail) -> Result<(), JobError> {
        if self.writing.as_ref().is_some_and(|w| w.task.is_finished())
            && let Some(writing) = self.writing.take()
        {
            self.written(tail, writing).await?;
        }
        if self.proving.as_ref().is_some_and(|proving| proving.is_finished())
            && let Some(proving) = self.proving.take()
            && let Ok(outcome) = proving.await
        {
            self.proved(outcome).await?;
        }
        Ok(())
    }

    async fn written(&mut self, tail: &LedgerTail, writing: Writing) -> Result<(), JobError> {
        self.record.no_progress();
        let Writing { task, why, meta, clone, held, .. } = writing;
        let Stored { root, ranges, survey } = match task.await.map_err(std::io::Error::other)? {
            Ok(stored) => stored,
            Err(error) => {
                if let Some(clone) = clone {
                    ranges::remove_clone(clone.dir())?;
                }
                self.request_failed(&why, &error).await?;
                return Err(error.into());
            }
        };
        let snapshot = Snapshot { root, meta };
        let id = snapshot.id();
        tracing::info!(
            job = %self.record.id(), snapshot = %id, at = %snapshot.meta.optime, new_bytes = snapshot.root.new_bytes,
            logical_bytes = snapshot.root.logical_bytes, "snapshot committed"
        );
        metrics::counter!("holdfast_snapshots_total").increment(1);
        let base = self.newest.replace(snapshot.clone());
        self.debt.clear();
        self.record.debt(0.0);
        if let Some(clone) = clone {
            self.keep_clone(clone, &snapshot).await?;
            self.found_changes(&snapshot, ranges.unwrap_or_default(), survey, held).await?;
        }
        if let Why::Asked { id: request, .. } = &why {
            self.record.end_request(request, Ok(id.clone())).await?;
            self.request_target = None;
        }
        if why == Why::First {
            // Its slices served: from here on a head is rebuilt from the snapshot.
            self.ctx.ledger.drop_sync(self.record.id(), tail.at.chain).await?;
        }
        if why != Why::Moving {
            self.begin_proof(tail, snapshot, base).await?;
        }
        Ok(())
    }

    /// A request is given up only when trying again is useless.
    async fn request_failed(&mut self, why: &Why, error: &SnapshotError) -> Result<(), JobError> {
        let Why::Asked { id, .. } = why else { return Ok(()) };
        if matches!(error.class(), ErrorClass::Caller | ErrorClass::Bug) {
            self.record.end_request(id, Err(chain_of(error))).await?;
        }
        Ok(())
    }

    /// Begins a proof of the snapshot just taken when one is due.
    async fn begin_proof(
        &mut self,
        tail: &LedgerTail,
        snapshot: Snapshot,
        base: Option<Snapshot>,
    ) -> Result<(), JobError> {
        let every = i64::try_from(self.ctx.settings.proof_every_seconds).unwrap_or(i64::MAX);
        let last = self.record.last_proof_seconds();
        let due = last.is_none_or(|last| jiff::Timestamp::now().as_second() - last >= every);
        if !due || self.proving.is_some() || snapshot.root.logical_bytes > self.ctx.settings.proof_bytes_max {
            return Ok(());
        }
        let clone = Some(self.heads.clone_of(&snapshot.id())).filter(|clone| clone.is_dir());
        let expected = match clone {
            Some(clone) => Expected::Clone(clone),
            None => {
                // Without clones the head itself is asked, before anything is applied to it.
                self.open_head(tail.at.chain).await?;
                self.record.phase("hash the head for a proof");
                let Some(open) = &self.open else { return Ok(()) };
                if self.position.map(|p| p.optime()) != Some(snapshot.meta.optime) {
                    return Ok(());
                }
                Expected::Facts(proof::facts(&open.head).await?)
            }
        };
        let base = base.filter(|base| base.meta.resume.chain == snapshot.meta.resume.chain);
        let request = ProofRequest { job: self.record.id().clone(), snapshot, base, expected };
        let proving = tokio::spawn(proof::prove(Arc::clone(&self.ctx), request, self.cancel.clone()));
        self.proving = Some(AbortOnDropHandle::new(proving));
        Ok(())
    }
}
