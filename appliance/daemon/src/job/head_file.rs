//! What a head on this disk is: its chain, whether it is loaded, what it came from.
//!
//! Invariants: `head.json` is replaced atomically; a generation folder without a readable one is garbage and removed. How far a ready head
//! came is *not* kept here but in its dbpath, in the same atomic step as the data. Owned by the job's driver alone.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use blockstore_engine::ranges;
use holdfast_domain::{OpTime, SnapshotId};
use holdfast_ledger::StorageOptions;
use serde::{Deserialize, Serialize};

use crate::{dbpath, head::Head, identity::write_durably};

/// File of a generation.
const FILE: &str = "head.json";

/// What a head is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum HeadPhase {
    /// Documents of an initial sync go into it; no snapshot can be taken.
    Loading,
    /// It stands at an optime and follows the ledger.
    Ready,
}

/// Where a head diverged, and which snapshots were tried since.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Divergence {
    /// The slice in which it was seen; a head that passes it is healed.
    pub seq: i64,
    /// Snapshots that the head was rebuilt from since, newest first.
    pub tried: Vec<SnapshotId>,
}

/// A head, as its file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeadFile {
    /// Chain that it follows.
    pub chain: i64,
    /// Number of the folder.
    pub generation: i64,
    /// What it is good for.
    pub phase: HeadPhase,
    /// Server version of the source, `6.0.5`.
    pub server_version: String,
    /// Feature compatibility version at the source.
    pub fcv: String,
    /// Layout of the files.
    pub storage: StorageOptions,
    /// Set after a divergence until the head has passed the place.
    #[serde(default)]
    pub divergence: Option<Divergence>,
    /// Newest catalog of the source that it was found equal to.
    #[serde(default)]
    pub compared: Option<OpTime>,
    /// The snapshot that it was rebuilt from.
    #[serde(default)]
    pub base: Option<SnapshotId>,
}

/// The heads of one job on this disk.
#[derive(Debug)]
pub struct HeadFiles {
    dir: PathBuf,
    /// The head in use; None: there is none.
    pub current: Option<HeadFile>,
}

