//! `restoreInfo.json`: what travels with a snapshot's files, for whoever opens them years later without this system.

use blockstore_engine::FileEntry;
use holdfast_ledger::SnapshotMeta;
use serde::Serialize;

/// Name of the file, at the top of the dbpath.
pub const FILE: &str = "restoreInfo.json";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RestoreInfo<'a> {
    format: u32,
    group: &'a str,
    replica_set: &'a str,
    optime: Optime,
    taken_at: String,
    server_version: &'a str,
    feature_compatibility_version: &'a str,
    options: Options,
    open: [String; 2],
    seed_replica_set: [String; 4],
    notes: [&'static str; 3],
    files: Vec<File<'a>>,
}

#[derive(Serialize)]
struct Optime {
    t: u32,
    i: u32,
    term: i64,
    at: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Options {
    directory_per_db: bool,
    wired_tiger_directory_for_indexes: bool,
}

/// `top` is the top of the file's Merkle tree of BLAKE3 hashes; `docs/format.md` of the engine draws it. An empty file, or one of holes
/// only, has none.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct File<'a> {
    path: &'a str,
    bytes: u64,
    block_bytes: u32,
    top: Option<String>,
}

/// The file's bytes.
///
/// # Errors
/// JSON's, never with these types.
pub fn encode(meta: &SnapshotMeta, files: &[FileEntry]) -> Result<Vec<u8>, serde_json::Error> {
    let storage = meta.storage;
    let mut flags = String::new();
    for (set, flag) in [
        (storage.directory_per_db, " --directoryperdb"),
        (storage.directory_for_indexes, " --wiredTigerDirectoryForIndexes"),
    ] {
        flags.push_str(if set { flag } else { "" });
    }
    let seconds = jiff::Timestamp::from_second(i64::from(meta.optime.ts.t));
    let info = RestoreInfo {
        format: 1,
        group: meta.group.as_str(),
        replica_set: &meta.rs,
        optime: Optime {
            t: meta.optime.ts.t,
            i: meta.optime.ts.i,
            term: meta.optime.term,
            at: seconds.map(|s| s.to_string()).unwrap_or_default(),
        },
        taken_at: meta.taken_at.try_to_rfc3339_string().unwrap_or_default(),
        server_version: &meta.server_version,
        feature_compatibility_version: &meta.fcv,
        options: Options {
            directory_per_db: storage.directory_per_db,
            wired_tiger_directory_for_indexes: storage.directory_for_indexes,
        },
        open: [
            "Unpack into an empty folder that belongs to the user that runs mongod.".to_owned(),
            format!("mongod --dbpath FOLDER{flags}    # a mongod of release {}", meta.server_version),
        ],
        seed_replica_set: [
            format!("mongod --dbpath FOLDER{flags} --replSet {} --bind_ip_all", meta.rs),
            format!("rs.initiate({{_id: \"{}\", members: [{{_id: 0, host: \"HOST:27017\"}}]}})", meta.rs),
            "Wait until it is primary, then start the other members with empty folders.".to_owned(),
            "rs.add(\"OTHERHOST:27017\")    // each does an initial sync from the first".to_owned(),
        ],
        notes: [
            "Users and roles are those of the source at that time.",
            "TTL indexes delete expired documents as soon as this is started; start with --setParameter ttlMonitorEnabled=false to look first.",
            "local.holdfast and local.startup_log are left by the backup; they are harmless and may be dropped.",
        ],
        files: files
            .iter()
            .map(|f| File {
                path: &f.path,
                bytes: f.size,
                block_bytes: f.block_size,
                top: f.top.as_ref().map(ToString::to_string),
            })
            .collect(),
    };
    serde_json::to_vec_pretty(&info)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use holdfast_domain::{EntryPosition, GroupId, OpTime, Ts};
    use holdfast_ledger::StorageOptions;

    #[test]
    fn says_how_to_open_it() {
        let optime = OpTime { ts: Ts { t: 1_700_000_000, i: 2 }, term: 4 };
        let meta = SnapshotMeta {
            group: GroupId::random(),
            rs: "shop".into(),
            optime,
            resume: EntryPosition { chain: 0, seq: 1 },
            feed_from: optime,
            server_version: "6.0.5".into(),
            fcv: "6.0".into(),
            storage: StorageOptions { directory_per_db: true, directory_for_indexes: false },
            taken_at: bson::DateTime::from_millis(0),
            label: None,
        };
        let text = String::from_utf8(encode(&meta, &[]).unwrap()).unwrap();
        for part in ["--directoryperdb", "--replSet shop", "2023-11-14T22:13:20Z", "TTL", "\"term\": 4"] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!text.contains("--wiredTigerDirectoryForIndexes"));
    }
}
