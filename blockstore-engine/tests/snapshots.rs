//! Writing and reading snapshots of real files through a real database.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::support::*;
use blockstore_engine::cache::CACHE_BYTES_MIN;
use blockstore_engine::{
    BlockId, Blockstore, CacheOptions, EngineOptions, ErrorClass, FrameSource, LeafWalk, OpenError, ReadError,
    WriteError,
};
use tokio_util::sync::CancellationToken;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_size_hole_and_mode_comes_back() {
    let bed = bed().await;
    let mut random = Random(1);
    for (index, size) in
        [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 5 * BLOCK, 4 << 20, (4 << 20) + 1, (8 << 20) - 1].into_iter().enumerate()
    {
        bed.put(&format!("sizes/f{index}"), &random.bytes(size));
    }
    bed.put("zeros", &vec![0; 3 * BLOCK + 7]);
    let mut holes = random.bytes(20 * BLOCK);
    holes[3 * BLOCK..9 * BLOCK].fill(0);
    holes[BLOCK + 5] = 0;
    bed.put("deep/er/holes", &holes);
    // Beyond one node (64 MiB), mostly unwritten, with data at the edges of nodes.
    let sparse = File::create(bed.source().join("sparse")).unwrap();
    sparse.set_len(150 << 20).unwrap();
    for at in [0, (64 << 20) - 10, 100 << 20, (150 << 20) - 3] {
        sparse.write_all_at(b"data", at).unwrap();
    }
    for (path, mode) in [("sizes/f1", 0o600), ("sizes/f2", 0o755), ("zeros", 0o444)] {
        fs::set_permissions(bed.source().join(path), fs::Permissions::from_mode(mode)).unwrap();
    }
    let root = bed.snapshot(None).await;
    let source = tree(&bed.source());
    assert!(bed.restored(&root).await == source);
    assert_eq!(root.files, source.len() as u64);
    assert_eq!(root.logical_bytes, source.values().map(|(_, bytes)| bytes.len() as u64).sum::<u64>());
    let target = bed.dir.path().join("sparse-check");
    let reader = bed.store.reader(root.clone());
    reader.materialise(&target, quiet(), CancellationToken::new()).await.unwrap();
    assert!(fs::metadata(target.join("sparse")).unwrap().blocks() * 512 < 2 << 20, "holes stay holes");
    let again = reader.materialise(&target, quiet(), CancellationToken::new()).await.unwrap_err();
    assert_eq!(again.class(), ErrorClass::Operator, "existing files are never overwritten");

    // Ranges.
    for _ in 0..200 {
        let (path, (_, bytes)) =
            source.iter().nth(usize::try_from(random.below(source.len() as u64)).unwrap()).unwrap();
        let offset = random.below(bytes.len() as u64 + 10);
        let len = random.below(300_000);
        let read = reader.read(path, offset, len).await.unwrap();
        let start = usize::try_from(offset).unwrap().min(bytes.len());
        let end = (start + usize::try_from(len).unwrap()).min(bytes.len());
        assert!(read[..] == bytes[start..end], "{path} {offset} {len}");
    }
    assert!(matches!(reader.read("no", 0, 1).await, Err(ReadError::NoFile(_))));
    assert_eq!(reader.read("zeros", 0, 65 << 20).await.unwrap_err().class(), ErrorClass::Caller);

    let done = Arc::new(AtomicU64::new(0));
    let seen = done.clone();
    let report = reader.verify(Arc::new(move |progress| seen.store(progress.bytes, Relaxed))).await.unwrap();
    assert!(report.is_good(), "{report:?}");
    assert_eq!((report.files, report.bytes), (root.files, root.logical_bytes));
    assert_eq!(done.load(Relaxed), root.logical_bytes);
    let fresh = bed.store.verify_new(&root.id).await.unwrap();
    assert!(fresh.is_good());
    assert_eq!((fresh.raw_bytes, fresh.stored_bytes), (root.new_bytes, root.stored_bytes));
    let stats = bed.store.stats().await.unwrap();
    assert_eq!((stats.blocks, stats.raw_bytes, stats.stored_bytes), (fresh.blocks, root.new_bytes, root.stored_bytes));
    assert!(stats.exact && stats.roots == 1 && stats.writers == 0 && stats.disk_bytes > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_files_again_store_nothing() {
    let bed = bed().await;
    let mut random = Random(2);
    bed.put("a", &random.bytes(70 << 20));
    bed.put("b", &random.bytes(100));
    let first = bed.snapshot(None).await;
    let with_parent = bed.snapshot(Some(&first)).await;
    let without = bed.snapshot(None).await;
    for root in [&with_parent, &without] {
        assert_eq!((root.new_bytes, root.tree), (0, first.tree));
        assert_ne!(root.hash, first.hash);
    }
    assert_eq!(with_parent.parent, Some(first.id));
    assert_eq!(bed.store.roots("job").await.unwrap(), [first.clone(), with_parent, without]);
    assert_eq!(bed.store.root(&first.id).await.unwrap(), Some(first));
    assert_eq!(bed.store.roots("other").await.unwrap(), []);
    assert_eq!(bed.store.all_roots().await.unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_incremental_snapshot_stores_what_changed() {
    let bed = bed().await;
    let mut random = Random(3);
    bed.put("big", &random.bytes(80 << 20));
    bed.put("gone", &random.bytes(1 << 20));
    let first = bed.snapshot(None).await;
    let before = tree(&bed.source());
    let big = OpenOptions::new().write(true).open(bed.source().join("big")).unwrap();
    big.write_all_at(b"changed", 70 << 20).unwrap();
    big.write_all_at(b"changed", 5 << 20).unwrap();
    fs::remove_file(bed.source().join("gone")).unwrap();
    bed.put("new", b"new");
    let second = bed.snapshot(Some(&first)).await;
    // Two blocks, "new", two nodes and the top of "big", a page and the top of the tree of entries.
    assert!(second.new_bytes < 2 * BLOCK as u64 + 150_000, "{}", second.new_bytes);
    assert!(bed.restored(&second).await == tree(&bed.source()));
    assert!(bed.restored(&first).await == before, "the first is as it was");
    assert!(bed.store.reader(second).verify(quiet()).await.unwrap().is_good());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_keeps_its_block_size_for_life() {
    let bed = bed().await;
    bed.put("old", &Random(4).bytes(3 << 20));
    let first = bed.snapshot(None).await;
    let larger = EngineOptions { block_size: 1 << 20, ..EngineOptions::default() };
    let store = Blockstore::open(bed.db.clone(), larger).await.unwrap();
    bed.put("new", &Random(5).bytes(3 << 20));
    let mut writer = store.register(request("job", Some(first.id))).await.unwrap();
    writer.write_dir(&bed.source(), &|_| true, quiet()).await.unwrap();
    let sizes: Vec<_> = writer.files().iter().map(|file| (file.path.clone(), file.block_size)).collect();
    assert_eq!(sizes, [("new".into(), 1 << 20), ("old".into(), 64 << 10)]);
    let second = writer.commit(commit()).await.unwrap();
    assert!(second.new_bytes < (3 << 20) + 10_000, "{}", second.new_bytes);
    assert!(bed.restored(&second).await == tree(&bed.source()));
}

/// Random edits over many snapshots; each must come back as it was, whatever its parent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_histories_come_back() {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(42);
    let mut random = Random(seed);
    let dir = tempfile::tempdir().unwrap();
    let cache = CacheOptions { path: dir.path().join("cache"), bytes: CACHE_BYTES_MIN };
    let bed = bed_with(EngineOptions { cache: Some(cache), ..EngineOptions::default() }).await;
    let mut history = Vec::new();
    for _ in 0..12 {
        for _ in 0..6 {
            let path = bed.source().join(format!("f{}", random.below(6)));
            let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).unwrap();
            let size = file.metadata().unwrap().len();
            let len = usize::try_from(random.below(3 * BLOCK as u64)).unwrap();
            match random.below(6) {
                0 => file.set_len(random.below(size + 1)).unwrap(),
                1 => file.set_len(size + random.below(1 << 21)).unwrap(),
                2 => file.write_all_at(&random.bytes(len), size).unwrap(),
                3 => file.write_all_at(&vec![0; len], random.below(size + 1)).unwrap(),
                4 if random.below(3) == 0 => fs::remove_file(&path).unwrap(),
                _ => file.write_all_at(&random.bytes(len), random.below(size + 1)).unwrap(),
            }
        }
        let parent = match history.len() as u64 {
            0 => None,
            count => Some(&history[usize::try_from(random.below(count)).unwrap()])
                .map(|(root, _)| root)
                .filter(|_| !random.0.is_multiple_of(5)),
        };
        let root = bed.snapshot(parent).await;
        history.push((root, tree(&bed.source())));
    }
    for (index, (root, files)) in history.iter().enumerate() {
        assert!(bed.restored(root).await == *files, "snapshot {index} of seed {seed}");
        assert!(
            bed.store.reader(root.clone()).verify(quiet()).await.unwrap().is_good(),
            "snapshot {index} of seed {seed}"
        );
    }
    assert!(bed.store.cache_stats().unwrap().hits > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_keep_does_not_want_is_left_out_and_links_are_refused() {
    let bed = bed().await;
    bed.put("a", b"a");
    bed.put("tmp/b", b"b");
    std::os::unix::fs::symlink("/etc/passwd", bed.source().join("link")).unwrap();
    let mut writer = bed.writer(None).await;
    let refused = writer.write_dir(&bed.source(), &|_| true, quiet()).await.unwrap_err();
    assert!(matches!(&refused, WriteError::Path { path, .. } if path == "link"), "{refused}");
    writer.write_dir(&bed.source(), &|path| path != "link" && !path.starts_with("tmp/"), quiet()).await.unwrap();
    writer.add_file("info.json", 0o644, b"{}".to_vec()).await.unwrap();
    assert!(matches!(writer.add_file("a", 0o644, b"".to_vec()).await, Err(WriteError::Path { .. })), "twice");
    assert!(matches!(writer.add_file("../x", 0o644, b"".to_vec()).await, Err(WriteError::Path { .. })));
    let root = writer.commit(commit()).await.unwrap();
    assert!(matches!(writer.add_file("late", 0o644, b"".to_vec()).await, Err(WriteError::Request(_))));
    assert!(matches!(writer.commit(commit()).await, Err(WriteError::Request(_))));
    let restored = bed.restored(&root).await;
    assert_eq!(restored.keys().collect::<Vec<_>>(), ["a", "info.json"]);
    assert_eq!(restored["info.json"], (0o644, b"{}".to_vec()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_snapshot_and_many_files() {
    let bed = bed().await;
    let empty = bed.writer(None).await.commit(commit()).await.unwrap();
    assert_eq!(empty.files, 0);
    assert!(bed.restored(&empty).await.is_empty());
    let mut writer = bed.writer(Some(&empty)).await;
    for number in 0..3000 {
        writer.add_file(&format!("d{}/f{number}", number % 7), 0o600, number.to_string().into_bytes()).await.unwrap();
    }
    let many = writer.commit(commit()).await.unwrap();
    let report = writer.verify_new().await.unwrap();
    assert!(report.is_good() && report.blocks >= 3000, "{report:?}");
    let restored = bed.restored(&many).await;
    assert_eq!(restored.len(), 3000);
    assert_eq!(restored["d6/f2981"].1, b"2981");
    assert_eq!(bed.store.reader(many).read("d0/f7", 0, 10).await.unwrap(), "7");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_lengths_and_sums_agree() {
    let bed = bed().await;
    let content = [Random(6).bytes(66 << 20), vec![0; 1 << 20], Random(7).bytes(5)].concat();
    bed.put("file", &content);
    let root = bed.snapshot(None).await;
    let reader = bed.store.reader(root.clone());
    assert_eq!(reader.root(), &root);
    let entry = reader.entries().await.unwrap().remove(0);
    assert_eq!(entry.depth, 2);
    let mut walk = LeafWalk::new(&entry, 0..entry.size);
    let mut ids: Vec<BlockId> = Vec::new();
    while let Some(leaf) = walk.next(&reader).await.unwrap() {
        ids.extend(leaf.id);
    }
    let lengths = reader.frame_lengths(&ids).await.unwrap();
    let (mut joined, mut sum) = (Vec::new(), 0);
    for (ids, lengths) in ids.chunks(100).zip(lengths.chunks(100)) {
        for (frame, len) in reader.frames(ids).await.unwrap().iter().zip(lengths) {
            assert_eq!(frame.len(), *len as usize);
            sum += u64::from(*len);
            joined.extend_from_slice(frame);
        }
        for (raw, id) in reader.blocks(ids).await.unwrap().iter().zip(ids) {
            assert_eq!(BlockId::of(raw), *id);
        }
    }
    let raw = zstd::stream::decode_all(&joined[..]).unwrap();
    assert!(raw == [&content[..66 << 20], &content[67 << 20..]].concat(), "frames in a row are one stream");
    let top = entry.top.unwrap();
    for _ in 0..2 {
        assert_eq!(reader.stored_sum(top).await.unwrap(), sum);
    }
    assert_eq!(bed.count("layouts").await, 3, "top and two nodes");
    assert_eq!(reader.reframed().await.unwrap(), 0);
    // The order asked for, repetitions included.
    let mixed = [ids[5], ids[1], ids[5]];
    let blocks = reader.blocks(&mixed).await.unwrap();
    assert_eq!(blocks.iter().map(|raw| BlockId::of(raw)).collect::<Vec<_>>(), mixed);
    let unknown = BlockId::of(b"never stored");
    assert!(matches!(reader.frames(&[ids[0], unknown]).await, Err(ReadError::Missing(id)) if id == unknown));
    assert!(matches!(reader.frame_lengths(&[unknown]).await, Err(ReadError::Missing(_))));
    assert!(matches!(reader.node(ids[0]).await, Err(ReadError::BadNode { .. })), "a block is not a node");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelling_stops_a_restore() {
    let bed = bed().await;
    bed.put("file", &Random(8).bytes(40 << 20));
    let root = bed.snapshot(None).await;
    let cancel = CancellationToken::new();
    let stop = cancel.clone();
    let target = bed.dir.path().join("out");
    let progress = Arc::new(move |_| stop.cancel());
    let error = bed.store.reader(root).materialise(&target, progress, cancel).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Cancelled);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opening_checks_options_and_format() {
    let bed = bed().await;
    for options in [
        EngineOptions { block_size: 100_000, ..EngineOptions::default() },
        EngineOptions { block_size: 4096, ..EngineOptions::default() },
        EngineOptions { zstd_level: 0, ..EngineOptions::default() },
        EngineOptions { workers: 0, ..EngineOptions::default() },
    ] {
        let refused = Blockstore::open(bed.db.clone(), options).await.err().unwrap();
        assert_eq!(refused.class(), ErrorClass::Caller);
    }
    let fresh = bed.db.client().database("opened-by-many");
    let opened =
        futures::future::join_all((0..4).map(|_| Blockstore::open(fresh.clone(), EngineOptions::default()))).await;
    assert!(opened.iter().all(Result::is_ok));
    let payloads = fresh.list_collections().filter(mongodb::bson::doc! { "name": "payloads" }).await.unwrap();
    let payloads: Vec<_> = futures::TryStreamExt::try_collect(payloads).await.unwrap();
    assert!(format!("{payloads:?}").contains("block_compressor=none"));
    let gc = fresh.collection::<mongodb::bson::Document>("gc");
    gc.update_one(mongodb::bson::doc! { "_id": "format" }, mongodb::bson::doc! { "$set": { "version": 99_i64 } })
        .await
        .unwrap();
    let newer = Blockstore::open(fresh, EngineOptions::default()).await.err().unwrap();
    assert!(matches!(newer, OpenError::NewerFormat { found: 99, .. }), "{newer}");
}
