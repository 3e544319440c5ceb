//! The timeline of a backup: how much happened when, commands, elections, chains and the gaps between them.
//!
//! Made from rollups ([`holdfast_ledger::Rollups`]): a year costs as little as an hour. No payload is read.

use axum::{Json, extract::State};
use holdfast_domain::Ts;
use holdfast_ledger::{Bin, Event, EventKind};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    caller::{OfBackup, fault},
    extract::QueryOf,
    instant::{InstantAt, parse_at},
    points::Points,
    problem::{ApiError, Problem},
    restores::word,
    state::WebState,
};

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

/// Operations of some minutes.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct BinView {
    /// Start, seconds since 1970, a multiple of `binSeconds`.
    from: u32,
    /// Documents inserted.
    inserts: i64,
    /// Documents changed.
    updates: i64,
    /// Documents deleted.
    deletes: i64,
    /// Commands.
    ddl: i64,
}

impl From<Bin> for BinView {
    fn from(bin: Bin) -> Self {
        let all = bin.operations;
        Self { from: bin.from, inserts: all.inserts, updates: all.updates, deletes: all.deletes, ddl: all.ddl }
    }
}

/// What sort of event.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum EventKindView {
    /// A collection, database or view went away.
    Drop,
    /// An index was built or dropped.
    Index,
    /// Another command.
    Command,
    /// Another primary was elected.
    Election,
}

/// A command or an election; where many lie close to each other, all of one kind.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventView {
    /// When; the first of them.
    at: InstantAt,
    /// The second of the last of them.
    to: u32,
    /// What.
    kind: EventKindView,
    /// How many.
    count: i64,
    /// Name of the (first) command; empty for an election.
    command: String,
    /// The namespace that it names.
    ns: String,
}

impl From<Event> for EventView {
    fn from(event: Event) -> Self {
        let kind = match event.kind {
            EventKind::Drop => EventKindView::Drop,
            EventKind::Index => EventKindView::Index,
            EventKind::Command => EventKindView::Command,
            EventKind::Election => EventKindView::Election,
        };
        let Event { at, to, count, command, ns, .. } = event;
        Self { at: at.into(), to, kind, count, command, ns }
    }
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
    /// Width of a bin, in seconds: the smallest of which the span has at most 600.
    bin_seconds: u32,
    /// Operations, bins without any left out.
    bins: Vec<BinView>,
    /// Commands and elections: 500 one by one, more of them by kind and bin.
    events: Vec<EventView>,
    /// Chains.
    chains: Vec<ChainView>,
    /// Gaps between chains.
    gaps: Vec<GapView>,
    /// What can be restored.
    ranges: Vec<crate::backups::RangeView>,
    /// The newest entries are not counted yet: what was written last is missing here, and comes.
    behind: bool,
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
    let to = query.to.as_deref().map(parse_at).transpose()?.unwrap_or_else(|| second(now));
    let from = query.from.as_deref().map(parse_at).transpose()?.unwrap_or_else(|| second(now - SPAN_SECONDS));
    if from.t > to.t {
        return Err(ApiError::bad_request("`from` lies after `to`"));
    }
    let points = Points::read(&state, &of.job).await?;
    let rollups = state.ledger().rollups(&of.job.id, &points.chains, from.t, to.t).await.map_err(fault)?;
    let mut chains = Vec::with_capacity(points.chains.len());
    // Why a history ended is asked of every one: a gap far from its ends, and wider than what is shown, has the same reason.
    for (span, ended) in points.chains.iter().zip(points.ended(&state, &of.job).await?) {
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
        bin_seconds: rollups.bin_seconds,
        bins: rollups.bins.into_iter().map(Into::into).collect(),
        events: rollups.events.into_iter().map(Into::into).collect(),
        chains,
        gaps,
        ranges: points.ranges().into_iter().map(Into::into).collect(),
        behind: rollups.behind,
    }))
}
