//! The bytes of oplog slices. Stored before the entry that names them; several may travel side by side over a slow line.

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use holdfast_agent_api::{PayloadReceipt, SLICE_RAW_BYTES_MAX};
use holdfast_domain::{Classify as _, Hash32};
use holdfast_ledger::{PutPayloadError, inspect_payload};

use crate::{caller::JobCaller, extract::PathOf, frame, problem::ApiError, state::IngestState};

/// `PUT {job}/chains/{chain}/payloads/{hash}`.
pub(crate) async fn put(
    State(state): State<IngestState>,
    caller: JobCaller,
    PathOf((_, chain, hash)): PathOf<(String, i64, Hash32)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<PayloadReceipt>, ApiError> {
    if let Err(refusal) = state.pressure().space(state.ledger()).await {
        frame::drain(body).await;
        return Err(refusal);
    }
    let key = state.group_key(&caller.job.group).await?;
    let body = frame::read(state.in_flight(), &headers, body).await?;
    let raw = frame::unpack(state.in_flight(), &body, SLICE_RAW_BYTES_MAX).await?;
    frame::check_hash(&raw, hash)?;
    let facts = inspect_payload(&raw.bytes).map_err(|error| {
        ApiError::new(StatusCode::BAD_REQUEST, "badPayload", "The payload is damaged", error.to_string())
    })?;
    drop(raw);
    let stored = state.ledger().put_payload(&caller.job.id, chain, hash, &body.bytes, &facts, key).await;
    let payload = stored.map_err(|error| match &error {
        PutPayloadError::Ledger(inner) => ApiError::from_class(inner.class(), inner),
        other => ApiError::from_class(other.class(), other),
    })?;
    metrics::counter!("holdfast_ingest_payload_bytes_total").increment(body.bytes.len() as u64);
    Ok(Json(PayloadReceipt { payload }))
}
