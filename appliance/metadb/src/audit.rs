//! Audit: who did what. Only ever appended.

use bson::{DateTime, doc, oid::ObjectId};
use futures::TryStreamExt as _;
use holdfast_domain::GroupId;
use serde::{Deserialize, Serialize};

use crate::{MetaDb, MetaError, error::on};

/// Entries of one answer at most.
const ENTRIES_MAX: i64 = 1000;

/// Something that someone did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Group; None: the appliance.
    pub group: Option<GroupId>,
    /// Label of the key or id of the agent.
    pub who: String,
    /// `startBackup`, `createRestore` ...
    pub action: String,
    /// What it was done to.
    pub target: String,
    /// A sentence, or empty. Never a secret.
    pub detail: String,
}

/// As stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredAuditEntry {
    /// Id.
    #[serde(rename = "_id")]
    pub id: ObjectId,
    /// When.
    pub at: DateTime,
    /// What.
    pub group: Option<GroupId>,
    /// Who.
    pub who: String,
    /// Action.
    pub action: String,
    /// Target.
    pub target: String,
    /// Detail.
    pub detail: String,
}

impl MetaDb {
    /// Appends an entry.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn audit(&self, entry: AuditEntry) -> Result<(), MetaError> {
        let AuditEntry { group, who, action, target, detail } = entry;
        let stored = StoredAuditEntry { id: ObjectId::new(), at: DateTime::now(), group, who, action, target, detail };
        self.of("audit").insert_one(stored).await.map(|_| ()).map_err(on("write the audit log"))
    }

    /// A group's newest entries, newest first; None: those of the appliance.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn audit_entries(&self, group: Option<&GroupId>, limit: i64) -> Result<Vec<StoredAuditEntry>, MetaError> {
        let op = "read the audit log";
        let filter = doc! { "group": group.cloned().map_or(bson::Bson::Null, Into::into) };
        let found = self.of("audit").find(filter).sort(doc! { "at": -1 }).limit(limit.clamp(1, ENTRIES_MAX)).await;
        found.map_err(on(op))?.try_collect().await.map_err(on(op))
    }
}
