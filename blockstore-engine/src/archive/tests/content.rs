//! What is in an archive, and that its length and ranges are exact.

use std::collections::BTreeSet;
use std::io::Read;

use async_compression::tokio::bufread::{GzipDecoder, ZstdDecoder};
use tokio::io::AsyncReadExt;

use super::fake::fake;
use super::*;

/// Parses a tar by the `tar` crate and compares it with the files.
pub(super) fn assert_tar_holds(bytes: &[u8], files: &[FakeFile]) {
    let mut expected: Vec<&FakeFile> = files.iter().collect();
    expected.sort_by(|a, b| a.path.cmp(&b.path));
    let mut expected = expected.into_iter();
    let mut folders = BTreeSet::new();
    let mut archive = tar::Archive::new(bytes);
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = String::from_utf8(entry.path_bytes().to_vec()).unwrap();
        assert_eq!((entry.header().uid().unwrap(), entry.header().gid().unwrap()), (0, 0));
        assert_eq!(entry.header().mtime().unwrap(), 1_700_000_000);
        if let Some((parent, _)) = path.trim_end_matches('/').rsplit_once('/') {
            assert!(folders.contains(parent), "{parent} comes before {path}");
        }
        if entry.header().entry_type().is_dir() {
            assert_eq!(entry.header().mode().unwrap(), 0o700);
            assert!(folders.insert(path.trim_end_matches('/').to_owned()), "{path} only once");
            continue;
        }
        let file = expected.next().unwrap();
        assert_eq!(path, file.path);
        assert_eq!(entry.header().mode().unwrap(), file.mode);
        assert_eq!(entry.size(), file.size);
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        assert!(content == file.read(0..file.size), "content of {path}");
    }
    assert!(expected.next().is_none());
}

#[tokio::test]
async fn every_format_holds_the_files() {
    let files = varied();
    let source = fake(files.clone());
    let archive = plan(&source, ArchiveFormat::Tar).await;
    let tar = whole(&archive).await;
    assert_eq!(archive.len(), Some(tar.len() as u64));
    assert_eq!(archive.raw_len(), tar.len() as u64);
    assert_tar_holds(&tar, &files);

    let archive = plan(&source, ArchiveFormat::TarZst).await;
    let packed = whole(&archive).await;
    assert_eq!(archive.len(), Some(packed.len() as u64));
    assert_eq!(archive.raw_len(), tar.len() as u64);
    assert!(zstd::decode_all(packed.as_slice()).unwrap() == tar);
    // The decoder that clients of this workspace use.
    let mut decoder = ZstdDecoder::new(packed.as_slice());
    decoder.multiple_members(true);
    let mut unpacked = Vec::new();
    decoder.read_to_end(&mut unpacked).await.unwrap();
    assert!(unpacked == tar);

    let archive = plan(&source, ArchiveFormat::TarGz).await;
    let packed = whole(&archive).await;
    assert_eq!((archive.len(), archive.raw_len()), (None, tar.len() as u64));
    let mut unpacked = Vec::new();
    GzipDecoder::new(packed.as_slice()).read_to_end(&mut unpacked).await.unwrap();
    assert!(unpacked == tar);
}

#[tokio::test]
async fn a_snapshot_without_files_is_an_end_marker() {
    let source = fake(Vec::new());
    let tar = whole(&plan(&source, ArchiveFormat::Tar).await).await;
    assert_eq!(tar, vec![0; 1024]);
    let archive = plan(&source, ArchiveFormat::TarZst).await;
    assert!(!archive.is_empty());
    assert_eq!(zstd::decode_all(whole(&archive).await.as_slice()).unwrap(), tar);
    assert!(collect(archive.sums_as_bytes()).await.unwrap().is_empty());
}

impl Archive<FakeSource> {
    fn sums_as_bytes(&self) -> BoxStream<'static, Result<Bytes, ArchiveError>> {
        Box::pin(self.sums().map_ok(Bytes::from))
    }
}

