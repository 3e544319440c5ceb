//! Reports of monitoring agents: unpacked within bounds, checked, stored once.

use std::{collections::BTreeSet, time::Duration};

use axum::{
    Json,
    body::{Body, to_bytes},
    extract::State,
    http::StatusCode,
};
use holdfast_agent_api::{
    MONITORING_REPORT_BYTES_MAX, MONITORING_REPORT_RAW_BYTES_MAX, MONITORING_SPOOL_SECONDS_MAX, MonitoringReceipt,
    MonitoringReport, Tick,
};
use holdfast_domain::ErrorClass;
use holdfast_metadb::{Agent, MetaError, ReportTurn, Sample, StoredPing, host_id, series_of};

use super::agents::AgentCaller;
use crate::{caller::fault, problem::ApiError, state::WebState};

/// What is older came from no healthy spool; twice the bound leaves room for a slow line.
const AGE_SECONDS_MAX: i64 = 2 * MONITORING_SPOOL_SECONDS_MAX;
/// How far an agent's clock may be before the server's.
const AHEAD_SECONDS_MAX: i64 = 600;
/// Storing a report ends after so long; far less than a report that was begun is someone's.
const STORE_TIMEOUT: Duration = Duration::from_secs(40);
/// When someone else stores the same report: come again after so many seconds.
const BUSY_SECONDS: u64 = 5;
/// Longest name of a host or part.
const NAME_CHARS_MAX: usize = 300;
/// Values of one tick, at most.
const VALUES_MAX: usize = 400;
/// Level of compression of pings.
const PING_LEVEL: i32 = 3;

/// `POST /agent/v1/monitoring/reports`.
pub(super) async fn take(
    State(state): State<WebState>,
    caller: AgentCaller,
    body: Body,
) -> Result<Json<MonitoringReceipt>, ApiError> {
    let _room = state.noted().room().await;
    let frame = to_bytes(body, MONITORING_REPORT_BYTES_MAX).await.map_err(|_| {
        let detail = format!("the body ended early, or it is larger than {MONITORING_REPORT_BYTES_MAX} bytes");
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "tooLarge", "The body is too large", detail)
    })?;
    let unpacked = tokio::task::spawn_blocking(move || unpack(&frame)).await;
    let report = unpacked.map_err(|error| ApiError::from_class(ErrorClass::Bug, &error))??;
    let agent = caller.agent;
    let report = counted(&state, &agent, report).await?;
    let turn = state.metadb().begin_report(&agent.id, &report.spool, report.seq).await.map_err(fault)?;
    let (token, again) = match turn {
        ReportTurn::Taken { taken } => return Ok(Json(MonitoringReceipt { taken })),
        ReportTurn::Busy => {
            let detail = "another server stores this report now: send it again in some seconds";
            let title = "The report is being stored";
            let busy = ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "reportUnderWay", title, detail);
            return Err(busy.retry_after(BUSY_SECONDS));
        }
        ReportTurn::Begun { token, again } => (token, again),
    };
    let (spool, seq) = (report.spool.clone(), report.seq);
    let stored = tokio::time::timeout(STORE_TIMEOUT, store(&state, &agent, report, again)).await;
    let stored = match stored {
        Ok(Err(error)) => {
            // It failed and is over: whoever sends it again need not wait until it counts as dead.
            let back = state.metadb().give_report_back(&agent.id, &spool, seq, &token).await;
            if let Err(error) = back {
                tracing::warn!(%error, "a report is not free until it counts as given up");
            }
            Err(fault(error))
        }
        Ok(Ok(())) => Ok(()),
        Err(_) => {
            let error = std::io::Error::other("a report could not be stored in time");
            Err(ApiError::from_class(ErrorClass::Retry, &error))
        }
    };
    stored?;
    state.metadb().finish_report(&agent.id, &spool, seq, &token).await.map_err(fault)?;
    Ok(Json(MonitoringReceipt { taken: seq }))
}

fn unpack(frame: &[u8]) -> Result<MonitoringReport, ApiError> {
    let json = zstd::bulk::decompress(frame, MONITORING_REPORT_RAW_BYTES_MAX)
        .map_err(|error| ApiError::bad_request(format!("the report cannot be unpacked: {error}")))?;
    let report: MonitoringReport = serde_json::from_slice(&json)
        .map_err(|error| ApiError::bad_request(format!("the report is not what is expected: {error}")))?;
    let good = |text: &str| !text.is_empty() && text.len() <= NAME_CHARS_MAX && !text.contains('\0');
    let names = report.ticks.iter().map(|tick| tick.host.as_str());
    let names = names.chain(report.hosts.iter().map(|host| host.host.as_str()));
    if !good(&report.spool) || report.seq < 0 || !names.into_iter().all(good) {
        return Err(ApiError::bad_request("spool, seq and host must be as the protocol says"));
    }
    Ok(report)
}

