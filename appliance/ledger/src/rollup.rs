//! Rollups: how much was written when, and what happened, kept so that a year is read as cheaply as an hour.
//!
//! Made from the summaries of entries alone, after they were appended, by whoever calls [`Ledger::roll_up`]; appending knows nothing of it.
//! An entry is counted once: the transaction that adds a batch also moves the chain's end from where the batch began, and of two who
//! add the same batch one finds the end moved. What lies behind the end is read from the entries themselves ([`crate::rollup_read`]).
//!
//! | collection | `_id` | holds |
//! |---|---|---|
//! | `ledger_rollups` | `{job, span, at}` | operations by part: minutes of an hour (`span` 3600), hours of a day (86400) |
//! | `ledger_events` | `{job, t, i, chain, n}` | a command or an election |
//! | `ledger_rollup_ends` | `{job, chain}` | number of the first entry that is not counted yet |
//!
//! They outlive the entries: the timeline shows what was written in seconds that can no longer be restored. [`ROLLUP_DAYS_MAX`] bounds that.

use std::collections::BTreeMap;

use bson::{Document, doc};
use futures::TryStreamExt as _;
use holdfast_domain::{BackupJobId, ChainSpan, OpKind, OpTime, SliceSummary};
use mongodb::{ClientSession, Collection};
use serde::{Deserialize, Serialize};

use crate::{
    Ledger, LedgerError, StoredEntry,
    db::{Tries, on},
};

/// Rollups and events are kept for so many days: a year and what the widest view shows beside it.
pub const ROLLUP_DAYS_MAX: u32 = 400;
/// Seconds of a document of minutes.
pub(crate) const HOUR: u32 = 3_600;
/// Seconds of a document of hours.
pub(crate) const DAY: u32 = 86_400;
/// Entries read for one batch.
const ENTRIES_BATCH: i64 = 500;
/// A batch ends after an entry that brings it to so many writes: a transaction stays small.
const WRITES_MAX: usize = 1_000;
/// Batches of one call.
const BATCHES_MAX: usize = 40;

/// Operations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Operations {
    /// Documents inserted.
    pub inserts: i64,
    /// Documents changed.
    pub updates: i64,
    /// Documents deleted.
    pub deletes: i64,
    /// Commands.
    pub ddl: i64,
}

impl Operations {
    pub(crate) fn add(&mut self, kind: OpKind, count: i64) {
        match kind {
            OpKind::Insert => self.inserts += count,
            OpKind::Update => self.updates += count,
            OpKind::Delete => self.deletes += count,
            OpKind::Ddl => self.ddl += count,
        }
    }

    pub(crate) fn add_all(&mut self, other: &Self) {
        self.inserts += other.inserts;
        self.updates += other.updates;
        self.deletes += other.deletes;
        self.ddl += other.ddl;
    }
}

/// What sort of event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EventKind {
    /// A collection, database or view went away.
    Drop,
    /// An index was built or dropped.
    Index,
    /// Another command.
    Command,
    /// Another primary was elected.
    Election,
}

impl EventKind {
    /// What a command is.
    #[must_use]
    pub fn of(command: &str) -> Self {
        match command {
            "drop" | "dropDatabase" => Self::Drop,
            "createIndexes" | "startIndexBuild" | "commitIndexBuild" | "abortIndexBuild" | "dropIndexes"
            | "dropIndex" | "deleteIndexes" | "deleteIndex" => Self::Index,
            _ => Self::Command,
        }
    }
}

/// An event as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EventDoc {
    #[serde(rename = "_id")]
    pub(crate) key: EventKey,
    pub(crate) kind: EventKind,
    pub(crate) command: String,
    pub(crate) ns: String,
}

/// `_id` of an event. The order of the fields is the order of time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct EventKey {
    pub(crate) job: BackupJobId,
    pub(crate) t: i64,
    pub(crate) i: i64,
    pub(crate) chain: i64,
    pub(crate) n: i64,
}

/// The first and last `_id` of a job's events of these seconds.
pub(crate) fn events_between(job: &BackupJobId, from: u32, to: u32) -> Document {
    let low = doc! { "job": job.clone(), "t": i64::from(from), "i": 0_i64, "chain": 0_i64, "n": 0_i64 };
    let high = doc! { "job": job.clone(), "t": i64::from(to), "i": i64::MAX, "chain": i64::MAX, "n": i64::MAX };
    doc! { "_id": { "$gte": low, "$lte": high } }
}

