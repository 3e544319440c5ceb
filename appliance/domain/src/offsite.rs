//! Which snapshots an offsite copy takes, and which it keeps. Pure.
//!
//! Used by the daemon that copies; the documents are in `metadb`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::SnapshotId;

const DAY: i64 = 86_400;

/// Which snapshots of a source are copied. What is empty lets all through.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OffsiteFilter {
    /// Groups, by name or id.
    #[serde(default)]
    pub groups: Vec<String>,
    /// Names of replica sets.
    #[serde(default)]
    pub replica_sets: Vec<String>,
    /// Labels that snapshots were given by people.
    #[serde(default)]
    pub labels: Vec<String>,
    /// Of each day (UTC) that is over, the last one only.
    #[serde(default)]
    pub last_of_day: bool,
    /// Younger ones wait, in seconds.
    #[serde(default)]
    pub min_age_seconds: i64,
}

/// A snapshot that could be copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsiteCandidate {
    /// Which.
    pub id: SnapshotId,
    /// Its group's id and name.
    pub group: [String; 2],
    /// Its replica set.
    pub rs: String,
    /// Its label.
    pub label: Option<String>,
    /// The second of its optime, since 1970.
    pub at: i64,
}

impl OffsiteFilter {
    fn lets_through(&self, one: &OffsiteCandidate, now: i64) -> bool {
        let any = |wanted: &[String], is: &dyn Fn(&String) -> bool| wanted.is_empty() || wanted.iter().any(is);
        any(&self.groups, &|group| one.group.contains(group))
            && any(&self.replica_sets, &|rs| *rs == one.rs)
            && any(&self.labels, &|label| one.label.as_ref() == Some(label))
            && now - one.at >= self.min_age_seconds
    }

    /// What is to be copied, oldest first, so that each can share with the one before. With `keep_days` what is older than that is left out,
    /// but for the newest of each replica set.
    #[must_use]
    pub fn select(&self, candidates: &[OffsiteCandidate], keep_days: Option<u32>, now: i64) -> Vec<SnapshotId> {
        let mut sorted: Vec<_> = candidates.iter().filter(|one| self.lets_through(one, now)).collect();
        sorted.sort_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
        if self.last_of_day {
            let today = now.div_euclid(DAY);
            let mut last = BTreeMap::new();
            for one in sorted.iter().filter(|one| one.at.div_euclid(DAY) < today) {
                last.insert((&one.group[0], &one.rs, one.at.div_euclid(DAY)), &one.id);
            }
            sorted.retain(|one| last.get(&(&one.group[0], &one.rs, one.at.div_euclid(DAY))) == Some(&&one.id));
        }
        let newest: BTreeMap<_, _> = sorted.iter().map(|one| ((&one.group[0], &one.rs), &one.id)).collect();
        let start = keep_days.map_or(i64::MIN, |days| now - i64::from(days) * DAY);
        let stays =
            |one: &&&OffsiteCandidate| one.at >= start || newest.get(&(&one.group[0], &one.rs)) == Some(&&one.id);
        sorted.iter().filter(stays).map(|one| one.id.clone()).collect()
    }
}

/// A run is due once per slot of this length (seconds, counted from 1970), as snapshots are.
#[must_use]
pub const fn offsite_due(every_seconds: u32, last: Option<i64>, now: i64) -> bool {
    match last {
        None => true,
        Some(last) => now.div_euclid(every_seconds as i64) > last.div_euclid(every_seconds as i64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(group: &str, rs: &str, at: i64, label: Option<&str>) -> OffsiteCandidate {
        let group = [format!("id of {group}"), group.to_owned()];
        OffsiteCandidate { id: SnapshotId::random(), group, rs: rs.into(), label: label.map(str::to_owned), at }
    }

    #[test]
    fn filters_let_through_what_they_name() {
        let now = 10 * DAY + 3600;
        let all = [
            one("a", "rs0", 8 * DAY + 5, None),
            one("a", "rs0", 8 * DAY + 50_000, Some("kept")),
            one("a", "rs1", 9 * DAY + 7, None),
            one("b", "rs0", 10 * DAY + 1, None),
            one("a", "rs0", 10 * DAY + 3500, None),
        ];
        let chosen = |filter: OffsiteFilter, days| {
            let ids = filter.select(&all, days, now);
            ids.iter().map(|id| all.iter().position(|one| one.id == *id)).collect::<Vec<_>>()
        };
        let of = |numbers: &[usize]| numbers.iter().map(|n| Some(*n)).collect::<Vec<_>>();
        let none = OffsiteFilter::default;
        assert_eq!(chosen(none(), None), of(&[0, 1, 2, 3, 4]));
        assert_eq!(chosen(OffsiteFilter { groups: vec!["b".into()], ..none() }, None), of(&[3]));
        assert_eq!(chosen(OffsiteFilter { groups: vec!["id of a".into()], ..none() }, None), of(&[0, 1, 2, 4]));
        assert_eq!(chosen(OffsiteFilter { replica_sets: vec!["rs1".into()], ..none() }, None), of(&[2]));
        assert_eq!(chosen(OffsiteFilter { labels: vec!["kept".into()], ..none() }, None), of(&[1]));
        assert_eq!(chosen(OffsiteFilter { min_age_seconds: 600, ..none() }, None), of(&[0, 1, 2, 3]));
        assert_eq!(chosen(OffsiteFilter { last_of_day: true, ..none() }, None), of(&[1, 2]), "today is not over");
        assert_eq!(chosen(none(), Some(1)), of(&[2, 3, 4]));
        assert_eq!(chosen(OffsiteFilter { last_of_day: true, ..none() }, Some(1)), of(&[1, 2]), "the newest stays");
    }

    #[test]
    fn due_once_per_slot() {
        assert!(offsite_due(3600, None, 0));
        assert!(!offsite_due(3600, Some(3600), 7199));
        assert!(offsite_due(3600, Some(3700), 7200));
        assert!(!offsite_due(3600, Some(7200), 3600));
    }
}
