//! What changes in the groups' resources, as it happens: a change stream over the collections that people look at.
//!
//! Called by web, once for all its listeners. A change says what to read anew, never what it holds: rights are checked when it is read.

use bson::{Document, doc};
use futures::StreamExt as _;
use holdfast_domain::GroupId;
use mongodb::change_stream::ChangeStream;
use serde::Deserialize;

use crate::{MetaDb, MetaError, error::on};

/// Kind of a resource that changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    /// A backup job; also its snapshots, which its daemon notes there.
    Backup,
    /// A restore job.
    Restore,
    /// An agent.
    Agent,
    /// A deployment.
    Deployment,
    /// A member, an invitation or a request to join.
    Member,
}

/// Something changed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Change {
    /// In this group.
    pub group: GroupId,
    /// What.
    pub kind: ChangeKind,
    /// Its id.
    pub id: String,
    /// Name of the replica set, where there is one.
    pub rs: Option<String>,
}

/// The stream. It ends with an error when the database is away; then another is opened.
pub struct Changes(ChangeStream<Raw>);

#[derive(Debug, Deserialize)]
struct Raw {
    ns: RawNamespace,
    #[serde(rename = "documentKey")]
    key: Document,
    doc: Option<RawFacts>,
}

#[derive(Debug, Deserialize)]
struct RawNamespace {
    coll: String,
}

#[derive(Debug, Deserialize)]
struct RawFacts {
    group: Option<GroupId>,
    rs: Option<String>,
}

const COLLECTIONS: [(&str, ChangeKind); 7] = [
    ("backup_jobs", ChangeKind::Backup),
    ("restore_jobs", ChangeKind::Restore),
    ("agents", ChangeKind::Agent),
    ("deployments", ChangeKind::Deployment),
    ("members", ChangeKind::Member),
    ("invitations", ChangeKind::Member),
    ("join_requests", ChangeKind::Member),
];

impl MetaDb {
    /// Changes from now on.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn changes(&self) -> Result<Changes, MetaError> {
        let names: Vec<&str> = COLLECTIONS.iter().map(|(name, _)| *name).collect();
        let facts = doc! { "group": "$fullDocument.group", "rs": "$fullDocument.rs" };
        let pipeline = [
            doc! { "$match": {
                "operationType": { "$in": ["insert", "update", "replace"] }, "ns.coll": { "$in": names },
            } },
            doc! { "$project": { "ns": 1, "documentKey": 1, "doc": facts } },
        ];
        let watch = self.database().watch().pipeline(pipeline);
        let stream = watch.full_document(mongodb::options::FullDocumentType::UpdateLookup).await;
        Ok(Changes(stream.map_err(on("watch changes"))?.with_type()))
    }
}

impl Changes {
    /// The next change; None: the stream is over.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn next(&mut self) -> Option<Result<Change, MetaError>> {
        loop {
            let raw = match self.0.next().await? {
                Ok(raw) => raw,
                Err(error) => return Some(Err(on("watch changes")(error))),
            };
            let kind = COLLECTIONS.iter().find(|(name, _)| *name == raw.ns.coll).map(|(_, kind)| *kind);
            // A document that is gone again has no group.
            let (Some(kind), Some(RawFacts { group: Some(group), rs })) = (kind, raw.doc) else { continue };
            let id = raw.key.get("_id").and_then(|id| id.as_str()).map(str::to_owned).unwrap_or_default();
            return Some(Ok(Change { group, kind, id, rs }));
        }
    }
}
