//! Snapshots copied from store to store: only what is missing travels, nothing that the source says is believed, nothing is lost on the way.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::support::*;
use blockstore_engine::{
    BlockAddress, Blockstore, CopyError, CopyProgress, CopyReport, CopyRequest, CopySource, EngineOptions, ErrorClass,
    Floor, GroupKey, Keyring, PackLocation, PackStoreOptions, PayloadStore, ReadError, RegisterError, Root, RootError,
    SnapshotReader, StoreNumber, StoreSource, StoredBlock, Wanted, WriterRequest,
};
use bytes::Bytes;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// What happens to an answer on its way.
#[derive(Clone)]
enum Way {
    Good,
    /// A bit of the first block's frame flips.
    Flipped,
    /// The last block is left out.
    Short,
    /// Blocks come that nobody asked for.
    Other(Vec<StoredBlock>),
    /// The answer to this call (counted from 0) never comes.
    StopsAt(u64, Arc<Notify>),
    /// Before each answer somebody tries to delete the snapshot.
    Deleting(Blockstore),
}

/// A source as it looks over a network: blocks by address, as bytes.
struct Net {
    inner: StoreSource,
    reader: SnapshotReader,
    way: Way,
    calls: AtomicU64,
    asked: AtomicU64,
}

impl Net {
    fn new(store: &Blockstore, root: &Root, way: Way) -> Arc<Self> {
        Arc::new(Self {
            inner: StoreSource::new(store.clone(), root.id, "test"),
            reader: store.reader(root.clone()),
            way,
            calls: AtomicU64::new(0),
            asked: AtomicU64::new(0),
        })
    }
}

impl CopySource for Net {
    async fn hold(&self) -> Result<(), CopyError> {
        self.inner.hold().await
    }

    async fn release(&self) {
        self.inner.release().await;
    }

    async fn root(&self) -> Result<Root, CopyError> {
        self.inner.root().await
    }

    async fn blocks(&self, wanted: &[Wanted]) -> Result<Vec<StoredBlock>, CopyError> {
        let call = self.calls.fetch_add(1, Relaxed);
        self.asked.fetch_add(wanted.len() as u64, Relaxed);
        let addresses: Vec<BlockAddress> = wanted.iter().map(|one| one.address.clone()).collect();
        let json = serde_json::to_string(&addresses).unwrap();
        let addresses: Vec<BlockAddress> = serde_json::from_str(&json).unwrap();
        let mut blocks = self.reader.stored_blocks(&addresses).await.unwrap();
        match &self.way {
            Way::Good => {}
            Way::Flipped if wanted[0].raw_len.is_some() => {
                let mut wire = StoredBlock::encode_all(&blocks);
                wire[100] ^= 1;
                blocks = StoredBlock::decode_all(&Bytes::from(wire)).unwrap();
            }
            Way::Flipped => {}
            Way::Short => {
                blocks.pop();
            }
            Way::Other(others) => blocks.extend(others.clone()),
            Way::StopsAt(at, reached) if call >= *at => {
                reached.notify_one();
                std::future::pending::<()>().await;
            }
            Way::StopsAt(..) => {}
            Way::Deleting(store) => {
                let refused = store.trash(&self.reader_root().id, &|_| Ok(())).await;
                assert!(matches!(refused, Err(RootError::Pinned { ref by, .. }) if by == "copy:test"), "{refused:?}");
            }
        }
        let wire = Bytes::from(StoredBlock::encode_all(&blocks));
        Ok(StoredBlock::decode_all(&wire).unwrap())
    }
}

impl Net {
    fn reader_root(&self) -> &Root {
        use blockstore_engine::FrameSource;
        self.reader.root()
    }
}

fn asked() -> CopyRequest {
    CopyRequest {
        job: "copies".into(),
        job_epoch: 1,
        store: "the other one".into(),
        label: Some("kept".into()),
        pins: vec![],
        bandwidth_bytes_per_second: None,
    }
}

