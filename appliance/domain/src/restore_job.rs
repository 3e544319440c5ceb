//! A restore job: what was asked for, how it is delivered, how far it is.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{SnapshotId, Ts};

/// What to restore. Serialised as `{"snapshot": id}` or `{"instant": {"t", "i"}}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RestoreTarget {
    /// A snapshot as it is.
    Snapshot(SnapshotId),
    /// Every entry with a cluster time at or before this one.
    Instant(Ts),
}

/// Format of a download.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ArchiveFormat {
    /// Plain tar: `Content-Length`, ranges.
    #[serde(rename = "tar")]
    Tar,
    /// Stored zstd frames joined: `Content-Length`, ranges.
    #[serde(rename = "tar.zst")]
    TarZst,
    /// gzip, made on the fly: no length, no ranges.
    #[serde(rename = "tar.gz")]
    TarGz,
}

impl fmt::Display for ArchiveFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tar => "tar",
            Self::TarZst => "tar.zst",
            Self::TarGz => "tar.gz",
        })
    }
}

impl FromStr for ArchiveFormat {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "tar" => Ok(Self::Tar),
            "tar.zst" => Ok(Self::TarZst),
            "tar.gz" => Ok(Self::TarGz),
            other => Err(format!("{other:?} is not a format: tar, tar.zst and tar.gz are")),
        }
    }
}

/// Bytes that stay free on a disk of heads: a journal, a checkpoint and one batch fit several times (512 MB).
const SCRATCH_RESERVE_BYTES: u64 = 512 << 20;

/// Bytes that a daemon's disk must have free to make the state at an instant from a snapshot whose files have so many: the files, a quarter
/// for what the replay writes, and the reserve. The daemon refuses below it; estimates show it before.
#[must_use]
pub const fn restore_scratch_bytes(snapshot_bytes: u64) -> u64 {
    snapshot_bytes.saturating_add(snapshot_bytes / 4).saturating_add(SCRATCH_RESERVE_BYTES)
}

/// State of a restore job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RestoreState {
    /// Waits for its daemon.
    Queued,
    /// The daemon materialises, replays and stores.
    Running,
    /// The link works.
    Ready,
    /// It could not be made; the error says why.
    Failed,
    /// The link's time is over or its uses are spent.
    Expired,
}

impl RestoreState {
    /// True when nothing will change it any more but the link's end.
    #[must_use]
    pub const fn ended(self) -> bool {
        matches!(self, Self::Ready | Self::Failed | Self::Expired)
    }
}
