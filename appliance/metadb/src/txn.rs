//! Transactions over several documents of the app database, tried again a bounded number of times.
//!
//! Used where a rule spans documents (the last owner, the claim of an appliance): each such transaction writes one guard document, so that
//! two of them at once conflict and one of them sees what the other did.

use std::time::Duration;

use mongodb::{
    ClientSession,
    options::{Acknowledgment, ReadConcern, WriteConcern},
};

use crate::{MetaDb, MetaError, error::on};

/// Tries of one transaction: as many as writers that may meet at one guard document.
const TRIES_MAX: u32 = 40;
/// Pause after the first try; it grows by as much with each.
const PAUSE: Duration = Duration::from_millis(5);

/// How often a transaction was tried.
#[derive(Debug, Default)]
pub(crate) struct Tries(u32);

impl Tries {
    async fn again(&mut self) -> bool {
        self.0 += 1;
        if self.0 >= TRIES_MAX {
            return false;
        }
        tokio::time::sleep(PAUSE * self.0).await;
        true
    }
}

impl MetaDb {
    /// A session with a transaction begun.
    pub(crate) async fn begin(&self, op: &'static str) -> Result<ClientSession, MetaError> {
        let mut session = self.database().client().start_session().await.map_err(on(op))?;
        session
            .start_transaction()
            .read_concern(ReadConcern::snapshot())
            .write_concern(WriteConcern::builder().w(Acknowledgment::Majority).journal(true).build())
            .await
            .map_err(on(op))?;
        Ok(session)
    }

    /// Commits what succeeded, rolls back what did not. None: it met another transaction; try the whole again.
    pub(crate) async fn settle<T>(
        &self,
        op: &'static str,
        session: &mut ClientSession,
        tries: &mut Tries,
        tried: Result<T, MetaError>,
    ) -> Option<Result<T, MetaError>> {
        let value = match tried {
            Ok(value) => value,
            Err(error) => {
                // A failed abort leaves a transaction that the server ends by itself; the first error counts.
                let _ = session.abort_transaction().await;
                let passing = matches!(&error, MetaError::Database { source, .. } if passing(source));
                return if passing && tries.again().await { None } else { Some(Err(error)) };
            }
        };
        loop {
            match session.commit_transaction().await {
                Ok(()) => return Some(Ok(value)),
                Err(e) if e.contains_label("UnknownTransactionCommitResult") && tries.again().await => {}
                Err(e) if passing(&e) && tries.again().await => return None,
                Err(e) => return Some(Err(on(op)(e))),
            }
        }
    }
}

fn passing(error: &mongodb::error::Error) -> bool {
    error.contains_label("TransientTransactionError")
}
