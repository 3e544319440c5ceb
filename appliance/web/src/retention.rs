//! What a change of retention would do, shown before it is saved.
//!
//! The plan is the one that the daemon carries out ([`plan_retention`]); nothing is changed here.

use axum::{Json, extract::State};
use blockstore_engine::Purpose;
use holdfast_domain::{SnapshotFacts, plan_retention};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    caller::OfBackup,
    extract::JsonOf,
    instant::rfc3339,
    points::Points,
    problem::{ApiError, Problem},
    settings::RetentionView,
    state::WebState,
};

/// A snapshot that would go to the trash.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GoingView {
    /// Id.
    id: String,
    /// The optime's second, RFC 3339, UTC.
    at: String,
    /// Bytes that it added to the store when it was taken; blocks that others use too stay.
    stored_bytes: u64,
}

/// What a policy would do now.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RetentionPreviewView {
    /// Snapshots that stay.
    kept: u64,
    /// Snapshots that would go to the trash, oldest first.
    goes: Vec<GoingView>,
    /// Any second from here on stays restorable, RFC 3339: the start of the oplog window.
    window_from: String,
}

/// What a retention would do if it were saved now. Changes nothing.
#[utoipa::path(post, path = "/groups/{group}/backups/{rs}/retention/preview", tag = "backups", request_body = RetentionView,
    params(("group" = String, Path, description = "id or name"), ("rs" = String, Path, description = "name of the replica set")),
    responses((status = 200, body = RetentionPreviewView), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn preview_retention(
    State(state): State<WebState>,
    of: OfBackup,
    JsonOf(wanted): JsonOf<RetentionView>,
) -> Result<Json<RetentionPreviewView>, ApiError> {
    let policy = wanted.policy()?;
    let points = Points::read(&state, &of.job).await?;
    let live = bson::DateTime::now();
    let now = jiff::Timestamp::now().as_second();
    let mut facts = Vec::with_capacity(points.snapshots.len());
    for found in &points.snapshots {
        if found.root.purpose == Purpose::Snapshot && found.root.trashed_at.is_none() {
            let at = i64::from(found.meta.optime.ts.t);
            let (pinned, good) = (found.root.is_pinned(live), !found.root.quarantined);
            facts.push(SnapshotFacts { id: found.id()?, at, pinned, good });
        }
    }
    let plan = plan_retention(&policy, &facts, now);
    let goes = points.snapshots.iter().filter(|s| plan.trash.iter().any(|id| id.as_str() == s.root.id.to_string()));
    let goes = goes.map(|s| GoingView {
        id: s.root.id.to_string(),
        at: rfc3339(i64::from(s.meta.optime.ts.t)),
        stored_bytes: s.root.stored_bytes,
    });
    Ok(Json(RetentionPreviewView {
        kept: plan.keep.len() as u64,
        goes: goes.collect(),
        window_from: rfc3339(now - i64::from(policy.oplog_window_days) * 86_400),
    }))
}
