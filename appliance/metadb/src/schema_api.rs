//! Version 3 of the schema: what the API keeps of requests that carry a key.

use bson::doc;
use mongodb::Database;

use crate::{
    MetaError,
    schema::{Index, create},
};

pub(crate) async fn apply(db: &Database) -> Result<(), MetaError> {
    create(db, [Index::new("idempotency_keys", "expires", doc! { "expires": 1 }).ttl()]).await
}
