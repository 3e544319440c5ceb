//! Files that appear whole or not at all.
//!
//! The bytes are synced before the name appears, and the folder after it, so that a power cut leaves the old file or the
//! new one. What a kill leaves behind is a scratch file that nobody reads.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// Writes or replaces a file with the given mode (such as `0o600`).
///
/// # Errors
/// Whatever the file system says; the old file is then still there.
pub fn atomic_write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let scratch = scratch(path, bytes, mode)?;
    let result = fs::rename(&scratch, path);
    if result.is_err() {
        let _ = fs::remove_file(&scratch);
    }
    result?;
    sync_folder(path)
}

/// Writes a file unless it is there; true when this call made it. Of several callers at once one wins, the others keep its
/// file: for keys and secrets that must not change once somebody has read them.
///
/// # Errors
/// Whatever the file system says.
pub fn create_once(path: &Path, bytes: &[u8], mode: u32) -> io::Result<bool> {
    if path.exists() {
        return Ok(false);
    }
    let scratch = scratch(path, bytes, mode)?;
    let linked = fs::hard_link(&scratch, path);
    let _ = fs::remove_file(&scratch);
    match linked {
        Ok(()) => sync_folder(path).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

fn scratch(path: &Path, bytes: &[u8], mode: u32) -> io::Result<PathBuf> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.{:08x}.new", std::process::id(), rand::random::<u32>()));
    let scratch = PathBuf::from(name);
    let written = OpenOptions::new().write(true).create_new(true).mode(mode).open(&scratch).and_then(|mut file| {
        file.write_all(bytes)?;
        // The mode given to open is cut by the umask.
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.sync_all()
    });
    match written {
        Ok(()) => Ok(scratch),
        Err(error) => {
            let _ = fs::remove_file(&scratch);
            Err(error)
        }
    }
}

fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn replaces_with_the_mode_asked_for_and_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        atomic_write(&path, b"one", 0o600).unwrap();
        atomic_write(&path, b"two", 0o644).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
        assert!(atomic_write(&dir.path().join("none/f"), b"", 0o600).is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn the_first_of_many_wins() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let made: Vec<bool> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8u8)
                .map(|i| {
                    scope.spawn({
                        let path = &path;
                        move || create_once(path, &[i; 4], 0o600).unwrap()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let winner = made.iter().position(|made| *made).unwrap();
        assert_eq!(made.iter().filter(|made| **made).count(), 1);
        assert_eq!(fs::read(&path).unwrap(), vec![u8::try_from(winner).unwrap(); 4]);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
