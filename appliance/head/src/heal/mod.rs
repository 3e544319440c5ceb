//! Does the head still equal its source? Compared by UUID, name, options and indexes here; by content through dbHash.
//!
//! Errors of single commands do not tell: drops and collMods of what is missing succeed silently (`applyOps`).

mod compare;

pub use compare::{Difference, compare};
