//! Backups: started, stopped, synchronised anew, moved, shown.
//!
//! Handlers write what is wanted into the job's document and close chains in the ledger; daemons and agents follow.

use axum::{Json, extract::State, http::StatusCode};
use futures::{StreamExt as _, TryStreamExt as _};
use holdfast_agent_api::LedgerTail;
use holdfast_domain::{BackupEvent, BackupState, CloseReason, DaemonId, OpTime, Progress, Range};
use holdfast_ledger::AppendError;
use holdfast_metadb::{BackupJob, BackupJobFilter, ChangesFound, Daemon, Deployment, MetaError};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    caller::{InGroup, OfBackup, fault},
    deployments::found_deployment,
    extract::{JsonOf, PathOf, QueryOf},
    instant::{Instant, InstantAt, rfc3339_of},
    overview::SIDE_BY_SIDE,
    pages::{Order, Page, PageQuery},
    points::Points,
    problem::{ApiError, Problem},
    restores::word,
    revision::Tagged,
    settings::SettingsView,
    state::WebState,
};

/// Head space needed for a source, in percent of its data files: indexes are built beside what is there.
const HEAD_SPACE_PERCENT: u64 = 120;
/// Labels that a backup may ask for.
const LABELS_MAX: usize = 20;

/// A run of instants that can be restored, both ends included.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RangeView {
    /// First.
    from: InstantAt,
    /// Last.
    to: InstantAt,
}

impl From<Range> for RangeView {
    fn from(range: Range) -> Self {
        Self { from: range.from.into(), to: range.to.into() }
    }
}

/// How far a long piece of work came.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProgressView {
    /// Done so far, in `unit`s.
    done: u64,
    /// All there is; 0 when not known yet.
    total: u64,
    /// `bytes`, `documents`, `entries`, `seconds`.
    unit: String,
}

impl From<Progress> for ProgressView {
    fn from(progress: Progress) -> Self {
        Self { done: progress.done, total: progress.total, unit: progress.unit }
    }
}

/// What the agent said last.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AgentReportView {
    /// What it is doing.
    phase: String,
    /// How far.
    progress: Option<ProgressView>,
    /// Member that it reads from.
    member: Option<String>,
    /// Newest optime that the server acknowledged to it.
    sent_optime: Option<Instant>,
    /// Bytes waiting in its spool.
    spool_bytes: u64,
    /// Its last error.
    error: Option<String>,
    /// When it said so, RFC 3339.
    at: String,
}

/// A backup.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BackupView {
    /// Id of the job.
    id: String,
    /// Name of the replica set.
    rs: String,
    /// Name of the group.
    group: String,
    /// `initialSync`, `catchingUp`, `active`, `resyncing`, `stopped`, `failed` or `terminated`.
    state: String,
    /// Since when, RFC 3339.
    state_since: String,
    /// What is being done.
    phase: String,
    /// How far.
    progress: Option<ProgressView>,
    /// The head holds every entry at or before this cluster time.
    head_optime: Option<Instant>,
    /// Seconds of the source's cluster time that the head is behind.
    lag_seconds: Option<i64>,
    /// What can be restored.
    ranges: Vec<RangeView>,
    /// How the last snapshot found out what changed; null where the file system of the head cannot tell.
    last_changes: Option<ChangesView>,
    /// The last snapshot whose random sample found the file system's word to be wrong. It was read whole and is right; the disk or the
    /// kernel under the head is in doubt. Null once it was acknowledged.
    changes_alert: Option<ChangesView>,
    /// Last error; null when all is well.
    last_error: Option<String>,
    /// Daemon that holds the head.
    daemon: Option<String>,
    /// Agent that sends.
    agent: Option<String>,
    /// Number of the open chain, or of the last one.
    chain: Option<i64>,
    /// Why the last chain is closed.
    closed: Option<String>,
    /// Optime of the ledger's end.
    ledger_optime: Option<Instant>,
    /// Newest optime that the agent saw at the source.
    source_optime: Option<Instant>,
    /// Bytes of the head on disk.
    head_bytes: i64,
    /// What the agent said last.
    agent_report: Option<AgentReportView>,
    /// Settings.
    settings: SettingsView,
    /// Counts the changes of the settings: their tag, for `If-Match`.
    settings_revision: i64,
}

