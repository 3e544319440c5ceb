//! Transactions that the oplog has begun and not yet decided.
//!
//! Invariants: a part is kept only when it follows the part that it names; what is kept in memory is bounded, more goes to
//! files in a folder of the head that is emptied at every open (the oplog has it all: a feed begins at the first part of the
//! oldest open transaction). Called by the feeder only.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use holdfast_domain::OpTime;

use super::{
    error::HeadError,
    translate::{Op, TxnRef},
};

/// Operations of open transactions in memory, over all of them; beyond it a transaction is kept in a file.
pub(crate) const MEMORY_BYTES_MAX: usize = 16 << 20;
/// Transactions open at once; a source has as many prepared ones as it has sessions in two-phase commit at most.
const OPEN_MAX: usize = 10_000;
/// Folder of the spill files in the head's folder.
const FOLDER: &str = "transactions";
/// Read and write buffer of a spill file.
const FILE_BUFFER_BYTES: usize = 1 << 20;

type Key = (Vec<u8>, i64);

/// One open transaction.
#[derive(Debug)]
pub(crate) struct Chain {
    first: OpTime,
    last: OpTime,
    prepared: bool,
    /// Operations kept.
    count: u64,
    memory: Vec<u8>,
    file: Option<Spill>,
    /// Its beginning was not fed: known only while a feed goes over entries that were applied before.
    broken: bool,
}

#[derive(Debug)]
struct Spill {
    path: PathBuf,
    file: BufWriter<File>,
}

impl Drop for Spill {
    fn drop(&mut self) {
        // The folder is emptied at the next open in any case.
        let _ = fs::remove_file(&self.path);
    }
}

/// All open transactions of a head.
#[derive(Debug)]
pub(crate) struct Chains {
    folder: PathBuf,
    open: HashMap<Key, Chain>,
    memory_bytes: usize,
    memory_bytes_max: usize,
    files: u64,
}

