//! Opening and closing chains of a job's ledger.

use axum::{Json, extract::State};
use holdfast_agent_api::{CloseChain, LedgerTail, OpenChain};
use holdfast_ledger::{LedgerError, OpenChainRequest};

use crate::{
    caller::JobCaller,
    entries::append_error,
    extract::{JsonOf, PathOf},
    problem::ApiError,
    state::IngestState,
};

/// `POST {job}/chains`.
pub(crate) async fn open(
    State(state): State<IngestState>,
    caller: JobCaller,
    JsonOf(request): JsonOf<OpenChain>,
) -> Result<Json<LedgerTail>, ApiError> {
    if request.source.rs != caller.job.rs {
        let detail = format!(
            "this job backs up the replica set {}, the agent's source says it is {}",
            caller.job.rs, request.source.rs
        );
        return Err(ApiError::bad_request(detail));
    }
    let source = bson::serialize_to_document(&request.source)
        .map_err(|source| LedgerError::Form { op: "open a chain", source })
        .map_err(|error| append_error(error.into()))?;
    let request = OpenChainRequest { prev: request.prev, start: request.start, source };
    let tail = state.ledger().open_chain(&caller.job.id, &request).await.map_err(append_error)?;
    tracing::info!(job = %caller.job.id, chain = tail.at.chain, start = %tail.last, "chain opened");
    Ok(Json(tail))
}

/// `POST {job}/chains/{chain}/close`.
pub(crate) async fn close(
    State(state): State<IngestState>,
    caller: JobCaller,
    PathOf((_, chain)): PathOf<(String, i64)>,
    JsonOf(request): JsonOf<CloseChain>,
) -> Result<Json<LedgerTail>, ApiError> {
    let job = &caller.job.id;
    let tail = state.ledger().tail(job).await.map_err(|error| append_error(error.into()))?;
    if tail.as_ref().is_none_or(|tail| tail.at.chain != chain) {
        return Err(append_error(holdfast_ledger::AppendError::Conflict { tail }));
    }
    let closed =
        state.ledger().close_chain(job, request.prev, request.reason, &request.detail).await.map_err(append_error)?;
    tracing::warn!(%job, chain, reason = ?request.reason, detail = request.detail, "chain closed by its agent");
    Ok(Json(closed))
}
