//! Every kind of operation once, in a fixed order.
//!
//! The kinds are those that change what an oplog carries: entry types, update formats, options of collections and indexes,
//! transactions, and what only the catalog sees. A head or a restore fed with this equals its source or has a defect.

mod admin;
mod collections;
mod crud;
mod indexes;
mod renames;
mod transactions;

use anyhow::Result;
use bson::doc;
use mongodb::{Client, Database};

/// The database most steps write to.
pub(crate) const DATABASE: &str = "app";
/// The database that steps across databases move things to.
pub(crate) const OTHER_DATABASE: &str = "app2";

/// What became of a step.
#[derive(Debug, Clone)]
pub struct Step {
    /// Its name, unique in a run.
    pub name: &'static str,
    /// The reason when it failed.
    pub error: Option<String>,
}

impl Step {
    /// Whether the step did what it is meant to do. Steps whose point is a refusal succeed when the server refuses.
    pub fn as_expected(&self) -> bool {
        self.error.is_none()
    }
}

/// Collects steps.
pub(crate) struct Steps {
    pub(crate) client: Client,
    pub(crate) db: Database,
    done: Vec<Step>,
}

impl Steps {
    /// Runs a step and notes how it went; the next step comes whatever happened.
    pub(crate) async fn step(&mut self, name: &'static str, work: impl Future<Output = Result<()>>) {
        let error = work.await.err().map(|error| format!("{error:#}"));
        if let Some(error) = &error {
            tracing::warn!(step = name, error, "step of the rich workload failed");
        }
        self.done.push(Step { name, error });
    }
}

/// Runs every step against a replica set's primary and reports each. Takes some seconds; writes about 60 MB.
///
/// # Errors
/// The server does not answer at all; steps that fail are in the result.
pub async fn rich(client: &Client) -> Result<Vec<Step>> {
    client.database("admin").run_command(doc! { "ping": 1 }).await?;
    let mut steps = Steps { client: client.clone(), db: client.database(DATABASE), done: Vec::new() };
    crud::run(&mut steps).await;
    collections::run(&mut steps).await;
    collections::time_series_and_views(&mut steps).await;
    indexes::run(&mut steps).await;
    renames::run(&mut steps).await;
    transactions::run(&mut steps).await;
    admin::run(&mut steps).await;
    crud::late(&mut steps).await;
    Ok(steps.done)
}

/// The steps that failed, as `name: reason`.
pub fn failures(steps: &[Step]) -> Vec<String> {
    steps.iter().filter_map(|step| step.error.as_ref().map(|error| format!("{}: {error}", step.name))).collect()
}
