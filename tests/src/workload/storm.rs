//! Renames, drops, index builds, `$out` and their like in the background, on the collections of the live workload: what
//! makes an initial sync fuzzy.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result};
use bson::{Document, doc};
use mongodb::{Client, Database};
use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};
use tokio::{sync::watch, task::JoinHandle};

use super::{
    command::{self, aggregate, index, insert, run},
    live::{self, Counts, LIVE_DATABASE, LiveOptions},
};

/// Between two operations.
const PAUSE: Duration = Duration::from_millis(20);
/// The database that collections are moved to.
const OTHER_DATABASE: &str = "live2";

/// A storm in the background. Dropping it stops it too, without waiting.
#[derive(Debug)]
pub struct DdlStorm {
    counts: Arc<Mutex<Counts>>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// [`DdlStorm::start`] in a word.
///
/// # Errors
/// As [`DdlStorm::start`].
pub async fn ddl_storm(client: &Client, seed: u64) -> Result<DdlStorm> {
    DdlStorm::start(client, seed).await
}

impl DdlStorm {
    /// Starts a storm over the collections of [`super::Live`], which are made when missing. The seed decides the order of a
    /// round's operations. Many of them fail by intent: names come and go.
    ///
    /// # Errors
    /// The collections cannot be made.
    pub async fn start(client: &Client, seed: u64) -> Result<Self> {
        live::fixture(client, LiveOptions::default()).await.context("fixture of the storm")?;
        let counts = Arc::new(Mutex::new(Counts::default()));
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(blow(client.clone(), StdRng::seed_from_u64(seed), counts.clone(), stopped));
        Ok(Self { counts, stop, task })
    }

    /// What was done so far.
    pub fn counts(&self) -> Counts {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Stops after the current operation; what was done.
    ///
    /// # Errors
    /// It panicked.
    pub async fn stop(self) -> Result<Counts> {
        let _ = self.stop.send(true);
        self.task.await.context("the storm")?;
        Ok(self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

/// The databases an operation may belong to.
enum Place {
    Live,
    Admin,
    Gone,
}

async fn blow(client: Client, mut random: StdRng, counts: Arc<Mutex<Counts>>, stopped: watch::Receiver<bool>) {
    let (db, admin, gone) = (client.database(LIVE_DATABASE), client.database("admin"), client.database("live_gone"));
    for round in 1_i32.. {
        let mut operations = round_of(round);
        // Rounds in the order written (chains of renames) and shuffled ones take turns.
        if round % 2 == 0 {
            operations.shuffle(&mut random);
        }
        for (kind, place, commands) in operations {
            if !stopped.has_changed().is_ok_and(|changed| !changed) {
                return;
            }
            let db: &Database = match place {
                Place::Live => &db,
                Place::Admin => &admin,
                Place::Gone => &gone,
            };
            let mut result = Ok(());
            for command in commands {
                result = command::ok(run(db, command)).await;
                if result.is_err() {
                    break;
                }
            }
            counts.lock().unwrap_or_else(PoisonError::into_inner).note(kind, result);
            tokio::time::sleep(PAUSE).await;
        }
    }
}

fn rename(from: &str, to: &str, drop_target: bool) -> Document {
    doc! { "renameCollection": format!("{LIVE_DATABASE}.{from}"), "to": to, "dropTarget": drop_target }
}

fn round_of(round: i32) -> Vec<(&'static str, Place, Vec<Document>)> {
    let within = |name: &str| format!("{LIVE_DATABASE}.{name}");
    let fresh = format!("new{round}");
    let out = |limit: i32, to: &str| aggregate("c2", vec![doc! { "$limit": limit }, doc! { "$out": to }]);
    vec![
        ("rename a away", Place::Admin, vec![rename("ra", &within("rtmp"), false)]),
        ("rename b to a", Place::Admin, vec![rename("rb", &within("ra"), false)]),
        ("rename a to b", Place::Admin, vec![rename("rtmp", &within("rb"), false)]),
        (
            "create with index",
            Place::Live,
            vec![
                insert(&fresh, [doc! { "_id": round, "q": round }]),
                index(&fresh, "q_1", doc! { "q": 1 }, doc! { "unique": true }),
            ],
        ),
        ("drop", Place::Live, vec![doc! { "drop": format!("new{}", round - 1) }]),
        ("rename onto another", Place::Admin, vec![rename("rc", &within("rd"), true)]),
        (
            "create again with index",
            Place::Live,
            vec![
                insert("rc", [doc! { "_id": round, "who": "again" }]),
                index("rc", "who_1", doc! { "who": 1 }, doc! {}),
            ],
        ),
        ("index on documents", Place::Live, vec![index("c1", "arrx", doc! { "arr": 1 }, doc! {})]),
        ("drop index", Place::Live, vec![doc! { "dropIndexes": "c1", "index": "arrx" }]),
        ("$out", Place::Live, vec![out(50, "outc")]),
        ("$out onto itself", Place::Live, vec![out(30, "outc")]),
        ("rename to another database", Place::Admin, vec![rename("outc", &format!("{OTHER_DATABASE}.outc"), true)]),
        (
            "change validator",
            Place::Live,
            vec![doc! { "collMod": "c3", "validator": { "v": { "$gte": -round } }, "validationAction": "warn" }],
        ),
        ("convert to capped", Place::Live, vec![doc! { "convertToCapped": "rd", "size": 4096 * (round % 50 + 1) }]),
        (
            "change view",
            Place::Live,
            vec![doc! { "collMod": "view", "viewOn": "c0", "pipeline": [{ "$match": { "v": round } }] }],
        ),
        (
            "drop a database",
            Place::Gone,
            vec![
                insert("a", [doc! { "_id": round }]),
                insert("b", [doc! { "_id": round }]),
                doc! { "dropDatabase": 1 },
            ],
        ),
        (
            "view comes and goes",
            Place::Live,
            vec![doc! { "create": "view2", "viewOn": "c1", "pipeline": [] }, doc! { "drop": "view2" }],
        ),
        (
            "capped comes and goes",
            Place::Live,
            vec![
                doc! { "create": "cap2", "capped": true, "size": 8192 },
                insert("cap2", (0..20).map(|i| doc! { "_id": i, "p": "c".repeat(100) })),
                doc! { "drop": "cap2" },
            ],
        ),
    ]
}
