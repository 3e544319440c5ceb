//! The programs that make an appliance: beside this one, and a mongod.

use std::{
    fs::{File, OpenOptions},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail};
use tokio::time::sleep;

use super::supervisor::POLL;

#[derive(Clone, Debug)]
pub(super) struct Programs {
    pub(super) app: PathBuf,
    pub(super) daemon: PathBuf,
    pub(super) agent: PathBuf,
    pub(super) mongod: PathBuf,
}

impl Programs {
    pub(super) fn find(mongod: Option<&Path>) -> anyhow::Result<Self> {
        let own = std::env::current_exe().context("find this program's folder")?;
        let beside = |name: &str| {
            let path = own.with_file_name(name);
            if path.exists() { Ok(path) } else { bail!("{} is missing: build it with scripts/build", path.display()) }
        };
        Ok(Self {
            app: beside("holdfast-app")?,
            daemon: beside("holdfast-daemon")?,
            agent: beside("holdfast-agent")?,
            mongod: find_mongod(mongod)?,
        })
    }
}

/// A mongod: the one that is named, else the first on the PATH, else what scripts/mongod fetched.
pub(crate) fn find_mongod(named: Option<&Path>) -> anyhow::Result<PathBuf> {
    let candidates = named.map(Path::to_owned).into_iter().chain(on_path()).chain(fetched());
    for candidate in candidates {
        if candidate.is_file() {
            return candidate.canonicalize().with_context(|| format!("look at {}", candidate.display()));
        }
    }
    bail!("no mongod was found: install one, set MONGOD to its path, or run scripts/mongod, which fetches one")
}

fn on_path() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|dir| dir.join("mongod")).collect()
}

/// What scripts/mongod keeps in the user's cache folder, newest version last in name order.
fn fetched() -> Vec<PathBuf> {
    let cache = std::env::var_os("HOLDFAST_CACHE").map(PathBuf::from);
    let cache = cache.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/holdfast")));
    let Some(entries) = cache.and_then(|dir| std::fs::read_dir(dir).ok()) else { return Vec::new() };
    let named = entries.flatten().filter(|e| e.file_name().to_string_lossy().starts_with("mongod-"));
    let mut found: Vec<PathBuf> = named.map(|e| e.path().join("mongod")).collect();
    found.sort();
    found.reverse();
    found
}

/// A log file to append to, readable by its owner only.
pub(super) fn open_log(path: &Path) -> anyhow::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("open the log {}", path.display()))
}

/// A command whose output goes to `log`.
pub(super) fn logged(program: &Path, arguments: &[String], log: &Path) -> anyhow::Result<Command> {
    let out = open_log(log)?;
    let err = out.try_clone().with_context(|| format!("open the log {}", log.display()))?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(out).stderr(err);
    Ok(command)
}

/// Runs a program to its end.
pub(super) async fn run_once(program: &Path, arguments: &[String], log: &Path) -> anyhow::Result<()> {
    let command = logged(program, arguments, log)?;
    let mut child = holdfast_mongod::spawn(command).await.with_context(|| format!("start {}", program.display()))?;
    loop {
        match child.try_wait().context("wait for a program")? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => bail!("{} ended with {status}; see {}", program.display(), log.display()),
            None => sleep(POLL).await,
        }
    }
}
