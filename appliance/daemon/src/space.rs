//! How much room the head folder has. Pure look-ups; callers decide.

use std::{io, path::Path};

/// Room of the file system that holds the heads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Bytes of the file system, or of the daemon's own limit when that is smaller.
    pub total_bytes: u64,
    /// Bytes that can still be written.
    pub free_bytes: u64,
}

/// Below this much free room no head grows: the job waits until there is more. 512 MB: a journal, a checkpoint and one
/// batch fit several times.
pub const HEAD_RESERVE_BYTES: u64 = 512 << 20;

/// The room at `dir`. `bytes_max` 0: no limit but the disk.
///
/// # Errors
/// The file system's.
pub fn room(dir: &Path, bytes_max: u64) -> io::Result<Room> {
    let stat = nix::sys::statvfs::statvfs(dir).map_err(io::Error::from)?;
    let unit = stat.fragment_size();
    let disk = Room { total_bytes: stat.blocks() * unit, free_bytes: stat.blocks_available() * unit };
    if bytes_max == 0 {
        return Ok(disk);
    }
    let used = used(dir)?;
    Ok(Room {
        total_bytes: bytes_max.min(disk.total_bytes),
        free_bytes: bytes_max.saturating_sub(used).min(disk.free_bytes),
    })
}

/// Bytes on disk below `dir` (allocated blocks, so that holes do not count). Files that vanish meanwhile count as nothing.
///
/// # Errors
/// The folder itself cannot be read.
pub fn used(dir: &Path) -> io::Result<u64> {
    use std::os::unix::fs::MetadataExt as _;
    let mut sum = 0;
    let mut folders = vec![dir.to_owned()];
    let mut first = true;
    while let Some(folder) = folders.pop() {
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if first => return Err(error),
            Err(_) => continue,
        };
        first = false;
        for entry in entries.flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() {
                folders.push(entry.path());
            } else {
                sum += metadata.blocks() * 512;
            }
        }
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_limit_is_counted_down_by_what_is_used() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("a")).unwrap();
        std::fs::write(dir.path().join("a/b"), vec![1; 100_000]).unwrap();
        assert!(used(dir.path()).unwrap() >= 100_000);
        let limited = room(dir.path(), 150_000).unwrap();
        assert!(limited.total_bytes == 150_000 && limited.free_bytes <= 50_000);
        assert!(room(dir.path(), 0).unwrap().total_bytes > 150_000);
    }
}
