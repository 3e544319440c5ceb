//! Which seconds can be restored, and from what.
//!
//! Restorable is the union over snapshots of [its optime, end of the unbroken chain from its resume point].

use serde::{Deserialize, Serialize};

use crate::{EntryPosition, OpTime, SnapshotId, Ts};

/// One chain of a ledger, as far as it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChainSpan {
    /// Number.
    pub chain: i64,
    /// First sequence number still stored (0 unless trimmed).
    pub first_seq: i64,
    /// Start point B of the chain.
    pub from: OpTime,
    /// Last optime that its last slice holds.
    pub to: OpTime,
    /// False while entries are still being appended.
    pub closed: bool,
}

/// A good snapshot: not in the trash, not quarantined, not stored for a restore.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotPoint {
    /// Which.
    pub id: SnapshotId,
    /// Its optime.
    pub optime: OpTime,
    /// The first slice that a replay from it needs.
    pub resume: EntryPosition,
}

/// A run of instants, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// First.
    pub from: Ts,
    /// Last.
    pub to: Ts,
}

fn reach(snapshot: &SnapshotPoint, chains: &[ChainSpan]) -> Ts {
    let chain = chains.iter().find(|c| c.chain == snapshot.resume.chain && c.first_seq <= snapshot.resume.seq);
    chain.map_or(snapshot.optime.ts, |c| c.to.ts.max(snapshot.optime.ts))
}

/// The restorable ranges, joined where they touch or overlap, oldest first.
#[must_use]
pub fn ranges(snapshots: &[SnapshotPoint], chains: &[ChainSpan]) -> Vec<Range> {
    let mut all: Vec<Range> = snapshots.iter().map(|s| Range { from: s.optime.ts, to: reach(s, chains) }).collect();
    all.sort_by_key(|r| (r.from, r.to));
    let mut out: Vec<Range> = Vec::new();
    for range in all {
        match out.last_mut() {
            Some(last) if range.from <= last.to => last.to = last.to.max(range.to),
            _ => out.push(range),
        }
    }
    out
}

/// The snapshot from which `at` is served: the newest at or before it in a chain that reaches it; of two chains that
/// cover it the younger, unless `chain` names one. None: that instant cannot be restored.
#[must_use]
pub fn chain_for<'a>(
    at: Ts,
    chain: Option<i64>,
    snapshots: &'a [SnapshotPoint],
    chains: &[ChainSpan],
) -> Option<&'a SnapshotPoint> {
    snapshots
        .iter()
        .filter(|s| chain.is_none_or(|c| c == s.resume.chain))
        .filter(|s| s.optime.ts <= at && reach(s, chains) >= at)
        .max_by_key(|s| (s.resume.chain, s.optime))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn op(t: u32) -> OpTime {
        OpTime { ts: Ts { t, i: 1 }, term: 1 }
    }
    fn snap(t: u32, chain: i64, seq: i64) -> SnapshotPoint {
        SnapshotPoint { id: SnapshotId::random(), optime: op(t), resume: EntryPosition { chain, seq } }
    }
    fn chain(chain: i64, first_seq: i64, from: u32, to: u32) -> ChainSpan {
        ChainSpan { chain, first_seq, from: op(from), to: op(to), closed: false }
    }

    #[test]
    fn union_of_snapshots_and_chains() {
        let snaps = [snap(100, 0, 3), snap(150, 0, 8), snap(400, 1, 2)];
        let chains = [chain(0, 0, 90, 200), chain(1, 0, 380, 500)];
        let r = ranges(&snaps, &chains);
        assert_eq!(r, [Range { from: op(100).ts, to: op(200).ts }, Range { from: op(400).ts, to: op(500).ts }]);
        assert!(chain_for(Ts { t: 300, i: 0 }, None, &snaps, &chains).is_none());
        assert_eq!(chain_for(Ts { t: 170, i: 0 }, None, &snaps, &chains), Some(&snaps[1]));
        assert_eq!(chain_for(Ts { t: 120, i: 0 }, None, &snaps, &chains), Some(&snaps[0]));
    }

    #[test]
    fn a_trimmed_chain_leaves_only_the_snapshot_itself() {
        let snaps = [snap(100, 0, 3)];
        assert_eq!(ranges(&snaps, &[chain(0, 4, 90, 200)]), [Range { from: op(100).ts, to: op(100).ts }]);
    }

    #[test]
    fn of_two_histories_the_younger_serves() {
        let snaps = [snap(100, 0, 1), snap(90, 1, 1)];
        let chains = [chain(0, 0, 80, 200), chain(1, 0, 85, 300)];
        assert_eq!(chain_for(Ts { t: 150, i: 0 }, None, &snaps, &chains), Some(&snaps[1]));
        assert_eq!(chain_for(Ts { t: 150, i: 0 }, Some(0), &snaps, &chains), Some(&snaps[0]));
    }
}
