//! One file on the server: written in pieces, of which many are under way at a time.

use std::sync::Arc;

use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use russh_sftp::client::{RawSftpSession, error::Error as ClientError};

use crate::{Session, SftpError};

/// Bytes of one write: what every server takes.
const PIECE_BYTES: usize = 32 * 1024;
/// Writes under way at a time.
const PIECES_MAX: usize = 64;
/// Bytes that may be under way when a connection breaks: where a file ends, so much of it may have holes.
pub const WINDOW_BYTES: u64 = (PIECE_BYTES * PIECES_MAX) as u64;

/// A file. It is closed by [`File::close`], or by the server when the session ends.
pub struct File<'a> {
    session: &'a Session,
    sftp: Arc<RawSftpSession>,
    path: String,
    handle: String,
    under_way: FuturesUnordered<BoxFuture<'static, Result<usize, ClientError>>>,
    written: u64,
}

impl std::fmt::Debug for File<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("File").field("path", &self.path).finish_non_exhaustive()
    }
}

impl<'a> File<'a> {
    pub(crate) fn new(session: &'a Session, sftp: Arc<RawSftpSession>, path: String, handle: String) -> Self {
        Self { session, sftp, path, handle, under_way: FuturesUnordered::new(), written: 0 }
    }

    /// Writes `bytes` at `offset`; comes back while they are under way.
    ///
    /// # Errors
    /// Of this or an earlier write, see [`SftpError`].
    pub async fn write_at(&mut self, mut offset: u64, mut bytes: Bytes) -> Result<(), SftpError> {
        while !bytes.is_empty() {
            while self.under_way.len() >= PIECES_MAX {
                self.one_done().await?;
            }
            let piece = bytes.split_to(bytes.len().min(PIECE_BYTES));
            let (sftp, handle, at, len) = (Arc::clone(&self.sftp), self.handle.clone(), offset, piece.len());
            offset += len as u64;
            let mut write = async move { sftp.write(handle, at, piece.to_vec()).await.map(|_| len) }.boxed();
            // Sent with the first look at it.
            match futures::poll!(&mut write) {
                std::task::Poll::Ready(done) => self.count(done)?,
                std::task::Poll::Pending => self.under_way.push(write),
            }
        }
        Ok(())
    }

    async fn one_done(&mut self) -> Result<(), SftpError> {
        match self.under_way.next().await {
            Some(done) => self.count(done),
            None => Ok(()),
        }
    }

    fn count(&mut self, done: Result<usize, ClientError>) -> Result<(), SftpError> {
        let len = done.map_err(|error| self.session.error("write", &self.path, error))?;
        self.written += len as u64;
        Ok(())
    }

    /// Bytes that the server has acknowledged since the file was opened.
    #[must_use]
    pub const fn written(&self) -> u64 {
        self.written
    }

    /// Reads exactly `len` bytes at `offset`; fewer where the file ends before.
    ///
    /// # Errors
    /// See [`SftpError`].
    pub async fn read_at(&mut self, offset: u64, len: usize) -> Result<Vec<u8>, SftpError> {
        let mut read = Vec::with_capacity(len);
        while read.len() < len {
            let wanted = u32::try_from((len - read.len()).min(PIECE_BYTES)).unwrap_or(u32::MAX);
            match self.sftp.read(self.handle.clone(), offset + read.len() as u64, wanted).await {
                Ok(data) if data.data.is_empty() => break,
                Ok(data) => read.extend_from_slice(&data.data),
                Err(ClientError::Status(status)) if status.status_code == russh_sftp::protocol::StatusCode::Eof => {
                    break;
                }
                Err(error) => return Err(self.session.error("read", &self.path, error)),
            }
        }
        Ok(read)
    }

    /// Waits for all writes, and closes.
    ///
    /// # Errors
    /// See [`SftpError`].
    pub async fn close(mut self) -> Result<u64, SftpError> {
        while !self.under_way.is_empty() {
            self.one_done().await?;
        }
        let closed = self.sftp.close(self.handle.clone()).await;
        closed.map_err(|error| self.session.error("close", &self.path, error))?;
        Ok(self.written)
    }
}
