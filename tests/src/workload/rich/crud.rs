//! Inserts, updates of every format, deletes, odd ids and names, retryable writes, large documents.

use anyhow::ensure;
use bson::{Binary, Bson, Document, Timestamp, doc, spec::BinarySubtype};
use mongodb::{Collection, options::ReturnDocument};
use rand::Rng;

use super::Steps;
use crate::workload::command::{delete, index, insert, ok, run as command, update, upsert};

fn plain_document(i: i32) -> Document {
    doc! { "_id": i, "v": i, "s": "x".repeat(50), "arr": [1, 2, 3], "n": { "a": 1, "b": { "c": 2 } } }
}

/// Steps that the later ones build on.
pub(super) async fn run(steps: &mut Steps) {
    updates(steps).await;
    operators(steps).await;
    odd(steps).await;
}

async fn updates(steps: &mut Steps) {
    let db = steps.db.clone();
    let plain: Collection<Document> = db.collection("plain");
    let d = &db;
    steps
        .step("insert many", async {
            plain.insert_many((0..500).map(plain_document)).await.map(drop).map_err(Into::into)
        })
        .await;
    steps
        .step("delta update", async {
            for i in 0..100 {
                let change = doc! { "$set": { "v": i * 2, "n.b.c": i }, "$unset": { "n.a": 1 }, "$push": { "arr": i } };
                plain.update_one(doc! { "_id": i }, change).await?;
            }
            Ok(())
        })
        .await;
    let range = |from: i32, to: i32| doc! { "_id": { "$gte": from, "$lt": to } };
    steps
        .step("array element", ok(command(d, update("plain", range(100, 150), doc! { "$set": { "arr.1": 99 } }, true))))
        .await;
    let pop = doc! { "$pop": { "arr": 1 }, "$rename": { "s": "ss" } };
    steps.step("pop and rename field", ok(command(d, update("plain", range(150, 200), pop, true)))).await;
    let pipeline = vec![doc! { "$set": { "z": { "$add": ["$v", 1] }, "n": { "$mergeObjects": ["$n", { "q": 1 }] } } }];
    steps.step("pipeline update", ok(command(d, update("plain", range(200, 250), pipeline, true)))).await;
    steps
        .step("replace", async {
            plain.replace_one(doc! { "_id": 260 }, doc! { "only": "this" }).await.map(drop).map_err(Into::into)
        })
        .await;
    let change = doc! { "$set": { "a": 1 }, "$setOnInsert": { "b": 2 }, "$inc": { "n": 3 } };
    steps.step("upsert", ok(command(d, upsert("plain", doc! { "_id": "ups" }, change)))).await;
    steps
        .step(
            "upsert by pipeline",
            ok(command(d, upsert("plain", doc! { "_id": "ups2" }, vec![doc! { "$set": { "a": "$$NOW" } }]))),
        )
        .await;
    steps
        .step("upsert by replacement", ok(command(d, upsert("plain", doc! { "_id": "ups3" }, doc! { "whole": true }))))
        .await;
    steps.step("delete many", ok(command(d, delete("plain", range(300, 350), 0)))).await;
    steps
        .step("find and update", async {
            plain
                .find_one_and_update(doc! { "_id": 5 }, doc! { "$inc": { "v": 1 } })
                .await
                .map(drop)
                .map_err(Into::into)
        })
        .await;
    steps
        .step("find and delete", async {
            plain.find_one_and_delete(doc! { "_id": 6 }).await.map(drop).map_err(Into::into)
        })
        .await;
    steps
        .step("find and replace", async {
            plain.find_one_and_replace(doc! { "_id": 10 }, doc! { "r": 1 }).await.map(drop).map_err(Into::into)
        })
        .await;
}

