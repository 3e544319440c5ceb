//! Sizes of databases and collections, and which collections are busy: costly questions, asked seldom, the less often the longer they take.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use bson::{Document, doc};
use holdfast_agent_api::CollectionFacts;
use holdfast_metrics::{Reading, Scope, paths};
use mongodb::Client;

use super::{
    path::{documents, number, text, whole},
    throttle::Throttle,
};
use crate::backup::run;

/// Sizes of databases are read at most this often.
const DATABASES_EVERY: Duration = Duration::from_secs(600);
/// Busy collections are looked for at most this often.
const COLLECTIONS_EVERY: Duration = Duration::from_secs(900);
/// Databases of a host that are measured one by one; all of them count in the totals.
const DATABASES_MAX: usize = 100;
/// Collections of a host that are told of.
const COLLECTIONS_MAX: usize = 20;

/// Sizes of one host.
pub(super) struct Sizes {
    databases: Throttle,
    collections: Throttle,
    /// What was read last, by database, and the totals.
    known: BTreeMap<String, Document>,
    totals: [(&'static str, f64); 3],
}

impl Sizes {
    pub(super) fn new() -> Self {
        Self {
            databases: Throttle::every(DATABASES_EVERY),
            collections: Throttle::every(COLLECTIONS_EVERY),
            known: BTreeMap::new(),
            totals: [("db:total.dataSize", 0.0), ("db:total.storageSize", 0.0), ("db:total.indexSize", 0.0)],
        }
    }

    /// Reads the sizes of databases when it is time to.
    pub(super) async fn read(&mut self, client: &Client) {
        let began = Instant::now();
        if !self.databases.is_due(began) {
            return;
        }
        let Ok(listed) = run(client, "admin", doc! { "listDatabases": 1, "nameOnly": true }).await else {
            return self.databases.done(Instant::now(), began.elapsed());
        };
        self.known.clear();
        for (_, total) in &mut self.totals {
            *total = 0.0;
        }
        for db in documents(&listed, "databases") {
            let Some(name) = text(db, "name") else { continue };
            let Ok(stats) = run(client, name, doc! { "dbStats": 1, "freeStorage": 1 }).await else { continue };
            for (path, total) in &mut self.totals {
                let field = path.rsplit('.').next().unwrap_or_default();
                *total += number(&stats, field).unwrap_or(0.0);
            }
            if self.known.len() < DATABASES_MAX && name != "local" {
                self.known.insert(name.to_owned(), stats);
            }
        }
        self.databases.done(Instant::now(), began.elapsed());
    }

    /// Adds the totals.
    pub(super) fn totals(&self, reading: &mut Reading) {
        if !self.known.is_empty() {
            reading.values.extend(self.totals);
        }
    }

    /// A reading of each database that is known.
    pub(super) fn databases(&self) -> impl Iterator<Item = (&String, Reading)> {
        let paths = paths(Scope::Database);
        self.known.iter().map(move |(name, stats)| {
            let mut reading = Reading::default();
            for path in &paths {
                if let Some(value) = number(stats, path.trim_start_matches("db:")) {
                    reading.values.insert(path, value);
                }
            }
            (name, reading)
        })
    }

    /// The busiest collections with their sizes, when it is time to look.
    pub(super) async fn busy(&mut self, client: &Client) -> Option<Vec<CollectionFacts>> {
        let began = Instant::now();
        if !self.collections.is_due(began) {
            return None;
        }
        let top = run(client, "admin", doc! { "top": 1 }).await;
        let mut busy = top.map(|answer| busiest(&answer)).unwrap_or_default();
        for facts in &mut busy {
            let Some((db, collection)) = facts.ns.split_once('.') else { continue };
            if let Ok(stats) = run(client, db, doc! { "collStats": collection }).await {
                facts.count = whole(&stats, "count");
                facts.size_bytes = whole(&stats, "size");
                facts.storage_bytes = whole(&stats, "storageSize");
                facts.index_bytes = whole(&stats, "totalIndexSize");
            }
        }
        self.collections.done(Instant::now(), began.elapsed());
        Some(busy)
    }
}

/// By the time that reads and writes took.
fn busiest(top: &Document) -> Vec<CollectionFacts> {
    let millis = |doc: &Document, path: &str| whole(doc, path).unwrap_or(0) / 1_000;
    let totals = top.get_document("totals").cloned().unwrap_or_default();
    let one = |(ns, value): (&String, &bson::Bson)| {
        let doc = value.as_document()?;
        let own =
            ns.contains('.') && !ns.starts_with("local.") && !ns.starts_with("admin.") && !ns.starts_with("config.");
        own.then(|| CollectionFacts {
            ns: ns.clone(),
            read_millis: millis(doc, "readLock.time"),
            write_millis: millis(doc, "writeLock.time"),
            ..CollectionFacts::default()
        })
    };
    let mut all: Vec<CollectionFacts> = totals.iter().filter_map(one).collect();
    all.sort_by_key(|facts| std::cmp::Reverse(facts.read_millis + facts.write_millis));
    all.truncate(COLLECTIONS_MAX);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busiest_come_first_and_the_servers_own_not_at_all() {
        let time = |read: i64, write: i64| doc! { "readLock": { "time": read }, "writeLock": { "time": write } };
        let top = doc! { "totals": {
            "note": "all times in microseconds", "a.x": time(1_000, 2_000), "a.y": time(9_000_000, 0), "local.oplog.rs": time(99_000_000, 0),
        } };
        let busy = busiest(&top);
        assert_eq!(
            busy.iter().map(|f| (f.ns.as_str(), f.read_millis, f.write_millis)).collect::<Vec<_>>(),
            [("a.y", 9_000, 0), ("a.x", 1, 2)]
        );
    }
}
