//! The source's catalog between two optimes: what the head compares itself with.

use holdfast_domain::OpTime;
use serde::{Deserialize, Serialize};

/// Lists of the source, taken while its majority optime went from `before` to `after`. Comparable when the ledger has no DDL
/// in between.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Catalog {
    /// Majority optime before the first list.
    pub before: OpTime,
    /// Majority optime after the last list.
    pub after: OpTime,
    /// Every collection and view but those of `local` and `config`, and `system.profile`.
    pub collections: Vec<CatalogCollection>,
}

/// One collection or view.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CatalogCollection {
    /// Database.
    pub db: String,
    /// Name.
    pub name: String,
    /// `collection`, `view`, `timeseries`.
    pub kind: String,
    /// UUID, 32 hex digits; None for views.
    pub uuid: Option<String>,
    /// Options as listed.
    pub options: bson::RawDocumentBuf,
    /// Index specifications as listed, in the server's order; empty for views.
    pub indexes: Vec<bson::RawDocumentBuf>,
}
