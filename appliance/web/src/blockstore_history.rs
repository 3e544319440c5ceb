//! How the blockstore grew: samples that the daemons keep, and what they forecast.

use axum::{Json, extract::State};
use holdfast_metadb::BlockstoreSample;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    caller::fault,
    extract::QueryOf,
    instant::parse_at,
    problem::{ApiError, Problem},
    state::WebState,
};

/// Points of one answer, at most.
const POINTS_MAX: usize = 600;
/// What is shown when nothing is said: a week.
const SPAN_SECONDS: i64 = 7 * 86_400;
/// The forecast looks back so far.
const FORECAST_SECONDS: i64 = 30 * 86_400;
/// And says nothing before it has seen so much.
const FORECAST_SECONDS_MIN: i64 = 6 * 3_600;
/// The caches' share is told of this time.
const CACHE_SECONDS: i64 = 86_400;
const DAY: f64 = 86_400.0;

/// Which part.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct HistoryQuery {
    /// From here, RFC 3339; a week ago when nothing is said.
    from: Option<String>,
    /// To here; now when nothing is said.
    to: Option<String>,
}

/// The blockstore at one time. Bytes.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BlockstorePoint {
    /// Seconds since 1970.
    at: i64,
    /// Files of all snapshots.
    logical_bytes: u64,
    /// Different blocks before compression.
    raw_bytes: u64,
    /// As they are stored.
    stored_bytes: u64,
    /// On disks and in buckets; null while a store did not answer.
    disk_bytes: Option<u64>,
    /// Needed by one snapshot alone, by the account of then.
    unique_bytes: Option<u64>,
    /// What a collection would have freed, by the account of then.
    reclaimable_bytes: Option<u64>,
    /// Free where new payloads go; null where there is no bound.
    free_bytes: Option<u64>,
    /// Blocks that the daemons' caches had since the point before.
    cache_hits: u64,
    /// Blocks that they had not.
    cache_misses: u64,
}

impl From<BlockstoreSample> for BlockstorePoint {
    fn from(sample: BlockstoreSample) -> Self {
        let BlockstoreSample { at, numbers, cache } = sample;
        Self {
            at,
            logical_bytes: numbers.logical_bytes,
            raw_bytes: numbers.raw_bytes,
            stored_bytes: numbers.stored_bytes,
            disk_bytes: numbers.disk_bytes,
            unique_bytes: numbers.unique_bytes,
            reclaimable_bytes: numbers.reclaimable_bytes,
            free_bytes: numbers.free_bytes,
            cache_hits: cache.hits,
            cache_misses: cache.misses,
        }
    }
}

/// When the room is used up, if it goes on as it went.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ForecastView {
    /// Bytes that are free where new payloads go.
    free_bytes: u64,
    /// Growth a day, in bytes; negative: it shrinks.
    bytes_per_day: f64,
    /// Days until it is full; null: it does not grow, or not within ten years.
    days_to_full: Option<f64>,
    /// What it was told from, in seconds.
    over_seconds: i64,
}

/// How the blockstore grew.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BlockstoreHistoryView {
    /// At most 600, in order.
    points: Vec<BlockstorePoint>,
    /// Null until there are samples of six hours, and where there is no bound.
    forecast: Option<ForecastView>,
    /// Share of what was asked for that the daemons' caches had within a day, 0 to 1; null: nothing was asked for.
    cache_hit_share: Option<f64>,
}

/// Every so many as one: the last one's numbers, the caches' answers of all.
fn thinned(points: Vec<BlockstorePoint>) -> Vec<BlockstorePoint> {
    let every = points.len().div_ceil(POINTS_MAX).max(1);
    let one = |chunk: &[BlockstorePoint]| {
        let last = chunk.last().copied()?;
        let (cache_hits, cache_misses) =
            chunk.iter().fold((0, 0), |(hits, misses), p| (hits + p.cache_hits, misses + p.cache_misses));
        Some(BlockstorePoint { cache_hits, cache_misses, ..last })
    };
    points.chunks(every).filter_map(one).collect()
}

#[allow(clippy::cast_precision_loss, reason = "a forecast")]
fn forecast(samples: &[BlockstoreSample]) -> Option<ForecastView> {
    const DAYS_MAX: f64 = 3_650.0;
    let free_bytes = samples.last()?.numbers.free_bytes?;
    let seen: Vec<(f64, f64)> =
        samples.iter().filter_map(|s| Some((s.at as f64, s.numbers.disk_bytes? as f64))).collect();
    let over_seconds = samples.last()?.at - samples.first()?.at;
    if seen.len() < 3 || over_seconds < FORECAST_SECONDS_MIN {
        return None;
    }
    // The straight line that fits best.
    let n = seen.len() as f64;
    let (x, y) = seen.iter().fold((0.0, 0.0), |(x, y), p| (x + p.0 / n, y + p.1 / n));
    let (above, below) =
        seen.iter().fold((0.0, 0.0), |(a, b), p| (a + (p.0 - x) * (p.1 - y), b + (p.0 - x) * (p.0 - x)));
    let bytes_per_day = if below > 0.0 { above / below * DAY } else { 0.0 };
    let days = free_bytes as f64 / bytes_per_day;
    let days_to_full = (bytes_per_day > 0.0 && days <= DAYS_MAX).then_some(days);
    Some(ForecastView { free_bytes, bytes_per_day, days_to_full, over_seconds })
}

