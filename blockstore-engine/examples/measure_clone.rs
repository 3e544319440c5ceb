//! How long a head is held for its clone, cycle after cycle: a real mongod, 5 % of its documents updated uniformly in each.
//!
//! Usage: `measure_clone FOLDER GIB CYCLES`, the folder on XFS or btrfs; `MONGOD` names the server. Run by `scripts/measure-clone`. Prints a
//! line per cycle and `ratio NAME VALUE target T` at the end.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use blockstore_engine::ranges::{TreeClone, clone_tree, mend, remove_clone, survey};
use holdfast_mongod::{Mongod, MongodOptions, free_port};
use mongodb::bson::{Document, doc};

/// Bytes of a document on disk, about: half of its kilobyte does not compress.
const DOCUMENT_BYTES: u64 = 560;
/// Documents in one command.
const BATCH: usize = 1000;
/// The target's size of a head in GiB, and seconds for it.
const TARGET_GIB: f64 = 20.0;
const TARGET_SECONDS: f64 = 2.0;

fn keep(path: &str) -> bool {
    !path.starts_with("journal/") && !path.ends_with(".lock") && !path.starts_with("diagnostic.data")
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x ^ (x >> 31)
    }

    fn text(&mut self) -> String {
        let mut text: String = (0..30).map(|_| format!("{:016x}", self.next())).collect();
        text.push_str(&"a".repeat(480));
        text
    }
}

async fn start(db: &Path) -> Mongod {
    let binary = PathBuf::from(std::env::var("MONGOD").expect("MONGOD names the server"));
    let mut options = MongodOptions::plain(binary, db, free_port().unwrap());
    options.log = db.with_extension("log");
    options.cache_gb = 0.5;
    options.extra_args = vec!["--wiredTigerEngineConfigString".into(), "log=(prealloc=false)".into()];
    Mongod::start(options).await.unwrap()
}

fn p99(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[((sorted.len() * 99).div_ceil(100)).saturating_sub(1)]
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / f64::from(u32::try_from(values.len().max(1)).unwrap())
}

#[allow(clippy::cast_precision_loss, reason = "sizes for people")]
fn gib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 30)
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, folder, size, cycles] = &arguments[..] else { panic!("usage: measure_clone FOLDER GIB CYCLES") };
    let (home, size, cycles): (&Path, f64, u32) = (Path::new(folder), size.parse().unwrap(), cycles.parse().unwrap());
    let db = home.join("head");
    fs::create_dir_all(&db).unwrap();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of documents")]
    let documents = (size * f64::from(1 << 30)) as u64 / DOCUMENT_BYTES;
    let mut random = Random(1);
    let mut mongod = start(&db).await;
    let mut at = 0;
    while at < documents {
        let batch: Vec<Document> = (0..BATCH as u64)
            .map(|n| doc! { "_id": (at + n).cast_signed(), "k": random.next().cast_signed(), "t": random.text() })
            .collect();
        mongod.client().database("a").collection::<Document>("c").insert_many(batch).await.unwrap();
        at += BATCH as u64;
    }
    mongod
        .client()
        .database("a")
        .collection::<Document>("c")
        .create_index(mongodb::IndexModel::builder().keys(doc! { "k": 1 }).build())
        .await
        .unwrap();
    let (mut held, mut cloning, mut bytes) = (Vec::new(), Vec::new(), 0);
    let mut old: Option<TreeClone> = None;
    let mut windows = Vec::new();
    for cycle in 0..cycles {
        for _ in 0..(documents / 20).div_ceil(BATCH as u64) {
            let updates: Vec<Document> = (0..BATCH)
                .map(|_| {
                    let id = (random.next() % documents).cast_signed();
                    doc! { "q": { "_id": id }, "u": { "$set": { "k": random.next().cast_signed(), "t": random.text() } } }
                })
                .collect();
            mongod
                .client()
                .database("a")
                .run_command(doc! { "update": "c", "updates": updates, "ordered": false })
                .await
                .unwrap();
        }
        let begun = Instant::now();
        mongod.stop().await.unwrap();
        let stopped = begun.elapsed();
        let to = home.join(format!("clone-{cycle}"));
        let clone = clone_tree(&db, &to, &keep).unwrap();
        let cloned = begun.elapsed() - stopped;
        let mended = mend(&db, &windows).unwrap();
        let mending = begun.elapsed() - stopped - cloned;
        mongod = start(&db).await;
        let all = begun.elapsed();
        let found = survey(&to, &keep).unwrap();
        bytes = found.bytes;
        println!(
            "cycle {cycle:3}: {:5.2} GiB, {:7} extents, worst {:6} per GiB, {:3} windows to mend; stop {}, clone {}, mend {} ({} MB), start {}",
            gib(found.bytes),
            found.extents,
            found.worst.as_ref().map_or(0, |worst| worst.per_gib()),
            found.windows_beyond,
            ms(stopped),
            ms(cloned),
            ms(mending),
            mended.bytes >> 20,
            ms(all - stopped - cloned - mending)
        );
        windows = found.windows;
        held.push(all.as_secs_f64());
        cloning.push(cloned.as_secs_f64());
        if let Some(old) = old.replace(clone) {
            remove_clone(old.dir()).unwrap();
        }
    }
    mongod.stop().await.unwrap();
    let third = (cloning.len() / 3).max(1);
    let (middle, last) =
        (&cloning[third.min(cloning.len() - 1)..(2 * third).min(cloning.len())], &cloning[cloning.len() - third..]);
    println!("head {:.2} GiB, {cycles} cycles", gib(bytes));
    println!("ratio held_p99_seconds {:.2} target {TARGET_SECONDS}", p99(&held));
    println!(
        "ratio clone_p99_seconds_at_20_gib {:.2} target {TARGET_SECONDS}",
        p99(&cloning) * TARGET_GIB / gib(bytes).max(0.01)
    );
    println!("ratio clone_last_third_to_middle_third {:.2} target 1.2", mean(last) / mean(middle).max(0.0001));
}

fn ms(duration: Duration) -> String {
    format!("{} ms", duration.as_millis())
}
