//! Keys of users and programs for the API.

use std::time::Duration;

use bson::{DateTime, doc};
use futures::TryStreamExt as _;
use holdfast_domain::{GroupId, Role, UserId};
use serde::{Deserialize, Serialize};

use crate::{
    MetaDb, MetaError, SecretKind,
    error::{duplicate, on},
    hash_secret, new_secret,
};

/// A key, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub struct ApiKey {
    /// Hex SHA-256 of the secret; serves as its id.
    pub hash: String,
    /// Its group; None: all groups.
    pub group: Option<GroupId>,
    /// What it allows.
    pub role: Role,
    /// The person whose key it is: it may never do more than the person. None: a key of the group or of the appliance.
    pub user: Option<UserId>,
    /// The account of who made it: what is forbidden to a person for themselves is forbidden to their keys. None: the server itself, or
    /// an older one.
    pub maker: Option<UserId>,
    /// Addresses (`10.0.0.0/8`, `::1/128`) that it works from; empty: all.
    pub addresses: Vec<String>,
    /// What the user calls it.
    pub label: String,
    /// When it was made.
    pub created: DateTime,
    /// When it ends; None: never.
    pub expires: Option<DateTime>,
    /// When it was revoked.
    pub revoked: Option<DateTime>,
}

/// As stored. `role` holds a word of the first release, whose servers may still run beside this one; `access` is the role.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Stored {
    #[serde(rename = "_id")]
    hash: String,
    group: Option<GroupId>,
    role: String,
    #[serde(default)]
    access: Option<Role>,
    #[serde(default)]
    user: Option<UserId>,
    #[serde(default)]
    maker: Option<UserId>,
    #[serde(default)]
    addresses: Vec<String>,
    label: String,
    created: DateTime,
    expires: Option<DateTime>,
    #[serde(default)]
    revoked: Option<DateTime>,
}

impl From<Stored> for ApiKey {
    fn from(stored: Stored) -> Self {
        let Stored { hash, group, role, access, user, maker, addresses, label, created, expires, revoked } = stored;
        let old = match role.as_str() {
            "admin" => Role::Owner,
            "operator" => Role::BackupAdmin,
            _ => Role::ReadOnly,
        };
        Self { hash, group, role: access.unwrap_or(old), user, maker, addresses, label, created, expires, revoked }
    }
}

impl From<ApiKey> for Stored {
    fn from(key: ApiKey) -> Self {
        // What an older server would allow is never more than what the role allows.
        let old = match key.role {
            Role::Owner => "admin",
            Role::BackupAdmin => "operator",
            Role::MonitoringAdmin | Role::UserAdmin | Role::ReadOnly => "viewer",
        };
        let ApiKey { hash, group, role, user, maker, addresses, label, created, expires, revoked } = key;
        let role_word = old.to_owned();
        Self {
            hash,
            group,
            role: role_word,
            access: Some(role),
            user,
            maker,
            addresses,
            label,
            created,
            expires,
            revoked,
        }
    }
}

/// A key to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewApiKey {
    /// Its group; None: all groups.
    pub group: Option<GroupId>,
    /// What it allows.
    pub role: Role,
    /// Whose it is; None: nobody's.
    pub user: Option<UserId>,
    /// The account of who makes it.
    pub maker: Option<UserId>,
    /// Addresses that it works from; empty: all.
    pub addresses: Vec<String>,
    /// What the user calls it.
    pub label: String,
    /// How long it holds; None: for ever.
    pub lifetime: Option<Duration>,
}

impl NewApiKey {
    /// A key of nobody, for ever, from everywhere.
    #[must_use]
    pub fn new(group: Option<GroupId>, role: Role, label: impl Into<String>) -> Self {
        Self { group, role, user: None, maker: None, addresses: Vec::new(), label: label.into(), lifetime: None }
    }
}

