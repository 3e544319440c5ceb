//! A random writer in the background: what a busy source looks like.
//!
//! The choice of operations follows from the seed, per writer; how writers interleave does not. Operations that fail
//! (conflicts, elections, a name that a DDL storm took away) are counted and the writer goes on.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result};
use bson::{Bson, DateTime, Document, doc};
use futures::future::join_all;
use mongodb::{Client, Collection, Database};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::{
    sync::{OwnedRwLockWriteGuard, RwLock, watch},
    task::JoinHandle,
};

use super::command::{self, delete, index, insert, run, transaction, update, upsert};

/// Where it writes.
pub const LIVE_DATABASE: &str = "live";
/// Ordinary collections (`c0`, `c1`, ...), each with a unique index on `u`.
pub(super) const COLLECTIONS: u32 = 4;
/// Documents per insert while the fixture is made.
const FIXTURE_BATCH: usize = 1000;
/// 2026-01-01 in milliseconds.
const START_MS: i64 = 1_767_225_600_000;

/// How much is written.
#[derive(Debug, Clone, Copy)]
pub struct LiveOptions {
    /// Of all random choices.
    pub seed: u64,
    /// Writers at once.
    pub writers: u32,
    /// Documents in each of the four collections at the start; about 350 bytes each.
    pub documents: u32,
    /// Pause after each operation of each writer; zero: as fast as the server.
    pub pause: Duration,
}

impl Default for LiveOptions {
    fn default() -> Self {
        Self { seed: 1, writers: 2, documents: 2000, pause: Duration::from_millis(1) }
    }
}

/// What was done so far, by kind of operation.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    /// Operations that the server acknowledged.
    pub done: BTreeMap<&'static str, u64>,
    /// Operations that failed.
    pub failed: BTreeMap<&'static str, u64>,
    /// Reason of the last failure by kind.
    pub last_error: BTreeMap<&'static str, String>,
}

impl Counts {
    /// Operations that the server acknowledged, of all kinds.
    pub fn total(&self) -> u64 {
        self.done.values().sum()
    }

    pub(super) fn note(&mut self, kind: &'static str, result: Result<()>) {
        match result {
            Ok(()) => *self.done.entry(kind).or_default() += 1,
            Err(error) => {
                *self.failed.entry(kind).or_default() += 1;
                self.last_error.insert(kind, format!("{error:#}"));
            }
        }
    }
}

/// Writers in the background. Dropping it stops them too, without waiting.
#[derive(Debug)]
pub struct Live {
    counts: Arc<Mutex<Counts>>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    /// Read-held by each operation, so that who holds it for writing knows that none is under way.
    gate: Arc<RwLock<()>>,
    paused: Mutex<Option<OwnedRwLockWriteGuard<()>>>,
}

impl Live {
    /// Makes the collections where they are missing and starts two writers. They make no DDL afterwards.
    ///
    /// # Errors
    /// The fixture cannot be written.
    pub async fn start(client: &Client, seed: u64) -> Result<Self> {
        Self::start_with(client, LiveOptions { seed, ..LiveOptions::default() }).await
    }

    /// As [`Live::start`], with a say in how much is written.
    ///
    /// # Errors
    /// As [`Live::start`].
    pub async fn start_with(client: &Client, options: LiveOptions) -> Result<Self> {
        fixture(client, options).await.context("fixture of the live workload")?;
        let counts = Arc::new(Mutex::new(Counts::default()));
        let (stop, stopped) = watch::channel(false);
        let gate = Arc::new(RwLock::new(()));
        let tasks = (0..options.writers)
            .map(|writer| {
                let writer = Writer {
                    client: client.clone(),
                    db: client.database(LIVE_DATABASE),
                    random: StdRng::seed_from_u64(options.seed.wrapping_mul(1009).wrapping_add(u64::from(writer))),
                    number: writer,
                    documents: i64::from(options.documents.max(2)),
                    count: 0,
                };
                tokio::spawn(writer.work(counts.clone(), stopped.clone(), gate.clone(), options.pause))
            })
            .collect();
        Ok(Self { counts, stop, tasks, gate, paused: Mutex::default() })
    }

