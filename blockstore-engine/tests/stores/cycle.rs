//! A whole life of snapshots over each kind of store: write, prove, read, verify, archive, again with little changed.

use blockstore_engine::{
    BlockId, EngineOptions, GroupKey, KeyId, PackLocation, PackStoreOptions, PayloadStore, Place, Root, WriterRequest,
};
use futures::TryStreamExt;
use mongodb::bson::{Document, doc};

use super::s3::S3Server;
use super::{assert_archived, directory, number, packs, to_packs};
use crate::support::*;

async fn write(bed: &Bed, parent: Option<&Root>, key: Option<KeyId>) -> Root {
    let request = WriterRequest { key, ..request("job", parent.map(|root| root.id)) };
    let mut writer = bed.store.register(request).await.unwrap();
    writer.write_dir(&bed.source(), &|_| true, quiet()).await.unwrap();
    let proof = writer.verify_new().await.unwrap();
    assert!(proof.is_good(), "{proof:?}");
    writer.commit(commit()).await.unwrap()
}

async fn cycle(bed: &Bed, key: Option<KeyId>) {
    let mut random = Random(21);
    bed.put("collection.wt", &[random.bytes(9 << 20), vec![0; 3 << 20], random.bytes(70_001)].concat());
    for number in 0..30 {
        let len = usize::try_from(random.below(200_000)).unwrap();
        bed.put(&format!("db/index-{number}.wt"), &random.bytes(len));
    }
    bed.put("empty", b"");
    let first = write(bed, None, key).await;
    assert_eq!(first.key, key);
    let before = tree(&bed.source());
    bed.put("collection.wt", &[random.bytes(BLOCK), before["collection.wt"].1[BLOCK..].to_vec()].concat());
    let second = write(bed, Some(&first), key).await;
    assert!(second.new_bytes < 2 * BLOCK as u64 + 50_000, "{}", second.new_bytes);
    let same = write(bed, None, key).await;
    assert_eq!((same.new_bytes, same.tree), (0, second.tree));
    for (root, files) in [(&first, &before), (&second, &tree(&bed.source()))] {
        assert!(&bed.restored(root).await == files);
        let report = bed.store.reader(root.clone()).verify(quiet()).await.unwrap();
        assert!(report.is_good(), "{report:?}");
        let fresh = bed.store.verify_new(&root.id).await.unwrap();
        assert_eq!((fresh.is_good(), fresh.raw_bytes, fresh.stored_bytes), (true, root.new_bytes, root.stored_bytes));
        assert_archived(|| bed.store.reader(root.clone()), files).await;
    }
}

/// No payload lies in the database, and all are in packs that the writer's name is part of.
async fn all_in_packs(bed: &Bed) {
    assert_eq!(bed.count("payloads").await, 0);
    let blocks = bed.db.collection::<Document>("blocks").find(doc! {}).await.unwrap();
    for row in blocks.try_collect::<Vec<_>>().await.unwrap() {
        let at = blockstore_engine::PayloadAt::from_slice(row.get_binary_generic("at").unwrap()).unwrap();
        assert!(matches!(at.place(), Place::Pack { store, .. } if store == number(1)));
    }
}

fn with_key(options: EngineOptions) -> (EngineOptions, KeyId) {
    let key = options.keys.insert(&GroupKey::generate());
    (options, key)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory() {
    let dir = tempfile::tempdir().unwrap();
    let bed = bed_with(to_packs(directory(dir.path()))).await;
    cycle(&bed, None).await;
    all_in_packs(&bed).await;
    assert!(packs(dir.path()).len() >= 5, "packs are filled to about their size");
    assert!(packs(dir.path()).iter().all(|pack| pack.metadata().unwrap().len() < 1_300_000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_encrypted_directory_tells_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (options, key) = with_key(to_packs(directory(dir.path())));
    let bed = bed_with(options).await;
    cycle(&bed, Some(key)).await;
    all_in_packs(&bed).await;
    let raw = tree(&bed.source())["collection.wt"].1.clone();
    let block = &raw[2 * BLOCK..3 * BLOCK];
    let frame = zstd::bulk::compress(block, 1).unwrap();
    let stored: Vec<u8> = packs(dir.path()).iter().flat_map(|pack| std::fs::read(pack).unwrap()).collect();
    let holds = |needle: &[u8]| memmem(&stored, needle);
    assert!(!holds(&BlockId::of(block).0) && !holds(&blake3::hash(&frame).as_bytes()[..16]) && !holds(&frame[9..40]));
    assert!(!holds(b"collection.wt"), "paths are in blocks");
}

fn memmem(hay: &[u8], needle: &[u8]) -> bool {
    hay.windows(needle.len()).any(|window| window == needle)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_encrypted() {
    let (options, key) = with_key(EngineOptions::default());
    let bed = bed_with(options).await;
    cycle(&bed, Some(key)).await;
    let plain = doc! { "k": { "$exists": false } };
    assert_eq!(bed.db.collection::<Document>("payloads").count_documents(plain).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_s3_service_plain_and_encrypted() {
    let server = S3Server::shared().await;
    let bed = bed_with(to_packs(server.location().await)).await;
    cycle(&bed, None).await;
    all_in_packs(&bed).await;
    let (options, key) = with_key(to_packs(server.location().await));
    let bed = bed_with(options).await;
    cycle(&bed, Some(key)).await;
    all_in_packs(&bed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_packs_are_uploaded_in_parts() {
    let server = S3Server::shared().await;
    let mut options = to_packs(server.location().await);
    options.packs[0] = PackStoreOptions { pack_bytes: 20 << 20, ..options.packs[0].clone() };
    let bed = bed_with(options).await;
    let noise: Vec<u8> = (0..(50u64 << 20) / 32).flat_map(|n| *blake3::hash(&n.to_le_bytes()).as_bytes()).collect();
    bed.put("noise", &noise);
    let root = write(&bed, None, None).await;
    assert!(bed.restored(&root).await == tree(&bed.source()));
    let fresh = bed.store.verify_new(&root.id).await.unwrap();
    assert_eq!((fresh.is_good(), fresh.raw_bytes), (true, root.new_bytes));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_is_only_what_the_database_knows() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("packs");
    let bed = bed_with(to_packs(directory(&path))).await;
    bed.put("a", b"a");
    bed.snapshot(None).await;
    let open = async |options| blockstore_engine::Blockstore::open(bed.db.clone(), options).await;
    open(to_packs(directory(&path))).await.unwrap();
    // Another place, as when nothing is mounted; the same under another number; one of another blockstore.
    let refused = |error: blockstore_engine::OpenError| {
        assert!(matches!(error, blockstore_engine::OpenError::OtherPackStore { .. }), "{error}");
    };
    refused(open(to_packs(directory(&dir.path().join("empty")))).await.err().unwrap());
    let mut twice = to_packs(directory(&path));
    twice.packs[0].number = number(2);
    twice.write_to = PayloadStore::Packs(number(2));
    refused(open(twice).await.err().unwrap());
    let other = bed.db.client().database(&format!("{}other", bed.db.name()));
    let stolen = blockstore_engine::Blockstore::open(other, to_packs(directory(&path))).await;
    refused(stolen.err().unwrap());
    // Options that make no sense.
    let unknown = EngineOptions { write_to: PayloadStore::Packs(number(9)), ..to_packs(directory(&path)) };
    assert!(open(unknown).await.is_err());
    let mut tiny = to_packs(PackLocation::Directory(path));
    tiny.packs[0].pack_bytes = 1000;
    assert!(open(tiny).await.is_err());
}
