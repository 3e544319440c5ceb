//! How busy the machine's processors are, from what the kernel counts since it started.

/// Ticks of all processors since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ticks {
    /// In all.
    total: u64,
    /// Of those, idle or waiting for a disk.
    idle: u64,
}

impl Ticks {
    /// As the kernel says now; None where it does not say so.
    #[must_use]
    pub fn now() -> Option<Self> {
        Self::parse(&std::fs::read_to_string("/proc/stat").ok()?)
    }

    /// From the text of `/proc/stat`: user, nice, system, idle, iowait, irq, softirq, steal. Guests are counted in user.
    fn parse(text: &str) -> Option<Self> {
        let line = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
        let ticks: Vec<u64> = line.split_whitespace().take(8).map_while(|word| word.parse().ok()).collect();
        let idle = ticks.get(3)?.checked_add(*ticks.get(4)?)?;
        Some(Self { total: ticks.iter().try_fold(0_u64, |sum, n| sum.checked_add(*n))?, idle })
    }

    /// Share that was busy since `before`, in percent; None while nothing passed.
    #[must_use]
    pub fn busy_percent_since(self, before: Self) -> Option<u8> {
        let total = self.total.checked_sub(before.total).filter(|ticks| *ticks > 0)?;
        let idle = self.idle.saturating_sub(before.idle).min(total);
        u8::try_from((total - idle).saturating_mul(100) / total).ok()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_share_between_two_looks() {
        let before = Ticks::parse("cpu  100 0 50 800 50 0 0 0 7 7\ncpu0 1 1 1 1\n").unwrap();
        let after = Ticks::parse("cpu  170 0 55 820 55 0 0 0 9 9\n").unwrap();
        assert_eq!(before, Ticks { total: 1000, idle: 850 });
        assert_eq!(after.busy_percent_since(before), Some(75));
        assert_eq!(before.busy_percent_since(before), None, "nothing passed");
        assert_eq!(before.busy_percent_since(after), None, "the machine started anew");
        assert_eq!(Ticks::parse("intr 1 2 3"), None);
        assert_eq!(Ticks::parse("cpu  1 2"), None);
        assert!(Ticks::now().is_some());
    }
}