#[allow(clippy::cast_precision_loss, reason = "a share")]
fn hit_share(samples: &[BlockstoreSample]) -> Option<f64> {
    let (hits, misses) = samples.iter().fold((0, 0), |(h, m), s| (h + s.cache.hits, m + s.cache.misses));
    let asked = hits + misses;
    (asked > 0).then(|| hits as f64 / asked as f64)
}

/// How the blockstore grew, and when it is full.
#[utoipa::path(get, path = "/blockstore/history", tag = "blockstore", params(HistoryQuery),
    responses((status = 200, body = BlockstoreHistoryView), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn show_history(
    State(state): State<WebState>,
    QueryOf(query): QueryOf<HistoryQuery>,
) -> Result<Json<BlockstoreHistoryView>, ApiError> {
    let now = jiff::Timestamp::now().as_second();
    let second = |text: &str| parse_at(text).map(|ts| i64::from(ts.t));
    let to = query.to.as_deref().map(second).transpose()?.unwrap_or(now);
    let from = query.from.as_deref().map(second).transpose()?.unwrap_or(to - SPAN_SECONDS);
    if from > to {
        return Err(ApiError::bad_request("`from` lies after `to`"));
    }
    let read = |from: i64, to: i64| state.metadb().blockstore_samples(now, from, to);
    let shown = read(from, to).await.map_err(fault)?;
    let month = read(now - FORECAST_SECONDS, now).await.map_err(fault)?;
    let day = read(now - CACHE_SECONDS, now).await.map_err(fault)?;
    // A new appliance has few coarse samples; the fine ones of its first days say more.
    let seen = if month.len() < 3 { read(now - SPAN_SECONDS, now).await.map_err(fault)? } else { month };
    Ok(Json(BlockstoreHistoryView {
        points: thinned(shown.into_iter().map(Into::into).collect()),
        forecast: forecast(&seen),
        cache_hit_share: hit_share(&day),
    }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use holdfast_metadb::{BlockstoreNumbers, CacheAnswers};

    use super::*;

    fn sample(at: i64, disk: u64) -> BlockstoreSample {
        let numbers =
            BlockstoreNumbers { disk_bytes: Some(disk), free_bytes: Some(1_000), ..BlockstoreNumbers::default() };
        BlockstoreSample { at, numbers, cache: CacheAnswers { hits: 3, misses: 1 } }
    }

    #[test]
    fn the_forecast_is_the_line_that_fits() {
        let days = |n: i64| n * 86_400;
        let grows: Vec<_> = (0..10).map(|n| sample(days(n), 100 * u64::try_from(n).unwrap())).collect();
        let seen = forecast(&grows).unwrap();
        assert!((seen.bytes_per_day - 100.0).abs() < 0.001 && (seen.days_to_full.unwrap() - 10.0).abs() < 0.001);
        assert_eq!((seen.free_bytes, seen.over_seconds), (1_000, days(9)));
        let still: Vec<_> = (0..10).map(|n| sample(days(n), 100)).collect();
        assert_eq!(forecast(&still).unwrap().days_to_full, None);
        let soon: Vec<_> = (0..10).map(|n| sample(n * 300, 100)).collect();
        assert_eq!(forecast(&soon), None, "too little was seen");
        let bucket: Vec<_> = grows
            .iter()
            .map(|s| BlockstoreSample { numbers: BlockstoreNumbers { free_bytes: None, ..s.numbers }, ..*s })
            .collect();
        assert_eq!(forecast(&bucket), None, "no bound");
        assert_eq!((forecast(&[]), hit_share(&[])), (None, None));
        assert_eq!(hit_share(&grows), Some(0.75));
    }

    #[test]
    fn many_samples_are_few_points_and_no_answer_of_the_caches_is_lost() {
        let points: Vec<BlockstorePoint> = (0..2_016).map(|n| sample(n, 1).into()).collect();
        let thin = thinned(points);
        assert!(thin.len() <= POINTS_MAX);
        assert_eq!(thin.iter().map(|p| p.cache_hits).sum::<u64>(), 3 * 2_016);
        assert_eq!((thin[0].at, thin.last().unwrap().at), (3, 2_015));
        assert_eq!(thinned(Vec::new()).len(), 0);
    }
}
