//! The table of metrics.

use axum::Json;
use holdfast_metrics::{METRICS, Metric, section};
use serde::Serialize;
use utoipa::ToSchema;

use crate::problem::Problem;

/// A metric.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MetricView {
    /// Its name.
    name: &'static str,
    /// In what it is given: `BYTES`, `SCALAR_PER_SECOND` ...
    unit: &'static str,
    /// `gauge`, `rate`, `ratio` or `derived`.
    kind: &'static str,
    /// Of what it is: `host`, `system`, `disk` or `database`.
    scope: &'static str,
    /// The part of a host that it tells of: `server`, `operations`, `storage`, `replication`, `machine`, `disks` or `databases`.
    section: &'static str,
    /// What it says.
    description: &'static str,
    /// Where it comes from.
    origin: String,
    /// The chart that shows it: metrics with the same word are drawn together.
    chart: &'static str,
}

fn view(metric: &Metric) -> MetricView {
    MetricView {
        name: metric.name,
        unit: metric.unit.as_str(),
        kind: metric.kind().as_str(),
        scope: metric.scope.as_str(),
        section: section(metric.name),
        description: metric.text,
        origin: metric.origin(),
        chart: metric.chart,
    }
}

/// Every metric, in the order in which charts are shown.
#[utoipa::path(get, path = "/metrics", tag = "monitoring",
    responses((status = 200, body = [MetricView]), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list_metrics() -> Json<Vec<MetricView>> {
    Json(METRICS.iter().map(view).collect())
}
