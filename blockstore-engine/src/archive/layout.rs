//! The frozen layout: where each entry of an archive starts, before any payload is read.
//!
//! Invariants: positions follow from the sealed root, the archive version and the lengths of stored frames; everything that can move them is
//! in the tag. Per entry one [`FileEntry`] and 16 bytes of position are kept; headers are made again when they are sent.

use futures::stream::{self, StreamExt, TryStreamExt};

use super::error::ArchiveError;
use super::format::ArchiveFormat;
use super::frame;
use super::header::{Header, TAR_END, padding};
use crate::error::ReadError;
use crate::id::BlockId;
use crate::source::{FRAMES_MAX, FrameSource};
use crate::tree::{BadTree, FileEntry, check_order};

/// Version of the layout: raise it whenever the same snapshot would give other bytes.
const ARCHIVE_VERSION: u32 = 1;
/// Permission bits of folders; a snapshot keeps files only. As narrow as the folders of a database should be.
const FOLDER_MODE: u32 = 0o700;
/// Sums asked for at once while planning or descending; each is one small lookup.
pub(super) const SUMS_IN_FLIGHT: usize = 16;
/// Longest archive in bytes: what a file or a `Content-Length` can be.
const ARCHIVE_BYTES_MAX: u64 = i64::MAX as u64;

/// One entry of the archive: a file, or a folder above one.
struct Item {
    start: u64,
    /// The file, or the first file in the folder.
    file: u32,
    /// Bytes of the file's path that name the folder; 0: the file itself. Paths have at most 4096 bytes.
    folder_len: u16,
}

/// Where the parts of one item lie.
pub(super) struct Placed<'a> {
    /// First byte.
    pub(super) start: u64,
    /// The header's bytes as they stand in the archive.
    pub(super) header: Vec<u8>,
    /// The file and the number of bytes its content takes; `None` for folders and empty files.
    pub(super) content: Option<(&'a FileEntry, u64)>,
    /// The zeros after the content as they stand in the archive.
    pub(super) padding: Vec<u8>,
}

/// See the module.
pub(super) struct Layout {
    pub(super) format: ArchiveFormat,
    pub(super) entries: Vec<FileEntry>,
    items: Vec<Item>,
    /// Where the end marker starts.
    end: u64,
    /// Bytes of the archive; for `tar.gz` of the tar inside.
    pub(super) total: u64,
    pub(super) raw_total: u64,
    pub(super) reframed: i64,
    pub(super) tag: [u8; 32],
    mtime_seconds: u64,
}

impl Layout {
    pub(super) async fn plan<S: FrameSource>(source: &S, format: ArchiveFormat) -> Result<Self, ArchiveError> {
        let root = source.root();
        let bad = |error: BadTree| ReadError::BadNode { id: root.tree, source: error };
        let reframed = source.reframed().await?;
        let entries = source.entries().await?;
        entries.iter().try_for_each(FileEntry::check).and_then(|()| check_order(&entries)).map_err(bad)?;
        let stored = match format {
            ArchiveFormat::TarZst => stored_lens(source, &entries).await?,
            ArchiveFormat::Tar | ArchiveFormat::TarGz => Vec::new(),
        };
        let mtime_seconds = u64::try_from(root.committed_at.timestamp_millis().div_euclid(1000)).unwrap_or(0);
        let items = items(&entries).map_err(bad)?;
        let mut layout =
            Self { format, entries, items, end: 0, total: 0, raw_total: 0, reframed, tag: [0; 32], mtime_seconds };
        layout.place(&stored).ok_or(ReadError::Request("the archive would exceed 2^63-1 bytes"))?;
        layout.seal(&root.hash);
        layout.ensure_current(source).await?;
        Ok(layout)
    }

    /// Fails when frames were replaced since the plan. A `tar` does not depend on them: its streams never need this.
    pub(super) async fn ensure_current<S: FrameSource>(&self, source: &S) -> Result<(), ArchiveError> {
        if source.reframed().await? == self.reframed { Ok(()) } else { Err(ArchiveError::LayoutChanged) }
    }

    /// Whether stored frames stand in the archive, rather than raw bytes.
    pub(super) fn passes_frames(&self) -> bool {
        self.format == ArchiveFormat::TarZst
    }

    /// Index of the item that the byte at `position` belongs to; the number of items when it lies in the end marker.
    pub(super) fn item_at(&self, position: u64) -> usize {
        if position >= self.end {
            self.items.len()
        } else {
            self.items.partition_point(|item| item.start <= position) - 1
        }
    }

