//! Hosts: the members of deployments, as last found.

use bson::{DateTime, doc};
use futures::TryStreamExt as _;
use holdfast_domain::{DeploymentId, GroupId, HostId};
use serde::{Deserialize, Serialize};

use crate::{Deployment, MetaDb, MetaError, error::on};

/// A host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// Id.
    #[serde(rename = "_id")]
    pub id: HostId,
    /// Its group.
    pub group: GroupId,
    /// Its deployment.
    pub deployment: DeploymentId,
    /// `host:port`.
    pub host: String,
    /// `PRIMARY`, `SECONDARY` ... when last seen.
    pub state: String,
    /// Hidden from clients.
    #[serde(default)]
    pub hidden: bool,
    /// When it was seen last.
    pub seen: DateTime,
}

impl MetaDb {
    /// Makes the hosts of a deployment those that its discovery found.
    pub(crate) async fn put_hosts(&self, deployment: &Deployment) -> Result<(), MetaError> {
        let Some(source) = &deployment.source else { return Ok(()) };
        let op = "store hosts";
        let hosts = self.of::<Host>("hosts");
        for member in &source.members {
            let which = doc! {
                "group": deployment.group.clone(), "deployment": deployment.id.clone(), "host": &member.host,
            };
            let update = doc! {
                "$set": { "state": &member.state, "hidden": member.hidden, "seen": DateTime::now() },
                "$setOnInsert": { "_id": HostId::random() },
            };
            match hosts.update_one(which, update).upsert(true).await {
                Ok(_) => {}
                Err(e) if crate::error::duplicate(&e) => {}
                Err(e) => return Err(on(op)(e)),
            }
        }
        let names: Vec<&str> = source.members.iter().map(|m| m.host.as_str()).collect();
        let gone = doc! { "deployment": deployment.id.clone(), "host": { "$nin": names } };
        hosts.delete_many(gone).await.map(|_| ()).map_err(on(op))
    }

    /// Hosts of a group, by name.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn hosts(&self, group: &GroupId) -> Result<Vec<Host>, MetaError> {
        let op = "list hosts";
        let filter = doc! { "group": group.clone() };
        let cursor = self.of("hosts").find(filter).sort(doc! { "host": 1 }).await.map_err(on(op))?;
        cursor.try_collect().await.map_err(on(op))
    }
}
