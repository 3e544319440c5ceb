//! Monitoring in the app database, against a real server: leases, reports taken once, samples, rollups.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::Server;
use holdfast_agent_api::{HostEvent, HostEventKind, HostReport};
use holdfast_domain::{AgentId, GroupId, HostId, Lease};
use holdfast_metadb::{
    MeasurementQuery, MetaDb, MetaError, MonitoringSettings, ReportTurn, Sample, StoredPing, host_id, series_of,
};
use holdfast_metrics::Resolution;

const HOUR: i64 = 3_600;
/// The start of an hour, three of them ago: what is older than a day the server deletes.
fn past_hour() -> i64 {
    let now = bson::DateTime::now().timestamp_millis() / 1_000;
    now - now % HOUR - 3 * HOUR
}

fn sample(series: &str, second: i64, value: f64) -> Sample {
    let values = BTreeMap::from([("CONNECTIONS".to_owned(), value), ("OPCOUNTER_CMD".to_owned(), value * 2.0)]);
    Sample { series: series.to_owned(), at: second * 1_000, values }
}

async fn question(
    meta: &MetaDb,
    series: &str,
    range: (i64, i64),
    resolution: Resolution,
    step: i64,
) -> Vec<(i64, u32, f64)> {
    let query = MeasurementQuery {
        series: series.to_owned(),
        metrics: vec!["CONNECTIONS".to_owned()],
        from: range.0,
        to: range.1,
        resolution,
        step,
        now: bson::DateTime::now().timestamp_millis() / 1_000,
    };
    let found = meta.measurements(&query).await.unwrap();
    let rollups = found.get("CONNECTIONS");
    rollups.map(|r| r.iter().map(|(at, r)| (at, r.count, r.mean)).collect()).unwrap_or_default()
}

#[tokio::test]
async fn one_agent_holds_the_lease() {
    let server = Server::start().await;
    let meta = &server.meta;
    let (group, one, two) = (GroupId::random(), AgentId::random(), AgentId::random());
    let free = meta.monitoring_lease(&group).await.unwrap();
    assert_eq!((free.lease.owner.as_str(), free.since), ("", None));
    let (a, b) =
        tokio::join!(meta.take_monitoring(&group, &free.lease, &one), meta.take_monitoring(&group, &free.lease, &two));
    let (a, b) = (a.unwrap(), b.unwrap());
    assert!(a.is_some() ^ b.is_some(), "one of two that take at once: {a:?} {b:?}");
    let (winner, loser) = if a.is_some() { (&one, &two) } else { (&two, &one) };
    meta.beat_monitoring(&group, winner, 1).await.unwrap();
    assert!(matches!(meta.beat_monitoring(&group, loser, 1).await, Err(MetaError::Fenced)));
    let held = meta.monitoring_lease(&group).await.unwrap();
    assert!(held.since.is_some() && held.lease.owner == winner.as_str());
    // A lease that was seen before a beat is another one.
    let stale = Lease { beat: held.lease.beat - 1, ..held.lease.clone() };
    assert_eq!(meta.take_monitoring(&group, &stale, loser).await.unwrap(), None);
    assert_eq!(meta.take_monitoring(&group, &held.lease, loser).await.unwrap(), Some(2));
    assert!(matches!(meta.beat_monitoring(&group, winner, 1).await, Err(MetaError::Fenced)));
    meta.release_monitoring(&group, loser, 2).await.unwrap();
    assert_eq!(meta.monitoring_lease(&group).await.unwrap().lease.owner, "");
}

