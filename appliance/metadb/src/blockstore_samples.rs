//! What the blockstore held at one time after another: `blockstore_samples {_id: {span, at}}`.
//!
//! Every daemon samples; of one span of time the first one's numbers stay, and what each one's cache answered is added. Fine samples are
//! kept for days, coarse ones for years, so that any time is read as a bounded number of documents. Written by the daemon, read by web.

use bson::{Document, doc};
use futures::TryStreamExt as _;
use serde::{Deserialize, Serialize};

use crate::{
    MetaDb, MetaError,
    error::{duplicate, on, to_bson},
};

const COLLECTION: &str = "blockstore_samples";
/// Spans of samples and how long they are kept, in seconds: five minutes for a week, six hours for two years.
const SPANS: [(i64, i64); 2] = [(300, 7 * 86_400), (21_600, 730 * 86_400)];

/// The numbers of a time. Bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BlockstoreNumbers {
    /// Files of all snapshots.
    pub logical_bytes: u64,
    /// Different blocks before compression.
    pub raw_bytes: u64,
    /// As they are stored.
    pub stored_bytes: u64,
    /// On disks and in buckets; none while a store does not answer.
    #[serde(default)]
    pub disk_bytes: Option<u64>,
    /// Needed by one snapshot alone, by the last account.
    #[serde(default)]
    pub unique_bytes: Option<u64>,
    /// What a collection would free, by the last account.
    #[serde(default)]
    pub reclaimable_bytes: Option<u64>,
    /// Free where new payloads go; none where there is no such bound (a bucket).
    #[serde(default)]
    pub free_bytes: Option<u64>,
}

/// What the caches answered within a span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheAnswers {
    /// Blocks that they had.
    pub hits: u64,
    /// Blocks that they had not.
    pub misses: u64,
}

/// A sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlockstoreSample {
    /// Start of its span, seconds since 1970.
    pub at: i64,
    /// Numbers of one time in the span.
    pub numbers: BlockstoreNumbers,
    /// What the caches of all daemons answered in it.
    pub cache: CacheAnswers,
}

fn key(span: i64, at: i64) -> Document {
    doc! { "span": span, "at": at }
}

fn sample_of(doc: &Document) -> Option<BlockstoreSample> {
    let count = |name: &str| doc.get_i64(name).ok().and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
    Some(BlockstoreSample {
        at: doc.get_document("_id").ok()?.get_i64("at").ok()?,
        numbers: bson::deserialize_from_document(doc.get_document("numbers").ok()?.clone()).ok()?,
        cache: CacheAnswers { hits: count("hits"), misses: count("misses") },
    })
}

impl MetaDb {
    /// Adds a sample of this time, seconds since 1970, and forgets what is older than it is kept.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn add_blockstore_sample(
        &self,
        now: i64,
        numbers: &BlockstoreNumbers,
        cache: CacheAnswers,
    ) -> Result<(), MetaError> {
        let op = "store a sample of the blockstore";
        let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let change = doc! {
            "$setOnInsert": { "numbers": to_bson(op, numbers)? },
            "$inc": { "hits": signed(cache.hits), "misses": signed(cache.misses) },
        };
        let samples = self.of::<Document>(COLLECTION);
        for (span, kept) in SPANS {
            let filter = doc! { "_id": key(span, now - now.rem_euclid(span)) };
            // Two daemons that insert at once: the second one meets the first one's document.
            for last in [false, true] {
                match samples.update_one(filter.clone(), change.clone()).upsert(true).await {
                    Err(e) if duplicate(&e) && !last => {}
                    done => {
                        done.map_err(on(op))?;
                        break;
                    }
                }
            }
            let old = doc! { "_id": { "$gte": key(span, 0), "$lt": key(span, now - kept) } };
            samples.delete_many(old).await.map_err(on(op))?;
        }
        Ok(())
    }

    /// The samples between two times, both included: the fine ones where they reach back far enough, else the coarse ones.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn blockstore_samples(&self, now: i64, from: i64, to: i64) -> Result<Vec<BlockstoreSample>, MetaError> {
        let op = "read samples of the blockstore";
        let fits = SPANS.iter().find(|(_, kept)| from >= now - kept);
        let span = fits.map_or(SPANS[SPANS.len() - 1].0, |(span, _)| *span);
        let first = from - from.rem_euclid(span);
        let range = doc! { "_id": { "$gte": key(span, first), "$lte": key(span, to) } };
        let found = self.of::<Document>(COLLECTION).find(range).sort(doc! { "_id": 1 }).await.map_err(on(op))?;
        let docs: Vec<Document> = found.try_collect().await.map_err(on(op))?;
        Ok(docs.iter().filter_map(sample_of).collect())
    }
}
