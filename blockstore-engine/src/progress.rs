//! How far a long operation is.

use std::sync::Arc;

/// Counts so far of a write, a materialisation or a verification.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Files finished.
    pub files: u64,
    /// Files in all.
    pub files_total: u64,
    /// Raw bytes done, holes included.
    pub bytes: u64,
    /// Raw bytes in all.
    pub bytes_total: u64,
    /// Blocks stored anew (writes only).
    pub new_blocks: u64,
    /// Raw bytes of the blocks stored anew (writes only).
    pub new_bytes: u64,
    /// Bytes of the frames stored anew (writes only).
    pub stored_bytes: u64,
}

/// Called often, from async tasks: must return at once.
pub type OnProgress = Arc<dyn Fn(Progress) + Send + Sync>;
