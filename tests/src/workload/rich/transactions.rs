//! Transactions: small, with DDL, aborted, of many operations, chained over several oplog entries, across databases.

use bson::{Binary, Document, doc, spec::BinarySubtype};
use mongodb::Collection;
use rand::Rng;

use super::{DATABASE, OTHER_DATABASE, Steps};
use crate::workload::command::{delete, index, insert, run as command, transaction, update};

/// Megabytes of the chained transaction: more than one oplog entry of 16 MB holds.
const CHAINED_MB: i32 = 40;

pub(super) async fn run(steps: &mut Steps) {
    small(steps).await;
    large(steps).await;
}

async fn small(steps: &mut Steps) {
    let client = steps.client.clone();
    let c = &client;
    let mixed = vec![
        (DATABASE, insert("tx", [doc! { "_id": 1 }])),
        (DATABASE, update("tx", doc! { "_id": 1 }, doc! { "$set": { "a": 1 } }, false)),
        (DATABASE, delete("plain", doc! { "_id": 7 }, 1)),
    ];
    steps.step("transaction", transaction(c, mixed)).await;
    let ddl = vec![
        (DATABASE, doc! { "create": "txc" }),
        (DATABASE, insert("txc", [doc! { "_id": 1 }])),
        (DATABASE, insert("txc2", [doc! { "_id": 1 }])),
        (DATABASE, index("txc3", "z_1", doc! { "z": 1 }, doc! {})),
    ];
    steps.step("transaction with DDL", transaction(c, ddl)).await;
    let across =
        vec![(DATABASE, insert("tx", [doc! { "_id": "x" }])), (OTHER_DATABASE, insert("tx", [doc! { "_id": "x" }]))];
    steps.step("transaction across databases", transaction(c, across)).await;
    let swap = vec![
        (DATABASE, update("us", doc! { "_id": 3 }, doc! { "$set": { "k": "-" } }, false)),
        (DATABASE, update("us", doc! { "_id": 4 }, doc! { "$set": { "k": "a" } }, false)),
        (DATABASE, update("us", doc! { "_id": 3 }, doc! { "$set": { "k": "b" } }, false)),
    ];
    steps.step("transaction that swaps unique keys", transaction(c, swap)).await;
    steps
        .step("transaction without effect", async {
            transaction(c, vec![(DATABASE, update("tx", doc! { "_id": "none" }, doc! { "$set": { "a": 1 } }, false))])
                .await
        })
        .await;
    steps
        .step("aborted transaction", async {
            let mut session = c.start_session().await?;
            session.start_transaction().await?;
            let tx: Collection<Document> = c.database(DATABASE).collection("tx");
            tx.insert_one(doc! { "_id": "aborted" }).session(&mut session).await?;
            session.abort_transaction().await.map_err(Into::into)
        })
        .await;
}

async fn large(steps: &mut Steps) {
    let client = steps.client.clone();
    let c = &client;
    let batches =
        (0..5).map(|i| (DATABASE, insert("tx", (0..100).map(|j| doc! { "_id": format!("m{i}-{j}") })))).collect();
    steps.step("transaction of many operations", transaction(c, batches)).await;
    steps
        .step("large chained transaction", async {
            command(&c.database(DATABASE), doc! { "create": "txbig" }).await?;
            let mut session = c.start_session().await?;
            session.start_transaction().await?;
            let big: Collection<Document> = c.database(DATABASE).collection("txbig");
            for i in 0..CHAINED_MB {
                let mut bytes = vec![0; 1 << 20];
                rand::rng().fill_bytes(&mut bytes);
                let payload = Binary { subtype: BinarySubtype::Generic, bytes };
                big.insert_one(doc! { "_id": i, "p": payload }).session(&mut session).await?;
            }
            session.commit_transaction().await.map_err(Into::into)
        })
        .await;
}
