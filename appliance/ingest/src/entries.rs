//! Appending to the ledger, and how its refusals are answered.

use axum::{Json, extract::State, http::StatusCode};
use holdfast_agent_api::{AppendSlice, LedgerTail};
use holdfast_domain::Classify as _;
use holdfast_ledger::{AppendError, AppendRequest};

use crate::{
    caller::JobCaller,
    extract::{JsonOf, PathOf},
    problem::ApiError,
    state::IngestState,
};

/// `POST {job}/chains/{chain}/entries`.
pub(crate) async fn append(
    State(state): State<IngestState>,
    caller: JobCaller,
    PathOf((_, chain)): PathOf<(String, i64)>,
    JsonOf(slice): JsonOf<AppendSlice>,
) -> Result<Json<LedgerTail>, ApiError> {
    let AppendSlice { seq, prev, first, last, payload, summary } = slice;
    let request = AppendRequest { seq, prev, first, last, payload, summary };
    let tail = state.ledger().append_slice(&caller.job.id, chain, &request).await.map_err(append_error)?;
    metrics::counter!("holdfast_ingest_entries_total").increment(1);
    Ok(Json(tail))
}

/// Answers a refusal of the ledger. Status 409 carries the tail (null when the ledger is empty).
pub(crate) fn append_error(error: AppendError) -> ApiError {
    let conflict = |detail: &str, tail: Option<&LedgerTail>| {
        ApiError::new(StatusCode::CONFLICT, "ledgerConflict", "The ledger does not end there", detail).with_tail(&tail)
    };
    match &error {
        AppendError::Conflict { tail } => conflict(
            "the ledger does not end where the request says; its tail is given: go on from there",
            tail.as_ref(),
        ),
        AppendError::Closed { tail } => {
            conflict("the chain is closed: open the next one, with a new initial sync", Some(tail))
        }
        AppendError::NoPayload => ApiError::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "noPayload",
            "The payload is not stored",
            "the payload that the entry names is not stored here: send it (again) before the entry",
        ),
        AppendError::PayloadMismatch { field } => ApiError::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "payloadMismatch",
            "The payload is not what the entry says",
            format!("the stored payload differs from the entry in {field}"),
        ),
        AppendError::Invalid { detail } => ApiError::bad_request(detail.clone()),
        AppendError::Ledger(inner) => ApiError::from_class(inner.class(), inner),
    }
}