async fn operators(steps: &mut Steps) {
    let db = steps.db.clone();
    let d = &db;
    let one = |id: i32, change: Document| ok(command(d, update("ops", doc! { "_id": id }, change, false)));
    let base = |i| doc! { "_id": i, "n": 5, "f": 1.5, "l": 7_i64, "arr": [3, 1, 2, 3], "docs": [{ "k": 1, "v": 1 }, { "k": 2, "v": 2 }], "at": bson::DateTime::from_millis(0) };
    steps.step("operators base", ok(command(d, insert("ops", (0..20).map(base))))).await;
    steps
        .step(
            "inc mul min max",
            one(0, doc! { "$inc": { "n": 2 }, "$mul": { "f": 2 }, "$min": { "l": 3_i64 }, "$max": { "new": 9 } }),
        )
        .await;
    steps.step("bit", one(1, doc! { "$bit": { "n": { "xor": 3 } } })).await;
    steps.step("current date", one(2, doc! { "$currentDate": { "at": true, "ts": { "$type": "timestamp" } } })).await;
    steps.step("add to set", one(3, doc! { "$addToSet": { "arr": { "$each": [1, 8, 9] } } })).await;
    steps.step("pull", one(4, doc! { "$pull": { "arr": { "$gte": 3 } } })).await;
    steps.step("pull all", one(5, doc! { "$pullAll": { "arr": [3] } })).await;
    steps
        .step("push sort slice", one(6, doc! { "$push": { "arr": { "$each": [0, 9], "$sort": -1, "$slice": 4 } } }))
        .await;
    steps
        .step(
            "positional",
            ok(command(d, update("ops", doc! { "_id": 7, "docs.k": 2 }, doc! { "$set": { "docs.$.v": 22 } }, false))),
        )
        .await;
    steps.step("all positional", one(8, doc! { "$inc": { "docs.$[].v": 10 } })).await;
    let filtered = doc! { "update": "ops", "updates": [{ "q": { "_id": 9 }, "u": { "$set": { "docs.$[x].v": 0 } }, "arrayFilters": [{ "x.k": 1 }] }] };
    steps.step("array filters", ok(command(d, filtered))).await;
    steps.step("null padded array", one(10, doc! { "$set": { "arr.9": 1 } })).await;
    steps.step("type change", one(11, doc! { "$set": { "arr": { "now": "a document" }, "n": "text" } })).await;
    let stages = vec![
        doc! { "$unset": ["f", "docs"] },
        doc! { "$replaceWith": { "$mergeObjects": ["$$ROOT", { "x": [1, [2, { "y": 3 }]] }] } },
    ];
    steps.step("pipeline unset replace", ok(command(d, update("ops", doc! { "_id": 12 }, stages, false)))).await;
    let large = doc! { "$set": { "blob": "b".repeat(200_000) } };
    steps.step("document grows", one(13, large)).await;
    steps.step("document shrinks", one(13, doc! { "$unset": { "blob": 1 } })).await;
}

async fn odd(steps: &mut Steps) {
    let db = steps.db.clone();
    let d = &db;
    let binary = |subtype, bytes: &[u8]| Bson::Binary(Binary { subtype, bytes: bytes.to_vec() });
    let ids: Vec<Bson> = vec![
        doc! { "a": 1, "b": [1] }.into(),
        Bson::Null,
        Bson::Timestamp(Timestamp { time: 5, increment: 6 }),
        binary(BinarySubtype::Generic, b"abc"),
        binary(BinarySubtype::Uuid, &[7; 16]),
        Bson::MinKey,
        Bson::MaxKey,
        Bson::Double(1.5),
        Bson::Decimal128("1.10".parse().unwrap_or(bson::Decimal128::from_bytes([0; 16]))),
        Bson::Boolean(true),
        Bson::DateTime(bson::DateTime::from_millis(-1)),
        Bson::Int64(1 << 40),
        Bson::from("é\u{0}x"),
        Bson::from(""),
    ];
    steps.step("odd ids", ok(command(d, insert("odd", ids.into_iter().map(|id| doc! { "_id": id }))))).await;
    let values = doc! { "_id": "values", "undefined": Bson::Undefined, "code": Bson::JavaScriptCode("x".into()), "symbol": Bson::Symbol("s".into()),
    "nan": f64::NAN, "negative zero": -0.0, "nested": [[[]], {}], "min": Bson::MinKey };
    steps.step("odd types", ok(command(d, insert("odd", [values])))).await;
    let names = doc! { "_id": "dd", "$price": 1, "a.b": 2, "n": { "$x": 1, "c.d": { "$e": 1 } }, "": 3 };
    steps.step("dollars and dots", ok(command(d, insert("odd", [names])))).await;
    for (step, field) in [("set field with dot", "a.b"), ("set field with dollar", "$price")] {
        let stage = doc! { "$replaceWith": { "$setField": { "field": { "$literal": field }, "input": "$$ROOT", "value": 22 } } };
        steps.step(step, ok(command(d, update("odd", doc! { "_id": "dd" }, vec![stage], false)))).await;
    }
    let zero = Timestamp { time: 0, increment: 0 };
    steps
        .step("empty timestamp filled by the server", ok(command(d, insert("odd", [doc! { "_id": "ts", "t": zero }]))))
        .await;
    let stage = doc! { "$set": { "t0": zero, "after": 1 } };
    steps.step("empty timestamp kept", ok(command(d, update("odd", doc! { "_id": "ts" }, vec![stage], false)))).await;
    steps
        .step(
            "empty timestamp below the top",
            ok(command(d, insert("odd", [doc! { "_id": "ts2", "in": { "t": zero } }]))),
        )
        .await;
    steps
        .step(
            "field order",
            ok(command(d, update("odd", doc! { "_id": "ts" }, doc! { "$set": { "zz": 1, "aa": 2 } }, false))),
        )
        .await;
    let deep = (0..90).fold(doc! { "end": 1 }, |inner, _| doc! { "d": inner });
    steps.step("deep document", ok(command(d, insert("odd", [doc! { "_id": "deep", "d": deep }])))).await;
    let many: Document = (0..2000).map(|i| (format!("f{i}"), Bson::Int32(i))).collect();
    steps
        .step(
            "many fields",
            ok(command(
                d,
                insert(
                    "odd",
                    [{
                        let mut all = doc! { "_id": "many" };
                        all.extend(many);
                        all
                    }],
                ),
            )),
        )
        .await;
}

