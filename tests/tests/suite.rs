//! End to end: real replica sets, real programs.
//!
//! One binary: a test binary links the whole appliance, and most of a build would go into doing that once per file. Whoever adds a file here
//! adds its `mod`; `tests/tests/dependencies.rs` fails when one is left out.
#![allow(clippy::unwrap_used, reason = "tests")]

mod dependencies;
mod deployments;
mod instants;
mod kills;
mod monitoring;
mod moved;
mod offsite;
mod restored;
mod side_by_side;
mod spine;
mod workload;

/// One whole appliance at a time: each is a dozen processes, and there may be two cores. Waits for its turn.
async fn turn() -> tokio::sync::MutexGuard<'static, ()> {
    static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    TURN.lock().await
}
