//! Days of receipt: which day's payloads may be named by an entry, and how that ends.
//!
//! `ledger_days {_id: {job, day}}`: made before the day's first payload, written by every append in its transaction, marked
//! `dropped` by a transaction that found no entry naming the day. The mark stays, so a day that was dropped is never used
//! again: neither a frozen ingest that thaws nor a clock that goes back can name what is gone. One small document per job and
//! day is the price.

use bson::{DateTime, Document, doc};
use holdfast_domain::BackupJobId;
use mongodb::ClientSession;

use crate::{
    Ledger, LedgerError,
    db::{Tries, duplicate, on, passing},
};

/// Days dropped by one call at most.
const DAYS_MAX: usize = 400;

fn day_key(job: &BackupJobId, day: i32) -> Document {
    doc! { "job": job.clone(), "day": day }
}

fn number(date: jiff::civil::Date) -> i32 {
    i32::from(date.year()) * 10_000 + i32::from(date.month()) * 100 + i32::from(date.day())
}

/// Today in UTC, `YYYYMMDD`.
pub(crate) fn today() -> i32 {
    number(jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date())
}

/// The day after `day`; a number that is no date counts on by one.
fn next(day: i32) -> i32 {
    let part = |n: i32| i8::try_from(n).ok();
    let date = i16::try_from(day / 10_000)
        .ok()
        .and_then(|year| jiff::civil::Date::new(year, part(day / 100 % 100)?, part(day % 100)?).ok()?.tomorrow().ok());
    date.map_or(day + 1, number)
}

impl Ledger {
    /// The day under which payloads are stored now; its document exists and is not dropped.
    pub(crate) async fn open_day(&self, job: &BackupJobId) -> Result<i32, LedgerError> {
        let op = "open the day of receipt";
        let days = self.days_collection();
        let mut day = today();
        let mut tries = Tries::new();
        loop {
            let filter = doc! { "_id": day_key(job, day) };
            match days.find_one(filter.clone()).await {
                Ok(Some(found)) if !found.get_bool("dropped").unwrap_or(false) => return Ok(day),
                Ok(Some(_)) => day = next(self.last_dropped_day(job).await?.unwrap_or(day).max(day)),
                Ok(None) => match days.insert_one(doc! { "_id": day_key(job, day), "made": DateTime::now() }).await {
                    Ok(_) => {
                        self.create_uncompressed(&Self::day_name(job, day)).await?;
                        return Ok(day);
                    }
                    Err(e) if duplicate(&e) && tries.pause().await => {}
                    Err(e) if passing(&e) && tries.pause().await => {}
                    Err(e) => return Err(on(op)(e)),
                },
                Err(e) if passing(&e) && tries.pause().await => {}
                Err(e) => return Err(on(op)(e)),
            }
        }
    }

    async fn last_dropped_day(&self, job: &BackupJobId) -> Result<Option<i32>, LedgerError> {
        let filter = doc! { "_id": { "$gte": day_key(job, 0), "$lte": day_key(job, i32::MAX) }, "dropped": true };
        let found = self.days_collection().find_one(filter).sort(doc! { "_id": -1 }).await;
        let found = found.map_err(on("read the days of receipt"))?;
        Ok(found.and_then(|doc| doc.get_document("_id").ok()?.get_i32("day").ok()))
    }

    /// Within an append's transaction: the day may be named. False: it was dropped or never was.
    pub(crate) async fn name_day(
        &self,
        session: &mut ClientSession,
        job: &BackupJobId,
        day: i32,
    ) -> Result<bool, LedgerError> {
        let filter = doc! { "_id": day_key(job, day), "dropped": { "$ne": true } };
        let update = doc! { "$inc": { "entries": 1_i64 } };
        let done = self.days_collection().update_one(filter, update).session(session).await;
        Ok(done.map_err(on("write the day of receipt"))?.matched_count > 0)
    }

