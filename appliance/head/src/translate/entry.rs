//! An oplog entry: its place in time, its operations, its part in a transaction.

use holdfast_domain::{OpTime, Ts};

use super::{
    super::{error::EntryError, raw},
    op::{Fields, Op, OpError, OpKind},
};

/// applyOps inside applyOps: servers before 7.0 wrote up to ten levels.
const DEPTH_MAX: usize = 10;
/// Value of `multiOpType` of a retryable insert of several documents: it carries a session and a number, yet is no
/// transaction.
const MULTI_OP_NOT_A_TRANSACTION: i64 = 1;

/// Which transaction, and which of its entries came before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TxnRef<'a> {
    /// Session, as the bytes of its document.
    pub(crate) lsid: &'a [u8],
    /// Transaction number in the session.
    pub(crate) number: i64,
    /// Entry of the same transaction before this one; None for its first.
    pub(crate) prev: Option<OpTime>,
}

/// What an entry means for a head.
#[derive(Clone, Debug)]
pub(crate) enum Meaning<'a> {
    /// These operations, now; none for an entry that only moves time on.
    Now(Vec<Op<'a>>),
    /// Operations of a transaction that is not decided yet.
    Part { txn: TxnRef<'a>, ops: Vec<Op<'a>>, prepared: bool },
    /// The last operations of a transaction, which commits here with all its parts.
    Last { txn: TxnRef<'a>, ops: Vec<Op<'a>> },
    /// A prepared transaction commits.
    Commit { txn: TxnRef<'a>, at: Option<Ts> },
    /// A transaction is dropped.
    Abort { txn: TxnRef<'a> },
}

/// An oplog entry.
#[derive(Clone, Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) at: OpTime,
    pub(crate) meaning: Meaning<'a>,
}

/// Place and session of an entry, before its operations are looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header<'a> {
    pub(crate) at: OpTime,
    fields: Fields<'a>,
    lsid: Option<&'a [u8]>,
    number: Option<i64>,
    prev: Option<OpTime>,
    multi: i64,
}

/// Reads an optime {ts, t}.
fn optime(document: &[u8]) -> Result<OpTime, EntryError> {
    let (mut ts, mut term) = (None, -1);
    for element in raw::elements(document)? {
        let element = element?;
        match element.key {
            b"ts" => ts = element.ts(),
            b"t" => term = element.integer().unwrap_or(-1),
            _ => {}
        }
    }
    Ok(OpTime { ts: ts.ok_or(EntryError::Field("prevOpTime.ts"))?, term })
}

impl<'a> Header<'a> {
    /// Reads the top level of an entry.
    pub(crate) fn parse(document: &'a [u8]) -> Result<Self, EntryError> {
        let mut fields = Fields::default();
        let (mut ts, mut term, mut lsid, mut number, mut prev, mut multi) = (None, -1, None, None, None, 0);
        for element in raw::elements(document)? {
            let element = element?;
            if fields.take(&element) {
                continue;
            }
            match element.key {
                b"ts" => ts = element.ts(),
                // The very first entry of an oplog has none.
                b"t" => term = element.integer().unwrap_or(-1),
                b"lsid" => lsid = element.document(),
                b"txnNumber" => number = element.integer(),
                b"prevOpTime" => prev = element.document().map(optime).transpose()?,
                b"multiOpType" => multi = element.integer().unwrap_or(0),
                _ => {}
            }
        }
        let at = OpTime { ts: ts.ok_or(EntryError::Field("ts"))?, term };
        // A null optime stands for "none".
        let prev = prev.filter(|prev| prev.ts != Ts::ZERO);
        Ok(Self { at, fields, lsid, number, prev, multi })
    }

    fn txn(&self) -> Option<TxnRef<'a>> {
        (self.multi != MULTI_OP_NOT_A_TRANSACTION)
            .then(|| Some(TxnRef { lsid: self.lsid?, number: self.number?, prev: self.prev }))
            .flatten()
    }

    /// Reads and checks all operations of the entry: an unknown one anywhere in it fails the entry before any is applied.
    pub(crate) fn entry(self) -> Result<Entry<'a>, OpError> {
        let meaning = self.meaning()?;
        Ok(Entry { at: self.at, meaning })
    }

    fn meaning(&self) -> Result<Meaning<'a>, OpError> {
        let op = match self.end_of_transaction()? {
            Some(end) => return Ok(end),
            None => self.fields.op()?,
        };
        if op.kind != OpKind::Nested {
            let mut ops = Vec::with_capacity(1);
            flatten(op, 0, &mut ops)?;
            return Ok(Meaning::Now(ops));
        }
        let mut ops = Vec::new();
        flatten(op, 0, &mut ops)?;
        let Some(txn) = self.txn() else { return Ok(Meaning::Now(ops)) };
        let flag = |name| raw::find(op.o, name).map(|found| found.is_some_and(|element| element.truthy()));
        Ok(if flag("prepare")? {
            Meaning::Part { txn, ops, prepared: true }
        } else if flag("partialTxn")? {
            Meaning::Part { txn, ops, prepared: false }
        } else {
            Meaning::Last { txn, ops }
        })
    }

    /// commitTransaction and abortTransaction, which carry no operations of their own.
    fn end_of_transaction(&self) -> Result<Option<Meaning<'a>>, OpError> {
        let Some(command) = self.fields.command()? else { return Ok(None) };
        let txn = || self.txn().ok_or(OpError::Entry(EntryError::Field("lsid or txnNumber of a transaction's end")));
        Ok(match command.name {
            b"commitTransaction" => {
                Some(Meaning::Commit { txn: txn()?, at: raw::find(command.o, "commitTimestamp")?.and_then(|e| e.ts()) })
            }
            b"abortTransaction" => Some(Meaning::Abort { txn: txn()? }),
            _ => None,
        })
    }
}

/// Lays nested applyOps out in order and leaves out what a head does not follow.
fn flatten<'a>(op: Op<'a>, depth: usize, out: &mut Vec<Op<'a>>) -> Result<(), OpError> {
    match op.kind {
        OpKind::Nothing => {}
        OpKind::Nested => {
            if depth >= DEPTH_MAX {
                return Err(EntryError::Depth(DEPTH_MAX).into());
            }
            let inner = raw::find(op.o, "applyOps")?.and_then(|e| e.array()).ok_or(EntryError::Field("applyOps"))?;
            for element in raw::elements(inner)? {
                let document = element?.document().ok_or(EntryError::Field("operation of applyOps"))?;
                flatten(Op::parse(document)?, depth + 1, out)?;
            }
        }
        // startIndexBuild is looked at only while an initial sync catches up.
        _ if !op.is_private() => out.push(op),
        _ => {}
    }
    Ok(())
}
