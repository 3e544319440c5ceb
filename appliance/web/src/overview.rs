//! The overview of a group: each deployment with its verdict, the worst first.
//!
//! Computed from documents, roots and the ledger at every request; nothing of it is kept. Deployments are looked at side by side, a bounded
//! number at a time, so that a group of many answers as soon as the databases do.

use axum::{Json, extract::State};
use futures::{StreamExt as _, TryStreamExt as _};
use holdfast_domain::{ProtectionPolicy, Ts, gap_in_window};
use holdfast_metadb::{BackupJob, BackupJobFilter, Deployment};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    caller::{InGroup, fault},
    group_verdict::{GroupVerdictView, group_verdict},
    instant::{InstantAt, rfc3339, rfc3339_of},
    points::Points,
    policies::PolicyView,
    problem::{ApiError, Problem},
    restores::word,
    state::WebState,
    verdict::{BackupFacts, Facts, VerdictView, verdict},
};

/// The newest good snapshot.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LastSnapshotView {
    /// Id.
    id: String,
    /// The optime's second, RFC 3339, UTC.
    at: String,
    /// Bytes of its files.
    logical_bytes: u64,
}

/// The last proof: a snapshot that was opened and compared.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LastProofView {
    /// Which snapshot.
    snapshot: String,
    /// When, RFC 3339.
    at: String,
    /// It was sound.
    good: bool,
    /// What was done and found.
    detail: String,
    /// How long opening it took, in seconds.
    seconds: i64,
}

/// A deployment at a glance.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OverviewView {
    /// Id of the deployment.
    deployment: String,
    /// Name of the replica set, once known.
    rs: Option<String>,
    /// Its members, `host:port`.
    hosts: Vec<String>,
    /// Server version.
    version: Option<String>,
    /// State of the backup; null where there is none.
    state: Option<String>,
    /// What is to be said of it.
    verdict: VerdictView,
    /// Last instant that can be restored.
    protected_to: Option<InstantAt>,
    /// First instant that can be restored.
    protected_from: Option<InstantAt>,
    /// What would be lost now, in seconds: from the last instant that can be restored until now.
    rpo_seconds: Option<i64>,
    /// The newest good snapshot.
    last_snapshot: Option<LastSnapshotView>,
    /// The last proof.
    last_proof: Option<LastProofView>,
    /// From here on every second up to `protectedTo` can be restored.
    unbroken_from: Option<InstantAt>,
    /// What is promised, and measured by the verdict.
    policy: PolicyView,
}

/// The group at a glance.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GroupOverviewView {
    /// What is to be said of the group.
    verdict: GroupVerdictView,
    /// Its deployments, the worst first.
    deployments: Vec<OverviewView>,
}

/// Jobs that are looked at side by side for one answer.
pub(crate) const SIDE_BY_SIDE: usize = 8;

