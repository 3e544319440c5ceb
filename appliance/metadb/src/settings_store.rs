//! Settings of the appliance that all instances share: small documents by name.

use bson::{Document, doc};

use crate::{
    MetaDb, MetaError, Seen,
    error::on,
    seen::{REV, rev_of},
};

impl MetaDb {
    /// A setting. None: never set.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn appliance_setting(&self, name: &str) -> Result<Option<Document>, MetaError> {
        Ok(self.appliance_setting_at(name).await?.0)
    }

    /// A setting with its revision.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn appliance_setting_at(&self, name: &str) -> Result<(Option<Document>, i64), MetaError> {
        let found: Option<Document> =
            self.of("settings").find_one(doc! { "_id": name }).await.map_err(on("read a setting"))?;
        let revision = rev_of(found.as_ref());
        let value = found.and_then(|mut doc| match doc.remove("value") {
            Some(bson::Bson::Document(value)) => Some(value),
            _ => None,
        });
        Ok((value, revision))
    }

    /// Forgets a setting. False: there was none.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn remove_appliance_setting(&self, name: &str) -> Result<bool, MetaError> {
        let which = doc! { "_id": name, "value": { "$exists": true } };
        let update = doc! { "$unset": { "value": "" }, "$inc": { REV: 1_i64 } };
        let done = self.of::<Document>("settings").update_one(which, update).await;
        done.map(|done| done.matched_count > 0).map_err(on("forget a setting"))
    }

    /// Sets a setting.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn put_appliance_setting(&self, name: &str, value: Document) -> Result<(), MetaError> {
        self.put_appliance_setting_seen(name, value, &Seen::ANY).await.map(|_| ())
    }

    /// Sets a setting that is at a revision that was seen; gives the revision after it.
    ///
    /// # Errors
    /// [`MetaError::Changed`], [`MetaError::Database`].
    pub async fn put_appliance_setting_seen(&self, name: &str, value: Document, seen: &Seen) -> Result<i64, MetaError> {
        self.put_seen("store a setting", "settings", doc! { "_id": name }, seen, doc! { "value": value }).await
    }
}
