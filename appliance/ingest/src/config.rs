//! What an agent shall do: its jobs, the deployments to look at, the CA to trust. Held open while nothing changes.
//!
//! Asking is how an agent proves that it lives: the beat of each of its assignments is raised, and jobs without an agent are
//! given out, at the beginning of each request. The revision covers everything in the answer but how far a ledger grew: the tail moves
//! with every slice, and an agent that sends it knows it.

use std::time::{Duration, Instant};

use axum::{Json, extract::State};
use holdfast_agent_api::{
    CONFIG_WAIT_SECONDS_MAX, ConfigRequest, ConfigResponse, DiscoveryRequest, JobConfig, JobReport,
};
use holdfast_domain::{Classify, Hash32};
use holdfast_ledger::SyncPhase;
use holdfast_metadb::{Agent, BackupJob, BackupJobFilter, Deployment, MetaError};

use crate::{assignments::Assigned, caller::AgentCaller, extract::JsonOf, problem::ApiError, state::IngestState};

/// Distance between two looks while a request is held open.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Jobs that one agent may report at once.
const REPORTS_MAX: usize = 1000;

fn answer<E: Classify + std::error::Error + 'static>(error: E) -> ApiError {
    ApiError::from_class(error.class(), &error)
}

/// `POST /agent/v1/config`.
pub(crate) async fn config(
    State(state): State<IngestState>,
    caller: AgentCaller,
    JsonOf(request): JsonOf<ConfigRequest>,
) -> Result<Json<ConfigResponse>, ApiError> {
    let begun = Instant::now();
    let wait = Duration::from_secs(request.wait_seconds.min(CONFIG_WAIT_SECONDS_MAX));
    let agent = caller.agent;
    state.metadb().touch_agent(&agent.id, &request.hostname, &request.version).await.map_err(answer)?;
    let mut jobs = assign(&state, &agent).await?;
    note_reports(&state, &agent, &jobs, &request.jobs).await?;
    loop {
        let response = respond(&state, &agent, &jobs).await?;
        let waited = begun.elapsed();
        let changed = request.have_revision.as_ref() != Some(&response.revision);
        if changed || waited >= wait || state.stopping() {
            return Ok(Json(response));
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY.min(wait - waited)) => {}
            () = state.stopped() => {}
        }
        jobs = assign(&state, &agent).await?;
    }
}

/// The running jobs that are this agent's, after taking those that it may take.
async fn assign(state: &IngestState, agent: &Agent) -> Result<Vec<BackupJob>, ApiError> {
    let of_group = BackupJobFilter { group: Some(agent.group.clone()), running: true, ..BackupJobFilter::default() };
    let running = state.metadb().backup_jobs(&of_group).await.map_err(answer)?;
    let mut mine = Vec::new();
    for mut job in running {
        if job.assignment.agent.as_ref() == Some(&agent.id) {
            mine.push(job);
            continue;
        }
        let assigned = assigned(&job);
        let finder = state.metadb().deployment(&job.deployment).await.map_err(answer)?.and_then(|d| d.agent);
        if !state.assignments().may_take(&agent.id, finder.as_ref(), &assigned) {
            continue;
        }
        let taken = state.metadb().assign_agent(&job.id, job.assignment.epoch, &agent.id).await.map_err(answer)?;
        if let Some(assignment) = taken {
            job.assignment = assignment;
            tracing::info!(job = %job.id, agent = %agent.id, epoch = job.assignment.epoch, before = ?assigned.agent, "job assigned");
            mine.push(job);
        }
    }
    Ok(mine)
}

/// A job as the watcher of assignments sees it.
pub(crate) fn assigned(job: &BackupJob) -> Assigned {
    let a = &job.assignment;
    Assigned { job: job.id.clone(), agent: a.agent.clone(), epoch: a.epoch, beat: a.beat }
}

/// Raises the beats of the agent's assignments and keeps what it says of its jobs.
async fn note_reports(
    state: &IngestState,
    agent: &Agent,
    jobs: &[BackupJob],
    reports: &[JobReport],
) -> Result<(), ApiError> {
    if reports.len() > REPORTS_MAX {
        return Err(ApiError::bad_request(format!("at most {REPORTS_MAX} jobs can be reported at once")));
    }
    for job in jobs {
        let epoch = job.assignment.epoch;
        unless_fenced(state.metadb().touch_assignment(&job.id, &agent.id, epoch).await)?;
        let Some(report) = reports.iter().find(|r| r.job == job.id) else { continue };
        unless_fenced(state.metadb().report(&job.id, &agent.id, epoch, report).await)?;
    }
    Ok(())
}

