//! What the comparison of two clones saved, and whether its sample held.

/// Why nothing was compared and everything was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The writer has no parent.
    #[error("there is no parent snapshot")]
    NoParent,
    /// The clone belongs to another snapshot than the parent.
    #[error("the clone is not the parent's")]
    OtherRoot,
    /// The parent is encrypted under another key, or only one of the two is encrypted: nothing of it can be met again.
    #[error("the parent has another key")]
    OtherKey,
    /// Neither XFS nor btrfs.
    #[error("the file system is neither XFS nor btrfs")]
    FileSystem,
    /// The parent's trees cannot be read whole.
    #[error("the parent snapshot cannot be read")]
    ParentUnreadable,
    /// A block that the comparison called unchanged is not: an alert. Everything was read.
    #[error("a block called unchanged differs from the parent's")]
    Missed,
}

/// A sampled block that differs from the parent's although the comparison called it unchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Miss {
    /// The file, relative to the folder.
    pub path: String,
    /// Offset of the block in bytes.
    pub offset: u64,
}

/// What a comparison did for a snapshot. After a refusal everything was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RangesReport {
    /// Why the comparison was not used.
    pub refused: Option<Refusal>,
    /// Files whose maps were compared.
    pub files_compared: u64,
    /// Files that count as changed from end to end (new, touched, unusual extents).
    pub files_whole: u64,
    /// Bytes taken from the parent's trees without being read.
    pub unchanged_bytes: u64,
    /// Bytes read from the files, the sample apart. Holes that the file system names are not read.
    pub read_bytes: u64,
    /// Blocks called unchanged that were read and compared; at most [`super::SAMPLES_MAX`].
    pub sampled: u64,
    /// Those of them that differ. More than 0 is an alert: the comparison cannot be trusted on this machine.
    pub missed: u64,
    /// The first of them.
    pub first_miss: Option<Miss>,
}

impl RangesReport {
    /// Whether the sample found that the comparison was wrong.
    #[must_use]
    pub fn is_alert(&self) -> bool {
        self.missed > 0
    }
}
