//! The API over real TLS, on a real mongod.
#![allow(clippy::unwrap_used, reason = "tests")]

mod access;
mod administration;
mod backups;
mod blockstore;
mod deployments;
mod guards;
mod idempotency;
mod idor;
mod limits;
mod mail;
mod matrix;
mod overview;
mod ldap;
mod oidc;
mod people;
mod people_access;
mod restore_history;
mod policies;
mod restores;
mod retention;
mod sftp;
mod snapshots;
mod terminations;
mod timeline;
mod tls;
mod trash;
mod world;
