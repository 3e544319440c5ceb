//! What agents send and what the ledger keeps: frames, payloads, bodies, entries, the facts of a snapshot.

use blockstore_engine::fuzzing::Target;
use holdfast_agent_api::{
    AppendSlice, Catalog, CloseChain, CompleteSync, ConfigRequest, DiscoveryReport, EndScan, EnrollRequest,
    EnrollToken, OpenChain, StartScan, SyncSliceHeader,
};
use holdfast_domain::{CloseReason, EntryBody, EntryPosition, GroupId, Hash32, LedgerEntry, OpTime, PayloadRef, Ts};
use holdfast_ledger::{SnapshotMeta, StorageOptions, compress, decompress_bounded, inspect_documents, inspect_payload};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Raw bytes that a frame may hold here: less than in service, so that a bomb is found soon.
const RAW_BYTES_MAX: usize = 1 << 20;

pub(crate) const TARGETS: [Target; 4] = [
    ("agent_frame", agent_frame, agent_frame_seeds),
    ("oplog_payload", oplog_payload, oplog_payload_seeds),
    ("ledger_entry", ledger_entry, ledger_entry_seeds),
    ("agent_body", agent_body, agent_body_seeds),
];

/// A compressed body, as agents send them.
fn agent_frame(data: &[u8]) {
    let Ok(raw) = decompress_bounded(data, RAW_BYTES_MAX) else { return };
    assert!(raw.len() <= RAW_BYTES_MAX);
    let again = compress(&raw).expect("memory for a frame");
    assert_eq!(decompress_bounded(&again, RAW_BYTES_MAX).expect("what was written can be read"), raw);
    if let Some(less) = raw.len().checked_sub(1) {
        assert!(decompress_bounded(data, less).is_err(), "the bound holds");
    }
    let _ = bson::deserialize_from_slice::<Catalog>(&raw);
}

fn agent_frame_seeds() -> Vec<Vec<u8>> {
    let frame = |raw: &[u8]| compress(raw).expect("memory for a frame");
    let mut seeds: Vec<_> = oplog_payload_seeds().iter().map(|raw| frame(raw)).collect();
    seeds.push(frame(&[0; 5000]));
    seeds
}

/// The documents of a slice.
fn oplog_payload(data: &[u8]) {
    let documents = inspect_documents(data);
    if let Ok(facts) = inspect_payload(data) {
        assert!(facts.entries > 0 && facts.first.ts <= facts.last.ts);
        let documents = documents.expect("entries are documents");
        assert_eq!((documents.documents, documents.raw_bytes), (facts.entries, facts.raw_bytes));
    }
}

fn oplog_payload_seeds() -> Vec<Vec<u8>> {
    let entry = |t: u32, o: bson::Document| {
        let entry = bson::doc! {
            "op": "i", "ns": "shop.orders", "o": o, "ts": bson::Timestamp { time: t, increment: 1 }, "t": 1_i64, "v": 2_i64,
            "wall": bson::DateTime::from_millis(1_700_000_000_000),
        };
        bson::serialize_to_vec(&entry).expect("a document")
    };
    let one =
        entry(10, bson::doc! { "_id": 1, "text": "hello", "nested": { "list": [1, 2.5, true, bson::Bson::Null] } });
    let two = entry(11, bson::doc! { "_id": bson::oid::ObjectId::from_bytes([7; 12]) });
    vec![one.clone(), [one.clone(), two.clone()].concat(), [two, one].concat()]
}

/// Entries of the ledger and facts of snapshots, as they are stored.
fn ledger_entry(data: &[u8]) {
    if let Ok(entry) = bson::deserialize_from_slice::<LedgerEntry>(data) {
        let again = bson::serialize_to_vec(&entry).expect("an entry is a document");
        let back: LedgerEntry = bson::deserialize_from_slice(&again).expect("what was written can be read");
        assert_eq!((back.hash(), &back), (entry.hash(), &entry));
    }
    if let Ok(meta) = SnapshotMeta::decode(data) {
        let again = meta.encode().expect("facts are a document");
        assert_eq!(SnapshotMeta::decode(&again).expect("what was written can be read"), meta);
    }
}

