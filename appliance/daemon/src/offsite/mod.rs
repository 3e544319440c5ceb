//! Offsite copies: a reconciler that takes orders that are due, and the run that carries one out.
//!
//! Invariants: one daemon at a time works on an order, under its lease, whose epoch is the job epoch of every writer at the target: a daemon
//! that lost the lease commits nothing more. A run that was cut short is gone on with by whoever takes the lease next; what was stored by
//! then is not sent again. What is at the target is told by its roots alone. The newest copy of a replica set is never trashed.
//!
//! Called by `daemon.rs`; `pull.rs` speaks to another Holdfast, `side.rs` has the two sides of an order, `run.rs` carries it out,
//! `care.rs` looks after a second store.

pub mod care;
mod pull;
mod run;
mod side;

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use holdfast_domain::{LeaseWatch, offsite_due};
use holdfast_metadb::OffsiteCopy;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{chain_of, context::Context};

/// How often the orders are looked at.
const POLL: Duration = Duration::from_secs(1);
/// Runs at a time in one daemon: each may fill a link.
const RUNS_MAX: usize = 2;

/// Carries out orders until cancelled. `master_key` is the file of the appliance's key, which opens the orders' secrets.
pub async fn run(ctx: Arc<Context>, master_key: PathBuf, cancel: CancellationToken) {
    let mut runs = JoinSet::new();
    let mut watches: HashMap<String, LeaseWatch> = HashMap::new();
    let begun = Instant::now();
    while cancel.run_until_cancelled(tokio::time::sleep(POLL)).await.is_some() {
        while runs.try_join_next().is_some() {}
        let copies = match ctx.metadb.offsite_copies().await {
            Ok(copies) => copies,
            Err(error) => {
                watches.clear();
                tracing::warn!(error = chain_of(&error), "look for offsite copies");
                continue;
            }
        };
        watches.retain(|id, _| copies.iter().any(|copy| copy.id == *id));
        for copy in copies {
            let watch = watches.entry(copy.id.clone()).or_insert_with(|| LeaseWatch::new(ctx.lease()));
            let free = watch.read(begun.elapsed(), &copy.lease);
            if !free || !is_due(&copy) || runs.len() >= RUNS_MAX {
                continue;
            }
            match ctx.metadb.begin_offsite_run(&copy.id, &copy.lease, ctx.id.as_str()).await {
                Ok(Some(fence)) => {
                    let (ctx, master_key, cancel) = (Arc::clone(&ctx), master_key.clone(), cancel.child_token());
                    runs.spawn(async move { run::carry_out(&ctx, &copy, fence, &master_key, cancel).await });
                }
                Ok(None) => {}
                Err(error) => tracing::warn!(copy = copy.name, error = chain_of(&error), "begin an offsite run"),
            }
        }
    }
    // They were told to end too, and give their leases back.
    while runs.join_next().await.is_some() {}
}

fn is_due(copy: &OffsiteCopy) -> bool {
    let seconds = |at: bson::DateTime| at.timestamp_millis() / 1000;
    let every = u32::try_from(copy.every_seconds).unwrap_or(3600).max(1);
    let scheduled = copy.enabled && offsite_due(every, copy.started.map(seconds), seconds(bson::DateTime::now()));
    copy.running || copy.asked.is_some() || scheduled
}
