//! Targets of what other stores, other processes and people hand in: objects beside packs, key files, wrapped keys, and all that a copy receives.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use futures::FutureExt;

use super::{example_root, group_key, master, ring, sealed};
use crate::copy::StoredBlock;
use crate::copy::address::{BlockAddress, Pages, resolve};
use crate::error::{ErrorClass, ReadError};
use crate::frame::{Opener, Sealed, Unreadable};
use crate::id::{BlockHasher, BlockId};
use crate::key_file;
use crate::keys::{GroupKey, KeyError, KeyId};
use crate::payload::aside as objects;
use crate::payload::mirror;
use crate::root::Root;
use crate::source::FrameSource;
use crate::tree::{BLOCK_SIZE_MIN, Child, FileEntry, Node, decode_page, depth_for, encode_pages};

const NAME: &str = "ledger/a-1.seg";

/// An object beside the packs.
pub(super) fn aside(data: &[u8]) {
    let (ring, key) = ring();
    let read = |object: Bytes| match objects::decode(NAME, &object, &ring) {
        Ok(body) => {
            let plain = objects::encode(NAME, &body, None, &ring).expect("a body that was read can be written");
            assert!(plain == object || object.len() == plain.len() + crate::keys::SEAL_BYTES, "an object has one form");
        }
        Err(error) => assert!(matches!(error.class(), ErrorClass::Corrupt | ErrorClass::Operator), "{error}"),
    };
    let summed = |content: &[u8]| Bytes::from([content, blake3::hash(content).as_bytes()].concat());
    read(Bytes::copy_from_slice(data));
    // The same with its checksum put right, as whoever wrote it on purpose would.
    read(summed(data));
    // A head that fits, and the rest as it comes: plain, encrypted, or under a key that nobody has.
    for key in [KeyId([0; 16]), key, KeyId([9; 16])] {
        let mut content = b"HFO\x01".to_vec();
        content.extend_from_slice(&u16::try_from(NAME.len()).expect("a short name").to_le_bytes());
        content.extend_from_slice(NAME.as_bytes());
        content.extend_from_slice(&key.0);
        content.extend_from_slice(&(data.len() as u64).to_le_bytes());
        content.extend_from_slice(data);
        read(summed(&content));
    }
    let Ok(name) = std::str::from_utf8(data) else { return };
    if let Ok(path) = objects::path(name) {
        assert_eq!(path.as_ref().strip_prefix("aside/"), Some(name), "a name leads nowhere else");
        assert!(!name.split('/').any(|part| part.is_empty() || part.starts_with("..") && part.len() == 2));
        let object = objects::encode(name, b"body", Some(key), &ring).expect("a short body");
        assert_eq!(objects::decode(name, &object, &ring).expect("what was written can be read"), &b"body"[..]);
        assert_eq!(name == NAME, objects::decode(NAME, &object, &ring).is_ok(), "none stands for another");
    }
}

pub(super) fn aside_seeds() -> Vec<Vec<u8>> {
    let (ring, key) = ring();
    let object = |body: &[u8], key| objects::encode(NAME, body, key, &ring).expect("a short body").to_vec();
    vec![object(b"plain", None), object(b"secret", Some(key)), object(b"", None), NAME.into(), b"jobs/0.json".to_vec()]
}

/// The file of a group's key, or its text.
pub(super) fn key_file(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let read = |text: &str| match GroupKey::from_file(text) {
        Ok(key) => {
            assert_eq!(GroupKey::from_file(&key.to_file("any group")), Ok(key.clone()));
            assert_eq!(GroupKey::from_file(&key.export()), Ok(key));
        }
        Err(error) => assert_ne!(error, KeyError::Unwrap, "nothing is wrapped here"),
    };
    read(text);
    // With its checksum put right.
    let Ok(serde_json::Value::Object(mut file)) = serde_json::from_str(text) else { return };
    let part = |name: &str| file.get(name).and_then(|value| value.as_str()).unwrap_or_default().to_owned();
    let sum = key_file::checksum(&part("keyId"), &part("key"));
    file.insert("checksum".into(), sum.into());
    read(&serde_json::Value::Object(file).to_string());
}

pub(super) fn key_file_seeds() -> Vec<Vec<u8>> {
    let file = group_key().to_file("shop");
    let more = file.replace("\"group\"", "\"later\": [1], \"group\"");
    vec![file.into_bytes(), more.into_bytes(), group_key().export().into_bytes()]
}

/// A group's key as the app database keeps it.
pub(super) fn wrapped_key(data: &[u8]) {
    let master = master();
    let read = |wrapped: &[u8]| match master.unwrap_key(wrapped) {
        Ok(key) => {
            assert_eq!(wrapped[4..20], key.id().0, "a key is under its own name");
            assert_eq!(master.unwrap_key(&master.wrap(&key)), Ok(key));
            true
        }
        Err(error) => {
            assert_eq!(error, KeyError::Unwrap);
            false
        }
    };
    read(data);
    // Any text under any name, wrapped as it should be: only a key under its own name comes out.
    let Some((id, text)) = data.split_at_checked(16) else { return };
    let id = KeyId::from_slice(id).expect("16 bytes");
    let wrapped = master.wrap_as(id, text).expect("a short text");
    let is_key = <[u8; 32]>::try_from(text).is_ok_and(|bytes| GroupKey::from_bytes(bytes).id() == id);
    assert_eq!(read(&wrapped), is_key);
}

