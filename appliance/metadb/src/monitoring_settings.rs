//! How often hosts are read, and how long what was measured is kept. One document, shared by all instances.

use bson::doc;
use holdfast_agent_api::{MONITORING_PERIOD_SECONDS, MONITORING_PERIOD_SECONDS_MAX, MONITORING_PERIOD_SECONDS_MIN};
use holdfast_metrics::Kept;
use serde::{Deserialize, Serialize};

use crate::{
    MetaDb, MetaError,
    error::{on, to_bson},
    samples::SAMPLES,
};

const NAME: &str = "monitoring";
const DAY: i64 = 86_400;

/// The settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MonitoringSettings {
    /// Each host is read this often, in seconds: 10 to 300.
    pub period_seconds: u64,
    /// What was read is kept so long, in seconds: six hours to a week. Rollups of late reports are made from it.
    pub raw_seconds: i64,
    /// Rollups of a minute are kept so long, in seconds: two days to a year. Rollups of an hour are made from them.
    pub minute_seconds: i64,
    /// Rollups of an hour are kept so long, in seconds: two weeks to ten years.
    pub hour_seconds: i64,
}

impl Default for MonitoringSettings {
    fn default() -> Self {
        Self {
            period_seconds: MONITORING_PERIOD_SECONDS,
            raw_seconds: DAY,
            minute_seconds: 14 * DAY,
            hour_seconds: 730 * DAY,
        }
    }
}

impl MonitoringSettings {
    /// Refuses values out of range.
    ///
    /// # Errors
    /// [`MetaError::Invalid`] naming the first.
    pub fn check(&self) -> Result<(), MetaError> {
        let wrong = |what, detail: &str| Err(MetaError::Invalid { what, detail: detail.to_owned() });
        if !(MONITORING_PERIOD_SECONDS_MIN..=MONITORING_PERIOD_SECONDS_MAX).contains(&self.period_seconds) {
            return wrong("periodSeconds", "it lies between 10 and 300");
        }
        if !(DAY / 4..=7 * DAY).contains(&self.raw_seconds) {
            return wrong("rawSeconds", "it lies between six hours and a week");
        }
        if !(2 * DAY..=366 * DAY).contains(&self.minute_seconds) {
            return wrong("minuteSeconds", "it lies between two days and a year");
        }
        if !(14 * DAY..=3_660 * DAY).contains(&self.hour_seconds) {
            return wrong("hourSeconds", "it lies between two weeks and ten years");
        }
        Ok(())
    }

    /// How long each resolution is kept.
    #[must_use]
    pub const fn kept(&self) -> Kept {
        Kept { raw_seconds: self.raw_seconds, minute_seconds: self.minute_seconds, hour_seconds: self.hour_seconds }
    }
}

impl MetaDb {
    /// The settings; the defaults when none were set.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn monitoring_settings(&self) -> Result<MonitoringSettings, MetaError> {
        let found = self.appliance_setting(NAME).await?;
        Ok(found.and_then(|doc| bson::deserialize_from_document(doc).ok()).unwrap_or_default())
    }

    /// Sets them. What was stored under longer ones goes when its time by the new ones is over, rollups by the old ones.
    ///
    /// # Errors
    /// [`MetaError::Invalid`], [`MetaError::Database`].
    pub async fn set_monitoring_settings(&self, settings: &MonitoringSettings) -> Result<(), MetaError> {
        let op = "set how monitoring works";
        settings.check()?;
        let change = doc! { "collMod": SAMPLES, "expireAfterSeconds": settings.raw_seconds };
        self.database().run_command(change).await.map_err(on(op))?;
        match to_bson(op, settings)? {
            bson::Bson::Document(value) => self.put_appliance_setting(NAME, value).await,
            _ => Err(MetaError::Invalid { what: "monitoring", detail: "it is no document".to_owned() }),
        }
    }
}