/// The group's verdict, and each of its deployments with its own, the worst first.
#[utoipa::path(get, path = "/groups/{group}/overview", tag = "backups", params(("group" = String, Path, description = "id or name")),
    responses((status = 200, body = GroupOverviewView), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn show_overview(
    State(state): State<WebState>,
    of: InGroup,
) -> Result<Json<GroupOverviewView>, ApiError> {
    let filter = BackupJobFilter { group: Some(of.group.id.clone()), ..BackupJobFilter::default() };
    let mut jobs = state.metadb().backup_jobs(&filter).await.map_err(fault)?;
    let policies = state.metadb().policies(&of.group.id).await.map_err(fault)?;
    let mut pairs = Vec::new();
    for deployment in state.metadb().deployments(&of.group.id).await.map_err(fault)? {
        let found = jobs.iter().position(|job| job.deployment == deployment.id);
        pairs.push((deployment, found.map(|n| jobs.swap_remove(n))));
    }
    let rows = pairs.into_iter().map(|(deployment, job)| {
        let policy = job.as_ref().map_or_else(|| policies.of_group(), |job| policies.of(&job.id));
        row(&state, deployment, job, policy)
    });
    let mut rows: Vec<OverviewView> = futures::stream::iter(rows).buffered(SIDE_BY_SIDE).try_collect().await?;
    rows.sort_by(|a, b| (a.verdict.level(), &a.rs, &a.deployment).cmp(&(b.verdict.level(), &b.rs, &b.deployment)));
    let named = |r: &OverviewView| (r.rs.clone().unwrap_or_else(|| r.hosts.join(",")), r.verdict.level());
    let verdict = group_verdict(&rows.iter().map(named).collect::<Vec<_>>());
    Ok(Json(GroupOverviewView { verdict, deployments: rows }))
}

async fn row(
    state: &WebState,
    deployment: Deployment,
    job: Option<BackupJob>,
    policy: ProtectionPolicy,
) -> Result<OverviewView, ApiError> {
    let now = jiff::Timestamp::now().as_second();
    let mut facts = Facts {
        deployment: Some(deployment.state),
        refusal: deployment.refusal.as_deref(),
        created: rfc3339_of(deployment.created),
        backup: None,
        now,
    };
    let (mut first, mut last, mut unbroken, mut snapshot) = (None, None, None, None);
    if let Some(job) = &job {
        let points = Points::read(state, job).await?;
        let tail = state.ledger().tail(&job.id).await.map_err(fault)?;
        let ranges = points.ranges();
        first = ranges.first().map(|r| r.from);
        last = ranges.last().map(|r| r.to);
        unbroken = ranges.last().map(|r| r.from);
        let gap = policy.recovery_window_seconds.and_then(|window| gap_in_window(&ranges, window, now));
        let second = |ts: Ts| rfc3339(i64::from(ts.t));
        snapshot = points.snapshots.iter().rfind(|s| s.is_good()).map(|s| LastSnapshotView {
            id: s.root.id.to_string(),
            at: rfc3339(i64::from(s.meta.optime.ts.t)),
            logical_bytes: s.root.logical_bytes,
        });
        facts.backup = Some(BackupFacts {
            state: job.state,
            since: rfc3339_of(job.state_since),
            last_error: job.last_error.as_deref(),
            agent_error: job.agent_report.as_ref().and_then(|kept| kept.report.error.as_deref()),
            has_agent: job.assignment.agent.is_some(),
            closed: tail.and_then(|tail| tail.closed),
            protected_to: last.map(|ts| (i64::from(ts.t), rfc3339(i64::from(ts.t)))),
            snapshot_at: points.good.last().map(|p| i64::from(p.optime.ts.t)),
            every_seconds: i64::from(job.schedule.every_seconds),
            proof: job.last_proof.as_ref().map(|proof| (proof.good, rfc3339_of(proof.at))),
            changes_alert: job.changes_alert.as_ref().map(|alert| (alert.missed, alert.sampled, rfc3339_of(alert.at))),
            proof_seconds: job.last_proof.as_ref().filter(|proof| proof.good).map(|proof| proof.seconds),
            policy,
            kept_seconds: i64::from(job.retention.oplog_window_days) * 86_400,
            gap: gap.map(|(from, to)| (second(from), second(to))),
        });
    }
    let verdict = verdict(&facts);
    let last_proof = job.as_ref().and_then(|job| job.last_proof.clone()).map(|proof| LastProofView {
        snapshot: proof.snapshot,
        at: rfc3339_of(proof.at),
        good: proof.good,
        detail: proof.detail,
        seconds: proof.seconds,
    });
    Ok(OverviewView {
        deployment: deployment.id.to_string(),
        rs: deployment.rs,
        hosts: deployment.members,
        version: deployment.source.map(|source| source.version),
        state: job.map(|job| word(job.state)),
        verdict,
        protected_to: last.map(Into::into),
        protected_from: first.map(Into::into),
        rpo_seconds: last.map(|ts| (now - i64::from(ts.t)).max(0)),
        last_snapshot: snapshot,
        last_proof,
        unbroken_from: unbroken.map(Into::into),
        policy: policy.into(),
    })
}
