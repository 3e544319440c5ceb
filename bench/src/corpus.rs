//! The corpus: the files of a real mongod, seeded, in states with churn between them.
//!
//! Invariants: the documents depend on the seed and the number of states alone; whenever somebody looks at the files the server is stopped
//! cleanly, as a head is for a snapshot.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use bson::{DateTime, Document, doc};
use futures::future::try_join_all;
use mongodb::Database;

use crate::measure::bytes_below;
use crate::random::Random;
use crate::server;

const COLLECTIONS: u64 = 4;
const BATCH: u64 = 1000;
/// Documents that are inserted at first, to learn how many bytes on disk one takes.
const PROBE: u64 = 40_000;
/// How near to the wanted size the files must come, in thousandths.
const NEAR_PERMILLE: u64 = 970;
/// Rounds of growing, at most.
const ROUNDS_MAX: u32 = 8;

/// Files of a server that is stopped.
#[derive(Debug)]
pub struct Corpus {
    /// The dbpath.
    pub dbpath: PathBuf,
    /// Documents per collection.
    documents: u64,
    seed: u64,
    /// Rounds of churn so far: each writes other content.
    churns: u64,
    vocabulary: Vec<String>,
}

/// Which documents a churn rewrites.
#[derive(Debug, Clone, Copy)]
pub enum Churn {
    /// A run of neighbours: thousandths of all.
    Local(u64),
    /// Every n-th.
    Uniform(u64),
}

impl Corpus {
    /// An empty one in this folder.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn new(dir: &Path, seed: u64) -> Result<Self> {
        let dbpath = dir.join("corpus");
        std::fs::create_dir_all(&dbpath)?;
        let mut random = Random(seed);
        let word = |random: &mut Random| {
            (0..3 + random.below(7)).map(|_| char::from(b'a' + u8::try_from(random.below(26)).unwrap_or(0))).collect()
        };
        let vocabulary = (0..3000).map(|_| word(&mut random)).collect();
        Ok(Self { dbpath, documents: 0, seed, churns: 0, vocabulary })
    }

    /// Bytes of the files.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn bytes(&self) -> Result<u64> {
        bytes_below(&self.dbpath)
    }

    /// Inserts documents until the files have about this many bytes.
    ///
    /// # Errors
    /// When the server fails.
    pub async fn grow(&mut self, bytes: u64) -> Result<()> {
        if self.documents == 0 {
            self.insert(PROBE).await?;
        }
        for _ in 0..ROUNDS_MAX {
            let have = self.bytes()?;
            if have >= bytes / 1000 * NEAR_PERMILLE {
                return Ok(());
            }
            // The rest at the price that documents had so far; a little less, since more can be added and none taken away.
            let wanted = (bytes - have) / 100 * 97 / (have / self.documents).max(1);
            self.insert(wanted.max(BATCH)).await?;
        }
        Ok(())
    }

    async fn insert(&mut self, count: u64) -> Result<()> {
        let mongod = server::standalone(&self.dbpath).await?;
        let db = mongod.client().database("shop");
        let (from, to) = (self.documents, self.documents + count.div_ceil(BATCH) * BATCH);
        let jobs = (0..COLLECTIONS).map(|collection| {
            let (db, this) = (db.clone(), &*self);
            async move {
                let name = collection_name(collection);
                if from == 0 {
                    index(&db, &name).await?;
                }
                let target = db.collection::<Document>(&name);
                for start in (from..to).step_by(usize::try_from(BATCH)?) {
                    let batch: Vec<_> = (start..start + BATCH).map(|id| this.document(collection, id, 0)).collect();
                    target.insert_many(batch).ordered(false).await?;
                }
                anyhow::Ok(())
            }
        });
        try_join_all(jobs).await?;
        self.documents = to;
        server::stop(mongod).await
    }

    /// Rewrites some documents of every collection.
    ///
    /// # Errors
    /// When the server fails.
    pub async fn churn(&mut self, churn: Churn) -> Result<()> {
        self.churns += 1;
        let mongod = server::standalone(&self.dbpath).await?;
        let db = mongod.client().database("shop");
        let mut random = Random(self.seed ^ self.churns.wrapping_mul(0x51_7c_c1_b7));
        for collection in 0..COLLECTIONS {
            let (from, count, step) = match churn {
                Churn::Local(permille) => {
                    let count = self.documents * permille / 1000;
                    (random.below(self.documents - count), count, 1)
                }
                Churn::Uniform(step) => (random.below(step), self.documents / step, step),
            };
            let ids: Vec<u64> = (0..count).map(|n| from + n * step).filter(|id| *id < self.documents).collect();
            for ids in ids.chunks(usize::try_from(BATCH)?) {
                let updates: Vec<_> = ids
                    .iter()
                    .map(|id| {
                        let mut fresh = self.document(collection, *id, self.churns);
                        let id = fresh.remove("_id").unwrap_or_default();
                        doc! { "q": { "_id": id }, "u": fresh }
                    })
                    .collect();
                db.run_command(doc! { "update": collection_name(collection), "updates": updates, "ordered": false })
                    .await?;
            }
        }
        server::stop(mongod).await
    }

    /// About 1 KB: words, numbers, some that do not compress.
    fn document(&self, collection: u64, id: u64, generation: u64) -> Document {
        let key = self.seed ^ (collection << 56) ^ id.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ (generation << 44);
        let mut random = Random(key);
        let mut text = String::with_capacity(800);
        while text.len() < 640 {
            let at = usize::try_from(random.below(self.vocabulary.len() as u64)).unwrap_or(0);
            text.push_str(&self.vocabulary[at]);
            text.push(' ');
        }
        let state = ["new", "paid", "sent", "back"][usize::try_from(random.below(4)).unwrap_or(0)];
        let token: String = (0..8).map(|_| format!("{:016x}", random.word())).collect();
        let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        doc! {
            "_id": signed(id),
            "customer": format!("customer-{:07}", random.below(self.documents.max(PROBE) / 3)),
            "at": DateTime::from_millis(1_700_000_000_000 + signed(id * 977)),
            "amount": signed(random.below(100_000)),
            "state": state,
            "token": token,
            "text": text,
        }
    }
}

fn collection_name(collection: u64) -> String {
    format!("orders{collection}")
}

async fn index(db: &Database, name: &str) -> Result<()> {
    for keys in [doc! { "customer": 1 }, doc! { "state": 1, "at": 1 }] {
        let index = mongodb::IndexModel::builder().keys(keys).build();
        db.collection::<Document>(name).create_index(index).await.context("creating an index")?;
    }
    Ok(())
}
