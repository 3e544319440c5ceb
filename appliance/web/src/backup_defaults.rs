//! What new backups begin with, and what is promised where nobody says otherwise. Backups that there are keep what they have.

use axum::extract::State;
use bson::Document;
use holdfast_metadb::BackupDefaults;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    caller::{Caller, fault, meta_fault},
    extract::JsonOf,
    policies::PolicyView,
    problem::{ApiError, Problem},
    revision::{IfMatch, Tagged},
    settings::{RetentionView, ScheduleView},
    state::WebState,
};

/// The defaults.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct BackupDefaultsView {
    /// When snapshots of a new backup are due.
    pub(crate) schedule: ScheduleView,
    /// What is kept of a new backup.
    pub(crate) retention: RetentionView,
    /// Hours that a restore link of a new backup works, 1 to 720.
    pub(crate) link_hours: u32,
    /// Uses of such a link, 1 to 1000.
    pub(crate) link_uses: u32,
    /// What is promised of every backup that says nothing else, in a group that says nothing else.
    pub(crate) policy: PolicyView,
}

impl From<BackupDefaults> for BackupDefaultsView {
    fn from(defaults: BackupDefaults) -> Self {
        Self {
            schedule: defaults.schedule.into(),
            retention: defaults.retention.into(),
            link_hours: defaults.link_hours,
            link_uses: defaults.link_uses,
            policy: defaults.policy.into(),
        }
    }
}

impl BackupDefaultsView {
    /// The defaults, if they lie within bounds.
    pub(crate) fn checked(self) -> Result<BackupDefaults, ApiError> {
        let defaults = BackupDefaults {
            schedule: self.schedule.into(),
            retention: self.retention.policy()?,
            link_hours: self.link_hours,
            link_uses: self.link_uses,
            policy: self.policy.into(),
        };
        defaults.check().map_err(meta_fault)?;
        Ok(defaults)
    }
}

/// What new backups begin with.
#[utoipa::path(get, path = "/settings/backupDefaults", tag = "settings",
    responses((status = 200, body = BackupDefaultsView), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn show_backup_defaults(
    State(state): State<WebState>,
) -> Result<Tagged<BackupDefaultsView>, ApiError> {
    let (defaults, revision) = state.metadb().backup_defaults_at().await.map_err(fault)?;
    Ok(Tagged(revision, defaults.into()))
}

/// Sets what new backups begin with. Backups that there are keep their settings; the policy counts for them too.
#[utoipa::path(put, path = "/settings/backupDefaults", tag = "settings", request_body = BackupDefaultsView,
    responses((status = 200, body = BackupDefaultsView), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn set_backup_defaults(
    State(state): State<WebState>,
    caller: Caller,
    IfMatch(seen): IfMatch,
    JsonOf(set): JsonOf<BackupDefaultsView>,
) -> Result<Tagged<BackupDefaultsView>, ApiError> {
    let new = set.checked()?;
    let old = state.metadb().backup_defaults().await.map_err(fault)?;
    let revision = state.metadb().put_backup_defaults(&new, &seen).await.map_err(meta_fault)?;
    let (before, after) = (said(&old), said(&new));
    state.audit_change(&caller, None, "defaults of backups changed", "settings/backupDefaults", before, after).await;
    Ok(Tagged(revision, new.into()))
}

/// For the audit log.
fn said(defaults: &BackupDefaults) -> Option<Document> {
    bson::serialize_to_document(defaults).ok()
}
