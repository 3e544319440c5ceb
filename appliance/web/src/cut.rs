//! What stands just before and just after an instant in the ledger, and what a restore of it would take.
//!
//! Reads at most [`PAYLOADS_MAX`] payloads on either side, each bounded by the ledger, and passes by slices whose summary says that nobody wrote
//! anything; shows namespaces and kinds, never a document's content.

use std::collections::{BTreeMap, VecDeque};

use axum::{Json, extract::State};
use bson::raw::RawDocument;
use holdfast_domain::{EntryBody, ErrorClass, SliceSummary, Ts};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    caller::{OfBackup, fault},
    extract::QueryOf,
    instant::{InstantAt, parse_at, rfc3339},
    nearest::words,
    points::{Points, Snapshot},
    problem::{ApiError, Problem},
    state::WebState,
};

/// Entries shown on either side.
const SHOWN: usize = 5;
/// Payloads read on either side.
const PAYLOADS_MAX: usize = 6;
/// Ledger entries looked at on either side, by their summaries: a quiet source writes a slice of no-ops every few seconds.
const LOOKED_MAX: i64 = 20_000;
/// How far the counts after the instant reach, in seconds.
const AFTER_SECONDS: u32 = 60;
/// Namespaces counted one by one; the rest is counted under `*`.
const NAMESPACES_MAX: usize = 50;
/// Ledger entries counted for the plan; more than this is said to be more.
const COUNTED_MAX: i64 = 20_000;
/// Ledger entries read at a time.
const BATCH: i64 = 500;

/// Which instant.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct CutQuery {
    /// The instant, inclusive: RFC 3339 (the whole second) or `SECONDS,INCREMENT`.
    at: String,
    /// Of two histories that cover the instant the one of this chain; the younger when nothing is said.
    chain: Option<i64>,
}

/// A history that can serve the instant.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HistoryView {
    /// Number of its chain, as a restore takes it.
    chain: i64,
    /// Its start point.
    from: InstantAt,
    /// Its last optime.
    to: InstantAt,
    /// No entry will be added.
    closed: bool,
    /// Why it ended, the rest of a sentence.
    reason: Option<String>,
    /// The snapshot in it that would be the base, its second, RFC 3339.
    snapshot_at: String,
    /// What is shown is of this one.
    chosen: bool,
}

/// What was done to a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct LostView {
    /// Namespace; `*`: the rest of them.
    ns: String,
    /// Documents inserted.
    inserts: u64,
    /// Documents changed.
    updates: u64,
    /// Documents deleted.
    deletes: u64,
    /// Commands.
    ddl: u64,
}

/// An oplog entry, by what it touches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct CutEntryView {
    /// When.
    at: InstantAt,
    /// `insert`, `update`, `delete`, `transaction` or the command's name.
    kind: String,
    /// Namespace.
    ns: String,
    /// Operations in it: more than one in a transaction.
    count: u64,
}

/// An instant, what stands on both sides of it, and what restoring it takes.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CutView {
    /// The last entries that would be in, oldest first; at most five.
    before: Vec<CutEntryView>,
    /// The first entries that would be out, oldest first; at most five.
    after: Vec<CutEntryView>,
    /// What lies in the minute after the instant and would be out, by namespace, the most first.
    next_minute: Vec<LostView>,
    /// There is more in that minute than was counted.
    next_minute_truncated: bool,
    /// Every history that can serve the instant, the younger first.
    histories: Vec<HistoryView>,
    /// Snapshot that it would be made from.
    snapshot: String,
    /// That snapshot's second, RFC 3339, UTC.
    snapshot_at: String,
    /// Bytes of that snapshot's files.
    snapshot_bytes: u64,
    /// Version of the server whose files these are.
    server_version: String,
    /// Number of the chain.
    chain: i64,
    /// Oplog entries to replay, to a slice's end.
    replay_entries: i64,
    /// Their bytes.
    replay_bytes: i64,
    /// There is more to replay than was counted.
    replay_truncated: bool,
}

