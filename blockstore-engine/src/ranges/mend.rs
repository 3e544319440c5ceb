//! Fragmentation: what sharing bytes does to a file that is overwritten here and there, and its mending.
//!
//! Cloning costs time per extent, and after every clone each overwrite of a part makes new extents, so that clones would get slower for ever.
//! Where a window of a file has too many, its bytes are written to a nameless file, in one piece, which then takes the window's place. The
//! content is the same at every instant, so that a crash at any point harms nothing, and no room for a second file is needed. (Overwriting
//! the window with itself was tried: XFS puts such writes where it had reserved room for the ones before, in as many pieces.)
//!
//! Invariants: nobody has the files open; at most the given windows are rewritten. It must never be pointed at a clone, whose files would
//! count as touched.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use super::sys;
use crate::frame::is_zero;
use crate::writer::list::list;

/// Extents per GiB, at most, in a window that is left alone: 128 KiB an extent on average, 0.16 s of cloning per GiB at 20 us an extent.
pub const EXTENTS_PER_GIB_MAX: u64 = 8192;
/// What is counted and rewritten at a time, in bytes.
pub const MEND_WINDOW_BYTES: u64 = 64 << 20;
/// Bytes rewritten per snapshot, at most: what holds the head. Half a second at 500 MB/s.
pub const MEND_BYTES_MAX: u64 = 256 << 20;
/// Read and written in one call, in bytes.
const CHUNK_BYTES: u64 = 4 << 20;

/// How fragmented a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileExtents {
    /// Relative to the folder.
    pub path: String,
    /// Size in bytes.
    pub bytes: u64,
    /// Extents.
    pub extents: u64,
}

impl FileExtents {
    /// Extents per GiB of the file; a file smaller than a window counts as one window.
    #[must_use]
    pub fn per_gib(&self) -> u64 {
        per_gib(self.extents, self.bytes)
    }
}

fn per_gib(extents: u64, bytes: u64) -> u64 {
    extents.saturating_mul(1 << 30) / bytes.max(MEND_WINDOW_BYTES)
}

/// A window of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MendWindow {
    /// Relative to the folder.
    pub path: String,
    /// Offset in bytes, a multiple of [`MEND_WINDOW_BYTES`].
    pub offset: u64,
    /// Extents in it.
    pub extents: u64,
}

/// How fragmented a folder is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// Extents of all files.
    pub extents: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// The most fragmented file.
    pub worst: Option<FileExtents>,
    /// Windows beyond [`EXTENTS_PER_GIB_MAX`], the worst first, as many as one snapshot may rewrite.
    pub windows: Vec<MendWindow>,
    /// How many windows are beyond it in all.
    pub windows_beyond: u64,
}

/// Counts the extents of the files below `dir` that `keep` wants. Blocks; writes nothing.
///
/// # Errors
/// The file system's; where it has no maps, the error that says so.
pub fn survey(dir: &Path, keep: &dyn Fn(&str) -> bool) -> io::Result<Survey> {
    let mut survey = Survey::default();
    let windows_max = usize::try_from(MEND_BYTES_MAX / MEND_WINDOW_BYTES).unwrap_or(1);
    for found in list(dir).map_err(io::Error::other)? {
        if !keep(&found.path) || found.refusal.is_some() {
            continue;
        }
        let file = File::open(&found.absolute)?;
        let bytes = file.metadata()?.len();
        let mut of_file = FileExtents { path: found.path.clone(), bytes, extents: 0 };
        for offset in (0..bytes).step_by(usize::try_from(MEND_WINDOW_BYTES).map_err(io::Error::other)?) {
            let length = MEND_WINDOW_BYTES.min(bytes - offset);
            let extents = u64::from(sys::count(&file, offset, length)?);
            of_file.extents += extents;
            if per_gib(extents, length) > EXTENTS_PER_GIB_MAX {
                survey.windows_beyond += 1;
                survey.windows.push(MendWindow { path: found.path.clone(), offset, extents });
                survey.windows.sort_by_key(|window| std::cmp::Reverse(window.extents));
                survey.windows.truncate(windows_max);
            }
        }
        survey.extents += of_file.extents;
        survey.bytes += bytes;
        if survey.worst.as_ref().is_none_or(|worst| worst.per_gib() < of_file.per_gib()) {
            survey.worst = Some(of_file);
        }
    }
    Ok(survey)
}

/// What was rewritten.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MendReport {
    /// Windows.
    pub windows: u64,
    /// Bytes.
    pub bytes: u64,
}

/// Rewrites these windows of the files below `dir`; [`MEND_BYTES_MAX`] bytes at most. Windows that are gone are left out. Blocks.
///
/// # Errors
/// The file system's; the files' content is the same then, too.
pub fn mend(dir: &Path, windows: &[MendWindow]) -> io::Result<MendReport> {
    let mut report = MendReport::default();
    let mut buffer = vec![0; usize::try_from(CHUNK_BYTES).map_err(io::Error::other)?];
    for window in windows {
        if report.bytes + MEND_WINDOW_BYTES > MEND_BYTES_MAX {
            break;
        }
        let file = match OpenOptions::new().read(true).write(true).open(dir.join(&window.path)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let end = file.metadata()?.len().min(window.offset.saturating_add(MEND_WINDOW_BYTES));
        if window.offset >= end {
            continue;
        }
        let piece = OpenOptions::new().read(true).write(true).custom_flags(nix::libc::O_TMPFILE).open(dir)?;
        piece.set_len(end - window.offset)?;
        let mut offset = window.offset;
        while offset < end {
            let length = CHUNK_BYTES.min(end - offset);
            let chunk = &mut buffer[..usize::try_from(length).map_err(io::Error::other)?];
            file.read_exact_at(chunk, offset)?;
            // A hole stays one.
            if !is_zero(chunk) {
                piece.write_all_at(chunk, offset - window.offset)?;
                report.bytes += length;
            }
            offset += length;
        }
        // Writes the piece to the disk before anything refers to it.
        sys::clone_all_into(&piece, &file, window.offset)?;
        file.sync_data()?;
        report.windows += 1;
    }
    Ok(report)
}
