//! The handle and its collections' names.

use mongodb::{
    Collection, Database,
    options::{Acknowledgment, DatabaseOptions, ReadConcern, ReadPreference, SelectionCriteria, WriteConcern},
};
use serde::{Serialize, de::DeserializeOwned};

use crate::MetaError;

/// The app database. Cheap to clone.
#[derive(Clone, Debug)]
pub struct MetaDb {
    db: Database,
}

impl MetaDb {
    /// Opens the app database: creates collections, indexes and migrates. Any number of processes may do so at once.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn open(db: Database) -> Result<Self, MetaError> {
        let options = DatabaseOptions::builder()
            .read_concern(ReadConcern::majority())
            .write_concern(WriteConcern::builder().w(Acknowledgment::Majority).journal(true).build())
            .selection_criteria(SelectionCriteria::ReadPreference(ReadPreference::Primary))
            .build();
        let db = db.client().database_with_options(db.name(), options);
        crate::schema::apply(&db).await?;
        Ok(Self { db })
    }

    /// The database below, for health checks.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.db
    }

    pub(crate) fn of<T: Send + Sync + Serialize + DeserializeOwned>(&self, name: &str) -> Collection<T> {
        self.db.collection(name)
    }
}
