//! Where payloads lie: documents of the database, or packs in directories and object stores; how they are read, moved and swept there.
//!
//! Invariants: which store a payload lies in is told by its place (`PayloadAt::place`) and by nothing else; the index is always the
//! database's. A payload is durable before a block names it; a block stops naming it before it is deleted. Only the registration in a
//! place's name can make a block name it: so once that registration is gone, the blocks that name a pack become fewer and never more, and a
//! pack that none names can go.
//!
//! What the garbage collector uses: it deletes blocks, then the documents of `payloads` at their places (places in packs match none there);
//! [`crate::Blockstore::sweep_packs`] then frees packs, and [`crate::Blockstore::mirror_roots`] drops copies of roots that are gone. `packs.rs` does the I/O, `format.rs` the bytes, `rewrite.rs` what moving and
//! compacting share.

pub(crate) mod aside;
pub(crate) mod format;
pub(crate) mod identity;
pub(crate) mod limit;
mod listing;
pub(crate) mod mirror;
mod moving;
mod options;
pub(crate) mod packs;
mod registration;
mod retry;
mod rewrite;
mod stores;
mod sweep;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use bson::doc;
use bson::raw::RawDocument;
use futures::{StreamExt, TryStreamExt};
use mongodb::ClientSession;

pub use aside::{Aside, AsideError};
pub use format::PackId;
pub use listing::PackUsage;
pub use mirror::MirrorReport;
pub use moving::{MoveReport, MoveRequest};
pub use options::{PACK_SIZES, PackLocation, PackStoreOptions, PayloadStore, S3Options};
pub use stores::StoreState;
pub use sweep::{SweepReport, SweepRequest};

use crate::error::{NoPackStore, OpenError, ReadError};
use crate::frame::{SUM_BYTES, Sealed};
use crate::id::{BlockId, PayloadAt, Place, StoreNumber};
use crate::keys::KeyId;
use crate::store::{BlockRow, Store};
use crate::txn::retrying;
use packs::{PackStore, ReadFault};
use stores::Stores;

/// Packs read at a time for one query.
const PACKS_AT_ONCE: usize = 8;

/// The stores that this process knows; they may change while it runs.
pub(crate) struct Payloads {
    known: RwLock<Arc<Stores>>,
    /// One change at a time.
    changing: tokio::sync::Mutex<()>,
}

/// Payloads by their place. What is not there is not in the answer.
pub(crate) type Found = HashMap<PayloadAt, Result<Sealed, &'static str>>;

/// A record to read: its place, its offset in the pack, the length of its frame.
type Wanted = (PayloadAt, u32, u32);

impl Payloads {
    /// Sets the stores up and makes sure that they are the ones that the database knows.
    pub(crate) async fn open(
        store: &Store,
        options: &[PackStoreOptions],
        write_to: PayloadStore,
    ) -> Result<Self, OpenError> {
        let stores = Stores::open(store, options, write_to).await?;
        Ok(Self { known: RwLock::new(Arc::new(stores)), changing: tokio::sync::Mutex::new(()) })
    }

    fn known(&self) -> Arc<Stores> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Where new payloads go. A writer keeps the answer that it got first.
    pub(crate) fn write_to(&self) -> PayloadStore {
        self.known().write_to
    }

    pub(crate) fn packs(&self, number: StoreNumber) -> Result<Arc<PackStore>, NoPackStore> {
        self.known().packs(number)
    }

    /// All of them; fails while one cannot be used.
    pub(crate) fn all_packs(&self) -> Result<Vec<Arc<PackStore>>, NoPackStore> {
        self.known().all()
    }