async fn copy_by(target: &Blockstore, source: Arc<Net>, request: CopyRequest) -> Result<CopyReport, CopyError> {
    target.copy_from(source, request, Arc::new(|_: CopyProgress| {}), CancellationToken::new()).await
}

async fn copy(from: &Bed, root: &Root, to: &Bed) -> CopyReport {
    copy_by(&to.store, Net::new(&from.store, root, Way::Good), asked()).await.unwrap()
}

fn packs(dir: &std::path::Path) -> EngineOptions {
    let number = StoreNumber::new(1).unwrap();
    let store = PackStoreOptions {
        pack_bytes: 1 << 20,
        ..PackStoreOptions::new(number, PackLocation::Directory(dir.to_owned()))
    };
    EngineOptions { packs: vec![store], write_to: PayloadStore::Packs(number), ..EngineOptions::default() }
}

/// A file of two levels of nodes: content at both ends, holes between, repetitions.
fn large(random: &mut Random) -> Vec<u8> {
    let mut bytes = vec![0; 1030 * BLOCK + 17];
    let content = random.bytes(20 * BLOCK);
    bytes[..20 * BLOCK].copy_from_slice(&content);
    bytes[500 * BLOCK..510 * BLOCK].copy_from_slice(&content[..10 * BLOCK]);
    bytes[1025 * BLOCK..1028 * BLOCK].copy_from_slice(&random.bytes(3 * BLOCK));
    bytes
}

