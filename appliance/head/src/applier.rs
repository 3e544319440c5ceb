//! What applies operations to the head's server. Which way a server can be trusted with is found out by a probe of its
//! binary (`probe.rs`); so far there is one way: `applyOps` where a batch of inserts, updates and deletes is atomic.
//!
//! Called by the feeder and the loader; it never decides what is to be applied, nor what an error means.

use bson::{Document, RawDocumentBuf, doc};
use futures::future::BoxFuture;
use mongodb::{Client, error::ErrorKind};

use super::{
    batch::{self, How},
    catalog,
    error::HeadError,
    raw::{self, Writer, kind},
    uuid::CollectionUuid,
};

/// Server errors that pass: the same command may succeed later, or on a server that is started again.
const PASSING_CODES: [i32; 12] = [6, 7, 24, 50, 89, 91, 112, 189, 11600, 11602, 13435, 13436];

/// Why the server did not do it.
#[derive(Debug)]
pub(crate) enum Failed {
    /// It said no.
    Refused {
        /// Server error code.
        code: i32,
        /// The server's words.
        message: String,
    },
    /// It did not answer, or is going down: whether it did it is unknown.
    Unknown(mongodb::error::Error),
    /// This module's own doing.
    Head(HeadError),
}

impl From<mongodb::error::Error> for Failed {
    fn from(error: mongodb::error::Error) -> Self {
        match error.kind.as_ref() {
            ErrorKind::Command(command) if !PASSING_CODES.contains(&command.code) => {
                Self::Refused { code: command.code, message: command.message.chars().take(1000).collect() }
            }
            _ => Self::Unknown(error),
        }
    }
}

impl From<HeadError> for Failed {
    fn from(error: HeadError) -> Self {
        Self::Head(error)
    }
}

impl Failed {
    /// The error for a caller to whom a refusal is as bad as silence.
    pub(crate) fn into_error(self, what: &'static str) -> HeadError {
        match self {
            Self::Refused { code, message } => HeadError::Refused { what, code, message },
            Self::Unknown(source) => HeadError::Server { what, source },
            Self::Head(error) => error,
        }
    }
}

/// A way to apply operations.
pub(crate) trait Applier: Send + Sync + std::fmt::Debug {
    /// Applies inserts, updates and deletes: all of them or none.
    fn batch(&self, command: RawDocumentBuf) -> BoxFuture<'_, Result<(), Failed>>;
    /// Applies one operation of any kind by itself.
    fn alone<'a>(&'a self, op: &'a [u8], always_upsert: bool) -> BoxFuture<'a, Result<(), Failed>>;
    /// Builds indexes of the collection with this UUID, all in one pass.
    fn create_indexes<'a>(
        &'a self,
        db: &'a str,
        collection: &'a str,
        uuid: Option<CollectionUuid>,
        specs: &'a [Vec<u8>],
    ) -> BoxFuture<'a, Result<(), Failed>>;
    /// Creates admin.system.version anew, with the source's UUID and the head's own documents until the source's come.
    fn version_collection<'a>(
        &'a self,
        create: &'a [u8],
        uuid: Option<CollectionUuid>,
    ) -> BoxFuture<'a, Result<(), Failed>>;
}

/// By `applyOps` in its default mode, on servers where it is atomic.
#[derive(Debug)]
pub(crate) struct ApplyOps {
    client: Client,
}

impl ApplyOps {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    async fn run(&self, db: &str, command: RawDocumentBuf) -> Result<Document, Failed> {
        Ok(self.client.database(db).run_raw_command(command).await?)
    }

    /// Runs one command of operations that are applied one after the other, and looks at each result.
    async fn apply(&self, ops: &[&[u8]], how: How) -> Result<(), Failed> {
        let bytes = ops.iter().map(|op| op.len() + 16).sum::<usize>() + 256;
        let answer = self.run("admin", batch::command(ops.iter().copied(), bytes, how)?).await?;
        // A command that is not atomic may say ok and still have failed inside.
        match answer.get_array("results") {
            Ok(results) if results.iter().all(|result| result.as_bool() == Some(true)) => Ok(()),
            _ => Err(Failed::Refused {
                code: 0,
                message: format!("applyOps answered {answer}").chars().take(1000).collect(),
            }),
        }
    }