    /// Payloads at these places, wherever they lie.
    pub(crate) async fn fetch(
        &self,
        store: &Store,
        session: &mut ClientSession,
        places: &HashMap<PayloadAt, (BlockId, BlockRow)>,
    ) -> Result<Found, ReadError> {
        let mut found = Found::with_capacity(places.len());
        let mut documents = Vec::new();
        let mut in_packs: HashMap<(StoreNumber, PackId), Vec<Wanted>> = HashMap::new();
        for (at, (_, row)) in places {
            match at.place() {
                Place::Database => documents.push(at.to_bson()),
                Place::Pack { store, pack, offset } => in_packs
                    .entry((store, PackId { writer: at.writer, number: pack }))
                    .or_default()
                    .push((*at, offset, row.frame_len)),
            }
        }
        if !documents.is_empty() {
            let filter = doc! { "_id": { "$in": documents } };
            retrying!("reading payloads", async {
                let mut cursor = store.payloads.find(filter.clone()).session(&mut *session).await?;
                while cursor.advance(&mut *session).await? {
                    let raw = cursor.current();
                    let at = raw.get_binary("_id").ok().and_then(|at| PayloadAt::from_slice(at.bytes));
                    if let Some((at, row)) = at.and_then(|at| Some((at, places.get(&at)?.1))) {
                        found.insert(at, decode_document(raw, row.raw_len, row.frame_len));
                    }
                }
                Ok(())
            })?;
        }
        let reads = in_packs.into_iter().map(|((number, pack), wanted)| async move {
            let packs = self.packs(number)?;
            let ranges: Vec<_> = wanted.iter().map(|(_, offset, frame_len)| (*offset, *frame_len)).collect();
            let records = packs.records(pack, &ranges).await;
            if matches!(records, Err(ReadFault::Missing)) {
                // Nothing that lies in a store that is not there may be taken for lost.
                identity::still_there(&packs).await?;
            }
            Ok::<_, ReadError>((records, wanted))
        });
        let mut reads = futures::stream::iter(reads).buffer_unordered(PACKS_AT_ONCE);
        while let Some((records, wanted)) = reads.try_next().await? {
            match records {
                Ok(records) => found.extend(wanted.iter().map(|(at, ..)| *at).zip(records)),
                // Moved since the index was read, or lost: the reader looks again.
                Err(ReadFault::Missing) => {}
                Err(ReadFault::Torn(reason)) => found.extend(wanted.iter().map(|(at, ..)| (*at, Err(reason)))),
                Err(ReadFault::Fault(fault)) => return Err(fault.into()),
            }
        }
        Ok(found)
    }
}

/// A document of `payloads`, with the lengths that only the index knows.
pub(crate) fn decode_document(raw: &RawDocument, raw_len: u32, frame_len: u32) -> Result<Sealed, &'static str> {
    let binary = |key| raw.get_binary(key).map(|found| found.bytes).map_err(|_| "a field of the payload is missing");
    let key = match raw.get("k") {
        Ok(None | Some(bson::RawBsonRef::Null)) => None,
        // Whatever else stands there, the payload is not plain; no ring has a key of that name.
        Ok(Some(found)) => Some(found.as_binary().and_then(|k| KeyId::from_slice(k.bytes)).unwrap_or(KeyId([0; 16]))),
        Err(_) => return Err("the payload does not decode"),
    };
    let mut sum = [0; SUM_BYTES];
    let stored = binary("s")?;
    if stored.len() != SUM_BYTES {
        return Err("the payload's checksum does not decode");
    }
    sum.copy_from_slice(stored);
    Ok(Sealed {
        id: BlockId::from_slice(binary("i")?).ok_or("the payload's id does not decode")?,
        raw_len,
        frame_len,
        sum,
        key,
        body: bytes::Bytes::copy_from_slice(binary("z")?),
    })
}

/// The document of `payloads` that holds it at this place.
pub(crate) fn encode_document(at: PayloadAt, sealed: &Sealed) -> bson::RawDocumentBuf {
    let generic = |bytes| bson::RawBinaryRef { subtype: bson::spec::BinarySubtype::Generic, bytes };
    let place = at.to_bytes();
    let mut payload = bson::RawDocumentBuf::new();
    payload.append(bson::cstr!("_id"), generic(&place));
    payload.append(bson::cstr!("i"), generic(&sealed.id.0));
    if let Some(key) = &sealed.key {
        payload.append(bson::cstr!("k"), generic(&key.0));
    }
    payload.append(bson::cstr!("z"), generic(&sealed.body));
    payload.append(bson::cstr!("s"), generic(&sealed.sum));
    payload
}
