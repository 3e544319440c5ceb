//! Restore downloads: whole, in ranges from two instances, conditional, counted, ended.

use std::collections::BTreeMap;

use blockstore_engine::{CommitRequest, Floor, Purpose, Root, WriterRequest};
use holdfast_domain::{ArchiveFormat, RestoreJobId, RestoreState, RestoreTarget, SnapshotId};
use holdfast_metadb::{NewRestoreJob, RestoreJob, SecretKind, hash_secret, new_secret};
use rand::RngExt as _;
use reqwest::{Response, StatusCode, header};

use crate::world::{Instance, Knobs, World, refused};

/// A link as a test uses it.
struct Link {
    job: RestoreJob,
    path: String,
    root: Root,
}

struct Asked {
    format: ArchiveFormat,
    uses: i64,
    hours: i64,
    etag: Option<String>,
}

impl Asked {
    fn new(format: ArchiveFormat) -> Self {
        Self { format, uses: 3, hours: 24, etag: None }
    }
}

/// A small root: an empty file, a file of holes, random and repeated bytes.
async fn root(world: &World, job: &str) -> (Root, BTreeMap<String, Vec<u8>>) {
    let request = WriterRequest { job: job.into(), job_epoch: 0, parent: None, key: None };
    let mut writer = world.blockstore.register(request).await.unwrap();
    let mut random = vec![0; 700_001];
    rand::rng().fill(&mut random[..]);
    let files = BTreeMap::from([
        ("empty".to_owned(), Vec::new()),
        ("holes.wt".to_owned(), vec![0; 300_000]),
        ("journal/log.1".to_owned(), b"kelp ".repeat(50_000)),
        ("random.wt".to_owned(), random),
    ]);
    for (path, bytes) in &files {
        writer.add_file(path, 0o600, bytes.clone()).await.unwrap();
    }
    let commit = CommitRequest {
        meta: Vec::new(),
        resume: Floor { chain: 0, seq: 1 },
        purpose: Purpose::Snapshot,
        label: None,
        pins: Vec::new(),
    };
    (writer.commit(commit).await.unwrap(), files)
}

async fn link(world: &World, root: &Root, asked: Asked) -> Link {
    let secret = new_secret(SecretKind::Link);
    let id: SnapshotId = root.id.to_string().parse().unwrap();
    let expires = bson::DateTime::now().timestamp_millis() + asked.hours * 3_600_000;
    let new = NewRestoreJob {
        id: RestoreJobId::random(),
        group: world.group.id.clone(),
        job: root.job.parse().unwrap(),
        target: RestoreTarget::Snapshot(id),
        chain: None,
        format: asked.format,
        state: RestoreState::Ready,
        root: Some(root.id.to_string()),
        base_root: root.id.to_string(),
        optime: None,
        bytes: None,
        etag: asked.etag,
        link_hash: hash_secret(&secret),
        name: "g-rs0-5".into(),
        expires: bson::DateTime::from_millis(expires),
        uses: asked.uses,
        created_by: "test".into(),
        reason: String::new(),
        planned_bytes: None,
        daemon: None,
    };
    let format = asked.format;
    let job = world.metadb.create_restore_job(new).await.unwrap();
    Link { job, path: format!("/restores/{secret}/g-rs0-5.{format}"), root: root.clone() }
}

async fn small(world: &World, asked: Asked) -> (Link, BTreeMap<String, Vec<u8>>) {
    let (root, files) = root(world, holdfast_domain::BackupJobId::random().as_str()).await;
    (link(world, &root, asked).await, files)
}

async fn get(world: &World, from: &Instance, link: &Link, headers: &[(header::HeaderName, String)]) -> Response {
    let mut call = world.http.get(format!("{}{}", from.url, link.path));
    for (name, value) in headers {
        call = call.header(name, value);
    }
    call.send().await.unwrap()
}

fn text(response: &Response, name: header::HeaderName) -> String {
    response.headers().get(name).map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default()
}

