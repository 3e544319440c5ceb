//! Property tests of the decoders: what is written reads back, everything else is refused, nothing panics.

use blockstore_engine::tree::{
    BLOCK_SIZE_MAX, BLOCK_SIZE_MIN, FANOUT, FILE_SIZE_MAX, LEVEL_MAX, check_order, check_path, decode_page, depth_for,
    encode_pages, span,
};
use blockstore_engine::{BlockId, Child, FileEntry, Node};
use proptest::prelude::*;

fn children() -> impl Strategy<Value = Vec<Child>> {
    let child = (any::<Option<[u8; 32]>>(), 1..1u64 << 40).prop_map(|(id, len)| Child { id: id.map(BlockId), len });
    proptest::collection::vec(child, 0..200)
}

fn entries() -> impl Strategy<Value = Vec<FileEntry>> {
    let entry = ("[a-c]{1,3}(/[a-c]{1,3}){0,3}", 0..0o10000u32, 0..1u64 << 40, 16..21u32, any::<Option<[u8; 32]>>());
    proptest::collection::vec(entry, 0..300).prop_map(|raw| {
        let mut entries: Vec<FileEntry> = raw
            .into_iter()
            .map(|(path, mode, size, power, top)| FileEntry {
                path,
                mode,
                size,
                block_size: 1 << power,
                top: top.filter(|_| size > 0).map(BlockId),
                depth: depth_for(size, 1 << power),
            })
            .collect();
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        entries.dedup_by(|a, b| a.path == b.path);
        entries
    })
}

proptest! {
    #[test]
    fn nodes_read_back(level in 1..=LEVEL_MAX, children in children()) {
        let node = Node { level, children };
        let bytes = node.encode();
        prop_assert_eq!(Node::decode(&bytes).unwrap(), node);
    }

    #[test]
    fn changed_nodes_are_refused_or_different(
        children in children(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>(),
    ) {
        let node = Node { level: 1, children };
        let bytes = node.encode();
        prop_assert!(Node::decode(&bytes[..cut.index(bytes.len())]).is_err());
        let mut changed = bytes.clone();
        changed[at.index(bytes.len())] ^= byte;
        if let Ok(decoded) = Node::decode(&changed) {
            prop_assert_eq!(decoded.encode(), changed, "canonical: what decodes is what would be written");
        }
        let mut longer = bytes;
        longer.push(0);
        prop_assert!(Node::decode(&longer).is_err());
    }

    #[test]
    fn random_bytes_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = Node::decode(&bytes);
        let _ = decode_page(&bytes);
        for magic in [b"HFN\x01", b"HFE\x01"] {
            if bytes.len() >= 4 {
                bytes[..4].copy_from_slice(magic);
            }
            if let Ok(node) = Node::decode(&bytes) {
                prop_assert_eq!(node.encode(), bytes.clone());
            }
            if let Ok(entries) = decode_page(&bytes) {
                prop_assert!(entries.iter().all(|entry| entry.check().is_ok()));
            }
        }
    }

    #[test]
    fn pages_read_back(entries in entries()) {
        let pages = encode_pages(&entries);
        let mut decoded = Vec::new();
        for page in &pages {
            prop_assert!(page.len() <= BLOCK_SIZE_MAX as usize);
            decoded.append(&mut decode_page(page).unwrap());
        }
        prop_assert_eq!(decoded, entries);
    }

    #[test]
    fn changed_pages_are_refused_or_canonical(entries in entries(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        for page in encode_pages(&entries) {
            let mut changed = page.clone();
            changed[at.index(page.len())] ^= byte;
            if let Ok(decoded) = decode_page(&changed) {
                prop_assert!(decoded.iter().all(|entry| entry.check().is_ok()));
            }
            prop_assert!(decode_page(&page[..page.len() - 1]).is_err());
        }
    }

    #[test]
    fn one_more_file_changes_few_pages(count in 500..3000usize, extra in any::<prop::sample::Index>()) {
        let entry = |number: usize| FileEntry {
            path: format!("collection-{number:06}.wt"), mode: 0o600, size: 1, block_size: BLOCK_SIZE_MIN,
            top: Some(BlockId::of(&number.to_le_bytes())), depth: 0,
        };
        let all: Vec<_> = (0..count).map(entry).collect();
        let mut fewer = all.clone();
        fewer.remove(extra.index(count));
        let old: std::collections::HashSet<_> = encode_pages(&fewer).into_iter().collect();
        let changed = encode_pages(&all).into_iter().filter(|page| !old.contains(page)).count();
        prop_assert!(changed <= 4, "{} pages changed", changed);
    }

    #[test]
    fn depth_is_the_least_that_covers(size in 0..=FILE_SIZE_MAX, power in 16..21u32) {
        let block_size = 1u32 << power;
        let depth = depth_for(size, block_size);
        prop_assert!(span(block_size, depth) >= size);
        prop_assert!(depth == 0 || span(block_size, depth - 1) < size);
        prop_assert!(depth <= LEVEL_MAX);
    }

    #[test]
    fn paths_never_leave_the_folder(path in ".{0,40}") {
        if check_path(&path).is_ok() {
            let joined = std::path::Path::new("/base").join(&path);
            prop_assert!(joined.starts_with("/base"));
            prop_assert!(!joined.components().any(|part| part == std::path::Component::ParentDir));
        }
    }
}

#[test]
fn hostile_paths_are_refused() {
    for bad in ["", "/", "/etc/passwd", "..", "a/../b", "a//b", "./a", "a/.", "a/", "a\0b", &"x".repeat(4097)] {
        assert!(check_path(bad).is_err(), "{bad:?}");
    }
    for good in ["a", "a/b", "...", "a..b/c", "_mdb catalog.wt", &"x".repeat(4096)] {
        assert!(check_path(good).is_ok(), "{good:?}");
    }
}

#[test]
fn a_file_cannot_be_a_folder_too() {
    let entry =
        |path: &str| FileEntry { path: path.into(), mode: 0, size: 0, block_size: BLOCK_SIZE_MIN, top: None, depth: 0 };
    let check = |paths: &[&str]| check_order(&paths.iter().map(|path| entry(path)).collect::<Vec<_>>());
    assert!(check(&["a", "a-b", "a/b"]).is_err());
    assert!(check(&["a", "a/b/c"]).is_err());
    assert!(check(&["a-b", "a/b", "a/c/d", "b"]).is_ok());
    assert!(check(&["b", "a"]).is_err());
    assert!(check(&["a", "a"]).is_err());
}

#[test]
fn geometry_is_enforced() {
    let block = u64::from(BLOCK_SIZE_MIN);
    let child = |len| Child { id: Some(BlockId([1; 32])), len };
    let node = |level, lens: &[u64]| Node { level, children: lens.iter().map(|len| child(*len)).collect() };
    assert!(node(1, &[block, block, 5]).check_geometry(1, 2 * block + 5, BLOCK_SIZE_MIN).is_ok());
    assert!(node(1, &[block, block, 5]).check_geometry(2, 2 * block + 5, BLOCK_SIZE_MIN).is_err());
    assert!(node(1, &[block, 5, block]).check_geometry(1, 2 * block + 5, BLOCK_SIZE_MIN).is_err());
    assert!(node(1, &[block, block]).check_geometry(1, 2 * block + 5, BLOCK_SIZE_MIN).is_err());
    assert!(node(2, &[FANOUT * block, 1]).check_geometry(2, FANOUT * block + 1, BLOCK_SIZE_MIN).is_ok());
}
