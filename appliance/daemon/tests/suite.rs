//! Tests of the daemon with real replica sets, databases and heads.
//!
//! One binary: a test binary links the whole appliance, and most of a build would go into doing that once per file. Whoever adds a file here
//! adds its `mod`; `tests/tests/dependencies.rs` fails when one is left out.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../../../blockstore-engine/tests/support/loop_fs.rs"]
mod loop_fs;

mod clones;
mod packs;
mod recovered;
mod repairs;
mod sftp;
mod spine;
mod support;
mod terminated;
