//! The API over real TLS, on a real mongod.
#![allow(clippy::unwrap_used, reason = "tests")]

mod access;
mod backups;
mod blockstore;
mod guards;
mod ldap;
mod mail;
mod matrix;
mod oidc;
mod people;
mod restores;
mod snapshots;
mod timeline;
mod world;
