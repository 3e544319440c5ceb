//! Clones of a folder, and what binds one to the snapshot that was written from it.
//!
//! ```text
//! <dir>/...     the files, sharing their bytes with the original's
//! <dir>.clone   BSON, written last: root, and per file inode, size, time of change
//! ```
//!
//! Invariants: the record is written after the root is committed and removed before the files are; a folder without one is no clone of any
//! snapshot. Nothing here writes into a clone's files once it is made.

use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::sys;
use crate::id::RootId;
use crate::writer::list::list;

/// Version of the record.
const FORMAT: i32 = 1;
/// Bytes of a record, at most: 100,000 files with paths of 500 bytes fit.
const RECORD_BYTES_MAX: u64 = 64 << 20;

/// Why a folder was not cloned.
#[derive(Debug, thiserror::Error)]
pub enum CloneError {
    /// The file system cannot share bytes between files.
    #[error("the file system of {0} cannot share bytes between files")]
    Unsupported(PathBuf),
    /// Something that cannot be in a snapshot.
    #[error("{path:?} cannot be cloned: {reason}")]
    Refused {
        /// Relative to the folder.
        path: String,
        /// What it is.
        reason: &'static str,
    },
    /// The file system.
    #[error("cloning {path}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl CloneError {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        move |source| Self::Io { path: path.to_owned(), source }
    }
}

/// A file as it was when it was cloned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp {
    /// Inode.
    i: i64,
    /// Bytes.
    pub(super) n: i64,
    /// Time of change: seconds, nanoseconds.
    s: i64,
    ns: i64,
}

impl Stamp {
    pub(super) fn of(metadata: &Metadata) -> Self {
        // Kept as the same 64 bits; only equality matters.
        Self {
            i: metadata.ino().cast_signed(),
            n: metadata.len().cast_signed(),
            s: metadata.ctime(),
            ns: metadata.ctime_nsec(),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Record {
    format: i32,
    root: RootId,
    files: HashMap<String, Stamp>,
}

/// A clone that belongs to no snapshot yet.
#[derive(Debug)]
pub struct TreeClone {
    dir: PathBuf,
    stamps: HashMap<String, Stamp>,
}

/// A clone, and the snapshot that was written from it.
#[derive(Debug)]
pub struct BoundClone {
    root: RootId,
    dir: PathBuf,
    stamps: HashMap<String, Stamp>,
}

/// Makes `to` (empty, open for writing) share the bytes of `from`. False when the file system cannot.
///
/// # Errors
/// Anything but "this file system cannot do that".
pub fn clone_file(from: &File, to: &File) -> io::Result<bool> {
    sys::clone_file(from, to)
}

/// Clones the regular files below `from` that `keep` wants (by their relative paths) into `to`, which must not exist. Blocks. Nobody may be
/// writing to `from`.
///
/// # Errors
/// [`CloneError`]; what was made of `to` is removed again.
pub fn clone_tree(from: &Path, to: &Path, keep: &dyn Fn(&str) -> bool) -> Result<TreeClone, CloneError> {
    fs::create_dir(to).map_err(CloneError::io(to))?;
    let cloned = clone_all(from, to, keep);
    if cloned.is_err()
        && let Err(error) = remove_clone(to)
    {
        tracing::warn!(path = %to.display(), %error, "remove an incomplete clone");
    }
    cloned
}

fn clone_all(from: &Path, to: &Path, keep: &dyn Fn(&str) -> bool) -> Result<TreeClone, CloneError> {
    let mut found =
        list(from).map_err(|error| CloneError::Io { path: from.to_owned(), source: io::Error::other(error) })?;
    found.retain(|file| keep(&file.path));
    let mut stamps = HashMap::with_capacity(found.len());
    for file in found {
        if let Some(reason) = file.refusal {
            return Err(CloneError::Refused { path: file.path, reason });
        }
        let target = to.join(&file.path);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent).map_err(CloneError::io(parent))?;
        }
        let original = File::open(&file.absolute).map_err(CloneError::io(&file.absolute))?;
        let copy = File::create_new(&target).map_err(CloneError::io(&target))?;
        if !sys::clone_file(&original, &copy).map_err(CloneError::io(&target))? {
            return Err(CloneError::Unsupported(from.to_owned()));
        }
        let permissions = original.metadata().map_err(CloneError::io(&file.absolute))?.permissions();
        copy.set_permissions(permissions).map_err(CloneError::io(&target))?;
        let metadata = copy.metadata().map_err(CloneError::io(&target))?;
        stamps.insert(file.path, Stamp::of(&metadata));
    }
    Ok(TreeClone { dir: to.to_owned(), stamps })
}

impl TreeClone {
    /// Where it is.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Says that this root was committed from it, and moves it to `to`, replacing what is there.
    ///
    /// # Errors
    /// The file system's.
    pub fn bind(self, root: RootId, to: &Path) -> io::Result<BoundClone> {
        if self.dir != to {
            remove_clone(to)?;
            fs::rename(&self.dir, to)?;
        }
        let record = Record { format: FORMAT, root, files: self.stamps };
        let bytes = bson::serialize_to_vec(&record).map_err(io::Error::other)?;
        let (path, draft) = (beside(to, "clone"), beside(to, "clone-draft"));
        let mut file = File::create(&draft)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&draft, &path)?;
        if let Some(parent) = to.parent() {
            File::open(parent)?.sync_all()?;
        }
        Ok(BoundClone { root, dir: to.to_owned(), stamps: record.files })
    }
}

impl BoundClone {
    /// The clone in this folder; `None` when there is none that is bound to a snapshot (or its record cannot be read).
    ///
    /// # Errors
    /// The file system's.
    pub fn open(dir: &Path) -> io::Result<Option<Self>> {
        let path = beside(dir, "clone");
        let length = match fs::metadata(&path) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if length > RECORD_BYTES_MAX || !dir.is_dir() {
            return Ok(None);
        }
        let record = bson::deserialize_from_slice::<Record>(&fs::read(&path)?).ok();
        Ok(record.filter(|record| record.format == FORMAT).map(|record| Self {
            root: record.root,
            dir: dir.to_owned(),
            stamps: record.files,
        }))
    }

    /// The snapshot that was written from it.
    #[must_use]
    pub fn root(&self) -> RootId {
        self.root
    }

    /// Where it is.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A file, open, if it is as it was when it was cloned; and its size in bytes.
    pub(super) fn file(&self, path: &str) -> io::Result<Option<(File, u64)>> {
        let Some(stamp) = self.stamps.get(path) else { return Ok(None) };
        let file = match File::open(self.dir.join(path)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let metadata = file.metadata()?;
        let is_same = metadata.is_file() && Stamp::of(&metadata) == *stamp;
        Ok(is_same.then_some((file, metadata.len())))
    }
}

/// Removes a clone, bound or not, whole or not; that it is missing is no error.
///
/// # Errors
/// The file system's.
pub fn remove_clone(dir: &Path) -> io::Result<()> {
    let missing_is_fine = |result: io::Result<()>| match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    missing_is_fine(fs::remove_file(beside(dir, "clone")))?;
    missing_is_fine(fs::remove_file(beside(dir, "clone-draft")))?;
    missing_is_fine(fs::remove_dir_all(dir))
}

/// `dir` with something appended to its name.
fn beside(dir: &Path, extension: &str) -> PathBuf {
    let mut name = dir.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    name.into()
}
