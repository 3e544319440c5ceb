//! Use of restore links: counted in bytes (`tar.gz`: in requests), so that resumes and ranges cost what they fetch.

use bson::{DateTime, doc};
use holdfast_domain::{ArchiveFormat, Classify, ErrorClass, RestoreJobId, RestoreState};
use mongodb::options::ReturnDocument;

use crate::{MetaDb, MetaError, RestoreJob, error::on};

/// A download may begin.
#[derive(Clone, Debug, PartialEq)]
pub struct Grant {
    /// The job: root, format, name, bytes, etag.
    pub job: RestoreJob,
    /// The root to send.
    pub root: String,
}

/// Why a download may not begin.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// No such job.
    #[error("there is no such download")]
    Unknown,
    /// It is still being made, or it failed.
    #[error("the download is not ready: its state is {state:?}")]
    NotReady {
        /// Its state.
        state: RestoreState,
    },
    /// Its time is over.
    #[error("the link is no longer valid")]
    Expired,
    /// Its uses are spent.
    #[error("the link's uses are spent")]
    Spent,
    /// The database.
    #[error(transparent)]
    Meta(#[from] MetaError),
}

impl Classify for DownloadError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Meta(e) => e.class(),
            _ => ErrorClass::Caller,
        }
    }
}

impl MetaDb {
    /// Begins a download: allowed while the link holds and the bytes sent are fewer than uses x size. A `tar.gz`, which has
    /// no size, costs one request here.
    ///
    /// # Errors
    /// [`DownloadError`].
    pub async fn begin_download(&self, id: &RestoreJobId) -> Result<Grant, DownloadError> {
        let op = "begin a download";
        let jobs = self.of::<RestoreJob>("restore_jobs");
        let job = jobs.find_one(doc! { "_id": id.clone() }).await.map_err(on(op))?.ok_or(DownloadError::Unknown)?;
        if job.state == RestoreState::Expired || job.expires <= DateTime::now() {
            return Err(DownloadError::Expired);
        }
        let root = match (&job.root, job.state) {
            (Some(root), RestoreState::Ready) => root.clone(),
            (_, state) => return Err(DownloadError::NotReady { state }),
        };
        if job.format == ArchiveFormat::TarGz {
            let free = doc! { "_id": id.clone(), "$expr": { "$lt": ["$requestsSent", "$uses"] } };
            let counted = jobs
                .find_one_and_update(free, doc! { "$inc": { "requestsSent": 1_i64 } })
                .return_document(ReturnDocument::After)
                .await
                .map_err(on(op))?;
            return counted.map(|job| Grant { job, root }).ok_or(DownloadError::Spent);
        }
        match job.bytes {
            Some(bytes) if job.bytes_sent < bytes.saturating_mul(job.uses) => Ok(Grant { job, root }),
            Some(_) => Err(DownloadError::Spent),
            None => Err(DownloadError::NotReady { state: job.state }),
        }
    }

    /// Adds bytes sent, and says how many were sent in all. Called while a download runs, in steps, and at its end.
    ///
    /// # Errors
    /// [`MetaError::NotFound`].
    pub async fn count_bytes(&self, id: &RestoreJobId, bytes: u64) -> Result<i64, MetaError> {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        let counted: Option<RestoreJob> = self
            .of("restore_jobs")
            .find_one_and_update(doc! { "_id": id.clone() }, doc! { "$inc": { "bytesSent": bytes } })
            .return_document(ReturnDocument::After)
            .await
            .map_err(on("count bytes of a download"))?;
        counted.map(|job| job.bytes_sent).ok_or_else(|| MetaError::NotFound { what: "restore job", id: id.to_string() })
    }
}
