//! Collections' indexes and migrations, under a version document.
//!
//! `meta {_id: "schema", version}`: a migration runs, then the version is raised by compare-and-set. Two processes may run
//! the same migration at once, so each must be idempotent. Migrations only add; what they replace goes a release later.

use std::time::Duration;

use bson::{Document, doc};
use mongodb::{Collection, Database, IndexModel, options::IndexOptions};

use crate::{
    MetaError,
    error::{duplicate, on},
};

/// Version that this program writes.
pub(crate) const VERSION: i32 = 5;
pub(crate) const OP: &str = "migrate the app database";
/// Tries of the compare-and-set: one per process that starts at the same instant.
const TRIES_MAX: usize = 50;

/// Brings the database to [`VERSION`]. A newer one is left as it is: its changes only added.
pub(crate) async fn apply(db: &Database) -> Result<(), MetaError> {
    let meta: Collection<Document> = db.collection("meta");
    for _ in 0..TRIES_MAX {
        let found = meta.find_one(doc! { "_id": "schema" }).await.map_err(on(OP))?;
        let Some(found) = found else {
            match meta.insert_one(doc! { "_id": "schema", "version": 0 }).await {
                Ok(_) => {}
                Err(e) if duplicate(&e) => {}
                Err(e) => return Err(on(OP)(e)),
            }
            continue;
        };
        let version = found.get_i32("version").unwrap_or(0);
        if version >= VERSION {
            return Ok(());
        }
        migrate(db, version).await?;
        let from = doc! { "_id": "schema", "version": version };
        meta.update_one(from, doc! { "$set": { "version": version + 1 } }).await.map_err(on(OP))?;
    }
    Err(MetaError::Contention { op: OP })
}

/// One step, from `version` to the next.
async fn migrate(db: &Database, version: i32) -> Result<(), MetaError> {
    match version {
        0 => first_indexes(db).await,
        1 => crate::schema_people::apply(db).await,
        2 => crate::schema_api::apply(db).await,
        3 => crate::schema_deliveries::apply(db).await,
        4 => crate::schema_monitoring::apply(db).await,
        _ => Ok(()),
    }
}

pub(crate) struct Index {
    collection: &'static str,
    name: &'static str,
    keys: Document,
    unique: bool,
    only: Option<Document>,
    /// Documents go when the date in the key is so many seconds past.
    ttl: Option<Duration>,
}

impl Index {
    pub(crate) fn new(collection: &'static str, name: &'static str, keys: Document) -> Self {
        Self { collection, name, keys, unique: false, only: None, ttl: None }
    }
    pub(crate) fn unique(self) -> Self {
        Self { unique: true, ..self }
    }
    pub(crate) fn only(self, filter: Document) -> Self {
        Self { only: Some(filter), ..self }
    }
    pub(crate) fn ttl(self) -> Self {
        Self { ttl: Some(Duration::ZERO), ..self }
    }
}

async fn first_indexes(db: &Database) -> Result<(), MetaError> {
    let indexes = [
        Index::new("groups", "name", doc! { "name": 1 }).unique(),
        Index::new("api_keys", "group", doc! { "group": 1 }),
        Index::new("agents", "instance", doc! { "group": 1, "instance": 1 }).unique(),
        Index::new("agents", "keys", doc! { "keys.hash": 1 })
            .unique()
            .only(doc! { "keys.hash": { "$type": "string" } }),
        Index::new("deployments", "rs", doc! { "group": 1, "rs": 1 })
            .unique()
            .only(doc! { "rs": { "$type": "string" } }),
        Index::new("hosts", "host", doc! { "group": 1, "deployment": 1, "host": 1 }).unique(),
        Index::new("backup_jobs", "rs", doc! { "group": 1, "rs": 1 }).unique(),
        Index::new("backup_jobs", "deployment", doc! { "deployment": 1 }).unique(),
        Index::new("backup_jobs", "agent", doc! { "assignment.agent": 1 }),
        Index::new("backup_jobs", "daemon", doc! { "daemon": 1 }),
        Index::new("backup_jobs", "snapshot_requests", doc! { "snapshotRequests.id": 1 }),
        Index::new("daemons", "name", doc! { "name": 1 }).unique(),
        Index::new("restore_jobs", "link", doc! { "linkHash": 1 }).unique(),
        Index::new("restore_jobs", "job", doc! { "job": 1, "created": -1 }),
        Index::new("restore_jobs", "group", doc! { "group": 1, "created": -1 }),
        Index::new("restore_jobs", "state", doc! { "state": 1, "expires": 1 }),
        Index::new("audit", "group", doc! { "group": 1, "at": -1 }),
    ];
    create(db, indexes).await
}

pub(crate) async fn create(db: &Database, indexes: impl IntoIterator<Item = Index>) -> Result<(), MetaError> {
    for index in indexes {
        let mut options = IndexOptions::builder().name(index.name.to_owned()).unique(index.unique).build();
        options.partial_filter_expression = index.only;
        options.expire_after = index.ttl;
        let model = IndexModel::builder().keys(index.keys).options(options).build();
        db.collection::<Document>(index.collection).create_index(model).await.map_err(on(OP))?;
    }
    Ok(())
}
