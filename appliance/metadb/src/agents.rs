//! Agents and their keys.

use std::time::Duration;

use bson::{DateTime, doc};
use futures::TryStreamExt as _;
use holdfast_domain::{AgentId, GroupId};
use serde::{Deserialize, Serialize};

use crate::{
    MetaDb, MetaError, MonitoringAgent, SecretKind,
    api_keys::after,
    enroll_tokens::KEYS_MAX,
    error::{on, to_bson},
    hash_secret, new_secret,
};

/// One key of an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentKey {
    /// Hex SHA-256 of the secret.
    pub hash: String,
    /// When it was made.
    pub created: DateTime,
    /// When it ends: set when a newer one replaced it.
    pub expires: Option<DateTime>,
}

/// An agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Agent {
    /// Id.
    #[serde(rename = "_id")]
    pub id: AgentId,
    /// Its group.
    pub group: GroupId,
    /// Its machine.
    pub hostname: String,
    /// Its version.
    pub version: String,
    /// Made once per state directory of an agent.
    pub instance: String,
    /// Its keys.
    #[serde(default)]
    pub keys: Vec<AgentKey>,
    /// When it enrolled first.
    pub created: DateTime,
    /// When it was heard of last, by the server's clock; shown, never decided on.
    pub last_seen: DateTime,
    /// Raised by one whenever it is heard of: whoever must know whether it lives watches this.
    #[serde(default)]
    pub beat: i64,
    /// When it was revoked: none of its keys works.
    #[serde(default)]
    pub revoked: Option<DateTime>,
    /// What its monitoring part said last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monitoring: Option<MonitoringAgent>,
}

impl MetaDb {
    /// The agent that this key belongs to, unless the key is unknown or over or the agent is revoked.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn authenticate_agent(&self, key: &str) -> Result<Option<Agent>, MetaError> {
        let hash = hash_secret(key);
        let filter = doc! { "keys.hash": &hash, "revoked": null };
        let found: Option<Agent> = self.of("agents").find_one(filter).await.map_err(on("authenticate an agent"))?;
        let now = DateTime::now();
        Ok(found
            .filter(|agent| agent.keys.iter().any(|key| key.hash == hash && key.expires.is_none_or(|end| end > now))))
    }

    /// Gives the agent a new key; the others work on for `overlap`. The answer is the secret.
    ///
    /// # Errors
    /// [`MetaError::NotFound`] when the agent is unknown or revoked.
    pub async fn rotate_agent_key(&self, id: &AgentId, overlap: Duration) -> Result<String, MetaError> {
        let op = "rotate an agent's key";
        let secret = new_secret(SecretKind::AgentKey);
        let key = AgentKey { hash: hash_secret(&secret), created: DateTime::now(), expires: None };
        let end = after(overlap);
        // One pipeline, so that ending the old keys and adding the new one is one step.
        let ended = doc! { "$map": { "input": "$keys", "as": "k", "in": { "$mergeObjects": ["$$k", {
            "expires": { "$cond": [
                { "$lt": [{ "$ifNull": ["$$k.expires", end] }, end] }, "$$k.expires", end,
            ] },
        }] } } };
        let all = doc! { "$concatArrays": [ended, [{ "$literal": to_bson(op, &key)? }]] };
        let update = vec![doc! { "$set": { "keys": { "$slice": [all, -KEYS_MAX] } } }];
        let done = self.of::<Agent>("agents").update_one(doc! { "_id": id.clone(), "revoked": null }, update).await;
        if done.map_err(on(op))?.matched_count == 0 {
            return Err(MetaError::NotFound { what: "agent", id: id.to_string() });
        }
        Ok(secret)
    }

    /// Revokes an agent: its keys end now, also for the case that it enrols again one day. False: there is none, or it was
    /// revoked.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn revoke_agent(&self, id: &AgentId) -> Result<bool, MetaError> {
        let now = DateTime::now();
        let update = doc! { "$set": { "revoked": now, "keys.$[].expires": now } };
        let filter = doc! { "_id": id.clone(), "revoked": null };
        let done = self.of::<Agent>("agents").update_one(filter, update).await;
        Ok(done.map_err(on("revoke an agent"))?.matched_count > 0)
    }

    /// The agent was heard of.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn touch_agent(&self, id: &AgentId, hostname: &str, version: &str) -> Result<(), MetaError> {
        let update = doc! {
            "$set": { "lastSeen": DateTime::now(), "hostname": hostname, "version": version },
            "$inc": { "beat": 1_i64 },
        };
        let done = self.of::<Agent>("agents").update_one(doc! { "_id": id.clone() }, update).await;
        done.map(|_| ()).map_err(on("note an agent's beat"))
    }

    /// An agent.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn agent(&self, id: &AgentId) -> Result<Option<Agent>, MetaError> {
        self.of("agents").find_one(doc! { "_id": id.clone() }).await.map_err(on("read an agent"))
    }

    /// Agents of a group, revoked ones too, by host name.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn agents(&self, group: &GroupId) -> Result<Vec<Agent>, MetaError> {
        let op = "list agents";
        let filter = doc! { "group": group.clone() };
        let cursor = self.of("agents").find(filter).sort(doc! { "hostname": 1, "_id": 1 }).await.map_err(on(op))?;
        cursor.try_collect().await.map_err(on(op))
    }
}
