//! The extents shortcut against the truth, on file systems made for it.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::loop_fs::LoopFs;
use crate::support::*;
use blockstore_engine::ranges::{
    BoundClone, CloneError, EXTENTS_PER_GIB_MAX, MEND_BYTES_MAX, MEND_WINDOW_BYTES, SAMPLES_MAX, Since, TreeClone,
    clone_tree, file_system, mend, remove_clone, survey,
};
use blockstore_engine::ranges::{RangesReport, Refusal};
use blockstore_engine::{BlockId, Root};
use holdfast_mongod::{Mongod, MongodOptions, free_port};
use mongodb::bson::{Document, doc};

/// A folder that is backed up, and its clones.
struct Cloned<'a> {
    bed: &'a Bed,
    home: PathBuf,
    count: u32,
    last: Option<(Root, PathBuf)>,
}

fn keep(path: &str) -> bool {
    !path.starts_with("journal/") && !path.ends_with(".lock") && !path.starts_with("diagnostic.data")
}

impl<'a> Cloned<'a> {
    fn new(bed: &'a Bed, fs: &LoopFs) -> Self {
        let home = fs.path().to_owned();
        fs::create_dir(home.join("head")).unwrap();
        Self { bed, home, count: 0, last: None }
    }

    fn head(&self) -> PathBuf {
        self.home.join("head")
    }

    fn clone_head(&mut self) -> TreeClone {
        self.count += 1;
        clone_tree(&self.head(), &self.home.join(format!("clone-{}", self.count)), &keep).unwrap()
    }

    /// A snapshot by the shortcut, which must be the one that reading everything makes. The older clone goes.
    async fn snapshot(&mut self, forget: bool) -> (Root, RangesReport) {
        let clone = self.clone_head();
        let dir = clone.dir().to_owned();
        let parent = self.last.take();
        let mut writer = self.bed.writer(parent.as_ref().map(|(root, _)| root)).await;
        let report = match &parent {
            None => {
                writer.write_dir(&dir, &keep, quiet()).await.unwrap();
                RangesReport::default()
            }
            Some((_, old)) => {
                let mut since = Since::new(BoundClone::open(old).unwrap().unwrap());
                if forget {
                    since = since.forget_one_extent();
                }
                writer.write_dir_since(&dir, &keep, since, quiet()).await.unwrap()
            }
        };
        let root = writer.commit(commit()).await.unwrap();
        let mut plain = self.bed.writer(None).await;
        plain.write_dir(&dir, &keep, quiet()).await.unwrap();
        let read = plain.commit(commit()).await.unwrap();
        assert_eq!(root.tree, read.tree, "the shortcut leads to another snapshot: {report:?}");
        clone.bind(root.id, &dir).unwrap();
        if let Some((old_root, old)) = parent {
            if report.refused.is_none() {
                let (differing, common, total) = differing(&old, &dir);
                assert!(report.unchanged_bytes + differing <= total, "{report:?}: {differing} of {total} differ");
                println!("{report:?}; {differing} of {common} common bytes, {total} in all, differ");
            }
            remove_clone(&old).unwrap();
            drop(old_root);
        }
        self.last = Some((root.clone(), dir));
        (root, report)
    }
}

/// Bytes in blocks that differ between two folders (or are in the second alone), in blocks of both, and in the second in all.
fn differing(old: &Path, new: &Path) -> (u64, u64, u64) {
    let (old, new) = (tree(old), tree(new));
    let (mut differ, mut common, mut total) = (0, 0, 0);
    for (path, (_, bytes)) in &new {
        let before = old.get(path).map_or(&[][..], |(_, bytes)| bytes);
        for (index, block) in bytes.chunks(BLOCK).enumerate() {
            let from = (index * BLOCK).min(before.len());
            let was = &before[from..(from + BLOCK).min(before.len())];
            total += block.len() as u64;
            common += was.len().min(block.len()) as u64;
            differ += if was == block { 0 } else { block.len() as u64 };
        }
    }
    (differ, common, total)
}

