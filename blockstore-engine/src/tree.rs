//! The shape of stored files: nodes of a file's Merkle tree, and the entries that name files.
//!
//! Invariants: the bytes are canonical (one value, one encoding; decoding refuses every other), name only ids and raw lengths, nothing
//! that depends on how a block is stored, so that equal files have equal trees. The geometry follows from (size, block size) alone.
//! Decoders check every bound before they allocate and answer [`BadTree`], never panic. Pure: no I/O. `docs/format.md` draws the bytes.

use crate::id::BlockId;

/// Children of one node, at most.
pub const FANOUT: u64 = 1024;
/// Highest node: 1024^5 blocks of 64 KiB exceed any file.
pub const LEVEL_MAX: u8 = 5;
/// Smallest block size in bytes.
pub const BLOCK_SIZE_MIN: u32 = 64 << 10;
/// Largest block size in bytes; no block or node is longer.
pub const BLOCK_SIZE_MAX: u32 = 1 << 20;
/// Longest path in bytes (Linux PATH_MAX).
pub const PATH_BYTES_MAX: usize = 4096;
/// Largest file in bytes (what a Linux file can have).
pub const FILE_SIZE_MAX: u64 = i64::MAX as u64;

const NODE_MAGIC: [u8; 4] = *b"HFN\x01";
const PAGE_MAGIC: [u8; 4] = *b"HFE\x01";
const NODE_HEADER: usize = 8;
const CHILD_BYTES: usize = 41;
/// A page of entries ends at the latest after this many.
const PAGE_ENTRIES_MAX: usize = 256;
/// A page of entries takes no further entry beyond this many bytes; with one more entry it stays far below [`BLOCK_SIZE_MAX`].
const PAGE_BYTES_SOFT: usize = 256 << 10;

/// Bytes that are not a canonical node or page, or a tree whose geometry does not fit its file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("malformed tree: {0}")]
pub struct BadTree(pub &'static str);

/// One child of a node: a block, a lower node, or a hole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Child {
    /// The block or node; `None` is a hole: all zero bytes, nothing stored.
    pub id: Option<BlockId>,
    /// Raw bytes of the file below this child, more than 0.
    pub len: u64,
}

/// An inner node of a tree. Level 1 lists blocks, level n > 1 lists nodes of level n-1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// 1 to [`LEVEL_MAX`].
    pub level: u8,
    /// At most [`FANOUT`].
    pub children: Vec<Child>,
}

impl Node {
    /// Raw bytes below this node.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.children.iter().fold(0u64, |sum, child| sum.saturating_add(child.len))
    }

    /// Whether there is no child at all (the tree of a snapshot without files).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.children.is_empty()
    }

    /// The canonical bytes; their BLAKE3 hash is the node's id.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(NODE_HEADER + self.children.len() * CHILD_BYTES);
        out.extend_from_slice(&NODE_MAGIC);
        out.push(self.level);
        out.push(0);
        let count = u16::try_from(self.children.len()).expect("builders stop at FANOUT children");
        out.extend_from_slice(&count.to_le_bytes());
        for child in &self.children {
            out.push(u8::from(child.id.is_some()));
            out.extend_from_slice(&child.len.to_le_bytes());
            out.extend_from_slice(&child.id.map_or([0; 32], |id| id.0));
        }
        out
    }

    /// Reads canonical bytes.
    ///
    /// # Errors
    /// Anything that [`Node::encode`] would not have written.
    pub fn decode(bytes: &[u8]) -> Result<Self, BadTree> {
        let mut input = Input(bytes);
        if input.array::<4>()? != NODE_MAGIC {
            return Err(BadTree("not a node"));
        }
        let level = input.u8()?;
        if level == 0 || level > LEVEL_MAX {
            return Err(BadTree("level of a node out of range"));
        }
        if input.u8()? != 0 {
            return Err(BadTree("reserved byte of a node is set"));
        }
        let count = u64::from(input.u16()?);
        if count > FANOUT {
            return Err(BadTree("too many children"));
        }
        if input.0.len() as u64 != count * CHILD_BYTES as u64 {
            return Err(BadTree("length of a node does not fit its children"));
        }
        let mut children = Vec::with_capacity(input.0.len() / CHILD_BYTES);
        let mut total = 0u64;
        for _ in 0..count {
            let kind = input.u8()?;
            let len = input.u64()?;
            let id = input.array::<32>()?;
            if len == 0 {
                return Err(BadTree("empty child"));
            }
            total = total
                .checked_add(len)
                .filter(|sum| *sum <= FILE_SIZE_MAX)
                .ok_or(BadTree("children exceed the largest file"))?;
            let id = match kind {
                0 if id == [0; 32] => None,
                1 => Some(BlockId(id)),
                _ => return Err(BadTree("kind of a child")),
            };
            children.push(Child { id, len });
        }
        Ok(Self { level, children })
    }

    /// Checks that this is the node of `level` that covers `len` bytes of a file with `block_size`.
    ///
    /// # Errors
    /// When level, number or lengths of the children are others.
    pub fn check_geometry(&self, level: u8, len: u64, block_size: u32) -> Result<(), BadTree> {
        if self.level != level {
            return Err(BadTree("node of another level"));
        }
        let span = span(block_size, level - 1);
        if self.children.len() as u64 != len.div_ceil(span) {
            return Err(BadTree("number of children does not fit the length"));
        }
        let mut rest = len;
        for child in &self.children {
            if child.len != rest.min(span) {
                return Err(BadTree("length of a child does not fit the geometry"));
            }
            rest -= child.len;
        }
        Ok(())
    }
}

