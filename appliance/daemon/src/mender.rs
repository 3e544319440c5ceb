//! Repairs of bad blocks from what this daemon has: the engine's cache, the clones of its heads, the heads themselves.
//!
//! Invariants: a folder is only a place to look, since the engine takes nothing that does not hash to the id of the bad block; a head that its mongod
//! writes meanwhile does no harm, and what did not change in it still helps. It opens no mongod and changes no file.

use std::{fs, path::PathBuf};

use blockstore_engine::{RepairReport, VerifyError, verify::directory};
use tokio_util::sync::CancellationToken;

use crate::{context::Context, layout::Layout};

/// Times that all folders are looked through: what lies below a bad node can be placed only after the node is repaired.
const PASSES_MAX: usize = 4;

/// Repairs what can be repaired; what the last attempt left, and what all of them did.
///
/// # Errors
/// The store's. What is left is in the report.
pub async fn repair(ctx: &Context, cancel: &CancellationToken) -> Result<RepairReport, VerifyError> {
    let mut all = ctx.store.repair(None, cancel.clone()).await?;
    let layout = ctx.layout.clone();
    let folders = tokio::task::spawn_blocking(move || folders(&layout)).await.unwrap_or_default();
    for _ in 0..PASSES_MAX {
        let mut found = false;
        for folder in &folders {
            if all.left.is_empty() {
                return Ok(all);
            }
            let report = ctx.store.repair(Some(directory(folder.clone())), cancel.clone()).await?;
            found |= report.from_source > 0;
            all.from_cache += report.from_cache;
            all.from_source += report.from_source;
            all.healed.extend(report.healed);
            (all.left, all.touched) = (report.left, report.touched);
        }
        if !found {
            break;
        }
    }
    Ok(all)
}

/// Where files of snapshots lie here: clones first, since nothing writes to them.
fn folders(layout: &Layout) -> Vec<PathBuf> {
    let (mut clones, mut heads) = (Vec::new(), Vec::new());
    for job in layout.jobs() {
        for entry in fs::read_dir(layout.job(&job)).into_iter().flatten().flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.to_string_lossy();
            if name.starts_with("clone-") && path.is_dir() {
                clones.push(path);
            } else if name.starts_with("gen-") && path.join("db").is_dir() {
                heads.push(path.join("db"));
            }
        }
    }
    clones.append(&mut heads);
    clones
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use holdfast_domain::BackupJobId;

    use super::*;

    #[test]
    fn clones_come_before_heads_and_nothing_else_is_looked_at() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::open(dir.path()).unwrap();
        let job = layout.job(&BackupJobId::random());
        for folder in ["gen-2/db", "gen-3", "clone-0123456789abcdef01234567", "other"] {
            fs::create_dir_all(job.join(folder)).unwrap();
        }
        fs::write(job.join("clone-0123456789abcdef01234567.clone"), b"").unwrap();
        assert_eq!(folders(&layout), [job.join("clone-0123456789abcdef01234567"), job.join("gen-2/db")]);
    }
}
