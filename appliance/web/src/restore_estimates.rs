//! What a restore would take, before anyone asks for it.
//!
//! Everything is counted or measured: bytes from the snapshot and the ledger, room from the daemon's report, time from restores that were made
//! before. Where nothing was measured no time is given, and that is said.

use axum::{Json, extract::State};
use holdfast_domain::{SnapshotId, Ts, restore_scratch_bytes};
use holdfast_metadb::RestoreJob;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    caller::{OfBackup, fault},
    cut::{HistoryView, Replay, histories, replay_of},
    extract::QueryOf,
    instant::{InstantAt, parse_at, rfc3339},
    points::{Points, Snapshot},
    problem::{ApiError, Problem},
    restores::good_snapshot,
    state::WebState,
};

/// Past restores that are looked at, the newest.
const MEASURED_MAX: i64 = 50;
/// A past restore says something of another one whose bytes are at most so many times more or fewer.
const COMPARABLE_FACTOR: i64 = 10;

/// What would be restored: `snapshot` or `at`, not both.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct EstimateQuery {
    /// Id of a snapshot.
    snapshot: Option<String>,
    /// An instant, inclusive: RFC 3339 (the whole second) or `SECONDS,INCREMENT`.
    at: Option<String>,
    /// Of two histories that cover the instant the one of this chain; the younger when nothing is said.
    chain: Option<i64>,
}

/// Seconds that it may take, the least and the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct SecondsView {
    /// At the best rate that was measured.
    least: u64,
    /// At the worst.
    most: u64,
}

/// What a restore would take.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EstimateView {
    /// Snapshot that it would be made from.
    snapshot: String,
    /// That snapshot's optime.
    snapshot_at: InstantAt,
    /// Number of its chain.
    chain: i64,
    /// Every history that can serve the instant, the younger first; empty for a snapshot.
    histories: Vec<HistoryView>,
    /// Bytes of the snapshot's files, as they are unpacked.
    snapshot_bytes: u64,
    /// Oplog entries to replay, to a slice's end.
    replay_entries: i64,
    /// Their bytes.
    replay_bytes: i64,
    /// There is more to replay than was counted.
    replay_truncated: bool,
    /// Bytes that the daemon's disk must have free to make it; 0: nothing is made.
    scratch_bytes: u64,
    /// Bytes that it has, by its last report; null: no daemon is bound, or nothing is made.
    free_bytes: Option<u64>,
    /// Name of that daemon.
    daemon: Option<String>,
    /// False: the daemon would refuse it for want of room.
    fits: bool,
    /// Version of the server whose files these are: the mongod to open them with is of the same release.
    server_version: String,
    /// Its feature compatibility version.
    fcv: String,
    /// How long making it may take; null: nothing was measured, or nothing is made.
    seconds: Option<SecondsView>,
    /// What that range is based on, or why there is none, a sentence.
    basis: String,
}

