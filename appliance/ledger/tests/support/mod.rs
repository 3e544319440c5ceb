//! A ledger on a private single-member replica set, and slices to put into it.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::LazyLock,
};

use bson::{Document, doc};
use holdfast_domain::{BackupJobId, Hash32, OpTime, SliceSummary, Ts};
use holdfast_ledger::{
    AppendError, AppendRequest, Ledger, LedgerTail, OpenChainRequest, PayloadFacts, compress, inspect_payload,
};
use holdfast_mongod::{Mongod, MongodOptions, free_port, start_embedded};
use mongodb::{Client, Database};

static BINARY: LazyLock<PathBuf> = LazyLock::new(|| {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/mongod");
    let output = Command::new(script).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "scripts/mongod failed");
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
});

/// The server ends with this value.
pub(crate) struct Server {
    pub(crate) db: Database,
    pub(crate) ledger: Ledger,
    pub(crate) mongod: Mongod,
    _dir: tempfile::TempDir,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut options = MongodOptions::plain(&*BINARY, dir.path().join("db"), free_port().unwrap());
        options.repl_set = Some("rs".into());
        let mongod = start_embedded(options).await.unwrap();
        let client = Client::with_uri_str(mongod.set_uri().unwrap()).await.unwrap();
        let db = client.database("blockstore");
        let ledger = Ledger::open(db.clone(), holdfast_ledger::Keyring::default()).await.unwrap();
        Self { db, ledger, mongod, _dir: dir }
    }

    pub(crate) async fn collections(&self, prefix: &str) -> Vec<String> {
        let mut names = self.db.list_collection_names().await.unwrap();
        names.retain(|name| name.starts_with(prefix));
        names.sort();
        names
    }
}

pub(crate) fn at(t: u32) -> OpTime {
    OpTime { ts: Ts { t, i: 1 }, term: 1 }
}

/// An oplog entry with so many bytes of ballast.
pub(crate) fn oplog_entry(t: u32, ballast: &str) -> Vec<u8> {
    let ts = bson::Timestamp { time: t, increment: 1 };
    bson::serialize_to_vec(&doc! { "ts": ts, "t": 1_i64, "op": "n", "o": { "b": ballast } }).unwrap()
}

/// A raw slice with one entry per second from `from` to `to`.
pub(crate) fn raw_slice(from: u32, to: u32, ballast: &str) -> Vec<u8> {
    (from..=to).flat_map(|t| oplog_entry(t, ballast)).collect()
}

pub(crate) struct Slice {
    pub(crate) raw: Vec<u8>,
    pub(crate) frame: Vec<u8>,
    pub(crate) hash: Hash32,
    pub(crate) facts: PayloadFacts,
}

pub(crate) fn slice(raw: Vec<u8>) -> Slice {
    let facts = inspect_payload(&raw).unwrap();
    Slice { frame: compress(&raw).unwrap(), hash: Hash32::of(&raw), facts, raw }
}

pub(crate) fn open(prev: Hash32, start: OpTime) -> OpenChainRequest {
    OpenChainRequest { prev, start, source: doc! { "rs": "rs0" } }
}

/// Stores a slice's payload and gives the request that appends it behind `tail`.
pub(crate) async fn request(ledger: &Ledger, job: &BackupJobId, tail: &LedgerTail, slice: &Slice) -> AppendRequest {
    let payload = ledger.put_payload(job, tail.at.chain, slice.hash, &slice.frame, &slice.facts, None).await.unwrap();
    AppendRequest {
        seq: tail.at.seq + 1,
        prev: tail.hash,
        first: slice.facts.first,
        last: slice.facts.last,
        payload,
        summary: SliceSummary::default(),
    }
}

pub(crate) async fn append(
    ledger: &Ledger,
    job: &BackupJobId,
    tail: &LedgerTail,
    slice: &Slice,
) -> Result<LedgerTail, AppendError> {
    let request = request(ledger, job, tail, slice).await;
    ledger.append_slice(job, tail.at.chain, &request).await
}

/// A chain with `slices` slices of ten seconds each, from second 100 on.
pub(crate) async fn chain_of(ledger: &Ledger, job: &BackupJobId, prev: Hash32, slices: u32) -> LedgerTail {
    let mut tail = ledger.open_chain(job, &open(prev, at(100))).await.unwrap();
    for n in 0..slices {
        let slice = slice(raw_slice(100 + n * 10, 109 + n * 10, &format!("slice {n}")));
        tail = append(ledger, job, &tail, &slice).await.unwrap();
    }
    tail
}

/// Moves a day's payloads to another day, as if they had been received then.
pub(crate) async fn move_day(
    server: &Server,
    job: &BackupJobId,
    from: i32,
    to: i32,
    seqs: std::ops::RangeInclusive<i64>,
) {
    let (old, new) = (format!("oplog_{job}_{from:08}"), format!("oplog_{job}_{to:08}"));
    let parts: Vec<Document> = {
        use futures::TryStreamExt as _;
        server.db.collection::<Document>(&old).find(doc! {}).await.unwrap().try_collect().await.unwrap()
    };
    server.db.collection::<Document>(&new).insert_many(parts).await.unwrap();
    let days = server.db.collection::<Document>("ledger_days");
    days.insert_one(doc! { "_id": { "job": job.clone(), "day": to } }).await.unwrap();
    let filter = doc! { "_id.job": job.clone(), "_id.seq": { "$gte": seqs.start(), "$lte": seqs.end() } };
    let update = doc! { "$set": { "entry.body.slice.payload.day": to } };
    server.db.collection::<Document>("ledger_entries").update_many(filter, update).await.unwrap();
}
