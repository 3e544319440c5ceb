//! Starts a task for every job that is bound to this daemon, and removes the folders of jobs that are bound elsewhere.

use std::{collections::HashMap, sync::Arc, time::Duration};

use holdfast_domain::{BackupJobId, BackupState};
use holdfast_metadb::{BackupJob, BackupJobFilter, MetaError};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::{chain_of, context::Context, dbpath, job};

/// How often the bindings are looked at.
const POLL: Duration = Duration::from_millis(400);
/// Longest that the tasks may take to end: a head stops in less than a second, a large one writes its cache first.
const END_TIMEOUT: Duration = Duration::from_secs(90);

/// Runs until cancelled; returns when every task has ended, or the bound has passed.
pub async fn run(ctx: Arc<Context>, cancel: CancellationToken) {
    let mut tasks: HashMap<BackupJobId, AbortOnDropHandle<()>> = HashMap::new();
    let tasks_cancel = cancel.child_token();
    while !cancel.is_cancelled() {
        if let Err(error) = round(&ctx, &mut tasks, &tasks_cancel).await {
            tracing::warn!(error = chain_of(&error), "look for backup jobs");
        }
        let _ = cancel.run_until_cancelled(tokio::time::sleep(POLL)).await;
    }
    let all = futures::future::join_all(tasks.into_values());
    if tokio::time::timeout(END_TIMEOUT, all).await.is_err() {
        tracing::warn!(
            "some heads did not stop in time; they are killed with this process and recover from their journals"
        );
    }
}

async fn round(
    ctx: &Arc<Context>,
    tasks: &mut HashMap<BackupJobId, AbortOnDropHandle<()>>,
    cancel: &CancellationToken,
) -> Result<(), MetaError> {
    let filter = BackupJobFilter { daemon: Some(ctx.id.clone()), ..BackupJobFilter::default() };
    let mut bound = ctx.metadb.backup_jobs(&filter).await?;
    // A terminated backup has no head: its task ends by itself, and then its folder goes.
    bound.retain(|job| job.state != BackupState::Terminated);
    tasks.retain(|_, task| !task.is_finished());
    for job in &bound {
        if !tasks.contains_key(&job.id) {
            let task = tokio::spawn(job::run(Arc::clone(ctx), job.id.clone(), cancel.child_token()));
            tasks.insert(job.id.clone(), AbortOnDropHandle::new(task));
        }
    }
    for id in ctx.layout.jobs() {
        if bound.iter().any(|job| job.id == id) || tasks.contains_key(&id) {
            continue;
        }
        // Bound to another daemon: its head is built there. A job that is bound to none may come back.
        let leaves =
            |job: BackupJob| job.state == BackupState::Terminated || job.daemon.is_some_and(|daemon| daemon != ctx.id);
        let other = ctx.metadb.backup_job(&id).await?.is_none_or(leaves);
        if other {
            tracing::info!(job = %id, "the head of a job that left is removed");
            if let Err(error) = dbpath::remove(&ctx.layout.job(&id)) {
                tracing::warn!(job = %id, %error, "remove a head");
            }
        }
    }
    Ok(())
}
