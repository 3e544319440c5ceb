//! Copies of the roots beside the packs, so that a pack store can be recovered alone.
//!
//! Invariants: a copy is written after its root was committed, and deleted only when the root is gone from the database; `roots` decides,
//! never a copy. Where the group encrypts, the copy is encrypted too. `docs/format.md` draws it.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use object_store::path::Path;

use super::PayloadStore;
use crate::engine::{Blockstore, Engine};
use crate::error::{PayloadError, RootError};
use crate::id::{RootId, StoreNumber};
use crate::keys::{KeyId, Keyring};
use crate::root::Root;

/// Folder of the copies.
pub(crate) const ROOTS: &str = "roots";
const MAGIC: [u8; 4] = *b"HFT\x01";
const HEAD_BYTES: usize = 36;
const SUM_BYTES: usize = 32;

/// What [`Blockstore::mirror_roots`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MirrorReport {
    /// Copies written.
    pub written: u64,
    /// Copies deleted.
    pub deleted: u64,
    /// Roots without a copy because their key is not at hand.
    pub without_key: u64,
}

/// Why a copy of a root cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BadCopy {
    NoKey(KeyId),
    Bad(&'static str),
}

pub(crate) fn path(id: RootId) -> Path {
    Path::from(format!("{ROOTS}/{id}.root"))
}

pub(crate) fn id_from_path(name: &str) -> Option<RootId> {
    name.strip_prefix(ROOTS)?.strip_prefix('/')?.strip_suffix(".root")?.parse().ok()
}

/// The bytes of a copy; `None` without the key.
pub(crate) fn encode(root: &Root, ring: &Keyring) -> Option<Bytes> {
    let body = bson::serialize_to_vec(root).ok()?;
    let mut out = MAGIC.to_vec();
    out.extend_from_slice(&root.id.bytes());
    out.extend_from_slice(&root.key.map_or([0; 16], |key| key.0));
    let body_len = |len: usize| u32::try_from(len).ok().map(u32::to_le_bytes);
    match root.key {
        None => {
            out.extend_from_slice(&body_len(body.len())?);
            out.extend_from_slice(&body);
        }
        Some(key) => {
            let keys = ring.get(key)?;
            let sealed_len = body.len() + crate::keys::SEAL_BYTES;
            out.extend_from_slice(&body_len(sealed_len)?);
            let sealed = keys.seal(&name(root.id), &out, &body)?;
            out.extend_from_slice(&sealed);
        }
    }
    let sum = blake3::hash(&out);
    out.extend_from_slice(sum.as_bytes());
    Some(out.into())
}

/// The root, sealed and of the id that the copy's name says.
pub(crate) fn decode(id: RootId, bytes: &[u8], ring: &Keyring) -> Result<Root, BadCopy> {
    let bad = BadCopy::Bad;
    let (content, sum) = bytes.split_last_chunk::<SUM_BYTES>().ok_or(bad("the copy of the root is torn"))?;
    if blake3::hash(content).as_bytes() != sum {
        return Err(bad("the copy of the root does not fit its checksum"));
    }
    let (head, body) = content.split_at_checked(HEAD_BYTES).ok_or(bad("the copy of the root is torn"))?;
    let key = KeyId::from_slice(&head[16..32]).filter(|key| key.0 != [0; 16]);
    if !head.starts_with(&MAGIC) || head[4..16] != id.bytes() || head[32..] != (body.len() as u64).to_le_bytes()[..4] {
        return Err(bad("the copy of the root is not one, or another's"));
    }
    let plain = match key {
        None => body.to_vec(),
        Some(key) => {
            let keys = ring.get(key).ok_or(BadCopy::NoKey(key))?;
            keys.unseal(&name(id), head, body).ok_or(bad("the copy of the root does not decrypt"))?
        }
    };
    let root: Root = bson::deserialize_from_slice(&plain).map_err(|_| bad("the copy of the root does not decode"))?;
    if root.id != id || root.key != key || !root.is_sealed() {
        return Err(bad("the copy of the root does not fit its seal"));
    }
    Ok(root)
}

/// Names the key of a copy: no block has this id, because a block's is a hash.
fn name(id: RootId) -> [u8; 32] {
    let mut name = *b"root\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    name[20..].copy_from_slice(&id.bytes());
    name
}

/// Writes the copy of a root that was just committed. When it fails, the snapshot exists all the same: the next
/// [`Blockstore::mirror_roots`] makes up for it.
pub(crate) async fn mirror_one(engine: &Arc<Engine>, write_to: PayloadStore, root: &Root) {
    let PayloadStore::Packs(number) = write_to else { return };
    let (Ok(packs), Some(copy)) = (engine.payloads.packs(number), encode(root, &engine.options.keys)) else { return };
    if let Err(error) = packs.put(&path(root.id), copy).await {
        tracing::warn!(root = %root.id, error = %error.source, "the copy of a root was not written: the next mirroring will");
    }
}

impl Blockstore {
    /// Makes the copies of roots in a pack store what the database says: writes missing ones, deletes those of roots that are gone. Called
    /// after runs of the collector, and after moving payloads.
    ///
    /// # Errors
    /// `NoStore`, a failing database or pack store.
    pub async fn mirror_roots(&self, number: StoreNumber) -> Result<MirrorReport, PayloadError> {
        let packs = self.engine.payloads.packs(number)?;
        // Listed before the roots are read: a copy without its root was a root's that is gone, not one's that comes.
        let names = packs.names(&Path::from(ROOTS)).await?;
        let copies: HashSet<_> = names.iter().filter_map(|(name, _)| id_from_path(name)).collect();
        let roots = self.all_roots().await.map_err(|error| match error {
            RootError::Store(fault) => PayloadError::Store(fault),
            _ => PayloadError::Internal("a root does not decode"),
        })?;
        let mut report = MirrorReport::default();
        for root in roots.iter().filter(|root| !copies.contains(&root.id) && root.is_sealed()) {
            match encode(root, &self.engine.options.keys) {
                Some(copy) => {
                    packs.put(&path(root.id), copy).await?;
                    report.written += 1;
                }
                None => report.without_key += 1,
            }
        }
        let known: HashSet<_> = roots.iter().map(|root| root.id).collect();
        for gone in copies.difference(&known) {
            packs.delete(&path(*gone)).await?;
            report.deleted += 1;
        }
        Ok(report)
    }
}
