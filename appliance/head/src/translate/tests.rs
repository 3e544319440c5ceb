//! What each kind of entry means, by entries as servers write them, and that no bytes make the translator panic.
#![allow(clippy::unwrap_used, reason = "tests")]

use bson::{Binary, Bson, Document, Timestamp, doc, spec::BinarySubtype};
use holdfast_domain::{OpTime, Ts};
use proptest::prelude::*;

use super::{super::error::EntryError, commands, *};

fn uuid(n: u8) -> Bson {
    Bson::Binary(Binary { subtype: BinarySubtype::Uuid, bytes: vec![n; 16] })
}

fn ts(i: u32) -> Timestamp {
    Timestamp { time: 100, increment: i }
}

fn entry(more: Document) -> Vec<u8> {
    let mut entry = doc! { "ts": ts(5), "t": 2_i64, "v": 2_i64, "wall": bson::DateTime::from_millis(1) };
    entry.extend(more);
    entry.to_vec().unwrap()
}

/// What an entry means, in a form that can be compared: the kind, and its operations as they would be stored.
fn meaning(bytes: &[u8]) -> Result<(&'static str, Vec<Document>), OpError> {
    let entry = Header::parse(bytes)?.entry()?;
    assert_eq!(entry.at, OpTime { ts: Ts { t: 100, i: 5 }, term: 2 });
    let (kind, ops) = match entry.meaning {
        Meaning::Now(ops) => ("now", ops),
        Meaning::Part { ops, prepared: false, .. } => ("part", ops),
        Meaning::Part { ops, .. } => ("prepare", ops),
        Meaning::Last { ops, .. } => ("last", ops),
        Meaning::Commit { .. } => ("commit", vec![]),
        Meaning::Abort { .. } => ("abort", vec![]),
    };
    Ok((kind, ops.iter().map(|op| Document::from_reader(op.encode().as_slice()).unwrap()).collect()))
}

fn unknown(more: Document) -> String {
    match meaning(&entry(more)) {
        Err(OpError::Unknown { what, .. }) => what,
        other => panic!("{other:?} is not refused"),
    }
}

#[test]
fn an_operation_keeps_only_its_own_fields() {
    let kept = doc! { "op": "u", "ns": "a.b", "ui": uuid(1), "o": { "$v": 2, "diff": { "u": { "x": 1 } } }, "o2": { "_id": 1 }, "b": true };
    let mut given = kept.clone();
    given.extend(doc! { "lsid": { "id": 1 }, "txnNumber": 3_i64, "stmtId": 0, "prevOpTime": { "ts": ts(1), "t": 1_i64 }, "preImageOpTime": 1, "needsRetryImage": "x", "fromMigrate": true });
    assert_eq!(meaning(&entry(given)).unwrap(), ("now", vec![kept]));
}

#[test]
fn what_belongs_to_the_server_only_moves_time_on() {
    for more in [
        doc! { "op": "n", "ns": "", "o": { "msg": "initiating set" } },
        doc! { "op": "i", "ns": "config.transactions", "ui": uuid(1), "o": { "_id": 1 } },
        doc! { "op": "u", "ns": "config.image_collection", "o": { "x": 1 }, "o2": { "_id": 1 } },
        doc! { "op": "d", "ns": "local.x", "o": { "_id": 1 } },
        doc! { "op": "c", "ns": "config.$cmd", "o": { "create": "system.indexBuilds" } },
        doc! { "op": "c", "ns": "a.$cmd", "o": { "dbCheck": "a.b" } },
        doc! { "op": "c", "ns": "admin.$cmd", "o": { "applyOps": [ { "op": "i", "ns": "config.x", "o": { "_id": 1 } } ] } },
    ] {
        assert_eq!(meaning(&entry(more)).unwrap(), ("now", vec![]));
    }
}

