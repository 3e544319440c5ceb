//! Where a daemon keeps what: one place that knows the names of folders.
//!
//! ```text
//! <head_dir>/daemon.id, daemon.lock       who this is
//! <head_dir>/heads.key                    key file of private mongods
//! <head_dir>/clocks.json                  the last trusted reading of the clocks
//! <head_dir>/cache/                       the engine's cache, expendable
//! <head_dir>/work/<name>/                 restores and proofs; emptied at start
//! <head_dir>/jobs/<job>/gen-<n>/head.json what that head is (written last when it is made, removed first)
//! <head_dir>/jobs/<job>/gen-<n>/db/       its dbpath
//! <head_dir>/jobs/<job>/clone-<root>/     the files of that snapshot, sharing bytes with the head's
//! <head_dir>/jobs/<job>/clone-<root>.clone  what binds them to it (`blockstore_engine::ranges`)
//! <head_dir>/jobs/<job>/clone-new/        the clone of a snapshot that is being written
//! ```

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use holdfast_domain::BackupJobId;

use crate::dbpath;

/// Folders of a daemon.
#[derive(Clone, Debug)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// Makes what is missing and removes what a dead predecessor was working on. The caller holds the folder's lock.
    ///
    /// # Errors
    /// The file system's.
    pub fn open(root: &Path) -> io::Result<Self> {
        let layout = Self { root: root.to_owned() };
        dbpath::remove(&layout.root.join("work"))?;
        fs::create_dir_all(layout.root.join("work"))?;
        fs::create_dir_all(layout.root.join("jobs"))?;
        Ok(layout)
    }

    /// The head folder itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Key file of private mongods.
    #[must_use]
    pub fn keyfile(&self) -> PathBuf {
        self.root.join("heads.key")
    }

    /// The clock guard's file.
    #[must_use]
    pub fn clocks(&self) -> PathBuf {
        self.root.join("clocks.json")
    }

    /// The engine's cache.
    #[must_use]
    pub fn cache(&self) -> PathBuf {
        self.root.join("cache")
    }

    /// A work folder of its own name, made empty, removed when dropped.
    ///
    /// # Errors
    /// The file system's.
    pub fn work(&self, name: &str) -> io::Result<WorkDir> {
        let path = self.root.join("work").join(name);
        dbpath::remove(&path)?;
        fs::create_dir_all(&path)?;
        Ok(WorkDir(path))
    }

    /// Folder of a job.
    #[must_use]
    pub fn job(&self, job: &BackupJobId) -> PathBuf {
        self.root.join("jobs").join(job.as_str())
    }

    /// Jobs that have a folder here.
    #[must_use]
    pub fn jobs(&self) -> Vec<BackupJobId> {
        let entries = fs::read_dir(self.root.join("jobs")).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
    }
}

/// A folder that goes when it is dropped.
#[derive(Debug)]
pub struct WorkDir(PathBuf);

impl WorkDir {
    /// Where.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for WorkDir {
    fn drop(&mut self) {
        if let Err(error) = dbpath::remove(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "remove a work folder");
        }
    }
}
