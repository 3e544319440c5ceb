//! Enrolment: a token, given out by an operator, is exchanged once for an agent's own key.
//!
//! The exchange claims the token for the agent's `instance` first and makes the agent after, so that an agent whose answer
//! was lost may ask again, and no other instance may use the token meanwhile.

use std::time::Duration;

use bson::{DateTime, doc};
use holdfast_domain::{AgentId, Classify, ErrorClass, GroupId};
use serde::{Deserialize, Serialize};

use crate::{
    Agent, AgentKey, MetaDb, MetaError, SecretKind,
    api_keys::after,
    error::{duplicate, on, to_bson},
    hash_secret, new_secret,
};

/// A token holds for this long: 24 h.
const TOKEN_LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// Keys kept of an agent; the oldest go. Two overlap at a rotation.
pub(crate) const KEYS_MAX: i32 = 4;

/// A token, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EnrollTokenRecord {
    /// Hex SHA-256 of the secret.
    #[serde(rename = "_id")]
    pub hash: String,
    /// The group that the agent will belong to.
    pub group: GroupId,
    /// When it was made.
    pub created: DateTime,
    /// When it ends.
    pub expires: DateTime,
    /// The instance that used it.
    #[serde(default)]
    pub used_by: Option<String>,
}

/// What an exchange gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enrolled {
    /// The agent.
    pub agent: Agent,
    /// Its new key: shown once, stored nowhere.
    pub key: String,
}

/// Why an exchange was refused.
#[derive(Debug, thiserror::Error)]
pub enum EnrollError {
    /// No such token.
    #[error("the enrolment token is not known here")]
    Unknown,
    /// Its time is over.
    #[error("the enrolment token is no longer valid: ask for a new one")]
    Expired,
    /// Another instance used it.
    #[error("the enrolment token was used by another agent: ask for a new one")]
    Used,
    /// The database.
    #[error(transparent)]
    Meta(#[from] MetaError),
}

impl Classify for EnrollError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Meta(e) => e.class(),
            _ => ErrorClass::Caller,
        }
    }
}

impl MetaDb {
    /// Makes a token of the default lifetime (24 h). The second value is the secret.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn create_enroll_token(&self, group: &GroupId) -> Result<(EnrollTokenRecord, String), MetaError> {
        self.create_enroll_token_for(group, TOKEN_LIFETIME).await
    }

    /// Makes a token of this lifetime.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn create_enroll_token_for(
        &self,
        group: &GroupId,
        lifetime: Duration,
    ) -> Result<(EnrollTokenRecord, String), MetaError> {
        let secret = new_secret(SecretKind::Enroll);
        let record = EnrollTokenRecord {
            hash: hash_secret(&secret),
            group: group.clone(),
            created: DateTime::now(),
            expires: after(lifetime),
            used_by: None,
        };
        let tokens = self.of::<EnrollTokenRecord>("enroll_tokens");
        tokens.insert_one(&record).await.map_err(on("make an enrolment token"))?;
        Ok((record, secret))
    }

    /// Exchanges a token's secret for an agent and its key. The same `instance` may do so again while the token holds: it
    /// stays the same agent and gets another key.
    ///
    /// # Errors
    /// [`EnrollError`].
    pub async fn enroll(
        &self,
        secret: &str,
        hostname: &str,
        version: &str,
        instance: &str,
    ) -> Result<Enrolled, EnrollError> {
        if instance.len() < 8 || instance.len() > 128 || hostname.len() > 255 || version.len() > 64 {
            let detail = "instance, host name or version has an impossible length".to_owned();
            return Err(MetaError::Invalid { what: "the enrolment", detail }.into());
        }
        let group = self.claim_token(secret, instance).await?;
        let key = new_secret(SecretKind::AgentKey);
        let agent = self.put_agent(&group, hostname, version, instance, &key).await?;
        Ok(Enrolled { agent, key })
    }

    async fn claim_token(&self, secret: &str, instance: &str) -> Result<GroupId, EnrollError> {
        let op = "use an enrolment token";
        let tokens = self.of::<EnrollTokenRecord>("enroll_tokens");
        let hash = hash_secret(secret);
        let free = doc! {
            "_id": &hash, "expires": { "$gt": DateTime::now() }, "usedBy": { "$in": [null, instance] },
        };
        let claim = doc! { "$set": { "usedBy": instance } };
        if let Some(token) = tokens.find_one_and_update(free, claim).await.map_err(on(op))? {
            return Ok(token.group);
        }
        match tokens.find_one(doc! { "_id": &hash }).await.map_err(on(op))? {
            None => Err(EnrollError::Unknown),
            Some(token) if token.expires <= DateTime::now() => Err(EnrollError::Expired),
            Some(_) => Err(EnrollError::Used),
        }
    }

    async fn put_agent(
        &self,
        group: &GroupId,
        hostname: &str,
        version: &str,
        instance: &str,
        key: &str,
    ) -> Result<Agent, MetaError> {
        let op = "make an agent";
        let agents = self.of::<Agent>("agents");
        let key = AgentKey { hash: hash_secret(key), created: DateTime::now(), expires: None };
        let fresh = doc! {
            "_id": AgentId::random(), "created": DateTime::now(), "beat": 0_i64,
        };
        let update = doc! {
            "$set": { "hostname": hostname, "version": version, "lastSeen": DateTime::now(), "revoked": null },
            "$push": { "keys": { "$each": [to_bson(op, &key)?], "$slice": -KEYS_MAX } },
            "$setOnInsert": fresh,
        };
        let which = doc! { "group": group.clone(), "instance": instance };
        // Two upserts of one instance at once: one of them meets the unique index and finds the agent at its second try.
        for last in [false, true] {
            let put = agents
                .find_one_and_update(which.clone(), update.clone())
                .upsert(true)
                .return_document(mongodb::options::ReturnDocument::After)
                .await;
            match put {
                Ok(Some(agent)) => return Ok(agent),
                Ok(None) => break,
                Err(e) if duplicate(&e) && !last => {}
                Err(e) => return Err(on(op)(e)),
            }
        }
        Err(MetaError::Contention { op })
    }
}
