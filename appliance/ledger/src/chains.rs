//! Which chains a ledger has, and how far each goes.

use holdfast_domain::{BackupJobId, ChainSpan, CloseReason, EntryBody};

use crate::{Ledger, LedgerError};

/// Most chains listed, newest first: one more with every resync.
const CHAINS_MAX: usize = 10_000;

impl Ledger {
    /// Every chain that still has entries, oldest first. Three indexed reads per chain.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn chains(&self, job: &BackupJobId) -> Result<Vec<ChainSpan>, LedgerError> {
        let mut out: Vec<ChainSpan> = Vec::new();
        let mut below = i64::MAX;
        while out.len() < CHAINS_MAX {
            let Some(last) = self.last_entry(job, below).await? else { break };
            let chain = last.entry.at.chain;
            let (from, first_seq) = self.beginning(job, chain, &last).await?;
            // A chain that another one follows is over even where a trim has already taken its closing entry.
            let closed = last.entry.closes() || !out.is_empty();
            out.push(ChainSpan { chain, first_seq, from, to: last.entry.last, closed });
            if chain == 0 {
                break;
            }
            below = chain - 1;
        }
        out.reverse();
        Ok(out)
    }

    /// Why a chain ended: one indexed read. None: it has not, or retention has already taken its closing entry.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn close_reason(&self, job: &BackupJobId, chain: i64) -> Result<Option<CloseReason>, LedgerError> {
        let last = self.last_entry(job, chain).await?.filter(|doc| doc.entry.at.chain == chain);
        Ok(last.and_then(|doc| match doc.entry.body {
            EntryBody::Close { reason } => Some(reason),
            _ => None,
        }))
    }

    /// Start point, and the first sequence number from which nothing is missing.
    async fn beginning(
        &self,
        job: &BackupJobId,
        chain: i64,
        last: &crate::read::EntryDoc,
    ) -> Result<(holdfast_domain::OpTime, i64), LedgerError> {
        let open = self.first_entry(job, chain, 0).await?;
        let from = open.as_ref().map_or(last.entry.first, |doc| doc.entry.first);
        let whole = open.is_some_and(|doc| doc.entry.at.seq == 0);
        let next = self.first_entry(job, chain, 1).await?.map(|doc| doc.entry.at.seq);
        let first_seq = match next {
            None | Some(1) if whole => 0,
            Some(seq) => seq,
            None => last.entry.at.seq,
        };
        Ok((from, first_seq))
    }
}
