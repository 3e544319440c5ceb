//! Documents of an initial sync: raw bytes from a slice to the head.
//!
//! Ordinary collections take the `insert` command, several at once: a document that is there already came with the same slice
//! before a crash, or twice in one scan; whichever of its versions is kept, the oplog brings it to its last. Capped collections
//! have an order and drop old documents, so they take atomic batches that carry the progress with them. `system.*` and
//! documents with a top-level `Timestamp(0,0)` go by applyOps.

use bson::RawDocumentBuf;
use futures::{StreamExt, TryStreamExt, stream};
use holdfast_domain::OpTime;

use super::super::{
    applier::{Applier, Failed},
    batch::{Batch, How},
    catalog::server,
    error::{EntryError, HeadError},
    open::{Phase, store},
    raw::{self, Writer, kind},
    translate::{Op, OpKind, timestamps},
    uuid::CollectionUuid,
};
use super::{Inserted, Loader, Progress, SliceKey, WRITE_STATE};

/// Bytes of one insert command, but for a single larger document. Below the server's 16 MiB, and small enough that a slice
/// keeps both of the commands busy.
const COMMAND_BYTES_MAX: usize = 4 << 20;
/// The server takes no more documents in a command.
const COMMAND_DOCUMENTS_MAX: usize = 100_000;
/// Insert commands at once for one slice.
const COMMANDS_AT_ONCE: usize = 2;
/// The document is there already.
const DUPLICATE: i32 = 11000;

/// Where the documents of a collection go.
#[derive(Clone, Debug)]
struct Target {
    uuid: CollectionUuid,
    ns: String,
    capped: bool,
}

impl Target {
    fn parts(&self) -> (&str, &str) {
        self.ns.split_once('.').unwrap_or((&self.ns, ""))
    }

    /// Collections that the insert command does not take, or takes with side effects.
    fn is_system(&self) -> bool {
        let name = self.parts().1;
        name.starts_with("system.") && !name.starts_with("system.buckets.")
    }

    fn op<'a>(&'a self, document: &'a [u8]) -> Op<'a> {
        Op { kind: OpKind::Insert, ns: &self.ns, ui: Some(self.uuid), o: document, o2: None, b: None }
    }

    /// One or two operations that insert a document.
    fn operations(&self, document: &[u8]) -> Result<Vec<Vec<u8>>, HeadError> {
        let op = self.op(document);
        match timestamps::split(&op, &self.ns).map_err(broken)? {
            Some(pair) => Ok(pair.into()),
            None => Ok(vec![op.encode()]),
        }
    }
}

fn broken(error: raw::RawError) -> HeadError {
    HeadError::Decode { after: OpTime::default(), source: EntryError::Raw(error) }
}

fn insert_command(collection: &str, documents: &[&[u8]]) -> Result<RawDocumentBuf, HeadError> {
    let bytes: usize = documents.iter().map(|document| document.len() + 8).sum();
    let mut writer = Writer::new(bytes + 256);
    writer.text("insert", collection).begin(kind::ARRAY, "documents");
    let mut key = String::new();
    for (at, document) in documents.iter().enumerate() {
        key.clear();
        // Writing to a string cannot fail.
        let _ = std::fmt::Write::write_fmt(&mut key, format_args!("{at}"));
        writer.document(&key, document);
    }
    writer.end().bool("ordered", false).bool("bypassDocumentValidation", true);
    RawDocumentBuf::from_bytes(writer.finish())
        .map_err(|_| HeadError::Answer { what: "an insert command of this module", field: "valid lengths" })
}

