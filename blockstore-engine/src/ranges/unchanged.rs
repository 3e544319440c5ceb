//! Which blocks of a file are unchanged: one bit each, so that the file of 10 TB needs 20 MB.

use std::ops::Range;

/// The blocks of one file; made with all of them changed.
#[derive(Debug)]
pub(crate) struct Unchanged {
    size: u64,
    block_size: u64,
    bits: Vec<u64>,
    count: u64,
}

impl Unchanged {
    pub(super) fn new(size: u64, block_size: u32) -> Self {
        let block_size = u64::from(block_size.max(1));
        let words = size.div_ceil(block_size).div_ceil(64);
        Self { size, block_size, bits: vec![0; usize::try_from(words).unwrap_or(0)], count: 0 }
    }

    /// Size of the file in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Bytes of a block.
    pub(crate) fn block_size(&self) -> u64 {
        self.block_size
    }

    /// How many blocks are unchanged.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// This range of bytes is the same in both files; `old_size` is the other's size. A block that lies in it whole, and is as long there,
    /// is unchanged.
    pub(super) fn mark(&mut self, same: &Range<u64>, old_size: u64) {
        let first = same.start.div_ceil(self.block_size);
        // The last block is as long in both only when both files end there.
        let to_the_end = same.end == self.size && old_size == self.size;
        let last = if to_the_end { same.end.div_ceil(self.block_size) } else { same.end / self.block_size };
        for block in first..last {
            let (word, bit) = place(block);
            if let Some(word) = self.bits.get_mut(word)
                && *word & bit == 0
            {
                *word |= bit;
                self.count += 1;
            }
        }
    }

    pub(crate) fn is(&self, block: u64) -> bool {
        let (word, bit) = place(block);
        self.bits.get(word).is_some_and(|word| word & bit != 0)
    }

    /// Whether every block that touches this range of bytes is unchanged.
    pub(crate) fn all(&self, bytes: Range<u64>) -> bool {
        let mut block = bytes.start / self.block_size;
        let end = bytes.end.div_ceil(self.block_size);
        while block < end {
            // Whole words at once: a range may be the whole file.
            if block.is_multiple_of(64) && end - block >= 64 {
                if self.bits.get(place(block).0) != Some(&u64::MAX) {
                    return false;
                }
                block += 64;
            } else if self.is(block) {
                block += 1;
            } else {
                return false;
            }
        }
        true
    }

    /// The unchanged block with this number among the unchanged ones.
    pub(crate) fn nth(&self, mut number: u64) -> Option<u64> {
        for (index, word) in (0u64..).zip(&self.bits) {
            let here = u64::from(word.count_ones());
            if number < here {
                let is_it = |bit: &u64| word & (1 << bit) != 0;
                return (0..64).filter(is_it).nth(usize::try_from(number).ok()?).map(|bit| index * 64 + bit);
            }
            number -= here;
        }
        None
    }
}

fn place(block: u64) -> (usize, u64) {
    (usize::try_from(block / 64).unwrap_or(usize::MAX), 1 << (block % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_must_lie_in_the_range_whole_and_be_as_long_in_both_files() {
        // 3 blocks of 10 and one of 5
        let marked = |same: Range<u64>, old_size| {
            let mut blocks = Unchanged::new(35, 10);
            blocks.mark(&same, old_size);
            (0..5).filter(|block| blocks.is(*block)).collect::<Vec<_>>()
        };
        assert_eq!(marked(0..35, 35), [0, 1, 2, 3]);
        assert_eq!(marked(0..35, 40), [0, 1, 2], "the other file goes on: its last block is longer");
        assert_eq!(marked(0..33, 33), [0, 1, 2], "this file grew");
        assert_eq!(marked(1..35, 35), [1, 2, 3]);
        assert_eq!(marked(0..19, 35), [0]);
        assert_eq!(marked(11..19, 35), [] as [u64; 0]);
    }

    #[test]
    fn ranges_and_numbers_agree_with_single_blocks() {
        let size = 10 * 1000;
        let mut blocks = Unchanged::new(size, 10);
        for range in [0..700, 1280..1920, 3000..3010, 6400..10000] {
            blocks.mark(&range, size);
        }
        let singles: Vec<u64> = (0..1000).filter(|block| blocks.is(*block)).collect();
        assert_eq!(blocks.count(), singles.len() as u64);
        let numbered: Vec<u64> = (0..blocks.count()).filter_map(|n| blocks.nth(n)).collect();
        assert_eq!((numbered, blocks.nth(blocks.count())), (singles, None));
        for start in (0..1000).step_by(7) {
            for len in [1, 5, 63, 64, 65, 200] {
                let end = (start + len).min(1000);
                let each = (start..end).all(|block| blocks.is(block));
                assert_eq!(blocks.all(start * 10..end * 10), each, "{start}..{end}");
            }
        }
        assert!(!blocks.all(size..size + 10), "beyond the end nothing is unchanged");
    }
}
