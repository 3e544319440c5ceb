//! The API over real TLS, on a real mongod.
#![allow(clippy::unwrap_used, reason = "tests")]

mod access;
mod backups;
mod blockstore;
mod guards;
mod mail;
mod matrix;
mod people;
mod restores;
mod sftp;
mod snapshots;
mod timeline;
mod world;