fn io_error(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> HeadError {
    move |source| HeadError::Io { what, path: path.to_owned(), source }
}

impl Chains {
    /// No transactions; the spill folder is emptied.
    pub(crate) fn new(head_dir: &Path, memory_bytes_max: usize) -> Result<Self, HeadError> {
        let folder = head_dir.join(FOLDER);
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(io_error("empty", &folder)(error));
            }
            _ => {}
        }
        fs::create_dir_all(&folder).map_err(io_error("create", &folder))?;
        Ok(Self { folder, open: HashMap::new(), memory_bytes: 0, memory_bytes_max, files: 0 })
    }

    /// First entry of the oldest open transaction.
    pub(crate) fn oldest(&self) -> Option<OpTime> {
        self.open.values().filter(|chain| !chain.broken).map(|chain| chain.first).min()
    }

    /// Whether a prepared transaction is undecided.
    pub(crate) fn has_prepared(&self) -> bool {
        self.open.values().any(|chain| chain.prepared && !chain.broken)
    }

    /// Keeps a part. `lenient`: the part was applied or passed before, so that its transaction may have begun before the feed.
    pub(crate) fn push(
        &mut self,
        at: OpTime,
        txn: &TxnRef<'_>,
        ops: &[Op<'_>],
        prepared: bool,
        lenient: bool,
    ) -> Result<(), HeadError> {
        let key = (txn.lsid.to_vec(), txn.number);
        match txn.prev {
            // A new transaction under this number takes the place of one that was never decided.
            None => self.forget(&key),
            Some(prev) => {
                let follows = self.open.get(&key).is_some_and(|chain| chain.last == prev);
                if !follows && lenient {
                    self.forget(&key);
                    self.open.insert(key, Chain { broken: true, ..Chain::new(at) });
                    return Ok(());
                }
                if !follows {
                    return Err(HeadError::MissingLink { at, prev });
                }
            }
        }
        if !self.open.contains_key(&key) && self.open.len() >= OPEN_MAX {
            return Err(HeadError::TooManyTransactions(OPEN_MAX));
        }
        let chain = self.open.entry(key).or_insert_with(|| Chain::new(at));
        chain.last = at;
        chain.prepared |= prepared;
        if chain.broken {
            return Ok(());
        }
        for op in ops {
            let bytes = op.encode();
            chain.count += 1;
            if chain.file.is_none() && self.memory_bytes + bytes.len() <= self.memory_bytes_max {
                self.memory_bytes += bytes.len();
                chain.memory.extend_from_slice(&bytes);
                continue;
            }
            if chain.file.is_none() {
                self.files += 1;
                let path = self.folder.join(format!("{}.bson", self.files));
                let file = File::options()
                    .read(true)
                    .write(true)
                    .create_new(true)
                    .open(&path)
                    .map_err(io_error("create", &path))?;
                let mut spill = Spill { path, file: BufWriter::with_capacity(FILE_BUFFER_BYTES, file) };
                spill.file.write_all(&chain.memory).map_err(io_error("write", &spill.path))?;
                self.memory_bytes -= chain.memory.len();
                chain.memory = Vec::new();
                chain.file = Some(spill);
            }
            if let Some(spill) = &mut chain.file {
                spill.file.write_all(&bytes).map_err(io_error("write", &spill.path))?;
            }
        }
        Ok(())
    }

    fn forget(&mut self, key: &Key) {
        if let Some(chain) = self.open.remove(key) {
            self.memory_bytes -= chain.memory.len();
        }
    }

    /// Drops a transaction, if it is there.
    pub(crate) fn abort(&mut self, txn: &TxnRef<'_>) {
        self.forget(&(txn.lsid.to_vec(), txn.number));
    }

    /// Takes a transaction out to be applied; None where the entry that decides it is its only one.
    pub(crate) fn take(&mut self, at: OpTime, txn: &TxnRef<'_>, lenient: bool) -> Result<Option<Chain>, HeadError> {
        let key = (txn.lsid.to_vec(), txn.number);
        let Some(prev) = txn.prev else {
            self.forget(&key);
            return Ok(None);
        };
        let chain = self.open.remove(&key);
        self.memory_bytes -= chain.as_ref().map_or(0, |chain| chain.memory.len());
        match chain {
            Some(chain) if chain.last == prev && !chain.broken => Ok(Some(chain)),
            _ if lenient => Ok(None),
            _ => Err(HeadError::MissingLink { at, prev }),
        }
    }
}

impl Chain {
    fn new(at: OpTime) -> Self {
        Self { first: at, last: at, prepared: false, count: 0, memory: Vec::new(), file: None, broken: false }
    }

    /// Operations kept.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The operations, one after the other, as [`Op::encode`] wrote them.
    pub(crate) fn read(self) -> Result<ChainReader, HeadError> {
        let source = match self.file {
            None => Source::Memory(std::io::Cursor::new(self.memory)),
            Some(mut spill) => {
                spill.file.flush().map_err(io_error("write", &spill.path))?;
                let mut file = spill.file.get_ref().try_clone().map_err(io_error("read", &spill.path))?;
                file.seek(SeekFrom::Start(0)).map_err(io_error("read", &spill.path))?;
                Source::File(BufReader::with_capacity(FILE_BUFFER_BYTES, file), spill)
            }
        };
        Ok(ChainReader { source, left: self.count, buffer: Vec::new() })
    }
}

#[derive(Debug)]
enum Source {
    Memory(std::io::Cursor<Vec<u8>>),
    /// The second field keeps the file until it is read.
    File(BufReader<File>, Spill),
}

/// Reads the operations of a transaction.
#[derive(Debug)]
pub(crate) struct ChainReader {
    source: Source,
    left: u64,
    buffer: Vec<u8>,
}

