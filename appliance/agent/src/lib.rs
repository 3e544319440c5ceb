//! The agent beside the databases: follows replica sets and sends what they hold and do to the appliance.
//!
//! Invariants: it listens on nothing and only ever connects outwards; the appliance is known by pinned keys; credentials of the source stay in its
//! state directory; its memory is bounded whatever the sizes at the source. It knows the protocol and the domain, nothing else of the appliance.
//!
//! Used by the binary `holdfast-agent` and by tests.

mod api;
pub mod backup;
mod identity;
pub mod monitoring;
mod retry;
mod run;
mod transport;

pub use api::ServerApi;
pub use identity::{Identity, StateDir};
pub use run::{MONITORING_SPOOL_BYTES_MAX_DEFAULT, Parts, RunOptions, SPOOL_BYTES_MAX_DEFAULT, run};
pub use transport::{Client, ClientOptions, PinSet, Proxy, TransportError};
