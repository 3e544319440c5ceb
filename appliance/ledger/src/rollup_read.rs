//! Reading rollups: any window of time as a bounded number of bins and events.
//!
//! What is counted already and where counting stands are read in one transaction; the entries behind that are added from their summaries.

use std::collections::BTreeMap;

use bson::{Document, doc};
use futures::TryStreamExt as _;
use holdfast_domain::{BackupJobId, ChainSpan, EntryBody, Ts};
use mongodb::ClientSession;

use crate::{
    EventKind, Ledger, LedgerError, Operations,
    db::on,
    rollup::{DAY, EventDoc, HOUR, events_between, events_of, rollups_between},
};

/// Bins of one answer.
pub const BINS_MAX: u32 = 600;
/// Events of one answer that stand for themselves; where there are more, those of one kind and bin are one.
pub const EVENTS_MAX: usize = 500;
/// Entries read of what is not counted yet, at most: far more than come between two rounds of counting.
const TAIL_ENTRIES_MAX: usize = 20_000;
/// Entries read at a time.
const ENTRIES_BATCH: i64 = 500;
/// Widths of bins, in seconds.
const STEPS: [u32; 16] = [
    60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800, 2_592_000,
    31_536_000,
];

/// Operations of some minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bin {
    /// Start, seconds since 1970, a multiple of the width.
    pub from: u32,
    /// What was done.
    pub operations: Operations,
}

/// One event, or several of one kind that lie close to each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The first.
    pub at: Ts,
    /// The second of the last.
    pub to: u32,
    /// What.
    pub kind: EventKind,
    /// How many.
    pub count: i64,
    /// Command of the first.
    pub command: String,
    /// Namespace of the first.
    pub ns: String,
}

/// A window of time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rollups {
    /// Width of a bin, in seconds.
    pub bin_seconds: u32,
    /// Bins in which anything was done, in order; at most [`BINS_MAX`] and one.
    pub bins: Vec<Bin>,
    /// Events, in order.
    pub events: Vec<Event>,
    /// Counting is so far behind that the end of the window is not whole.
    pub behind: bool,
}

/// Width of the bins of a window: the smallest that keeps their number in bounds.
fn step(from: u32, to: u32) -> u32 {
    let span = to.saturating_sub(from);
    STEPS.into_iter().find(|step| span / step <= BINS_MAX - 2).unwrap_or(STEPS[STEPS.len() - 1])
}

