//! Measurements of a host over a stretch of time, in windows; a window without a value is null.

use axum::{Json, extract::State};
use holdfast_domain::HostId;
use holdfast_metadb::{MeasurementQuery, series_of};
use holdfast_metrics::{METRICS, Resolution, Rollups, Scope, choose, metric};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::hosts::host_in;
use crate::{
    caller::{InGroup, fault},
    extract::{PathOf, QueryOf},
    instant::{parse_at, rfc3339},
    problem::{ApiError, Problem},
    state::WebState,
};

/// Windows of one answer, at most.
const POINTS_MAX: i64 = 1_500;
/// What is shown when nothing is said: an hour.
const SPAN_SECONDS: i64 = 3_600;
/// Longest stretch: ten years.
const SPAN_SECONDS_MAX: i64 = 3_660 * 86_400;
/// Metrics of one answer.
const METRICS_MAX: usize = 250;

/// Which measurements.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct MeasurementsQuery {
    /// Names of metrics, with commas between them; nothing: all of the host or part.
    metrics: Option<String>,
    /// From here, RFC 3339; an hour ago when nothing is said.
    from: Option<String>,
    /// Up to here; now when nothing is said.
    to: Option<String>,
    /// Seconds of a window; made coarser where what is kept of that time is coarser. Nothing: what fits.
    #[param(minimum = 10, maximum = 86400)]
    step_seconds: Option<i64>,
    /// A disk or database of the host: `disk/sda1`, `db/shop`; nothing: the host itself.
    part: Option<String>,
}

/// One metric. The arrays have one place for each window, null where nothing was measured.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MeasurementView {
    /// Name.
    name: String,
    /// Unit.
    unit: String,
    /// Mean of each window.
    mean: Vec<Option<f64>>,
    /// Smallest value of each window.
    min: Vec<Option<f64>>,
    /// Largest value of each window.
    max: Vec<Option<f64>>,
}

/// Measurements.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MeasurementsView {
    /// `host:port`.
    host: String,
    /// Start of the first window, RFC 3339.
    from: String,
    /// Start of the first window, seconds since 1970.
    start: i64,
    /// Seconds of a window.
    step_seconds: i64,
    /// How many windows.
    windows: i64,
    /// Out of what the answer was made: `raw`, `minute` or `hour`.
    resolution: String,
    /// The metrics that were asked for and are known.
    measurements: Vec<MeasurementView>,
}

/// Names of metrics that are asked for.
fn wanted(query: Option<&str>, part: &str) -> Result<Vec<String>, ApiError> {
    let scopes: &[Scope] = match part.split_once('/') {
        None => &[Scope::Host, Scope::System],
        Some(("disk", _)) => &[Scope::Disk],
        Some(_) => &[Scope::Database],
    };
    let Some(text) = query.map(str::trim).filter(|text| !text.is_empty()) else {
        return Ok(METRICS.iter().filter(|m| scopes.contains(&m.scope)).map(|m| m.name.to_owned()).collect());
    };
    let names: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
    if names.len() > METRICS_MAX {
        return Err(ApiError::bad_request(format!("at most {METRICS_MAX} metrics can be asked for at once")));
    }
    match names.iter().find(|name| metric(name).is_none()) {
        Some(name) => Err(ApiError::bad_request(format!("there is no metric {name:?}: see /api/v1/metrics"))),
        None => Ok(names),
    }
}

fn column(
    rollups: Option<&Rollups>,
    starts: &[i64],
    pick: impl Fn(&holdfast_metrics::Rollup) -> f64,
) -> Vec<Option<f64>> {
    starts.iter().map(|start| rollups?.get(*start).map(&pick)).collect()
}

