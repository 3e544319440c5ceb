//! What stands just before and just after an instant in the ledger, and what a restore of it would take.
//!
//! Reads at most [`SLICES_MAX`] payloads, each bounded by the ledger; shows namespaces and kinds, never a document's content.

use std::collections::VecDeque;

use axum::{Json, extract::State};
use bson::raw::RawDocument;
use holdfast_domain::{EntryBody, ErrorClass, Ts};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    caller::{OfBackup, fault},
    extract::QueryOf,
    instant::{InstantAt, parse_at, rfc3339},
    points::{Points, Snapshot},
    problem::{ApiError, Problem},
    state::WebState,
};

/// Entries shown on either side.
const SHOWN: usize = 5;
/// Slices read: the one that holds the instant, one before, one after.
const SLICES_MAX: i64 = 3;
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
    let base = points.base(at, None).ok_or_else(|| {
        ApiError::conflict("notRestorable", format!("this instant cannot be restored: {}", points.sentence()))
    })?;
    let chain = base.meta.resume.chain;
    let found = state.ledger().entry_at(&of.job.id, chain, at).await.map_err(fault)?;
    let (around, beyond) = match found {
        Some(position) => (position.seq - 1, position.seq),
        None => {
            let tail = state.ledger().tail(&of.job.id).await.map_err(fault)?;
            let last = tail.filter(|tail| tail.at.chain == chain).map_or(base.meta.resume.seq, |tail| tail.at.seq);
            (last - SLICES_MAX + 1, last)
        }
    };
    let first_seq = points.chains.iter().find(|span| span.chain == chain).map_or(0, |span| span.first_seq);
    let (before, after) = sides(&state, &of, (chain, around.max(first_seq).max(1)), at).await?;
    let (replay_entries, replay_bytes, replay_truncated) = replay(&state, &of, base, beyond).await?;
    Ok(Json(CutView {
        before,
        after,
        snapshot: base.root.id.to_string(),
        snapshot_at: rfc3339(i64::from(base.meta.optime.ts.t)),
        snapshot_bytes: base.root.logical_bytes,
        server_version: base.meta.server_version.clone(),
        chain,
        replay_entries,
        replay_bytes,
        replay_truncated,
    }))
}

type Sides = (Vec<CutEntryView>, Vec<CutEntryView>);

async fn sides(state: &WebState, of: &OfBackup, (chain, seq): (i64, i64), at: Ts) -> Result<Sides, ApiError> {
    let mut before = VecDeque::with_capacity(SHOWN + 1);
    let mut after = Vec::with_capacity(SHOWN);
    for stored in state.ledger().entries(&of.job.id, chain, seq, SLICES_MAX).await.map_err(fault)? {
        let EntryBody::Slice { payload } = &stored.entry.body else { continue };
        let raw = state.ledger().read_payload(&of.job.id, chain, payload).await.map_err(fault)?;
        collect(&raw, at, &mut before, &mut after)?;
        if after.len() >= SHOWN {
            break;
        }
    }
    Ok((before.into(), after))
}

/// What there is to replay: entries and bytes from the base's resume point to the slice at `beyond`.
async fn replay(state: &WebState, of: &OfBackup, base: &Snapshot, beyond: i64) -> Result<(i64, i64, bool), ApiError> {
    let (mut entries, mut bytes) = (0, 0);
    let mut seq = base.meta.resume.seq;
    let end = beyond.min(seq + COUNTED_MAX);
    while seq <= end {
        let batch = state.ledger().entries(&of.job.id, base.meta.resume.chain, seq, BATCH.min(end - seq + 1)).await;
        let batch = batch.map_err(fault)?;
        let Some(last) = batch.last() else { break };
        seq = last.entry.at.seq + 1;
        for stored in &batch {
            if let EntryBody::Slice { payload } = &stored.entry.body {
                entries += payload.entries;
                bytes += payload.raw_bytes;
            }
        }
    }
    Ok((entries, bytes, end < beyond))
}

/// Sorts the entries of a payload to the two sides of `at`; no-ops are nothing that a user did.
fn collect(
    raw: &[u8],
    at: Ts,
    before: &mut VecDeque<CutEntryView>,
    after: &mut Vec<CutEntryView>,
) -> Result<(), ApiError> {
    let damaged = |error: bson::error::Error| ApiError::from_class(ErrorClass::Corrupt, &error);
    let mut rest = raw;
    while let Some(length) = rest.first_chunk::<4>().map(|bytes| i32::from_le_bytes(*bytes)) {
        let length = usize::try_from(length).unwrap_or(0).clamp(4, rest.len());
        let (head, tail) = rest.split_at(length);
        rest = tail;
        let doc = RawDocument::from_bytes(head).map_err(damaged)?;
        let ts = doc.get_timestamp("ts").map_err(|error| ApiError::from_class(ErrorClass::Corrupt, &error))?;
        let ts = Ts { t: ts.time, i: ts.increment };
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
    fn damage_is_an_error() {
        let mut bytes = raw(&[doc! {"ts": Timestamp { time: 1, increment: 1 }, "op": "n"}]);
        let last = bytes.len() - 1;
        bytes[last] = 7;
        let result = collect(&bytes, Ts { t: 1, i: 1 }, &mut VecDeque::new(), &mut Vec::new());
        assert!(result.is_err());
    }
}
