//! Which file system holds a folder, and whether it is a good one for what is backed up from it.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use nix::sys::statfs::statfs;

use super::sys;

/// Kinds by their magic numbers (linux/magic.h and the file systems' own headers).
const KNOWN: [(i64, &str); 9] = [
    (0x5846_5342, "xfs"),
    (0x9123_683E, "btrfs"),
    (0xEF53, "ext4"),
    (0x0102_1994, "tmpfs"),
    (0x794c_7630, "overlayfs"),
    (0x2FC1_2FC1, "zfs"),
    (0xCA45_1A4E, "bcachefs"),
    (0xF2F5_2010, "f2fs"),
    (0x6969, "nfs"),
];

/// A file system, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSystem {
    /// `xfs`, `btrfs`, `ext4`, ...; `0x...` for one that is not known by name.
    pub name: String,
    /// Files can share bytes, tried with two small ones: a head goes on while its snapshot is written.
    pub shares_bytes: bool,
}

impl FileSystem {
    /// Whether only what changed has to be read: XFS and btrfs whose files can share bytes.
    #[must_use]
    pub fn finds_changes(&self) -> bool {
        self.shares_bytes && matches!(self.name.as_str(), "xfs" | "btrfs")
    }

    /// What a person should know and do about it, in a sentence.
    #[must_use]
    pub fn recommendation(&self) -> String {
        if self.finds_changes() {
            return format!("{self}: good; a snapshot holds the head for moments and reads only what changed");
        }
        let what = if self.shares_bytes {
            "a snapshot reads every byte of the head"
        } else {
            "the head is held while a snapshot is written, and every byte of it is read"
        };
        format!("{self}: {what}; put the head folder on XFS made with reflink=1 (the default of mkfs.xfs)")
    }
}

impl fmt::Display for FileSystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} reflink", self.name, if self.shares_bytes { "with" } else { "without" })
    }
}

/// Looks at the file system of this folder, in which two small files are made for a moment.
///
/// # Errors
/// When the folder cannot be looked at. That files cannot be made in it counts as "cannot share bytes".
pub fn file_system(dir: &Path) -> io::Result<FileSystem> {
    Ok(FileSystem { name: name(dir)?, shares_bytes: can_share(dir) })
}

pub(crate) fn name(dir: &Path) -> io::Result<String> {
    let magic = statfs(dir).map_err(io::Error::from)?.filesystem_type().0;
    // The type has 32 bits of meaning, and its sign on some machines.
    let magic = magic & 0xFFFF_FFFF;
    let known = KNOWN.iter().find(|(number, _)| *number == magic);
    Ok(known.map_or_else(|| format!("{magic:#x}"), |(_, name)| (*name).to_owned()))
}

fn can_share(dir: &Path) -> bool {
    let (a, b) = (dir.join(".reflink-a"), dir.join(".reflink-b"));
    let tried = || -> io::Result<bool> {
        fs::write(&a, [1; 4096])?;
        sys::clone_file(&File::open(&a)?, &File::create(&b)?)
    };
    let can = tried().unwrap_or(false);
    for path in [a, b] {
        let _ = fs::remove_file(path);
    }
    can
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn every_file_system_gets_a_name_and_a_sentence() {
        let dir = tempfile::tempdir().unwrap();
        let here = file_system(dir.path()).unwrap();
        assert!(!here.name.is_empty() && fs::read_dir(dir.path()).unwrap().next().is_none(), "nothing is left behind");
        let of = |name: &str, shares_bytes| FileSystem { name: name.into(), shares_bytes };
        assert!(of("xfs", true).recommendation().contains("good"));
        for bad in [of("xfs", false), of("ext4", false), of("bcachefs", true)] {
            assert!(!bad.finds_changes() && bad.recommendation().contains("put the head folder on XFS"));
        }
    }
}
