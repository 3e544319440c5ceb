//! Who this daemon is: the id that it was given at its first registration, and the lock that makes it the only one in its folder.
//!
//! The id is kept in the head folder, because the heads are: a daemon that finds the folder is the daemon that owns the heads. While an
//! [`Identity`] lives, no other process can open the same folder; so a lease whose owner is this id was left by a dead predecessor.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use holdfast_domain::{DaemonId, ErrorClass};
use nix::fcntl::{Flock, FlockArg};

/// File that holds the id: 24 hex digits.
const ID_FILE: &str = "daemon.id";
/// File that is locked.
const LOCK_FILE: &str = "daemon.lock";

/// The head folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// Another daemon runs there.
    #[error("another daemon uses {dir}: stop it, or give this one a head_dir of its own")]
    InUse {
        /// The folder.
        dir: PathBuf,
    },
    /// The id file holds something else.
    #[error("{path} does not hold a daemon's id: if the folder's heads are not needed any more, remove the folder")]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The file system.
    #[error("{what} {path}")]
    Io {
        /// Verb phrase.
        what: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl IdentityError {
    /// All of these need an operator.
    #[must_use]
    pub const fn class(&self) -> ErrorClass {
        ErrorClass::Operator
    }
}

/// The daemon's id and the lock of its folder.
#[derive(Debug)]
pub struct Identity {
    /// The id; None before the first registration.
    pub id: Option<DaemonId>,
    path: PathBuf,
    _lock: Flock<File>,
}

impl Identity {
    /// Locks the folder (made when missing) and reads the id.
    ///
    /// # Errors
    /// [`IdentityError`]: in use, damaged, or the file system refuses.
    pub fn open(dir: &Path) -> Result<Self, IdentityError> {
        let io = |what, path: &Path| {
            let path = path.to_owned();
            move |source| IdentityError::Io { what, path, source }
        };
        fs::create_dir_all(dir).map_err(io("create", dir))?;
        let lock_path = dir.join(LOCK_FILE);
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(io("open", &lock_path))?;
        let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock)
            .map_err(|_| IdentityError::InUse { dir: dir.to_owned() })?;
        let id_path = dir.join(ID_FILE);
        let id = match fs::read_to_string(&id_path) {
            Ok(text) => Some(text.trim().parse().map_err(|_| IdentityError::Damaged { path: id_path.clone() })?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(source) => return Err(IdentityError::Io { what: "read", path: id_path, source }),
        };
        Ok(Self { id, path: id_path, _lock: lock })
    }

    /// Keeps the id that the registration gave.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn keep(&mut self, id: &DaemonId) -> Result<(), IdentityError> {
        if self.id.as_ref() == Some(id) {
            return Ok(());
        }
        let failed = |source| IdentityError::Io { what: "write", path: self.path.clone(), source };
        write_durably(&self.path, id.as_str().as_bytes()).map_err(failed)?;
        self.id = Some(id.clone());
        Ok(())
    }
}

/// Replaces a file so that a crash leaves the old content or the new, never a part.
///
/// # Errors
/// The file system's.
pub fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let temporary = PathBuf::from(name);
    let mut file = File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    if let Some(parent) = path.parent() {
        File::open(parent)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_id_stays_and_the_folder_has_one_owner() {
        let dir = tempfile::tempdir().unwrap();
        let mut first = Identity::open(dir.path()).unwrap();
        assert_eq!(first.id, None);
        let id = DaemonId::random();
        first.keep(&id).unwrap();
        assert!(matches!(Identity::open(dir.path()), Err(IdentityError::InUse { .. })));
        drop(first);
        let again = Identity::open(dir.path()).unwrap();
        assert_eq!(again.id, Some(id));
        drop(again);
        fs::write(dir.path().join(ID_FILE), "junk").unwrap();
        assert!(matches!(Identity::open(dir.path()), Err(IdentityError::Damaged { .. })));
    }
}
