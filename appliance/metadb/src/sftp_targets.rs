//! SFTP targets: servers to which restores of a group are pushed, and the key pair with which the appliance logs in there.
//!
//! `sftp_targets {_id, group, name, host, port, user, folder, hostKey, created, createdBy}`, `sftp_keys {_id: group, publicLine, sealed,
//! created}`. Invariants: a host key is stored only after someone confirmed its fingerprint; a group has one pair, made once, whose private half
//! comes in sealed for [`sftp_key_context`]. Written by web; read by web and the daemon.

use bson::{DateTime, doc};
use futures::TryStreamExt as _;
use holdfast_domain::{GroupId, RestoreJobId};
use serde::{Deserialize, Serialize};

use crate::{
    MetaDb, MetaError,
    error::{duplicate, on},
};

const TARGETS: &str = "sftp_targets";
const KEYS: &str = "sftp_keys";
/// Targets of one group, at most.
const TARGETS_MAX: u64 = 100;
/// Longest name, in characters.
const NAME_CHARS_MAX: usize = 100;
/// Longest host, user or folder, in bytes.
const TEXT_BYTES_MAX: usize = 1000;

/// A server to push to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SftpTarget {
    /// Id, 24 hex digits.
    #[serde(rename = "_id")]
    pub id: String,
    /// Whose.
    pub group: GroupId,
    /// Name, unique in the group.
    pub name: String,
    /// Name or address of the server.
    pub host: String,
    /// Port.
    pub port: u16,
    /// User there.
    pub user: String,
    /// Folder there; relative to the user's home unless it begins with `/`.
    pub folder: String,
    /// The host key that was confirmed, as a line of OpenSSH.
    pub host_key: String,
    /// When it was added.
    pub created: DateTime,
    /// Who added it.
    pub created_by: String,
}

impl SftpTarget {
    /// A target with an id of its own. Call [`MetaDb::add_sftp_target`] with it.
    #[must_use]
    pub fn new(group: GroupId, name: String) -> Self {
        Self {
            id: RestoreJobId::random().to_string(),
            group,
            name,
            host: String::new(),
            port: 22,
            user: String::new(),
            folder: String::new(),
            host_key: String::new(),
            created: DateTime::now(),
            created_by: String::new(),
        }
    }

    /// Path of a file in its folder.
    #[must_use]
    pub fn path_of(&self, file: &str) -> String {
        match self.folder.trim_end_matches('/') {
            "" if self.folder.starts_with('/') => format!("/{file}"),
            "" => file.to_owned(),
            folder => format!("{folder}/{file}"),
        }
    }

    fn check(&self) -> Result<(), MetaError> {
        let invalid = |what, detail: &str| Err(MetaError::Invalid { what, detail: detail.to_owned() });
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if self.name.is_empty() || self.name.chars().count() > NAME_CHARS_MAX || !self.name.chars().all(plain) {
            return invalid("the name of the SFTP target", "1 to 100 letters, digits, `-`, `_`, `.`");
        }
        for (what, text) in [("the host", &self.host), ("the user", &self.user)] {
            if text.is_empty() || text.len() > TEXT_BYTES_MAX || text.chars().any(|c| c.is_control() || c == ' ') {
                return invalid(what, "it is neither empty nor has it spaces");
            }
        }
        if self.folder.len() > TEXT_BYTES_MAX || self.folder.chars().any(char::is_control) {
            return invalid("the folder", "at most 1000 bytes, without control characters");
        }
        if self.port == 0 {
            return invalid("the port", "1 to 65535; SSH listens on 22");
        }
        Ok(())
    }
}

/// A group's key pair.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredSftpKey {
    /// Whose.
    #[serde(rename = "_id")]
    pub group: GroupId,
    /// The line for `authorized_keys`.
    pub public_line: String,
    /// The private half, sealed for [`sftp_key_context`], as hex.
    pub sealed: String,
    /// When it was made.
    pub created: DateTime,
}

/// What the private half of a group's pair is sealed for.
#[must_use]
pub fn sftp_key_context(group: &GroupId) -> String {
    format!("groups/{group}/sftpKey")
}

