//! The role is enough for everything that a backup does, the check says what is missing, and both are commands.

use std::{path::Path, process::Command};

use crate::support::{Agent, fake::Fake, wait};
use bson::doc;
use holdfast_mongod::{MongodOptions, create_keyfile, free_port, start_embedded};

fn agent(arguments: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_holdfast-agent")).args(arguments).output().unwrap();
    (output.status.success(), String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap())
}

fn make_role(admin: &str, password_file: &Path) -> (bool, String) {
    agent(&["role", "--mongodb", admin, "--user", "holdfast", "--password-file", password_file.to_str().unwrap()])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_role_is_made_checked_and_enough() {
    let dir = tempfile::tempdir().unwrap();
    let keyfile = dir.path().join("key");
    create_keyfile(&keyfile).unwrap();
    let port = free_port().unwrap();
    let options =
        MongodOptions::embedded(holdfast_tests::mongod_binary(), dir.path().join("db"), port, &keyfile, "rs0");
    let mongod = start_embedded(options).await.unwrap();
    let system = mongod.client();
    let admin_db = system.database("admin");
    admin_db.run_command(doc! { "createUser": "root", "pwd": "r", "roles": ["root"] }).await.unwrap();
    admin_db.run_command(doc! { "createUser": "nobody", "pwd": "n", "roles": [] }).await.unwrap();
    let d = system.database("d");
    d.run_command(doc! { "create": "ts", "timeseries": { "timeField": "t" } }).await.unwrap();
    d.collection("ts").insert_one(doc! { "t": bson::DateTime::now() }).await.unwrap();
    d.run_command(doc! { "create": "v", "viewOn": "c", "pipeline": [] }).await.unwrap();
    d.run_command(doc! { "create": "c", "changeStreamPreAndPostImages": { "enabled": true } }).await.unwrap();
    d.collection("c").insert_one(doc! { "_id": 1 }).await.unwrap();
    d.collection("system.js").insert_one(doc! { "_id": "f", "value": 1 }).await.unwrap();

    let uri = |user: &str, password: &str| {
        format!("mongodb://{user}:{password}@127.0.0.1:{port}/?replicaSet=rs0&authSource=admin")
    };
    let (good, said) = agent(&["check", "--mongodb", &uri("nobody", "n")]);
    assert!(!good && said.contains("MISSING  read the oplog"), "{said}");

    let password_file = dir.path().join("password");
    std::fs::write(&password_file, "secret\n").unwrap();
    for _ in 0..2 {
        let (good, said) = make_role(&uri("root", "r"), &password_file);
        assert!(good, "twice is once: {said}");
    }
    let (good, said) = agent(&["check", "--mongodb", &uri("holdfast", "secret")]);
    assert!(good && !said.contains("MISSING"), "{said}");
    for need in ["read time series by UUID", "read definitions of views by UUID", "read users, roles and keys by UUID"]
    {
        assert!(said.contains(need), "{need} was tried: {said}");
    }

    // The least-privileged user can do everything that a backup does.
    let fake = Fake::start("rs0", &uri("holdfast", "secret")).await;
    let running = Agent::start(&fake, &dir.path().join("state"));
    let done = || async {
        fake.lock().syncs.get(&0).is_some_and(|s| s.complete.is_some()) && !fake.lock().catalogs.is_empty()
    };
    wait("the initial sync and a catalog", done).await;
    d.collection("c").insert_one(doc! { "_id": 2 }).await.unwrap();
    wait("the write arrives", || async {
        fake.lock()
            .ledger
            .oplog(0)
            .iter()
            .any(|e| e.get_str("ns").is_ok_and(|ns| ns == "d.c") && e.get_str("op").is_ok_and(|op| op == "i"))
    })
    .await;
    running.stop().await;
    {
        let inner = fake.lock();
        assert!(inner.errors.is_empty(), "{:?}", inner.errors);
        let names: Vec<_> = inner.syncs[&0]
            .scans
            .values()
            .filter(|s| !s.gone)
            .map(|s| format!("{}.{}", s.start.db, s.start.name))
            .collect();
        for name in
            ["admin.system.users", "admin.system.roles", "d.system.views", "d.system.buckets.ts", "d.system.js", "d.c"]
        {
            assert!(names.iter().any(|n| n == name), "{name} in {names:?}");
        }
    }
    mongod.stop().await.unwrap();
}
