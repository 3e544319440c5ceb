//! Two `holdfast up` in two folders, started at once on the usual ports: they do not collide; a second one in the same folder is refused;
//! SIGTERM ends everything that one started and nothing of the other's.

use std::{collections::BTreeSet, path::Path, time::Duration};

use crate::instants::{Instants, check_restore};
use anyhow::{Context as _, Result, ensure};
use bson::{Document, doc};
use holdfast_tests::{
    ReplicaSet, ReplicaSetOptions,
    appliance::{Appliance, up_output},
    mongod_binary,
    processes::mongods_below,
};
use serde_json::Value;

const SYNC_WAIT: Duration = Duration::from_secs(300);
const WAIT: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_appliances_do_not_collide() -> Result<()> {
    let _turn = crate::turn().await;
    let binary = mongod_binary();
    let (one, other) = tokio::join!(Appliance::start_on_usual_ports(&binary), Appliance::start_on_usual_ports(&binary));
    let (mut one, mut other) = (one?, other?);
    let (a, b) = (ports(one.dir())?, ports(other.dir())?);
    ensure!(a.is_disjoint(&b), "ports of both: {:?}", a.intersection(&b).collect::<Vec<_>>());

    // The same folder again: a sentence, and the first one goes on.
    let again = up_output(one.dir(), &binary).await?;
    let said = String::from_utf8_lossy(&again.stderr);
    ensure!(again.status.code() == Some(1) && said.contains("runs in") && said.contains("already"), "{again:?}");
    ensure!(one.ready()?["pids"]["web"].is_u64(), "still ready");

    // Both back up the same source, and restore it at the same time.
    let set = ReplicaSet::start(1, ReplicaSetOptions::default()).await?;
    let client = set.client();
    let numbers = client.database("shop").collection::<Document>("numbers");
    numbers.insert_many((0..5000).map(|n| doc! {"_id": n, "n": n * n})).await?;
    let uri = set.uri();
    let (first, second) = tokio::join!(one.back_up("prod", &uri), other.back_up("prod", &uri));
    let (first, second) = (first?, second?);
    tokio::try_join!(one.wait_active(&first, SYNC_WAIT), other.wait_active(&second, SYNC_WAIT))?;
    numbers.delete_many(doc! {"n": {"$mod": [3, 1]}}).await?;
    let mut instants = Instants::default();
    let at = instants.record(&client, "after the sync").await?;
    tokio::try_join!(one.wait_restorable(&first, at, WAIT), other.wait_restorable(&second, at, WAIT))?;
    let instant = &instants.all()[0];
    let both = [check_restore(&one, &first, instant), check_restore(&other, &second, instant)];
    futures::future::try_join_all(both).await.context("restore by both at once")?;

    // SIGTERM ends what this one started, and nothing of the other's.
    let (started, dir) = (pids(&one.ready()?), one.dir().to_owned());
    ensure!(started.len() >= 4 && !mongods_below(&dir).is_empty(), "{started:?}");
    let folder = one.stop_keeping_files().await.context("stop one of two")?;
    let left: Vec<u32> = started.into_iter().filter(|pid| Path::new(&format!("/proc/{pid}")).exists()).collect();
    ensure!(left.is_empty() && mongods_below(&dir).is_empty(), "still there: {left:?}");
    ensure!(!dir.join("ready.json").exists(), "not ready any more");
    let groups = other.cli(&["groups", "list"]).await?;
    ensure!(groups.as_array().is_some_and(|all| all.len() == 1), "the other goes on: {groups}");

    // What was stopped starts again beside the other, with what it had.
    let one = Appliance::start_again(folder, &binary).await?;
    ensure!(ports(one.dir())?.is_disjoint(&ports(other.dir())?), "disjoint after a start too");
    let groups = one.cli(&["groups", "list"]).await?;
    ensure!(groups[0]["name"] == "prod", "{groups}");
    check_restore(&one, &first, instant).await.context("restore after another start")?;
    one.stop().await?;
    other.stop().await
}

/// Every port that an appliance took for itself.
fn ports(dir: &Path) -> Result<BTreeSet<u64>> {
    let chosen: Value = serde_json::from_slice(&std::fs::read(dir.join("ports.json"))?)?;
    let mut all = BTreeSet::new();
    for (name, value) in chosen.as_object().context("ports by name")? {
        match value {
            Value::Array(row) if name == "restores" => {
                all.extend(row[0].as_u64().context("first")?..=row[1].as_u64().context("last")?);
            }
            Value::Array(several) => all.extend(several.iter().filter_map(Value::as_u64)),
            one => all.extend(one.as_u64()),
        }
    }
    ensure!(all.len() > 110, "{chosen}");
    Ok(all)
}

fn pids(ready: &Value) -> Vec<u32> {
    let all = ready["pids"].as_object().into_iter().flat_map(|pids| pids.values());
    all.filter_map(|pid| u32::try_from(pid.as_u64()?).ok()).collect()
}
