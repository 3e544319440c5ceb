//! Payload stores beside the database: packs in directories and in a real S3 service, encrypted or not, with faults, moves and sweeps.

mod changing;
mod collecting;
mod cycle;
mod encryption;
mod faults;
mod moving;
mod proofs;
mod recovery;
mod s3;
mod sweeping;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::support::{self, Bed};
use blockstore_engine::archive::{Archive, ArchiveFormat};
use blockstore_engine::{
    EngineOptions, FrameSource, KeyId, PackLocation, PackStoreOptions, PayloadStore, Root, StoreNumber, SweepRequest,
    WriterRequest,
};
use futures::TryStreamExt;

fn number(number: u8) -> StoreNumber {
    StoreNumber::new(number).unwrap()
}

/// Packs of 1 MiB, so that a few megabytes make several.
fn small_packs(store: u8, location: PackLocation) -> PackStoreOptions {
    PackStoreOptions { pack_bytes: 1 << 20, ..PackStoreOptions::new(number(store), location) }
}

fn directory(path: &Path) -> PackLocation {
    PackLocation::Directory(path.to_owned())
}

/// Writes go to pack store 1 at this location.
fn to_packs(location: PackLocation) -> EngineOptions {
    EngineOptions {
        packs: vec![small_packs(1, location)],
        write_to: PayloadStore::Packs(number(1)),
        ..EngineOptions::default()
    }
}

/// All pack files below a directory store.
fn packs(dir: &Path) -> Vec<PathBuf> {
    let mut packs = Vec::new();
    for writer in std::fs::read_dir(dir.join("packs")).into_iter().flatten().flatten() {
        packs.extend(std::fs::read_dir(writer.path()).unwrap().map(|entry| entry.unwrap().path()));
    }
    packs.sort();
    packs
}

/// The archives that pass stored frames on, or decompress them, have the length that they say and hold exactly these files.
async fn assert_archived<S: FrameSource + Clone + 'static>(
    snapshot: impl Fn() -> S,
    files: &BTreeMap<String, (u32, Vec<u8>)>,
) {
    for format in [ArchiveFormat::Tar, ArchiveFormat::TarZst] {
        let archive = Archive::plan(snapshot(), format).await.unwrap();
        let bytes = archive.stream(archive.whole()).map_ok(|bytes| bytes.to_vec()).try_concat().await.unwrap();
        assert_eq!(Some(bytes.len() as u64), archive.len());
        let tar = if format == ArchiveFormat::Tar { bytes } else { zstd::decode_all(&bytes[..]).unwrap() };
        let mut found = 0;
        for entry in tar::Archive::new(&tar[..]).entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().to_str().unwrap().to_owned();
            if let Some((_, content)) = files.get(&path) {
                let mut read = Vec::new();
                entry.read_to_end(&mut read).unwrap();
                assert!(&read == content, "{path}");
                found += 1;
            }
        }
        assert_eq!(found, files.len());
    }
}

fn sweep(compact_below_percent: u8) -> SweepRequest {
    SweepRequest { store: number(1), compact_below_percent, dry_run: false }
}

/// As `Bed::snapshot`, under a key.
async fn encrypted_snapshot(bed: &Bed, parent: Option<&Root>, key: KeyId) -> Root {
    let request = WriterRequest { key: Some(key), ..support::request("job", parent.map(|root| root.id)) };
    let mut writer = bed.store.register(request).await.unwrap();
    writer.write_dir(&bed.source(), &|_| true, support::quiet()).await.unwrap();
    assert!(writer.verify_new().await.unwrap().is_good());
    writer.commit(support::commit()).await.unwrap()
}