/// Measurements of a host.
#[utoipa::path(get, path = "/groups/{group}/hosts/{host}/measurements", tag = "monitoring",
    params(("group" = String, Path, description = "id or name"), ("host" = String, Path, description = "id"), MeasurementsQuery),
    responses((status = 200, body = MeasurementsView), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn show_measurements(
    State(state): State<WebState>,
    of: InGroup,
    path: PathOf<(String, HostId)>,
    QueryOf(query): QueryOf<MeasurementsQuery>,
) -> Result<Json<MeasurementsView>, ApiError> {
    let PathOf((_, id)) = path;
    let host = host_in(&state, &of, &id).await?;
    let part = query.part.unwrap_or_default();
    if !part.is_empty() && !host.report.parts.contains(&part) {
        return Err(ApiError::not_found(format!("the host has no part {part:?}")));
    }
    let metrics = wanted(query.metrics.as_deref(), &part)?;
    let now = jiff::Timestamp::now().as_second();
    let second = |text: &str| parse_at(text).map(|ts| i64::from(ts.t));
    let to = query.to.as_deref().map(second).transpose()?.unwrap_or(now);
    let from = query.from.as_deref().map(second).transpose()?.unwrap_or(to - SPAN_SECONDS);
    if from >= to || to - from > SPAN_SECONDS_MAX {
        return Err(ApiError::bad_request("`from` must lie before `to`, by at most ten years"));
    }
    let kept = state.metadb().monitoring_settings().await.map_err(fault)?;
    // A host that is read every minute has nothing finer.
    let period = i64::try_from(kept.period_seconds).unwrap_or(60);
    // Sizes of databases are told once a minute.
    let finest = if part.starts_with("db/") { period.max(60) } else { period };
    let wished = query.step_seconds.unwrap_or(0).max(finest);
    let (resolution, step) = choose(from, to, now, kept.kept(), POINTS_MAX, Some(wished));
    let start = from - from.rem_euclid(step);
    let windows = (to - start + step - 1) / step;
    let asked = MeasurementQuery {
        series: series_of(&id, &part),
        metrics: metrics.clone(),
        from: start,
        to: start + windows * step,
        resolution,
        step,
        now,
    };
    let found = state.metadb().measurements(&asked).await.map_err(fault)?;
    let starts: Vec<i64> = (0..windows).map(|n| start + n * step).collect();
    let measurements = metrics.into_iter().map(|name| {
        let rollups = found.get(&name);
        MeasurementView {
            unit: metric(&name).map_or_else(String::new, |m| m.unit.as_str().to_owned()),
            mean: column(rollups, &starts, |r| r.mean),
            min: column(rollups, &starts, |r| r.min),
            max: column(rollups, &starts, |r| r.max),
            name,
        }
    });
    Ok(Json(MeasurementsView {
        host: host.host,
        from: rfc3339(start),
        start,
        step_seconds: step,
        windows,
        resolution: match resolution {
            Resolution::Raw => "raw",
            Resolution::Minute => "minute",
            Resolution::Hour => "hour",
        }
        .to_owned(),
        measurements: measurements.collect(),
    }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn metrics_by_name_or_all_of_the_part() {
        assert_eq!(wanted(Some(" CONNECTIONS, UPTIME"), "").unwrap(), ["CONNECTIONS", "UPTIME"]);
        assert!(wanted(Some("CONNECTIONS,NO"), "").is_err());
        assert!(wanted(None, "disk/sda").unwrap().iter().all(|name| name.starts_with("DISK_")));
        assert!(wanted(None, "db/x").unwrap().iter().all(|name| name.starts_with("DATABASE_")));
        assert!(wanted(None, "").unwrap().contains(&"SYSTEM_CPU_USER".to_owned()));
    }

    #[test]
    fn a_window_without_a_value_is_null() {
        let mut rollups = Rollups::every(10);
        rollups.add(10, 2.0);
        rollups.add(31, 4.0);
        assert_eq!(column(Some(&rollups), &[0, 10, 20, 30], |r| r.mean), [None, Some(2.0), None, Some(4.0)]);
        assert_eq!(column(None, &[0, 10], |r| r.mean), [None, None]);
    }
}
