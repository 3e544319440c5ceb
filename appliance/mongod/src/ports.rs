//! A free TCP port on the loopback address.

use std::{
    collections::HashSet,
    fs, io,
    net::{Ipv4Addr, TcpListener},
    ops::Range,
    sync::{LazyLock, Mutex, PoisonError},
};

/// Below this live the well-known ports.
const PORT_MIN: u16 = 15_000;
/// The upper end where the kernel does not say which ports it gives to outgoing connections.
const PORT_END: u16 = 32_768;
/// MongoDB's own ports and those of heads, restores, drills and mounts: never given out at random.
const RESERVED: Range<u16> = 27_000..27_800;
/// Tries before giving up; far more than half of the range would have to be taken.
const TRIES_MAX: usize = 500;

/// Given out by this process: a port is free until its server has bound it, so it must not be given out twice meanwhile.
static GIVEN: LazyLock<Mutex<HashSet<u16>>> = LazyLock::new(Mutex::default);

/// A port that nobody listens on, chosen at random below the range from which the kernel takes the local ports of
/// outgoing connections, so that no connection takes it before the server binds it. Never the same twice in a process.
///
/// # Errors
/// No free port was found.
pub fn free_port() -> io::Result<u16> {
    let range = PORT_MIN..ephemeral_start().unwrap_or(PORT_END).max(PORT_MIN + 1000);
    for _ in 0..TRIES_MAX {
        let port = rand::random_range(range.clone());
        if RESERVED.contains(&port) || TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_err() {
            continue;
        }
        if GIVEN.lock().unwrap_or_else(PoisonError::into_inner).insert(port) {
            return Ok(port);
        }
    }
    Err(io::Error::new(io::ErrorKind::AddrInUse, format!("no free port in {range:?}")))
}

fn ephemeral_start() -> Option<u16> {
    fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn ports_are_distinct_and_outside_the_reserved_ones() {
        let ports: Vec<u16> = (0..50).map(|_| free_port().unwrap()).collect();
        assert_eq!(ports.iter().collect::<HashSet<_>>().len(), ports.len());
        assert!(ports.iter().all(|port| !RESERVED.contains(port) && *port >= PORT_MIN));
    }
}
