//! What `deployments add` says about a source that cannot be backed up: one sentence that tells what to do; and sources that can, with an
//! index build under way.

use std::{path::Path, time::Duration};

use crate::instants::{Instants, check_restore};
use anyhow::{Context as _, Result, ensure};
use bson::{Document, doc};
use holdfast_mongod::{Member, Mongod, MongodOptions, SetSettings, free_port, initiate, wait_primary};
use holdfast_tests::{ReplicaSet, ReplicaSetOptions, appliance::Appliance, mongod_binary};
use mongodb::{Client, IndexModel};
use tokio::time::{Instant, sleep};

const WAIT: Duration = Duration::from_secs(120);
const SYNC_WAIT: Duration = Duration::from_secs(300);
/// A refusal that is certain is not worth retries of 20 s and more.
const CERTAIN_WITHIN: Duration = Duration::from_secs(15);
/// The kit's servers ask nobody for a password; these users are asked all the same when they log in.
const USER: &str = "backup";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_backed_up_is_said() -> Result<()> {
    let _turn = crate::turn().await;
    let mut appliance = Appliance::start(&mongod_binary()).await?;
    appliance.cli(&["groups", "create", "prod"]).await?;
    appliance.start_agent("prod").await?;
    let dir = tempfile::tempdir()?;

    let standalone =
        Mongod::start(MongodOptions::plain(mongod_binary(), dir.path().join("alone"), free_port()?)).await?;
    let said = refusal(&appliance, &format!("mongodb://127.0.0.1:{}/", standalone.port())).await?;
    ensure!(said.contains("is a standalone") && said.contains("rs.initiate()"), "{said}");
    standalone.stop().await?;

    let shard = member(dir.path(), "shard", &["--shardsvr"]).await?;
    let said = refusal(&appliance, &format!("mongodb://127.0.0.1:{}/?replicaSet=shard", shard.port())).await?;
    ensure!(said.contains("a member of a shard") && said.contains("not backed up"), "{said}");
    shard.stop().await?;
    let config = member(dir.path(), "config", &["--configsvr"]).await?;
    let said = refusal(&appliance, &format!("mongodb://127.0.0.1:{}/?replicaSet=config", config.port())).await?;
    ensure!(said.contains("a config server") && said.contains("not backed up"), "{said}");
    config.stop().await?;

    let set = ReplicaSet::start(1, ReplicaSetOptions::default()).await?;
    let user = doc! {"createUser": USER, "pwd": "right", "roles": ["backup", "clusterMonitor"]};
    set.client().database("admin").run_command(user).await?;
    let uri =
        |password: &str| format!("mongodb://{USER}:{password}@{}/?replicaSet=rs0&authSource=admin", set.hosts()[0]);
    let said = refusal(&appliance, &uri("wrong")).await?;
    ensure!(said.contains("refuses the login") && said.contains("authSource"), "{said}");
    ensure!(!said.contains("wrong"), "no password is repeated: {said}");
    let found = appliance.cli(&["deployments", "add", "prod", &uri("right")]).await?;
    ensure!(found[0]["rs"] == "rs0" && found[0]["state"] == "found", "{found}");
    appliance.stop().await
}

/// Adds a deployment that must be refused at once; the sentence.
async fn refusal(appliance: &Appliance, uri: &str) -> Result<String> {
    let since = Instant::now();
    let output = appliance.cli_output(&["deployments", "add", "prod", uri]).await?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.code() == Some(1), "{uri} was not refused: {output:?}");
    ensure!(since.elapsed() < CERTAIN_WITHIN, "{uri} was refused after {:?}: {said}", since.elapsed());
    Ok(said)
}

