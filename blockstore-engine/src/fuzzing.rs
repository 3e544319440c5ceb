//! What the fuzz targets call: every decoder of this crate on bytes from outside, with what must hold whatever they are.
//!
//! Invariants: a target takes any bytes; it panics only when a decoder broke its contract (accepts what its encoder would not have written,
//! returns what does not fit, reads out of bounds). Checksums are put right by the targets themselves where they would only keep the fuzzer from what
//! lies behind them. Called by the crate `fuzz` (libFuzzer, and the test that replays the saved corpus), never by a program.
#![allow(clippy::missing_panics_doc, reason = "a panic is how a target reports")]

mod outside;

use std::str::FromStr;

use bson::raw::RawDocument;
use bytes::Bytes;

use crate::frame::{Opener, Packer, Sealed, check_frame};
use crate::id::{BlockHasher, BlockId, PayloadAt, RootId, StoreNumber};
use crate::keys::{GroupKey, KeyId, Keyring, MasterKey};
use crate::payload::format::{
    ENTRY_BYTES, Entry, PackBuilder, PackId, TRAILER_BYTES, Trailer, decode_pack, decode_record, salvage,
};
use crate::payload::{decode_document, encode_document, mirror};
use crate::root::{FORMAT, Floor, Purpose, Root};
use crate::store::{BlockRow, Row};
use crate::tree::{
    BLOCK_SIZE_MAX, BLOCK_SIZE_MIN, Child, FileEntry, LEVEL_MAX, Node, check_order, decode_page, encode_pages,
};

