//! Bringing an open head to an instant by runs of oplog entries, wherever they come from.
//!
//! Invariant: instants are inclusive; `Ok` says that everything up to the instant is applied and nothing after it, as far as the runs went:
//! the caller knows how far they go and answers for a source of runs that ends early. Called for restores, proofs and recovery.

use holdfast_domain::{OpTime, Ts};

use super::{Head, HeadError};

/// A run of consecutive oplog entries.
#[derive(Debug)]
pub struct Run {
    /// Optime of the first.
    pub first: OpTime,
    /// Optime of the last.
    pub last: OpTime,
    /// Raw BSON documents, one after the other; may be empty.
    pub raw: Vec<u8>,
    /// Nothing comes after it.
    pub closes: bool,
}

/// Where runs come from, in order.
pub trait Runs {
    /// Why there is none.
    type Error;

    /// The next run; `None`: there is no other.
    fn next(&mut self) -> impl Future<Output = Result<Option<Run>, Self::Error>> + Send;
}

/// Why an instant was not reached.
#[derive(Debug, thiserror::Error)]
pub enum ReplayFault<E> {
    /// The head.
    #[error("apply oplog entries")]
    Head(#[source] HeadError),
    /// The source of runs.
    #[error("read oplog entries")]
    Runs(#[source] E),
}

impl Head {
    /// Applies runs until everything with `ts` at or before `to` is applied, or they end. `on_optime` sees the end of each that was applied.
    /// The optime of the last run that was looked at: less than `to` when the runs ended before it.
    ///
    /// # Errors
    /// [`ReplayFault`]; see [`Head::apply`] for what may follow.
    pub async fn replay<R: Runs + Send>(
        &mut self,
        runs: &mut R,
        to: Ts,
        mut on_optime: impl FnMut(OpTime) + Send,
    ) -> Result<Option<OpTime>, ReplayFault<R::Error>> {
        let mut seen = None;
        while let Some(run) = runs.next().await.map_err(ReplayFault::Runs)? {
            seen = Some(run.last);
            if run.closes || run.first.ts > to {
                break;
            }
            if !run.raw.is_empty() {
                let applied = self.apply(&run.raw, Some(to)).await.map_err(ReplayFault::Head)?;
                on_optime(run.last);
                if applied.done {
                    break;
                }
            }
            if run.last.ts >= to {
                break;
            }
        }
        Ok(seen)
    }
}
