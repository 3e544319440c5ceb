//! Version 5 of the schema: monitoring. Raw samples lie in a time-series collection, rollups and everything else in ordinary ones.

use std::time::Duration;

use bson::doc;
use mongodb::{
    Database,
    options::{TimeseriesGranularity, TimeseriesOptions},
};

use crate::{
    MetaError, MonitoringSettings,
    error::{on, server_code},
    samples::SAMPLES,
    schema::{Index, OP, create},
};

/// Server code: the collection exists.
const CODE_NAMESPACE_EXISTS: i32 = 48;
/// Rollups repeat the names of metrics: zstd makes a third of what snappy makes of them.
const ZSTD: &str = "block_compressor=zstd";

pub(crate) async fn apply(db: &Database) -> Result<(), MetaError> {
    let series = TimeseriesOptions::builder()
        .time_field("at".to_owned())
        .meta_field(Some("s".to_owned()))
        .granularity(Some(TimeseriesGranularity::Seconds))
        .build();
    let kept = Duration::from_secs(MonitoringSettings::default().raw_seconds.unsigned_abs());
    there(db.create_collection(SAMPLES).timeseries(series).expire_after_seconds(kept).await)?;
    for name in ["sample_minutes", "sample_hours", "raw_pings"] {
        let engine = doc! { "wiredTiger": { "configString": ZSTD } };
        there(db.create_collection(name).storage_engine(engine).await)?;
    }
    create(
        db,
        [
            Index::new(SAMPLES, "series", doc! { "s": 1, "at": 1 }),
            Index::new("sample_minutes", "expires", doc! { "expires": 1 }).ttl(),
            Index::new("sample_hours", "expires", doc! { "expires": 1 }).ttl(),
            Index::new("sample_work", "hour", doc! { "hour": 1 }),
            Index::new("monitored_hosts", "host", doc! { "group": 1, "host": 1 }).unique(),
            Index::new("host_events", "group", doc! { "group": 1, "at": -1 }),
            Index::new("host_events", "host", doc! { "host": 1, "at": -1 }),
            Index::new("host_events", "expires", doc! { "expires": 1 }).ttl(),
            Index::new("host_facts", "group", doc! { "group": 1 }),
            Index::new("monitoring_spools", "expires", doc! { "expires": 1 }).ttl(),
            Index::new("raw_pings", "expires", doc! { "expires": 1 }).ttl(),
        ],
    )
    .await
}

/// A collection that another process made at this moment is there.
fn there(made: Result<(), mongodb::error::Error>) -> Result<(), MetaError> {
    match made {
        Err(e) if server_code(&e) != Some(CODE_NAMESPACE_EXISTS) => Err(on(OP)(e)),
        _ => Ok(()),
    }
}
