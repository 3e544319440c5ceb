//! What is encrypted of the ledger: slices, catalogs, and what a scan says of its collection.
//!
//! Invariants: a part 0 or a document that was written under a key carries the key's id in `key`, beside the ciphertext; without `key` it is
//! plain, as everything is of a group that does not encrypt, and all that was written before slices were encrypted. What is sealed is the
//! zstd frame, bound to its place and its facts, so that none stands for another. Where a key is used no hash of plain bytes is stored: a
//! guess of a short slice could be confirmed by it. In its place stands the keyed name of that hash, in receipts and entries too.
//! Reading without the key is [`LedgerError::NoKey`]: nothing is wrong with what is stored.

use std::borrow::Cow;

use blockstore_engine::{KeyId, Keyring, RECORD_SEAL_BYTES, RecordError};
use bson::{Binary, Bson, Document};
use holdfast_domain::Hash32;

use crate::{LedgerError, db::form};

/// Field that names the key.
const FIELD: &str = "key";
/// Bytes by which sealing makes a frame longer.
pub(crate) const SEAL_BYTES: usize = RECORD_SEAL_BYTES;

/// Under which key something is stored, if any, and where that key is found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seal<'a> {
    keys: &'a Keyring,
    key: Option<KeyId>,
}

impl<'a> Seal<'a> {
    pub(crate) fn new(keys: &'a Keyring, key: Option<KeyId>) -> Self {
        Self { keys, key }
    }

    /// What a part 0 or a document says.
    pub(crate) fn of(keys: &'a Keyring, stored: &Document, what: &str) -> Result<Self, LedgerError> {
        let key = match stored.get(FIELD) {
            None => None,
            Some(Bson::Binary(Binary { bytes, .. })) if let Some(key) = KeyId::from_slice(bytes) => Some(key),
            Some(_) => {
                let detail = "it does not say which key it was encrypted under".to_owned();
                return Err(LedgerError::Corrupt { what: what.to_owned(), detail });
            }
        };
        Ok(Self { keys, key })
    }

    /// The key's id.
    pub(crate) fn key(&self) -> Option<KeyId> {
        self.key
    }

    /// Says in a part 0 or a document which key was used.
    pub(crate) fn mark(&self, stored: &mut Document) {
        if let Some(key) = self.key {
            stored.insert(FIELD, key.to_bson());
        }
    }

    /// The hash that is stored for raw bytes with this one.
    pub(crate) fn name(&self, what: &str, hash: Hash32) -> Result<Hash32, LedgerError> {
        let Some(key) = self.key else { return Ok(hash) };
        self.keys.record_name(key, &hash.0).map(Hash32).map_err(fault(what))
    }

    /// A frame as it is stored.
    pub(crate) fn close<'f>(
        &self,
        what: &str,
        bound_to: &Document,
        frame: &'f [u8],
    ) -> Result<Cow<'f, [u8]>, LedgerError> {
        let Some(key) = self.key else { return Ok(Cow::Borrowed(frame)) };
        let sealed = self.keys.seal_record(key, &associated(bound_to)?, frame);
        sealed.map(Cow::Owned).map_err(fault(what))
    }

    /// The frame again.
    pub(crate) fn open(&self, what: &str, bound_to: &Document, stored: Vec<u8>) -> Result<Vec<u8>, LedgerError> {
        let Some(key) = self.key else { return Ok(stored) };
        self.keys.open_record(key, &associated(bound_to)?, &stored).map_err(fault(what))
    }
}

fn associated(bound_to: &Document) -> Result<Vec<u8>, LedgerError> {
    bson::serialize_to_vec(bound_to).map_err(form("say what a record is bound to"))
}

fn fault(what: &str) -> impl Fn(RecordError) -> LedgerError + '_ {
    move |error| {
        let what = what.to_owned();
        match error {
            RecordError::NoKey(key) => LedgerError::NoKey { what, key },
            RecordError::Altered | RecordError::Refused => LedgerError::Corrupt { what, detail: error.to_string() },
        }
    }
}