async fn blocks(bed: &Bed) -> u64 {
    bed.store.stats().await.unwrap().blocks
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_missing_blocks_travel_to_packs_and_back() {
    let dir = tempfile::tempdir().unwrap();
    let (from, vault, back) = (bed().await, bed_with(packs(dir.path())).await, bed().await);
    let mut random = Random(7);
    let mut big = large(&mut random);
    from.put("big", &big);
    from.put("empty", &[]);
    from.put("hole", &vec![0; 3 * BLOCK]);
    from.put("grows", &random.bytes(5 * BLOCK));
    for number in 0..300 {
        from.put(&format!("many/{number}"), &random.bytes(100 + number));
    }
    let first = from.snapshot(None).await;
    let files = tree(&from.source());
    let report = copy(&from, &first, &vault).await;
    assert_eq!(report.progress.sent_blocks, blocks(&from).await, "each block once");
    assert_eq!(blocks(&vault).await, blocks(&from).await);
    assert_eq!(report.progress.bytes, report.progress.bytes_total);
    assert_eq!(report.proof.blocks, report.progress.sent_blocks);
    let (copied, origin) = (report.root.clone(), report.root.origin.clone().unwrap());
    assert_eq!((origin.root, origin.store.as_str(), origin.hash), (first.id, "the other one", first.hash));
    assert_eq!((copied.tree, &copied.meta, copied.logical_bytes), (first.tree, &first.meta, first.logical_bytes));
    assert!(vault.restored(&copied).await == files);
    assert_eq!(vault.store.root(&copied.id).await.unwrap().unwrap(), copied, "sealed as it was committed");

    // Again: nothing.
    let again = copy(&from, &first, &vault).await;
    assert!(again.was_here && again.root == copied);
    assert_eq!(vault.store.all_roots().await.unwrap().len(), 1);

    // A change of two blocks, a file that grows past what its tree could hold, one that goes.
    let before = blocks(&from).await;
    big[3 * BLOCK] ^= 1;
    big[1026 * BLOCK] ^= 1;
    from.put("big", &big);
    let mut grown = random.bytes(5 * BLOCK);
    grown.resize(1100 * BLOCK, 0);
    grown[1090 * BLOCK] = 1;
    from.put("grows", &grown);
    std::fs::remove_file(from.source().join("many/7")).unwrap();
    let second = from.snapshot(Some(&first)).await;
    let report = copy(&from, &second, &vault).await;
    assert_eq!(report.progress.sent_blocks, blocks(&from).await - before, "what the second snapshot added");
    assert_eq!(report.progress.bytes, report.progress.bytes_total);
    assert!(report.progress.shared_bytes > 60 << 20, "{:?}", report.progress);
    assert_eq!(report.progress.present_blocks, 0, "what the copy before has is not even asked for");
    assert_eq!(report.root.parent, Some(copied.id));
    let files = tree(&from.source());
    assert!(vault.restored(&report.root).await == files);

    // Back again, and beside a job that has the same content.
    let returned = copy(&vault, &report.root, &back).await;
    assert!(back.restored(&returned.root).await == files);
    let beside = CopyRequest { job: "beside".into(), ..asked() };
    let source = Net::new(&from.store, &second, Way::Good);
    let report = copy_by(&back.store, source.clone(), beside).await.unwrap();
    assert_eq!((report.progress.sent_blocks, source.asked.load(Relaxed)), (0, 0));
    assert!(report.progress.present_blocks > 300);
    back.check_all().await;
    for bed in [&from, &vault, &back] {
        assert_eq!(bed.count("writers").await, 0);
        assert!(bed.store.all_roots().await.unwrap().iter().all(|root| root.pins.is_empty()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_was_cut_goes_on_where_it_stood() {
    let (from, to) = (bed().await, bed().await);
    from.put("file", &Random(8).bytes(700 * BLOCK));
    let root = from.snapshot(None).await;
    let reached = Arc::new(Notify::new());
    // The top of the entries, the page, the file's node; then requests for 128 blocks each.
    let source = Net::new(&from.store, &root, Way::StopsAt(6, reached.clone()));
    let store = to.store.clone();
    let task = tokio::spawn(async move { copy_by(&store, source, asked()).await.map(|_| ()) });
    reached.notified().await;
    while blocks(&to).await < 128 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    assert!(to.store.all_roots().await.unwrap().is_empty());
    let there = blocks(&to).await;
    let total = blocks(&from).await;
    assert!(there >= 128 && there < total, "{there} of {total}");
    let report = copy(&from, &root, &to).await;
    // What the aborted one had under way may have been indexed after it was counted.
    assert!(report.progress.sent_blocks <= total - there, "{:?}", report.progress);
    assert_eq!(report.progress.sent_blocks + report.progress.present_blocks, total);
    assert!(to.restored(&report.root).await == tree(&from.source()));
    to.check_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_is_not_what_was_asked_for_is_taken() {
    let (from, to) = (bed().await, bed().await);
    from.put("file", &Random(9).bytes(10 * BLOCK));
    let root = from.snapshot(None).await;
    from.put("other", &Random(10).bytes(2 * BLOCK));
    let other = from.snapshot(Some(&root)).await;
    let stray = from.store.reader(other.clone()).stored_blocks(&[BlockAddress::default()]).await.unwrap();
    for (way, said) in
        [(Way::Flipped, "bad block"), (Way::Short, "did not send"), (Way::Other(stray), "it was not asked for")]
    {
        let error = copy_by(&to.store, Net::new(&from.store, &root, way), asked()).await.unwrap_err();
        assert!(error.class() == ErrorClass::Corrupt && error.to_string().contains(said), "{error}");
        assert!(to.store.all_roots().await.unwrap().is_empty());
    }
    // A snapshot that the source knows to be damaged is not asked for at all.
    from.store.set_quarantined(&root.id, true).await.unwrap();
    let error = copy_by(&to.store, Net::new(&from.store, &root, Way::Good), asked()).await.unwrap_err();
    assert!(matches!(error, CopyError::Damaged(id) if id == root.id), "{error}");
    from.store.set_quarantined(&root.id, false).await.unwrap();
    // After all that: the good one.
    let report = copy(&from, &root, &to).await;
    assert!(to.store.reader(report.root).verify(quiet()).await.unwrap().is_good());
    to.check_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn addresses_lead_into_their_snapshot_and_nowhere_else() {
    let from = bed().await;
    from.put("a/file", &Random(11).bytes(3 * BLOCK));
    from.put("b", &Random(12).bytes(2 * BLOCK));
    let root = from.snapshot(None).await;
    let reader = from.store.reader(root.clone());
    let at = |entries: &[u16], file: Option<u16>, below: &[u16]| BlockAddress {
        entries: entries.to_vec(),
        file,
        below: below.to_vec(),
    };
    let top = reader.stored_blocks(&[at(&[], None, &[])]).await.unwrap();
    assert_eq!(top[0].id(), root.tree);
    let block = reader.stored_blocks(&[at(&[0], Some(0), &[1]), at(&[0], Some(0), &[1])]).await.unwrap();
    assert_eq!((block.len(), block[0].raw_len()), (1, u32::try_from(BLOCK).unwrap()));
    for nowhere in [
        at(&[7], None, &[]),
        at(&[0, 0], None, &[]),
        at(&[0], Some(9), &[]),
        at(&[], Some(0), &[]),
        at(&[0], None, &[0]),
        at(&[0], Some(0), &[3]),
        at(&[0], Some(0), &[0, 0]),
        at(&[0; 9], None, &[]),
    ] {
        let refused = reader.stored_blocks(std::slice::from_ref(&nowhere)).await;
        assert!(matches!(refused, Err(ReadError::Request(_))), "{nowhere:?}");
    }
    let many = vec![at(&[], None, &[]); 257];
    assert!(matches!(reader.stored_blocks(&many).await, Err(ReadError::Request(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_source_keeps_the_snapshot_and_collects_beside_the_copy() {
    let (from, to) = (bed().await, bed().await);
    let mut random = Random(13);
    from.put("file", &random.bytes(40 * BLOCK));
    let old = from.snapshot(None).await;
    from.put("file", &random.bytes(40 * BLOCK));
    let new = from.snapshot(Some(&old)).await;
    // Slices that a replay on the old one needs are gone; its files are still to be had, and hold no slices back.
    from.store.raise_floor("job", Floor { chain: 1, seq: 11 }, &|_| Ok(())).await.unwrap();
    let source = Net::new(&from.store, &old, Way::Deleting(from.store.clone()));
    let options = eager();
    let (report, collected, emptied) =
        tokio::join!(copy_by(&to.store, source.clone(), asked()), from.try_collect(&options), to.try_collect(&options));
    let report = report.unwrap();
    assert!(source.calls.load(Relaxed) > 0);
    assert!(collected.unwrap().unlinked.is_empty());
    emptied.unwrap();
    assert!(to.store.reader(report.root).verify(quiet()).await.unwrap().is_good());
    from.store.raise_floor("job", Floor { chain: 1, seq: 12 }, &|_| Ok(())).await.unwrap();
    from.store.trash(&old.id, &|_| Ok(())).await.unwrap();
    assert_eq!(from.collect().await.unlinked, [old.id]);
    // Gone at the source: said so.
    let error = copy_by(&to.store, Net::new(&from.store, &old, Way::Good), CopyRequest { job: "x".into(), ..asked() });
    assert_eq!(error.await.unwrap_err().class(), ErrorClass::Caller);
    copy(&from, &new, &to).await;
    to.check_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bandwidth_is_kept() {
    let (from, to) = (bed().await, bed().await);
    from.put("file", &Random(14).bytes(64 * BLOCK));
    let root = from.snapshot(None).await;
    let rate = 1 << 20;
    let request = CopyRequest { bandwidth_bytes_per_second: NonZeroU64::new(rate), ..asked() };
    let (seen, source) = (Arc::new(AtomicU64::new(0)), Net::new(&from.store, &root, Way::Good));
    let counted = seen.clone();
    let begun = Instant::now();
    let on = Arc::new(move |progress: CopyProgress| counted.store(progress.sent_bytes, Relaxed));
    let report = to.store.copy_from(source.clone(), request, on, CancellationToken::new()).await.unwrap();
    let sent = report.progress.sent_bytes;
    assert_eq!(seen.load(Relaxed), sent);
    // All but the last request have had their time. A request takes a second's worth of raw bytes at most.
    let at_least = Duration::from_millis((sent - rate) * 1000 / rate);
    assert!(begun.elapsed() >= at_least && at_least > Duration::from_millis(500), "{sent} in {:?}", begun.elapsed());
    assert!(source.calls.load(Relaxed) >= 4, "the link is not taken in one gulp");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn encrypted_snapshots_keep_their_key_and_their_bytes() {
    let keys = Keyring::default();
    let group = GroupKey::generate();
    let key = keys.insert(&group);
    let from = bed_with(EngineOptions { keys: keys.clone(), ..EngineOptions::default() }).await;
    from.put("file", &Random(15).bytes(20 * BLOCK));
    let mut writer = from.store.register(WriterRequest { key: Some(key), ..request("job", None) }).await.unwrap();
    writer.write_dir(&from.source(), &|_| true, quiet()).await.unwrap();
    let root = writer.commit(commit()).await.unwrap();
    // Without the key nothing can be checked, so nothing is taken.
    let other = Keyring::default();
    let to = bed_with(EngineOptions { keys: other.clone(), ..EngineOptions::default() }).await;
    let error = copy_by(&to.store, Net::new(&from.store, &root, Way::Good), asked()).await.unwrap_err();
    assert!(matches!(error, CopyError::Register(RegisterError::NoKey(id)) if id == key), "{error}");
    assert_eq!(error.class(), ErrorClass::Operator);
    assert_eq!(to.count("payloads").await, 0);
    other.insert(&group);
    let report = copy(&from, &root, &to).await;
    assert_eq!((report.root.key, report.root.tree), (Some(key), root.tree), "the same ids");
    assert!(to.restored(&report.root).await == tree(&from.source()));
    let bodies = async |bed: &Bed| {
        use futures::TryStreamExt;
        let found = bed.db.collection::<bson::Document>("payloads").find(bson::doc! {}).await.unwrap();
        let mut all: Vec<_> = found
            .map_ok(|doc| (doc.get_binary_generic("i").unwrap().clone(), doc.get_binary_generic("z").unwrap().clone()))
            .try_collect()
            .await
            .unwrap();
        all.sort();
        all
    };
    assert!(bodies(&from).await == bodies(&to).await, "the ciphertext travelled as it is");
    // A writer of the same group meets the copy's blocks.
    let mut writer = to.store.register(WriterRequest { key: Some(key), ..request("job", None) }).await.unwrap();
    writer.write_dir(&from.source(), &|_| true, quiet()).await.unwrap();
    assert_eq!(writer.commit(commit()).await.unwrap().new_bytes, 0);
    to.check_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_blocks_of_the_target_are_not_inherited() {
    let (from, to) = (bed().await, bed().await);
    let mut random = Random(16);
    let mut bytes = random.bytes(30 * BLOCK);
    from.put("file", &bytes);
    from.put("still", &random.bytes(3 * BLOCK));
    let first = from.snapshot(None).await;
    let copied = copy(&from, &first, &to).await.root;
    // A block of each file is lost at the target, under subtrees that the next copy would share.
    let at = |file, below: &[u16]| BlockAddress { entries: vec![0], file: Some(file), below: below.to_vec() };
    let reader = to.store.reader(copied.clone());
    let mut bad = Vec::new();
    for address in [at(0, &[4]), at(1, &[1])] {
        // The two files may stand on pages of their own.
        if let Ok(found) = reader.stored_blocks(&[address]).await {
            bad.push(found[0].id());
        }
    }
    assert!(!bad.is_empty());
    to.store.quarantine(&bad).await.unwrap();
    bytes[20 * BLOCK] ^= 1;
    from.put("file", &bytes);
    let second = from.snapshot(Some(&first)).await;
    let report = copy(&from, &second, &to).await;
    assert!(report.progress.sent_blocks > bad.len() as u64);
    assert!(to.store.reader(report.root).verify(quiet()).await.unwrap().is_good());
    assert!(to.store.reader(copied).verify(quiet()).await.unwrap().is_good(), "and the copy before is whole again");
    to.check_all().await;
}
