//! Counters behind rate limits and lock-outs, shared by all instances.
//!
//! A counter is named by what is counted (hashed: addresses and e-mail addresses are not kept), starts again when its window is over, and is
//! removed by a TTL index. Counters of one family (an account, from many addresses) can be forgotten together. Notes lie beside the counters:
//! that something was seen, for a while.

use std::time::Duration;

use bson::{DateTime, doc};
use mongodb::options::ReturnDocument;
use serde::{Deserialize, Serialize};

use crate::{
    MetaDb, MetaError,
    api_keys::after,
    error::{duplicate, on},
    hash_secret,
};

#[derive(Debug, Serialize, Deserialize)]
struct Counter {
    count: i64,
    ends: DateTime,
    /// Hashed name of the family.
    #[serde(default)]
    family: Option<String>,
}

impl MetaDb {
    /// Counts one more; None while the count is at most `max` in this window, else how many seconds are left of it (at least 1).
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn throttle(&self, name: &str, max: u32, window: Duration) -> Result<Option<u64>, MetaError> {
        self.throttle_of(None, name, max, window).await
    }

    /// The same for a counter of a family.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn throttle_of(
        &self,
        family: Option<&str>,
        name: &str,
        max: u32,
        window: Duration,
    ) -> Result<Option<u64>, MetaError> {
        let op = "count an attempt";
        let window_millis = i64::try_from(window.as_millis()).unwrap_or(i64::MAX);
        let runs = doc! { "$gt": ["$ends", "$$NOW"] };
        let update = vec![doc! { "$set": {
            "count": { "$cond": [runs.clone(), { "$add": ["$count", 1_i64] }, 1_i64] },
            "ends": { "$cond": [runs, "$ends", { "$add": ["$$NOW", window_millis] }] },
            "family": family.map(hash_secret),
        } }];
        let id = hash_secret(name);
        for last in [false, true] {
            let counted = self
                .of::<Counter>("throttles")
                .find_one_and_update(doc! { "_id": &id }, update.clone())
                .upsert(true)
                .return_document(ReturnDocument::After)
                .await;
            match counted {
                Ok(Some(counter)) if counter.count > i64::from(max) => {
                    let left = counter.ends.timestamp_millis() - DateTime::now().timestamp_millis();
                    return Ok(Some(u64::try_from(left / 1000).unwrap_or(0).max(1)));
                }
                Ok(_) => return Ok(None),
                Err(e) if duplicate(&e) && !last => {}
                Err(e) => return Err(on(op)(e)),
            }
        }
        Err(MetaError::Contention { op })
    }

    /// Forgets all counters of a family.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn unthrottle_family(&self, family: &str) -> Result<(), MetaError> {
        let done = self.of::<Counter>("throttles").delete_many(doc! { "family": hash_secret(family) }).await;
        done.map(|_| ()).map_err(on("forget attempts"))
    }

    /// Notes that this was seen; the note lasts so long from now.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn note_seen(&self, name: &str, lifetime: Duration) -> Result<(), MetaError> {
        let set = doc! { "$set": { "count": 0_i64, "ends": after(lifetime) } };
        let id = hash_secret(name);
        for last in [false, true] {
            match self.of::<Counter>("throttles").update_one(doc! { "_id": &id }, set.clone()).upsert(true).await {
                Ok(_) => return Ok(()),
                Err(e) if duplicate(&e) && !last => {}
                Err(e) => return Err(on("note what was seen")(e)),
            }
        }
        Ok(())
    }

    /// True while a note of [`Self::note_seen`] lasts.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn was_seen(&self, name: &str) -> Result<bool, MetaError> {
        let filter = doc! { "_id": hash_secret(name), "ends": { "$gt": DateTime::now() } };
        let found = self.of::<Counter>("throttles").find_one(filter).await;
        Ok(found.map_err(on("look what was seen"))?.is_some())
    }

    /// Forgets a counter: after a success.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn unthrottle(&self, name: &str) -> Result<(), MetaError> {
        let done = self.of::<Counter>("throttles").delete_one(doc! { "_id": hash_secret(name) }).await;
        done.map(|_| ()).map_err(on("forget attempts"))
    }
}
