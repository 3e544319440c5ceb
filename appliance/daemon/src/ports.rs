//! Ports for private mongods: a small fair pool for heads, a range for restores and proofs.
//!
//! Invariants: a port is with one holder at a time; waiters for a head's port are served in order of arrival. More heads than ports is
//! normal: a holder looks at [`HeadPort::should_yield`] between slices and gives up its turn when others wait.

use std::{
    collections::HashSet,
    net::{Ipv4Addr, TcpListener},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How long a head with work keeps its port while others wait: long against the 2 s that opening and closing take.
pub const TURN: Duration = Duration::from_secs(30);

/// The pool of head ports.
#[derive(Debug)]
pub struct HeadPorts {
    free: Mutex<Vec<u16>>,
    permits: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// A head's port, given back when dropped.
#[derive(Debug)]
pub struct HeadPort {
    pool: Arc<HeadPorts>,
    /// The port.
    pub number: u16,
    since: Instant,
    _permit: OwnedSemaphorePermit,
}

impl HeadPorts {
    /// A pool of these ports.
    #[must_use]
    pub fn new(ports: &[u16]) -> Arc<Self> {
        let permits = Arc::new(Semaphore::new(ports.len()));
        Arc::new(Self { free: Mutex::new(ports.to_vec()), permits, waiting: AtomicUsize::new(0) })
    }

    /// Waits for a port, first come first served. Cancel safe.
    ///
    /// # Panics
    /// Never: the semaphore is not closed, and counts exactly the ports.
    pub async fn take(self: &Arc<Self>) -> HeadPort {
        let waits = Waits::new(&self.waiting);
        let permit = Arc::clone(&self.permits).acquire_owned().await.expect("the semaphore is never closed");
        drop(waits);
        let number = self.lock().pop().expect("there are as many permits as ports");
        HeadPort { pool: Arc::clone(self), number, since: Instant::now(), _permit: permit }
    }

    /// How many wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<u16>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts a waiter, also when its future is dropped.
struct Waits<'a>(&'a AtomicUsize);

impl<'a> Waits<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl HeadPort {
    /// True when the holder should close its head: others wait, and it has nothing to do or had its turn.
    #[must_use]
    pub fn should_yield(&self, idle: bool) -> bool {
        self.pool.waiting() > 0 && (idle || self.since.elapsed() >= TURN)
    }
}

impl Drop for HeadPort {
    fn drop(&mut self) {
        // Before the permit goes back, which happens after this body.
        self.pool.lock().push(self.number);
    }
}

/// Ports for restores, drills and proofs.
#[derive(Debug)]
pub struct PortRange {
    first: u16,
    last: u16,
    taken: Mutex<HashSet<u16>>,
}

/// A port of a [`PortRange`], given back when dropped.
#[derive(Debug)]
pub struct RangePort {
    range: Arc<PortRange>,
    /// The port.
    pub number: u16,
}

impl PortRange {
    /// From `first` to `last`, both included.
    #[must_use]
    pub fn new(first: u16, last: u16) -> Arc<Self> {
        Arc::new(Self { first, last, taken: Mutex::default() })
    }

    /// A port that nobody holds and nobody listens on; None when all are taken.
    #[must_use]
    pub fn take(self: &Arc<Self>) -> Option<RangePort> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let number = (self.first..=self.last)
            .find(|port| !taken.contains(port) && TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())?;
        taken.insert(number);
        Some(RangePort { range: Arc::clone(self), number })
    }
}

impl Drop for RangePort {
    fn drop(&mut self) {
        self.range.taken.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[tokio::test]
    async fn first_come_first_served_and_the_idle_yield() {
        let pool = HeadPorts::new(&[1, 2]);
        let (a, _b) = (pool.take().await, pool.take().await);
        assert!(!a.should_yield(true), "nobody waits");
        let order = Arc::new(Mutex::new(Vec::new()));
        let waiters: Vec<_> = (0..3)
            .map(|n| {
                let (pool, order) = (Arc::clone(&pool), Arc::clone(&order));
                tokio::spawn(async move {
                    let port = pool.take().await;
                    order.lock().unwrap().push((n, port.number));
                })
            })
            .collect();
        while pool.waiting() < 3 {
            tokio::task::yield_now().await;
        }
        assert!(a.should_yield(true) && !a.should_yield(false), "idle, but its turn is not over");
        let number = a.number;
        drop(a);
        for waiter in waiters {
            waiter.await.unwrap();
        }
        assert_eq!(*order.lock().unwrap(), [(0, number), (1, number), (2, number)]);
        assert_eq!(pool.waiting(), 0);
    }

    #[test]
    fn a_range_gives_no_port_twice_nor_one_that_is_in_use() {
        let held = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = held.local_addr().unwrap().port();
        let range = PortRange::new(port, port);
        assert!(range.take().is_none(), "someone listens there");
        drop(held);
        let mine = range.take().unwrap();
        assert!(range.take().is_none());
        drop(mine);
        assert!(range.take().is_some());
    }
}
