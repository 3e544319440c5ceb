//! Commands as a driver-independent application would send them, with every way to fail turned into an error.

use anyhow::{Context, Result, bail};
use bson::{Bson, Document, doc};
use mongodb::{Client, Database};

/// Runs a command; errors inside an `ok: 1` answer (write errors, write concern errors) are errors too.
pub(crate) async fn run(db: &Database, command: Document) -> Result<Document> {
    let what = what(&command);
    let answer = db.run_command(command).await.with_context(|| what.clone())?;
    checked(&what, answer)
}

/// Runs commands in one transaction and commits it.
pub(crate) async fn transaction(client: &Client, commands: Vec<(&str, Document)>) -> Result<()> {
    let mut session = client.start_session().await?;
    session.start_transaction().await?;
    for (db, command) in commands {
        let what = what(&command);
        let answer =
            client.database(db).run_command(command).session(&mut session).await.with_context(|| what.clone())?;
        checked(&what, answer)?;
    }
    session.commit_transaction().await.context("commit")
}

/// An error unless the result is one: for steps whose point is that the server refuses.
pub(crate) fn refused<T>(what: &str, result: Result<T>) -> Result<()> {
    match result {
        Ok(_) => bail!("{what} was not refused"),
        Err(_) => Ok(()),
    }
}

/// A command whose answer does not matter.
pub(crate) async fn ok(work: impl Future<Output = Result<Document>>) -> Result<()> {
    work.await.map(drop)
}

fn what(command: &Document) -> String {
    command.iter().next().map(|(name, value)| format!("{name} {value}")).unwrap_or_default().chars().take(120).collect()
}

fn checked(what: &str, answer: Document) -> Result<Document> {
    for field in ["writeErrors", "writeConcernError"] {
        if let Some(errors) = answer.get(field) {
            bail!("{what}: {errors}");
        }
    }
    Ok(answer)
}

/// `{insert: collection, documents}`.
pub(crate) fn insert(collection: &str, documents: impl IntoIterator<Item = Document>) -> Document {
    doc! { "insert": collection, "documents": documents.into_iter().map(Bson::Document).collect::<Vec<_>>() }
}

/// `{update: collection}` with one statement; `update` is a document or a pipeline.
pub(crate) fn update(collection: &str, filter: Document, update: impl Into<Bson>, multi: bool) -> Document {
    doc! { "update": collection, "updates": [{ "q": filter, "u": update.into(), "multi": multi }] }
}

/// `{update: collection}` with one statement that inserts when nothing fits.
pub(crate) fn upsert(collection: &str, filter: Document, update: impl Into<Bson>) -> Document {
    doc! { "update": collection, "updates": [{ "q": filter, "u": update.into(), "upsert": true }] }
}

/// `{delete: collection}` with one statement; `limit` 0: all that fit.
pub(crate) fn delete(collection: &str, filter: Document, limit: i32) -> Document {
    doc! { "delete": collection, "deletes": [{ "q": filter, "limit": limit }] }
}

/// `{createIndexes: collection}` with one index.
pub(crate) fn index(collection: &str, name: &str, key: Document, options: Document) -> Document {
    let mut spec = doc! { "key": key, "name": name };
    spec.extend(options);
    doc! { "createIndexes": collection, "indexes": [spec] }
}

/// `{aggregate: collection}` without looking at the result.
pub(crate) fn aggregate(collection: &str, pipeline: Vec<Document>) -> Document {
    doc! { "aggregate": collection, "pipeline": pipeline, "cursor": {} }
}
