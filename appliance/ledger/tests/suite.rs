//! Tests of the ledger on a real replica set.
//!
//! One binary: a test binary links the whole appliance, and most of a build would go into doing that once per file. Whoever adds a file here
//! adds its `mod`; `tests/tests/dependencies.rs` fails when one is left out.
#![allow(clippy::unwrap_used, reason = "tests")]

mod appends;
mod initial_sync;
mod model_check;
mod rollups;
mod sealed;
mod support;
mod trimming;
