//! Reading the source for comparison.

use bson::{RawDocumentBuf, Timestamp, doc};
use futures::TryStreamExt as _;
use holdfast_domain::{OpTime, Ts};
use mongodb::Client;

/// Raw oplog entries from one to another, both included.
pub async fn oplog(client: &Client, from: Ts, to: Ts) -> Vec<RawDocumentBuf> {
    let oplog = client.database("local").collection::<RawDocumentBuf>("oplog.rs");
    let filter = doc! { "ts": { "$gte": Timestamp::from(from), "$lte": Timestamp::from(to) } };
    oplog.find(filter).sort(doc! { "$natural": 1 }).await.unwrap().try_collect().await.unwrap()
}

/// The newest entry.
pub async fn newest(client: &Client) -> OpTime {
    let oplog = client.database("local").collection::<RawDocumentBuf>("oplog.rs");
    let raw = oplog.find_one(doc! {}).sort(doc! { "$natural": -1 }).await.unwrap().unwrap();
    OpTime { ts: raw.get_timestamp("ts").unwrap().into(), term: raw.get_i64("t").unwrap_or(-1) }
}

/// Raw documents of a collection in natural order.
pub async fn documents(client: &Client, db: &str, name: &str) -> Vec<RawDocumentBuf> {
    let all = client.database(db).collection::<RawDocumentBuf>(name);
    all.find(doc! {}).sort(doc! { "$natural": 1 }).await.unwrap().try_collect().await.unwrap()
}

/// UUID of a collection, 32 hex digits.
pub async fn uuid(client: &Client, db: &str, name: &str) -> String {
    let listed = client.database(db).list_collections().filter(doc! { "name": name }).await.unwrap();
    let listed: Vec<_> = listed.try_collect().await.unwrap();
    hex::encode(&listed[0].info.uuid.as_ref().unwrap().bytes)
}

/// Random bytes.
pub fn noise(bytes: usize) -> bson::Binary {
    use rand::RngExt as _;
    let mut rng = rand::rng();
    let bytes = (0..bytes.div_ceil(8)).flat_map(|_| rng.random::<u64>().to_le_bytes()).take(bytes).collect();
    bson::Binary { subtype: bson::spec::BinarySubtype::Generic, bytes }
}
