//! Collections with every option, and what is written to them; time series and views.

use anyhow::{Context, ensure};
use bson::{Bson, DateTime, Document, doc};

use super::Steps;
use crate::workload::command::{delete, index, insert, ok, refused, run as command, update};

/// 2026-01-01 in milliseconds.
const START_MS: i64 = 1_767_225_600_000;

pub(super) async fn run(steps: &mut Steps) {
    validators(steps).await;
    capped(steps).await;
    clustered(steps).await;
    other_options(steps).await;
    modified(steps).await;
}

async fn validators(steps: &mut Steps) {
    let db = steps.db.clone();
    let d = &db;
    steps.step("create", ok(command(d, doc! { "create": "c_plain" }))).await;
    let schema = doc! { "$jsonSchema": { "required": ["x"], "properties": { "x": { "bsonType": "int" } } } };
    let create =
        doc! { "create": "c_val", "validator": schema, "validationLevel": "strict", "validationAction": "error" };
    steps.step("create with validator", ok(command(d, create))).await;
    steps.step("valid insert", ok(command(d, insert("c_val", [doc! { "_id": 1, "x": 1 }])))).await;
    steps
        .step("invalid insert refused", async {
            refused("an invalid insert", command(d, insert("c_val", [doc! { "_id": 9 }])).await)
        })
        .await;
    let bypassing = |mut command: Document| {
        command.insert("bypassDocumentValidation", true);
        command
    };
    let invalid = bypassing(insert("c_val", [doc! { "_id": 2, "x": "not an int" }, doc! { "_id": 3 }]));
    steps.step("invalid insert bypassing", ok(command(d, invalid))).await;
    let invalid = bypassing(update("c_val", doc! { "_id": 1 }, doc! { "$set": { "x": "bad" } }, false));
    steps.step("invalid update bypassing", ok(command(d, invalid))).await;
    steps
        .step("validator added over invalid documents", async {
            command(d, insert("c_val2", [doc! { "_id": 1, "bad": 1 }])).await?;
            command(d, doc! { "collMod": "c_val2", "validator": { "x": { "$exists": true } } }).await.map(drop)
        })
        .await;
    steps
        .step(
            "create with collation",
            ok(command(d, doc! { "create": "c_coll", "collation": { "locale": "en", "strength": 2 } })),
        )
        .await;
    steps.step("collation insert", ok(command(d, insert("c_coll", [doc! { "_id": "A" }, doc! { "_id": "b" }])))).await;
    steps
        .step(
            "collation update",
            ok(command(d, update("c_coll", doc! { "_id": "a" }, doc! { "$set": { "q": 1 } }, false))),
        )
        .await;
    steps.step("collation delete", ok(command(d, delete("c_coll", doc! { "_id": "B" }, 1)))).await;
}

async fn capped(steps: &mut Steps) {
    let db = steps.db.clone();
    let d = &db;
    steps
        .step("create capped", ok(command(d, doc! { "create": "c_cap", "capped": true, "size": 4096, "max": 10 })))
        .await;
    steps
        .step("capped wraps", async {
            for i in 0..30 {
                command(d, insert("c_cap", [doc! { "_id": i, "p": "y".repeat(300) }])).await?;
            }
            Ok(())
        })
        .await;
    let same_size = update("c_cap", doc! { "_id": 29 }, doc! { "$set": { "p": "z".repeat(300) } }, false);
    steps.step("capped update", ok(command(d, same_size))).await;
    steps.step("capped delete", ok(command(d, delete("c_cap", doc! { "_id": 28 }, 1)))).await;
    steps
        .step("create large capped", ok(command(d, doc! { "create": "c_cap2", "capped": true, "size": 1 << 20 })))
        .await;
    steps.step("capped insert many", ok(command(d, insert("c_cap2", (0..100).map(|k| doc! { "k": k }))))).await;
    steps
        .step("convert to capped", async {
            command(d, insert("to_cap", (0..200).map(|i| doc! { "_id": i, "p": "q".repeat(100) }))).await?;
            command(d, doc! { "convertToCapped": "to_cap", "size": 8192 }).await.map(drop)
        })
        .await;
    let clone = doc! { "cloneCollectionAsCapped": "plain", "toCollection": "plain_capped", "size": 16384 };
    steps.step("clone as capped", ok(command(d, clone))).await;
}

async fn clustered(steps: &mut Steps) {
    let db = steps.db.clone();
    let d = &db;
    let cluster = doc! { "key": { "_id": 1 }, "unique": true, "name": "cidx" };
    let create = doc! { "create": "c_clu", "clusteredIndex": cluster, "expireAfterSeconds": 36_000_000_i64 };
    steps.step("create clustered", ok(command(d, create))).await;
    steps.step("clustered insert", ok(command(d, insert("c_clu", (0..100).map(|i| doc! { "_id": i, "x": i }))))).await;
    steps
        .step("clustered update delete index", async {
            command(d, update("c_clu", doc! { "_id": 3 }, doc! { "$set": { "x": -1 } }, false)).await?;
            command(d, delete("c_clu", doc! { "_id": 4 }, 1)).await?;
            command(d, index("c_clu", "x_1", doc! { "x": 1 }, doc! {})).await.map(drop)
        })
        .await;
    steps
        .step("clustered expiry changed", ok(command(d, doc! { "collMod": "c_clu", "expireAfterSeconds": "off" })))
        .await;
    steps
        .step("clustered by text", async {
            command(d, doc! { "create": "c_clus", "clusteredIndex": { "key": { "_id": 1 }, "unique": true } }).await?;
            command(d, insert("c_clus", (0..10).map(|i| doc! { "_id": format!("k{i}") }))).await.map(drop)
        })
        .await;
}

