//! A snapshot in memory, with counters and faults.

use std::collections::{BTreeMap, HashMap};
use std::future::{Future, ready};
use std::ops::Range;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use crate::error::ReadError;
use crate::id::{BlockId, RootId};
use crate::root::{FORMAT, Floor, Purpose, Root};
use crate::source::{FRAMES_MAX, FrameSource};
use crate::tree::{Child, FileEntry, Node, depth_for, span};

/// A file by its blocks; blocks that are absent are holes.
#[derive(Debug, Clone)]
pub(super) struct FakeFile {
    pub(super) path: String,
    pub(super) mode: u32,
    pub(super) size: u64,
    pub(super) block_size: u32,
    pub(super) blocks: BTreeMap<u64, Bytes>,
}

impl FakeFile {
    /// Blocks with these numbers hold bytes, every other one is a hole. Every second one is incompressible.
    pub(super) fn new(path: &str, size: u64, block_size: u32, filled: impl IntoIterator<Item = u64>) -> Self {
        let unit = u64::from(block_size);
        let blocks = filled
            .into_iter()
            .filter(|index| index * unit < size)
            .map(|index| {
                let len = usize::try_from(unit.min(size - index * unit)).unwrap();
                let mut raw = vec![1; len];
                let mut random =
                    blake3::Hasher::new().update(path.as_bytes()).update(&index.to_le_bytes()).finalize_xof();
                let dense = if index.is_multiple_of(2) { len } else { len.min(200) };
                random.fill(&mut raw[..dense]);
                raw[0] |= 1;
                (index, Bytes::from(raw))
            })
            .collect();
        Self { path: path.to_owned(), mode: 0o600, size, block_size, blocks }
    }

    pub(super) fn read(&self, range: Range<u64>) -> Vec<u8> {
        let mut out = vec![0; usize::try_from(range.end - range.start).unwrap()];
        let unit = u64::from(self.block_size);
        for (index, raw) in self.blocks.range(range.start / unit..=range.end / unit) {
            let at = index * unit;
            let (from, to) = (range.start.max(at), range.end.min(at + raw.len() as u64));
            if from < to {
                let place = |n: u64, base: u64| usize::try_from(n - base).unwrap();
                out[place(from, range.start)..place(to, range.start)]
                    .copy_from_slice(&raw[place(from, at)..place(to, at)]);
            }
        }
        out
    }
}

#[derive(Default)]
struct Stored {
    blocks: HashMap<BlockId, Bytes>,
    frames: HashMap<BlockId, Bytes>,
    nodes: HashMap<BlockId, Arc<Node>>,
    sums: HashMap<BlockId, u64>,
}

pub(super) struct Fake {
    root: Root,
    entries: Vec<FileEntry>,
    stored: Mutex<Stored>,
    pub(super) reframed: AtomicI64,
    /// Lookups of nodes, sums and lists of lengths.
    pub(super) lookups: AtomicU64,
    /// Bytes of frames and blocks that were answered.
    pub(super) payload_bytes: AtomicU64,
}

/// What `Archive` holds: an instance's own handle.
pub(super) type FakeSource = Arc<Fake>;

pub(super) fn fake(mut files: Vec<FakeFile>) -> FakeSource {
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let mut stored = Stored::default();
    let entries: Vec<FileEntry> = files
        .iter()
        .map(|file| {
            let depth = depth_for(file.size, file.block_size);
            let top = build(&mut stored, file, depth, 0..file.size);
            FileEntry {
                path: file.path.clone(),
                mode: file.mode,
                size: file.size,
                block_size: file.block_size,
                top,
                depth,
            }
        })
        .collect();
    let mut root = Root {
        id: "000102030405060708090a0b".parse::<RootId>().unwrap(),
        job: "job".into(),
        parent: None,
        committed_at: bson::DateTime::from_millis(1_700_000_000_999),
        meta: Vec::new(),
        resume: Floor { chain: 0, seq: 0 },
        purpose: Purpose::Snapshot,
        label: None,
        pins: Vec::new(),
        trashed_at: None,
        quarantined: false,
        files: entries.len() as u64,
        logical_bytes: files.iter().fold(0, |sum, file| sum + file.size),
        new_bytes: 0,
        stored_bytes: 0,
        tree: BlockId::of(format!("{entries:?}").as_bytes()),
        key: None,
        origin: None,
        hash: [0; 32],
        format: FORMAT,
    };
    root.hash = root.seal();
    Arc::new(Fake {
        root,
        entries,
        stored: Mutex::new(stored),
        reframed: AtomicI64::new(0),
        lookups: AtomicU64::new(0),
        payload_bytes: AtomicU64::new(0),
    })
}

