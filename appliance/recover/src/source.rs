//! What is recovered from: a blockstore database, or a store of packs alone.
//!
//! Invariants: a database that holds no blockstore is left as it is; a store of packs is only read.

use blockstore_engine::{
    Aside, Blockstore, EngineOptions, Keyring, OpenError, PackLocation, PackStoreOptions, Recovery, StoreNumber,
};
use bson::{Document, doc};
use futures::TryStreamExt as _;
use holdfast_ledger::Ledger;
use mongodb::{Client, Database};

use crate::RecoverFault;

/// Collections that every blockstore has.
const COLLECTIONS: [&str; 2] = ["roots", "blocks"];
/// Number under which a store of packs is opened alone; it is compared with nothing.
const ALONE: u8 = 1;

/// Where it lies.
#[derive(Clone, Debug)]
pub enum Place {
    /// A blockstore database.
    Database {
        /// Connection string.
        uri: String,
        /// Its name; None: the only database there that holds a blockstore.
        database: Option<String>,
        /// Where its payloads lie, if not in the database.
        packs: Option<PackLocation>,
    },
    /// A folder of packs or a bucket alone.
    Packs(PackLocation),
}

/// Something to recover from, open.
pub struct Source {
    pub(crate) kind: Kind,
    pub(crate) keys: Keyring,
}

pub(crate) enum Kind {
    Database {
        store: Blockstore,
        ledger: Ledger,
        /// Payloads may lie in a store of packs that was not named.
        lacks_packs: bool,
    },
    Packs {
        options: Box<PackStoreOptions>,
        glance: Recovery,
        aside: Aside,
    },
}

impl Source {
    /// Opens it. `keys` are those of the groups that encrypt.
    ///
    /// # Errors
    /// [`RecoverFault`], saying what is not there.
    pub async fn open(place: &Place, keys: Keyring) -> Result<Self, RecoverFault> {
        let kind = match place {
            Place::Packs(location) => {
                let number = StoreNumber::new(ALONE).expect("1 is a store's number");
                let options = PackStoreOptions::new(number, location.clone());
                let glance = Recovery::glance(&options, keys.clone()).await?;
                let aside = glance.aside();
                Kind::Packs { options: Box::new(options), glance, aside }
            }
            Place::Database { uri, database, packs } => open_database(uri, database.as_deref(), packs, &keys).await?,
        };
        Ok(Self { kind, keys })
    }
}

fn on(what: &'static str) -> impl Fn(mongodb::error::Error) -> RecoverFault {
    move |source| RecoverFault::Database { what, source }
}

async fn open_database(
    uri: &str,
    name: Option<&str>,
    packs: &Option<PackLocation>,
    keys: &Keyring,
) -> Result<Kind, RecoverFault> {
    let client = Client::with_uri_str(uri).await.map_err(on("connect to the blockstore database"))?;
    let db = find(&client, name).await?;
    let options = EngineOptions { keys: keys.clone(), ..EngineOptions::default() };
    let numbers = pack_stores(&db).await?;
    let store = match packs {
        None => Blockstore::open(db.clone(), options).await?,
        Some(location) => with_packs(&db, options, location, &numbers).await?,
    };
    let lacks_packs = packs.is_none() && !numbers.is_empty();
    Ok(Kind::Database { store, ledger: Ledger::attach(&db, keys.clone()), lacks_packs })
}

/// The database that holds a blockstore.
async fn find(client: &Client, name: Option<&str>) -> Result<Database, RecoverFault> {
    let what = "look for a blockstore";
    let names = match name {
        Some(name) => vec![name.to_owned()],
        None => client.list_database_names().await.map_err(on(what))?,
    };
    let mut found = Vec::new();
    for name in names.iter().filter(|name| !["admin", "config", "local"].contains(&name.as_str())) {
        let filter = doc! { "name": { "$in": COLLECTIONS.to_vec() } };
        let there = client.database(name).list_collection_names().filter(filter).await.map_err(on(what))?;
        if there.len() == COLLECTIONS.len() {
            found.push(name.clone());
        }
    }
    match found.as_slice() {
        [one] => Ok(client.database(one)),
        [] => Err(RecoverFault::NothingThere(match name {
            Some(name) => format!("database {name} holds no blockstore"),
            None => "no database of this deployment holds a blockstore".to_owned(),
        })),
        several => Err(RecoverFault::Request(format!(
            "several databases hold a blockstore: {}; say which with --database",
            several.join(", ")
        ))),
    }
}

/// Numbers of the pack stores that the database knows.
async fn pack_stores(db: &Database) -> Result<Vec<StoreNumber>, RecoverFault> {
    let stores = db.collection::<Document>("packStores").find(doc! {}).await.map_err(on("list the pack stores"))?;
    let stores: Vec<Document> = stores.try_collect().await.map_err(on("list the pack stores"))?;
    let number = |doc: &Document| u8::try_from(doc.get_i32("_id").ok()?).ok().and_then(StoreNumber::new);
    Ok(stores.iter().filter_map(number).collect())
}

/// The store under whichever of its numbers these packs are known: the engine tells one from another by the store's own name.
async fn with_packs(
    db: &Database,
    options: EngineOptions,
    location: &PackLocation,
    numbers: &[StoreNumber],
) -> Result<Blockstore, RecoverFault> {
    let mut refused = None;
    for number in numbers {
        let packs = vec![PackStoreOptions::new(*number, location.clone())];
        match Blockstore::open(db.clone(), EngineOptions { packs, ..options.clone() }).await {
            Err(error @ OpenError::OtherPackStore { .. }) => refused = Some(error),
            other => return Ok(other?),
        }
    }
    match refused {
        Some(error) => Err(error.into()),
        None => Err(RecoverFault::NothingThere("this blockstore knows no store of packs".to_owned())),
    }
}
