//! How operations reach the head's server: in batches that carry the marker, or one by one with the marker right after.

use holdfast_domain::OpTime;

use super::super::{
    applier::{self, Failed},
    batch::{Batch, How},
    error::{EntryError, HeadError},
    position::Position,
    translate::{Command, Op, commands},
};
use super::Feeder;

impl Feeder {
    /// Adds one operation to the batch.
    pub(in super::super) async fn push(&mut self, op: &[u8], at: OpTime, after: Position) -> Result<(), HeadError> {
        if !self.batch.fits(op.len()) {
            self.flush().await?;
        }
        self.batch.push(op, at, Some(after));
        self.pending = after;
        Ok(())
    }

    /// A fuzzy copy may lack what an update changes; only a head that is equal to its source must have it.
    pub(in super::super) fn always_upsert(&self) -> bool {
        self.model.is_some()
    }

    /// Sends the batch with the marker.
    pub(in super::super) async fn flush(&mut self) -> Result<(), HeadError> {
        if self.batch.is_empty() && self.pending == self.durable {
            return Ok(());
        }
        self.unsettled = true;
        self.transmit(false).await
    }

    /// Sends what is left, and waits until the journal holds all: what a feed has acknowledged survives a crash, so that the
    /// ledger may forget it.
    pub(super) async fn settle(&mut self) -> Result<(), HeadError> {
        if self.unsettled || !self.batch.is_empty() || self.pending != self.durable {
            self.transmit(true).await?;
            self.unsettled = false;
        }
        Ok(())
    }

    /// Makes all that the server did so far durable, also what others asked of it.
    pub(in super::super) async fn settle_all(&mut self) -> Result<(), HeadError> {
        self.unsettled = true;
        self.settle().await
    }

    async fn transmit(&mut self, journal: bool) -> Result<(), HeadError> {
        let how = How { always_upsert: self.always_upsert(), journal };
        let command = self.batch.command(Some(&self.pending.operation()), how)?;
        match self.applier.batch(command).await {
            Ok(()) => {}
            Err(Failed::Refused { code, message }) => {
                tracing::debug!(
                    code,
                    message,
                    ops = self.batch.len(),
                    "a batch was refused: one operation after the other"
                );
                self.one_by_one().await?;
                self.unsettled = true;
                if journal {
                    // The marker again, this time waited for.
                    self.durable = self.pending;
                    return Box::pin(self.transmit(true)).await;
                }
            }
            Err(other) => return Err(other.into_error("apply a batch of operations")),
        }
        self.durable = self.pending;
        self.batch.clear();
        Ok(())
    }

    /// Finds the operation that made a batch fail. Those before it are applied.
    async fn one_by_one(&mut self) -> Result<(), HeadError> {
        let how = How { always_upsert: self.always_upsert(), journal: false };
        // If none fails alone the batch was only too large for the server; with no operation it was the marker itself.
        let marker_only = self.batch.is_empty().then_some((self.pending.operation(), self.pending));
        let batch = std::mem::take(&mut self.batch);
        let alone = batch.split().map(|(op, at, after)| (op.to_vec(), at, after));
        for (op, at, after) in alone.chain(marker_only.map(|(op, after)| (op, after.optime(), Some(after)))) {
            let mut single = Batch::default();
            single.push(&op, at, after);
            let marker = after.map(|after| after.operation());
            match self.applier.batch(single.command(marker.as_deref(), how)?).await {
                Ok(()) => self.durable = after.unwrap_or(self.durable),
                Err(failed) => return Err(self.failed(failed, &op, at)),
            }
        }
        Ok(())
    }

    /// What a refusal means.
    pub(in super::super) fn failed(&self, failed: Failed, op: &[u8], at: OpTime) -> HeadError {
        let (what, ns) = applier::name_of(op);
        match failed {
            Failed::Refused { code, message } if self.model.is_some() => HeadError::NeedsResync(format!(
                "{what} at {at} on {ns} failed with {code} while catching up: {message}"
            )),
            Failed::Refused { code, message } => HeadError::Diverged { at, ns, what, code, message },
            other => other.into_error("apply an operation"),
        }
    }

    /// Applies one operation that cannot be part of a batch, and moves the marker after it.
    pub(in super::super) async fn alone(&mut self, op: &[u8], at: OpTime, after: Position) -> Result<(), HeadError> {
        self.flush().await?;
        self.applier.alone(op, self.always_upsert()).await.map_err(|failed| self.failed(failed, op, at))?;
        self.pending = after;
        self.flush().await
    }

    /// A command, on a head that equals its source.
    pub(super) async fn command(
        &mut self,
        command: Command,
        op: &Op<'_>,
        at: OpTime,
        after: Position,
    ) -> Result<(), HeadError> {
        let bad = |source| HeadError::Decode { after: at, source };
        match command {
            Command::Create => {
                let create = op.encode_with(op.ns, &commands::create(op.o).map_err(|e| bad(e.into()))?);
                if op.db() == "admin" && op.command_target() == Some("system.version") {
                    self.flush().await?;
                    self.applier
                        .version_collection(&create, op.ui)
                        .await
                        .map_err(|failed| self.failed(failed, &create, at))?;
                    self.pending = after;
                    return self.flush().await;
                }
                self.alone(&create, at, after).await
            }
            Command::CreateIndexes | Command::CommitIndexBuild => {
                let specs = commands::index_specs(op).map_err(bad)?;
                let collection = op.command_target().ok_or_else(|| bad(EntryError::Field("collection of an index")))?;
                self.flush().await?;
                let built = self.applier.create_indexes(op.db(), collection, op.ui, &specs).await;
                built.map_err(|failed| self.failed(failed, &op.encode(), at))?;
                self.pending = after;
                self.flush().await
            }
            // Nothing is built before the source has finished.
            Command::StartIndexBuild => {
                self.pending = after;
                Ok(())
            }
            // An initial sync may have listed an index whose build was still going on and has failed since.
            Command::AbortIndexBuild => {
                let collection = op.command_target().ok_or_else(|| bad(EntryError::Field("collection of an index")))?;
                self.flush().await?;
                for name in commands::index_names(op).map_err(bad)? {
                    let drop = commands::drop_index(op, collection, name);
                    self.applier.alone(&drop, false).await.map_err(|failed| self.failed(failed, &drop, at))?;
                }
                self.pending = after;
                self.flush().await
            }
            _ => self.alone(&op.encode(), at, after).await,
        }
    }
}
