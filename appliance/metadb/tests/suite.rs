//! Tests of the app database on a real replica set.
//!
//! One binary: a test binary links the whole appliance, and most of a build would go into doing that once per file. Whoever adds a file here
//! adds its `mod`; `tests/tests/dependencies.rs` fails when one is left out.
#![allow(clippy::unwrap_used, reason = "tests")]

mod identities;
mod jobs;
mod monitoring;
mod samples;
mod support;
