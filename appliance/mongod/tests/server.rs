//! The crate against a real mongod: start, stop, kill, keys, locks, left-overs. `MONGOD` names the binary; without it
//! `scripts/mongod` is asked.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::LazyLock,
    time::{Duration, Instant},
};

use bson::{Document, doc};
use holdfast_mongod::*;
use mongodb::Client;

/// Set in the environment of the helper process that starts a server and is killed.
const HELPER: &str = "HOLDFAST_MONGOD_TEST_HELPER";

static BINARY: LazyLock<PathBuf> = LazyLock::new(|| {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/mongod");
    let output = Command::new(script).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "scripts/mongod failed");
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
});

fn plain(dir: &Path) -> MongodOptions {
    MongodOptions::plain(&*BINARY, dir.join("db"), free_port().unwrap())
}

async fn count(client: &Client) -> u64 {
    client.database("t").collection::<Document>("c").count_documents(doc! {}).await.unwrap()
}

#[tokio::test]
async fn starts_stops_and_keeps_its_data() {
    let dir = tempfile::tempdir().unwrap();
    let mongod = Mongod::start(plain(dir.path())).await.unwrap();
    assert!(mongod.started_in() < START_TIMEOUT);
    mongod.client().database("t").collection("c").insert_one(doc! { "_id": 1 }).await.unwrap();
    let by_uri = Client::with_uri_str(mongod.uri()).await.unwrap();
    assert_eq!(count(&by_uri).await, 1);
    assert!(mongod.try_wait().is_none());
    mongod.stop().await.unwrap();
    mongod.stop().await.unwrap();
    assert!(mongod.try_wait().unwrap().success());
    // The dbpath is free although the first value still lives.
    let again = Mongod::start(plain(dir.path())).await.unwrap();
    assert_eq!(count(&again.client()).await, 1);
    again.kill().await;
    assert!(!again.try_wait().unwrap().success());
    let recovered = Mongod::start(plain(dir.path())).await.unwrap();
    assert_eq!(count(&recovered.client()).await, 1);
    let pid = recovered.pid();
    drop(recovered);
    assert!(!Path::new(&format!("/proc/{pid}")).exists(), "dropping kills and reaps");
}

#[tokio::test]
async fn one_opener_per_dbpath() {
    let dir = tempfile::tempdir().unwrap();
    let first = Mongod::start(plain(dir.path())).await.unwrap();
    let second = Mongod::start(plain(dir.path())).await;
    assert!(matches!(second, Err(StartError::InUse { .. })), "{second:?}");
    assert_eq!(second.unwrap_err().class(), ErrorClass::Retry);
    assert_eq!(count(&first.client()).await, 0, "the first is not disturbed");
}

#[tokio::test]
async fn failures_quote_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let first = Mongod::start(plain(dir.path())).await.unwrap();
    let mut options = MongodOptions::plain(&*BINARY, dir.path().join("other"), first.port());
    match Mongod::start(options.clone()).await {
        Err(error @ StartError::Exited { code: Some(48), .. }) => {
            assert!(error.to_string().contains("Address already in use"), "{error}");
            assert_eq!(error.class(), ErrorClass::Retry);
        }
        other => panic!("{other:?}"),
    }
    options.port = free_port().unwrap();
    options.extra_args.push("--noSuchOption".into());
    match Mongod::start(options.clone()).await {
        Err(error @ StartError::Exited { .. }) => assert!(error.to_string().contains("noSuchOption"), "{error}"),
        other => panic!("{other:?}"),
    }
    options.binary = dir.path().join("none");
    assert!(matches!(Mongod::start(options).await, Err(StartError::Exec { .. })));
    // Other storage options than the files were made with.
    first.stop().await.unwrap();
    let mut per_db = plain(dir.path());
    per_db.directory_per_db = true;
    match Mongod::start(per_db).await {
        Err(error @ StartError::Exited { code: Some(100), .. }) => {
            assert_eq!(error.class(), ErrorClass::Operator, "{error}")
        }
        other => panic!("{other:?}"),
    }
    Mongod::start(plain(dir.path())).await.unwrap().stop().await.unwrap();
}

#[tokio::test]
async fn a_start_that_takes_too_long_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let result = Mongod::start_within(plain(dir.path()), Duration::from_millis(1)).await;
    assert!(matches!(result, Err(StartError::Timeout { .. })), "{result:?}");
    Mongod::start(plain(dir.path())).await.unwrap().stop().await.unwrap();
}

#[tokio::test]
async fn a_frozen_server_is_killed_and_said() {
    let dir = tempfile::tempdir().unwrap();
    let mongod = Mongod::start(plain(dir.path())).await.unwrap();
    mongod.signal(nix::sys::signal::Signal::SIGSTOP);
    let result = mongod.stop_within(Duration::from_secs(2)).await;
    assert!(matches!(result, Err(StopError::Killed { .. })), "{result:?}");
    Mongod::start(plain(dir.path())).await.unwrap().stop().await.unwrap();
}