/// What stands around an instant.
#[utoipa::path(get, path = "/groups/{group}/backups/{rs}/cut", tag = "restores",
    params(("group" = String, Path, description = "id or name"), ("rs" = String, Path, description = "name of the replica set"), CutQuery),
    responses((status = 200, body = CutView), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn show_cut(
    State(state): State<WebState>,
    of: OfBackup,
    QueryOf(query): QueryOf<CutQuery>,
) -> Result<Json<CutView>, ApiError> {
    let at = parse_at(&query.at)?;
    let points = Points::read(&state, &of.job).await?;
    let Some(base) = points.base(at, query.chain) else {
        return Err(points.refusal(&state, &of.job, at, query.chain).await?);
    };
    let chain = base.meta.resume.chain;
    let place = place(&state, &of, base, at).await?;
    let first_seq = points.chains.iter().find(|span| span.chain == chain).map_or(0, |span| span.first_seq).max(1);
    let mut sides = Sides::default();
    sides.forward(&state, &of, chain, place.split.max(first_seq), at).await?;
    sides.backward(&state, &of, chain, (first_seq, place.split - 1), at).await?;
    let replay = replay(&state, &of, base, place.beyond).await?;
    Ok(Json(CutView {
        before: sides.before.into(),
        after: sides.after,
        next_minute: by_namespace(sides.minute),
        next_minute_truncated: sides.truncated,
        histories: histories(&state, &of, &points, at, base).await?,
        snapshot: base.root.id.to_string(),
        snapshot_at: rfc3339(i64::from(base.meta.optime.ts.t)),
        snapshot_bytes: base.root.logical_bytes,
        server_version: base.meta.server_version.clone(),
        chain,
        replay_entries: replay.entries,
        replay_bytes: replay.bytes,
        replay_truncated: replay.truncated,
    }))
}

/// The histories that can serve `at`, with the one of `base` marked. The reasons are read where there is a choice.
pub(crate) async fn histories(
    state: &WebState,
    of: &OfBackup,
    points: &Points,
    at: Ts,
    base: &Snapshot,
) -> Result<Vec<HistoryView>, ApiError> {
    let mut out = Vec::new();
    for (span, snapshot) in points.histories(at) {
        let reason = state.ledger().close_reason(&of.job.id, span.chain).await.map_err(fault)?;
        out.push(HistoryView {
            chain: span.chain,
            from: span.from.ts.into(),
            to: span.to.ts.into(),
            closed: span.closed,
            reason: reason.map(|reason| words(reason).to_owned()),
            snapshot_at: rfc3339(i64::from(snapshot.meta.optime.ts.t)),
            chosen: span.chain == base.meta.resume.chain,
        });
    }
    Ok(out)
}

/// Where an instant lies in its chain.
struct Place {
    /// The slice that holds it, or the first one after it; one after the last where the chain ends before.
    split: i64,
    /// The last slice that a replay to it reads.
    beyond: i64,
}

async fn place(state: &WebState, of: &OfBackup, base: &Snapshot, at: Ts) -> Result<Place, ApiError> {
    let chain = base.meta.resume.chain;
    if let Some(position) = state.ledger().entry_at(&of.job.id, chain, at).await.map_err(fault)? {
        return Ok(Place { split: position.seq, beyond: position.seq });
    }
    let tail = state.ledger().tail(&of.job.id).await.map_err(fault)?;
    let last = tail.filter(|tail| tail.at.chain == chain).map_or(base.meta.resume.seq, |tail| tail.at.seq);
    Ok(Place { split: last + 1, beyond: last })
}

/// What stands on both sides of an instant.
#[derive(Default)]
struct Sides {
    before: VecDeque<CutEntryView>,
    after: Vec<CutEntryView>,
    minute: BTreeMap<String, LostView>,
    truncated: bool,
}

impl Sides {
    /// Reads on from the slice that holds the instant until enough entries stand after it and its minute is over.
    async fn forward(
        &mut self,
        state: &WebState,
        of: &OfBackup,
        chain: i64,
        from: i64,
        at: Ts,
    ) -> Result<(), ApiError> {
        let until = Ts { t: at.t.saturating_add(AFTER_SECONDS), i: at.i };
        let (mut seq, mut payloads) = (from, 0);
        while seq < from + LOOKED_MAX {
            let batch = state.ledger().entries(&of.job.id, chain, seq, BATCH).await.map_err(fault)?;
            let Some(last) = batch.last() else { return Ok(()) };
            seq = last.entry.at.seq + 1;
            for stored in &batch {
                let EntryBody::Slice { payload } = &stored.entry.body else { continue };
                let over = stored.entry.first.ts > until;
                if over && self.after.len() >= SHOWN {
                    return Ok(());
                }
                // The slice that holds the instant has entries of both sides, whatever its summary says.
                if stored.entry.at.seq != from && is_quiet(&stored.summary) {
                    continue;
                }
                if payloads == PAYLOADS_MAX {
                    self.truncated = !over;
                    return Ok(());
                }
                payloads += 1;
                let raw = state.ledger().read_payload(&of.job.id, chain, payload).await.map_err(fault)?;
                collect(&raw, at, &mut self.before, &mut self.after)?;
                tally(&raw, at, until, &mut self.minute)?;
            }
        }
        self.truncated = true;
        Ok(())
    }

    /// Reads back until enough entries stand before the instant. Many slices of a quiet source hold none.
    async fn backward(
        &mut self,
        state: &WebState,
        of: &OfBackup,
        chain: i64,
        (first, last): (i64, i64),
        at: Ts,
    ) -> Result<(), ApiError> {
        let (mut end, mut payloads) = (last, 0);
        while self.before.len() < SHOWN && end >= first && last - end < LOOKED_MAX {
            let begin = (end - BATCH + 1).max(first);
            let batch = state.ledger().entries(&of.job.id, chain, begin, end - begin + 1).await.map_err(fault)?;
            for stored in batch.iter().rev() {
                let EntryBody::Slice { payload } = &stored.entry.body else { continue };
                if is_quiet(&stored.summary) {
                    continue;
                }
                if self.before.len() >= SHOWN || payloads == PAYLOADS_MAX {
                    return Ok(());
                }
                payloads += 1;
                let raw = state.ledger().read_payload(&of.job.id, chain, payload).await.map_err(fault)?;
                let mut older = VecDeque::with_capacity(SHOWN + 1);
                collect(&raw, at, &mut older, &mut Vec::new())?;
                while self.before.len() < SHOWN
                    && let Some(entry) = older.pop_back()
                {
                    self.before.push_front(entry);
                }
            }
            end = begin - 1;
        }
        Ok(())
    }
}

/// Nobody wrote anything in it: no-ops alone.
fn is_quiet(summary: &SliceSummary) -> bool {
    summary.counts.is_empty() && summary.ddl.is_empty() && summary.ddl_omitted == 0
}

/// The most first; what has no place of its own is put together.
fn by_namespace(counted: BTreeMap<String, LostView>) -> Vec<LostView> {
    let all = |view: &LostView| view.inserts + view.updates + view.deletes + view.ddl;
    let mut out: Vec<LostView> = counted.into_values().collect();
    out.sort_by(|a, b| all(b).cmp(&all(a)).then_with(|| a.ns.cmp(&b.ns)));
    if out.len() > NAMESPACES_MAX {
        let rest = out.split_off(NAMESPACES_MAX);
        out.push(rest.into_iter().fold(LostView { ns: "*".into(), ..LostView::default() }, |sum, view| LostView {
            inserts: sum.inserts + view.inserts,
            updates: sum.updates + view.updates,
            deletes: sum.deletes + view.deletes,
            ddl: sum.ddl + view.ddl,
            ..sum
        }));
    }
    out
}

/// What there is to replay.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Replay {
    /// Oplog entries, to a slice's end.
    pub(crate) entries: i64,
    /// Their bytes.
    pub(crate) bytes: i64,
    /// There is more than was counted.
    pub(crate) truncated: bool,
}

