//! How often hosts are read and how long measurements are kept.

use axum::{Json, extract::State};
use holdfast_metadb::{MetaError, MonitoringSettings};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    caller::{Caller, fault},
    extract::JsonOf,
    problem::{ApiError, Problem},
    state::WebState,
};

/// The settings.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct MonitoringSettingsBody {
    /// Each host is read this often, in seconds.
    #[schema(minimum = 10, maximum = 300)]
    period_seconds: u64,
    /// What was read is kept so long, in seconds.
    #[schema(minimum = 21600, maximum = 604800)]
    raw_seconds: i64,
    /// Rollups of a minute are kept so long, in seconds.
    #[schema(minimum = 172800, maximum = 31622400)]
    minute_seconds: i64,
    /// Rollups of an hour are kept so long, in seconds.
    #[schema(minimum = 1209600, maximum = 316224000)]
    hour_seconds: i64,
}

impl From<MonitoringSettings> for MonitoringSettingsBody {
    fn from(settings: MonitoringSettings) -> Self {
        let MonitoringSettings { period_seconds, raw_seconds, minute_seconds, hour_seconds } = settings;
        Self { period_seconds, raw_seconds, minute_seconds, hour_seconds }
    }
}

/// How often hosts are read and how long measurements are kept.
#[utoipa::path(get, path = "/settings/monitoring", tag = "settings",
    responses((status = 200, body = MonitoringSettingsBody), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn show_monitoring(State(state): State<WebState>) -> Result<Json<MonitoringSettingsBody>, ApiError> {
    Ok(Json(state.metadb().monitoring_settings().await.map_err(fault)?.into()))
}

/// Sets how often hosts are read and how long measurements are kept. A shorter time deletes what is older.
#[utoipa::path(put, path = "/settings/monitoring", tag = "settings", request_body = MonitoringSettingsBody,
    responses((status = 200, body = MonitoringSettingsBody), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn set_monitoring(
    State(state): State<WebState>,
    caller: Caller,
    JsonOf(body): JsonOf<MonitoringSettingsBody>,
) -> Result<Json<MonitoringSettingsBody>, ApiError> {
    let MonitoringSettingsBody { period_seconds, raw_seconds, minute_seconds, hour_seconds } = body;
    let settings = MonitoringSettings { period_seconds, raw_seconds, minute_seconds, hour_seconds };
    match state.metadb().set_monitoring_settings(&settings).await {
        Err(error @ MetaError::Invalid { .. }) => return Err(ApiError::bad_request(error.to_string())),
        done => done.map_err(fault)?,
    }
    state.audit(&caller, None, "monitoring settings changed", "").await;
    Ok(Json(body))
}
