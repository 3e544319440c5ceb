//! Version 4 of the schema: the history of restores, and their deliveries to SFTP targets.

use bson::doc;
use mongodb::Database;

use crate::{
    MetaError,
    schema::{Index, create},
};

pub(crate) async fn apply(db: &Database) -> Result<(), MetaError> {
    create(
        db,
        [
            Index::new("restore_jobs", "history", doc! { "group": 1, "created": -1, "_id": -1 }),
            Index::new("restore_jobs", "delivery", doc! { "delivery.state": 1 }),
            Index::new("sftp_targets", "name", doc! { "group": 1, "name": 1 }).unique(),
        ],
    )
    .await
}
