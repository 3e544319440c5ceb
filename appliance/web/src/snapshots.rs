//! Snapshots of a backup: listed, asked for, pinned, put into the trash.
//!
//! What is said of snapshots comes from the blockstore's roots. Pinning and trashing go through the engine's guarded transactions; the
//! daemon takes snapshots.

use axum::{Json, extract::State, http::StatusCode};
use blockstore_engine::{Account, Pin, Purpose, Root, RootError, RootId};
use bson::doc;
use holdfast_domain::{BackupState, KeepReason, RetentionPolicy, SnapshotFacts, SnapshotId, plan_retention};
use holdfast_ledger::SnapshotMeta;
use holdfast_metadb::{SnapshotRequest, SnapshotRequestState};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    backups::terminated,
    caller::{OfBackup, fault},
    extract::{JsonOf, PathOf, QueryOf},
    instant::{Instant, rfc3339, rfc3339_of},
    pages::{Order, Page, PageQuery},
    points::{Points, Snapshot, class_of},
    problem::{ApiError, Problem},
    restores::word,
    state::WebState,
};

/// Holder of the pins that users set.
pub(crate) const USER_PIN: &str = "user";
/// Longest label, in characters.
const LABEL_CHARS_MAX: usize = 200;
/// Snapshots that may be asked for and not taken yet, of one job.
const REQUESTS_MAX: usize = 20;

/// A snapshot.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SnapshotView {
    /// Id.
    id: String,
    /// It holds every entry at or before this cluster time.
    optime: Instant,
    /// The optime's second, RFC 3339, UTC.
    at: String,
    /// Label.
    label: Option<String>,
    /// Pinned by a user: kept whatever the schedule says.
    pinned: bool,
    /// `complete` or `trashed`.
    state: &'static str,
    /// `good` (it was opened and compared), `failed`, `damaged` (a block is bad), or `none` (not looked at, or a newer one was).
    proof: String,
    /// Bytes of its files.
    logical_bytes: u64,
    /// Bytes that it added to the store, before compression.
    new_bytes: u64,
    /// Bytes that it added to the store, compressed.
    stored_bytes: u64,
    /// Version of the server whose files these are.
    server_version: String,
    /// Number of the chain that a replay from it follows.
    chain: i64,
    /// How long writing it took, from the start of reading to the commit, in seconds.
    took_seconds: f64,
    /// Whether it is encrypted under its group's key.
    encrypted: bool,
    /// Stored bytes that no other snapshot needs: freed if it alone were gone. As of the last account; null when it is younger.
    unique_bytes: Option<u64>,
    /// Stored bytes that other snapshots need too; as `uniqueBytes`.
    shared_bytes: Option<u64>,
    /// When it was put into the trash, RFC 3339.
    trashed_at: Option<String>,
    /// Until when it can be taken out of the trash for certain, RFC 3339; afterwards a collection removes it for good. Null outside the
    /// trash, and before a daemon has said how long it keeps what lies there.
    trashed_until: Option<String>,
}

fn view(
    snapshot: &Snapshot,
    proof: Option<String>,
    account: Option<&Account>,
    grace_seconds: Option<i64>,
) -> SnapshotView {
    let (root, meta) = (&snapshot.root, &snapshot.meta);
    let damaged = root.quarantined.then(|| "damaged".to_owned());
    let usage = account.and_then(|account| account.snapshots.iter().find(|usage| usage.id == root.id));
    SnapshotView {
        id: root.id.to_string(),
        optime: meta.optime.into(),
        at: rfc3339(i64::from(meta.optime.ts.t)),
        label: root.label.clone(),
        pinned: root.pins.iter().any(|pin| pin.by == USER_PIN),
        state: if root.trashed_at.is_some() { "trashed" } else { "complete" },
        proof: damaged.or(proof).unwrap_or_else(|| "none".into()),
        logical_bytes: root.logical_bytes,
        new_bytes: root.new_bytes,
        stored_bytes: root.stored_bytes,
        server_version: meta.server_version.clone(),
        chain: meta.resume.chain,
        took_seconds: root.committed_at.saturating_duration_since(meta.taken_at).as_secs_f64(),
        encrypted: root.key.is_some(),
        unique_bytes: usage.map(|usage| usage.unique.stored_bytes),
        shared_bytes: usage.map(|usage| usage.shared.stored_bytes),
        trashed_at: root.trashed_at.map(rfc3339_of),
        trashed_until: root
            .trashed_at
            .zip(grace_seconds)
            .map(|(at, grace)| rfc3339((at.timestamp_millis() / 1000).saturating_add(grace))),
    }
}

