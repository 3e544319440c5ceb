//! The job queue: all long work of the appliance in one list, newest first, whatever collection it lives in.
//!
//! Snapshots that were asked for, restores, work on the blockstore, runs of offsite copies, heads that move, and backups that are not (yet)
//! following their source. Read only: who wants to change something uses the resource that a line names. Bounded: one page reads at
//! most a page of each kind; the kinds that are bounded by themselves (requests of a backup, orders of offsite copies) are read whole.

use std::collections::HashMap;

use axum::{Json, extract::State};
use bson::DateTime;
use holdfast_domain::{BackupState, GroupId, RestoreState, RestoreTarget};
use holdfast_metadb::{
    BackupJob, BackupJobFilter, BlockstoreRequest, BlockstoreRequestState, BlockstoreWork, OffsiteCopy, RestoreJob,
    SnapshotRequest, SnapshotRequestState,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    caller::fault,
    extract::QueryOf,
    instant::{rfc3339, rfc3339_of},
    problem::{ApiError, Problem},
    state::WebState,
};

/// Lines of one page.
const PAGE_MAX: usize = 200;
/// Lines of a page when nothing is said.
const PAGE: usize = 50;
/// Lines of one millisecond that are read beyond a page, so that none is lost where a page ends within it.
const SAME_INSTANT_MAX: usize = 100;

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum JobKind {
    /// A snapshot that someone asked for.
    Snapshot,
    /// A restore.
    Restore,
    /// Work on the blockstore: collect, plan, what-if, verify, move payloads.
    Blockstore,
    /// A run of an offsite copy.
    Offsite,
    /// A head that moves to another daemon.
    Move,
    /// A backup that is synchronised, catches up, or failed.
    Backup,
}

/// State of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum JobState {
    /// Waits for a daemon.
    Queued,
    /// A daemon is at it.
    Running,
    /// Done.
    Done,
    /// It could not be done.
    Failed,
    /// Someone called it off.
    Cancelled,
}

impl JobState {
    const ALL: [Self; 5] = [Self::Queued, Self::Running, Self::Done, Self::Failed, Self::Cancelled];
}

/// How far a job is.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct JobProgressView {
    /// Done.
    done: u64,
    /// In all; 0 when not known.
    total: u64,
    /// Of what.
    unit: String,
}

/// A line of the job queue.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JobView {
    /// Id: of the request, the restore, the offsite copy, or the backup.
    id: String,
    /// Kind.
    kind: JobKind,
    /// What is done, a few words.
    title: String,
    /// Group, by name; null: the appliance's.
    group: Option<String>,
    /// Replica set, where the job is about one.
    rs: Option<String>,
    /// State.
    state: JobState,
    /// What is being done, a verb phrase; empty: nothing is said.
    phase: String,
    /// How far; null: not known.
    progress: Option<JobProgressView>,
    /// How often it was begun; null: not counted.
    attempt: Option<i64>,
    /// Name of the daemon that does it or did it.
    daemon: Option<String>,
    /// Who asked; null: nobody, it is due by itself.
    asked_by: Option<String>,
    /// When it was asked for or began, RFC 3339.
    asked_at: String,
    /// When it ended, RFC 3339.
    ended_at: Option<String>,
    /// The last error, a sentence.
    error: Option<String>,
}

/// A line with what orders it.
#[derive(Clone, Debug, PartialEq)]
struct Line {
    at: DateTime,
    view: JobView,
}

impl Line {
    /// Orders all lines: no two have the same.
    fn key(&self) -> (i64, String) {
        (self.at.timestamp_millis(), format!("{:?}.{}", self.view.kind, self.view.id))
    }
}

/// A page of the job queue.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JobPage {
    /// Newest first.
    jobs: Vec<JobView>,
    /// Give it as `cursor` for the next page; null: this is the last.
    next: Option<String>,
}

/// Which part.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct JobQuery {
    /// As the page before said.
    cursor: Option<String>,
    /// Lines of the page, 1 to 200; 50 when nothing is said.
    limit: Option<usize>,
    /// Of this kind alone.
    #[param(inline)]
    kind: Option<JobKind>,
    /// In this state alone.
    #[param(inline)]
    state: Option<JobState>,
}

/// Where a page begins: after this line.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Cursor(i64, String);

impl Cursor {
    fn parse(text: &str) -> Result<Self, ApiError> {
        let wrong = || ApiError::bad_request("the cursor is not one that a page gave: leave it out to begin anew");
        let (at, id) = text.split_once('_').ok_or_else(wrong)?;
        Ok(Self(at.parse().map_err(|_| wrong())?, id.to_owned()))
    }

    fn text(line: &Line) -> String {
        let (at, id) = line.key();
        format!("{at}_{id}")
    }
}

