//! The source's catalog: what the head compares itself with.

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use holdfast_agent_api::{Catalog, SLICE_RAW_BYTES_MAX};
use holdfast_domain::Classify as _;

use crate::{caller::JobCaller, extract::PathOf, frame, problem::ApiError, state::IngestState};

/// `PUT {job}/chains/{chain}/catalog`.
pub(crate) async fn put(
    State(state): State<IngestState>,
    caller: JobCaller,
    PathOf((_, chain)): PathOf<(String, i64)>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, ApiError> {
    if let Err(refusal) = state.pressure().space(state.ledger()).await {
        frame::drain(body).await;
        return Err(refusal);
    }
    let key = state.group_key(&caller.job.group).await?;
    let body = frame::read(state.in_flight(), &headers, body).await?;
    let raw = frame::unpack(state.in_flight(), &body, SLICE_RAW_BYTES_MAX).await?;
    let catalog: Catalog = bson::deserialize_from_slice(&raw.bytes)
        .map_err(|error| ApiError::bad_request(format!("the body is not a catalog: {error}")))?;
    if catalog.before > catalog.after {
        return Err(ApiError::bad_request("the catalog ends before it begins"));
    }
    let job = &caller.job.id;
    let stored = state.ledger().put_catalog(job, chain, catalog.before, catalog.after, &raw.bytes, key).await;
    stored.map_err(|error| ApiError::from_class(error.class(), &error))?;
    if caller.job.catalog_wanted {
        let noted = state.metadb().catalog_received(job).await;
        noted.map_err(|error| ApiError::from_class(error.class(), &error))?;
    }
    Ok(StatusCode::NO_CONTENT)
}
