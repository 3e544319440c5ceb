//! Renames, `$out`, `$merge`, drops.

use bson::{Document, doc};

use super::{DATABASE, OTHER_DATABASE, Steps};
use crate::workload::command::{aggregate, index, insert, ok, run as command};

fn documents(count: i32) -> impl Iterator<Item = Document> {
    (0..count).map(|i| doc! { "_id": i })
}

pub(super) async fn run(steps: &mut Steps) {
    renames(steps).await;
    outputs(steps).await;
    drops(steps).await;
}

async fn renames(steps: &mut Steps) {
    let (db, admin, other) = (steps.db.clone(), steps.client.database("admin"), steps.client.database(OTHER_DATABASE));
    let d = &db;
    let rename = |from: &str, to_db: &str, to: &str, drop: bool| {
        command(
            &admin,
            doc! { "renameCollection": format!("{DATABASE}.{from}"), "to": format!("{to_db}.{to}"), "dropTarget": drop },
        )
    };
    steps
        .step("rename", async {
            command(d, insert("r1", documents(5))).await?;
            command(d, index("r1", "x_1", doc! { "x": 1 }, doc! {})).await?;
            rename("r1", DATABASE, "r1b", false).await.map(drop)
        })
        .await;
    steps
        .step("rename onto another", async {
            command(d, insert("r2", [doc! { "_id": 1 }])).await?;
            command(d, insert("r3", [doc! { "_id": 2 }])).await?;
            rename("r2", DATABASE, "r3", true).await.map(drop)
        })
        .await;
    steps
        .step("rename to another database", async {
            command(d, insert("r4", documents(5))).await?;
            command(d, index("r4", "x_1", doc! { "x": 1 }, doc! {})).await?;
            rename("r4", OTHER_DATABASE, "r4", false).await.map(drop)
        })
        .await;
    steps
        .step("rename onto another in another database", async {
            command(d, insert("r5", documents(5))).await?;
            command(&other, insert("r5", [doc! { "_id": "old" }])).await?;
            rename("r5", OTHER_DATABASE, "r5", true).await.map(drop)
        })
        .await;
    steps
        .step("two names swapped", async {
            command(d, insert("sw1", documents(3))).await?;
            command(d, insert("sw2", documents(4))).await?;
            rename("sw1", DATABASE, "sw_tmp", false).await?;
            rename("sw2", DATABASE, "sw1", false).await?;
            rename("sw_tmp", DATABASE, "sw2", false).await.map(drop)
        })
        .await;
    steps
        .step("rename of a capped collection", async {
            command(d, doc! { "create": "rc", "capped": true, "size": 8192 }).await?;
            command(d, insert("rc", documents(20))).await?;
            rename("rc", DATABASE, "rc2", false).await.map(drop)
        })
        .await;
}

async fn outputs(steps: &mut Steps) {
    let (db, client) = (steps.db.clone(), steps.client.clone());
    let d = &db;
    let out = |limit: i32, target: Document| command(d, aggregate("plain", vec![doc! { "$limit": limit }, target]));
    steps.step("$out", ok(out(20, doc! { "$out": "outc" }))).await;
    steps.step("$out again", ok(out(10, doc! { "$out": "outc" }))).await;
    steps
        .step("$out keeps indexes", async {
            command(d, index("outc", "v_1", doc! { "v": 1 }, doc! {})).await?;
            out(15, doc! { "$out": "outc" }).await.map(drop)
        })
        .await;
    steps.step("$out to another database", ok(out(5, doc! { "$out": { "db": OTHER_DATABASE, "coll": "outc" } }))).await;
    steps.step("$merge", ok(out(20, doc! { "$merge": "mergec" }))).await;
    let merge = doc! { "into": "mergec", "whenMatched": [{ "$set": { "again": true } }], "whenNotMatched": "insert" };
    steps.step("$merge by pipeline", ok(out(30, doc! { "$merge": merge }))).await;
    let merge = doc! { "into": { "db": OTHER_DATABASE, "coll": "mergec" }, "whenMatched": "replace" };
    steps
        .step(
            "$merge to another database",
            ok(command(&client.database(DATABASE), aggregate("ops", vec![doc! { "$merge": merge }]))),
        )
        .await;
}

async fn drops(steps: &mut Steps) {
    let (db, client) = (steps.db.clone(), steps.client.clone());
    let d = &db;
    steps
        .step("drop", async {
            command(d, insert("dr", [doc! { "_id": 1 }])).await?;
            command(d, doc! { "drop": "dr" }).await.map(drop)
        })
        .await;
    steps
        .step("drop and create again", async {
            command(d, insert("dr2", [doc! { "_id": 1 }])).await?;
            command(d, doc! { "drop": "dr2" }).await?;
            command(d, insert("dr2", [doc! { "_id": 2 }])).await.map(drop)
        })
        .await;
    steps
        .step("drop a large collection", async {
            command(d, insert("dr3", (0..2000).map(|i| doc! { "_id": i, "p": "d".repeat(200) }))).await?;
            command(d, index("dr3", "p_1", doc! { "p": 1 }, doc! {})).await?;
            command(d, doc! { "drop": "dr3" }).await.map(drop)
        })
        .await;
    steps
        .step("drop a database", async {
            let gone = client.database("gone");
            command(&gone, insert("a", [doc! { "_id": 1 }])).await?;
            command(&gone, insert("b", [doc! { "_id": 1 }])).await?;
            command(&gone, doc! { "create": "v", "viewOn": "a", "pipeline": [] }).await?;
            command(&gone, doc! { "dropDatabase": 1 }).await.map(drop)
        })
        .await;
    steps
        .step("drop a database and create it again", async {
            let gone = client.database("gone2");
            command(&gone, insert("a", [doc! { "_id": 1 }])).await?;
            command(&gone, doc! { "dropDatabase": 1 }).await?;
            command(&gone, insert("a", [doc! { "_id": 2 }])).await.map(drop)
        })
        .await;
}
