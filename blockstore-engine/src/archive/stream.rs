//! The reading end of an archive: pieces out of batches, counted, so that a stream is complete or ends with an error.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use async_compression::Level;
use async_compression::tokio::bufread::GzipEncoder;
use bytes::{Bytes, BytesMut};
use futures::stream::{BoxStream, Stream, StreamExt, TryStreamExt};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::io::{ReaderStream, StreamReader};
use tokio_util::task::AbortOnDropHandle;

use super::error::ArchiveError;
use crate::error::ReadError;

/// Pieces shorter than this are copied together: handing one on costs more than copying it.
const COPY_BELOW: usize = 4 << 10;
/// Copied pieces are handed on at the latest at this size.
const COPIED_MAX: usize = 64 << 10;
/// Bytes of `tar.gz` per item.
const GZIP_CHUNK: usize = 64 << 10;

/// Bytes to send next.
enum Piece {
    Bytes(Bytes),
    Repeat { pattern: Bytes, from: u64, len: u64 },
}

/// What one trip to the store gave.
pub(super) struct Batch(VecDeque<Piece>);

/// Builds a batch.
#[derive(Default)]
pub(super) struct Pieces {
    done: VecDeque<Piece>,
    copied: BytesMut,
}

impl Pieces {
    pub(super) fn bytes(&mut self, bytes: Bytes) {
        if bytes.len() >= COPY_BELOW {
            self.hand_on();
            self.done.push_back(Piece::Bytes(bytes));
            return;
        }
        self.copied.extend_from_slice(&bytes);
        if self.copied.len() >= COPIED_MAX {
            self.hand_on();
        }
    }

    pub(super) fn repeat(&mut self, pattern: Bytes, from: u64, len: u64) {
        self.hand_on();
        self.done.push_back(Piece::Repeat { pattern, from, len });
    }

    pub(super) fn close(mut self) -> Batch {
        self.hand_on();
        Batch(self.done)
    }

    fn hand_on(&mut self) {
        if !self.copied.is_empty() {
            self.done.push_back(Piece::Bytes(self.copied.split().freeze()));
        }
    }
}

/// Exactly as many bytes as were asked for, or an error as the last item.
pub(super) struct ArchiveStream {
    receiver: mpsc::Receiver<Result<Batch, ArchiveError>>,
    batch: VecDeque<Piece>,
    /// Bytes still to come; `None` once the stream has ended.
    left: Option<u64>,
    /// Ends the producer when the stream is dropped.
    _task: AbortOnDropHandle<()>,
}

impl ArchiveStream {
    pub(super) fn new(receiver: mpsc::Receiver<Result<Batch, ArchiveError>>, task: JoinHandle<()>, total: u64) -> Self {
        Self { receiver, batch: VecDeque::new(), left: Some(total), _task: AbortOnDropHandle::new(task) }
    }

    fn next_bytes(&mut self) -> Option<Bytes> {
        match self.batch.pop_front()? {
            Piece::Bytes(bytes) => Some(bytes),
            Piece::Repeat { pattern, from, len } => {
                let at = from % pattern.len() as u64;
                let count = (pattern.len() as u64 - at).min(len);
                let index = |offset: u64| usize::try_from(offset).expect("an offset within the pattern");
                let bytes = pattern.slice(index(at)..index(at + count));
                if count < len {
                    self.batch.push_front(Piece::Repeat { pattern, from: from + count, len: len - count });
                }
                Some(bytes)
            }
        }
    }

    /// Counts bytes that go out: more than was asked for would be wrong bytes.
    fn count(&mut self, left: u64, bytes: Bytes) -> Result<Bytes, ArchiveError> {
        self.left = left.checked_sub(bytes.len() as u64);
        if self.left.is_none() {
            Err(ReadError::Internal("an archive is longer than its layout").into())
        } else {
            Ok(bytes)
        }
    }
}

impl Stream for ArchiveStream {
    type Item = Result<Bytes, ArchiveError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let Some(left) = this.left else { return Poll::Ready(None) };
        loop {
            if let Some(bytes) = this.next_bytes() {
                return Poll::Ready(Some(this.count(left, bytes)));
            }
            match ready!(this.receiver.poll_recv(context)) {
                Some(Ok(Batch(pieces))) => this.batch = pieces,
                Some(Err(error)) => {
                    this.left = None;
                    return Poll::Ready(Some(Err(error)));
                }
                None => {
                    this.left = None;
                    let short = || Err(ReadError::Internal("an archive is shorter than its layout").into());
                    return Poll::Ready((left > 0).then(short));
                }
            }
        }
    }
}

/// Compresses a tar. Level 1: who asks for gzip lacks zstd, and waits for this core.
pub(super) fn gzip(tar: ArchiveStream) -> BoxStream<'static, Result<Bytes, ArchiveError>> {
    let reader = StreamReader::new(tar.map_err(io::Error::other));
    let packed = ReaderStream::with_capacity(GzipEncoder::with_quality(reader, Level::Fastest), GZIP_CHUNK);
    Box::pin(packed.map_err(unwrap_error).scan(false, |ended, item| {
        let last = std::mem::replace(ended, item.is_err());
        futures::future::ready((!last).then_some(item))
    }))
}

/// The error that went into an `io::Error` above.
fn unwrap_error(error: io::Error) -> ArchiveError {
    let inner = error.into_inner().and_then(|inner| inner.downcast::<ArchiveError>().ok());
    inner.map_or(ReadError::Internal("gzip failed").into(), |inner| *inner)
}
