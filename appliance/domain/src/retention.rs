//! Which snapshots stay, and why: a plan that is shown or carried out, never both computed and applied in one step.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::SnapshotId;

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
const WEEK: i64 = 7 * DAY;
/// A month of retention, in seconds: 30 days.
const MONTH: i64 = 30 * DAY;
/// 1970-01-01 was a Thursday; weeks are counted from the Monday before.
const MONDAY_OFFSET: i64 = 3 * DAY;

/// What a schedule keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RetentionPolicy {
    /// Every snapshot is kept this many hours, whoever asked for it: also extra ones and those taken on demand.
    #[serde(default = "recent_hours")]
    pub recent_hours: u32,
    /// 6-hourly snapshots are kept this many days.
    pub six_hourly_days: u32,
    /// Daily snapshots: this many days.
    pub daily_days: u32,
    /// Weekly snapshots: this many weeks.
    pub weekly_weeks: u32,
    /// Monthly snapshots: this many months of 30 days.
    pub monthly_months: u32,
    /// Oplog is kept this many days: any instant of them can be restored.
    pub oplog_window_days: u32,
}

impl Default for RetentionPolicy {
    fn default() -> Self {
        Self {
            recent_hours: recent_hours(),
            six_hourly_days: 2,
            daily_days: 7,
            weekly_weeks: 4,
            monthly_months: 12,
            oplog_window_days: 7,
        }
    }
}

/// What a policy stored before the field existed keeps.
fn recent_hours() -> u32 {
    24
}

/// What the planner needs to know of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotFacts {
    /// Which.
    pub id: SnapshotId,
    /// Source's cluster time, seconds since 1970.
    pub at: i64,
    /// Pinned now.
    pub pinned: bool,
    /// Neither quarantined nor in doubt.
    pub good: bool,
}

/// Why a snapshot stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum KeepReason {
    /// Pinned.
    Pinned,
    /// The newest good one.
    Newest,
    /// The newest at or before the start of the oplog window: the window is served from it.
    WindowBase,
    /// Younger than the time that every snapshot is kept.
    Recent,
    /// First of its six hours.
    SixHourly,
    /// First of its day.
    Daily,
    /// First of its week.
    Weekly,
    /// First of its month.
    Monthly,
}

/// A snapshot that stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Which.
    pub id: SnapshotId,
    /// Why; at least one.
    pub reasons: Vec<KeepReason>,
}

/// What will stay and what will go to the trash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetentionPlan {
    /// Stays, oldest first.
    pub keep: Vec<Kept>,
    /// Goes, oldest first.
    pub trash: Vec<SnapshotId>,
}

/// Plans retention at `now` (seconds since 1970). Snapshots in the trash or stored for a restore are not passed in.
#[must_use]
pub fn plan_retention(policy: &RetentionPolicy, snapshots: &[SnapshotFacts], now: i64) -> RetentionPlan {
    let mut sorted: Vec<&SnapshotFacts> = snapshots.iter().collect();
    sorted.sort_by_key(|s| s.at);
    let mut reasons: BTreeMap<usize, Vec<KeepReason>> = BTreeMap::new();
    let mut add = |n: usize, why| reasons.entry(n).or_default().push(why);

    for (n, _) in sorted.iter().enumerate().filter(|(_, s)| s.pinned) {
        add(n, KeepReason::Pinned);
    }
    if let Some(n) = sorted.iter().rposition(|s| s.good) {
        add(n, KeepReason::Newest);
    }
    let window_start = now - i64::from(policy.oplog_window_days) * DAY;
    if let Some(n) = sorted.iter().rposition(|s| s.good && s.at <= window_start) {
        add(n, KeepReason::WindowBase);
    }
    let recent_from = now - i64::from(policy.recent_hours) * HOUR;
    for (n, _) in sorted.iter().enumerate().filter(|(_, s)| s.at > recent_from) {
        add(n, KeepReason::Recent);
    }
    let tiers = [
        (KeepReason::SixHourly, 6 * HOUR, 0, i64::from(policy.six_hourly_days) * DAY),
        (KeepReason::Daily, DAY, 0, i64::from(policy.daily_days) * DAY),
        (KeepReason::Weekly, WEEK, MONDAY_OFFSET, i64::from(policy.weekly_weeks) * WEEK),
        (KeepReason::Monthly, MONTH, 0, i64::from(policy.monthly_months) * MONTH),
    ];
    for (why, slot_seconds, offset, span) in tiers {
        let mut last_slot = None;
        for (n, snapshot) in sorted.iter().enumerate().filter(|(_, s)| s.good && s.at > now - span) {
            let slot = (snapshot.at + offset).div_euclid(slot_seconds);
            if last_slot != Some(slot) {
                last_slot = Some(slot);
                add(n, why);
            }
        }
    }
    let mut plan = RetentionPlan::default();
    for (n, snapshot) in sorted.iter().enumerate() {
        match reasons.remove(&n) {
            Some(mut why) => {
                why.sort_unstable();
                plan.keep.push(Kept { id: snapshot.id.clone(), reasons: why });
            }
            None => plan.trash.push(snapshot.id.clone()),
        }
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(at: i64) -> SnapshotFacts {
        SnapshotFacts { id: SnapshotId::random(), at, pinned: false, good: true }
    }

    #[test]
    fn a_year_of_six_hourly_snapshots_thins_out() {
        let now = 20_000 * DAY;
        let all: Vec<_> = (0..365 * 4).map(|n| facts(now - n * 6 * HOUR)).collect();
        let plan = plan_retention(&RetentionPolicy::default(), &all, now);
        assert_eq!(plan.keep.len() + plan.trash.len(), all.len());
        assert!((24..=32).contains(&plan.keep.len()), "{}", plan.keep.len());
        let again: Vec<_> = all.iter().filter(|s| plan.keep.iter().any(|k| k.id == s.id)).cloned().collect();
        assert!(plan_retention(&RetentionPolicy::default(), &again, now).trash.is_empty(), "stable");
    }

    #[test]
    fn every_recent_snapshot_stays() {
        let now = 20_000 * DAY;
        let all: Vec<_> = (0..48 * 60).map(|n| facts(now - n * 60)).collect();
        let plan = plan_retention(&RetentionPolicy { recent_hours: 2, ..RetentionPolicy::default() }, &all, now);
        assert!(all[..120].iter().all(|s| plan.keep.iter().any(|k| k.id == s.id)), "each of the last two hours");
        assert!(plan.keep.len() < 120 + 16, "older ones thin out: {}", plan.keep.len());
    }

    #[test]
    fn never_removes_pinned_newest_or_the_windows_base() {
        let now = 20_000 * DAY;
        let policy = RetentionPolicy {
            recent_hours: 0,
            six_hourly_days: 0,
            daily_days: 0,
            weekly_weeks: 0,
            monthly_months: 0,
            oplog_window_days: 7,
        };
        let mut all: Vec<_> = [30, 20, 10, 6, 5, 1].iter().map(|d| facts(now - d * DAY)).collect();
        all[0].pinned = true;
        all[5].good = false;
        let plan = plan_retention(&policy, &all, now);
        let kept: Vec<_> = plan.keep.iter().map(|k| (k.id.clone(), k.reasons.clone())).collect();
        assert_eq!(
            kept,
            [
                (all[0].id.clone(), vec![KeepReason::Pinned]),
                (all[2].id.clone(), vec![KeepReason::WindowBase]),
                (all[4].id.clone(), vec![KeepReason::Newest]),
            ]
        );
    }
}