/// Bytes of a file that one child of a node of level `level + 1` covers: `block_size` x 1024^`level`, capped at `u64::MAX`.
#[must_use]
pub fn span(block_size: u32, level: u8) -> u64 {
    FANOUT.checked_pow(u32::from(level)).and_then(|n| n.checked_mul(u64::from(block_size))).unwrap_or(u64::MAX)
}

/// Level of the top node of a file: 0 when one block (or none) holds it all, then the top *is* that block.
#[must_use]
pub fn depth_for(size: u64, block_size: u32) -> u8 {
    (0..LEVEL_MAX).find(|level| span(block_size, *level) >= size).unwrap_or(LEVEL_MAX)
}

/// Whether files may be cut into blocks of this size: a power of two from 64 KiB to 1 MiB.
#[must_use]
pub fn is_block_size(bytes: u32) -> bool {
    bytes.is_power_of_two() && (BLOCK_SIZE_MIN..=BLOCK_SIZE_MAX).contains(&bytes)
}

/// One file of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEntry {
    /// Relative, `/` between components, none of them empty, `.` or `..`; no NUL; 1 to 4096 bytes.
    pub path: String,
    /// Permission bits, at most `0o7777`.
    pub mode: u32,
    /// Bytes.
    pub size: u64,
    /// Bytes per block; a file keeps it for life.
    pub block_size: u32,
    /// Top of its tree; `None` when it is empty or one hole. At depth 0 the block itself.
    pub top: Option<BlockId>,
    /// [`depth_for`] its size and block size.
    pub depth: u8,
}

impl FileEntry {
    /// Checks every field.
    ///
    /// # Errors
    /// The first field that is out of its bounds.
    pub fn check(&self) -> Result<(), BadTree> {
        check_path(&self.path)?;
        if self.mode > 0o7777 {
            return Err(BadTree("mode beyond the permission bits"));
        }
        if self.size > FILE_SIZE_MAX {
            return Err(BadTree("file too large"));
        }
        if !is_block_size(self.block_size) {
            return Err(BadTree("block size"));
        }
        if self.depth != depth_for(self.size, self.block_size) {
            return Err(BadTree("depth does not fit the size"));
        }
        if self.size == 0 && self.top.is_some() {
            return Err(BadTree("empty file with content"));
        }
        Ok(())
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let path_len = u16::try_from(self.path.len()).expect("paths are checked to be at most 4096 bytes");
        out.extend_from_slice(&path_len.to_le_bytes());
        out.extend_from_slice(self.path.as_bytes());
        out.extend_from_slice(&self.mode.to_le_bytes());
        out.extend_from_slice(&self.size.to_le_bytes());
        out.extend_from_slice(&self.block_size.to_le_bytes());
        out.push(self.depth);
        out.push(u8::from(self.top.is_some()));
        if let Some(top) = self.top {
            out.extend_from_slice(&top.0);
        }
    }

    fn decode(input: &mut Input<'_>) -> Result<Self, BadTree> {
        let path_len = usize::from(input.u16()?);
        let path = std::str::from_utf8(input.take(path_len)?).map_err(|_| BadTree("path is not UTF-8"))?.to_owned();
        let mode = input.u32()?;
        let size = input.u64()?;
        let block_size = input.u32()?;
        let depth = input.u8()?;
        let top = match input.u8()? {
            0 => None,
            1 => Some(BlockId(input.array()?)),
            _ => return Err(BadTree("kind of a file's top")),
        };
        let entry = Self { path, mode, size, block_size, top, depth };
        entry.check()?;
        Ok(entry)
    }
}

