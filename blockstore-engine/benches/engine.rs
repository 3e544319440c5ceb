//! Write and, beside it, the insertion of the same payloads alone; write of known content; incremental write after 1.5 % churn; read: all
//! through a real mongod (`$MONGOD`, else `scripts/mongod`).
//!
//! `ENGINE_BENCH_MB` sets the size of the synthetic files in MB (default 256); two files, compressible to about half, as WiredTiger's are.
#![allow(clippy::unwrap_used, reason = "a bench")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use blockstore_engine::{CommitRequest, Root};
use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use futures::TryStreamExt;
use mongodb::bson::{RawDocumentBuf, doc};
use mongodb::options::{Acknowledgment, WriteConcern};
use support::*;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

const FILES: usize = 2;

/// Fresh content in both files: no block of it is stored yet.
fn fill(bed: &Bed, random: &mut Random, bytes: usize) {
    for file in 0..FILES {
        bed.put(&format!("file{file}"), &random.bytes(bytes / FILES));
    }
}

/// Overwrites 4 KiB pages in clusters, as checkpoints do, until 1.5 % of the blocks differ.
fn churn(bed: &Bed, random: &mut Random, bytes: usize) {
    let blocks = (bytes / BLOCK) as u64;
    for _ in 0..(blocks * 15 / 1000).max(1) {
        let (file, block) = (random.below(FILES as u64), random.below(blocks / FILES as u64));
        let path = bed.source().join(format!("file{file}"));
        let file = OpenOptions::new().write(true).open(path).unwrap();
        file.write_all_at(&random.bytes(4096), block * BLOCK as u64 + 4096 * random.below(15)).unwrap();
    }
}

async fn snapshot(bed: &Bed, parent: Option<&Root>) -> Root {
    let mut writer = bed.writer(parent).await;
    writer.write_dir(&bed.source(), &|_| true, quiet()).await.unwrap();
    writer.commit(CommitRequest { meta: Vec::new(), ..commit() }).await.unwrap()
}

/// Stored payloads of as many blocks as one write stores.
async fn payloads(bed: &Bed, count: usize) -> Vec<RawDocumentBuf> {
    snapshot(bed, None).await;
    let limit = i64::try_from(count).unwrap();
    bed.db
        .collection::<RawDocumentBuf>("payloads")
        .find(doc! {})
        .limit(limit)
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap()
}

/// What the server takes at most: the same documents in batches of 128, unordered, durable, and nothing else.
async fn insert_alone(bed: &Bed, documents: &[RawDocumentBuf]) -> Duration {
    let plain = doc! { "wiredTiger": { "configString": "block_compressor=none" } };
    bed.db.create_collection("alone").storage_engine(plain).await.unwrap();
    let alone = bed.db.collection::<RawDocumentBuf>("alone");
    let started = Instant::now();
    for batch in documents.chunks(128) {
        let durable = WriteConcern::builder().w(Acknowledgment::Majority).journal(true).build();
        alone.insert_many(batch).ordered(false).write_concern(durable).await.unwrap();
    }
    let took = started.elapsed();
    alone.drop().await.unwrap();
    took
}

fn engine(criterion: &mut Criterion) {
    let megabytes: usize = std::env::var("ENGINE_BENCH_MB").ok().and_then(|text| text.parse().ok()).unwrap_or(256);
    let bytes = megabytes << 20;
    let runtime = Runtime::new().unwrap();
    let bed = runtime.block_on(bed());
    let mut random = Random(1);
    let mut group = criterion.benchmark_group("engine");
    // One round is one sample: each takes seconds and stores what it wrote.
    group.sampling_mode(SamplingMode::Flat).sample_size(10).throughput(Throughput::Bytes(bytes as u64));
    group.warm_up_time(Duration::from_millis(1)).measurement_time(Duration::from_millis(1));

    group.bench_function("write", |bench| {
        bench.iter_custom(|rounds| {
            let mut total = Duration::ZERO;
            for _ in 0..rounds {
                fill(&bed, &mut random, bytes);
                let started = Instant::now();
                runtime.block_on(snapshot(&bed, None));
                total += started.elapsed();
            }
            total
        });
    });
    group.bench_function("insert the same payloads alone", |bench| {
        let documents = runtime.block_on(payloads(&bed, bytes / BLOCK));
        bench.iter_custom(|rounds| (0..rounds).map(|_| runtime.block_on(insert_alone(&bed, &documents))).sum());
    });
    let mut last = runtime.block_on(snapshot(&bed, None));
    group.bench_function("write known content", |bench| bench.iter(|| runtime.block_on(snapshot(&bed, None))));
    group.bench_function("incremental write, 1.5 % churn", |bench| {
        bench.iter_custom(|rounds| {
            let mut total = Duration::ZERO;
            for _ in 0..rounds {
                churn(&bed, &mut random, bytes);
                let started = Instant::now();
                last = runtime.block_on(snapshot(&bed, Some(&last)));
                total += started.elapsed();
            }
            total
        });
    });
    group.bench_function("materialise", |bench| {
        bench.iter_custom(|rounds| {
            let mut total = Duration::ZERO;
            for _ in 0..rounds {
                let target = tempfile::tempdir().unwrap();
                let out = target.path().join("out");
                let started = Instant::now();
                let reader = bed.store.reader(last.clone());
                runtime.block_on(reader.materialise(&out, quiet(), CancellationToken::new())).unwrap();
                total += started.elapsed();
            }
            total
        });
    });
    group.bench_function("verify", |bench| {
        bench.iter(|| assert!(runtime.block_on(bed.store.reader(last.clone()).verify(quiet())).unwrap().is_good()));
    });
    group.finish();
}

criterion_group!(benches, engine);
criterion_main!(benches);
