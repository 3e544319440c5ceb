//! What an archive is made from: the read side of a snapshot, without saying where its bytes lie.
//!
//! Implemented by `SnapshotReader`, and by fakes in tests of `archive`.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;

use crate::error::ReadError;
use crate::id::BlockId;
use crate::root::Root;
use crate::tree::{FileEntry, Node};

/// A snapshot's entries, nodes, frames and blocks. Everything returned is checked; answers keep the order of the ids asked for.
pub trait FrameSource: Send + Sync {
    /// All files, ascending by the bytes of their paths.
    fn entries(&self) -> impl Future<Output = Result<Vec<FileEntry>, ReadError>> + Send;

    /// One node, decoded; its geometry is the caller's to check ([`Node::check_geometry`]).
    fn node(&self, id: BlockId) -> impl Future<Output = Result<Arc<Node>, ReadError>> + Send;

    /// Lengths in bytes of the stored frames.
    fn frame_lengths(&self, ids: &[BlockId]) -> impl Future<Output = Result<Vec<u32>, ReadError>> + Send;

    /// Stored frames (one plain zstd frame each), checked by their stored checksum. At most [`FRAMES_MAX`] ids a call.
    fn frames(&self, ids: &[BlockId]) -> impl Future<Output = Result<Vec<Bytes>, ReadError>> + Send;

    /// Raw blocks, verified by BLAKE3. At most [`FRAMES_MAX`] ids a call.
    fn blocks(&self, ids: &[BlockId]) -> impl Future<Output = Result<Vec<Bytes>, ReadError>> + Send;

    /// Sum in bytes of the frame lengths of all blocks (not nodes) below this node, each occurrence counted.
    fn stored_sum(&self, node: BlockId) -> impl Future<Output = Result<u64, ReadError>> + Send;

    /// How often stored frames were replaced by other bytes; part of every ETag.
    fn reframed(&self) -> impl Future<Output = Result<i64, ReadError>> + Send;

    /// The snapshot.
    fn root(&self) -> &Root;
}

/// Ids in one call of [`FrameSource::frames`] or [`FrameSource::blocks`], at most: bounds what one answer holds in memory.
pub const FRAMES_MAX: usize = 1024;
