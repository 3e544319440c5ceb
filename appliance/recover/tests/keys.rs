//! A group that encrypts: with its key everything comes back out of the packs, without it or with another nothing does, and it is said.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::{path::Path, sync::Arc};

use blockstore_engine::{
    Blockstore, CommitRequest, EngineOptions, Floor, PackStoreOptions, PayloadStore, Purpose, StoreNumber,
    WriterRequest,
};
use holdfast_domain::{
    BackupJobId, EntryBody, EntryPosition, ErrorClass, GroupId, Hash32, LedgerEntry, OpTime, PayloadRef, Ts,
};
use holdfast_ledger::{JobFacts, SegmentBuilder, SliceFrame, SnapshotMeta, StorageOptions, StoredEntry, compress};
use holdfast_recover::{
    Contents, GroupKey, Keyring, PackLocation, Place, RecoverFault, RestoreOptions, Source, Target, check, plan,
    restore,
};
use holdfast_tests::{ReplicaSet, ReplicaSetOptions};
use tokio_util::sync::CancellationToken;

const AT: OpTime = OpTime { ts: Ts { t: 1_700_000_000, i: 1 }, term: 1 };

fn optime(t: u32) -> OpTime {
    OpTime { ts: Ts { t, i: 1 }, term: 1 }
}

/// A slice of the ledger after the snapshot, as it lies there.
fn segment(job: &BackupJobId) -> (String, Vec<u8>) {
    let raw = b"a secret of the source".to_vec();
    let end = optime(AT.ts.t + 60);
    let payload = PayloadRef {
        hash: Hash32::of(&raw),
        raw_bytes: i64::try_from(raw.len()).unwrap(),
        entries: 1,
        day: 20_261_122,
    };
    let entry = LedgerEntry {
        job: job.clone(),
        at: EntryPosition { chain: 0, seq: 1 },
        first: AT,
        last: end,
        prev: Hash32::ZERO,
        body: EntryBody::Slice { payload },
    };
    let hash = entry.hash();
    let received_at = bson::DateTime::from_millis(0);
    let stored = StoredEntry { entry, hash, summary: Default::default(), received_at, detail: None };
    let mut builder = SegmentBuilder::default();
    let frame = SliceFrame { bytes: compress(&raw).unwrap(), key: None };
    builder.push(&stored, None, Some(&frame)).unwrap();
    let (name, bytes) = builder.finish().unwrap().unwrap();
    (name.to_string(), bytes)
}

/// An encrypted snapshot of some files and a part of its ledger, in packs.
async fn backed_up(server: &ReplicaSet, packs: &Path, files: &Path, key: &GroupKey) -> (BackupJobId, String) {
    let keys = Keyring::default();
    let id = keys.insert(key);
    let number = StoreNumber::new(1).unwrap();
    let options = EngineOptions {
        packs: vec![PackStoreOptions::new(number, PackLocation::Directory(packs.to_owned()))],
        write_to: PayloadStore::Packs(number),
        keys,
        ..EngineOptions::default()
    };
    let store = Blockstore::open(server.client().database("blocks"), options).await.unwrap();
    let job = BackupJobId::random();
    let request = WriterRequest { job: job.to_string(), job_epoch: 1, parent: None, key: Some(id) };
    let mut writer = store.register(request).await.unwrap();
    writer.write_dir(files, &|_: &str| true, Arc::new(|_| {})).await.unwrap();
    let meta = SnapshotMeta {
        group: GroupId::random(),
        rs: "rs0".into(),
        optime: AT,
        resume: EntryPosition { chain: 0, seq: 1 },
        feed_from: AT,
        server_version: "6.0.5".into(),
        fcv: "6.0".into(),
        storage: StorageOptions::default(),
        taken_at: bson::DateTime::now(),
        label: None,
    };
    let facts = JobFacts {
        job: job.clone(),
        group: meta.group.to_string(),
        group_name: "bank".into(),
        deployment: "d".into(),
        rs: "rs0".into(),
    };
    let commit = CommitRequest {
        meta: meta.encode().unwrap(),
        resume: Floor { chain: 0, seq: 1 },
        purpose: Purpose::Snapshot,
        label: None,
        pins: Vec::new(),
    };
    let root = writer.commit(commit).await.unwrap();
    let aside = store.asides().pop().unwrap().unwrap();
    let (name, bytes) = segment(&job);
    aside.put(&name, &bytes, Some(id)).await.unwrap();
    aside.put(&JobFacts::name(&job), &serde_json::to_vec(&facts).unwrap(), None).await.unwrap();
    (job, root.id.to_string())
}

