//! The collections behind the store: names, documents, the few queries that several modules share.
//!
//! Invariants: `blocks` is small and serves all lookups and claims, `payloads` holds the bytes; a row that does not decode is corruption.
//! Nothing else in this crate spells a field of these collections except where it updates them. `docs/format.md` draws the documents.

use std::collections::HashMap;

use bson::raw::RawDocument;
use bson::{DateTime, Document, RawDocumentBuf, doc};
use mongodb::options::{CollectionOptions, ReadConcern, ReadPreference, SelectionCriteria};
use mongodb::{ClientSession, Collection, Database};

use crate::error::{OpenError, StoreFault};
use crate::id::{BlockId, PayloadAt};
use crate::root::FORMAT;
use crate::tree::BLOCK_SIZE_MAX;
use crate::txn::{durable, is_duplicate, retrying};

/// Ids in one `$in`, at most.
pub(crate) const LOOKUP_IDS_MAX: usize = 1024;
/// Bad blocks whose snapshots are named at a time: bounds memory to 32 MB of ids.
const UNNAMED_MAX: i64 = 1 << 20;
/// `_id` of the document in `gc` that holds `epoch` and `reframed`.
pub(crate) const GC_ID: &str = "gc";
const FORMAT_ID: &str = "format";
const NAMESPACE_EXISTS: i32 = 48;

/// Handles of the collections, majority on both sides.
#[derive(Clone)]
pub(crate) struct Store {
    pub(crate) db: Database,
    pub(crate) blocks: Collection<RawDocumentBuf>,
    pub(crate) payloads: Collection<RawDocumentBuf>,
    pub(crate) roots: Collection<Document>,
    pub(crate) writers: Collection<Document>,
    pub(crate) layouts: Collection<Document>,
    pub(crate) guards: Collection<Document>,
    pub(crate) gc: Collection<Document>,
    pub(crate) pack_stores: Collection<Document>,
    pub(crate) usage: Collection<Document>,
    pub(crate) checks: Collection<Document>,
}

/// A row of `blocks`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BlockRow {
    /// Raw length in bytes.
    pub(crate) raw_len: u32,
    /// Length of the stored frame in bytes.
    pub(crate) frame_len: u32,
    /// Epoch of the last claim.
    pub(crate) epoch: i64,
    /// Where its payload lies.
    pub(crate) at: PayloadAt,
    /// Found to be bad: counts as missing for every writer.
    pub(crate) quarantined: bool,
}

/// What stands in the index under an id.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Row {
    /// A row that decodes.
    Good(BlockRow),
    /// One that does not: stands for its id all the same, so that nobody takes the block for absent.
    Broken {
        /// Marked as bad already.
        quarantined: bool,
    },
}

impl BlockRow {
    fn decode(raw: &RawDocument) -> Option<(BlockId, Self)> {
        let id = BlockId::from_slice(raw.get_binary("_id").ok()?.bytes)?;
        let length = |key| u32::try_from(raw.get_i32(key).ok()?).ok();
        let row = Self {
            raw_len: length("n").filter(|n| (1..=BLOCK_SIZE_MAX).contains(n))?,
            frame_len: length("l").filter(|l| *l > 0)?,
            epoch: raw.get_i64("e").ok()?,
            at: PayloadAt::from_slice(raw.get_binary("at").ok()?.bytes)?,
            quarantined: raw.get("q").ok()?.is_some(),
        };
        Some((id, row))
    }

    /// A row, decodable or not; `None` when not even its id is there.
    pub(crate) fn decode_any(raw: &RawDocument) -> Option<(BlockId, Row)> {
        if let Some((id, row)) = Self::decode(raw) {
            return Some((id, Row::Good(row)));
        }
        let id = BlockId::from_slice(raw.get_binary("_id").ok()?.bytes)?;
        Some((id, Row::Broken { quarantined: matches!(raw.get("q"), Ok(Some(_))) }))
    }

    /// The document that indexes a block.
    pub(crate) fn encode(&self, id: BlockId) -> RawDocumentBuf {
        let signed = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
        let mut raw = RawDocumentBuf::new();
        raw.append(bson::cstr!("_id"), id.to_bson());
        raw.append(bson::cstr!("n"), signed(self.raw_len));
        raw.append(bson::cstr!("l"), signed(self.frame_len));
        raw.append(bson::cstr!("e"), self.epoch);
        raw.append(bson::cstr!("at"), self.at.to_bson());
        raw
    }
}