/// The report without what does not count: found while another agent held the lease, or at a time that cannot be.
async fn counted(state: &WebState, agent: &Agent, report: MonitoringReport) -> Result<MonitoringReport, ApiError> {
    let lease = state.metadb().monitoring_lease(&agent.group).await.map_err(fault)?;
    let holds = lease.lease.owner == agent.id.as_str() && lease.lease.epoch == report.epoch;
    let now = jiff::Timestamp::now().as_millisecond();
    let latest = if holds { i64::MAX } else { lease.since.map_or(i64::MIN, bson::DateTime::timestamp_millis) };
    let latest = latest.min(now + AHEAD_SECONDS_MAX * 1_000);
    let earliest = now - AGE_SECONDS_MAX * 1_000;
    let counts = |at: i64| (earliest..=latest).contains(&at);
    let before = report.ticks.len();
    let mut report = report;
    report.ticks.retain(|tick| counts(tick.at) && valid(tick));
    report.hosts.retain(|host| counts(host.at));
    report.events.retain(|event| counts(event.at));
    report.pings.retain(|ping| counts(ping.at));
    report.facts.retain(|facts| counts(facts.at));
    if !holds {
        report.gone.clear();
    }
    if report.ticks.len() < before {
        let dropped = before - report.ticks.len();
        tracing::info!(agent = %agent.id, dropped, holds, "measurements that do not count: another agent's time, or a clock far off");
    }
    Ok(report)
}

fn valid(tick: &Tick) -> bool {
    let part = tick.part.is_empty() || tick.part.starts_with("disk/") || tick.part.starts_with("db/");
    part && tick.part.len() <= NAME_CHARS_MAX && !tick.part.contains('\0') && tick.values.len() <= VALUES_MAX
}

/// Stores what a report holds; all of it may be stored again but the samples, which are looked for when someone began before.
async fn store(state: &WebState, agent: &Agent, report: MonitoringReport, again: bool) -> Result<(), MetaError> {
    let (metadb, group) = (state.metadb(), &agent.group);
    let samples = report.ticks.into_iter().map(|tick| Sample {
        series: series_of(&host_id(group, &tick.host), &tick.part),
        at: tick.at,
        // A metric that this server does not know is kept too: a newer agent sends it, and a newer server shows it.
        values: tick.values.into_iter().filter(|(name, value)| value.is_finite() && named(name)).collect(),
    });
    let samples: Vec<Sample> = samples.collect();
    let hours: BTreeSet<(String, i64)> =
        samples.iter().map(|s| (s.series.clone(), s.at.div_euclid(3_600_000) * 3_600)).collect();
    let samples = if again { metadb.missing_samples(samples).await? } else { samples };
    metadb.add_samples(&samples).await?;
    let this_hour = jiff::Timestamp::now().as_second().div_euclid(3_600) * 3_600;
    let new = state.noted().new_ones(hours, this_hour);
    metadb.note_sample_work(&new).await?;
    state.noted().remember(new, this_hour);
    metadb.note_monitored_hosts(group, &report.hosts).await?;
    metadb.note_gone_hosts(group, &report.gone, jiff::Timestamp::now().as_millisecond()).await?;
    metadb.note_host_facts(group, &report.facts).await?;
    metadb.note_host_events(group, &report.events).await?;
    for ping in report.pings {
        let json = serde_json::to_vec(&ping.answers).unwrap_or_default();
        if let Ok(answers) = zstd::bulk::compress(&json, PING_LEVEL) {
            metadb.note_ping(group, &ping.host, &StoredPing { at: ping.at, answers }).await?;
        }
    }
    Ok(())
}

fn named(name: &str) -> bool {
    name.len() <= 100 && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_frame_that_claims_too_much_is_refused_and_names_are_checked() {
        let huge = zstd::bulk::compress(&vec![b' '; MONITORING_REPORT_RAW_BYTES_MAX + 1], 1).unwrap();
        assert_eq!(unpack(&huge).unwrap_err().status(), StatusCode::BAD_REQUEST);
        assert!(unpack(b"nothing").is_err());
        let report = MonitoringReport { spool: "s".into(), ..MonitoringReport::default() };
        let pack = |report: &MonitoringReport| zstd::bulk::compress(&serde_json::to_vec(report).unwrap(), 1).unwrap();
        assert_eq!(unpack(&pack(&report)).unwrap(), report);
        assert!(unpack(&pack(&MonitoringReport { spool: String::new(), ..report })).is_err());
        assert!(named("OPCOUNTER_CMD") && !named("a.b") && !named("$x"));
    }
}