impl Replay {
    /// Bytes that a restore handles: the base's files and what is replayed.
    pub(crate) fn all_bytes(self, base: &Snapshot) -> i64 {
        i64::try_from(base.root.logical_bytes).unwrap_or(i64::MAX).saturating_add(self.bytes)
    }
}

/// What there is to replay from `base` to `at`.
pub(crate) async fn replay_of(state: &WebState, of: &OfBackup, base: &Snapshot, at: Ts) -> Result<Replay, ApiError> {
    let place = place(state, of, base, at).await?;
    replay(state, of, base, place.beyond).await
}

/// Entries and bytes from the base's resume point to the slice at `beyond`.
async fn replay(state: &WebState, of: &OfBackup, base: &Snapshot, beyond: i64) -> Result<Replay, ApiError> {
    let mut seq = base.meta.resume.seq;
    let end = beyond.min(seq + COUNTED_MAX);
    let mut out = Replay { truncated: end < beyond, ..Replay::default() };
    while seq <= end {
        let batch = state.ledger().entries(&of.job.id, base.meta.resume.chain, seq, BATCH.min(end - seq + 1)).await;
        let batch = batch.map_err(fault)?;
        let Some(last) = batch.last() else { break };
        seq = last.entry.at.seq + 1;
        for stored in &batch {
            if let EntryBody::Slice { payload } = &stored.entry.body {
                out.entries += payload.entries;
                out.bytes += payload.raw_bytes;
            }
        }
    }
    Ok(out)
}

