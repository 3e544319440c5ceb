//! Restores: asked for, watched.
//!
//! A snapshot is ready at once; an instant is made by the daemon that holds the head. What a restore needs is pinned in the blockstore
//! before the restore job exists, so that no retention can take it away in between. The link's secret is shown in this one answer and kept
//! only as a hash.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant as Clock},
};

use axum::{Json, extract::State, http::StatusCode};
use blockstore_engine::{
    Pin, RootId,
    archive::{Archive, ArchiveFormat as EngineFormat},
};
use holdfast_domain::{
    ArchiveFormat, BackupJobId, DaemonId, GroupId, RestoreJobId, RestoreState, RestoreTarget, SnapshotId, Ts,
};
use holdfast_metadb::{BackupJobFilter, NewRestoreJob, RestoreJob, SecretKind, hash_secret, new_secret};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    backups::ProgressView,
    caller::{Caller, OfBackup, fault},
    cut::replay_of,
    deliveries::{self, DeliveryView, new_delivery},
    extract::{JsonOf, PathOf, QueryOf},
    instant::{Instant, parse_at, rfc3339, rfc3339_of},
    pages::{Order, Page, PageQuery, stamp},
    points::{Points, Snapshot, class_of},
    problem::{ApiError, Problem},
    sftp_targets,
    snapshots::{root_error, root_of},
    state::WebState,
};

/// Longest life of a link, in hours: 30 days.
const LINK_HOURS_MAX: u32 = 720;
/// Most uses of a link.
const LINK_USES_MAX: u32 = 1000;
/// Longest wait for the ledger to pass an instant, in seconds.
const WAIT_SECONDS_MAX: u32 = 60;
/// How long the base of a restore is pinned beyond the link's life, in hours: making it may take long.
const PIN_HOURS: u32 = 48;
/// Longest reason, in bytes.
const REASON_BYTES_MAX: usize = 500;

/// What to restore, and how it is delivered. `snapshot` or `at`, not both.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewRestore {
    /// Id of a snapshot.
    snapshot: Option<String>,
    /// An instant of the source's cluster time, inclusive: RFC 3339 (the whole second) or `SECONDS,INCREMENT`.
    at: Option<String>,
    /// Of two histories that cover the instant the one of this chain; the younger when nothing is said.
    chain: Option<i64>,
    /// `tar`, `tar.zst` (the default) or `tar.gz`.
    format: Option<String>,
    /// How long the link works, in hours, 1 to 720; the backup's setting (24) when nothing is said.
    hours: Option<u32>,
    /// How often the whole can be downloaded, 1 to 1000; the backup's setting (3) when nothing is said.
    uses: Option<u32>,
    /// Wait so many seconds, at most 60, for the ledger to pass the instant.
    wait_seconds: Option<u32>,
    /// Why it is made, at most 500 bytes: shown in the history of restores.
    reason: Option<String>,
    /// Name of an SFTP target of the group, to which the archive is pushed once it is made; the link works too.
    sftp: Option<String>,
}

/// A restore.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RestoreView {
    /// Id.
    id: String,
    /// `queued`, `running`, `ready`, `failed` or `expired`.
    state: String,
    /// What its daemon is doing.
    phase: String,
    /// How far.
    progress: Option<ProgressView>,
    /// The link. Only in the answer that made it: the appliance keeps no secret that it could show again.
    url: Option<String>,
    /// Every entry at or before this cluster time is in it (the last one that there is, once it is ready).
    optime: Option<Instant>,
    /// The optime's second, RFC 3339, UTC.
    at: Option<String>,
    /// Bytes of the archive, once ready; null for `tar.gz`.
    bytes: Option<i64>,
    /// Bytes sent so far.
    bytes_sent: i64,
    /// Until when the link works, RFC 3339.
    expires: String,
    /// Format.
    format: String,
    /// Snapshot that it is made from.
    snapshot: String,
    /// Uses of the link.
    uses: i64,
    /// Whole downloads so far, by bytes sent (`tar.gz`: by requests).
    uses_spent: i64,
    /// The last error: why it failed, or why an attempt was not the last.
    error: Option<String>,
    /// Name of the replica set; null: it was pulled from another appliance.
    rs: Option<String>,
    /// Who asked: a person's address or a key's name.
    created_by: String,
    /// Why, in the words of who asked; empty: nothing was said.
    reason: String,
    /// The history that was asked for, where two cover the instant.
    chain: Option<i64>,
    /// Name of the daemon that makes it, or its id where that daemon is gone; null: none is needed.
    daemon: Option<String>,
    /// How often a daemon took it up.
    attempt: i64,
    /// When the present or last attempt began, RFC 3339.
    started: Option<String>,
    /// When it was made or failed for good, RFC 3339.
    ended: Option<String>,
    /// Who took the link away before its time.
    revoked: Option<RevokedView>,
    /// Name of the file.
    name: String,
    /// When it was asked for, RFC 3339.
    created: String,
    /// Its push to an SFTP target, where one was asked for.
    delivery: Option<DeliveryView>,
}

