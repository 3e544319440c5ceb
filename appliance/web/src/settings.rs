//! Settings of a backup.

use axum::extract::State;
use holdfast_agent_api::BandwidthRule;
use holdfast_domain::{RetentionPolicy, SnapshotSchedule};
use holdfast_metadb::{BackupJob, BackupSettings};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::{
    backups::reread,
    caller::{OfBackup, meta_fault},
    extract::JsonOf,
    problem::{ApiError, Problem},
    revision::{IfMatch, Tagged},
    state::WebState,
};

/// Longest oplog window and retention that can be asked for, in days: ten years.
const DAYS_MAX: u32 = 3650;

/// When snapshots are due.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ScheduleView {
    /// Distance, in seconds: 60 to 604,800.
    every_seconds: u32,
    /// An extra snapshot is taken when replaying to the newest second is estimated to take longer, in seconds.
    #[serde(default = "replay_debt")]
    replay_debt_seconds_max: u32,
}

impl From<SnapshotSchedule> for ScheduleView {
    fn from(schedule: SnapshotSchedule) -> Self {
        Self { every_seconds: schedule.every_seconds, replay_debt_seconds_max: schedule.replay_debt_seconds_max }
    }
}

impl From<ScheduleView> for SnapshotSchedule {
    fn from(view: ScheduleView) -> Self {
        Self { every_seconds: view.every_seconds, replay_debt_seconds_max: view.replay_debt_seconds_max }
    }
}

fn recent_hours() -> u32 {
    RetentionPolicy::default().recent_hours
}

fn replay_debt() -> u32 {
    SnapshotSchedule::default().replay_debt_seconds_max
}

/// What is kept.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct RetentionView {
    /// Every snapshot is kept this many hours; default 24.
    #[serde(default = "recent_hours")]
    recent_hours: u32,
    /// 6-hourly snapshots are kept this many days.
    six_hourly_days: u32,
    /// Daily ones: this many days.
    daily_days: u32,
    /// Weekly ones: this many weeks.
    weekly_weeks: u32,
    /// Monthly ones: this many months of 30 days.
    monthly_months: u32,
    /// Any instant of this many days can be restored.
    oplog_window_days: u32,
}

impl RetentionView {
    /// The policy, if it lies within bounds.
    pub(crate) fn policy(self) -> Result<RetentionPolicy, ApiError> {
        let days = [
            self.recent_hours / 24,
            self.six_hourly_days,
            self.daily_days,
            self.weekly_weeks.saturating_mul(7),
            self.monthly_months.saturating_mul(30),
            self.oplog_window_days,
        ];
        if days.iter().any(|d| *d > DAYS_MAX) {
            return Err(ApiError::bad_request(format!(
                "nothing is kept longer than {DAYS_MAX} days by a schedule: pin it"
            )));
        }
        Ok(RetentionPolicy {
            recent_hours: self.recent_hours,
            six_hourly_days: self.six_hourly_days,
            daily_days: self.daily_days,
            weekly_weeks: self.weekly_weeks,
            monthly_months: self.monthly_months,
            oplog_window_days: self.oplog_window_days,
        })
    }
}

impl From<RetentionPolicy> for RetentionView {
    fn from(retention: RetentionPolicy) -> Self {
        Self {
            recent_hours: retention.recent_hours,
            six_hourly_days: retention.six_hourly_days,
            daily_days: retention.daily_days,
            weekly_weeks: retention.weekly_weeks,
            monthly_months: retention.monthly_months,
            oplog_window_days: retention.oplog_window_days,
        }
    }
}

/// A limit on the agent's sending.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct BandwidthView {
    /// First hour, 0-23, the agent's local time.
    from_hour: u8,
    /// Hour at which it ends, 0-24; smaller than `fromHour`: over midnight.
    to_hour: u8,
    /// Bytes a second, at least 65,536.
    bytes_per_second: u64,
}

/// Settings of a backup.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SettingsView {
    /// When snapshots are due.
    schedule: ScheduleView,
    /// What is kept.
    retention: RetentionView,
    /// Limits on the agent's sending.
    bandwidth: Vec<BandwidthView>,
    /// Member to read from; null: the agent chooses.
    member: Option<String>,
    /// Hours that a restore link works.
    link_hours: u32,
    /// Uses of a restore link.
    link_uses: u32,
    /// Labels that the daemon must have.
    labels: Vec<String>,
}

impl From<&BackupJob> for SettingsView {
    fn from(job: &BackupJob) -> Self {
        let rule = |r: &BandwidthRule| BandwidthView {
            from_hour: r.from_hour,
            to_hour: r.to_hour,
            bytes_per_second: r.bytes_per_second,
        };
        Self {
            schedule: job.schedule.into(),
            retention: job.retention.into(),
            bandwidth: job.bandwidth.iter().map(rule).collect(),
            member: job.member.clone(),
            link_hours: job.link_hours,
            link_uses: job.link_uses,
            labels: job.labels.clone(),
        }
    }
}

/// What shall change; what is left out stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ChangeSettings {
    /// When snapshots are due.
    schedule: Option<ScheduleView>,
    /// What is kept.
    retention: Option<RetentionView>,
    /// Limits on the agent's sending.
    bandwidth: Option<Vec<BandwidthView>>,
    /// Member to read from; null lets the agent choose.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    member: Option<Option<String>>,
    /// Hours that a restore link works, 1 to 720.
    link_hours: Option<u32>,
    /// Uses of a restore link, 1 to 1000.
    link_uses: Option<u32>,
    /// Labels that the daemon must have.
    labels: Option<Vec<String>>,
}

/// Tells `null` from a field that is left out.
fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(from).map(Some)
}

/// Changes settings of a backup.
#[utoipa::path(patch, path = "/groups/{group}/backups/{rs}", tag = "backups", request_body = ChangeSettings,
    params(("group" = String, Path, description = "id or name"), ("rs" = String, Path, description = "name of the replica set")),
    responses((status = 200, body = SettingsView), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn change_settings(
    State(state): State<WebState>,
    of: OfBackup,
    IfMatch(seen): IfMatch,
    JsonOf(change): JsonOf<ChangeSettings>,
) -> Result<Tagged<SettingsView>, ApiError> {
    let retention = change.retention.map(RetentionView::policy).transpose()?;
    let rule = |r: &BandwidthView| BandwidthRule {
        from_hour: r.from_hour,
        to_hour: r.to_hour,
        bytes_per_second: r.bytes_per_second,
    };
    let new = BackupSettings {
        schedule: change.schedule.map(Into::into),
        retention,
        bandwidth: change.bandwidth.map(|rules| rules.iter().map(rule).collect()),
        member: change.member,
        link_hours: change.link_hours,
        link_uses: change.link_uses,
        labels: change.labels,
    };
    state.metadb().update_backup_settings_seen(&of.job.id, &new, &seen).await.map_err(meta_fault)?;
    let job = reread(&state, &of.job).await?;
    let (old, now) = (SettingsView::from(&of.job), SettingsView::from(&job));
    let doc = |view: &SettingsView| bson::serialize_to_document(view).ok();
    state.audit_change(&of.caller, Some(&of.group.id), "settings changed", &of.job.rs, doc(&old), doc(&now)).await;
    Ok(Tagged(job.settings_rev, now))
}