fn put(head: &Path, name: &str, bytes: &[u8]) {
    let path = head.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn write_at(head: &Path, name: &str, at: u64, bytes: &[u8]) {
    OpenOptions::new().write(true).open(head.join(name)).unwrap().write_all_at(bytes, at).unwrap();
}

async fn head_mongod(db: &Path) -> Mongod {
    let binary = PathBuf::from(std::env::var("MONGOD").unwrap_or_else(|_| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/mongod");
        let output = std::process::Command::new(script).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }));
    let mut options = MongodOptions::plain(binary, db, free_port().unwrap());
    options.log = db.with_extension("log");
    options.extra_args = vec!["--wiredTigerEngineConfigString".into(), "log=(prealloc=false)".into()];
    Mongod::start(options).await.unwrap()
}

async fn with_mongod(kind: &str) {
    let Some(fs) = LoopFs::new(kind) else { return };
    let bed = bed().await;
    let mut cloned = Cloned::new(&bed, &fs);
    let mut random = Random(7);
    for cycle in 0..4 {
        let mongod = head_mongod(&cloned.head()).await;
        let docs = mongod.client().database("a").collection::<Document>("c");
        let text = |random: &mut Random| hex::encode(random.bytes(400));
        if cycle == 0 {
            for start in (0..30_000).step_by(1000) {
                let batch: Vec<_> =
                    (start..start + 1000).map(|id| doc! { "_id": id, "t": text(&mut random) }).collect();
                docs.insert_many(batch).await.unwrap();
            }
        } else {
            // 2 % in one place, some anywhere, some more.
            for id in (cycle * 5000..cycle * 5000 + 600).chain((0..50).map(|n| n * 577)) {
                docs.update_one(doc! { "_id": id }, doc! { "$set": { "t": text(&mut random) } }).await.unwrap();
            }
            for id in 0..200 {
                docs.insert_one(doc! { "_id": 100_000 * cycle + id, "t": text(&mut random) }).await.unwrap();
            }
        }
        mongod.stop().await.unwrap();
        let (_, report) = cloned.snapshot(false).await;
        if cycle > 0 {
            assert_eq!(report.refused, None);
            assert_eq!((report.missed, report.sampled), (0, SAMPLES_MAX as u64), "{report:?}");
            assert!(report.read_bytes < report.unchanged_bytes, "most of it was not read: {report:?}");
        }
    }
    // A snapshot by the shortcut opens, with everything in it.
    let (root, old) = cloned.last.take().unwrap();
    let back = fs.path().join("back");
    bed.store.reader(root).materialise(&back, quiet(), tokio_util::sync::CancellationToken::new()).await.unwrap();
    let mongod = head_mongod(&back).await;
    let docs = mongod.client().database("a").collection::<Document>("c");
    assert_eq!(docs.count_documents(doc! {}).await.unwrap(), 30_600);
    mongod.stop().await.unwrap();
    remove_clone(&old).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mongod_writes_between_snapshots_on_xfs() {
    with_mongod("xfs").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mongod_writes_between_snapshots_on_btrfs() {
    with_mongod("btrfs").await;
}

/// What files can go through.
async fn lives_of_files(kind: &str) {
    let Some(fs) = LoopFs::new(kind) else { return };
    let bed = bed().await;
    let mut cloned = Cloned::new(&bed, &fs);
    let head = cloned.head();
    let mut random = Random(3);
    let block = BLOCK as u64;
    put(&head, "still", &random.bytes(70 << 20));
    put(&head, "grows", &random.bytes(3 * BLOCK + 100));
    put(&head, "grows-by-a-tail", &random.bytes(5 * BLOCK));
    put(&head, "shrinks", &random.bytes(20 * BLOCK));
    put(&head, "cut-and-back", &random.bytes(10 * BLOCK));
    put(&head, "replaced", &random.bytes(10 * BLOCK));
    put(&head, "emptied", &random.bytes(4 * BLOCK));
    put(&head, "goes", &random.bytes(BLOCK));
    put(&head, "deep/er/file", &random.bytes(2 * BLOCK));
    let sparse = File::create(head.join("sparse")).unwrap();
    sparse.set_len(200 << 20).unwrap();
    sparse.write_all_at(&random.bytes(BLOCK), 100 << 20).unwrap();
    drop(sparse);
    cloned.snapshot(false).await;

    let (_, same) = cloned.snapshot(false).await;
    assert_eq!((same.refused, same.read_bytes, same.files_whole, same.missed), (None, 0, 0, 0), "nothing to read");
    assert!(same.sampled > 0);

    write_at(&head, "still", 5 * block + 17, b"x");
    write_at(&head, "still", 66 << 20, &random.bytes(10));
    write_at(&head, "grows", 3 * block + 100, &random.bytes(9 * BLOCK));
    write_at(&head, "grows-by-a-tail", 5 * block, &random.bytes(1));
    for (name, len) in [("shrinks", 7 * block + 5), ("emptied", 0)] {
        OpenOptions::new().write(true).open(head.join(name)).unwrap().set_len(len).unwrap();
    }
    let back = OpenOptions::new().write(true).open(head.join("cut-and-back")).unwrap();
    back.set_len(2 * block + 9).unwrap();
    back.set_len(10 * block).unwrap();
    put(&head, "new", &random.bytes(3 * BLOCK));
    put(&head, "draft", &random.bytes(10 * BLOCK));
    fs::rename(head.join("draft"), head.join("replaced")).unwrap();
    fs::remove_file(head.join("goes")).unwrap();
    write_at(&head, "sparse", 150 << 20, b"data");
    let (root, report) = cloned.snapshot(false).await;
    assert_eq!(report.refused, None);
    assert!(report.read_bytes < 64 * block, "{report:?}");
    assert_eq!(report.files_whole, 1, "the new one");
    assert!(bed.restored(&root).await == tree(&head));

    // Any operations in any order.
    for round in 0..6 {
        for _ in 0..20 {
            let name = ["still", "grows", "shrinks", "cut-and-back", "sparse", "new"][random.below(6) as usize];
            let file = OpenOptions::new().read(true).write(true).open(head.join(name)).unwrap();
            let size = file.metadata().unwrap().len();
            match random.below(8) {
                0 => file.set_len(random.below(size + 1)).unwrap(),
                1 => file.set_len(size + random.below(3 * block)).unwrap(),
                2 => {
                    let len = random.below(5 * block) as usize;
                    file.write_all_at(&vec![0; len], random.below(size + 1)).unwrap();
                }
                _ => {
                    let len = random.below(2 * block) as usize + 1;
                    file.write_all_at(&random.bytes(len), random.below(size + block)).unwrap();
                }
            }
        }
        let (root, report) = cloned.snapshot(false).await;
        assert_eq!((report.refused, report.missed), (None, 0), "round {round}");
        assert!(bed.restored(&root).await == tree(&head), "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_grow_shrink_and_are_replaced_on_xfs() {
    lives_of_files("xfs").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_grow_shrink_and_are_replaced_on_btrfs() {
    lives_of_files("btrfs").await;
}

async fn forgotten_extent(kind: &str) {
    let Some(fs) = LoopFs::new(kind) else { return };
    let bed = bed().await;
    let mut cloned = Cloned::new(&bed, &fs);
    let head = cloned.head();
    let mut random = Random(11);
    // Fewer blocks than are sampled: each is.
    put(&head, "a", &random.bytes(40 * BLOCK));
    put(&head, "b", &random.bytes(40 * BLOCK));
    cloned.snapshot(false).await;
    write_at(&head, "b", 10 * BLOCK as u64, &random.bytes(4 * BLOCK));
    let (root, report) = cloned.snapshot(true).await;
    assert!(report.is_alert() && report.missed == 4 && report.sampled == 80, "{report:?}");
    assert_eq!(report.refused, Some(Refusal::Missed));
    assert_eq!((report.unchanged_bytes, report.read_bytes), (0, 80 * BLOCK as u64), "everything was read");
    let miss = report.first_miss.unwrap();
    assert_eq!((miss.path.as_str(), miss.offset), ("b", 10 * BLOCK as u64));
    assert!(bed.restored(&root).await == tree(&head), "and the snapshot is right");
    write_at(&head, "b", 10 * BLOCK as u64, &random.bytes(4 * BLOCK));
    let (_, report) = cloned.snapshot(false).await;
    assert_eq!((report.missed, report.read_bytes), (0, 4 * BLOCK as u64), "exactly what changed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_extent_forgotten_on_purpose_is_found_by_the_sample() {
    forgotten_extent("xfs").await;
    forgotten_extent("btrfs").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quarantined_blocks_are_read_and_stored_anew() {
    let Some(fs) = LoopFs::new("xfs") else { return };
    let bed = bed().await;
    let mut cloned = Cloned::new(&bed, &fs);
    let head = cloned.head();
    let bytes = Random(5).bytes(80 << 20);
    put(&head, "a", &bytes);
    let (first, _) = cloned.snapshot(false).await;
    // The payload goes, the block is known to be bad: the next snapshot must not inherit it.
    let id = BlockId::of(&bytes[20 * BLOCK..21 * BLOCK]);
    bed.store.quarantine(&[id]).await.unwrap();
    let payloads = bed.db.collection::<Document>("payloads");
    let key = mongodb::bson::Binary { subtype: mongodb::bson::spec::BinarySubtype::Generic, bytes: id.0.to_vec() };
    assert_eq!(payloads.delete_one(doc! { "i": key }).await.unwrap().deleted_count, 1);
    assert!(!bed.store.reader(first).verify(quiet()).await.unwrap().is_good());
    let clone = cloned.clone_head();
    let (parent, old) = cloned.last.take().unwrap();
    let mut writer = bed.writer(Some(&parent)).await;
    let since = Since::new(BoundClone::open(&old).unwrap().unwrap());
    let report = writer.write_dir_since(clone.dir(), &keep, since, quiet()).await.unwrap();
    let root = writer.commit(commit()).await.unwrap();
    assert_eq!((report.refused, report.read_bytes), (None, BLOCK as u64), "that block alone");
    assert!(bed.store.reader(root.clone()).verify(quiet()).await.unwrap().is_good());
    assert!(bed.restored(&root).await == tree(&head));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clone_that_does_not_fit_is_not_believed() {
    let Some(fs) = LoopFs::new("xfs") else { return };
    let bed = bed().await;
    let mut cloned = Cloned::new(&bed, &fs);
    let head = cloned.head();
    put(&head, "a", &Random(1).bytes(10 * BLOCK));
    put(&head, "b", &Random(2).bytes(10 * BLOCK));
    let (first, _) = cloned.snapshot(false).await;
    let old = cloned.last.as_ref().unwrap().1.clone();
    // A mongod opened it, or somebody else wrote to it: that file counts as changed, although it shares its bytes.
    write_at(&old, "a", 0, &fs::read(head.join("a")).unwrap()[..1]);
    let clone = cloned.clone_head();
    let writing = async |parent: Option<&Root>, since| {
        let mut writer = bed.writer(parent).await;
        let report = writer.write_dir_since(clone.dir(), &keep, since, quiet()).await.unwrap();
        (writer.commit(commit()).await.unwrap(), report)
    };
    let open = || Since::new(BoundClone::open(&old).unwrap().unwrap());
    let (second, report) = writing(Some(&first), open()).await;
    assert_eq!((report.files_whole, report.unchanged_bytes, report.refused), (1, 10 * BLOCK as u64, None));
    // Another parent's, or none.
    let (_, report) = writing(Some(&second), open()).await;
    assert_eq!((report.refused, report.unchanged_bytes), (Some(Refusal::OtherRoot), 0));
    let (_, report) = writing(None, open()).await;
    assert_eq!((report.refused, report.unchanged_bytes), (Some(Refusal::NoParent), 0));

    // Left behind by a crash: not bound, half removed, or with a record that is torn.
    assert!(BoundClone::open(clone.dir()).unwrap().is_none(), "not bound to anything");
    let record = PathBuf::from(format!("{}.clone", old.display()));
    let whole = fs::read(&record).unwrap();
    for bytes in [&whole[..whole.len() / 2], &[], &[0xff; 100]] {
        fs::write(&record, bytes).unwrap();
        assert!(BoundClone::open(&old).unwrap().is_none());
    }
    fs::write(&record, &whole).unwrap();
    assert_eq!(BoundClone::open(&old).unwrap().unwrap().root(), first.id);
    fs::remove_file(old.join("b")).unwrap();
    let (root, report) = writing(Some(&first), open()).await;
    assert_eq!((report.files_whole, report.unchanged_bytes), (2, 0), "a file is gone");
    assert!(bed.restored(&root).await == tree(&head));
    fs::remove_dir_all(&old).unwrap();
    assert!(BoundClone::open(&old).unwrap().is_none(), "a record without its clone");
    remove_clone(&old).unwrap();
    assert!(!record.exists());
    // Nothing that is there is cloned over, or lost.
    assert!(clone_tree(&head, clone.dir(), &keep).is_err() && clone.dir().join("a").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_reflink_nothing_is_cloned_and_nothing_is_left() {
    let Some(fs) = LoopFs::new("ext4") else { return };
    let head = fs.path().join("head");
    put(&head, "a", b"a");
    let to = fs.path().join("clone");
    assert!(matches!(clone_tree(&head, &to, &keep), Err(CloneError::Unsupported(_))));
    assert!(!to.exists());
    let found = file_system(fs.path()).unwrap();
    assert_eq!((found.name.as_str(), found.shares_bytes, found.finds_changes()), ("ext4", false, false));
    assert!(found.recommendation().contains("XFS"));
    for kind in ["xfs", "btrfs"] {
        let Some(fs) = LoopFs::new(kind) else { continue };
        let found = file_system(fs.path()).unwrap();
        assert_eq!((found.name.as_str(), found.finds_changes()), (kind, true));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fragmented_windows_are_rewritten_in_one_piece() {
    for kind in ["xfs", "btrfs"] {
        let Some(fs) = LoopFs::new(kind) else { continue };
        let head = fs.path().join("head");
        let mut random = Random(9);
        put(&head, "a", &random.bytes(150 << 20));
        put(&head, "b", &random.bytes(1 << 20));
        assert_eq!(survey(&head, &keep).unwrap().windows_beyond, 0);
        // Every other 64 KiB of the middle window is written anew after a clone.
        let first = clone_tree(&head, &fs.path().join("first"), &keep).unwrap();
        let window = MEND_WINDOW_BYTES;
        for at in (window..2 * window).step_by(2 * BLOCK) {
            write_at(&head, "a", at, &random.bytes(BLOCK));
        }
        let content = tree(&head);
        let second = clone_tree(&head, &fs.path().join("second"), &keep).unwrap();
        let before = survey(second.dir(), &keep).unwrap();
        let bound = EXTENTS_PER_GIB_MAX * window / (1 << 30);
        assert!(before.windows_beyond == 1 && before.windows[0].extents > bound, "{before:?}");
        assert_eq!((before.windows[0].path.as_str(), before.windows[0].offset), ("a", window));
        assert_eq!(before.worst.as_ref().unwrap().path, "a");
        let report = mend(&head, &before.windows).unwrap();
        assert_eq!((report.windows, report.bytes), (1, window));
        assert!(report.bytes <= MEND_BYTES_MAX);
        assert!(tree(&head) == content && tree(second.dir()) == content, "not a byte changed");
        let after = survey(&head, &keep).unwrap();
        assert!(after.windows_beyond == 0 && after.extents < before.extents / 4, "{before:?} {after:?}");
        drop(first);
    }
}
