//! Which hours of which series this process has noted as work already: saves a write for every report.

use std::{
    collections::{BTreeSet, HashSet},
    sync::{Mutex, PoisonError},
};

use tokio::sync::Semaphore;

/// Entries, at most; more of them only cost writes.
const ENTRIES_MAX: usize = 500_000;
/// Reports that are unpacked and stored at once: each takes at most some tens of megabytes.
const REPORTS_AT_ONCE: usize = 4;

/// What a process remembers between reports. Nothing depends on it.
#[derive(Debug)]
pub(crate) struct Noted {
    hours: Mutex<HashSet<(String, i64)>>,
    room: Semaphore,
}

impl Default for Noted {
    fn default() -> Self {
        Self { hours: Mutex::default(), room: Semaphore::new(REPORTS_AT_ONCE) }
    }
}

impl Noted {
    /// Waits for room to take a report.
    pub(super) async fn room(&self) -> Option<tokio::sync::SemaphorePermit<'_>> {
        self.room.acquire().await.ok()
    }

    /// Those hours that must be noted. An hour that is over is noted every time: its rollup may be made and have to be made again.
    pub(super) fn new_ones(&self, hours: BTreeSet<(String, i64)>, this_hour: i64) -> BTreeSet<(String, i64)> {
        let known = self.hours.lock().unwrap_or_else(PoisonError::into_inner);
        hours.into_iter().filter(|hour| hour.1 < this_hour || !known.contains(hour)).collect()
    }

    /// These are noted.
    pub(super) fn remember(&self, hours: BTreeSet<(String, i64)>, this_hour: i64) {
        let mut known = self.hours.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() + hours.len() > ENTRIES_MAX {
            known.clear();
        }
        known.retain(|(_, hour)| *hour >= this_hour);
        known.extend(hours.into_iter().filter(|(_, hour)| *hour >= this_hour));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hour_that_runs_is_noted_once_and_older_ones_every_time() {
        let noted = Noted::default();
        let hours: BTreeSet<(String, i64)> = [("a".to_owned(), 3_600), ("a".to_owned(), 7_200)].into();
        assert_eq!(noted.new_ones(hours.clone(), 7_200), hours);
        noted.remember(hours.clone(), 7_200);
        assert_eq!(noted.new_ones(hours.clone(), 7_200), [("a".to_owned(), 3_600)].into());
        noted.remember([("b".to_owned(), 10_800)].into(), 10_800);
        assert_eq!(noted.new_ones(hours.clone(), 10_800), hours, "it is over: its rollup may be made already");
    }
}
