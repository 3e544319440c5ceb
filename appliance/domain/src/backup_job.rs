//! States of a backup job and how they follow each other.

use serde::{Deserialize, Serialize};

/// State of a backup job, as shown to users.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum BackupState {
    /// The first copy of the data is being made.
    InitialSync,
    /// The head applies what was written since the initial sync (or since a rebuild) began.
    CatchingUp,
    /// The head follows the source.
    Active,
    /// A new initial sync replaces the head; what was restorable stays so.
    Resyncing,
    /// Stopped by an operator; snapshots are kept.
    Stopped,
    /// Cannot go on without an operator.
    Failed,
    /// Given up by an operator: its snapshots lie in the trash, its head is removed; it can be taken back until they are gone for good,
    /// and then the job goes too.
    Terminated,
}

/// What moves a backup job on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum BackupEvent {
    /// An operator starts the backup (again).
    Start,
    /// The documents of an initial sync are loaded; the ledger is applied from here.
    Loaded,
    /// The head stands within the lag that counts as following.
    CaughtUp,
    /// The head is rebuilt from the last snapshot and the ledger.
    Rebuild,
    /// A new initial sync is needed.
    Resync,
    /// An operator stops the backup.
    Stop,
    /// It cannot go on by itself.
    Fail,
    /// An operator gives it up.
    Terminate,
    /// An operator takes the giving up back: a stopped backup with its snapshots.
    TakeBack,
}

/// The event does not fit the state.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("a backup that is {from:?} cannot take {event:?}")]
pub struct NoSuchTransition {
    /// State.
    pub from: BackupState,
    /// Event.
    pub event: BackupEvent,
}

impl BackupState {
    /// Every state.
    pub const ALL: [Self; 7] = [
        Self::InitialSync,
        Self::CatchingUp,
        Self::Active,
        Self::Resyncing,
        Self::Stopped,
        Self::Failed,
        Self::Terminated,
    ];

    /// The state after `event`.
    ///
    /// # Errors
    /// [`NoSuchTransition`] when the event does not fit; the caller leaves the job as it is.
    pub const fn next(self, event: BackupEvent) -> Result<Self, NoSuchTransition> {
        use BackupEvent as E;
        use BackupState as S;
        Ok(match (self, event) {
            (S::Stopped | S::Failed, E::Start) => S::InitialSync,
            (S::InitialSync | S::Resyncing, E::Loaded) => S::CatchingUp,
            (S::CatchingUp | S::Active, E::CaughtUp) => S::Active,
            (S::CatchingUp | S::Active | S::Failed, E::Rebuild) => S::CatchingUp,
            (S::InitialSync, E::Resync) => S::InitialSync,
            (S::CatchingUp | S::Active | S::Resyncing | S::Failed, E::Resync) => S::Resyncing,
            (S::Stopped, E::Stop) => S::Stopped,
            (S::InitialSync | S::CatchingUp | S::Active | S::Resyncing | S::Failed, E::Stop) => S::Stopped,
            (S::InitialSync | S::CatchingUp | S::Active | S::Resyncing | S::Failed, E::Fail) => S::Failed,
            (_, E::Terminate) => S::Terminated,
            (S::Terminated, E::TakeBack) => S::Stopped,
            (from, event) => return Err(NoSuchTransition { from, event }),
        })
    }

    /// True while an agent should send and a daemon should apply.
    #[must_use]
    pub const fn runs(self) -> bool {
        matches!(self, Self::InitialSync | Self::CatchingUp | Self::Active | Self::Resyncing)
    }
}

/// How far a long piece of work came.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// Done so far, in `unit`s.
    pub done: u64,
    /// All there is, in `unit`s; 0 when not known yet.
    pub total: u64,
    /// `bytes`, `documents`, `entries`, `seconds`.
    pub unit: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use BackupEvent as E;
    use BackupState as S;

    #[test]
    fn every_pair() {
        assert!(S::ALL.iter().all(|state| state.next(E::Terminate) == Ok(S::Terminated)), "from everywhere, again too");
        assert!(S::ALL.iter().all(|state| state.next(E::TakeBack).is_ok() == (*state == S::Terminated)));
        assert_eq!(S::Terminated.next(E::TakeBack), Ok(S::Stopped));
        let events = [E::Start, E::Loaded, E::CaughtUp, E::Rebuild, E::Resync, E::Stop, E::Fail];
        let expect = |s: S| -> [Option<S>; 7] {
            match s {
                S::InitialSync => {
                    [None, Some(S::CatchingUp), None, None, Some(S::InitialSync), Some(S::Stopped), Some(S::Failed)]
                }
                S::CatchingUp => [
                    None,
                    None,
                    Some(S::Active),
                    Some(S::CatchingUp),
                    Some(S::Resyncing),
                    Some(S::Stopped),
                    Some(S::Failed),
                ],
                S::Active => [
                    None,
                    None,
                    Some(S::Active),
                    Some(S::CatchingUp),
                    Some(S::Resyncing),
                    Some(S::Stopped),
                    Some(S::Failed),
                ],
                S::Resyncing => {
                    [None, Some(S::CatchingUp), None, None, Some(S::Resyncing), Some(S::Stopped), Some(S::Failed)]
                }
                S::Stopped => [Some(S::InitialSync), None, None, None, None, Some(S::Stopped), None],
                S::Failed => [
                    Some(S::InitialSync),
                    None,
                    None,
                    Some(S::CatchingUp),
                    Some(S::Resyncing),
                    Some(S::Stopped),
                    Some(S::Failed),
                ],
                S::Terminated => [None; 7],
            }
        };
        for state in S::ALL {
            let got = events.map(|e| state.next(e).ok());
            assert_eq!(got, expect(state), "{state:?}");
        }
    }
}