/// Steps that come after indexes, renames and transactions.
pub(super) async fn late(steps: &mut Steps) {
    let (db, client) = (steps.db.clone(), steps.client.clone());
    let d = &db;
    let plain: Collection<Document> = db.collection("plain");
    steps
        .step("retryable find and update", async {
            for i in 20..30 {
                let change = plain.find_one_and_update(doc! { "_id": i }, doc! { "$set": { "rf": i } });
                ensure!(change.return_document(ReturnDocument::After).await?.is_some(), "document {i} is not there");
            }
            Ok(())
        })
        .await;
    steps
        .step("bulk of mixed writes", async {
            command(d, insert("plain", (0..50).map(|i| doc! { "_id": format!("b{i}") }))).await?;
            let updates: Vec<Document> =
                (0..50).map(|i| doc! { "q": { "_id": format!("b{i}") }, "u": { "$set": { "q": i } } }).collect();
            command(d, doc! { "update": "plain", "updates": updates, "ordered": false }).await?;
            command(d, delete("plain", doc! { "_id": "b3" }, 1)).await.map(drop)
        })
        .await;
    steps
        .step("emptied collection", async {
            command(d, insert("emp", [doc! { "_id": 1 }])).await?;
            command(d, delete("emp", doc! { "_id": 1 }, 1)).await.map(drop)
        })
        .await;
    steps
        .step(
            "compressible 16 MB document",
            ok(command(d, insert("bigdoc", [doc! { "_id": 1, "p": "x".repeat(16 * 1024 * 1024 - 100) }]))),
        )
        .await;
    let (long_db, long_name) = ("d".repeat(60), "c".repeat(180));
    steps
        .step("long namespace", ok(command(&client.database(&long_db), insert(&long_name, [doc! { "_id": 1 }]))))
        .await;
    steps.step("unicode namespace", ok(command(d, insert("cöll.with.dots é", [doc! { "_id": 1 }])))).await;
    steps.step("mixed case database", ok(command(&client.database("sysX"), insert("a", [doc! { "_id": 1 }])))).await;
    steps
        .step("chunks of a file store", async {
            let chunk = |i: i32| {
                let mut data = vec![0; 200_000];
                rand::rng().fill_bytes(&mut data);
                doc! { "_id": i, "files_id": 1, "n": i, "data": Binary { subtype: BinarySubtype::Generic, bytes: data } }
            };
            command(d, insert("fs.chunks", (0..10).map(chunk))).await?;
            command(d, index("fs.chunks", "files", doc! { "files_id": 1, "n": 1 }, doc! { "unique": true })).await.map(drop)
        })
        .await;
    let same = update("plain", doc! { "_id": 8 }, doc! { "$set": { "s": "x".repeat(50) } }, false);
    steps.step("write that changes nothing", ok(command(d, same))).await;
    steps
        .step(
            "integer becomes double",
            ok(command(d, update("plain", doc! { "_id": 9 }, doc! { "$inc": { "v": 0.1 } }, false))),
        )
        .await;
    nested(steps).await;
}

async fn nested(steps: &mut Steps) {
    let db = steps.db.clone();
    let d = &db;
    let inner = |i: i32| doc! { "c": i, "d": [1, 2, { "e": 5 }] };
    let outer = doc! { "b": (0..5).map(inner).collect::<Vec<_>>() };
    let one = |change: Document| ok(command(d, update("nest", doc! { "_id": 1 }, change, false)));
    steps.step("nested base", ok(command(d, insert("nest", [doc! { "_id": 1, "a": vec![outer; 4] }])))).await;
    steps
        .step(
            "nested set unset",
            one(doc! { "$set": { "a.2.b.3.d.2.e": 77, "a.1.b.0.zz": 1 }, "$unset": { "a.0.b.1.c": 1 } }),
        )
        .await;
    steps
        .step("nested push at front", one(doc! { "$push": { "a.3.b.2.d": { "$each": [9, 8], "$position": 0 } } }))
        .await;
    steps.step("nested grow array", one(doc! { "$set": { "a.6": 1 } })).await;
}
