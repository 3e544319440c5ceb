//! Instants of a source with what the source held then, and the comparison of a restore with them.

#![allow(dead_code, reason = "each test takes what it needs of this module")]

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bson::{Document, Timestamp, doc};
use futures::TryStreamExt as _;
use holdfast_domain::Ts;
use holdfast_mongod::{Mongod, MongodOptions, free_port};
use holdfast_tests::{
    appliance::Appliance,
    compare::{self, ServerState},
    mongod_binary,
    workload::Live,
};
use mongodb::Client;
use tokio::time::sleep;

/// An instant and the source's state at it.
#[derive(Debug)]
pub(crate) struct Instant {
    pub(crate) at: Ts,
    pub(crate) what: String,
    pub(crate) state: ServerState,
    /// False when the state is that of a moment of writing: order inside capped collections was not recorded.
    pub(crate) whole: bool,
}

/// What was recorded so far.
#[derive(Debug, Default)]
pub(crate) struct Instants(Vec<Instant>);

impl Instants {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn all(&self) -> &[Instant] {
        &self.0
    }

    /// The state of a quiet source, now.
    pub(crate) async fn record(&mut self, client: &Client, what: &str) -> Result<Ts> {
        let (at, state) = compare::record(client).await.with_context(|| format!("record {what}"))?;
        let at = Ts::from(at);
        self.0.push(Instant { at, what: what.to_owned(), state, whole: true });
        Ok(at)
    }

    /// Instants between two writes of a running load: hashes by the server's own reading at a past time, the catalog being
    /// that of the quiet moment after, since the load makes no DDL.
    pub(crate) async fn sample_busy(&mut self, client: &Client, live: &Live, count: usize, what: &str) -> Result<()> {
        let mut times = Vec::new();
        for _ in 0..count {
            sleep(Duration::from_millis(300)).await;
            times.push(newest_entry(client).await?);
        }
        live.pause().await;
        let (_, state) = compare::record(client).await?;
        for at in times {
            let state = state_at(client, &state, at).await?;
            self.0.push(Instant { at: at.into(), what: format!("{what} at {}", Ts::from(at)), state, whole: false });
        }
        live.resume();
        Ok(())
    }

    /// Instants between the entries of the last transaction that has several: nothing of it may be there yet.
    pub(crate) async fn inside_last_transaction(&mut self, client: &Client, count: usize) -> Result<()> {
        let parts = last_transaction(client).await?;
        ensure!(parts.len() > count, "the last transaction has only {} entries", parts.len());
        let before = self.0.last().context("a state before the transaction")?;
        ensure!(before.whole, "the state before the transaction is a whole one");
        let (state, step) = (before.state.clone(), (parts.len() - 1) / count);
        for n in 0..count {
            let at = parts[n * step.max(1)];
            let what = format!("inside a transaction, entry {} of {}", n * step.max(1) + 1, parts.len());
            // The collection of the transaction may have been made in between: hashes at that time tell.
            let (_, now) = compare::record(client).await?;
            let state = if same_catalog(&state, &now) { state.clone() } else { state_at(client, &now, at).await? };
            self.0.push(Instant { at: at.into(), what, state, whole: false });
        }
        Ok(())
    }
}

fn same_catalog(a: &ServerState, b: &ServerState) -> bool {
    let names = |s: &ServerState| -> Vec<String> {
        let all = s.databases.iter().flat_map(|(db, d)| d.collections.keys().map(move |c| format!("{db}.{c}")));
        all.collect()
    };
    names(a) == names(b)
}

async fn newest_entry(client: &Client) -> Result<Timestamp> {
    let oplog = client.database("local").collection::<Document>("oplog.rs");
    let last =
        oplog.find_one(doc! {"op": {"$ne": "n"}}).sort(doc! {"$natural": -1}).await?.context("an empty oplog")?;
    last.get_timestamp("ts").context("an entry without ts")
}

/// Cluster times of the entries of the newest transaction that has more than one.
async fn last_transaction(client: &Client) -> Result<Vec<Timestamp>> {
    let oplog = client.database("local").collection::<Document>("oplog.rs");
    let chained = doc! {"o.applyOps": {"$exists": true}, "prevOpTime.ts": {"$gt": Timestamp { time: 0, increment: 0 }}};
    let last = oplog
        .find_one(chained)
        .sort(doc! {"$natural": -1})
        .projection(doc! {"o": 0})
        .await?
        .context("no chained transaction")?;
    let same = doc! {"lsid": last.get_document("lsid")?, "txnNumber": last.get_i64("txnNumber")?, "o.applyOps": {"$exists": true}};
    let entries: Vec<Document> = oplog.find(same).projection(doc! {"ts": 1}).await?.try_collect().await?;
    let mut times = entries.iter().map(|e| e.get_timestamp("ts")).collect::<Result<Vec<_>, _>>()?;
    times.sort();
    Ok(times)
}

/// `like`, with the hashes that the source's collections had at `at`.
async fn state_at(client: &Client, like: &ServerState, at: Timestamp) -> Result<ServerState> {
    let mut state = like.clone();
    for (name, database) in &mut state.databases {
        let answer = client.database(name).run_command(doc! {"dbHash": 1, "$_internalReadAtClusterTime": at}).await;
        let answer = answer.with_context(|| format!("dbHash of {name} at {at:?}"))?;
        let hashes = answer.get_document("collections")?;
        for (collection, facts) in &mut database.collections {
            facts.md5 = hashes.get_str(collection).ok().map(str::to_owned);
            facts.natural_order = None;
        }
    }
    Ok(state)
}

/// Restores an instant, opens it with a plain mongod, and compares.
pub(crate) async fn check_restore(appliance: &Appliance, backup: &str, instant: &Instant) -> Result<()> {
    let what = || format!("restore of {} ({})", instant.at, instant.what);
    let dir = tempfile::tempdir()?;
    let dbpath = dir.path().join("restored");
    let answer = appliance.restore_at(backup, instant.at, &dbpath).await.with_context(what)?;
    ensure!(answer["state"] == "ready", "{}: {answer}", what());
    let mongod =
        Mongod::start(MongodOptions::plain(mongod_binary(), &dbpath, free_port()?)).await.with_context(what)?;
    let mut found = compare::state(&mongod.client()).await.with_context(what)?;
    if !instant.whole {
        for database in found.databases.values_mut() {
            for collection in database.collections.values_mut() {
                collection.natural_order = None;
            }
        }
    }
    let differences = compare::diff(&instant.state, &found);
    mongod.stop().await?;
    ensure!(
        differences.is_empty(),
        "{} differs from the source:\n{}\n{}",
        what(),
        differences.join("\n"),
        appliance.logs()
    );
    Ok(())
}