impl Loader {
    /// Loads a slice: concatenated documents as they were scanned. Slices of one collection come in order, one at a time;
    /// other collections may be loaded meanwhile. What returns `Ok` is durable.
    ///
    /// # Errors
    /// The collection was never announced, a slice before this one is missing, or the server does not answer. The same slice
    /// may be given again.
    pub async fn insert(&self, uuid: CollectionUuid, slice: SliceKey, raw_docs: &[u8]) -> Result<Inserted, HeadError> {
        self.head.require(Phase::Loading)?;
        if self.state.lock().await.left_out.contains(&uuid) {
            return Ok(Inserted::default());
        }
        let (target, mut progress) = self.place(uuid, slice).await?;
        let mut inserted = Inserted { bytes: u64::try_from(raw_docs.len()).unwrap_or(u64::MAX), ..Inserted::default() };
        if slice < progress.next {
            return Ok(Inserted { again: true, ..inserted });
        }
        if progress.next.scan < slice.scan {
            self.empty(uuid).await?;
            progress = Progress { next: slice, documents: 0 };
        }
        inserted.documents = if target.capped || target.is_system() {
            self.apply_in_order(&target, progress, raw_docs).await?
        } else {
            self.insert_unordered(&target, raw_docs).await?
        };
        let done = Progress { next: SliceKey { scan: slice.scan, seq: slice.seq + 1 }, documents: 0 };
        // Waits for the journal, so also for the documents before it.
        store(&self.applier, &[done.operation(uuid)], WRITE_STATE).await?;
        self.state.lock().await.progress.insert(uuid, done);
        Ok(inserted)
    }

    async fn place(&self, uuid: CollectionUuid, slice: SliceKey) -> Result<(Target, Progress), HeadError> {
        let state = self.state.lock().await;
        let ns = state.model.name(uuid).ok_or(HeadError::UnknownCollection(uuid))?.to_owned();
        let progress = state.progress.get(&uuid).copied();
        let expected = progress.map_or(SliceKey { scan: slice.scan, seq: 0 }, |progress| progress.next);
        let first_of_new_scan = slice.scan > expected.scan && slice.seq == 0;
        if slice > expected && !first_of_new_scan {
            return Err(HeadError::SliceGap {
                uuid,
                scan: slice.scan,
                seq: slice.seq,
                expected_scan: expected.scan,
                expected_seq: expected.seq,
            });
        }
        let target = Target { uuid, ns, capped: state.model.capped(uuid) };
        Ok((target, progress.unwrap_or(Progress { next: expected, documents: 0 })))
    }

    async fn insert_unordered(&self, target: &Target, raw_docs: &[u8]) -> Result<u64, HeadError> {
        let mut chunks: Vec<Vec<&[u8]>> = Vec::new();
        let (mut special, mut bytes, mut count) = (Vec::new(), 0, 0);
        for document in raw::documents(raw_docs) {
            let document = document.map_err(broken)?;
            count += 1;
            if timestamps::has_zero(document).map_err(broken)? {
                special.push(document);
                continue;
            }
            match chunks.last_mut() {
                Some(chunk) if bytes + document.len() <= COMMAND_BYTES_MAX && chunk.len() < COMMAND_DOCUMENTS_MAX => {
                    chunk.push(document)
                }
                _ => {
                    chunks.push(vec![document]);
                    bytes = 0;
                }
            }
            bytes += document.len();
        }
        // Futures, not a closure in the stream: a closure over borrowed bytes makes the whole future not `Send` for every lifetime.
        let commands: Vec<_> = chunks.into_iter().map(|chunk| self.insert_chunk(target, chunk)).collect();
        let refused: Vec<Vec<&[u8]>> = stream::iter(commands).buffer_unordered(COMMANDS_AT_ONCE).try_collect().await?;
        for document in refused.into_iter().flatten().chain(special) {
            for operation in target.operations(document)? {
                self.alone(&operation).await?;
            }
        }
        Ok(count)
    }

