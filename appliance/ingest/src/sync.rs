//! Initial sync: scans of collections, their slices, their end.

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use holdfast_agent_api::{
    CompleteSync, EndScan, SLICE_RAW_BYTES_MAX, SYNC_SLICE_HEADER, ScanGrant, ScanTail, StartScan, SyncSliceHeader,
    SyncState,
};
use holdfast_domain::Classify as _;
use holdfast_ledger::{SyncError, inspect_documents};

use crate::{
    caller::JobCaller,
    extract::{JsonOf, PathOf},
    frame,
    problem::ApiError,
    state::IngestState,
};

/// Longest header that describes a slice, in characters: its resume token is the only part that varies.
const SLICE_HEADER_CHARS_MAX: usize = 8 << 10;

/// `GET {job}/chains/{chain}/sync`.
pub(crate) async fn show(
    State(state): State<IngestState>,
    caller: JobCaller,
    PathOf((_, chain)): PathOf<(String, i64)>,
) -> Result<Json<SyncState>, ApiError> {
    state.ledger().sync_state(&caller.job.id, chain).await.map(Json).map_err(sync_error)
}

/// `POST {job}/chains/{chain}/collections`.
pub(crate) async fn start_scan(
    State(state): State<IngestState>,
    caller: JobCaller,
    PathOf((_, chain)): PathOf<(String, i64)>,
    JsonOf(request): JsonOf<StartScan>,
) -> Result<Json<ScanGrant>, ApiError> {
    let key = state.group_key(&caller.job.group).await?;
    state.ledger().start_scan(&caller.job.id, chain, &request, key).await.map(Json).map_err(sync_error)
}

/// `PUT {job}/chains/{chain}/collections/{uuid}/scans/{scan}/slices/{seq}`.
pub(crate) async fn put_slice(
    State(state): State<IngestState>,
    caller: JobCaller,
    PathOf((_, chain, uuid, scan, seq)): PathOf<(String, i64, String, i64, i64)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<ScanTail>, ApiError> {
    let header = slice_header(&headers)?;
    let job = &caller.job.id;
    if let Err(refusal) = state.pressure().sync(state.ledger(), job, chain).await {
        frame::drain(body).await;
        return Err(refusal);
    }
    let key = state.group_key(&caller.job.group).await?;
    let body = frame::read(state.in_flight(), &headers, body).await?;
    let raw = frame::unpack(state.in_flight(), &body, SLICE_RAW_BYTES_MAX).await?;
    frame::check_hash(&raw, header.hash)?;
    let bad = |detail: String| ApiError::new(StatusCode::BAD_REQUEST, "badPayload", "The payload is damaged", detail);
    let facts = inspect_documents(&raw.bytes).map_err(|error| bad(error.to_string()))?;
    if facts.raw_bytes != header.raw_bytes || facts.documents != header.documents {
        let detail = format!(
            "the slice holds {} documents in {} bytes, its header says {} in {}",
            facts.documents, facts.raw_bytes, header.documents, header.raw_bytes
        );
        return Err(bad(detail));
    }
    drop(raw);
    let tail = ScanTail { next_seq: seq + 1, token: header.token.clone() };
    let stored = state.ledger().put_sync_slice(job, chain, &uuid, scan, seq, &header, &body.bytes, key).await;
    stored.map_err(sync_error)?;
    metrics::counter!("holdfast_ingest_sync_bytes_total").increment(body.bytes.len() as u64);
    Ok(Json(tail))
}

/// `POST {job}/chains/{chain}/collections/{uuid}/scans/{scan}/end`.
pub(crate) async fn end_scan(
    State(state): State<IngestState>,
    caller: JobCaller,
    PathOf((_, chain, uuid, scan)): PathOf<(String, i64, String, i64)>,
    JsonOf(request): JsonOf<EndScan>,
) -> Result<StatusCode, ApiError> {
    let ended = state.ledger().end_scan(&caller.job.id, chain, &uuid, scan, &request).await;
    ended.map(|_| StatusCode::NO_CONTENT).map_err(sync_error)
}

/// `POST {job}/chains/{chain}/sync/complete`.
pub(crate) async fn complete(
    State(state): State<IngestState>,
    caller: JobCaller,
    PathOf((_, chain)): PathOf<(String, i64)>,
    JsonOf(request): JsonOf<CompleteSync>,
) -> Result<StatusCode, ApiError> {
    state.ledger().complete_sync(&caller.job.id, chain, &request).await.map_err(sync_error)?;
    tracing::info!(job = %caller.job.id, chain, end = %request.end, collections = request.collections, "initial sync is stored");
    Ok(StatusCode::NO_CONTENT)
}

fn slice_header(headers: &HeaderMap) -> Result<SyncSliceHeader, ApiError> {
    let text =
        headers.get(SYNC_SLICE_HEADER).and_then(|v| v.to_str().ok()).filter(|t| t.len() <= SLICE_HEADER_CHARS_MAX);
    let text =
        text.ok_or_else(|| ApiError::bad_request(format!("the header {SYNC_SLICE_HEADER} is missing or too long")))?;
    serde_json::from_str(text).map_err(|error| {
        ApiError::bad_request(format!("the header {SYNC_SLICE_HEADER} is not what is expected: {error}"))
    })
}

/// Answers a refusal of the ledger. Status 409 `scanConflict` carries the scan's tail; a sync that is over or a scan that is not the present
/// one is 410: nothing that is sent again can help.
fn sync_error(error: SyncError) -> ApiError {
    let detail = error.to_string();
    let over = |code, title| ApiError::new(StatusCode::GONE, code, title, detail.clone());
    match &error {
        SyncError::Conflict { tail } => {
            ApiError::new(StatusCode::CONFLICT, "scanConflict", "The scan does not stand there", detail).with_tail(tail)
        }
        SyncError::StaleScan { .. } => over("staleScan", "The scan is not the present one"),
        SyncError::NoScan => ApiError::new(StatusCode::NOT_FOUND, "noScan", "The collection has no scan", detail),
        SyncError::NoSync => ApiError::new(StatusCode::NOT_FOUND, "noSync", "The chain has no initial sync", detail),
        SyncError::Dropped | SyncError::Complete => over("syncOver", "The initial sync is over"),
        SyncError::Incomplete { .. } => ApiError::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "syncIncomplete",
            "The initial sync is not complete",
            detail,
        ),
        SyncError::Invalid { .. } => ApiError::bad_request(detail),
        SyncError::Payload(_) => ApiError::new(StatusCode::BAD_REQUEST, "badPayload", "The payload is damaged", detail),
        SyncError::Ledger(inner) => ApiError::from_class(inner.class(), inner),
    }
}
