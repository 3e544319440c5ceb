//! Feeds oplog entries to the head's server: in order, each exactly once, resumable after a crash at any instant.
//!
//! Invariants:
//! - The marker moves in the same atomic batch as the operations it speaks of. A command that is not atomic with it (DDL) runs
//!   after everything before it is flushed, and the marker moves right after it: run twice in a row it does no harm.
//! - An entry is checked whole before any of it is applied.
//! - A transaction is applied whole at the entry that decides it, possibly in several batches: the marker's `ops` says how
//!   much of it is done.
//! - When a call fails or is dropped, the position in memory is void until it is read again ([`Feeder::resume`]).
//!
//! Called by the head; it must never skip an entry that it does not understand.

use holdfast_domain::{OpTime, Ts};

mod send;

use super::{
    applier::Applier,
    batch::Batch,
    catchup::Model,
    chains::{Chain, Chains},
    error::{EntryError, HeadError},
    position::Position,
    raw,
    translate::{Entry, Header, Meaning, Op, OpError, OpKind, commands, timestamps},
};

/// Two halves of a split document larger than this together go in two commands (the server takes 16 MiB + 16 KiB).
const PAIR_BYTES_MAX: usize = 16 << 20;

/// What a feed did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Last entry that was applied whole, of this feed or one before.
    pub last: OpTime,
    /// Entries that this feed applied or passed; those that were applied before are not counted.
    pub entries: u64,
    /// Operations applied.
    pub ops: u64,
    /// The bound was reached and nothing after it is needed any more: no feed may follow.
    pub done: bool,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Feeder {
    pub(super) applier: Box<dyn Applier>,
    chains: Chains,
    /// The marker as it was last written.
    durable: Position,
    /// The last entry boundary, whether written or not.
    base: Position,
    /// Where the batch takes the head.
    pub(super) pending: Position,
    pub(super) batch: Batch,
    /// Entries before this were fed.
    from: Ts,
    /// The feed has to begin exactly here: parts of open transactions are needed.
    must_begin_at: Option<OpTime>,
    interrupted: bool,
    /// The bound that this process set.
    bound: Option<Ts>,
    /// Major and minor version of the server.
    release: (u32, u32),
    /// Present while an initial sync catches up.
    pub(super) model: Option<Model>,
    ops: u64,
    /// Something was written since the journal was last waited for.
    unsettled: bool,
}

fn next(ts: Ts) -> Ts {
    ts.i.checked_add(1).map_or(Ts { t: ts.t.saturating_add(1), i: 0 }, |i| Ts { t: ts.t, i })
}

impl Feeder {
    /// A feeder at a position read from the marker.
    pub(crate) fn new(applier: Box<dyn Applier>, chains: Chains, position: Position, release: (u32, u32)) -> Self {
        let mut feeder = Self {
            applier,
            chains,
            durable: position,
            base: position,
            pending: position,
            batch: Batch::default(),
            from: Ts::ZERO,
            must_begin_at: None,
            interrupted: false,
            bound: None,
            release,
            model: None,
            ops: 0,
            unsettled: false,
        };
        feeder.begin_at(position);
        feeder
    }

    fn begin_at(&mut self, position: Position) {
        (self.durable, self.base, self.pending) = (position, position, position);
        self.must_begin_at = position.open.then_some(position.feed_from);
        self.from = if position.open { position.feed_from.ts } else { next(position.ts) };
        self.interrupted = false;
        self.bound = None;
        self.batch.clear();
    }

    /// Starts over from a position read from the marker, with no open transactions: they are fed again.
    pub(crate) fn resume(&mut self, position: Position, chains: Chains) {
        self.chains = chains;
        self.begin_at(position);
    }

    /// Where the head stands by its marker.
    pub(crate) fn position(&self) -> Position {
        self.durable
    }

