//! The last answers of a host, as they came.

use axum::{Json, extract::State};
use holdfast_domain::{ErrorClass, HostId};
use serde::Serialize;
use utoipa::ToSchema;

use super::hosts::host_in;
use crate::{
    caller::{InGroup, fault},
    extract::PathOf,
    instant::rfc3339_of,
    problem::{ApiError, Problem},
    state::WebState,
};

/// Largest ping, unpacked, in bytes.
const PING_BYTES_MAX: usize = 16 << 20;

/// The answers of one minute.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PingView {
    /// When, RFC 3339.
    at: String,
    /// The answers by command, extended JSON.
    #[schema(value_type = Object)]
    answers: serde_json::Value,
}

/// The last 20 pings of a host, newest first.
#[utoipa::path(get, path = "/groups/{group}/hosts/{host}/pings", tag = "monitoring",
    params(("group" = String, Path, description = "id or name"), ("host" = String, Path, description = "id")),
    responses((status = 200, body = [PingView]), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list_pings(
    State(state): State<WebState>,
    of: InGroup,
    path: PathOf<(String, HostId)>,
) -> Result<Json<Vec<PingView>>, ApiError> {
    let PathOf((_, id)) = path;
    host_in(&state, &of, &id).await?;
    let corrupt = |error: &(dyn std::error::Error + 'static)| ApiError::from_class(ErrorClass::Corrupt, error);
    let mut pings = Vec::new();
    for ping in state.metadb().pings(&id).await.map_err(fault)? {
        let json = zstd::bulk::decompress(&ping.answers, PING_BYTES_MAX).map_err(|error| corrupt(&error))?;
        let answers = serde_json::from_slice(&json).map_err(|error| corrupt(&error))?;
        pings.push(PingView { at: rfc3339_of(bson::DateTime::from_millis(ping.at)), answers });
    }
    Ok(Json(pings))
}