impl Ledger {
    /// What happened in a window, both seconds included. `chains`: the job's, as [`Ledger::chains`] gives them.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn rollups(
        &self,
        job: &BackupJobId,
        chains: &[ChainSpan],
        from: u32,
        to: u32,
    ) -> Result<Rollups, LedgerError> {
        let step = step(from, to);
        let mut sums = Sums { step, first: from - from % step, from, to, ..Sums::default() };
        let mut session = self.session().await?;
        self.begin(&mut session).await?;
        let read = self.counted(&mut session, job, &mut sums).await;
        // Nothing was written; a transaction that cannot be aborted ends by itself.
        let _ = session.abort_transaction().await;
        let ends = read?;
        for span in chains.iter().filter(|span| span.to.ts.t >= from && span.from.ts.t <= to) {
            let seq = ends.get(&span.chain).copied().unwrap_or(1).max(span.first_seq).max(1);
            self.tail_of(job, span.chain, seq, &mut sums).await?;
        }
        Ok(sums.finish())
    }

    /// What is counted, and by chain where counting stands.
    async fn counted(
        &self,
        session: &mut ClientSession,
        job: &BackupJobId,
        sums: &mut Sums,
    ) -> Result<BTreeMap<i64, i64>, LedgerError> {
        let op = "read rollups";
        let (span, part) = if sums.step < HOUR { (HOUR, 60) } else { (DAY, HOUR) };
        let filter = rollups_between(job, span, sums.first - sums.first % span, sums.to);
        for (at, parts) in self.rollups_in(session, filter).await? {
            for (n, operations) in parts {
                sums.add(at.saturating_add(n.saturating_mul(part)), &operations);
            }
        }
        let within = events_between(job, sums.from, sums.to);
        let limit = i64::try_from(EVENTS_MAX).expect("a small number") + 1;
        let all = self.events_collection();
        let some = all.find(within.clone()).sort(doc! { "_id": 1 }).limit(limit).session(&mut *session);
        let mut some = some.await.map_err(on(op))?;
        let events: Vec<EventDoc> = some.stream(&mut *session).try_collect().await.map_err(on(op))?;
        if events.len() <= EVENTS_MAX {
            events.into_iter().for_each(|event| sums.event(event));
        } else {
            sums.many = self.grouped(session, within, sums.step).await?;
        }
        let all = doc! { "_id": {
            "$gte": { "job": job.clone(), "chain": 0_i64 }, "$lte": { "job": job.clone(), "chain": i64::MAX },
        } };
        let mut ends = self.rollup_ends_collection().find(all).session(&mut *session).await.map_err(on(op))?;
        let ends: Vec<Document> = ends.stream(session).try_collect().await.map_err(on(op))?;
        let end =
            |doc: &Document| Some((doc.get_document("_id").ok()?.get_i64("chain").ok()?, doc.get_i64("seq").ok()?));
        Ok(ends.iter().filter_map(end).collect())
    }

    /// Events by bin and kind.
    async fn grouped(
        &self,
        session: &mut ClientSession,
        within: Document,
        step: u32,
    ) -> Result<Vec<Event>, LedgerError> {
        let op = "read events";
        let bin = doc! { "$subtract": ["$_id.t", { "$mod": ["$_id.t", i64::from(step)] }] };
        let group = doc! {
            "_id": { "bin": bin, "kind": "$kind" }, "count": { "$sum": 1_i64 }, "first": { "$first": "$$ROOT" },
            "to": { "$last": "$_id.t" },
        };
        let stages = [doc! { "$match": within }, doc! { "$sort": { "_id": 1 } }, doc! { "$group": group }];
        let found = self.events_collection().aggregate(stages).session(&mut *session).await;
        let mut found = found.map_err(on(op))?;
        let docs: Vec<Document> = found.stream(session).try_collect().await.map_err(on(op))?;
        let event = |doc: &Document| {
            let first: EventDoc = bson::deserialize_from_document(doc.get_document("first").ok()?.clone()).ok()?;
            let to = u32::try_from(doc.get_i64("to").ok()?).ok()?;
            Some(Event { count: doc.get_i64("count").ok()?, to, ..alone(first)? })
        };
        Ok(docs.iter().filter_map(event).collect())
    }

    /// Adds what of a chain is not counted yet.
    async fn tail_of(&self, job: &BackupJobId, chain: i64, seq: i64, sums: &mut Sums) -> Result<(), LedgerError> {
        // What lies before the window need not be read: counting may be far behind it.
        let Some(start) = self.entry_at(job, chain, Ts { t: sums.first, i: 0 }).await? else { return Ok(()) };
        let mut seq = start.seq.max(seq);
        loop {
            let entries = match self.entries(job, chain, seq, ENTRIES_BATCH).await {
                Ok(entries) => entries,
                Err(LedgerError::Trimmed { .. }) => return Ok(()),
                Err(error) => return Err(error),
            };
            let Some(last) = entries.last() else { return Ok(()) };
            seq = last.entry.at.seq + 1;
            for stored in entries {
                if matches!(stored.entry.body, EntryBody::Close { .. }) || stored.entry.first.ts.t > sums.to {
                    return Ok(());
                }
                sums.entries += 1;
                if sums.entries > TAIL_ENTRIES_MAX {
                    sums.behind = true;
                    return Ok(());
                }
                for count in &stored.summary.counts {
                    let mut one = Operations::default();
                    one.add(count.kind, count.count);
                    sums.add(count.minute, &one);
                }
                for event in events_of(job, chain, &stored.summary) {
                    sums.event(event);
                }
            }
        }
    }
}

