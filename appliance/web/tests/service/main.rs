//! The API over real TLS, on a real mongod.
#![allow(clippy::unwrap_used, reason = "tests")]

mod access;
mod backups;
mod restores;
mod snapshots;
mod timeline;
mod world;
