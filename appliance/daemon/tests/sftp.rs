//! Restores pushed to a real OpenSSH server: equal to the download, gone on with after a cut, refused where they must be, called off.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use crate::support::{PATIENCE, World};
use blockstore_engine::{
    CommitRequest, Floor, Pin, Purpose, Root, WriterRequest,
    archive::{Archive, ArchiveFormat as EngineFormat},
};
use futures::StreamExt as _;
use holdfast_domain::{
    ArchiveFormat, DeliveryState, EntryPosition, OpTime, RestoreJobId, RestoreState, RestoreTarget, Ts,
};
use holdfast_ledger::{SnapshotMeta, StorageOptions};
use holdfast_metadb::{Delivery, NewRestoreJob, SftpTarget, StoredSftpKey, sftp_key_context};
use holdfast_service::MasterKey;
use holdfast_sftp::KeyPair;
use holdfast_tests::{ReplicaSetOptions, sshd::Sshd};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// More than what may be under way at a time, several times over.
const FILE_BYTES: usize = 12 << 20;

/// A snapshot whose bytes do not compress.
async fn snapshot(world: &World) -> Root {
    let request = WriterRequest { job: world.job.to_string(), job_epoch: 0, parent: None, key: None };
    let mut writer = world.store.register(request).await.unwrap();
    let mut bytes = vec![0; FILE_BYTES];
    rand::fill(&mut bytes[..]);
    writer.add_file("WiredTiger", 0o600, bytes).await.unwrap();
    let optime = OpTime { ts: Ts { t: 100, i: 1 }, term: 1 };
    let meta = SnapshotMeta {
        group: world.job().await.group,
        rs: "rs0".into(),
        optime,
        resume: EntryPosition { chain: 0, seq: 1 },
        feed_from: optime,
        server_version: "6.0.5".into(),
        fcv: "6.0".into(),
        storage: StorageOptions::default(),
        taken_at: bson::DateTime::now(),
        label: None,
    };
    let commit = CommitRequest {
        meta: meta.encode().unwrap(),
        resume: Floor { chain: 0, seq: 1 },
        purpose: Purpose::Snapshot,
        label: None,
        pins: vec![Pin { by: "test".into(), until: None }],
    };
    writer.commit(commit).await.unwrap()
}

/// The group's key, as web makes it: gives the public line.
async fn make_key(world: &World) -> String {
    let group = world.job().await.group;
    let master = MasterKey::load_or_create(&world.settings("key").master_key_path()).unwrap();
    let pair = KeyPair::generate("test").unwrap();
    let sealed = master.seal(&sftp_key_context(&group), pair.private_text().unwrap().as_bytes()).unwrap();
    let key = StoredSftpKey {
        group,
        public_line: pair.public_line().unwrap(),
        sealed: hex::encode(sealed),
        created: bson::DateTime::now(),
    };
    world.metadb.keep_sftp_key(&key).await.unwrap();
    key.public_line
}

/// The same delivery, asked for anew.
async fn ask_again(world: &World, id: &RestoreJobId) {
    let old = world.metadb.restore_job(id).await.unwrap().unwrap().delivery.unwrap();
    let new = Delivery { state: DeliveryState::Waiting, sent_bytes: 0, attempts: 0, error: None, ..old };
    assert!(world.metadb.ask_delivery(id, &new).await.unwrap());
    assert!(!world.metadb.ask_delivery(id, &new).await.unwrap(), "one at a time");
}

async fn add_target(world: &World, sshd: &Sshd, name: &str, port: u16, host_key: &str) -> SftpTarget {
    let target = SftpTarget {
        host: "127.0.0.1".into(),
        port,
        user: sshd.user().to_owned(),
        folder: sshd.folder().to_str().unwrap().to_owned(),
        host_key: host_key.trim().to_owned(),
        ..SftpTarget::new(world.job().await.group, name.into())
    };
    world.metadb.add_sftp_target(&target).await.unwrap();
    target
}

