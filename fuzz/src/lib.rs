//! Fuzz targets for every decoder of bytes that come from outside: what is stored, and what agents send.
//!
//! Invariants: a target takes any bytes and panics only when a decoder broke its contract; the same functions are run by libFuzzer
//! (`src/main.rs`, built by `scripts/fuzz`) and by the test that replays `corpus/`, so that what was found once stays found. The engine's
//! targets live beside what they test (`blockstore_engine::fuzzing`); those of the ledger and of the agents' protocol are in `ledger.rs`, those of its
//! copies outside of the database in `segment.rs`.

mod ledger;
mod segment;

pub use blockstore_engine::fuzzing::Target;

/// Every target.
#[must_use]
pub fn targets() -> Vec<Target> {
    blockstore_engine::fuzzing::TARGETS.into_iter().chain(ledger::TARGETS).chain(segment::TARGETS).collect()
}

/// One of them.
#[must_use]
pub fn target(name: &str) -> Option<Target> {
    targets().into_iter().find(|(known, ..)| *known == name)
}