/// A target: its name (a folder of the corpus), what it does with an input, inputs to begin with.
pub type Target = (&'static str, fn(&[u8]), fn() -> Vec<Vec<u8>>);

/// All of them.
pub const TARGETS: [Target; 13] = [
    ("frame", frame, frame_seeds),
    ("node", node, node_seeds),
    ("page", page, page_seeds),
    ("pack", pack, pack_seeds),
    ("root_copy", root_copy, root_copy_seeds),
    ("documents", documents, document_seeds),
    ("names", names, name_seeds),
    ("aside", outside::aside, outside::aside_seeds),
    ("key_file", outside::key_file, outside::key_file_seeds),
    ("wrapped_key", outside::wrapped_key, outside::wrapped_key_seeds),
    ("wire", outside::wire, outside::wire_seeds),
    ("address", outside::address, outside::address_seeds),
    ("remote_root", outside::remote_root, outside::remote_root_seeds),
];

/// A key that is always the same, so that an input once found works for ever.
fn ring() -> (Keyring, KeyId) {
    let ring = Keyring::default();
    let id = ring.insert(&group_key());
    (ring, id)
}

fn master() -> MasterKey {
    MasterKey::from_bytes([5; 32])
}

fn group_key() -> GroupKey {
    GroupKey([6; 32])
}

fn pack_id() -> PackId {
    PackId { writer: writer(), number: 5 }
}

fn writer() -> RootId {
    "0123456789abcdef01234567".parse().expect("24 hexadecimal digits")
}

fn store() -> StoreNumber {
    StoreNumber::new(3).expect("3 is a number of a store")
}

/// A frame of a block.
fn frame(data: &[u8]) {
    let mut opener = Opener::new().expect("memory for a context");
    let other = BlockId([7; 32]);
    assert!(opener.open(BlockHasher::PLAIN, other, 1000, data).is_err(), "nothing has this hash");
    let capacity = usize::try_from(BLOCK_SIZE_MAX).expect("fits");
    let Ok(raw) = zstd::bulk::decompress(data, capacity) else { return };
    let Ok(raw_len) = u32::try_from(raw.len()) else { return };
    let id = BlockId::of(&raw);
    let opened = opener.open(BlockHasher::PLAIN, id, raw_len, data);
    // Several frames in a row decompress too, and are refused.
    assert_eq!(opened.is_ok(), check_frame(data).is_ok(), "{opened:?}");
    if let Ok(opened) = opened {
        assert_eq!(opened, raw);
        assert!(opener.open(BlockHasher::PLAIN, id, raw_len.wrapping_add(1), data).is_err());
    }
}

fn frame_seeds() -> Vec<Vec<u8>> {
    let mut packer = Packer::new(1).expect("memory for a context");
    let mut pack = |raw: &[u8]| packer.pack(raw).expect("a short text packs");
    let (one, two) = (pack(b"hello, hello, hello, hello"), pack(&[9; 3000]));
    vec![one.clone(), two.clone(), pack(&(0..=255).collect::<Vec<u8>>()), [one, two].concat()]
}

/// A node of a tree.
fn node(data: &[u8]) {
    let Ok(node) = Node::decode(data) else { return };
    assert_eq!(node.encode(), data, "a node has one form");
    let len = node.len();
    for level in 0..=LEVEL_MAX {
        for block_size in [BLOCK_SIZE_MIN, BLOCK_SIZE_MAX] {
            if node.check_geometry(level, len, block_size).is_ok() {
                assert_eq!(level, node.level);
            }
        }
    }
}

fn node_seeds() -> Vec<Vec<u8>> {
    let block = u64::from(BLOCK_SIZE_MIN);
    let child = |n: u8, len| Child { id: (n > 0).then_some(BlockId([n; 32])), len };
    [
        Node { level: 1, children: vec![child(1, block), child(0, block), child(2, 77)] },
        Node { level: 2, children: vec![child(3, block * 1024), child(4, 1)] },
        Node { level: 1, children: vec![] },
    ]
    .iter()
    .map(Node::encode)
    .collect()
}

/// A page of file entries.
fn page(data: &[u8]) {
    let Ok(entries) = decode_page(data) else { return };
    for entry in &entries {
        entry.check().expect("a decoded entry is one that could be written");
    }
    let _ = check_order(&entries);
    let again: Vec<FileEntry> = encode_pages(&entries)
        .iter()
        .flat_map(|page| decode_page(page).expect("what was written can be read"))
        .collect();
    assert_eq!(again, entries);
}

fn page_seeds() -> Vec<Vec<u8>> {
    let entry = |path: &str, size: u64| FileEntry {
        path: path.into(),
        mode: 0o600,
        size,
        block_size: BLOCK_SIZE_MIN,
        top: (size > 0).then_some(BlockId([8; 32])),
        depth: crate::tree::depth_for(size, BLOCK_SIZE_MIN),
    };
    let mut seeds = encode_pages(&[entry("WiredTiger", 47), entry("collection-0.wt", 5 << 20), entry("journal/a", 0)]);
    seeds.extend(encode_pages(&[entry("deep/er/and/deeper", 1 << 40)]));
    seeds.extend(encode_pages(&[entry("empty", 0), entry("one", 1), entry("\u{fc}ber", 65_537)]));
    seeds
}

/// A pack, whole, torn, or damaged.
fn pack(data: &[u8]) {
    let id = pack_id();
    let whole = Bytes::copy_from_slice(data);
    let read = |entries: Vec<Entry>, bytes: &Bytes| {
        let (ring, _) = ring();
        for entry in entries {
            let from = usize::try_from(entry.offset).expect("fits");
            assert!(from < bytes.len(), "a record lies in its pack");
            if let Ok(sealed) = decode_record(&bytes.slice(from..)) {
                let _ = sealed.frame(&ring);
            }
        }
    };
    read(salvage(id, &whole), &whole);
    if let Ok(entries) = decode_pack(id, &whole) {
        read(entries, &whole);
    }
    let _ = decode_record(&whole);
    // The same with its checksums put right, as whoever wrote it on purpose would.
    let Some(body_len) = data.len().checked_sub(TRAILER_BYTES) else { return };
    let mut forged = data.to_vec();
    let header = PackBuilder::new(id).finish();
    let head_len = header.len() - TRAILER_BYTES;
    if body_len < head_len {
        return;
    }
    forged[..head_len].copy_from_slice(&header[..head_len]);
    forged[body_len..body_len + 4].copy_from_slice(&header[head_len..head_len + 4]);
    let list_at = u32::from_le_bytes(forged[body_len + 8..body_len + 12].try_into().expect("four bytes"));
    let list_at = usize::try_from(list_at).expect("fits").min(body_len);
    let list_sum = blake3::hash(&forged[list_at..body_len]);
    forged[body_len + 16..body_len + 32].copy_from_slice(&list_sum.as_bytes()[..16]);
    let pack_sum = blake3::hash(&forged[..body_len]);
    forged[body_len + 32..].copy_from_slice(pack_sum.as_bytes());
    let forged = Bytes::from(forged);
    if let Ok(entries) = decode_pack(id, &forged) {
        assert_eq!(entries.len() * ENTRY_BYTES, body_len - list_at, "every line of the list is an entry");
        read(entries, &forged);
    }
    let _ = Trailer::decode(&forged[body_len..], forged.len() as u64 + 1);
}

fn sealed(raw: &[u8], encrypted: bool) -> Sealed {
    let (ring, key) = ring();
    let keys = if encrypted { ring.get(key) } else { None };
    let id = keys.as_ref().map_or_else(|| BlockId::of(raw), |keys| keys.hasher().id(raw));
    let frame = Packer::new(1).and_then(|mut packer| packer.pack(raw)).expect("a short text packs");
    Sealed::new(id, raw.len(), frame, keys.as_deref()).expect("a short text seals")
}

fn pack_seeds() -> Vec<Vec<u8>> {
    let mut seeds = vec![PackBuilder::new(pack_id()).finish().to_vec()];
    for encrypted in [false, true] {
        let mut builder = PackBuilder::new(pack_id());
        for raw in [&[1; 900][..], b"two two two", &[3; 70]] {
            builder.push(store(), &sealed(raw, encrypted)).expect("a small pack has room");
        }
        let pack = builder.finish().to_vec();
        seeds.push(pack[..pack.len() - 100].to_vec());
        seeds.push(pack);
    }
    seeds
}

/// The copy of a root that lies beside the packs.
fn root_copy(data: &[u8]) {
    let (ring, _) = ring();
    let id = data.get(4..16).map_or_else(writer, |bytes| hex::encode(bytes).parse().expect("twelve bytes are an id"));
    let check = |bytes: &[u8]| {
        let Ok(root) = mirror::decode(id, bytes, &ring) else { return };
        assert!(root.is_sealed());
        let copy = mirror::encode(&root, &ring).expect("its key is there");
        assert_eq!(mirror::decode(id, &copy, &ring).expect("a copy can be read"), root);
    };
    check(data);
    let sum = blake3::hash(data);
    check(&[data, sum.as_bytes()].concat());
    // A root as the database holds it, whoever wrote it.
    if let Ok(mut root) = bson::deserialize_from_slice::<Root>(data) {
        root.hash = root.seal();
        assert!(root.is_sealed());
        if let Some(copy) = mirror::encode(&root, &ring) {
            check(&copy);
        }
    }
}

fn example_root(key: Option<KeyId>) -> Root {
    let mut root = Root {
        id: writer(),
        job: "group/rs0".into(),
        parent: Some(writer()),
        committed_at: bson::DateTime::from_millis(1_700_000_000_123),
        meta: vec![1, 2, 3],
        resume: Floor { chain: 1, seq: 7 },
        purpose: Purpose::Snapshot,
        label: Some("before the upgrade".into()),
        pins: vec![],
        trashed_at: None,
        quarantined: false,
        files: 3,
        logical_bytes: 10,
        new_bytes: 5,
        stored_bytes: 4,
        tree: BlockId([4; 32]),
        key,
        origin: None,
        hash: [0; 32],
        format: FORMAT,
    };
    root.hash = root.seal();
    root
}

fn root_copy_seeds() -> Vec<Vec<u8>> {
    let (ring, key) = ring();
    let mut seeds = Vec::new();
    for root in [example_root(None), example_root(Some(key))] {
        let copy = mirror::encode(&root, &ring).expect("its key is there").to_vec();
        seeds.push(copy[..copy.len() - 32].to_vec());
        seeds.push(copy);
        seeds.push(bson::serialize_to_vec(&root).expect("a root is a document"));
    }
    seeds
}

/// Rows of the index and documents of `payloads`.
fn documents(data: &[u8]) {
    let Ok(raw) = RawDocument::from_bytes(data) else { return };
    if let Some((id, row)) = BlockRow::decode_any(raw)
        && let Row::Good(row) = row
    {
        let again = row.encode(id);
        let Some((same, Row::Good(back))) = BlockRow::decode_any(&again) else { panic!("a row cannot be read again") };
        let plain = BlockRow { quarantined: false, ..row };
        assert_eq!((same, format!("{back:?}")), (id, format!("{plain:?}")));
    }
    if let Ok(sealed) = decode_document(raw, 100, 90) {
        let (ring, _) = ring();
        let _ = sealed.frame(&ring);
        let again = encode_document(PayloadAt { writer: writer(), number: 1 }, &sealed);
        let back = decode_document(&again, 100, 90).expect("what was written can be read");
        assert_eq!((back.id, back.sum, back.body), (sealed.id, sealed.sum, sealed.body));
    }
}

fn document_seeds() -> Vec<Vec<u8>> {
    let at = PayloadAt { writer: writer(), number: 77 };
    let row = BlockRow { raw_len: 65_536, frame_len: 30_000, epoch: 4, at, quarantined: false };
    let mut seeds = vec![row.encode(BlockId([3; 32])).into_bytes()];
    seeds.extend([false, true].map(|encrypted| encode_document(at, &sealed(b"hello, hello", encrypted)).into_bytes()));
    seeds
}

/// Names and keys as text, wrapped keys.
fn names(data: &[u8]) {
    let _ = master().unwrap_key(data);
    let _ = PayloadAt::from_slice(data).map(|at| {
        assert_eq!(PayloadAt::from_slice(&at.to_bytes()), Some(at));
        at.place()
    });
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(key) = MasterKey::from_str(text) {
        assert_eq!(MasterKey::from_str(&key.export()).expect("an exported key"), key);
    }
    if let Ok(key) = GroupKey::from_str(text) {
        assert_eq!(GroupKey::from_str(&key.export()).expect("an exported key"), key);
    }
    if let Ok(id) = RootId::from_str(text) {
        assert_eq!(RootId::from_str(&id.to_string()).expect("an id"), id);
    }
    if let Ok(id) = BlockId::from_str(text) {
        assert_eq!(BlockId::from_str(&id.to_string()).expect("an id"), id);
    }
    if let Some(id) = PackId::from_path(text) {
        assert_eq!(id.path().as_ref(), text);
    }
    if let Some(id) = mirror::id_from_path(text) {
        assert_eq!(mirror::path(id).as_ref().len(), text.len());
    }
    let _ = crate::tree::check_path(text);
}

fn name_seeds() -> Vec<Vec<u8>> {
    let texts = [
        master().export(),
        group_key().export(),
        writer().to_string(),
        BlockId([1; 32]).to_string(),
        pack_id().path().to_string(),
        mirror::path(writer()).to_string(),
    ];
    let mut seeds: Vec<_> = texts.into_iter().map(String::into_bytes).collect();
    seeds.push(PayloadAt::in_pack(writer(), store(), 5, 64).to_bytes().to_vec());
    seeds.push(master().wrap(&group_key()));
    seeds
}