/// A job that went to another agent at this very moment is no error: the next look leaves it out.
fn unless_fenced(result: Result<(), MetaError>) -> Result<(), ApiError> {
    match result {
        Err(MetaError::Fenced) => Ok(()),
        other => other.map_err(answer),
    }
}

async fn respond(state: &IngestState, agent: &Agent, jobs: &[BackupJob]) -> Result<ConfigResponse, ApiError> {
    let mut configs = Vec::with_capacity(jobs.len());
    for job in jobs {
        configs.push(job_config(state, job).await?);
    }
    let waiting = state.metadb().deployments_to_discover(&agent.group).await.map_err(answer)?;
    let mut discoveries = Vec::with_capacity(waiting.len());
    for deployment in waiting {
        discoveries.push(DiscoveryRequest { uri: open_uri(state, &deployment)?, deployment: deployment.id });
    }
    let mut response =
        ConfigResponse { revision: String::new(), ca_pins: state.ca_pins().to_vec(), jobs: configs, discoveries };
    response.revision = revision(&response)?;
    Ok(response)
}

async fn job_config(state: &IngestState, job: &BackupJob) -> Result<JobConfig, ApiError> {
    let tail = state.ledger().tail(&job.id).await.map_err(answer)?;
    let sync_complete = match &tail {
        Some(tail) if tail.closed.is_none() => {
            let info = state.ledger().sync_info(&job.id, tail.at.chain).await.map_err(answer)?;
            info.is_some_and(|info| info.phase != SyncPhase::Open)
        }
        _ => false,
    };
    let deployment = state.metadb().deployment(&job.deployment).await.map_err(answer)?;
    let uri = match &deployment {
        Some(deployment) => open_uri(state, deployment)?,
        None => None,
    };
    Ok(JobConfig {
        job: job.id.clone(),
        rs: job.rs.clone(),
        uri,
        assignment_epoch: job.assignment.epoch,
        tail,
        sync_complete,
        catalog_wanted: job.catalog_wanted,
        bandwidth: job.bandwidth.clone(),
        member: job.member.clone(),
    })
}

/// The stored connection string, for the agent only.
fn open_uri(state: &IngestState, deployment: &Deployment) -> Result<Option<String>, ApiError> {
    let Some(sealed) = deployment.uri_sealed() else { return Ok(None) };
    state.open_uri(&deployment.group, sealed).map(Some)
}

/// BLAKE3 of the answer without the positions of tails. The secrets in it are hashed too: a changed credential is a change.
fn revision(response: &ConfigResponse) -> Result<String, ApiError> {
    let mut fixed = response.clone();
    for job in &mut fixed.jobs {
        if let Some(tail) = &mut job.tail {
            tail.at.seq = 0;
            tail.hash = Hash32::ZERO;
            tail.last = holdfast_domain::OpTime::default();
        }
    }
    let json =
        serde_json::to_vec(&fixed).map_err(|error| ApiError::from_class(holdfast_domain::ErrorClass::Bug, &error))?;
    Ok(hex::encode(&Hash32::of(&json).0[..16]))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use holdfast_agent_api::LedgerTail;
    use holdfast_domain::{BackupJobId, CloseReason, EntryPosition, OpTime};

    #[test]
    fn a_growing_ledger_is_no_change_a_closed_chain_is() {
        let tail = LedgerTail {
            at: EntryPosition { chain: 0, seq: 4 },
            hash: Hash32::of(b"a"),
            last: OpTime::default(),
            closed: None,
        };
        let job = JobConfig {
            job: BackupJobId::random(),
            rs: "rs0".into(),
            uri: None,
            assignment_epoch: 1,
            tail: Some(tail.clone()),
            sync_complete: true,
            catalog_wanted: false,
            bandwidth: Vec::new(),
            member: None,
        };
        let with = |tail: LedgerTail| {
            let job = JobConfig { tail: Some(tail), ..job.clone() };
            revision(&ConfigResponse { revision: String::new(), ca_pins: vec![], jobs: vec![job], discoveries: vec![] })
                .unwrap()
        };
        let base = with(tail.clone());
        let grown = LedgerTail { at: EntryPosition { chain: 0, seq: 5 }, hash: Hash32::of(b"b"), ..tail.clone() };
        assert_eq!(with(grown), base);
        assert_ne!(with(LedgerTail { closed: Some(CloseReason::Stopped), ..tail.clone() }), base);
        assert_ne!(with(LedgerTail { at: EntryPosition { chain: 1, seq: 4 }, ..tail }), base);
    }
}
