//! The mongod that the tests run.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::LazyLock,
};

static BINARY: LazyLock<PathBuf> = LazyLock::new(|| {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/mongod");
    let output = Command::new(&script).stderr(Stdio::inherit()).output();
    let path =
        output.ok().filter(|output| output.status.success()).and_then(|output| String::from_utf8(output.stdout).ok());
    match path {
        Some(path) => PathBuf::from(path.trim()),
        None => panic!("{} gave no mongod; its words are above", script.display()),
    }
});

/// Path of the mongod that `scripts/mongod` gives; the script runs once per process and may download it the first time.
///
/// # Panics
/// The script fails: a test cannot go on without a server.
pub fn mongod_binary() -> PathBuf {
    BINARY.clone()
}