fn ledger_entry_seeds() -> Vec<Vec<u8>> {
    let at = |i| OpTime { ts: Ts { t: 100, i }, term: 2 };
    let payload = PayloadRef { hash: Hash32::of(b"raw"), raw_bytes: 3, entries: 9, day: 20_261_122 };
    let bodies = [EntryBody::Open, EntryBody::Slice { payload }, EntryBody::Close { reason: CloseReason::Stopped }];
    let mut seeds: Vec<_> = bodies
        .into_iter()
        .map(|body| LedgerEntry {
            job: "0123456789abcdef01234567".parse().expect("24 hexadecimal digits"),
            at: EntryPosition { chain: 0, seq: 1 },
            first: at(1),
            last: at(9),
            prev: Hash32::of(b"before"),
            body,
        })
        .map(|entry| bson::serialize_to_vec(&entry).expect("an entry is a document"))
        .collect();
    let group: GroupId = "89abcdef0123456701234567".parse().expect("24 hexadecimal digits");
    let meta = SnapshotMeta {
        group,
        rs: "rs0".into(),
        optime: at(3),
        resume: EntryPosition { chain: 1, seq: 7 },
        feed_from: at(3),
        server_version: "6.0.5".into(),
        fcv: "6.0".into(),
        storage: StorageOptions { directory_per_db: true, directory_for_indexes: false },
        taken_at: bson::DateTime::from_millis(5),
        label: Some("a label".into()),
    };
    seeds.push(meta.encode().expect("facts are a document"));
    seeds
}

/// What is read can be written, and what is written can be read.
fn round_trip<T: Serialize + DeserializeOwned>(json: &[u8]) {
    let Ok(value) = serde_json::from_slice::<T>(json) else { return };
    let text = serde_json::to_vec(&value).expect("a body is JSON");
    let again: T = serde_json::from_slice(&text).expect("what was written can be read");
    assert_eq!(serde_json::to_vec(&again).expect("a body is JSON"), text);
}

/// Which body, and its bytes.
const BODIES: [fn(&[u8]); 10] = [
    round_trip::<EnrollRequest>,
    round_trip::<ConfigRequest>,
    round_trip::<DiscoveryReport>,
    round_trip::<OpenChain>,
    round_trip::<CloseChain>,
    round_trip::<StartScan>,
    round_trip::<EndScan>,
    round_trip::<CompleteSync>,
    round_trip::<AppendSlice>,
    round_trip::<SyncSliceHeader>,
];

/// The first byte says which body the others are; a token is tried too.
fn agent_body(data: &[u8]) {
    let Some((kind, body)) = data.split_first() else { return };
    if let Some(read) = BODIES.get(usize::from(*kind)) {
        read(body);
    }
    if let Ok(text) = std::str::from_utf8(body)
        && let Ok(token) = EnrollToken::decode(text)
    {
        assert_eq!(EnrollToken::decode(&token.encode()), Ok(token));
    }
}

fn agent_body_seeds() -> Vec<Vec<u8>> {
    let token = EnrollToken {
        ingest_url: "https://a:8081".into(),
        web_url: "https://a:8080".into(),
        ca_pin: "00".into(),
        secret: "s".into(),
    };
    let seed = |kind: u8, body: &str| [&[kind], body.as_bytes()].concat();
    vec![
        seed(255, &token.encode()),
        seed(0, r#"{"secret":"s","hostname":"h","version":"1","instance":"i"}"#),
        seed(
            1,
            r#"{"version":"1","hostname":"h","haveRevision":null,"waitSeconds":30,"jobs":[{"job":"0123456789abcdef01234567","phase":"tail the oplog","progress":null,"member":"h:27017","sourceOptime":{"ts":{"t":1,"i":2},"term":3},"sentOptime":null,"oplogWindow":[1,2],"spoolBytes":0,"error":null}]}"#,
        ),
        seed(4, r#"{"reason":"stopped"}"#),
        seed(
            8,
            r#"{"at":{"chain":0,"seq":1},"prev":"00","payload":{"hash":"00","rawBytes":1,"entries":1,"day":20261122}}"#,
        ),
    ]
}
