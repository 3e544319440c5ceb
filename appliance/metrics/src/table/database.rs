//! Of one database of a host.

use super::{gauge, row};
use crate::{Metric, Scope::Database, Unit};

pub(super) const ROWS: &[Metric] = &[
    row(
        "DATABASE_DATA_SIZE",
        Unit::Bytes,
        Database,
        gauge("db:dataSize"),
        "database size",
        "Bytes of documents, uncompressed.",
    ),
    row(
        "DATABASE_STORAGE_SIZE",
        Unit::Bytes,
        Database,
        gauge("db:storageSize"),
        "database size",
        "Bytes of files of documents.",
    ),
    row(
        "DATABASE_INDEX_SIZE",
        Unit::Bytes,
        Database,
        gauge("db:indexSize"),
        "database size",
        "Bytes of files of indexes.",
    ),
    row(
        "DATABASE_FREE_STORAGE_SIZE",
        Unit::Bytes,
        Database,
        gauge("db:freeStorageSize"),
        "database size",
        "Bytes within the files that are free for reuse.",
    ),
    row(
        "DATABASE_AVERAGE_OBJECT_SIZE",
        Unit::Bytes,
        Database,
        gauge("db:avgObjSize"),
        "average object",
        "Mean bytes of a document, uncompressed.",
    ),
    row(
        "DATABASE_COLLECTION_COUNT",
        Unit::Scalar,
        Database,
        gauge("db:collections"),
        "collections and indexes",
        "Collections.",
    ),
    row("DATABASE_INDEX_COUNT", Unit::Scalar, Database, gauge("db:indexes"), "collections and indexes", "Indexes."),
    row("DATABASE_VIEW_COUNT", Unit::Scalar, Database, gauge("db:views"), "collections and indexes", "Views."),
    row("DATABASE_OBJECT_COUNT", Unit::Scalar, Database, gauge("db:objects"), "objects", "Documents."),
];
