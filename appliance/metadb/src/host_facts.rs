//! What seldom changes of a host, the last answers that it gave, and what happened to it.
//!
//! | collection | `_id` | holds |
//! |---|---|---|
//! | `host_facts` | host | command line, start-up warnings, privileges |
//! | `raw_pings` | `{host, slot}` | the answers of one minute, compressed; twenty slots for a host |
//! | `host_events` | `host/at/kind` | restarts, elections, coming and going |

use bson::{Binary, DateTime, Document, doc, spec::BinarySubtype};
use futures::TryStreamExt as _;
use holdfast_agent_api::{HostEvent, HostEventKind, HostFacts};
use holdfast_domain::{GroupId, HostId};
use serde::{Deserialize, Serialize};

use crate::{
    MetaDb, MetaError,
    error::{duplicate, on, to_bson},
    host_id,
};

/// Pings that are kept of a host.
pub const RAW_PINGS_MAX: i64 = 20;
/// Milliseconds between two pings that are kept.
const SLOT_MILLIS: i64 = 60_000;
/// A host that is gone keeps its pings so long, in seconds.
const PINGS_SECONDS: i64 = 7 * 86_400;
/// Events are kept so long, in seconds: as long as charts of hours reach back.
const EVENTS_SECONDS: i64 = 730 * 86_400;
/// Events of one answer.
const EVENTS_MAX: i64 = 2_000;

/// A ping that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPing {
    /// When, milliseconds since 1970.
    pub at: i64,
    /// The answers, as JSON, compressed by whoever stored it.
    pub answers: Vec<u8>,
}

/// An event that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredHostEvent {
    /// Host.
    pub host: HostId,
    /// `host:port`.
    pub name: String,
    /// When.
    pub at: DateTime,
    /// What.
    pub kind: HostEventKind,
    /// More of it.
    #[serde(default)]
    pub detail: String,
}

fn later(seconds: i64) -> DateTime {
    DateTime::from_millis(DateTime::now().timestamp_millis() + seconds * 1_000)
}

impl MetaDb {
    /// Keeps facts, unless newer ones are known.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn note_host_facts(&self, group: &GroupId, facts: &[HostFacts]) -> Result<(), MetaError> {
        let op = "store facts of hosts";
        for facts in facts {
            let id = host_id(group, &facts.host);
            let which = doc! { "_id": id, "group": group.clone(), "facts.at": { "$lt": facts.at } };
            // As text: names of options have dots, and numbers must come back as they came.
            let text = serde_json::to_string(facts).unwrap_or_default();
            let update = doc! { "$set": { "facts": { "at": facts.at, "text": text } } };
            match self.of::<Document>("host_facts").update_one(which, update).upsert(true).await {
                Err(e) if !duplicate(&e) => return Err(on(op)(e)),
                _ => {}
            }
        }
        Ok(())
    }

    /// Facts of a host of a group.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn host_facts(&self, group: &GroupId, id: &HostId) -> Result<Option<HostFacts>, MetaError> {
        let filter = doc! { "_id": id.clone(), "group": group.clone() };
        let found: Option<Document> =
            self.of("host_facts").find_one(filter).await.map_err(on("read facts of a host"))?;
        let text = found.and_then(|doc| doc.get_document("facts").ok()?.get_str("text").ok().map(str::to_owned));
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// Facts of all hosts of a group.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn all_host_facts(&self, group: &GroupId) -> Result<Vec<HostFacts>, MetaError> {
        let op = "read facts of hosts";
        let found = self.of::<Document>("host_facts").find(doc! { "group": group.clone() }).await.map_err(on(op))?;
        let all: Vec<Document> = found.try_collect().await.map_err(on(op))?;
        let text = |doc: &Document| doc.get_document("facts").ok()?.get_str("text").ok().map(str::to_owned);
        Ok(all.iter().filter_map(text).filter_map(|text| serde_json::from_str(&text).ok()).collect())
    }

    /// Keeps a ping: one a minute, the last twenty.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn note_ping(&self, group: &GroupId, host: &str, ping: &StoredPing) -> Result<(), MetaError> {
        let slot = (ping.at / SLOT_MILLIS).rem_euclid(RAW_PINGS_MAX);
        let answers = Binary { subtype: BinarySubtype::Generic, bytes: ping.answers.clone() };
        let which = doc! { "_id": { "host": host_id(group, host), "slot": slot } };
        let update = doc! { "$set": { "at": ping.at, "answers": answers, "expires": later(PINGS_SECONDS) } };
        let done = self.of::<Document>("raw_pings").update_one(which, update).upsert(true).await;
        match done {
            Err(e) if !duplicate(&e) => Err(on("store a ping")(e)),
            _ => Ok(()),
        }
    }

    /// The last pings of a host, newest first.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn pings(&self, host: &HostId) -> Result<Vec<StoredPing>, MetaError> {
        let op = "read pings";
        let from = doc! { "host": host.clone(), "slot": 0_i64 };
        let to = doc! { "host": host.clone(), "slot": RAW_PINGS_MAX };
        let kept = self.of::<Document>("raw_pings");
        let found = kept.find(doc! { "_id": { "$gte": from, "$lt": to } });
        let all: Vec<Document> = found.await.map_err(on(op))?.try_collect().await.map_err(on(op))?;
        let one = |doc: &Document| {
            let answers = doc.get_binary_generic("answers").ok()?.clone();
            Some(StoredPing { at: doc.get_i64("at").ok()?, answers })
        };
        let mut pings: Vec<StoredPing> = all.iter().filter_map(one).collect();
        pings.sort_by_key(|ping| std::cmp::Reverse(ping.at));
        Ok(pings)
    }

    /// Keeps events; the same again is one.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn note_host_events(&self, group: &GroupId, events: &[HostEvent]) -> Result<(), MetaError> {
        let op = "store events of hosts";
        for event in events {
            let host = host_id(group, &event.host);
            let kind = to_bson(op, &event.kind)?;
            let id = format!("{host}/{}/{}", event.at, kind.as_str().unwrap_or_default());
            let doc = doc! {
                "_id": id, "group": group.clone(), "host": host, "name": &event.host,
                "at": DateTime::from_millis(event.at), "kind": kind, "detail": &event.detail,
                "expires": later(EVENTS_SECONDS),
            };
            match self.of::<Document>("host_events").insert_one(doc).await {
                Err(e) if !duplicate(&e) => return Err(on(op)(e)),
                _ => {}
            }
        }
        Ok(())
    }

    /// Events between two times (seconds since 1970), oldest first, of a group or one of its hosts. Of too many, the newest.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn host_events(
        &self,
        group: &GroupId,
        host: Option<&HostId>,
        range: std::ops::RangeInclusive<i64>,
    ) -> Result<Vec<StoredHostEvent>, MetaError> {
        let op = "read events of hosts";
        let date = |second: i64| DateTime::from_millis(second.saturating_mul(1_000));
        let mut filter =
            doc! { "group": group.clone(), "at": { "$gte": date(*range.start()), "$lte": date(*range.end()) } };
        if let Some(host) = host {
            filter.insert("host", host.clone());
        }
        let events = self.of("host_events");
        let found = events.find(filter).sort(doc! { "at": -1 }).limit(EVENTS_MAX);
        let mut all: Vec<StoredHostEvent> = found.await.map_err(on(op))?.try_collect().await.map_err(on(op))?;
        all.reverse();
        Ok(all)
    }
}