/// A request for a snapshot.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct TakeSnapshot {
    /// A name for it.
    label: Option<String>,
    /// Keep it until it is unpinned.
    #[serde(default)]
    pin: bool,
}

/// The request was noted.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SnapshotRequested {
    /// Id of the request.
    request: String,
}

/// How a request for a snapshot stands.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SnapshotRequestView {
    /// `queued`, `running`, `done` or `failed`.
    state: String,
    /// The snapshot, when done.
    snapshot: Option<String>,
    /// Why it failed.
    error: Option<String>,
}

/// The snapshots of a backup, oldest first.
#[utoipa::path(get, path = "/groups/{group}/backups/{rs}/snapshots", tag = "snapshots",
    params(("group" = String, Path, description = "id or name"), ("rs" = String, Path, description = "name of the replica set"), PageQuery),
    responses((status = 200, body = [SnapshotView]), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list_snapshots(
    State(state): State<WebState>,
    of: OfBackup,
    QueryOf(query): QueryOf<PageQuery>,
) -> Result<Page<SnapshotView>, ApiError> {
    let points = Points::read(&state, &of.job).await?;
    let (snapshots, page) = query.cut(points.snapshots, Order::Up, Snapshot::place)?.take();
    Ok(page.of(views(&state, &of, &snapshots).await?))
}

async fn views(state: &WebState, of: &OfBackup, snapshots: &[Snapshot]) -> Result<Vec<SnapshotView>, ApiError> {
    let account = state.blockstore().account().await;
    let account = account.map_err(|error| ApiError::from_class(class_of(error.class()), &error))?;
    let grace = state.metadb().trash_grace_seconds().await.map_err(fault)?;
    let last = of.job.last_proof.as_ref();
    let proof = |s: &Snapshot| {
        let proof = last.filter(|proof| proof.snapshot == s.root.id.to_string())?;
        Some(if proof.good { "good" } else { "failed" }.to_owned())
    };
    Ok(snapshots.iter().map(|s| view(s, proof(s), account.as_ref(), grace)).collect())
}

/// One snapshot.
#[utoipa::path(get, path = "/groups/{group}/backups/{rs}/snapshots/{snapshot}", tag = "snapshots",
    params(("group" = String, Path, description = "id or name"), ("rs" = String, Path, description = "name of the replica set"),
        ("snapshot" = String, Path, description = "id of the snapshot")),
    responses((status = 200, body = SnapshotView), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn show_snapshot(
    State(state): State<WebState>,
    of: OfBackup,
    path: PathOf<(String, String, SnapshotId)>,
) -> Result<Json<SnapshotView>, ApiError> {
    let PathOf((_, _, id)) = path;
    let points = Points::read(&state, &of.job).await?;
    let found = views(&state, &of, &points.snapshots).await?.into_iter().find(|view| view.id == id.as_str());
    found.map(Json).ok_or_else(|| ApiError::not_found(format!("{}/{} has no snapshot {id}", of.group.name, of.job.rs)))
}

/// Takes a snapshot out of the trash again, while it is still there.
#[utoipa::path(post, path = "/groups/{group}/backups/{rs}/snapshots/{snapshot}/restoreFromTrash", tag = "snapshots",
    params(("group" = String, Path, description = "id or name"), ("rs" = String, Path, description = "name of the replica set"),
        ("snapshot" = String, Path, description = "id of the snapshot")),
    responses((status = 204), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn restore_from_trash(
    State(state): State<WebState>,
    of: OfBackup,
    path: PathOf<(String, String, SnapshotId)>,
) -> Result<StatusCode, ApiError> {
    let PathOf((_, _, id)) = path;
    if of.job.state == BackupState::Terminated {
        return Err(terminated(&of.job.rs));
    }
    let root = root_of(&state, &of, &id).await?;
    state.blockstore().untrash(&root.id).await.map_err(root_error)?;
    state.audit(&of.caller, Some(&of.group.id), "snapshot taken out of the trash", id.as_str()).await;
    Ok(StatusCode::NO_CONTENT)
}

/// How a snapshot is pinned.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct PinSnapshot {
    /// A name for it; left out or null: the one that it has stays.
    label: Option<String>,
}

/// What of a snapshot can be changed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ChangeSnapshot {
    /// A name for it, at most 200 characters; null takes the one that it has away.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schema(required)]
    label: Option<String>,
}

/// Names a snapshot, or takes its name away.
#[utoipa::path(patch, path = "/groups/{group}/backups/{rs}/snapshots/{snapshot}", tag = "snapshots", request_body = ChangeSnapshot,
    params(("group" = String, Path, description = "id or name"), ("rs" = String, Path, description = "name of the replica set"),
        ("snapshot" = String, Path, description = "id of the snapshot")),
    responses((status = 204), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn label_snapshot(
    State(state): State<WebState>,
    of: OfBackup,
    path: PathOf<(String, String, SnapshotId)>,
    JsonOf(change): JsonOf<ChangeSnapshot>,
) -> Result<StatusCode, ApiError> {
    let PathOf((_, _, id)) = path;
    let label = change.label.map(|label| label.trim().to_owned()).filter(|label| !label.is_empty());
    check_label(label.as_deref())?;
    let root = root_of(&state, &of, &id).await?;
    state.blockstore().set_label(&root.id, label.clone()).await.map_err(root_error)?;
    let (before, after) = (doc! { "label": root.label }, doc! { "label": label });
    let group = Some(&of.group.id);
    state.audit_change(&of.caller, group, "snapshot named", id.as_str(), Some(before), Some(after)).await;
    Ok(StatusCode::NO_CONTENT)
}

fn check_label(label: Option<&str>) -> Result<(), ApiError> {
    if label.is_some_and(|label| label.chars().count() > LABEL_CHARS_MAX) {
        return Err(ApiError::bad_request(format!("a label has at most {LABEL_CHARS_MAX} characters")));
    }
    Ok(())
}

/// Asks for a snapshot now; the daemon takes it at the next entry boundary.
#[utoipa::path(post, path = "/groups/{group}/backups/{rs}/snapshots", tag = "snapshots", request_body = TakeSnapshot,
    params(("group" = String, Path, description = "id or name"), ("rs" = String, Path, description = "name of the replica set")),
    responses((status = 202, body = SnapshotRequested), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn take_snapshot(
    State(state): State<WebState>,
    of: OfBackup,
    JsonOf(take): JsonOf<TakeSnapshot>,
) -> Result<(StatusCode, Json<SnapshotRequested>), ApiError> {
    if !of.job.state.runs() {
        return Err(ApiError::conflict("backupStopped", "the backup does not run: start it first"));
    }
    check_label(take.label.as_deref())?;
    let waits = |r: &&SnapshotRequest| matches!(r.state, SnapshotRequestState::Queued | SnapshotRequestState::Running);
    if of.job.snapshot_requests.iter().filter(waits).count() >= REQUESTS_MAX {
        let detail = format!("{REQUESTS_MAX} snapshots are waiting to be taken already");
        return Err(ApiError::conflict("tooManyRequests", detail));
    }
    let request = state.metadb().request_snapshot(&of.job.id, take.label.as_deref(), take.pin).await.map_err(fault)?;
    state.audit(&of.caller, Some(&of.group.id), "snapshot asked for", &of.job.rs).await;
    Ok((StatusCode::ACCEPTED, Json(SnapshotRequested { request: request.id })))
}

/// How a request for a snapshot stands.
#[utoipa::path(get, path = "/groups/{group}/backups/{rs}/snapshots/requests/{request}", tag = "snapshots",
    params(("group" = String, Path, description = "id or name"), ("rs" = String, Path, description = "name of the replica set"),
        ("request" = String, Path, description = "id of the request")),
    responses((status = 200, body = SnapshotRequestView), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn show_snapshot_request(
    State(state): State<WebState>,
    of: OfBackup,
    path: PathOf<(String, String, String)>,
) -> Result<Json<SnapshotRequestView>, ApiError> {
    let PathOf((_, _, request)) = path;
    let found = state.metadb().snapshot_request(&of.group.id, &request).await.map_err(fault)?;
    let found = found
        .filter(|(job, _)| *job == of.job.id)
        .map(|(_, found)| found)
        .ok_or_else(|| ApiError::not_found(format!("there is no request {request:?}")))?;
    Ok(Json(SnapshotRequestView {
        state: word(found.state),
        snapshot: found.snapshot.map(|id| id.to_string()),
        error: found.error,
    }))
}

/// Keeps a snapshot until it is unpinned.
#[utoipa::path(post, path = "/groups/{group}/backups/{rs}/snapshots/{snapshot}/pin", tag = "snapshots", request_body = PinSnapshot,
    params(("group" = String, Path, description = "id or name"), ("rs" = String, Path, description = "name of the replica set"),
        ("snapshot" = String, Path, description = "id of the snapshot")),
    responses((status = 204), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn pin_snapshot(
    State(state): State<WebState>,
    of: OfBackup,
    path: PathOf<(String, String, SnapshotId)>,
    JsonOf(wanted): JsonOf<PinSnapshot>,
) -> Result<StatusCode, ApiError> {
    let PathOf((_, _, id)) = path;
    check_label(wanted.label.as_deref())?;
    let root = root_of(&state, &of, &id).await?;
    let pin = Pin { by: USER_PIN.into(), until: None };
    state.blockstore().pin(&root.id, pin).await.map_err(root_error)?;
    if wanted.label.is_some() {
        state.blockstore().set_label(&root.id, wanted.label).await.map_err(root_error)?;
    }
    state.audit(&of.caller, Some(&of.group.id), "snapshot pinned", id.as_str()).await;
    Ok(StatusCode::NO_CONTENT)
}

/// Leaves a snapshot to the schedule again.
#[utoipa::path(post, path = "/groups/{group}/backups/{rs}/snapshots/{snapshot}/unpin", tag = "snapshots",
    params(("group" = String, Path, description = "id or name"), ("rs" = String, Path, description = "name of the replica set"),
        ("snapshot" = String, Path, description = "id of the snapshot")),
    responses((status = 204), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn unpin_snapshot(
    State(state): State<WebState>,
    of: OfBackup,
    path: PathOf<(String, String, SnapshotId)>,
) -> Result<StatusCode, ApiError> {
    let PathOf((_, _, id)) = path;
    let root = root_of(&state, &of, &id).await?;
    state.blockstore().unpin(&root.id, USER_PIN).await.map_err(root_error)?;
    state.audit(&of.caller, Some(&of.group.id), "snapshot unpinned", id.as_str()).await;
    Ok(StatusCode::NO_CONTENT)
}

/// Puts a snapshot into the trash. Refused for the newest good one, for the one that the oplog window starts from, and for a pinned one.
#[utoipa::path(delete, path = "/groups/{group}/backups/{rs}/snapshots/{snapshot}", tag = "snapshots",
    params(("group" = String, Path, description = "id or name"), ("rs" = String, Path, description = "name of the replica set"),
        ("snapshot" = String, Path, description = "id of the snapshot")),
    responses((status = 204), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn delete_snapshot(
    State(state): State<WebState>,
    of: OfBackup,
    path: PathOf<(String, String, SnapshotId)>,
) -> Result<StatusCode, ApiError> {
    let PathOf((_, _, id)) = path;
    let root = root_of(&state, &of, &id).await?;
    let now = jiff::Timestamp::now().as_second();
    let policy = of.job.retention;
    let rule = |rest: &[Root]| may_go(&policy, rest, &root, now);
    state.blockstore().trash(&root.id, &rule).await.map_err(root_error)?;
    state.audit(&of.caller, Some(&of.group.id), "snapshot deleted", id.as_str()).await;
    Ok(StatusCode::NO_CONTENT)
}

/// The rule of what must stay, evaluated inside the transaction on the job's roots outside the trash (`rest` without the one that shall go).
fn may_go(policy: &RetentionPolicy, rest: &[Root], wanted: &Root, now: i64) -> Result<(), String> {
    let live = bson::DateTime::now();
    let mut facts = Vec::with_capacity(rest.len() + 1);
    for root in rest.iter().chain([wanted]).filter(|r| r.purpose == Purpose::Snapshot) {
        let meta = SnapshotMeta::decode(&root.meta)
            .map_err(|_| format!("the facts of snapshot {} cannot be read", root.id))?;
        let id = root.id.to_string().parse::<SnapshotId>().map_err(|error| error.to_string())?;
        let at = i64::from(meta.optime.ts.t);
        facts.push(SnapshotFacts { id, at, pinned: root.is_pinned(live), good: !root.quarantined });
    }
    let plan = plan_retention(policy, &facts, now);
    let kept = plan.keep.iter().find(|kept| kept.id.as_str() == wanted.id.to_string());
    let reason = kept.and_then(|kept| {
        kept.reasons.iter().find(|r| matches!(r, KeepReason::Pinned | KeepReason::Newest | KeepReason::WindowBase))
    });
    match reason {
        Some(KeepReason::Pinned) => Err("it is pinned: unpin it first".into()),
        Some(KeepReason::Newest) => Err("it is the newest good snapshot: take another one first".into()),
        Some(_) => {
            Err("the oplog window starts from it: what lies in the window could not be restored without it".into())
        }
        None => Ok(()),
    }
}

/// The root of a snapshot of this job.
pub(crate) async fn root_of(state: &WebState, of: &OfBackup, id: &SnapshotId) -> Result<Root, ApiError> {
    let unknown = || ApiError::not_found(format!("{}/{} has no snapshot {id}", of.group.name, of.job.rs));
    let root: RootId = id.as_str().parse().map_err(|_| unknown())?;
    let found = state.blockstore().root(&root).await.map_err(root_error)?;
    found.filter(|r| r.job == of.job.id.as_str() && r.purpose == Purpose::Snapshot).ok_or_else(unknown)
}

/// Answers a refusal of the engine.
pub(crate) fn root_error(error: RootError) -> ApiError {
    let detail = error.to_string();
    match &error {
        RootError::NotFound(_) => ApiError::not_found(detail),
        RootError::InTrash(_) => ApiError::conflict("inTrash", detail),
        RootError::Pinned { .. } => ApiError::conflict("pinned", detail),
        RootError::BelowFloor(_) => {
            ApiError::conflict("belowFloor", format!("{detail}: what it needs of the ledger is gone"))
        }
        RootError::Rule(why) => ApiError::conflict("mustStay", format!("this snapshot must stay: {why}")),
        _ => ApiError::from_class(class_of(error.class()), &error),
    }
}
