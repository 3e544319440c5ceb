//! Marked ids of one part of the id space, in bounded memory.
//!
//! Invariants: every id pushed whose prefix lies in the (possibly shrunk) range is found again with the union of its classes. Ids are known by
//! their first 8 bytes alone: two ids that share them count as one, which only ever keeps garbage. When there are too many, the range is cut
//! in half from above: whoever marks comes back for the rest. Filled by `mark.rs`, read by `delete.rs`.

use std::collections::{HashMap, HashSet};

use super::classes::Classes;
use crate::id::BlockId;

/// Bytes of one mark in memory.
const MARK_BYTES: usize = 16;
/// Marks in one part, at least.
const MARKS_MIN: usize = 64;
/// End of the id space, exclusive.
pub(crate) const END: u128 = 1 << 64;

/// The first 8 bytes of an id, as a number whose order is that of the ids.
pub(crate) fn prefix(id: BlockId) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&id.0[..8]);
    u64::from_be_bytes(bytes)
}

/// The lowest id with this prefix.
pub(crate) fn lowest(prefix: u64) -> BlockId {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&prefix.to_be_bytes());
    BlockId(bytes)
}

pub(crate) struct Marks {
    /// Prefixes `[from, to)`.
    from: u64,
    to: u128,
    /// Sorted and unique up to `sorted`.
    marks: Vec<(u64, u32)>,
    max: usize,
    /// Nothing else is marked; what was met has its classes here until it is settled, since few ids may be met often.
    only: Option<HashMap<u64, Option<u32>>>,
}

impl Marks {
    /// From this prefix on, in at most `bytes` of memory.
    pub(crate) fn new(from: u64, bytes: usize) -> Self {
        let max = (bytes / MARK_BYTES).max(MARKS_MIN);
        // At once, since growing would hold twice as much for a moment; what is not used is not touched either.
        Self { from, to: END, marks: Vec::with_capacity(max), max, only: None }
    }

    /// These ids alone, wherever they are.
    pub(crate) fn only(ids: &HashSet<BlockId>) -> Self {
        let only = Some(ids.iter().map(|id| (prefix(*id), None)).collect());
        Self { from: 0, to: END, marks: Vec::new(), max: usize::MAX, only }
    }

    pub(crate) fn push(&mut self, id: BlockId, class: u32, classes: &mut Classes) {
        let prefix = prefix(id);
        if prefix < self.from || u128::from(prefix) >= self.to {
            return;
        }
        if let Some(only) = &mut self.only {
            if let Some(known) = only.get_mut(&prefix) {
                *known = Some(known.map_or(class, |known| classes.union(known, class)));
            }
            return;
        }
        self.marks.push((prefix, class));
        if self.marks.len() >= self.max {
            self.settle(classes);
            // Below three quarters the next settling would come too soon to pay.
            while self.marks.len() > self.max / 4 * 3 && self.to - u128::from(self.from) > 1 {
                self.to = u128::from(self.from) + (self.to - u128::from(self.from)) / 2;
                let keep = self.marks.partition_point(|(prefix, _)| u128::from(*prefix) < self.to);
                self.marks.truncate(keep);
            }
        }
    }

    /// Sorts and joins what was pushed; call once before [`Self::get`].
    pub(crate) fn settle(&mut self, classes: &mut Classes) {
        if let Some(only) = &self.only {
            self.marks = only.iter().filter_map(|(prefix, class)| class.map(|class| (*prefix, class))).collect();
        }
        self.marks.sort_unstable();
        self.marks.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                kept.1 = classes.union(kept.1, next.1);
            }
            same
        });
    }

    /// The part that is complete: prefixes `[from, to)`.
    pub(crate) fn range(&self) -> (u64, u128) {
        (self.from, self.to)
    }

    pub(crate) fn get(&self, id: BlockId) -> Option<u32> {
        let prefix = prefix(id);
        self.marks.binary_search_by_key(&prefix, |(prefix, _)| *prefix).ok().map(|at| self.marks[at].1)
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.marks.len()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn parts_cover_everything_in_bounded_memory() {
        let ids: Vec<_> = (0..40_000u32).map(|n| BlockId::of(&n.to_le_bytes())).collect();
        let mut classes = Classes::default();
        let (one, two) = (classes.single(0), classes.single(1));
        let both = classes.union(one, two);
        let (mut from, mut parts, mut found) = (0, 0, 0);
        loop {
            let mut marks = Marks::new(from, 4096 * MARK_BYTES);
            for (n, id) in ids.iter().enumerate() {
                marks.push(*id, one, &mut classes);
                if n % 3 == 0 {
                    marks.push(*id, two, &mut classes);
                }
            }
            marks.settle(&mut classes);
            assert!(marks.len() <= 4096);
            let (start, end) = marks.range();
            assert_eq!(start, from);
            for (n, id) in ids.iter().enumerate() {
                let inside = prefix(*id) >= start && u128::from(prefix(*id)) < end;
                let expected = if n % 3 == 0 { both } else { one };
                assert_eq!(marks.get(*id), inside.then_some(expected));
                found += usize::from(inside);
            }
            parts += 1;
            match u64::try_from(end) {
                Ok(next) => from = next,
                Err(_) => break,
            }
        }
        assert_eq!(found, ids.len());
        assert!(parts >= 10, "{parts}");
    }

    #[test]
    fn many_ids_alone_are_found_in_a_time_that_follows_their_number() {
        let ids: Vec<_> = (0..200_000u32).map(|n| BlockId::of(&n.to_le_bytes())).collect();
        let (wanted, others) = ids.split_at(150_000);
        let mut classes = Classes::default();
        let (one, two) = (classes.single(0), classes.single(1));
        let both = classes.union(one, two);
        let begun = std::time::Instant::now();
        let mut marks = Marks::only(&wanted.iter().copied().collect());
        for id in &ids {
            marks.push(*id, one, &mut classes);
        }
        for id in ids.iter().step_by(2) {
            marks.push(*id, two, &mut classes);
            marks.push(*id, one, &mut classes);
        }
        marks.settle(&mut classes);
        assert_eq!(marks.len(), wanted.len());
        for (n, id) in wanted.iter().enumerate() {
            assert_eq!(marks.get(*id), Some(if n % 2 == 0 { both } else { one }));
        }
        assert!(others.iter().all(|id| marks.get(*id).is_none()));
        // A search through a list at each hit makes 10^10 comparisons and more, which take minutes.
        assert!(begun.elapsed().as_secs() < 30, "{:?}", begun.elapsed());
    }

    #[test]
    fn prefixes_keep_the_order_of_ids() {
        let (a, b) = (BlockId::of(b"a"), BlockId::of(b"b"));
        assert_eq!(a < b, prefix(a) < prefix(b));
        assert!(lowest(prefix(a)) <= a && prefix(lowest(7)) == 7);
    }
}