#[tokio::test]
async fn a_head_is_open_to_holders_of_the_key_only() {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("key");
    create_keyfile(&key).unwrap();
    let mut options = MongodOptions::head(&*BINARY, dir.path().join("db"), free_port().unwrap(), &key);
    options.directory_per_db = true;
    options.lock_dir = Some(dir.path().join("locks"));
    let head = Mongod::start(options).await.unwrap();
    head.client().database("t").collection("c").insert_one(doc! { "_id": 1 }).await.unwrap();
    let users =
        head.client().database("admin").collection::<Document>("system.users").count_documents(doc! {}).await.unwrap();
    assert_eq!(users, 0);
    let by_uri = Client::with_uri_str(head.uri()).await.unwrap();
    assert_eq!(count(&by_uri).await, 1);

    let stranger =
        Client::with_uri_str(format!("mongodb://127.0.0.1:{}/?directConnection=true", head.port())).await.unwrap();
    let read = stranger.database("t").collection::<Document>("c").find_one(doc! {}).await;
    assert!(read.unwrap_err().to_string().contains("Unauthorized"));
    let user = doc! { "createUser": "me", "pwd": "x", "roles": ["root"] };
    assert!(stranger.database("admin").run_command(user).await.is_err(), "the localhost bypass is off");
    assert!(!format!("{head:?}").contains(&read_keyfile(&key).unwrap()));
    head.stop().await.unwrap();
}

#[tokio::test]
async fn an_embedded_set_takes_transactions_and_follows_its_port() {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("key");
    create_keyfile(&key).unwrap();
    let options = || MongodOptions::embedded(&*BINARY, dir.path().join("db"), free_port().unwrap(), &key, "holdfast");
    for round in 0..3 {
        let mongod = start_embedded(options()).await.unwrap();
        let client = Client::with_uri_str(mongod.set_uri().unwrap()).await.unwrap();
        let mut session = client.start_session().await.unwrap();
        session.start_transaction().await.unwrap();
        client.database("t").collection("c").insert_one(doc! { "_id": round }).session(&mut session).await.unwrap();
        session.commit_transaction().await.unwrap();
        assert_eq!(count(&client).await, round as u64 + 1);
        mongod.stop().await.unwrap();
    }
}

/// Not a test of its own: the process that `leftover_of_a_killed_parent` kills.
#[tokio::test]
async fn helper_process() {
    let Ok(dbpath) = std::env::var(HELPER) else { return };
    let mongod = Mongod::start(MongodOptions::plain(&*BINARY, dbpath, free_port().unwrap())).await.unwrap();
    // Journaled before the kill: a standalone answers before that.
    let insert = doc! { "insert": "c", "documents": [{ "_id": 1 }], "writeConcern": { "j": true } };
    mongod.client().database("t").run_command(insert).await.unwrap();
    println!("\nstarted {}", mongod.pid());
    mongod.wait().await;
}

/// Starts [`helper_process`] in a process of its own; its server's pid.
fn helper(dbpath: &Path) -> (std::process::Child, u32) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "helper_process", "--nocapture"])
        .env(HELPER, dbpath)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let pid = lines
        .map_while(Result::ok)
        .find_map(|line| line.strip_prefix("started ").and_then(|pid| pid.parse().ok()))
        .unwrap();
    (child, pid)
}

#[tokio::test]
async fn leftover_of_a_killed_parent() {
    let dir = tempfile::tempdir().unwrap();
    let dbpath = dir.path().join("db");
    let (mut parent, pid) = helper(&dbpath);
    assert!(
        matches!(Mongod::start(plain(dir.path())).await, Err(StartError::InUse { .. })),
        "another process holds the lock"
    );
    parent.kill().unwrap();
    parent.wait().unwrap();
    // The parent-death signal: gone by itself, soon.
    let since = Instant::now();
    while std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z ")) {
        assert!(since.elapsed() < Duration::from_secs(20), "mongod {pid} outlived its parent");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mongod = Mongod::start(plain(dir.path())).await.unwrap();
    assert_eq!(count(&mongod.client()).await, 1);
    mongod.stop().await.unwrap();
}

#[tokio::test]
async fn leftover_without_death_signal_is_killed_at_start() {
    let dir = tempfile::tempdir().unwrap();
    let dbpath = dir.path().join("db");
    std::fs::create_dir(&dbpath).unwrap();
    let dbpath = dbpath.canonicalize().unwrap();
    // A server that nobody watches, as if the signal had not been armed, with the pid file its parent wrote.
    let mut orphan = Command::new(&*BINARY)
        .arg("--dbpath")
        .arg(&dbpath)
        .args(["--port", &free_port().unwrap().to_string(), "--bind_ip", "127.0.0.1", "--nounixsocket", "--logpath"])
        .arg(dir.path().join("orphan.log"))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let lock = dbpath.join("mongod.lock");
    while std::fs::metadata(&lock).map_or(0, |meta| meta.len()) == 0 {
        assert!(orphan.try_wait().unwrap().is_none());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", orphan.id())).unwrap();
    let ticks: u64 = stat.rsplit(") ").next().unwrap().split(' ').nth(19).unwrap().parse().unwrap();
    let note = format!("{{\"pid\":{},\"start_ticks\":{ticks}}}", orphan.id());
    std::fs::write(dir.path().join("db.mongod-pid"), note).unwrap();

    let mongod = Mongod::start(plain(dir.path())).await.unwrap();
    assert!(!orphan.wait().unwrap().success());
    assert_eq!(count(&mongod.client()).await, 0);
    mongod.stop().await.unwrap();
}

#[test]
fn version_of_the_binary() {
    assert!(version(&BINARY).unwrap() >= (5, 0, 0));
    assert!(matches!(version(Path::new("/bin/true")), Err(VersionError::Output { .. })));
}