#[test]
fn nested_apply_ops_are_laid_out_in_order() {
    let op = |n: i32| doc! { "op": "i", "ns": "a.b", "ui": uuid(1), "o": { "_id": n } };
    let private = doc! { "op": "i", "ns": "config.transactions", "o": { "_id": 1 } };
    let inner = doc! { "op": "c", "ns": "admin.$cmd", "o": { "applyOps": [op(2), private, op(3)] } };
    let given = doc! { "op": "c", "ns": "admin.$cmd", "o": { "applyOps": [op(1), inner, op(4)] } };
    assert_eq!(meaning(&entry(given)).unwrap(), ("now", (1..=4).map(op).collect()));
    let mut deep = op(1);
    for _ in 0..12 {
        deep = doc! { "op": "c", "ns": "admin.$cmd", "o": { "applyOps": [deep] } };
    }
    assert!(matches!(meaning(&entry(deep)), Err(OpError::Entry(EntryError::Depth(_)))));
}

#[test]
fn parts_and_ends_of_transactions_are_told_apart() {
    let op = doc! { "op": "i", "ns": "a.b", "ui": uuid(1), "o": { "_id": 1 } };
    let txn = |o: Document| {
        let mut more = doc! { "op": "c", "ns": "admin.$cmd", "lsid": { "id": 1, "uid": 2 }, "txnNumber": 7_i64, "prevOpTime": { "ts": ts(4), "t": 2_i64 } };
        more.insert("o", o);
        more
    };
    let ops = vec![op.clone()];
    assert_eq!(
        meaning(&entry(txn(doc! { "applyOps": [op.clone()], "partialTxn": true }))).unwrap(),
        ("part", ops.clone())
    );
    assert_eq!(
        meaning(&entry(txn(doc! { "applyOps": [op.clone()], "prepare": true }))).unwrap(),
        ("prepare", ops.clone())
    );
    assert_eq!(meaning(&entry(txn(doc! { "applyOps": [op.clone()], "count": 9_i64 }))).unwrap(), ("last", ops.clone()));
    assert_eq!(meaning(&entry(txn(doc! { "commitTransaction": 1, "commitTimestamp": ts(4) }))).unwrap().0, "commit");
    assert_eq!(meaning(&entry(txn(doc! { "abortTransaction": 1 }))).unwrap().0, "abort");
    // A retryable insert of several documents has a session and a number and is no transaction.
    let mut vectored = txn(doc! { "applyOps": [op] });
    vectored.insert("multiOpType", 1);
    assert_eq!(meaning(&entry(vectored)).unwrap(), ("now", ops));

    let bytes = entry(txn(doc! { "commitTransaction": 1, "commitTimestamp": ts(4) }));
    let Meaning::Commit { txn: found, at } = Header::parse(&bytes).unwrap().entry().unwrap().meaning else {
        panic!("no commit")
    };
    assert_eq!(
        (found.number, found.prev, at),
        (7, Some(OpTime { ts: Ts { t: 100, i: 4 }, term: 2 }), Some(Ts { t: 100, i: 4 }))
    );
    let mut first = txn(doc! { "applyOps": [], "prepare": true });
    first.insert("prevOpTime", doc! { "ts": Timestamp { time: 0, increment: 0 }, "t": -1_i64 });
    let bytes = entry(first);
    let Meaning::Part { txn, .. } = Header::parse(&bytes).unwrap().entry().unwrap().meaning else { panic!("no part") };
    assert_eq!(txn.prev, None);
}

#[test]
fn what_is_not_known_is_refused_wherever_it_stands() {
    assert!(unknown(doc! { "op": "c", "ns": "a.$cmd", "o": { "dropIdent": "x" } }).contains("dropIdent"));
    assert!(unknown(doc! { "op": "c", "ns": "a.$cmd", "o": { "importCollection": "x" } }).contains("importCollection"));
    for op in ["km", "ci", "cu", "cd", "xi"] {
        assert!(unknown(doc! { "op": op, "ns": "a.b", "o": { "_id": 1 } }).contains(op));
    }
    assert!(unknown(doc! { "op": "i", "ns": "a.b", "rid": 5_i64, "o": { "_id": 1 } }).contains("rid"));
    let good = doc! { "op": "i", "ns": "a.b", "o": { "_id": 1 } };
    let bad = doc! { "op": "c", "ns": "a.$cmd", "o": { "upgradeDowngradeViewlessTimeseries": "x" } };
    assert!(unknown(doc! { "op": "c", "ns": "admin.$cmd", "o": { "applyOps": [good, bad] } }).contains("Viewless"));
}

