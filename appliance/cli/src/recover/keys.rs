//! Exported keys of groups that encrypt, read from files.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use holdfast_recover::{GroupKey, Keyring};

/// Largest key file, in bytes.
const BYTES_MAX: u64 = 64 << 10;

/// The keys of these files.
pub(super) fn read(files: &[PathBuf]) -> anyhow::Result<Keyring> {
    let keys = Keyring::default();
    for file in files {
        keys.insert(&key(file).with_context(|| format!("read the key in {}", file.display()))?);
    }
    Ok(keys)
}

fn key(file: &Path) -> anyhow::Result<GroupKey> {
    if std::fs::metadata(file)?.len() > BYTES_MAX {
        bail!("it is too large to be a key");
    }
    Ok(GroupKey::from_file(&std::fs::read_to_string(file)?)?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_file_and_the_printed_text_give_the_same_key() {
        let key = GroupKey::generate();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        for form in [key.to_file("shop"), key.export(), format!("\n{}\n", key.export())] {
            std::fs::write(&path, form).unwrap();
            assert!(super::key(&path).ok() == Some(key.clone()));
        }
        for bad in ["", "{}", "HFKEY-1", "{\"key\": 5}"] {
            std::fs::write(&path, bad).unwrap();
            assert!(super::key(&path).is_err(), "{bad}");
        }
        std::fs::write(&path, " ".repeat(70 << 10)).unwrap();
        assert!(super::key(&path).unwrap_err().to_string().contains("too large"));
    }
}
