//! What was measured: `samples {s: series, at, v: {METRIC: value}}`, a time-series collection, one document for each series and time.
//!
//! A series is a host, or a disk or database of it: `HOST`, `HOST/disk/sda1`, `HOST/db/shop`. A time-series collection has no unique
//! index; reports are accepted once ([`crate::monitoring_spools`]), and whoever reads takes of two documents of one series and time the
//! first, so that nothing counts twice in any case.

use std::collections::{BTreeMap, HashMap, HashSet};

use bson::{Bson, DateTime, Document, doc};
use futures::TryStreamExt as _;
use holdfast_domain::HostId;

use crate::{MetaDb, MetaError, error::on};

pub(crate) const SAMPLES: &str = "samples";

/// One document.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Series.
    pub series: String,
    /// When, milliseconds since 1970.
    pub at: i64,
    /// Values by the names of metrics.
    pub values: BTreeMap<String, f64>,
}

/// The series of a host, or of a part of it (`disk/NAME`, `db/NAME`; empty: the host itself).
#[must_use]
pub fn series_of(host: &HostId, part: &str) -> String {
    if part.is_empty() { host.to_string() } else { format!("{host}/{part}") }
}

fn date(millis: i64) -> DateTime {
    DateTime::from_millis(millis)
}

impl MetaDb {
    /// Stores samples. When it fails a part of them may be there.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn add_samples(&self, samples: &[Sample]) -> Result<(), MetaError> {
        if samples.is_empty() {
            return Ok(());
        }
        let docs = samples.iter().map(|sample| {
            let values: Document =
                sample.values.iter().map(|(name, value)| (name.clone(), Bson::from(*value))).collect();
            doc! { "s": &sample.series, "at": date(sample.at), "v": values }
        });
        let docs: Vec<Document> = docs.collect();
        let done = self.of::<Document>(SAMPLES).insert_many(docs).ordered(false).await;
        done.map(|_| ()).map_err(on("store samples"))
    }

    /// Those of the samples that are not stored yet.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn missing_samples(&self, samples: Vec<Sample>) -> Result<Vec<Sample>, MetaError> {
        let op = "look which samples are stored";
        let (Some(from), Some(to)) = (samples.iter().map(|s| s.at).min(), samples.iter().map(|s| s.at).max()) else {
            return Ok(samples);
        };
        let series: HashSet<&str> = samples.iter().map(|sample| sample.series.as_str()).collect();
        let series: Vec<&str> = series.into_iter().collect();
        let filter = doc! { "s": { "$in": series }, "at": { "$gte": date(from), "$lte": date(to) } };
        let all = self.of::<Document>(SAMPLES);
        let found = all.find(filter).projection(doc! { "s": 1, "at": 1, "_id": 0 });
        let found: Vec<Document> = found.await.map_err(on(op))?.try_collect().await.map_err(on(op))?;
        let there: HashSet<(String, i64)> = found
            .iter()
            .filter_map(|doc| {
                Some((doc.get_str("s").ok()?.to_owned(), doc.get_datetime("at").ok()?.timestamp_millis()))
            })
            .collect();
        Ok(samples.into_iter().filter(|sample| !there.contains(&(sample.series.clone(), sample.at))).collect())
    }

    /// Samples of a series from one second up to another (not included), in order, each time once. `metrics`: of these alone; empty: all.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn samples(
        &self,
        series: &str,
        range: std::ops::Range<i64>,
        metrics: &[String],
    ) -> Result<Vec<Sample>, MetaError> {
        let op = "read samples";
        let filter = doc! {
            "s": series, "at": { "$gte": date(range.start * 1_000), "$lt": date(range.end * 1_000) },
        };
        let mut shown = doc! { "_id": 0, "at": 1 };
        if metrics.is_empty() {
            shown.insert("v", 1);
        }
        for name in metrics {
            shown.insert(format!("v.{name}"), 1);
        }
        let all = self.of::<Document>(SAMPLES);
        let found = all.find(filter).projection(shown).sort(doc! { "at": 1 });
        let found: Vec<Document> = found.await.map_err(on(op))?.try_collect().await.map_err(on(op))?;
        let mut samples: Vec<Sample> = found.iter().filter_map(|doc| sample_of(series.to_owned(), doc)).collect();
        samples.dedup_by_key(|sample| sample.at);
        Ok(samples)
    }

    /// The newest sample of each series since that second.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn newest_samples(&self, series: &[String], since: i64) -> Result<HashMap<String, Sample>, MetaError> {
        let op = "read the newest samples";
        let pipeline = vec![
            doc! { "$match": { "s": { "$in": series }, "at": { "$gte": date(since * 1_000) } } },
            doc! { "$sort": { "s": 1, "at": -1 } },
            doc! { "$group": { "_id": "$s", "at": { "$first": "$at" }, "v": { "$first": "$v" } } },
        ];
        let found = self.of::<Document>(SAMPLES).aggregate(pipeline).await.map_err(on(op))?;
        let found: Vec<Document> = found.try_collect().await.map_err(on(op))?;
        let one = |doc: &Document| {
            let series = doc.get_str("_id").ok()?.to_owned();
            Some((series.clone(), sample_of(series, doc)?))
        };
        Ok(found.iter().filter_map(one).collect())
    }
}

fn sample_of(series: String, doc: &Document) -> Option<Sample> {
    let values = doc.get_document("v").into_iter().flatten();
    let values = values.filter_map(|(name, value)| Some((name.clone(), value.as_f64()?))).collect();
    Some(Sample { series, at: doc.get_datetime("at").ok()?.timestamp_millis(), values })
}
