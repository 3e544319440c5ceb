//! What an oplog slice holds, told without decompressing it: the timeline and the oplog search read only this.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{OpTime, Ts};

/// Namespaces counted one by one in a slice; what comes after is counted under `*`. Keeps a summary under 100 KB.
const NAMESPACES_MAX: usize = 500;
/// DDL marks kept of a slice; more are only counted.
const DDL_MARKS_MAX: usize = 200;
/// Name under which namespaces beyond the bound are counted.
const OTHERS: &str = "*";

/// Kinds of operation that are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OpKind {
    /// A document was inserted.
    Insert,
    /// A document was changed or replaced.
    Update,
    /// A document was deleted.
    Delete,
    /// A command: create, drop, rename, index build ...
    Ddl,
}

/// How many operations of one kind one namespace saw within one minute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamespaceCount {
    /// Start of the minute, seconds since 1970, a multiple of 60.
    pub minute: u32,
    /// `database.collection`, or `*` for the rest.
    pub ns: String,
    /// Kind.
    pub kind: OpKind,
    /// How many.
    pub count: i64,
}

/// A command worth a mark on the timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DdlMark {
    /// When.
    pub at: OpTime,
    /// The command's name: `drop`, `createIndexes`, `renameCollection` ...
    pub command: String,
    /// The namespace it names.
    pub ns: String,
}

/// Summary of one slice. Written by the agent, read by the timeline.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SliceSummary {
    /// Counts.
    pub counts: Vec<NamespaceCount>,
    /// Commands, the first 200.
    pub ddl: Vec<DdlMark>,
    /// Commands that found no place in `ddl`.
    #[serde(default)]
    pub ddl_omitted: i64,
    /// Elections: the first entry of a new term.
    pub elections: Vec<OpTime>,
}

/// Collects a summary.
#[derive(Debug, Default)]
pub struct SummaryBuilder {
    counts: BTreeMap<(u32, String, OpKind), i64>,
    namespaces: std::collections::BTreeSet<String>,
    out: SliceSummary,
}

impl SummaryBuilder {
    /// One operation.
    pub fn count(&mut self, at: Ts, ns: &str, kind: OpKind) {
        let known = self.namespaces.contains(ns);
        if !known && self.namespaces.len() < NAMESPACES_MAX {
            self.namespaces.insert(ns.to_owned());
        }
        let ns = if known || self.namespaces.contains(ns) { ns } else { OTHERS };
        *self.counts.entry((at.t - at.t % 60, ns.to_owned(), kind)).or_default() += 1;
    }

    /// One command; counted too.
    pub fn ddl(&mut self, at: OpTime, ns: &str, command: &str) {
        self.count(at.ts, ns, OpKind::Ddl);
        if self.out.ddl.len() < DDL_MARKS_MAX {
            self.out.ddl.push(DdlMark { at, command: command.to_owned(), ns: ns.to_owned() });
        } else {
            self.out.ddl_omitted += 1;
        }
    }

    /// The first entry of a new term.
    pub fn election(&mut self, at: OpTime) {
        self.out.elections.push(at);
    }

    /// The summary.
    #[must_use]
    pub fn finish(self) -> SliceSummary {
        let counts = self.counts.into_iter();
        let counts = counts.map(|((minute, ns, kind), count)| NamespaceCount { minute, ns, kind, count }).collect();
        SliceSummary { counts, ..self.out }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_bounded_and_lose_nothing() {
        let mut builder = SummaryBuilder::default();
        for n in 0..1000 {
            builder.count(Ts { t: 61, i: n }, &format!("db.c{n}"), OpKind::Insert);
        }
        for _ in 0..300 {
            builder.ddl(OpTime::default(), "db.$cmd", "drop");
        }
        let summary = builder.finish();
        assert!(summary.counts.len() <= NAMESPACES_MAX + 2);
        assert_eq!(summary.counts.iter().map(|c| c.count).sum::<i64>(), 1300);
        assert_eq!((summary.ddl.len(), summary.ddl_omitted), (200, 100));
        assert!(summary.counts.iter().any(|c| c.ns == OTHERS && c.minute == 60));
    }
}
