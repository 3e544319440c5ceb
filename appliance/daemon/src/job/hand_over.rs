//! A job moves to another daemon: this one stores where it is and lets go; the other rebuilds the head from there.

use holdfast_domain::DaemonId;

use super::{
    driver::{Driver, Next},
    error::JobError,
    head_file::HeadPhase,
    snapshots::Why,
};

impl Driver {
    /// Takes a last snapshot, so that the other daemon has little to replay, and binds the job to it.
    pub(super) async fn hand_over(&mut self, to: DaemonId) -> Result<Next, JobError> {
        let known = self.ctx.metadb.daemon(&to).await?;
        if known.is_none() {
            self.record.error(Some(format!("the backup shall move to daemon {to}, which does not exist")));
            self.ctx.metadb.request_move(self.record.id(), None).await?;
            return Ok(Next::Again);
        }
        if let Some(writing) = self.writing.take() {
            writing.abort().await;
        }
        let ready = self.heads.current.as_ref().is_some_and(|head| head.phase == HeadPhase::Ready);
        let tail = self.ctx.ledger.tail(self.record.id()).await?;
        if let (true, Some(tail)) = (ready, tail)
            && self.heads.current.as_ref().is_some_and(|head| head.chain == tail.at.chain)
        {
            self.know_newest(tail.at.chain).await?;
            if self.position.is_none() {
                self.open_head(tail.at.chain).await?;
            }
            let moved = self.position.map(|p| p.optime()) != self.newest.as_ref().map(|s| s.meta.optime);
            if moved && self.position.is_some_and(|p| p.at_boundary()) {
                self.take_snapshot(&tail, Why::Moving).await?;
                while let Some(writing) = &self.writing {
                    writing.wait().await;
                    self.collect_tasks(&tail).await?;
                }
            }
        }
        self.close_head().await;
        self.record.phase("move to another daemon");
        self.record.flush(true).await?;
        // The lease goes first: whoever is bound next must not wait for it. Nothing is written after this.
        let from = self.ctx.id.clone();
        if self.ctx.metadb.bind_daemon(self.record.id(), Some(&from), &to).await? {
            tracing::info!(job = %self.record.id(), %to, "the job moved");
            self.heads.discard()?;
            self.heads.remove_others()?;
            self.heads.remove_clones(None)?;
            return Ok(Next::Left);
        }
        self.forget_reads();
        Ok(Next::Again)
    }
}