pub(super) fn wrapped_key_seeds() -> Vec<Vec<u8>> {
    let key = group_key();
    let named = [&key.id().0[..], key.bytes()].concat();
    vec![master().wrap(&key), named, [&[1; 16][..], &[2; 32]].concat()]
}

/// Blocks that a source sent.
pub(super) fn wire(data: &[u8]) {
    let bytes = Bytes::copy_from_slice(data);
    let Ok(blocks) = StoredBlock::decode_all(&bytes) else { return };
    assert_eq!(blocks.iter().map(StoredBlock::wire_len).sum::<usize>(), data.len(), "every byte belongs to a block");
    assert_eq!(StoredBlock::encode_all(&blocks), data, "a block has one form");
    let (ring, _) = ring();
    let mut opener = Opener::new().expect("memory for a context");
    let mut open = |sealed: &Sealed| match sealed.frame(&ring) {
        Ok((frame, hasher)) => {
            if let Ok(raw) = opener.open(hasher, sealed.id, sealed.raw_len, &frame) {
                assert_eq!((hasher.id(&raw), u32::try_from(raw.len())), (sealed.id, Ok(sealed.raw_len)));
            }
        }
        Err(Unreadable::NoKey(key)) => assert_eq!(Some(key), sealed.key),
        Err(Unreadable::Bad(_)) => {}
    };
    for StoredBlock(sealed) in &blocks {
        open(sealed);
        // With the checksum of its frame put right, as whoever sends it on purpose would.
        if sealed.key.is_none() {
            open(&Sealed { sum: crate::frame::checksum(BlockHasher::PLAIN, &sealed.body), ..sealed.clone() });
        }
    }
}

pub(super) fn wire_seeds() -> Vec<Vec<u8>> {
    let blocks: Vec<_> = [(&[1; 900][..], false), (b"two two two", true), (&[3; 70], false)]
        .into_iter()
        .map(|(raw, encrypted)| StoredBlock(sealed(raw, encrypted)))
        .collect();
    vec![StoredBlock::encode_all(&blocks), StoredBlock::encode_all(&blocks[..1]), StoredBlock::encode_all(&blocks[1..2])]
}

/// A snapshot of a few files in memory, and every address that leads somewhere.
struct Snapshot {
    root: Root,
    raws: HashMap<BlockId, Bytes>,
    addresses: BTreeMap<String, BlockId>,
}

static SNAPSHOT: LazyLock<Snapshot> = LazyLock::new(Snapshot::new);

fn words(address: &BlockAddress) -> String {
    serde_json::to_string(address).expect("an address is JSON")
}

impl Snapshot {
    fn new() -> Self {
        let mut new = Self { root: example_root(None), raws: HashMap::new(), addresses: BTreeMap::new() };
        let block = u64::from(BLOCK_SIZE_MIN);
        // A file of one block, an empty one, one with a node (the second block is a hole), one of two levels that is holes but for its end.
        let (one, last) = (new.put(b"a short file"), new.put(b"the last block"));
        let full = Child { id: Some(new.put(&vec![5; BLOCK_SIZE_MIN as usize])), len: block };
        let hole = |len| Child { id: None, len };
        let node = new.put_node(1, vec![full, hole(block), Child { id: Some(one), len: 12 }]);
        let low = new.put_node(1, vec![hole(block), Child { id: Some(last), len: 14 }]);
        let high = new.put_node(2, vec![hole(block * 1024), Child { id: Some(low), len: block + 14 }]);
        let entry = |path: &str, size, top| FileEntry {
            path: path.into(),
            mode: 0o600,
            size,
            block_size: BLOCK_SIZE_MIN,
            top,
            depth: depth_for(size, BLOCK_SIZE_MIN),
        };
        let entries = [
            entry("a", 12, Some(one)),
            entry("b", 0, None),
            entry("c", 2 * block + 12, Some(node)),
            entry("d", 1025 * block + 14, Some(high)),
        ];
        let pages: Vec<_> = encode_pages(&entries[..2]).into_iter().chain(encode_pages(&entries[2..])).collect();
        let children = pages.iter().map(|page| Child { id: Some(new.put(page)), len: page.len() as u64 }).collect();
        new.root.tree = new.put_node(1, children);
        new.root.files = entries.len() as u64;
        new.root.hash = new.root.seal();
        let top = BlockAddress::default();
        new.name(&top, new.root.tree);
        for (number, page) in pages.iter().enumerate() {
            let at = top.entries_child(number).expect("few pages");
            new.name(&at, BlockId::of(page));
            for (number, entry) in decode_page(page).expect("a page").iter().enumerate() {
                let Some(id) = entry.top else { continue };
                new.below(&at.file(number).expect("few files"), id, entry.depth);
            }
        }
        new
    }