/// Asks for a restore of a snapshot with its delivery, as web does.
async fn ask(world: &World, root: &Root, format: ArchiveFormat, target: &SftpTarget) -> RestoreJobId {
    let id = RestoreJobId::random();
    let job = world.job().await;
    let new = NewRestoreJob {
        id: id.clone(),
        group: job.group,
        job: job.id,
        target: RestoreTarget::Snapshot(root.id.to_string().parse().unwrap()),
        chain: None,
        format,
        state: RestoreState::Ready,
        root: Some(root.id.to_string()),
        base_root: root.id.to_string(),
        optime: None,
        bytes: None,
        etag: None,
        link_hash: id.to_string(),
        name: "x".into(),
        expires: bson::DateTime::from_millis(bson::DateTime::now().timestamp_millis() + 3_600_000),
        uses: 1,
        created_by: "test".into(),
        reason: String::new(),
        planned_bytes: None,
        daemon: None,
    };
    let delivery = Delivery {
        target: target.id.clone(),
        target_name: target.name.clone(),
        path: target.path_of(&format!("{id}.{format}")),
        state: DeliveryState::Waiting,
        sent_bytes: 0,
        total_bytes: None,
        bytes_per_second: 0,
        attempts: 0,
        error: None,
    };
    world.metadb.create_restore_job_for(new, Some(delivery)).await.unwrap();
    id
}