/// What a restore would take: its base, what there is to replay, room, version, time. Changes nothing.
#[utoipa::path(get, path = "/groups/{group}/backups/{rs}/restores/estimate", tag = "restores",
    params(("group" = String, Path, description = "id or name"), ("rs" = String, Path, description = "name of the replica set"), EstimateQuery),
    responses((status = 200, body = EstimateView), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn estimate_restore(
    State(state): State<WebState>,
    of: OfBackup,
    QueryOf(query): QueryOf<EstimateQuery>,
) -> Result<Json<EstimateView>, ApiError> {
    match (&query.snapshot, &query.at) {
        (Some(id), None) => {
            let id = id.parse::<SnapshotId>().map_err(|error| ApiError::bad_request(error.to_string()))?;
            let base = good_snapshot(&state, &of, &id).await?;
            let basis = "a snapshot is downloaded as it is: nothing has to be made".to_owned();
            Ok(Json(EstimateView { basis, ..facts(&base, Replay::default()) }))
        }
        (None, Some(at)) => of_instant(&state, &of, parse_at(at)?, query.chain).await.map(Json),
        _ => Err(ApiError::bad_request("an estimate names `snapshot` or `at`, one of them")),
    }
}

async fn of_instant(state: &WebState, of: &OfBackup, at: Ts, chain: Option<i64>) -> Result<EstimateView, ApiError> {
    let points = Points::read(state, &of.job).await?;
    let Some(base) = points.base(at, chain) else {
        return Err(points.refusal(state, &of.job, at, chain).await?);
    };
    let replay = replay_of(state, of, base, at).await?;
    let bytes = replay.all_bytes(base);
    let past = state.metadb().measured_restores(&of.group.id, MEASURED_MAX).await.map_err(fault)?;
    let (own, others): (Vec<_>, Vec<_>) = past.into_iter().partition(|job| job.job == of.job.id);
    let (own, others) = (measured(&own), measured(&others));
    let (seconds, basis) = time(bytes, &own, &others, &of.job.rs);
    let daemon = match &of.job.daemon {
        Some(id) => state.metadb().daemons().await.map_err(fault)?.into_iter().find(|daemon| daemon.id == *id),
        None => None,
    };
    let scratch_bytes = restore_scratch_bytes(base.root.logical_bytes);
    let free_bytes = daemon.as_ref().map(|daemon| daemon.space.free_bytes);
    Ok(EstimateView {
        histories: histories(state, of, &points, at, base).await?,
        scratch_bytes,
        free_bytes,
        daemon: daemon.map(|daemon| daemon.name),
        fits: free_bytes.is_none_or(|free| free >= scratch_bytes),
        seconds,
        basis,
        ..facts(base, replay)
    })
}

fn facts(base: &Snapshot, replay: Replay) -> EstimateView {
    let at = base.meta.optime.ts;
    EstimateView {
        snapshot: base.root.id.to_string(),
        snapshot_at: InstantAt { t: at.t, i: at.i, at: rfc3339(i64::from(at.t)) },
        chain: base.meta.resume.chain,
        histories: Vec::new(),
        snapshot_bytes: base.root.logical_bytes,
        replay_entries: replay.entries,
        replay_bytes: replay.bytes,
        replay_truncated: replay.truncated,
        scratch_bytes: 0,
        free_bytes: None,
        daemon: None,
        fits: true,
        server_version: base.meta.server_version.clone(),
        fcv: base.meta.fcv.clone(),
        seconds: None,
        basis: String::new(),
    }
}

/// How long a restore took, and for how many bytes.
#[derive(Clone, Copy, Debug)]
struct Measured {
    bytes: i64,
    millis: i64,
}

fn measured(jobs: &[RestoreJob]) -> Vec<Measured> {
    let one = |job: &RestoreJob| {
        let (bytes, started, ended) = (job.planned_bytes?, job.started?, job.ended?);
        let millis = ended.timestamp_millis() - started.timestamp_millis();
        (bytes > 0 && millis > 0).then_some(Measured { bytes, millis })
    };
    jobs.iter().filter_map(one).collect()
}

/// The range of the time for so many bytes, and what it is based on: restores of the same backup where there are any, and of those the ones of
/// a comparable size where there are any, since a small restore spends most of its time on what does not grow.
fn time(bytes: i64, own: &[Measured], others: &[Measured], rs: &str) -> (Option<SecondsView>, String) {
    let comparable = |m: &&Measured| {
        m.bytes <= bytes.saturating_mul(COMPARABLE_FACTOR) && bytes <= m.bytes.saturating_mul(COMPARABLE_FACTOR)
    };
    let like = |all: &[Measured]| all.iter().filter(comparable).copied().collect::<Vec<_>>();
    let choices = [
        (like(own), format!("of {rs}")),
        (like(others), "of other backups of this group".to_owned()),
        (own.to_vec(), format!("of {rs} that had far more or far fewer bytes")),
        (others.to_vec(), "of other backups of this group that had far more or far fewer bytes".to_owned()),
    ];
    let Some((used, of)) = choices.into_iter().find(|(used, _)| !used.is_empty()) else {
        let basis = "no restore to an instant was made in this group yet: nothing is known of the time that it takes";
        return (None, basis.to_owned());
    };
    // Whole numbers throughout: 128 bits hold any bytes times any milliseconds.
    let seconds = |m: &Measured| {
        let millis = i128::from(bytes) * i128::from(m.millis) / i128::from(m.bytes);
        u64::try_from(millis.div_euclid(1000) + i128::from(millis.rem_euclid(1000) > 0)).unwrap_or(u64::MAX)
    };
    let (least, most) = used.iter().map(seconds).fold((u64::MAX, 0), |(least, most), s| (least.min(s), most.max(s)));
    let n = used.len();
    let restores = if n == 1 { "restore" } else { "restores" };
    (Some(SecondsView { least, most }), format!("by the bytes a second of {n} past {restores} {of}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_range_is_that_of_what_was_measured() {
        let m = |bytes, millis| Measured { bytes, millis };
        assert_eq!(time(1000, &[], &[], "rs0").0, None);
        assert!(time(1000, &[], &[], "rs0").1.starts_with("no restore to an instant"));
        let (range, basis) = time(1000, &[m(500, 1000), m(2000, 10_000)], &[m(1000, 1)], "rs0");
        assert_eq!(range, Some(SecondsView { least: 2, most: 5 }));
        assert_eq!(basis, "by the bytes a second of 2 past restores of rs0");
        // One of this backup that was tiny says less than a comparable one of another.
        let (range, basis) = time(1_000_000, &[m(10, 3000)], &[m(900_000, 9000)], "rs0");
        assert_eq!(range, Some(SecondsView { least: 10, most: 10 }));
        assert_eq!(basis, "by the bytes a second of 1 past restore of other backups of this group");
        let (_, basis) = time(1_000_000, &[m(10, 3000)], &[], "rs0");
        assert!(basis.ends_with("far more or far fewer bytes"), "{basis}");
    }
}
