//! The service over real TLS, on a real mongod: what agents and browsers see.
#![allow(clippy::unwrap_used, reason = "tests")]

mod agents;
mod downloads;
mod slices;
mod sync;
mod world;
