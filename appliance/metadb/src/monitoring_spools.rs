//! Reports of monitoring agents are accepted once: `monitoring_spools {_id: "agent/spool", taken, begun, token, begunAt}`.
//!
//! A time-series collection has no unique index and takes no part in transactions, so that a report is taken in three steps: begun (by
//! compare-and-set), stored, taken. A report that comes again after it was taken is answered and not stored. One that was begun and not
//! taken, by a server that died, is stored by whoever begins it next, who first looks what is there already.

use std::time::Duration;

use bson::{DateTime, Document, doc};
use holdfast_domain::AgentId;

use crate::{
    MetaDb, MetaError,
    error::{duplicate, on},
};

const COLLECTION: &str = "monitoring_spools";
/// A report that was begun is someone's for so long; storing one takes far less.
const BEGUN_FOR: Duration = Duration::from_secs(60);
/// What a spool came to is remembered so long after its last report.
const KEPT_SECONDS: i64 = 7 * 86_400;

/// What to do with a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReportTurn {
    /// Store it. `again`: someone began before, so that a part of it may be there.
    Begun {
        /// Proof of having begun, for [`MetaDb::finish_report`].
        token: String,
        /// Look first what is there.
        again: bool,
    },
    /// It was taken before.
    Taken {
        /// Number of the last one taken.
        taken: i64,
    },
    /// Someone stores it now.
    Busy,
}

fn key(agent: &AgentId, spool: &str) -> String {
    format!("{agent}/{spool}")
}

impl MetaDb {
    /// Begins to take report `seq` of a spool. Numbers may be left out, for what an agent had to drop; they never go back.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn begin_report(&self, agent: &AgentId, spool: &str, seq: i64) -> Result<ReportTurn, MetaError> {
        let op = "begin to take a report";
        let id = key(agent, spool);
        let all = self.of::<Document>(COLLECTION);
        let token = hex::encode(rand::random::<[u8; 12]>());
        let now = DateTime::now();
        let expires = DateTime::from_millis(now.timestamp_millis() + KEPT_SECONDS * 1_000);
        let Some(found) = all.find_one(doc! { "_id": &id }).await.map_err(on(op))? else {
            let first = doc! {
                "_id": &id, "taken": -1_i64, "begun": seq, "token": &token, "begunAt": now, "expires": expires,
            };
            return match all.insert_one(first).await {
                Ok(_) => Ok(ReportTurn::Begun { token, again: false }),
                Err(e) if duplicate(&e) => Ok(ReportTurn::Busy),
                Err(e) => Err(on(op)(e)),
            };
        };
        let number = |field: &str| found.get_i64(field).unwrap_or(-1);
        let (taken, begun) = (number("taken"), number("begun"));
        if seq <= taken {
            return Ok(ReportTurn::Taken { taken });
        }
        let under_way = begun > taken;
        let since = found.get_datetime("begunAt").map_or(0, |at| now.timestamp_millis() - at.timestamp_millis());
        if under_way && (0..i64::try_from(BEGUN_FOR.as_millis()).unwrap_or(i64::MAX)).contains(&since) {
            return Ok(ReportTurn::Busy);
        }
        let seen = doc! {
            "_id": &id, "taken": taken, "begun": begun, "token": found.get_str("token").unwrap_or_default(),
        };
        let mine = doc! { "$set": { "begun": seq, "token": &token, "begunAt": now, "expires": expires } };
        let done = all.update_one(seen, mine).await.map_err(on(op))?;
        Ok(if done.matched_count == 0 { ReportTurn::Busy } else { ReportTurn::Begun { token, again: under_way } })
    }

    /// The report is stored: it counts as taken.
    ///
    /// # Errors
    /// [`MetaError::Fenced`] when someone else began it meanwhile.
    pub async fn finish_report(&self, agent: &AgentId, spool: &str, seq: i64, token: &str) -> Result<(), MetaError> {
        let which = doc! { "_id": key(agent, spool), "begun": seq, "token": token };
        self.write_lease(COLLECTION, which, doc! { "$set": { "taken": seq } }).await
    }

    /// The report is not stored after all: whoever sends it again need not wait. Part of it may be there.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn give_report_back(&self, agent: &AgentId, spool: &str, seq: i64, token: &str) -> Result<(), MetaError> {
        let which = doc! { "_id": key(agent, spool), "begun": seq, "token": token };
        let update = doc! { "$set": { "begunAt": DateTime::from_millis(0) } };
        let done = self.of::<Document>(COLLECTION).update_one(which, update).await;
        done.map(|_| ()).map_err(on("give a report back"))
    }
}
