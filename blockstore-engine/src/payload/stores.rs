//! Which pack stores a process knows, how they are opened, and how that changes while it runs.
//!
//! Invariants: what is configured and cannot be opened is remembered with its reason: whoever needs it is refused with that, everything else
//! works. A store that did not change keeps its connections. Where new payloads go is changed for writers that register later alone, so
//! that a writer's payloads lie in one store.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures::future::join_all;

use super::identity;
use super::options::{PackStoreOptions, PayloadStore};
use super::packs::PackStore;
use crate::engine::Blockstore;
use crate::error::{ErrorClass, NoPackStore, OpenError};
use crate::id::StoreNumber;
use crate::store::Store;

/// Opening one store while the process runs takes at most this long; the others do not wait for it for longer.
const OPEN_WITHIN: Duration = Duration::from_secs(10);

/// What [`Blockstore::set_payload_stores`] knows of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreState {
    /// Which.
    pub number: StoreNumber,
    /// Why it cannot be used; `None`: it can.
    pub fault: Option<NoPackStore>,
}

struct Slot {
    /// What it was opened by; `None`: the caller could not say.
    options: Option<PackStoreOptions>,
    opened: Result<Arc<PackStore>, NoPackStore>,
}

/// See the module.
pub(super) struct Stores {
    slots: BTreeMap<StoreNumber, Slot>,
    pub(super) write_to: PayloadStore,
}

impl Stores {
    /// All of them, or an error.
    pub(super) async fn open(
        store: &Store,
        options: &[PackStoreOptions],
        write_to: PayloadStore,
    ) -> Result<Self, OpenError> {
        check(options.iter().map(|one| one.number).collect(), write_to)?;
        let mut slots = BTreeMap::new();
        for one in options {
            slots.insert(one.number, Slot { options: Some(one.clone()), opened: Ok(open_one(store, one).await?) });
        }
        Ok(Self { slots, write_to })
    }

    pub(super) fn packs(&self, number: StoreNumber) -> Result<Arc<PackStore>, NoPackStore> {
        self.slots.get(&number).map_or(Err(NoPackStore::not_configured(number)), |slot| slot.opened.clone())
    }

    pub(super) fn all(&self) -> Result<Vec<Arc<PackStore>>, NoPackStore> {
        self.slots.values().map(|slot| slot.opened.clone()).collect()
    }
}

/// What is wrong whatever the stores say.
fn check(mut numbers: Vec<StoreNumber>, write_to: PayloadStore) -> Result<(), OpenError> {
    numbers.sort_unstable();
    if numbers.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(OpenError::Options("two pack stores have the same number"));
    }
    match write_to {
        PayloadStore::Packs(number) if !numbers.contains(&number) => {
            Err(OpenError::Options("the pack store that payloads are to be written to is not among the pack stores"))
        }
        _ => Ok(()),
    }
}

fn number(one: &Result<PackStoreOptions, NoPackStore>) -> StoreNumber {
    match one {
        Ok(options) => options.number,
        Err(fault) => fault.number,
    }
}

async fn open_one(store: &Store, options: &PackStoreOptions) -> Result<Arc<PackStore>, OpenError> {
    let opened = Arc::new(PackStore::new(options)?);
    identity::check(store, &opened).await?;
    Ok(opened)
}

async fn open_in_time(store: &Store, options: &PackStoreOptions) -> Result<Arc<PackStore>, NoPackStore> {
    let number = options.number;
    match tokio::time::timeout(OPEN_WITHIN, open_one(store, options)).await {
        Ok(opened) => opened.map_err(|error| NoPackStore::not_opened(number, &error)),
        Err(_) => {
            let reason = format!("it did not answer within {} s", OPEN_WITHIN.as_secs());
            Err(NoPackStore { number, reason, class: ErrorClass::Retry })
        }
    }
}

impl Blockstore {
    /// Changes the pack stores that this process knows, and where its writers put payloads from now on; tries those again that could not be
    /// opened. A store that cannot be opened is no error: it is told in the answer, and by everything that needs it. Nor is one that the caller
    /// cannot set up, for want of its credentials: its fault is passed on.
    ///
    /// # Errors
    /// Options that make no sense; then nothing changes.
    pub async fn set_payload_stores(
        &self,
        options: &[Result<PackStoreOptions, NoPackStore>],
        write_to: PayloadStore,
    ) -> Result<Vec<StoreState>, OpenError> {
        check(options.iter().map(number).collect(), write_to)?;
        let payloads = &self.engine.payloads;
        let _one_at_a_time = payloads.changing.lock().await;
        let before = payloads.known();
        let opened = join_all(options.iter().map(async |one| match (one, before.slots.get(&number(one))) {
            (Ok(one), Some(Slot { options: Some(options), opened: Ok(opened) })) if options == one => {
                Ok(opened.clone())
            }
            (Ok(one), _) => open_in_time(&self.engine.store, one).await,
            (Err(fault), _) => Err(fault.clone()),
        }));
        let mut slots = BTreeMap::new();
        for (options, opened) in options.iter().zip(opened.await) {
            slots.insert(number(options), Slot { options: options.as_ref().ok().cloned(), opened });
        }
        *payloads.known.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(Stores { slots, write_to });
        Ok(self.payload_stores())
    }

    /// The pack stores that this process knows, and whether they could be opened.
    #[must_use]
    pub fn payload_stores(&self) -> Vec<StoreState> {
        let known = self.engine.payloads.known();
        let state = |(number, slot): (&StoreNumber, &Slot)| StoreState {
            number: *number,
            fault: slot.opened.as_ref().err().cloned(),
        };
        known.slots.iter().map(state).collect()
    }

    /// Where payloads of new writers go.
    #[must_use]
    pub fn writes_to(&self) -> PayloadStore {
        self.engine.payloads.write_to()
    }
}