/// Sorts the entries of a payload to the two sides of `at`; no-ops are nothing that a user did.
fn collect(
    raw: &[u8],
    at: Ts,
    before: &mut VecDeque<CutEntryView>,
    after: &mut Vec<CutEntryView>,
) -> Result<(), ApiError> {
    for found in entries_of(raw) {
        let (doc, ts) = found?;
        if ts > at && after.len() >= SHOWN {
            return Ok(());
        }
        let Some(entry) = entry_of(doc, ts) else { continue };
        if ts > at {
            after.push(entry);
        } else {
            before.push_back(entry);
            if before.len() > SHOWN {
                before.pop_front();
            }
        }
    }
    Ok(())
}

/// The oplog entries of a payload, each with its cluster time.
fn entries_of(raw: &[u8]) -> impl Iterator<Item = Result<(&RawDocument, Ts), ApiError>> {
    let mut rest = raw;
    std::iter::from_fn(move || {
        let length = rest.first_chunk::<4>().map(|bytes| i32::from_le_bytes(*bytes))?;
        let length = usize::try_from(length).unwrap_or(0).clamp(4, rest.len());
        let (head, tail) = rest.split_at(length);
        rest = tail;
        Some(entry_in(head))
    })
}

fn entry_in(bytes: &[u8]) -> Result<(&RawDocument, Ts), ApiError> {
    let damaged = |error: bson::error::Error| ApiError::from_class(ErrorClass::Corrupt, &error);
    let doc = RawDocument::from_bytes(bytes).map_err(damaged)?;
    let ts = doc.get_timestamp("ts").map_err(|error| ApiError::from_class(ErrorClass::Corrupt, &error))?;
    Ok((doc, Ts { t: ts.time, i: ts.increment }))
}

/// Counts the operations after `at`, up to `until`, by namespace; those of a transaction one by one.
fn tally(raw: &[u8], at: Ts, until: Ts, counted: &mut BTreeMap<String, LostView>) -> Result<(), ApiError> {
    for found in entries_of(raw) {
        let (doc, ts) = found?;
        if ts > until {
            return Ok(());
        }
        if ts > at {
            count_op(doc, ts, counted);
        }
    }
    Ok(())
}

fn count_op(doc: &RawDocument, ts: Ts, counted: &mut BTreeMap<String, LostView>) {
    let ops = doc.get_document("o").ok().and_then(|o| o.get_array("applyOps").ok());
    if let (Ok("c"), Some(ops)) = (doc.get_str("op"), ops) {
        for op in ops.into_iter().flatten().filter_map(|op| op.as_document()) {
            count_one(op, ts, counted);
        }
        return;
    }
    count_one(doc, ts, counted);
}

fn count_one(doc: &RawDocument, ts: Ts, counted: &mut BTreeMap<String, LostView>) {
    let Some(entry) = entry_of(doc, ts) else { return };
    let view =
        counted.entry(entry.ns.clone()).or_insert_with(|| LostView { ns: entry.ns.clone(), ..LostView::default() });
    match entry.kind.as_str() {
        "insert" => view.inserts += 1,
        "update" => view.updates += 1,
        "delete" => view.deletes += 1,
        _ => view.ddl += 1,
    }
}

