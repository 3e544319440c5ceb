//! What is measured: the one table of metrics, and the arithmetic from readings to values and from values to rollups.
//!
//! Purpose: agent, API, charts and documentation take names, units and descriptions from [`METRICS`] and nowhere else. A metric says by a
//! [`Formula`] how its value comes out of one reading or two; [`value`] is the only place that divides by time.
//!
//! Invariants:
//! - A value that cannot be told is none: after a restart, a counter that fell, a jump of a clock, a reading that is missing. Nothing is
//!   guessed, so that a chart shows a gap and never a spike.
//! - A rollup keeps minimum, maximum, mean and count; rolling up rollups gives what rolling up the values gives.
//!
//! No I/O, no async, no clock: whoever calls says what time it is.

mod evaluate;
mod metric;
mod reading;
mod resolution;
mod rollup;
mod table;

pub use evaluate::value;
pub use metric::{Formula, Kind, Metric, Scope, Unit};
pub use reading::{Elapsed, Process, Reading, elapsed};
pub use resolution::{Kept, Resolution, choose};
pub use rollup::{Rollup, Rollups};
pub use table::{METRICS, metric, paths, section};