async fn contents(place: &Place, keys: &Keyring) -> Contents {
    Source::open(place, keys.clone()).await.unwrap().contents().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_key_opens_everything_and_nothing_opens_without_it() {
    let server = ReplicaSet::start(1, ReplicaSetOptions::default()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (packs, files) = (dir.path().join("packs"), dir.path().join("files"));
    std::fs::create_dir_all(&files).unwrap();
    std::fs::write(files.join("collection.wt"), "a secret of the source".repeat(1000)).unwrap();
    let key = GroupKey::generate();
    let (job, snapshot) = backed_up(&server, &packs, &files, &key).await;
    server.client().database("blocks").drop().await.unwrap();
    let place = Place::Packs(PackLocation::Directory(packs.clone()));

    let (none, wrong, right) = (Keyring::default(), Keyring::default(), Keyring::default());
    wrong.insert(&GroupKey::generate());
    right.insert(&key);
    let target = Target::Snapshot(snapshot.parse().unwrap());
    for keys in [&none, &wrong] {
        let found = contents(&place, keys).await;
        assert!(found.backups.is_empty());
        assert!(found.faults[0].contains(&key.id().to_string()), "it says which key: {:?}", found.faults);
        let refused = plan(&found, &target).unwrap_err();
        assert!(refused.to_string().contains("not at hand") && refused.class() == ErrorClass::Caller, "{refused}");
    }

    let found = contents(&place, &right).await;
    let backup = &found.backups[0];
    assert_eq!((backup.group.as_str(), &backup.job, backup.faults.len()), ("bank", &job, 0));
    assert_eq!(backup.ranges[0].to.t, AT.ts.t + 60, "by the ledger's copy");
    let source = Source::open(&place, right.clone()).await.unwrap();
    let good = check(&source, &found, &dir.path().join("x"), Arc::new(|_| {}), CancellationToken::new()).await.unwrap();
    assert!(good.faults.is_empty() && good.whole == [snapshot.clone()], "{good:?}");
    let options = RestoreOptions { to: dir.path().join("out"), mongod: None };
    let chosen = plan(&found, &target).unwrap();
    restore(&source, &chosen, &options, Arc::new(|_| {}), CancellationToken::new()).await.unwrap();
    let restored = std::fs::read_to_string(dir.path().join("out/collection.wt")).unwrap();
    assert_eq!(restored, std::fs::read_to_string(files.join("collection.wt")).unwrap());

    // The program itself, with the file that the appliance exports and with what it prints on paper.
    for (n, text) in [key.to_file("bank"), key.export()].into_iter().enumerate() {
        let (file, to) = (dir.path().join(format!("key{n}")), dir.path().join(format!("by-program{n}")));
        std::fs::write(&file, text).unwrap();
        let recover = |arguments: &[&str]| {
            let program = holdfast_tests::appliance::program("holdfast").unwrap();
            let mut command = std::process::Command::new(program);
            command.args(["--json", "recover"]).args(arguments).arg("--packs").arg(&packs).arg("--key-file").arg(&file);
            command.output().unwrap()
        };
        let listed = recover(&["list", "--check"]);
        let out = String::from_utf8_lossy(&listed.stdout);
        assert!(listed.status.success() && out.contains("bank") && out.contains(&snapshot), "{listed:?}");
        let restored = recover(&["restore", "--snapshot", &snapshot, "--to", to.to_str().unwrap()]);
        assert!(restored.status.success(), "{restored:?}");
        let same =
            std::fs::read(to.join("collection.wt")).unwrap() == std::fs::read(files.join("collection.wt")).unwrap();
        assert!(same);
    }

    // A plan made with the key, carried out without it.
    let keyless = Source::open(&place, none).await.unwrap();
    let options = RestoreOptions { to: dir.path().join("other"), mongod: None };
    let refused = restore(&keyless, &chosen, &options, Arc::new(|_| {}), CancellationToken::new()).await.unwrap_err();
    let says = refused.to_string().contains(&key.id().to_string()) && refused.to_string().contains("--key-file");
    assert!(says && matches!(&refused, RecoverFault::NoKey { .. }), "{refused:?}");
    assert_eq!(refused.class(), ErrorClass::Operator);
    assert!(!dir.path().join("other").exists());

    // An instant needs a mongod, and says so before anything is written.
    let instant = Target::Instant { at: Ts { t: AT.ts.t + 30, i: 0 }, backup: None, base: None };
    let later = plan(&found, &instant).unwrap();
    let refused = restore(&source, &later, &options, Arc::new(|_| {}), CancellationToken::new()).await.unwrap_err();
    assert!(matches!(&refused, RecoverFault::NoMongod(text) if text.contains("6.0")), "{refused:?}");
    let elsewhere = Some(("bank".to_owned(), "rs1".to_owned()));
    let refused = plan(&found, &Target::Instant { at: AT.ts, backup: elsewhere, base: None }).unwrap_err();
    assert!(refused.to_string().contains("bank/rs0"), "{refused}");

    // Nothing of the source is readable in what lies there.
    let mut folders = vec![packs];
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else {
                let bytes = std::fs::read(&path).unwrap();
                assert!(!bytes.windows(8).any(|part| part == b"a secret"), "{}", path.display());
            }
        }
    }
}
