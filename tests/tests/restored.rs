//! What a restored dbpath is good for: a plain mongod, a new replica set with a second member, a production configuration
//! with a folder per database; and the download in every format.

use std::{path::Path, process::Command, time::Duration};

use crate::instants::Instants;
use anyhow::{Context as _, Result, ensure};
use bson::doc;
use holdfast_mongod::{Member, Mongod, MongodOptions, SetSettings, free_port, initiate, wait_primary};
use holdfast_tests::{ReplicaSet, ReplicaSetOptions, appliance::Appliance, compare, mongod_binary, workload};
use tokio::time::sleep;

const SYNC_WAIT: Duration = Duration::from_secs(300);
const WAIT: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_opens_everywhere() -> Result<()> {
    let _turn = crate::turn().await;
    let mut appliance = Appliance::start(&mongod_binary()).await?;
    let options = ReplicaSetOptions { directory_per_db: true, ..ReplicaSetOptions::default() };
    let set = ReplicaSet::start(1, options).await?;
    let client = set.client();
    workload::rich(&client).await?;
    let backup = appliance.back_up("prod", &set.uri()).await?;
    appliance.wait_active(&backup, SYNC_WAIT).await?;
    let mut instants = Instants::default();
    let at = instants.record(&client, "at rest").await?;
    appliance.wait_restorable(&backup, at, WAIT).await?;
    let state = &instants.all().first().context("an instant")?.state;

    let dir = tempfile::tempdir()?;
    let unpacked = dir.path().join("unpacked");
    appliance.restore_at(&backup, at, &unpacked).await?;
    ensure!(unpacked.join("restoreInfo.json").exists(), "restoreInfo.json travels with the files");
    ensure!(unpacked.join("app").is_dir(), "a folder per database, as at the source");

    // The production configuration.
    let mut production = MongodOptions::plain(mongod_binary(), &unpacked, free_port()?);
    production.directory_per_db = true;
    let mongod = Mongod::start(production.clone()).await.context("open with a folder per database")?;
    let differences = compare::diff(state, &compare::state(&mongod.client()).await?);
    ensure!(differences.is_empty(), "{differences:?}");
    mongod.stop().await?;
    drop(mongod);

    // A new replica set, and a second member that copies from it.
    production.repl_set = Some("restored".to_owned());
    production.oplog_size_mb = Some(990);
    let first = Mongod::start(production).await.context("open as a replica set")?;
    initiate(&first.client(), "restored", &[Member::local(first.port())], SetSettings::default()).await?;
    wait_primary(&first.client(), WAIT).await?;
    let mut second = MongodOptions::plain(mongod_binary(), dir.path().join("second"), free_port()?);
    second.repl_set = Some("restored".to_owned());
    let second = Mongod::start(second).await?;
    add_member(&first, &second).await?;
    let differences = compare::diff(&compare::state(&first.client()).await?, &compare::state(&second.client()).await?);
    ensure!(differences.is_empty(), "the second member: {differences:?}");
    second.stop().await?;
    first.stop().await?;

    downloads(&appliance, &backup, &format!("{},{}", at.t, at.i), dir.path()).await?;
    appliance.stop().await
}

async fn add_member(first: &Mongod, second: &Mongod) -> Result<()> {
    let admin = first.client().database("admin");
    let mut config = admin.run_command(doc! {"replSetGetConfig": 1}).await?.get_document("config")?.clone();
    let version = config.get_i32("version")?;
    config.insert("version", version + 1);
    config.get_array_mut("members")?.push(doc! {"_id": 1, "host": format!("127.0.0.1:{}", second.port())}.into());
    admin.run_command(doc! {"replSetReconfig": config}).await?;
    for _ in 0..600 {
        let hello = second.client().database("admin").run_command(doc! {"hello": 1}).await?;
        if hello.get_bool("secondary").unwrap_or(false) {
            return Ok(());
        }
        sleep(Duration::from_millis(100)).await;
    }
    anyhow::bail!("the second member did not become a secondary")
}

/// Every format, as the system's own tools read it.
async fn downloads(appliance: &Appliance, backup: &str, at: &str, dir: &Path) -> Result<()> {
    let mut listings = Vec::new();
    for (format, flag) in [("tar", "-tvf"), ("tar.gz", "-tzvf"), ("tar.zst", "-tvf")] {
        let file = dir.join(format!("restore.{format}"));
        let path = file.to_string_lossy().into_owned();
        appliance.cli(&["restore", backup, "--at", at, "--format", format, "-o", &path, "--wait"]).await?;
        let mut tar = Command::new("tar");
        if format == "tar.zst" {
            tar.arg("--zstd");
        }
        let listed = tar.arg(flag).arg(&file).output()?;
        ensure!(listed.status.success(), "tar refuses the {format}: {}", String::from_utf8_lossy(&listed.stderr));
        listings.push(String::from_utf8(listed.stdout)?);
    }
    ensure!(listings[0].contains("WiredTiger.wt"), "{}", listings[0]);
    let names =
        |text: &str| text.lines().filter_map(|l| l.split_whitespace().last().map(str::to_owned)).collect::<Vec<_>>();
    ensure!(
        names(&listings[0]) == names(&listings[1]) && names(&listings[0]) == names(&listings[2]),
        "formats list other files"
    );
    let tested = Command::new("zstd").arg("-t").arg(dir.join("restore.tar.zst")).output()?;
    ensure!(tested.status.success(), "zstd refuses: {}", String::from_utf8_lossy(&tested.stderr));
    Ok(())
}
