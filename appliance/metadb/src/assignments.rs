//! Which agent sends for a job: taken over by compare-and-set, checked with every slice.

use bson::{DateTime, doc};
use holdfast_agent_api::JobReport;
use holdfast_domain::{AgentId, BackupJobId};

use crate::{
    Assignment, BackupJob, JobAgentReport, MetaDb, MetaError,
    error::{on, to_bson},
};

impl MetaDb {
    /// Assigns a job to an agent if its assignment's epoch is `expected_epoch` still. None: another was faster.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn assign_agent(
        &self,
        id: &BackupJobId,
        expected_epoch: i64,
        agent: &AgentId,
    ) -> Result<Option<Assignment>, MetaError> {
        let op = "assign a backup job to an agent";
        let new = Assignment { agent: Some(agent.clone()), epoch: expected_epoch + 1, beat: 0 };
        let filter = doc! { "_id": id.clone(), "assignment.epoch": expected_epoch };
        let update = doc! { "$set": { "assignment": to_bson(op, &new)? } };
        let done = self.of::<BackupJob>("backup_jobs").update_one(filter, update).await.map_err(on(op))?;
        Ok((done.matched_count > 0).then_some(new))
    }

    /// The agent asked for this job: its assignment lives.
    ///
    /// # Errors
    /// [`MetaError::Fenced`] when the job is another's now.
    pub async fn touch_assignment(&self, id: &BackupJobId, agent: &AgentId, epoch: i64) -> Result<(), MetaError> {
        let update = doc! { "$inc": { "assignment.beat": 1_i64 } };
        self.set_assigned("note an agent's beat for a job", id, agent, epoch, update).await
    }

    /// Stores what the agent says of the job.
    ///
    /// # Errors
    /// [`MetaError::Fenced`] when the job is another's now.
    pub async fn report(
        &self,
        id: &BackupJobId,
        agent: &AgentId,
        epoch: i64,
        report: &JobReport,
    ) -> Result<(), MetaError> {
        let op = "store an agent's report";
        let stored = JobAgentReport { report: report.clone(), at: DateTime::now() };
        let mut set = doc! { "agentReport": to_bson(op, &stored)? };
        if let Some(optime) = &report.source_optime {
            set.insert("sourceOptime", to_bson(op, optime)?);
        }
        self.set_assigned(op, id, agent, epoch, doc! { "$set": set }).await
    }

    async fn set_assigned(
        &self,
        op: &'static str,
        id: &BackupJobId,
        agent: &AgentId,
        epoch: i64,
        update: bson::Document,
    ) -> Result<(), MetaError> {
        let filter = doc! { "_id": id.clone(), "assignment.agent": agent.clone(), "assignment.epoch": epoch };
        let done = self.of::<BackupJob>("backup_jobs").update_one(filter, update).await;
        match done.map_err(on(op))?.matched_count {
            0 => Err(MetaError::Fenced),
            _ => Ok(()),
        }
    }

    /// The job, if it is assigned to this agent under this epoch: what ingest asks before it takes a slice.
    ///
    /// # Errors
    /// [`MetaError::Fenced`] when it is not; [`MetaError::NotFound`].
    pub async fn assigned_job(&self, id: &BackupJobId, agent: &AgentId, epoch: i64) -> Result<BackupJob, MetaError> {
        let job = self.backup_job(id).await?;
        let job = job.ok_or_else(|| MetaError::NotFound { what: "backup job", id: id.to_string() })?;
        if job.assignment.agent.as_ref() == Some(agent) && job.assignment.epoch == epoch {
            Ok(job)
        } else {
            Err(MetaError::Fenced)
        }
    }
}
