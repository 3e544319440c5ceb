//! What must stay of a job's ledger and snapshots. Pure: `retention.rs` acts on it, and asks it again inside the store's transactions.
//!
//! Never removed: the newest snapshot at or before the window's start, the newest good one, slices from the smallest resume point of either
//! or of a pinned one, all slices of the open chain while it has no good snapshot, and what the head has not applied.

use blockstore_engine::{Purpose, Root};
use bson::DateTime;
use holdfast_domain::{EntryPosition, RetentionPolicy, SnapshotFacts, SnapshotId, plan_retention};
use holdfast_ledger::SnapshotMeta;

/// A snapshot, as the rules see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which.
    pub id: SnapshotId,
    /// Source's cluster time, seconds since 1970.
    pub at: i64,
    /// First slice that a replay needs.
    pub resume: EntryPosition,
    /// Pinned now.
    pub pinned: bool,
    /// Not quarantined.
    pub good: bool,
}

/// What besides snapshots holds slices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Start of the oplog window, seconds since 1970.
    pub window_start: i64,
    /// The chain that is open, if one is.
    pub open_chain: Option<i64>,
    /// First slice that the head has not applied whole.
    pub head: Option<EntryPosition>,
}

/// The snapshots among these roots: outside the trash, not made for a restore. One whose facts cannot be read counts as not good.
#[must_use]
pub fn places(roots: &[Root], now: DateTime) -> Vec<Place> {
    let snapshots = roots.iter().filter(|r| r.purpose == Purpose::Snapshot && r.trashed_at.is_none());
    snapshots
        .filter_map(|root| {
            let meta = SnapshotMeta::decode(&root.meta).ok();
            Some(Place {
                id: root.id.to_string().parse().ok()?,
                at: meta.as_ref().map_or(root.committed_at.timestamp_millis() / 1000, |m| i64::from(m.optime.ts.t)),
                resume: EntryPosition { chain: root.resume.chain, seq: root.resume.seq },
                pinned: root.is_pinned(now),
                good: !root.quarantined && meta.is_some(),
            })
        })
        .collect()
}

/// The first slice that must stay; everything before it may go. None: nothing may go.
#[must_use]
pub fn floor(places: &[Place], needs: &Needs) -> Option<EntryPosition> {
    let good = || places.iter().filter(|p| p.good);
    let newest = good().max_by_key(|p| (p.at, p.resume))?;
    let base = good().filter(|p| p.at <= needs.window_start).max_by_key(|p| (p.at, p.resume));
    // A backup younger than its window keeps everything that any of its snapshots can reach.
    let base = base.map_or_else(|| good().map(|p| p.resume).min(), |p| Some(p.resume));
    let pinned = places.iter().filter(|p| p.pinned).map(|p| p.resume).min();
    let unprotected = needs
        .open_chain
        .filter(|chain| !good().any(|p| p.resume.chain == *chain))
        .map(|chain| EntryPosition { chain, seq: 0 });
    [Some(newest.resume), base, pinned, unprotected, needs.head].into_iter().flatten().min()
}

/// Whether the floor may be raised to `wanted`, asked with the roots that the store holds inside its transaction.
///
/// # Errors
/// A sentence: what still needs slices before it.
pub fn may_raise(roots: &[Root], needs: &Needs, now: DateTime, wanted: EntryPosition) -> Result<(), String> {
    match floor(&places(roots, now), needs) {
        Some(floor) if floor >= wanted => Ok(()),
        Some(floor) => Err(format!("slices from {}/{} on are still needed", floor.chain, floor.seq)),
        None => Err("there is no good snapshot".to_owned()),
    }
}

/// Whether retention lets `gone` go while `rest` stays.
///
/// # Errors
/// A sentence.
pub fn may_trash(gone: &Place, rest: &[Root], policy: &RetentionPolicy, now: DateTime) -> Result<(), String> {
    let mut all = places(rest, now);
    all.push(gone.clone());
    let plan = plan_retention(policy, &facts(&all), now.timestamp_millis() / 1000);
    if plan.trash.contains(&gone.id) { Ok(()) } else { Err(format!("snapshot {} is needed again", gone.id)) }
}

/// For the planner.
#[must_use]
pub fn facts(places: &[Place]) -> Vec<SnapshotFacts> {
    places.iter().map(|p| SnapshotFacts { id: p.id.clone(), at: p.at, pinned: p.pinned, good: p.good }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(at: i64, chain: i64, seq: i64) -> Place {
        Place { id: SnapshotId::random(), at, resume: EntryPosition { chain, seq }, pinned: false, good: true }
    }

    fn at(chain: i64, seq: i64) -> Option<EntryPosition> {
        Some(EntryPosition { chain, seq })
    }

    #[test]
    fn the_windows_base_holds_the_floor() {
        let mut all = vec![place(100, 0, 5), place(200, 0, 20), place(300, 0, 40), place(400, 0, 60)];
        let needs = Needs { window_start: 350, open_chain: Some(0), head: at(0, 61) };
        assert_eq!(floor(&all, &needs), at(0, 40));
        all[1].pinned = true;
        assert_eq!(floor(&all, &needs), at(0, 20), "a pinned one holds it lower");
        assert_eq!(floor(&all, &Needs { head: at(0, 3), ..needs }), at(0, 3), "and so does a head that lags");
        all[2].good = false;
        all[1].pinned = false;
        assert_eq!(floor(&all, &needs), at(0, 20), "a bad one serves no window");
    }

    #[test]
    fn young_backups_and_unprotected_chains_keep_everything() {
        let all = vec![place(300, 0, 40), place(400, 0, 60)];
        let needs = Needs { window_start: 10, open_chain: Some(0), head: None };
        assert_eq!(floor(&all, &needs), at(0, 40));
        let other = Needs { window_start: 1000, open_chain: Some(1), head: None };
        assert_eq!(floor(&all, &other), at(0, 60), "the newest of the closed chain stays, and with it all of chain 1");
        assert_eq!(floor(&[], &needs), None);
        let newer = vec![place(300, 0, 40), place(900, 2, 1)];
        assert_eq!(floor(&newer, &Needs { window_start: 950, open_chain: Some(1), head: None }), at(1, 0));
    }
}
