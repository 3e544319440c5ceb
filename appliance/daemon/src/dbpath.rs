//! Files of a stopped dbpath: which of them make a snapshot, and copies of them.
//!
//! Invariant: only ever of a dbpath that was stopped cleanly; then everything left out here is not needed to open it.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use blockstore_engine::ranges;

/// First path components that are no part of a snapshot: the journal (empty after a clean stop), diagnostics, locks, and what a private
/// mongod leaves for its own use.
const LEFT_OUT: [&str; 5] = ["journal", "diagnostic.data", "mongod.lock", "WiredTiger.lock", "_tmp"];
/// Folders below a dbpath, at most: database and `collection`/`index`, with room to spare.
const DEPTH_MAX: usize = 8;

/// How a copy was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copied {
    /// Every file shares its bytes with the original.
    Reflink,
    /// Bytes were copied.
    Plain,
}

/// True for what belongs to a snapshot; `relative` is relative to the dbpath.
#[must_use]
pub fn belongs(relative: &Path) -> bool {
    let first = relative.components().next();
    !first.is_some_and(|c| LEFT_OUT.iter().any(|out| c.as_os_str() == *out))
}

/// The files of a snapshot, relative to the dbpath, sorted.
///
/// # Errors
/// The file system's.
pub fn files(dbpath: &Path) -> io::Result<Vec<PathBuf>> {
    let mut out = Vec::new();
    let mut folders = vec![(PathBuf::new(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        for entry in fs::read_dir(dbpath.join(&folder))? {
            let entry = entry?;
            let relative = folder.join(entry.file_name());
            if !belongs(&relative) {
                continue;
            }
            if entry.file_type()?.is_dir() {
                if depth >= DEPTH_MAX {
                    return Err(io::Error::other(format!("{} is nested too deeply", relative.display())));
                }
                folders.push((relative, depth + 1));
            } else {
                out.push(relative);
            }
        }
    }
    out.sort();
    Ok(out)
}

/// As [`belongs`], for a path as the engine knows it.
#[must_use]
pub fn keeps(relative: &str) -> bool {
    belongs(Path::new(relative))
}

/// Copies the snapshot's files of `from` into `to` (made; must be empty), sharing bytes where the file system can. Blocks.
///
/// # Errors
/// The file system's; `to` is then incomplete and must be removed.
pub fn copy(from: &Path, to: &Path) -> io::Result<Copied> {
    fs::create_dir_all(to)?;
    let mut shared = true;
    for relative in files(from)? {
        let target = to.join(&relative);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        let (source, destination) = (File::open(from.join(&relative))?, File::create_new(&target)?);
        if !(shared && ranges::clone_file(&source, &destination)?) {
            shared = false;
            io::copy(&mut &source, &mut &destination)?;
        }
        destination.set_permissions(source.metadata()?.permissions())?;
    }
    Ok(if shared { Copied::Reflink } else { Copied::Plain })
}

/// Removes a folder that may be missing.
///
/// # Errors
/// The file system's, but not that it is missing.
pub fn remove(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn only_what_a_snapshot_needs() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["WiredTiger", "mongod.lock", "journal/j1", "db/collection/1.wt", "diagnostic.data/m"] {
            let path = dir.path().join("from").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, name).unwrap();
        }
        let to = dir.path().join("to");
        copy(&dir.path().join("from"), &to).unwrap();
        assert_eq!(files(&to).unwrap(), [Path::new("WiredTiger"), Path::new("db/collection/1.wt")]);
        assert_eq!(fs::read_to_string(to.join("db/collection/1.wt")).unwrap(), "db/collection/1.wt");
        assert!(!to.join("journal").exists());
        remove(&to).unwrap();
        remove(&to).unwrap();
    }
}
