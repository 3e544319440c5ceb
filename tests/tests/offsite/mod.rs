//! Offsite copies between two appliances: web services over TLS, a daemon that pulls and pushes, real databases.
#![allow(unreachable_pub, reason = "a test binary")]

mod world;

use std::sync::Arc;

use blockstore_engine::{
    Blockstore, EngineOptions, PackLocation, PackStoreOptions, PayloadStore, Purpose, S3Options, StoreNumber,
};
use holdfast_metadb::Role;
use mongodb::Client;
use rand::RngExt as _;
use reqwest::Method;
use serde_json::json;
use world::{Api, Appliance, Files, Killable, Puller, databases, read};

const BLOCK: usize = 64 << 10;

fn bytes(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    rand::rng().fill(&mut bytes[..]);
    bytes
}

fn files(blocks: usize) -> Files {
    Files::from([
        ("WiredTiger".to_owned(), b"turtle".to_vec()),
        ("collection-0.wt".to_owned(), bytes(blocks * BLOCK + 5)),
        ("empty.wt".to_owned(), Vec::new()),
    ])
}

fn pull(name: &str, source: &Appliance, served: &Killable, key: &str, more: serde_json::Value) -> serde_json::Value {
    let from = json!({ "url": served.url(), "key": key, "ca": source.ca.pem(), "intoGroup": "here" });
    let mut order = json!({ "name": name, "from": from, "disabled": true });
    for (field, value) in more.as_object().unwrap() {
        order[field] = value.clone();
    }
    order
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_is_pulled_by_its_key_and_no_other_is() {
    let databases = databases().await;
    let source = Arc::new(Appliance::new(&databases, "source").await);
    let (mine, job) = source.backup("mine").await;
    let (_, others) = source.backup("others").await;
    let mut content = files(40);
    let first = source.snapshot(&job, 1000, None, &content).await;
    content.get_mut("collection-0.wt").unwrap()[7 * BLOCK] ^= 1;
    let second = source.snapshot(&job, 2000, Some(&first), &content).await;
    let secret = source.snapshot(&others, 3000, None, &files(3)).await;
    let served = Killable::start(&source, "127.0.0.1:0".parse().unwrap()).await;
    let puller = Puller::start(&databases).await;
    let here = puller.at.metadb.create_group("here").await.unwrap();
    let key = source.key(Some(&mine), Role::BackupAdmin).await;

    // What a key may not see does not exist, by whatever path; one that may not restore may not copy.
    let direct = Api::new(&source.ca, served.addr, &key);
    let listed = direct.get("/offsite/snapshots").await;
    let ids: Vec<_> = listed.as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids, [first.id.to_string(), second.id.to_string()]);
    let of = |id: &blockstore_engine::RootId, what: &str| format!("/offsite/snapshots/{id}/{what}");
    let any = json!({ "addresses": [{}] });
    for id in [secret.id, blockstore_engine::RootId::random()] {
        assert_eq!(direct.call(Method::GET, &of(&id, "root"), None).await.status(), 404);
        assert_eq!(direct.call(Method::POST, &of(&id, "blocks"), Some(&any)).await.status(), 404);
        assert_eq!(direct.call(Method::POST, &of(&id, "hold"), None).await.status(), 404);
        assert_eq!(direct.call(Method::DELETE, &of(&id, "hold"), None).await.status(), 404);
    }
    assert_eq!(direct.call(Method::POST, &of(&first.id, "blocks"), Some(&any)).await.status(), 200);
    let nowhere = json!({ "addresses": [{ "entries": [999] }] });
    assert_eq!(direct.call(Method::POST, &of(&first.id, "blocks"), Some(&nowhere)).await.status(), 400);
    let many = json!({ "addresses": vec![json!({}); 257] });
    assert_eq!(direct.call(Method::POST, &of(&first.id, "blocks"), Some(&many)).await.status(), 400);
    let viewer = Api::new(&source.ca, served.addr, &source.key(Some(&mine), Role::ReadOnly).await);
    assert_eq!(viewer.get("/offsite/snapshots").await, json!([]));
    assert_eq!(viewer.call(Method::POST, &of(&first.id, "blocks"), Some(&any)).await.status(), 404);

    // The pull.
    let made = puller.web.post("/offsite/copies", pull("vault", &source, &served, &key, json!({}))).await;
    assert!(!made.to_string().contains(&key), "the key is not shown: {made}");
    assert_eq!((made["state"].as_str(), made["kind"].as_str()), (Some("idle"), Some("pull")));
    let run = puller.run("vault").await;
    assert_eq!((run.error.as_deref(), run.copied, run.present), (None, 2, 0), "{run:?}");
    let total = source.blockstore.stats().await.unwrap().blocks - 7;
    assert_eq!(
        run.sent_blocks,
        i64::try_from(total).unwrap(),
        "what the others have (four blocks, a node, a page, the node above it) stays"
    );
    assert_eq!(run.proved_blocks, run.sent_blocks);
    let pulled = puller.pulled("vault").await;
    assert_eq!(pulled.len(), 2);
    assert_eq!(pulled[1]["originId"], second.id.to_string());
    assert_eq!((&pulled[1]["origin"], &pulled[1]["label"]), (&json!(served.url()), &json!("at 2000")));
    let store = puller.at.blockstore.engine().clone();
    assert!(puller.at.restored(&store, pulled[1]["id"].as_str().unwrap()).await == content);
    // As a download, for keys that are global alone.
    let wanted = json!({ "snapshot": pulled[1]["id"], "format": "tar" });
    let made = puller.web.post("/offsite/copies/vault/restores", wanted.clone()).await;
    assert_eq!(made["state"], "ready");
    assert!(
        made["bytes"].as_u64().unwrap() > 40 * BLOCK as u64 && made["url"].as_str().unwrap().contains("/restores/hfl_")
    );
    for (group, status) in [(None, 200), (Some(&here), 403)] {
        let key = puller.at.key(group, Role::BackupAdmin).await;
        let api = puller.web.with_key(&key);
        assert_eq!(api.call(Method::GET, "/offsite/copies/vault/snapshots", None).await.status(), status);
        let restore = api.call(Method::POST, "/offsite/copies/vault/restores", Some(&wanted)).await.status();
        assert_eq!(restore, if status == 200 { 201 } else { 403 });
        assert_eq!(api.call(Method::DELETE, "/offsite/copies/vault", None).await.status(), 403);
    }
    // Again: nothing travels, nothing is held any more.
    let run = puller.run("vault").await;
    assert_eq!((run.copied, run.present, run.sent_blocks, run.error), (0, 2, 0, None));
    for root in source.blockstore.all_roots().await.unwrap() {
        assert!(root.pins.is_empty(), "{root:?}");
    }

    // A key that is not valid; a source that shows another appliance's certificate.
    let order = pull("wrong-key", &source, &served, "hfk_nobody", json!({}));
    puller.web.post("/offsite/copies", order).await;
    let error = puller.run("wrong-key").await.error.unwrap();
    assert!(error.contains("not valid"), "{error}");
    let order = pull("wrong-ca", &puller.at, &served, &key, json!({}));
    puller.web.post("/offsite/copies", order).await;
    let error = puller.run("wrong-ca").await.error.unwrap();
    assert!(error.contains("reach the source") && error.contains("certificate"), "{error}");
    assert_eq!(puller.pulled("wrong-ca").await.len(), 0);
    // Removing the order leaves what came.
    assert_eq!(puller.web.call(Method::DELETE, "/offsite/copies/vault", None).await.status(), 204);
    assert_eq!(store.all_roots().await.unwrap().len(), 2);
    puller.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_killed_in_the_middle_is_gone_on_with() {
    let databases = databases().await;
    let source = Arc::new(Appliance::new(&databases, "source").await);
    let (_, job) = source.backup("mine").await;
    let content = files(400);
    source.snapshot(&job, 1000, None, &content).await;
    let mut served = Killable::start(&source, "127.0.0.1:0".parse().unwrap()).await;
    let puller = Puller::start(&databases).await;
    puller.at.metadb.create_group("here").await.unwrap();
    let key = source.key(None, Role::BackupAdmin).await;
    // Twenty-five megabytes at three per second; blocks are indexed by batches of eight.
    let order = pull("slow", &source, &served, &key, json!({ "bytesPerSecond": 3 << 20 }));
    puller.web.post("/offsite/copies", order).await;
    puller.web.call(Method::POST, "/offsite/copies/slow/run", None).await;
    let store = puller.at.blockstore.engine().clone();
    puller.wait("slow", |copy| copy.progress.as_ref().is_some_and(|done| done.sent_blocks > 150)).await;
    let addr = served.addr;
    served.kill();
    let failed = puller.wait("slow", |copy| copy.last.is_some()).await.last.unwrap();
    assert!(failed.error.unwrap().contains("reach the source"));
    assert!(failed.sent_blocks > 150 && store.all_roots().await.unwrap().is_empty(), "nothing half copied is visible");
    let total = i64::try_from(source.blockstore.stats().await.unwrap().blocks).unwrap();
    // Back again.
    let again = Killable::start(&source, addr).await;
    let run = puller.run("slow").await;
    assert_eq!((run.error.as_deref(), run.copied), (None, 1), "{run:?}");
    assert!(run.sent_blocks < total, "{} of {total} were sent again", run.sent_blocks);
    let pulled = puller.pulled("slow").await;
    assert!(puller.at.restored(&store, pulled[0]["id"].as_str().unwrap()).await == content);
    drop(again);
    puller.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_encrypts_is_pulled_with_its_key() {
    let databases = databases().await;
    let source = Arc::new(Appliance::new(&databases, "source").await);
    let (mine, job) = source.encrypted_backup("mine").await;
    let (_, plain) = source.backup("plain").await;
    let content = files(10);
    let root = source.snapshot(&job, 1000, None, &content).await;
    source.snapshot(&plain, 1500, None, &files(2)).await;
    let served = Killable::start(&source, "127.0.0.1:0".parse().unwrap()).await;
    let puller = Puller::start(&databases).await;
    puller.at.metadb.create_group("here").await.unwrap();
    let key = source.key(None, Role::BackupAdmin).await;
    puller.web.post("/offsite/copies", pull("vault", &source, &served, &key, json!({}))).await;
    // Without the key what is encrypted stays away, and does not keep the rest.
    let run = puller.run("vault").await;
    assert_eq!(run.copied, 1, "{run:?}");
    assert!(run.error.unwrap().contains("is not at hand"));
    let exported = source.blockstore.export_key(&mine.key.unwrap()).await.unwrap().to_file("mine");
    let mut order = pull("with-key", &source, &served, &key, json!({ "filter": { "groups": ["mine"] } }));
    order["from"]["groupKeys"] = json!(["HFKEY-NONSENSE"]);
    assert_eq!(puller.web.call(Method::POST, "/offsite/copies", Some(&order)).await.status(), 400);
    order["from"]["groupKeys"] = json!([exported]);
    puller.web.post("/offsite/copies", order).await;
    let run = puller.run("with-key").await;
    assert_eq!((run.copied, run.error), (1, None));
    let pulled = puller.pulled("with-key").await;
    let store = puller.at.blockstore.engine().clone();
    let copied = store.root(&pulled[0]["id"].as_str().unwrap().parse().unwrap()).await.unwrap().unwrap();
    assert_eq!((copied.tree, copied.key), (root.tree, root.key));
    puller.at.blockstore.reload().await.unwrap();
    assert!(puller.at.restored(&store, &copied.id.to_string()).await == content);
    puller.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn snapshots_of_a_group_that_encrypts_are_pushed_to_a_bucket_by_the_command_line() {
    let databases = databases().await;
    let puller = Puller::start(&databases).await;
    let (group, job) = puller.at.encrypted_backup("mine").await;
    let content = files(20);
    let root = puller.at.snapshot(&job, 1000, None, &content).await;
    let bucket = holdfast_tests::s3::S3Server::start().await;
    let dir = tempfile::tempdir().unwrap();
    let uri = dir.path().join("uri");
    std::fs::write(&uri, databases.uri()).unwrap();
    let holdfast = async |secret: &str, arguments: &[&str]| {
        let program = holdfast_tests::appliance::program("holdfast").unwrap();
        let mut command = tokio::process::Command::new(program);
        command.env("HOLDFAST_S3_SECRET_ACCESS_KEY", secret).args(["--json", "--url", &puller.web.origin(), "--ca"]);
        command.arg(puller.at.dir.path().join("ca/ca.pem")).env("HOLDFAST_KEY", &puller.at.admin).args(arguments);
        command.output().await.unwrap()
    };
    let endpoint = bucket.endpoint();
    let s3 =
        ["--bucket", holdfast_tests::s3::BUCKET, "--prefix", "far", "--endpoint", &endpoint, "--access-key-id", "k"];
    let add = ["offsite", "add", "far", "--to", uri.to_str().unwrap(), "--database", "far", "--bandwidth", "100000000"];
    let added = holdfast("not to be shown", &[&add[..], &s3[..]].concat()).await;
    let said = String::from_utf8_lossy(&added.stdout);
    assert!(added.status.success(), "{added:?}");
    assert!(said.contains("far, packs in bucket packs/far") && !said.contains("not to be shown"), "{said}");
    let ran = holdfast("", &["offsite", "run", "far", "--wait"]).await;
    assert!(ran.status.success(), "{ran:?}");
    let run = puller.wait("far", |copy| copy.last.is_some()).await.last.unwrap();
    assert_eq!((run.error.as_deref(), run.copied), (None, 1), "{run:?}");
    assert!(run.proved_blocks > 0, "read back at the target: {run:?}");

    // The bucket alone gives it back, with the exported key.
    let key = puller.at.blockstore.export_key(group.key.as_ref().unwrap()).await.unwrap();
    let keys = holdfast_recover::Keyring::default();
    keys.insert(&key);
    let location = PackLocation::S3(S3Options {
        endpoint: Some(bucket.endpoint()),
        region: "us-east-1".into(),
        bucket: holdfast_tests::s3::BUCKET.into(),
        prefix: "far".into(),
        access_key_id: "k".into(),
        secret_access_key: "s".into(),
        virtual_hosted: false,
        ca_pem: None,
        request_timeout: S3Options::REQUEST_TIMEOUT,
    });
    let source = holdfast_recover::Source::open(&holdfast_recover::Place::Packs(location), keys).await.unwrap();
    let found = source.contents().await.unwrap();
    let copied = &found.backups[0].snapshots[0];
    let plan = holdfast_recover::plan(&found, &holdfast_recover::Target::Snapshot(copied.id.clone())).unwrap();
    let options = holdfast_recover::RestoreOptions { to: dir.path().join("out"), mongod: None };
    let quiet = std::sync::Arc::new(|_| {});
    holdfast_recover::restore(&source, &plan, &options, quiet, Default::default()).await.unwrap();
    assert!(read(&options.to) == content);
    assert_eq!(root.files, content.len() as u64);
    puller.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn snapshots_are_pushed_to_a_second_store_and_kept_as_at_the_source() {
    let databases = databases().await;
    let puller = Puller::start(&databases).await;
    let (_, job) = puller.at.backup("mine").await;
    let mut content = files(20);
    let first = puller.at.snapshot(&job, 1000, None, &content).await;
    content.get_mut("collection-0.wt").unwrap()[BLOCK] ^= 1;
    let second = puller.at.snapshot(&job, 2000, Some(&first), &content).await;
    let packs = tempfile::tempdir().unwrap();
    let folder = packs.path().join("packs");
    let uri = databases.uri();
    let to = json!({ "uri": uri, "database": "second", "packs": folder });
    // By its schedule: nobody asks for the first run.
    let order = json!({ "name": "second", "to": to, "everySeconds": 86_400 });
    let made = puller.web.post("/offsite/copies", order).await;
    assert!(!made.to_string().contains("mongodb://"), "the connection string is not shown: {made}");
    let run = puller.wait("second", |copy| copy.last.is_some()).await.last.unwrap();
    assert_eq!((run.error.as_deref(), run.copied), (None, 2), "{run:?}");
    let number = StoreNumber::new(1).unwrap();
    let options = EngineOptions {
        packs: vec![PackStoreOptions::new(number, PackLocation::Directory(folder))],
        write_to: PayloadStore::Packs(number),
        ..EngineOptions::default()
    };
    let client = Client::with_uri_str(&uri).await.unwrap();
    let there = Blockstore::open(client.database("second"), options).await.unwrap();
    let roots = there.all_roots().await.unwrap();
    assert_eq!(roots.len(), 2);
    assert!(puller.at.restored(&there, &roots[1].id.to_string()).await == content);
    // The source lets the first go: so does the copy, but never the newest.
    puller.at.blockstore.trash(&first.id, &|_| Ok(())).await.unwrap();
    let run = puller.run("second").await;
    assert_eq!((run.trashed, run.error.as_deref()), (1, None), "{run:?}");
    let left: Vec<_> = there.all_roots().await.unwrap().into_iter().filter(|root| root.trashed_at.is_none()).collect();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].origin.as_ref().unwrap().root, second.id);
    assert!(left.iter().all(|root| root.purpose == Purpose::Snapshot));
    puller.at.blockstore.trash(&second.id, &|_| Ok(())).await.unwrap();
    let run = puller.run("second").await;
    assert_eq!(run.trashed, 0, "a source that shows nothing takes nothing with it");
    puller.stop().await;
}
