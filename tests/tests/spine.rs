//! The main job, end to end with real programs: a three-member set under load, a fuzzy initial sync with concurrent DDL, an
//! election, a 16 MB document, a 200 MB transaction; then at least 20 instants restored, each equal to the source as it was.

use std::time::Duration;

use crate::instants::{Instants, check_restore};
use anyhow::{Context as _, Result, ensure};
use holdfast_domain::Ts;
use holdfast_tests::{
    ReplicaSet, ReplicaSetOptions,
    appliance::Appliance,
    mongod_binary,
    workload::{self, DdlStorm, Live},
};
use tokio::time::sleep;

/// Bytes of the big transaction.
const TRANSACTION_BYTES: usize = 200 << 20;
/// The initial sync of a few hundred MB, on a loaded machine.
const SYNC_WAIT: Duration = Duration::from_secs(300);
const REACH_WAIT: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_instants_equal_the_source() -> Result<()> {
    let _turn = crate::turn().await;
    let mut appliance = Appliance::start(&mongod_binary()).await?;
    let set = ReplicaSet::start(3, source_options()).await?;
    let client = set.client();

    // The initial sync sees documents move, collections come, go and change names.
    let live = Live::start(&client, 7).await?;
    let storm = DdlStorm::start(&client, 7).await?;
    let backup = appliance.back_up("prod", &set.uri()).await?;
    sleep(Duration::from_secs(6)).await;
    storm.stop().await?;
    let shown = appliance.wait_active(&backup, SYNC_WAIT).await?;
    ensure!(shown["lastError"].is_null(), "active with an error: {shown}");

    let mut instants = Instants::default();
    // Steady load, stopped now and then: the whole state is recorded.
    for round in 0..6 {
        sleep(Duration::from_secs(1)).await;
        live.pause().await;
        instants.record(&client, &format!("steady load, round {round}")).await?;
        live.resume();
    }
    // In the middle of what is written, and across an election.
    instants.sample_busy(&client, &live, 4, "mid-batch").await?;
    set.step_down().await?;
    sleep(Duration::from_secs(2)).await;
    instants.sample_busy(&client, &live, 3, "after the election").await?;
    live.stop().await?;
    instants.record(&client, "after the load").await?;

    // Every kind of operation, right after DDL.
    let steps = workload::rich(&client).await?;
    let unexpected: Vec<_> = steps.iter().filter(|step| !step.as_expected()).collect();
    ensure!(unexpected.is_empty(), "the workload itself failed: {unexpected:?}");
    instants.record(&client, "after every kind of operation").await?;
    let labelled = appliance.cli(&["snapshots", "take", &backup, "--label", "before the big ones", "--wait"]).await?;
    ensure!(labelled["label"] == "before the big ones", "{labelled}");

    workload::big_document(&client).await?;
    instants.record(&client, "16 MB that do not compress").await?;
    workload::big_transaction(&client, TRANSACTION_BYTES).await?;
    instants.inside_last_transaction(&client, 3).await?;
    instants.record(&client, "end of a 200 MB transaction").await?;
    workload::many_ops_transaction(&client, 20_000).await?;
    let newest = instants.record(&client, "the newest second").await?;

    appliance.wait_restorable(&backup, newest, REACH_WAIT).await?;
    ensure!(instants.len() >= 20, "only {} instants", instants.len());
    for instant in instants.all() {
        check_restore(&appliance, &backup, instant).await?;
    }

    // What cannot be restored is said.
    let beyond = format!("{},1", newest.t + 100_000);
    let refused = appliance.cli_output(&["restore", &backup, "--at", &beyond, "--link"]).await?;
    ensure!(refused.status.code() == Some(1), "an instant beyond the ledger: {refused:?}");
    let usage = appliance.cli_output(&["restore", &backup]).await?;
    ensure!(usage.status.code() == Some(2), "wrong usage: {usage:?}");
    appliance.stop().await.context("stop the appliance")
}

fn source_options() -> ReplicaSetOptions {
    let params = [("enableTestCommands", "1"), ("transactionLifetimeLimitSeconds", "600")];
    let params = params.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    // The server refuses a transaction (388) that fills too much of its cache.
    ReplicaSetOptions { params, cache_gb: 4.0, ..ReplicaSetOptions::default() }
}

#[test]
fn an_optime_is_written_as_seconds_and_increment() {
    assert_eq!(Ts { t: 5, i: 6 }.to_string(), "5,6");
}
