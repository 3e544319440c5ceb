//! What copies of ledgers outside of the database hold: segments, and the facts of jobs.

use blockstore_engine::fuzzing::Target;
use bson::{Bson, Document};
use bytes::Bytes;
use holdfast_domain::{
    BackupJobId, CloseReason, EntryBody, EntryPosition, Hash32, LedgerEntry, OpTime, PayloadRef, Ts,
};
use holdfast_ledger::{
    JobFacts, LedgerError, Segment, SegmentBuilder, SegmentName, StoredEntry, compress, gaps, path, stretches,
};

pub(crate) const TARGETS: [Target; 2] =
    [("ledger_segment", ledger_segment, ledger_segment_seeds), ("job_facts", job_facts, job_facts_seeds)];

/// Magic and length of the header.
const HEAD_BYTES: usize = 8;
/// Entries whose payloads are read, at most: a slice may hold 64 MiB.
const PAYLOADS_READ: usize = 4;

/// A name on the first line, then a segment.
fn ledger_segment(data: &[u8]) {
    let Some(at) = data.iter().position(|byte| *byte == b'\n') else { return };
    let (line, bytes) = (&data[..at], &data[at + 1..]);
    let Some(mut name) = std::str::from_utf8(line).ok().and_then(|line| line.parse::<SegmentName>().ok()) else { return };
    listing(&name);
    name.bytes = bytes.len() as u64;
    check(&name, bytes);
    if let Some(forged) = forged(bytes) {
        name.bytes = forged.len() as u64;
        check(&name, &forged);
    }
}

/// What a listing says of the chain holds, whatever the name is.
fn listing(name: &SegmentName) {
    assert_eq!(name.to_string().parse::<SegmentName>().as_ref(), Ok(name), "a segment has one name");
    let names = [name.clone()];
    let way = path(&names, name.chain, name.first);
    assert_eq!(way.len(), 1, "it leads from its beginning on");
    assert!(gaps(&names, name.chain, name.first, name.last).is_empty(), "it has no gap");
    let found = stretches(&names);
    assert_eq!((found[0].first, found[0].last), (name.first, name.last));
}

fn check(name: &SegmentName, bytes: &[u8]) {
    let segment = match Segment::decode(name, Bytes::copy_from_slice(bytes)) {
        Ok(segment) => segment,
        Err(error) => return assert!(matches!(error, LedgerError::Corrupt { .. }), "{error}"),
    };
    let entries: Vec<StoredEntry> = segment.entries().cloned().collect();
    let ends = |one: Option<&StoredEntry>| one.map(|one| one.entry.at.seq);
    assert_eq!((ends(entries.first()), ends(entries.last())), (Some(name.first), Some(name.last)));
    let mut builder = SegmentBuilder::default();
    for (index, stored) in entries.iter().enumerate() {
        assert_eq!((stored.entry.hash(), &stored.entry.job), (stored.hash, &name.job));
        if index < PAYLOADS_READ {
            let raw = segment.raw(index).expect("an entry has a place");
            match (raw, &stored.entry.body) {
                (Ok(raw), EntryBody::Slice { payload }) => {
                    assert_eq!((Hash32::of(&raw), i64::try_from(raw.len())), (payload.hash, Ok(payload.raw_bytes)));
                }
                (Ok(raw), _) => assert!(raw.is_empty()),
                (Err(error), _) => assert!(matches!(error, LedgerError::Corrupt { .. }), "{error}"),
            }
        }
        // Without its frames it is a segment all the same, of the same entries.
        let source = segment.source().filter(|_| index == 0).cloned();
        builder.push(stored, source, None).expect("entries that were read follow each other");
    }
    assert!(segment.raw(entries.len()).is_none());
    let (again, bytes) = builder.finish().expect("a header of this size").expect("there are entries");
    let read = Segment::decode(&again, bytes.into()).expect("what was written can be read");
    assert!(read.entries().eq(entries.iter()));
}

/// The same with every hash put right, and each entry made the next after the one before: as whoever wrote it on purpose would.
fn forged(bytes: &[u8]) -> Option<Vec<u8>> {
    let header_bytes = u32::from_le_bytes(bytes.get(4..HEAD_BYTES)?.try_into().ok()?);
    let frames_at = HEAD_BYTES.checked_add(usize::try_from(header_bytes).ok()?)?;
    let mut header: Document = bson::deserialize_from_slice(bytes.get(HEAD_BYTES..frames_at)?).ok()?;
    let mut before: Option<(Hash32, EntryPosition)> = None;
    for line in header.get_array_mut("entries").ok()? {
        let line = line.as_document_mut()?;
        let mut entry: LedgerEntry = bson::deserialize_from_document(line.get_document("entry").ok()?.clone()).ok()?;
        if let Some((hash, at)) = before {
            entry.prev = hash;
            entry.at = EntryPosition { seq: at.seq.checked_add(1)?, ..at };
        }
        let hash = entry.hash();
        line.insert("entry", bson::serialize_to_bson(&entry).ok()?);
        line.insert("hash", bson::serialize_to_bson(&hash).ok()?);
        before = Some((hash, entry.at));
    }
    let header = bson::serialize_to_vec(&header).ok()?;
    let mut out = b"HFL\x01".to_vec();
    out.extend_from_slice(&u32::try_from(header.len()).ok()?.to_le_bytes());
    out.extend_from_slice(&header);
    out.extend_from_slice(bytes.get(frames_at..)?);
    Some(out)
}

