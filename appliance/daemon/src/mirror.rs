//! The mirror: a reconciler that copies the ledgers of this daemon's jobs into the stores of packs, so that such a store alone restores an
//! instant when the databases are lost. Where payloads lie in the database only there is nothing to do: it has the ledger too.
//!
//! What is copied: of each chain that a snapshot stands on, everything from the first slice that any of its snapshots needs. The store's
//! own listing says what is there already; a run that was broken off leaves whole segments and nothing else. What no snapshot needs any
//! more is deleted. The ledger decides, never a copy.
//!
//! Invariants: idempotent (a segment's name says what is in it, so two daemons that do it at once only do it twice); one segment is held
//! in memory at a time; what a run does for one job is bounded ([`SEGMENTS_MAX`], [`DELETES_MAX`]), so that none waits for another for long.
//! Copies are encrypted under the key of the job's newest snapshot, or of a slice in them. Nothing here writes to the ledger's entries.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use blockstore_engine::{Aside, Blockstore, KeyId, Purpose, Root};
use bson::DateTime;
use holdfast_domain::{BackupJobId, EntryBody, Ts};
use holdfast_ledger::{JobFacts, Ledger, Mirrored, SegmentBuilder, SegmentName, gaps};
use holdfast_metadb::{BackupJob, BackupJobFilter};
use tokio_util::sync::CancellationToken;

use crate::{chain_of, context::Context};

/// Segments written for one job and store in one run: about half a gigabyte of a busy source.
pub const SEGMENTS_MAX: usize = 64;
/// Segments deleted for one job and store in one run.
pub const DELETES_MAX: usize = 1000;
/// Entries read at once. Their summaries are at most 100 KB each.
const ENTRIES_PER_READ: i64 = 32;
/// Pause before the next run when a bound stopped one.
const SOON: Duration = Duration::from_millis(100);
/// After the start: soon, but not before the jobs are bound.
const FIRST_AFTER: Duration = Duration::from_secs(5);
/// How often it looks while it is switched off.
const OFF_PAUSE: Duration = Duration::from_secs(600);

/// What a run did for one job in one store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MirrorReport {
    /// Segments written.
    pub written: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Segments deleted.
    pub deleted: usize,
    /// Cluster time of the last oplog entry in the copy, if this run knows it.
    pub to: Option<Ts>,
    /// How long the longest waiting entry of this run had been in the ledger when its copy was durable, in seconds.
    pub behind_seconds: i64,
    /// A bound stopped it: call again.
    pub more: bool,
}

/// How far the copy of one job in one store goes, as this process knows.
#[derive(Clone, Debug, Default)]
struct Place {
    /// By chain: stretches that the copy lacks; the last one is open.
    lacks: BTreeMap<i64, Vec<std::ops::Range<i64>>>,
    /// By chain: the first entry that is wanted, as it was when what is not wanted was last deleted.
    cleaned: Option<BTreeMap<i64, i64>>,
    /// The end of what was written.
    to: Option<Ts>,
}

/// The copies of all jobs. See the module.
pub struct Mirror {
    ledger: Ledger,
    store: Blockstore,
    places: HashMap<(BackupJobId, u8), Place>,
    facts: HashMap<(BackupJobId, u8), JobFacts>,
}

/// Runs until cancelled.
pub async fn run(ctx: Arc<Context>, cancel: CancellationToken) {
    let every = match ctx.settings.mirror_every_seconds {
        0 => OFF_PAUSE,
        seconds => Duration::from_secs(seconds),
    };
    let mut mirror = Mirror::new(ctx.ledger.clone(), Blockstore::clone(&ctx.store));
    let mut pause = FIRST_AFTER.min(every);
    while cancel.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
        pause = every;
        if ctx.settings.mirror_every_seconds == 0 || ctx.store.asides().is_empty() {
            continue;
        }
        ctx.board.update("reconciler", "mirror", |v| v.phase = "copy ledgers".into());
        let done = match cancel.run_until_cancelled(once(&ctx, &mut mirror)).await {
            None => return,
            Some(done) => done,
        };
        let (state, failed) = match done {
            Ok(report) => {
                pause = if report.more { SOON } else { every };
                (format!("copies were at most {} s behind", report.behind_seconds), None)
            }
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "copy ledgers into the stores of packs");
                ("copies are behind".to_owned(), Some(format!("{error:#}")))
            }
        };
        ctx.board.update("reconciler", "mirror", |v| {
            v.phase = "wait".into();
            v.state = state;
            v.last_error = failed;
        });
    }
}

/// One run over this daemon's jobs; the sum of what was done.
///
/// # Errors
/// The first job's error; the other jobs were looked at all the same.
pub async fn once(ctx: &Context, mirror: &mut Mirror) -> anyhow::Result<MirrorReport> {
    let filter = BackupJobFilter { daemon: Some(ctx.id.clone()), ..BackupJobFilter::default() };
    let jobs = ctx.metadb.backup_jobs(&filter).await?;
    mirror.forget_others(&jobs.iter().map(|job| job.id.clone()).collect::<Vec<_>>());
    let (mut sum, mut failed) = (MirrorReport::default(), None);
    for job in &jobs {
        match copy(ctx, mirror, job).await {
            Ok(report) => {
                sum.written += report.written;
                sum.bytes += report.bytes;
                sum.deleted += report.deleted;
                sum.behind_seconds = sum.behind_seconds.max(report.behind_seconds);
                sum.more |= report.more;
            }
            Err(error) => {
                failed.get_or_insert(error.context(format!("backup of {}", job.rs)));
            }
        }
    }
    failed.map_or(Ok(sum), Err)
}

