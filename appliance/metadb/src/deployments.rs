//! Deployments: what a user added and what an agent found there.

use bson::{Bson, DateTime, doc, spec::BinarySubtype};
use futures::TryStreamExt as _;
use holdfast_agent_api::{PrivilegeCheck, SourceInfo};
use holdfast_domain::{AgentId, DeploymentId, GroupId};
use serde::{Deserialize, Serialize};

use crate::{
    MetaDb, MetaError,
    error::{duplicate, on, to_bson},
};

/// How far the discovery is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DeploymentState {
    /// An agent must look at it.
    Discovering,
    /// It can be backed up.
    Found,
    /// It cannot; `refusal` says why.
    Refused,
}

/// A deployment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Deployment {
    /// Id.
    #[serde(rename = "_id")]
    pub id: DeploymentId,
    /// Its group.
    pub group: GroupId,
    /// Name of the replica set, once found (or named by the user). Unique in the group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rs: Option<String>,
    /// `host:port`s, as the user gave them or as found.
    #[serde(default)]
    pub members: Vec<String>,
    /// Connection string, sealed by the master key; None when the credentials stay with the agent.
    #[serde(default)]
    pub uri_sealed: Option<bson::Binary>,
    /// State.
    pub state: DeploymentState,
    /// Why it cannot be backed up.
    #[serde(default)]
    pub refusal: Option<String>,
    /// What was found.
    #[serde(default)]
    pub source: Option<SourceInfo>,
    /// What backing up needs, and whether it is allowed.
    #[serde(default)]
    pub privileges: Vec<PrivilegeCheck>,
    /// The agent that looked at it: it can reach it.
    #[serde(default)]
    pub agent: Option<AgentId>,
    /// When it was added.
    pub created: DateTime,
    /// When it was looked at last.
    #[serde(default)]
    pub discovered: Option<DateTime>,
}

impl Deployment {
    /// The sealed connection string.
    #[must_use]
    pub fn uri_sealed(&self) -> Option<&[u8]> {
        self.uri_sealed.as_ref().map(|b| b.bytes.as_slice())
    }
}

/// What an agent found.
#[derive(Clone, Debug, PartialEq)]
pub struct Discovery {
    /// Who looked.
    pub agent: AgentId,
    /// Why it cannot be backed up.
    pub refusal: Option<String>,
    /// What it is.
    pub source: Option<SourceInfo>,
    /// What is allowed.
    pub privileges: Vec<PrivilegeCheck>,
}

impl MetaDb {
    /// Adds a deployment to look at. `rs` only where the user named it; None leaves it to the discovery.
    ///
    /// # Errors
    /// [`MetaError::Exists`] when the group has that replica set.
    pub async fn create_deployment(
        &self,
        group: &GroupId,
        rs: Option<&str>,
        members: Vec<String>,
        uri_sealed: Option<Vec<u8>>,
    ) -> Result<Deployment, MetaError> {
        let deployment = Deployment {
            id: DeploymentId::random(),
            group: group.clone(),
            rs: rs.map(str::to_owned),
            members,
            uri_sealed: uri_sealed.map(|bytes| bson::Binary { subtype: BinarySubtype::Generic, bytes }),
            state: DeploymentState::Discovering,
            refusal: None,
            source: None,
            privileges: Vec::new(),
            agent: None,
            created: DateTime::now(),
            discovered: None,
        };
        match self.of::<Deployment>("deployments").insert_one(&deployment).await {
            Ok(_) => Ok(deployment),
            Err(e) if duplicate(&e) => {
                Err(MetaError::Exists { what: "deployment", id: rs.unwrap_or_default().to_owned() })
            }
            Err(e) => Err(on("add a deployment")(e)),
        }
    }

