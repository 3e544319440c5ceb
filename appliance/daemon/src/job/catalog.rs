//! The head's catalog against the source's: what errors of applying cannot tell.
//!
//! Comparable is a list of the source taken while its majority optime went from `before` to `after`, when the head stands at or after
//! `after` and the ledger has no DDL from `before` to where the head stands. Else another is asked for.

use std::time::{Duration, Instant};

use holdfast_agent_api::{self as agent, LedgerTail};
use holdfast_domain::{OpTime, Ts};

use super::{driver::Driver, error::JobError};
use crate::{
    chain_of,
    head::{Catalog, CatalogCollection},
};

/// How often a new catalog is looked for.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Entries read at once; their summaries are at most 100 KB each.
const ENTRIES_PER_READ: i64 = 50;
/// Differences named in a sentence.
const DIFFERENCES_SHOWN: usize = 3;

impl Driver {
    /// Compares with the newest catalog, if there is a new one that can be compared.
    pub(super) async fn compare_catalog(&mut self, tail: &LedgerTail) -> Result<(), JobError> {
        if self.catalog_seen.is_some_and(|at| at.elapsed() < LOOK_EVERY) {
            return Ok(());
        }
        self.catalog_seen = Some(Instant::now());
        let chain = tail.at.chain;
        let (Some(open), Some(file), Some(position)) = (&self.open, &self.heads.current, self.position) else {
            return Ok(());
        };
        let Some((before, after, raw)) = self.ctx.ledger.latest_catalog(self.record.id(), chain).await? else {
            return Ok(());
        };
        let seen = file.compared.max(self.catalog_skipped);
        if seen.is_some_and(|seen| seen.ts >= after.ts) || position.ts < after.ts || !position.at_boundary() {
            return Ok(());
        }
        if self.has_ddl(chain, before, position.ts).await? {
            tracing::debug!(job = %self.record.id(), %before, %after, "DDL since the catalog: another is asked for");
            self.record.want_catalog().await?;
            self.catalog_skipped = Some(after);
            return Ok(());
        }
        let catalog: agent::Catalog = bson::deserialize_from_slice(&raw)
            .map_err(|source| JobError::Form { what: "the source's catalog", source })?;
        let catalog = listed(catalog);
        self.record.phase("compare the catalog with the source");
        let differences = open.head.compare_catalog(&catalog).await?;
        if differences.is_empty() {
            self.heads.change(|head| head.compared = Some(after))?;
            tracing::info!(job = %self.record.id(), at = %after, collections = catalog.collections.len(), "the head's catalog equals the source's");
            return Ok(());
        }
        let shown: Vec<String> = differences.iter().take(DIFFERENCES_SHOWN).map(ToString::to_string).collect();
        let more = differences.len().saturating_sub(shown.len());
        let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
        self.doubt_base().await?;
        Err(JobError::Differs(format!("catalog: {}{rest}", shown.join("; "))))
    }

    /// Whether the ledger has a command between two instants, the first not included.
    async fn has_ddl(&self, chain: i64, after: OpTime, to: Ts) -> Result<bool, JobError> {
        let Some(from) = self.ctx.ledger.entry_at(self.record.id(), chain, after.ts).await? else { return Ok(false) };
        let mut seq = from.seq.max(1);
        loop {
            let entries = match self.ctx.ledger.entries(self.record.id(), chain, seq, ENTRIES_PER_READ).await {
                Ok(entries) => entries,
                Err(error @ holdfast_ledger::LedgerError::Trimmed { .. }) => {
                    tracing::debug!(error = chain_of(&error), "the catalog is older than the ledger");
                    return Ok(true);
                }
                Err(error) => return Err(error.into()),
            };
            for stored in &entries {
                if stored.entry.first.ts > to {
                    return Ok(false);
                }
                let within = |mark: &holdfast_domain::DdlMark| mark.at.ts > after.ts && mark.at.ts <= to;
                if stored.summary.ddl.iter().any(within) || stored.summary.ddl_omitted > 0 {
                    return Ok(true);
                }
            }
            match entries.last() {
                Some(last) if last.entry.last.ts < to => seq = last.entry.at.seq + 1,
                _ => return Ok(false),
            }
        }
    }
}

/// The source's lists in the head's words. What has no readable UUID compares as a view, and so as different.
fn listed(catalog: agent::Catalog) -> Catalog {
    let collections = catalog.collections.into_iter().map(|c| CatalogCollection {
        uuid: c.uuid.and_then(|uuid| uuid.parse().ok()),
        db: c.db,
        name: c.name,
        kind: c.kind,
        options: c.options,
        indexes: c.indexes,
    });
    Catalog { collections: collections.collect() }
}
