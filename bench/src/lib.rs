//! Benchmarks of the engine against its peers, and the soak: what the two programs of this crate share.
//!
//! Invariants: everything is seeded, so that two runs meet the same bytes; a measured process does one thing and ends; nothing here is part of
//! a program that is shipped. Started by `scripts/bench` and `scripts/soak`.

pub mod corpus;
pub mod engine;
pub mod measure;
pub mod peers;
pub mod random;
pub mod report;
pub mod server;
pub mod soak;
pub mod synthetic;