    /// Stores what an agent found. A second deployment that turns out to be a replica set that the group has already is
    /// refused with a sentence, not lost. None: no such deployment.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn record_discovery(
        &self,
        id: &DeploymentId,
        found: &Discovery,
    ) -> Result<Option<Deployment>, MetaError> {
        let op = "store a discovery";
        let refused = found.refusal.is_some() || found.source.is_none();
        let state = if refused { DeploymentState::Refused } else { DeploymentState::Found };
        let refusal = match (&found.refusal, &found.source) {
            (None, None) => Some("the agent found nothing there".to_owned()),
            (refusal, _) => refusal.clone(),
        };
        let mut set = doc! {
            "state": to_bson(op, &state)?, "refusal": refusal, "source": to_bson(op, &found.source)?,
            "privileges": to_bson(op, &found.privileges)?, "agent": found.agent.clone(),
            "discovered": DateTime::now(),
        };
        if let Some(source) = &found.source {
            set.insert("rs", &source.rs);
            set.insert("members", source.members.iter().map(|m| m.host.clone()).collect::<Vec<_>>());
        }
        let deployment = match self.set_deployment(id, set.clone()).await {
            Err(MetaError::Database { source, .. }) if duplicate(&source) => {
                let rs = set.remove("rs").map(|rs| rs.to_string()).unwrap_or_default();
                set.insert("state", to_bson(op, &DeploymentState::Refused)?);
                set.insert("refusal", format!("this group has a deployment of replica set {rs} already"));
                self.set_deployment(id, set).await?
            }
            other => other?,
        };
        if let Some(deployment) = &deployment {
            self.put_hosts(deployment).await?;
        }
        Ok(deployment)
    }

    async fn set_deployment(&self, id: &DeploymentId, set: bson::Document) -> Result<Option<Deployment>, MetaError> {
        self.of("deployments")
            .find_one_and_update(doc! { "_id": id.clone() }, doc! { "$set": set })
            .return_document(mongodb::options::ReturnDocument::After)
            .await
            .map_err(on("store a discovery"))
    }

    /// Asks for another look.
    ///
    /// # Errors
    /// [`MetaError::NotFound`].
    pub async fn rediscover(&self, id: &DeploymentId) -> Result<(), MetaError> {
        let set =
            doc! { "state": to_bson("ask for a discovery", &DeploymentState::Discovering)?, "refusal": Bson::Null };
        match self.set_deployment(id, set).await? {
            Some(_) => Ok(()),
            None => Err(MetaError::NotFound { what: "deployment", id: id.to_string() }),
        }
    }

    /// Replaces the sealed connection string (None takes it away) and asks for another look.
    ///
    /// # Errors
    /// [`MetaError::NotFound`].
    pub async fn set_deployment_uri(&self, id: &DeploymentId, sealed: Option<Vec<u8>>) -> Result<(), MetaError> {
        let binary = sealed.map(|bytes| bson::Binary { subtype: BinarySubtype::Generic, bytes });
        self.set_deployment(id, doc! { "uriSealed": binary }).await?;
        self.rediscover(id).await
    }

    /// A deployment.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn deployment(&self, id: &DeploymentId) -> Result<Option<Deployment>, MetaError> {
        self.of("deployments").find_one(doc! { "_id": id.clone() }).await.map_err(on("read a deployment"))
    }

    /// A group's deployment by the name of its replica set.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn deployment_by_rs(&self, group: &GroupId, rs: &str) -> Result<Option<Deployment>, MetaError> {
        let filter = doc! { "group": group.clone(), "rs": rs };
        self.of("deployments").find_one(filter).await.map_err(on("read a deployment"))
    }

    /// Deployments of a group, oldest first.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn deployments(&self, group: &GroupId) -> Result<Vec<Deployment>, MetaError> {
        let op = "list deployments";
        let filter = doc! { "group": group.clone() };
        let cursor = self.of("deployments").find(filter).sort(doc! { "created": 1 }).await.map_err(on(op))?;
        cursor.try_collect().await.map_err(on(op))
    }

    /// Deployments of a group that an agent must look at.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn deployments_to_discover(&self, group: &GroupId) -> Result<Vec<Deployment>, MetaError> {
        let op = "list deployments to discover";
        let filter = doc! { "group": group.clone(), "state": to_bson(op, &DeploymentState::Discovering)? };
        let cursor = self.of("deployments").find(filter).sort(doc! { "created": 1 }).await.map_err(on(op))?;
        cursor.try_collect().await.map_err(on(op))
    }

    /// Removes a deployment that has no backup job. False: there is none.
    ///
    /// # Errors
    /// [`MetaError::Exists`] while it has a backup job.
    pub async fn remove_deployment(&self, id: &DeploymentId) -> Result<bool, MetaError> {
        let op = "remove a deployment";
        let job = self.of::<bson::Document>("backup_jobs").find_one(doc! { "deployment": id.clone() }).await;
        if job.map_err(on(op))?.is_some() {
            return Err(MetaError::Exists { what: "a backup of deployment", id: id.to_string() });
        }
        let hosts = self.of::<bson::Document>("hosts").delete_many(doc! { "deployment": id.clone() }).await;
        hosts.map_err(on(op))?;
        let done = self.of::<Deployment>("deployments").delete_one(doc! { "_id": id.clone() }).await;
        Ok(done.map_err(on(op))?.deleted_count > 0)
    }
}