#[tokio::test]
async fn sums_are_those_of_the_files() {
    let mut files = varied();
    files.retain(|file| !file.path.contains('\n'));
    for format in [ArchiveFormat::Tar, ArchiveFormat::TarZst, ArchiveFormat::TarGz] {
        let lines: Vec<String> = plan(&fake(files.clone()), format).await.sums().try_collect().await.unwrap();
        let mut expected: Vec<(String, String)> = files
            .iter()
            .map(|file| {
                let hash = blake3::hash(&file.read(0..file.size)).to_hex();
                (file.path.clone(), format!("{hash}  {}  {}\n", file.size, file.path))
            })
            .collect();
        expected.sort();
        assert_eq!(lines, expected.into_iter().map(|(_, line)| line).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn two_instances_agree_and_their_ranges_join() {
    let files = varied();
    let (one, two) = (fake(files.clone()), fake(files));
    for format in [ArchiveFormat::Tar, ArchiveFormat::TarZst] {
        let instances = [plan(&one, format).await, plan(&two, format).await];
        assert_eq!(instances[0].etag(), instances[1].etag());
        let all = whole(&instances[0]).await;
        let len = all.len() as u64;
        let mut cuts = BTreeSet::from([0, len]);
        let mut random = blake3::Hasher::new().update(b"cuts").finalize_xof();
        while cuts.len() < 101 {
            let mut bytes = [0; 8];
            random.fill(&mut bytes);
            cuts.insert(u64::from_le_bytes(bytes) % len);
        }
        let cuts: Vec<u64> = cuts.into_iter().collect();
        let mut joined = Vec::new();
        for (n, cut) in cuts.windows(2).enumerate() {
            let part = collect(instances[n % 2].stream(cut[0]..cut[1])).await.unwrap();
            assert_eq!(part.len() as u64, cut[1] - cut[0]);
            joined.extend(part);
        }
        assert!(joined == all, "{format}");
    }
}

#[tokio::test]
async fn every_byte_around_every_seam_is_the_right_one() {
    let files = vec![
        FakeFile::new("a", 64 * KIB + 3, 64 << 10, [0, 1]),
        FakeFile::new("b", 128 * KIB + 1, 64 << 10, [1]),
        FakeFile::new("c", 0, 64 << 10, []),
        FakeFile::new("d/e", 512, 64 << 10, [0]),
    ];
    for format in [ArchiveFormat::Tar, ArchiveFormat::TarZst] {
        let archive = plan(&fake(files.clone()), format).await;
        let all = whole(&archive).await;
        let len = all.len();
        let step = if format == ArchiveFormat::Tar { 97 } else { 13 };
        for at in (0..len).step_by(step) {
            let end = (at + 40).min(len);
            let part = collect(archive.stream(at as u64..end as u64)).await.unwrap();
            assert!(part == all[at..end], "{format} {at}");
            assert!(collect(archive.stream(at as u64..at as u64)).await.unwrap().is_empty());
        }
        assert!(collect(archive.stream(len as u64..len as u64)).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn tags_differ_where_bytes_or_frames_do() {
    let files = varied();
    let source = fake(files.clone());
    let mut tags = BTreeSet::new();
    for format in [ArchiveFormat::Tar, ArchiveFormat::TarZst, ArchiveFormat::TarGz] {
        assert!(tags.insert(plan(&source, format).await.etag()));
    }
    source.reframed.store(1, std::sync::atomic::Ordering::SeqCst);
    assert!(tags.insert(plan(&source, ArchiveFormat::TarZst).await.etag()));
    assert!(tags.insert(plan(&fake(files[1..].to_vec()), ArchiveFormat::Tar).await.etag()));
    let tag = tags.first().unwrap();
    assert!(tag.starts_with('"') && tag.ends_with('"') && tag.len() == 66, "{tag}");
}

#[test]
fn formats_have_names() {
    for format in [ArchiveFormat::Tar, ArchiveFormat::TarZst, ArchiveFormat::TarGz] {
        assert_eq!(format.to_string().parse::<ArchiveFormat>(), Ok(format));
        assert!(format.content_type().starts_with("application/"));
    }
    assert!("zip".parse::<ArchiveFormat>().is_err());
}
