//! Ports that this `up` has spoken for, so that two of them on one machine never choose the same.
//!
//! A port is bound much later than it is chosen (those of heads and restores only while one is open), so that nobody listens on it
//! says too little. Each reservation is a socket in the abstract namespace, named by the port: it lives in the same network
//! namespace as the port, only one process can have it, and the kernel frees it when the process ends, however it ends.

use std::{
    net::{Ipv4Addr, TcpListener},
    ops::RangeInclusive,
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixListener},
    },
};

/// First part of the sockets' names.
const NAME: &str = "holdfast-port-";

/// See the module. Held for as long as `up` runs.
#[derive(Debug, Default)]
pub(super) struct Reserved(Vec<(u16, UnixListener)>);

impl Reserved {
    /// Reserves a port that nobody listens on. False: it is taken, by someone else or by this process before.
    pub(super) fn take(&mut self, port: u16) -> bool {
        self.take_all(port..=port)
    }

    /// Reserves all of them, or none.
    pub(super) fn take_all(&mut self, ports: RangeInclusive<u16>) -> bool {
        let before = self.0.len();
        for port in ports {
            let name = format!("{NAME}{port}");
            let held = SocketAddr::from_abstract_name(name).and_then(|address| UnixListener::bind_addr(&address));
            match held {
                Ok(held) if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() => self.0.push((port, held)),
                _ => {
                    self.0.truncate(before);
                    return false;
                }
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_port_has_one_holder_and_a_row_is_taken_whole() {
        let free = (0..100)
            .map(|_| holdfast_mongod::free_port().unwrap())
            .find(|&port| (port..=port + 2).all(|p| TcpListener::bind((Ipv4Addr::LOCALHOST, p)).is_ok()));
        let first = free.unwrap();
        let (mut one, mut other) = (Reserved::default(), Reserved::default());
        assert!(one.take(first + 1) && !one.take(first + 1) && !other.take(first + 1));
        assert!(!other.take_all(first..=first + 2), "its middle is another's");
        assert!(one.take(first) && one.take(first + 2), "nothing of the row was kept");
        drop(one);
        assert!(other.take_all(first..=first + 2));
        let listens = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        assert!(!other.take(listens.local_addr().unwrap().port()), "someone listens there");
    }
}