#[tokio::test]
async fn a_report_is_taken_once() {
    let server = Server::start().await;
    let meta = &server.meta;
    let agent = AgentId::random();
    let ReportTurn::Begun { token, again: false } = meta.begin_report(&agent, "s", 0).await.unwrap() else {
        panic!("the first one is begun")
    };
    assert_eq!(meta.begin_report(&agent, "s", 0).await.unwrap(), ReportTurn::Busy, "someone stores it");
    meta.finish_report(&agent, "s", 0, &token).await.unwrap();
    assert_eq!(meta.begin_report(&agent, "s", 0).await.unwrap(), ReportTurn::Taken { taken: 0 });
    // A server dies in the middle: the next one that gets the report knows that a part may be there.
    let ReportTurn::Begun { token, again: false } = meta.begin_report(&agent, "s", 1).await.unwrap() else {
        panic!("the second one is begun")
    };
    meta.give_report_back(&agent, "s", 1, &token).await.unwrap();
    let ReportTurn::Begun { token: other, again: true } = meta.begin_report(&agent, "s", 1).await.unwrap() else {
        panic!("it is begun again, as such")
    };
    assert!(matches!(meta.finish_report(&agent, "s", 1, &token).await, Err(MetaError::Fenced)));
    meta.finish_report(&agent, "s", 1, &other).await.unwrap();
    // What an agent had to drop is left out; another spool counts by itself.
    assert!(matches!(meta.begin_report(&agent, "s", 7).await.unwrap(), ReportTurn::Begun { .. }));
    assert!(matches!(meta.begin_report(&agent, "t", 0).await.unwrap(), ReportTurn::Begun { .. }));
}

#[tokio::test]
async fn samples_count_once_and_rollups_say_the_same_at_every_resolution() {
    let server = Server::start().await;
    let meta = &server.meta;
    let series = series_of(&HostId::random(), "");
    let hour = past_hour();
    // Ten minutes of values, a gap of ten, and ten more.
    let seconds: Vec<i64> = (0..60).map(|n| hour + n * 10).chain((0..60).map(|n| hour + 1_200 + n * 10)).collect();
    let samples: Vec<Sample> = seconds.iter().map(|s| sample(&series, *s, ((s - hour) / 10) as f64)).collect();
    meta.add_samples(&samples[..100]).await.unwrap();
    let missing = meta.missing_samples(samples.clone()).await.unwrap();
    assert_eq!(missing.len(), 20, "what is there is not stored again");
    meta.add_samples(&missing).await.unwrap();
    // Even where a double got in, it does not count.
    meta.add_samples(&samples[..5]).await.unwrap();
    let before = question(meta, &series, (hour, hour + HOUR), Resolution::Minute, 60).await;
    let raw = question(meta, &series, (hour, hour + HOUR), Resolution::Raw, 60).await;
    assert_eq!((before.len(), &before), (20, &raw), "from samples, as long as there is no rollup");
    assert_eq!((before[0], before[10].0), ((hour, 6, 2.5), hour + 1_200), "the gap is a gap");
    meta.note_sample_work(&BTreeSet::from([(series.clone(), hour)])).await.unwrap();
    let now = bson::DateTime::now().timestamp_millis() / 1_000;
    assert_eq!((meta.roll_up(now).await.unwrap(), meta.roll_up(now).await.unwrap()), (1, 0));
    assert_eq!(question(meta, &series, (hour, hour + HOUR), Resolution::Minute, 60).await, before);
    let hours = question(meta, &series, (hour, hour + HOUR), Resolution::Hour, HOUR).await;
    assert_eq!((hours.len(), hours[0].0, hours[0].1), (1, hour, 120));
    let mean = seconds.iter().map(|s| ((s - hour) / 10) as f64).sum::<f64>() / 120.0;
    assert!((hours[0].2 - mean).abs() < 1e-9);
    // A late report of that hour: it is made anew, and holds both.
    meta.add_samples(&[sample(&series, hour + 3_000, 1_000.0)]).await.unwrap();
    meta.note_sample_work(&BTreeSet::from([(series.clone(), hour)])).await.unwrap();
    assert_eq!(meta.roll_up(now).await.unwrap(), 1);
    let after = question(meta, &series, (hour, hour + HOUR), Resolution::Minute, 60).await;
    assert_eq!((after.len(), after.last().copied()), (21, Some((hour + 3_000, 1, 1_000.0))));
    let hours = question(meta, &series, (hour, hour + HOUR), Resolution::Hour, HOUR).await;
    assert_eq!(hours[0].1, 121);
    let newest = meta.newest_samples(&[series.clone()], hour).await.unwrap();
    assert_eq!(newest[&series].at, (hour + 3_000) * 1_000);
}

