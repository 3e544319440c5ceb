//! Audit: who did what, from where, and what it was before and after. Only ever appended.

use bson::{DateTime, Document, doc, oid::ObjectId};
use futures::TryStreamExt as _;
use holdfast_domain::GroupId;
use serde::{Deserialize, Serialize};

use crate::{MetaDb, MetaError, error::on};

/// Entries of one answer at most.
const ENTRIES_MAX: i64 = 1000;

/// Something that someone did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Group; None: the appliance.
    pub group: Option<GroupId>,
    /// Label of the key, address of the person, or id of the agent.
    pub who: String,
    /// `user`, `apiKey`, `operator` (the server's command line), `nobody` (not signed in), or empty.
    pub kind: String,
    /// The address that the request came from, or empty.
    pub address: String,
    /// What was done, a few words.
    pub action: String,
    /// What it was done to.
    pub target: String,
    /// A sentence, or empty. Never a secret.
    pub detail: String,
    /// What was changed, before. Never a secret.
    pub before: Option<Document>,
    /// After.
    pub after: Option<Document>,
}

/// As stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredAuditEntry {
    /// Id; orders the entries.
    #[serde(rename = "_id")]
    pub id: ObjectId,
    /// When.
    pub at: DateTime,
    /// What.
    pub group: Option<GroupId>,
    /// Who.
    pub who: String,
    /// Kind of who.
    #[serde(default)]
    pub kind: String,
    /// Where from.
    #[serde(default)]
    pub address: String,
    /// Action.
    pub action: String,
    /// Target.
    pub target: String,
    /// Detail.
    pub detail: String,
    /// Before.
    #[serde(default)]
    pub before: Option<Document>,
    /// After.
    #[serde(default)]
    pub after: Option<Document>,
}

/// Which entries.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// Of this group alone; None: of the appliance and all groups.
    pub group: Option<GroupId>,
    /// Of this actor alone.
    pub who: Option<String>,
    /// Older than this entry.
    pub before: Option<ObjectId>,
}

impl MetaDb {
    /// Appends an entry.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn audit(&self, entry: AuditEntry) -> Result<(), MetaError> {
        let AuditEntry { group, who, kind, address, action, target, detail, before, after } = entry;
        let (id, at) = (ObjectId::new(), DateTime::now());
        let stored = StoredAuditEntry { id, at, group, who, kind, address, action, target, detail, before, after };
        self.of("audit").insert_one(stored).await.map(|_| ()).map_err(on("write the audit log"))
    }

    /// A group's newest entries, newest first; None: those of the appliance.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn audit_entries(&self, group: Option<&GroupId>, limit: i64) -> Result<Vec<StoredAuditEntry>, MetaError> {
        let filter = doc! { "group": group.cloned().map_or(bson::Bson::Null, Into::into) };
        self.audit_find(filter, limit).await
    }

    /// A page of entries, newest first.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn audit_page(&self, filter: &AuditFilter, limit: i64) -> Result<Vec<StoredAuditEntry>, MetaError> {
        let mut find = Document::new();
        if let Some(group) = &filter.group {
            find.insert("group", group.clone());
        }
        if let Some(who) = &filter.who {
            find.insert("who", who);
        }
        if let Some(before) = filter.before {
            find.insert("_id", doc! { "$lt": before });
        }
        self.audit_find(find, limit).await
    }

    async fn audit_find(&self, filter: Document, limit: i64) -> Result<Vec<StoredAuditEntry>, MetaError> {
        let op = "read the audit log";
        let found = self.of("audit").find(filter).sort(doc! { "_id": -1 }).limit(limit.clamp(1, ENTRIES_MAX)).await;
        found.map_err(on(op))?.try_collect().await.map_err(on(op))
    }
}
