//! One opener per dbpath: an advisory lock on a file beside it.
//!
//! The kernel frees the lock when the holder dies, however it dies; the file itself stays, since unlinking a lock file
//! races with the next one who locks it.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};

use crate::error::StartError;

/// Where the lock and the pid file of a dbpath lie.
#[derive(Debug, Clone)]
pub(crate) struct Beside {
    /// The lock file.
    pub(crate) lock: PathBuf,
    /// The pid file.
    pub(crate) pid: PathBuf,
}

impl Beside {
    /// Beside the dbpath, or in a folder of the caller's, where the name carries a hash of the whole path so that two
    /// dbpaths of one name do not share a lock. `dbpath` must be canonical.
    pub(crate) fn of(dbpath: &Path, lock_dir: Option<&Path>) -> Self {
        let name = dbpath.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_else(|| "root".into());
        let stem = match (lock_dir, dbpath.parent()) {
            (Some(dir), _) => dir.join(format!("{name}-{:016x}", fnv1a(dbpath.as_os_str().as_encoded_bytes()))),
            (None, Some(parent)) => parent.join(name),
            (None, None) => PathBuf::from("/root-dbpath"),
        };
        let with = |suffix: &str| {
            let mut path = stem.clone().into_os_string();
            path.push(suffix);
            PathBuf::from(path)
        };
        Self { lock: with(".mongod-lock"), pid: with(".mongod-pid") }
    }
}

/// Stable between releases and processes, which the standard library's hasher does not promise.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Takes the lock without waiting.
pub(crate) fn take(dbpath: &Path, beside: &Beside) -> Result<Flock<File>, StartError> {
    let io_error = |source| StartError::Io { what: "lock", path: beside.lock.clone(), source };
    let file =
        OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&beside.lock).map_err(io_error)?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(lock),
        Err((_, Errno::EWOULDBLOCK)) => Err(StartError::InUse { dbpath: dbpath.to_owned(), lock: beside.lock.clone() }),
        Err((_, errno)) => Err(io_error(io::Error::from(errno))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn names_lie_beside_the_dbpath_and_never_clash_in_a_shared_folder() {
        let beside = Beside::of(Path::new("/data/heads/j1"), None);
        assert_eq!(beside.lock, Path::new("/data/heads/j1.mongod-lock"));
        assert_eq!(beside.pid, Path::new("/data/heads/j1.mongod-pid"));
        let a = Beside::of(Path::new("/a/db"), Some(Path::new("/locks")));
        let b = Beside::of(Path::new("/b/db"), Some(Path::new("/locks")));
        assert!(a.lock.starts_with("/locks") && a.lock != b.lock);
    }

    #[test]
    fn second_taker_is_refused_until_the_first_lets_go() {
        let dir = tempfile::tempdir().unwrap();
        let dbpath = dir.path().join("db");
        let beside = Beside::of(&dbpath, None);
        let first = take(&dbpath, &beside).unwrap();
        assert!(matches!(take(&dbpath, &beside), Err(StartError::InUse { .. })));
        drop(first);
        take(&dbpath, &beside).unwrap();
    }
}