impl MetaDb {
    /// Keeps a group's key pair, or gives the one that it has already.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn keep_sftp_key(&self, key: &StoredSftpKey) -> Result<StoredSftpKey, MetaError> {
        match self.of::<StoredSftpKey>(KEYS).insert_one(key).await {
            Ok(_) => Ok(key.clone()),
            Err(error) if duplicate(&error) => {
                let kept = self.sftp_key(&key.group).await?;
                kept.ok_or_else(|| MetaError::NotFound { what: "SFTP key of", id: key.group.to_string() })
            }
            Err(error) => Err(on("keep a group's SFTP key")(error)),
        }
    }

    /// A group's key pair, once it was made.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn sftp_key(&self, group: &GroupId) -> Result<Option<StoredSftpKey>, MetaError> {
        self.of(KEYS).find_one(doc! { "_id": group.clone() }).await.map_err(on("read a group's SFTP key"))
    }

    /// Adds a target.
    ///
    /// # Errors
    /// [`MetaError::Exists`] when the group has one of that name; [`MetaError::Invalid`].
    pub async fn add_sftp_target(&self, target: &SftpTarget) -> Result<(), MetaError> {
        let op = "add an SFTP target";
        target.check()?;
        let targets = self.of::<SftpTarget>(TARGETS);
        if targets.count_documents(doc! { "group": target.group.clone() }).await.map_err(on(op))? >= TARGETS_MAX {
            let detail = format!("a group has at most {TARGETS_MAX}: remove one first");
            return Err(MetaError::Invalid { what: "one more SFTP target", detail });
        }
        match targets.insert_one(target).await {
            Ok(_) => Ok(()),
            Err(e) if duplicate(&e) => Err(MetaError::Exists { what: "SFTP target", id: target.name.clone() }),
            Err(e) => Err(on(op)(e)),
        }
    }

    /// A group's targets, by name.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn sftp_targets(&self, group: &GroupId) -> Result<Vec<SftpTarget>, MetaError> {
        let op = "list SFTP targets";
        let found = self.of(TARGETS).find(doc! { "group": group.clone() }).sort(doc! { "name": 1 }).await;
        found.map_err(on(op))?.try_collect().await.map_err(on(op))
    }

    /// A target by its name.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn sftp_target_named(&self, group: &GroupId, name: &str) -> Result<Option<SftpTarget>, MetaError> {
        let filter = doc! { "group": group.clone(), "name": name };
        self.of(TARGETS).find_one(filter).await.map_err(on("read an SFTP target"))
    }

    /// A target by its id.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn sftp_target(&self, id: &str) -> Result<Option<SftpTarget>, MetaError> {
        self.of(TARGETS).find_one(doc! { "_id": id }).await.map_err(on("read an SFTP target"))
    }

    /// Removes a target. False: there is none.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn remove_sftp_target(&self, group: &GroupId, name: &str) -> Result<bool, MetaError> {
        let filter = doc! { "group": group.clone(), "name": name };
        let done = self.of::<SftpTarget>(TARGETS).delete_one(filter).await.map_err(on("remove an SFTP target"))?;
        Ok(done.deleted_count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target() -> SftpTarget {
        let mut target = SftpTarget::new(GroupId::random(), "vault".into());
        (target.host, target.user) = ("db1".into(), "backup".into());
        target
    }

    #[test]
    fn paths_lie_in_the_folder() {
        for (folder, path) in [("", "f"), ("/", "/f"), ("in/", "in/f"), ("/srv/in", "/srv/in/f")] {
            assert_eq!(SftpTarget { folder: folder.into(), ..target() }.path_of("f"), path);
        }
    }

    #[test]
    fn what_cannot_be_used_is_refused() {
        assert!(target().check().is_ok());
        let bad = [
            SftpTarget { name: "a/b".into(), ..target() },
            SftpTarget { host: String::new(), ..target() },
            SftpTarget { user: "a b".into(), ..target() },
            SftpTarget { folder: "a\nb".into(), ..target() },
            SftpTarget { port: 0, ..target() },
        ];
        for bad in bad {
            assert!(bad.check().is_err(), "{bad:?}");
        }
    }
}
