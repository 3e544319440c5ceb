//! Writing the ledger: opening a chain, appending slices, closing it.
//!
//! One protocol for all three. A transaction reads the ledger's end, sees that the new entry follows it, and inserts it
//! under the next `_id`. Two writers that see the same end insert the same `_id`: one of them conflicts or meets a
//! duplicate key. Whoever does not get its entry in reads by a majority, in the same causally consistent session, what
//! stands there: the same entry means that it was written before (one effect), anything else is a conflict.

use holdfast_domain::{BackupJobId, CloseReason, EntryBody, EntryPosition, Hash32, LedgerEntry, OpTime};
use mongodb::ClientSession;

use crate::{
    AppendError, AppendRequest, Ledger, LedgerTail, OpenChainRequest, PayloadFacts,
    db::{Tries, duplicate, on, passing},
    error::DatabaseCause as _,
    payload::difference,
    read::EntryDoc,
};

/// Longest sentence kept of a closing entry, in characters.
const DETAIL_CHARS_MAX: usize = 1000;

/// What shall be written.
enum Write<'a> {
    Open(&'a OpenChainRequest),
    Slice { chain: i64, request: &'a AppendRequest, stored: Option<PayloadFacts> },
    Close { prev: Hash32, reason: CloseReason, detail: &'a str },
}

impl Ledger {
    /// Opens the next chain: the first one with `prev` zero, a later one with the hash of the closing entry. The same request
    /// again, while the chain has no slice, gives the same answer. Opens the chain's initial sync too.
    ///
    /// # Errors
    /// [`AppendError::Conflict`] when the ledger ends elsewhere or is not closed.
    pub async fn open_chain(&self, job: &BackupJobId, request: &OpenChainRequest) -> Result<LedgerTail, AppendError> {
        self.write(job, &Write::Open(request)).await
    }

    /// Appends a slice whose payload [`Ledger::put_payload`] has stored. The same again gives the same answer, also when the
    /// ledger has gone on since. What comes back is this slice's own position: what the next one must follow.
    ///
    /// # Errors
    /// [`AppendError`]; nothing was written unless the error is the database's.
    pub async fn append_slice(
        &self,
        job: &BackupJobId,
        chain: i64,
        request: &AppendRequest,
    ) -> Result<LedgerTail, AppendError> {
        check(chain, request)?;
        let stored = self.payload_facts(job, chain, &request.payload).await?;
        self.write(job, &Write::Slice { chain, request, stored }).await
    }

    /// Closes the open chain at the tail whose hash is `prev`. The same again gives the same answer.
    ///
    /// # Errors
    /// [`AppendError::Conflict`] when the ledger ends elsewhere, [`AppendError::Closed`] when it is closed otherwise.
    pub async fn close_chain(
        &self,
        job: &BackupJobId,
        prev: Hash32,
        reason: CloseReason,
        detail: &str,
    ) -> Result<LedgerTail, AppendError> {
        self.write(job, &Write::Close { prev, reason, detail }).await
    }

    /// Closes the open chain wherever it ends, while an agent may still append. A closed one is left as it is.
    ///
    /// # Errors
    /// [`AppendError::Conflict`] when there is no chain at all, or others appended faster for 25 s.
    pub async fn force_close(
        &self,
        job: &BackupJobId,
        reason: CloseReason,
        detail: &str,
    ) -> Result<LedgerTail, AppendError> {
        let mut tries = Tries::new();
        loop {
            let Some(tail) = self.tail(job).await? else { return Err(AppendError::Conflict { tail: None }) };
            if tail.closed.is_some() {
                return Ok(tail);
            }
            match self.close_chain(job, tail.hash, reason, detail).await {
                Err(AppendError::Conflict { .. }) if tries.pause().await => {}
                Err(AppendError::Closed { tail }) => return Ok(tail),
                other => return other,
            }
        }
    }

    async fn write(&self, job: &BackupJobId, write: &Write<'_>) -> Result<LedgerTail, AppendError> {
        let mut session = self.session().await?;
        let mut tries = Tries::new();
        loop {
            self.begin(&mut session).await?;
            let tried = self.try_write(&mut session, job, write).await;
            match self.settle(&mut session, &mut tries, tried).await {
                Some(Ok(Some(tail))) => return Ok(tail),
                Some(Ok(None)) => return self.look(&mut session, &mut tries, job, write).await,
                Some(Err(e)) if e.database().is_some_and(duplicate) => {
                    return self.look(&mut session, &mut tries, job, write).await;
                }
                Some(Err(e)) => return Err(e),
                None => {}
            }
        }
    }

    /// One try. None: the ledger ends elsewhere.
    async fn try_write(
        &self,
        session: &mut ClientSession,
        job: &BackupJobId,
        write: &Write<'_>,
    ) -> Result<Option<LedgerTail>, AppendError> {
        let last = self.last_entry_in(session, job).await?;
        let Some(doc) = write.follow(job, last.as_ref())? else { return Ok(None) };
        match write {
            Write::Slice { request, .. } => {
                if !self.name_day(session, job, request.payload.day).await? {
                    return Err(AppendError::NoPayload);
                }
            }
            Write::Open(_) => self.open_sync(session, job, doc.entry.at.chain).await?,
            Write::Close { .. } => {}
        }
        let inserted = self.entries_collection().insert_one(&doc).session(session).await;
        inserted.map_err(on("insert an entry"))?;
        Ok(Some(doc.tail()))
    }

    /// What stands where the entry should have gone: majority reads in the session that tried.
    async fn look(
        &self,
        session: &mut ClientSession,
        tries: &mut Tries,
        job: &BackupJobId,
        write: &Write<'_>,
    ) -> Result<LedgerTail, AppendError> {
        loop {
            match self.try_look(session, job, write).await {
                Err(e) if e.database().is_some_and(passing) && tries.pause().await => {}
                other => return other,
            }
        }
    }

    async fn try_look(
        &self,
        session: &mut ClientSession,
        job: &BackupJobId,
        write: &Write<'_>,
    ) -> Result<LedgerTail, AppendError> {
        if let Write::Slice { chain, request, .. } = write {
            let doc = EntryDoc::new(slice_entry(job, *chain, request));
            let stored = self.entry_in(session, &doc.key).await?;
            if let Some(stored) = stored.filter(|stored| stored.hash == doc.hash) {
                return Ok(stored.tail());
            }
        }
        let last = self.last_entry_in(session, job).await?;
        if let Some(last) = last.as_ref().filter(|last| write.is_end(last)) {
            return Ok(last.tail());
        }
        let tail = last.map(|doc| doc.tail());
        Err(match (write, tail) {
            (Write::Slice { chain, .. }, Some(tail)) if tail.closed.is_some() && tail.at.chain == *chain => {
                AppendError::Closed { tail }
            }
            (Write::Close { .. }, Some(tail)) if tail.closed.is_some() => AppendError::Closed { tail },
            (_, tail) => AppendError::Conflict { tail },
        })
    }
}

impl Write<'_> {
    /// The document to insert after `last`. None: it does not follow it.
    fn follow(&self, job: &BackupJobId, last: Option<&EntryDoc>) -> Result<Option<EntryDoc>, AppendError> {
        match self {
            Self::Open(request) => Ok(open_after(job, last, request)),
            Self::Close { prev, reason, detail } => Ok(last
                .filter(|last| !last.entry.closes() && last.hash == *prev)
                .map(|last| close_after(&last.entry, *prev, *reason, detail))),
            Self::Slice { chain, request, stored } => {
                let fits = |last: &&EntryDoc| {
                    !last.entry.closes()
                        && last.hash == request.prev
                        && last.entry.at == EntryPosition { chain: *chain, seq: request.seq - 1 }
                };
                let Some(last) = last.filter(fits) else { return Ok(None) };
                continues(&last.entry, request.first)?;
                let stored = stored.as_ref().ok_or(AppendError::NoPayload)?;
                if let Some(field) = difference(stored, &named(request)) {
                    return Err(AppendError::PayloadMismatch { field });
                }
                let mut doc = EntryDoc::new(slice_entry(job, *chain, request));
                doc.summary = request.summary.clone();
                Ok(Some(doc))
            }
        }
    }

    /// True when the ledger's end is what this would have written.
    fn is_end(&self, last: &EntryDoc) -> bool {
        let entry = &last.entry;
        match self {
            Self::Open(request) => {
                entry.body == EntryBody::Open && entry.prev == request.prev && entry.first == request.start
            }
            Self::Close { prev, reason, .. } => {
                entry.body == EntryBody::Close { reason: *reason } && entry.prev == *prev
            }
            Self::Slice { .. } => false,
        }
    }
}

fn open_after(job: &BackupJobId, last: Option<&EntryDoc>, request: &OpenChainRequest) -> Option<EntryDoc> {
    let chain = match last {
        None if request.prev == Hash32::ZERO => 0,
        Some(last) if last.entry.closes() && last.hash == request.prev => last.entry.at.chain + 1,
        _ => return None,
    };
    let mut doc = EntryDoc::new(LedgerEntry {
        job: job.clone(),
        at: EntryPosition { chain, seq: 0 },
        first: request.start,
        last: request.start,
        prev: request.prev,
        body: EntryBody::Open,
    });
    doc.source = Some(request.source.clone());
    Some(doc)
}

fn close_after(last: &LedgerEntry, prev: Hash32, reason: CloseReason, detail: &str) -> EntryDoc {
    let mut doc = EntryDoc::new(LedgerEntry {
        job: last.job.clone(),
        at: EntryPosition { chain: last.at.chain, seq: last.at.seq + 1 },
        first: last.last,
        last: last.last,
        prev,
        body: EntryBody::Close { reason },
    });
    doc.detail = Some(detail.chars().take(DETAIL_CHARS_MAX).collect());
    doc
}

fn slice_entry(job: &BackupJobId, chain: i64, request: &AppendRequest) -> LedgerEntry {
    LedgerEntry {
        job: job.clone(),
        at: EntryPosition { chain, seq: request.seq },
        first: request.first,
        last: request.last,
        prev: request.prev,
        body: EntryBody::Slice { payload: request.payload.clone() },
    }
}

fn named(request: &AppendRequest) -> PayloadFacts {
    PayloadFacts {
        raw_bytes: request.payload.raw_bytes,
        entries: request.payload.entries,
        first: request.first,
        last: request.last,
    }
}

/// What can be seen of a request alone.
fn check(chain: i64, request: &AppendRequest) -> Result<(), AppendError> {
    let invalid = |detail: &str| Err(AppendError::Invalid { detail: detail.to_owned() });
    if chain < 0 || request.seq < 1 {
        return invalid("a slice's number is at least 1, a chain's at least 0");
    }
    if request.first.ts > request.last.ts {
        return invalid("its last oplog entry is before its first");
    }
    Ok(())
}

/// The first slice begins with the start point itself, a later one after the slice before.
fn continues(last: &LedgerEntry, first: OpTime) -> Result<(), AppendError> {
    let detail = match last.body {
        EntryBody::Open if first != last.last => {
            format!("the first slice begins at {first}, but the chain starts at {}", last.last)
        }
        EntryBody::Slice { .. } if first.ts <= last.last.ts => {
            format!("it begins at {first}, but the ledger holds {} already", last.last)
        }
        _ => return Ok(()),
    };
    Err(AppendError::Invalid { detail })
}
