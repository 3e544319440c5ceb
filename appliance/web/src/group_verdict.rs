//! The verdict on a group: one sentence over the verdicts of its deployments.
//!
//! Purpose: whoever looks at a group hears the same thing, whatever shows it. Pure: [`group_verdict`] sees names and levels and answers.
//!
//! Invariants: the level is the worst of all; what is not well is counted in the headline, each kind of it, so that a late backup never
//! hides one that is off; "everything" is said only when it is so.

use serde::Serialize;
use utoipa::ToSchema;

use crate::verdict::Level;

/// Names in a sentence, at most.
const NAMED_MAX: usize = 3;

/// What is to be said of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct GroupVerdictView {
    /// The worst of its deployments: `unprotected`, `late`, `off`, `running`, `protected` or `proved`; `off` when it has none.
    level: Level,
    /// One sentence: what is not well, or that everything is protected.
    sentence: String,
    /// How many are protected, and how many of them proved.
    detail: String,
}

/// Sums up. `all`: name and level of each deployment.
pub(crate) fn group_verdict(all: &[(String, Level)]) -> GroupVerdictView {
    let Some(level) = all.iter().map(|(_, level)| *level).min() else {
        let sentence = "Nothing is backed up in this group yet".to_owned();
        return GroupVerdictView { level: Level::Off, sentence, detail: String::new() };
    };
    let of = |wanted: Level| -> Vec<&str> {
        all.iter().filter(|(_, level)| *level == wanted).map(|(name, _)| name.as_str()).collect()
    };
    let clauses: Vec<String> = [
        (Level::Unprotected, "is not protected", "are not protected"),
        (Level::Late, "is late", "are late"),
        (Level::Off, "is not backed up", "are not backed up"),
        (Level::Running, "makes its first copy", "make their first copies"),
    ]
    .into_iter()
    .filter_map(|(level, one, many)| clause(of(level), one, many))
    .collect();
    let proved = of(Level::Proved).len();
    let good = proved + of(Level::Protected).len();
    let sentence = match (clauses.is_empty(), all.len()) {
        (true, 1) => format!("{} is protected", all[0].0),
        (true, n) => format!("All {n} deployments are protected"),
        (false, _) => clauses.join("; "),
    };
    let proofs = match (good, proved) {
        (0, _) => String::new(),
        (_, 0) => "; no snapshot was proved yet".to_owned(),
        (good, proved) if good == proved => "; of each a snapshot was opened and compared".to_owned(),
        (_, proved) => format!("; of {proved} of them a snapshot was opened and compared"),
    };
    GroupVerdictView { level, sentence, detail: format!("{good} of {} protected with nothing late{proofs}", all.len()) }
}

/// `2 deployments are late (a, b)`; None when there are none.
fn clause(names: Vec<&str>, one: &str, many: &str) -> Option<String> {
    let named = names.iter().take(NAMED_MAX).copied().collect::<Vec<_>>().join(", ");
    match names.len() {
        0 => None,
        1 => Some(format!("{named} {one}")),
        n if n <= NAMED_MAX => Some(format!("{n} deployments {many} ({named})")),
        n => Some(format!("{n} deployments {many} ({named} and {} more)", n - NAMED_MAX)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(all: &[(&str, Level)]) -> GroupVerdictView {
        group_verdict(&all.iter().map(|(name, level)| ((*name).to_owned(), *level)).collect::<Vec<_>>())
    }

    #[test]
    fn what_is_off_is_said_beside_what_is_late() {
        let said = said(&[("a", Level::Late), ("b", Level::Off), ("c", Level::Off), ("d", Level::Proved)]);
        assert_eq!(said.level, Level::Late);
        assert_eq!(said.sentence, "a is late; 2 deployments are not backed up (b, c)");
        assert!(said.detail.starts_with("1 of 4 protected"), "{}", said.detail);
    }

    #[test]
    fn everything_is_said_only_when_it_is_so() {
        assert_eq!(said(&[("a", Level::Protected), ("b", Level::Proved)]).sentence, "All 2 deployments are protected");
        assert_eq!(said(&[("a", Level::Proved)]).sentence, "a is protected");
        for level in [Level::Unprotected, Level::Late, Level::Off, Level::Running] {
            let said = said(&[("a", Level::Proved), ("b", level)]);
            assert_eq!(said.level, level);
            assert!(!said.sentence.starts_with("All"), "{}", said.sentence);
        }
        assert_eq!(said(&[]).level, Level::Off);
    }

    #[test]
    fn long_lists_are_cut() {
        let many: Vec<(String, Level)> = (0..9).map(|n| (format!("rs{n}"), Level::Unprotected)).collect();
        assert_eq!(group_verdict(&many).sentence, "9 deployments are not protected (rs0, rs1, rs2 and 6 more)");
    }
}
