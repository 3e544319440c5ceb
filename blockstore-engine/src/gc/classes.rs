//! Sets of snapshots, each kept once: which snapshots a block belongs to, as a number.
//!
//! Invariants: equal sets have equal numbers; a set is a sorted list of disjoint, not adjacent ranges of indices, because snapshots of one job
//! that share a block are mostly neighbours. At most [`CLASSES_MAX`] sets: beyond, every union is [`OVERFLOW`] and sums by set are not exact.

use std::collections::HashMap;
use std::sync::Arc;

/// Distinct sets, at most: with ranges of typical length about 16 MB.
pub(crate) const CLASSES_MAX: usize = 1 << 17;
/// Remembered unions, at most; forgetting costs time only.
const UNIONS_MAX: usize = 1 << 19;
/// Any set, once there are too many.
pub(crate) const OVERFLOW: u32 = u32::MAX;

/// Ranges of indices `[from, to)`.
pub(crate) type Ranges = Arc<[(u32, u32)]>;

#[derive(Default)]
pub(crate) struct Classes {
    sets: Vec<Ranges>,
    by_set: HashMap<Ranges, u32>,
    unions: HashMap<(u32, u32), u32>,
    overflowed: bool,
}

impl Classes {
    /// The set of one snapshot.
    pub(crate) fn single(&mut self, index: u32) -> u32 {
        self.number(Arc::new([(index, index + 1)]))
    }

    /// The set of both.
    pub(crate) fn union(&mut self, a: u32, b: u32) -> u32 {
        if a == b {
            return a;
        }
        if a == OVERFLOW || b == OVERFLOW {
            return OVERFLOW;
        }
        let key = (a.min(b), a.max(b));
        if let Some(known) = self.unions.get(&key) {
            return *known;
        }
        let joined = join(&self.sets[a as usize], &self.sets[b as usize]);
        let number = self.number(joined);
        if self.unions.len() >= UNIONS_MAX {
            self.unions.clear();
        }
        self.unions.insert(key, number);
        number
    }

    /// The indices of a set; empty for [`OVERFLOW`].
    pub(crate) fn ranges(&self, class: u32) -> Ranges {
        self.sets.get(class as usize).cloned().unwrap_or_else(|| Arc::new([]))
    }

    /// Whether there were too many sets.
    pub(crate) fn overflowed(&self) -> bool {
        self.overflowed
    }

    fn number(&mut self, set: Ranges) -> u32 {
        if let Some(known) = self.by_set.get(&set) {
            return *known;
        }
        if self.sets.len() >= CLASSES_MAX {
            self.overflowed = true;
            return OVERFLOW;
        }
        let number = u32::try_from(self.sets.len()).unwrap_or(OVERFLOW);
        self.sets.push(set.clone());
        self.by_set.insert(set, number);
        number
    }
}

fn join(a: &[(u32, u32)], b: &[(u32, u32)]) -> Ranges {
    let mut all: Vec<_> = a.iter().chain(b).copied().collect();
    all.sort_unstable();
    let mut out: Vec<(u32, u32)> = Vec::with_capacity(all.len());
    for (from, to) in all {
        match out.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => out.push((from, to)),
        }
    }
    out.into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn unions_are_unions(sets in proptest::collection::vec(proptest::collection::btree_set(0u32..40, 1..12), 1..8)) {
            let mut classes = Classes::default();
            let mut all = BTreeSet::new();
            let mut class = None;
            for set in &sets {
                for index in set {
                    let single = classes.single(*index);
                    class = Some(class.map_or(single, |class| classes.union(class, single)));
                    all.insert(*index);
                }
            }
            let got: BTreeSet<u32> = classes.ranges(class.unwrap()).iter().flat_map(|(from, to)| *from..*to).collect();
            prop_assert_eq!(&got, &all);
            // The same set by another way has the same number.
            let mut other = None;
            for index in all.iter().rev() {
                let single = classes.single(*index);
                other = Some(other.map_or(single, |other| classes.union(single, other)));
            }
            prop_assert_eq!(other, class);
        }
    }

    #[test]
    fn too_many_sets_are_told() {
        let mut classes = Classes::default();
        for index in 0..u32::try_from(CLASSES_MAX).unwrap() {
            assert_ne!(classes.single(index * 2), OVERFLOW);
        }
        assert!(!classes.overflowed());
        let (a, b) = (classes.single(0), classes.single(6));
        assert_eq!(classes.union(a, b), OVERFLOW);
        assert!(classes.overflowed());
        assert_eq!(classes.union(a, OVERFLOW), OVERFLOW);
        assert_eq!(classes.union(a, a), a);
    }
}
