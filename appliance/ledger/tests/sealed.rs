//! Groups that encrypt: nothing of what a source holds can be read in the database, and everything can with the key.

use crate::support::*;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use blockstore_engine::GroupKey;
use bson::{Document, doc};
use futures::TryStreamExt as _;
use holdfast_domain::{BackupJobId, Classify as _, ErrorClass, Hash32};
use holdfast_ledger::{KeyId, Keyring, Ledger, LedgerError, PutSlice, StartScan, SyncSliceHeader, compress};

const UUID: &str = "0123456789abcdef0123456789abcdef";
const MARKER: &str = "Zwetschgenknoedel";

/// Whether the marker can be read in these bytes, plain or in a zstd frame.
fn shows(bytes: &[u8]) -> bool {
    let plain = |bytes: &[u8]| bytes.windows(MARKER.len()).any(|part| part == MARKER.as_bytes());
    let frames = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(&[0x28, 0xb5, 0x2f, 0xfd]));
    let mut unpacked = frames.filter_map(|at| {
        let mut out = Vec::new();
        let mut decoder = zstd::stream::read::Decoder::new(&bytes[at..]).ok()?.single_frame();
        std::io::Read::read_to_end(&mut decoder, &mut out).ok()?;
        Some(out)
    });
    plain(bytes) || unpacked.any(|out| plain(&out))
}

/// Collections of the database in which the marker, or one of these hashes of plain bytes, can be read.
async fn shown_in(server: &Server, hashes: &[Hash32]) -> Vec<String> {
    let mut out = Vec::new();
    for name in server.db.list_collection_names().await.unwrap() {
        let all: Vec<Document> = server.db.collection(&name).find(doc! {}).await.unwrap().try_collect().await.unwrap();
        let bytes: Vec<u8> = all.iter().flat_map(|doc| bson::serialize_to_vec(doc).unwrap()).collect();
        let told = |hash: &Hash32| {
            let text = hash.to_string();
            bytes.windows(64).any(|part| part == text.as_bytes()) || bytes.windows(32).any(|part| part == hash.0)
        };
        if shows(&bytes) || hashes.iter().any(told) {
            out.push(name);
        }
    }
    out.sort();
    out
}

fn scan() -> StartScan {
    let encode = |doc: Document| STANDARD.encode(bson::serialize_to_vec(&doc).unwrap());
    let partial = doc! { "v": 2, "key": { "a": 1 }, "name": "a_1", "partialFilterExpression": { "a": MARKER } };
    StartScan {
        uuid: UUID.into(),
        db: "shop".into(),
        name: "orders".into(),
        options: encode(doc! { "validator": { "a": { "$ne": MARKER } } }),
        indexes: encode(doc! { "indexes": [partial] }),
        member: "m1".into(),
        anew: false,
        documents: 1,
        bytes: 1,
    }
}

/// Everything that a source sends, once; the sync slice's raw bytes and hashes that must not be found.
async fn sent(ledger: &Ledger, job: &BackupJobId, key: Option<KeyId>) -> (Slice, Vec<u8>, Vec<Hash32>) {
    let tail = ledger.open_chain(job, &open(Hash32::ZERO, at(100))).await.unwrap();
    let slice = slice(raw_slice(100, 109, MARKER));
    let payload = ledger.put_payload(job, 0, slice.hash, &slice.frame, &slice.facts, key).await.unwrap();
    let again = ledger.put_payload(job, 0, slice.hash, &slice.frame, &slice.facts, key).await.unwrap();
    assert_eq!(payload, again, "the same receipt");
    let request = holdfast_ledger::AppendRequest {
        seq: 1,
        prev: tail.hash,
        first: slice.facts.first,
        last: slice.facts.last,
        payload,
        summary: Default::default(),
    };
    ledger.append_slice(job, 0, &request).await.unwrap();
    let granted = ledger.start_scan(job, 0, &scan(), key).await.unwrap();
    let raw = bson::serialize_to_vec(&doc! { "_id": 1, "secret": MARKER }).unwrap();
    let header = SyncSliceHeader {
        hash: Hash32::of(&raw),
        raw_bytes: i64::try_from(raw.len()).unwrap(),
        documents: 1,
        token: None,
    };
    let frame = compress(&raw).unwrap();
    for expected in [PutSlice::Stored, PutSlice::Same] {
        let put = ledger.put_sync_slice(job, 0, UUID, granted.scan, 0, &header, &frame, key).await.unwrap();
        assert_eq!(put, expected);
    }
    ledger.put_catalog(job, 0, at(100), at(101), MARKER.as_bytes(), key).await.unwrap();
    let plain = [&slice.raw, &slice.frame, &raw, &frame].map(|bytes| Hash32::of(bytes));
    (slice, raw, plain.to_vec())
}

async fn assert_reads(ledger: &Ledger, job: &BackupJobId, slice: &Slice, sync: &[u8]) {
    let entries = ledger.entries(job, 0, 0, 10).await.unwrap();
    let holdfast_domain::EntryBody::Slice { payload } = &entries[1].entry.body else { panic!() };
    assert_eq!(ledger.read_payload(job, 0, payload).await.unwrap(), slice.raw);
    assert_eq!(ledger.payload_frame(job, 0, payload).await.unwrap().bytes, slice.frame);
    assert_eq!(ledger.read_sync_slice(job, 0, UUID, 0, 0).await.unwrap().unwrap(), sync);
    assert_eq!(ledger.latest_catalog(job, 0).await.unwrap().unwrap().2, MARKER.as_bytes());
    let scans = ledger.scans(job, 0).await.unwrap();
    assert_eq!(scans[0].options, doc! { "validator": { "a": { "$ne": MARKER } } });
    assert_eq!(scans[0].indexes[0].get_str("name").unwrap(), "a_1");
}

