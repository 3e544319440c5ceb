//! Indexes of every type and option, changed and dropped.

use bson::{DateTime, Document, doc};

use super::Steps;
use crate::workload::command::{delete, index, insert, ok, refused, run as command, update};

pub(super) async fn run(steps: &mut Steps) {
    types(steps).await;
    changes(steps).await;
}

async fn types(steps: &mut Steps) {
    let db = steps.db.clone();
    let d = &db;
    let none = Document::new;
    steps
        .step(
            "index on empty collection",
            ok(command(d, index("c_plain", "a_1", doc! { "a": 1 }, doc! { "unique": true, "sparse": true }))),
        )
        .await;
    steps
        .step("index on documents", ok(command(d, index("plain", "v_1_s_-1", doc! { "v": 1, "s": -1 }, none()))))
        .await;
    let several = doc! { "createIndexes": "plain", "indexes": [
        { "key": { "arr": 1 }, "name": "arr_1" },
        { "key": { "n.q": 1 }, "name": "part", "partialFilterExpression": { "v": { "$gt": 3 } } },
        { "key": { "$**": 1 }, "name": "wild" },
    ] };
    steps.step("several indexes at once", ok(command(d, several))).await;
    let projected = index("ops", "wild_some", doc! { "$**": 1 }, doc! { "wildcardProjection": { "n": 1, "docs": 1 } });
    steps.step("wildcard with projection", ok(command(d, projected))).await;
    let text = index(
        "plain",
        "ss_text",
        doc! { "ss": "text" },
        doc! { "default_language": "english", "weights": { "ss": 3 } },
    );
    steps.step("text index", ok(command(d, text))).await;
    steps
        .step("geo indexes", async {
            command(d, insert("geo", [doc! { "_id": 1, "loc": { "type": "Point", "coordinates": [1, 2] } }])).await?;
            command(d, index("geo", "loc_2dsphere", doc! { "loc": "2dsphere" }, none())).await?;
            command(d, index("geo", "l2_2d", doc! { "l2": "2d" }, doc! { "bits": 20 })).await.map(drop)
        })
        .await;
    steps.step("hashed index", ok(command(d, index("plain", "v_hashed", doc! { "v": "hashed" }, none())))).await;
    steps
        .step(
            "compound hashed index",
            ok(command(d, index("ops", "n_hashed_f", doc! { "n": "hashed", "f": 1 }, none()))),
        )
        .await;
    steps
        .step("TTL index", async {
            let old = (0..20).map(|i| doc! { "_id": i, "at": DateTime::from_millis(1_577_836_800_000) });
            command(d, insert("ttl", old)).await?;
            command(d, insert("ttl", [doc! { "_id": 100, "at": DateTime::from_millis(3_976_214_400_000) }])).await?;
            command(d, index("ttl", "at_1", doc! { "at": 1 }, doc! { "expireAfterSeconds": 10 })).await.map(drop)
        })
        .await;
    steps
        .step(
            "index with collation",
            ok(command(d, index("plain", "s_fr", doc! { "s": 1 }, doc! { "collation": { "locale": "fr" } }))),
        )
        .await;
    let engine = doc! { "storageEngine": { "wiredTiger": { "configString": "prefix_compression=false" } } };
    steps.step("index with engine options", ok(command(d, index("ops", "l_engine", doc! { "l": 1 }, engine)))).await;
    steps
        .step(
            "index with comment name",
            ok(command(d, index("ops", "näme with spaces", doc! { "at": -1 }, doc! { "hidden": true }))),
        )
        .await;
    steps
        .step("unique partial index", async {
            command(d, insert("uqp", [doc! { "_id": 1, "u": 1, "on": false }, doc! { "_id": 2, "u": 1, "on": true }]))
                .await?;
            let partial = doc! { "unique": true, "partialFilterExpression": { "on": true } };
            command(d, index("uqp", "u_on", doc! { "u": 1 }, partial)).await.map(drop)
        })
        .await;
}

async fn changes(steps: &mut Steps) {
    let db = steps.db.clone();
    let d = &db;
    let none = Document::new;
    steps
        .step("hide index", ok(command(d, doc! { "collMod": "plain", "index": { "name": "s_fr", "hidden": true } })))
        .await;
    steps
        .step(
            "unhide index",
            ok(command(d, doc! { "collMod": "ops", "index": { "name": "näme with spaces", "hidden": false } })),
        )
        .await;
    steps
        .step(
            "TTL changed",
            ok(command(d, doc! { "collMod": "ttl", "index": { "name": "at_1", "expireAfterSeconds": 20_i64 } })),
        )
        .await;
    steps
        .step("index made TTL", async {
            command(d, index("ttl", "later_1", doc! { "later": 1 }, none())).await?;
            command(d, doc! { "collMod": "ttl", "index": { "name": "later_1", "expireAfterSeconds": 3_600_i64 } })
                .await
                .map(drop)
        })
        .await;
    steps
        .step("index made unique", async {
            command(d, insert("uq", (0..50).map(|i| doc! { "_id": i, "u": i }))).await?;
            command(d, index("uq", "u_1", doc! { "u": 1 }, none())).await?;
            command(d, doc! { "collMod": "uq", "index": { "name": "u_1", "prepareUnique": true } }).await?;
            command(d, doc! { "collMod": "uq", "index": { "name": "u_1", "unique": true } }).await.map(drop)
        })
        .await;
    steps
        .step("failed index build", async {
            command(d, insert("fb", [doc! { "_id": 1, "u": 1 }, doc! { "_id": 2, "u": 1 }])).await?;
            refused(
                "a unique index over duplicates",
                command(d, index("fb", "u_1", doc! { "u": 1 }, doc! { "unique": true })).await,
            )
        })
        .await;
    steps.step("drop index", ok(command(d, doc! { "dropIndexes": "plain", "index": "arr_1" }))).await;
    steps
        .step("drop indexes by list", async {
            command(d, insert("di2", [doc! { "_id": 1 }])).await?;
            for field in ["a", "b", "c"] {
                command(d, index("di2", field, doc! { field: 1 }, none())).await?;
            }
            command(d, doc! { "dropIndexes": "di2", "index": ["a", "c"] }).await.map(drop)
        })
        .await;
    steps
        .step("drop all indexes", async {
            command(d, insert("di", [doc! { "_id": 1 }])).await?;
            for field in ["a", "b"] {
                command(d, index("di", field, doc! { field: 1 }, none())).await?;
            }
            command(d, doc! { "dropIndexes": "di", "index": "*" }).await.map(drop)
        })
        .await;
    steps
        .step("unique key moves", async {
            command(d, index("us", "k_1", doc! { "k": 1 }, doc! { "unique": true })).await?;
            command(d, insert("us", [doc! { "_id": 1, "k": "a" }, doc! { "_id": 2, "k": "b" }])).await?;
            command(d, delete("us", doc! { "_id": 1 }, 1)).await?;
            command(d, insert("us", [doc! { "_id": 3, "k": "a" }])).await?;
            command(d, update("us", doc! { "_id": 2 }, doc! { "$set": { "k": "c" } }, false)).await?;
            command(d, insert("us", [doc! { "_id": 4, "k": "b" }])).await.map(drop)
        })
        .await;
}
