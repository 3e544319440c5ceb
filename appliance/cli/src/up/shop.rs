//! The demo's workload: a small shop that never closes.
//!
//! `shop.clock` holds one document that says the time, written five times a second, so that a restore shows at once which
//! second it is. Orders are transactions over three collections; carts come and go; a report is rebuilt by `$out` every
//! half minute, and last month's orders are renamed away, so that DDL is part of what is backed up.

use std::time::Duration;

use bson::{DateTime, Document, doc};
use mongodb::{Client, Database, options::TimeseriesOptions};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

const CUSTOMERS: i32 = 2000;
const PRODUCTS: i32 = 500;
const STEP: Duration = Duration::from_millis(20);
/// Steps between two reports.
const REPORT_STEPS: u64 = 1500;
const CLOCK_STEPS: u64 = 10;
const PAUSE_AFTER_ERROR: Duration = Duration::from_secs(1);

/// Writes until `stop`. Errors (elections, a killed member) are waited out.
pub(super) async fn run(uri: String, stop: CancellationToken) {
    let work = async {
        loop {
            if let Err(error) = open_shop(&uri).await {
                tracing::info!(%error, "the demo's workload waits");
            }
            sleep(PAUSE_AFTER_ERROR).await;
        }
    };
    tokio::select! { () = work => {}, () = stop.cancelled() => {} }
}

async fn open_shop(uri: &str) -> mongodb::error::Result<()> {
    let client = Client::with_uri_str(uri).await?;
    let db = client.database("shop");
    stock_up(&db).await?;
    let mut rng = StdRng::seed_from_u64(u64::from(rand::random::<u32>()));
    for step in 1_u64.. {
        match rng.random_range(0..10) {
            0..=3 => order(&client, &db, &mut rng).await?,
            4..=6 => cart(&db, &mut rng).await?,
            7 => visit(&db, &mut rng).await?,
            8 => reprice(&db, &mut rng).await?,
            _ => abandon(&db, &mut rng).await?,
        }
        if step % CLOCK_STEPS == 0 {
            let now = doc! {"$set": {"at": DateTime::now()}, "$inc": {"ticks": 1_i64}};
            db.collection::<Document>("clock").update_one(doc! {"_id": "now"}, now).upsert(true).await?;
        }
        if step % REPORT_STEPS == 0 {
            report(&db, step / REPORT_STEPS).await?;
        }
        sleep(STEP).await;
    }
    Ok(())
}

async fn stock_up(db: &Database) -> mongodb::error::Result<()> {
    let products = db.collection::<Document>("products");
    if products.estimated_document_count().await? > 0 {
        return Ok(());
    }
    let words = ["kelp", "limpet", "barnacle", "anchor", "reef", "tide", "harbour", "mussel"];
    let name = |n: i32| format!("{} {n}", words[usize::try_from(n).unwrap_or(0) % words.len()]);
    products
        .insert_many((0..PRODUCTS).map(|n| doc! {"_id": n, "name": name(n), "price": 100 + n, "stock": 1_000_000_i64}))
        .await?;
    let customers = (0..CUSTOMERS)
        .map(|n| doc! {"_id": n, "name": format!("customer {n}"), "email": format!("c{n}@example.com"), "orders": 0});
    db.collection::<Document>("customers").insert_many(customers).await?;
    let index = mongodb::IndexModel::builder()
        .keys(doc! {"email": 1})
        .options(mongodb::options::IndexOptions::builder().unique(true).build())
        .build();
    db.collection::<Document>("customers").create_index(index).await?;
    let orders = mongodb::IndexModel::builder().keys(doc! {"customer": 1, "at": -1}).build();
    db.collection::<Document>("orders").create_index(orders).await?;
    db.create_collection("visits")
        .timeseries(TimeseriesOptions::builder().time_field("at").meta_field(Some("page".to_owned())).build())
        .await?;
    db.create_collection("log").capped(true).size(4 << 20).await?;
    db.create_collection("carts").await
}

async fn order(client: &Client, db: &Database, rng: &mut StdRng) -> mongodb::error::Result<()> {
    let (customer, product, count) =
        (rng.random_range(0..CUSTOMERS), rng.random_range(0..PRODUCTS), rng.random_range(1..5));
    let mut session = client.start_session().await?;
    session.start_transaction().await?;
    let stock = doc! {"$inc": {"stock": -i64::from(count)}};
    db.collection::<Document>("products").update_one(doc! {"_id": product}, stock).session(&mut session).await?;
    let order = doc! {"customer": customer, "product": product, "count": count, "at": DateTime::now(), "state": "new"};
    db.collection::<Document>("orders").insert_one(order).session(&mut session).await?;
    db.collection::<Document>("customers")
        .update_one(doc! {"_id": customer}, doc! {"$inc": {"orders": 1}})
        .session(&mut session)
        .await?;
    session.commit_transaction().await
}

async fn cart(db: &Database, rng: &mut StdRng) -> mongodb::error::Result<()> {
    let line = doc! {"product": rng.random_range(0..PRODUCTS), "count": rng.random_range(1..9)};
    let change = doc! {"$push": {"lines": line}, "$set": {"at": DateTime::now()}};
    db.collection::<Document>("carts")
        .update_one(doc! {"_id": rng.random_range(0..CUSTOMERS)}, change)
        .upsert(true)
        .await?;
    Ok(())
}

async fn abandon(db: &Database, rng: &mut StdRng) -> mongodb::error::Result<()> {
    let gone =
        db.collection::<Document>("carts").find_one_and_delete(doc! {"_id": rng.random_range(0..CUSTOMERS)}).await?;
    db.collection::<Document>("log")
        .insert_one(doc! {"at": DateTime::now(), "what": "abandoned", "cart": gone.is_some()})
        .await?;
    Ok(())
}

async fn visit(db: &Database, rng: &mut StdRng) -> mongodb::error::Result<()> {
    let visits =
        (0..5).map(|_| doc! {"at": DateTime::now(), "page": rng.random_range(0..20), "ms": rng.random_range(1..900)});
    db.collection::<Document>("visits").insert_many(visits.collect::<Vec<_>>()).await?;
    Ok(())
}

async fn reprice(db: &Database, rng: &mut StdRng) -> mongodb::error::Result<()> {
    let change =
        vec![doc! {"$set": {"price": {"$add": ["$price", rng.random_range(-3..4)]}, "repriced": DateTime::now()}}];
    db.collection::<Document>("products").update_one(doc! {"_id": rng.random_range(0..PRODUCTS)}, change).await?;
    Ok(())
}

async fn report(db: &Database, number: u64) -> mongodb::error::Result<()> {
    let totals = vec![
        doc! {"$group": {"_id": "$product", "sold": {"$sum": "$count"}}},
        doc! {"$sort": {"sold": -1}},
        doc! {"$limit": 100},
        doc! {"$out": "bestsellers"},
    ];
    db.collection::<Document>("orders").aggregate(totals).await?;
    let name = format!("archive_{number}");
    let old = vec![doc! {"$sort": {"at": 1}}, doc! {"$limit": 200}, doc! {"$out": &name}];
    db.collection::<Document>("orders").aggregate(old).await?;
    if let Some(before) = number.checked_sub(3) {
        db.collection::<Document>(&format!("archive_{before}")).drop().await?;
    }
    Ok(())
}