#[tokio::test]
async fn nothing_of_the_source_is_readable_without_the_key() {
    let server = Server::start().await;
    let keys = Keyring::default();
    let key = keys.insert(&GroupKey::generate());
    let ledger = Ledger::open(server.db.clone(), keys.clone()).await.unwrap();
    let plain = BackupJobId::random();
    let (slice, sync, hashes) = sent(&ledger, &plain, None).await;
    assert_reads(&ledger, &plain, &slice, &sync).await;
    let shown = shown_in(&server, &hashes).await.join(" ");
    for name in ["ledger_entries", "ledger_catalogs", "sync_scans", "oplog_", "sync_"] {
        assert!(shown.contains(name), "the search finds what is plain: {shown}");
    }
    for name in server.db.list_collection_names().await.unwrap() {
        server.db.collection::<Document>(&name).drop().await.unwrap();
    }
    let ledger = Ledger::open(server.db.clone(), keys).await.unwrap();
    let job = BackupJobId::random();
    let (slice, sync, hashes) = sent(&ledger, &job, Some(key)).await;
    assert_eq!(shown_in(&server, &hashes).await, Vec::<String>::new());
    assert_reads(&ledger, &job, &slice, &sync).await;

    // Without the key it is said, and nothing is called damaged.
    let entries = server.ledger.entries(&job, 0, 0, 10).await.unwrap();
    let holdfast_domain::EntryBody::Slice { payload } = &entries[1].entry.body else { panic!() };
    let refusals = [
        server.ledger.read_payload(&job, 0, payload).await.unwrap_err(),
        server.ledger.read_sync_slice(&job, 0, UUID, 0, 0).await.unwrap_err(),
        server.ledger.latest_catalog(&job, 0).await.unwrap_err(),
        server.ledger.scans(&job, 0).await.unwrap_err(),
    ];
    for refusal in refusals {
        assert!(matches!(&refusal, LedgerError::NoKey { key: named, .. } if *named == key), "{refusal:?}");
        assert!(refusal.class() == ErrorClass::Operator && refusal.to_string().contains(&key.to_string()));
    }
    let refused = server.ledger.put_payload(&job, 0, slice.hash, &slice.frame, &slice.facts, Some(key)).await;
    assert_eq!(refused.unwrap_err().class(), ErrorClass::Operator);
}

#[tokio::test]
async fn slices_from_before_stay_readable_and_none_stands_for_another() {
    let server = Server::start().await;
    let keys = Keyring::default();
    let key = keys.insert(&GroupKey::generate());
    let ledger = Ledger::open(server.db.clone(), keys).await.unwrap();
    let job = BackupJobId::random();
    let tail = chain_of(&ledger, &job, Hash32::ZERO, 2).await;
    let mut receipts = Vec::new();
    for n in 2..4_u32 {
        let next = slice(raw_slice(100 + n * 10, 109 + n * 10, "later"));
        receipts.push(ledger.put_payload(&job, 0, next.hash, &next.frame, &next.facts, Some(key)).await.unwrap());
        if n == 2 {
            let request = holdfast_ledger::AppendRequest {
                seq: 3,
                prev: tail.hash,
                first: next.facts.first,
                last: next.facts.last,
                payload: receipts[0].clone(),
                summary: Default::default(),
            };
            ledger.append_slice(&job, 0, &request).await.unwrap();
        }
    }
    for stored in &ledger.entries(&job, 0, 0, 10).await.unwrap()[1..] {
        let holdfast_domain::EntryBody::Slice { payload } = &stored.entry.body else { panic!() };
        ledger.read_payload(&job, 0, payload).await.unwrap();
    }
    // The bytes of one under the name of the other: whole, and yet refused.
    let parts = server.db.collection::<Document>(&server.collections("oplog_").await[0]);
    let find = async |hash: Hash32| parts.find_one(doc! { "_id.hash": hash }).await.unwrap().unwrap();
    let (one, two) = (find(receipts[0].hash).await, find(receipts[1].hash).await);
    let mut swapped = two.clone();
    swapped.insert("_id", one.get("_id").unwrap().clone());
    parts.replace_one(doc! { "_id": one.get("_id").unwrap().clone() }, &swapped).await.unwrap();
    let refused = ledger.read_payload(&job, 0, &receipts[0]).await.unwrap_err();
    assert!(matches!(refused, LedgerError::Corrupt { .. }), "{refused:?}");
    // Said to be plain.
    let mut plain = two.clone();
    plain.remove("key");
    parts.replace_one(doc! { "_id": two.get("_id").unwrap().clone() }, &plain).await.unwrap();
    let refused = ledger.read_payload(&job, 0, &receipts[1]).await.unwrap_err();
    assert!(matches!(refused, LedgerError::Corrupt { .. }), "{refused:?}");
}
