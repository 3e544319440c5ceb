//! Offsite copies: standing orders to pull snapshots from another Holdfast or to push them to a second blockstore, and what was pulled.
//!
//! Orders are a global admin's. What opens the other side is sealed before it is stored and never shown. Pulled snapshots belong to the group
//! that the order names: its keys list them and, as operators, restore them. A pulled snapshot is restored as it is: the ledger does not travel,
//! so instants after it are the source's to restore. The daemon does the copying.

use axum::{Json, extract::State, http::StatusCode};
use blockstore_engine::{Pin, Purpose, Root, RootId};
use holdfast_domain::{ArchiveFormat, OffsiteFilter, RestoreJobId, RestoreState, RestoreTarget, SnapshotId};
use holdfast_ledger::SnapshotMeta;
use holdfast_metadb::{
    NewOffsiteCopy, NewRestoreJob, OffsiteCopy, OffsitePeer, OffsiteProgress, OffsiteRun, PayloadStoreLocation,
    SecretKind, hash_secret, new_secret, offsite_job, offsite_secret_context,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    caller::{Caller, fault},
    extract::{JsonOf, PathOf, QueryOf},
    instant::{Instant, rfc3339, rfc3339_of},
    pages::{Order, Page, PageQuery},
    payload_stores::{NewBucket, bucket_location, folder_in},
    points::Snapshot,
    problem::{ApiError, Problem},
    restores::{RestoreView, frozen, view as restore_view},
    snapshots::root_error,
    state::WebState,
};

/// Longest life of a link, in hours.
const LINK_HOURS_MAX: u32 = 720;
/// Most uses of a link.
const LINK_USES_MAX: u32 = 1000;
/// Names in one list of a filter, at most.
const NAMES_MAX: usize = 100;

/// Which snapshots are copied. What is empty lets all through.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct FilterView {
    /// Groups of the source, by name or id.
    #[serde(default)]
    groups: Vec<String>,
    /// Replica sets of the source.
    #[serde(default)]
    replica_sets: Vec<String>,
    /// Labels of snapshots.
    #[serde(default)]
    labels: Vec<String>,
    /// Of each day (UTC) that is over, the last one only.
    #[serde(default)]
    last_of_day: bool,
    /// Younger ones wait, in seconds.
    #[serde(default)]
    min_age_seconds: u32,
}

/// Another Holdfast to pull from.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct PullFrom {
    /// Its web service, `https://...`; plain HTTP to loopback addresses only.
    url: String,
    /// API key there, of the role operator; of one group, or global.
    key: String,
    /// Certificate of its CA, PEM, the only one to trust; the system's when nothing is said.
    ca: Option<String>,
    /// Group here, by id or name, whose keys may see and restore what comes.
    into_group: String,
    /// Keys of those groups of the source that encrypt, as they were exported there (`HFKEY-...`): without them nothing of theirs comes.
    #[serde(default)]
    group_keys: Vec<String>,
}

/// A second blockstore to push to.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct PushTo {
    /// Connection string of its database, as the daemons reach it.
    uri: String,
    /// Name of its database.
    database: String,
    /// Folder of its pack store, as the daemons see it.
    packs: Option<String>,
    /// Its bucket. Payloads lie in its database when neither folder nor bucket is given.
    s3: Option<NewBucket>,
}

/// An offsite copy to make. `from` or `to`, one of them.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewCopy {
    /// Name: letters, digits, `-`, `_`, `.`.
    #[serde(default)]
    name: String,
    /// Pull from another Holdfast.
    from: Option<PullFrom>,
    /// Push to a second blockstore.
    to: Option<PushTo>,
    /// What is copied.
    #[serde(default)]
    filter: FilterView,
    /// Distance of two runs, in seconds, 60 to 31 days; an hour when nothing is said.
    every_seconds: Option<u32>,
    /// Bytes per second from the source, at most.
    bytes_per_second: Option<i64>,
    /// Copies are kept for so many days of their optime (the newest of each replica set for good); as long as at the source when nothing is said.
    keep_days: Option<u32>,
    /// Runs come only when they are asked for.
    #[serde(default)]
    disabled: bool,
}

