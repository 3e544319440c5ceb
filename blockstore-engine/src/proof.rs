//! The quick proof: what a writer inserted, read back and verified, in the order of writing.
//!
//! Invariants: reads payloads by the registration in their place, so that it needs no list and bounded memory; counts as good only what the
//! index refers to. Payloads that no block names (another writer was first) are orphans, garbage but not faults.

use std::sync::Arc;

use bson::{RawDocumentBuf, doc};

use crate::engine::Engine;
use crate::error::{ReadError, StoreFault};
use crate::frame::{Opener, checksum};
use crate::id::{BlockId, PayloadAt, RootId};
use crate::reader::{BadBlock, FETCH_IDS_MAX, Payload, VerifyReport};
use crate::store::Row;
use crate::txn::{Causal, retrying};

/// What [`crate::Blockstore::verify_new`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewBlocksReport {
    /// Blocks, nodes and pages that this writer inserted and that read back.
    pub blocks: u64,
    /// Their raw bytes.
    pub raw_bytes: u64,
    /// Bytes of their frames.
    pub stored_bytes: u64,
    /// Payloads of this writer that no block refers to.
    pub orphans: u64,
    /// Bad blocks in all.
    pub bad_count: u64,
    /// The first of them, as in [`VerifyReport::bad`].
    pub bad: Vec<BadBlock>,
}

impl NewBlocksReport {
    /// Whether everything was good.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.bad_count == 0
    }
}

pub(crate) async fn verify_new(engine: &Arc<Engine>, writer: RootId) -> Result<NewBlocksReport, ReadError> {
    let causal = Causal::default();
    let mut session = causal.session(engine.store.db.client()).await?;
    let (mut report, mut faults) = (NewBlocksReport::default(), VerifyReport::default());
    let mut next = PayloadAt { writer, number: 0 };
    let last = PayloadAt { writer, number: u64::MAX };
    loop {
        let filter = doc! { "_id": { "$gte": next.to_bson(), "$lte": last.to_bson() } };
        let limit = i64::try_from(FETCH_IDS_MAX).map_err(|_| ReadError::Internal("size of a batch"))?;
        let batch: Result<Vec<RawDocumentBuf>, StoreFault> = retrying!("reading new payloads", async {
            let mut batch = Vec::with_capacity(FETCH_IDS_MAX);
            let mut cursor = engine
                .store
                .payloads
                .find(filter.clone())
                .sort(doc! { "_id": 1 })
                .limit(limit)
                .session(&mut session)
                .await?;
            while cursor.advance(&mut session).await? {
                batch.push(cursor.current().to_owned());
            }
            Ok(batch)
        });
        let batch = batch?;
        let Some(place) = batch.last().and_then(|raw| PayloadAt::from_slice(raw.get_binary("_id").ok()?.bytes)) else {
            break;
        };
        let checked = engine
            .workers
            .run(move || check(&batch))
            .await
            .map_err(|_| ReadError::Internal("a worker thread ended early"))??;
        let ids: Vec<_> =
            checked.iter().map(|one| one.id).collect::<std::collections::HashSet<_>>().into_iter().collect();
        let rows = engine.store.rows(&mut session, &ids).await?;
        for one in checked {
            match rows.get(&one.id) {
                Some(Row::Good(row)) if row.at == one.at => match one.fault {
                    None if row.raw_len == one.raw_len && row.frame_len == one.frame_len => {
                        report.blocks += 1;
                        report.raw_bytes += u64::from(one.raw_len);
                        report.stored_bytes += u64::from(one.frame_len);
                    }
                    fault => faults.push(bad(one.id, fault.unwrap_or("lengths differ from the index"))),
                },
                Some(Row::Broken { .. }) => faults.push(bad(one.id, "its row in the index does not decode")),
                _ => report.orphans += 1,
            }
        }
        let Some(number) = place.number.checked_add(1) else { break };
        next = PayloadAt { writer, number };
    }
    report.bad_count = faults.bad_count;
    report.bad = faults.bad;
    Ok(report)
}

fn bad(id: BlockId, reason: &str) -> BadBlock {
    BadBlock { path: None, id: Some(id), reason: reason.to_owned() }
}

struct Checked {
    at: PayloadAt,
    id: BlockId,
    raw_len: u32,
    frame_len: u32,
    fault: Option<&'static str>,
}

fn check(batch: &[RawDocumentBuf]) -> Result<Vec<Checked>, ReadError> {
    let mut opener = Opener::new().map_err(|_| ReadError::Internal("no memory for a zstd context"))?;
    let mut checked = Vec::with_capacity(batch.len());
    for raw in batch {
        // Without a place and an id nothing refers to it as this writer's; the index will name the block as missing to its readers.
        let Ok(payload) = Payload::decode(raw) else { continue };
        let frame_len = u32::try_from(payload.frame.len()).unwrap_or(u32::MAX);
        let raw_len = zstd::zstd_safe::get_frame_content_size(payload.frame)
            .ok()
            .flatten()
            .and_then(|len| u32::try_from(len).ok())
            .unwrap_or(0);
        let fault = if payload.has_key {
            Some("encrypted and no key is given")
        } else if checksum(payload.frame) != payload.sum {
            Some("the frame does not fit its checksum")
        } else {
            opener.open(payload.id, raw_len, payload.frame).err()
        };
        checked.push(Checked { at: payload.at, id: payload.id, raw_len, frame_len, fault });
    }
    Ok(checked)
}
