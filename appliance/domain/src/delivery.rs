//! Delivery of a restore to a server: its states, and which follows which.

use serde::{Deserialize, Serialize};

/// State of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DeliveryState {
    /// Waits for the restore to be ready, for a daemon, or for the next attempt.
    Waiting,
    /// A daemon sends.
    Sending,
    /// The file has its name at the server.
    Delivered,
    /// It could not be delivered; the error says why.
    Failed,
    /// Called off.
    Cancelled,
}

/// What happens to a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeliveryEvent {
    /// A daemon took it, anew or from a daemon that is gone.
    Begin,
    /// The attempt broke and is made again.
    Break,
    /// No attempt will help before someone does something.
    Fail,
    /// The file has its name.
    Finish,
    /// Someone calls it off.
    Cancel,
}

impl DeliveryState {
    /// Every state.
    pub const ALL: [Self; 5] = [Self::Waiting, Self::Sending, Self::Delivered, Self::Failed, Self::Cancelled];

    /// The state after an event; None: it cannot happen in this one.
    #[must_use]
    pub const fn next(self, event: DeliveryEvent) -> Option<Self> {
        match (self, event) {
            (Self::Waiting | Self::Sending, DeliveryEvent::Begin) => Some(Self::Sending),
            (Self::Sending, DeliveryEvent::Break) => Some(Self::Waiting),
            (Self::Sending, DeliveryEvent::Finish) => Some(Self::Delivered),
            (Self::Waiting | Self::Sending, DeliveryEvent::Fail) => Some(Self::Failed),
            (Self::Waiting | Self::Sending, DeliveryEvent::Cancel) => Some(Self::Cancelled),
            _ => None,
        }
    }

    /// The states in which an event can happen.
    #[must_use]
    pub fn before(event: DeliveryEvent) -> Vec<Self> {
        Self::ALL.into_iter().filter(|state| state.next(event).is_some()).collect()
    }

    /// True when nothing will change it any more.
    #[must_use]
    pub const fn ended(self) -> bool {
        matches!(self, Self::Delivered | Self::Failed | Self::Cancelled)
    }
}

#[cfg(test)]
mod tests {
    use super::{DeliveryEvent as E, DeliveryState as S};

    #[test]
    fn every_pair_of_state_and_event() {
        let events = [E::Begin, E::Break, E::Fail, E::Finish, E::Cancel];
        let table = [
            (S::Waiting, [Some(S::Sending), None, Some(S::Failed), None, Some(S::Cancelled)]),
            (S::Sending, [Some(S::Sending), Some(S::Waiting), Some(S::Failed), Some(S::Delivered), Some(S::Cancelled)]),
            (S::Delivered, [None; 5]),
            (S::Failed, [None; 5]),
            (S::Cancelled, [None; 5]),
        ];
        for (state, after) in table {
            for (event, after) in events.into_iter().zip(after) {
                assert_eq!(state.next(event), after, "{state:?} {event:?}");
                assert_eq!(S::before(event).contains(&state), after.is_some());
            }
            assert_eq!(state.ended(), events.iter().all(|event| state.next(*event).is_none()));
        }
    }
}