impl HeadFiles {
    /// Looks for heads in the job's folder and removes what is left of unfinished ones. Of several the newest chain's newest is in use; the
    /// others stay until [`Self::remove_others`].
    ///
    /// # Errors
    /// The file system's.
    pub fn open(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let mut current: Option<HeadFile> = None;
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            if !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("gen-")) || !path.is_dir() {
                continue;
            }
            let read = fs::read(path.join(FILE)).ok().and_then(|bytes| serde_json::from_slice::<HeadFile>(&bytes).ok());
            match read {
                None => dbpath::remove(&path)?,
                Some(file) => {
                    let newer = |c: &HeadFile| (c.chain, c.generation) < (file.chain, file.generation);
                    if current.as_ref().is_none_or(newer) {
                        current = Some(file);
                    }
                }
            }
        }
        Ok(Self { dir: dir.to_owned(), current })
    }

    /// Folder of the head in use.
    #[must_use]
    pub fn folder(&self) -> Option<PathBuf> {
        self.current.as_ref().map(|head| self.generation(head.generation))
    }

    /// Dbpath of the head in use.
    #[must_use]
    pub fn db(&self) -> Option<PathBuf> {
        self.folder().map(|folder| Head::dbpath(&folder))
    }

    /// Folder of a generation.
    #[must_use]
    pub fn generation(&self, number: i64) -> PathBuf {
        self.dir.join(format!("gen-{number}"))
    }

    /// Where the clone of a snapshot lies, if it was made.
    #[must_use]
    pub fn clone_of(&self, snapshot: &SnapshotId) -> PathBuf {
        self.dir.join(format!("clone-{snapshot}"))
    }

    /// A number that no generation has.
    ///
    /// # Errors
    /// The file system's.
    pub fn next_generation(&self) -> io::Result<i64> {
        let mut next = 1;
        for entry in fs::read_dir(&self.dir)? {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|n| n.strip_prefix("gen-")).and_then(|n| n.parse::<i64>().ok());
            next = next.max(number.unwrap_or(0) + 1);
        }
        Ok(next)
    }

    /// Makes `file` the head in use. Its folder must exist.
    ///
    /// # Errors
    /// The file system's.
    pub fn put(&mut self, file: HeadFile) -> io::Result<()> {
        let bytes = serde_json::to_vec_pretty(&file).map_err(io::Error::other)?;
        write_durably(&self.generation(file.generation).join(FILE), &bytes)?;
        self.current = Some(file);
        Ok(())
    }

    /// Changes the head in use.
    ///
    /// # Errors
    /// The file system's; there being no head is one.
    pub fn change(&mut self, change: impl FnOnce(&mut HeadFile)) -> io::Result<()> {
        let mut file = self.current.clone().ok_or_else(|| io::Error::other("there is no head"))?;
        change(&mut file);
        self.put(file)
    }

    /// Forgets and removes the head in use.
    ///
    /// # Errors
    /// The file system's.
    pub fn discard(&mut self) -> io::Result<()> {
        if let Some(head) = self.current.take() {
            let dir = self.generation(head.generation);
            let _ = fs::remove_file(dir.join(FILE));
            dbpath::remove(&dir)?;
        }
        Ok(())
    }

    /// Removes every generation but the one in use.
    ///
    /// # Errors
    /// The file system's.
    pub fn remove_others(&self) -> io::Result<()> {
        let keep = self.current.as_ref().map(|head| format!("gen-{}", head.generation));
        self.remove_matching(|name| name.starts_with("gen-") && Some(name) != keep.as_deref())
    }

    /// Where the clone of a snapshot that is being written lies.
    #[must_use]
    pub fn new_clone(&self) -> PathBuf {
        self.dir.join("clone-new")
    }

    /// Removes clones of every snapshot but `keep`; one that is being written from stays.
    ///
    /// # Errors
    /// The file system's.
    pub fn remove_clones(&self, keep: Option<&SnapshotId>) -> io::Result<()> {
        let keep = keep.map(|id| format!("clone-{id}"));
        for entry in fs::read_dir(&self.dir)? {
            let name = entry?.file_name();
            let Some(name) = name.to_str().filter(|name| name.starts_with("clone-")) else { continue };
            // `clone-<root>` with its record `clone-<root>.clone`, whichever of the two is there.
            let clone = name.split_once('.').map_or(name, |(clone, _)| clone);
            if clone != "clone-new" && Some(clone) != keep.as_deref() {
                ranges::remove_clone(&self.dir.join(clone))?;
            }
        }
        Ok(())
    }

    fn remove_matching(&self, out: impl Fn(&str) -> bool) -> io::Result<()> {
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            if entry.file_name().to_str().is_some_and(&out) {
                let _ = fs::remove_file(entry.path().join(FILE));
                let _ = fs::remove_file(entry.path());
                dbpath::remove(&entry.path())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn head(chain: i64, generation: i64) -> HeadFile {
        HeadFile {
            chain,
            generation,
            phase: HeadPhase::Ready,
            server_version: "6.0.5".into(),
            fcv: "6.0".into(),
            storage: StorageOptions::default(),
            divergence: Some(Divergence { seq: 4, tried: vec![SnapshotId::random()] }),
            compared: Some(OpTime::default()),
            base: None,
        }
    }

    #[test]
    fn clones_of_other_snapshots_go_with_their_records() {
        let dir = tempfile::tempdir().unwrap();
        let heads = HeadFiles::open(dir.path()).unwrap();
        let (kept, old) = (SnapshotId::random(), SnapshotId::random());
        for id in [&kept, &old] {
            fs::create_dir_all(heads.clone_of(id).join("db")).unwrap();
            fs::write(dir.path().join(format!("clone-{id}.clone")), "record").unwrap();
        }
        fs::write(dir.path().join("clone-0123.clone"), "a record without its clone").unwrap();
        fs::create_dir(heads.new_clone()).unwrap();
        heads.remove_clones(Some(&kept)).unwrap();
        let mut left: Vec<String> =
            fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        left.sort();
        let mut expected = [format!("clone-{kept}"), format!("clone-{kept}.clone"), "clone-new".to_owned()];
        expected.sort();
        assert_eq!(left, expected);
    }

    #[test]
    fn the_newest_is_found_again_and_the_unfinished_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let mut heads = HeadFiles::open(dir.path()).unwrap();
        assert!(heads.current.is_none() && heads.next_generation().unwrap() == 1);
        for file in [head(0, 1), head(1, 2)] {
            fs::create_dir_all(heads.generation(file.generation).join("db")).unwrap();
            heads.put(file).unwrap();
        }
        fs::create_dir_all(heads.generation(3).join("db")).unwrap();
        let mut again = HeadFiles::open(dir.path()).unwrap();
        assert_eq!(
            again.current,
            Some(head(1, 2)).map(|mut h| {
                h.divergence.clone_from(&again.current.as_ref().unwrap().divergence);
                h
            })
        );
        assert!(!again.generation(3).exists(), "unfinished");
        again.remove_others().unwrap();
        assert!(!again.generation(1).exists() && again.db().unwrap().exists());
        again.change(|h| h.phase = HeadPhase::Loading).unwrap();
        assert_eq!(HeadFiles::open(dir.path()).unwrap().current.unwrap().phase, HeadPhase::Loading);
        again.discard().unwrap();
        assert!(HeadFiles::open(dir.path()).unwrap().current.is_none());
    }
}
