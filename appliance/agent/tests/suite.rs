//! Tests of the agent against real replica sets and an ingest server in memory.
//!
//! One binary: a test binary links the whole appliance, and most of a build would go into doing that once per file. Whoever adds a file here
//! adds its `mod`; `tests/tests/dependencies.rs` fails when one is left out.
#![allow(clippy::unwrap_used, reason = "tests")]

mod initial_sync;
mod monitoring;
mod role;
mod secured;
mod support;
mod tail;
mod tls;
