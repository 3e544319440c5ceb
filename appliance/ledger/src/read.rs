//! Reading entries: checked one by one and as a run.

use bson::{Bson, Document, doc};
use futures::TryStreamExt as _;
use holdfast_agent_api::LedgerTail;
use holdfast_domain::{BackupJobId, EntryBody, EntryPosition, Hash32, LedgerEntry, OpTime, SliceSummary, Ts};
use mongodb::{ClientSession, options::FindOptions};
use serde::{Deserialize, Serialize};

use crate::{Ledger, LedgerError, StoredEntry, db::on};

/// Most entries of one answer.
pub(crate) const ENTRIES_MAX: i64 = 10_000;

/// `_id` of an entry. The order of the fields is the order of the ledger.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct EntryKey {
    pub(crate) job: BackupJobId,
    pub(crate) chain: i64,
    pub(crate) seq: i64,
}

/// An entry as stored. Takes unknown fields.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EntryDoc {
    #[serde(rename = "_id")]
    pub(crate) key: EntryKey,
    pub(crate) entry: LedgerEntry,
    pub(crate) hash: Hash32,
    #[serde(default)]
    pub(crate) summary: SliceSummary,
    pub(crate) received_at: bson::DateTime,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) detail: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) source: Option<Document>,
}

impl EntryDoc {
    pub(crate) fn new(entry: LedgerEntry) -> Self {
        let key = EntryKey { job: entry.job.clone(), chain: entry.at.chain, seq: entry.at.seq };
        let hash = entry.hash();
        let received_at = bson::DateTime::now();
        Self { key, entry, hash, summary: SliceSummary::default(), received_at, detail: None, source: None }
    }

    pub(crate) fn tail(&self) -> LedgerTail {
        let closed = match &self.entry.body {
            EntryBody::Close { reason } => Some(*reason),
            _ => None,
        };
        LedgerTail { at: self.entry.at, hash: self.hash, last: self.entry.last, closed }
    }

    fn corrupt(&self, detail: &str) -> LedgerError {
        let what = format!("entry {}/{} of {}", self.key.chain, self.key.seq, self.key.job);
        LedgerError::Corrupt { what, detail: detail.to_owned() }
    }

    /// Refuses an entry whose fields are not those that were hashed, or that stands at another place.
    pub(crate) fn checked(self) -> Result<Self, LedgerError> {
        if self.entry.hash() != self.hash {
            return Err(self.corrupt("its hash is another"));
        }
        let at = EntryPosition { chain: self.key.chain, seq: self.key.seq };
        if self.entry.at != at || self.entry.job != self.key.job {
            return Err(self.corrupt("it stands at another place than it says"));
        }
        Ok(self)
    }

    /// Refuses an entry that does not follow `before`.
    fn follows(self, before: &Self) -> Result<Self, LedgerError> {
        let problem = if self.entry.prev != before.hash {
            "it names another predecessor"
        } else if self.entry.at.seq != before.entry.at.seq + 1 {
            "entries are missing before it"
        } else if before.entry.closes() {
            "it follows the end of its chain"
        } else {
            return Ok(self);
        };
        Err(self.corrupt(problem))
    }
}

impl From<EntryDoc> for StoredEntry {
    fn from(doc: EntryDoc) -> Self {
        let EntryDoc { entry, hash, summary, received_at, detail, .. } = doc;
        Self { entry, hash, summary, received_at, detail }
    }
}

/// `_id` as a filter's value.
pub(crate) fn key(job: &BackupJobId, chain: i64, seq: i64) -> Document {
    doc! { "job": job.clone(), "chain": chain, "seq": seq }
}

/// Every entry of a job between two positions, both included.
pub(crate) fn between(job: &BackupJobId, from: (i64, i64), to: (i64, i64)) -> Document {
    doc! { "_id": { "$gte": key(job, from.0, from.1), "$lte": key(job, to.0, to.1) } }
}