fn entry_of(doc: &RawDocument, ts: Ts) -> Option<CutEntryView> {
    let text = |name: &str| doc.get_str(name).unwrap_or_default().to_owned();
    let entry = |kind: &str, ns: String, count| Some(CutEntryView { at: ts.into(), kind: kind.to_owned(), ns, count });
    match doc.get_str("op").ok()? {
        "i" => entry("insert", text("ns"), 1),
        "u" => entry("update", text("ns"), 1),
        "d" => entry("delete", text("ns"), 1),
        "c" => {
            let command = doc.get_document("o").ok()?;
            let (name, value) = command.iter().next()?.ok()?;
            let name = name.to_string();
            if name == "applyOps" {
                let ops: Vec<_> = value.as_array()?.into_iter().flatten().filter_map(|op| op.as_document()).collect();
                let first = ops.first().and_then(|op| op.get_str("ns").ok()).unwrap_or_default().to_owned();
                return entry("transaction", first, ops.len() as u64);
            }
            let ns = match (value.as_str(), text("ns")) {
                (Some(collection), ns) => ns.strip_suffix("$cmd").map_or(ns.clone(), |db| format!("{db}{collection}")),
                (None, ns) => ns,
            };
            entry(&name, ns, 1)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use bson::{Timestamp, doc};

    fn raw(entries: &[bson::Document]) -> Vec<u8> {
        entries.iter().flat_map(|entry| entry.to_vec().unwrap()).collect()
    }

    #[test]
    fn both_sides_without_no_ops() {
        let ts = |time, increment| Timestamp { time, increment };
        let mut entries: Vec<bson::Document> =
            (1..9).map(|n| doc! {"ts": ts(5, n), "op": "i", "ns": "a.b", "o": {"_id": n}}).collect();
        entries.push(doc! {"ts": ts(6, 1), "op": "n", "ns": "", "o": {}});
        entries.push(doc! {"ts": ts(6, 2), "op": "c", "ns": "a.$cmd", "o": {"drop": "b"}});
        let ops = vec![doc! {"op": "d", "ns": "a.c"}, doc! {"op": "d", "ns": "a.d"}];
        entries.push(doc! {"ts": ts(6, 3), "op": "c", "ns": "admin.$cmd", "o": {"applyOps": ops}});
        let (mut before, mut after) = (VecDeque::new(), Vec::new());
        collect(&raw(&entries), Ts { t: 5, i: u32::MAX }, &mut before, &mut after).unwrap();
        assert_eq!(before.len(), SHOWN);
        assert_eq!(before.back().map(|e| (e.at.i, e.kind.as_str())), Some((8, "insert")));
        let shown: Vec<_> = after.iter().map(|e| (e.kind.as_str(), e.ns.as_str(), e.count)).collect();
        assert_eq!(shown, [("drop", "a.b", 1), ("transaction", "a.c", 2)]);
    }

    #[test]
    fn the_minute_after_is_counted_by_namespace() {
        let ts = |time, increment| Timestamp { time, increment };
        let ops = vec![doc! {"op": "d", "ns": "a.c"}, doc! {"op": "i", "ns": "a.d"}];
        let entries = [
            doc! {"ts": ts(5, 1), "op": "i", "ns": "a.b", "o": {}},
            doc! {"ts": ts(5, 2), "op": "d", "ns": "a.b", "o": {}},
            doc! {"ts": ts(6, 1), "op": "n", "ns": "", "o": {}},
            doc! {"ts": ts(6, 2), "op": "c", "ns": "admin.$cmd", "o": {"applyOps": ops}},
            doc! {"ts": ts(65, 1), "op": "c", "ns": "a.$cmd", "o": {"drop": "c"}},
            doc! {"ts": ts(65, 2), "op": "u", "ns": "a.b", "o": {}},
        ];
        let mut counted = BTreeMap::new();
        tally(&raw(&entries), Ts { t: 5, i: 1 }, Ts { t: 65, i: 1 }, &mut counted).unwrap();
        let shown: Vec<_> = by_namespace(counted)
            .into_iter()
            .map(|view| (view.ns, view.inserts, view.updates, view.deletes, view.ddl))
            .collect();
        let row = |ns: &str, i, u, d, c| (ns.to_owned(), i, u, d, c);
        assert_eq!(shown, [row("a.c", 0, 0, 1, 1), row("a.b", 0, 0, 1, 0), row("a.d", 1, 0, 0, 0)]);
        let many = (0..60).map(|n| (n.to_string(), LostView { ns: n.to_string(), inserts: 1, ..LostView::default() }));
        let shown = by_namespace(many.collect());
        assert_eq!((shown.len(), shown[NAMESPACES_MAX].ns.as_str(), shown[NAMESPACES_MAX].inserts), (51, "*", 10));
    }

    #[test]
    fn damage_is_an_error() {
        let mut bytes = raw(&[doc! {"ts": Timestamp { time: 1, increment: 1 }, "op": "n"}]);
        let last = bytes.len() - 1;
        bytes[last] = 7;
        let result = collect(&bytes, Ts { t: 1, i: 1 }, &mut VecDeque::new(), &mut Vec::new());
        assert!(result.is_err());
    }
}
