//! Archives of made-up snapshots against the `tar` and `zstd` crates, the system's tools, and each other.
#![allow(clippy::unwrap_used, reason = "tests")]

mod content;
mod fake;
mod faults;
mod properties;
mod scale;
mod tools;

use bytes::Bytes;
use futures::stream::{BoxStream, TryStreamExt};

use super::{Archive, ArchiveError, ArchiveFormat};
use fake::{FakeFile, FakeSource};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

async fn plan(source: &FakeSource, format: ArchiveFormat) -> Archive<FakeSource> {
    Archive::plan(source.clone(), format).await.unwrap()
}

async fn collect(stream: BoxStream<'static, Result<Bytes, ArchiveError>>) -> Result<Vec<u8>, ArchiveError> {
    stream
        .try_fold(Vec::new(), |mut all, bytes| async move {
            all.extend_from_slice(&bytes);
            Ok(all)
        })
        .await
}

async fn whole(archive: &Archive<FakeSource>) -> Vec<u8> {
    collect(archive.stream(archive.whole())).await.unwrap()
}

/// Sizes around every edge, holes at every place, names of every kind.
fn varied() -> Vec<FakeFile> {
    let mut files = vec![
        FakeFile::new("WiredTiger", 47, 64 << 10, [0]),
        FakeFile::new("WiredTiger.wt", 64 * KIB, 64 << 10, [0]),
        FakeFile::new("collection-0--1.wt", 64 * KIB + 1, 64 << 10, [0, 1]),
        FakeFile::new("collection-2--1.wt", 64 * KIB - 1, 64 << 10, [0]),
        FakeFile::new("collection-4--1.wt", 5 * MIB + 77, 1 << 20, [0, 2, 5]),
        FakeFile::new("empty", 0, 64 << 10, []),
        FakeFile::new("hole", 3 * MIB + 512, 64 << 10, []),
        FakeFile::new("hole at the end", 900 * KIB, 128 << 10, [0, 1]),
        FakeFile::new("index/a/b/deep.wt", 66 * MIB + 5, 64 << 10, (0..40).chain(1020..1058)),
        FakeFile::new("index/a-file.wt", 10, 64 << 10, [0]),
        FakeFile::new("index/a.wt", 1, 64 << 10, [0]),
        FakeFile::new("journal/größe データ.wt", 1000, 64 << 10, [0]),
        FakeFile::new("journal/line\nbreak", 1, 64 << 10, [0]),
        FakeFile::new("sparse", 70 * MIB, 64 << 10, [7, 900, 1119]),
    ];
    let long = "d".repeat(90);
    files.push(FakeFile::new(&format!("{long}/{long}/{long}/{long}"), 700, 64 << 10, [0]));
    files.push(FakeFile::new(&format!("{long}/{long}/short"), 1024, 64 << 10, [0]));
    files[1].mode = 0o4755;
    files[2].mode = 0;
    files
}
