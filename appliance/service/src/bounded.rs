//! Connections of a listener: how many there may be, and how long one may hold a place without taking what it is sent.
//!
//! Invariants:
//! - A connection holds a place from the moment that it is accepted until it is dropped; beyond the bound it is closed at once.
//! - A peer that takes nothing of an answer for [`STALL_MAX`] is cut off. Waiting for a peer's next request is not counted here: the listener
//!   has a time limit for that.

use std::{
    future::{Ready, ready},
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum_server::accept::Accept;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep, sleep},
};

/// How long a write may wait for the peer. Downloads of restores wait as long as this for a slow disk at the other end.
pub(crate) const STALL_MAX: Duration = Duration::from_secs(120);

/// Gives each connection a place.
#[derive(Clone, Debug)]
pub(crate) struct Bounded {
    places: Arc<Semaphore>,
    stall: Duration,
}

impl Bounded {
    /// For so many connections at once.
    pub(crate) fn new(connections_max: usize, stall: Duration) -> Self {
        Self { places: Arc::new(Semaphore::new(connections_max)), stall }
    }
}

impl<S> Accept<TcpStream, S> for Bounded {
    type Stream = Placed<TcpStream>;
    type Service = S;
    type Future = Ready<io::Result<(Self::Stream, S)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            ::metrics::counter!("connections_refused").increment(1);
            return ready(Err(io::Error::new(io::ErrorKind::ConnectionRefused, "every connection is taken")));
        };
        // Answers go out as they are; a peer that does not mind small packets loses nothing.
        let nodelay = stream.set_nodelay(true);
        ready(nodelay.map(|()| (Placed::new(stream, place, self.stall), service)))
    }
}

/// A connection with its place.
#[derive(Debug)]
pub(crate) struct Placed<T> {
    inner: T,
    stall: Duration,
    /// Runs while a write waits.
    waiting: Option<Pin<Box<Sleep>>>,
    _place: OwnedSemaphorePermit,
}

impl<T> Placed<T> {
    fn new(inner: T, place: OwnedSemaphorePermit, stall: Duration) -> Self {
        Self { inner, stall, waiting: None, _place: place }
    }

    /// Passes on what a write came to; while it waits, the time runs.
    fn watched<R>(&mut self, polled: Poll<io::Result<R>>, cx: &mut Context<'_>) -> Poll<io::Result<R>> {
        if polled.is_ready() {
            self.waiting = None;
            return polled;
        }
        let stall = self.stall;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(stall)));
        match waiting.as_mut().poll(cx) {
            Poll::Ready(()) => {
                waiting.as_mut().reset(Instant::now() + stall);
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer takes nothing")))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Placed<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Placed<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.watched(polled, cx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_flush(cx);
        self.watched(polled, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.watched(polled, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.watched(polled, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn a_peer_that_takes_nothing_is_cut_off() {
        let places = Arc::new(Semaphore::new(1));
        let place = places.clone().try_acquire_owned().unwrap();
        let (near, mut far) = tokio::io::duplex(16);
        let mut placed = Placed::new(near, place, Duration::from_millis(400));
        placed.write_all(&[0; 16]).await.unwrap();
        let cut = placed.write_all(&[0; 1]).await.unwrap_err();
        assert_eq!(cut.kind(), io::ErrorKind::TimedOut);
        // A slow one is not: each byte that it takes is time won.
        let slow = tokio::spawn(async move {
            for _ in 0..20_u8 {
                tokio::time::sleep(Duration::from_millis(100)).await;
                far.read_u8().await.unwrap();
            }
            far
        });
        placed.write_all(&[0; 20]).await.unwrap();
        slow.await.unwrap();
        drop(placed);
        assert_eq!(places.available_permits(), 1);
    }
}