/// The subtree over a range of the file, `None` for a hole.
fn build(stored: &mut Stored, file: &FakeFile, level: u8, range: Range<u64>) -> Option<BlockId> {
    let unit = u64::from(file.block_size);
    let (_, first) = file.blocks.range(range.start / unit..range.end.div_ceil(unit)).next()?;
    if level == 0 {
        let id = BlockId::of(first);
        stored.frames.entry(id).or_insert_with(|| zstd::bulk::compress(first, 1).unwrap().into());
        stored.blocks.insert(id, first.clone());
        return Some(id);
    }
    let step = span(file.block_size, level - 1);
    let mut children = Vec::new();
    let mut at = range.start;
    while at < range.end {
        let end = range.end.min(at + step);
        children.push(Child { id: build(stored, file, level - 1, at..end), len: end - at });
        at = end;
    }
    let below = |id: &BlockId| if level == 1 { stored.frames[id].len() as u64 } else { stored.sums[id] };
    let sum = children.iter().filter_map(|child| child.id.as_ref()).map(below).sum();
    let node = Node { level, children };
    let id = BlockId::of(&node.encode());
    stored.nodes.insert(id, Arc::new(node));
    stored.sums.insert(id, sum);
    Some(id)
}

impl Fake {
    /// Replaces every stored frame by one of another length, as a change of the compression would, and the sums with them.
    pub(super) fn reframe(&self) {
        let mut stored = self.stored.lock().unwrap();
        let Stored { frames, nodes, sums, .. } = &mut *stored;
        for frame in frames.values_mut() {
            let raw = zstd::decode_all(frame.as_ref()).unwrap();
            let mut encoder = zstd::bulk::Compressor::new(1).unwrap();
            encoder.include_checksum(true).unwrap();
            *frame = encoder.compress(&raw).unwrap().into();
        }
        let mut upwards: Vec<(&BlockId, &Arc<Node>)> = nodes.iter().collect();
        upwards.sort_by_key(|(_, node)| node.level);
        for (id, node) in upwards {
            let below = |id: &BlockId| if node.level == 1 { frames[id].len() as u64 } else { sums[id] };
            let sum = node.children.iter().filter_map(|child| child.id.as_ref()).map(below).sum();
            sums.insert(*id, sum);
        }
    }

    /// Cuts the last byte off every stored raw block.
    pub(super) fn shorten_blocks(&self) {
        for block in self.stored.lock().unwrap().blocks.values_mut() {
            block.truncate(block.len() - 1);
        }
    }

    /// Puts other frames of the same length in place, which hold nothing that decodes.
    pub(super) fn spoil_frames(&self) {
        for frame in self.stored.lock().unwrap().frames.values_mut() {
            *frame = vec![0x55; frame.len()].into();
        }
    }

    fn pick<T: Clone>(map: &HashMap<BlockId, T>, ids: &[BlockId]) -> Result<Vec<T>, ReadError> {
        assert!(ids.len() <= FRAMES_MAX);
        ids.iter().map(|id| map.get(id).cloned().ok_or(ReadError::Missing(*id))).collect()
    }

    fn payload(&self, bytes: Result<Vec<Bytes>, ReadError>) -> Result<Vec<Bytes>, ReadError> {
        let bytes = bytes?;
        self.payload_bytes.fetch_add(bytes.iter().map(|b| b.len() as u64).sum(), Ordering::SeqCst);
        Ok(bytes)
    }

    fn look(&self) {
        self.lookups.fetch_add(1, Ordering::SeqCst);
    }
}

impl FrameSource for FakeSource {
    fn entries(&self) -> impl Future<Output = Result<Vec<FileEntry>, ReadError>> + Send {
        ready(Ok(self.entries.clone()))
    }

    fn node(&self, id: BlockId) -> impl Future<Output = Result<Arc<Node>, ReadError>> + Send {
        self.look();
        ready(Fake::pick(&self.stored.lock().unwrap().nodes, &[id]).map(|mut nodes| nodes.remove(0)))
    }

    fn frame_lengths(&self, ids: &[BlockId]) -> impl Future<Output = Result<Vec<u32>, ReadError>> + Send {
        self.look();
        let frames = Fake::pick(&self.stored.lock().unwrap().frames, ids);
        ready(frames.map(|frames| frames.iter().map(|frame| u32::try_from(frame.len()).unwrap()).collect()))
    }

    fn frames(&self, ids: &[BlockId]) -> impl Future<Output = Result<Vec<Bytes>, ReadError>> + Send {
        ready(self.payload(Fake::pick(&self.stored.lock().unwrap().frames, ids)))
    }

    fn blocks(&self, ids: &[BlockId]) -> impl Future<Output = Result<Vec<Bytes>, ReadError>> + Send {
        ready(self.payload(Fake::pick(&self.stored.lock().unwrap().blocks, ids)))
    }

    fn stored_sum(&self, node: BlockId) -> impl Future<Output = Result<u64, ReadError>> + Send {
        self.look();
        ready(self.stored.lock().unwrap().sums.get(&node).copied().ok_or(ReadError::Missing(node)))
    }

    fn reframed(&self) -> impl Future<Output = Result<i64, ReadError>> + Send {
        ready(Ok(self.reframed.load(Ordering::SeqCst)))
    }

    fn root(&self) -> &Root {
        &self.root
    }
}