/// How far a run is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CopyProgressView {
    /// Snapshot of the source that is being copied.
    snapshot: String,
    /// Snapshots done.
    snapshots: i64,
    /// Snapshots to copy.
    snapshots_total: i64,
    /// Bytes of the present snapshot that are settled.
    bytes: i64,
    /// Bytes of the present snapshot.
    bytes_total: i64,
    /// Blocks sent.
    sent_blocks: i64,
    /// Bytes sent.
    sent_bytes: i64,
}

/// What a run did.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CopyRunView {
    /// When it began, RFC 3339.
    started: String,
    /// When it ended, RFC 3339.
    finished: String,
    /// Snapshots that were copied.
    copied: i64,
    /// Snapshots that were there already.
    present: i64,
    /// Copies that went to the trash.
    trashed: i64,
    /// Blocks sent.
    sent_blocks: i64,
    /// Bytes sent.
    sent_bytes: i64,
    /// Blocks that were stored and read back from the target.
    proved_blocks: i64,
    /// Why it is not complete.
    error: Option<String>,
}

/// An offsite copy.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CopyView {
    /// Name.
    name: String,
    /// `pull` or `push`.
    kind: &'static str,
    /// The other side: a URL, or a database's name and where its payloads lie.
    peer: String,
    /// Id of the group here that what is pulled belongs to.
    group: Option<String>,
    /// What is copied.
    filter: FilterView,
    /// Distance of two runs, in seconds.
    every_seconds: i64,
    /// Bytes per second, at most.
    bytes_per_second: Option<i64>,
    /// Days that copies are kept.
    keep_days: Option<i64>,
    /// Whether runs come by themselves.
    enabled: bool,
    /// `idle`, `asked` or `running`.
    state: &'static str,
    /// How far the run is.
    progress: Option<CopyProgressView>,
    /// The last run that ended.
    last: Option<CopyRunView>,
}

/// A snapshot that was pulled.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PulledView {
    /// Id here.
    id: String,
    /// Where it came from.
    origin: String,
    /// Its id there.
    origin_id: String,
    /// When it was committed there, RFC 3339.
    origin_committed: String,
    /// Its replica set.
    rs: String,
    /// It holds every entry at or before this cluster time.
    optime: Instant,
    /// The optime's second, RFC 3339, UTC.
    at: String,
    /// Label.
    label: Option<String>,
    /// `complete` or `trashed`.
    state: &'static str,
    /// Bytes of its files.
    logical_bytes: u64,
    /// Bytes that it added to the store, before compression.
    new_bytes: u64,
    /// Version of the server whose files these are.
    server_version: String,
}

/// A pulled snapshot to restore, as it is.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct RestorePulled {
    /// Id of the snapshot here.
    #[serde(default)]
    snapshot: String,
    /// `tar`, `tar.zst` (the default) or `tar.gz`.
    format: Option<String>,
    /// How long the link works, in hours, 1 to 720; 24 when nothing is said.
    hours: Option<u32>,
    /// How often the whole can be downloaded, 1 to 1000; 3 when nothing is said.
    uses: Option<u32>,
}

