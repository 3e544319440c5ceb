//! Counters behind rate limits and lock-outs, shared by all instances.
//!
//! A counter is named by what is counted (hashed: addresses and e-mail addresses are not kept), starts again when its window is over, and is
//! removed by a TTL index.

use std::time::Duration;

use bson::{DateTime, doc};
use mongodb::options::ReturnDocument;
use serde::{Deserialize, Serialize};

use crate::{
    MetaDb, MetaError,
    error::{duplicate, on},
    hash_secret,
};

#[derive(Debug, Serialize, Deserialize)]
struct Counter {
    count: i64,
    ends: DateTime,
}

impl MetaDb {
    /// Counts one more; None while the count is at most `max` in this window, else how many seconds are left of it (at least 1).
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn throttle(&self, name: &str, max: u32, window: Duration) -> Result<Option<u64>, MetaError> {
        let op = "count an attempt";
        let window_millis = i64::try_from(window.as_millis()).unwrap_or(i64::MAX);
        let runs = doc! { "$gt": ["$ends", "$$NOW"] };
        let update = vec![doc! { "$set": {
            "count": { "$cond": [runs.clone(), { "$add": ["$count", 1_i64] }, 1_i64] },
            "ends": { "$cond": [runs, "$ends", { "$add": ["$$NOW", window_millis] }] },
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

    /// Forgets a counter: after a success.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn unthrottle(&self, name: &str) -> Result<(), MetaError> {
        let done = self.of::<Counter>("throttles").delete_one(doc! { "_id": hash_secret(name) }).await;
        done.map(|_| ()).map_err(on("forget attempts"))
    }
}