    async fn build(
        &self,
        db: &str,
        collection: &str,
        uuid: Option<CollectionUuid>,
        specs: &[Vec<u8>],
    ) -> Result<(), Failed> {
        // On a name that is not there the command would create a collection with a UUID of its own.
        let is = catalog::uuid_of(&self.client, db, collection).await.map_err(Failed::from)?;
        if is.is_none() || uuid.is_some() && is != uuid {
            let message = format!("{db}.{collection} has UUID {is:?} on the head, {uuid:?} in the oplog");
            return Err(Failed::Refused { code: 26, message });
        }
        let mut writer = Writer::new(specs.iter().map(Vec::len).sum::<usize>() + 256);
        writer.text("createIndexes", collection).begin(kind::ARRAY, "indexes");
        for (at, spec) in specs.iter().enumerate() {
            writer.document(&at.to_string(), spec);
        }
        let command = RawDocumentBuf::from_bytes(writer.finish()).map_err(|_| HeadError::Answer {
            what: "a createIndexes command of this module",
            field: "valid lengths",
        })?;
        self.run(db, command).await.map(|_| ())
    }

    async fn renew_version(&self, create: &[u8], uuid: Option<CollectionUuid>) -> Result<(), Failed> {
        let admin = self.client.database("admin");
        let mut ops = vec![create.to_vec()];
        let mut cursor = admin.collection::<RawDocumentBuf>("system.version").find(doc! {}).await?;
        while cursor.advance().await? {
            let mut writer = Writer::new(256);
            writer.text("op", "i").text("ns", "admin.system.version");
            if let Some(uuid) = uuid {
                writer.uuid("ui", uuid.0);
            }
            ops.push(writer.document("o", cursor.current().as_bytes()).finish());
        }
        // One command, and the journal at once: a server that ended between the two could not start again without its version
        // document (`Head::open` says so).
        self.apply(&ops.iter().map(Vec::as_slice).collect::<Vec<_>>(), How { always_upsert: false, journal: true })
            .await?;
        // The collection of that name which was there before has been moved aside.
        for name in admin.list_collection_names().await? {
            if name.starts_with("tmp") && name.ends_with(".create") {
                admin.collection::<Document>(&name).drop().await?;
            }
        }
        Ok(())
    }
}

impl Applier for ApplyOps {
    fn batch(&self, command: RawDocumentBuf) -> BoxFuture<'_, Result<(), Failed>> {
        Box::pin(async move { self.run("admin", command).await.map(|_| ()) })
    }

    fn alone<'a>(&'a self, op: &'a [u8], always_upsert: bool) -> BoxFuture<'a, Result<(), Failed>> {
        Box::pin(self.apply_one(op, always_upsert))
    }

    fn create_indexes<'a>(
        &'a self,
        db: &'a str,
        collection: &'a str,
        uuid: Option<CollectionUuid>,
        specs: &'a [Vec<u8>],
    ) -> BoxFuture<'a, Result<(), Failed>> {
        Box::pin(self.build(db, collection, uuid, specs))
    }

    fn version_collection<'a>(
        &'a self,
        create: &'a [u8],
        uuid: Option<CollectionUuid>,
    ) -> BoxFuture<'a, Result<(), Failed>> {
        Box::pin(self.renew_version(create, uuid))
    }
}

impl ApplyOps {
    async fn apply_one(&self, op: &[u8], always_upsert: bool) -> Result<(), Failed> {
        self.apply(&[op], How { always_upsert, journal: false }).await
    }
}

/// Name of an operation for messages: `insert`, `update`, `delete` or the command.
pub(crate) fn name_of(op: &[u8]) -> (String, String) {
    let field = |key| raw::find(op, key).ok().flatten();
    let ns = field("ns").and_then(|e| e.text()).unwrap_or_default().to_owned();
    let what = match field("op").and_then(|e| e.text()) {
        Some("i") => "insert".to_owned(),
        Some("u") => "update".to_owned(),
        Some("d") => "delete".to_owned(),
        _ => field("o")
            .and_then(|e| e.document())
            .and_then(|o| raw::elements(o).ok()?.next()?.ok())
            .map_or_else(|| "operation".to_owned(), |first| String::from_utf8_lossy(first.key).into_owned()),
    };
    (what, ns)
}