    /// What was done so far.
    pub fn counts(&self) -> Counts {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Holds the writers; when this returns no operation is under way.
    pub async fn pause(&self) {
        if self.paused.lock().unwrap_or_else(PoisonError::into_inner).is_none() {
            let guard = self.gate.clone().write_owned().await;
            *self.paused.lock().unwrap_or_else(PoisonError::into_inner) = Some(guard);
        }
    }

    /// Lets the writers go on.
    pub fn resume(&self) {
        *self.paused.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Stops the writers after their current operation; what they did.
    ///
    /// # Errors
    /// A writer panicked.
    pub async fn stop(self) -> Result<Counts> {
        let _ = self.stop.send(true);
        self.resume();
        for ended in join_all(self.tasks).await {
            ended.context("a writer of the live workload")?;
        }
        Ok(self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

/// Makes what the writers and the DDL storm work on; what is there stays.
pub(super) async fn fixture(client: &Client, options: LiveOptions) -> Result<()> {
    let db = client.database(LIVE_DATABASE);
    let there = db.list_collection_names().await?;
    let missing = |name: &str| !there.iter().any(|found| found == name);
    for n in 0..COLLECTIONS {
        let name = format!("c{n}");
        if missing(&name) {
            fill(&db.collection(&name), options.documents).await?;
            run(&db, index(&name, "u_1", doc! { "u": 1 }, doc! { "unique": true })).await?;
            run(&db, index(&name, "v_1", doc! { "v": 1 }, doc! {})).await?;
        }
    }
    for (name, create) in [
        ("cap", doc! { "create": "cap", "capped": true, "size": 1 << 20 }),
        ("clu", doc! { "create": "clu", "clusteredIndex": { "key": { "_id": 1 }, "unique": true } }),
        ("tseries", doc! { "create": "tseries", "timeseries": { "timeField": "t", "metaField": "m" } }),
        ("view", doc! { "create": "view", "viewOn": "c0", "pipeline": [{ "$match": { "v": 1 } }] }),
    ] {
        if missing(name) {
            run(&db, create).await?;
        }
    }
    for name in ["ra", "rb", "rc"] {
        if missing(name) {
            run(&db, insert(name, (0..500).map(|i| doc! { "_id": i, "who": name }))).await?;
            run(&db, index(name, "who_1", doc! { "who": 1 }, doc! {})).await?;
        }
    }
    Ok(())
}

async fn fill(collection: &Collection<Document>, documents: u32) -> Result<()> {
    let all: Vec<i64> = (0..i64::from(documents)).collect();
    for batch in all.chunks(FIXTURE_BATCH) {
        let batch = batch.iter().map(|i| doc! { "_id": i, "u": i, "v": 0, "p": "x".repeat(200), "arr": [1, 2, 3] });
        collection.insert_many(batch).await?;
    }
    Ok(())
}

struct Writer {
    client: Client,
    db: Database,
    random: StdRng,
    number: u32,
    /// Ids are chosen below this.
    documents: i64,
    count: i64,
}

impl Writer {
    async fn work(
        mut self,
        counts: Arc<Mutex<Counts>>,
        stopped: watch::Receiver<bool>,
        gate: Arc<RwLock<()>>,
        pause: Duration,
    ) {
        loop {
            let open = gate.read().await;
            // A dropped sender stops the writer too.
            if !stopped.has_changed().is_ok_and(|changed| !changed) {
                return;
            }
            let (kind, result) = self.one().await;
            drop(open);
            counts.lock().unwrap_or_else(PoisonError::into_inner).note(kind, result);
            self.count += 1;
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
        }
    }

    fn id(&mut self) -> i64 {
        self.random.random_range(0..self.documents)
    }

    /// An id that no other operation uses.
    fn fresh(&self) -> String {
        format!("n{}-{}", self.number, self.count)
    }

    async fn one(&mut self) -> (&'static str, Result<()>) {
        let name = format!("c{}", self.random.random_range(0..COLLECTIONS));
        let id = self.id();
        let some = self.random.random_range(0..99_i32);
        let is = doc! { "_id": id };
        let db = self.db.clone();
        let command = |command: Document| command::ok(run(&db, command));
        match self.random.random_range(0..20_u32) {
            0 => (
                "set and push",
                command(update(&name, is, doc! { "$set": { "v": some }, "$push": { "arr": some } }, false)).await,
            ),
            1 => ("delete", command(delete(&name, is, 1)).await),
            2 => ("replace", command(upsert(&name, is, doc! { "u": id, "v": 7, "arr": [5] })).await),
            3 => ("unique key moves", self.move_key(&name, id).await),
            4 => ("transaction that swaps unique keys", self.swap(&name, id).await),
            5 => (
                "pop and inc",
                command(update(&name, is, doc! { "$pop": { "arr": -1 }, "$inc": { "v": 1 } }, false)).await,
            ),
            6 => {
                let size = self.random.random_range(0..900);
                ("capped insert", command(insert("cap", [doc! { "_id": self.fresh(), "p": "q".repeat(size) }])).await)
            }
            7 => ("clustered upsert", command(upsert("clu", is, doc! { "$inc": { "v": 1 } })).await),
            8 => ("time series", command(insert("tseries", [self.point(some)])).await),
            9 => ("insert", command(insert(&name, [self.document(some)])).await),
            10 => ("bulk", self.bulk(&name, id, some).await),
            11 => {
                let stage = doc! { "$set": { "v": { "$mod": [{ "$add": ["$v", some] }, 1000] }, "last": { "$arrayElemAt": ["$arr", -1] } } };
                ("pipeline update", command(update(&name, is, vec![stage], false)).await)
            }
            12 => {
                let range = doc! { "_id": { "$gte": id, "$lt": id + 10 } };
                ("update many", command(update(&name, range, doc! { "$set": { "m": some } }, true)).await)
            }
            13 => ("transaction", self.transaction(&name, id, some).await),
            14 => {
                let collection: Collection<Document> = self.db.collection(&name);
                let result =
                    collection.find_one_and_update(is, doc! { "$inc": { "v": 1 }, "$unset": { "last": 1 } }).await;
                ("find and update", result.map(drop).map_err(Into::into))
            }
            15 => (
                "nested set",
                command(update(&name, is, doc! { "$set": { "n.a.b": some, "arr.1": some } }, false)).await,
            ),
            16 => ("rename field", command(update(&name, is, doc! { "$rename": { "m": "m2" } }, false)).await),
            17 => {
                let growing = doc! { "$set": { "p": "g".repeat(self.random.random_range(0..5000)) } };
                ("size changes", command(update(&name, is, growing, false)).await)
            }
            18 => ("delete many", command(delete(&name, doc! { "_id": { "$gte": id, "$lt": id + 3 } }, 0)).await),
            _ => ("insert many", command(insert(&name, (0..10).map(|i| self.numbered(some, i)))).await),
        }
    }

    fn document(&self, some: i32) -> Document {
        self.numbered(some, 0)
    }

    fn numbered(&self, some: i32, i: i64) -> Document {
        let unique = 1_000_000_000 * (i64::from(self.number) + 1) + self.count * 100 + i;
        doc! { "_id": format!("{}-{i}", self.fresh()), "u": unique, "v": some, "p": "i".repeat(100), "arr": [some] }
    }

    fn point(&mut self, some: i32) -> Document {
        let at = START_MS + self.random.random_range(0..9_000_000_i64);
        doc! { "t": DateTime::from_millis(at), "m": self.random.random_range(0..7), "v": some }
    }

    /// The unique key of a deleted document is taken by a new one: order matters to whoever applies this.
    async fn move_key(&self, name: &str, id: i64) -> Result<()> {
        let collection: Collection<Document> = self.db.collection(name);
        let Some(old) = collection.find_one_and_delete(doc! { "_id": id }).await? else { return Ok(()) };
        let key = old.get("u").cloned().unwrap_or(Bson::Null);
        let fresh = doc! { "_id": format!("k{}-{}", self.number, self.count), "u": key, "v": 1, "arr": [] };
        collection.insert_one(fresh).await.map(drop).map_err(Into::into)
    }

    async fn swap(&mut self, name: &str, id: i64) -> Result<()> {
        let other = self.id();
        let collection: Collection<Document> = self.db.collection(name);
        let mut session = self.client.start_session().await?;
        session.start_transaction().await?;
        let a = collection.find_one(doc! { "_id": id }).session(&mut session).await?;
        let b = collection.find_one(doc! { "_id": other }).session(&mut session).await?;
        if let (Some(a), Some(b)) = (a, b)
            && id != other
            && let (Some(a), Some(b)) = (a.get("u").cloned(), b.get("u").cloned())
        {
            let aside = Bson::Int64(-1_000_000 * (i64::from(self.number) + 1) - self.count);
            for (id, key) in [(id, aside), (other, a), (id, b)] {
                collection.update_one(doc! { "_id": id }, doc! { "$set": { "u": key } }).session(&mut session).await?;
            }
        }
        session.commit_transaction().await.map_err(Into::into)
    }

    async fn transaction(&self, name: &str, id: i64, some: i32) -> Result<()> {
        let commands = vec![
            (LIVE_DATABASE, insert(name, (0..5).map(|i| self.numbered(some, i)))),
            (
                LIVE_DATABASE,
                update(name, doc! { "_id": id }, doc! { "$inc": { "v": 1 }, "$push": { "arr": some } }, false),
            ),
            (LIVE_DATABASE, upsert("clu", doc! { "_id": id }, doc! { "$set": { "in": "transaction" } })),
            (LIVE_DATABASE, delete(name, doc! { "_id": id + 1 }, 1)),
        ];
        transaction(&self.client, commands).await
    }

    async fn bulk(&self, name: &str, id: i64, some: i32) -> Result<()> {
        run(&self.db, insert(name, (0..20).map(|i| self.numbered(some, i)))).await?;
        let updates: Vec<Document> = (0..10)
            .map(|i| doc! { "q": { "_id": id + i }, "u": { "$inc": { "v": 1 }, "$set": { "b": some } } })
            .collect();
        run(&self.db, doc! { "update": name, "updates": updates, "ordered": false }).await?;
        run(&self.db, delete(name, doc! { "_id": { "$regex": format!("^n{}-.*-1[0-9]$", self.number) }, "v": some }, 0))
            .await
            .map(drop)
    }
}