/// Waits until the bytes counted reach `at_least`; a broken download is counted by its drop, a moment later.
async fn counted(world: &World, link: &Link, at_least: i64) -> i64 {
    for _ in 0..100 {
        let sent = world.metadb.restore_job(&link.job.id).await.unwrap().unwrap().bytes_sent;
        if sent >= at_least {
            return sent;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("fewer than {at_least} bytes were counted");
}

#[tokio::test]
async fn ranges_of_two_instances_join_to_the_plain_download() {
    let world = World::new().await;
    let (one, two) = (world.instance(Knobs::default()).await, world.instance(Knobs::default()).await);
    for format in [ArchiveFormat::TarZst, ArchiveFormat::Tar] {
        let (link, files) = small(&world, Asked { uses: 10, ..Asked::new(format) }).await;
        let whole = get(&world, &one, &link, &[]).await;
        assert_eq!(whole.status(), StatusCode::OK);
        let etag = text(&whole, header::ETAG);
        let length: u64 = text(&whole, header::CONTENT_LENGTH).parse().unwrap();
        assert_eq!(text(&whole, header::ACCEPT_RANGES), "bytes");
        assert_eq!(text(&whole, header::CONTENT_DISPOSITION), format!("attachment; filename=\"g-rs0-5.{format}\""));
        let whole = whole.bytes().await.unwrap();
        assert_eq!(whole.len() as u64, length);
        let mut cuts: Vec<u64> = (0..99).map(|_| rand::rng().random_range(1..length)).collect();
        cuts.extend([0, length]);
        cuts.sort_unstable();
        cuts.dedup();
        let mut joined = Vec::new();
        for (n, pair) in cuts.windows(2).enumerate() {
            let range = (header::RANGE, format!("bytes={}-{}", pair[0], pair[1] - 1));
            let from = if n % 2 == 0 { &one } else { &two };
            let part = get(&world, from, &link, &[range, (header::IF_RANGE, etag.clone())]).await;
            assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
            assert_eq!(text(&part, header::CONTENT_RANGE), format!("bytes {}-{}/{length}", pair[0], pair[1] - 1));
            assert_eq!(text(&part, header::ETAG), etag);
            joined.extend_from_slice(&part.bytes().await.unwrap());
        }
        assert!(joined == whole, "{format}: the parts are not the whole");
        let tar = if format == ArchiveFormat::TarZst { zstd::decode_all(&joined[..]).unwrap() } else { joined };
        assert_eq!(unpacked(&tar), files);
        assert_eq!(counted(&world, &link, 2 * length as i64).await, 2 * length as i64);
    }
}

/// Files of a tar, by the `tar` of the system.
fn unpacked(tar: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let dir = tempfile::tempdir().unwrap();
    let archive = dir.path().join("a.tar");
    std::fs::write(&archive, tar).unwrap();
    let out = dir.path().join("out");
    std::fs::create_dir(&out).unwrap();
    let done = std::process::Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(&out).status().unwrap();
    assert!(done.success());
    let listed = std::process::Command::new("find").args([".", "-type", "f"]).current_dir(&out).output().unwrap();
    let names = String::from_utf8(listed.stdout).unwrap();
    let read = |name: &str| (name.trim_start_matches("./").to_owned(), std::fs::read(out.join(name)).unwrap());
    names.lines().map(read).collect()
}

#[tokio::test]
async fn forms_of_ranges_and_conditions() {
    let world = World::new().await;
    let ingest = world.instance(Knobs::default()).await;
    let (link, _) = small(&world, Asked { uses: 100, ..Asked::new(ArchiveFormat::TarZst) }).await;
    let whole = get(&world, &ingest, &link, &[]).await;
    let etag = text(&whole, header::ETAG);
    let whole = whole.bytes().await.unwrap();
    let range = |text: &str| (header::RANGE, text.to_owned());
    let suffix = get(&world, &ingest, &link, &[range("bytes=-10")]).await;
    assert_eq!(suffix.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(suffix.bytes().await.unwrap(), whole[whole.len() - 10..]);
    let open = get(&world, &ingest, &link, &[range("bytes=100-")]).await;
    assert_eq!(open.bytes().await.unwrap(), whole[100..]);
    let beyond = get(&world, &ingest, &link, &[range(&format!("bytes={}-", whole.len()))]).await;
    assert_eq!(text(&beyond, header::CONTENT_RANGE), format!("bytes */{}", whole.len()));
    refused(beyond, StatusCode::RANGE_NOT_SATISFIABLE).await;
    let stale = get(&world, &ingest, &link, &[range("bytes=0-9"), (header::IF_RANGE, "\"else\"".into())]).await;
    assert_eq!(stale.status(), StatusCode::OK, "If-Range of another layout gives the whole");
    assert_eq!(stale.bytes().await.unwrap(), whole);
    let same = get(&world, &ingest, &link, &[(header::IF_NONE_MATCH, etag.clone())]).await;
    assert_eq!(same.status(), StatusCode::NOT_MODIFIED);
    let other = get(&world, &ingest, &link, &[(header::IF_MATCH, "\"else\"".into())]).await;
    assert_eq!(refused(other, StatusCode::PRECONDITION_FAILED).await.code, "layoutChanged");
    let matched = get(&world, &ingest, &link, &[(header::IF_MATCH, etag), range("bytes=0-4")]).await;
    assert_eq!(matched.bytes().await.unwrap(), whole[..5]);
    let before = counted(&world, &link, 1).await;
    let head = world.http.head(format!("{}{}", ingest.url, link.path)).send().await.unwrap();
    assert_eq!(text(&head, header::CONTENT_LENGTH), whole.len().to_string());
    assert!(counted(&world, &link, before).await >= before, "HEAD costs nothing");
}

#[tokio::test]
async fn a_bare_range_of_another_layout_is_412() {
    let world = World::new().await;
    let ingest = world.instance(Knobs::default()).await;
    let frozen = Some("\"an older layout\"".to_owned());
    let (link, _) = small(&world, Asked { etag: frozen, ..Asked::new(ArchiveFormat::TarZst) }).await;
    let range = (header::RANGE, "bytes=5-".to_owned());
    let bare = get(&world, &ingest, &link, std::slice::from_ref(&range)).await;
    assert_eq!(refused(bare, StatusCode::PRECONDITION_FAILED).await.code, "layoutChanged");
    let whole = get(&world, &ingest, &link, &[]).await;
    assert_eq!(whole.status(), StatusCode::OK, "from its start it can be had");
    let etag = text(&whole, header::ETAG);
    let resumed = get(&world, &ingest, &link, &[range, (header::IF_RANGE, etag)]).await;
    assert_eq!(resumed.status(), StatusCode::PARTIAL_CONTENT, "who names the present layout may resume");
}

#[tokio::test]
async fn uses_are_counted_in_bytes_also_when_a_download_breaks() {
    let world = World::new().await;
    let ingest = world.instance(Knobs::default()).await;
    let (link, _) = small(&world, Asked { uses: 2, ..Asked::new(ArchiveFormat::Tar) }).await;
    let mut broken = get(&world, &ingest, &link, &[]).await;
    let length: i64 = text(&broken, header::CONTENT_LENGTH).parse().unwrap();
    broken.chunk().await.unwrap().unwrap();
    drop(broken);
    let cost = counted(&world, &link, 1).await;
    assert!(cost > 0 && cost <= length, "a broken one costs what went out: {cost}");
    let mut sent = cost;
    let mut rounds = 0;
    while sent < 2 * length {
        let part = get(&world, &ingest, &link, &[(header::RANGE, "bytes=0-499999".to_owned())]).await;
        assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
        assert_eq!(part.bytes().await.unwrap().len(), 500_000);
        sent = counted(&world, &link, sent + 500_000).await;
        rounds += 1;
        assert!(rounds < 20);
    }
    let spent = get(&world, &ingest, &link, &[]).await;
    assert_eq!(refused(spent, StatusCode::GONE).await.code, "linkSpent");
}

#[tokio::test]
async fn gzip_is_counted_in_requests() {
    let world = World::new().await;
    let ingest = world.instance(Knobs::default()).await;
    let (link, files) = small(&world, Asked { uses: 1, ..Asked::new(ArchiveFormat::TarGz) }).await;
    let answer = get(&world, &ingest, &link, &[(header::RANGE, "bytes=0-9".to_owned())]).await;
    assert_eq!(answer.status(), StatusCode::OK, "no ranges");
    assert!(!answer.headers().contains_key(header::CONTENT_LENGTH));
    let packed = answer.bytes().await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a.gz"), &packed).unwrap();
    let tar = std::process::Command::new("gzip").args(["-dc", "a.gz"]).current_dir(dir.path()).output().unwrap();
    assert_eq!(unpacked(&tar.stdout), files);
    let spent = get(&world, &ingest, &link, &[]).await;
    assert_eq!(refused(spent, StatusCode::GONE).await.code, "linkSpent");
}

#[tokio::test]
async fn sums_say_what_is_inside() {
    let world = World::new().await;
    let ingest = world.instance(Knobs::default()).await;
    let (mut link, files) = small(&world, Asked::new(ArchiveFormat::TarZst)).await;
    link.path.push_str(".sums");
    let sums = get(&world, &ingest, &link, &[]).await.text().await.unwrap();
    let line = |(path, bytes): (&String, &Vec<u8>)| format!("{}  {}  {path}\n", blake3::hash(bytes), bytes.len());
    assert_eq!(sums, files.iter().map(line).collect::<String>());
}

#[tokio::test]
async fn links_end() {
    let world = World::new().await;
    let ingest = world.instance(Knobs::default()).await;
    let (expired, _) = small(&world, Asked { hours: -1, ..Asked::new(ArchiveFormat::Tar) }).await;
    assert_eq!(refused(get(&world, &ingest, &expired, &[]).await, StatusCode::GONE).await.code, "linkExpired");
    let (mut link, _) = small(&world, Asked::new(ArchiveFormat::Tar)).await;
    world.metadb.revoke_restore(&link.job.id, "ops").await.unwrap();
    assert_eq!(refused(get(&world, &ingest, &link, &[]).await, StatusCode::GONE).await.code, "linkExpired");
    assert!(!link.root.id.to_string().is_empty());
    link.path = "/restores/hfl_guess/g.tar".into();
    assert_eq!(refused(get(&world, &ingest, &link, &[]).await, StatusCode::NOT_FOUND).await.code, "notFound");
    let (mut other, _) = small(&world, Asked::new(ArchiveFormat::Tar)).await;
    other.path = other.path.replace(".tar", ".tar.gz");
    assert_eq!(refused(get(&world, &ingest, &other, &[]).await, StatusCode::NOT_FOUND).await.code, "notFound");
}
