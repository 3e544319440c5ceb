//! The app database on a private single-member replica set.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::LazyLock,
};

use holdfast_agent_api::{SourceInfo, SourceMember};
use holdfast_domain::{AgentId, GroupId};
use holdfast_metadb::{BackupJob, Deployment, Discovery, MetaDb};
use holdfast_mongod::{Mongod, MongodOptions, free_port, start_embedded};
use mongodb::{Client, Database};

static BINARY: LazyLock<PathBuf> = LazyLock::new(|| {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/mongod");
    let output = Command::new(script).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "scripts/mongod failed");
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
});

/// The server ends with this value.
pub(crate) struct Server {
    pub(crate) db: Database,
    pub(crate) meta: MetaDb,
    _mongod: Mongod,
    _dir: tempfile::TempDir,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut options = MongodOptions::plain(&*BINARY, dir.path().join("db"), free_port().unwrap());
        options.repl_set = Some("rs".into());
        let mongod = start_embedded(options).await.unwrap();
        let db = Client::with_uri_str(mongod.set_uri().unwrap()).await.unwrap().database("app");
        let meta = MetaDb::open(db.clone()).await.unwrap();
        Self { db, meta, _mongod: mongod, _dir: dir }
    }
}

pub(crate) fn source(rs: &str, hosts: &[&str]) -> SourceInfo {
    let member = |host: &&str| SourceMember {
        host: (*host).to_owned(),
        state: "SECONDARY".into(),
        hidden: false,
        delay_seconds: 0,
    };
    SourceInfo {
        rs: rs.into(),
        members: hosts.iter().map(member).collect(),
        version: "6.0.5".into(),
        fcv: "6.0".into(),
        directory_per_db: false,
        directory_for_indexes: false,
        storage_bytes: 1 << 40,
        data_bytes: 1 << 41,
    }
}

pub(crate) fn found(rs: &str, hosts: &[&str]) -> Discovery {
    Discovery { agent: AgentId::random(), refusal: None, source: Some(source(rs, hosts)), privileges: Vec::new() }
}

pub(crate) async fn deployment(meta: &MetaDb, group: &GroupId, rs: &str) -> Deployment {
    let new = meta.create_deployment(group, None, vec!["a:1".into()], None).await.unwrap();
    meta.record_discovery(&new.id, &found(rs, &["a:1", "b:1"])).await.unwrap().unwrap()
}

pub(crate) async fn job(meta: &MetaDb, rs: &str) -> BackupJob {
    let group = meta.create_group(&format!("group of {rs}")).await.unwrap();
    meta.create_backup_job(&deployment(meta, &group.id, rs).await, Vec::new()).await.unwrap()
}
