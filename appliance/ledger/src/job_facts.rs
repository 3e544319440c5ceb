//! What is known of jobs beside their ledgers, in the blockstore database too: so that it can be recovered without the app database.

use blockstore_engine::Keyring;
use bson::{DateTime, Document, doc};
use futures::TryStreamExt as _;
use holdfast_domain::BackupJobId;
use mongodb::Collection;

use crate::{
    JobFacts, Ledger, LedgerError,
    db::{form, on},
};

const COLLECTION: &str = "ledger_jobs";

impl Ledger {
    /// The ledgers in this database as they are: creates nothing. For recovery.
    #[must_use]
    pub fn attach(db: &mongodb::Database, keys: Keyring) -> Self {
        Self { db: Self::with_concerns(db), keys }
    }

    /// Keeps what is known of a job.
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub async fn put_job_facts(&self, facts: &JobFacts) -> Result<(), LedgerError> {
        let op = "keep the facts of a job";
        let fields = bson::serialize_to_document(facts).map_err(form(op))?;
        let jobs: Collection<Document> = self.db.collection(COLLECTION);
        let change = doc! { "$set": fields };
        jobs.update_one(doc! { "_id": facts.job.clone() }, change).upsert(true).await.map_err(on(op))?;
        Ok(())
    }

    /// What is known of all jobs.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn job_facts(&self) -> Result<Vec<JobFacts>, LedgerError> {
        let jobs: Collection<JobFacts> = self.db.collection(COLLECTION);
        let op = "read the facts of jobs";
        jobs.find(doc! {}).await.map_err(on(op))?.try_collect().await.map_err(on(op))
    }

    /// Says how far a copy of a job's ledger goes: for people who look at the backup.
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub async fn put_mirrored(&self, job: &BackupJobId, store: u8, mirrored: &Mirrored) -> Result<(), LedgerError> {
        let jobs: Collection<Document> = self.db.collection(COLLECTION);
        let value = doc! { "optime": mirrored.to, "behindSeconds": mirrored.behind_seconds, "at": DateTime::now() };
        let change = doc! { "$set": { format!("mirrors.{store}"): value } };
        let put = jobs.update_one(doc! { "_id": job.clone() }, change).upsert(true).await;
        put.map(|_| ()).map_err(on("say how far a copy of a ledger goes"))
    }
}

/// How far a copy of a job's ledger goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mirrored {
    /// Cluster time of the last oplog entry in it.
    pub to: holdfast_domain::Ts,
    /// How long ago, by this machine's clock, the oldest slice was received that is not in it, in seconds; 0: it holds all.
    pub behind_seconds: i64,
}
