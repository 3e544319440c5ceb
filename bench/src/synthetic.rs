//! A store of blocks that nobody has: trees and an index as a snapshot of many terabytes has them, without the blocks' payloads, to see what
//! marking and collecting cost and how much memory they take.
//!
//! Invariants: everything is written as `blockstore-engine/docs/format.md` says, by public types alone; leaves have rows and no payloads, so
//! nothing here can be restored. One of [`GARBAGE_OF`] rows is reached by nothing, and a run must delete exactly those.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use blockstore_engine::tree::{BLOCK_SIZE_MIN, Child, FANOUT, FileEntry, Node, depth_for, encode_pages};
use blockstore_engine::{BlockId, CollectOptions, Floor, PayloadAt, Purpose, Root, RootId};
use bson::{Binary, DateTime, RawDocumentBuf, doc, spec::BinarySubtype};
use mongodb::{Collection, Database};
use tokio_util::sync::CancellationToken;

use crate::engine::{JOB, Place};
use crate::random::Random;

/// Blocks of one file: 64 GiB, a tree of two levels.
const FILE_BLOCKS: u64 = 1 << 20;
/// One row of so many is garbage.
const GARBAGE_OF: u64 = 100;
/// Documents in one insert.
const BATCH: usize = 10_000;
/// Bytes of one insert, about: below a message's bound of 48 MB.
const BATCH_BYTES: usize = 24 << 20;
/// Bytes of a frame that a leaf's row claims.
const LEAF_FRAME_BYTES: i32 = 30_000;
/// Inserts under way.
const INSERTS_AT_ONCE: usize = 3;

/// Fills an empty store with one snapshot of so many blocks.
pub struct Filler {
    db: Database,
    writer: RootId,
    number: u64,
    random: Random,
    rows: Batch,
    payloads: Batch,
}

struct Batch {
    target: Collection<RawDocumentBuf>,
    documents: Vec<RawDocumentBuf>,
    bytes: usize,
    flying: tokio::task::JoinSet<mongodb::error::Result<()>>,
}

impl Batch {
    fn new(target: Collection<RawDocumentBuf>) -> Self {
        Self { target, documents: Vec::new(), bytes: 0, flying: tokio::task::JoinSet::new() }
    }

    async fn push(&mut self, document: RawDocumentBuf) -> Result<()> {
        self.bytes += document.as_bytes().len();
        self.documents.push(document);
        if self.documents.len() >= BATCH || self.bytes >= BATCH_BYTES {
            self.flush(INSERTS_AT_ONCE - 1).await?;
        }
        Ok(())
    }

    /// Sends what is there, and waits until at most so many inserts are under way.
    async fn flush(&mut self, at_most: usize) -> Result<()> {
        let documents = std::mem::take(&mut self.documents);
        self.bytes = 0;
        if !documents.is_empty() {
            let target = self.target.clone();
            self.flying.spawn(async move { target.insert_many(documents).ordered(false).await.map(|_| ()) });
        }
        while self.flying.len() > at_most {
            self.flying.join_next().await.context("an insert is under way")???;
        }
        Ok(())
    }
}

fn generic(bytes: &[u8]) -> Binary {
    Binary { subtype: BinarySubtype::Generic, bytes: bytes.to_vec() }
}

impl Filler {
    /// For a store that was just opened, and is empty.
    #[must_use]
    pub fn new(db: Database) -> Self {
        let (rows, payloads) = (Batch::new(db.collection("blocks")), Batch::new(db.collection("payloads")));
        Self { db, writer: RootId::random(), number: 0, random: Random(7), rows, payloads }
    }