/// A window that is being added up.
#[derive(Default)]
struct Sums {
    step: u32,
    /// Start of the first bin.
    first: u32,
    from: u32,
    to: u32,
    bins: BTreeMap<u32, Operations>,
    /// Events one by one.
    single: Vec<Event>,
    /// Events by bin and kind.
    many: Vec<Event>,
    entries: usize,
    behind: bool,
}

fn alone(doc: EventDoc) -> Option<Event> {
    let at = Ts { t: u32::try_from(doc.key.t).ok()?, i: u32::try_from(doc.key.i).ok()? };
    Some(Event { at, to: at.t, kind: doc.kind, count: 1, command: doc.command, ns: doc.ns })
}

impl Sums {
    fn add(&mut self, at: u32, operations: &Operations) {
        if at >= self.first && at <= self.to {
            self.bins.entry(at - at % self.step).or_default().add_all(operations);
        }
    }

    fn event(&mut self, doc: EventDoc) {
        let Some(event) = alone(doc) else { return };
        if event.at.t >= self.from && event.at.t <= self.to {
            self.single.push(event);
        }
    }

    fn finish(mut self) -> Rollups {
        let mut events = self.many;
        if !events.is_empty() || self.single.len() > EVENTS_MAX {
            self.single.extend(events);
            events = merged(self.single, self.step);
        } else {
            events = self.single;
        }
        events.sort_by_key(|a| (a.at, a.kind));
        let bins = self.bins.into_iter().map(|(from, operations)| Bin { from, operations }).collect();
        Rollups { bin_seconds: self.step, bins, events, behind: self.behind }
    }
}

/// Those of one kind and bin as one.
fn merged(events: Vec<Event>, step: u32) -> Vec<Event> {
    let mut out: BTreeMap<(u32, EventKind), Event> = BTreeMap::new();
    for event in events {
        let key = (event.at.t - event.at.t % step, event.kind);
        match out.get_mut(&key) {
            None => {
                out.insert(key, event);
            }
            Some(all) => {
                all.count += event.count;
                all.to = all.to.max(event.to);
                if event.at < all.at {
                    (all.at, all.command, all.ns) = (event.at, event.command, event.ns);
                }
            }
        }
    }
    out.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_window_has_few_bins_and_none_is_finer_than_a_minute() {
        for span in [0, 1, 60, 3_600, 86_400, 30 * 86_400, 365 * 86_400, 10 * 365 * 86_400, u32::MAX] {
            let from = 7_u32;
            let to = from.saturating_add(span);
            let step = step(from, to);
            let first = from - from % step;
            assert!(step >= 60 && (to - first) / step < BINS_MAX, "{span}: {step}");
        }
        assert_eq!(step(0, 3_600), 60);
        assert_eq!(step(0, 365 * 86_400), 86_400);
    }

    #[test]
    fn many_events_become_one_by_bin_and_kind() {
        let event =
            |t: u32, kind| Event { at: Ts { t, i: 1 }, to: t, kind, count: 1, command: "c".into(), ns: t.to_string() };
        let all =
            (0..EVENTS_MAX as u32 + 20).map(|t| event(t, if t % 2 == 0 { EventKind::Drop } else { EventKind::Index }));
        let sums = Sums { step: 300, to: u32::MAX, single: all.collect(), ..Sums::default() };
        let events = sums.finish().events;
        assert_eq!(events.len(), 4);
        assert_eq!(events.iter().map(|e| e.count).sum::<i64>(), 520);
        assert_eq!((events[0].at.t, events[0].to, events[0].count, &*events[0].ns), (0, 298, 150, "0"));
        assert_eq!((events[3].at.t, events[3].to), (301, 519));
    }
}
