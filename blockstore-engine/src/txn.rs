//! Talking to the database so that elections are waited out and nothing that may roll back is believed.
//!
//! Invariants: every read and write here is majority (writes journaled); sessions are causally consistent and carry the newest times
//! that the [`Causal`] they come from has seen, so that what one step wrote the next one sees, whatever member answers. Retries are
//! bounded by [`RETRY_FOR`]. Used by every module that touches a collection.

use std::ops::ControlFlow;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use bson::Timestamp;
use mongodb::error::{
    ErrorKind, RETRYABLE_WRITE_ERROR, TRANSIENT_TRANSACTION_ERROR, UNKNOWN_TRANSACTION_COMMIT_RESULT, WriteFailure,
};
use mongodb::options::{Acknowledgment, ReadConcern, WriteConcern};
use mongodb::{Client, ClientSession, ClusterTime};

use crate::error::StoreFault;

/// Elections take up to about 12 s, a restarted member a little longer; a set that is away for longer is for the caller to wait for.
pub(crate) const RETRY_FOR: Duration = Duration::from_secs(60);
const WAIT_FIRST: Duration = Duration::from_millis(20);
const WAIT_MAX: Duration = Duration::from_secs(2);

/// Waits between attempts, doubling, until [`RETRY_FOR`] has passed.
pub(crate) struct Backoff {
    started: Instant,
    wait: Duration,
}

impl Backoff {
    pub(crate) fn new() -> Self {
        Self { started: Instant::now(), wait: WAIT_FIRST }
    }

    /// Waits and answers whether another attempt is allowed.
    pub(crate) async fn again(&mut self) -> bool {
        if self.started.elapsed() > RETRY_FOR {
            return false;
        }
        tokio::time::sleep(self.wait).await;
        self.wait = (self.wait * 2).min(WAIT_MAX);
        true
    }
}

/// Whether the fault passes by itself: network, election, write conflict.
pub(crate) fn is_passing(error: &mongodb::error::Error) -> bool {
    if error.contains_label(RETRYABLE_WRITE_ERROR) || error.contains_label(TRANSIENT_TRANSACTION_ERROR) {
        return true;
    }
    match *error.kind {
        ErrorKind::Io(_) | ErrorKind::ServerSelection { .. } | ErrorKind::ConnectionPoolCleared { .. } => true,
        // The driver labels these only where it may retry itself: interrupted, not primary, recovering, shutting down, stale.
        ErrorKind::Command(ref error) => {
            matches!(
                error.code,
                6 | 7
                    | 63
                    | 89
                    | 91
                    | 112
                    | 133
                    | 134
                    | 150
                    | 189
                    | 234
                    | 262
                    | 9001
                    | 10058
                    | 10107
                    | 11600
                    | 11602
                    | 13435
                    | 13436
            )
        }
        _ => false,
    }
}

/// Whether a unique key was there already.
pub(crate) fn is_duplicate(error: &mongodb::error::Error) -> bool {
    const DUPLICATE_KEY: i32 = 11000;
    match *error.kind {
        ErrorKind::InsertMany(ref error) => {
            error.write_concern_error.is_none()
                && error
                    .write_errors
                    .as_ref()
                    .is_some_and(|all| !all.is_empty() && all.iter().all(|one| one.code == DUPLICATE_KEY))
        }
        ErrorKind::Write(WriteFailure::WriteError(ref error)) => error.code == DUPLICATE_KEY,
        ErrorKind::Command(ref error) => error.code == DUPLICATE_KEY,
        _ => false,
    }
}

/// `w: majority, j: true`.
pub(crate) fn durable() -> WriteConcern {
    WriteConcern::builder().w(Acknowledgment::Majority).journal(true).build()
}

/// The newest times that a chain of operations has seen, across its sessions.
#[derive(Default)]
pub(crate) struct Causal(Mutex<(Option<ClusterTime>, Option<Timestamp>)>);

impl Causal {
    /// A causally consistent session that sees all that was noted.
    pub(crate) async fn session(&self, client: &Client) -> Result<ClientSession, StoreFault> {
        let mut session = client
            .start_session()
            .causal_consistency(true)
            .await
            .map_err(|source| StoreFault { action: "starting a session", source })?;
        self.advance(&mut session);
        Ok(session)
    }

