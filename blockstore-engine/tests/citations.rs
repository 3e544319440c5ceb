//! Every test that `docs/concurrency.md` names is there.

use std::fs;
use std::path::Path;

/// What stands before a name, and where its tests are.
const FILES: &[(&str, &str)] = &[
    ("p/", "protocol.rs"),
    ("c/", "collect.rs"),
    ("f/", "frozen.rs"),
    ("v/", "verify.rs"),
    ("q/", "quarantine.rs"),
    ("g/", "ghosts.rs"),
    ("s/", "snapshots.rs"),
    ("cp/", "copies.rs"),
];

/// The file that a cited test must be in, below `tests/`, and its name; `None`: something else stands there.
fn cited(text: &str) -> Option<(String, &str)> {
    let is_name = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    if let Some((module, name)) = text.strip_prefix("st/").and_then(|rest| rest.split_once("::")) {
        return (is_name(module) && is_name(name)).then(|| (format!("stores/{module}.rs"), name));
    }
    let (file, name) = FILES.iter().find_map(|(prefix, file)| Some((file, text.strip_prefix(prefix)?)))?;
    is_name(name).then(|| ((*file).to_owned(), name))
}

#[test]
fn every_cited_test_exists() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(dir.join("docs/concurrency.md")).unwrap();
    let mut found = 0;
    for (file, name) in text.split('`').skip(1).step_by(2).filter_map(cited) {
        let tests = fs::read_to_string(dir.join("tests").join(&file)).unwrap();
        assert!(tests.contains(&format!("async fn {name}(")), "{name} is not in tests/{file}");
        found += 1;
    }
    assert!(found > 20, "only {found} citations were understood");
}