/// How a snapshot found out what changed since the one before.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ChangesView {
    /// Which snapshot.
    snapshot: String,
    /// When it was committed, RFC 3339.
    at: String,
    /// Why everything was read; null: only what changed was.
    refused: Option<String>,
    /// Bytes taken from the snapshot before without being read.
    unchanged_bytes: i64,
    /// Bytes read.
    read_bytes: i64,
    /// Unchanged blocks that were read and compared all the same.
    sampled: i64,
    /// Those of them that had changed: more than 0 is an alert.
    missed: i64,
    /// The first of them: file and offset.
    first_miss: Option<String>,
    /// How long the head was held, in milliseconds.
    held_ms: i64,
    /// Extents per GiB of the head's most fragmented file.
    extents_per_gib: i64,
}

impl From<ChangesFound> for ChangesView {
    fn from(found: ChangesFound) -> Self {
        Self {
            snapshot: found.snapshot,
            at: rfc3339_of(found.at),
            refused: found.refused,
            unchanged_bytes: found.unchanged_bytes,
            read_bytes: found.read_bytes,
            sampled: found.sampled,
            missed: found.missed,
            first_miss: found.first_miss,
            held_ms: found.held_ms,
            extents_per_gib: found.extents_per_gib,
        }
    }
}

/// What a start may ask for.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct StartBackup {
    /// Labels that the daemon must have.
    #[serde(default)]
    daemon_labels: Vec<String>,
}

/// Why a resync is wanted.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ResyncBackup {
    /// A sentence for the record.
    reason: Option<String>,
}

/// Where to.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct MoveBackup {
    /// Id or name of the daemon.
    daemon: String,
}

