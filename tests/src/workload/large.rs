//! What is large: one document, one transaction.

use anyhow::{Context, Result, ensure};
use bson::{Binary, Bson, Document, doc, spec::BinarySubtype};
use mongodb::{Client, ClientSession, Collection, error::TRANSIENT_TRANSACTION_ERROR};
use rand::Rng;

use super::command;

/// The server's limit for one document.
const DOCUMENT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// What `{_id, p}` costs besides the payload, rounded up.
const DOCUMENT_OVERHEAD_BYTES: usize = 100;
/// Payload of each document of a large transaction.
const TRANSACTION_DOCUMENT_BYTES: usize = 1 << 20;
/// Documents per insert of a transaction of many operations.
const INSERT_BATCH: usize = 2000;
/// A transaction that the server aborted for its own reasons (an election, cache pressure) is begun again this often.
const ATTEMPTS_MAX: usize = 5;

/// Where the large things are written: database `large`.
pub const LARGE_DATABASE: &str = "large";

fn random(bytes: usize) -> Bson {
    let mut payload = vec![0; bytes];
    rand::rng().fill_bytes(&mut payload);
    Bson::Binary(Binary { subtype: BinarySubtype::Generic, bytes: payload })
}

/// Inserts a document of 16 MiB less a hundred bytes that does not compress, into `large.document`; its `_id`.
///
/// # Errors
/// The insert fails.
pub async fn big_document(client: &Client) -> Result<i64> {
    let id: i64 = rand::random();
    let payload = random(DOCUMENT_BYTES_MAX - DOCUMENT_OVERHEAD_BYTES);
    let documents: Collection<Document> = client.database(LARGE_DATABASE).collection("document");
    documents.insert_one(doc! { "_id": id, "p": payload }).await.context("16 MB document")?;
    Ok(id)
}

/// Inserts `bytes` (rounded up to whole mebibytes) of documents that do not compress in one transaction, into
/// `large.transaction`; the number of documents. Needs a cache of twenty times that and a transaction lifetime of minutes
/// (which [`crate::ReplicaSet`] sets by default for 200 MB).
///
/// # Errors
/// The server aborts it repeatedly, or it does not fit into the cache.
pub async fn big_transaction(client: &Client, bytes: usize) -> Result<usize> {
    let (run, count) = (rand::random::<i64>(), bytes.div_ceil(TRANSACTION_DOCUMENT_BYTES));
    let documents: Collection<Document> = client.database(LARGE_DATABASE).collection("transaction");
    ensure_collection(client, "transaction").await?;
    in_transaction(client, async |session| {
        for i in 0..count {
            let document = doc! { "_id": format!("{run}-{i}"), "p": random(TRANSACTION_DOCUMENT_BYTES) };
            documents.insert_one(document).session(&mut *session).await?;
        }
        Ok(())
    })
    .await?;
    Ok(count)
}

/// Does `operations` small operations in one transaction, in `large.operations`: half inserts, a quarter updates, a quarter
/// deletes of what it inserted; the number of operations.
///
/// # Errors
/// The server aborts it repeatedly.
pub async fn many_ops_transaction(client: &Client, operations: usize) -> Result<usize> {
    let run: i64 = rand::random();
    let (inserts, rest) = (operations.div_ceil(2), operations / 2);
    let (updates, deletes) = (rest.div_ceil(2), rest / 2);
    let documents: Collection<Document> = client.database(LARGE_DATABASE).collection("operations");
    ensure_collection(client, "operations").await?;
    let key = |i: usize| -> Result<Bson> { Ok(doc! { "run": run, "i": i64::try_from(i)? }.into()) };
    in_transaction(client, async |session| {
        for start in (0..inserts).step_by(INSERT_BATCH) {
            let batch = (start..inserts.min(start + INSERT_BATCH))
                .map(|i| Ok(doc! { "_id": key(i)?, "v": 0, "p": "o".repeat(i % 50) }));
            documents.insert_many(batch.collect::<Result<Vec<_>>>()?).session(&mut *session).await?;
        }
        let range = |from: usize, count: usize| -> Result<Document> {
            Ok(doc! { "_id": { "$gte": key(from)?, "$lt": key(from + count)? } })
        };
        documents.update_many(range(0, updates)?, doc! { "$inc": { "v": 1 } }).session(&mut *session).await?;
        let deleted = documents.delete_many(range(updates, deletes)?).session(&mut *session).await?;
        ensure!(deleted.deleted_count == deletes as u64, "deleted {} of {deletes}", deleted.deleted_count);
        Ok(())
    })
    .await?;
    Ok(operations)
}

/// A collection that a transaction does not have to create.
async fn ensure_collection(client: &Client, name: &str) -> Result<()> {
    let db = client.database(LARGE_DATABASE);
    if db.list_collection_names().await?.iter().any(|found| found == name) {
        return Ok(());
    }
    command::run(&db, doc! { "create": name }).await.map(drop)
}

async fn in_transaction(client: &Client, work: impl AsyncFn(&mut ClientSession) -> Result<()>) -> Result<()> {
    let mut session = client.start_session().await?;
    for attempt in 1.. {
        session.start_transaction().await?;
        let done = match work(&mut session).await {
            Ok(()) => session.commit_transaction().await.context("commit"),
            Err(error) => {
                // It may be aborted already.
                let _ = session.abort_transaction().await;
                Err(error)
            }
        };
        match done {
            Err(error) if attempt < ATTEMPTS_MAX && is_transient(&error) => {
                tracing::warn!(attempt, error = format!("{error:#}"), "transaction again")
            }
            done => return done,
        }
    }
    Ok(())
}

fn is_transient(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<mongodb::error::Error>())
        .any(|cause| cause.contains_label(TRANSIENT_TRANSACTION_ERROR))
}
