//! Deliveries of restores to SFTP targets: asked for with the restore or later, watched in it, called off here.

use axum::{Json, extract::State, http::StatusCode};
use holdfast_domain::{DeliveryState, RestoreJobId, RestoreState};
use holdfast_metadb::{Delivery, RestoreJob, SftpTarget};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    caller::{Caller, fault},
    extract::{JsonOf, PathOf},
    problem::{ApiError, Problem},
    restores::{visible, word},
    sftp_targets,
    state::WebState,
};

/// Digits of the restore's id in the file's name: no two restores write the same file.
const ID_DIGITS: usize = 8;

/// The push of a restore to an SFTP target.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeliveryView {
    /// Name of the target.
    target: String,
    /// Path of the file at the server; its sums lie beside it, with `.sums` behind.
    path: String,
    /// `waiting`, `sending`, `delivered`, `failed` or `cancelled`.
    state: String,
    /// Bytes that the server has acknowledged.
    sent_bytes: i64,
    /// Bytes of the file; null for `tar.gz`, and until sending has begun.
    total_bytes: Option<i64>,
    /// Bytes per second, lately.
    bytes_per_second: i64,
    /// Attempts begun.
    attempts: i64,
    /// Why it failed, or why it is tried again.
    error: Option<String>,
}

/// Where to push a restore.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AskDelivery {
    /// Name of an SFTP target of its group.
    #[serde(default)]
    sftp: String,
}

/// A delivery to begin with: of the file of this name and ending.
pub(crate) fn new_delivery(target: &SftpTarget, id: &RestoreJobId, name: &str, ending: &str) -> Delivery {
    let digits: String = id.as_str().chars().rev().take(ID_DIGITS).collect();
    Delivery {
        target: target.id.clone(),
        target_name: target.name.clone(),
        path: target.path_of(&format!("{name}-{digits}.{ending}")),
        state: DeliveryState::Waiting,
        sent_bytes: 0,
        total_bytes: None,
        bytes_per_second: 0,
        attempts: 0,
        error: None,
    }
}

pub(crate) fn view(job: &RestoreJob) -> Option<DeliveryView> {
    let delivery = job.delivery.clone()?;
    // A restore that was not made has nothing to deliver.
    let unmade = job.root.is_none() && matches!(job.state, RestoreState::Failed | RestoreState::Expired);
    let (state, error) = if unmade && !delivery.state.ended() {
        (DeliveryState::Failed, Some("the restore was not made, so there is nothing to deliver".to_owned()))
    } else {
        (delivery.state, delivery.error)
    };
    Some(DeliveryView {
        target: delivery.target_name,
        path: delivery.path,
        state: word(state),
        sent_bytes: delivery.sent_bytes,
        total_bytes: delivery.total_bytes,
        bytes_per_second: delivery.bytes_per_second,
        attempts: delivery.attempts,
        error,
    })
}

/// Pushes a restore that is ready to an SFTP target: for the first time, to one more, or again where a push failed. What an earlier push to the
/// same target brought over is gone on with.
#[utoipa::path(post, path = "/restores/{restore}/delivery", tag = "sftp", request_body = AskDelivery,
    params(("restore" = String, Path, description = "id")),
    responses((status = 202, body = DeliveryView), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn ask_delivery(
    State(state): State<WebState>,
    caller: Caller,
    PathOf(id): PathOf<RestoreJobId>,
    JsonOf(ask): JsonOf<AskDelivery>,
) -> Result<(StatusCode, Json<DeliveryView>), ApiError> {
    let job = visible(&state, &caller, &id).await?;
    let target = sftp_targets::find(&state, &job.group, &ask.sftp).await?;
    let delivery = new_delivery(&target, &id, &job.name, &job.format.to_string());
    if !state.metadb().ask_delivery(&id, &delivery).await.map_err(fault)? {
        let detail =
            "this restore cannot be pushed now: it is not ready, its time is over, or it is being pushed already";
        return Err(ApiError::conflict("notDeliverable", detail));
    }
    state.audit(&caller, Some(&job.group), "delivery asked for", &format!("{id} to {}", target.name)).await;
    let asked = view(&RestoreJob { delivery: Some(delivery), ..job });
    let asked = asked.ok_or_else(|| ApiError::not_found("the restore was just removed"))?;
    Ok((StatusCode::ACCEPTED, Json(asked)))
}

/// Calls the delivery of a restore off. What was sent by then stays at the server as a `.part` file; the link goes on working.
#[utoipa::path(delete, path = "/restores/{restore}/delivery", tag = "sftp", params(("restore" = String, Path, description = "id")),
    responses((status = 204), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn cancel_delivery(
    State(state): State<WebState>,
    caller: Caller,
    PathOf(id): PathOf<RestoreJobId>,
) -> Result<StatusCode, ApiError> {
    let job = visible(&state, &caller, &id).await?;
    if !state.metadb().cancel_delivery(&id).await.map_err(fault)? {
        let detail = "this restore has no delivery that could still be called off: it has ended, or there was none";
        return Err(ApiError::conflict("deliveryEnded", detail));
    }
    state.audit(&caller, Some(&job.group), "delivery called off", id.as_str()).await;
    Ok(StatusCode::NO_CONTENT)
}