async fn copy(ctx: &Context, mirror: &mut Mirror, job: &BackupJob) -> anyhow::Result<MirrorReport> {
    let group = ctx.metadb.group(&job.group).await?;
    let facts = JobFacts {
        job: job.id.clone(),
        group: job.group.to_string(),
        group_name: group.map_or_else(|| job.group.to_string(), |group| group.name),
        deployment: job.deployment.to_string(),
        rs: job.rs.clone(),
    };
    let mut sum = MirrorReport::default();
    for (store, report) in mirror.job(&facts).await? {
        metrics::gauge!("holdfast_mirror_behind_seconds", "rs" => job.rs.clone(), "store" => store.to_string())
            .set(f64::from(i32::try_from(report.behind_seconds).unwrap_or(i32::MAX)));
        metrics::counter!("holdfast_mirror_bytes_total").increment(report.bytes);
        sum.written += report.written;
        sum.bytes += report.bytes;
        sum.deleted += report.deleted;
        sum.behind_seconds = sum.behind_seconds.max(report.behind_seconds);
        sum.more |= report.more;
    }
    Ok(sum)
}

impl Mirror {
    /// Copies from this ledger into the stores of packs that this blockstore has open.
    #[must_use]
    pub fn new(ledger: Ledger, store: Blockstore) -> Self {
        Self { ledger, store, places: HashMap::new(), facts: HashMap::new() }
    }

    /// Forgets what it knows of all jobs but these: another daemon may go on with them.
    pub fn forget_others(&mut self, jobs: &[BackupJobId]) {
        self.places.retain(|(job, _), _| jobs.contains(job));
        self.facts.retain(|(job, _), _| jobs.contains(job));
    }

    /// Brings the copies of one job up to date, by number of the store.
    ///
    /// # Errors
    /// The databases' and the stores'. What was written stays; the next call lists the store anew.
    pub async fn job(&mut self, facts: &JobFacts) -> anyhow::Result<Vec<(u8, MirrorReport)>> {
        let asides = self.store.asides();
        if asides.is_empty() {
            return Ok(Vec::new());
        }
        let roots = self.store.roots(facts.job.as_str()).await?;
        let wanted = self.wanted(&facts.job, &roots).await?;
        let newest = roots.iter().filter(|root| root.purpose == Purpose::Snapshot).max_by_key(|root| root.committed_at);
        let key = newest.and_then(|root| root.key);
        let (mut out, mut failed) = (Vec::new(), None);
        for aside in asides {
            // A store that cannot be used keeps no other from being brought up to date.
            let done = match aside {
                Ok(aside) => {
                    self.one_store(&aside, facts, &wanted, key).await.map(|report| (aside.number().get(), report))
                }
                Err(fault) => Err(fault.into()),
            };
            match done {
                Ok(done) => out.push(done),
                Err(error) => {
                    failed.get_or_insert(error);
                }
            }
        }
        failed.map_or(Ok(out), Err)
    }

    async fn one_store(
        &mut self,
        aside: &Aside,
        facts: &JobFacts,
        wanted: &BTreeMap<i64, i64>,
        key: Option<KeyId>,
    ) -> anyhow::Result<MirrorReport> {
        let at = (facts.job.clone(), aside.number().get());
        // What is known is true only as long as nothing failed.
        let mut place = self.places.remove(&at).unwrap_or_default();
        if !wanted.is_empty() && self.facts.get(&at) != Some(facts) {
            aside.put(&JobFacts::name(&facts.job), &serde_json::to_vec_pretty(facts)?, None).await?;
            self.ledger.put_job_facts(facts).await?;
            self.facts.insert(at.clone(), facts.clone());
        }
        let copying = Copying { ledger: &self.ledger, aside, job: &facts.job, key };
        let report = copying.bring_up(wanted, &mut place).await?;
        // Of a job that nothing stands on any more nothing is said: it may be on its way out.
        if let Some(to) = place.to.filter(|_| !wanted.is_empty()) {
            let mirrored = Mirrored { to, behind_seconds: report.behind_seconds };
            self.ledger.put_mirrored(&facts.job, at.1, &mirrored).await?;
        }
        if report.written > 0 || report.deleted > 0 {
            tracing::debug!(job = %facts.job, store = at.1, ?report, "ledger copied");
        }
        self.places.insert(at, place);
        Ok(report)
    }

