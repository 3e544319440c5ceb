//! Catching up after a fuzzy scan: the collections were read while they changed, so the oplog from before the scan is applied
//! over them until they are equal.
//!
//! Called by the feeder while an initial sync is not finished.

mod ddl;
mod model;

pub(crate) use ddl::{drop_operation, rename_operation};
pub(crate) use model::{Aside, Model, STATE, STATE_NS};