#[tokio::test]
async fn an_hour_whose_samples_are_gone_is_not_made_anew() {
    let server = Server::start().await;
    let meta = &server.meta;
    let series = series_of(&HostId::random(), "disk/sda");
    let hour = past_hour();
    meta.add_samples(&[sample(&series, hour, 5.0)]).await.unwrap();
    let work = BTreeSet::from([(series.clone(), hour)]);
    meta.note_sample_work(&work).await.unwrap();
    let now = bson::DateTime::now().timestamp_millis() / 1_000;
    meta.roll_up(now).await.unwrap();
    meta.note_sample_work(&work).await.unwrap();
    // Two days later what is left of the samples must not replace what they were rolled up to.
    assert_eq!(meta.roll_up(now + 2 * 86_400).await.unwrap(), 1);
    assert_eq!(question(meta, &series, (hour, hour + HOUR), Resolution::Minute, 60).await.len(), 1);
}

#[tokio::test]
async fn hosts_pings_and_events_are_kept_once() {
    let server = Server::start().await;
    let meta = &server.meta;
    let group = GroupId::random();
    let report =
        |at: i64, state: &str| HostReport { host: "h:1".into(), at, state: state.into(), ..HostReport::default() };
    meta.note_monitored_hosts(&group, &[report(10, "PRIMARY")]).await.unwrap();
    meta.note_monitored_hosts(&group, &[report(5, "SECONDARY")]).await.unwrap();
    let hosts = meta.monitored_hosts(&group, false).await.unwrap();
    assert_eq!((hosts.len(), hosts[0].report.state.as_str()), (1, "PRIMARY"), "an older report changes nothing");
    meta.note_gone_hosts(&group, &["h:1".into()], 20).await.unwrap();
    assert!(meta.monitored_hosts(&group, false).await.unwrap().is_empty());
    meta.note_monitored_hosts(&group, &[report(30, "SECONDARY")]).await.unwrap();
    assert_eq!(meta.monitored_hosts(&group, false).await.unwrap()[0].id, host_id(&group, "h:1"), "it is the same one");
    for minute in 0..25 {
        let ping = StoredPing { at: minute * 60_000, answers: vec![u8::try_from(minute).unwrap()] };
        meta.note_ping(&group, "h:1", &ping).await.unwrap();
        meta.note_ping(&group, "h:1", &ping).await.unwrap();
    }
    let pings = meta.pings(&host_id(&group, "h:1")).await.unwrap();
    assert_eq!((pings.len(), pings[0].answers[0], pings[19].answers[0]), (20, 24, 5), "the last twenty, newest first");
    let event = HostEvent { host: "h:1".into(), at: 7_000, kind: HostEventKind::Restarted, detail: String::new() };
    for _ in 0..2 {
        meta.note_host_events(&group, std::slice::from_ref(&event)).await.unwrap();
    }
    assert_eq!(meta.host_events(&group, None, 0..=10).await.unwrap().len(), 1);
    assert!(meta.host_events(&group, Some(&HostId::random()), 0..=10).await.unwrap().is_empty());
}

#[tokio::test]
async fn settings_are_checked_and_change_how_long_samples_are_kept() {
    let server = Server::start().await;
    let meta = &server.meta;
    assert_eq!(meta.monitoring_settings().await.unwrap(), MonitoringSettings::default());
    let wrong = MonitoringSettings { period_seconds: 5, ..MonitoringSettings::default() };
    assert!(matches!(meta.set_monitoring_settings(&wrong).await, Err(MetaError::Invalid { .. })));
    let set = MonitoringSettings { raw_seconds: 40_000, period_seconds: 60, ..MonitoringSettings::default() };
    meta.set_monitoring_settings(&set).await.unwrap();
    assert_eq!(meta.monitoring_settings().await.unwrap(), set);
    let listed = bson::doc! { "listCollections": 1, "filter": { "name": "samples" } };
    let listed = meta.database().run_command(listed).await.unwrap();
    let first =
        listed.get_document("cursor").unwrap().get_array("firstBatch").unwrap()[0].as_document().unwrap().clone();
    let options = first.get_document("options").unwrap();
    assert_eq!(options.get_i64("expireAfterSeconds").unwrap(), 40_000, "{options}");
    assert_eq!(first.get_str("type").unwrap(), "timeseries");
}
