//! Tails the source's oplog into the ledger, over members' failures, until the chain ends.
//!
//! Only majority committed entries are read, so nothing that was sent can ever roll back at the source. On every new cursor the first entry must be
//! exactly the last one taken; what else it may be decides [`Resume`].

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use holdfast_agent_api::{CloseChain, LedgerTail};
use holdfast_domain::{CloseReason, OpTime};
use mongodb::raw_batch_cursor::RawBatch;

use super::{
    context::JobContext,
    cutter::Cutter,
    error::JobError,
    job_api::Outcome,
    member_choice::Wishes,
    oplog::{AWAIT_DATA, OplogCursor, Resume, entries, judge, overtaken},
    outbox::Outbox,
    report::Part,
    sender,
    source::Member,
};

/// Pause before another member is taken after one failed.
const MEMBER_PAUSE: Duration = Duration::from_millis(500);
/// Longest pause of that kind.
const MEMBER_PAUSE_MAX: Duration = Duration::from_secs(10);
/// A failed member is avoided for this long, while there are others.
const AVOID: Duration = Duration::from_secs(20);
/// A lost window is believed when every member that answers has said so, this many times.
const LOST_LOOKS: u32 = 3;
/// Without an entry for this long (servers write one every 10 s when idle) the set is looked at.
const QUIET: Duration = Duration::from_secs(15);
/// A member whose newest entry is this much older than another's is left, in seconds.
const STALE_SECONDS_MAX: u32 = 30;
/// A batch of fewer entries shows that the cursor is at the end of the oplog ...
const FEW_ENTRIES: usize = 1000;
/// ... where this pause lets entries gather: asking for every single one would cost the source and the agent more than the writes do.
const GATHER: Duration = Duration::from_millis(200);
/// How often the ends of the source's oplog are reported.
const WINDOW_EVERY: Duration = Duration::from_secs(30);

/// Why the chain must end.
#[derive(Debug)]
struct End {
    reason: CloseReason,
    detail: String,
}

/// How one member served.
enum Served {
    End(Resume),
    Behind,
    Stale,
    Ended,
}

/// Tails from where the ledger stands. Returns where the ledger stands when the chain ended, or when the caller shall begin again from there.
pub(crate) async fn run(ctx: &Arc<JobContext>, tail: LedgerTail) -> Result<LedgerTail, JobError> {
    let spool = ctx.dir.join(format!("spool-{}", tail.at.chain));
    let outbox = Arc::new(Outbox::open(&spool, &tail, ctx.spool_bytes_max)?);
    let from = outbox.last().unwrap_or(tail.last);
    let inclusive = tail.at.seq == 0 && outbox.last().is_none();
    ctx.report.update(|report| report.sent_optime = Some(tail.last));
    let mut reader =
        Reader { ctx, outbox: &outbox, cutter: Cutter::new(from, inclusive), avoid: Vec::new(), window_at: None };
    let read = async {
        let end = reader.read().await?;
        reader.flush_all().await?;
        outbox.finish();
        Ok::<_, JobError>(end)
    };
    // Both on this task: one ends the other, and nothing is left behind.
    ctx.set_ledger(&tail);
    let (end, tail) = match tokio::try_join!(read, sender::send(ctx, &outbox, tail)) {
        Ok(done) => done,
        Err(JobError::WalkBack) => {
            drop(outbox);
            discard(&spool)?;
            return ctx.ledger().ok_or_else(|| JobError::Bug("the ledger's tail is not known while tailing".into()));
        }
        Err(error) => return Err(error),
    };
    let close = CloseChain { prev: tail.hash, reason: end.reason, detail: end.detail.clone() };
    ctx.report.error(Part::Tail, Some(end.detail));
    match ctx.api.close_chain(tail.at.chain, &close).await? {
        Outcome::Done(tail) | Outcome::Conflict(tail) => Ok(tail),
    }
}

/// Removes what was never sent.
fn discard(spool: &std::path::Path) -> Result<(), JobError> {
    std::fs::remove_dir_all(spool).map_err(|source| JobError::Disk {
        doing: "remove the spool",
        path: spool.display().to_string(),
        source,
    })
}

struct Reader<'a> {
    ctx: &'a Arc<JobContext>,
    outbox: &'a Arc<Outbox>,
    cutter: Cutter,
    avoid: Vec<(String, Instant)>,
    window_at: Option<Instant>,
}

