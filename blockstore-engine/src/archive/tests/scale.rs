//! Cost: small ranges of huge files, many entries, slow readers.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::StreamExt;

use super::fake::fake;
use super::*;

const HUGE: u64 = 20 * GIB + 12_345;

#[tokio::test]
async fn a_file_beyond_8_gib_is_served_in_parts() {
    let unit = 64 * KIB;
    let last = HUGE / unit;
    let huge = FakeFile::new("huge.wt", HUGE, 64 << 10, [0, 1, 1023, 1024, 70_000, last]);
    let source = fake(vec![huge.clone(), FakeFile::new("z", 3, 64 << 10, [0])]);
    let tar = plan(&source, ArchiveFormat::Tar).await;
    // ustar cannot say that size: pax header, its records, then the header.
    let header = 3 * 512;
    let head = collect(tar.stream(0..header + 100)).await.unwrap();
    assert!(String::from_utf8_lossy(&head).contains(&format!(" size={HUGE}\n")));
    let mut entries = tar::Archive::new(head.as_slice());
    assert_eq!(entries.entries().unwrap().next().unwrap().unwrap().size(), HUGE);
    let padded = HUGE.next_multiple_of(512);
    assert_eq!(tar.len(), Some(header + padded + 512 + 512 + 1024));
    for at in [0, unit - 10, 1023 * unit, 1024 * unit - 7, 9 * GIB, 70_000 * unit - 50, HUGE - 200_000] {
        let part = collect(tar.stream(header + at..header + at + 200_000)).await.unwrap();
        assert!(part == huge.read(at..at + 200_000), "{at}");
    }

    let packed = plan(&source, ArchiveFormat::TarZst).await;
    let len = packed.len().unwrap();
    let payload: u64 = 4 * unit;
    assert!(len < payload + HUGE / unit * 11 + 10_000, "holes cost 11 bytes a block: {len}");
    // Resume in the middle of a hole's frames, in many parts.
    let all = whole(&packed).await;
    assert_eq!(all.len() as u64, len);
    for at in (0..len - 1000).step_by(99_991) {
        let part = collect(packed.stream(at..at + 1000)).await.unwrap();
        let from = usize::try_from(at).unwrap();
        assert!(part == all[from..from + 1000], "{at}");
    }
}

#[tokio::test]
async fn a_small_range_costs_the_nodes_on_its_way() {
    let blocks = 6 * GIB / (64 * KIB);
    // One filled block under each of 96 lowest nodes.
    let source = fake(vec![FakeFile::new("wide", 6 * GIB, 64 << 10, (0..blocks).step_by(1024))]);
    for format in [ArchiveFormat::Tar, ArchiveFormat::TarZst] {
        let archive = plan(&source, format).await;
        source.lookups.store(0, Ordering::SeqCst);
        source.payload_bytes.store(0, Ordering::SeqCst);
        let middle = archive.len().unwrap() / 2;
        collect(archive.stream(middle..middle + 10)).await.unwrap();
        // Top node, its 96 sums, one lower node, its lengths; one more of those at a seam.
        assert!(source.lookups.load(Ordering::SeqCst) <= 2 + 96 + 4, "{format}");
        assert!(source.payload_bytes.load(Ordering::SeqCst) <= 2 * 64 * KIB, "{format}");
    }
}

#[tokio::test]
async fn a_hundred_thousand_files_are_planned_and_found() {
    let files: Vec<FakeFile> = (0..100_000)
        .map(|n| FakeFile::new(&format!("{:03}/collection-{n}.wt", n % 331), 100, 64 << 10, [n % 3 * 5]))
        .collect();
    let source = fake(files.clone());
    source.lookups.store(0, Ordering::SeqCst);
    let archive = plan(&source, ArchiveFormat::TarZst).await;
    assert!(source.lookups.load(Ordering::SeqCst) <= 100, "lengths of small files are asked for together");
    let tar = zstd::decode_all(whole(&archive).await.as_slice()).unwrap();
    assert_eq!(tar.len() as u64, archive.raw_len());
    super::content::assert_tar_holds(&tar, &files);
    let plain = plan(&source, ArchiveFormat::Tar).await;
    let at = tar.len() / 3;
    assert!(collect(plain.stream(at as u64..at as u64 + 5000)).await.unwrap() == tar[at..at + 5000]);
}

#[tokio::test]
async fn a_slow_reader_holds_the_producer_back() {
    let source = fake(vec![FakeFile::new("big", 128 * MIB, 64 << 10, 0..2048)]);
    for format in [ArchiveFormat::Tar, ArchiveFormat::TarZst] {
        let archive = plan(&source, format).await;
        source.payload_bytes.store(0, Ordering::SeqCst);
        let mut stream = archive.stream(archive.whole());
        let mut got = stream.next().await.unwrap().unwrap().len();
        let mut read = 0;
        // Until the producer stands still.
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let now = source.payload_bytes.load(Ordering::SeqCst);
            if now == read {
                break;
            }
            read = now;
        }
        assert!(read > 0 && read <= 12 * MIB, "{format}: {read}");
        while let Some(bytes) = stream.next().await {
            got += bytes.unwrap().len();
        }
        assert_eq!(got as u64, archive.len().unwrap());
    }
}

#[tokio::test]
async fn a_dropped_stream_stops_reading() {
    let source = fake(vec![FakeFile::new("big", 128 * MIB, 64 << 10, 0..2048)]);
    let archive = plan(&source, ArchiveFormat::Tar).await;
    let mut stream = archive.stream(archive.whole());
    stream.next().await.unwrap().unwrap();
    drop(stream);
    tokio::time::timeout(Duration::from_secs(10), async {
        // Archive and test hold the source; the producer must let go of it.
        while std::sync::Arc::strong_count(&source) > 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
}
