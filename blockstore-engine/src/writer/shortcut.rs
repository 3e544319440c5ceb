//! The writer's side of `ranges`: whether the comparison may be used, its sample, and taking subtrees over from the parent.
//!
//! Invariants: nothing is taken over before the sample held; a subtree is taken over whole only while nothing at all is quarantined, because
//! a quarantined block must be read and stored anew; with another parent, another key, or a parent that cannot be read, everything is read.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::list::Found;
use super::{Pipeline, SnapshotWriter, Step, blocking};
use crate::error::WriteError;
use crate::frame::is_zero;
use crate::id::{BlockHasher, BlockId};
use crate::ranges::{Miss, Plan, RangesReport, Refusal, SAMPLES_MAX, Since, Unchanged, plan};
use crate::tree::{FileEntry, depth_for, span};

/// A block called unchanged, to be read.
struct Sample {
    file: PathBuf,
    path: String,
    offset: u64,
    len: usize,
    /// The parent's block; `None`: a hole.
    id: Option<BlockId>,
}

/// Compares the clones, and reads the sample. The plan is empty when everything has to be read.
pub(super) async fn prepare(
    writer: &SnapshotWriter,
    dir: &Path,
    found: &Arc<Vec<Found>>,
    since: Since,
) -> Result<(Plan, RangesReport), WriteError> {
    let mut report = RangesReport::default();
    let refused = |report: RangesReport, refusal| (Plan::default(), RangesReport { refused: Some(refusal), ..report });
    let Some(parent) = writer.parent.as_ref().filter(|parent| !parent.is_empty()) else {
        return Ok(refused(report, Refusal::NoParent));
    };
    if Some(since.clone_of_parent().root()) != writer.parent_id {
        return Ok(refused(report, Refusal::OtherRoot));
    }
    if parent.key() != writer.shared.keys.as_ref().map(|keys| keys.id) {
        return Ok(refused(report, Refusal::OtherKey));
    }
    let entries: HashMap<String, (u64, u32)> = found
        .iter()
        .filter_map(|file| parent.file(&file.path))
        .map(|entry| (entry.path.clone(), (entry.size, entry.block_size)))
        .collect();
    let (folder, files) = (dir.to_owned(), found.clone());
    let made = blocking(move || plan(&folder, &files, &since, &|path| entries.get(path).copied())).await?;
    let made = made.map_err(|source| WriteError::Io { path: dir.to_owned(), source })?;
    let Some(made) = made else { return Ok(refused(report, Refusal::FileSystem)) };
    (report.files_compared, report.files_whole) = (made.compared, made.whole);
    let mut samples = Vec::new();
    for (file, block) in choose(&made, found) {
        let Some(unchanged) = made.files.get(&file.path) else { continue };
        let Some(entry) = parent.file(&file.path) else { continue };
        let offset = block * unchanged.block_size();
        let len = unchanged.block_size().min(unchanged.size() - offset);
        let (blocks, _) = parent.blocks(entry, offset, len).await?;
        let [id] = blocks[..] else { return Ok(refused(report, Refusal::ParentUnreadable)) };
        let len = usize::try_from(len).map_err(|_| WriteError::Internal("a block beyond memory"))?;
        samples.push(Sample { file: file.absolute.clone(), path: file.path.clone(), offset, len, id });
    }
    let hasher = writer.shared.hasher();
    report.sampled = samples.len() as u64;
    let misses = blocking(move || check(samples, &hasher)).await??;
    report.missed = misses.len() as u64;
    report.first_miss = misses.into_iter().next();
    if report.is_alert() {
        tracing::error!(
            missed = report.missed, sampled = report.sampled, first = ?report.first_miss,
            "blocks that the file system calls unchanged have changed: everything is read"
        );
        return Ok(refused(report, Refusal::Missed));
    }
    Ok((made, report))
}

/// Random blocks among those called unchanged: all when they are few.
fn choose<'a>(plan: &Plan, found: &'a [Found]) -> Vec<(&'a Found, u64)> {
    let counted: Vec<(&Found, &Arc<Unchanged>)> =
        found.iter().filter_map(|file| Some((file, plan.files.get(&file.path)?))).collect();
    let total: u64 = counted.iter().map(|(_, blocks)| blocks.count()).sum();
    let Ok(total) = usize::try_from(total) else { return Vec::new() };
    let mut numbers = rand::seq::index::sample(&mut rand::rng(), total, total.min(SAMPLES_MAX)).into_vec();
    numbers.sort_unstable();
    let mut chosen = Vec::with_capacity(numbers.len());
    let (mut rest, mut before) = (counted.into_iter(), 0);
    let mut current = rest.next();
    for number in numbers {
        let number = number as u64;
        while let Some((file, blocks)) = current {
            if number - before < blocks.count() {
                chosen.extend(blocks.nth(number - before).map(|block| (file, block)));
                break;
            }
            before += blocks.count();
            current = rest.next();
        }
    }
    chosen
}

fn check(samples: Vec<Sample>, hasher: &BlockHasher) -> Result<Vec<Miss>, WriteError> {
    let mut buffer = Vec::new();
    let mut misses = Vec::new();
    let mut opened: Option<(PathBuf, File)> = None;
    for sample in samples {
        let io_error = |source| WriteError::Io { path: sample.file.clone(), source };
        if opened.as_ref().is_none_or(|(path, _)| *path != sample.file) {
            opened = Some((sample.file.clone(), File::open(&sample.file).map_err(io_error)?));
        }
        let Some((_, file)) = &opened else { continue };
        buffer.resize(sample.len, 0);
        file.read_exact_at(&mut buffer, sample.offset).map_err(io_error)?;
        let id = (!is_zero(&buffer)).then(|| hasher.id(&buffer));
        if id != sample.id {
            misses.push(Miss { path: sample.path, offset: sample.offset });
        }
    }
    Ok(misses)
}

impl Pipeline<'_> {
    /// Takes the largest subtree that begins at `offset`, is unchanged and is the parent's; how many bytes it covers.
    pub(super) async fn adopt_subtree(
        &mut self,
        old: &FileEntry,
        unchanged: &Unchanged,
        offset: u64,
    ) -> Result<Option<u64>, WriteError> {
        let Some(parent) = self.writer.parent.as_ref().filter(|_| self.writer.shared.quarantined.is_empty()) else {
            return Ok(None);
        };
        let (size, highest) = (unchanged.size(), depth_for(unchanged.size(), old.block_size));
        for level in (1..=highest).rev() {
            let width = span(old.block_size, level);
            let end = offset.saturating_add(width).min(size);
            if !offset.is_multiple_of(width) || !unchanged.all(offset..end) {
                continue;
            }
            let len = end - offset;
            if let Some((child, parent_nodes)) = parent.subtree(old, offset, len, level).await? {
                self.steps.push_back(Step::Adopt { level, children: vec![child], parent_nodes, len });
                self.adopted_bytes += len;
                return Ok(Some(len));
            }
        }
        Ok(None)
    }
}
