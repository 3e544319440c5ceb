//! Steady state: the ledger's slices go into the head as they come.
//!
//! Invariants: the head is open only while there is work, or nobody else waits for its port; a slice is applied whole before anything else
//! happens; snapshots are taken between slices.

use std::time::{Duration, Instant};

use holdfast_agent_api::LedgerTail;
use holdfast_domain::{BackupEvent, BackupState, EntryPosition, Ts};

use super::{
    driver::{Driver, Next, OpenHead, POLL},
    error::JobError,
};
use crate::{
    feed::{Feed, Slice},
    head::Head,
    ports::HeadPort,
};

/// A head this close to the ledger's end counts as following, in seconds of the source's time.
const FOLLOWING_SECONDS: u32 = 30;
/// A head without work is closed after this: long against the 2 s that opening and closing take, and a source writes a no-op every 10 s.
const IDLE_MAX: Duration = Duration::from_secs(60);

impl Driver {
    /// One step of following.
    pub(super) async fn follow(&mut self, tail: &LedgerTail) -> Result<Next, JobError> {
        match self.record.job().state {
            BackupState::InitialSync | BackupState::Resyncing if tail.closed.is_none() => {
                self.record.event(BackupEvent::Loaded).await?;
            }
            BackupState::CatchingUp | BackupState::Active if tail.closed.is_some() => {
                self.record.event(BackupEvent::Resync).await?;
            }
            _ => {}
        }
        self.ready_since.get_or_insert_with(Instant::now);
        self.know_newest(tail.at.chain).await?;
        self.collect_tasks(tail).await?;
        if let Some(why) = self.snapshot_due(tail) {
            return self.take_snapshot(tail, why).await;
        }
        if self.open.is_none() {
            let behind = self.position.is_none_or(|p| p.ts < tail.last.ts);
            if !behind && !self.wants_first_catalog() {
                self.following(tail).await?;
                return Ok(Next::Wait(POLL));
            }
            self.open_head(tail.at.chain).await?;
            return Ok(Next::Again);
        }
        self.compare_catalog(tail).await?;
        let Some(open) = self.open.as_mut() else { return Ok(Next::Again) };
        match tokio::time::timeout(POLL, open.feed.next()).await {
            Ok(slice) => {
                let slice = slice?;
                self.apply(slice).await?;
                self.following(tail).await?;
                self.yield_turn(false).await;
            }
            Err(_) => {
                self.following(tail).await?;
                let idle = self.position.is_some_and(|p| p.ts >= tail.last.ts);
                self.yield_turn(idle).await;
            }
        }
        Ok(Next::Again)
    }

    /// Opens the head and a feed from where it stands.
    pub(super) async fn open_head(&mut self, chain: i64) -> Result<(), JobError> {
        self.open_head_on(chain, None).await
    }

    /// As [`Self::open_head`], on a port that is held already.
    pub(super) async fn open_head_on(&mut self, chain: i64, port: Option<HeadPort>) -> Result<(), JobError> {
        if self.open.is_some() {
            return Ok(());
        }
        let (Some(file), Some(folder)) = (self.heads.current.clone(), self.heads.folder()) else { return Ok(()) };
        let port = match port {
            Some(port) => port,
            None => {
                self.record.phase("wait for a port");
                self.record.flush(true).await?;
                self.ctx.head_ports.take().await
            }
        };
        self.record.phase("open the head");
        let options = self.ctx.head_options(&file.server_version, file.storage, port.number)?;
        let head = Head::open(&folder, &options).await?;
        let position = head.position();
        let from = self.feed_start(chain, position.feed_from.ts).await?;
        tracing::info!(job = %self.record.id(), port = port.number, at = %position.optime(), ops = position.ops, from, "head opened");
        let feed = Feed::start(self.ctx.ledger.clone(), self.record.id().clone(), chain, from);
        self.record.port(Some(port.number));
        self.record.head(position.optime());
        self.position = Some(position);
        self.needs(chain, from);
        self.open = Some(OpenHead { head, port, feed, worked_at: Instant::now() });
        Ok(())
    }

    /// Sequence number of the first slice that a head with this `feedFrom` needs.
    pub(super) async fn feed_start(&self, chain: i64, feed_from: Ts) -> Result<i64, JobError> {
        if feed_from == Ts::ZERO {
            return Ok(1);
        }
        let at = self.ctx.ledger.entry_at(self.record.id(), chain, feed_from).await?;
        Ok(at.map_or(1, |at| at.seq))
    }

    /// Applies a slice.
    async fn apply(&mut self, slice: Slice) -> Result<(), JobError> {
        let Some(open) = self.open.as_mut() else { return Ok(()) };
        self.last_seq = slice.at.seq;
        if slice.closes.is_some() || slice.raw.is_empty() {
            return Ok(());
        }
        self.record.phase("apply the oplog");
        let started = Instant::now();
        let applied = open.head.apply(&slice.raw, None).await?;
        let position = open.head.position();
        if applied.entries > 0 {
            open.worked_at = Instant::now();
        }
        if position.feed_from.ts >= slice.first.ts {
            self.needs(slice.at.chain, slice.at.seq);
        }
        self.debt.applied(started.elapsed());
        metrics::counter!("holdfast_head_ops_total").increment(applied.ops);
        self.position = Some(position);
        self.record.head(position.optime());
        self.record.debt(self.debt.seconds());
        self.passed(slice.at.seq).await
    }

    /// Tells retention which slices the head may still need.
    fn needs(&mut self, chain: i64, seq: i64) {
        self.ctx.needs.put(self.record.id(), EntryPosition { chain, seq });
    }

    /// Says how far the head is, and that it follows once it does.
    async fn following(&mut self, tail: &LedgerTail) -> Result<(), JobError> {
        let Some(position) = self.position else { return Ok(()) };
        let close = position.ts.t.saturating_add(FOLLOWING_SECONDS) >= tail.last.ts.t;
        let state = self.record.job().state;
        if close && state == BackupState::CatchingUp && tail.closed.is_none() {
            self.record.event(BackupEvent::CaughtUp).await?;
        }
        if position.ts >= tail.last.ts {
            self.record.error(None);
            self.record.phase(if tail.closed.is_some() {
                "wait for the agent to sync again"
            } else {
                "follow the source"
            });
            self.finish_resync()?;
        }
        Ok(())
    }

    /// Closes the head when others wait for its port, or when it has had nothing to do for long.
    async fn yield_turn(&mut self, idle: bool) {
        let Some(open) = &self.open else { return };
        if open.port.should_yield(idle) || (idle && open.worked_at.elapsed() >= IDLE_MAX) {
            self.close_head().await;
        }
    }

    /// The head of the chain before is not needed any more.
    fn finish_resync(&mut self) -> Result<(), JobError> {
        Ok(self.heads.remove_others()?)
    }
}