    /// Inserts documents; those that the command refuses for another reason than being there are returned.
    async fn insert_chunk<'a>(&self, target: &Target, documents: Vec<&'a [u8]>) -> Result<Vec<&'a [u8]>, HeadError> {
        let (db, collection) = target.parts();
        let answer = self
            .client
            .database(db)
            .run_raw_command(insert_command(collection, &documents)?)
            .await
            .map_err(server("insert documents"))?;
        let mut refused = Vec::new();
        let errors = answer.get_array("writeErrors").map(Vec::as_slice).unwrap_or_default();
        for error in errors.iter().filter_map(|error| error.as_document()) {
            if error.get_i32("code").is_ok_and(|code| code == DUPLICATE) {
                continue;
            }
            let at = error.get_i32("index").ok().and_then(|at| usize::try_from(at).ok());
            let document = at
                .and_then(|at| documents.get(at))
                .ok_or(HeadError::Answer { what: "an error of insert", field: "index" })?;
            refused.push(*document);
        }
        Ok(refused)
    }

    async fn alone(&self, operation: &[u8]) -> Result<(), HeadError> {
        self.applier.alone(operation, true).await.map_err(|failed| failed.into_error("insert a document"))
    }

    /// In order, in atomic batches that carry the progress; documents of this slice that are there already are left out.
    async fn apply_in_order(&self, target: &Target, mut progress: Progress, raw_docs: &[u8]) -> Result<u64, HeadError> {
        let done = progress.documents;
        let mut batch = Batch::default();
        let mut count = 0_i64;
        for document in raw::documents(raw_docs) {
            let document = document.map_err(broken)?;
            count += 1;
            if count <= done {
                continue;
            }
            let operations = target.operations(document)?;
            if target.op(document).must_be_alone() {
                // An insert that is done twice replaces.
                for operation in &operations {
                    self.alone(operation).await?;
                }
                continue;
            }
            if !batch.fits(operations.iter().map(Vec::len).sum()) {
                self.send(&mut batch, target, progress).await?;
            }
            for operation in &operations {
                batch.push(operation, OpTime::default(), None);
            }
            progress.documents = count;
        }
        if !batch.is_empty() {
            self.send(&mut batch, target, progress).await?;
        }
        u64::try_from(count).map_err(|_| HeadError::Answer { what: "a slice", field: "a number of documents" })
    }

    async fn send(&self, batch: &mut Batch, target: &Target, progress: Progress) -> Result<(), HeadError> {
        let marker = progress.operation(target.uuid);
        match self.applier.batch(batch.command(Some(&marker), How { always_upsert: true, journal: false })?).await {
            Ok(()) => {
                batch.clear();
                self.state.lock().await.progress.insert(target.uuid, progress);
                Ok(())
            }
            Err(Failed::Refused { code, message }) => {
                Err(HeadError::NeedsResync(format!("documents of {} cannot be loaded: {code}: {message}", target.ns)))
            }
            Err(other) => Err(other.into_error("insert documents")),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use bson::{Document, doc};

    use super::*;

    #[test]
    fn the_insert_command_holds_the_documents_as_they_are() {
        let documents: Vec<Vec<u8>> = (0..12).map(|n| doc! {"_id": n}.to_vec().unwrap()).collect();
        let slices: Vec<&[u8]> = documents.iter().map(Vec::as_slice).collect();
        let command = Document::from_reader(insert_command("c", &slices).unwrap().as_bytes()).unwrap();
        assert_eq!(command.get_array("documents").unwrap().len(), 12);
        assert!(!command.get_bool("ordered").unwrap());
    }

    #[test]
    fn only_what_the_insert_command_takes_goes_there() {
        let target = |ns: &str| Target { uuid: CollectionUuid([0; 16]), ns: ns.into(), capped: false };
        assert!(target("a.system.views").is_system() && target("admin.system.users").is_system());
        assert!(!target("a.system.buckets.t").is_system() && !target("a.b.system.c").is_system());
        let zero = doc! {"_id": 1, "t": bson::Timestamp { time: 0, increment: 0 }}.to_vec().unwrap();
        assert_eq!(target("a.b").operations(&zero).unwrap().len(), 2);
    }
}
