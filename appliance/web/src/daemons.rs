//! Daemons: where heads live.

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    caller::fault,
    instant::rfc3339_of,
    problem::{ApiError, Problem},
    state::WebState,
};

/// A daemon.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DaemonView {
    /// Id.
    id: String,
    /// Name.
    name: String,
    /// Version.
    version: String,
    /// Labels that jobs can ask for.
    labels: Vec<String>,
    /// Bytes that new heads may take.
    free_bytes: u64,
    /// The file system that holds its heads: `xfs`, `btrfs`, `ext4`, ...; missing until it has reported.
    file_system: Option<String>,
    /// What to know and do about that file system, a sentence.
    file_system_advice: Option<String>,
    /// Heads that live there.
    heads: u64,
    /// When it last said that it lives, RFC 3339, by the server's clock.
    last_seen: String,
}

/// All daemons.
#[utoipa::path(get, path = "/daemons", tag = "daemons",
    responses((status = 200, body = [DaemonView]), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list_daemons(State(state): State<WebState>) -> Result<Json<Vec<DaemonView>>, ApiError> {
    let daemons = state.metadb().daemons().await.map_err(fault)?;
    let view = |daemon: holdfast_metadb::Daemon| DaemonView {
        id: daemon.id.to_string(),
        name: daemon.name,
        labels: daemon.labels,
        version: daemon.version,
        free_bytes: daemon.space.free_bytes,
        file_system: daemon.file_system.as_ref().map(|found| found.name.clone()),
        file_system_advice: daemon.file_system.map(|found| found.recommendation),
        heads: daemon.heads.len() as u64,
        last_seen: rfc3339_of(daemon.last_seen),
    };
    Ok(Json(daemons.into_iter().map(view).collect()))
}
