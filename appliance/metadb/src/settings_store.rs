//! Settings of the appliance that all instances share: small documents by name.

use bson::{Document, doc};

use crate::{MetaDb, MetaError, error::on};

impl MetaDb {
    /// A setting. None: never set.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn appliance_setting(&self, name: &str) -> Result<Option<Document>, MetaError> {
        let found: Option<Document> =
            self.of("settings").find_one(doc! { "_id": name }).await.map_err(on("read a setting"))?;
        Ok(found.and_then(|mut doc| match doc.remove("value") {
            Some(bson::Bson::Document(value)) => Some(value),
            _ => None,
        }))
    }

    /// Forgets a setting. False: there was none.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn remove_appliance_setting(&self, name: &str) -> Result<bool, MetaError> {
        let done = self.of::<Document>("settings").delete_one(doc! { "_id": name }).await;
        done.map(|done| done.deleted_count > 0).map_err(on("forget a setting"))
    }

    /// Sets a setting.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn put_appliance_setting(&self, name: &str, value: Document) -> Result<(), MetaError> {
        let update = doc! { "$set": { "value": value } };
        let done = self.of::<Document>("settings").update_one(doc! { "_id": name }, update).upsert(true).await;
        done.map(|_| ()).map_err(on("store a setting"))
    }
}