    /// Applies concatenated entries. Those that were applied before are skipped.
    pub(crate) async fn feed(&mut self, entries: &[u8], bound: Option<Ts>) -> Result<Applied, HeadError> {
        if self.interrupted {
            return Err(HeadError::Interrupted);
        }
        if let Some(fixed) = self.durable.bound.filter(|fixed| self.bound != Some(*fixed) || bound != Some(*fixed)) {
            return Err(HeadError::Bounded(fixed));
        }
        // Also true for a caller who drops this future: a command may be on its way.
        self.interrupted = true;
        self.ops = 0;
        let mut applied = Applied { last: self.base.optime(), entries: 0, ops: 0, done: false };
        let fed = self.feed_all(entries, bound, &mut applied).await;
        if let Err(error) = fed {
            // What came before an entry that cannot be read or is not known stays applied, and the marker says so. After an
            // error of the server nothing more is sent: what waits may have been applied, or must not be passed over.
            if before_the_server(&error) {
                self.settle().await?;
            }
            return Err(error);
        }
        self.settle().await?;
        self.interrupted = false;
        applied.last = self.base.optime();
        applied.ops = self.ops;
        Ok(applied)
    }

    async fn feed_all(&mut self, entries: &[u8], bound: Option<Ts>, applied: &mut Applied) -> Result<(), HeadError> {
        let mut before = Ts::ZERO;
        for document in raw::documents(entries) {
            let after = OpTime { ts: before, term: -1 };
            let decode = |source| HeadError::Decode { after, source };
            let header = document.map_err(EntryError::from).and_then(Header::parse).map_err(decode)?;
            let at = header.at;
            if at.ts <= before {
                return Err(decode(EntryError::Order { found: at.ts, before }));
            }
            before = at.ts;
            if at.ts == self.base.ts && at.term != self.base.term {
                return Err(HeadError::OtherHistory { found: at, position: self.base.optime() });
            }
            if at.ts < self.from {
                continue;
            }
            if let Some(bound) = bound.filter(|bound| at.ts > *bound) {
                if !self.chains.has_prepared() {
                    applied.done = true;
                    return Ok(());
                }
                self.beyond(header, bound).await?;
            } else {
                if let Some(begin) = self.must_begin_at.take()
                    && at != begin
                {
                    self.must_begin_at = Some(begin);
                    return Err(HeadError::FeedGap { found: at, feed_from: begin });
                }
                let lenient = at.ts <= self.base.ts;
                let entry = header.entry().map_err(|error| named(at, error))?;
                self.entry(entry, lenient).await?;
                applied.entries += u64::from(!lenient);
            }
            self.from = next(at.ts);
        }
        Ok(())
    }

