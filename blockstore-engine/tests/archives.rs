//! Archives of a real snapshot, streamed by two instances of the store.

use std::collections::BTreeMap;
use std::io::Read;
use std::ops::Range;

use crate::support::*;
use blockstore_engine::archive::{Archive, ArchiveFormat};
use blockstore_engine::{Blockstore, EngineOptions, SnapshotReader};
use futures::TryStreamExt;

async fn fetch(archive: &Archive<SnapshotReader>, range: Range<u64>) -> Vec<u8> {
    archive.stream(range).map_ok(|bytes| bytes.to_vec()).try_concat().await.unwrap()
}

fn unpack(tar: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in tar::Archive::new(tar).entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        if entry.header().entry_type().is_file() {
            files.insert(entry.path().unwrap().to_str().unwrap().to_owned(), bytes);
        }
    }
    files
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ranges_of_two_instances_join_to_one_archive() {
    let bed = bed().await;
    let mut random = Random(1);
    bed.put("collection.wt", &[random.bytes(9 << 20), vec![0; 3 << 20], random.bytes(70_001)].concat());
    for number in 0..40 {
        let len = usize::try_from(random.below(200_000)).unwrap();
        bed.put(&format!("db/index-{number}.wt"), &random.bytes(len));
    }
    bed.put("empty", b"");
    let root = bed.snapshot(None).await;
    let second =
        Blockstore::open(bed.db.clone(), EngineOptions { workers: 1, ..EngineOptions::default() }).await.unwrap();
    let expected: BTreeMap<_, _> = tree(&bed.source()).into_iter().map(|(path, (_, bytes))| (path, bytes)).collect();
    for format in [ArchiveFormat::Tar, ArchiveFormat::TarZst] {
        let one = Archive::plan(bed.store.reader(root.clone()), format).await.unwrap();
        let two = Archive::plan(second.reader(root.clone()), format).await.unwrap();
        assert_eq!((one.etag(), one.len()), (two.etag(), two.len()));
        let len = one.len().unwrap();
        let whole = fetch(&one, one.whole()).await;
        assert_eq!(whole.len() as u64, len);
        let mut cuts: Vec<u64> = (0..99).map(|_| random.below(len)).chain([0, len]).collect();
        cuts.sort_unstable();
        let mut joined = Vec::new();
        for (index, pair) in cuts.windows(2).enumerate() {
            joined.append(&mut fetch([&one, &two][index % 2], pair[0]..pair[1]).await);
        }
        assert!(joined == whole, "{format:?}");
        let tar = match format {
            ArchiveFormat::TarZst => zstd::stream::decode_all(&whole[..]).unwrap(),
            _ => whole,
        };
        assert_eq!(tar.len() as u64, one.raw_len());
        let mut files = unpack(&tar);
        files.retain(|path, _| expected.contains_key(path));
        assert!(files == expected, "{format:?}");
        one.ensure_current().await.unwrap();
    }
}
