//! Deliveries: the pushes of restores to SFTP servers, a part of the restore jobs' documents (`delivery`).
//!
//! Invariants: a delivery is worked on under the restore job's lease, which nobody else takes once the restore is ready; every write of that
//! work carries the lease's epoch and one of the states from which its event may happen, so that what was called off stays called off.
//! States move by `holdfast_domain::DeliveryState::next` alone. Written by web (asked for, called off) and by the daemon.

use bson::{Bson, doc};
use futures::TryStreamExt as _;
use holdfast_domain::{DeliveryEvent, DeliveryState, RestoreJobId, RestoreState};
use serde::{Deserialize, Serialize};

use crate::{
    MetaDb, MetaError, RestoreFence, RestoreJob,
    error::{on, to_bson},
};

/// Deliveries looked at in one round, oldest first.
const DELIVERIES_MAX: i64 = 200;

/// Where a restore is pushed to, and how far that is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Delivery {
    /// Id of the SFTP target.
    pub target: String,
    /// Its name when the restore was asked for, for people.
    pub target_name: String,
    /// Path of the file at the server. Written by web, read by the daemon.
    pub path: String,
    /// State.
    pub state: DeliveryState,
    /// Bytes that the server has acknowledged. Written by the daemon about once a second.
    #[serde(default)]
    pub sent_bytes: i64,
    /// Bytes of the file; None for `tar.gz`, and until a daemon has begun.
    #[serde(default)]
    pub total_bytes: Option<i64>,
    /// Bytes per second, lately; 0 while nothing is sent.
    #[serde(default)]
    pub bytes_per_second: i64,
    /// Attempts begun.
    #[serde(default)]
    pub attempts: i64,
    /// Why it failed, or why it is tried again.
    #[serde(default)]
    pub error: Option<String>,
}

impl Delivery {
    /// Folder of the file at the server.
    #[must_use]
    pub fn folder(&self) -> String {
        match self.path.rsplit_once('/') {
            None => ".".to_owned(),
            Some(("", _)) => "/".to_owned(),
            Some((folder, _)) => folder.to_owned(),
        }
    }
}

/// How far a delivery is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeliveryProgress {
    /// Bytes that the server has acknowledged.
    pub sent_bytes: i64,
    /// Bytes of the file, where they are known.
    pub total_bytes: Option<i64>,
    /// Bytes per second.
    pub bytes_per_second: i64,
}

impl MetaDb {
    /// Restores that are made and whose delivery has not ended, oldest first.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn open_deliveries(&self) -> Result<Vec<RestoreJob>, MetaError> {
        let op = "list deliveries";
        let open = to_bson(op, &DeliveryState::before(DeliveryEvent::Begin))?;
        let filter = doc! { "delivery.state": { "$in": open }, "root": { "$ne": Bson::Null } };
        let found = self.of("restore_jobs").find(filter).sort(doc! { "created": 1 }).limit(DELIVERIES_MAX).await;
        found.map_err(on(op))?.try_collect().await.map_err(on(op))
    }

    /// Moves a delivery on by an event of its daemon. `error` is why it broke or failed.
    ///
    /// # Errors
    /// [`MetaError::Fenced`] when the lease is lost, or the delivery was called off.
    pub async fn move_delivery(
        &self,
        fence: &RestoreFence,
        from: DeliveryState,
        event: DeliveryEvent,
        error: Option<&str>,
    ) -> Result<(), MetaError> {
        let op = "move a delivery on";
        let Some(next) = from.next(event) else { return Err(MetaError::Fenced) };
        let mut filter = fence.filter();
        filter.insert("delivery.state", to_bson(op, &from)?);
        let mut update = doc! { "$set": {
            "delivery.state": to_bson(op, &next)?, "delivery.error": error, "delivery.bytesPerSecond": 0_i64,
        } };
        if event == DeliveryEvent::Begin {
            update.insert("$inc", doc! { "delivery.attempts": 1_i64 });
        }
        self.write_lease("restore_jobs", filter, update).await
    }

    /// Says how far a delivery is, and keeps its lease.
    ///
    /// # Errors
    /// [`MetaError::Fenced`] when the lease is lost, or the delivery was called off.
    pub async fn beat_delivery(&self, fence: &RestoreFence, done: &DeliveryProgress) -> Result<(), MetaError> {
        let mut filter = fence.filter();
        filter.insert("delivery.state", to_bson("say how far a delivery is", &DeliveryState::Sending)?);
        let update = doc! { "$inc": { "lease.beat": 1_i64 }, "$set": {
            "delivery.sentBytes": done.sent_bytes,
            "delivery.totalBytes": done.total_bytes,
            "delivery.bytesPerSecond": done.bytes_per_second,
        } };
        self.write_lease("restore_jobs", filter, update).await
    }

    /// Asks for the delivery of a restore that is ready and has none, or one that has ended. False: it cannot have one now.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn ask_delivery(&self, id: &RestoreJobId, delivery: &Delivery) -> Result<bool, MetaError> {
        let op = "ask for a delivery";
        let ended: Vec<DeliveryState> = DeliveryState::ALL.into_iter().filter(|state| state.ended()).collect();
        let filter = doc! {
            "_id": id.clone(), "state": to_bson(op, &RestoreState::Ready)?, "root": { "$ne": Bson::Null },
            "$or": [{ "delivery": Bson::Null }, { "delivery.state": { "$in": to_bson(op, &ended)? } }],
        };
        let update = doc! { "$set": { "delivery": to_bson(op, delivery)? } };
        let done = self.of::<RestoreJob>("restore_jobs").update_one(filter, update).await.map_err(on(op))?;
        Ok(done.matched_count > 0)
    }

    /// Calls a delivery off. False: it had ended, or there is none.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn cancel_delivery(&self, id: &RestoreJobId) -> Result<bool, MetaError> {
        let op = "call a delivery off";
        let open = to_bson(op, &DeliveryState::before(DeliveryEvent::Cancel))?;
        let filter = doc! { "_id": id.clone(), "delivery.state": { "$in": open } };
        let update = doc! { "$set": { "delivery.state": to_bson(op, &DeliveryState::Cancelled)? } };
        let done = self.of::<RestoreJob>("restore_jobs").update_one(filter, update).await.map_err(on(op))?;
        Ok(done.matched_count > 0)
    }
}
