//! Hosts that are monitored, as their agent saw them last: `monitored_hosts {_id, group, host, report, first}`.
//!
//! The id of a host follows from group and `host:port`, so that what is measured needs no look-up, and a host that vanishes and comes back
//! is the same one.

use bson::{DateTime, Document, doc};
use futures::TryStreamExt as _;
use holdfast_agent_api::HostReport;
use holdfast_domain::{GroupId, Hash32, HostId};
use serde::{Deserialize, Serialize};

use crate::{
    MetaDb, MetaError,
    error::{duplicate, on, to_bson},
};

const COLLECTION: &str = "monitored_hosts";
/// Hosts of one group, at most.
const HOSTS_MAX: i64 = 20_000;

/// A host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MonitoredHost {
    /// Id.
    #[serde(rename = "_id")]
    pub id: HostId,
    /// Its group.
    pub group: GroupId,
    /// `host:port`.
    pub host: String,
    /// How it was when it was seen last.
    pub report: HostReport,
    /// When it was seen first.
    pub first: DateTime,
    /// When it was no longer found; none while it is.
    #[serde(default)]
    pub gone: Option<DateTime>,
}

/// The id of a host.
#[must_use]
pub fn host_id(group: &GroupId, host: &str) -> HostId {
    let hash = Hash32::of(format!("{group}/{host}").as_bytes()).to_string();
    let digits = hash.get(..24).unwrap_or_default();
    digits.parse().expect("a hash has more than 24 hexadecimal digits")
}

impl MetaDb {
    /// Keeps how hosts are, unless something newer is known.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn note_monitored_hosts(&self, group: &GroupId, reports: &[HostReport]) -> Result<(), MetaError> {
        let op = "store how hosts are";
        for report in reports {
            let id = host_id(group, &report.host);
            let which =
                doc! { "_id": id, "group": group.clone(), "host": &report.host, "report.at": { "$lt": report.at } };
            let update = doc! {
                "$set": { "report": to_bson(op, report)?, "gone": bson::Bson::Null },
                "$setOnInsert": { "first": DateTime::now() },
            };
            match self.of::<Document>(COLLECTION).update_one(which, update).upsert(true).await {
                Ok(_) => {}
                // What is there is newer.
                Err(e) if duplicate(&e) => {}
                Err(e) => return Err(on(op)(e)),
            }
        }
        Ok(())
    }

    /// These hosts are no longer part of what is monitored, as of this time (milliseconds since 1970).
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn note_gone_hosts(&self, group: &GroupId, hosts: &[String], at: i64) -> Result<(), MetaError> {
        if hosts.is_empty() {
            return Ok(());
        }
        let which = doc! { "group": group.clone(), "host": { "$in": hosts }, "report.at": { "$lte": at } };
        let update = doc! { "$set": { "gone": DateTime::from_millis(at) } };
        let done = self.of::<Document>(COLLECTION).update_many(which, update).await;
        done.map(|_| ()).map_err(on("store which hosts are gone"))
    }

    /// Hosts of a group, by name; those that are gone only when asked for.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn monitored_hosts(&self, group: &GroupId, gone: bool) -> Result<Vec<MonitoredHost>, MetaError> {
        let op = "list monitored hosts";
        let mut filter = doc! { "group": group.clone() };
        if !gone {
            filter.insert("gone", bson::Bson::Null);
        }
        let found = self.of(COLLECTION).find(filter).sort(doc! { "host": 1 }).limit(HOSTS_MAX).await.map_err(on(op))?;
        found.try_collect().await.map_err(on(op))
    }

    /// A host of a group.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn monitored_host(&self, group: &GroupId, id: &HostId) -> Result<Option<MonitoredHost>, MetaError> {
        let filter = doc! { "_id": id.clone(), "group": group.clone() };
        self.of(COLLECTION).find_one(filter).await.map_err(on("read a monitored host"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_id_follows_from_group_and_name() {
        let (a, b) = (GroupId::random(), GroupId::random());
        assert_eq!(host_id(&a, "h:1"), host_id(&a, "h:1"));
        assert_ne!(host_id(&a, "h:1"), host_id(&b, "h:1"));
        assert_ne!(host_id(&a, "h:1"), host_id(&a, "h:2"));
    }
}
