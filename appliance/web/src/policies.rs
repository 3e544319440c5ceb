//! Policies of protection: what is promised, for a group and for single backups. The verdict measures against them ([`crate::verdict`]).

use axum::extract::State;
use bson::doc;
use holdfast_domain::ProtectionPolicy;
use holdfast_metadb::{BackupJobFilter, GroupPolicies};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    caller::{InGroup, OfBackup, fault, meta_fault},
    extract::JsonOf,
    problem::{ApiError, Problem},
    revision::{IfMatch, Tagged},
    state::WebState,
};

/// What is promised. A part that is null or left out is not said here: of a backup, the group's counts then; of a group, the appliance's
/// default; where that says nothing either, nothing is promised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct PolicyView {
    /// Recovery window, in seconds: every second so far back must be restorable. 3,600 to ten years.
    #[serde(default)]
    recovery_window_seconds: Option<u32>,
    /// Unprotected window, in seconds: writes of so many may be lost. 10 to 604,800; 900 where nothing is said.
    #[serde(default)]
    unprotected_seconds: Option<u32>,
    /// Time to restore, in seconds: a restore may take so long, told by the last proof. 60 to 604,800.
    #[serde(default)]
    restore_seconds: Option<u32>,
}

impl From<ProtectionPolicy> for PolicyView {
    fn from(policy: ProtectionPolicy) -> Self {
        Self {
            recovery_window_seconds: policy.recovery_window_seconds,
            unprotected_seconds: policy.unprotected_seconds,
            restore_seconds: policy.restore_seconds,
        }
    }
}

impl From<PolicyView> for ProtectionPolicy {
    fn from(view: PolicyView) -> Self {
        Self {
            recovery_window_seconds: view.recovery_window_seconds,
            unprotected_seconds: view.unprotected_seconds,
            restore_seconds: view.restore_seconds,
        }
    }
}

/// The policy of a backup.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BackupPolicyView {
    /// Name of the replica set.
    rs: String,
    /// What it says itself.
    own: PolicyView,
    /// What it is measured against: its own, else the group's, else the appliance's.
    effective: PolicyView,
    /// Counts the changes of what it says itself: the tag of its policy, for `If-Match`.
    revision: i64,
}

/// The policies of a group.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PoliciesView {
    /// For every backup of the group.
    policy: PolicyView,
    /// What counts where the group says nothing: the appliance's defaults.
    appliance: PolicyView,
    /// Counts the changes of the group's policy: its tag, for `If-Match`.
    revision: i64,
    /// Its backups.
    backups: Vec<BackupPolicyView>,
}

fn backup_view(policies: &GroupPolicies, job: &holdfast_metadb::BackupJob) -> BackupPolicyView {
    BackupPolicyView {
        rs: job.rs.clone(),
        own: policies.own(&job.id).into(),
        effective: policies.of(&job.id).into(),
        revision: policies.own_rev(&job.id),
    }
}

/// What is promised in the group, and of each of its backups.
#[utoipa::path(get, path = "/groups/{group}/policies", tag = "backups", params(("group" = String, Path, description = "id or name")),
    responses((status = 200, body = PoliciesView), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn show_policies(
    State(state): State<WebState>,
    of: InGroup,
) -> Result<Tagged<PoliciesView>, ApiError> {
    let policies = state.metadb().policies(&of.group.id).await.map_err(fault)?;
    let filter = BackupJobFilter { group: Some(of.group.id.clone()), ..BackupJobFilter::default() };
    let jobs = state.metadb().backup_jobs(&filter).await.map_err(fault)?;
    let backups = jobs.iter().map(|job| backup_view(&policies, job)).collect();
    let (policy, appliance, revision) = (policies.group.into(), policies.appliance.into(), policies.group_rev);
    Ok(Tagged(revision, PoliciesView { policy, appliance, revision, backups }))
}

/// Sets what is promised in the group. Backups that say otherwise keep their own.
#[utoipa::path(put, path = "/groups/{group}/policies", tag = "backups", request_body = PolicyView,
    params(("group" = String, Path, description = "id or name")),
    responses((status = 200, body = PolicyView), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn set_group_policy(
    State(state): State<WebState>,
    of: InGroup,
    IfMatch(seen): IfMatch,
    JsonOf(wanted): JsonOf<PolicyView>,
) -> Result<Tagged<PolicyView>, ApiError> {
    let before = state.metadb().policies(&of.group.id).await.map_err(fault)?.group;
    let put = state.metadb().put_policy(&of.group.id, None, &wanted.into(), &seen).await;
    let revision = put.map_err(meta_fault)?;
    let (before, after) = (said(before), said(wanted.into()));
    let group = Some(&of.group.id);
    state.audit_change(&of.caller, group, "policy changed", &of.group.name, Some(before), Some(after)).await;
    Ok(Tagged(revision, wanted))
}

/// Sets what is promised of one backup; what is left out or null, the group says.
#[utoipa::path(put, path = "/groups/{group}/backups/{rs}/policy", tag = "backups", request_body = PolicyView,
    params(("group" = String, Path, description = "id or name"), ("rs" = String, Path, description = "name of the replica set")),
    responses((status = 200, body = BackupPolicyView), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn set_backup_policy(
    State(state): State<WebState>,
    of: OfBackup,
    IfMatch(seen): IfMatch,
    JsonOf(wanted): JsonOf<PolicyView>,
) -> Result<Tagged<BackupPolicyView>, ApiError> {
    let before = state.metadb().policies(&of.group.id).await.map_err(fault)?.own(&of.job.id);
    let put = state.metadb().put_policy(&of.group.id, Some(&of.job.id), &wanted.into(), &seen).await;
    let revision = put.map_err(meta_fault)?;
    let (before, after) = (said(before), said(wanted.into()));
    let group = Some(&of.group.id);
    state.audit_change(&of.caller, group, "policy of a backup changed", &of.job.rs, Some(before), Some(after)).await;
    let now = state.metadb().policies(&of.group.id).await.map_err(fault)?;
    Ok(Tagged(revision, backup_view(&now, &of.job)))
}

/// For the audit log.
pub(crate) fn said(policy: ProtectionPolicy) -> bson::Document {
    let seconds = |part: Option<u32>| part.map(i64::from);
    doc! {
        "recoveryWindowSeconds": seconds(policy.recovery_window_seconds),
        "unprotectedSeconds": seconds(policy.unprotected_seconds),
        "restoreSeconds": seconds(policy.restore_seconds),
    }
}
