//! How long snapshots lie in the trash, as the daemons say: each notes its own setting, since any of them may collect.
//!
//! Written by daemons, read by web, so that people are told until when a deletion can be undone.

use bson::{Bson, Document, doc};
use holdfast_domain::DaemonId;

use crate::{MetaDb, MetaError, error::on};

/// Name of the document among the appliance's settings.
const NAME: &str = "trashGrace";

impl MetaDb {
    /// A daemon removes what lies in the trash for longer than this, in seconds.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn note_trash_grace(&self, daemon: &DaemonId, seconds: u64) -> Result<(), MetaError> {
        let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
        let set = doc! { "$set": { format!("value.{daemon}"): seconds } };
        let done = self.of::<Document>("settings").update_one(doc! { "_id": NAME }, set).upsert(true).await;
        done.map(|_| ()).map_err(on("note the grace of the trash"))
    }

    /// The shortest grace of any daemon that there is, in seconds: until then a deletion can be undone for certain. None: no daemon has
    /// said.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn trash_grace_seconds(&self) -> Result<Option<i64>, MetaError> {
        let Some(noted) = self.appliance_setting(NAME).await? else { return Ok(None) };
        let daemons = self.daemons().await?;
        let is_there = |id: &str| daemons.iter().any(|daemon| daemon.id.as_str() == id);
        let seconds = |value: &Bson| value.as_i64();
        Ok(noted.iter().filter(|(id, _)| is_there(id)).filter_map(|(_, value)| seconds(value)).min())
    }
}
