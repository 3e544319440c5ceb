//! Archives: a snapshot as `tar`, `tar.zst` or `tar.gz`, streamed without being stored anywhere.
//!
//! Invariants: an archive's bytes follow from its frozen layout alone, so that any two instances that plan the same snapshot serve the same
//! bytes under the same ETag, and ranges of one join with ranges of the other. The length is known before the first payload is read. A
//! `tar.zst` passes stored frames through as they are; the bytes around them are hand-made and depend on no zstd version. Wrong bytes are
//! never sent: whatever does not fit the layout ends the stream with an error. Memory per stream is bounded by a few batches.
//!
//! Called by whoever delivers a snapshot (HTTP, SFTP, restore on a host). Never writes, never caches payloads, never recompresses but for
//! `tar.gz`. `docs/archive.md` draws the layout to the byte.

mod error;
mod format;
mod frame;
mod header;
mod layout;
mod producer;
mod stream;
mod sums;
#[cfg(test)]
mod tests;
mod walk;

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::BoxStream;

pub use error::ArchiveError;
pub use format::{ArchiveFormat, BadFormat};

use crate::error::ReadError;
use crate::source::FrameSource;
use layout::Layout;

/// The frozen layout of one snapshot in one format. Cheap to clone; holds the entries (about 150 bytes each), no payloads.
#[derive(Clone)]
pub struct Archive<S> {
    source: S,
    layout: Arc<Layout>,
}

impl<S: FrameSource + Clone + 'static> Archive<S> {
    /// Freezes the layout. For `tar.zst` it asks for one sum per file; it reads no payload.
    ///
    /// # Errors
    /// What the source answers; [`ArchiveError::LayoutChanged`] when frames were replaced meanwhile (plan again);
    /// [`ReadError::Request`] when the archive would exceed 2^63-1 bytes.
    pub async fn plan(source: S, format: ArchiveFormat) -> Result<Self, ArchiveError> {
        let layout = Arc::new(Layout::plan(&source, format).await?);
        Ok(Self { source, layout })
    }

    /// The format that was asked for.
    #[must_use]
    pub fn format(&self) -> ArchiveFormat {
        self.layout.format
    }

    /// Strong entity tag, quoted: equal for equal snapshots, formats and stored frames, on every instance of the same archive version.
    #[must_use]
    pub fn etag(&self) -> String {
        format!("\"{}\"", hex::encode(self.layout.tag))
    }

    /// Bytes of the archive; `None` for `tar.gz`, whose length nobody knows before it is compressed.
    #[must_use]
    pub fn len(&self) -> Option<u64> {
        (self.layout.format != ArchiveFormat::TarGz).then_some(self.layout.total)
    }

    /// Never: the shortest archive is its end marker.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Bytes of the tar inside.
    #[must_use]
    pub fn raw_len(&self) -> u64 {
        self.layout.raw_total
    }

    /// What [`Self::stream`] takes for the whole archive: `0..len`, or `0..u64::MAX` for `tar.gz`.
    #[must_use]
    pub fn whole(&self) -> Range<u64> {
        0..self.len().unwrap_or(u64::MAX)
    }

    /// Asks whether the bytes under this ETag can still be served. Call it before the status line of an answer is sent.
    ///
    /// # Errors
    /// [`ArchiveError::LayoutChanged`] (HTTP 412, or plan again), or what the source answers.
    pub async fn ensure_current(&self) -> Result<(), ArchiveError> {
        self.layout.ensure_current(&self.source).await
    }

    /// The bytes of that range, exactly, or an error as the last item. `tar.gz` only whole, see [`Self::whole`].
    ///
    /// Reads one batch ahead in a task of its own, which ends when the stream is dropped. Must be called inside a tokio runtime.
    #[must_use]
    pub fn stream(&self, range: Range<u64>) -> BoxStream<'static, Result<Bytes, ArchiveError>> {
        let whole = self.whole();
        if self.len().is_none() {
            if range != whole {
                return failed(ReadError::Request("a tar.gz is served whole only"));
            }
            return stream::gzip(producer::archive(
                self.source.clone(),
                Arc::clone(&self.layout),
                0..self.layout.total,
            ));
        }
        if range.start > range.end || range.end > whole.end {
            return failed(ReadError::Request("range is not within the archive"));
        }
        Box::pin(producer::archive(self.source.clone(), Arc::clone(&self.layout), range))
    }

    /// A line `<BLAKE3 in hex>  <size>  <path>\n` per file, in path order, made by reading every file through. A path with a backslash or a
    /// line break is escaped (`\\`, `\n`, `\r`) and its line starts with a backslash, as `b3sum` does it.
    ///
    /// Must be called inside a tokio runtime.
    #[must_use]
    pub fn sums(&self) -> BoxStream<'static, Result<String, ArchiveError>> {
        sums::sums(producer::contents(self.source.clone(), Arc::clone(&self.layout)), Arc::clone(&self.layout))
    }
}

fn failed(error: ReadError) -> BoxStream<'static, Result<Bytes, ArchiveError>> {
    Box::pin(futures::stream::iter([Err(ArchiveError::Read(error))]))
}
