//! Whether two servers hold the same: the proof that a restore equals its source.
//!
//! Per database but `local` and `config`, and without `system.profile`: collections with type, options and UUID, index
//! specifications, `dbHash`'s md5 per collection, and the natural order of capped collections (which `dbHash` does not
//! see). A state can be stored and compared later, after its source has moved on.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use bson::{Bson, Document, RawDocumentBuf, Timestamp, doc};
use futures::TryStreamExt;
use md5::{Digest, Md5};
use mongodb::{Client, Database};
use serde::{Deserialize, Serialize};

/// Databases that belong to a server and not to its data.
const LEFT_OUT: [&str; 2] = ["local", "config"];
/// The profiler's collection is not replicated.
const PROFILE: &str = "system.profile";
/// Larger than any catalog of the tests, so that one batch holds it.
const CATALOG_BATCH: i32 = 1_000_000;
/// Differences that are reported per comparison; the rest is counted.
const DIFFERENCES_MAX: usize = 50;

/// What a server holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct ServerState {
    /// By database name.
    pub databases: BTreeMap<String, DatabaseState>,
}

/// What a database holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct DatabaseState {
    /// By collection or view name.
    pub collections: BTreeMap<String, CollectionState>,
}

/// What a collection or view is and holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct CollectionState {
    /// `collection`, `view` or `timeseries`.
    pub kind: String,
    /// UUID in hex; views have none.
    pub uuid: Option<String>,
    /// Options as canonical extended JSON, top-level keys sorted.
    pub options: String,
    /// Index specifications likewise, sorted.
    pub indexes: Vec<String>,
    /// `dbHash`'s md5 over the documents in `_id` order.
    pub md5: Option<String>,
    /// Capped collections: number of documents, and md5 over them in natural order.
    pub natural_order: Option<(u64, String)>,
}

/// The state of a server. It is consistent only while nobody writes.
///
/// # Errors
/// A command fails, or a collection comes or goes meanwhile.
pub async fn state(client: &Client) -> Result<ServerState> {
    let mut state = ServerState::default();
    for name in client.list_database_names().await.context("list databases")? {
        if !LEFT_OUT.contains(&name.as_str()) {
            let database = database(&client.database(&name)).await.with_context(|| format!("state of {name}"))?;
            state.databases.insert(name, database);
        }
    }
    Ok(state)
}

async fn database(db: &Database) -> Result<DatabaseState> {
    let list = doc! { "listCollections": 1, "cursor": { "batchSize": CATALOG_BATCH } };
    let mut hashes = db.run_command(doc! { "dbHash": 1 }).await.context("dbHash")?;
    let Some(Bson::Document(hashes)) = hashes.remove("collections") else { bail!("dbHash gives no collections") };
    let mut state = DatabaseState::default();
    for info in first_batch(db.run_command(list).await.context("listCollections")?)? {
        let name = info.get_str("name")?.to_owned();
        if name != PROFILE {
            let collection = collection(db, &name, &info, &hashes).await.with_context(|| format!("state of {name}"))?;
            state.collections.insert(name, collection);
        }
    }
    Ok(state)
}

async fn collection(db: &Database, name: &str, info: &Document, hashes: &Document) -> Result<CollectionState> {
    let kind = info.get_str("type")?.to_owned();
    let options = info.get_document("options")?;
    let uuid = match info.get_document("info")?.get("uuid") {
        Some(Bson::Binary(uuid)) => Some(hex::encode(&uuid.bytes)),
        _ => None,
    };
    let mut indexes = Vec::new();
    if kind == "collection" {
        let list = doc! { "listIndexes": name, "includeBuildUUIDs": true, "cursor": { "batchSize": CATALOG_BATCH } };
        for spec in first_batch(db.run_command(list).await.context("listIndexes")?)? {
            // One that is being built is no index yet.
            if !spec.contains_key("buildUUID") {
                indexes.push(canonical(&spec));
            }
        }
        indexes.sort();
    }
    let natural_order = match options.get_bool("capped") {
        Ok(true) => Some(natural_order(db, name).await.context("natural order")?),
        _ => None,
    };
    let md5 = hashes.get_str(name).ok().map(str::to_owned);
    Ok(CollectionState { kind, uuid, options: canonical(options), indexes, md5, natural_order })
}

async fn natural_order(db: &Database, name: &str) -> Result<(u64, String)> {
    let mut cursor = db.collection::<RawDocumentBuf>(name).find(doc! {}).sort(doc! { "$natural": 1 }).await?;
    let (mut count, mut hash) = (0, Md5::new());
    while let Some(document) = cursor.try_next().await? {
        count += 1;
        hash.update(document.as_bytes());
    }
    Ok((count, hex::encode(hash.finalize())))
}

fn first_batch(mut answer: Document) -> Result<Vec<Document>> {
    let Some(Bson::Document(mut cursor)) = answer.remove("cursor") else { bail!("no cursor in the answer") };
    if cursor.get_i64("id")? != 0 {
        bail!("more than one batch");
    }
    let Some(Bson::Array(batch)) = cursor.remove("firstBatch") else { bail!("no batch in the answer") };
    batch
        .into_iter()
        .map(|one| match one {
            Bson::Document(one) => Ok(one),
            other => bail!("{other} in a batch"),
        })
        .collect()
}