impl ChainReader {
    /// The next operation.
    pub(crate) fn next(&mut self) -> Result<Option<&[u8]>, HeadError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let (reader, path): (&mut dyn Read, &Path) = match &mut self.source {
            Source::Memory(cursor) => (cursor, Path::new("memory")),
            Source::File(file, spill) => (file, spill.path.as_path()),
        };
        let mut head = [0; 4];
        reader.read_exact(&mut head).map_err(io_error("read", path))?;
        let len = usize::try_from(i32::from_le_bytes(head)).unwrap_or(0).max(4);
        self.buffer.clear();
        self.buffer.extend(head);
        self.buffer.resize(len, 0);
        reader.read_exact(self.buffer.get_mut(4..).unwrap_or_default()).map_err(io_error("read", path))?;
        Ok(Some(&self.buffer))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use bson::doc;
    use holdfast_domain::Ts;

    use super::*;

    fn at(i: u32) -> OpTime {
        OpTime { ts: Ts { t: 1, i }, term: 1 }
    }

    fn txn(lsid: &[u8], prev: Option<OpTime>) -> TxnRef<'_> {
        TxnRef { lsid, number: 1, prev }
    }

    fn op(n: i32) -> Vec<u8> {
        doc! {"op": "i", "ns": "a.b", "o": {"_id": n, "pad": "x".repeat(100)}}.to_vec().unwrap()
    }

    fn all(chain: Chain) -> Vec<Vec<u8>> {
        let mut reader = chain.read().unwrap();
        let mut out = Vec::new();
        while let Some(bytes) = reader.next().unwrap() {
            out.push(bytes.to_vec());
        }
        out
    }

    #[test]
    fn parts_come_back_in_order_from_memory_and_from_files() {
        let dir = tempfile::tempdir().unwrap();
        for memory_max in [0, 500, 1 << 20] {
            let mut chains = Chains::new(dir.path(), memory_max).unwrap();
            let bytes: Vec<_> = (0..10).map(op).collect();
            let ops: Vec<_> = bytes.iter().map(|b| Op::parse(b).unwrap()).collect();
            chains.push(at(1), &txn(b"a", None), &ops[..4], false, false).unwrap();
            chains.push(at(2), &txn(b"b", None), &ops[..3], true, false).unwrap();
            chains.push(at(3), &txn(b"a", Some(at(1))), &ops[4..], false, false).unwrap();
            assert_eq!((chains.oldest(), chains.has_prepared()), (Some(at(1)), true));
            let a = chains.take(at(4), &txn(b"a", Some(at(3))), false).unwrap().unwrap();
            assert_eq!(a.count(), 10);
            assert_eq!(all(a), bytes);
            assert_eq!(chains.oldest(), Some(at(2)));
            chains.abort(&txn(b"b", Some(at(2))));
            assert_eq!((chains.oldest(), chains.memory_bytes), (None, 0));
        }
        assert_eq!(fs::read_dir(dir.path().join(FOLDER)).unwrap().count(), 0, "no spill file is left");
    }

    #[test]
    fn a_missing_part_is_refused_unless_it_was_passed_before() {
        let dir = tempfile::tempdir().unwrap();
        let mut chains = Chains::new(dir.path(), 1 << 20).unwrap();
        let bytes = op(1);
        let ops = [Op::parse(&bytes).unwrap()];
        assert!(matches!(
            chains.push(at(2), &txn(b"a", Some(at(1))), &ops, false, false),
            Err(HeadError::MissingLink { .. })
        ));
        chains.push(at(2), &txn(b"a", Some(at(1))), &ops, false, true).unwrap();
        assert_eq!(chains.oldest(), None, "a broken chain holds nothing back");
        chains.push(at(3), &txn(b"a", Some(at(2))), &ops, false, true).unwrap();
        assert!(matches!(chains.take(at(4), &txn(b"a", Some(at(3))), false), Err(HeadError::MissingLink { .. })));
        assert!(chains.take(at(4), &txn(b"c", Some(at(3))), true).unwrap().is_none());
        assert!(matches!(chains.take(at(4), &txn(b"c", Some(at(3))), false), Err(HeadError::MissingLink { .. })));
        assert!(chains.take(at(5), &txn(b"d", None), false).unwrap().is_none());
    }
}
