//! The folder in which a recovery works until its result is whole: `<target>.recover`, beside the target so that a rename is enough.
//!
//! ```text
//! <target>.recover/recover.json   what is being made, and whether its files are all there
//! <target>.recover/lock           held while somebody works here
//! <target>.recover/head/db/       the dbpath, and beside it what its private mongod needs
//! <target>.recover/index/         which pack holds which block; expendable
//! ```
//! Invariants: one process at a time; a folder that this program did not make is not touched; what a run left for the same target is gone
//! on with when its files are whole, and begun anew otherwise.

use std::{
    fs::{self, File},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::RecoverFault;

const STATE: &str = "recover.json";
const LOCK: &str = "lock";

/// What is being made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct State {
    /// The snapshot it begins with.
    pub(crate) base: String,
    /// Seconds and increment of the instant; None: the snapshot as it is.
    pub(crate) to: Option<(u32, u32)>,
    /// The snapshot's files are whole; a replay may have begun.
    pub(crate) files_whole: bool,
}

/// See the module.
pub(crate) struct Work {
    dir: PathBuf,
    _lock: File,
}

pub(crate) fn io_fault(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> RecoverFault {
    let path = path.to_owned();
    move |source| RecoverFault::Io { what, path, source }
}

/// The folder must be new or empty: nothing of anybody's is overwritten.
///
/// # Errors
/// [`RecoverFault::Request`] when it is not, [`RecoverFault::Io`].
pub fn check_target(to: &Path) -> Result<(), RecoverFault> {
    match fs::read_dir(to) {
        Ok(mut entries) => match entries.next() {
            Some(_) => Err(RecoverFault::Request(format!("{} is not empty: name a new folder", to.display()))),
            None => Ok(()),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(io_fault("look into", to)(error)),
    }
}

impl Work {
    /// Opens the work folder of a target; true: the files of this very recovery are whole in it.
    pub(crate) fn open(target: &Path, wanted: &State) -> Result<(Self, bool), RecoverFault> {
        check_target(target)?;
        let name =
            target.file_name().ok_or_else(|| RecoverFault::Request(format!("{} has no name", target.display())))?;
        let mut work_name = name.to_owned();
        work_name.push(".recover");
        let dir = target.with_file_name(work_name);
        if dir.exists() && !dir.join(LOCK).is_file() {
            return Err(RecoverFault::Request(format!("{} is in the way: move it elsewhere", dir.display())));
        }
        fs::create_dir_all(&dir).map_err(io_fault("make", &dir))?;
        let path = dir.join(LOCK);
        let lock =
            File::options().create(true).truncate(false).write(true).open(&path).map_err(io_fault("open", &path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => {
                return Err(RecoverFault::Request(format!("another recovery works in {}", dir.display())));
            }
            Err(fs::TryLockError::Error(error)) => return Err(io_fault("lock", &path)(error)),
        }
        let work = Self { dir, _lock: lock };
        let left: Option<State> =
            fs::read(work.dir.join(STATE)).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let goes_on = left.is_some_and(|left| left == State { files_whole: true, ..wanted.clone() });
        if !goes_on {
            work.write(wanted)?;
            remove(&work.head())?;
        }
        remove(&work.index())?;
        Ok((work, goes_on))
    }

    /// Says durably how far it is.
    pub(crate) fn write(&self, state: &State) -> Result<(), RecoverFault> {
        let (path, new) = (self.dir.join(STATE), self.dir.join("recover.json.new"));
        let text = serde_json::to_vec(state).map_err(io::Error::other).map_err(io_fault("write", &path))?;
        let written = || {
            fs::write(&new, text)?;
            File::open(&new)?.sync_all()?;
            fs::rename(&new, &path)?;
            File::open(&self.dir)?.sync_all()
        };
        written().map_err(io_fault("write", &path))
    }

    /// Folder of the head: its dbpath lies in it.
    pub(crate) fn head(&self) -> PathBuf {
        self.dir.join("head")
    }

    /// The scratch index.
    pub(crate) fn index(&self) -> PathBuf {
        self.dir.join("index")
    }

    /// Key file of the private mongod.
    pub(crate) fn keyfile(&self) -> PathBuf {
        self.dir.join("key")
    }

    /// The result gets its name; the work folder goes.
    pub(crate) fn finish(self, target: &Path) -> Result<(), RecoverFault> {
        let db = holdfast_head::Head::dbpath(&self.head());
        fs::rename(&db, target).map_err(io_fault("give its name to", target))?;
        let parent = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(parent).and_then(|dir| dir.sync_all()).map_err(io_fault("sync", parent))?;
        remove(&self.dir)
    }
}

/// Removes a folder that may be missing.
pub(crate) fn remove(dir: &Path) -> Result<(), RecoverFault> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(io_fault("remove", dir)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn state(base: &str) -> State {
        State { base: base.into(), to: Some((5, 1)), files_whole: false }
    }

    #[test]
    fn only_the_same_recovery_goes_on_and_only_one_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("out");
        let (work, goes_on) = Work::open(&target, &state("a")).unwrap();
        assert!(!goes_on);
        assert!(matches!(Work::open(&target, &state("a")).err().unwrap(), RecoverFault::Request(_)), "it is locked");
        let db = holdfast_head::Head::dbpath(&work.head());
        fs::create_dir_all(&db).unwrap();
        fs::write(db.join("file"), "1").unwrap();
        drop(work);
        let (work, goes_on) = Work::open(&target, &state("a")).unwrap();
        assert!(!goes_on && !db.exists(), "half of the files are nothing");
        fs::create_dir_all(&db).unwrap();
        work.write(&State { files_whole: true, ..state("a") }).unwrap();
        drop(work);
        let (work, goes_on) = Work::open(&target, &state("a")).unwrap();
        assert!(goes_on && db.exists());
        drop(work);
        let (work, goes_on) = Work::open(&target, &state("b")).unwrap();
        assert!(!goes_on && !db.exists(), "another snapshot");
        fs::create_dir_all(&db).unwrap();
        fs::write(db.join("file"), "2").unwrap();
        work.finish(&target).unwrap();
        assert_eq!(fs::read_to_string(target.join("file")).unwrap(), "2");
        assert!(!dir.path().join("out.recover").exists());
        assert!(check_target(&target).is_err());
        fs::create_dir(dir.path().join("x.recover")).unwrap();
        assert!(Work::open(&dir.path().join("x"), &state("a")).is_err(), "somebody's folder");
    }
}
