//! The newest measurements of a group for Prometheus and what speaks its language (OpenMetrics 1.0).

use std::{collections::HashMap, fmt::Write as _};

use axum::{
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse as _, Response},
};
use holdfast_metadb::{MonitoredHost, Sample, series_of};
use holdfast_metrics::METRICS;

use super::hosts::role_word;
use crate::{
    caller::{InGroup, fault},
    problem::{ApiError, Problem},
    state::WebState,
};

/// Type of the answer.
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Sizes of databases are read seldom; what is older than this is not told.
const NEWEST_SECONDS: i64 = 1_200;

/// A value of a label, quoted.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
    out
}

fn labels(host: &MonitoredHost, part: &str) -> String {
    let report = &host.report;
    let mut all = vec![("host", host.host.as_str())];
    let role = role_word(report.role);
    all.push(("role", &role));
    for (name, value) in [("set", &report.set), ("shard", &report.shard), ("cluster", &report.cluster)] {
        if let Some(value) = value {
            all.push((name, value));
        }
    }
    if let Some((kind, name)) = part.split_once('/') {
        all.push((if kind == "disk" { "disk" } else { "database" }, name));
    }
    let all: Vec<String> = all.iter().map(|(name, value)| format!("{name}=\"{}\"", quoted(value))).collect();
    all.join(",")
}

/// The text: families in the order of the table, in each all hosts.
fn text(hosts: &[MonitoredHost], newest: &HashMap<String, Sample>) -> String {
    let mut out = String::new();
    out.push_str("# TYPE holdfast_host_up gauge\n# HELP holdfast_host_up 1 while the host answers its agent.\n");
    for host in hosts {
        let _ = writeln!(out, "holdfast_host_up{{{}}} {}", labels(host, ""), u8::from(host.report.up));
    }
    let mut series: Vec<(String, &Sample)> = Vec::new();
    for host in hosts {
        let parts = std::iter::once("").chain(host.report.parts.iter().map(String::as_str));
        for part in parts {
            if let Some(sample) = newest.get(&series_of(&host.id, part)) {
                series.push((labels(host, part), sample));
            }
        }
    }
    for metric in METRICS {
        let name = format!("holdfast_{}", metric.name.to_ascii_lowercase());
        let mut begun = false;
        for (labels, sample) in &series {
            let Some(value) = sample.values.get(metric.name) else { continue };
            if !begun {
                let unit = metric.unit.as_str();
                let _ = writeln!(out, "# TYPE {name} gauge\n# HELP {name} {} {unit}", metric.text);
                begun = true;
            }
            #[allow(clippy::cast_precision_loss, reason = "milliseconds as seconds")]
            let at = sample.at as f64 / 1_000.0;
            let _ = writeln!(out, "{name}{{{labels}}} {value} {at:.3}");
        }
    }
    out.push_str("# EOF\n");
    out
}

/// The newest measurements of the group's hosts, for Prometheus: give it this URL and an API key with a role that reads.
#[utoipa::path(get, path = "/groups/{group}/metrics", tag = "monitoring", params(("group" = String, Path, description = "id or name")),
    responses((status = 200, body = String, content_type = "application/openmetrics-text"),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn show_open_metrics(State(state): State<WebState>, of: InGroup) -> Result<Response, ApiError> {
    let hosts = state.metadb().monitored_hosts(&of.group.id, false).await.map_err(fault)?;
    let now = jiff::Timestamp::now().as_second();
    let series = hosts.iter().flat_map(|host| {
        let parts = std::iter::once("").chain(host.report.parts.iter().map(String::as_str));
        parts.map(|part| series_of(&host.id, part)).collect::<Vec<_>>()
    });
    let series: Vec<String> = series.collect();
    let newest = state.metadb().newest_samples(&series, now - NEWEST_SECONDS).await.map_err(fault)?;
    let mut response = text(&hosts, &newest).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_agent_api::HostReport;
    use holdfast_domain::GroupId;

    #[test]
    fn families_are_whole_and_labels_are_quoted() {
        let group = GroupId::random();
        let host = |name: &str| MonitoredHost {
            id: holdfast_metadb::host_id(&group, name),
            group: group.clone(),
            host: name.to_owned(),
            report: HostReport {
                up: true,
                set: Some("r\"s".into()),
                parts: vec!["db/a".into()],
                ..HostReport::default()
            },
            first: bson::DateTime::now(),
            gone: None,
        };
        let hosts = [host("a:1"), host("b:2")];
        let sample = |series: String, name: &str| Sample { series, at: 1_500, values: [(name.to_owned(), 2.5)].into() };
        let mut newest = HashMap::new();
        for host in &hosts {
            let series = series_of(&host.id, "");
            newest.insert(series.clone(), sample(series, "CONNECTIONS"));
        }
        let part = series_of(&hosts[0].id, "db/a");
        newest.insert(part.clone(), sample(part, "DATABASE_DATA_SIZE"));
        let text = text(&hosts, &newest);
        assert!(
            text.contains("holdfast_connections{host=\"a:1\",role=\"standalone\",set=\"r\\\"s\"} 2.5 1.500\n"),
            "{text}"
        );
        assert!(text.contains(
            "holdfast_database_data_size{host=\"a:1\",role=\"standalone\",set=\"r\\\"s\",database=\"a\"} 2.5"
        ));
        assert_eq!(text.matches("# TYPE holdfast_connections gauge").count(), 1);
        assert!(text.ends_with("# EOF\n"));
    }
}
