//! Listing the files below a folder, in the order of their paths.

use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use crate::error::WriteError;

/// Something below the folder that is not a folder itself.
pub(crate) struct Found {
    /// Relative to the folder; lossy when it is not UTF-8, which is an error if it is wanted.
    pub(crate) path: String,
    pub(crate) absolute: PathBuf,
    /// Why it cannot be in a snapshot.
    pub(crate) refusal: Option<&'static str>,
    /// Bytes when it was listed.
    pub(crate) size: u64,
}

/// Everything below `dir`, sorted by the bytes of the paths. Symbolic links are not followed.
pub(crate) fn list(dir: &Path) -> Result<Vec<Found>, WriteError> {
    let io_error = |path: &Path, source: io::Error| WriteError::Io { path: path.to_owned(), source };
    let mut found = Vec::new();
    let mut folders = vec![(dir.to_owned(), String::new(), true)];
    while let Some((folder, prefix, is_utf8)) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(|error| io_error(&folder, error))? {
            let entry = entry.map_err(|error| io_error(&folder, error))?;
            let absolute = entry.path();
            let name = entry.file_name();
            let is_utf8 = is_utf8 && name.to_str().is_some();
            let path = format!("{prefix}{}", name.to_string_lossy());
            let kind = match entry.file_type() {
                Ok(kind) => kind,
                // Gone since the folder was read: it is not there.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(io_error(&absolute, error)),
            };
            if kind.is_dir() {
                folders.push((absolute, format!("{path}/"), is_utf8));
                continue;
            }
            let refusal = match () {
                () if !is_utf8 => Some("not UTF-8"),
                () if kind.is_symlink() => Some("a symbolic link"),
                () if kind.is_fifo() || kind.is_socket() || kind.is_block_device() || kind.is_char_device() => {
                    Some("not a regular file")
                }
                () => None,
            };
            let size = entry.metadata().map_or(0, |metadata| metadata.len());
            found.push(Found { path, absolute, refusal, size });
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}
