//! What changes, as it happens: a change stream over the collections that people look at.
//!
//! Called by web, once for all its listeners. A change says what to read anew, never what it holds: rights are checked when it is read. Of
//! what is removed nothing is left that says whose it was: such a change is told to everyone, without its id.

use bson::{Document, doc};
use futures::StreamExt as _;
use holdfast_domain::GroupId;
use mongodb::change_stream::ChangeStream;
use serde::Deserialize;

use crate::{MetaDb, MetaError, error::on};

/// Kind of a resource that changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    /// A backup job, also its snapshots, which its daemon notes there, and what is promised of it.
    Backup,
    /// A restore job, or a target of restores.
    Restore,
    /// An agent.
    Agent,
    /// A deployment.
    Deployment,
    /// A member, an invitation or a request to join.
    Member,
    /// An API key: made or removed.
    Key,
    /// An entry of the audit log.
    Audit,
    /// A group itself.
    Group,
    /// An account.
    User,
    /// A daemon.
    Daemon,
    /// A setting of the appliance.
    Setting,
    /// Work on the blockstore.
    Blockstore,
    /// An offsite copy.
    Offsite,
}

/// Where something changed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ChangeScope {
    /// In this group.
    Group(GroupId),
    /// In the appliance itself.
    Appliance,
    /// It is gone, and nothing says any more whose it was.
    Gone,
}

/// Something changed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Change {
    /// Where.
    pub scope: ChangeScope,
    /// What.
    pub kind: ChangeKind,
    /// Its id; empty when it is gone.
    pub id: String,
    /// Name of the replica set, where there is one.
    pub rs: Option<String>,
}

/// The stream. It ends with an error when the database is away; then another is opened.
pub struct Changes(ChangeStream<Raw>);

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    operation_type: String,
    ns: RawNamespace,
    #[serde(rename = "documentKey")]
    key: Document,
    doc: Option<RawFacts>,
}

#[derive(Debug, Deserialize)]
struct RawNamespace {
    coll: String,
}

#[derive(Debug, Default, Deserialize)]
struct RawFacts {
    group: Option<GroupId>,
    rs: Option<String>,
}

/// Whose documents a collection holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    /// A group's: one without a group is gone again already.
    Group,
    /// The appliance's; those with a group are that group's.
    Either,
}

const COLLECTIONS: [(&str, ChangeKind, Of); 17] = [
    ("backup_jobs", ChangeKind::Backup, Of::Group),
    ("policies", ChangeKind::Backup, Of::Group),
    ("restore_jobs", ChangeKind::Restore, Of::Group),
    ("sftp_targets", ChangeKind::Restore, Of::Group),
    ("agents", ChangeKind::Agent, Of::Group),
    ("deployments", ChangeKind::Deployment, Of::Group),
    ("members", ChangeKind::Member, Of::Group),
    ("invitations", ChangeKind::Member, Of::Group),
    ("join_requests", ChangeKind::Member, Of::Group),
    ("api_keys", ChangeKind::Key, Of::Either),
    ("audit", ChangeKind::Audit, Of::Either),
    ("groups", ChangeKind::Group, Of::Either),
    ("users", ChangeKind::User, Of::Either),
    ("daemons", ChangeKind::Daemon, Of::Either),
    ("settings", ChangeKind::Setting, Of::Either),
    ("blockstore_requests", ChangeKind::Blockstore, Of::Either),
    ("offsite_copies", ChangeKind::Offsite, Of::Either),
];
/// Collections whose documents note their own use, with every request: only what is made and removed is told of them.
const NOISY: [&str; 1] = ["api_keys"];

impl MetaDb {
    /// Changes from now on.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn changes(&self) -> Result<Changes, MetaError> {
        let names: Vec<&str> = COLLECTIONS.iter().map(|(name, ..)| *name).collect();
        let facts = doc! { "group": "$fullDocument.group", "rs": "$fullDocument.rs" };
        let quiet = doc! { "$or": [
            { "ns.coll": { "$nin": NOISY.to_vec() } }, { "operationType": { "$in": ["insert", "delete"] } },
        ] };
        let pipeline = [
            doc! { "$match": {
                "operationType": { "$in": ["insert", "update", "replace", "delete"] }, "ns.coll": { "$in": names },
                "$and": [quiet],
            } },
            doc! { "$project": { "operationType": 1, "ns": 1, "documentKey": 1, "doc": facts } },
        ];
        let watch = self.database().watch().pipeline(pipeline);
        let stream = watch.full_document(mongodb::options::FullDocumentType::UpdateLookup).await;
        Ok(Changes(stream.map_err(on("watch changes"))?.with_type()))
    }
}

/// What a raw change says; None: nothing, it is gone again and its removal comes.
fn change(raw: Raw) -> Option<Change> {
    let (_, kind, of) = COLLECTIONS.iter().find(|(name, ..)| *name == raw.ns.coll)?;
    if raw.operation_type == "delete" {
        return Some(Change { scope: ChangeScope::Gone, kind: *kind, id: String::new(), rs: None });
    }
    let RawFacts { group, rs } = raw.doc.unwrap_or_default();
    let scope = match (group, of) {
        (Some(group), _) => ChangeScope::Group(group),
        (None, Of::Either) => ChangeScope::Appliance,
        (None, Of::Group) => return None,
    };
    let id = match raw.key.get("_id") {
        Some(bson::Bson::String(id)) => id.clone(),
        Some(bson::Bson::ObjectId(id)) => id.to_hex(),
        _ => String::new(),
    };
    Some(Change { scope, kind: *kind, id, rs })
}

impl Changes {
    /// The next change; None: the stream is over.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn next(&mut self) -> Option<Result<Change, MetaError>> {
        loop {
            match self.0.next().await? {
                Ok(raw) => {
                    if let Some(change) = change(raw) {
                        return Some(Ok(change));
                    }
                }
                Err(error) => return Some(Err(on("watch changes")(error))),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn raw(operation: &str, coll: &str, facts: Document) -> Option<Change> {
        let raw = doc! { "operationType": operation, "ns": { "db": "d", "coll": coll }, "documentKey": { "_id": "x" }, "doc": facts };
        change(bson::deserialize_from_document(raw).unwrap())
    }

    #[test]
    fn whose_a_change_is() {
        let group = GroupId::random();
        let of_group = raw("update", "backup_jobs", doc! { "group": group.clone(), "rs": "rs0" }).unwrap();
        assert_eq!(of_group.scope, ChangeScope::Group(group.clone()));
        assert_eq!((of_group.id.as_str(), of_group.rs.as_deref()), ("x", Some("rs0")));
        let gone = raw("delete", "deployments", doc! {}).unwrap();
        assert_eq!((gone.scope, gone.kind, gone.id.as_str()), (ChangeScope::Gone, ChangeKind::Deployment, ""));
        assert_eq!(raw("update", "backup_jobs", doc! {}), None, "its removal comes next");
        assert_eq!(raw("insert", "audit", doc! { "group": null }).unwrap().scope, ChangeScope::Appliance);
        assert_eq!(raw("insert", "audit", doc! { "group": group.clone() }).unwrap().scope, ChangeScope::Group(group));
        assert_eq!(raw("update", "daemons", doc! {}).unwrap().kind, ChangeKind::Daemon);
        assert_eq!(raw("insert", "sessions", doc! {}), None, "nobody looks at it");
    }
}
