//! How bytes reach the appliance: one request at a time over pooled HTTP/1.1 connections.
//!
//! Invariants: TLS is verified against pinned CAs for a fixed server name and cannot be switched off (`pins`); plain HTTP goes to loopback
//! addresses only; every attempt has an end in time; bodies of answers are bounded. It knows nothing of what is said: `crate::api` does.

mod client;
mod connect;
mod error;
mod pins;
mod proxy;

pub use client::{Client, ClientOptions};
pub use error::TransportError;
pub use pins::PinSet;
pub use proxy::Proxy;

pub(crate) use client::{Answer, Call};
