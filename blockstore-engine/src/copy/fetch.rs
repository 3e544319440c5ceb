//! Blocks from the source: asked for within the limit of bandwidth, opened, and verified against their ids before anything else sees them.
//!
//! Invariants: what leaves here fits its id under the snapshot's key; every block that was asked for is there, and no other.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use super::error::CopyError;
use super::source::{CopySource, Wanted};
use crate::engine::Engine;
use crate::error::ReadError;
use crate::frame::{Opener, Sealed, Unreadable};
use crate::id::BlockId;
use crate::keys::KeyId;
use crate::payload::limit::RateLimit;

/// A block that is what its id says.
pub(super) struct Fetched {
    pub(super) sealed: Sealed,
    pub(super) raw: Bytes,
    /// Bytes that travelled.
    pub(super) wire_bytes: u64,
}

/// What all fetches of one copy share.
pub(super) struct Fetcher<S> {
    pub(super) source: Arc<S>,
    pub(super) engine: Arc<Engine>,
    pub(super) key: Option<KeyId>,
    pub(super) limit: RateLimit,
}

impl<S: CopySource> Fetcher<S> {
    pub(super) async fn fetch(&self, wanted: Vec<Wanted>) -> Result<Vec<Fetched>, CopyError> {
        let sent = self.source.blocks(&wanted).await?;
        let wire: usize = sent.iter().map(super::wire::StoredBlock::wire_len).sum();
        // Asked after the fact, when the size is known: the next request waits until these bytes have had their time.
        self.limit.acquire(wire as u64).await;
        let mut asked: HashMap<BlockId, Option<u32>> = wanted.iter().map(|one| (one.id, one.raw_len)).collect();
        let mut blocks = Vec::with_capacity(sent.len());
        for block in sent {
            let wire_bytes = block.wire_len() as u64;
            let id = block.id();
            let Some(raw_len) = asked.remove(&id) else {
                return Err(CopyError::BadBlock { id, reason: "it was not asked for" });
            };
            if block.key() != self.key {
                return Err(CopyError::BadBlock { id, reason: "it is under another key than the snapshot" });
            }
            if raw_len.is_some_and(|raw_len| raw_len != block.raw_len()) {
                return Err(CopyError::BadBlock { id, reason: "its length does not fit its place in the file" });
            }
            blocks.push((block.0, wire_bytes));
        }
        if let Some(id) = asked.into_keys().next() {
            return Err(CopyError::NotSent(id));
        }
        let keys = self.engine.options.keys.clone();
        let opened = self.engine.workers.run(move || {
            let mut opener = Opener::new().map_err(|_| CopyError::Internal("no memory for a zstd context"))?;
            let open = |(sealed, wire_bytes): (Sealed, u64)| {
                let id = sealed.id;
                let bad = |reason| CopyError::BadBlock { id, reason };
                let (frame, hasher) = sealed.frame(&keys).map_err(|error| match error {
                    Unreadable::NoKey(key) => CopyError::Read(ReadError::NoKey { id, key }),
                    Unreadable::Bad(reason) => bad(reason),
                })?;
                let raw = opener.open(hasher, id, sealed.raw_len, &frame).map_err(bad)?;
                Ok(Fetched { sealed, raw, wire_bytes })
            };
            blocks.into_iter().map(open).collect::<Result<Vec<_>, CopyError>>()
        });
        opened.await.map_err(|_| CopyError::Internal("a worker thread ended early"))?
    }
}
