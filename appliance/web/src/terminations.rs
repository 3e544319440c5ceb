//! Giving a backup up, and taking that back.
//!
//! A terminated backup keeps its document, its ledger and its snapshots, those in the trash, until the collector has removed the last of
//! them; then the daemon removes the rest (`terminated.rs` there). Until then it can be taken back. What is pinned stays, and with it the
//! backup, until it is unpinned.
//!
//! Invariants: the state changes before anything goes, so that whatever breaks off is carried on by the daemon; nothing here removes
//! anything for good.

use axum::{Json, extract::State, http::StatusCode};
use blockstore_engine::{Purpose, RootError, RootId};
use bson::DateTime;
use holdfast_domain::{BackupEvent, BackupState, CloseReason};
use holdfast_metadb::{BackupJob, MetaError};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    backups::{RangeView, close, reread},
    caller::{OfBackup, fault},
    extract::JsonOf,
    instant::{rfc3339, rfc3339_of},
    points::{Points, Snapshot, class_of},
    problem::{ApiError, Problem},
    restores::word,
    snapshots::{USER_PIN, root_error},
    state::WebState,
};

/// Clocks of the machines that trash and that note the state may differ by so much, in milliseconds.
const CLOCKS_DIFFER_MS: i64 = 60_000;

/// Which backup, again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Terminate {
    /// The name of the replica set, typed by whoever wants this.
    name: String,
}

/// A snapshot that does not go.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StaysView {
    /// Id.
    snapshot: String,
    /// The optime's second, RFC 3339, UTC.
    at: String,
    /// Label.
    label: Option<String>,
    /// Why it stays, a few words.
    why: String,
}

/// What giving a backup up takes away, before or after it was done.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TerminationView {
    /// State of the backup; `terminated` when it was done.
    state: String,
    /// What can be restored now, and no longer when its snapshots are gone.
    ranges: Vec<RangeView>,
    /// Snapshots that go to the trash, or lie there.
    goes: u64,
    /// Stored bytes that become free when they are gone for good; null before the first collection of the blockstore.
    frees_bytes: Option<u64>,
    /// Snapshots that stay until they are unpinned.
    stays: Vec<StaysView>,
    /// Until when it can be taken back for certain, RFC 3339; null while no daemon has said how long it keeps the trash.
    undo_until: Option<String>,
}

/// Why a snapshot stays, if one of its pins holds it now.
fn why(snapshot: &Snapshot, now: DateTime) -> Option<String> {
    let pin = snapshot.root.pins.iter().find(|pin| pin.until.is_none_or(|until| until > now))?;
    Some(if pin.by == USER_PIN {
        "pinned by a user".into()
    } else if pin.by.starts_with("restore:") {
        "a restore of it can still be downloaded".into()
    } else {
        "something reads it now".into()
    })
}

async fn view(state: &WebState, job: &BackupJob) -> Result<TerminationView, ApiError> {
    let points = Points::read(state, job).await?;
    let grace = state.metadb().trash_grace_seconds().await.map_err(fault)?;
    let account = state.blockstore().account().await;
    let account = account.map_err(|error| ApiError::from_class(class_of(error.class()), &error))?;
    let now = DateTime::now();
    let (mut goes, mut stays) = (Vec::<RootId>::new(), Vec::new());
    for snapshot in &points.snapshots {
        match why(snapshot, now).filter(|_| snapshot.root.trashed_at.is_none()) {
            None => goes.push(snapshot.root.id),
            Some(why) => stays.push(StaysView {
                snapshot: snapshot.root.id.to_string(),
                at: rfc3339(i64::from(snapshot.meta.optime.ts.t)),
                label: snapshot.root.label.clone(),
                why,
            }),
        }
    }
    let since = if job.state == BackupState::Terminated { job.state_since } else { now };
    let until = |grace: i64| rfc3339((since.timestamp_millis() / 1000).saturating_add(grace));
    Ok(TerminationView {
        state: word(job.state),
        ranges: points.ranges().into_iter().map(Into::into).collect(),
        goes: goes.len() as u64,
        frees_bytes: account.map(|account| account.freed_if(&goes).stored_bytes),
        stays,
        undo_until: grace.map(until),
    })
}