/// Checks a path as [`FileEntry::path`] promises it.
///
/// # Errors
/// What is wrong with it.
pub fn check_path(path: &str) -> Result<(), BadTree> {
    if path.is_empty() || path.len() > PATH_BYTES_MAX {
        return Err(BadTree("length of a path"));
    }
    if path.contains('\0') {
        return Err(BadTree("NUL in a path"));
    }
    if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(BadTree("path is absolute or has empty or dot components"));
    }
    Ok(())
}

/// Checks that entries are strictly ascending by the bytes of their paths and that none is a folder of another.
///
/// # Errors
/// On the first pair that cannot be in one snapshot.
pub fn check_order(entries: &[FileEntry]) -> Result<(), BadTree> {
    if entries.windows(2).any(|pair| pair[0].path >= pair[1].path) {
        return Err(BadTree("paths are not in strictly ascending order"));
    }
    let find = |path: &str| entries.binary_search_by(|entry| entry.path.as_str().cmp(path)).is_ok();
    let mut known_parent = "";
    for entry in entries {
        let parent = entry.path.rsplit_once('/').map_or("", |(parent, _)| parent);
        if parent == known_parent {
            continue;
        }
        let mut above = parent;
        while !above.is_empty() {
            if find(above) {
                return Err(BadTree("a path is both a file and a folder"));
            }
            above = above.rsplit_once('/').map_or("", |(parent, _)| parent);
        }
        known_parent = parent;
    }
    Ok(())
}

/// Cuts sorted entries into pages. A page ends where the hash of a path says so, so that a file more or less changes one page only.
#[must_use]
pub fn encode_pages(entries: &[FileEntry]) -> Vec<Vec<u8>> {
    let mut pages = Vec::new();
    let mut body = Vec::new();
    let mut count = 0u16;
    for entry in entries {
        entry.encode(&mut body);
        count += 1;
        let boundary = blake3::hash(entry.path.as_bytes()).as_bytes()[0].is_multiple_of(64);
        if boundary || usize::from(count) >= PAGE_ENTRIES_MAX || body.len() >= PAGE_BYTES_SOFT {
            pages.push(close_page(count, &body));
            body.clear();
            count = 0;
        }
    }
    if count > 0 {
        pages.push(close_page(count, &body));
    }
    pages
}

fn close_page(count: u16, body: &[u8]) -> Vec<u8> {
    let mut page = Vec::with_capacity(6 + body.len());
    page.extend_from_slice(&PAGE_MAGIC);
    page.extend_from_slice(&count.to_le_bytes());
    page.extend_from_slice(body);
    page
}

/// Reads one page of entries. Order across pages is for [`check_order`].
///
/// # Errors
/// Anything that [`encode_pages`] would not have written.
pub fn decode_page(bytes: &[u8]) -> Result<Vec<FileEntry>, BadTree> {
    let mut input = Input(bytes);
    if input.array::<4>()? != PAGE_MAGIC {
        return Err(BadTree("not a page of entries"));
    }
    let count = usize::from(input.u16()?);
    if count == 0 || count > PAGE_ENTRIES_MAX {
        return Err(BadTree("number of entries in a page"));
    }
    let mut entries = Vec::with_capacity(count);
    for _ in 0..count {
        entries.push(FileEntry::decode(&mut input)?);
    }
    if !input.0.is_empty() {
        return Err(BadTree("bytes after the last entry"));
    }
    Ok(entries)
}

/// What is left to decode; every step checks that it is there.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], BadTree> {
        let (head, tail) = self.0.split_at_checked(count).ok_or(BadTree("cut short"))?;
        self.0 = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], BadTree> {
        let (head, tail) = self.0.split_first_chunk::<N>().ok_or(BadTree("cut short"))?;
        self.0 = tail;
        Ok(*head)
    }

    fn u8(&mut self) -> Result<u8, BadTree> {
        Ok(self.array::<1>()?[0])
    }

    fn u16(&mut self) -> Result<u16, BadTree> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    fn u32(&mut self) -> Result<u32, BadTree> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64, BadTree> {
        Ok(u64::from_le_bytes(self.array()?))
    }
}
