//! Test kit: real replica sets, a workload that does everything a server can do, and the comparison of two servers.
//!
//! Purpose: end-to-end tests and the tests of other crates. Everything here talks to real mongods on this machine, in
//! temporary folders, on free ports, and ends what it started.
//!
//! It must never be a normal dependency of a product crate (a test of this crate checks that).

pub mod appliance;
mod binary;
pub mod compare;
pub mod cpu;
pub mod extra_daemon;
pub mod processes;
mod replica_set;
pub mod s3;
pub mod sshd;
pub mod workload;

pub use binary::mongod_binary;
pub use replica_set::{MemberOptions, ReplicaSet, ReplicaSetOptions};