/// The page after a cursor, and the cursor of the next.
fn page(mut lines: Vec<Line>, after: Option<&Cursor>, limit: usize) -> (Vec<JobView>, Option<String>) {
    lines.sort_by_cached_key(|line| std::cmp::Reverse(line.key()));
    if let Some(Cursor(at, id)) = after {
        lines.retain(|line| line.key() < (*at, id.clone()));
    }
    let more = lines.len() > limit;
    lines.truncate(limit);
    let next = if more { lines.last().map(Cursor::text) } else { None };
    (lines.into_iter().map(|line| line.view).collect(), next)
}

/// Names by which lines tell groups and daemons.
struct Names {
    groups: HashMap<GroupId, String>,
    daemons: HashMap<String, String>,
}

impl Names {
    fn group(&self, id: &GroupId) -> Option<String> {
        Some(self.groups.get(id).cloned().unwrap_or_else(|| id.to_string()))
    }

    fn daemon(&self, id: &str) -> Option<String> {
        (!id.is_empty()).then(|| self.daemons.get(id).cloned().unwrap_or_else(|| id.to_owned()))
    }

    fn snapshot(&self, job: &BackupJob, request: &SnapshotRequest) -> Line {
        let state = match request.state {
            SnapshotRequestState::Queued => JobState::Queued,
            SnapshotRequestState::Running => JobState::Running,
            SnapshotRequestState::Done => JobState::Done,
            SnapshotRequestState::Failed => JobState::Failed,
        };
        let running = state == JobState::Running;
        let title = match &request.label {
            Some(label) => format!("Snapshot of {}: {label}", job.rs),
            None => format!("Snapshot of {}", job.rs),
        };
        let view = JobView {
            id: request.id.clone(),
            kind: JobKind::Snapshot,
            title,
            group: self.group(&job.group),
            rs: Some(job.rs.clone()),
            state,
            phase: if running { job.phase.clone() } else { String::new() },
            progress: job.progress.as_ref().filter(|_| running).map(progress),
            attempt: None,
            daemon: job.daemon.as_ref().and_then(|id| self.daemon(id.as_str())),
            asked_by: None,
            asked_at: rfc3339_of(request.asked_at),
            ended_at: None,
            error: request.error.clone(),
        };
        Line { at: request.asked_at, view }
    }

    /// Backups that follow their source, or are stopped, are no work.
    fn backup(&self, job: &BackupJob) -> Option<Line> {
        let (what, state) = match job.state {
            BackupState::InitialSync => ("Initial sync of", JobState::Running),
            BackupState::CatchingUp => ("Catching up of", JobState::Running),
            BackupState::Resyncing => ("New initial sync of", JobState::Running),
            BackupState::Failed => ("Backup of", JobState::Failed),
            BackupState::Active | BackupState::Stopped | BackupState::Terminated => return None,
        };
        let state = if job.daemon.is_none() && state == JobState::Running { JobState::Queued } else { state };
        let view = JobView {
            id: job.id.to_string(),
            kind: JobKind::Backup,
            title: format!("{what} {}", job.rs),
            state,
            attempt: None,
            ..self.of_backup(job)
        };
        Some(Line { at: job.state_since, view })
    }

    fn head_move(&self, job: &BackupJob) -> Option<Line> {
        let wanted = job.wanted_daemon.as_ref().filter(|wanted| job.daemon.as_ref() != Some(*wanted))?;
        let to = self.daemon(wanted.as_str()).unwrap_or_default();
        let view = JobView {
            id: job.id.to_string(),
            kind: JobKind::Move,
            title: format!("Head of {} moves to {to}", job.rs),
            state: if job.state.runs() { JobState::Running } else { JobState::Queued },
            attempt: None,
            ..self.of_backup(job)
        };
        Some(Line { at: job.state_since, view })
    }

    fn of_backup(&self, job: &BackupJob) -> JobView {
        JobView {
            id: job.id.to_string(),
            kind: JobKind::Backup,
            title: String::new(),
            group: self.group(&job.group),
            rs: Some(job.rs.clone()),
            state: JobState::Running,
            phase: job.phase.clone(),
            progress: job.progress.as_ref().map(progress),
            attempt: None,
            daemon: job.daemon.as_ref().and_then(|id| self.daemon(id.as_str())),
            asked_by: None,
            asked_at: rfc3339_of(job.state_since),
            ended_at: None,
            error: job.last_error.clone(),
        }
    }