impl Store {
    pub(crate) fn new(db: &Database) -> Self {
        let options = || {
            CollectionOptions::builder()
                .read_concern(ReadConcern::majority())
                .write_concern(durable())
                .selection_criteria(SelectionCriteria::ReadPreference(ReadPreference::Primary))
                .build()
        };
        let raw = |name| db.collection_with_options::<RawDocumentBuf>(name, options());
        let plain = |name| db.collection_with_options::<Document>(name, options());
        Self {
            db: db.clone(),
            blocks: raw("blocks"),
            payloads: raw("payloads"),
            roots: plain("roots"),
            writers: plain("writers"),
            layouts: plain("layouts"),
            guards: plain("guards"),
            gc: plain("gc"),
            pack_stores: plain("packStores"),
            usage: plain("usage"),
            checks: plain("checks"),
        }
    }

    /// Creates collections, indexes and the documents of `gc`; two may do so at once.
    pub(crate) async fn prepare(&self) -> Result<(), OpenError> {
        let names =
            ["blocks", "payloads", "roots", "writers", "layouts", "guards", "gc", "packStores", "usage", "checks"];
        for name in names {
            let create = || {
                let action = self.db.create_collection(name).write_concern(durable());
                match name {
                    // Frames are compressed already; compressing them again costs CPU and saves nothing.
                    "payloads" => {
                        action.storage_engine(doc! { "wiredTiger": { "configString": "block_compressor=none" } })
                    }
                    _ => action,
                }
            };
            let created = retrying!("creating collections", async {
                match create().await {
                    Err(error) if is_code(&error, NAMESPACE_EXISTS) => Ok(()),
                    other => other,
                }
            });
            created?;
        }
        for (collection, keys, sparse) in [
            (&self.roots, doc! { "job": 1, "committedAt": 1 }, false),
            (&self.writers, doc! { "job": 1 }, false),
            (&self.blocks.clone_with_type(), doc! { "q": 1 }, true),
        ] {
            let index = mongodb::IndexModel::builder()
                .keys(keys)
                .options(mongodb::options::IndexOptions::builder().sparse(sparse).build())
                .build();
            retrying!("creating indexes", collection.create_index(index.clone()))?;
        }
        self.insert_once(doc! { "_id": GC_ID, "epoch": 1_i64, "reframed": 0_i64 }).await?;
        self.insert_once(doc! { "_id": FORMAT_ID, "version": i64::from(FORMAT) }).await?;
        let format = retrying!("reading the format version", self.gc.find_one(doc! { "_id": FORMAT_ID }))?;
        let found = format.and_then(|doc| doc.get_i64("version").ok()).unwrap_or(0);
        if found > i64::from(FORMAT) {
            return Err(OpenError::NewerFormat { found, known: FORMAT });
        }
        Ok(())
    }

    async fn insert_once(&self, document: Document) -> Result<(), StoreFault> {
        retrying!("creating the documents of gc", async {
            match self.gc.insert_one(&document).await {
                Err(error) if is_duplicate(&error) => Ok(()),
                other => other.map(|_| ()),
            }
        })
    }

    /// Rows of these ids (unique, at most [`LOOKUP_IDS_MAX`]); what is not there is not in the answer.
    pub(crate) async fn rows(
        &self,
        session: &mut ClientSession,
        ids: &[BlockId],
    ) -> Result<HashMap<BlockId, Row>, StoreFault> {
        debug_assert!(ids.len() <= LOOKUP_IDS_MAX);
        let filter = doc! { "_id": { "$in": ids.iter().map(|id| id.to_bson()).collect::<Vec<_>>() } };
        retrying!("looking blocks up", async {
            let mut found = HashMap::with_capacity(ids.len());
            let mut cursor = self.blocks.find(filter.clone()).session(&mut *session).await?;
            while cursor.advance(&mut *session).await? {
                found.extend(BlockRow::decode_any(cursor.current()));
            }
            Ok(found)
        })
    }

    /// `gc.epoch`.
    pub(crate) async fn epoch(&self, session: &mut ClientSession) -> Result<i64, StoreFault> {
        self.gc_number(session, "epoch").await
    }

    /// `gc.reframed`.
    pub(crate) async fn reframed(&self, session: &mut ClientSession) -> Result<i64, StoreFault> {
        self.gc_number(session, "reframed").await
    }