/// What giving the backup up takes away and what stays. Changes nothing.
#[utoipa::path(get, path = "/groups/{group}/backups/{rs}/termination", tag = "backups",
    params(("group" = String, Path, description = "id or name"), ("rs" = String, Path, description = "name of the replica set")),
    responses((status = 200, body = TerminationView), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn show_termination(
    State(state): State<WebState>,
    of: OfBackup,
) -> Result<Json<TerminationView>, ApiError> {
    view(&state, &of.job).await.map(Json)
}

/// Gives a backup up: nothing is backed up any more, its head is removed, its snapshots go to the trash. It can be taken back while they lie
/// there.
#[utoipa::path(post, path = "/groups/{group}/backups/{rs}/termination", tag = "backups", request_body = Terminate,
    params(("group" = String, Path, description = "id or name"), ("rs" = String, Path, description = "name of the replica set")),
    responses((status = 202, body = TerminationView), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn terminate_backup(
    State(state): State<WebState>,
    of: OfBackup,
    JsonOf(asked): JsonOf<Terminate>,
) -> Result<(StatusCode, Json<TerminationView>), ApiError> {
    if asked.name != of.job.rs {
        let detail =
            format!("nothing was done: give the name of the replica set, {:?}, to terminate its backup", of.job.rs);
        return Err(ApiError::refused("nameDiffers", detail));
    }
    // The state first: whatever breaks off after it is carried on by a daemon.
    state.metadb().operate(&of.job.id, BackupEvent::Terminate).await.map_err(fault)?;
    close(&state, &of.job, CloseReason::Stopped, "the backup was terminated").await?;
    let roots = state.blockstore().roots(of.job.id.as_str()).await.map_err(root_error)?;
    for root in roots.iter().filter(|r| r.purpose == Purpose::Snapshot && r.trashed_at.is_none()) {
        match state.blockstore().trash(&root.id, &|_| Ok(())).await {
            Ok(()) | Err(RootError::Pinned { .. } | RootError::NotFound(_)) => {}
            Err(error) => return Err(root_error(error)),
        }
    }
    state.audit(&of.caller, Some(&of.group.id), "backup terminated", &of.job.rs).await;
    let job = reread(&state, &of.job).await?;
    Ok((StatusCode::ACCEPTED, Json(view(&state, &job).await?)))
}

/// Takes a termination back: the backup is a stopped one again, with the snapshots that are still there.
#[utoipa::path(delete, path = "/groups/{group}/backups/{rs}/termination", tag = "backups",
    params(("group" = String, Path, description = "id or name"), ("rs" = String, Path, description = "name of the replica set")),
    responses((status = 200, body = TerminationView), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn take_back_termination(
    State(state): State<WebState>,
    of: OfBackup,
) -> Result<Json<TerminationView>, ApiError> {
    if of.job.state != BackupState::Terminated {
        return Err(ApiError::conflict("notTerminated", "the backup is not terminated: there is nothing to take back"));
    }
    state.metadb().take_termination_back(&of.job.id).await.map_err(|error| match error {
        MetaError::State { .. } => ApiError::conflict(
            "terminationOver",
            "the time to take it back is over: what was left of the backup is being removed. Start a new one when it is gone",
        ),
        error => fault(error),
    })?;
    // What the schedule or someone put into the trash before stays there.
    let since = of.job.state_since.timestamp_millis() - CLOCKS_DIFFER_MS;
    let went = |at: DateTime| at.timestamp_millis() >= since;
    let roots = state.blockstore().roots(of.job.id.as_str()).await.map_err(root_error)?;
    for root in roots.iter().filter(|r| r.purpose == Purpose::Snapshot && r.trashed_at.is_some_and(went)) {
        match state.blockstore().untrash(&root.id).await {
            Ok(()) => {}
            // The collector was faster with this one.
            Err(RootError::NotFound(_)) => {
                tracing::warn!(root = %root.id, since = rfc3339_of(of.job.state_since), "a snapshot is gone already")
            }
            Err(error) => return Err(root_error(error)),
        }
    }
    state.audit(&of.caller, Some(&of.group.id), "termination taken back", &of.job.rs).await;
    let job = reread(&state, &of.job).await?;
    view(&state, &job).await.map(Json)
}