async fn other_options(steps: &mut Steps) {
    let db = steps.db.clone();
    let d = &db;
    steps
        .step(
            "create with pre images",
            ok(command(d, doc! { "create": "c_pre", "changeStreamPreAndPostImages": { "enabled": true } })),
        )
        .await;
    steps
        .step("pre images of writes", async {
            command(d, insert("c_pre", [doc! { "_id": 1, "a": 1 }])).await?;
            command(d, update("c_pre", doc! { "_id": 1 }, doc! { "$set": { "a": 2 } }, false)).await?;
            command(d, delete("c_pre", doc! { "_id": 1 }, 1)).await?;
            command(d, insert("c_pre", [doc! { "_id": 2 }])).await.map(drop)
        })
        .await;
    let engine =
        doc! { "create": "c_se", "storageEngine": { "wiredTiger": { "configString": "block_compressor=zlib" } } };
    steps.step("create with engine options", ok(command(d, engine))).await;
    steps
        .step(
            "write with engine options",
            ok(command(d, insert("c_se", (0..50).map(|i| doc! { "_id": i, "p": "e".repeat(500) })))),
        )
        .await;
    let id_index = doc! { "create": "c_idx2", "idIndex": { "key": { "_id": 1 }, "name": "_id_", "v": 2 } };
    steps.step("create with id index", ok(command(d, id_index))).await;
    let defaults = doc! { "create": "c_def", "indexOptionDefaults": { "storageEngine": { "wiredTiger": { "configString": "prefix_compression=false" } } } };
    steps.step("create with index defaults", ok(command(d, defaults))).await;
}

async fn modified(steps: &mut Steps) {
    let db = steps.db.clone();
    let d = &db;
    let validator = doc! { "collMod": "c_plain", "validator": { "a": { "$gt": 0 } }, "validationLevel": "moderate", "validationAction": "warn" };
    steps.step("collMod validator", ok(command(d, validator))).await;
    steps
        .step(
            "collMod pre images",
            ok(command(d, doc! { "collMod": "c_plain", "changeStreamPreAndPostImages": { "enabled": true } })),
        )
        .await;
    steps
        .step(
            "collMod capped size",
            ok(command(d, doc! { "collMod": "c_cap2", "cappedSize": 2 << 20, "cappedMax": 500 })),
        )
        .await;
    steps
        .step(
            "collMod validator removed",
            ok(command(d, doc! { "collMod": "c_val2", "validator": {}, "validationLevel": "off" })),
        )
        .await;
}

pub(super) async fn time_series_and_views(steps: &mut Steps) {
    let db = steps.db.clone();
    let d = &db;
    let at = |seconds: i64| DateTime::from_millis(START_MS + seconds * 1000);
    let create = doc! { "create": "ts1", "timeseries": { "timeField": "t", "metaField": "m", "granularity": "seconds" }, "expireAfterSeconds": 3600_i64 * 24 * 3650 };
    steps.step("create time series", ok(command(d, create))).await;
    steps
        .step("time series insert", async {
            for i in 0..30 {
                let points = (0..20).map(|j| doc! { "t": at(i * 60 + j), "m": { "s": j % 3 }, "v": i * j });
                command(d, insert("ts1", points)).await?;
            }
            Ok(())
        })
        .await;
    steps.step("time series index", ok(command(d, index("ts1", "ms_t", doc! { "m.s": 1, "t": -1 }, doc! {})))).await;
    steps.step("time series delete", ok(command(d, delete("ts1", doc! { "m.s": 2_i64 }, 0)))).await;
    let renumber = update("ts1", doc! { "m.s": 1_i64 }, doc! { "$set": { "m.s": 11_i64 } }, true);
    steps.step("time series update of the meta field", ok(command(d, renumber))).await;
    steps
        .step(
            "time series collMod",
            ok(command(d, doc! { "collMod": "ts1", "timeseries": { "granularity": "minutes" } })),
        )
        .await;
    steps
        .step(
            "time series expiry",
            ok(command(d, doc! { "collMod": "ts1", "expireAfterSeconds": 3600_i64 * 24 * 365 * 20 })),
        )
        .await;
    steps
        .step("time series dropped", async {
            command(d, doc! { "create": "ts2", "timeseries": { "timeField": "t" } }).await?;
            command(d, insert("ts2", [doc! { "t": at(0) }])).await?;
            command(d, doc! { "drop": "ts2" }).await.map(drop)
        })
        .await;
    let view = |name: &str, stage: Document| doc! { "create": name, "viewOn": "plain", "pipeline": [stage] };
    steps.step("create view", ok(command(d, view("v1", doc! { "$match": { "v": { "$gt": 5 } } })))).await;
    let changed = doc! { "collMod": "v1", "viewOn": "plain", "pipeline": [{ "$match": { "v": { "$gt": 7 } } }] };
    steps.step("change view", ok(command(d, changed))).await;
    steps
        .step("drop view", async {
            command(d, view("v2", doc! { "$match": {} })).await?;
            command(d, doc! { "drop": "v2" }).await.map(drop)
        })
        .await;
    steps
        .step("view with collation on a view", async {
            let mut create = view("v3", doc! { "$project": { "s": 1 } });
            create.insert("viewOn", "c_coll");
            create.insert("collation", doc! { "locale": "en", "strength": 2 });
            command(d, create).await?;
            let answer = command(d, doc! { "count": "v3", "query": { "_id": "a" } }).await?;
            let found = answer.get("n").and_then(Bson::as_i32).context("count")?;
            ensure!(found == 1, "the view finds {found}");
            Ok(())
        })
        .await;
}