/// A set of one member that is part of a sharded cluster.
async fn member(dir: &Path, name: &str, arguments: &[&str]) -> Result<Mongod> {
    let mut options = MongodOptions::plain(mongod_binary(), dir.join(name), free_port()?);
    options.repl_set = Some(name.to_owned());
    options.oplog_size_mb = Some(990);
    options.extra_args.extend(arguments.iter().map(ToString::to_string));
    let mongod = Mongod::start(options).await?;
    if name == "config" {
        let members = vec![doc! {"_id": 0, "host": format!("127.0.0.1:{}", mongod.port())}];
        let set = doc! {"_id": name, "configsvr": true, "members": members};
        mongod.client().database("admin").run_command(doc! {"replSetInitiate": set}).await?;
    } else {
        initiate(&mongod.client(), name, &[Member::local(mongod.port())], SetSettings::default()).await?;
    }
    wait_primary(&mongod.client(), WAIT).await?;
    Ok(mongod)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_that_is_being_built_is_no_index_yet() -> Result<()> {
    let _turn = crate::turn().await;
    let mut appliance = Appliance::start(&mongod_binary()).await?;
    let set = ReplicaSet::start(1, ReplicaSetOptions::default()).await?;
    let client = set.client();
    for name in ["finished", "given_up"] {
        let all = client.database("shop").collection::<Document>(name);
        all.insert_many((0..2000).map(|n| doc! {"_id": n, "n": n, "m": n % 7})).await?;
        all.create_index(IndexModel::builder().keys(doc! {"n": 1}).build()).await?;
    }
    let hang = |mode: &str| doc! {"configureFailPoint": "hangAfterStartingIndexBuild", "mode": mode};
    client.database("admin").run_command(hang("alwaysOn")).await?;
    let builds: Vec<_> = ["finished", "given_up"].map(|name| tokio::spawn(build(client.clone(), name))).into();
    wait_builds(&client, 2).await?;

    let backup = appliance.back_up("prod", &set.uri()).await?;
    appliance.wait_active(&backup, SYNC_WAIT).await?;
    let mut instants = Instants::default();
    instants.record(&client, "two indexes are being built").await?;

    client.database("shop").run_command(doc! {"dropIndexes": "given_up", "index": "m_1"}).await?;
    client.database("admin").run_command(hang("off")).await?;
    let mut ended = Vec::new();
    for build in builds {
        ended.push(build.await?.is_ok());
    }
    ensure!(ended == [true, false], "one is finished, one given up: {ended:?}");
    let newest = instants.record(&client, "one was finished, one given up").await?;
    let indexes = |n: usize, name: &str| instants.all()[n].state.databases["shop"].collections[name].indexes.len();
    let counts = [indexes(0, "finished"), indexes(0, "given_up"), indexes(1, "finished"), indexes(1, "given_up")];
    ensure!(counts == [2, 2, 3, 2], "{counts:?}");
    let shown = appliance.wait_restorable(&backup, newest, WAIT).await?;
    ensure!(shown["chain"] == 0 && shown["lastError"].is_null(), "{shown}\n{}", appliance.logs());
    for instant in instants.all() {
        check_restore(&appliance, &backup, instant).await?;
    }
    appliance.stop().await.context("stop the appliance")
}

async fn build(client: Client, name: &'static str) -> mongodb::error::Result<()> {
    let index = IndexModel::builder().keys(doc! {"m": 1}).build();
    client.database("shop").collection::<Document>(name).create_index(index).await.map(drop)
}

async fn wait_builds(client: &Client, count: usize) -> Result<()> {
    let since = Instant::now();
    loop {
        let mut building = 0;
        for name in ["finished", "given_up"] {
            let list = doc! {"listIndexes": name, "includeBuildUUIDs": true};
            let answer = client.database("shop").run_command(list).await?;
            let all = answer.get_document("cursor")?.get_array("firstBatch")?;
            building += all.iter().filter(|i| i.as_document().is_some_and(|i| i.contains_key("buildUUID"))).count();
        }
        if building == count {
            return Ok(());
        }
        ensure!(since.elapsed() < WAIT, "only {building} builds began");
        sleep(Duration::from_millis(100)).await;
    }
}