    pub(super) fn placed(&self, index: usize) -> Option<Placed<'_>> {
        let item = self.items.get(index)?;
        let next = self.items.get(index + 1).map_or(self.end, |next| next.start);
        let header = self.wrap(self.header(item).encode());
        let Some(entry) = self.file(item).filter(|entry| entry.size > 0) else {
            return Some(Placed { start: item.start, header, content: None, padding: Vec::new() });
        };
        let padding = self.zeros(padding(entry.size));
        let content = next - item.start - header.len() as u64 - padding.len() as u64;
        Some(Placed { start: item.start, header, content: Some((entry, content)), padding })
    }

    /// The end marker: where, and which bytes.
    pub(super) fn end_marker(&self) -> (u64, Vec<u8>) {
        (self.end, self.zeros(TAR_END))
    }

    fn file(&self, item: &Item) -> Option<&FileEntry> {
        self.entries.get(usize::try_from(item.file).ok()?).filter(|_| item.folder_len == 0)
    }

    fn header(&self, item: &Item) -> Header<'_> {
        let mtime_seconds = self.mtime_seconds;
        if let Some(entry) = self.file(item) {
            return Header { path: &entry.path, folder: false, mode: entry.mode, size: entry.size, mtime_seconds };
        }
        let below = &self.entries[usize::try_from(item.file).expect("an index of a vector")].path;
        Header { path: &below[..usize::from(item.folder_len)], folder: true, mode: FOLDER_MODE, size: 0, mtime_seconds }
    }

    /// Bytes of a tar header as they stand in the archive.
    fn wrap(&self, header: Vec<u8>) -> Vec<u8> {
        if self.passes_frames() { frame::raw_frame(&header) } else { header }
    }

    /// A few zeros as they stand in the archive.
    fn zeros(&self, count: u64) -> Vec<u8> {
        match (count, self.passes_frames()) {
            (0, _) => Vec::new(),
            (_, true) => frame::zero_frame(count),
            (_, false) => vec![0; usize::try_from(count).expect("at most two tar blocks")],
        }
    }

    /// Fills in the positions. `None` when they pass the largest archive.
    fn place(&mut self, stored: &[u64]) -> Option<()> {
        let (mut at, mut raw_at) = (0u64, 0u64);
        for index in 0..self.items.len() {
            let item = &self.items[index];
            let header_len = self.header(item).encode().len() as u64;
            let (mut raw_len, mut len) =
                (header_len, if self.passes_frames() { frame::raw_frame_len(header_len) } else { header_len });
            if let Some(entry) = self.file(item).filter(|entry| entry.size > 0) {
                let pad = padding(entry.size);
                raw_len = raw_len.checked_add(entry.size)?.checked_add(pad)?;
                if self.passes_frames() {
                    let pad = if pad > 0 { frame::zero_frame_len(pad) } else { 0 };
                    let stored = stored[usize::try_from(item.file).ok()?];
                    len = len
                        .checked_add(stored)?
                        .checked_add(frame::overhead(entry.size, entry.block_size))?
                        .checked_add(pad)?;
                } else {
                    len = raw_len;
                }
            }
            self.items[index].start = at;
            at = at.checked_add(len)?;
            raw_at = raw_at.checked_add(raw_len)?;
        }
        self.end = at;
        self.total = at.checked_add(if self.passes_frames() { frame::zero_frame_len(TAR_END) } else { TAR_END })?;
        self.raw_total = raw_at.checked_add(TAR_END)?;
        (self.total.max(self.raw_total) <= ARCHIVE_BYTES_MAX).then_some(())
    }

    fn seal(&mut self, root_hash: &[u8; 32]) {
        let mut hasher = blake3::Hasher::new_derive_key("holdfast blockstore archive v1");
        hasher.update(&ARCHIVE_VERSION.to_le_bytes());
        hasher.update(&[self.format.number()]);
        hasher.update(root_hash);
        hasher.update(&self.reframed.to_le_bytes());
        hasher.update(&self.total.to_le_bytes());
        for item in &self.items {
            hasher.update(&item.start.to_le_bytes());
        }
        self.tag = *hasher.finalize().as_bytes();
    }
}

/// Sum of the stored frames of each file, 0 for empty ones and holes.
async fn stored_lens<S: FrameSource>(source: &S, entries: &[FileEntry]) -> Result<Vec<u64>, ReadError> {
    let mut lens = vec![0; entries.len()];
    let with_top = |deep: bool| {
        entries.iter().enumerate().filter(move |(_, e)| (e.depth > 0) == deep).filter_map(|(n, e)| Some((n, e.top?)))
    };
    let small: Vec<(usize, BlockId)> = with_top(false).collect();
    for chunk in small.chunks(FRAMES_MAX) {
        let ids: Vec<BlockId> = chunk.iter().map(|(_, id)| *id).collect();
        let answer = source.frame_lengths(&ids).await?;
        if answer.len() != ids.len() {
            return Err(ReadError::Internal("number of frame lengths is not the number asked for"));
        }
        for ((index, _), len) in chunk.iter().zip(answer) {
            lens[*index] = u64::from(len);
        }
    }
    let deep: Vec<(usize, BlockId)> = with_top(true).collect();
    let mut sums = stream::iter(deep)
        .map(|(index, id)| async move { Ok::<_, ReadError>((index, source.stored_sum(id).await?)) })
        .buffer_unordered(SUMS_IN_FLIGHT);
    while let Some((index, sum)) = sums.try_next().await? {
        lens[index] = sum;
    }
    drop(sums);
    Ok(lens)
}

/// Files and the folders above them, each folder once, before the first file in it. Sorted paths keep a folder's files together.
fn items(entries: &[FileEntry]) -> Result<Vec<Item>, BadTree> {
    let mut items = Vec::with_capacity(entries.len());
    let mut before = "";
    for (index, entry) in entries.iter().enumerate() {
        let file = u32::try_from(index).map_err(|_| BadTree("more than 2^32 files"))?;
        for (at, _) in entry.path.match_indices('/') {
            if !before.as_bytes().starts_with(&entry.path.as_bytes()[..=at]) {
                let folder_len = u16::try_from(at).map_err(|_| BadTree("length of a path"))?;
                items.push(Item { start: 0, file, folder_len });
            }
        }
        items.push(Item { start: 0, file, folder_len: 0 });
        before = &entry.path;
    }
    Ok(items)
}