/// The documents of a job and span that begin within these seconds.
pub(crate) fn rollups_between(job: &BackupJobId, span: u32, from: u32, to: u32) -> Document {
    let key = |at: u32| doc! { "job": job.clone(), "span": i64::from(span), "at": i64::from(at) };
    doc! { "_id": { "$gte": key(from), "$lte": key(to) } }
}

/// The events of a slice, in order.
pub(crate) fn events_of(job: &BackupJobId, chain: i64, summary: &SliceSummary) -> Vec<EventDoc> {
    let commands = summary.ddl.iter().map(|mark| (mark.at, EventKind::of(&mark.command), &*mark.command, &*mark.ns));
    let elections = summary.elections.iter().map(|at| (*at, EventKind::Election, "", ""));
    let mut out: Vec<EventDoc> = Vec::new();
    let mut seen: BTreeMap<OpTime, i64> = BTreeMap::new();
    for (at, kind, command, ns) in commands.chain(elections) {
        // A transaction may hold several commands at one optime.
        let n = seen.entry(at).or_default();
        let key = EventKey { job: job.clone(), t: i64::from(at.ts.t), i: i64::from(at.ts.i), chain, n: *n };
        *n += 1;
        out.push(EventDoc { key, kind, command: command.to_owned(), ns: ns.to_owned() });
    }
    out.sort_by(|a, b| a.key.cmp(&b.key));
    out
}

/// What a batch of entries adds.
#[derive(Default)]
struct Batch {
    /// By span and start of the document, by part.
    parts: BTreeMap<(u32, u32), BTreeMap<u32, Operations>>,
    events: Vec<EventDoc>,
    /// First entry that is not in it.
    end: i64,
}

impl Batch {
    fn of(job: &BackupJobId, chain: i64, from: i64, entries: &[StoredEntry]) -> Self {
        let mut batch = Self { end: from, ..Self::default() };
        for stored in entries {
            for count in &stored.summary.counts {
                for (span, part) in [(HOUR, 60), (DAY, HOUR)] {
                    let at = count.minute - count.minute % span;
                    let part = (count.minute - at) / part;
                    batch.parts.entry((span, at)).or_default().entry(part).or_default().add(count.kind, count.count);
                }
            }
            batch.events.extend(events_of(job, chain, &stored.summary));
            batch.end = stored.entry.at.seq + 1;
            if batch.parts.len() + batch.events.len() >= WRITES_MAX {
                break;
            }
        }
        batch
    }
}

impl Ledger {
    fn rollups_collection(&self) -> Collection<Document> {
        self.db.collection("ledger_rollups")
    }

    pub(crate) fn rollup_ends_collection(&self) -> Collection<Document> {
        self.db.collection("ledger_rollup_ends")
    }

    pub(crate) fn events_collection(&self) -> Collection<EventDoc> {
        self.db.collection("ledger_events")
    }

    /// Counts the entries of a job that are not counted yet. True: a bound stopped it, call again. Any number of callers may do so at once.
    ///
    /// # Errors
    /// [`LedgerError`]; what was counted until then stays counted.
    pub async fn roll_up(&self, job: &BackupJobId) -> Result<bool, LedgerError> {
        let mut batches = 0;
        for span in self.chains(job).await? {
            loop {
                if batches >= BATCHES_MAX {
                    return Ok(true);
                }
                if !self.roll_up_batch(job, &span).await? {
                    break;
                }
                batches += 1;
            }
        }
        Ok(false)
    }

    /// One batch of one chain. False: nothing is left to count.
    async fn roll_up_batch(&self, job: &BackupJobId, span: &ChainSpan) -> Result<bool, LedgerError> {
        let stored = self.rollup_end(job, span.chain).await?;
        let from = stored.unwrap_or(1).max(span.first_seq).max(1);
        let entries = match self.entries(job, span.chain, from, ENTRIES_BATCH).await {
            Ok(entries) => entries,
            // Trimmed meanwhile: the next run begins behind it.
            Err(LedgerError::Trimmed { .. }) => return Ok(false),
            Err(error) => return Err(error),
        };
        if entries.is_empty() {
            return Ok(false);
        }
        let batch = Batch::of(job, span.chain, from, &entries);
        let mut session = self.session().await?;
        let mut tries = Tries::new();
        loop {
            self.begin(&mut session).await?;
            let tried = self.try_add(&mut session, job, span.chain, stored, &batch).await;
            if let Some(done) = self.settle(&mut session, &mut tries, tried).await {
                return done.map(|()| true);
            }
        }
    }