/// Canonical extended JSON (types are told apart) with top-level keys sorted: a server may list them in another order than
/// they were given. Below the top order means something (keys of an index, a pipeline).
fn canonical(document: &Document) -> String {
    let mut pairs: Vec<_> = document.iter().collect();
    pairs.sort_by_key(|(key, _)| key.as_str());
    let sorted: Document = pairs.into_iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    Bson::Document(sorted).into_canonical_extjson().to_string()
}

/// What differs, in sentences; empty when the servers are equal. `a` is called the source, `b` the other.
pub fn diff(a: &ServerState, b: &ServerState) -> Vec<String> {
    let mut found = Vec::new();
    for name in keys(&a.databases, &b.databases) {
        match (a.databases.get(name), b.databases.get(name)) {
            (Some(x), Some(y)) => diff_database(name, x, y, &mut found),
            (Some(x), None) if !x.collections.is_empty() => found.push(format!("{name}: only in the source")),
            (None, Some(y)) if !y.collections.is_empty() => found.push(format!("{name}: only in the other")),
            _ => {}
        }
    }
    let more = found.len().saturating_sub(DIFFERENCES_MAX);
    if more > 0 {
        found.truncate(DIFFERENCES_MAX);
        found.push(format!("and {more} more"));
    }
    found
}

fn diff_database(db: &str, a: &DatabaseState, b: &DatabaseState, found: &mut Vec<String>) {
    for name in keys(&a.collections, &b.collections) {
        match (a.collections.get(name), b.collections.get(name)) {
            (Some(x), Some(y)) => diff_collection(&format!("{db}.{name}"), x, y, found),
            (Some(_), None) => found.push(format!("{db}.{name}: only in the source")),
            (None, _) => found.push(format!("{db}.{name}: only in the other")),
        }
    }
}

fn diff_collection(ns: &str, a: &CollectionState, b: &CollectionState, found: &mut Vec<String>) {
    let mut check = |what: &str, x: &dyn std::fmt::Debug, y: &dyn std::fmt::Debug, equal: bool| {
        if !equal {
            found.push(format!("{ns}: {what}: {x:?} in the source, {y:?} in the other"));
        }
    };
    check("type", &a.kind, &b.kind, a.kind == b.kind);
    check("UUID", &a.uuid, &b.uuid, a.uuid == b.uuid);
    check("options", &a.options, &b.options, a.options == b.options);
    let only =
        |x: &[String], y: &[String]| -> Vec<String> { x.iter().filter(|spec| !y.contains(spec)).cloned().collect() };
    check("indexes", &only(&a.indexes, &b.indexes), &only(&b.indexes, &a.indexes), a.indexes == b.indexes);
    check("dbHash", &a.md5, &b.md5, a.md5 == b.md5);
    check("natural order", &a.natural_order, &b.natural_order, a.natural_order == b.natural_order);
}

fn keys<'a, V>(a: &'a BTreeMap<String, V>, b: &'a BTreeMap<String, V>) -> std::collections::BTreeSet<&'a String> {
    a.keys().chain(b.keys()).collect()
}

/// The state of a source that nobody writes to, and the cluster time at which it holds: every entry with a timestamp up to
/// it is in the state, and no entry after it changes what is compared.
///
/// # Errors
/// A command fails, or somebody wrote meanwhile.
pub async fn record(client: &Client) -> Result<(Timestamp, ServerState)> {
    let note = doc! { "appendOplogNote": 1, "data": { "why": "record" }, "writeConcern": { "w": "majority" } };
    let answer = client.database("admin").run_command(note).await.context("appendOplogNote")?;
    let at = answer.get_timestamp("operationTime").context("the answer has no operationTime")?;
    let state = state(client).await?;
    // No-ops, and what the server does in its own databases, change nothing that is compared.
    let later =
        doc! { "ts": { "$gt": at }, "op": { "$ne": "n" }, "ns": { "$not": { "$regex": r"^(config|local)\." } } };
    let oplog = client.database("local").collection::<Document>("oplog.rs");
    if let Some(entry) = oplog.find_one(later).await.context("look for later entries")? {
        bail!("the source is not quiet: {} {} at {:?}", entry.get_str("op")?, entry.get_str("ns")?, entry.get("ts"));
    }
    Ok((at, state))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_makes_a_difference() {
        let base = CollectionState { kind: "collection".into(), md5: Some("1".into()), ..Default::default() };
        let server = |collection: CollectionState| {
            let database = DatabaseState { collections: [("c".to_owned(), collection)].into() };
            ServerState { databases: [("d".to_owned(), database)].into() }
        };
        let same = server(base.clone());
        assert_eq!(diff(&same, &server(base.clone())), Vec::<String>::new());
        for (what, other) in [
            ("type", CollectionState { kind: "view".into(), ..base.clone() }),
            ("UUID", CollectionState { uuid: Some("u".into()), ..base.clone() }),
            ("options", CollectionState { options: "{}".into(), ..base.clone() }),
            ("indexes", CollectionState { indexes: vec!["i".into()], ..base.clone() }),
            ("dbHash", CollectionState { md5: None, ..base.clone() }),
            ("natural order", CollectionState { natural_order: Some((1, "x".into())), ..base.clone() }),
        ] {
            let found = diff(&same, &server(other));
            assert!(found.len() == 1 && found.iter().all(|line| line.contains(what)), "{what}: {found:?}");
        }
        assert_eq!(diff(&same, &ServerState::default()), ["d: only in the source"]);
        assert_eq!(diff(&ServerState::default(), &same), ["d: only in the other"]);
    }
}
