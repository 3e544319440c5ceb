//! The serving side of offsite copies: another Holdfast lists snapshots, holds them, and reads their blocks.
//!
//! Invariants: blocks are named by where they stand in a snapshot, never by an id: a key gets blocks of snapshots of its own group (of all
//! groups when it is a global one) and learns nothing of any other, not even whether two groups have a block in common. What comes out is
//! what a restore would give, so the key must be one that may restore: an operator's. What a group encrypts leaves encrypted; the puller needs
//! the group's key. A held snapshot stays until two hours after the last request for it.

use axum::{
    Json,
    extract::State,
    http::{HeaderName, StatusCode, header},
};
use blockstore_engine::{
    BlockAddress, COPY_PIN, ErrorClass as EngineClass, Pin, Purpose, ReadError, Root, RootId, StoredBlock,
    copy::HOLD_FOR,
};
use holdfast_domain::{Action, BackupJobId, GroupId, Resource, SnapshotId};
use holdfast_ledger::SnapshotMeta;
use holdfast_metadb::{BackupJob, BackupJobFilter};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use utoipa::ToSchema;

use crate::{
    caller::{Caller, fault},
    extract::{JsonOf, PathOf},
    instant::{Instant, rfc3339_of},
    points::class_of,
    problem::{ApiError, Problem},
    snapshots::root_error,
    state::WebState,
};

/// Answers with blocks that are being made at a time: each holds up to 16 MiB.
const ANSWERS_MAX: usize = 4;
static ANSWERS: Semaphore = Semaphore::const_new(ANSWERS_MAX);

