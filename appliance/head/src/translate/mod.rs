//! From oplog entries to what a head has to do. Pure: no server, no file, no clock.
//!
//! Invariants: an entry is read and checked as a whole before any of it is acted on, so an operation that is not known fails
//! the entry with nothing of it applied; values pass through as the bytes they were. Called by the feeder and, for its
//! document rules, by the loader.

pub(crate) mod commands;
mod entry;
mod op;
pub(crate) mod timestamps;

#[cfg(test)]
mod tests;

pub(crate) use entry::{Entry, Header, Meaning, TxnRef};
pub(crate) use op::{Command, Op, OpError, OpKind};
