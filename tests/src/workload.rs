//! Writes of every kind that a source can see, for tests of backup and restore.
//!
//! [`rich`] does each kind of operation once, in order, and reports every step. [`Live`] and [`ddl_storm`] write at random
//! in the background until they are stopped. [`large`] holds what is large: documents of 16 MB, transactions of hundreds of
//! megabytes or tens of thousands of operations.
//!
//! Invariant: whoever asserts on a workload knows what it did: steps that fail are reported, never swallowed.

mod command;
pub mod large;
mod live;
mod rich;
mod storm;

pub use large::{big_document, big_transaction, many_ops_transaction};
pub use live::{Counts, LIVE_DATABASE, Live, LiveOptions};
pub use rich::{Step, failures, rich};
pub use storm::{DdlStorm, ddl_storm};