    /// An entry after the bound of a restore: a prepared transaction that committed at or before the bound belongs to it
    /// though its commit entry stands later (sharded clusters only).
    async fn beyond(&mut self, header: Header<'_>, bound: Ts) -> Result<(), HeadError> {
        let at = header.at;
        let entry = header.entry().map_err(|error| named(at, error))?;
        match entry.meaning {
            Meaning::Commit { txn, at: Some(commit) } if commit <= bound => {
                let Some(chain) = self.chains.take(at, &txn, true)? else { return Ok(()) };
                // First the marker: a head that stopped within the transaction is of no use any more.
                self.flush().await?;
                self.pending.bound = Some(bound);
                self.flush().await?;
                self.base = self.pending;
                self.bound = Some(bound);
                let mut reader = chain.read()?;
                while let Some(bytes) = reader.next()? {
                    let op = Op::parse(bytes).map_err(|error| named(at, error))?;
                    self.op(&op, at, self.base).await?;
                }
                self.flush().await
            }
            Meaning::Commit { txn, .. } | Meaning::Abort { txn } => {
                self.chains.abort(&txn);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The position after an entry was applied whole.
    fn boundary(&self, at: OpTime) -> Position {
        let oldest = self.chains.oldest();
        Position {
            ts: at.ts,
            term: at.term,
            ops: 0,
            feed_from: oldest.unwrap_or(at),
            open: oldest.is_some(),
            bound: None,
        }
    }

    async fn entry(&mut self, entry: Entry<'_>, lenient: bool) -> Result<(), HeadError> {
        let at = entry.at;
        match entry.meaning {
            Meaning::Now(ops) if !lenient => self.run(at, None, &ops).await?,
            Meaning::Now(_) => {}
            Meaning::Part { txn, ops, prepared } => self.chains.push(at, &txn, &ops, prepared, lenient)?,
            Meaning::Last { txn, ops } => {
                let chain = self.chains.take(at, &txn, lenient)?;
                if !lenient {
                    self.run(at, chain, &ops).await?;
                }
            }
            Meaning::Commit { txn, .. } => {
                let chain = self.chains.take(at, &txn, lenient)?;
                if !lenient {
                    let chain = chain.ok_or(HeadError::MissingLink { at, prev: OpTime::default() })?;
                    self.run(at, Some(chain), &[]).await?;
                }
            }
            Meaning::Abort { txn } => self.chains.abort(&txn),
        }
        if !lenient {
            self.base = self.boundary(at);
            self.pending = self.base;
        }
        Ok(())
    }

    /// Applies the operations of one entry: those of its transaction's earlier parts, then its own.
    async fn run(&mut self, at: OpTime, chain: Option<Chain>, ops: &[Op<'_>]) -> Result<(), HeadError> {
        let own = u64::try_from(ops.len()).unwrap_or(u64::MAX);
        let total = chain.as_ref().map_or(0, Chain::count) + own;
        let done = self.base.ops;
        let mut index = 0;
        if let Some(chain) = chain {
            let mut reader = chain.read()?;
            while let Some(bytes) = reader.next()? {
                index += 1;
                if index > done {
                    let op = Op::parse(bytes).map_err(|error| named(at, error))?;
                    self.op(&op, at, self.after(at, index, total)).await?;
                }
            }
        }
        for op in ops {
            index += 1;
            if index > done {
                self.op(op, at, self.after(at, index, total)).await?;
            }
        }
        Ok(())
    }

    fn after(&self, at: OpTime, index: u64, total: u64) -> Position {
        if index == total { self.boundary(at) } else { Position { ops: index, ..self.base } }
    }

    async fn op(&mut self, op: &Op<'_>, at: OpTime, after: Position) -> Result<(), HeadError> {
        self.ops += 1;
        let broken = |source: raw::RawError| HeadError::Decode { after: at, source: source.into() };
        if let Some((major, minor)) =
            commands::version_set(op).map_err(broken)?.filter(|version| *version > self.release)
        {
            let (fcv, (major, minor)) = (format!("{major}.{minor}"), self.release);
            return Err(HeadError::NeedsBinary { at, fcv, major, minor });
        }
        if let OpKind::Command(command) = op.kind {
            return match self.model {
                None => self.command(command, op, at, after).await,
                Some(_) => self.catch_up_command(command, op, at, after).await,
            };
        }
        let renamed;
        let ns = match &self.model {
            None => op.ns,
            Some(model) => match model.namespace(op) {
                // Not there yet, or not any more: what was scanned holds it, or a drop follows.
                None => {
                    self.pending = after;
                    return Ok(());
                }
                Some(ns) => {
                    renamed = ns.to_owned();
                    if op.kind == OpKind::Update && (model.is_capped(op) || op.must_be_alone()) {
                        return self.update_if_there(&op.encode_with(&renamed, op.o), at, after).await;
                    }
                    &renamed
                }
            },
        };
        if op.must_be_alone() {
            return self.alone(&op.encode_with(ns, op.o), at, after).await;
        }
        match timestamps::split(op, ns).map_err(broken)? {
            None => self.push(&op.encode_with(ns, op.o), at, after).await,
            Some([first, second]) => {
                if !self.batch.fits(first.len() + second.len()) {
                    self.flush().await?;
                }
                self.batch.push(&first, at, None);
                if first.len() + second.len() > PAIR_BYTES_MAX {
                    // The marker stays before the pair: the first half, done twice, is the same document.
                    self.flush().await?;
                }
                self.batch.push(&second, at, Some(after));
                self.pending = after;
                Ok(())
            }
        }
    }
}

/// Errors that arise before anything of an entry is sent.
fn before_the_server(error: &HeadError) -> bool {
    matches!(
        error,
        HeadError::Decode { .. }
            | HeadError::Unknown { .. }
            | HeadError::NeedsBinary { .. }
            | HeadError::MissingLink { .. }
            | HeadError::FeedGap { .. }
            | HeadError::OtherHistory { .. }
            | HeadError::TooManyTransactions(_)
    )
}

fn named(at: OpTime, error: OpError) -> HeadError {
    match error {
        OpError::Entry(source) => HeadError::Decode { after: at, source },
        OpError::Unknown { ns, what } => HeadError::Unknown { at, ns, what },
    }
}