type Octets = ([(HeaderName, &'static str); 1], Vec<u8>);

/// A snapshot that can be copied.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OffsiteSnapshotView {
    /// Id.
    id: String,
    /// Id of its group.
    group: String,
    /// Name of its group.
    group_name: String,
    /// Its replica set.
    rs: String,
    /// Id of its backup job.
    job: String,
    /// It holds every entry at or before this cluster time.
    optime: Instant,
    /// Label.
    label: Option<String>,
    /// When it was committed, RFC 3339.
    committed: String,
    /// Bytes of its files.
    logical_bytes: u64,
    /// Name of the key that it is encrypted under, as hex: the puller needs that key.
    key: Option<String>,
}

/// Which blocks of a snapshot.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct BlocksWanted {
    /// Where they stand: `entries` leads from the top of the tree of entries to a node or page, `file` names an entry of that page, `below`
    /// leads from that file's top to a node or block. At most 256.
    #[schema(value_type = Vec<Object>)]
    #[serde(default)]
    addresses: Vec<BlockAddress>,
}

/// The snapshots that the caller may copy, oldest first: those of the groups in which it may restore.
#[utoipa::path(get, path = "/offsite/snapshots", tag = "offsite",
    responses((status = 200, body = [OffsiteSnapshotView]), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list_offsite_snapshots(
    State(state): State<WebState>,
    caller: Caller,
) -> Result<Json<Vec<OffsiteSnapshotView>>, ApiError> {
    let groups = state.metadb().groups().await.map_err(fault)?;
    let jobs = state.metadb().backup_jobs(&BackupJobFilter::default()).await.map_err(fault)?;
    let mut views = Vec::new();
    for job in jobs.iter().filter(|job| may_copy(&caller, &job.group)) {
        let name = groups.iter().find(|group| group.id == job.group).map(|group| group.name.clone());
        let roots = state.blockstore().roots(job.id.as_str()).await.map_err(root_error)?;
        for root in roots.iter().filter(|root| can_be_copied(root)) {
            // One whose facts cannot be read can be neither chosen nor restored.
            let Ok(meta) = SnapshotMeta::decode(&root.meta) else { continue };
            views.push(OffsiteSnapshotView {
                id: root.id.to_string(),
                group: job.group.to_string(),
                group_name: name.clone().unwrap_or_default(),
                rs: job.rs.clone(),
                job: job.id.to_string(),
                optime: meta.optime.into(),
                label: root.label.clone(),
                committed: rfc3339_of(root.committed_at),
                logical_bytes: root.logical_bytes,
                key: root.key.map(|key| key.to_string()),
            });
        }
    }
    Ok(Json(views))
}

fn can_be_copied(root: &Root) -> bool {
    root.purpose == Purpose::Snapshot && root.trashed_at.is_none() && !root.quarantined
}

/// Keeps a snapshot for two hours from now on, for whoever copies it. Asked again it is kept for longer.
#[utoipa::path(post, path = "/offsite/snapshots/{snapshot}/hold", tag = "offsite",
    params(("snapshot" = String, Path, description = "id of the snapshot")),
    responses((status = 204), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn hold_offsite_snapshot(
    State(state): State<WebState>,
    caller: Caller,
    PathOf(id): PathOf<SnapshotId>,
) -> Result<StatusCode, ApiError> {
    let (root, job) = visible(&state, &caller, &id).await?;
    let until = bson::DateTime::now().timestamp_millis() + i64::try_from(HOLD_FOR.as_millis()).unwrap_or(0);
    let pin = Pin { by: holder(&caller), until: Some(bson::DateTime::from_millis(until)) };
    state.blockstore().pin(&root.id, pin).await.map_err(root_error)?;
    state.audit(&caller, Some(&job.group), "snapshot held for an offsite copy", id.as_str()).await;
    Ok(StatusCode::NO_CONTENT)
}

/// Lets a snapshot go that this key held.
#[utoipa::path(delete, path = "/offsite/snapshots/{snapshot}/hold", tag = "offsite",
    params(("snapshot" = String, Path, description = "id of the snapshot")),
    responses((status = 204), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn release_offsite_snapshot(
    State(state): State<WebState>,
    caller: Caller,
    PathOf(id): PathOf<SnapshotId>,
) -> Result<StatusCode, ApiError> {
    let (root, _) = visible(&state, &caller, &id).await?;
    state.blockstore().unpin(&root.id, &holder(&caller)).await.map_err(root_error)?;
    Ok(StatusCode::NO_CONTENT)
}

/// The root of a snapshot, as BSON, without what belongs to this store alone (pins).
#[utoipa::path(get, path = "/offsite/snapshots/{snapshot}/root", tag = "offsite",
    params(("snapshot" = String, Path, description = "id of the snapshot")),
    responses((status = 200, body = Vec<u8>, content_type = "application/octet-stream"), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn show_offsite_root(
    State(state): State<WebState>,
    caller: Caller,
    PathOf(id): PathOf<SnapshotId>,
) -> Result<Octets, ApiError> {
    let (mut root, _) = visible(&state, &caller, &id).await?;
    root.pins.clear();
    let bytes = bson::serialize_to_vec(&root);
    let bytes = bytes.map_err(|error| ApiError::from_class(holdfast_domain::ErrorClass::Bug, &error))?;
    Ok(octets(bytes))
}

/// Blocks of a snapshot in their stored form (zstd frames, encrypted where the group encrypts), one record after the other.
#[utoipa::path(post, path = "/offsite/snapshots/{snapshot}/blocks", tag = "offsite", request_body = BlocksWanted,
    params(("snapshot" = String, Path, description = "id of the snapshot")),
    responses((status = 200, body = Vec<u8>, content_type = "application/octet-stream"), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn read_offsite_blocks(
    State(state): State<WebState>,
    caller: Caller,
    PathOf(id): PathOf<SnapshotId>,
    JsonOf(wanted): JsonOf<BlocksWanted>,
) -> Result<Octets, ApiError> {
    let (root, _) = visible(&state, &caller, &id).await?;
    let closed = |_| ApiError::conflict("ending", "the server is ending");
    let _slot = ANSWERS.acquire().await.map_err(closed)?;
    let blocks = state.blockstore().reader(root).stored_blocks(&wanted.addresses).await.map_err(read_error)?;
    Ok(octets(StoredBlock::encode_all(&blocks)))
}

fn octets(bytes: Vec<u8>) -> Octets {
    ([(header::CONTENT_TYPE, "application/octet-stream")], bytes)
}

/// Whose pin it is. Two keys that copy the same snapshot do not let go of each other's.
fn holder(caller: &Caller) -> String {
    format!("{COPY_PIN}{}", caller.fingerprint())
}

/// Whoever may restore in a group may copy its snapshots.
fn may_copy(caller: &Caller, group: &GroupId) -> bool {
    caller.may(Action::Create, Resource::Restores, Some(group))
}

/// The root and its job, when the key may copy it; what it may not see does not exist.
async fn visible(state: &WebState, caller: &Caller, id: &SnapshotId) -> Result<(Root, BackupJob), ApiError> {
    let unknown = || ApiError::not_found(format!("there is no snapshot {id} to copy"));
    let root: RootId = id.as_str().parse().map_err(|_| unknown())?;
    let root = state.blockstore().root(&root).await.map_err(root_error)?;
    let root = root.filter(|root| root.purpose == Purpose::Snapshot).ok_or_else(unknown)?;
    // Copies that were pulled belong to no job here: they are not handed on.
    let job: BackupJobId = root.job.parse().map_err(|_| unknown())?;
    let job = state.metadb().backup_job(&job).await.map_err(fault)?;
    let job = job.filter(|job| may_copy(caller, &job.group)).ok_or_else(unknown)?;
    Ok((root, job))
}

fn read_error(error: ReadError) -> ApiError {
    match error.class() {
        EngineClass::Caller => ApiError::bad_request(error.to_string()),
        class => ApiError::from_class(class_of(class), &error),
    }
}
