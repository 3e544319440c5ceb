//! Which of our crates may use which: the layers of the system, checked against `cargo metadata`.
//!
//! The agent must stay small and know nothing of the servers; the engine must know nothing of the appliance; ingest, web
//! and daemon meet in documents of the databases and never in code. A new crate or edge has to be entered here, where a
//! reviewer sees it.

use std::{collections::BTreeMap, path::Path};

use cargo_metadata::{DependencyKind, MetadataCommand};

/// Every crate of ours and what it may use, in what ships (normal and build dependencies).
const ALLOWED: &[(&str, &[&str])] = &[
    ("holdfast-domain", &[]),
    // The table of metrics and its arithmetic.
    ("holdfast-metrics", &[]),
    ("holdfast-memory", &[]),
    ("holdfast-service", &[]),
    ("holdfast-mongod", &[]),
    ("blockstore-engine", &[]),
    ("holdfast-agent-api", &["holdfast-domain"]),
    // A client of servers elsewhere; it knows no documents.
    ("holdfast-sftp", &["holdfast-domain"]),
    ("holdfast-metadb", &["holdfast-domain", "holdfast-agent-api", "holdfast-metrics"]),
    ("holdfast-ledger", &["holdfast-domain", "holdfast-agent-api"]),
    ("holdfast-blockstore", &["holdfast-domain", "holdfast-metadb", "holdfast-service", "blockstore-engine"]),
    (
        "holdfast-ingest",
        &[
            "holdfast-blockstore",
            "holdfast-domain",
            "holdfast-agent-api",
            "holdfast-metadb",
            "holdfast-ledger",
            "holdfast-service",
            "blockstore-engine",
        ],
    ),
    (
        "holdfast-web",
        &[
            "holdfast-sftp",
            "holdfast-blockstore",
            "holdfast-domain",
            "holdfast-metrics",
            "holdfast-agent-api",
            "holdfast-metadb",
            "holdfast-ledger",
            "holdfast-service",
            "blockstore-engine",
        ],
    ),
    // A private mongod that follows an oplog: for the daemon, and for recovery where there is no daemon.
    ("holdfast-head", &["holdfast-domain", "holdfast-mongod"]),
    // From a blockstore alone, without the app database: it must not know of metadb, web, ingest or daemon.
    (
        "holdfast-recover",
        &["holdfast-domain", "holdfast-head", "holdfast-ledger", "holdfast-mongod", "blockstore-engine"],
    ),
    (
        "holdfast-daemon",
        &[
            "holdfast-sftp",
            "holdfast-blockstore",
            "holdfast-memory",
            "holdfast-domain",
            "holdfast-head",
            "holdfast-agent-api",
            "holdfast-metadb",
            "holdfast-ledger",
            "holdfast-mongod",
            "holdfast-service",
            "blockstore-engine",
        ],
    ),
    ("holdfast-agent", &["holdfast-domain", "holdfast-agent-api", "holdfast-memory", "holdfast-metrics"]),
    (
        "holdfast-app",
        &[
            "holdfast-blockstore",
            "holdfast-memory",
            "holdfast-web",
            "holdfast-ingest",
            "holdfast-service",
            "holdfast-metadb",
            "holdfast-ledger",
            "holdfast-domain",
            "blockstore-engine",
        ],
    ),
    ("holdfast", &["holdfast-domain", "holdfast-mongod", "holdfast-recover", "holdfast-service"]),
];
/// Crates of tests, benchmarks and fuzz targets may use anything: nothing that is shipped uses them.
const FREE: &[&str] = &["holdfast-bench", "holdfast-fuzz", "holdfast-tests"];
/// What any crate's tests may use besides its own list.
const FOR_TESTS: &[&str] = &["holdfast-mongod", "holdfast-tests", "holdfast-service", "holdfast-recover"];

/// An edge between two of our crates.
struct Edge {
    from: String,
    to: String,
    shipped: bool,
}

/// Why an edge is not allowed, if it is not.
fn objection(edge: &Edge) -> Option<String> {
    let Edge { from, to, shipped } = edge;
    if FREE.contains(&from.as_str()) {
        return None;
    }
    let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| name == from) else {
        return Some(format!("{from} is not in the table of layers"));
    };
    let fine = allowed.contains(&to.as_str()) || (!shipped && FOR_TESTS.contains(&to.as_str()));
    (!fine).then(|| format!("{from} must not use {to}{}", if *shipped { "" } else { " in its tests" }))
}

#[test]
fn no_crate_reaches_where_it_must_not() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
    let metadata = MetadataCommand::new()
        .manifest_path(manifest)
        .no_deps()
        .other_options(["--offline".to_owned()])
        .exec()
        .unwrap();
    let ours: BTreeMap<_, _> = metadata.packages.iter().map(|package| (package.name.to_string(), package)).collect();
    assert!(ours.len() > 5, "cargo metadata lists our crates");
    let mut objections: Vec<String> = Vec::new();
    for (name, package) in &ours {
        if !FREE.contains(&name.as_str()) && !ALLOWED.iter().any(|(known, _)| known == name) {
            objections.push(format!("{name} is not in the table of layers"));
        }
        for dependency in package.dependencies.iter().filter(|dependency| ours.contains_key(&dependency.name)) {
            let shipped = dependency.kind != DependencyKind::Development;
            objections.extend(objection(&Edge { from: name.clone(), to: dependency.name.clone(), shipped }));
        }
    }
    assert!(objections.is_empty(), "{objections:#?}");
}

/// Crates whose tests are one binary, put together in `tests/suite.rs`.
const SUITES: &[&str] =
    &["appliance/agent", "appliance/daemon", "appliance/ledger", "appliance/metadb", "blockstore-engine", "tests"];

#[test]
fn no_file_of_a_suite_is_left_out() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for suite in SUITES {
        let tests = top.join(suite).join("tests");
        let root = std::fs::read_to_string(tests.join("suite.rs")).unwrap();
        let manifest = std::fs::read_to_string(top.join(suite).join("Cargo.toml")).unwrap();
        for entry in std::fs::read_dir(&tests).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap();
            let is_code = path.is_dir() || path.extension().is_some_and(|extension| extension == "rs");
            let own = manifest.contains(&format!("path = \"tests/{name}.rs\""));
            let taken = root.lines().any(|line| line == format!("mod {name};"));
            assert!(!is_code || own || taken, "{} is in no test binary", path.display());
        }
    }
}

#[test]
fn the_check_can_fail() {
    let edge = |from: &str, to: &str, shipped| objection(&Edge { from: from.into(), to: to.into(), shipped });
    assert!(edge("holdfast-agent", "holdfast-ledger", true).is_some());
    assert!(edge("holdfast-agent", "holdfast-ledger", false).is_some());
    assert!(edge("blockstore-engine", "holdfast-mongod", true).is_some());
    assert!(edge("blockstore-engine", "holdfast-mongod", false).is_none());
    assert!(edge("holdfast-web", "holdfast-tests", true).is_some());
    assert!(edge("holdfast-recover", "holdfast-metadb", true).is_some());
    assert!(edge("unknown", "holdfast-domain", true).is_some());
    assert!(edge("holdfast-ledger", "holdfast-domain", true).is_none());
}
