//! The map of a part of a file, and where two maps show the same bytes.
//!
//! Invariants: a map that is not ascending, overlaps, is too long or does not get on is no map ([`None`]): the part counts as changed. Bounded
//! memory: one part of [`WINDOW_BYTES`] at a time.

use std::fs::File;
use std::io;
use std::ops::Range;

use super::sys::{EXTENT_LAST, EXTENT_SHARED, MapBuffer};

/// Compared at a time: a multiple of every block size.
pub(super) const WINDOW_BYTES: u64 = 1 << 30;
/// Extents of one window, at most: one per 4 KiB (the smallest that these file systems give a database), 10 MB of memory a map.
const WINDOW_EXTENTS_MAX: usize = 1 << 18;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Extent {
    start: u64,
    end: u64,
    physical: u64,
    flags: u32,
}

/// Where the next byte lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Hole,
    At(u64),
    /// Delayed, unknown, encoded, inline, unwritten, or of this file alone.
    Odd,
}

impl Extent {
    fn place(&self, offset: u64) -> Place {
        if self.flags == EXTENT_SHARED { Place::At(self.physical + (offset - self.start)) } else { Place::Odd }
    }
}

/// What lies in the window, clipped to it.
fn read_map(file: &File, window: &Range<u64>, buffer: &mut MapBuffer) -> io::Result<Option<Vec<Extent>>> {
    let mut out: Vec<Extent> = Vec::new();
    let mut from = window.start;
    while from < window.end {
        let answer = buffer.map(file, from, window.end - from)?;
        let Some(last) = answer.last() else { break };
        let Some(next) = last.logical.checked_add(last.length).filter(|next| *next > from) else { return Ok(None) };
        let ended = last.flags & EXTENT_LAST != 0;
        for raw in answer {
            let (Some(end), Some(_)) = (raw.logical.checked_add(raw.length), raw.physical.checked_add(raw.length))
            else {
                return Ok(None);
            };
            let start = raw.logical.max(window.start);
            let clipped_end = end.min(window.end);
            if start >= clipped_end {
                continue;
            }
            let physical = raw.physical + (start - raw.logical);
            let ascends = out.last().is_none_or(|before| before.end <= start);
            if !ascends || out.len() >= WINDOW_EXTENTS_MAX {
                return Ok(None);
            }
            out.push(Extent { start, end: clipped_end, physical, flags: raw.flags & !EXTENT_LAST });
        }
        if ended {
            break;
        }
        from = next;
    }
    Ok(Some(out))
}

/// The parts of the window that both files share, or that are holes in both; ascending, merged. `forget` set: the first extent that differs
/// counts as shared (and `forget` is unset).
pub(super) fn same_parts(
    old: &File,
    new: &File,
    window: Range<u64>,
    buffer: &mut MapBuffer,
    forget: &mut bool,
) -> io::Result<Vec<Range<u64>>> {
    let before = read_map(old, &window, buffer)?;
    let now = read_map(new, &window, buffer)?;
    // The old one moved meanwhile (balance, defragmentation): what its places mean is not known.
    let after = read_map(old, &window, buffer)?;
    Ok(match (before, now, after) {
        (Some(before), Some(now), Some(after)) if before == after => compare(&before, &now, window, forget),
        _ => Vec::new(),
    })
}

/// What lies at `offset`, and where that ends.
fn look(map: &[Extent], next: &mut usize, offset: u64, end: u64) -> (Place, u64) {
    while map.get(*next).is_some_and(|extent| extent.end <= offset) {
        *next += 1;
    }
    match map.get(*next) {
        Some(extent) if extent.start <= offset => (extent.place(offset), extent.end),
        Some(extent) => (Place::Hole, extent.start),
        None => (Place::Hole, end),
    }
}

fn compare(old: &[Extent], new: &[Extent], window: Range<u64>, forget: &mut bool) -> Vec<Range<u64>> {
    let mut same: Vec<Range<u64>> = Vec::new();
    let (mut in_old, mut in_new) = (0, 0);
    let mut offset = window.start;
    while offset < window.end {
        let (was, was_until) = look(old, &mut in_old, offset, window.end);
        let (is, is_until) = look(new, &mut in_new, offset, window.end);
        let until = was_until.min(is_until).min(window.end);
        let mut equal = was == is && was != Place::Odd;
        if !equal && std::mem::take(forget) {
            equal = true;
        }
        if equal {
            match same.last_mut() {
                Some(last) if last.end == offset => last.end = until,
                _ => same.push(offset..until),
            }
        }
        offset = until;
    }
    same
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared(start: u64, end: u64, physical: u64) -> Extent {
        Extent { start, end, physical, flags: EXTENT_SHARED }
    }

    fn same(old: &[Extent], new: &[Extent]) -> Vec<Range<u64>> {
        compare(old, new, 0..100, &mut false)
    }

    #[test]
    #[allow(clippy::single_range_in_vec_init, reason = "lists of ranges")]
    fn only_the_same_place_in_shared_extents_and_common_holes_are_the_same() {
        let all = [shared(0, 100, 1000)];
        assert_eq!(same(&all, &all), [0..100]);
        // One in the middle was written elsewhere; how the rest is cut does not matter.
        let cut = [shared(0, 40, 1000), shared(40, 50, 5000), shared(50, 100, 1050)];
        assert_eq!(same(&all, &cut), [0..40, 50..100]);
        assert_eq!(same(&cut, &all), [0..40, 50..100]);
        // The same place of the disk at another offset is another content.
        assert_eq!(same(&all, &[shared(10, 100, 1000)]), []);
        assert_eq!(same(&[], &[]), [0..100], "a hole in both");
        assert_eq!(same(&all, &[]), []);
        assert_eq!(same(&[], &all), []);
        assert_eq!(same(&[shared(0, 10, 7)], &[shared(0, 10, 7), shared(90, 100, 3)]), [0..90]);
    }

    #[test]
    #[allow(clippy::single_range_in_vec_init, reason = "lists of ranges")]
    fn anything_unusual_is_changed() {
        let all = [shared(0, 100, 1000)];
        // delalloc, unknown, encoded, unaligned, inline, unwritten, merged, and not shared at all
        for flags in [0, 0x2, 0x4, 0x8, 0x80, 0x100, 0x200, 0x800, 0x1000, 0x4000] {
            for flags in [flags, flags | EXTENT_SHARED].into_iter().filter(|flags| *flags != EXTENT_SHARED) {
                let odd = [Extent { flags, ..all[0] }];
                assert_eq!(same(&odd, &all), [], "{flags:#x}");
                assert_eq!(same(&all, &odd), [], "{flags:#x}");
                assert_eq!(same(&odd, &odd), [], "{flags:#x}");
            }
        }
    }

    #[test]
    #[allow(clippy::single_range_in_vec_init, reason = "lists of ranges")]
    fn one_extent_can_be_forgotten_on_purpose() {
        let (old, new) = ([shared(0, 100, 0)], [shared(0, 20, 500), shared(20, 60, 20), shared(60, 100, 700)]);
        let mut forget = true;
        assert_eq!(compare(&old, &new, 0..100, &mut forget), [0..60]);
        assert!(!forget);
    }
}
