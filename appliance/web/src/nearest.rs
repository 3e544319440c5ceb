//! An instant that cannot be restored: the nearest ones before and after that can, and why this one cannot.
//!
//! Pure, so that restores, cuts and estimates give the same answer. The reason is always a true one: of a gap that of the history that
//! ended there, and never a guess where retention has taken the history's closing entry.

use holdfast_domain::{ChainSpan, CloseReason, Range, Ts};

use crate::instant::rfc3339;

/// A history, and why it ended.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    /// Which.
    pub(crate) span: ChainSpan,
    /// Why it ended; None: it goes on, or nobody knows any more.
    pub(crate) reason: Option<CloseReason>,
}

/// What is said of an instant that cannot be restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Nearest {
    /// The last instant before it that can be restored, as `at` takes it.
    pub(crate) before: Option<String>,
    /// The first one after it.
    pub(crate) after: Option<String>,
    /// Why not, the rest of a sentence.
    pub(crate) reason: String,
}

impl Nearest {
    /// What is nearest to `at`, which lies in none of the ranges (or is a second that is not there as a whole).
    pub(crate) fn of(at: Ts, ranges: &[Range], chains: &[Ended]) -> Self {
        let before = ranges.iter().rev().find(|range| range.from <= at);
        let after = ranges.iter().find(|range| range.from > at);
        Self {
            before: before.map(|range| last_of(*range)),
            after: after.map(|range| first_of(*range)),
            reason: reason(at, before, after, chains),
        }
    }

    /// Two sentences.
    pub(crate) fn sentence(&self) -> String {
        let near = match (&self.before, &self.after) {
            (Some(before), Some(after)) => {
                format!(". The nearest that can be is {before} before it and {after} after it")
            }
            (Some(before), None) => format!(". The nearest that can be is {before}, before it"),
            (None, Some(after)) => format!(". The nearest that can be is {after}, after it"),
            (None, None) => String::new(),
        };
        format!("{}{near}", self.reason)
    }
}

/// The last instant of a range: a whole second where one is there as a whole.
fn last_of(range: Range) -> String {
    if range.to.t > range.from.t { rfc3339(i64::from(range.to.t) - 1) } else { range.to.to_string() }
}

fn first_of(range: Range) -> String {
    if range.to.t > range.from.t { rfc3339(i64::from(range.from.t)) } else { range.from.to_string() }
}

fn reason(at: Ts, before: Option<&Range>, after: Option<&Range>, chains: &[Ended]) -> String {
    if before.is_none() && after.is_none() {
        return "no snapshot is complete yet".into();
    }
    if before.is_none() {
        return "it lies before the oldest instant that is kept".into();
    }
    // Oplog is there, but no snapshot of the same history stands before it.
    if chains.iter().any(|chain| chain.span.from.ts <= at && at <= chain.span.to.ts) {
        return "its oplog is kept, but no snapshot stands before it from which that could be replayed".into();
    }
    let ended = chains.iter().filter(|chain| chain.span.to.ts <= at).max_by_key(|chain| chain.span.to.ts);
    match ended {
        Some(chain) if !chain.span.closed => "it has not arrived yet".into(),
        Some(Ended { reason: Some(reason), .. }) => words(*reason).into(),
        Some(_) => "the history before it ended, and retention has removed the note that said why".into(),
        None => "no oplog is kept there".into(),
    }
}

/// Why a history ended, in words.
pub(crate) const fn words(reason: CloseReason) -> &'static str {
    match reason {
        CloseReason::ResyncRequested => {
            "a new initial sync was asked for, and writes until its end are not in the ledger"
        }
        CloseReason::WindowLost => "the source's oplog no longer held what was needed",
        CloseReason::OtherHistory => "the source rolled back to another history",
        CloseReason::SyncFailed => "the initial sync failed",
        CloseReason::Diverged => "the head differed from the ledger",
        CloseReason::VersionChange => "the source changed its version",
        CloseReason::Stopped => "the backup was stopped",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use holdfast_domain::OpTime;

    use super::*;

    fn range(from: u32, to: u32) -> Range {
        Range { from: Ts { t: from, i: 1 }, to: Ts { t: to, i: 3 } }
    }

    fn chain(number: i64, from: u32, to: u32, reason: Option<CloseReason>, closed: bool) -> Ended {
        let op = |t| OpTime { ts: Ts { t, i: 3 }, term: 1 };
        Ended { span: ChainSpan { chain: number, first_seq: 0, from: op(from), to: op(to), closed }, reason }
    }

    #[test]
    fn a_gap_is_answered_with_both_sides_and_the_true_reason() {
        let ranges = [range(100, 200), range(5_000, 6_000)];
        let chains = [chain(0, 90, 200, Some(CloseReason::WindowLost), true), chain(1, 4_900, 6_000, None, false)];
        // Far from both ends of the gap, where nothing is near.
        let found = Nearest::of(Ts::end_of_second(2_000), &ranges, &chains);
        assert_eq!(found.before.as_deref(), Some("1970-01-01T00:03:19Z"));
        assert_eq!(found.after.as_deref(), Some("1970-01-01T01:23:20Z"));
        assert_eq!(found.reason, "the source's oplog no longer held what was needed");
        assert!(found.sentence().contains("00:03:19Z before it and 1970-01-01T01:23:20Z after it"));
        // The younger history is there already, its first snapshot is not.
        let found = Nearest::of(Ts::end_of_second(4_950), &ranges, &chains);
        assert!(found.reason.contains("no snapshot stands before it"), "{}", found.reason);
    }

    #[test]
    fn before_after_and_never() {
        let open = [chain(0, 90, 200, None, false)];
        let ranges = [range(100, 200)];
        let old = Nearest::of(Ts { t: 50, i: 1 }, &ranges, &open);
        assert_eq!((old.before, old.after.as_deref()), (None, Some("1970-01-01T00:01:40Z")));
        assert!(old.reason.contains("before the oldest"));
        assert_eq!(Nearest::of(Ts { t: 900, i: 1 }, &ranges, &open).reason, "it has not arrived yet");
        let stopped = [chain(0, 90, 200, Some(CloseReason::Stopped), true)];
        assert_eq!(Nearest::of(Ts { t: 900, i: 1 }, &ranges, &stopped).reason, "the backup was stopped");
        let trimmed = [chain(0, 90, 200, None, true)];
        assert!(Nearest::of(Ts { t: 900, i: 1 }, &ranges, &trimmed).reason.contains("retention has removed"));
        let none = Nearest::of(Ts { t: 900, i: 1 }, &[], &[]);
        assert_eq!((none.before.as_ref(), none.after.as_ref()), (None, None));
        assert_eq!(none.sentence(), "no snapshot is complete yet");
        // A snapshot alone has no whole second.
        let alone = [Range { from: Ts { t: 7, i: 2 }, to: Ts { t: 7, i: 2 } }];
        assert_eq!(Nearest::of(Ts::end_of_second(7), &alone, &trimmed).before.as_deref(), Some("7,2"));
    }
}