impl Reader<'_> {
    /// Reads until the chain must end.
    async fn read(&mut self) -> Result<End, JobError> {
        let (mut lost, mut looks, mut pause) = (Vec::<String>::new(), 0, MEMBER_PAUSE);
        loop {
            let served = match self.pick(&lost).await {
                Err(JobError::Cancelled) => return Err(JobError::Cancelled),
                Err(error @ JobError::NoMember(_)) if !lost.is_empty() => {
                    looks += 1;
                    if looks >= LOST_LOOKS {
                        return Ok(self.window_lost());
                    }
                    tracing::info!(%error, "looking for a member whose oplog reaches back far enough");
                    lost.clear();
                    self.ctx.sleep(MEMBER_PAUSE).await?;
                    continue;
                }
                Err(error) => Err(error),
                Ok(member) => {
                    self.ctx.report.update(|report| report.member = Some(member.host.clone()));
                    let started = Instant::now();
                    let served = self.serve(&member).await;
                    if started.elapsed() > AVOID {
                        pause = MEMBER_PAUSE;
                    }
                    match served {
                        Ok(Served::End(Resume::WindowLost)) => {
                            lost.push(member.host);
                            continue;
                        }
                        Ok(Served::Ended) => Ok(()),
                        Ok(Served::Behind | Served::Stale) => {
                            self.avoid.push((member.host.clone(), Instant::now()));
                            Ok(())
                        }
                        Ok(Served::End(_)) if self.unsent() => {
                            tracing::warn!(
                                member = member.host,
                                "what was read and not yet sent is gone at the source: walking back"
                            );
                            return Err(JobError::WalkBack);
                        }
                        Ok(Served::End(_)) => return Ok(self.other_history(&member)),
                        Err(error @ (JobError::Cancelled | JobError::Bug(_) | JobError::Disk { .. })) => {
                            return Err(error);
                        }
                        Err(error) => {
                            if !overtaken(&error) {
                                self.avoid.push((member.host.clone(), Instant::now()));
                            }
                            Err(error)
                        }
                    }
                }
            };
            if let Err(error) = served {
                self.ctx.report.error(Part::Tail, Some(crate::retry::with_sources(&error)));
            }
            self.idle(pause).await?;
            pause = (pause * 2).min(MEMBER_PAUSE_MAX);
        }
    }

    /// True when something was read that the ledger does not have.
    fn unsent(&self) -> bool {
        let (last, pending) = self.cutter.position();
        !pending && self.ctx.ledger().is_none_or(|ledger| ledger.last != last)
    }

    /// Cuts what there is, for the end of a chain.
    async fn flush_all(&mut self) -> Result<(), JobError> {
        if let Some(slice) = self.cutter.cut()? {
            self.outbox.push(slice, &self.ctx.budget, &self.ctx.api.health, &self.ctx.api.cancel).await?;
        }
        Ok(())
    }

    /// A pause that still cuts and spills.
    async fn idle(&mut self, pause: Duration) -> Result<(), JobError> {
        self.flush(Instant::now()).await?;
        self.ctx.sleep(pause).await
    }

    async fn pick(&mut self, lost: &[String]) -> Result<Member, JobError> {
        self.avoid.retain(|(_, since)| since.elapsed() < AVOID);
        let mut avoid: Vec<String> = self.avoid.iter().map(|(host, _)| host.clone()).collect();
        avoid.extend(lost.iter().cloned());
        let wanted = self.ctx.wanted_member();
        let wishes = |avoid| Wishes { wanted: wanted.as_deref(), before: None, avoid };
        match self.ctx.source.pick(wishes(&avoid)).await {
            // Better one that failed a moment ago than none.
            Err(JobError::NoMember(_)) if avoid.len() > lost.len() => self.ctx.source.pick(wishes(lost)).await,
            done => done,
        }
    }

    /// Reads from one member for as long as it serves.
    async fn serve(&mut self, member: &Member) -> Result<Served, JobError> {
        let (want, inclusive) = self.cutter.position();
        let mut cursor = OplogCursor::open(member, want.ts).await?;
        let (mut checked, mut last_entry) = (false, Instant::now());
        loop {
            let Some(batch) = self.next(&mut cursor).await? else { return Ok(Served::Ended) };
            if !checked {
                let first = entries(&batch)?.next().transpose()?.map(|entry| entry.at);
                match self.judge(member, want, first).await? {
                    Resume::Fits => checked = true,
                    Resume::Behind if first.is_none() => {
                        self.ctx.report.phase(Part::Tail, "wait for the member to come so far");
                        self.look_around(member).await?;
                        return Ok(Served::Behind);
                    }
                    other => return Ok(Served::End(other)),
                }
                self.ctx.report.phase(Part::Tail, "tail the oplog");
                self.ctx.report.error(Part::Tail, None);
            }
            let took = self.take(&batch, want, inclusive).await?;
            drop(batch);
            if took > 0 {
                last_entry = Instant::now();
                self.healthy();
            } else if last_entry.elapsed() > QUIET {
                last_entry = Instant::now();
                if self.look_around(member).await? {
                    return Ok(Served::Stale);
                }
            }
            if (1..FEW_ENTRIES).contains(&took) {
                self.ctx.sleep(GATHER).await?;
            }
            self.window(member).await;
            self.flush(Instant::now()).await?;
        }
    }

    async fn judge(&self, member: &Member, want: OpTime, first: Option<OpTime>) -> Result<Resume, JobError> {
        if first == Some(want) {
            return Ok(Resume::Fits);
        }
        let oldest = member.oldest_point().await?;
        let majority = member.majority_point().await?;
        let told = judge(want, first, oldest, majority);
        tracing::info!(member = member.host, %want, ?first, %oldest, %majority, ?told, "the place to resume from is not there");
        Ok(told)
    }

    /// The next batch; cuts meanwhile what is old enough.
    async fn next(&mut self, cursor: &mut OplogCursor) -> Result<Option<RawBatch>, JobError> {
        loop {
            let wake = self.cutter.deadline().unwrap_or_else(|| Instant::now() + AWAIT_DATA);
            tokio::select! {
                () = self.ctx.api.cancel.cancelled() => return Err(JobError::Cancelled),
                batch = cursor.next() => return batch,
                () = tokio::time::sleep_until(wake.into()) => self.flush(Instant::now()).await?,
            }
        }
    }

    /// Takes the entries of a batch; how many there were.
    async fn take(&mut self, batch: &RawBatch, want: OpTime, inclusive: bool) -> Result<usize, JobError> {
        let (mut took, mut slices) = (0, Vec::new());
        for entry in entries(batch)? {
            let entry = entry?;
            if entry.at == want && !(inclusive && self.cutter.position().1) {
                continue;
            }
            self.cutter.push(&entry, Instant::now(), &mut slices)?;
            took += 1;
            for slice in slices.drain(..) {
                self.outbox.push(slice, &self.ctx.budget, &self.ctx.api.health, &self.ctx.api.cancel).await?;
            }
        }
        let (last, pending) = self.cutter.position();
        if !pending {
            self.ctx.report.update(|report| report.source_optime = Some(last));
        }
        Ok(took)
    }

    /// Cuts when it is time, spills when the server does not answer.
    async fn flush(&mut self, now: Instant) -> Result<(), JobError> {
        if self.cutter.deadline().is_some_and(|deadline| deadline <= now)
            && let Some(slice) = self.cutter.cut()?
        {
            self.outbox.push(slice, &self.ctx.budget, &self.ctx.api.health, &self.ctx.api.cancel).await?;
        }
        self.outbox.spill(&self.ctx.api.health)?;
        let bytes = self.outbox.disk_bytes();
        self.ctx.report.update(|report| report.spool_bytes = bytes);
        Ok(())
    }

    fn healthy(&self) {
        self.ctx.report.error(Part::Job, None);
        let failing = self.ctx.api.health.failing().filter(|(since, _)| *since > AWAIT_DATA);
        self.ctx.report.error(
            Part::Tail,
            failing.map(|(since, last)| {
                let spool = self.outbox.disk_bytes() >> 20;
                let since = since.as_secs() / 10 * 10;
                format!("the appliance has not answered for {since} s ({last}); {spool} MB wait in the spool")
            }),
        );
        self.ctx.report.phase(Part::Tail, "tail the oplog");
    }

    /// The source is quiet: says why when it has no majority. True: another member knows of newer entries than this one has.
    async fn look_around(&self, member: &Member) -> Result<bool, JobError> {
        let state = self.ctx.source.survey().await?;
        let said = state.without_majority();
        if said.is_some() {
            self.ctx.report.phase(Part::Tail, "wait for a majority");
            self.ctx.report.error(Part::Tail, said);
            return Ok(false);
        }
        let own = member.majority_point().await?;
        for other in state.candidates.iter().filter(|c| c.host != member.host && c.healthy && !c.arbiter) {
            let Ok(client) = self.ctx.source.client(&other.host) else { continue };
            let hello = super::source::run(&client, "admin", bson::doc! { "hello": 1 }).await;
            let newest = hello.ok().and_then(|h| {
                h.get_document("lastWrite").ok()?.get_document("majorityOpTime").ok()?.get_timestamp("ts").ok()
            });
            if newest.is_some_and(|ts| ts.time > own.ts.t.saturating_add(STALE_SECONDS_MAX)) {
                tracing::info!(member = member.host, other = other.host, "this member stands still; another is taken");
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Reports how far the source's oplog reaches back.
    async fn window(&mut self, member: &Member) {
        if self.window_at.is_some_and(|at| at.elapsed() < WINDOW_EVERY) {
            return;
        }
        self.window_at = Some(Instant::now());
        if let (Ok(oldest), Ok(newest)) = (member.oldest_point().await, member.majority_point().await) {
            self.ctx.report.update(|report| report.oplog_window = Some((oldest.ts.t, newest.ts.t)));
        }
    }

    fn window_lost(&self) -> End {
        let (want, _) = self.cutter.position();
        let detail = format!(
            "the source's oplog no longer holds {want}, up to which it was backed up: a new initial sync begins. Enlarge the source's oplog if this happens again"
        );
        End { reason: CloseReason::WindowLost, detail }
    }

    fn other_history(&self, member: &Member) -> End {
        let (want, _) = self.cutter.position();
        let detail = format!(
            "{} has another history: the entry {want} was majority committed and is not in its oplog (a forced reconfiguration, or a restored member). What was backed up before stays restorable; a new initial sync begins",
            member.host
        );
        End { reason: CloseReason::OtherHistory, detail }
    }
}
