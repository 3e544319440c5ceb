//! What of a folder is unchanged since its parent's clone: the maps of every file compared, before anything is read.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use super::extents::{WINDOW_BYTES, same_parts};
use super::file_system::name;
use super::sys::MapBuffer;
use super::{Since, Unchanged};
use crate::writer::list::Found;

/// Unchanged blocks by file.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// By relative path; files that changed from end to end are not here.
    pub(crate) files: HashMap<String, Arc<Unchanged>>,
    pub(crate) compared: u64,
    pub(crate) whole: u64,
}

/// Compares the clone with these files. `parent` gives size and block size in bytes of the parent's file. `None`: not on this file system.
/// Blocks.
pub(crate) fn plan(
    dir: &Path,
    found: &[Found],
    since: &Since,
    parent: &dyn Fn(&str) -> Option<(u64, u32)>,
) -> io::Result<Option<Plan>> {
    if !matches!(name(dir)?.as_str(), "xfs" | "btrfs") {
        return Ok(None);
    }
    let mut plan = Plan::default();
    let mut buffer = MapBuffer::new();
    let mut forget = since.forgets_one();
    for file in found {
        let compared = parent(&file.path).map(|old| compare(file, since, old, &mut buffer, &mut forget));
        match compared {
            Some(Ok(Some(blocks))) => {
                plan.compared += 1;
                if blocks.count() > 0 {
                    plan.files.insert(file.path.clone(), Arc::new(blocks));
                }
            }
            Some(Err(error)) => {
                tracing::debug!(path = file.path, %error, "the map of a file cannot be read: it counts as changed");
                plan.whole += 1;
            }
            _ => plan.whole += 1,
        }
    }
    Ok(Some(plan))
}

fn compare(
    file: &Found,
    since: &Since,
    (parent_size, block_size): (u64, u32),
    buffer: &mut MapBuffer,
    forget: &mut bool,
) -> io::Result<Option<Unchanged>> {
    let Some((old, old_size)) = since.clone_of_parent().file(&file.path)? else { return Ok(None) };
    let new = File::open(&file.absolute)?;
    let (old_metadata, new_metadata) = (old.metadata()?, new.metadata()?);
    // Places on different disks cannot be compared; and the parent's tree must be that of the clone's file.
    if old_metadata.dev() != new_metadata.dev() || old_size != parent_size || !new_metadata.is_file() {
        return Ok(None);
    }
    let size = new_metadata.len();
    let mut blocks = Unchanged::new(size, block_size);
    let common = size.min(old_size);
    let mut start = 0;
    while start < common {
        let end = common.min(start + WINDOW_BYTES);
        for same in same_parts(&old, &new, start..end, buffer, forget)? {
            blocks.mark(&same, old_size);
        }
        start = end;
    }
    Ok(Some(blocks))
}