    /// Writes the snapshot and the garbage; how many rows are garbage.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn fill(mut self, blocks: u64) -> Result<u64> {
        let mut entries = Vec::new();
        let mut left = blocks;
        while left > 0 {
            let count = left.min(FILE_BLOCKS);
            left -= count;
            entries.push(self.file(entries.len(), count).await?);
        }
        let garbage = blocks.div_ceil(GARBAGE_OF);
        for _ in 0..garbage {
            let id = BlockId(self.random.hash());
            self.row(id, BLOCK_SIZE_MIN, LEAF_FRAME_BYTES).await?;
        }
        let mut pages = Vec::new();
        for page in encode_pages(&entries) {
            let len = page.len() as u64;
            pages.push(Child { id: Some(self.node(page).await?), len });
        }
        let tree = self.node(Node { level: 1, children: pages }.encode()).await?;
        self.rows.flush(0).await?;
        self.payloads.flush(0).await?;
        self.root(&entries, tree).await?;
        Ok(garbage)
    }

    async fn file(&mut self, number: usize, blocks: u64) -> Result<FileEntry> {
        let (block, size) = (u64::from(BLOCK_SIZE_MIN), blocks * u64::from(BLOCK_SIZE_MIN));
        let depth = depth_for(size, BLOCK_SIZE_MIN);
        let mut level_two = Vec::new();
        let mut left = blocks;
        while left > 0 {
            let count = left.min(FANOUT);
            left -= count;
            let mut children = Vec::with_capacity(usize::try_from(count)?);
            for _ in 0..count {
                let id = BlockId(self.random.hash());
                self.row(id, BLOCK_SIZE_MIN, LEAF_FRAME_BYTES).await?;
                children.push(Child { id: Some(id), len: block });
            }
            let id = self.node(Node { level: 1, children }.encode()).await?;
            level_two.push(Child { id: Some(id), len: count * block });
        }
        let top = match (depth, level_two.first()) {
            (1, Some(only)) => only.id,
            (2, _) => Some(self.node(Node { level: 2, children: level_two }.encode()).await?),
            _ => anyhow::bail!("a synthetic file has more than one block and at most {FILE_BLOCKS}"),
        };
        Ok(FileEntry { path: format!("file{number:06}"), mode: 0o600, size, block_size: BLOCK_SIZE_MIN, top, depth })
    }

    /// A node or page with its payload.
    async fn node(&mut self, raw: Vec<u8>) -> Result<BlockId> {
        let id = BlockId::of(&raw);
        let frame = zstd::bulk::compress(&raw, 1)?;
        let at = self.row(id, u32::try_from(raw.len())?, i32::try_from(frame.len())?).await?;
        let mut payload = RawDocumentBuf::new();
        payload.append(bson::cstr!("_id"), at.to_bson());
        payload.append(bson::cstr!("i"), id.to_bson());
        payload.append(bson::cstr!("s"), generic(&blake3::hash(&frame).as_bytes()[..16]));
        payload.append(bson::cstr!("z"), generic(&frame));
        self.payloads.push(payload).await?;
        Ok(id)
    }

    async fn row(&mut self, id: BlockId, raw_len: u32, frame_len: i32) -> Result<PayloadAt> {
        let at = PayloadAt { writer: self.writer, number: self.number };
        self.number += 1;
        let mut row = RawDocumentBuf::new();
        row.append(bson::cstr!("_id"), id.to_bson());
        row.append(bson::cstr!("n"), i32::try_from(raw_len)?);
        row.append(bson::cstr!("l"), frame_len);
        row.append(bson::cstr!("e"), 1_i64);
        row.append(bson::cstr!("at"), at.to_bson());
        self.rows.push(row).await?;
        Ok(at)
    }

    async fn root(&self, entries: &[FileEntry], tree: BlockId) -> Result<()> {
        let mut root = Root {
            id: self.writer,
            job: JOB.into(),
            parent: None,
            committed_at: DateTime::now(),
            meta: Vec::new(),
            resume: Floor { chain: 1, seq: 1 },
            purpose: Purpose::Snapshot,
            label: None,
            pins: Vec::new(),
            trashed_at: None,
            quarantined: false,
            files: entries.len() as u64,
            logical_bytes: entries.iter().map(|entry| entry.size).sum(),
            new_bytes: 0,
            stored_bytes: 0,
            tree,
            key: None,
            origin: None,
            hash: [0; 32],
            format: blockstore_engine::root::FORMAT,
        };
        root.hash = root.seal();
        self.db.collection::<Root>("roots").insert_one(&root).await?;
        Ok(())
    }
}

/// Runs the collector on the store; prints seconds and the blocks that it deleted. Payloads of leaves are missing on purpose.
///
/// # Errors
/// When the run fails.
pub async fn collect(place: &Place) -> Result<()> {
    let store = place.open().await?;
    let options = CollectOptions { grace: Duration::ZERO, give_way: 0, ..CollectOptions::default() };
    let started = Instant::now();
    let report = store.collect(&options, Arc::new(|_| {}), CancellationToken::new()).await?;
    ensure!(report.unlinked.is_empty(), "nothing lies in the trash");
    println!("{} {}", started.elapsed().as_secs_f64(), report.deleted.blocks);
    Ok(())
}

/// The documents that the garbage must leave behind, counted by the server.
///
/// # Errors
/// When the database fails.
pub async fn rows(db: &Database) -> Result<u64> {
    Ok(db.collection::<RawDocumentBuf>("blocks").count_documents(doc! {}).await?)
}
