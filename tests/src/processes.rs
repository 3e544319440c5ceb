//! Processes of an appliance, found by their command lines, and their violent end. Only ids that were found so are ever killed.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// A mongod that runs somewhere in a folder.
#[derive(Clone, Debug)]
pub struct FoundMongod {
    /// Process id.
    pub pid: u32,
    /// Its `--dbpath`.
    pub dbpath: PathBuf,
    /// Its `--port`.
    pub port: u16,
}

/// The mongods whose files lie below a folder, by their command lines.
#[must_use]
pub fn mongods_below(folder: &Path) -> Vec<FoundMongod> {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok());
    let look = |pid: u32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let words: Vec<String> = line.split(|b| *b == 0).map(|w| String::from_utf8_lossy(w).into_owned()).collect();
        let value = |name: &str| words.iter().skip_while(|word| *word != name).nth(1);
        let dbpath = PathBuf::from(value("--dbpath")?);
        dbpath.starts_with(&folder).then_some(())?;
        Some(FoundMongod { pid, dbpath, port: value("--port")?.parse().ok()? })
    };
    pids.filter_map(look).collect()
}

/// SIGKILL.
///
/// # Errors
/// There is no such process.
pub fn kill_pid(pid: u32) -> Result<()> {
    kill(Pid::from_raw(i32::try_from(pid)?), Signal::SIGKILL).with_context(|| format!("kill process {pid}"))
}