    fn restore(&self, job: &RestoreJob, rs: Option<String>) -> Line {
        let state = match job.state {
            RestoreState::Queued => JobState::Queued,
            RestoreState::Running => JobState::Running,
            RestoreState::Ready | RestoreState::Expired => JobState::Done,
            RestoreState::Failed => JobState::Failed,
        };
        let of = rs.clone().unwrap_or_else(|| "a copied snapshot".to_owned());
        let title = match &job.target {
            RestoreTarget::Snapshot(_) => format!("Restore of a snapshot of {of}"),
            RestoreTarget::Instant(ts) => format!("Restore of {of} as of {}", rfc3339(i64::from(ts.t))),
        };
        let running = state == JobState::Running;
        let view = JobView {
            id: job.id.to_string(),
            kind: JobKind::Restore,
            title,
            group: self.group(&job.group),
            rs,
            state,
            phase: if running { job.phase.clone() } else { String::new() },
            progress: job.progress.as_ref().filter(|_| running).map(progress),
            attempt: Some(job.lease.epoch).filter(|epoch| *epoch > 0),
            daemon: job.daemon.as_ref().and_then(|id| self.daemon(id.as_str())),
            asked_by: Some(job.created_by.clone()),
            asked_at: rfc3339_of(job.created),
            ended_at: None,
            error: job.error.clone(),
        };
        Line { at: job.created, view }
    }

    fn blockstore(&self, request: BlockstoreRequest) -> Line {
        let state = match request.state {
            BlockstoreRequestState::Queued => JobState::Queued,
            BlockstoreRequestState::Running => JobState::Running,
            BlockstoreRequestState::Done => JobState::Done,
            BlockstoreRequestState::Failed => JobState::Failed,
            BlockstoreRequestState::Cancelled => JobState::Cancelled,
        };
        let title = match &request.work {
            BlockstoreWork::Collect => "Collection of the blockstore".to_owned(),
            BlockstoreWork::Plan => "What a collection would free".to_owned(),
            BlockstoreWork::WhatIf { .. } => "What another retention would free".to_owned(),
            BlockstoreWork::Verify { snapshot: None } => "Verification of the whole blockstore".to_owned(),
            BlockstoreWork::Verify { snapshot: Some(id) } => format!("Verification of snapshot {id}"),
            BlockstoreWork::Move { from, to } => format!("Payloads of store {from} move to store {to}"),
        };
        let running = state == JobState::Running;
        let told = running && !(request.progress.unit.is_empty() && request.progress.done == 0);
        let view = JobView {
            id: request.id,
            kind: JobKind::Blockstore,
            title,
            group: None,
            rs: None,
            state,
            phase: if running { request.progress.phase } else { String::new() },
            progress: told.then_some(JobProgressView {
                done: request.progress.done,
                total: request.progress.total,
                unit: request.progress.unit,
            }),
            attempt: Some(request.attempt).filter(|attempt| *attempt > 0),
            daemon: self.daemon(&request.owner),
            asked_by: Some(request.asked_by),
            asked_at: rfc3339_of(request.asked_at),
            ended_at: request.ended_at.map(rfc3339_of),
            error: request.error,
        };
        Line { at: request.asked_at, view }
    }

    /// One line for each order: its present run, else its last one.
    fn offsite(&self, copy: &OffsiteCopy) -> Option<Line> {
        let queued = copy.asked.filter(|_| !copy.running);
        let at = queued.or(copy.started)?;
        let last = copy.last.as_ref().filter(|_| queued.is_none() && !copy.running);
        let error = last.and_then(|run| run.error.clone());
        let state = match (queued.is_some(), copy.running, &error) {
            (true, ..) => JobState::Queued,
            (_, true, _) => JobState::Running,
            (_, _, Some(_)) => JobState::Failed,
            _ => JobState::Done,
        };
        let far = copy.progress.as_ref().filter(|_| state == JobState::Running);
        let number = |n: i64| u64::try_from(n).unwrap_or(0);
        let view = JobView {
            id: copy.id.clone(),
            kind: JobKind::Offsite,
            title: format!("Offsite copy {}", copy.name),
            group: copy.group.as_ref().and_then(|id| self.group(id)),
            rs: None,
            state,
            phase: far
                .map_or_else(String::new, |p| format!("copy snapshot {} of {}", p.snapshots + 1, p.snapshots_total)),
            progress: far.map(|p| JobProgressView {
                done: number(p.bytes),
                total: number(p.bytes_total),
                unit: "bytes".to_owned(),
            }),
            attempt: None,
            daemon: self.daemon(&copy.lease.owner),
            asked_by: None,
            asked_at: rfc3339_of(at),
            ended_at: last.map(|run| rfc3339_of(run.finished)),
            error,
        };
        Some(Line { at, view })
    }
}

fn progress(progress: &holdfast_domain::Progress) -> JobProgressView {
    JobProgressView { done: progress.done, total: progress.total, unit: progress.unit.clone() }
}

