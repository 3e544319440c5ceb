//! What happened to hosts: restarts, elections, coming and going. Marks in charts.

use axum::{Json, extract::State};
use holdfast_domain::HostId;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    caller::{InGroup, fault},
    extract::QueryOf,
    instant::{parse_at, rfc3339_of},
    problem::{ApiError, Problem},
    restores::word,
    state::WebState,
};

/// What is shown when nothing is said: a day.
const SPAN_SECONDS: i64 = 86_400;

/// Which events.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct HostEventsQuery {
    /// From here, RFC 3339; a day ago when nothing is said.
    from: Option<String>,
    /// Up to here; now when nothing is said.
    to: Option<String>,
    /// Of this host alone: its id.
    host: Option<String>,
}

/// An event.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HostEventView {
    /// Id of the host.
    host: String,
    /// `host:port`.
    name: String,
    /// When, RFC 3339.
    at: String,
    /// `restarted`, `becamePrimary`, `becameSecondary`, `down`, `up`, `appeared` or `vanished`.
    kind: String,
    /// More of it.
    detail: String,
}

/// What happened to hosts of the group, oldest first; of more than 2,000 the newest.
#[utoipa::path(get, path = "/groups/{group}/hostEvents", tag = "monitoring",
    params(("group" = String, Path, description = "id or name"), HostEventsQuery),
    responses((status = 200, body = [HostEventView]), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list_host_events(
    State(state): State<WebState>,
    of: InGroup,
    QueryOf(query): QueryOf<HostEventsQuery>,
) -> Result<Json<Vec<HostEventView>>, ApiError> {
    let now = jiff::Timestamp::now().as_second();
    let second = |text: &str| parse_at(text).map(|ts| i64::from(ts.t));
    let to = query.to.as_deref().map(second).transpose()?.unwrap_or(now);
    let from = query.from.as_deref().map(second).transpose()?.unwrap_or(to - SPAN_SECONDS);
    let host = query.host.as_deref().map(str::parse::<HostId>).transpose();
    let host = host.map_err(|error| ApiError::bad_request(error.to_string()))?;
    let events = state.metadb().host_events(&of.group.id, host.as_ref(), from..=to).await.map_err(fault)?;
    let view = |event: holdfast_metadb::StoredHostEvent| HostEventView {
        host: event.host.to_string(),
        name: event.name,
        at: rfc3339_of(event.at),
        kind: word(event.kind),
        detail: event.detail,
    };
    Ok(Json(events.into_iter().map(view).collect()))
}
