//! Groups (tenants).

use bson::{DateTime, doc};
use futures::TryStreamExt as _;
use holdfast_domain::GroupId;
use serde::{Deserialize, Serialize};

use crate::{
    MetaDb, MetaError,
    error::{duplicate, on},
};

/// Longest name, in characters.
const NAME_CHARS_MAX: usize = 100;

/// A group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Id.
    #[serde(rename = "_id")]
    pub id: GroupId,
    /// Name, unique.
    pub name: String,
    /// When it was made.
    pub created: DateTime,
    /// The key that its snapshots are stored under, as `group_keys` names it. None: it does not encrypt.
    #[serde(default)]
    pub key: Option<String>,
}

impl Group {
    /// A group of this name, not stored yet.
    ///
    /// # Errors
    /// [`MetaError::Invalid`] when the name is empty, too long or looks like an id.
    pub fn new(name: &str) -> Result<Self, MetaError> {
        let name = name.trim();
        let count = name.chars().count();
        if count == 0 || count > NAME_CHARS_MAX || name.chars().any(char::is_control) {
            let detail = format!("1 to {NAME_CHARS_MAX} printable characters are expected");
            return Err(MetaError::Invalid { what: "the group's name", detail });
        }
        if name.parse::<GroupId>().is_ok() {
            let detail = "it could be mistaken for an id".to_owned();
            return Err(MetaError::Invalid { what: "the group's name", detail });
        }
        Ok(Self { id: GroupId::random(), name: name.to_owned(), created: DateTime::now(), key: None })
    }
}

impl MetaDb {
    /// Makes a group.
    ///
    /// # Errors
    /// [`MetaError::Exists`] when the name is taken, [`MetaError::Invalid`] when it is empty, too long or looks like an id.
    pub async fn create_group(&self, name: &str) -> Result<Group, MetaError> {
        self.create_group_as(GroupId::random(), name, None).await
    }

    /// As [`Self::create_group`], under a fresh id; with a key, which must be kept already, all its snapshots are encrypted.
    ///
    /// # Errors
    /// As [`Self::create_group`].
    pub async fn create_group_as(&self, id: GroupId, name: &str, key: Option<String>) -> Result<Group, MetaError> {
        let group = Group { id, key, ..Group::new(name)? };
        match self.of::<Group>("groups").insert_one(&group).await {
            Ok(_) => Ok(group),
            Err(e) if duplicate(&e) => Err(MetaError::Exists { what: "group", id: group.name }),
            Err(e) => Err(on("make a group")(e)),
        }
    }

    /// A group.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn group(&self, id: &GroupId) -> Result<Option<Group>, MetaError> {
        self.of("groups").find_one(doc! { "_id": id.clone() }).await.map_err(on("read a group"))
    }

    /// A group by its name.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn group_by_name(&self, name: &str) -> Result<Option<Group>, MetaError> {
        self.of("groups").find_one(doc! { "name": name }).await.map_err(on("read a group"))
    }

    /// Every group, by name.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn groups(&self) -> Result<Vec<Group>, MetaError> {
        let op = "list groups";
        let cursor = self.of("groups").find(doc! {}).sort(doc! { "name": 1 }).await.map_err(on(op))?;
        cursor.try_collect().await.map_err(on(op))
    }
}
