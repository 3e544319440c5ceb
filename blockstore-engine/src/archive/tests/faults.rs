//! Whatever does not fit the layout ends a stream with an error, never with wrong bytes.

use std::sync::atomic::Ordering;

use futures::StreamExt;

use super::fake::fake;
use super::*;
use crate::error::{ErrorClass, ReadError};
use crate::tree::BadTree;

fn many_batches() -> Vec<FakeFile> {
    vec![FakeFile::new("big", 80 * MIB, 64 << 10, (0..1280).filter(|n| n % 10 > 1))]
}

#[tokio::test]
async fn a_replaced_frame_voids_the_layout() {
    let source = fake(many_batches());
    let archive = plan(&source, ArchiveFormat::TarZst).await;
    archive.ensure_current().await.unwrap();
    source.reframed.store(1, Ordering::SeqCst);
    assert!(matches!(archive.ensure_current().await, Err(ArchiveError::LayoutChanged)));
    let error = collect(archive.stream(0..10)).await.unwrap_err();
    assert!(matches!(error, ArchiveError::LayoutChanged));
    assert_eq!(error.class(), ErrorClass::Retry);
    // Raw bytes are the same whatever the frames: neither a tar nor sums are interrupted.
    let tar = plan(&source, ArchiveFormat::Tar).await;
    source.reframed.store(2, Ordering::SeqCst);
    collect(tar.stream(0..10)).await.unwrap();
    assert_eq!(tar.sums().count().await, 1);
}

#[tokio::test]
async fn a_frame_replaced_amid_a_download_ends_it() {
    let source = fake(many_batches());
    let expected = whole(&plan(&source, ArchiveFormat::TarZst).await).await;
    let archive = plan(&source, ArchiveFormat::TarZst).await;
    let mut stream = archive.stream(archive.whole());
    let mut got = stream.next().await.unwrap().unwrap().to_vec();
    source.reframed.store(1, Ordering::SeqCst);
    source.reframe();
    let error = loop {
        match stream.next().await.unwrap() {
            Ok(bytes) => got.extend(bytes),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, ArchiveError::LayoutChanged), "{error:?}");
    assert!(expected.starts_with(&got) && got.len() < expected.len());
    assert!(stream.next().await.is_none());
    let fresh = plan(&source, ArchiveFormat::TarZst).await;
    assert_ne!(fresh.etag(), archive.etag());
    let tar = plan(&source, ArchiveFormat::Tar).await;
    assert!(zstd::decode_all(whole(&fresh).await.as_slice()).unwrap() == whole(&tar).await);
}

/// A frame of the same length but other bytes shows in nothing but the count, which therefore must be asked after the frames are read.
#[tokio::test]
async fn a_count_that_moves_amid_a_download_ends_it() {
    let source = fake(many_batches());
    let archive = plan(&source, ArchiveFormat::TarZst).await;
    let mut stream = archive.stream(archive.whole());
    stream.next().await.unwrap().unwrap();
    source.reframed.store(1, Ordering::SeqCst);
    let last = stream.fold(None, |_, item| async move { Some(item) }).await.unwrap();
    assert!(matches!(last, Err(ArchiveError::LayoutChanged)), "{last:?}");
}

#[tokio::test]
async fn frames_of_another_length_are_corruption_when_nobody_replaced_them() {
    for files in [many_batches(), vec![FakeFile::new("one block", 5000, 64 << 10, [0])]] {
        let source = fake(files);
        let archive = plan(&source, ArchiveFormat::TarZst).await;
        source.reframe();
        let error = collect(archive.stream(archive.whole())).await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::Corrupt, "{error:?}");
    }
}

#[tokio::test]
async fn bytes_that_are_no_frame_are_corruption() {
    let source = fake(many_batches());
    let archive = plan(&source, ArchiveFormat::TarZst).await;
    source.spoil_frames();
    let error = collect(archive.stream(archive.whole())).await.unwrap_err();
    assert!(matches!(error, ArchiveError::Read(ReadError::BadBlock { .. })), "{error:?}");
}

#[tokio::test]
async fn blocks_of_another_length_are_corruption() {
    let source = fake(many_batches());
    for format in [ArchiveFormat::Tar, ArchiveFormat::TarGz] {
        let archive = plan(&source, format).await;
        source.shorten_blocks();
        let error = collect(archive.stream(archive.whole())).await.unwrap_err();
        assert!(matches!(error, ArchiveError::Read(ReadError::BadBlock { .. })), "{format} {error:?}");
        assert!(archive.sums().next().await.unwrap().is_err());
    }
}

#[tokio::test]
async fn requests_out_of_bounds_are_the_callers_fault() {
    let source = fake(varied());
    for format in [ArchiveFormat::Tar, ArchiveFormat::TarZst] {
        let archive = plan(&source, format).await;
        let len = archive.len().unwrap();
        #[allow(clippy::reversed_empty_ranges, reason = "that is the fault")]
        for range in [0..len + 1, len + 1..len + 1, 5..4, u64::MAX..u64::MAX] {
            assert_eq!(collect(archive.stream(range)).await.unwrap_err().class(), ErrorClass::Caller);
        }
    }
    let archive = plan(&source, ArchiveFormat::TarGz).await;
    assert_eq!(collect(archive.stream(0..100)).await.unwrap_err().class(), ErrorClass::Caller);
}

#[tokio::test]
async fn entries_that_could_leave_the_target_folder_are_refused() {
    for path in ["/etc/passwd", "a/../b", "..", "a//b", "a/", "nul\0"] {
        let source = fake(vec![FakeFile::new(path, 1, 64 << 10, [0])]);
        let error = Archive::plan(source, ArchiveFormat::Tar).await.err().unwrap();
        assert!(matches!(&error, ArchiveError::Read(ReadError::BadNode { source: BadTree(_), .. })), "{path:?}");
        assert_eq!(error.class(), ErrorClass::Corrupt);
    }
    let both = vec![FakeFile::new("a", 1, 64 << 10, [0]), FakeFile::new("a/b", 1, 64 << 10, [0])];
    assert!(Archive::plan(fake(both), ArchiveFormat::Tar).await.is_err());
}