/// A link that was taken away by hand.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RevokedView {
    /// Who did it.
    by: String,
    /// When, RFC 3339.
    at: String,
}

/// What was found to restore from.
struct Source {
    target: RestoreTarget,
    base: Snapshot,
}

/// Asks for a restore.
#[utoipa::path(post, path = "/groups/{group}/backups/{rs}/restores", tag = "restores", request_body = NewRestore,
    params(("group" = String, Path, description = "id or name"), ("rs" = String, Path, description = "name of the replica set")),
    responses((status = 201, body = RestoreView), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn create_restore(
    State(state): State<WebState>,
    of: OfBackup,
    JsonOf(new): JsonOf<NewRestore>,
) -> Result<(StatusCode, Json<RestoreView>), ApiError> {
    let format = new.format.as_deref().unwrap_or("tar.zst").parse::<ArchiveFormat>().map_err(ApiError::bad_request)?;
    let hours = new.hours.unwrap_or(of.job.link_hours);
    let uses = new.uses.unwrap_or(of.job.link_uses);
    if !(1..=LINK_HOURS_MAX).contains(&hours) || !(1..=LINK_USES_MAX).contains(&uses) {
        let detail = format!("hours are 1 to {LINK_HOURS_MAX}, uses 1 to {LINK_USES_MAX}");
        return Err(ApiError::bad_request(detail));
    }
    let reason = new.reason.as_deref().unwrap_or_default().trim();
    if reason.len() > REASON_BYTES_MAX {
        return Err(ApiError::bad_request(format!("the reason is longer than {REASON_BYTES_MAX} bytes: shorten it")));
    }
    let target = match &new.sftp {
        Some(name) => Some(sftp_targets::find(&state, &of.group.id, name).await?),
        None => None,
    };
    let source = source(&state, &of, &new).await?;
    let planned_bytes = match source.target {
        RestoreTarget::Instant(at) => Some(replay_of(&state, &of, &source.base, at).await?.all_bytes(&source.base)),
        RestoreTarget::Snapshot(_) => None,
    };
    let id = RestoreJobId::random();
    let root = source.base.root.id;
    pin(&state, &root, &id, hours.max(PIN_HOURS)).await?;
    let now = jiff::Timestamp::now();
    let expires = now.as_millisecond() + i64::from(hours) * 3_600_000;
    let instant = matches!(source.target, RestoreTarget::Instant(_));
    let secret = new_secret(SecretKind::Link);
    let ready = if instant { None } else { Some(frozen(&state, &source.base, format).await?) };
    let job = NewRestoreJob {
        id: id.clone(),
        group: of.group.id.clone(),
        job: of.job.id.clone(),
        target: source.target.clone(),
        chain: new.chain,
        format,
        state: if instant { RestoreState::Queued } else { RestoreState::Ready },
        root: ready.as_ref().map(|_| root.to_string()),
        base_root: root.to_string(),
        optime: ready.as_ref().map(|_| source.base.meta.optime),
        bytes: ready.as_ref().and_then(|frozen| frozen.bytes),
        etag: ready.map(|frozen| frozen.etag),
        link_hash: hash_secret(&secret),
        name: link_name(&of, &source),
        expires: bson::DateTime::from_millis(expires),
        uses: i64::from(uses),
        created_by: of.caller.name().to_owned(),
        reason: reason.to_owned(),
        planned_bytes,
        daemon: if instant { of.job.daemon.clone() } else { None },
    };
    let delivery = target.map(|target| new_delivery(&target, &id, &job.name, &job.format.to_string()));
    let job = match state.metadb().create_restore_job_for(job, delivery).await {
        Ok(job) => job,
        Err(error) => {
            // Best effort: the pin has an end of its own.
            if let Err(error) = state.blockstore().unpin(&root, &pin_name(&id)).await {
                tracing::warn!(%error, restore = %id, "the pin of a restore that was not made stays until its end");
            }
            return Err(fault(error));
        }
    };
    state.audit(&of.caller, Some(&of.group.id), "restore asked for", job.id.as_str()).await;
    let url = format!("{}/restores/{secret}/{}.{format}", state.ingest_url().trim_end_matches('/'), job.name);
    let names = Names::read(&state, &of.group.id).await?;
    Ok((StatusCode::CREATED, Json(view_of(job, &names).with_url(url))))
}

/// The restores of a backup, newest first.
#[utoipa::path(get, path = "/groups/{group}/backups/{rs}/restores", tag = "restores",
    params(("group" = String, Path, description = "id or name"), ("rs" = String, Path, description = "name of the replica set"), PageQuery),
    responses((status = 200, body = [RestoreView]), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list_restores(
    State(state): State<WebState>,
    of: OfBackup,
    QueryOf(query): QueryOf<PageQuery>,
) -> Result<Page<RestoreView>, ApiError> {
    let jobs = state.metadb().restore_jobs(&of.job.id).await.map_err(fault)?;
    let names = Names::read(&state, &of.group.id).await?;
    let page = query.cut(jobs, Order::Down, |job| format!("{}{}", stamp(job.created), job.id))?;
    Ok(page.map(|job| view_of(job, &names)))
}

/// A restore.
#[utoipa::path(get, path = "/restores/{restore}", tag = "restores", params(("restore" = String, Path, description = "id")),
    responses((status = 200, body = RestoreView), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn show_restore(
    State(state): State<WebState>,
    caller: Caller,
    PathOf(id): PathOf<RestoreJobId>,
) -> Result<Json<RestoreView>, ApiError> {
    let job = visible(&state, &caller, &id).await?;
    let names = Names::read(&state, &job.group).await?;
    Ok(Json(view_of(job, &names)))
}

/// The restore job of that id, in a group that the caller sees.
pub(crate) async fn visible(state: &WebState, caller: &Caller, id: &RestoreJobId) -> Result<RestoreJob, ApiError> {
    let job = state.metadb().restore_job(id).await.map_err(fault)?.filter(|job| caller.sees(&job.group));
    job.ok_or_else(|| ApiError::not_found(format!("there is no restore {id}")))
}

/// Finds what to restore from, waiting for the ledger when asked to.
async fn source(state: &WebState, of: &OfBackup, new: &NewRestore) -> Result<Source, ApiError> {
    match (&new.snapshot, &new.at) {
        (Some(id), None) => {
            let id = id.parse::<SnapshotId>().map_err(|error| ApiError::bad_request(error.to_string()))?;
            let base = good_snapshot(state, of, &id).await?;
            Ok(Source { target: RestoreTarget::Snapshot(id), base })
        }
        (None, Some(at)) => {
            let at = parse_at(at)?;
            let wait = Duration::from_secs(u64::from(new.wait_seconds.unwrap_or(0).min(WAIT_SECONDS_MAX)));
            let base = wait_for(state, of, at, new.chain, wait).await?;
            Ok(Source { target: RestoreTarget::Instant(at), base })
        }
        _ => Err(ApiError::bad_request("a restore names `snapshot` or `at`, one of them")),
    }
}

/// A snapshot of the backup that can be restored.
pub(crate) async fn good_snapshot(state: &WebState, of: &OfBackup, id: &SnapshotId) -> Result<Snapshot, ApiError> {
    let root = root_of(state, of, id).await?;
    if root.trashed_at.is_some() || root.quarantined {
        let why = if root.quarantined { "has bad blocks" } else { "lies in the trash" };
        return Err(ApiError::conflict("notRestorable", format!("snapshot {id} {why}")));
    }
    let meta = holdfast_ledger::SnapshotMeta::decode(&root.meta).map_err(fault)?;
    Ok(Snapshot { root, meta })
}

async fn wait_for(
    state: &WebState,
    of: &OfBackup,
    at: Ts,
    chain: Option<i64>,
    wait: Duration,
) -> Result<Snapshot, ApiError> {
    let begun = Clock::now();
    loop {
        let points = Points::read(state, &of.job).await?;
        if let Some(base) = points.base(at, chain) {
            return Ok(base.clone());
        }
        // Waiting helps only when the ledger still grows towards the instant.
        let ahead = points.chains.iter().any(|c| !c.closed && c.to.ts < at && chain.is_none_or(|n| n == c.chain));
        if !ahead || begun.elapsed() >= wait {
            return Err(points.refusal(state, &of.job, at, chain).await?);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

pub(crate) fn pin_name(id: &RestoreJobId) -> String {
    format!("restore:{id}")
}

async fn pin(state: &WebState, root: &RootId, id: &RestoreJobId, hours: u32) -> Result<(), ApiError> {
    let until = jiff::Timestamp::now().as_millisecond() + i64::from(hours) * 3_600_000;
    let pin = Pin { by: pin_name(id), until: Some(bson::DateTime::from_millis(until)) };
    state.blockstore().pin(root, pin).await.map_err(root_error)
}

/// Name of the file, as a browser stores it, without its ending.
fn link_name(of: &OfBackup, source: &Source) -> String {
    let ts = match &source.target {
        RestoreTarget::Snapshot(_) => source.base.meta.optime.ts,
        RestoreTarget::Instant(ts) => *ts,
    };
    let plain = |text: &str| text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect::<String>();
    let increment = if ts.i == u32::MAX { String::new() } else { format!("-{}", ts.i) };
    format!("{}-{}-{}{increment}", plain(&of.group.name), plain(&of.job.rs), ts.t)
}

impl RestoreView {
    /// With the link, which only the answer that made it shows.
    pub(crate) fn with_url(self, url: String) -> Self {
        Self { url: Some(url), ..self }
    }
}

/// Names of what restores refer to by id.
#[derive(Debug, Default)]
pub(crate) struct Names {
    daemons: BTreeMap<DaemonId, String>,
    sets: BTreeMap<BackupJobId, String>,
}

impl Names {
    /// Those of a group.
    pub(crate) async fn read(state: &WebState, group: &GroupId) -> Result<Self, ApiError> {
        let daemons = state.metadb().daemons().await.map_err(fault)?;
        let of_group = BackupJobFilter { group: Some(group.clone()), ..BackupJobFilter::default() };
        let jobs = state.metadb().backup_jobs(&of_group).await.map_err(fault)?;
        Ok(Self {
            daemons: daemons.into_iter().map(|daemon| (daemon.id, daemon.name)).collect(),
            sets: jobs.into_iter().map(|job| (job.id, job.rs)).collect(),
        })
    }
}

pub(crate) fn view(job: RestoreJob) -> RestoreView {
    view_of(job, &Names::default())
}

/// Downloads that were sent whole, or for a format without a size, begun.
fn uses_spent(job: &RestoreJob) -> i64 {
    match job.bytes {
        Some(bytes) if bytes > 0 => job.bytes_sent / bytes,
        _ => job.requests_sent,
    }
}

pub(crate) fn view_of(job: RestoreJob, names: &Names) -> RestoreView {
    let asked = match &job.target {
        RestoreTarget::Instant(ts) => Some(*ts),
        RestoreTarget::Snapshot(_) => None,
    };
    let ts = job.optime.map(|o| o.ts).or(asked);
    let expired = job.expires <= bson::DateTime::now() && job.state != RestoreState::Failed;
    let state = if expired { RestoreState::Expired } else { job.state };
    // Whoever holds the lease works on it now; else whom it was given to.
    let daemon = job.lease.owner.parse().ok().or_else(|| job.daemon.clone());
    let daemon = daemon.map(|id| names.daemons.get(&id).cloned().unwrap_or_else(|| id.to_string()));
    RestoreView {
        delivery: deliveries::view(&job),
        uses_spent: uses_spent(&job),
        rs: names.sets.get(&job.job).cloned(),
        daemon,
        attempt: job.lease.epoch,
        started: job.started.map(rfc3339_of),
        ended: job.ended.map(rfc3339_of),
        revoked: job.revoked.map(|revoked| RevokedView { by: revoked.by, at: rfc3339_of(revoked.at) }),
        created_by: job.created_by,
        reason: job.reason,
        chain: job.chain,
        id: job.id.to_string(),
        state: word(state),
        phase: job.phase,
        progress: job.progress.map(Into::into),
        url: None,
        optime: ts.map(Into::into),
        at: ts.map(|ts| rfc3339(i64::from(ts.t))),
        bytes: job.bytes,
        bytes_sent: job.bytes_sent,
        expires: rfc3339_of(job.expires),
        format: job.format.to_string(),
        snapshot: job.base_root,
        uses: job.uses,
        error: job.error,
        name: format!("{}.{}", job.name, job.format),
        created: rfc3339_of(job.created),
    }
}

/// A state as its serialised word.
pub(crate) fn word(value: impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}

/// What is known of an archive whose root is known.
pub(crate) struct Frozen {
    pub(crate) bytes: Option<i64>,
    pub(crate) etag: String,
}

/// Freezes the layout of the archive: its size, and the tag under which ranges of it fit together.
pub(crate) async fn frozen(state: &WebState, base: &Snapshot, format: ArchiveFormat) -> Result<Frozen, ApiError> {
    let format = match format {
        ArchiveFormat::Tar => EngineFormat::Tar,
        ArchiveFormat::TarZst => EngineFormat::TarZst,
        ArchiveFormat::TarGz => EngineFormat::TarGz,
    };
    let plan = Archive::plan(state.blockstore().reader(base.root.clone()), format).await;
    let plan = plan.map_err(|error| ApiError::from_class(class_of(error.class()), &error))?;
    Ok(Frozen { bytes: plan.len().and_then(|len| i64::try_from(len).ok()), etag: plan.etag() })
}
