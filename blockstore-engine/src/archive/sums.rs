//! BLAKE3 and size of every file, read through the same producer as the archive: blocks verified, holes hashed without being stored.

use std::sync::Arc;

use bytes::{Buf, Bytes};
use futures::stream::{self, BoxStream, StreamExt};

use super::error::ArchiveError;
use super::layout::Layout;
use super::stream::ArchiveStream;
use crate::error::ReadError;

struct Sums {
    contents: ArchiveStream,
    layout: Arc<Layout>,
    file: usize,
    /// What was read but not hashed yet: a piece may reach into the next file.
    rest: Bytes,
}

/// Lines for all files, from the contents of all files one after the other.
pub(super) fn sums(contents: ArchiveStream, layout: Arc<Layout>) -> BoxStream<'static, Result<String, ArchiveError>> {
    let sums = Sums { contents, layout, file: 0, rest: Bytes::new() };
    Box::pin(stream::try_unfold(sums, |mut sums| async move {
        let line = sums.next().await?;
        Ok(line.map(|line| (line, sums)))
    }))
}

impl Sums {
    async fn next(&mut self) -> Result<Option<String>, ArchiveError> {
        let layout = Arc::clone(&self.layout);
        let Some(entry) = layout.entries.get(self.file) else { return Ok(None) };
        self.file += 1;
        let mut hasher = blake3::Hasher::new();
        let mut left = entry.size;
        while left > 0 {
            if self.rest.is_empty() {
                self.rest = self
                    .contents
                    .next()
                    .await
                    .ok_or(ReadError::Internal("contents are shorter than their files"))??;
            }
            let count = self.rest.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            hasher.update(&self.rest[..count]);
            self.rest.advance(count);
            left -= count as u64;
            // A long hole arrives without any wait: let others on this thread run.
            tokio::task::consume_budget().await;
        }
        Ok(Some(line(&hasher.finalize(), entry.size, &entry.path)))
    }
}

fn line(hash: &blake3::Hash, size: u64, path: &str) -> String {
    let hash = hash.to_hex();
    if path.contains(['\\', '\n', '\r']) {
        let path = path.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r");
        return format!("\\{hash}  {size}  {path}\n");
    }
    format!("{hash}  {size}  {path}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_cannot_forge_a_line() {
        let hash = blake3::hash(b"");
        assert_eq!(line(&hash, 0, "a b"), format!("{hash}  0  a b\n"));
        assert_eq!(line(&hash, 0, "a\nb\\c"), format!("\\{hash}  0  a\\nb\\\\c\n"));
    }
}
