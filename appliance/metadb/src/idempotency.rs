//! Requests that carry a key of the caller's: what was answered, so that the same request again makes nothing twice.
//!
//! Invariants:
//! - A document is named by caller and key (hashed), belongs to one request (its hash) and to one holder at a time: whoever inserted it, or
//!   took it over after its holder stopped beating. Only the holder writes the answer or gives the key back.
//! - Answers come in sealed: they may hold secrets that are shown once.
//! - Documents go by a TTL index when their time is over.

use std::time::Duration;

use bson::{Binary, DateTime, doc, spec::BinarySubtype};
use serde::{Deserialize, Serialize};

use crate::{
    MetaDb, MetaError,
    api_keys::after,
    error::{duplicate, on},
    hash_secret,
};

/// How long an answer is kept.
const KEPT: Duration = Duration::from_secs(24 * 3600);
/// A holder that did not beat for so long is gone with its process. Less than the ten seconds for which the web app asks again: whoever was
/// in the middle of something when an instance died waits, and is not told of it.
const HELD: Duration = Duration::from_secs(5);
const COLLECTION: &str = "idempotency_keys";

#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    #[serde(rename = "_id")]
    id: String,
    /// Hash of method, path and body; keyed, so that it tells nothing about a password in the body.
    request: String,
    holder: String,
    held_until: DateTime,
    answer: Option<Binary>,
    expires: DateTime,
}

/// A key that is held while its request is carried out.
#[derive(Clone, Debug)]
pub struct HeldKey {
    id: String,
    holder: String,
}

/// What a key says of a request.
#[derive(Debug)]
pub enum Keyed {
    /// It is new: carry the request out, then [`MetaDb::keep_answer`] or [`MetaDb::give_key_back`].
    New(HeldKey),
    /// It was answered so, sealed.
    Answered(Vec<u8>),
    /// The same request is being carried out.
    UnderWay,
    /// The key was used for another request.
    Other,
}

impl MetaDb {
    /// Takes a key for a request. `caller` tells one caller from every other, `request` one request from every other.
    ///
    /// # Errors
    /// [`MetaError::Database`]; [`MetaError::Contention`] when many take it at the same instant.
    pub async fn take_key(&self, caller: &str, key: &str, request: &str) -> Result<Keyed, MetaError> {
        let op = "take an idempotency key";
        let id = hash_secret(&format!("{caller}\n{key}"));
        let held = HeldKey { id: id.clone(), holder: hex::encode(rand::random::<[u8; 12]>()) };
        let keys = self.of::<Stored>(COLLECTION);
        for _ in 0..3 {
            let fresh = Stored {
                id: id.clone(),
                request: request.to_owned(),
                holder: held.holder.clone(),
                held_until: after(HELD),
                answer: None,
                expires: after(KEPT),
            };
            match keys.insert_one(&fresh).await {
                Ok(_) => return Ok(Keyed::New(held)),
                Err(e) if duplicate(&e) => {}
                Err(e) => return Err(on(op)(e)),
            }
            let Some(found) = keys.find_one(doc! { "_id": &id }).await.map_err(on(op))? else { continue };
            let now = DateTime::now();
            if found.expires <= now {
                // The TTL index is about to come.
                keys.delete_one(doc! { "_id": &id, "holder": &found.holder }).await.map_err(on(op))?;
                continue;
            }
            if found.request != request {
                return Ok(Keyed::Other);
            }
            if let Some(answer) = found.answer {
                return Ok(Keyed::Answered(answer.bytes));
            }
            if found.held_until > now {
                return Ok(Keyed::UnderWay);
            }
            let filter = doc! { "_id": &id, "holder": &found.holder, "answer": null };
            let update = doc! { "$set": { "holder": &held.holder, "held_until": after(HELD) } };
            if keys.update_one(filter, update).await.map_err(on(op))?.modified_count == 1 {
                return Ok(Keyed::New(held));
            }
        }
        Err(MetaError::Contention { op })
    }

    /// Says that the request is still being carried out: at least every third of [`HELD`].
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn beat_key(&self, held: &HeldKey) -> Result<(), MetaError> {
        let update = doc! { "$set": { "held_until": after(HELD) } };
        let done = self.of::<Stored>(COLLECTION).update_one(own(held), update).await;
        done.map(|_| ()).map_err(on("hold an idempotency key"))
    }

    /// Keeps the answer of a request, sealed.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn keep_answer(&self, held: &HeldKey, answer: Vec<u8>) -> Result<(), MetaError> {
        let answer = Binary { subtype: BinarySubtype::Generic, bytes: answer };
        let done = self.of::<Stored>(COLLECTION).update_one(own(held), doc! { "$set": { "answer": answer } }).await;
        done.map(|_| ()).map_err(on("keep an answer"))
    }

    /// Gives a key back whose request made nothing: it may be used again.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn give_key_back(&self, held: &HeldKey) -> Result<(), MetaError> {
        let done = self.of::<Stored>(COLLECTION).delete_one(own(held)).await;
        done.map(|_| ()).map_err(on("give an idempotency key back"))
    }
}

fn own(held: &HeldKey) -> bson::Document {
    doc! { "_id": &held.id, "holder": &held.holder, "answer": null }
}