fn restore_states(wanted: &[JobState]) -> Vec<RestoreState> {
    let of = |state: &JobState| match state {
        JobState::Queued => vec![RestoreState::Queued],
        JobState::Running => vec![RestoreState::Running],
        JobState::Done => vec![RestoreState::Ready, RestoreState::Expired],
        JobState::Failed => vec![RestoreState::Failed],
        JobState::Cancelled => vec![],
    };
    wanted.iter().flat_map(of).collect()
}

fn request_states(wanted: &[JobState]) -> Vec<BlockstoreRequestState> {
    let of = |state: &JobState| match state {
        JobState::Queued => BlockstoreRequestState::Queued,
        JobState::Running => BlockstoreRequestState::Running,
        JobState::Done => BlockstoreRequestState::Done,
        JobState::Failed => BlockstoreRequestState::Failed,
        JobState::Cancelled => BlockstoreRequestState::Cancelled,
    };
    wanted.iter().map(of).collect()
}

/// All long work of the appliance, newest first: live states, progress, the last error with the daemon that met it.
#[utoipa::path(get, path = "/jobs", tag = "jobs", params(JobQuery),
    responses((status = 200, body = JobPage), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list_jobs(
    State(state): State<WebState>,
    QueryOf(query): QueryOf<JobQuery>,
) -> Result<Json<JobPage>, ApiError> {
    let after = query.cursor.as_deref().map(Cursor::parse).transpose()?;
    let limit = query.limit.unwrap_or(PAGE).clamp(1, PAGE_MAX);
    let until = after.as_ref().map(|Cursor(at, _)| DateTime::from_millis(*at));
    let read = i64::try_from(limit + SAME_INSTANT_MAX).unwrap_or(i64::MAX);
    let states: Vec<JobState> = query.state.map_or_else(|| JobState::ALL.to_vec(), |one| vec![one]);
    let is_of = |kind: JobKind| query.kind.is_none_or(|wanted| wanted == kind);
    let meta = state.metadb();
    let groups = meta.groups().await.map_err(fault)?;
    let daemons = meta.daemons().await.map_err(fault)?;
    let names = Names {
        groups: groups.into_iter().map(|group| (group.id, group.name)).collect(),
        daemons: daemons.into_iter().map(|daemon| (daemon.id.to_string(), daemon.name)).collect(),
    };
    let backups = meta.backup_jobs(&BackupJobFilter::default()).await.map_err(fault)?;
    let mut lines: Vec<Line> = Vec::new();
    for job in &backups {
        lines.extend(job.snapshot_requests.iter().map(|request| names.snapshot(job, request)));
        lines.extend(names.backup(job));
        lines.extend(names.head_move(job));
    }
    if is_of(JobKind::Restore) {
        let rs_of: HashMap<_, _> = backups.iter().map(|job| (&job.id, &job.rs)).collect();
        let found = meta.restore_jobs_up_to(until, &restore_states(&states), read).await.map_err(fault)?;
        lines.extend(found.iter().map(|job| names.restore(job, rs_of.get(&job.job).map(|rs| (*rs).clone()))));
    }
    if is_of(JobKind::Blockstore) {
        let found = meta.blockstore_requests_up_to(until, &request_states(&states), read).await.map_err(fault)?;
        lines.extend(found.into_iter().map(|request| names.blockstore(request)));
    }
    if is_of(JobKind::Offsite) {
        let copies = meta.offsite_copies().await.map_err(fault)?;
        lines.extend(copies.iter().filter_map(|copy| names.offsite(copy)));
    }
    lines.retain(|line| is_of(line.view.kind) && states.contains(&line.view.state));
    let (jobs, next) = page(lines, after.as_ref(), limit);
    Ok(Json(JobPage { jobs, next }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn line(at: i64, id: &str) -> Line {
        let view = JobView {
            id: id.to_owned(),
            kind: JobKind::Restore,
            title: String::new(),
            group: None,
            rs: None,
            state: JobState::Done,
            phase: String::new(),
            progress: None,
            attempt: None,
            daemon: None,
            asked_by: None,
            asked_at: String::new(),
            ended_at: None,
            error: None,
        };
        Line { at: DateTime::from_millis(at), view }
    }

    #[test]
    fn pages_join_without_gap_or_overlap_even_within_one_millisecond() {
        let lines: Vec<Line> = [(5, "a"), (7, "b"), (7, "c"), (7, "d"), (9, "e")].map(|(at, id)| line(at, id)).to_vec();
        let mut seen = Vec::new();
        let mut cursor = None;
        loop {
            let (jobs, next) = page(lines.clone(), cursor.as_ref(), 2);
            seen.extend(jobs.into_iter().map(|job| job.id));
            let Some(next) = next else { break };
            cursor = Some(Cursor::parse(&next).unwrap());
        }
        assert_eq!(seen, ["e", "d", "c", "b", "a"]);
        assert!(Cursor::parse("nonsense").is_err() && Cursor::parse("x_y").is_err());
    }
}
