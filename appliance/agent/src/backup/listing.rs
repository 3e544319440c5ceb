//! Lists of the source's collections, with options and indexes, raw as the server gives them.

use bson::{Binary, Bson, RawDocument, RawDocumentBuf, doc, spec::BinarySubtype};
use futures::TryStreamExt as _;
use holdfast_domain::Ts;

use super::{
    error::{JobError, code},
    source::{Member, number, operation_time},
};

/// Entries of one answer to a list.
const LIST_BATCH: u32 = 1000;
/// Databases that are not backed up: private to a member, or to a session.
const DATABASES_LEFT_OUT: [&str; 2] = ["local", "config"];
/// A member's own measurements; not in the oplog.
const PROFILE: &str = "system.profile";

/// Field beside the specification of an index that is being built.
const BUILD_UUID: &str = "buildUUID";

/// A collection or view as listed.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub(crate) db: String,
    pub(crate) name: String,
    /// `collection`, `view`, `timeseries`.
    pub(crate) kind: String,
    /// 32 hex digits; None for views.
    pub(crate) uuid: Option<String>,
    pub(crate) options: RawDocumentBuf,
    pub(crate) indexes: Vec<RawDocumentBuf>,
}

/// Everything listed, and the largest operation time of any answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Listing {
    pub(crate) collections: Vec<Listed>,
    pub(crate) time: Ts,
}

/// A UUID as the server takes it in commands.
pub(crate) fn uuid_bson(uuid: &str) -> Result<Bson, JobError> {
    let bytes = hex::decode(uuid).ok().filter(|bytes| bytes.len() == 16);
    let bytes = bytes.ok_or_else(|| JobError::Unintelligible(format!("{uuid:?} is no UUID")))?;
    Ok(Bson::Binary(Binary { subtype: BinarySubtype::Uuid, bytes }))
}

/// Lists everything that is backed up. Collections that go away meanwhile are left out.
pub(crate) async fn list(member: &Member) -> Result<Listing, JobError> {
    let answer = member.run("admin", doc! { "listDatabases": 1, "nameOnly": true }, "list the databases").await?;
    let mut listing =
        Listing { time: answer.get_timestamp("operationTime").map(Ts::from).unwrap_or_default(), ..Listing::default() };
    let databases = answer.get_array("databases").cloned().unwrap_or_default();
    let names = databases.iter().filter_map(|db| db.as_document()?.get_str("name").ok());
    for db in names.filter(|name| !DATABASES_LEFT_OUT.contains(name)) {
        list_database(member, db, &mut listing).await?;
    }
    Ok(listing)
}

async fn list_database(member: &Member, db: &str, into: &mut Listing) -> Result<(), JobError> {
    let doing = "list the collections";
    let command = doc! { "listCollections": 1, "cursor": { "batchSize": LIST_BATCH } };
    let mut cursor = member.cursor(db, command, LIST_BATCH, None, doing).await?;
    let mut found = Vec::new();
    while let Some(batch) = cursor.try_next().await.map_err(|source| member.error(doing, source))? {
        into.time = into.time.max(operation_time(batch.as_raw_document()));
        for value in batch.doc_slices().map_err(|source| member.error(doing, source))? {
            let raw = value.ok().and_then(|v| v.as_document());
            let listed = raw.and_then(|raw| listed(db, raw));
            let listed =
                listed.ok_or_else(|| JobError::Unintelligible(format!("a collection of {db} cannot be read")))?;
            if listed.name != PROFILE {
                found.push(listed);
            }
        }
    }
    for mut listed in found {
        let Some(uuid) = listed.uuid.clone() else {
            into.collections.push(listed);
            continue;
        };
        match list_indexes(member, db, &uuid).await {
            Ok((indexes, time)) => {
                listed.indexes = indexes;
                into.time = into.time.max(time);
                into.collections.push(listed);
            }
            Err(error) if error.code() == Some(code::NAMESPACE_NOT_FOUND) => {} // dropped meanwhile
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn listed(db: &str, raw: &RawDocument) -> Option<Listed> {
    let kind = raw.get_str("type").ok()?.to_owned();
    let uuid =
        raw.get_document("info").ok().and_then(|info| info.get_binary("uuid").ok()).map(|b| hex::encode(b.bytes));
    if uuid.is_none() && kind == "collection" {
        return None;
    }
    Some(Listed {
        db: db.to_owned(),
        name: raw.get_str("name").ok()?.to_owned(),
        // The view of a time-series collection has none; its buckets are a collection of their own.
        uuid: uuid.filter(|_| kind == "collection"),
        kind,
        options: raw.get_document("options").map(ToOwned::to_owned).unwrap_or_default(),
        indexes: Vec::new(),
    })
}

async fn list_indexes(member: &Member, db: &str, uuid: &str) -> Result<(Vec<RawDocumentBuf>, Ts), JobError> {
    let doing = "list the indexes";
    let command =
        doc! { "listIndexes": uuid_bson(uuid)?, "includeBuildUUIDs": true, "cursor": { "batchSize": LIST_BATCH } };
    let mut cursor = member.cursor(db, command, LIST_BATCH, None, doing).await?;
    let (mut indexes, mut time) = (Vec::new(), Ts::ZERO);
    while let Some(batch) = cursor.try_next().await.map_err(|source| member.error(doing, source))? {
        time = time.max(operation_time(batch.as_raw_document()));
        for value in batch.doc_slices().map_err(|source| member.error(doing, source))? {
            let raw = value.ok().and_then(|v| v.as_document());
            let raw = raw.ok_or_else(|| JobError::Unintelligible(format!("an index of {db} cannot be read")))?;
            // Under construction: it may still fail. When it is committed the oplog says so; without the flag the server
            // lists it like a finished one.
            if raw.get(BUILD_UUID).ok().flatten().is_none() {
                indexes.push(raw.to_owned());
            }
        }
    }
    Ok((indexes, time))
}

/// Estimated documents, bytes and bytes of one document of a collection; zeros when the server does not tell.
pub(crate) async fn sizes(member: &Member, listed: &Listed) -> (i64, i64, i64) {
    match member.run(&listed.db, doc! { "collStats": &listed.name }, "read a collection's size").await {
        Ok(stats) => {
            let of = |field| number(&stats, field).unwrap_or_default();
            (of("count"), of("size"), of("avgObjSize"))
        }
        Err(_) => (0, 0, 0),
    }
}