    /// Adds a batch, unless somebody moved the chain's end: then the batch was added by them.
    async fn try_add(
        &self,
        session: &mut ClientSession,
        job: &BackupJobId,
        chain: i64,
        stored: Option<i64>,
        batch: &Batch,
    ) -> Result<(), LedgerError> {
        let op = "write rollups";
        let key = doc! { "job": job.clone(), "chain": chain };
        let ends = self.rollup_ends_collection();
        match stored {
            Some(seq) => {
                let change = doc! { "$set": { "seq": batch.end } };
                let moved = ends.update_one(doc! { "_id": key, "seq": seq }, change).session(&mut *session).await;
                if moved.map_err(on(op))?.matched_count == 0 {
                    return Ok(());
                }
            }
            None => {
                let there = ends.find_one(doc! { "_id": key.clone() }).session(&mut *session).await.map_err(on(op))?;
                if there.is_some() {
                    return Ok(());
                }
                ends.insert_one(doc! { "_id": key, "seq": batch.end }).session(&mut *session).await.map_err(on(op))?;
            }
        }
        for ((span, at), parts) in &batch.parts {
            let mut add = Document::new();
            for (part, sum) in parts {
                for (name, value) in [("i", sum.inserts), ("u", sum.updates), ("d", sum.deletes), ("c", sum.ddl)] {
                    if value != 0 {
                        add.insert(format!("parts.{part}.{name}"), value);
                    }
                }
            }
            if add.is_empty() {
                continue;
            }
            let key = doc! { "job": job.clone(), "span": i64::from(*span), "at": i64::from(*at) };
            let change = doc! { "$inc": add };
            let rollups = self.rollups_collection();
            let done = rollups.update_one(doc! { "_id": key }, change).upsert(true).session(&mut *session).await;
            done.map_err(on(op))?;
        }
        if !batch.events.is_empty() {
            let done = self.events_collection().insert_many(&batch.events).session(&mut *session).await;
            done.map_err(on(op))?;
        }
        Ok(())
    }

    /// Number of the first entry of a chain that is not counted. None: none is.
    async fn rollup_end(&self, job: &BackupJobId, chain: i64) -> Result<Option<i64>, LedgerError> {
        let found =
            self.rollup_ends_collection().find_one(doc! { "_id": { "job": job.clone(), "chain": chain } }).await;
        Ok(found.map_err(on("read rollups"))?.and_then(|doc| doc.get_i64("seq").ok()))
    }

    /// Forgets rollups and events of before this second, since 1970.
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub async fn forget_rollups(&self, job: &BackupJobId, before: u32) -> Result<(), LedgerError> {
        let op = "forget rollups";
        for span in [HOUR, DAY] {
            // A document is old when its last part is.
            if let Some(to) = before.checked_sub(span) {
                let old = rollups_between(job, span, 0, to);
                self.rollups_collection().delete_many(old).await.map_err(on(op))?;
            }
        }
        if let Some(to) = before.checked_sub(1) {
            self.events_collection().delete_many(events_between(job, 0, to)).await.map_err(on(op))?;
        }
        Ok(())
    }

    /// Forgets all that was counted of a job that is removed.
    pub(crate) async fn remove_rollups(&self, job: &BackupJobId) -> Result<(), LedgerError> {
        let op = "forget rollups";
        self.forget_rollups(job, u32::MAX).await?;
        let ends = doc! { "_id": { "$gte": { "job": job.clone(), "chain": 0_i64 }, "$lte": { "job": job.clone(), "chain": i64::MAX } } };
        self.rollup_ends_collection().delete_many(ends).await.map(|_| ()).map_err(on(op))
    }

    /// The documents of a span, within a transaction: start and parts.
    pub(crate) async fn rollups_in(
        &self,
        session: &mut ClientSession,
        filter: Document,
    ) -> Result<Vec<(u32, BTreeMap<u32, Operations>)>, LedgerError> {
        let op = "read rollups";
        let mut found = self.rollups_collection().find(filter).session(&mut *session).await.map_err(on(op))?;
        let docs: Vec<Document> = found.stream(session).try_collect().await.map_err(on(op))?;
        Ok(docs.iter().filter_map(parts_of).collect())
    }
}

/// What a document says; what is not understood of it counts as nothing.
fn parts_of(doc: &Document) -> Option<(u32, BTreeMap<u32, Operations>)> {
    let at = u32::try_from(doc.get_document("_id").ok()?.get_i64("at").ok()?).ok()?;
    let parts = doc.get_document("parts").ok()?.iter().filter_map(|(part, value)| {
        let sums = value.as_document()?;
        let get = |name: &str| sums.get_i64(name).unwrap_or(0);
        let sum = Operations { inserts: get("i"), updates: get("u"), deletes: get("d"), ddl: get("c") };
        Some((part.parse().ok()?, sum))
    });
    Some((at, parts.collect()))
}
