//! What collections and views a server has: by UUID, with options and indexes.
//!
//! Invariants: `local`, `config` and `system.profile` belong to each server and are left out. Called by the head, the loader
//! and the heal check.

use std::collections::BTreeMap;

use bson::{Bson, Document, RawDocumentBuf, doc};
use futures::TryStreamExt;
use mongodb::Client;

use super::{error::HeadError, uuid::CollectionUuid};

/// Replies of listCollections and listIndexes: one for any sensible database.
const BATCH_SIZE: i32 = 10_000;

/// A collection or view.
#[derive(Clone, Debug, PartialEq)]
pub struct CatalogCollection {
    /// Database.
    pub db: String,
    /// Name.
    pub name: String,
    /// `collection`, `view`, `timeseries`.
    pub kind: String,
    /// None for views.
    pub uuid: Option<CollectionUuid>,
    /// Options as listed.
    pub options: RawDocumentBuf,
    /// Index specifications as listed; empty for views.
    pub indexes: Vec<RawDocumentBuf>,
}

/// All collections and views of a server.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Catalog {
    /// Ordered by database and name.
    pub collections: Vec<CatalogCollection>,
}

pub(crate) fn server(what: &'static str) -> impl FnOnce(mongodb::error::Error) -> HeadError {
    move |source| HeadError::Server { what, source }
}

/// Databases whose content is the source's.
pub(crate) async fn databases(client: &Client) -> Result<Vec<String>, HeadError> {
    let mut names = client.list_database_names().await.map_err(server("list the head's databases"))?;
    names.retain(|name| !matches!(name.as_str(), "local" | "config"));
    names.sort();
    Ok(names)
}

async fn listed(client: &Client, db: &str, filter: Document) -> mongodb::error::Result<Vec<Document>> {
    let command = doc! { "listCollections": 1, "filter": filter, "cursor": { "batchSize": BATCH_SIZE } };
    client.database(db).run_cursor_command(command).await?.try_collect().await
}

/// UUID of the collection with this name.
pub(crate) async fn uuid_of(client: &Client, db: &str, name: &str) -> mongodb::error::Result<Option<CollectionUuid>> {
    Ok(listed(client, db, doc! { "name": name }).await?.first().and_then(uuid))
}

fn uuid(listed: &Document) -> Option<CollectionUuid> {
    listed.get_document("info").ok()?.get("uuid").and_then(CollectionUuid::from_bson)
}

/// One collection by its names: what an initial sync has to know of each.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    pub(crate) uuid: CollectionUuid,
    pub(crate) ns: String,
    pub(crate) capped: bool,
}

/// All collections, without views.
pub(crate) async fn names(client: &Client) -> Result<Vec<Named>, HeadError> {
    let mut out = Vec::new();
    for db in databases(client).await? {
        for listed in listed(client, &db, doc! {}).await.map_err(server("list the head's collections"))? {
            if let (Some(uuid), Ok(name)) = (uuid(&listed), listed.get_str("name")) {
                let capped = listed.get_document("options").is_ok_and(is_capped);
                out.push(Named { uuid, ns: format!("{db}.{name}"), capped });
            }
        }
    }
    Ok(out)
}

/// Whether options are those of a capped collection.
pub(crate) fn is_capped(options: &Document) -> bool {
    match options.get("capped") {
        Some(Bson::Boolean(capped)) => *capped,
        Some(Bson::Int32(capped)) => *capped != 0,
        Some(Bson::Int64(capped)) => *capped != 0,
        Some(Bson::Double(capped)) => *capped != 0.0,
        _ => false,
    }
}

/// Reads the catalog of a server.
///
/// # Errors
/// The server does not answer.
pub async fn read(client: &Client) -> Result<Catalog, HeadError> {
    let mut collections = BTreeMap::new();
    for db in databases(client).await? {
        for listed in listed(client, &db, doc! {}).await.map_err(server("list the head's collections"))? {
            let Ok(name) = listed.get_str("name") else { continue };
            if name == "system.profile" {
                continue;
            }
            let kind = listed.get_str("type").unwrap_or("collection").to_owned();
            let options = listed.get_document("options").cloned().unwrap_or_default();
            let indexes = if kind == "collection" { indexes(client, &db, name).await? } else { Vec::new() };
            let collection = CatalogCollection {
                uuid: uuid(&listed),
                kind,
                options: raw(&options)?,
                indexes,
                db: db.clone(),
                name: name.to_owned(),
            };
            collections.insert((db.clone(), name.to_owned()), collection);
        }
    }
    Ok(Catalog { collections: collections.into_values().collect() })
}

fn raw(document: &Document) -> Result<RawDocumentBuf, HeadError> {
    RawDocumentBuf::try_from(document)
        .map_err(|_| HeadError::Answer { what: "a list of the head", field: "valid BSON" })
}

/// Index specifications of a collection.
pub(crate) async fn indexes(client: &Client, db: &str, collection: &str) -> Result<Vec<RawDocumentBuf>, HeadError> {
    let command = doc! { "listIndexes": collection, "cursor": { "batchSize": BATCH_SIZE } };
    let what = "list the head's indexes";
    let cursor = client.database(db).run_cursor_command(command).await.map_err(server(what))?;
    let specs: Vec<Document> = cursor.try_collect().await.map_err(server(what))?;
    specs.iter().map(raw).collect()
}

/// MD5 of every collection of every database, as the server computes it (dbHash); `database -> collection -> hash`.
pub type DbHashes = BTreeMap<String, BTreeMap<String, String>>;

/// Reads the hashes of a server.
///
/// # Errors
/// The server does not answer.
pub async fn db_hashes(client: &Client) -> Result<DbHashes, HeadError> {
    let mut out = DbHashes::new();
    for db in databases(client).await? {
        let answer = client
            .database(&db)
            .run_command(doc! { "dbHash": 1 })
            .await
            .map_err(server("hash the head's databases"))?;
        let collections = answer
            .get_document("collections")
            .map_err(|_| HeadError::Answer { what: "dbHash", field: "collections" })?;
        let hashes = collections
            .iter()
            .filter(|(name, _)| *name != "system.profile")
            .filter_map(|(name, hash)| Some((name.clone(), hash.as_str()?.to_owned())))
            .collect();
        out.insert(db, hashes);
    }
    Ok(out)
}
