//! Tests of the engine on real databases, file systems and object stores.
//!
//! One binary: a test binary links the whole appliance, and most of a build would go into doing that once per file. Whoever adds a file here
//! adds its `mod`; `tests/tests/dependencies.rs` fails when one is left out.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/loop_fs.rs"]
mod loop_fs;

mod archives;
mod citations;
mod collect;
mod copies;
mod frozen;
mod ghosts;
mod model;
mod model_check;
mod protocol;
mod quarantine;
mod ranges;
mod snapshots;
mod stores;
mod support;
mod tree;
mod verify;