    fn put(&mut self, raw: &[u8]) -> BlockId {
        let id = BlockId::of(raw);
        self.raws.insert(id, Bytes::copy_from_slice(raw));
        id
    }

    fn put_node(&mut self, level: u8, children: Vec<Child>) -> BlockId {
        self.put(&Node { level, children }.encode())
    }

    fn name(&mut self, address: &BlockAddress, id: BlockId) {
        self.addresses.insert(words(address), id);
    }

    fn below(&mut self, at: &BlockAddress, id: BlockId, level: u8) {
        self.name(at, id);
        if level > 0 {
            let node = Node::decode(&self.raws[&id]).expect("a node");
            for (number, child) in node.children.iter().enumerate() {
                if let Some(id) = child.id {
                    self.below(&at.child(number).expect("few children"), id, level - 1);
                }
            }
        }
    }
}

const NOT_ASKED: ReadError = ReadError::Internal("an address is followed through nodes and pages alone");

impl FrameSource for Snapshot {
    async fn entries(&self) -> Result<Vec<FileEntry>, ReadError> {
        Err(NOT_ASKED)
    }

    async fn node(&self, id: BlockId) -> Result<Arc<Node>, ReadError> {
        let raw = self.raws.get(&id).ok_or(ReadError::Missing(id))?;
        Node::decode(raw).map(Arc::new).map_err(|source| ReadError::BadNode { id, source })
    }

    async fn frame_lengths(&self, _: &[BlockId]) -> Result<Vec<u32>, ReadError> {
        Err(NOT_ASKED)
    }

    async fn frames(&self, _: &[BlockId]) -> Result<Vec<Bytes>, ReadError> {
        Err(NOT_ASKED)
    }

    async fn blocks(&self, ids: &[BlockId]) -> Result<Vec<Bytes>, ReadError> {
        ids.iter().map(|id| self.raws.get(id).cloned().ok_or(ReadError::Missing(*id))).collect()
    }

    async fn stored_sum(&self, _: BlockId) -> Result<u64, ReadError> {
        Err(NOT_ASKED)
    }

    async fn reframed(&self) -> Result<i64, ReadError> {
        Err(NOT_ASKED)
    }

    fn root(&self) -> &Root {
        &self.root
    }
}

/// Addresses of blocks, as whoever copies asks for them: each leads to its block of the snapshot, or is refused as the caller's fault.
pub(super) fn address(data: &[u8]) {
    let Ok(addresses) = serde_json::from_slice::<Vec<BlockAddress>>(data) else { return };
    let mut pages = Pages::new();
    for address in &addresses {
        let again: BlockAddress = serde_json::from_str(&words(address)).expect("what was written can be read");
        assert_eq!(again, *address);
        let found = resolve(&*SNAPSHOT, address, &mut pages).now_or_never().expect("memory does not wait");
        match (found, SNAPSHOT.addresses.get(&words(address))) {
            (Ok(found), Some(known)) => assert_eq!(found, *known),
            (Err(error), None) => assert_eq!(error.class(), ErrorClass::Caller, "{error}"),
            (found, known) => panic!("{address:?}: {found:?}, and not {known:?}"),
        }
    }
}

pub(super) fn address_seeds() -> Vec<Vec<u8>> {
    let all: Vec<&str> = SNAPSHOT.addresses.keys().map(String::as_str).collect();
    let list = |some: &[&str]| format!("[{}]", some.join(",")).into_bytes();
    vec![list(&all), list(&all[..2]), br#"[{"entries":[0],"file":1},{"below":[1]},{"entries":[7,7],"file":0}]"#.to_vec()]
}

/// A root as another Holdfast sends it.
pub(super) fn remote_root(data: &[u8]) {
    let Ok(root) = bson::deserialize_from_slice::<Root>(data) else { return };
    let again = bson::serialize_to_vec(&root).expect("a root is a document");
    let back: Root = bson::deserialize_from_slice(&again).expect("what was written can be read");
    assert_eq!((back.is_sealed(), &back), (root.is_sealed(), &root));
    // What its seal covers, whoever sealed it, is what its copy beside the packs says.
    let mut sealed = root.clone();
    sealed.hash = sealed.seal();
    let (ring, _) = ring();
    if let Some(copy) = mirror::encode(&sealed, &ring) {
        let read = mirror::decode(sealed.id, &copy, &ring).expect("a copy can be read");
        assert!(read.is_sealed() && read.hash == sealed.hash);
    }
    let mut other = sealed.clone();
    other.tree = BlockId(sealed.tree.0.map(|byte| !byte));
    assert!(sealed.is_sealed() && !other.is_sealed(), "the seal covers the tree");
}

pub(super) fn remote_root_seeds() -> Vec<Vec<u8>> {
    let (_, key) = ring();
    let (mut trashed, mut bare) = (example_root(Some(key)), example_root(None));
    trashed.trashed_at = Some(bson::DateTime::from_millis(9));
    (bare.parent, bare.label) = (None, None);
    [example_root(None), trashed, bare].map(|root| bson::serialize_to_vec(&root).expect("a root is a document")).to_vec()
}
