//! The monitoring part: finds hosts from a seed, reads each of them, and reports what it read.
//!
//! Bird's eye: `active` asks the appliance whether this agent is its group's active one. While it is, `hosts` looks around (`survey`) and keeps
//! one `host_task` per host; each reads (`collect`, `sizes`, `facts`, `system`) and turns readings into values by the table of
//! `holdfast-metrics`. Findings flow one way: tasks -> `assemble` (numbered reports) -> `spool` (files) -> `sender`.
//!
//! Invariants: a host that is slow or gone delays no other one; nothing is written to a source; the spool is bounded in bytes and age; a
//! report has one number for ever and is sent until it is taken.

mod active;
mod assemble;
mod collect;
mod facts;
mod finding;
mod host_task;
mod hosts;
mod needs;
mod path;
mod replica;
mod sender;
mod sizes;
mod spool;
mod survey;
mod system;
mod throttle;

pub use active::{MonitoringOptions, run};