fn job() -> BackupJobId {
    "0123456789abcdef01234567".parse().expect("24 hexadecimal digits")
}

/// An opening entry, two slices, a closing entry.
fn chain() -> Vec<(StoredEntry, Option<Vec<u8>>)> {
    let mut out: Vec<(StoredEntry, Option<Vec<u8>>)> = Vec::new();
    for seq in 0..4_u32 {
        let raw = vec![7_u8; 50 * seq as usize];
        let body = match seq {
            0 => EntryBody::Open,
            3 => EntryBody::Close { reason: CloseReason::Stopped },
            n => EntryBody::Slice {
                payload: PayloadRef { hash: Hash32::of(&raw), raw_bytes: 50 * i64::from(n), entries: 1, day: 20_261_122 },
            },
        };
        let frame = matches!(body, EntryBody::Slice { .. }).then(|| compress(&raw).expect("memory for a frame"));
        let at = OpTime { ts: Ts { t: 100 + seq, i: 1 }, term: 1 };
        let entry = LedgerEntry {
            job: job(),
            at: EntryPosition { chain: 2, seq: seq.into() },
            first: at,
            last: at,
            prev: out.last().map_or(Hash32::ZERO, |(before, _)| before.hash),
            body,
        };
        let (hash, received_at) = (entry.hash(), bson::DateTime::from_millis(5));
        out.push((StoredEntry { entry, hash, summary: Default::default(), received_at, detail: None }, frame));
    }
    out
}

fn ledger_segment_seeds() -> Vec<Vec<u8>> {
    let all = chain();
    [&all[..], &all[1..3], &all[..1], &all[3..]]
        .into_iter()
        .map(|entries| {
            let mut builder = SegmentBuilder::default();
            for (stored, frame) in entries {
                let source = (stored.entry.at.seq == 0).then(|| bson::doc! { "rs": "rs0", "hosts": ["a:27017"] });
                builder.push(stored, source, frame.as_deref()).expect("they follow each other");
            }
            let (name, bytes) = builder.finish().expect("a short header").expect("there are entries");
            [format!("{name}\n").as_bytes(), &bytes].concat()
        })
        .collect()
}

/// Facts of a job: as an object beside the packs (JSON), and as a document of the database.
fn job_facts(data: &[u8]) {
    let check = |facts: JobFacts| {
        let text = serde_json::to_vec(&facts).expect("facts are JSON");
        assert_eq!(serde_json::from_slice::<JobFacts>(&text).expect("what was written can be read"), facts);
        let document = bson::serialize_to_vec(&facts).expect("facts are a document");
        let back: JobFacts = bson::deserialize_from_slice(&document).expect("what was written can be read");
        assert_eq!(back, facts);
        let name = JobFacts::name(&facts.job);
        let inside = name.strip_prefix(JobFacts::folder()).and_then(|rest| rest.strip_prefix('/'));
        assert!(inside.is_some_and(|rest| !rest.contains('/') && !rest.starts_with('.')), "{name} leads elsewhere");
    };
    if let Ok(facts) = serde_json::from_slice(data) {
        check(facts);
    }
    if let Ok(facts) = bson::deserialize_from_slice(data) {
        check(facts);
    }
}

fn job_facts_seeds() -> Vec<Vec<u8>> {
    let facts = JobFacts {
        job: job(),
        group: "89abcdef0123456701234567".into(),
        group_name: "shop".into(),
        deployment: "orders".into(),
        rs: "rs0".into(),
    };
    let mut document = bson::serialize_to_document(&facts).expect("facts are a document");
    document.insert("_id", Bson::String(job().to_string()));
    document.insert("mirrors", bson::doc! { "1": { "behindSeconds": 3_i64 } });
    vec![
        serde_json::to_vec_pretty(&facts).expect("facts are JSON"),
        bson::serialize_to_vec(&facts).expect("facts are a document"),
        bson::serialize_to_vec(&document).expect("a document"),
    ]
}