    /// Drops the payloads of days before today that no entry names. Returns how many, and whether a bound stopped it.
    pub(crate) async fn drop_days(&self, job: &BackupJobId) -> Result<(u64, bool), LedgerError> {
        let op = "list the days of receipt";
        let before_today = doc! { "_id": { "$gte": day_key(job, 0), "$lt": day_key(job, today()) } };
        let mut cursor = self.days_collection().find(before_today).sort(doc! { "_id": 1 }).await.map_err(on(op))?;
        let mut collections: Option<Vec<String>> = None;
        let (mut dropped, mut seen) = (0, 0);
        while cursor.advance().await.map_err(on(op))? {
            let doc = cursor.deserialize_current().map_err(on(op))?;
            let Some(day) = doc.get_document("_id").ok().and_then(|id| id.get_i32("day").ok()) else { continue };
            let name = Self::day_name(job, day);
            if doc.get_bool("dropped").unwrap_or(false) {
                // A late writer may have made the collection again; what it wrote can be named by nothing.
                if collections.is_none() {
                    collections = Some(self.day_collections(job).await?);
                }
                if !collections.as_ref().is_some_and(|all| all.contains(&name)) {
                    continue;
                }
            } else if !self.mark_dropped(job, day).await? {
                continue;
            }
            self.db.collection::<Document>(&name).drop().await.map_err(on("drop a day's payloads"))?;
            dropped += 1;
            seen += 1;
            if seen >= DAYS_MAX {
                return Ok((dropped, true));
            }
        }
        Ok((dropped, false))
    }

    /// Drops the payloads of all days of a job that is removed, then forgets the days.
    pub(crate) async fn remove_days(&self, job: &BackupJobId) -> Result<(), LedgerError> {
        for name in self.day_collections(job).await? {
            self.db.collection::<Document>(&name).drop().await.map_err(on("drop a day's payloads"))?;
        }
        let all = doc! { "_id": { "$gte": day_key(job, 0), "$lte": day_key(job, i32::MAX) } };
        self.days_collection().delete_many(all).await.map(|_| ()).map_err(on("forget the days of receipt"))
    }

    async fn day_collections(&self, job: &BackupJobId) -> Result<Vec<String>, LedgerError> {
        let filter = doc! { "name": { "$regex": format!("^oplog_{job}_") } };
        self.db.list_collection_names().filter(filter).await.map_err(on("list the days' collections"))
    }

    /// Marks a day that no entry names. False: one names it.
    async fn mark_dropped(&self, job: &BackupJobId, day: i32) -> Result<bool, LedgerError> {
        let mut session = self.session().await?;
        let mut tries = Tries::new();
        loop {
            self.begin(&mut session).await?;
            let tried = self.try_mark_dropped(&mut session, job, day).await;
            if let Some(done) = self.settle(&mut session, &mut tries, tried).await {
                return done;
            }
        }
    }

    async fn try_mark_dropped(
        &self,
        session: &mut ClientSession,
        job: &BackupJobId,
        day: i32,
    ) -> Result<bool, LedgerError> {
        let op = "mark a day as dropped";
        let naming = doc! { "_id.job": job.clone(), "entry.body.slice.payload.day": day };
        let named = self.entries_collection().find_one(naming).session(&mut *session).await.map_err(on(op))?;
        if named.is_some() {
            return Ok(false);
        }
        let filter = doc! { "_id": day_key(job, day), "dropped": { "$ne": true } };
        let update = doc! { "$set": { "dropped": true } };
        let done = self.days_collection().update_one(filter, update).session(&mut *session).await.map_err(on(op))?;
        Ok(done.matched_count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_follow_each_other() {
        assert_eq!(next(20_260_228), 20_260_301);
        assert_eq!(next(20_261_231), 20_270_101);
        assert_eq!(next(20_261_399), 20_261_400);
        assert!(today() > 20_250_000);
    }
}
