//! Reports that wait to be sent: one file each in the state directory, bounded in bytes and age.
//!
//! The name of a file says when it was made, by which spool and as what number: `MILLIS-SPOOL-SEQ.zst`. Files of an earlier run are sent
//! first, under their own spool's name, so that the server knows those it took already.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use holdfast_agent_api::MONITORING_SPOOL_SECONDS_MAX;
use rand::RngExt as _;

/// End of a file's name.
const SUFFIX: &str = ".zst";

/// A report on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Waiting {
    path: PathBuf,
    name: String,
    made: i64,
    bytes: u64,
}

/// The spool.
#[derive(Debug)]
pub(super) struct Spool {
    dir: PathBuf,
    name: String,
    next: i64,
    bytes_max: u64,
    waiting: std::collections::VecDeque<Waiting>,
}

impl Spool {
    /// Opens the folder. What an earlier run left is kept.
    pub(super) fn open(dir: &Path, bytes_max: u64) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let mut waiting = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            match name
                .strip_suffix(SUFFIX)
                .and_then(|name| name.split_once('-'))
                .and_then(|(made, _)| made.parse().ok())
            {
                Some(made) => {
                    let bytes = entry.metadata()?.len();
                    waiting.push(Waiting { path: entry.path(), name, made, bytes });
                }
                // What a killed run had begun to write.
                None => fs::remove_file(entry.path())?,
            }
        }
        waiting.sort_by(|a, b| a.name.cmp(&b.name));
        let name = hex::encode(rand::rng().random::<[u8; 8]>());
        Ok(Self { dir: dir.to_owned(), name, next: 0, bytes_max, waiting: waiting.into() })
    }

    /// Name of this run's spool, and the number of its next report.
    pub(super) fn next(&self) -> (&str, i64) {
        (&self.name, self.next)
    }

    /// Keeps the report with the next number.
    pub(super) fn push(&mut self, frame: &[u8], now: i64) -> io::Result<()> {
        let name = format!("{:013}-{}-{:012}{SUFFIX}", now.max(0), self.name, self.next);
        let (path, temporary) = (self.dir.join(&name), self.dir.join("writing"));
        fs::write(&temporary, frame)?;
        fs::rename(&temporary, &path)?;
        self.next += 1;
        self.waiting.push_back(Waiting { path, name, made: now, bytes: frame.len() as u64 });
        self.trim(now);
        Ok(())
    }

    /// Drops what is too old or too much, oldest first. How many reports.
    pub(super) fn trim(&mut self, now: i64) -> usize {
        let mut dropped = 0;
        while let Some(first) = self.waiting.front() {
            let old = now.saturating_sub(first.made) > MONITORING_SPOOL_SECONDS_MAX * 1_000;
            if !old && self.bytes() <= self.bytes_max {
                break;
            }
            self.drop_first();
            dropped += 1;
        }
        if dropped > 0 {
            tracing::warn!(
                dropped,
                "measurements that waited too long to be sent are dropped: charts have a gap there"
            );
        }
        dropped
    }

    fn drop_first(&mut self) {
        if let Some(first) = self.waiting.pop_front()
            && let Err(error) = fs::remove_file(&first.path)
        {
            tracing::warn!(%error, path = %first.path.display(), "cannot remove a report that is done");
        }
    }

    /// Bytes that wait.
    pub(super) fn bytes(&self) -> u64 {
        self.waiting.iter().map(|waiting| waiting.bytes).sum()
    }

    /// The oldest report with its bytes.
    pub(super) fn first(&mut self) -> Option<(Waiting, Vec<u8>)> {
        loop {
            let first = self.waiting.front()?.clone();
            match fs::read(&first.path) {
                Ok(frame) => return Some((first, frame)),
                Err(error) => {
                    tracing::warn!(%error, path = %first.path.display(), "a report that waits cannot be read: it is dropped");
                    self.drop_first();
                }
            }
        }
    }

    /// This report is taken, or of no use.
    pub(super) fn done(&mut self, report: &Waiting) {
        if self.waiting.front() == Some(report) {
            self.drop_first();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const NOW: i64 = 1_800_000_000_000;

    #[test]
    fn in_order_over_restarts_and_each_once() {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(dir.path(), 1_000).unwrap();
        assert!(spool.first().is_none());
        for n in 0..3_u8 {
            assert_eq!(spool.next().1, i64::from(n));
            spool.push(&[n], NOW + i64::from(n)).unwrap();
        }
        let (report, frame) = spool.first().unwrap();
        assert_eq!(frame, [0]);
        spool.done(&report);
        spool.done(&report);
        let name = spool.next().0.to_owned();
        drop(spool);
        std::fs::write(dir.path().join("writing"), b"half").unwrap();
        let mut spool = Spool::open(dir.path(), 1_000).unwrap();
        assert_ne!(spool.next(), (name.as_str(), 3), "a new run counts anew under a new name");
        spool.push(&[9], NOW + 5).unwrap();
        let mut seen = Vec::new();
        while let Some((report, frame)) = spool.first() {
            seen.extend(frame);
            spool.done(&report);
        }
        assert_eq!(seen, [1, 2, 9]);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn bounded_in_bytes_and_age() {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(dir.path(), 25).unwrap();
        for n in 0..4 {
            spool.push(&[0; 10], NOW + n).unwrap();
        }
        assert_eq!((spool.bytes(), fs::read_dir(dir.path()).unwrap().count()), (20, 2));
        assert_eq!(spool.trim(NOW + 3_600_000), 0);
        assert_eq!(spool.trim(NOW + 3_600_003), 1, "an hour and no longer");
    }
}
