//! The soak: processes that write, trash, collect, sweep and verify one store at a time, killed with SIGKILL at random, and a model that says
//! afterwards what must be there.
//!
//! Invariants: the content of a snapshot follows from the seed in its `meta`, so that every snapshot can be compared whoever committed it and
//! whenever its writer was killed; a worker says what it did on its standard output *after* a commit and *before* a deletion, so that what was
//! said and not taken back must exist. `round.rs` runs a round and checks it, `worker.rs` is what a worker does.

mod round;
mod worker;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use blockstore_engine::{Blockstore, EngineOptions};
use blockstore_engine::{CollectOptions, PackLocation, PackStoreOptions, PayloadStore, StoreNumber};
use mongodb::Client;

pub use round::soak;
pub use worker::work;

use crate::random::Random;

/// Jobs that write into a store.
const JOBS: [&str; 3] = ["a", "b", "c"];
/// Packs of the soak: many, so that sweeping has something to do.
const PACK_BYTES: u32 = 1 << 20;
const BLOCK: u64 = 64 << 10;
/// A worker's registration or lease counts as dead after this.
const EXPIRE: Duration = Duration::from_secs(20);

/// A store of the soak.
#[derive(Debug, Clone)]
pub struct Target {
    uri: String,
    db: String,
    packs: Option<PathBuf>,
}

impl Target {
    fn number() -> Result<StoreNumber> {
        StoreNumber::new(1).context("1 is a number of a store")
    }

    async fn open(&self) -> Result<Blockstore> {
        let mut options = EngineOptions::default();
        if let Some(packs) = &self.packs {
            let number = Self::number()?;
            let location = PackLocation::Directory(packs.clone());
            options.packs =
                vec![PackStoreOptions { pack_bytes: PACK_BYTES, ..PackStoreOptions::new(number, location) }];
            options.write_to = PayloadStore::Packs(number);
        }
        Ok(Blockstore::open(Client::with_uri_str(&self.uri).await?.database(&self.db), options).await?)
    }

    fn arguments(&self) -> [String; 3] {
        let packs = self.packs.as_ref().map_or("-".into(), |packs| packs.display().to_string());
        [self.uri.clone(), self.db.clone(), packs]
    }

    fn parse(arguments: &[String]) -> Result<(Self, &[String])> {
        ensure!(arguments.len() >= 3, "uri, database and packs are needed");
        let packs = (arguments[2] != "-").then(|| PathBuf::from(&arguments[2]));
        Ok((Self { uri: arguments[0].clone(), db: arguments[1].clone(), packs }, &arguments[3..]))
    }
}

/// Runs of the soak: no grace, small marks so that there are several passes, dead after [`EXPIRE`].
fn collecting(expire_after: Duration) -> CollectOptions {
    CollectOptions {
        grace: Duration::ZERO,
        expire_after,
        take_over_after: Duration::from_secs(6),
        mark_bytes: 16 << 10,
        give_way: 0,
    }
}

/// The files of a snapshot: few distinct contents, so that blocks come back after they were garbage; sizes 0, 1 and around a block's too.
fn files(seed: u64) -> BTreeMap<String, Vec<u8>> {
    let mut random = Random(seed);
    let mut all = BTreeMap::new();
    for file in 0..=random.below(6) {
        let (content, blocks, tail) = (random.below(60), random.below(30), random.below(4));
        let len = blocks * BLOCK + [0, 1, 777, BLOCK - 1][usize::try_from(tail).unwrap_or(0)];
        let mut bytes = Random(1000 + content).bytes(usize::try_from(len).unwrap_or(0));
        if random.below(3) == 0 {
            // A page in the middle that nobody else has, and a hole.
            let at = bytes.len() / 2;
            let own = random.bytes(4096.min(bytes.len() - at));
            bytes[at..at + own.len()].copy_from_slice(&own);
            let hole = bytes.len() / 4;
            bytes[..hole].fill(0);
        }
        all.insert(format!("f{file}"), bytes);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_follow_from_the_seed() {
        assert_eq!(files(5), files(5));
        assert_ne!(files(5), files(6));
        let sizes: Vec<_> = (0..200).flat_map(files).map(|(_, bytes)| bytes.len() as u64 % BLOCK).collect();
        assert!([0, 1, 777, BLOCK - 1].iter().all(|tail| sizes.contains(tail)));
    }
}