/// The group's backups, by the name of the replica set.
#[utoipa::path(get, path = "/groups/{group}/backups", tag = "backups",
    params(("group" = String, Path, description = "id or name"), PageQuery),
    responses((status = 200, body = [BackupView]), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list_backups(
    State(state): State<WebState>,
    of: InGroup,
    QueryOf(query): QueryOf<PageQuery>,
) -> Result<Page<BackupView>, ApiError> {
    let filter = BackupJobFilter { group: Some(of.group.id.clone()), ..BackupJobFilter::default() };
    let jobs = state.metadb().backup_jobs(&filter).await.map_err(fault)?;
    let (jobs, page) = query.cut(jobs, Order::Up, |job| job.rs.clone())?.take();
    let views = jobs.into_iter().map(|job| view(&state, &of.group.name, job));
    let views = futures::stream::iter(views).buffered(SIDE_BY_SIDE).try_collect().await?;
    Ok(page.of(views))
}

/// A backup.
#[utoipa::path(get, path = "/groups/{group}/backups/{rs}", tag = "backups",
    params(("group" = String, Path, description = "id or name"), ("rs" = String, Path, description = "name of the replica set")),
    responses((status = 200, body = BackupView), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn show_backup(State(state): State<WebState>, of: OfBackup) -> Result<Tagged<BackupView>, ApiError> {
    let revision = of.job.settings_rev;
    Ok(Tagged(revision, view(&state, &of.group.name, of.job).await?))
}

/// Starts a backup, or starts a stopped one again. Does nothing to one that runs.
#[utoipa::path(post, path = "/groups/{group}/backups/{rs}/start", tag = "backups", request_body = StartBackup,
    params(("group" = String, Path, description = "id or name"), ("rs" = String, Path, description = "name of the replica set")),
    responses((status = 202, body = BackupView), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn start_backup(
    State(state): State<WebState>,
    of: InGroup,
    path: PathOf<(String, String)>,
    JsonOf(start): JsonOf<StartBackup>,
) -> Result<(StatusCode, Json<BackupView>), ApiError> {
    let PathOf((_, rs)) = path;
    if start.daemon_labels.len() > LABELS_MAX {
        return Err(ApiError::bad_request(format!("at most {LABELS_MAX} labels can be asked for")));
    }
    let deployment = found_deployment(&state, &of, &rs).await?;
    let existing = state.metadb().backup_job_by_rs(&of.group.id, &rs).await.map_err(fault)?;
    let job = match existing {
        Some(job) if job.state.runs() => job,
        Some(job) if job.state == BackupState::Terminated => return Err(terminated(&job.rs)),
        Some(job) => {
            check_space(&state, &deployment, &job.labels).await?;
            // A failed backup may have left its chain open; the new initial sync needs one of its own.
            close(&state, &job, CloseReason::ResyncRequested, "the backup was started again").await?;
            state.metadb().operate(&job.id, BackupEvent::Start).await.map_err(fault)?;
            reread(&state, &job).await?
        }
        None => {
            check_space(&state, &deployment, &start.daemon_labels).await?;
            match state.metadb().create_backup_job(&deployment, start.daemon_labels).await {
                Ok(job) => job,
                // Another request was faster: the same backup.
                Err(MetaError::Exists { .. }) => {
                    let made = state.metadb().backup_job_by_rs(&of.group.id, &rs).await.map_err(fault)?;
                    made.ok_or_else(|| ApiError::conflict("busy", "the backup changes just now: try again"))?
                }
                Err(error) => return Err(fault(error)),
            }
        }
    };
    state.audit(&of.caller, Some(&of.group.id), "backup started", &rs).await;
    Ok((StatusCode::ACCEPTED, Json(view(&state, &of.group.name, job).await?)))
}

/// Stops a backup. Its snapshots stay; the chain ends here, and starting again begins with a new initial sync.
#[utoipa::path(post, path = "/groups/{group}/backups/{rs}/stop", tag = "backups",
    params(("group" = String, Path, description = "id or name"), ("rs" = String, Path, description = "name of the replica set")),
    responses((status = 202, body = BackupView), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn stop_backup(
    State(state): State<WebState>,
    of: OfBackup,
) -> Result<(StatusCode, Json<BackupView>), ApiError> {
    if of.job.state == BackupState::Terminated {
        return Err(terminated(&of.job.rs));
    }
    // The state first: a stopped job takes no slice, so nothing comes in after the chain's end.
    state.metadb().operate(&of.job.id, BackupEvent::Stop).await.map_err(fault)?;
    close(&state, &of.job, CloseReason::Stopped, "the backup was stopped").await?;
    state.audit(&of.caller, Some(&of.group.id), "backup stopped", &of.job.rs).await;
    let job = reread(&state, &of.job).await?;
    Ok((StatusCode::ACCEPTED, Json(view(&state, &of.group.name, job).await?)))
}

/// Makes a new initial sync. What could be restored stays restorable.
#[utoipa::path(post, path = "/groups/{group}/backups/{rs}/resync", tag = "backups", request_body = ResyncBackup,
    params(("group" = String, Path, description = "id or name"), ("rs" = String, Path, description = "name of the replica set")),
    responses((status = 202, body = BackupView), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn resync_backup(
    State(state): State<WebState>,
    of: OfBackup,
    JsonOf(resync): JsonOf<ResyncBackup>,
) -> Result<(StatusCode, Json<BackupView>), ApiError> {
    if of.job.state == BackupState::Terminated {
        return Err(terminated(&of.job.rs));
    }
    if of.job.state == BackupState::Stopped {
        return Err(ApiError::conflict(
            "backupStopped",
            "the backup is stopped: starting it makes a new initial sync anyway",
        ));
    }
    let reason = resync.reason.unwrap_or_else(|| format!("asked for by {}", of.caller.name()));
    state.metadb().request_resync(&of.job.id, &reason).await.map_err(fault)?;
    close(&state, &of.job, CloseReason::ResyncRequested, &reason).await?;
    state.audit(&of.caller, Some(&of.group.id), "resync asked for", &of.job.rs).await;
    let job = reread(&state, &of.job).await?;
    Ok((StatusCode::ACCEPTED, Json(view(&state, &of.group.name, job).await?)))
}

/// Moves a backup to another daemon: its head is rebuilt there from the last snapshot and the ledger.
#[utoipa::path(post, path = "/groups/{group}/backups/{rs}/move", tag = "backups", request_body = MoveBackup,
    params(("group" = String, Path, description = "id or name"), ("rs" = String, Path, description = "name of the replica set")),
    responses((status = 202, body = BackupView), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn move_backup(
    State(state): State<WebState>,
    of: OfBackup,
    JsonOf(to): JsonOf<MoveBackup>,
) -> Result<(StatusCode, Json<BackupView>), ApiError> {
    let daemons = state.metadb().daemons().await.map_err(fault)?;
    let found = daemons.iter().find(|d| d.name == to.daemon || d.id.as_str() == to.daemon);
    let daemon = found.ok_or_else(|| {
        let names: Vec<&str> = daemons.iter().map(|d| d.name.as_str()).collect();
        ApiError::bad_request(format!("there is no daemon {:?}; there are: {}", to.daemon, names.join(", ")))
    })?;
    if daemon.draining {
        let detail =
            format!("the daemon {} is being emptied: choose another, or take its drain back first", daemon.name);
        return Err(ApiError::conflict("daemonDraining", detail));
    }
    state.metadb().request_move(&of.job.id, Some(&daemon.id)).await.map_err(fault)?;
    state.audit(&of.caller, Some(&of.group.id), "move asked for", &format!("{} to {}", of.job.rs, daemon.name)).await;
    let job = reread(&state, &of.job).await?;
    Ok((StatusCode::ACCEPTED, Json(view(&state, &of.group.name, job).await?)))
}

/// Nothing is done with a backup that was given up.
pub(crate) fn terminated(rs: &str) -> ApiError {
    let detail = format!(
        "the backup of {rs} was terminated: take that back first. A new one can be started when nothing of the old one is left"
    );
    ApiError::conflict("terminated", detail)
}

/// Closes the job's open chain, if there is one.
pub(crate) async fn close(
    state: &WebState,
    job: &BackupJob,
    reason: CloseReason,
    detail: &str,
) -> Result<(), ApiError> {
    let open = state.ledger().tail(&job.id).await.map_err(fault)?.is_some_and(|tail| tail.closed.is_none());
    if !open {
        return Ok(());
    }
    match state.ledger().force_close(&job.id, reason, detail).await {
        // Someone else closed it meanwhile.
        Ok(_) | Err(AppendError::Closed { .. } | AppendError::Conflict { tail: None }) => Ok(()),
        Err(error) => Err(fault(error)),
    }
}

/// The job as it is now.
pub(crate) async fn reread(state: &WebState, job: &BackupJob) -> Result<BackupJob, ApiError> {
    let found = state.metadb().backup_job(&job.id).await.map_err(fault)?;
    found.ok_or_else(|| ApiError::not_found("the backup is gone"))
}

/// Refuses when no daemon has the labels and the space that the head needs.
async fn check_space(state: &WebState, deployment: &Deployment, labels: &[String]) -> Result<(), ApiError> {
    let storage = deployment.source.as_ref().map_or(0, |source| source.storage_bytes);
    let daemons = state.metadb().daemons().await.map_err(fault)?;
    if let Err(why) = room(&daemons, labels, storage) {
        return Err(ApiError::refused("headSpace", why));
    }
    Ok(())
}

fn room(daemons: &[Daemon], labels: &[String], storage_bytes: u64) -> Result<(), String> {
    let need = storage_bytes / 100 * HEAD_SPACE_PERCENT;
    let fits = |d: &&Daemon| !d.draining && labels.iter().all(|label| d.all_labels().contains(label));
    let Some(best) = daemons.iter().filter(fits).max_by_key(|d| d.space.free_bytes) else {
        return Err(match (daemons.is_empty(), labels.is_empty()) {
            (true, _) => "no daemon is there to hold the head: start one".into(),
            (false, _) if daemons.iter().all(|d| d.draining) => {
                "every daemon is being emptied: start one, or take the drain of one back".into()
            }
            (false, _) => format!("no daemon has the labels {}", labels.join(", ")),
        });
    };
    if best.space.free_bytes >= need {
        return Ok(());
    }
    let (need, free) = (need >> 20, best.space.free_bytes >> 20);
    let name = &best.name;
    Err(format!(
        "the head needs about {need} MiB, and the daemon with most space, {name}, has {free} MiB free: give it more disk"
    ))
}

/// Seconds that the head is behind the newest known optime of the source.
fn lag_seconds(head: Option<OpTime>, source: Option<OpTime>, tail: Option<&LedgerTail>) -> Option<i64> {
    let open = tail.filter(|tail| tail.closed.is_none()).map(|tail| tail.last);
    let newest = source.max(open)?;
    Some((i64::from(newest.ts.t) - i64::from(head?.ts.t)).max(0))
}

pub(crate) async fn view(state: &WebState, group: &str, job: BackupJob) -> Result<BackupView, ApiError> {
    let points = Points::read(state, &job).await?;
    let tail = state.ledger().tail(&job.id).await.map_err(fault)?;
    let daemon = daemon_name(state, job.daemon.as_ref()).await?;
    let (settings, settings_revision) = (SettingsView::from(&job), job.settings_rev);
    Ok(BackupView {
        id: job.id.to_string(),
        rs: job.rs,
        group: group.to_owned(),
        state: word(job.state),
        state_since: rfc3339_of(job.state_since),
        phase: job.phase,
        progress: job.progress.map(Into::into),
        head_optime: job.head_optime.map(Into::into),
        lag_seconds: lag_seconds(job.head_optime, job.source_optime, tail.as_ref()),
        ranges: points.ranges().into_iter().map(Into::into).collect(),
        last_changes: job.last_changes.map(Into::into),
        changes_alert: job.changes_alert.map(Into::into),
        last_error: job.last_error,
        daemon,
        agent: job.assignment.agent.map(|id| id.to_string()),
        chain: tail.as_ref().map(|tail| tail.at.chain),
        closed: tail.as_ref().and_then(|tail| tail.closed).map(word),
        ledger_optime: tail.map(|tail| tail.last.into()),
        source_optime: job.source_optime.map(Into::into),
        head_bytes: job.head_bytes,
        agent_report: job.agent_report.map(|kept| AgentReportView {
            phase: kept.report.phase,
            progress: kept.report.progress.map(Into::into),
            member: kept.report.member,
            sent_optime: kept.report.sent_optime.map(Into::into),
            spool_bytes: kept.report.spool_bytes,
            error: kept.report.error,
            at: rfc3339_of(kept.at),
        }),
        settings,
        settings_revision,
    })
}

async fn daemon_name(state: &WebState, daemon: Option<&DaemonId>) -> Result<Option<String>, ApiError> {
    let Some(id) = daemon else { return Ok(None) };
    let found = state.metadb().daemon(id).await.map_err(fault)?;
    Ok(Some(found.map_or_else(|| id.to_string(), |daemon| daemon.name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_domain::{EntryPosition, Hash32, Ts};
    use holdfast_metadb::DaemonSpace;

    fn daemon(name: &str, labels: &[&str], free_bytes: u64) -> Daemon {
        Daemon {
            id: DaemonId::random(),
            name: name.into(),
            version: String::new(),
            given_labels: Vec::new(),
            draining: false,
            drain_fault: None,
            busy_percent: None,
            labels: labels.iter().map(|l| (*l).to_owned()).collect(),
            ports: Vec::new(),
            space: DaemonSpace { total_bytes: 0, used_bytes: 0, free_bytes },
            file_system: None,
            heads: Vec::new(),
            beat: 0,
            started: bson::DateTime::now(),
            last_seen: bson::DateTime::now(),
        }
    }

    #[test]
    fn head_space() {
        let all = [daemon("a", &["ssd"], 1000), daemon("b", &[], 5000)];
        assert!(room(&all, &[], 4000).is_ok());
        assert!(room(&all, &[], 5000).is_err_and(|why| why.contains("b, has")));
        assert!(room(&all, &["ssd".into()], 4000).is_err());
        assert!(room(&all, &["tape".into()], 0).is_err_and(|why| why.contains("tape")));
        assert!(room(&[], &[], 0).is_err_and(|why| why.contains("no daemon is there")));
    }

    #[test]
    fn lag() {
        let at = |t| OpTime { ts: Ts { t, i: 1 }, term: 1 };
        let tail =
            LedgerTail { at: EntryPosition { chain: 0, seq: 1 }, hash: Hash32::ZERO, last: at(90), closed: None };
        assert_eq!(lag_seconds(Some(at(80)), None, Some(&tail)), Some(10));
        assert_eq!(lag_seconds(Some(at(80)), Some(at(100)), Some(&tail)), Some(20));
        assert_eq!(lag_seconds(Some(at(110)), Some(at(100)), None), Some(0));
        assert_eq!(lag_seconds(None, Some(at(100)), None), None);
        assert_eq!(lag_seconds(Some(at(80)), None, None), None);
    }
}
