//! The API over real TLS, on a real mongod.
#![allow(clippy::unwrap_used, reason = "tests")]

mod access;
mod administration;
mod backups;
mod blockstore;
mod deployments;
mod events;
mod guards;
mod idempotency;
mod idor;
mod ldap;
mod limits;
mod lists;
mod logs;
mod mail;
mod matrix;
mod monitoring;
mod oidc;
mod overview;
mod people;
mod people_access;
mod policies;
mod restore_history;
mod restores;
mod retention;
mod revisions;
mod setup;
mod sftp;
mod snapshots;
mod terminations;
mod timeline;
mod tls;
mod trash;
mod world;
