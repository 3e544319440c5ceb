//! The link of a restore, taken away before its time.
//!
//! Ends the restore for good: what was made or pinned for it alone is let go of, so that retention may take it. A daemon that still works on
//! it is fenced off at its next step.

use axum::{Json, extract::State};
use blockstore_engine::{RootError, RootId};
use holdfast_domain::RestoreJobId;

use crate::{
    caller::{Caller, fault},
    extract::PathOf,
    problem::{ApiError, Problem},
    restores::{Names, RestoreView, pin_name, view_of, visible},
    state::WebState,
};

/// Takes the link of a restore away before its time.
///
/// It opens no further download, and a restore that is still being made is called off. A download that is under way is sent to its end. This
/// cannot be undone; the same restore can be asked for again.
#[utoipa::path(delete, path = "/restores/{restore}/link", tag = "restores", params(("restore" = String, Path, description = "id")),
    responses((status = 200, body = RestoreView), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn revoke_link(
    State(state): State<WebState>,
    caller: Caller,
    PathOf(id): PathOf<RestoreJobId>,
) -> Result<Json<RestoreView>, ApiError> {
    let job = visible(&state, &caller, &id).await?;
    if !state.metadb().revoke_restore(&id, caller.name()).await.map_err(fault)? {
        let detail = "the link does not work any more (or the restore failed): there is nothing to take away, and the same restore can be \
                      asked for again";
        return Err(ApiError::conflict("linkEnded", detail));
    }
    state.audit(&caller, Some(&job.group), "restore link revoked", id.as_str()).await;
    // Read anew: it may have become ready since.
    let job = visible(&state, &caller, &id).await?;
    for root in [Some(&job.base_root), job.root.as_ref()].into_iter().flatten() {
        let Ok(root) = root.parse::<RootId>() else { continue };
        match state.blockstore().unpin(&root, &pin_name(&id)).await {
            Ok(()) | Err(RootError::NotFound(_)) => {}
            // The link is gone all the same; the pin has an end of its own.
            Err(error) => tracing::warn!(%error, restore = %id, "the pin of a revoked restore stays until its end"),
        }
    }
    let names = Names::read(&state, &job.group).await?;
    Ok(Json(view_of(job, &names)))
}
