//! The timeline of a backup: how much happened when, commands, elections, chains and the gaps between them.
//!
//! Made from the summaries of ledger entries alone; no payload is read.

use std::collections::BTreeMap;

use axum::{Json, extract::State};
use holdfast_domain::{EntryBody, OpKind, Ts};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    caller::{OfBackup, fault},
    extract::QueryOf,
    instant::{Instant, InstantAt, parse_at},
    points::Points,
    problem::{ApiError, Problem},
    restores::word,
    state::WebState,
};

/// Entries read at a time.
const ENTRIES_BATCH: i64 = 500;
/// Entries read for one answer; `truncated` says when there were more.
const ENTRIES_MAX: usize = 50_000;
/// Marks of one kind in one answer.
const MARKS_MAX: usize = 2_000;
/// What is shown when nothing is said, in seconds before now: an hour.
const SPAN_SECONDS: i64 = 3_600;

/// Which part.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct TimelineQuery {
    /// From here, RFC 3339 or `SECONDS,INCREMENT`; an hour ago when nothing is said.
    from: Option<String>,
    /// To here, inclusive; now when nothing is said.
    to: Option<String>,
}

/// Operations of one minute.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub(crate) struct MinuteView {
    /// Start of the minute, seconds since 1970.
    minute: u32,
    /// Documents inserted.
    inserts: i64,
    /// Documents changed.
    updates: i64,
    /// Documents deleted.
    deletes: i64,
    /// Commands.
    ddl: i64,
}

/// A command.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DdlView {
    /// When.
    at: InstantAt,
    /// Its name.
    command: String,
    /// The namespace that it names.
    ns: String,
}

/// A chain.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ChainView {
    /// Number.
    chain: i64,
    /// Its start point.
    from: InstantAt,
    /// Its last optime.
    to: InstantAt,
    /// No entry will be added.
    closed: bool,
    /// Why it ended.
    reason: Option<String>,
}

/// Instants that no chain covers.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GapView {
    /// Last instant before it.
    from: InstantAt,
    /// First instant after it.
    to: InstantAt,
}

/// A timeline.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TimelineView {
    /// Operations per minute.
    minutes: Vec<MinuteView>,
    /// Commands, at most 2,000.
    ddl: Vec<DdlView>,
    /// Elections.
    elections: Vec<Instant>,
    /// Chains.
    chains: Vec<ChainView>,
    /// Gaps between chains.
    gaps: Vec<GapView>,
    /// What can be restored.
    ranges: Vec<crate::backups::RangeView>,
    /// More was there than one answer holds: ask for a shorter span.
    truncated: bool,
}

/// The timeline between two instants.
#[utoipa::path(get, path = "/groups/{group}/backups/{rs}/timeline", tag = "backups",
    params(("group" = String, Path, description = "id or name"), ("rs" = String, Path, description = "name of the replica set"), TimelineQuery),
    responses((status = 200, body = TimelineView), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn show_timeline(
    State(state): State<WebState>,
    of: OfBackup,
    QueryOf(query): QueryOf<TimelineQuery>,
) -> Result<Json<TimelineView>, ApiError> {
    let now = jiff::Timestamp::now().as_second();
    let second = |s: i64| Ts { t: u32::try_from(s.max(0)).unwrap_or(u32::MAX), i: 0 };
    let from = match &query.from {
        // A whole second begins at its first entry.
        Some(text) => {
            Some(parse_at(text)?).map(|ts| if ts.i == u32::MAX { Ts { i: 0, ..ts } } else { ts }).unwrap_or(Ts::ZERO)
        }
        None => second(now - SPAN_SECONDS),
    };
    let to = query.to.as_deref().map(parse_at).transpose()?.unwrap_or(Ts { t: u32::MAX, i: u32::MAX });
    let points = Points::read(&state, &of.job).await?;
    let mut out = Collected::default();
    let mut chains = Vec::with_capacity(points.chains.len());
    // Why a history ended is asked of every one: a gap far from its ends, and wider than what is shown, has the same reason.
    for (span, ended) in points.chains.iter().zip(points.ended(&state, &of.job).await?) {
        out.chain(&state, &of, span, from, to).await?;
        chains.push(ChainView {
            chain: span.chain,
            from: span.from.ts.into(),
            to: span.to.ts.into(),
            closed: span.closed,
            reason: ended.reason.map(word),
        });
    }
    let gaps = points.chains.windows(2).filter(|pair| pair[0].to.ts < pair[1].from.ts);
    let gaps = gaps.map(|pair| GapView { from: pair[0].to.ts.into(), to: pair[1].from.ts.into() }).collect();
    Ok(Json(TimelineView {
        minutes: out.minutes.into_values().collect(),
        ddl: out.ddl,
        elections: out.elections,
        chains,
        gaps,
        ranges: points.ranges().into_iter().map(Into::into).collect(),
        truncated: out.truncated,
    }))
}

#[derive(Default)]
struct Collected {
    minutes: BTreeMap<u32, MinuteView>,
    ddl: Vec<DdlView>,
    elections: Vec<Instant>,
    entries: usize,
    truncated: bool,
}

impl Collected {
    /// Adds what of one chain lies between the instants.
    async fn chain(
        &mut self,
        state: &WebState,
        of: &OfBackup,
        span: &holdfast_domain::ChainSpan,
        from: Ts,
        to: Ts,
    ) -> Result<(), ApiError> {
        let job = &of.job.id;
        if span.to.ts < from || span.from.ts > to {
            return Ok(());
        }
        let start = state.ledger().entry_at(job, span.chain, from).await.map_err(fault)?;
        let mut seq = start.map_or(span.first_seq, |at| at.seq).max(span.first_seq);
        loop {
            let entries = state.ledger().entries(job, span.chain, seq, ENTRIES_BATCH).await.map_err(fault)?;
            let Some(last) = entries.last() else { return Ok(()) };
            seq = last.entry.at.seq + 1;
            for stored in entries {
                if matches!(stored.entry.body, EntryBody::Close { .. }) || stored.entry.first.ts > to {
                    return Ok(());
                }
                self.entries += 1;
                if self.entries > ENTRIES_MAX {
                    self.truncated = true;
                    return Ok(());
                }
                self.slice(&stored.summary, from, to);
            }
        }
    }

    fn slice(&mut self, summary: &holdfast_domain::SliceSummary, from: Ts, to: Ts) {
        let first = from.t - from.t % 60;
        for count in summary.counts.iter().filter(|c| (first..=to.t).contains(&c.minute)) {
            let minute = self
                .minutes
                .entry(count.minute)
                .or_insert_with(|| MinuteView { minute: count.minute, ..MinuteView::default() });
            match count.kind {
                OpKind::Insert => minute.inserts += count.count,
                OpKind::Update => minute.updates += count.count,
                OpKind::Delete => minute.deletes += count.count,
                OpKind::Ddl => minute.ddl += count.count,
            }
        }
        for mark in summary.ddl.iter().filter(|m| (from..=to).contains(&m.at.ts)) {
            if self.ddl.len() >= MARKS_MAX {
                self.truncated = true;
                break;
            }
            self.ddl.push(DdlView { at: mark.at.ts.into(), command: mark.command.clone(), ns: mark.ns.clone() });
        }
        let elections = summary.elections.iter().filter(|e| (from..=to).contains(&e.ts));
        self.elections
            .extend(elections.take(MARKS_MAX.saturating_sub(self.elections.len())).map(|e| Instant::from(*e)));
    }
}