    /// By chain, the first entry that a snapshot needs and the ledger still holds with all that follows.
    async fn wanted(&self, job: &BackupJobId, roots: &[Root]) -> anyhow::Result<BTreeMap<i64, i64>> {
        let mut wanted: BTreeMap<i64, i64> = BTreeMap::new();
        for span in self.ledger.chains(job).await? {
            // Those in the trash can be taken out again.
            let standing = roots.iter().filter(|r| r.purpose == Purpose::Snapshot && r.resume.chain == span.chain);
            let first = standing.map(|root| root.resume.seq).filter(|seq| *seq >= span.first_seq).min();
            if let Some(first) = first {
                wanted.insert(span.chain, first);
            }
        }
        Ok(wanted)
    }
}

/// One ledger on its way into one store.
struct Copying<'a> {
    ledger: &'a Ledger,
    aside: &'a Aside,
    job: &'a BackupJobId,
    key: Option<KeyId>,
}

impl Copying<'_> {
    async fn bring_up(&self, wanted: &BTreeMap<i64, i64>, place: &mut Place) -> anyhow::Result<MirrorReport> {
        let mut report = MirrorReport::default();
        if place.cleaned.as_ref() != Some(wanted) {
            look(self.aside, self.job, wanted, place, &mut report).await?;
        }
        for chain in wanted.keys() {
            let mut lacks = place.lacks.remove(chain).unwrap_or_default();
            while let Some(gap) = lacks.first().cloned() {
                let next = self.fill(*chain, gap.clone(), place, &mut report).await?;
                // The last stretch is open: what comes later goes there.
                let is_done = next >= gap.end;
                lacks[0].start = next;
                if !is_done {
                    break;
                }
                lacks.remove(0);
            }
            place.lacks.insert(*chain, lacks);
        }
        report.to = place.to;
        Ok(report)
    }

    /// Writes what there is of a stretch; the first entry that it did not write.
    async fn fill(
        &self,
        chain: i64,
        gap: std::ops::Range<i64>,
        place: &mut Place,
        report: &mut MirrorReport,
    ) -> anyhow::Result<i64> {
        let Self { ledger, aside, job, mut key } = *self;
        let mut written = gap.start;
        let mut next = gap.start;
        let (mut builder, mut oldest) = (SegmentBuilder::default(), None::<DateTime>);
        loop {
            if report.written >= SEGMENTS_MAX {
                report.more = true;
                return Ok(written);
            }
            let limit = ENTRIES_PER_READ.min(gap.end - next);
            let entries = if limit > 0 { ledger.entries(job, chain, next, limit).await? } else { Vec::new() };
            let at_end = entries.is_empty();
            for stored in entries {
                let source = match &stored.entry.body {
                    EntryBody::Open => ledger.chain_source(job, chain).await?,
                    _ => None,
                };
                let frame = match &stored.entry.body {
                    EntryBody::Slice { payload } => Some(ledger.payload_frame(job, chain, payload).await?),
                    _ => None,
                };
                key = key.or(frame.as_ref().and_then(|frame| frame.key));
                builder.push(&stored, source, frame.as_ref())?;
                next = stored.entry.at.seq + 1;
                oldest = Some(oldest.map_or(stored.received_at, |oldest| oldest.min(stored.received_at)));
                if builder.is_full() {
                    break;
                }
            }
            if !(at_end || builder.is_full()) {
                continue;
            }
            let Some((name, body)) = std::mem::take(&mut builder).finish()? else { return Ok(written) };
            aside.put(&name.to_string(), &body, key).await?;
            written = name.last + 1;
            report.written += 1;
            report.bytes += body.len() as u64;
            place.to = place.to.max(Some(name.end));
            if let Some(oldest) = oldest.take() {
                let waited = (DateTime::now().timestamp_millis() - oldest.timestamp_millis()) / 1000;
                report.behind_seconds = report.behind_seconds.max(waited);
            }
            if at_end {
                return Ok(written);
            }
        }
    }
}

/// Lists what is there: deletes what is torn or not wanted any more, and sees what lacks.
async fn look(
    aside: &Aside,
    job: &BackupJobId,
    wanted: &BTreeMap<i64, i64>,
    place: &mut Place,
    report: &mut MirrorReport,
) -> anyhow::Result<()> {
    let mut there = Vec::new();
    let mut all_gone = true;
    for (name, bytes) in aside.list(&SegmentName::folder(job)).await? {
        let Ok(segment) = name.parse::<SegmentName>() else { continue };
        let is_whole = Aside::is_whole(&name, segment.bytes, bytes);
        if is_whole && wanted.get(&segment.chain).is_some_and(|first| segment.last >= *first) {
            there.push(segment);
        } else if report.deleted >= DELETES_MAX {
            (all_gone, report.more) = (false, true);
        } else {
            if !is_whole {
                tracing::warn!(name, bytes, "a part of a ledger's copy is torn: it is written again");
            }
            aside.delete(&name).await.map_err(|error| anyhow::anyhow!(chain_of(&error)))?;
            report.deleted += 1;
        }
    }
    place.lacks = wanted.iter().map(|(chain, first)| (*chain, gaps(&there, *chain, *first, i64::MAX - 1))).collect();
    place.to = there.iter().map(|segment| segment.end).max();
    place.cleaned = all_gone.then(|| wanted.clone());
    Ok(())
}
