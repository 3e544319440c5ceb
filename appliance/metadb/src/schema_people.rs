//! Version 2 of the schema: people. Indexes of the new collections, and roles of the keys that there are.

use bson::{Document, doc};
use mongodb::Database;

use crate::{
    MetaError,
    error::on,
    schema::{Index, OP, create},
};

pub(crate) async fn apply(db: &Database) -> Result<(), MetaError> {
    create(
        db,
        [
            Index::new("users", "email", doc! { "email": 1 }).unique(),
            Index::new("users", "subject", doc! { "origin": 1, "subject": 1 })
                .unique()
                .only(doc! { "subject": { "$type": "string" } }),
            Index::new("users", "global_roles", doc! { "globalRoles": 1 }),
            Index::new("members", "user", doc! { "user": 1, "group": 1 }).unique(),
            Index::new("members", "group", doc! { "group": 1, "since": 1 }),
            Index::new("invitations", "hash", doc! { "hash": 1 }).unique(),
            Index::new("invitations", "group", doc! { "group": 1, "created": -1 }),
            Index::new("invitations", "expires", doc! { "expires": 1 }).ttl(),
            Index::new("join_requests", "user", doc! { "group": 1, "user": 1 }).unique(),
            Index::new("sessions", "user", doc! { "user": 1, "lastSeen": -1 }),
            Index::new("sessions", "expires", doc! { "expires": 1 }).ttl(),
            Index::new("throttles", "ends", doc! { "ends": 1 }).ttl(),
            Index::new("one_time", "expires", doc! { "expires": 1 }).ttl(),
            Index::new("api_keys", "user", doc! { "user": 1 }),
            Index::new("audit", "page", doc! { "group": 1, "_id": -1 }),
        ],
    )
    .await?;
    // Keys of the first release: admin, operator and viewer become owner, backup admin and read only. The old word stays until the next
    // release, for servers that are not upgraded yet.
    let old = |word: &str, role: &str| doc! { "case": { "$eq": ["$role", word] }, "then": role };
    let access = doc! { "$switch": {
        "branches": [old("admin", "owner"), old("operator", "backupAdmin")], "default": "readOnly",
    } };
    let keys = db.collection::<Document>("api_keys");
    let update = vec![doc! { "$set": { "access": access } }];
    keys.update_many(doc! { "access": { "$exists": false } }, update).await.map(|_| ()).map_err(on(OP))
}
