//! Heads against real servers: a source is a replica set of one member, a head is compared with it in every respect.
#![allow(clippy::unwrap_used, reason = "tests")]

mod crash;
mod initial_sync;
mod instants;
mod refusals;
mod steady;

use std::path::PathBuf;

use bson::{Document, RawDocumentBuf, Timestamp, doc};
use futures::TryStreamExt;
use holdfast_domain::Ts;
use holdfast_tests::{ReplicaSet, ReplicaSetOptions, compare, mongod_binary};
use mongodb::Client;
use tempfile::TempDir;

use super::{raw, *};

/// Folders of one test.
struct Lab {
    dir: TempDir,
    source: ReplicaSet,
    /// The source's admin.system.version as it was before anything was done: what an oplog from its beginning builds on.
    version: CatalogCollection,
}

impl Lab {
    async fn new() -> Self {
        Self::with_cache(1.0).await
    }

    /// A source with a cache of so many GiB.
    async fn with_cache(cache_gb: f64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options = ReplicaSetOptions {
            cache_gb,
            params: vec![("enableTestCommands".into(), "1".into())],
            ..ReplicaSetOptions::default()
        };
        let source = ReplicaSet::start(1, options).await.unwrap();
        let catalog = read_catalog(&source.client()).await.unwrap();
        let version = catalog.collections.into_iter().find(|c| c.db == "admin" && c.name == "system.version").unwrap();
        Self { dir, source, version }
    }

    fn client(&self) -> Client {
        self.source.client()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn options(&self) -> HeadOptions {
        HeadOptions {
            binary: mongod_binary(),
            port: holdfast_mongod::free_port().unwrap(),
            cache_gb: 0.25,
            directory_per_db: false,
            directory_for_indexes: false,
            keyfile: self.path("key"),
        }
    }

    /// A new head that stands before the source's first entry.
    async fn head(&self, name: &str) -> Head {
        self.head_with(name, &self.options()).await
    }

    async fn head_with(&self, name: &str, options: &HeadOptions) -> Head {
        let head = Head::create(&self.path(name), options).await.unwrap();
        let mut loader = Loader::begin(head).await.unwrap();
        loader.collection(&spec(&self.version)).await.unwrap();
        loader.catch_up(&[]).await.unwrap();
        loader.finish(Ts::ZERO).await.unwrap()
    }

    async fn open(&self, name: &str) -> Head {
        Head::open(&self.path(name), &self.options()).await.unwrap()
    }

    /// All entries of the source's oplog.
    async fn oplog(&self) -> Oplog {
        Oplog::read(&self.client()).await
    }

    /// What differs between the source, which is quiet, and a head.
    async fn diff(&self, head: &Head) -> Vec<String> {
        let (_, source) = compare::record(&self.client()).await.unwrap();
        let mut found = compare::diff(&source, &compare::state(&head.client()).await.unwrap());
        // This module's own comparison must say the same.
        let catalog = read_catalog(&self.client()).await.unwrap();
        found.extend(head.compare_catalog(&catalog).await.unwrap().iter().map(ToString::to_string));
        if head.db_hashes().await.unwrap() != db_hashes(&self.client()).await.unwrap() {
            found.push("hashes differ".into());
        }
        found
    }
}

fn spec(collection: &CatalogCollection) -> CollectionSpec {
    CollectionSpec {
        uuid: collection.uuid.unwrap(),
        db: collection.db.clone(),
        name: collection.name.clone(),
        options: collection.options.clone(),
        indexes: collection.indexes.clone(),
    }
}

/// Entries of an oplog.
struct Oplog {
    entries: Vec<(Ts, RawDocumentBuf)>,
}

impl Oplog {
    async fn read(client: &Client) -> Self {
        let oplog = client.database("local").collection::<RawDocumentBuf>("oplog.rs");
        let entries: Vec<RawDocumentBuf> =
            oplog.find(doc! {}).sort(doc! { "$natural": 1 }).await.unwrap().try_collect().await.unwrap();
        Self { entries: entries.into_iter().map(|entry| (entry.get_timestamp("ts").unwrap().into(), entry)).collect() }
    }

    fn bytes(
        &self,
        range: impl std::slice::SliceIndex<[(Ts, RawDocumentBuf)], Output = [(Ts, RawDocumentBuf)]>,
    ) -> Vec<u8> {
        self.entries[range].iter().flat_map(|(_, entry)| entry.as_bytes().iter().copied()).collect()
    }

    fn all(&self) -> Vec<u8> {
        self.bytes(..)
    }

    fn last(&self) -> Ts {
        self.entries.last().unwrap().0
    }

    /// Index of the first entry for which this holds.
    fn position(&self, holds: impl Fn(&Document) -> bool) -> usize {
        self.entries.iter().position(|(_, entry)| holds(&Document::try_from(entry.as_ref()).unwrap())).unwrap()
    }
}

/// An entry that comes after all others, as a server would write it.
fn later(last: Ts, step: u32, more: Document) -> Vec<u8> {
    let mut entry = doc! { "ts": Timestamp { time: last.t + step, increment: 1 }, "t": 1_i64, "v": 2_i64, "wall": bson::DateTime::now() };
    entry.extend(more);
    entry.to_vec().unwrap()
}
