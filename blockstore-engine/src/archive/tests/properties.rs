//! Random snapshots.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::content::assert_tar_holds;
use super::fake::fake;
use super::*;
use crate::tree::{FileEntry, check_order};

fn paths() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        "[a-z]{1,4}",
        "[a-zA-Z0-9 ._-]{0,20}[a-z]",
        "[äöλ日\u{1F600}]{1,30}",
        Just("x".repeat(99)),
        Just("y".repeat(101)),
        "\\PC{0,12}z".prop_map(|text| text.replace('/', "_")),
    ];
    prop::collection::vec(part, 1..5).prop_map(|parts| parts.join("/"))
}

fn sizes() -> impl Strategy<Value = u64> {
    prop_oneof![
        Just(0),
        Just(1),
        Just(511),
        Just(512),
        Just(64 * KIB - 1),
        Just(64 * KIB),
        Just(64 * KIB + 1),
        0..3 * MIB,
        64 * MIB - 70_000..64 * MIB + 70_000,
    ]
}

fn files() -> impl Strategy<Value = Vec<FakeFile>> {
    let file = (
        paths(),
        sizes(),
        0u32..5,
        prop::collection::btree_set(prop_oneof![0u64..20, 1000u64..1040], 0..24),
        0u32..0o10000,
    );
    prop::collection::vec(file, 0..6).prop_map(|files| {
        let mut unique = BTreeMap::new();
        for (path, size, shift, filled, mode) in files {
            let mut file = FakeFile::new(&path, size, 64 << 10 << shift, filled);
            file.mode = mode;
            unique.insert(path, file);
        }
        // What `check_order` refuses cannot be in a snapshot.
        let mut kept: Vec<FakeFile> = Vec::new();
        for (_, file) in unique {
            kept.push(file);
            let entries: Vec<FileEntry> = kept
                .iter()
                .map(|f| FileEntry {
                    path: f.path.clone(),
                    mode: 0,
                    size: 0,
                    block_size: 64 << 10,
                    top: None,
                    depth: 0,
                })
                .collect();
            if check_order(&entries).is_err() {
                kept.pop();
            }
        }
        kept
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_snapshot_survives(files in files(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12)) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            let (one, two) = (fake(files.clone()), fake(files.clone()));
            let tar = whole(&plan(&one, ArchiveFormat::Tar).await).await;
            assert_tar_holds(&tar, &files);
            for format in [ArchiveFormat::Tar, ArchiveFormat::TarZst] {
                let instances = [plan(&one, format).await, plan(&two, format).await];
                assert_eq!(instances[0].etag(), instances[1].etag());
                let all = whole(&instances[0]).await;
                assert_eq!(instances[0].len(), Some(all.len() as u64));
                if format == ArchiveFormat::TarZst {
                    assert!(zstd::decode_all(all.as_slice()).unwrap() == tar);
                }
                let mut seams: Vec<usize> = cuts.iter().map(|cut| cut.index(all.len())).chain([0, all.len()]).collect();
                seams.sort_unstable();
                let mut joined = Vec::new();
                for (n, seam) in seams.windows(2).enumerate() {
                    joined.extend(collect(instances[n % 2].stream(seam[0] as u64..seam[1] as u64)).await.unwrap());
                }
                assert!(joined == all);
            }
            let lines: Vec<String> = plan(&one, ArchiveFormat::TarZst).await.sums().try_collect().await.unwrap();
            assert_eq!(lines.len(), files.len());
            for (line, file) in lines.iter().zip(&files) {
                let hash = blake3::hash(&file.read(0..file.size)).to_hex();
                assert!(line.trim_start_matches('\\').starts_with(&format!("{hash}  {}  ", file.size)));
            }
        });
    }
}