/// Makes an offsite copy.
#[utoipa::path(post, path = "/offsite/copies", tag = "offsite", request_body = NewCopy,
    responses((status = 201, body = CopyView), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn create_offsite_copy(
    State(state): State<WebState>,
    caller: Caller,
    JsonOf(new): JsonOf<NewCopy>,
) -> Result<(StatusCode, Json<CopyView>), ApiError> {
    let FilterView { groups, replica_sets, labels, last_of_day, min_age_seconds } = new.filter;
    if [&groups, &replica_sets, &labels].iter().any(|names| names.len() > NAMES_MAX) {
        return Err(ApiError::bad_request(format!("a filter names at most {NAMES_MAX} of a kind")));
    }
    let filter =
        OffsiteFilter { groups, replica_sets, labels, last_of_day, min_age_seconds: i64::from(min_age_seconds) };
    let id = RestoreJobId::random().to_string();
    let seal = |secret: &str| state.seal_text(&offsite_secret_context(&id), secret);
    let (peer, group) = match (new.from, new.to) {
        (Some(from), None) => {
            let group = match from.into_group.parse() {
                Ok(group) => state.metadb().group(&group).await.map_err(fault)?,
                Err(_) => None,
            };
            let group = match group {
                Some(group) => Some(group),
                None => state.metadb().group_by_name(&from.into_group).await.map_err(fault)?,
            };
            let unknown = || ApiError::not_found(format!("there is no group {:?}", from.into_group));
            let group = group.ok_or_else(unknown)?;
            if from.group_keys.len() > NAMES_MAX {
                return Err(ApiError::bad_request(format!("at most {NAMES_MAX} keys of groups are taken")));
            }
            for key in &from.group_keys {
                state.blockstore().import_key(&group.id, key).await.map_err(fault)?;
            }
            (OffsitePeer::Pull { key: seal(&from.key)?, url: from.url, ca: from.ca }, Some(group.id))
        }
        (None, Some(PushTo { packs: Some(_), s3: Some(_), .. })) => {
            return Err(ApiError::bad_request(
                "the packs of a second store lie in a folder or in a bucket, not in both",
            ));
        }
        (None, Some(to)) => {
            let bucket = to.s3.as_ref().map(|bucket| bucket_location(&state, bucket)).transpose()?;
            (OffsitePeer::Push { uri: seal(&to.uri)?, database: to.database, packs: to.packs, bucket }, None)
        }
        _ => return Err(ApiError::bad_request("an offsite copy goes `from` or `to`, one of them")),
    };
    let new = NewOffsiteCopy {
        id,
        name: new.name,
        peer,
        group,
        filter,
        every_seconds: new.every_seconds.unwrap_or(3600),
        bytes_per_second: new.bytes_per_second,
        keep_days: new.keep_days,
        enabled: !new.disabled,
        created_by: caller.name().to_owned(),
    };
    let copy = state.metadb().create_offsite_copy(new).await.map_err(fault)?;
    state.audit(&caller, copy.group.as_ref(), "offsite copy added", &copy.name).await;
    Ok((StatusCode::CREATED, Json(view(copy))))
}

/// All offsite copies, by name.
#[utoipa::path(get, path = "/offsite/copies", tag = "offsite", params(PageQuery),
    responses((status = 200, body = [CopyView]), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list_offsite_copies(
    State(state): State<WebState>,
    QueryOf(query): QueryOf<PageQuery>,
) -> Result<Page<CopyView>, ApiError> {
    let copies = state.metadb().offsite_copies().await.map_err(fault)?;
    Ok(query.cut(copies, Order::Up, |copy| copy.name.clone())?.map(view))
}

/// An offsite copy: its settings, how far its run is, what its last run did.
#[utoipa::path(get, path = "/offsite/copies/{copy}", tag = "offsite", params(("copy" = String, Path, description = "name")),
    responses((status = 200, body = CopyView), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn show_offsite_copy(
    State(state): State<WebState>,
    PathOf(name): PathOf<String>,
) -> Result<Json<CopyView>, ApiError> {
    Ok(Json(view(find(&state, &name).await?)))
}

/// Asks for a run now.
#[utoipa::path(post, path = "/offsite/copies/{copy}/run", tag = "offsite", params(("copy" = String, Path, description = "name")),
    responses((status = 202), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn run_offsite_copy(
    State(state): State<WebState>,
    caller: Caller,
    PathOf(name): PathOf<String>,
) -> Result<StatusCode, ApiError> {
    let copy = find(&state, &name).await?;
    state.metadb().ask_offsite_run(&copy.name).await.map_err(fault)?;
    state.audit(&caller, copy.group.as_ref(), "offsite run asked for", &copy.name).await;
    Ok(StatusCode::ACCEPTED)
}

/// Removes an offsite copy. A run ends; what was copied stays.
#[utoipa::path(delete, path = "/offsite/copies/{copy}", tag = "offsite", params(("copy" = String, Path, description = "name")),
    responses((status = 204), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn remove_offsite_copy(
    State(state): State<WebState>,
    caller: Caller,
    PathOf(name): PathOf<String>,
) -> Result<StatusCode, ApiError> {
    let copy = find(&state, &name).await?;
    state.metadb().remove_offsite_copy(&copy.name).await.map_err(fault)?;
    state.audit(&caller, copy.group.as_ref(), "offsite copy removed", &copy.name).await;
    Ok(StatusCode::NO_CONTENT)
}

/// The snapshots that an offsite copy pulled, oldest first.
#[utoipa::path(get, path = "/offsite/copies/{copy}/snapshots", tag = "offsite", params(("copy" = String, Path, description = "name"), PageQuery),
    responses((status = 200, body = [PulledView]), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list_pulled_snapshots(
    State(state): State<WebState>,
    PathOf(name): PathOf<String>,
    QueryOf(query): QueryOf<PageQuery>,
) -> Result<Page<PulledView>, ApiError> {
    let copy = find(&state, &name).await?;
    let mut pulled = Vec::new();
    for root in state.blockstore().all_roots().await.map_err(root_error)? {
        if root.purpose == Purpose::Snapshot && is_of(&root, &copy) {
            let meta = SnapshotMeta::decode(&root.meta).map_err(fault)?;
            pulled.push(Snapshot { root, meta });
        }
    }
    let (pulled, page) = query.cut(pulled, Order::Up, Snapshot::place)?.take();
    Ok(page.of(pulled.into_iter().filter_map(pulled_view).collect()))
}

/// Restores a pulled snapshot: the link of the download. Instants after it cannot be restored here, since the ledger does not travel.
#[utoipa::path(post, path = "/offsite/copies/{copy}/restores", tag = "offsite", request_body = RestorePulled,
    params(("copy" = String, Path, description = "name")),
    responses((status = 201, body = RestoreView), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn restore_pulled_snapshot(
    State(state): State<WebState>,
    caller: Caller,
    PathOf(name): PathOf<String>,
    JsonOf(new): JsonOf<RestorePulled>,
) -> Result<(StatusCode, Json<RestoreView>), ApiError> {
    let copy = find(&state, &name).await?;
    let group = copy.group.clone().ok_or_else(|| ApiError::not_found("nothing is pulled by this offsite copy"))?;
    let format = new.format.as_deref().unwrap_or("tar.zst").parse::<ArchiveFormat>().map_err(ApiError::bad_request)?;
    let (hours, uses) = (new.hours.unwrap_or(24), new.uses.unwrap_or(3));
    if !(1..=LINK_HOURS_MAX).contains(&hours) || !(1..=LINK_USES_MAX).contains(&uses) {
        let detail = format!("hours are 1 to {LINK_HOURS_MAX}, uses 1 to {LINK_USES_MAX}");
        return Err(ApiError::bad_request(detail));
    }
    let unknown = || ApiError::not_found(format!("{name} pulled no snapshot {:?}", new.snapshot));
    let snapshot: SnapshotId = new.snapshot.parse().map_err(|_| unknown())?;
    let root: RootId = new.snapshot.parse().map_err(|_| unknown())?;
    let root = state.blockstore().root(&root).await.map_err(root_error)?;
    let root = root.filter(|root| root.purpose == Purpose::Snapshot && is_of(root, &copy)).ok_or_else(unknown)?;
    if root.trashed_at.is_some() || root.quarantined {
        let why = if root.quarantined { "has bad blocks" } else { "lies in the trash" };
        return Err(ApiError::conflict("notRestorable", format!("snapshot {snapshot} {why}")));
    }
    let meta = SnapshotMeta::decode(&root.meta).map_err(fault)?;
    let job = root.job.parse().map_err(|_| unknown())?;
    let base = Snapshot { root, meta };
    let id = RestoreJobId::random();
    let expires = bson::DateTime::from_millis(jiff::Timestamp::now().as_millisecond() + i64::from(hours) * 3_600_000);
    let pin = Pin { by: format!("restore:{id}"), until: Some(expires) };
    state.blockstore().pin(&base.root.id, pin).await.map_err(root_error)?;
    let frozen = frozen(&state, &base, format).await?;
    let secret = new_secret(SecretKind::Link);
    let plain = |text: &str| text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect::<String>();
    let new = NewRestoreJob {
        id,
        group: group.clone(),
        job,
        target: RestoreTarget::Snapshot(snapshot),
        chain: None,
        format,
        state: RestoreState::Ready,
        root: Some(base.root.id.to_string()),
        base_root: base.root.id.to_string(),
        optime: Some(base.meta.optime),
        bytes: frozen.bytes,
        etag: Some(frozen.etag),
        link_hash: hash_secret(&secret),
        name: format!("{}-{}-{}", plain(&copy.name), plain(&base.meta.rs), base.meta.optime.ts.t),
        expires,
        uses: i64::from(uses),
        created_by: caller.name().to_owned(),
        reason: String::new(),
        planned_bytes: None,
        daemon: None,
    };
    let job = state.metadb().create_restore_job(new).await.map_err(fault)?;
    state.audit(&caller, Some(&group), "restore asked for", job.id.as_str()).await;
    let url = format!("{}/restores/{secret}/{}.{format}", state.ingest_url().trim_end_matches('/'), job.name);
    Ok((StatusCode::CREATED, Json(restore_view(job).with_url(url))))
}

/// Whether the copy's daemon put this root here.
fn is_of(root: &Root, copy: &OffsiteCopy) -> bool {
    let job = root.origin.as_ref().and_then(|origin| offsite_job(&copy.id, &origin.job));
    job.is_some_and(|job| job.as_str() == root.job)
}

async fn find(state: &WebState, name: &str) -> Result<OffsiteCopy, ApiError> {
    let copy = state.metadb().offsite_copy(name).await.map_err(fault)?;
    copy.ok_or_else(|| ApiError::not_found(format!("there is no offsite copy {name:?}")))
}

fn pulled_view(one: Snapshot) -> Option<PulledView> {
    let Snapshot { root, meta } = one;
    let origin = root.origin?;
    Some(PulledView {
        id: root.id.to_string(),
        origin: origin.store,
        origin_id: origin.root.to_string(),
        origin_committed: rfc3339_of(origin.committed_at),
        rs: meta.rs,
        optime: meta.optime.into(),
        at: rfc3339(i64::from(meta.optime.ts.t)),
        label: root.label,
        state: if root.trashed_at.is_some() { "trashed" } else { "complete" },
        logical_bytes: root.logical_bytes,
        new_bytes: root.new_bytes,
        server_version: meta.server_version,
    })
}

fn view(copy: OffsiteCopy) -> CopyView {
    let (kind, peer) = match copy.peer {
        OffsitePeer::Pull { url, .. } => ("pull", url),
        OffsitePeer::Push { database, packs: Some(packs), .. } => ("push", format!("{database}, packs in {packs}")),
        OffsitePeer::Push { database, bucket: Some(PayloadStoreLocation::S3 { bucket, prefix, .. }), .. } => {
            ("push", format!("{database}, packs in bucket {}", folder_in(&bucket, &prefix)))
        }
        OffsitePeer::Push { database, .. } => ("push", database),
    };
    let OffsiteFilter { groups, replica_sets, labels, last_of_day, min_age_seconds } = copy.filter;
    let min_age_seconds = u32::try_from(min_age_seconds).unwrap_or_default();
    CopyView {
        name: copy.name,
        kind,
        peer,
        group: copy.group.map(|group| group.to_string()),
        filter: FilterView { groups, replica_sets, labels, last_of_day, min_age_seconds },
        every_seconds: copy.every_seconds,
        bytes_per_second: copy.bytes_per_second,
        keep_days: copy.keep_days,
        enabled: copy.enabled,
        state: match (copy.running, copy.asked) {
            (true, _) => "running",
            (false, Some(_)) => "asked",
            (false, None) => "idle",
        },
        progress: copy.progress.map(progress_view),
        last: copy.last.map(run_view),
    }
}

fn progress_view(done: OffsiteProgress) -> CopyProgressView {
    let OffsiteProgress { snapshot, snapshots, snapshots_total, bytes, bytes_total, sent_blocks, sent_bytes } = done;
    CopyProgressView { snapshot, snapshots, snapshots_total, bytes, bytes_total, sent_blocks, sent_bytes }
}

fn run_view(run: OffsiteRun) -> CopyRunView {
    CopyRunView {
        started: rfc3339_of(run.started),
        finished: rfc3339_of(run.finished),
        copied: run.copied,
        present: run.present,
        trashed: run.trashed,
        sent_blocks: run.sent_blocks,
        sent_bytes: run.sent_bytes,
        proved_blocks: run.proved_blocks,
        error: run.error,
    }
}
