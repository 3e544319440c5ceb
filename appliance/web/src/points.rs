//! What of a backup job can be restored: its good snapshots, its chains, the ranges of instants.
//!
//! Computed from the blockstore's roots and the ledger every time; nothing of it is kept anywhere else, so that it cannot be stale.

use blockstore_engine::{ErrorClass as EngineClass, Purpose, Root};
use holdfast_domain::{ChainSpan, ErrorClass, Range, SnapshotId, SnapshotPoint, chain_for, ranges};
use holdfast_ledger::SnapshotMeta;
use holdfast_metadb::BackupJob;

use crate::{
    caller::fault,
    instant::rfc3339,
    nearest::{Ended, Nearest},
    problem::ApiError,
    state::WebState,
};

/// A root with what it says of itself.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    /// The root.
    pub(crate) root: Root,
    /// Its facts.
    pub(crate) meta: SnapshotMeta,
}

impl Snapshot {
    /// Its place in lists: by the source's time.
    pub(crate) fn place(&self) -> String {
        let ts = self.meta.optime.ts;
        format!("{:010}.{:010}.{}{}", ts.t, ts.i, crate::pages::stamp(self.root.committed_at), self.root.id)
    }

    /// Neither in the trash nor in doubt, and a backup.
    pub(crate) fn is_good(&self) -> bool {
        self.root.purpose == Purpose::Snapshot && self.root.trashed_at.is_none() && !self.root.quarantined
    }

    /// As the planner of restores sees it.
    pub(crate) fn point(&self) -> Result<SnapshotPoint, ApiError> {
        Ok(SnapshotPoint { id: self.id()?, optime: self.meta.optime, resume: self.meta.resume })
    }

    /// Its id.
    pub(crate) fn id(&self) -> Result<SnapshotId, ApiError> {
        let id = self.root.id.to_string().parse::<SnapshotId>();
        id.map_err(|error| ApiError::from_class(ErrorClass::Bug, &error))
    }
}

/// Everything that decides what can be restored.
#[derive(Clone, Debug)]
pub(crate) struct Points {
    /// All roots of the job that are backups, oldest first, those in the trash too.
    pub(crate) snapshots: Vec<Snapshot>,
    /// The good ones.
    pub(crate) good: Vec<SnapshotPoint>,
    /// The chains.
    pub(crate) chains: Vec<ChainSpan>,
}

/// The engine has its own copy of the classes.
pub(crate) const fn class_of(class: EngineClass) -> ErrorClass {
    match class {
        EngineClass::Retry => ErrorClass::Retry,
        EngineClass::Operator => ErrorClass::Operator,
        EngineClass::Caller => ErrorClass::Caller,
        EngineClass::Corrupt => ErrorClass::Corrupt,
        EngineClass::Bug => ErrorClass::Bug,
        EngineClass::Cancelled => ErrorClass::Cancelled,
    }
}

impl Points {
    /// Reads roots and chains of a job.
    pub(crate) async fn read(state: &WebState, job: &BackupJob) -> Result<Self, ApiError> {
        let roots = state.blockstore().roots(job.id.as_str()).await;
        let roots = roots.map_err(|error| ApiError::from_class(class_of(error.class()), &error))?;
        let mut snapshots = Vec::with_capacity(roots.len());
        for root in roots {
            if root.purpose != Purpose::Snapshot {
                continue;
            }
            let meta = SnapshotMeta::decode(&root.meta).map_err(fault)?;
            snapshots.push(Snapshot { root, meta });
        }
        snapshots.sort_by_key(|s| (s.meta.optime.ts, s.root.committed_at));
        let good = snapshots.iter().filter(|s| s.is_good()).map(Snapshot::point).collect::<Result<_, _>>()?;
        let chains = state.ledger().chains(&job.id).await.map_err(fault)?;
        Ok(Self { snapshots, good, chains })
    }

    /// The restorable ranges.
    pub(crate) fn ranges(&self) -> Vec<Range> {
        ranges(&self.good, &self.chains)
    }

    /// The snapshot from which an instant is served.
    pub(crate) fn base(&self, at: holdfast_domain::Ts, chain: Option<i64>) -> Option<&Snapshot> {
        let point = chain_for(at, chain, &self.good, &self.chains)?;
        self.snapshots.iter().find(|s| s.root.id.to_string() == point.id.as_str())
    }

    /// The chains, each with the reason why it ended. One indexed read per chain that ended.
    pub(crate) async fn ended(&self, state: &WebState, job: &BackupJob) -> Result<Vec<Ended>, ApiError> {
        let mut out = Vec::with_capacity(self.chains.len());
        for span in &self.chains {
            let reason = match span.closed {
                true => state.ledger().close_reason(&job.id, span.chain).await.map_err(fault)?,
                false => None,
            };
            out.push(Ended { span: *span, reason });
        }
        Ok(out)
    }

    /// The refusal of an instant that cannot be restored: why, what is nearest, what can be.
    pub(crate) async fn refusal(
        &self,
        state: &WebState,
        job: &BackupJob,
        at: holdfast_domain::Ts,
        chain: Option<i64>,
    ) -> Result<ApiError, ApiError> {
        let what =
            if at.i == u32::MAX { format!("the whole of second {}", rfc3339(i64::from(at.t))) } else { at.to_string() };
        let ranges = self.ranges();
        let within = self.base(at, None).is_some();
        let why = match chain {
            // Another history has it.
            Some(chain) if within => {
                format!("history {chain} does not reach it; without a number of a history it can be")
            }
            _ => Nearest::of(at, &ranges, &self.ended(state, job).await?).sentence(),
        };
        let detail = format!("{what} cannot be restored (yet): {why}; {}", self.sentence());
        Ok(ApiError::conflict("notRestorable", detail))
    }

    /// The histories that can serve an instant, the younger first; each with the base that it would be made from.
    pub(crate) fn histories(&self, at: holdfast_domain::Ts) -> Vec<(&ChainSpan, &Snapshot)> {
        let mut out: Vec<_> =
            self.chains.iter().filter_map(|span| Some((span, self.base(at, Some(span.chain))?))).collect();
        out.sort_by_key(|(span, _)| std::cmp::Reverse(span.chain));
        out
    }

    /// A sentence that says what can be restored.
    pub(crate) fn sentence(&self) -> String {
        let all = self.ranges();
        if all.is_empty() {
            return "nothing can be restored yet: the first snapshot is not complete".into();
        }
        /// Ranges named in a sentence; the newest are the interesting ones.
        const NAMED_MAX: usize = 5;
        let skipped = all.len().saturating_sub(NAMED_MAX);
        let named: Vec<String> = all[skipped..]
            .iter()
            .map(|r| {
                let (from, to) = (rfc3339(i64::from(r.from.t)), rfc3339(i64::from(r.to.t)));
                format!("{from} ({}) to {to} ({})", r.from, r.to)
            })
            .collect();
        let more = if skipped > 0 { format!(", and {skipped} older ranges") } else { String::new() };
        format!("what can be restored is: {}{more}", named.join("; "))
    }
}
