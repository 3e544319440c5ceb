//! Finding what changed without reading it: clones that share their bytes with the original, and comparing where two clones lie on disk.
//!
//! A writer that is given the clone of its parent's snapshot ([`crate::SnapshotWriter::write_dir_since`]) reads only the ranges whose extents
//! differ; everything else it takes from the parent's trees. `docs/ranges.md` says why that is sound.
//!
//! Invariants:
//! - Clone is compared with clone, never with files in use. A clone is bound to the root that was written from it and to its files as they
//!   were then (inode, size, time of change); a file that was touched since counts as changed.
//! - Unchanged is only what both maps show at the same place of the disk in extents that are marked as shared and as nothing else, or what
//!   both show as a hole. The old map is read before and after the new one. Anything unusual, and every error, counts as changed.
//! - The comparison is a hint: a random sample of what it calls unchanged is read in every snapshot, and one miss discards it whole.
//! - Only XFS and btrfs; elsewhere everything counts as changed.
//!
//! Called by the writer, and by whoever owns the folder that is backed up. It must never write to a clone.

mod clone;
mod extents;
mod file_system;
mod mend;
mod plan;
mod report;
mod sys;
mod unchanged;

pub use clone::{BoundClone, CloneError, TreeClone, clone_file, clone_tree, remove_clone};
pub use file_system::{FileSystem, file_system};
pub use mend::{
    EXTENTS_PER_GIB_MAX, FileExtents, MEND_BYTES_MAX, MEND_WINDOW_BYTES, MendReport, MendWindow, Survey, mend, survey,
};
pub use report::{Miss, RangesReport, Refusal};

pub(crate) use plan::{Plan, plan};
pub(crate) use unchanged::Unchanged;

/// Blocks called unchanged that are read and compared in every snapshot, at most: 8 MiB at the smallest block size, some ten milliseconds,
/// and enough to meet a fault that touches 1 % of what is unchanged three times out of four in each snapshot.
pub const SAMPLES_MAX: usize = 128;

/// What a writer compares with.
#[derive(Debug)]
pub struct Since {
    clone: BoundClone,
    forget_one: bool,
}

impl Since {
    /// The clone that the parent snapshot was written from.
    #[must_use]
    pub fn new(clone: BoundClone) -> Self {
        Self { clone, forget_one: false }
    }

    /// Makes the comparison overlook the first extent that differs: how a test proves that the sample finds it.
    #[doc(hidden)]
    #[must_use]
    pub fn forget_one_extent(mut self) -> Self {
        self.forget_one = true;
        self
    }

    pub(crate) fn clone_of_parent(&self) -> &BoundClone {
        &self.clone
    }

    pub(crate) fn forgets_one(&self) -> bool {
        self.forget_one
    }
}