#[test]
fn broken_entries_are_errors() {
    for more in [
        doc! { "op": "i", "ns": "a.b" },
        doc! { "op": "u", "ns": "a.b", "o": { "x": 1 } },
        doc! { "op": 5, "ns": "a.b", "o": {} },
        doc! { "op": "c", "ns": "a.$cmd", "o": {} },
        doc! { "op": "c", "ns": "admin.$cmd", "o": { "applyOps": 1 } },
        doc! { "op": "c", "ns": "admin.$cmd", "o": { "applyOps": [1] } },
        doc! { "op": "c", "ns": "admin.$cmd", "o": { "commitTransaction": 1 } },
    ] {
        assert!(matches!(meaning(&entry(more.clone())), Err(OpError::Entry(_))), "{more}");
    }
    assert_eq!(Header::parse(&doc! { "op": "n" }.to_vec().unwrap()).unwrap_err(), EntryError::Field("ts"));
}

fn parsed<T>(op: &Document, read: impl Fn(&Op<'_>) -> T) -> T {
    read(&Op::parse(&op.to_vec().unwrap()).unwrap())
}

fn documents(raw: &[Vec<u8>]) -> Vec<Document> {
    raw.iter().map(|bytes| Document::from_reader(bytes.as_slice()).unwrap()).collect()
}

#[test]
fn a_top_level_null_timestamp_is_written_by_a_delta() {
    let zero = Timestamp { time: 0, increment: 0 };
    let one = Timestamp { time: 0, increment: 1 };
    let insert = doc! { "op": "i", "ns": "a.b", "ui": uuid(1), "o": { "_id": 4, "a": zero, "n": { "z": zero }, "b": 1, "c": zero } };
    let pair = parsed(&insert, |op| timestamps::split(op, "a.x").unwrap()).unwrap();
    let want = vec![
        doc! { "op": "i", "ns": "a.x", "ui": uuid(1), "o": { "_id": 4, "a": one, "n": { "z": zero }, "b": 1, "c": one } },
        doc! { "op": "u", "ns": "a.x", "ui": uuid(1), "o": { "$v": 2, "diff": { "u": { "a": zero, "c": zero } } }, "o2": { "_id": 4 } },
    ];
    assert_eq!(documents(&pair), want);
    let replace = doc! { "op": "u", "ns": "a.b", "o": { "_id": 4, "a": zero }, "o2": { "_id": 4 } };
    assert!(parsed(&replace, |op| timestamps::split(op, "a.b").unwrap()).is_some());
    for plain in [
        doc! { "op": "i", "ns": "a.b", "o": { "_id": zero, "n": [zero], "t": one } },
        doc! { "op": "u", "ns": "a.b", "o": { "$v": 2, "diff": { "u": { "a": zero } } }, "o2": { "_id": 4 } },
        doc! { "op": "d", "ns": "a.b", "o": { "_id": 4, "a": zero } },
    ] {
        assert!(parsed(&plain, |op| timestamps::split(op, "a.b").unwrap()).is_none(), "{plain}");
    }
}

#[test]
fn index_specifications_come_out_as_the_command_takes_them() {
    let one = doc! { "op": "c", "ns": "a.$cmd", "o": { "createIndexes": "c", "v": 2, "key": { "x": 1 }, "name": "x_1", "background": true, "ns": "a.c", "unique": true } };
    let want = doc! { "v": 2, "key": { "x": 1 }, "name": "x_1", "unique": true };
    assert_eq!(documents(&parsed(&one, |op| commands::index_specs(op).unwrap())), vec![want.clone()]);
    let several = doc! { "op": "c", "ns": "a.$cmd", "o": { "commitIndexBuild": "c", "indexBuildUUID": uuid(9), "indexes": [
    { "v": 2, "key": { "x": 1 }, "name": "x_1", "unique": true, "background": false }, { "v": 2, "key": { "y": 1 }, "name": "y_1" } ] } };
    assert_eq!(
        documents(&parsed(&several, |op| commands::index_specs(op).unwrap())),
        vec![want, doc! { "v": 2, "key": { "y": 1 }, "name": "y_1" }]
    );
    parsed(&several, |op| {
        assert_eq!(commands::index_names(op).unwrap(), ["x_1", "y_1"]);
        let drop = Document::from_reader(commands::drop_index(op, "c", "x_1").as_slice()).unwrap();
        assert_eq!(drop, doc! { "op": "c", "ns": "a.$cmd", "o": { "dropIndexes": "c", "index": "x_1" } });
    });
}

#[test]
fn commands_are_changed_where_a_head_needs_it() {
    let o = doc! { "create": "c", "temp": true, "capped": true }.to_vec().unwrap();
    assert_eq!(documents(&[commands::create(&o).unwrap()]), vec![doc! { "create": "c", "capped": true }]);
    assert_eq!(
        documents(&[commands::retarget(&o, "d").unwrap()]),
        vec![doc! { "create": "d", "temp": true, "capped": true }]
    );
    for (o, version) in [
        (doc! { "_id": "featureCompatibilityVersion", "version": "5.0" }, Some((5, 0))),
        (doc! { "_id": "featureCompatibilityVersion", "version": "6.0", "targetVersion": "7.0" }, Some((7, 0))),
        (doc! { "$v": 2, "diff": { "u": { "version": "6.0" }, "d": { "targetVersion": false } } }, Some((6, 0))),
        (doc! { "$v": 2, "diff": { "i": { "targetVersion": "6.3" } } }, Some((6, 3))),
        (doc! { "$v": 1, "$set": { "version": "5.0" } }, Some((5, 0))),
        (doc! { "_id": "authSchema", "currentVersion": 5 }, None),
    ] {
        let op = doc! { "op": "u", "ns": "admin.system.version", "o": o, "o2": { "_id": "x" } };
        assert_eq!(parsed(&op, |op| commands::version_set(op).unwrap()), version, "{op}");
        assert!(parsed(&op, |op| op.must_be_alone()));
    }
    let other = doc! { "op": "i", "ns": "a.b", "o": { "version": "9.0" } };
    assert_eq!(parsed(&other, |op| commands::version_set(op).unwrap()), None);
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = Header::parse(&bytes).map(Header::entry);
        let _ = Op::parse(&bytes);
    }

    #[test]
    fn an_entry_with_flipped_bytes_never_panics(flips in proptest::collection::vec((0usize..1000, any::<u8>()), 1..6)) {
        let inner = doc! { "op": "c", "ns": "a.$cmd", "ui": uuid(1), "o": { "commitIndexBuild": "c", "indexes": [{ "name": "x", "key": { "x": 1 } }] }, "o2": { "_id": 1 } };
        let mut bytes = entry(doc! { "op": "c", "ns": "admin.$cmd", "lsid": { "id": 1 }, "txnNumber": 7_i64, "o": { "applyOps": [inner, { "op": "i", "ns": "a.b", "o": { "_id": 1, "t": Timestamp { time: 0, increment: 0 } } }], "partialTxn": true } });
        for (at, to) in flips {
            let at = at % bytes.len();
            bytes[at] = to;
        }
        if let Ok(Ok(entry)) = Header::parse(&bytes).map(Header::entry)
            && let Meaning::Now(ops) | Meaning::Part { ops, .. } | Meaning::Last { ops, .. } = entry.meaning
        {
            for op in &ops {
                let _ = (timestamps::split(op, op.ns), commands::index_specs(op), commands::index_names(op), commands::version_set(op), op.command_target(), op.encode());
            }
        }
    }
}
