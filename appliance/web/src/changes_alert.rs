//! The alert that the file system of a head was wrong about what changed, acknowledged by who has seen to it.
//!
//! Until then it stands in the verdict. The acknowledgement names the snapshot that raised the alert, so that a newer one is not put away unseen.

use axum::{Json, extract::State};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    backups::{BackupView, reread, view},
    caller::{OfBackup, fault},
    extract::JsonOf,
    problem::{ApiError, Problem},
    state::WebState,
};

/// Which alert was seen to.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct AcknowledgeChanges {
    /// The snapshot that raised it: `changesAlert.snapshot` of the backup.
    snapshot: String,
}

/// Acknowledges that a sample of blocks that were called unchanged had changed. The verdict no longer says so.
#[utoipa::path(post, path = "/groups/{group}/backups/{rs}/changesAlert/acknowledgement", tag = "backups", request_body = AcknowledgeChanges,
    params(("group" = String, Path, description = "id or name"), ("rs" = String, Path, description = "name of the replica set")),
    responses((status = 200, body = BackupView), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn acknowledge_changes_alert(
    State(state): State<WebState>,
    of: OfBackup,
    JsonOf(seen): JsonOf<AcknowledgeChanges>,
) -> Result<Json<BackupView>, ApiError> {
    if !state.metadb().acknowledge_changes(&of.job.id, &seen.snapshot).await.map_err(fault)? {
        let detail = format!(
            "snapshot {} raised no alert that stands: it was acknowledged before, or another snapshot raised one since; look at the backup again",
            seen.snapshot
        );
        return Err(ApiError::conflict("noAlert", detail));
    }
    let subject = format!("{}, snapshot {}", of.job.rs, seen.snapshot);
    state.audit(&of.caller, Some(&of.group.id), "unchanged blocks alert acknowledged", &subject).await;
    let job = reread(&state, &of.job).await?;
    Ok(Json(view(&state, &of.group.name, job).await?))
}
