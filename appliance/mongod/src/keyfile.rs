//! The random key that members and private clients of one server share.
//!
//! Clients log in with it as `__system` on `local` (SCRAM-SHA-256, the key as password), so nothing has to be added to
//! `admin.system.users`, which in a head belongs to the source.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
};

use crate::error::KeyFileError;

/// Random bytes in a key; written as hex, which is inside mongod's base64 alphabet and needs no escape in a URI.
const KEY_BYTES: usize = 48;
/// mongod takes 6 to 1024 characters.
const KEY_CHARS_MIN: usize = 6;
/// See [`KEY_CHARS_MIN`].
const KEY_CHARS_MAX: usize = 1024;

/// Makes a random key file with mode 0600 unless one is there. Two callers at once end with the same key.
///
/// # Errors
/// The folder cannot be written, or what is there is no key file.
pub fn create_keyfile(path: &Path) -> Result<(), KeyFileError> {
    let io_error = |what| move |source| KeyFileError::Io { what, path: path.to_owned(), source };
    if path.exists() {
        // mongod refuses a key that others can read.
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(io_error("set the mode of"))?;
        return read_keyfile(path).map(|_| ());
    }
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        fs::create_dir_all(parent).map_err(io_error("create the folder of"))?;
    }
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.{:08x}", std::process::id(), rand::random::<u32>()));
    let scratch = std::path::PathBuf::from(name);
    let key: [u8; KEY_BYTES] = rand::random();
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&scratch)
        .and_then(|mut file| file.write_all(hex::encode(key).as_bytes()).and_then(|()| file.sync_all()))
        // A link, not a rename: whoever comes second must not replace a key that a server may already have read.
        .and_then(|()| match fs::hard_link(&scratch, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        });
    // The scratch file is of no use whatever happened; the result above is what counts.
    let _ = fs::remove_file(&scratch);
    written.map_err(io_error("write"))
}

/// The key in a file as mongod reads it: without white space.
///
/// # Errors
/// The file cannot be read, or is no key that mongod takes.
pub fn read_keyfile(path: &Path) -> Result<String, KeyFileError> {
    let text =
        fs::read_to_string(path).map_err(|source| KeyFileError::Io { what: "read", path: path.to_owned(), source })?;
    let key: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let invalid = |reason| KeyFileError::Invalid { path: path.to_owned(), reason };
    if !(KEY_CHARS_MIN..=KEY_CHARS_MAX).contains(&key.len()) {
        return Err(invalid("a key has 6 to 1024 characters"));
    }
    if !key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=')) {
        return Err(invalid("a key has base64 characters only"));
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn is_made_once_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sub/key");
        create_keyfile(&path).unwrap();
        let first = read_keyfile(&path).unwrap();
        assert_eq!(first.len(), 2 * KEY_BYTES);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        create_keyfile(&path).unwrap();
        assert_eq!(read_keyfile(&path).unwrap(), first);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no scratch file is left");
    }

    #[test]
    fn many_at_once_agree() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let keys: Vec<String> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        create_keyfile(&path).unwrap();
                        read_keyfile(&path).unwrap()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0]));
    }

    #[test]
    fn garbage_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        for text in ["", "short", "not a key!!"] {
            fs::write(&path, text).unwrap();
            assert!(matches!(create_keyfile(&path), Err(KeyFileError::Invalid { .. })), "{text:?}");
        }
    }
}
