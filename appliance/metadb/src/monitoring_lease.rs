//! Which agent of a group monitors: `monitoring {_id: group, lease, since}`.
//!
//! The lease is watched by the agents that stand by, each by its own monotonic clock; here it is only read, renewed and taken by
//! compare-and-set. `since` says from when on what an earlier holder found no longer counts.

use bson::{DateTime, Document, doc};
use holdfast_domain::{AgentId, GroupId, Lease};
use serde::{Deserialize, Serialize};

use crate::{
    MetaDb, MetaError,
    error::{duplicate, on},
};

const COLLECTION: &str = "monitoring";

/// The lease of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MonitoringLease {
    /// The lease; its owner is an agent's id.
    pub lease: Lease,
    /// When the owner took it, by the database's clock.
    #[serde(default)]
    pub since: Option<DateTime>,
}

/// What a monitoring agent says of itself; shown, never decided on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MonitoringAgent {
    /// How far its clock is before the server's, in milliseconds.
    pub clock_ahead_millis: i64,
    /// Bytes of reports that wait on its disk.
    pub spool_bytes: i64,
    /// Memory that it holds, in bytes.
    pub resident_bytes: i64,
    /// It holds the group's lease.
    pub active: bool,
}

impl MetaDb {
    /// The group's lease; one that nobody holds when there was none.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn monitoring_lease(&self, group: &GroupId) -> Result<MonitoringLease, MetaError> {
        let op = "read the lease of monitoring";
        let all = self.of::<Document>(COLLECTION);
        let which = doc! { "_id": group.clone() };
        if let Some(found) = self.of(COLLECTION).find_one(which.clone()).await.map_err(on(op))? {
            return Ok(found);
        }
        let free = doc! { "$setOnInsert": { "lease": { "owner": "", "epoch": 0_i64, "beat": 0_i64 } } };
        match all.update_one(which.clone(), free).upsert(true).await {
            Err(e) if !duplicate(&e) => return Err(on(op)(e)),
            _ => {}
        }
        let found = self.of(COLLECTION).find_one(which).await.map_err(on(op))?;
        found.ok_or_else(|| MetaError::NotFound { what: "lease of monitoring of", id: group.to_string() })
    }

    /// Takes the lease if it is still as it was seen. None: it moved.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn take_monitoring(
        &self,
        group: &GroupId,
        seen: &Lease,
        agent: &AgentId,
    ) -> Result<Option<i64>, MetaError> {
        let taken = self.take(COLLECTION, group.as_str(), seen, agent.as_str()).await?;
        if let Some(epoch) = taken {
            // Apart from the taking: until it is there, reports of the holder before still count.
            let which = doc! { "_id": group.clone(), "lease.epoch": epoch };
            let now = doc! { "$currentDate": { "since": true } };
            let done = self.of::<Document>(COLLECTION).update_one(which, now).await;
            done.map_err(on("take the lease of monitoring"))?;
        }
        Ok(taken)
    }

    /// Renews the lease.
    ///
    /// # Errors
    /// [`MetaError::Fenced`] when it is another's.
    pub async fn beat_monitoring(&self, group: &GroupId, agent: &AgentId, epoch: i64) -> Result<(), MetaError> {
        let held = crate::leases::held(group.as_str(), agent.as_str(), epoch);
        self.write_lease(COLLECTION, held, doc! { "$inc": { "lease.beat": 1_i64 } }).await
    }

    /// Gives the lease back: the next agent that asks may take it at once.
    ///
    /// # Errors
    /// [`MetaError::Fenced`] when it is another's.
    pub async fn release_monitoring(&self, group: &GroupId, agent: &AgentId, epoch: i64) -> Result<(), MetaError> {
        let held = crate::leases::held(group.as_str(), agent.as_str(), epoch);
        let update = doc! { "$set": { "lease.owner": "" }, "$inc": { "lease.beat": 1_i64 } };
        self.write_lease(COLLECTION, held, update).await
    }

    /// Keeps what a monitoring agent says of itself.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn note_monitoring_agent(&self, agent: &AgentId, said: &MonitoringAgent) -> Result<(), MetaError> {
        let op = "note a monitoring agent";
        let update = doc! { "$set": { "monitoring": crate::error::to_bson(op, said)? } };
        let done = self.of::<Document>("agents").update_one(doc! { "_id": agent.clone() }, update).await;
        done.map(|_| ()).map_err(on(op))
    }
}