async fn wait(world: &World, id: &RestoreJobId, what: &str, good: impl Fn(&Delivery) -> bool) -> Delivery {
    let mut last = None;
    let waited = tokio::time::timeout(PATIENCE, async {
        loop {
            let delivery = world.metadb.restore_job(id).await.unwrap().unwrap().delivery.unwrap();
            if good(&delivery) {
                return delivery;
            }
            last = Some(delivery);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    match waited.await {
        Ok(delivery) => delivery,
        Err(_) => panic!("waited in vain for {what}: {last:#?}"),
    }
}

/// What a download of it gives, and its list of sums.
async fn downloaded(world: &World, root: &Root, format: EngineFormat) -> (Vec<u8>, String) {
    let archive = Archive::plan(world.store.reader(root.clone()), format).await.unwrap();
    let (mut bytes, mut sums) = (Vec::new(), String::new());
    let mut stream = archive.stream(archive.whole());
    while let Some(piece) = stream.next().await {
        bytes.extend_from_slice(&piece.unwrap());
    }
    let mut lines = archive.sums();
    while let Some(line) = lines.next().await {
        sums.push_str(&line.unwrap());
    }
    (bytes, sums)
}

/// Stands before the server and drops connections that have carried so many bytes to it, so many times.
async fn proxy(to: u16, drop_after: u64, drops: usize) -> (SocketAddr, Arc<AtomicUsize>, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (left, carried) = (Arc::new(AtomicUsize::new(drops)), Arc::new(AtomicU64::new(0)));
    let (counts, sum) = (Arc::clone(&left), Arc::clone(&carried));
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (left, carried) = (Arc::clone(&counts), Arc::clone(&sum));
            tokio::spawn(async move {
                let server = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
                let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
                    (client.into_split(), server.into_split());
                let back = tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
                let (mut buffer, mut seen) = (vec![0; 16 * 1024], 0);
                while let Ok(len @ 1..) = from_client.read(&mut buffer).await {
                    if to_server.write_all(&buffer[..len]).await.is_err() {
                        break;
                    }
                    seen += len as u64;
                    carried.fetch_add(len as u64, Ordering::SeqCst);
                    let one_less = |n: usize| n.checked_sub(1);
                    if seen >= drop_after && left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok() {
                        break;
                    }
                }
                back.abort();
            });
        }
    });
    (address, left, carried)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pushes_equal_downloads_and_go_on_after_cuts() {
    let world = World::new(ReplicaSetOptions::default()).await;
    let sshd = Sshd::start().unwrap();
    let root = snapshot(&world).await;
    sshd.authorize(&make_key(&world).await).unwrap();
    let host_key = sshd.host_key().unwrap();
    let (address, left, carried) = proxy(sshd.port(), 7 << 20, 1).await;
    let plain = add_target(&world, &sshd, "plain", sshd.port(), &host_key).await;
    let cut = add_target(&world, &sshd, "cut", address.port(), &host_key).await;
    let daemon = world.daemon(&world.settings("one")).await;
    for (format, engine, target) in [
        (ArchiveFormat::Tar, EngineFormat::Tar, &plain),
        (ArchiveFormat::TarGz, EngineFormat::TarGz, &plain),
        (ArchiveFormat::TarZst, EngineFormat::TarZst, &cut),
    ] {
        let id = ask(&world, &root, format, target).await;
        let done = wait(&world, &id, "a delivery", |d| d.state.ended()).await;
        assert_eq!(done.state, DeliveryState::Delivered, "{done:?}");
        let (bytes, sums) = downloaded(&world, &root, engine).await;
        assert!(std::fs::read(&done.path).unwrap() == bytes, "{format} equals the download");
        assert_eq!(std::fs::read_to_string(format!("{}.sums", done.path)).unwrap(), sums);
        assert!(!std::fs::exists(format!("{}.part", done.path)).unwrap());
        assert_eq!(done.sent_bytes, i64::try_from(bytes.len()).unwrap());
        if target.name == "cut" {
            assert_eq!((left.load(Ordering::SeqCst), done.attempts), (0, 2), "cut once, gone on with once");
            let twice = 2 * bytes.len() as u64;
            assert!(carried.load(Ordering::SeqCst) < twice, "it went on, it did not begin anew");
        }
        let unpinned = tokio::time::timeout(PATIENCE, async {
            let is_held = |root: Root| root.pins.iter().any(|pin| pin.by.starts_with("delivery:"));
            while is_held(world.store.root(&root.id).await.unwrap().unwrap()) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        unpinned.await.expect("what was delivered is not held any more");
    }
    // What lies there is no beginning of ours: it is sent anew, not gone on with.
    let id = ask(&world, &root, ArchiveFormat::Tar, &plain).await;
    daemon.stop().await;
    let path = plain.path_of(&format!("{id}.tar"));
    if !std::fs::exists(&path).unwrap() {
        std::fs::write(format!("{path}.part"), vec![7; 8 << 20]).unwrap();
    }
    let daemon = world.daemon(&world.settings("one")).await;
    wait(&world, &id, "a delivery over foreign bytes", |d| d.state == DeliveryState::Delivered).await;
    assert!(std::fs::read(&path).unwrap() == downloaded(&world, &root, EngineFormat::Tar).await.0);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_where_it_must_be_and_called_off() {
    let world = World::new(ReplicaSetOptions::default()).await;
    let sshd = Sshd::start().unwrap();
    let root = snapshot(&world).await;
    let public = make_key(&world).await;
    let daemon = world.daemon(&world.settings("one")).await;
    let right = add_target(&world, &sshd, "right", sshd.port(), &sshd.host_key().unwrap()).await;
    let id = ask(&world, &root, ArchiveFormat::Tar, &right).await;
    let refused = wait(&world, &id, "a refused login", |d| d.state.ended()).await;
    assert_eq!((refused.state, refused.attempts), (DeliveryState::Failed, 1));
    assert!(refused.error.as_ref().unwrap().contains("authorized_keys"), "{refused:?}");

    // Once the key is there it is pushed without a new restore.
    sshd.authorize(&public).unwrap();
    ask_again(&world, &id).await;
    let done = wait(&world, &id, "a delivery that was asked for again", |d| d.state.ended()).await;
    assert_eq!(done.state, DeliveryState::Delivered, "{done:?}");
    std::fs::remove_file(&done.path).unwrap();
    std::fs::remove_file(format!("{}.sums", done.path)).unwrap();
    let other = KeyPair::generate("other").unwrap().public_line().unwrap();
    let wrong = add_target(&world, &sshd, "wrong", sshd.port(), &other).await;
    let id = ask(&world, &root, ArchiveFormat::Tar, &wrong).await;
    let changed = wait(&world, &id, "a changed host key", |d| d.state.ended()).await;
    assert_eq!(changed.state, DeliveryState::Failed);
    assert!(changed.error.as_ref().unwrap().contains("nothing was sent"), "{changed:?}");
    assert_eq!(std::fs::read_dir(sshd.folder()).unwrap().count(), 0, "nothing was sent");

    // A server that is never reached for long: it is tried again and again until someone calls it off.
    let (address, ..) = proxy(sshd.port(), 3 << 20, usize::MAX).await;
    let broken = add_target(&world, &sshd, "broken", address.port(), &sshd.host_key().unwrap()).await;
    let id = ask(&world, &root, ArchiveFormat::TarGz, &broken).await;
    let tried =
        wait(&world, &id, "an attempt that broke", |d| d.state == DeliveryState::Waiting && d.attempts >= 1).await;
    assert!(tried.error.is_some(), "{tried:?}");
    assert!(world.metadb.cancel_delivery(&id).await.unwrap());
    tokio::time::sleep(Duration::from_secs(5)).await;
    let off = world.metadb.restore_job(&id).await.unwrap().unwrap().delivery.unwrap();
    assert_eq!((off.state, off.attempts <= tried.attempts + 1), (DeliveryState::Cancelled, true), "{off:?}");
    assert!(!std::fs::exists(&off.path).unwrap(), "without a name");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_said_and_ends_when_there_is_room() {
    let world = World::new(ReplicaSetOptions::default()).await;
    let mut sshd = Sshd::start().unwrap();
    let Some(small) = sshd.small_folder(16 << 20).unwrap() else { return };
    let root = snapshot(&world).await;
    sshd.authorize(&make_key(&world).await).unwrap();
    let at = |name: &str| SftpTarget {
        host: "127.0.0.1".into(),
        port: sshd.port(),
        user: sshd.user().to_owned(),
        folder: small.to_str().unwrap().to_owned(),
        host_key: sshd.host_key().unwrap().trim().to_owned(),
        ..SftpTarget::new(holdfast_domain::GroupId::random(), name.into())
    };
    let target = SftpTarget { group: world.job().await.group, ..at("small") };
    world.metadb.add_sftp_target(&target).await.unwrap();
    std::fs::write(small.join("other"), vec![0; 8 << 20]).unwrap();
    let daemon = world.daemon(&world.settings("one")).await;
    // Its length is not known before: it ends in the middle.
    let middle = ask(&world, &root, ArchiveFormat::TarGz, &target).await;
    let full = wait(&world, &middle, "a disk that fills up", |d| d.state.ended()).await;
    assert_eq!(
        (full.state, full.attempts),
        (DeliveryState::Failed, 1),
        "nobody tries again what needs someone: {full:?}"
    );
    let why = full.error.unwrap();
    assert!(why.contains("disk of the SFTP server is full") && full.sent_bytes > 0, "{why}");
    // Its length is known: nothing is sent.
    let before = ask(&world, &root, ArchiveFormat::Tar, &target).await;
    let full = wait(&world, &before, "a disk that is full", |d| d.state.ended()).await;
    assert_eq!((full.state, full.sent_bytes), (DeliveryState::Failed, 0), "{full:?}");
    assert!(full.error.unwrap().contains("disk of the SFTP server is full"));
    assert!(!std::fs::exists(format!("{}.part", full.path)).unwrap());
    // Another group's target is none, whatever a document says.
    let strange = at("strange");
    world.metadb.add_sftp_target(&strange).await.unwrap();
    let id = ask(&world, &root, ArchiveFormat::Tar, &strange).await;
    let refused = wait(&world, &id, "a target of another group", |d| d.state.ended()).await;
    assert_eq!(refused.state, DeliveryState::Failed);
    // With room it is delivered, without a new restore.
    std::fs::remove_file(small.join("other")).unwrap();
    ask_again(&world, &middle).await;
    let done = wait(&world, &middle, "a delivery with room", |d| d.state.ended()).await;
    assert_eq!(done.state, DeliveryState::Delivered, "{done:?}");
    assert!(std::fs::read(&done.path).unwrap() == downloaded(&world, &root, EngineFormat::TarGz).await.0);
    daemon.stop().await;
}
