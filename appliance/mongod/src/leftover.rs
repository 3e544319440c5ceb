//! A server that an earlier process left behind: recognised by pid *and* start time, killed, waited for.
//!
//! The parent-death signal makes left-overs rare; a binary that clears it, or a kernel that kills the parent between fork
//! and prctl, makes them possible. A pid alone proves nothing, since the kernel gives pids out again: the start time and
//! the dbpath on the command line must fit too. Nothing else is ever signalled.

use std::{
    fs, io,
    os::unix::ffi::OsStrExt,
    path::Path,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::{Deserialize, Serialize};

use crate::error::StartError;

/// A killed process that still holds its memory or its disk for longer than this needs a human.
const DEATH_TIMEOUT: Duration = Duration::from_secs(60);
/// How often the death is looked for.
const DEATH_POLL: Duration = Duration::from_millis(20);

/// What the pid file says.
#[derive(Debug, Serialize, Deserialize, PartialEq, Eq)]
pub(crate) struct PidFile {
    /// Process id of the server.
    pub(crate) pid: u32,
    /// Field 22 of `/proc/<pid>/stat`: start time in clock ticks since boot.
    pub(crate) start_ticks: u64,
}

/// Start time in clock ticks since boot; `None` when there is no such process or it is only a zombie.
pub(crate) fn start_ticks(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in parentheses and may hold anything, so count from its end.
    let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// Notes a running server beside its dbpath.
pub(crate) fn write(path: &Path, pid: u32) -> io::Result<()> {
    // A process that is gone already leaves nothing to note: the caller sees its exit.
    let Some(start_ticks) = start_ticks(pid) else { return Ok(()) };
    let text = serde_json::to_vec(&PidFile { pid, start_ticks })?;
    let mut scratch = path.as_os_str().to_owned();
    scratch.push(".new");
    fs::write(&scratch, text)?;
    fs::rename(&scratch, path)
}

/// Kills the server that the pid file names if it still runs on this dbpath. The caller holds the dbpath's lock.
pub(crate) async fn remove(dbpath: &Path, path: &Path) -> Result<(), StartError> {
    let io_error = |what| move |source| StartError::Io { what, path: path.to_owned(), source };
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(io_error("read"))?,
    };
    // A torn file names nobody; the dbpath's own lock (mongod.lock) still protects the data.
    if let Ok(found) = serde_json::from_slice::<PidFile>(&bytes)
        && is_ours(&found, dbpath)
    {
        tracing::warn!(pid = found.pid, dbpath = %dbpath.display(), "killing a mongod that an earlier process left behind");
        end(&found, dbpath).await?;
    }
    fs::remove_file(path).map_err(io_error("remove"))
}

fn is_ours(found: &PidFile, dbpath: &Path) -> bool {
    start_ticks(found.pid) == Some(found.start_ticks)
        && fs::read(format!("/proc/{}/cmdline", found.pid))
            .is_ok_and(|line| line.split(|byte| *byte == 0).any(|word| word == dbpath.as_os_str().as_bytes()))
}

async fn end(found: &PidFile, dbpath: &Path) -> Result<(), StartError> {
    let left = || StartError::LeftOver { pid: found.pid, dbpath: dbpath.to_owned(), waited: DEATH_TIMEOUT };
    let pid = Pid::from_raw(i32::try_from(found.pid).map_err(|_| left())?);
    // ESRCH: it died between the look and the kill.
    let _ = kill(pid, Signal::SIGKILL);
    let since = Instant::now();
    while start_ticks(found.pid) == Some(found.start_ticks) {
        if since.elapsed() > DEATH_TIMEOUT {
            return Err(left());
        }
        tokio::time::sleep(DEATH_POLL).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::process::Command;

    use super::*;

    #[test]
    fn start_ticks_of_this_process_are_stable() {
        let own = std::process::id();
        assert!(start_ticks(own).unwrap() > 0);
        assert_eq!(start_ticks(own), start_ticks(own));
        assert_eq!(start_ticks(u32::MAX), None);
    }

    /// A child that runs for a minute with `word` on its command line.
    fn sleeper(word: &Path) -> std::process::Child {
        Command::new("sh").arg("-c").arg("sleep 60 & wait").arg(word).spawn().unwrap()
    }

    #[tokio::test]
    async fn kills_only_what_fits_pid_start_time_and_dbpath() {
        let dir = tempfile::tempdir().unwrap();
        let dbpath = dir.path().join("db");
        let file = dir.path().join("db.mongod-pid");
        let mut child = sleeper(&dbpath);
        // Wait for the exec: until then the command line is this test's own.
        while !fs::read(format!("/proc/{}/cmdline", child.id())).unwrap().starts_with(b"sh\0") {
            std::thread::sleep(Duration::from_millis(5));
        }

        let ticks = start_ticks(child.id()).unwrap();
        let other_time = PidFile { pid: child.id(), start_ticks: ticks + 1 };
        fs::write(&file, serde_json::to_vec(&other_time).unwrap()).unwrap();
        remove(&dbpath, &file).await.unwrap();
        assert!(child.try_wait().unwrap().is_none(), "another start time: not ours");

        write(&file, child.id()).unwrap();
        remove(&dir.path().join("other"), &file).await.unwrap();
        assert!(child.try_wait().unwrap().is_none(), "another dbpath: not ours");

        write(&file, child.id()).unwrap();
        remove(&dbpath, &file).await.unwrap();
        assert!(!child.wait().unwrap().success(), "ours: killed");
        assert!(!file.exists());
        remove(&dbpath, &file).await.unwrap();
    }
}
