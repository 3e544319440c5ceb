//! Rollups: `sample_minutes {_id: {s, at: hour}, v}` holds the sixty minutes of an hour, `sample_hours {_id: {s, at: day}, v}` the hours of a day.
//!
//! Made by [`MetaDb::roll_up`] from what is stored, as a whole and in place of what was there, so that doing it again changes nothing.
//! `sample_work {_id: {s, hour}, rev}` says which hours are to be made: noted after their samples are stored, taken away only when nothing
//! was noted since. Hours that are not made yet are read from the samples themselves.

use std::collections::{BTreeMap, BTreeSet};

use bson::{Bson, DateTime, Document, doc};
use futures::TryStreamExt as _;
use holdfast_metrics::{Resolution, Rollup, Rollups};

use crate::{
    MetaDb, MetaError, MonitoringSettings,
    error::{duplicate, on},
};

const MINUTES: &str = "sample_minutes";
const HOURS: &str = "sample_hours";
const WORK: &str = "sample_work";
const MINUTE: i64 = 60;
const HOUR: i64 = 3_600;
const DAY: i64 = 86_400;
/// An hour is made when it is over by so much: reports of a healthy agent are there by then.
const GRACE: i64 = 90;
/// Hours that are made in one call.
const WORK_MAX: i64 = 500;

/// Rollups of several metrics, by name.
type ByMetric = BTreeMap<String, Rollups>;

fn start(second: i64, span: i64) -> i64 {
    second - second.rem_euclid(span)
}

fn key(series: &str, at: i64) -> Document {
    doc! { "s": series, "at": at }
}

/// One metric of a document: arrays with one place for each window, null where there was nothing.
fn packed(rollups: &Rollups, from: i64, window: i64, places: i64) -> Document {
    let mut all = [Vec::new(), Vec::new(), Vec::new(), Vec::new()];
    for place in 0..places {
        let rollup = rollups.get(from + place * window);
        let values =
            rollup.map_or([Bson::Null, Bson::Null, Bson::Null], |r| [r.min.into(), r.max.into(), r.mean.into()]);
        all[0].push(Bson::Int32(rollup.map_or(0, |r| i32::try_from(r.count).unwrap_or(i32::MAX))));
        for (array, value) in all[1..].iter_mut().zip(values) {
            array.push(value);
        }
    }
    let [n, min, max, mean] = all;
    doc! { "n": n, "min": min, "max": max, "mean": mean }
}

fn unpacked(doc: &Document, from: i64, window: i64, into: &mut Rollups) {
    let array = |name: &str| doc.get_array(name).map(Vec::as_slice).unwrap_or_default();
    let (counts, mins, maxs, means) = (array("n"), array("min"), array("max"), array("mean"));
    for (place, count) in counts.iter().enumerate() {
        let number = |values: &[Bson]| values.get(place).and_then(Bson::as_f64);
        let count = count.as_i32().and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
        if let (Some(min), Some(max), Some(mean)) = (number(mins), number(maxs), number(means)) {
            let at = from + i64::try_from(place).unwrap_or(0) * window;
            into.merge(at, &Rollup { count, min, max, mean });
        }
    }
}

/// A question about what was measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeasurementQuery {
    /// Series.
    pub series: String,
    /// Names of metrics.
    pub metrics: Vec<String>,
    /// From this second.
    pub from: i64,
    /// Up to this second, not included.
    pub to: i64,
    /// Out of what it is answered.
    pub resolution: Resolution,
    /// Seconds of the windows of the answer.
    pub step: i64,
    /// The second that it is now.
    pub now: i64,
}