impl Ledger {
    /// The ledger's end: one indexed read. None before the first chain.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn tail(&self, job: &BackupJobId) -> Result<Option<LedgerTail>, LedgerError> {
        Ok(self.last_entry(job, i64::MAX).await?.map(|doc| doc.tail()))
    }

    /// The newest entry of the chains up to `chain`.
    pub(crate) async fn last_entry(&self, job: &BackupJobId, chain: i64) -> Result<Option<EntryDoc>, LedgerError> {
        let all = between(job, (0, 0), (chain, i64::MAX));
        let found = self
            .entries_collection()
            .find_one(all)
            .sort(doc! { "_id": -1 })
            .await
            .map_err(on("read the ledger's tail"))?;
        found.map(EntryDoc::checked).transpose()
    }

    /// The same within a session (and its transaction, if one runs).
    pub(crate) async fn last_entry_in(
        &self,
        session: &mut ClientSession,
        job: &BackupJobId,
    ) -> Result<Option<EntryDoc>, LedgerError> {
        let all = between(job, (0, 0), (i64::MAX, i64::MAX));
        let found = self
            .entries_collection()
            .find_one(all)
            .sort(doc! { "_id": -1 })
            .session(session)
            .await
            .map_err(on("read the ledger's tail"))?;
        found.map(EntryDoc::checked).transpose()
    }

    /// One entry, within a session.
    pub(crate) async fn entry_in(
        &self,
        session: &mut ClientSession,
        at: &EntryKey,
    ) -> Result<Option<EntryDoc>, LedgerError> {
        let filter = doc! { "_id": key(&at.job, at.chain, at.seq) };
        let found = self.entries_collection().find_one(filter).session(session).await.map_err(on("read an entry"))?;
        found.map(EntryDoc::checked).transpose()
    }

    /// The first entry of a chain at or after `seq`.
    pub(crate) async fn first_entry(
        &self,
        job: &BackupJobId,
        chain: i64,
        seq: i64,
    ) -> Result<Option<EntryDoc>, LedgerError> {
        let range = between(job, (chain, seq), (chain, i64::MAX));
        let found =
            self.entries_collection().find_one(range).sort(doc! { "_id": 1 }).await.map_err(on("read an entry"))?;
        found.map(EntryDoc::checked).transpose()
    }

    /// At most `limit` (up to 10,000) consecutive entries of a chain, the first being `from_seq` itself. Empty when the chain
    /// does not reach it. Each entry's hash and its linkage to the one before are checked.
    ///
    /// # Errors
    /// [`LedgerError::Trimmed`] when `from_seq` or what follows it directly was trimmed; [`LedgerError::Corrupt`].
    pub async fn entries(
        &self,
        job: &BackupJobId,
        chain: i64,
        from_seq: i64,
        limit: i64,
    ) -> Result<Vec<StoredEntry>, LedgerError> {
        let limit = limit.clamp(1, ENTRIES_MAX);
        let options = FindOptions::builder().sort(doc! { "_id": 1 }).limit(limit + 1).build();
        let range = between(job, (chain, from_seq.saturating_sub(1).max(0)), (chain, i64::MAX));
        let op = "read entries";
        let mut cursor = self.entries_collection().find(range).with_options(options).await.map_err(on(op))?;
        let mut before: Option<EntryDoc> = None;
        let mut out: Vec<StoredEntry> = Vec::new();
        while let Some(doc) = cursor.try_next().await.map_err(on(op))? {
            let doc = doc.checked()?;
            let seq = doc.entry.at.seq;
            if seq < from_seq {
                before = Some(doc);
                continue;
            }
            // A trimmed chain keeps its opening entry, so a hole may stand directly behind that one, and nowhere else.
            let hole = match &before {
                None => seq > from_seq,
                Some(b) => b.entry.at.seq == 0 && seq > 1,
            };
            if hole {
                return Err(LedgerError::Trimmed { chain, first_seq: seq });
            }
            let doc = match &before {
                Some(before) => doc.follows(before)?,
                None => doc,
            };
            before = Some(doc.clone());
            out.push(doc.into());
            if out.len() as i64 == limit {
                break;
            }
        }
        Ok(out)
    }

    /// The slice of a chain that holds `ts`, or the first one after it. None: the chain ends before.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn entry_at(&self, job: &BackupJobId, chain: i64, ts: Ts) -> Result<Option<EntryPosition>, LedgerError> {
        let filter = doc! {
            "_id.job": job.clone(), "_id.chain": chain, "entry.last.ts": { "$gte": Bson::from(ts) },
            "entry.body.slice": { "$exists": true },
        };
        let sort = doc! { "_id.job": 1, "_id.chain": 1, "entry.last.ts": 1 };
        let found = self.entries_collection().find_one(filter).sort(sort).await.map_err(on("search an entry"))?;
        Ok(found.map(EntryDoc::checked).transpose()?.map(|doc| doc.entry.at))
    }

    /// What the source was when the chain was opened. None: no such chain.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn chain_source(&self, job: &BackupJobId, chain: i64) -> Result<Option<Document>, LedgerError> {
        let found = self
            .entries_collection()
            .find_one(doc! { "_id": key(job, chain, 0) })
            .await
            .map_err(on("read the chain's source"))?;
        let found = found.map(EntryDoc::checked).transpose()?;
        Ok(found.map(|doc| doc.source.unwrap_or_default()))
    }

    /// The chain's start point B. None: no such chain.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn chain_start(&self, job: &BackupJobId, chain: i64) -> Result<Option<OpTime>, LedgerError> {
        let found = self
            .entries_collection()
            .find_one(doc! { "_id": key(job, chain, 0) })
            .await
            .map_err(on("read the chain's start"))?;
        let found = found.map(EntryDoc::checked).transpose()?;
        Ok(found.map(|doc| doc.entry.first))
    }
}
