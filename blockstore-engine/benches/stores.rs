//! The same snapshots with payloads in MongoDB, in local packs, and in local packs encrypted: write, incremental write after 1.5 % churn,
//! materialise; and what each costs on disk.
//!
//! `ENGINE_BENCH_MB` sets the size of the synthetic files in MB (default 256). Which store comes first changes from round to round, so that
//! no one always meets the warmer machine.
#![allow(clippy::unwrap_used, reason = "a bench")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use blockstore_engine::{
    EngineOptions, GroupKey, KeyId, PackLocation, PackStoreOptions, PayloadStore, Root, StoreNumber, WriterRequest,
};
use support::*;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

const ROUNDS: usize = 5;
const FILES: usize = 2;

struct Kind {
    name: &'static str,
    bed: Bed,
    key: Option<KeyId>,
    packs: Option<tempfile::TempDir>,
    random: Random,
    took: [Vec<Duration>; 3],
}

fn kind(runtime: &Runtime, name: &'static str, in_packs: bool, encrypted: bool) -> Kind {
    let mut options = EngineOptions::default();
    let packs = in_packs.then(|| tempfile::tempdir().unwrap());
    if let Some(dir) = &packs {
        let number = StoreNumber::new(1).unwrap();
        options.packs = vec![PackStoreOptions::new(number, PackLocation::Directory(dir.path().to_owned()))];
        options.write_to = PayloadStore::Packs(number);
    }
    let key = encrypted.then(|| options.keys.insert(&GroupKey::generate()));
    let bed = runtime.block_on(bed_with(options));
    Kind { name, bed, key, packs, random: Random(1), took: Default::default() }
}

async fn snapshot(kind: &Kind, parent: Option<&Root>) -> Root {
    let request = WriterRequest { key: kind.key, ..request("job", parent.map(|root| root.id)) };
    let mut writer = kind.bed.store.register(request).await.unwrap();
    writer.write_dir(&kind.bed.source(), &|_| true, quiet()).await.unwrap();
    writer.commit(commit()).await.unwrap()
}

/// Overwrites 4 KiB pages until 1.5 % of the blocks differ.
fn churn(kind: &mut Kind, bytes: usize) {
    let blocks = (bytes / BLOCK) as u64;
    for _ in 0..(blocks * 15 / 1000).max(1) {
        let (file, block) = (kind.random.below(FILES as u64), kind.random.below(blocks / FILES as u64));
        let file = OpenOptions::new().write(true).open(kind.bed.source().join(format!("file{file}"))).unwrap();
        file.write_all_at(&kind.random.bytes(4096), block * BLOCK as u64 + 4096 * kind.random.below(15)).unwrap();
    }
}

fn round(runtime: &Runtime, kind: &mut Kind, bytes: usize) {
    for file in 0..FILES {
        let fresh = kind.random.bytes(bytes / FILES);
        kind.bed.put(&format!("file{file}"), &fresh);
    }
    let started = Instant::now();
    let first = runtime.block_on(snapshot(kind, None));
    kind.took[0].push(started.elapsed());
    churn(kind, bytes);
    let started = Instant::now();
    let second = runtime.block_on(snapshot(kind, Some(&first)));
    kind.took[1].push(started.elapsed());
    let target = tempfile::tempdir().unwrap();
    let started = Instant::now();
    let reader = kind.bed.store.reader(second);
    runtime.block_on(reader.materialise(&target.path().join("out"), quiet(), CancellationToken::new())).unwrap();
    kind.took[2].push(started.elapsed());
}

fn bytes_below(dir: &Path) -> u64 {
    std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| {
            let meta = entry.metadata().unwrap();
            if meta.is_dir() { bytes_below(&entry.path()) } else { meta.len() }
        })
        .sum()
}

fn main() {
    let megabytes: usize = std::env::var("ENGINE_BENCH_MB").ok().and_then(|text| text.parse().ok()).unwrap_or(256);
    let bytes = megabytes << 20;
    let runtime = Runtime::new().unwrap();
    let mut kinds = [
        kind(&runtime, "mongo", false, false),
        kind(&runtime, "packs", true, false),
        kind(&runtime, "packs, encrypted", true, true),
    ];
    for turn in 0..ROUNDS {
        for index in 0..kinds.len() {
            round(&runtime, &mut kinds[(index + turn) % 3], bytes);
        }
    }
    println!("{megabytes} MB, median of {ROUNDS} rounds in seconds");
    println!(
        "{:<18} {:>8} {:>12} {:>12} {:>14} {:>12}",
        "payloads", "write", "incremental", "materialise", "frames MB", "disk MB"
    );
    for kind in &mut kinds {
        let median = |took: &mut Vec<Duration>| {
            took.sort();
            took[took.len() / 2].as_secs_f64()
        };
        let [write, incremental, read] = &mut kind.took;
        let stats = runtime.block_on(kind.bed.store.stats()).unwrap();
        let disk = kind.packs.as_ref().map_or(stats.disk_bytes, |dir| bytes_below(dir.path()));
        println!(
            "{:<18} {:>8.2} {:>12.2} {:>12.2} {:>14} {:>12}",
            kind.name,
            median(write),
            median(incremental),
            median(read),
            stats.stored_bytes >> 20,
            disk >> 20
        );
    }
}