impl MetaDb {
    /// Notes that samples of these hours (start, seconds since 1970) of series came.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn note_sample_work(&self, hours: &BTreeSet<(String, i64)>) -> Result<(), MetaError> {
        let op = "note that samples came";
        let work = self.of::<Document>(WORK);
        for (series, hour) in hours {
            let which = doc! { "_id": key(series, *hour) };
            let update = doc! { "$inc": { "rev": 1_i64 }, "$setOnInsert": { "hour": *hour } };
            for last in [false, true] {
                match work.update_one(which.clone(), update.clone()).upsert(true).await {
                    Err(e) if duplicate(&e) && !last => {}
                    done => {
                        done.map_err(on(op))?;
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    /// Makes the rollups of hours that are over, at most 500 of them. How many were made. May be done by any number of processes at once.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn roll_up(&self, now: i64) -> Result<usize, MetaError> {
        let op = "make rollups";
        let settings = self.monitoring_settings().await?;
        let due = doc! { "hour": { "$lte": now - HOUR - GRACE } };
        let all = self.of::<Document>(WORK);
        let found = all.find(due).sort(doc! { "hour": 1 }).limit(WORK_MAX);
        let found: Vec<Document> = found.await.map_err(on(op))?.try_collect().await.map_err(on(op))?;
        for work in &found {
            let Ok(id) = work.get_document("_id") else { continue };
            let (series, hour) = (id.get_str("s").unwrap_or_default(), id.get_i64("at").unwrap_or_default());
            // What is older than samples are kept must not be made anew from what is left of them.
            if hour > now - settings.raw_seconds {
                self.make_hour(series, hour, &settings).await?;
            }
            let done = doc! { "_id": id.clone(), "rev": work.get_i64("rev").unwrap_or_default() };
            self.of::<Document>(WORK).delete_one(done).await.map_err(on(op))?;
        }
        Ok(found.len())
    }

    async fn make_hour(&self, series: &str, hour: i64, settings: &MonitoringSettings) -> Result<(), MetaError> {
        let mut minutes = ByMetric::new();
        for sample in self.samples(series, hour..hour + HOUR, &[]).await? {
            for (name, value) in sample.values {
                let rollups = minutes.entry(name).or_insert_with(|| Rollups::every(MINUTE));
                rollups.add(sample.at.div_euclid(1_000), value);
            }
        }
        self.put_rollups(MINUTES, series, hour, &minutes, settings.minute_seconds).await?;
        let day = start(hour, DAY);
        let mut hours = ByMetric::new();
        self.read_rollups(MINUTES, series, day..day + DAY, &[], HOUR, &mut hours).await?;
        self.put_rollups(HOURS, series, day, &hours, settings.hour_seconds).await
    }

    async fn put_rollups(
        &self,
        collection: &str,
        series: &str,
        at: i64,
        all: &ByMetric,
        kept: i64,
    ) -> Result<(), MetaError> {
        let (window, places) = if collection == MINUTES { (MINUTE, 60) } else { (HOUR, 24) };
        let values: Document =
            all.iter().map(|(name, rollups)| (name.clone(), packed(rollups, at, window, places).into())).collect();
        let expires = DateTime::from_millis((at + window * places + kept).saturating_mul(1_000));
        let which = doc! { "_id": key(series, at) };
        let update = doc! { "$set": { "v": values, "expires": expires } };
        match self.of::<Document>(collection).update_one(which, update).upsert(true).await {
            // Two that make the same at once write the same.
            Err(e) if !duplicate(&e) => Err(on("store rollups")(e)),
            _ => Ok(()),
        }
    }

    /// Adds stored rollups to `into`, whose windows are of `step` seconds. The starts of the documents that were there.
    async fn read_rollups(
        &self,
        collection: &str,
        series: &str,
        range: std::ops::Range<i64>,
        metrics: &[String],
        step: i64,
        into: &mut ByMetric,
    ) -> Result<BTreeSet<i64>, MetaError> {
        let op = "read rollups";
        let (window, span) = if collection == MINUTES { (MINUTE, HOUR) } else { (HOUR, DAY) };
        let filter = doc! {
            "_id": { "$gte": key(series, start(range.start, span)), "$lt": key(series, range.end) },
        };
        let mut shown = doc! { "_id": 1 };
        if metrics.is_empty() {
            shown.insert("v", 1);
        }
        for name in metrics {
            shown.insert(format!("v.{name}"), 1);
        }
        let mut found = self.of::<Document>(collection).find(filter).projection(shown).await.map_err(on(op))?;
        let mut there = BTreeSet::new();
        while let Some(doc) = found.try_next().await.map_err(on(op))? {
            let Some(at) = doc.get_document("_id").ok().and_then(|id| id.get_i64("at").ok()) else { continue };
            there.insert(at);
            for (name, value) in doc.get_document("v").into_iter().flatten() {
                if let Some(value) = value.as_document() {
                    let rollups = into.entry(name.clone()).or_insert_with(|| Rollups::every(step));
                    unpacked(value, at, window, rollups);
                }
            }
        }
        Ok(there)
    }

    async fn read_samples(&self, query: &MeasurementQuery, hour: i64, into: &mut ByMetric) -> Result<(), MetaError> {
        let range = hour.max(query.from)..(hour + HOUR).min(query.to);
        for sample in self.samples(&query.series, range, &query.metrics).await? {
            for (name, value) in sample.values {
                let rollups = into.entry(name).or_insert_with(|| Rollups::every(query.step));
                rollups.add(sample.at.div_euclid(1_000), value);
            }
        }
        Ok(())
    }

    /// Answers a question: rollups of each metric by windows of `step` seconds. A window without a value is not there.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn measurements(&self, query: &MeasurementQuery) -> Result<BTreeMap<String, Rollups>, MetaError> {
        let mut all = ByMetric::new();
        let settings = self.monitoring_settings().await?;
        if query.resolution == Resolution::Raw {
            for sample in self.samples(&query.series, query.from..query.to, &query.metrics).await? {
                for (name, value) in sample.values {
                    let rollups = all.entry(name).or_insert_with(|| Rollups::every(query.step));
                    rollups.add(sample.at.div_euclid(1_000), value);
                }
            }
            return Ok(all);
        }
        let range = query.from..query.to;
        // Hours that are read as samples: those of which there are samples and no rollup.
        let first = start(query.from.max(query.now - settings.raw_seconds), HOUR);
        let mut open: Vec<i64> = (first..query.to.min(query.now + HOUR)).step_by(3_600).collect();
        if query.resolution == Resolution::Hour {
            self.read_rollups(HOURS, &query.series, range, &query.metrics, query.step, &mut all).await?;
            // A day's document has its hours one by one; which ones, the documents of minutes say.
            let made = self.made_hours(&query.series, first..query.to).await?;
            open.retain(|hour| !made.contains(hour));
        } else {
            let made = self.read_rollups(MINUTES, &query.series, range, &query.metrics, query.step, &mut all).await?;
            open.retain(|hour| !made.contains(hour));
        }
        for hour in open {
            self.read_samples(query, hour, &mut all).await?;
        }
        Ok(all)
    }

    async fn made_hours(&self, series: &str, range: std::ops::Range<i64>) -> Result<BTreeSet<i64>, MetaError> {
        let op = "look which rollups are made";
        let filter = doc! { "_id": { "$gte": key(series, range.start), "$lt": key(series, range.end) } };
        let found = self.of::<Document>(MINUTES).find(filter).projection(doc! { "_id": 1 }).await.map_err(on(op))?;
        let found: Vec<Document> = found.try_collect().await.map_err(on(op))?;
        Ok(found.iter().filter_map(|doc| doc.get_document("_id").ok()?.get_i64("at").ok()).collect())
    }
}
