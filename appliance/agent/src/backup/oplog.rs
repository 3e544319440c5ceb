//! The tailable cursor on the source's oplog, and what its first entry says about the place to resume from.

use std::time::{Duration, Instant};

use bson::{RawBsonRef, Timestamp, doc};
use futures::TryStreamExt as _;
use holdfast_domain::{OpTime, Ts};
use mongodb::raw_batch_cursor::{RawBatch, RawBatchCursor};

use super::{
    entry::Entry,
    error::{JobError, command_code},
    source::Member,
};

/// How long the server holds an empty answer back.
pub(crate) const AWAIT_DATA: Duration = Duration::from_secs(3);
/// After this time without any answer the connection counts as dead.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Entries of one batch at most: keeps batches of small entries at a few megabytes.
const BATCH_ENTRIES_MAX: u32 = 4000;

/// A cursor on one member's oplog: majority committed entries only, in order.
pub(crate) struct OplogCursor {
    cursor: RawBatchCursor,
    member: Member,
    /// Since when the present answer is waited for.
    asked: Option<Instant>,
}

/// What the first entry says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resume {
    /// It is the one that was asked for.
    Fits,
    /// The member has not come so far.
    Behind,
    /// The member's oplog begins later.
    WindowLost,
    /// The member's majority point is past it, and yet it is not there.
    OtherHistory,
}

/// Judges: `first` is the first majority committed entry at or after `want`, `oldest` and `majority` the ends of what the member holds.
pub(crate) fn judge(want: OpTime, first: Option<OpTime>, oldest: OpTime, majority: OpTime) -> Resume {
    match first {
        Some(first) if first == want => Resume::Fits,
        _ if oldest.ts > want.ts => Resume::WindowLost,
        Some(_) => Resume::OtherHistory,
        None if majority.ts < want.ts => Resume::Behind,
        // Both reads are of different instants: the next look will tell.
        None => Resume::Behind,
    }
}

impl OplogCursor {
    /// Opens at `from`.
    pub(crate) async fn open(member: &Member, from: Ts) -> Result<Self, JobError> {
        let find = doc! {
            "find": "oplog.rs", "filter": { "ts": { "$gte": Timestamp::from(from) } }, "tailable": true, "awaitData": true,
            "batchSize": i64::from(BATCH_ENTRIES_MAX), "readConcern": { "level": "majority" },
        };
        let cursor = member.cursor("local", find, BATCH_ENTRIES_MAX, Some(AWAIT_DATA), "tail the oplog").await?;
        Ok(Self { cursor, member: member.clone(), asked: None })
    }

    /// The next batch, perhaps empty. None: the server ended the cursor. Safe to call off and call again.
    pub(crate) async fn next(&mut self) -> Result<Option<RawBatch>, JobError> {
        let failed = |source| self.member.error("tail the oplog", source);
        let asked = *self.asked.get_or_insert_with(Instant::now);
        let deadline = asked + ANSWER_TIMEOUT;
        match tokio::time::timeout_at(deadline.into(), self.cursor.try_next()).await {
            Ok(done) => {
                self.asked = None;
                done.map_err(failed)
            }
            Err(_) => Err(failed(std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer in time").into())),
        }
    }
}

/// The entries of a batch.
pub(crate) fn entries(batch: &RawBatch) -> Result<impl Iterator<Item = Result<Entry<'_>, JobError>>, JobError> {
    let bad = |error: String| JobError::Unintelligible(format!("a batch of the oplog cannot be read: {error}"));
    let docs = batch.doc_slices().map_err(|error| bad(error.to_string()))?;
    Ok(docs.into_iter().map(move |value| match value {
        Ok(RawBsonRef::Document(raw)) => Entry::read(raw),
        Ok(_) => Err(bad("an element is no document".into())),
        Err(error) => Err(bad(error.to_string())),
    }))
}

/// True when the server says that the cursor's place in the oplog was overwritten.
pub(crate) fn overtaken(error: &JobError) -> bool {
    let JobError::Source { source, .. } = error else { return false };
    command_code(source) == Some(super::error::code::CAPPED_POSITION_LOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(t: u32, term: i64) -> OpTime {
        OpTime { ts: Ts { t, i: 1 }, term }
    }

    #[test]
    fn the_four_answers() {
        let want = at(100, 3);
        assert_eq!(judge(want, Some(want), at(50, 1), at(200, 3)), Resume::Fits);
        assert_eq!(judge(want, Some(at(120, 3)), at(110, 3), at(200, 3)), Resume::WindowLost);
        assert_eq!(judge(want, None, at(50, 1), at(90, 3)), Resume::Behind);
        assert_eq!(judge(want, Some(at(101, 4)), at(50, 1), at(200, 4)), Resume::OtherHistory);
        assert_eq!(judge(want, Some(at(100, 4)), at(50, 1), at(200, 4)), Resume::OtherHistory, "same time, other term");
    }
}
