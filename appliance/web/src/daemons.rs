//! Daemons: where heads live, how full and how busy they are, and that one is emptied.
//!
//! Emptying (draining) is a wish in the daemon's document: no job is bound to it any more, and the daemon itself asks for the move of its
//! heads, one after the other. Nothing is lost by it, and it can be taken back at any time.

use std::collections::HashMap;

use axum::{Json, extract::State};
use bson::doc;
use holdfast_domain::{BackupJobId, DaemonId};
use holdfast_metadb::{BackupJob, BackupJobFilter, Daemon, DaemonChange};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    caller::{Caller, fault, meta_fault},
    extract::{JsonOf, PathOf},
    instant::rfc3339_of,
    problem::{ApiError, Problem},
    restores::word,
    state::WebState,
};

/// A head of a daemon.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HeadView {
    /// Group of its backup, by name.
    group: String,
    /// Replica set.
    rs: String,
    /// State of the backup.
    state: String,
    /// What is being done with it, a verb phrase.
    phase: String,
    /// Bytes on disk.
    bytes: u64,
    /// Name of the daemon that it is about to move to.
    moves_to: Option<String>,
}

/// A daemon.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DaemonView {
    /// Id.
    id: String,
    /// Name.
    name: String,
    /// Version.
    version: String,
    /// Every label that jobs can ask for.
    labels: Vec<String>,
    /// Those of them that operators gave it; the others are its configuration's and its binaries'.
    given_labels: Vec<String>,
    /// Bytes that heads may take in all.
    total_bytes: u64,
    /// Bytes that its heads take.
    used_bytes: u64,
    /// Bytes that new heads may take.
    free_bytes: u64,
    /// The file system that holds its heads: `xfs`, `btrfs`, `ext4`, ...; missing until it has reported.
    file_system: Option<String>,
    /// What to know and do about that file system, a sentence.
    file_system_advice: Option<String>,
    /// Ports in use: kill, debug, heads.
    ports: Vec<u16>,
    /// Share of the machine's processors that was busy within the last seconds, in percent; null: not known.
    busy_percent: Option<u8>,
    /// Heads that live there.
    heads: u64,
    /// Which.
    head_list: Vec<HeadView>,
    /// It is being emptied: it takes no new backup and hands its heads over.
    draining: bool,
    /// Why a head cannot leave it, a sentence.
    drain_fault: Option<String>,
    /// When it started last, RFC 3339.
    started: String,
    /// When it last said that it lives, RFC 3339, by the server's clock.
    last_seen: String,
}

/// Names that the heads of daemons are told by.
struct Names {
    jobs: HashMap<BackupJobId, BackupJob>,
    groups: HashMap<holdfast_domain::GroupId, String>,
    daemons: HashMap<DaemonId, String>,
}

impl Names {
    async fn read(state: &WebState, daemons: &[Daemon]) -> Result<Self, ApiError> {
        let jobs = state.metadb().backup_jobs(&BackupJobFilter::default()).await.map_err(fault)?;
        let groups = state.metadb().groups().await.map_err(fault)?;
        Ok(Self {
            jobs: jobs.into_iter().map(|job| (job.id.clone(), job)).collect(),
            groups: groups.into_iter().map(|group| (group.id, group.name)).collect(),
            daemons: daemons.iter().map(|daemon| (daemon.id.clone(), daemon.name.clone())).collect(),
        })
    }

    fn view(&self, daemon: Daemon) -> DaemonView {
        let head = |head: &holdfast_metadb::DaemonHead| {
            // A job that is bound elsewhere by now has left since the daemon's last report.
            let job = self.jobs.get(&head.job).filter(|job| job.daemon.as_ref() == Some(&daemon.id))?;
            let wanted = job.wanted_daemon.as_ref().filter(|wanted| **wanted != daemon.id);
            Some(HeadView {
                group: self.groups.get(&job.group).cloned().unwrap_or_else(|| job.group.to_string()),
                rs: job.rs.clone(),
                state: word(job.state),
                phase: job.phase.clone(),
                bytes: head.bytes,
                moves_to: wanted.map(|id| self.daemons.get(id).cloned().unwrap_or_else(|| id.to_string())),
            })
        };
        let head_list: Vec<HeadView> = daemon.heads.iter().filter_map(head).collect();
        DaemonView {
            labels: daemon.all_labels(),
            id: daemon.id.to_string(),
            name: daemon.name,
            version: daemon.version,
            given_labels: daemon.given_labels,
            total_bytes: daemon.space.total_bytes,
            used_bytes: daemon.space.used_bytes,
            free_bytes: daemon.space.free_bytes,
            file_system: daemon.file_system.as_ref().map(|found| found.name.clone()),
            file_system_advice: daemon.file_system.map(|found| found.recommendation),
            ports: daemon.ports,
            busy_percent: daemon.busy_percent,
            heads: head_list.len() as u64,
            head_list,
            draining: daemon.draining,
            drain_fault: daemon.drain_fault,
            started: rfc3339_of(daemon.started),
            last_seen: rfc3339_of(daemon.last_seen),
        }
    }
}

/// All daemons.
#[utoipa::path(get, path = "/daemons", tag = "daemons",
    responses((status = 200, body = [DaemonView]), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list_daemons(State(state): State<WebState>) -> Result<Json<Vec<DaemonView>>, ApiError> {
    let daemons = state.metadb().daemons().await.map_err(fault)?;
    let names = Names::read(&state, &daemons).await?;
    Ok(Json(daemons.into_iter().map(|daemon| names.view(daemon)).collect()))
}

/// What shall change; what is left out stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ChangeDaemon {
    /// `true` empties it: it takes no new backup, and its heads move one after the other; `false` takes that back.
    draining: Option<bool>,
    /// Labels besides its own, all of them.
    given_labels: Option<Vec<String>>,
}

/// Empties a daemon, or takes that back; changes the labels that it has besides its own.
#[utoipa::path(patch, path = "/daemons/{daemon}", tag = "daemons", request_body = ChangeDaemon,
    params(("daemon" = String, Path, description = "id or name")),
    responses((status = 200, body = DaemonView), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn change_daemon(
    State(state): State<WebState>,
    caller: Caller,
    PathOf(name): PathOf<String>,
    JsonOf(change): JsonOf<ChangeDaemon>,
) -> Result<Json<DaemonView>, ApiError> {
    let daemons = state.metadb().daemons().await.map_err(fault)?;
    let found = daemons.iter().find(|daemon| daemon.name == name || daemon.id.as_str() == name);
    let id = found.ok_or_else(|| ApiError::not_found(format!("there is no daemon {name:?}")))?.id.clone();
    let change = DaemonChange { draining: change.draining, given_labels: change.given_labels };
    let old = state.metadb().change_daemon(&id, &change).await.map_err(meta_fault)?;
    let missing = || ApiError::not_found(format!("the daemon {name:?} is gone"));
    let new = state.metadb().daemon(&id).await.map_err(fault)?.ok_or_else(missing)?;
    let facts =
        |daemon: &Daemon| Some(doc! { "draining": daemon.draining, "givenLabels": daemon.given_labels.clone() });
    state.audit_change(&caller, None, "daemon changed", &new.name, facts(&old), facts(&new)).await;
    let names = Names::read(&state, &daemons).await?;
    Ok(Json(names.view(new)))
}