    /// Lets an older session see all that was noted since.
    pub(crate) fn advance(&self, session: &mut ClientSession) {
        let times = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(time) = &times.0 {
            session.advance_cluster_time(time);
        }
        if let Some(time) = times.1 {
            session.advance_operation_time(time);
        }
    }

    /// Notes what a session has seen.
    pub(crate) fn note(&self, session: &ClientSession) {
        let mut times = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(time) = session.cluster_time()
            && times.0.as_ref().is_none_or(|known| known < time)
        {
            times.0 = Some(time.clone());
        }
        if let Some(time) = session.operation_time()
            && times.1.is_none_or(|known| known < time)
        {
            times.1 = Some(time);
        }
    }
}

/// Why the body of a transaction did not reach its end.
pub(crate) enum Abort<E> {
    /// The database; may be tried again.
    Driver(mongodb::error::Error),
    /// A condition does not hold; final.
    Refused(E),
}

impl<E> From<mongodb::error::Error> for Abort<E> {
    fn from(error: mongodb::error::Error) -> Self {
        Self::Driver(error)
    }
}

/// Begins a transaction with one snapshot for all its reads.
pub(crate) async fn begin(session: &mut ClientSession) -> Result<(), mongodb::error::Error> {
    session.start_transaction().read_concern(ReadConcern::snapshot()).write_concern(durable()).await
}

/// Commits or aborts after the body; `Continue` asks for another attempt of the whole.
pub(crate) async fn finish<T, E: From<StoreFault>>(
    session: &mut ClientSession,
    action: &'static str,
    outcome: Result<T, Abort<E>>,
    backoff: &mut Backoff,
) -> Result<ControlFlow<T>, E> {
    let value = match outcome {
        Ok(value) => value,
        Err(Abort::Refused(error)) => {
            // The server aborts it anyway when the session goes; a failed abort changes nothing.
            let _ = session.abort_transaction().await;
            return Err(error);
        }
        Err(Abort::Driver(source)) => {
            let _ = session.abort_transaction().await;
            if is_passing(&source) && backoff.again().await {
                return Ok(ControlFlow::Continue(()));
            }
            return Err(StoreFault { action, source }.into());
        }
    };
    loop {
        let Err(source) = session.commit_transaction().await else {
            return Ok(ControlFlow::Break(value));
        };
        if source.contains_label(UNKNOWN_TRANSACTION_COMMIT_RESULT) {
            if backoff.again().await {
                continue;
            }
        } else if is_passing(&source) && backoff.again().await {
            return Ok(ControlFlow::Continue(()));
        }
        return Err(StoreFault { action, source }.into());
    }
}

/// Runs a block (which ends in `Result<T, Abort<E>>`) as a transaction on `session: &mut ClientSession`, again when the database asks
/// for it. The block must be able to run more than once.
macro_rules! transaction {
    ($session:expr, $action:literal, $error:ty, $body:block) => {{
        let mut backoff = $crate::txn::Backoff::new();
        loop {
            let outcome = match $crate::txn::begin($session).await {
                Err(error) => Err($crate::txn::Abort::<$error>::Driver(error)),
                Ok(()) => async { $body }.await,
            };
            match $crate::txn::finish::<_, $error>($session, $action, outcome, &mut backoff).await {
                Ok(std::ops::ControlFlow::Break(value)) => break Ok(value),
                Ok(std::ops::ControlFlow::Continue(())) => {}
                Err(error) => break Err(error),
            }
        }
    }};
}
pub(crate) use transaction;

/// Runs an expression that is a future of a driver's result, again while the fault passes by itself. It must be idempotent.
macro_rules! retrying {
    ($action:literal, $operation:expr) => {{
        let mut backoff = $crate::txn::Backoff::new();
        loop {
            match $operation.await {
                Ok(value) => break Ok(value),
                Err(error) if $crate::txn::is_passing(&error) && backoff.again().await => {}
                Err(source) => break Err($crate::error::StoreFault { action: $action, source }),
            }
        }
    }};
}
pub(crate) use retrying;
