//! A small agent: initial sync and tail of a source straight into the ledger, by the rules of the real one, without its robustness.

use std::{collections::BTreeMap, sync::Mutex, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bson::{Document, RawDocumentBuf, doc};
use futures::TryStreamExt as _;
use holdfast_agent_api::{Catalog, CatalogCollection, CompleteSync, EndScan, SourceInfo, StartScan, SyncSliceHeader};
use holdfast_domain::{BackupJobId, Hash32, OpKind, OpTime, SummaryBuilder};
use holdfast_ledger::{AppendRequest, KeyId, Ledger, LedgerTail, OpenChainRequest, compress, inspect_payload};
use holdfast_tests::ReplicaSet;
use mongodb::{Client, options::ReadConcern};
use tokio::task::JoinHandle;

/// Slices are small, so that there are many boundaries.
const SLICE_BYTES: usize = 512 << 10;
const SYNC_SLICE_BYTES: usize = 4 << 20;

/// Jobs whose groups encrypt, with their keys, as ingest knows them.
static KEYS: Mutex<BTreeMap<BackupJobId, KeyId>> = Mutex::new(BTreeMap::new());

/// What is sent of this job from now on is stored under this key.
pub fn encrypt(job: &BackupJobId, key: KeyId) {
    KEYS.lock().unwrap().insert(job.clone(), key);
}

fn key_of(job: &BackupJobId) -> Option<KeyId> {
    KEYS.lock().unwrap().get(job).copied()
}

pub async fn source_info(source: &ReplicaSet) -> SourceInfo {
    let client = source.client();
    let admin = client.database("admin");
    let version = admin.run_command(doc! { "buildInfo": 1 }).await.unwrap().get_str("version").unwrap().to_owned();
    let options = admin.run_command(doc! { "getCmdLineOpts": 1 }).await.unwrap();
    let storage = options.get_document("parsed").unwrap().get_document("storage").cloned().unwrap_or_default();
    SourceInfo {
        rs: source.name().to_owned(),
        members: Vec::new(),
        version,
        fcv: "6.0".into(),
        directory_per_db: storage.get_bool("directoryPerDB").unwrap_or(false),
        directory_for_indexes: false,
        storage_bytes: 10 << 20,
        data_bytes: 10 << 20,
    }
}

/// The agent: syncs once, then tails until dropped.
pub struct Agent {
    task: JoinHandle<()>,
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn optime(entry: &Document) -> OpTime {
    OpTime { ts: entry.get_timestamp("ts").unwrap().into(), term: entry.get_i64("t").unwrap_or(-1) }
}

async fn newest(client: &Client) -> OpTime {
    let oplog = client.database("local").collection::<Document>("oplog.rs");
    let found = oplog.find_one(doc! {}).sort(doc! { "$natural": -1 }).read_concern(ReadConcern::majority()).await;
    optime(&found.unwrap().unwrap())
}

impl Agent {
    /// Opens the next chain, starts to tail, and scans everything.
    pub async fn start(source: &ReplicaSet, ledger: &Ledger, job: &BackupJobId) -> Self {
        Self::begin(source, ledger, job, true).await
    }

    /// As [`Self::start`], and never sends a catalog.
    pub async fn start_without_catalog(source: &ReplicaSet, ledger: &Ledger, job: &BackupJobId) -> Self {
        Self::begin(source, ledger, job, false).await
    }

    async fn begin(source: &ReplicaSet, ledger: &Ledger, job: &BackupJobId, catalog: bool) -> Self {
        let client = source.client();
        let prev = ledger.tail(job).await.unwrap();
        let start = newest(&client).await;
        let info = bson::serialize_to_document(&source_info(source).await).unwrap();
        let open = OpenChainRequest { prev: prev.map_or(Hash32::ZERO, |tail| tail.hash), start, source: info };
        let tail = ledger.open_chain(job, &open).await.unwrap();
        let chain = tail.at.chain;
        let task = tokio::spawn(tail_forever(client.clone(), ledger.clone(), job.clone(), tail, start));
        scan(&client, ledger, job, chain, catalog).await;
        Self { task }
    }

    /// Goes on tailing where the ledger ends, without a sync.
    pub async fn resume(source: &ReplicaSet, ledger: &Ledger, job: &BackupJobId) -> Self {
        let tail = ledger.tail(job).await.unwrap().unwrap();
        let from = tail.last;
        Self { task: tokio::spawn(tail_forever(source.client(), ledger.clone(), job.clone(), tail, from)) }
    }
}

async fn tail_forever(client: Client, ledger: Ledger, job: BackupJobId, mut tail: LedgerTail, start: OpTime) {
    let oplog = client.database("local").collection::<RawDocumentBuf>("oplog.rs");
    let mut sent: Option<OpTime> = (tail.at.seq > 0).then_some(start);
    loop {
        let from = sent.unwrap_or(start);
        let filter = doc! { "ts": { "$gte": bson::Timestamp::from(from.ts) } };
        let mut cursor = oplog.find(filter).read_concern(ReadConcern::majority()).await.unwrap();
        let (mut raw, mut summary, mut ends) = (Vec::new(), SummaryBuilder::default(), None::<(OpTime, OpTime)>);
        while let Some(entry) = cursor.try_next().await.unwrap() {
            let doc = Document::try_from(&entry).unwrap();
            let at = optime(&doc);
            if sent.is_some_and(|sent| at.ts <= sent.ts) {
                continue;
            }
            let ns = doc.get_str("ns").unwrap_or("");
            let kind = match doc.get_str("op").unwrap() {
                "i" => Some(OpKind::Insert),
                "u" => Some(OpKind::Update),
                "d" => Some(OpKind::Delete),
                _ => None,
            };
            match (kind, doc.get_document("o").ok().and_then(|o| o.keys().next())) {
                (Some(kind), _) => summary.count(at.ts, ns, kind),
                (None, Some(command))
                    if doc.get_str("op").unwrap() == "c"
                        && !["applyOps", "commitTransaction", "abortTransaction"].contains(&command.as_str()) =>
                {
                    summary.ddl(at, ns, command);
                }
                _ => {}
            }
            raw.extend_from_slice(entry.as_bytes());
            ends = Some((ends.map_or(at, |(first, _)| first), at));
            if raw.len() >= SLICE_BYTES {
                break;
            }
        }
        let Some((first, last)) = ends else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let facts = inspect_payload(&raw).unwrap();
        let frame = compress(&raw).unwrap();
        let chain = tail.at.chain;
        let payload = ledger.put_payload(&job, chain, Hash32::of(&raw), &frame, &facts, key_of(&job)).await.unwrap();
        let request =
            AppendRequest { seq: tail.at.seq + 1, prev: tail.hash, first, last, payload, summary: summary.finish() };
        match ledger.append_slice(&job, chain, &request).await {
            Ok(next) => tail = next,
            // Closed: whoever wants the next chain starts another agent.
            Err(_) => return,
        }
        sent = Some(last);
    }
}

async fn lists(client: &Client) -> Vec<CatalogCollection> {
    let mut out = Vec::new();
    for db in client.list_database_names().await.unwrap() {
        if db == "local" || db == "config" {
            continue;
        }
        let database = client.database(&db);
        let cursor = database.run_cursor_command(doc! { "listCollections": 1 }).await.unwrap();
        for listed in cursor.try_collect::<Vec<Document>>().await.unwrap() {
            let name = listed.get_str("name").unwrap().to_owned();
            let kind = listed.get_str("type").unwrap().to_owned();
            let uuid = listed.get_document("info").unwrap().get("uuid").and_then(|u| match u {
                bson::Bson::Binary(b) => Some(hex::encode(&b.bytes)),
                _ => None,
            });
            let mut indexes = Vec::new();
            if kind == "collection" {
                let command = doc! { "listIndexes": &name };
                if let Ok(cursor) = database.run_cursor_command(command).await {
                    let specs = cursor.try_collect::<Vec<Document>>().await.unwrap();
                    indexes = specs.iter().map(|s| RawDocumentBuf::try_from(s).unwrap()).collect();
                }
            }
            let options = RawDocumentBuf::try_from(listed.get_document("options").unwrap()).unwrap();
            out.push(CatalogCollection { db: db.clone(), name, kind, uuid, options, indexes });
        }
    }
    out
}

async fn scan(client: &Client, ledger: &Ledger, job: &BackupJobId, chain: i64, catalog: bool) {
    let before = newest(client).await;
    let collections = lists(client).await;
    let mut scanned = 0;
    for collection in
        collections.iter().filter(|c| c.uuid.is_some() && c.kind == "collection" && c.name != "system.profile")
    {
        let uuid = collection.uuid.clone().unwrap();
        let indexes: Vec<Document> = collection.indexes.iter().map(|i| Document::try_from(i).unwrap()).collect();
        let request = StartScan {
            uuid: uuid.clone(),
            db: collection.db.clone(),
            name: collection.name.clone(),
            options: STANDARD.encode(collection.options.as_bytes()),
            indexes: STANDARD.encode(bson::serialize_to_vec(&doc! { "indexes": indexes }).unwrap()),
            member: "m".into(),
            anew: false,
            documents: 1,
            bytes: 1,
        };
        let grant = ledger.start_scan(job, chain, &request, key_of(job)).await.unwrap();
        let mut seq = 0;
        let mut raw: Vec<u8> = Vec::new();
        let mut count = 0;
        let documents = client.database(&collection.db).collection::<RawDocumentBuf>(&collection.name);
        let mut cursor =
            documents.find(doc! {}).hint(mongodb::options::Hint::Keys(doc! { "$natural": 1 })).await.unwrap();
        loop {
            let next = cursor.try_next().await.unwrap();
            if let Some(document) = &next {
                raw.extend_from_slice(document.as_bytes());
                count += 1;
            }
            if raw.len() >= SYNC_SLICE_BYTES || (next.is_none() && !raw.is_empty()) {
                let header = SyncSliceHeader {
                    hash: Hash32::of(&raw),
                    raw_bytes: i64::try_from(raw.len()).unwrap(),
                    documents: count,
                    token: next.is_some().then(|| STANDARD.encode(b"\x05\0\0\0\0")),
                };
                let frame = compress(&raw).unwrap();
                ledger.put_sync_slice(job, chain, &uuid, grant.scan, seq, &header, &frame, key_of(job)).await.unwrap();
                seq += 1;
                raw.clear();
                count = 0;
            }
            if next.is_none() {
                break;
            }
        }
        ledger.end_scan(job, chain, &uuid, grant.scan, &EndScan { slices: seq, gone: false }).await.unwrap();
        scanned += 1;
    }
    let end = newest(client).await;
    if catalog {
        put_catalog(client, ledger, job, chain, before).await;
    }
    ledger.complete_sync(job, chain, &CompleteSync { end, collections: scanned }).await.unwrap();
}

/// Sends the catalog.
pub async fn put_catalog(client: &Client, ledger: &Ledger, job: &BackupJobId, chain: i64, before: OpTime) {
    let collections = lists(client).await.into_iter().filter(|c| c.name != "system.profile").collect();
    let after = newest(client).await;
    let raw = bson::serialize_to_vec(&Catalog { before, after, collections }).unwrap();
    ledger.put_catalog(job, chain, before, after, &raw, key_of(job)).await.unwrap();
}

/// Sends a fresh catalog.
pub async fn fresh_catalog(client: &Client, ledger: &Ledger, job: &BackupJobId) {
    let chain = ledger.tail(job).await.unwrap().unwrap().at.chain;
    let before = newest(client).await;
    put_catalog(client, ledger, job, chain, before).await;
}