    async fn gc_number(&self, session: &mut ClientSession, field: &str) -> Result<i64, StoreFault> {
        retrying!("reading gc", async {
            let document = self.gc.find_one(doc! { "_id": GC_ID }).session(&mut *session).await?;
            document
                .and_then(|doc| doc.get_i64(field).ok())
                .ok_or_else(|| mongodb::error::Error::custom("the document gc of collection gc is missing"))
        })
    }

    /// Whoever is about to replace frames by other bytes says so first.
    pub(crate) async fn announce_reframing(&self, session: &mut ClientSession) -> Result<(), StoreFault> {
        let update = doc! { "$inc": { "reframed": 1_i64 } };
        retrying!(
            "raising gc.reframed",
            self.gc.update_one(doc! { "_id": GC_ID }, update.clone()).session(&mut *session)
        )
        .map(|_| ())
    }

    /// Bad blocks whose snapshots nobody has named yet, a bounded part of them.
    pub(crate) async fn unnamed(&self, after: Option<BlockId>) -> Result<Vec<BlockId>, StoreFault> {
        let mut filter = doc! { "q": { "$exists": true }, "s": { "$exists": false } };
        if let Some(after) = after {
            filter.insert("_id", doc! { "$gt": after.to_bson() });
        }
        let hint = mongodb::options::Hint::Keys(doc! { "q": 1 });
        retrying!("reading the bad blocks that are not named", async {
            let mut ids = Vec::new();
            let mut cursor = self.blocks.find(filter.clone()).hint(hint.clone()).sort(doc! { "_id": 1 }).limit(UNNAMED_MAX).await?;
            while cursor.advance().await? {
                ids.extend(cursor.current().get_binary("_id").ok().and_then(|id| BlockId::from_slice(id.bytes)));
            }
            Ok(ids)
        })
    }

    /// Notes that the snapshots of these bad blocks are named and marked.
    pub(crate) async fn set_named(&self, ids: &[BlockId]) -> Result<(), StoreFault> {
        for ids in ids.chunks(LOOKUP_IDS_MAX) {
            let filter = doc! { "_id": { "$in": ids.iter().map(|id| id.to_bson()).collect::<Vec<_>>() }, "q": { "$exists": true } };
            let update = doc! { "$set": { "s": DateTime::now() } };
            retrying!("noting which bad blocks are named", self.blocks.update_many(filter.clone(), update.clone()))?;
        }
        Ok(())
    }

    /// Whether any block is marked as bad.
    pub(crate) async fn has_quarantined(&self) -> Result<bool, StoreFault> {
        let filter = doc! { "q": { "$exists": true } };
        let hint = mongodb::options::Hint::Keys(doc! { "q": 1 });
        let found: Result<Option<RawDocumentBuf>, StoreFault> =
            retrying!("looking for bad blocks", self.blocks.find_one(filter.clone()).hint(hint.clone()));
        Ok(found?.is_some())
    }

    /// Marks blocks as bad: writers will count them as missing and store them anew. One without a row gets one that says just that, so that
    /// nobody inherits it from a parent; it goes with the snapshots that need it.
    pub(crate) async fn quarantine(&self, ids: &[BlockId]) -> Result<u64, StoreFault> {
        let mut marked = 0;
        for ids in ids.chunks(LOOKUP_IDS_MAX) {
            let filter = doc! { "_id": { "$in": ids.iter().map(|id| id.to_bson()).collect::<Vec<_>>() }, "q": { "$exists": false } };
            let update = doc! { "$set": { "q": DateTime::now() } };
            marked += retrying!("marking bad blocks", self.blocks.update_many(filter.clone(), update.clone()))?
                .modified_count;
            let mut session = crate::txn::Causal::default().session(self.db.client()).await?;
            let found = self.rows(&mut session, ids).await?;
            for id in ids.iter().filter(|id| !found.contains_key(id)) {
                let mut raw = RawDocumentBuf::new();
                raw.append(bson::cstr!("_id"), id.to_bson());
                raw.append(bson::cstr!("q"), DateTime::now());
                marked += retrying!("marking missing blocks", async {
                    match self.blocks.insert_one(&raw).await {
                        // Stored by a writer meanwhile.
                        Err(error) if is_duplicate(&error) => Ok(0),
                        other => other.map(|_| 1),
                    }
                })?;
            }
        }
        Ok(marked)
    }
}

/// Whether a command failed with this code.
fn is_code(error: &mongodb::error::Error, code: i32) -> bool {
    matches!(*error.kind, mongodb::error::ErrorKind::Command(ref command) if command.code == code)
}