/// Now and a while.
pub(crate) fn after(lifetime: Duration) -> DateTime {
    let millis = i64::try_from(lifetime.as_millis()).unwrap_or(i64::MAX);
    DateTime::from_millis(DateTime::now().timestamp_millis().saturating_add(millis))
}

impl MetaDb {
    /// Makes a key. The second value is the secret: it is shown once and stored nowhere.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn create_api_key(&self, new: NewApiKey) -> Result<(ApiKey, String), MetaError> {
        let secret = new_secret(SecretKind::ApiKey);
        let key = self.ensure_api_key(&secret, new).await?;
        Ok((key, secret))
    }

    /// Makes a key of this secret unless there is one: for the first key, whose secret lies in a file.
    ///
    /// # Errors
    /// [`MetaError::Invalid`] for a secret shorter than 20 characters, [`MetaError::Database`].
    pub async fn ensure_api_key(&self, secret: &str, new: NewApiKey) -> Result<ApiKey, MetaError> {
        if secret.len() < 20 {
            let detail = "at least 20 characters are needed".to_owned();
            return Err(MetaError::Invalid { what: "the key", detail });
        }
        let key = ApiKey {
            hash: hash_secret(secret),
            group: new.group,
            role: new.role,
            user: new.user,
            maker: new.maker,
            addresses: new.addresses,
            label: new.label,
            created: DateTime::now(),
            expires: new.lifetime.map(after),
            revoked: None,
        };
        let op = "make an API key";
        match self.of::<ApiKey>("api_keys").insert_one(&key).await {
            Ok(_) => Ok(key),
            Err(e) if duplicate(&e) => {
                let found = self.of("api_keys").find_one(doc! { "_id": &key.hash }).await.map_err(on(op))?;
                Ok(found.unwrap_or(key))
            }
            Err(e) => Err(on(op)(e)),
        }
    }

    /// The key of this secret, unless it is unknown, over or revoked.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn verify_api_key(&self, secret: &str) -> Result<Option<ApiKey>, MetaError> {
        let filter = doc! { "_id": hash_secret(secret), "revoked": null };
        let found: Option<ApiKey> = self.of("api_keys").find_one(filter).await.map_err(on("check an API key"))?;
        Ok(found.filter(|key| key.expires.is_none_or(|end| end > DateTime::now())))
    }

    /// Revokes a key, named by its hash. False: there is none, or it was revoked.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn revoke_api_key(&self, hash: &str) -> Result<bool, MetaError> {
        let filter = doc! { "_id": hash, "revoked": null };
        let update = doc! { "$set": { "revoked": DateTime::now() } };
        let done = self.of::<ApiKey>("api_keys").update_one(filter, update).await;
        Ok(done.map_err(on("revoke an API key"))?.matched_count > 0)
    }

    /// Revokes every key of a person. Answers how many.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn revoke_api_keys_of(&self, user: &UserId) -> Result<u64, MetaError> {
        let filter = doc! { "user": user.clone(), "revoked": null };
        let update = doc! { "$set": { "revoked": DateTime::now() } };
        let done = self.of::<ApiKey>("api_keys").update_many(filter, update).await;
        Ok(done.map_err(on("revoke a person's API keys"))?.modified_count)
    }

    /// A person's keys.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn api_keys_of(&self, user: &UserId) -> Result<Vec<ApiKey>, MetaError> {
        let op = "list API keys";
        let cursor = self.of("api_keys").find(doc! { "user": user.clone() }).sort(doc! { "created": 1 }).await;
        cursor.map_err(on(op))?.try_collect().await.map_err(on(op))
    }

    /// Keys of a group; None: the global ones. Not those of persons.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn api_keys(&self, group: Option<&GroupId>) -> Result<Vec<ApiKey>, MetaError> {
        let op = "list API keys";
        let filter = doc! { "group": group.cloned().map_or(bson::Bson::Null, Into::into), "user": null };
        let cursor = self.of("api_keys").find(filter).sort(doc! { "created": 1 }).await.map_err(on(op))?;
        cursor.try_collect().await.map_err(on(op))
    }
}
