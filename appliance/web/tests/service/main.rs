//! The API over real TLS, on a real mongod.
#![allow(clippy::unwrap_used, reason = "tests")]

mod access;
mod backups;
mod blockstore;
mod deployments;
mod guards;
mod mail;
mod matrix;
mod overview;
mod people;
mod policies;
mod restores;
mod retention;
mod snapshots;
mod terminations;
mod timeline;
mod trash;
mod world;
